//! The life of one event: verified, understood, compared with the books, booked (behaviour 2.16).
//!
//! One body may report several authorizations. They are booked one by one; where one cannot be, the
//! issuer is told so and sends the body again, and what was booked of it is then known.

use std::sync::atomic::Ordering;

use super::{Arrival, Connection, Core, Pipeline};
use crate::decide::effective::book_terms;
use crate::decide::merchant_text::merchant_keys;
use crate::decide::snapshot::{CardView, CustomerSlot, Snapshot};
use crate::domain::amount::Minor;
use crate::domain::card::Key;
use crate::domain::currency::Currency;
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::{KeySpace, Keys};
use crate::domain::lifecycle::{
    BookStatus, BookTerms, Flags, Movement, MovementKind, Observation, Standing,
};
use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;
use crate::issuer::delivery::SignatureRefused;
use crate::issuer::{Issuer, NotUnderstood};
use crate::ledger::command::{AgentRef, Book, BookAnswer, CardRef, Route};
use crate::ledger::embedded::store::{Draft, Unavailable};
use crate::ledger::event::Owner;
use crate::ledger::life::{Fact, Told, is_approval, is_ask, is_posting};

/// How far an event came.
#[derive(Debug)]
pub enum Observed {
    /// Not the issuer's: 401, and nothing was done.
    Refused(SignatureRefused),
    /// The issuer's, but it cannot be read: 400.
    NotUnderstood(NotUnderstood),
    /// It could not be booked, or not wholly: 503, so that it comes again.
    Unavailable,
    /// What became of it. It may be acknowledged once its position is durable.
    Booked(BookAnswer),
}

/// What a report comes to where nodes share a log.
pub struct Booking {
    /// What becomes of it.
    pub answer: BookAnswer,
    /// What the log has to take before that holds.
    pub draft: Option<Draft>,
    /// What this node has to know before that holds.
    pub premise: Premise,
}

/// What the log would not refuse although another node knew better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Premise {
    /// It refuses whatever rests on too little.
    Nothing,
    /// Nothing is booked, by what is known of this customer.
    Of(Key),
    /// Nobody is known whose it is.
    All,
}

impl Pipeline {
    /// Verifies, decodes and books one event. What it books is on its way to the disk when it
    /// returns.
    pub fn observe(&self, arrival: &Arrival<'_>) -> Observed {
        let observations = match self.told(arrival) {
            Ok(observations) => observations,
            Err(why) => return why,
        };
        let mut whole = NOTHING_YET;
        for observation in &observations {
            match self.book(arrival, observation) {
                Some(one) => whole = whole.and(one),
                None => return Observed::Unavailable,
            }
        }
        Observed::Booked(whole)
    }

    /// What one event tells, verified and decoded.
    ///
    /// # Errors
    /// What became of it where nothing of it can be booked.
    pub fn told<'b>(&self, arrival: &Arrival<'b>) -> Result<Vec<Observation<'b>>, Observed> {
        let issuer = arrival.connection.events();
        let body = issuer
            .verify(&arrival.headers, arrival.body, arrival.received)
            .map_err(Observed::Refused)?;
        let observations = issuer.observe(&body).map_err(Observed::NotUnderstood)?;
        if observations.is_empty() && issuer.is_about_card(&body) {
            self.card_bell
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        match self.bookable() {
            Some(_) => Ok(observations),
            None => Err(Observed::Unavailable),
        }
    }

    /// Books one thing that it tells; absent where that cannot be done now.
    fn book(&self, arrival: &Arrival<'_>, observation: &Observation<'_>) -> Option<BookAnswer> {
        let connection = arrival.connection;
        let core = self.bookable()?;
        let booked = core.book(connection, observation, arrival.received);
        let said = |why: &Unavailable| {
            let connection = &*connection.name;
            tracing::error!(connection, ?why, "an event is not booked");
        };
        booked.inspect_err(said).ok()
    }

    /// The same where nodes share a log: what has to be known of it, and taken by it, before the answer
    /// holds.
    pub fn draft_of_booking(
        &self,
        arrival: &Arrival<'_>,
        observation: &Observation<'_>,
    ) -> Option<Booking> {
        let core = self.bookable()?;
        let connection = arrival.connection;
        let customer = core.customer_of(connection, observation);
        let (answer, draft) = core.ledger.drafting(|_| self.book(arrival, observation));
        let answer = answer?;
        let nobodys = core.unattributed(connection);
        let owner = draft.as_ref().map(|draft| draft.owner);
        let is_misplaced = answer.raised.has(Flags::OTHER_CARD);
        let premise = match customer.filter(|_| owner != Some(nobodys)) {
            _ if is_misplaced => Premise::All,
            None => Premise::All,
            Some(key) if owner.is_none() && answer.status == BookStatus::Ignored => {
                Premise::Of(key)
            }
            Some(_) => Premise::Nothing,
        };
        Some(Booking {
            answer,
            draft,
            premise,
        })
    }

    /// What events are booked with, while they can be.
    fn bookable(&self) -> Option<&Core> {
        // By the wrong day a window could be charged that is not open.
        let is_doubted = self.clock_is_doubted.load(Ordering::Acquire);
        let core = self.core()?;
        (!core.ledger.is_poisoned() && !is_doubted).then_some(core)
    }
}

/// Of a body of which nothing has been booked.
pub const NOTHING_YET: BookAnswer = BookAnswer {
    status: BookStatus::Ignored,
    position: None,
    raised: Flags::NONE,
};

impl BookAnswer {
    /// What becomes of a body that tells this and that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            status: self.status.max(other.status),
            position: self.position.max(other.position),
            raised: self.raised.and(other.raised),
        }
    }
}

impl Connection {
    /// What its events are verified and read with.
    #[must_use]
    pub fn events(&self) -> &Issuer {
        self.events.as_ref().unwrap_or(&self.issuer)
    }
}

impl Core {
    fn book(
        &self,
        connection: &Connection,
        observation: &Observation<'_>,
        at: Timestamp,
    ) -> Result<BookAnswer, Unavailable> {
        let external = name_of(observation);
        let (own, card_key, disputed) = self.keys_of(connection, observation);
        let facts = self.facts(observation);
        let snapshot = self.snapshots.load();
        let view = snapshot.card(card_key);
        let used_by = self.ledger.owner_of_card(card_key);
        let owner = view.as_ref().map(|view| view.customer.key()).or(used_by);
        let known = self.followed(owner, card_key, observation);
        let disputed = disputed.filter(|(card, _)| *card == card_key);
        let authorization = known.or_else(|| disputed.map(|(_, it)| it)).unwrap_or(own);
        if self.ledger.is_of_others(authorization, owner) {
            return Ok(misplaced(connection, external));
        }
        let of_card = || view.as_ref().map(|view| view.customer.currency());
        let currency = observation.currency.or_else(of_card);
        // Of a card that left the snapshot.
        let Some(currency) = currency.or_else(|| currency_of(&snapshot, owner)) else {
            return Ok(unplaced(connection, external));
        };
        let (acceptor, movements) = (observation.acceptor.as_ref(), &observation.movements);
        let mut command = Book {
            at,
            authorization,
            external,
            card_key,
            card: None,
            calendar: ZoneTable::utc().calendar_at(at),
            currency,
            facts: &facts,
            told: observation.standing.as_ref().map(|it| told(it, movements)),
            terms: BookTerms::default(),
            hold_time: HoldTime::of(acceptor.and_then(|it| it.mcc)),
            merchant: acceptor.map(|acceptor| merchant_keys(&self.keys, acceptor)),
            acceptor,
            declined: last_declined(movements),
        };
        if let Some(view) = &view {
            if view.customer.currency() != currency {
                return Ok(unbookable(connection, currency, external));
            }
            command.calendar = view.customer.zone().calendar_at(at);
            command.terms = book_terms(view);
            command.card = Some(card_ref(view, connection));
            let key = view.customer.key();
            let owner = Owner::Customer(view.customer.id());
            return self.ledger.book(&Route { key, owner }, &command);
        }
        if let Some(key) = used_by {
            // Of a card that left the snapshot the sums go on in the currency that they are in.
            let counts_in =
                currency_of(&snapshot, used_by).or_else(|| self.ledger.currency_of(key));
            if counts_in.is_some_and(|counts_in| counts_in != currency) {
                return Ok(unbookable(connection, currency, external));
            }
            // The state exists, so its owner's name is not needed.
            let owner = Owner::Customer("");
            return self.ledger.book(&Route { key, owner }, &command);
        }
        let route = Route {
            key: self.unattributed(connection),
            owner: Owner::Unattributed(&connection.name),
        };
        self.ledger.book_unattributed(&route, &command)
    }

    /// The authorization and the card of a report by their names; and what it disputes without naming both.
    fn keys_of(
        &self,
        connection: &Connection,
        observation: &Observation<'_>,
    ) -> (Key, Key, Option<(Key, Key)>) {
        let name = connection.name.as_bytes();
        let parts = [name, name_of(observation).as_bytes()];
        let own = self.keys.key(KeySpace::Authorization, &parts);
        let disputed = self.disputed(connection, own, observation);
        // No card has an empty token.
        let token = observation.card_token.as_deref().unwrap_or_default();
        let named = self.keys.key(KeySpace::Card, &[name, token.as_bytes()]);
        let unnamed = disputed.filter(|_| token.is_empty());
        let card = unnamed.map_or(named, |(card, _)| card);
        (own, card, disputed)
    }

    /// Whose books a report belongs to, by what is known.
    fn customer_of(&self, connection: &Connection, observation: &Observation<'_>) -> Option<Key> {
        let (_, card, _) = self.keys_of(connection, observation);
        let snapshot = self.snapshots.load();
        let named = snapshot.card(card).map(|view| view.customer.key());
        named.or_else(|| self.ledger.owner_of_card(card))
    }

    /// The authorization that a report follows without naming it.
    fn followed(
        &self,
        owner: Option<Key>,
        card: Key,
        observation: &Observation<'_>,
    ) -> Option<Key> {
        if observation.authorization.is_some() {
            return None;
        }
        let follows = observation.follows.as_ref()?;
        let delivery = self.keys.short(KeySpace::Delivery, &[follows.as_bytes()]);
        self.ledger.begun_by(owner?, card, delivery)
    }

    /// The card and the authorization of a dispute that does not name both.
    fn disputed(
        &self,
        connection: &Connection,
        own: Key,
        observation: &Observation<'_>,
    ) -> Option<(Key, Key)> {
        if observation.authorization.is_some() {
            let is_unnamed = observation.card_token.is_none();
            let card = is_unnamed.then(|| self.ledger.card_of(own)).flatten();
            return card.map(|card| (card, own));
        }
        let mut kinds = observation.movements.iter().map(|it| it.kind);
        let follows = observation.follows.as_ref()?;
        let posting = self.keys.short(KeySpace::Step, &[follows.as_bytes()]);
        let is_dispute = kinds.any(MovementKind::is_dispute);
        is_dispute
            .then(|| self.ledger.posted_by(&connection.name, posting))
            .flatten()
    }

    /// What the books keep of the movements. Where the issuer sends whole accounts, steps and holds
    /// are told by those, and only what moved money is kept one by one.
    fn facts(&self, observation: &Observation<'_>) -> Vec<Fact> {
        let is_told = observation.standing.is_some();
        let kept = observation.movements.iter().filter(|it| match it.kind {
            // Steps too where there is an account, which counts them: by their names it is known
            // which ones it counts.
            MovementKind::Authorized
            | MovementKind::Declined
            | MovementKind::AuthorizedAndPosted
            | MovementKind::Posted { .. }
            | MovementKind::Refunded
            | MovementKind::RefundReversed
            | MovementKind::Disputed => true,
            MovementKind::Replaced | MovementKind::Released | MovementKind::Expired => !is_told,
            MovementKind::Noted => false,
        });
        kept.map(|movement| Fact {
            id: self.keys.short(KeySpace::Step, &[movement.id.as_bytes()]),
            kind: movement.kind,
            amount: movement.amount,
            at: observation.at.unwrap_or(Timestamp::from_micros(i64::MAX)),
        })
        .collect()
    }
}

/// Until there are rates, nobody knows what it would come to (behaviour 1.4).
fn unbookable(connection: &Connection, currency: Currency, authorization: &str) -> BookAnswer {
    tracing::warn!(
        connection = &*connection.name,
        authorization,
        %currency,
        "an event in another currency than the customer's is not booked"
    );
    BookAnswer {
        status: BookStatus::Ignored,
        position: None,
        raised: Flags::OTHER_CURRENCY,
    }
}

/// An authorization belongs to one card: who names somebody else's is not believed about either.
fn misplaced(connection: &Connection, authorization: &str) -> BookAnswer {
    tracing::warn!(
        connection = &*connection.name,
        authorization,
        "an event that names another card than its authorization's is not booked"
    );
    BookAnswer {
        status: BookStatus::Ignored,
        position: None,
        raised: Flags::OTHER_CARD,
    }
}

/// Of a customer of the snapshot.
fn currency_of(snapshot: &Snapshot, owner: Option<Key>) -> Option<Currency> {
    let owner = owner?;
    let mut customers = snapshot.customers();
    let found = customers.find(|customer| customer.key() == owner);
    found.map(CustomerSlot::currency)
}

/// A report that names neither card nor currency, about an authorization that no customer knows.
fn unplaced(connection: &Connection, authorization: &str) -> BookAnswer {
    tracing::warn!(
        connection = &*connection.name,
        authorization,
        "an event about an authorization that nobody knows is not booked"
    );
    BookAnswer {
        status: BookStatus::Ignored,
        position: None,
        raised: Flags::default(),
    }
}

/// The issuer's id of the authorization; of money that moved without one, the movement's own.
fn name_of<'o>(observation: &'o Observation<'_>) -> &'o str {
    let own = || observation.movements.first().map(|movement| &movement.id);
    let named = observation.authorization.as_ref();
    named.or_else(own).map_or("", |id| id)
}

/// What the step asked for that was declined last.
fn last_declined(movements: &[Movement<'_>]) -> Minor {
    let mut declined = movements.iter().rev();
    let last = declined.find(|it| it.kind == MovementKind::Declined);
    last.map_or(Minor::ZERO, |it| it.amount)
}

fn told(standing: &Standing, movements: &[Movement<'_>]) -> Told {
    let sum = |wanted: &dyn Fn(MovementKind) -> bool| {
        let of_kind = movements.iter().filter(|it| wanted(it.kind));
        of_kind.fold(Minor::ZERO, |sum, it| sum.saturating_plus(it.amount))
    };
    let count = |wanted: fn(MovementKind) -> bool| {
        let count = movements.iter().filter(|it| wanted(it.kind)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let refunded = sum(&|kind| kind == MovementKind::Refunded);
    let taken_back = sum(&|kind| kind == MovementKind::RefundReversed);
    Told {
        held: standing.held,
        posted: standing.posted,
        refunded: standing.refunded,
        status: standing.status,
        revision: u32::try_from(standing.revision).unwrap_or(u32::MAX),
        made_at: standing.made_at,
        asks: count(is_ask),
        approvals: count(is_approval),
        listed_posted: sum(&is_posting),
        listed_refunded: refunded.saturating_minus(taken_back),
    }
}

fn card_ref<'a>(view: &CardView<'a>, connection: &'a Connection) -> CardRef<'a> {
    CardRef {
        key: view.card.key(),
        id: view.card.id(),
        connection: &connection.name,
        agent: view.agent.map(|agent| AgentRef {
            key: agent.key(),
            id: agent.id(),
        }),
    }
}

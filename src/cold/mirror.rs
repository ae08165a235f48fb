//! What has become of cards at their issuers, looked at again and again (behaviour 3.7, 3.8).
//!
//! A card that is closed or paused there is so here; one that was paused there and works again works
//! here again, unless somebody has stopped it here meanwhile; one that we have stopped and that works
//! there is stopped there again. One that an operator has canceled in the ledger, where no issuer takes
//! it back, is canceled in its row as well once it is closed there. A card is looked at alone before anything is changed, and the change
//! is made only to the row as it was before that look: whatever was changed here in between counts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::cold::audit::{self, Event, Who};
use crate::cold::control::{Control, Failed, Order, Work};
use crate::cold::issuers::{CardThere, IssuerClient, IssuerError, State, rules};
use crate::cold::stands::{Stands, Unseen};
use crate::cold::store::outward::{CardOrigin, Errand, OutboxRow};
use crate::cold::store::{Card, Change, OutboxAsked, Store, StoreError};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;

/// Pages of an issuer's list.
const PAGES_MAX: usize = 10_000;
/// Rows of the outbox that are read at a time.
const ROWS_LEN: usize = 1_000;
/// Between two looks that the issuer's own messages ask for.
const RUNG_EVERY: Duration = Duration::from_secs(1);

/// What a look works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub control: Control,
    pub clock: Clock,
    pub stands: Stands,
    /// Rung where an issuer says that a card has changed.
    pub bell: watch::Receiver<u64>,
}

/// Why a look has no outcome.
#[derive(Debug)]
pub enum MirrorError {
    /// The issuer does not say.
    Issuer(IssuerError),
    /// The database does not.
    Store(StoreError),
    /// Nobody knows how a card stands here.
    Unseen(Unseen),
    /// A change was not made.
    Change(Failed),
}

impl std::fmt::Display for MirrorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Issuer(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Unseen(unseen) => unseen.fmt(f),
            Self::Change(failed) => write!(f, "a card could not be changed: {failed:?}"),
        }
    }
}

impl std::error::Error for MirrorError {}

impl From<IssuerError> for MirrorError {
    fn from(error: IssuerError) -> Self {
        Self::Issuer(error)
    }
}

impl From<Unseen> for MirrorError {
    fn from(unseen: Unseen) -> Self {
        Self::Unseen(unseen)
    }
}

impl From<StoreError> for MirrorError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Looks at the start, then this often, and whenever the issuer says so, until the runtime ends.
pub async fn follow(around: Around, issuer: Arc<dyn IssuerClient>, every: Duration) {
    let connection = issuer.connection().to_owned();
    let mut was_told = None;
    let mut bell = around.bell.clone();
    loop {
        match around.look(&*issuer).await {
            Ok(unknown) => {
                if unknown > 0 && was_told != Some(unknown) {
                    tracing::warn!(
                        %connection,
                        unknown,
                        "the issuer has cards that are not known here: they are declined; \
                         `countersign import` takes them over"
                    );
                }
                was_told = Some(unknown);
            }
            Err(error) => tracing::warn!(%connection, %error, "what cards are there is not known"),
        }
        // Without anybody who rings it is looked as often as was asked for.
        let rung = async {
            if bell.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if tokio::time::timeout(every, rung).await.is_ok() {
            tokio::time::sleep(RUNG_EVERY.min(every)).await;
        }
    }
}

/// Every card of an issuer, page by page.
pub(in crate::cold) async fn all_cards(
    issuer: &dyn IssuerClient,
) -> Result<Vec<CardThere>, IssuerError> {
    let mut cards = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let page = issuer.list(from).await?;
        cards.extend(page.cards);
        from = page.next;
        if from.is_none() {
            return Ok(cards);
        }
    }
    let why = "its list is too long to be looked through";
    Err(IssuerError::Unknown(why.to_owned()))
}

/// Cards that were ordered and are not answered yet: they are nobody's so far.
pub(in crate::cold) async fn ordered(store: &dyn Store) -> Result<HashSet<String>, StoreError> {
    let mut found = HashSet::new();
    let mut after = String::new();
    loop {
        let rows = store.outbox(OutboxAsked::All(after, ROWS_LEN)).await?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = last.id.clone();
        let orders = rows.into_iter().filter(|row| row.errand == Errand::Order);
        found.extend(orders.map(|row| row.card_id));
    }
}

impl Around {
    /// One look at everything: how many cards that work are not known here.
    async fn look(&self, issuer: &dyn IssuerClient) -> Result<usize, MirrorError> {
        let mut unknown = 0;
        let cards = all_cards(issuer).await?;
        let ordered = ordered(&*self.store).await?;
        for there in cards {
            let key = (issuer.connection().to_owned(), there.token.clone());
            match self.store.card_at(key.0, key.1).await? {
                Some(card) => {
                    if is_over(&card, there.state) || differs(self.here(&card).await?, there.state)
                    {
                        self.settle(issuer, &card.id).await?;
                    }
                }
                None => {
                    let is_ordered = there.card_id.is_some_and(|id| ordered.contains(&id));
                    unknown += usize::from(there.state != State::Closed && !is_ordered);
                }
            }
        }
        Ok(unknown)
    }

    /// The state that the card is to have there, by everything that is known here.
    async fn here(&self, card: &Card) -> Result<State, MirrorError> {
        let Some(rules) = rules::of_card(&*self.store, card).await? else {
            return Ok(State::Other);
        };
        Ok(self.stands.of(card).await?.state(&rules))
    }

    /// Whether the issuer is about to be told of the card, or was in vain: ours counts then.
    async fn is_to_be_told(&self, card: &Card) -> Result<bool, StoreError> {
        let connection = &*card.connection;
        let owner = |errand, id: &str| OutboxRow::id_of_owner(errand, id, connection);
        let now = self.clock.now();
        let agent = card.agent_id.as_deref();
        let rows = [
            Some(OutboxRow::of_card(Errand::State, &card.id, connection, now).id),
            Some(owner(Errand::Customer, &card.customer_id)),
            agent.map(|id| owner(Errand::Agent, id)),
        ];
        for row in rows.into_iter().flatten() {
            if !self.store.outbox(OutboxAsked::One(row)).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at one card again, and lets it be here what it is there.
    async fn settle(&self, issuer: &dyn IssuerClient, id: &str) -> Result<(), MirrorError> {
        let Some(card) = self.store.card(id.to_owned()).await? else {
            return Ok(());
        };
        let here = self.here(&card).await?;
        if self.is_to_be_told(&card).await? {
            return Ok(());
        }
        let origin = self.store.card_origin(id.to_owned()).await?;
        let Some(there) = issuer.fetch(card.issuer_token.clone()).await? else {
            return Ok(());
        };
        // What the ledger holds has no revision: it is looked at again, so that what we have paused
        // there while it was asked is not taken for the issuer's doing.
        let is_as_before = self.here(&card).await? == here && !self.is_to_be_told(&card).await?;
        let is_over = is_over(&card, there.state);
        if !is_as_before || !(is_over || differs(here, there.state)) {
            return Ok(());
        }
        let now = self.clock.now();
        let row = OutboxRow::of_card(Errand::State, id, issuer.connection(), now);
        let was_paused_there = origin.as_ref().is_some_and(|it| it.is_paused_there);
        let status = match there.state {
            State::Closed => Some(CardStatus::Canceled),
            _ if here == State::Closed => None,
            State::Paused => Some(CardStatus::Locked),
            State::Open if was_paused_there && !card.is_frozen => Some(CardStatus::Active),
            State::Open | State::Coming | State::Other => None,
        };
        let work = match status {
            Some(status) => change(card, (status, here), origin, now),
            None => Work {
                batch: vec![Change::Outbox(row)],
                ..Work::default()
            },
        };
        match self.control.make(work).await {
            // Somebody has changed the card in between: the next look sees what it is then.
            Ok(()) | Err(Failed::Conflict | Failed::FileRules) => Ok(()),
            Err(failed) => Err(MirrorError::Change(failed)),
        }
    }
}

/// Whether the row does not say yet that the card is closed there, for good.
fn is_over(card: &Card, there: State) -> bool {
    there == State::Closed && card.status != CardStatus::Canceled
}

/// Whether one of the two has to follow the other.
fn differs(here: State, there: State) -> bool {
    let is_lifted = matches!(
        (here, there),
        (State::Paused | State::Closed, State::Open)
            | (State::Closed, State::Paused | State::Coming)
    );
    let is_stricter = matches!(
        (here, there),
        (State::Open, State::Paused) | (State::Open | State::Paused, State::Closed)
    );
    is_lifted || is_stricter
}

fn change(
    mut card: Card,
    (status, here): (CardStatus, State),
    origin: Option<CardOrigin>,
    now: Timestamp,
) -> Work {
    // It was canceled in the ledger, and its issuer has followed.
    let is_ours = here == State::Closed;
    tracing::warn!(
        card = %card.id,
        connection = %card.connection,
        source = if is_ours { "server" } else { "issuer" },
        status = status.name(),
        "a card is here what it is at its issuer"
    );
    card.status = status;
    // A lock by the issuer stands in the row alone: lifting it leaves what the ledger holds, which may
    // be an operator's.
    let order = (status == CardStatus::Canceled).then(|| Order::Card {
        card: (&card).into(),
        status: Some(status),
        frozen: None,
    });
    let origin = CardOrigin {
        card_id: card.id.clone(),
        has_past: origin.as_ref().is_some_and(|it| it.has_past),
        lacks_lock: origin.is_some_and(|it| it.lacks_lock),
        is_paused_there: status == CardStatus::Locked,
    };
    let event = Event {
        at: now,
        mode: Some(card.mode),
        who: if is_ours {
            Who::Server
        } else {
            Who::Issuer(card.connection.clone())
        },
        action: "a card is here what it is there".to_owned(),
        changes: Vec::new(),
        from: None,
        request_id: None,
        outcome: status.name().to_owned(),
    };
    let mut batch = vec![Change::Card(card), Change::Origin(origin)];
    let changes = audit::made(&batch);
    batch.push(Change::Audit(Event { changes, ..event }));
    Work {
        batch,
        orders: Vec::from_iter(order),
        after: Vec::new(),
    }
}

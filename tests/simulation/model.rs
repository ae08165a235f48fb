//! What the engine should do, naively: a list of everything that was recorded, sums by adding up.
//!
//! Shares no code with the engine but the names of decisions. A line stands for one journal frame;
//! after a crash the list is cut to what the disk kept and everything is added up again.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use countersign::domain::amount::Minor;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::{AgentStatus, CardStatus};
use countersign::domain::decision::{Decision, DeclineReason};

use crate::issuer::Message;
use crate::lives::Named;
use crate::world::{MERCHANTS, Rules, World, ZONES, has_same_ids, is_same_merchant};

#[path = "model/life.rs"]
pub(crate) mod life;
#[path = "model/limits.rs"]
mod limits;
#[path = "model/past.rs"]
pub(crate) mod past;

use life::{Life, Place, Report};
use limits::Over;
use past::{Attested, Past, Terms, Verb};

/// Whose book a line stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Customer(usize),
    /// Cards that nobody knows.
    Nobody,
}

/// One decided step.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) message: Rc<Message>,
    pub(crate) body: Rc<[u8]>,
    pub(crate) version: usize,
    pub(crate) received: i64,
    pub(crate) card: Option<usize>,
    pub(crate) agent: Option<usize>,
    pub(crate) day: i64,
    /// When that day ends in the zone of the customer, in microseconds.
    pub(crate) day_ends: i64,
    /// Likewise of hours, which are counted since the epoch.
    pub(crate) hour: i64,
    pub(crate) hour_ends: i64,
    /// When it is booked; bookings never go back.
    pub(crate) booked_at: i64,
    pub(crate) decision: Decision,
    pub(crate) reserved: i64,
    pub(crate) consumes: bool,
    pub(crate) locks: bool,
    /// The number of the intent that it takes.
    pub(crate) takes: Option<u32>,
    pub(crate) flagged: bool,
    pub(crate) attested: Attested,
}

impl Decided {
    fn of(message: &Rc<Message>, body: &Rc<[u8]>, version: usize, received: i64) -> Self {
        Self {
            message: Rc::clone(message),
            body: Rc::clone(body),
            version,
            received,
            card: None,
            agent: None,
            day: 0,
            day_ends: 0,
            hour: 0,
            hour_ends: 0,
            booked_at: received,
            decision: Decision::Decline(DeclineReason::CardUnknown),
            reserved: 0,
            consumes: false,
            locks: false,
            takes: None,
            flagged: false,
            attested: Attested::Never,
        }
    }
}

/// What one frame records.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Decided(Decided),
    Conflicted(Rc<Message>),
    /// The line that it repeats.
    Redelivered(usize),
    /// The line that it takes back.
    Overruled(usize),
    CardSet(usize, CardStatus, bool),
    AgentSet(usize, AgentStatus),
    /// A risk rule froze the card.
    RiskFrozen(usize),
    /// The card, the intent's number, what it says, and when.
    Declared(usize, u32, Terms, i64),
    Settled(usize, u32, Verb),
    Attested(usize, i64),
    /// What an issuer reported, when, and through which card.
    Booked(Report, life::Received),
    /// Since when, and whether of the usual holds alone.
    Lapsed(i64, bool),
    Swept(i64),
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) owner: Owner,
    pub(crate) what: What,
    /// Where the engine says that it stands, once it has said so.
    pub(crate) position: Option<u64>,
}

/// How a message is known.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The line that decided it.
    Known(usize, Decision),
    Conflict,
    New(Decided),
}

#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    pub(crate) owner: Owner,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug)]
struct Step {
    line: usize,
    message: Rc<Message>,
    body: Rc<[u8]>,
    received: i64,
    decision: Decision,
    reserved: i64,
    flagged: bool,
    place: Place,
}

impl Step {
    fn stands(&self) -> bool {
        self.decision.is_approval() && self.reserved > 0
    }
}

/// What an authorization does to its card that its issuer approved without us.
#[derive(Clone, Debug, Default)]
struct Uses {
    consumes: bool,
    /// Whether it is by this that it has consumed its card.
    has_consumed: bool,
    lock: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Authorization {
    card: Option<usize>,
    steps: Vec<Step>,
    named: Named,
    uses: Uses,
    /// Present from the first report on.
    life: Option<Life>,
}

impl Authorization {
    fn is_purchase(&self) -> bool {
        let is_undone = self.life.as_ref().is_some_and(|life| life.taken.is_some());
        !is_undone && self.steps.iter().any(Step::stands)
    }

    /// Held and posted together.
    fn total(&self) -> i64 {
        match &self.life {
            Some(life) => i64::try_from(life.held() + life.charged()).unwrap(),
            None => self.steps.iter().map(|step| step.reserved).sum(),
        }
    }

    fn last_at(&self) -> i64 {
        let steps = self.steps.iter().map(|step| step.received);
        let reported = self.life.iter().map(|life| life.at);
        steps.chain(reported).max().unwrap()
    }

    /// Behaviour 2.5: the event token decides, then the content, then the webhook id.
    fn recognise(&self, message: &Message, body: &[u8]) -> Option<Result<&Step, ()>> {
        let same = |step: &&Step| *step.body == *body;
        let named = |step: &&Step| message.step.is_some() && step.message.step == message.step;
        if let Some(step) = self.steps.iter().find(named) {
            return Some(if same(&step) { Ok(step) } else { Err(()) });
        }
        let comparable = |step: &&Step| message.step.is_none() || step.message.step.is_none();
        let mut others = self.steps.iter().filter(comparable);
        if let Some(step) = others.clone().find(same) {
            return Some(Ok(step));
        }
        let by_delivery = others.any(|step| step.message.delivery == message.delivery);
        by_delivery.then_some(Err(()))
    }
}

#[derive(Clone, Debug)]
struct Charge {
    /// Of which authorization.
    number: u32,
    card: Option<usize>,
    agent: Option<usize>,
    /// Day, week, month, and the one life.
    windows: [i64; 4],
    booked_at: i64,
    held: i64,
    posted: i64,
    /// Forgotten: what it holds counts as spent for ever.
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Lock {
    merchant: usize,
    authorizations: BTreeSet<u32>,
}

/// One customer's book.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    day: i64,
    /// When the day under way ends, as it stood when it was opened.
    day_ends: i64,
    authorizations: BTreeMap<u32, Authorization>,
    charges: Vec<Charge>,
    cards: BTreeMap<usize, (CardStatus, bool)>,
    agents: BTreeMap<usize, AgentStatus>,
    risk_frozen: BTreeSet<usize>,
    consumed: BTreeMap<usize, u32>,
    locks: BTreeMap<usize, Lock>,
    past: Past,
}

fn new_book() -> Book {
    Book {
        day: i64::MIN,
        day_ends: i64::MIN,
        authorizations: BTreeMap::new(),
        charges: Vec::new(),
        cards: BTreeMap::new(),
        agents: BTreeMap::new(),
        risk_frozen: BTreeSet::new(),
        consumed: BTreeMap::new(),
        locks: BTreeMap::new(),
        past: Past::new(),
    }
}

/// A level and which of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Card(usize),
    Agent(usize),
    Customer,
}

/// Which day, week, month since some beginning a day falls in; everything falls in the same life.
fn windows(day: i64) -> [i64; 4] {
    // 1970-01-05 was a Monday.
    [day, (day - 4).div_euclid(7), month(day), 0]
}

/// By counting, for days after 1970.
fn month(day: i64) -> i64 {
    let (mut left, mut months, mut year) = (day, 0, 1970);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if left < length {
                return months;
            }
            left -= length;
            months += 1;
        }
        year += 1;
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) lines: Vec<Line>,
    books: BTreeMap<Owner, Book>,
    /// Owners in the order of their first line.
    opened: Vec<Owner>,
    owner_of_card: BTreeMap<usize, Owner>,
}

impl Model {
    /// Appends a line; its number.
    pub(crate) fn push(&mut self, owner: Owner, what: What, position: Option<u64>) -> usize {
        let at = self.lines.len();
        self.lines.push(Line {
            owner,
            what,
            position,
        });
        self.apply(at);
        at
    }

    /// Forgets all but the first lines, as a crash may.
    pub(crate) fn cut(&mut self, count: usize) {
        let mut lines = std::mem::take(self).lines;
        lines.truncate(count);
        self.lines = lines;
        (0..count).for_each(|at| self.apply(at));
    }

    fn apply(&mut self, at: usize) {
        let line = self.lines[at].clone();
        if !self.books.contains_key(&line.owner) {
            self.opened.push(line.owner);
        }
        let book = self.books.entry(line.owner).or_insert_with(new_book);
        match line.what {
            What::Decided(decided) => {
                if let Some(card) = decided.card {
                    self.owner_of_card.insert(card, line.owner);
                }
                book.decided(at, &decided);
            }
            What::CardSet(card, status, frozen) => {
                self.owner_of_card.insert(card, line.owner);
                book.cards.insert(card, (status, frozen));
                if !frozen {
                    book.risk_frozen.remove(&card);
                }
            }
            What::RiskFrozen(card) => {
                self.owner_of_card.insert(card, line.owner);
                book.cards.entry(card).or_default().1 = true;
                book.risk_frozen.insert(card);
            }
            What::Declared(card, number, terms, declared_at) => {
                self.owner_of_card.insert(card, line.owner);
                book.past.declared(card, number, &terms, declared_at);
            }
            What::Settled(_, number, verb) => book.past.settled(number, verb),
            What::Attested(card, attested_at) => {
                self.owner_of_card.insert(card, line.owner);
                book.past.attested(card, attested_at);
            }
            What::AgentSet(agent, status) => {
                book.agents.insert(agent, status);
            }
            What::Overruled(of) => book.overruled(of),
            What::Booked(report, received) => {
                if let Some(card) = received.card {
                    self.owner_of_card.insert(card, line.owner);
                }
                book.reported(&report, &received);
            }
            What::Lapsed(cut, is_usual) => book.lapsed(cut, is_usual),
            What::Swept(cut) => book.swept(cut),
            What::Conflicted(_) | What::Redelivered(_) => {}
        }
    }

    /// The owner in whose book a card was opened.
    pub(crate) fn owner_of(&self, card: usize) -> Option<Owner> {
        self.owner_of_card.get(&card).copied()
    }

    /// What the engine is to say to this message under this version of the world.
    pub(crate) fn predict(
        &self,
        world: &World,
        version: usize,
        message: &Rc<Message>,
        body: &Rc<[u8]>,
        received: i64,
    ) -> Prediction {
        let card = message.card;
        let is_present = world.cards.get(card).is_some_and(|card| card.present);
        let owner = if is_present {
            Owner::Customer(world.cards[card].customer)
        } else {
            self.owner_of(card).unwrap_or(Owner::Nobody)
        };
        if owner == Owner::Nobody
            && let Some(contradicted) = self.contradicted(owner, is_present, message, body)
        {
            return contradicted;
        }
        // A step that was declined while nobody knew its card keeps that decision, unless the
        // customer's own book knows better.
        for place in [owner, Owner::Nobody] {
            if let Some(verdict) = self.recognise(place, message, body) {
                return Prediction {
                    owner: place,
                    verdict,
                };
            }
        }
        if let Some(contradicted) = self.contradicted(owner, is_present, message, body) {
            return contradicted;
        }
        let mut decided = Decided::of(message, body, version, received);
        if !is_present {
            let verdict = Verdict::New(decided);
            return Prediction { owner, verdict };
        }
        let unused = new_book();
        let book = self.books.get(&owner).unwrap_or(&unused);
        let known = book.authorizations.get(&message.authorization);
        if known
            .and_then(|known| known.card)
            .is_some_and(|it| it != card)
        {
            let verdict = Verdict::Conflict;
            return Prediction { owner, verdict };
        }
        book.decide(world, &mut decided);
        let verdict = Verdict::New(decided);
        Prediction { owner, verdict }
    }

    /// The word of the first other customer's book that has one on an authorization, unless `owner`'s
    /// own knows it.
    fn contradicted(
        &self,
        owner: Owner,
        is_present: bool,
        message: &Message,
        body: &[u8],
    ) -> Option<Prediction> {
        let is_known = |place: &Owner| {
            let book = &self.books[place];
            book.authorizations.contains_key(&message.authorization)
        };
        let is_other = |place: &&Owner| **place != owner && **place != Owner::Nobody;
        if owner != Owner::Nobody && self.books.contains_key(&owner) && is_known(&owner) {
            return None;
        }
        let mut others = self.opened.iter().filter(is_other);
        // An id that was decided for one customer may have been reported of another one, too.
        others.find_map(|place| {
            let owner = *is_known(place).then_some(place)?;
            let known = &self.books[&owner].authorizations[&message.authorization];
            let of_another_card =
                || (is_present && known.card.is_some()).then_some(Verdict::Conflict);
            let verdict = self.recognise(owner, message, body);
            let verdict = verdict.or_else(of_another_card)?;
            Some(Prediction { owner, verdict })
        })
    }

    fn recognise(&self, owner: Owner, message: &Message, body: &[u8]) -> Option<Verdict> {
        let book = self.books.get(&owner)?;
        let known = book.authorizations.get(&message.authorization)?;
        Some(match known.recognise(message, body)? {
            Ok(step) => Verdict::Known(step.line, step.decision),
            Err(()) => Verdict::Conflict,
        })
    }

    /// The decision that stands for a line, unless it was swept away.
    pub(crate) fn decision_of(&self, line: usize) -> Option<Decision> {
        let Line { owner, what, .. } = self.lines.get(line)?;
        let What::Decided(decided) = what else {
            return None;
        };
        let known = self.books[owner]
            .authorizations
            .get(&decided.message.authorization)?;
        let step = known.steps.iter().find(|step| step.line == line)?;
        Some(step.decision)
    }

    /// Owners with something older than `cut`, in the order in which a sweep visits them.
    pub(crate) fn stale(&self, cut: i64) -> Vec<Owner> {
        let stale = |owner: &&Owner| {
            let book = &self.books[owner];
            let mut authorizations = book.authorizations.values();
            authorizations.any(|it| it.last_at() < cut) || book.past.any_over(cut)
        };
        self.opened.iter().filter(stale).copied().collect()
    }

    /// Owners that hold something of which nothing was heard since `cut`, for the usual time or at all.
    pub(crate) fn quiet(&self, cut: i64, is_usual: bool) -> Vec<Owner> {
        let is_customer = |owner: &&Owner| **owner != Owner::Nobody;
        let quiet = |owner: &&Owner| self.books[owner].any_quiet(cut, is_usual);
        let customers = self.opened.iter().filter(is_customer);
        customers.filter(quiet).copied().collect()
    }

    /// Whether another customer's book knows an authorization, and this one's does not.
    pub(crate) fn is_of_others(&self, owner: Owner, number: u32) -> bool {
        let knows = |book: &Book| book.authorizations.contains_key(&number);
        let own = self.books.get(&owner).is_some_and(knows);
        let mut others = self.books.iter().filter(|(it, _)| **it != Owner::Nobody);
        !own && others.any(|(_, book)| knows(book))
    }

    pub(crate) fn card_set(&self, owner: Owner, card: usize) -> (CardStatus, bool) {
        let book = self.books.get(&owner);
        let set = book.and_then(|book| book.cards.get(&card).copied());
        set.unwrap_or((CardStatus::Active, false))
    }

    pub(crate) fn agent_set(&self, owner: Owner, agent: usize) -> AgentStatus {
        let book = self.books.get(&owner);
        let set = book.and_then(|book| book.agents.get(&agent).copied());
        set.unwrap_or(AgentStatus::Active)
    }

    pub(crate) fn is_frozen_by_risk(&self, owner: Owner, card: usize) -> bool {
        let book = self.books.get(&owner);
        book.is_some_and(|book| book.risk_frozen.contains(&card))
    }

    /// Posted and held, and held alone, of one scope in the window of `day`; every scope's, where
    /// a kind of 3 is its whole life.
    pub(crate) fn sums(&self, owner: Owner, scope: Scope, kind: usize, day: i64) -> (i64, i64) {
        let over = Over::Window(kind, day);
        self.of_book(owner, |book| {
            (book.sum(scope, over, false), book.sum(scope, over, true))
        })
    }

    /// Does with the book of an owner, or with one that says nothing.
    pub(crate) fn of_book<T>(&self, owner: Owner, act: impl FnOnce(&Book) -> T) -> T {
        match self.books.get(&owner) {
            Some(book) => act(book),
            None => act(&new_book()),
        }
    }

    pub(crate) fn day(&self, owner: Owner) -> i64 {
        self.books.get(&owner).map_or(i64::MIN, |book| book.day)
    }

    /// What is left for a card under every limit; absent without limits.
    pub(crate) fn room(&self, world: &World, card: usize, received: i64) -> Option<i64> {
        let owner = Owner::Customer(world.cards.get(card)?.customer);
        self.of_book(owner, |book| {
            let day = book.day_of(world, card, received);
            book.room(world, card, day, book.past.now(received))
        })
    }

    /// I1: what the true span that ends now would hold with the amount, where that is above a
    /// rolling limit.
    pub(crate) fn span_above(&self, world: &World, decided: &Decided) -> Option<i64> {
        let owner = Owner::Customer(world.cards.get(decided.message.card)?.customer);
        self.of_book(owner, |book| book.span_above(world, decided))
    }
}

/// The rules over a card: its own, its agent's, its customer's.
fn rules(world: &World, card: usize) -> [Option<&Rules>; 3] {
    let card = &world.cards[card];
    [
        Some(&card.rules),
        card.agent.map(|agent| &world.agents[agent].rules),
        Some(&world.customers[card.customer].rules),
    ]
}

impl Book {
    /// The first reason that applies, in the fixed order (behaviour 2.10).
    fn decide(&self, world: &World, decided: &mut Decided) {
        let message = Rc::clone(&decided.message);
        let card = &world.cards[message.card];
        let known = self.authorizations.get(&message.authorization);
        let is_increment = known.is_some_and(Authorization::is_purchase);
        decided.card = Some(message.card);
        decided.agent = card.agent;
        decided.day = self.day_of(world, message.card, decided.received);
        let (_, offset) = ZONES[world.customers[card.customer].zone];
        decided.day_ends = ((decided.day + 1) * 86_400 - offset) * 1_000_000;
        self.past.place(offset, decided);
        let mut reason = None;
        if message.kind != AuthorizationKind::Credit {
            reason = self.first_reason(world, decided, known, is_increment);
        }
        if let Some(reason) = reason {
            let part = self.part(world, decided, reason).filter(|_| !is_increment);
            let Some(part) = part else {
                decided.decision = Decision::Decline(reason);
                (decided.takes, decided.flagged) = (None, false);
                return;
            };
            decided.decision = Decision::ApprovePartial(Minor::new(part).unwrap());
            decided.reserved = part;
        } else {
            decided.decision = Decision::Approve;
            decided.reserved = if message.spends() { message.amount } else { 0 };
        }
        let locks_first = message.spends() && locks_to_first(world, message.card);
        let single_use = message.spends() && card.single_use;
        let reserves = decided.reserved > 0;
        decided.consumes = reserves && single_use && !is_increment;
        decided.locks = reserves && locks_first && !self.locks.contains_key(&message.card);
        if reserves {
            decided.attested = self.past.class(world, message.card, decided.received);
        }
    }

    fn first_reason(
        &self,
        world: &World,
        decided: &mut Decided,
        known: Option<&Authorization>,
        is_increment: bool,
    ) -> Option<DeclineReason> {
        let message = Rc::clone(&decided.message);
        let at = message.card;
        let card = &world.cards[at];
        // A question without an amount meets neither intents nor limits.
        let asks = message.spends() && message.amount != 0;
        self.standing(world, at, is_increment)
            .or_else(|| stateless(world, &message))
            .or_else(|| self.over_per_auth(world, &message, known))
            .or_else(|| {
                asks.then(|| self.agents_word(world, decided, known, is_increment))
                    .flatten()
            })
            .or_else(|| {
                let consumed = message.spends() && card.single_use && !is_increment;
                let by_itself = known.is_some_and(|known| known.uses.has_consumed)
                    && self.consumed.get(&at) == Some(&message.authorization);
                (consumed && self.consumed.contains_key(&at) && !by_itself)
                    .then_some(DeclineReason::SingleUseConsumed)
            })
            .or_else(|| {
                let locks_first = message.spends() && locks_to_first(world, at);
                self.locked_elsewhere(card.preset, &message, locks_first)
            })
            .or_else(|| {
                let new = asks && !is_increment;
                new.then(|| self.too_soon_or_often(world, decided))
                    .flatten()
            })
            .or_else(|| asks.then(|| self.over_limit(world, decided)).flatten())
    }

    /// Where only room is missing, all of it (behaviour 2.14 g).
    fn part(&self, world: &World, decided: &Decided, reason: DeclineReason) -> Option<i64> {
        let message = &decided.message;
        let only_room = matches!(
            reason,
            DeclineReason::CardLimitExceeded
                | DeclineReason::AgentLimitExceeded
                | DeclineReason::CustomerLimitExceeded
        );
        let lets = message.takes_part && past::allows_part(world, message.card);
        let room = self.room(world, message.card, decided.day, decided.now(&self.past))?;
        (only_room && lets && room > 0).then_some(room)
    }

    /// The calendar never goes back, and a day ends no sooner than it did when it was opened.
    fn day_of(&self, world: &World, card: usize, received: i64) -> i64 {
        let (_, offset) = ZONES[world.customers[world.cards[card].customer].zone];
        let second = received.div_euclid(1_000_000);
        let today = (second + offset).div_euclid(86_400);
        if received >= self.day_ends {
            today.max(self.day)
        } else {
            self.day
        }
    }

    fn standing(&self, world: &World, at: usize, is_increment: bool) -> Option<DeclineReason> {
        let card = &world.cards[at];
        let (status, frozen) = self.cards.get(&at).copied().unwrap_or_default();
        let agent = card.agent.map(|agent| {
            let set = self.agents.get(&agent).copied().unwrap_or_default();
            [world.agents[agent].status, set]
        });
        let suspended = agent.is_some_and(|all| all.iter().any(|it| *it != AgentStatus::Active));
        let statuses = [card.status, status];
        [
            (
                statuses.contains(&CardStatus::Canceled),
                DeclineReason::CardCanceled,
            ),
            (
                statuses.contains(&CardStatus::Locked),
                DeclineReason::CardLocked,
            ),
            (
                !is_increment && self.used_up(world, at),
                DeclineReason::CardExpired,
            ),
            (suspended, DeclineReason::AgentSuspended),
            (
                world.customers[card.customer].suspended,
                DeclineReason::CustomerSuspended,
            ),
            (card.frozen || frozen, DeclineReason::CardFrozenByRisk),
        ]
        .into_iter()
        .find_map(|(applies, reason)| applies.then_some(reason))
    }

    /// All steps of one authorization together.
    fn over_per_auth(
        &self,
        world: &World,
        message: &Message,
        known: Option<&Authorization>,
    ) -> Option<DeclineReason> {
        let cap = per_auth(world, message.card)?;
        let asked = if message.spends() { message.amount } else { 0 };
        let total = known.map_or(0, Authorization::total) + asked;
        (total > cap).then_some(DeclineReason::AmountOverPerAuth)
    }

    fn locked_elsewhere(
        &self,
        preset: Option<usize>,
        message: &Message,
        locks_first: bool,
    ) -> Option<DeclineReason> {
        let elsewhere = preset.is_some_and(|it| !has_same_ids(it, message.merchant));
        let first = self.locks.get(&message.card).filter(|_| locks_first);
        let not_first =
            first.is_some_and(|lock| !is_same_merchant(lock.merchant, message.merchant));
        ((message.spends() && elsewhere) || not_first)
            .then_some(DeclineReason::MerchantLockMismatch)
    }

    fn decided(&mut self, line: usize, decided: &Decided) {
        let number = decided.message.authorization;
        let place = Place {
            day: decided.day,
            hour: decided.hour,
            at: decided.booked_at,
            agent: decided.agent,
        };
        let known = self.authorizations.entry(number).or_default();
        known.card = known.card.or(decided.card);
        if decided.decision.is_approval() {
            let code = MERCHANTS[decided.message.merchant].mcc;
            known.named.name(Some(code));
        }
        let counts = !known.is_purchase();
        known.steps.push(Step {
            line,
            message: Rc::clone(&decided.message),
            body: Rc::clone(&decided.body),
            received: decided.received,
            decision: decided.decision,
            reserved: decided.reserved,
            flagged: decided.flagged,
            place,
        });
        if let Some(life) = known.life.as_mut().filter(|_| decided.reserved > 0) {
            life.has_lapsed = false;
            life.put(place, i128::from(decided.reserved), 0);
        }
        if decided.reserved > 0 {
            self.reserve(line, decided, place, counts);
        }
        if self.authorizations[&number].life.is_some() {
            let at = self.past.now(decided.received);
            let ends = (decided.day_ends, decided.hour_ends);
            self.settle(number, Place { at, ..place }, ends);
        }
    }

    /// An approval of something: charged, counted, and what it does to its card.
    fn reserve(&mut self, line: usize, decided: &Decided, place: Place, counts: bool) {
        let number = decided.message.authorization;
        self.past.booked(line, decided, counts);
        if decided.day > self.day {
            (self.day, self.day_ends) = (decided.day, decided.day_ends);
        }
        self.charge(number, decided.card, place, (decided.reserved, 0));
        let Some(card) = decided.card else {
            return;
        };
        if decided.consumes {
            self.consumed.insert(card, number);
            let known = self.authorizations.get_mut(&number).unwrap();
            known.uses.has_consumed = false;
        }
        if decided.locks {
            self.locks.insert(
                card,
                Lock {
                    merchant: decided.message.merchant,
                    authorizations: BTreeSet::new(),
                },
            );
        }
        if let Some(lock) = self.locks.get_mut(&card) {
            lock.authorizations.insert(number);
        }
    }

    /// Gives everything back (behaviour 2.13 h).
    fn overruled(&mut self, line: usize) {
        let steps = |it: &Authorization| it.steps.iter().any(|step| step.line == line);
        let found = self.authorizations.iter_mut().find(|(_, it)| steps(it));
        let Some((number, known)) = found else {
            return;
        };
        let step = known.steps.iter_mut().find(|step| step.line == line);
        let step = step.unwrap();
        let (was_flagged, place, mut back) = (step.flagged, step.place, step.reserved);
        step.decision = Decision::Decline(DeclineReason::DeadlineExceeded);
        step.reserved = 0;
        if let Some(life) = &mut known.life {
            back = life::drop_hold(life, place, back);
        }
        let (number, card) = (*number, known.card);
        self.charge(number, card, place, (-back, 0));
        self.taken_back(number, was_flagged);
        if self.authorizations[&number].life.is_some() {
            let open = self.under_way(place.agent);
            self.settle(number, open, (self.day_ends, i64::MIN));
        }
    }

    /// What an authorization gives back that holds nothing any more.
    fn taken_back(&mut self, number: u32, was_flagged: bool) {
        let known = &self.authorizations[&number];
        let card = known.card;
        if known.is_purchase() {
            let flagged = |step: &Step| step.flagged && step.decision.is_approval();
            if was_flagged {
                self.past.marked(number, known.steps.iter().any(flagged));
            }
            return;
        }
        self.past.given_back(number);
        let Some(card) = card else {
            return;
        };
        let by_steps = !known.uses.has_consumed;
        if by_steps && self.consumed.get(&card) == Some(&number) {
            self.consumed.remove(&card);
        }
        if let Some(lock) = self.locks.get_mut(&card) {
            lock.authorizations.remove(&number);
            if lock.authorizations.is_empty() {
                self.locks.remove(&card);
            }
        }
    }

    /// What is still held counts as spent.
    fn swept(&mut self, cut: i64) {
        let gone: Vec<u32> = self
            .authorizations
            .iter()
            .filter(|(_, it)| it.last_at() < cut)
            .map(|(number, _)| *number)
            .collect();
        self.past.swept(cut, &gone);
        for number in gone {
            self.authorizations.remove(&number);
            // It stays under its lock; one that comes under its number later is another one.
            for lock in self.locks.values_mut() {
                if lock.authorizations.remove(&number) {
                    lock.authorizations.insert(u32::MAX - number);
                }
            }
            for charge in &mut self.charges {
                charge.is_over |= charge.number == number;
            }
        }
    }
}

/// Reasons 8 to 17, of those that this world can cause.
fn stateless(world: &World, message: &Message) -> Option<DeclineReason> {
    // A question about the balance has no answer in another currency; money back reserves nothing.
    if message.euros && message.kind != AuthorizationKind::Credit {
        return Some(DeclineReason::CurrencyNotSupported);
    }
    if !message.spends() {
        return None;
    }
    if message.cash {
        return Some(DeclineReason::TransactionTypeNotAllowed);
    }
    let code = MERCHANTS[message.merchant].mcc;
    let overrides = overrides(world, message.card);
    let lists = |pick: fn(&Rules) -> &Vec<u16>| {
        let lists = rules(world, message.card).into_iter().flatten().map(pick);
        let asked: Vec<_> = lists.filter(|list| !list.is_empty()).collect();
        let count = if overrides { 1 } else { 3 };
        asked.into_iter().take(count)
    };
    if lists(|rules| &rules.blocked).any(|list| list.contains(&code)) {
        return Some(DeclineReason::MccBlocked);
    }
    if lists(|rules| &rules.allowed).any(|list| !list.contains(&code)) {
        return Some(DeclineReason::MccNotAllowed);
    }
    let cap = per_auth(world, message.card);
    cap.is_some_and(|cap| message.amount > cap)
        .then_some(DeclineReason::AmountOverPerAuth)
}

fn overrides(world: &World, card: usize) -> bool {
    world.customers[world.cards[card].customer].overrides
}

fn per_auth(world: &World, card: usize) -> Option<i64> {
    let rules = rules(world, card).into_iter().flatten();
    let mut caps = rules.filter_map(|rules| rules.per_auth);
    if overrides(world, card) {
        caps.next()
    } else {
        caps.min()
    }
}

pub(crate) fn locks_to_first(world: &World, card: usize) -> bool {
    let rules = rules(world, card).into_iter().flatten();
    let mut words = rules.filter_map(|rules| rules.lock_to_first);
    if overrides(world, card) {
        words.next().unwrap_or(false)
    } else {
        words.any(|word| word)
    }
}

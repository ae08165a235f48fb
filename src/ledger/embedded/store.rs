//! The embedded store: one owner's state at a time under a lock, every event in the journal.
//!
//! A command locks the owner's entry, decides by `check`, appends the events and applies them by
//! `fold`, in that order and under that one lock; so the journal's order is the order of
//! application, and an event that the journal refused changes nothing. What it costs: two owners
//! whose keys share a shard wait for each other for the fraction of a microsecond this takes.
//!
//! INVARIANT: a thread holds at most one entry of `customers` and, within it, at most one of
//! `unattributed`; never the other way round.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::domain::card::Key;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;
use crate::ledger::check::{self, Checked, Events};
use crate::ledger::command::{Answer, Authorize, Novelty, Refused, Route};
use crate::ledger::embedded::journal::{Class, Journal, Position, Refusal};
use crate::ledger::event::{Event, Owner, StateNo};
use crate::ledger::fold::fold;
use crate::ledger::key_map::KeyHasher;
use crate::ledger::state::State;
use claims::Claims;
use disputes::Whereabouts;
pub use shared::{Draft, Learned, Proposed};

pub mod books;
mod claims;
pub mod commands;
mod disputes;
mod overrules;
mod shared;

type States = DashMap<Key, State, BuildHasherDefault<KeyHasher>>;

/// Why a command left no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The journal took nothing.
    Journal(Refusal),
    /// The state has no number left, or the change contradicts it.
    Refused,
    /// The log is shared with other nodes, and nobody has asked for a draft of this command.
    Shared,
    /// An entry of the shared log is none that this version understands.
    NotUnderstood,
    /// The shared log says something else than what this node has learned of it: it lost entries.
    Contradicted,
}

impl From<Refused> for Unavailable {
    fn from(_: Refused) -> Self {
        Self::Refused
    }
}

/// See the module.
pub struct EmbeddedLedger {
    customers: States,
    unattributed: States,
    /// Authorizations in `unattributed`, counted before they are decided.
    unattributed_count: AtomicU64,
    /// The owner of every card that was ever used, so that a card that left the snapshot still
    /// finds its state.
    owners: DashMap<Key, Key, BuildHasherDefault<KeyHasher>>,
    /// Which customer an authorization was decided for.
    claims: Claims,
    /// Which customer a posting was booked for.
    postings: Claims<Whereabouts>,
    next_state: AtomicU32,
    journal: Arc<Mutex<Journal>>,
    /// Redelivered approvals that were let go, with the instant; these are not overruled.
    confirmed: Mutex<VecDeque<(Timestamp, u64)>>,
    poisoned: AtomicBool,
    /// Whether states change only by what a log says that other nodes write too.
    is_shared: bool,
    /// Every state, for the sweeper to visit.
    opened: Mutex<Vec<Opened>>,
}

#[derive(Clone, Copy, Debug)]
enum Opened {
    Customer(Key),
    Unattributed(Key),
}

/// Where a sweep goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCursor {
    owner: usize,
    part: u16,
}

/// What a state knew of a part before it was swept.
struct Swept {
    keys: Vec<Key>,
    postings: Vec<(Key, u64)>,
}

impl Swept {
    fn of(state: &State, keys: Vec<Key>) -> Self {
        let postings = EmbeddedLedger::postings_of(state, &keys);
        Self { keys, postings }
    }
}

/// Parts of states that one step of a sweep visits: a fraction of a millisecond.
pub const SWEEP_PARTS: usize = 64;

/// Locks of each map: many, so that owners rarely share one.
const SHARDS: usize = 256;

fn hasher() -> BuildHasherDefault<KeyHasher> {
    BuildHasherDefault::default()
}

thread_local! {
    /// The frame under construction; kept, so that a command allocates nothing for it.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl EmbeddedLedger {
    /// A ledger of recovered states that goes on with `journal`.
    #[must_use]
    pub fn new(recovered: Vec<State>, journal: Arc<Mutex<Journal>>) -> Self {
        let next_state = recovered
            .iter()
            .map(|state| state.no.0 + 1)
            .max()
            .unwrap_or(0);
        let ledger = Self {
            customers: States::with_hasher_and_shard_amount(hasher(), SHARDS),
            unattributed: States::with_hasher_and_shard_amount(hasher(), SHARDS),
            unattributed_count: AtomicU64::new(0),
            owners: DashMap::with_hasher_and_shard_amount(hasher(), SHARDS),
            claims: Claims::new(),
            postings: Claims::new(),
            next_state: AtomicU32::new(next_state),
            journal,
            confirmed: Mutex::default(),
            poisoned: AtomicBool::new(false),
            is_shared: false,
            opened: Mutex::default(),
        };
        for state in recovered {
            for card in &state.cards {
                ledger.owners.insert(card.key, state.key);
            }
            let unattributed = matches!(state.owner.as_owner(), Owner::Unattributed(_));
            if unattributed {
                let count = state.authorization_count() as u64;
                ledger.unattributed_count.fetch_add(count, Ordering::SeqCst);
            } else {
                for authorization in state.authorizations.keys() {
                    ledger.claims.claim(authorization, state.no);
                }
                ledger.claim_postings_of(&state);
            }
            ledger.note_opened(&state);
            let states = if unattributed {
                &ledger.unattributed
            } else {
                &ledger.customers
            };
            states.insert(state.key, state);
        }
        ledger
    }

    /// The journal, for the shell that executes its operations.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(|poisoned| {
            // Who panicked under the lock may have left half a frame: nothing may follow it.
            let mut journal = poisoned.into_inner();
            journal.poison();
            journal
        })
    }

    /// The owner of a card that was used before, whatever the snapshot says.
    #[must_use]
    pub fn owner_of_card(&self, card: Key) -> Option<Key> {
        self.owners.get(&card).map(|owner| *owner)
    }

    /// Whether anything was ever decided or set of this customer.
    #[must_use]
    pub fn is_used(&self, owner: Key) -> bool {
        self.customers.contains_key(&owner)
    }

    /// What the sums of a customer are in; absent where nothing was charged yet.
    #[must_use]
    pub fn currency_of(&self, owner: Key) -> Option<Currency> {
        self.customers.get(&owner)?.currency
    }

    /// Decides one step on a card of a customer. `unattributed` is the key of the connection's
    /// unattributed state: a step that was declined when nobody knew its card keeps that decision.
    ///
    /// # Errors
    /// [`Unavailable`] where nothing was recorded; the caller declines `ledger_unavailable`.
    pub fn authorize(
        &self,
        route: &Route<'_>,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Answer, Unavailable> {
        let entry = self.customers.entry(route.key);
        let own = match &entry {
            Entry::Occupied(occupied) => Some(occupied.get()),
            Entry::Vacant(_) => None,
        };
        if let Some(answer) = self.declined_before(own, unattributed, command)? {
            return Ok(answer);
        }
        let authorization = command.step.authorization;
        if own.is_some_and(|own| own.authorization(authorization).is_some()) {
            return self.authorize_in(entry, route, command, None);
        }
        let (number, opened) = match &entry {
            Entry::Occupied(occupied) => (occupied.get().no, None),
            Entry::Vacant(_) => {
                let state = self.open(route)?;
                (state.no, Some(state))
            }
        };
        // Claimed under the entry's lock: of two customers one comes second, sees the other's claim,
        // and waits for its entry.
        let others = self.claims.claim(authorization, number);
        if others.is_empty() {
            return self.authorize_in(entry, route, command, opened);
        }
        drop(entry);
        if let Some(answer) = self.contradicts(&others, command)? {
            self.claims.release(authorization, number);
            return Ok(answer);
        }
        let entry = self.customers.entry(route.key);
        if let Entry::Occupied(occupied) = &entry
            && occupied.get().no != number
        {
            // Somebody opened the state meanwhile.
            self.claims.release(authorization, number);
            self.claims.claim(authorization, occupied.get().no);
        }
        self.authorize_in(entry, route, command, opened)
    }

    /// The word of another customer's state on an authorization that it knows: whatever is asked
    /// under the same id for a card of somebody else contradicts that (behaviour 2.4).
    fn contradicts(
        &self,
        holders: &[StateNo],
        command: &Authorize<'_>,
    ) -> Result<Option<Answer>, Unavailable> {
        for holder in holders {
            let Some(owner) = self.claims.owner(*holder) else {
                continue;
            };
            let Some(mut state) = self.customers.get_mut(&owner) else {
                continue;
            };
            let known = state.authorization(command.step.authorization);
            if known.is_none() {
                continue;
            }
            let Checked { mut answer, events } = check::authorize(&state, command)?;
            if answer.novelty == Novelty::New {
                continue;
            }
            self.note(&mut state, &mut answer, &events)?;
            return Ok(Some(answer));
        }
        Ok(None)
    }

    /// Decides one step on a card that the caller's snapshot does not know. Absent where
    /// `still_unknown`, asked at the moment of booking, denies it: the caller decides again, with
    /// the newer snapshot.
    ///
    /// # Errors
    /// [`Unavailable`] where nothing was recorded.
    pub fn authorize_unknown(
        &self,
        route: &Route<'_>,
        command: &Authorize<'_>,
        still_unknown: impl Fn() -> bool,
    ) -> Result<Option<Answer>, Unavailable> {
        let holders = self.claims.holders(command.step.authorization);
        if let Some(answer) = self.contradicts(&holders, command)? {
            return Ok(Some(answer));
        }
        // Counted before the question: whoever publishes the card after the answer and then
        // decides sees the count, and waits for this entry.
        self.unattributed_count.fetch_add(1, Ordering::SeqCst);
        let entry = self.unattributed.entry(route.key);
        if !still_unknown() {
            self.unattributed_count.fetch_sub(1, Ordering::SeqCst);
            return Ok(None);
        }
        let answer = self.authorize_in(entry, route, command, None);
        if !matches!(
            answer,
            Ok(Answer {
                novelty: Novelty::New,
                ..
            })
        ) {
            self.unattributed_count.fetch_sub(1, Ordering::SeqCst);
        }
        answer.map(Some)
    }

    /// The word on a step of an authorization that was declined while nobody knew its card, unless
    /// the customer's own state knows the step. It is recorded where that decline is.
    fn declined_before(
        &self,
        own: Option<&State>,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Option<Answer>, Unavailable> {
        if self.unattributed_count.load(Ordering::SeqCst) == 0 {
            return Ok(None);
        }
        let remembers = |state: &State| state.authorization(command.step.authorization).is_some();
        // Nearly no authorization is there, and whoever only looks stands in nobody's way.
        let looked = self.unattributed.get(&unattributed);
        if !looked.is_some_and(|state| remembers(&state)) {
            return Ok(None);
        }
        if own.is_some_and(|own| check::knows(own, command)) {
            return Ok(None);
        }
        let Some(mut state) = self.unattributed.get_mut(&unattributed) else {
            return Ok(None);
        };
        if !remembers(&state) {
            return Ok(None);
        }
        let Checked { mut answer, events } = check::authorize(&state, command)?;
        if answer.novelty == Novelty::New {
            return Ok(None);
        }
        self.note(&mut state, &mut answer, &events)?;
        Ok(Some(answer))
    }

    fn authorize_in(
        &self,
        entry: Entry<'_, Key, State>,
        route: &Route<'_>,
        command: &Authorize<'_>,
        opened: Option<State>,
    ) -> Result<Answer, Unavailable> {
        match entry {
            Entry::Occupied(mut occupied) => {
                let state = occupied.get_mut();
                let Checked { mut answer, events } = check::authorize(state, command)?;
                self.note(state, &mut answer, &events)?;
                Ok(answer)
            }
            Entry::Vacant(vacant) => {
                let mut state = match opened {
                    Some(state) => state,
                    None => self.open(route)?,
                };
                let Checked { mut answer, events } = check::authorize(&state, command)?;
                let position = self.record(&mut state, Some(route), &events, Class::Reserve)?;
                settle(&mut answer, position);
                self.note_opened(&state);
                vacant.insert(state);
                Ok(answer)
            }
        }
    }

    /// Records what was answered. That a known step came again is a count only: a journal without
    /// room for it does not change the recorded decision (behaviour 2.4).
    fn note(
        &self,
        state: &mut State,
        answer: &mut Answer,
        events: &Events<'_>,
    ) -> Result<(), Unavailable> {
        let known = answer.novelty == Novelty::Known;
        match self.record(state, None, events, Class::Reserve) {
            Ok(position) => settle(answer, position),
            Err(Unavailable::Journal(Refusal::Full | Refusal::Behind)) if known => {}
            Err(why) => return Err(why),
        }
        Ok(())
    }

    fn open(&self, route: &Route<'_>) -> Result<State, Unavailable> {
        let next = |no: u32| no.checked_add(1);
        let taken = self
            .next_state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let no = StateNo(taken.map_err(|_used_up| Unavailable::Refused)?);
        self.claims.open(no, route.key);
        Ok(State::new(no, route.key, route.owner))
    }

    /// Appends the events as one frame and applies them. All or nothing.
    fn record(
        &self,
        state: &mut State,
        opens: Option<&Route<'_>>,
        events: &Events<'_>,
        class: Class,
    ) -> Result<Position, Unavailable> {
        if events
            .iter()
            .any(|event| self.takes_card_away(state, event))
        {
            return Err(Unavailable::Refused);
        }
        if self.is_shared {
            return shared::drafting::put(state, opens, events);
        }
        let position = FRAME.with_borrow_mut(|frame| {
            frame.clear();
            if let Some(route) = opens {
                let (key, owner) = (route.key, route.owner);
                Event::StateOpened {
                    state: state.no,
                    key,
                    owner,
                }
                .encode(frame);
            }
            events.iter().for_each(|event| event.encode(frame));
            self.journal()
                .append(frame, class)
                .map_err(Unavailable::Journal)
        })?;
        for event in events.iter() {
            if let Event::CardOpened { key, .. } = event {
                self.owners.insert(*key, state.key);
            }
            fold(state, event, position.0);
        }
        Ok(position)
    }

    /// Whether the event would open a card that another owner has used: with the new owner its
    /// limits would begin anew (behaviour 11.3).
    fn takes_card_away(&self, state: &State, event: &Event<'_>) -> bool {
        matches!(event, Event::CardOpened { key, .. }
            if self.owner_of_card(*key).is_some_and(|owner| owner != state.key))
    }

    /// Says that nothing will become durable any more: from now on nothing is approved.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    /// Whether nothing becomes durable any more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// A position that is durable only when everything recorded before it is.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing.
    pub fn barrier(&self) -> Result<Position, Unavailable> {
        // A frame without events: it concerns no state.
        let appended = self.journal().append(&[], Class::Release);
        appended.map_err(Unavailable::Journal)
    }

    /// Goes on forgetting authorizations without a step since `cut`, at most [`SWEEP_PARTS`] parts
    /// of states in one go. Absent when all states were visited. Where it drafts something it stays where
    /// it was.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing.
    pub fn sweep(
        &self,
        mut from: SweepCursor,
        cut: Timestamp,
    ) -> Result<Option<SweepCursor>, Unavailable> {
        for _ in 0..SWEEP_PARTS {
            let Some(owner) = self.opened().get(from.owner).copied() else {
                return Ok(None);
            };
            let states = match owner {
                Opened::Customer(_) => &self.customers,
                Opened::Unattributed(_) => &self.unattributed,
            };
            let (Opened::Customer(key) | Opened::Unattributed(key)) = owner;
            let parts = match states.get_mut(&key) {
                Some(mut state) => {
                    self.sweep_part(&mut state, from.part, cut)?;
                    state.part_count()
                }
                None => 0,
            };
            if self.has_drafted() {
                break;
            }
            from = from.next(parts);
        }
        Ok(Some(from))
    }

    fn sweep_part(&self, state: &mut State, part: u16, cut: Timestamp) -> Result<(), Unavailable> {
        let Some(events) = check::sweep(state, part, cut) else {
            return Ok(());
        };
        let swept = Swept::of(state, state.authorizations.keys_in_part(part));
        self.record(state, None, &events, Class::Release)?;
        self.forget_swept(state, &swept);
        Ok(())
    }

    /// Beside the states forgets what a sweep has made a state forget.
    fn forget_swept(&self, state: &State, swept: &Swept) {
        let gone = |key: &&Key| state.authorization(**key).is_none();
        let gone = swept.keys.iter().filter(gone);
        if matches!(state.owner.as_owner(), Owner::Customer(_)) {
            gone.for_each(|key| self.claims.release(*key, state.no));
            self.release_postings(state, &swept.postings);
        } else {
            let gone = gone.count() as u64;
            self.unattributed_count.fetch_sub(gone, Ordering::SeqCst);
        }
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_opened(&self, state: &State) {
        self.claims.open(state.no, state.key);
        self.opened().push(match state.owner.as_owner() {
            Owner::Customer(_) => Opened::Customer(state.key),
            Owner::Unattributed(_) => Opened::Unattributed(state.key),
        });
    }

    /// Looks at one customer's state; nothing changes it meanwhile.
    pub fn with_state<T>(&self, owner: Key, look: impl FnOnce(&State) -> T) -> Option<T> {
        self.customers.get(&owner).map(|state| look(&state))
    }

    /// Looks at every state, one at a time, in no particular order.
    pub fn each_state(&self, mut look: impl FnMut(&State)) {
        self.customers.iter().for_each(|state| look(&state));
        self.unattributed.iter().for_each(|state| look(&state));
    }
}

/// A new decision rests on its own frame; a known one on the frame that first recorded it.
fn settle(answer: &mut Answer, position: Position) {
    if answer.novelty != Novelty::Known {
        answer.position = position.0;
    }
}

impl std::fmt::Debug for EmbeddedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLedger")
            .field("owners", &self.customers.len())
            .finish()
    }
}

//! The journal of one process as logs that several nodes share, and the reverse: the same commands in the
//! same order, so that they come to the same states.
//!
//! A frame of a journal becomes one entry, and an entry one frame. What differs is how they name things: entries
//! know no numbers of states, and name an earlier step by its place in its authorization.

use std::collections::HashMap;

use crate::domain::card::Key;
use crate::ledger::codec::Malformed;
use crate::ledger::embedded::frame::JournalId;
use crate::ledger::event::{Event, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::image;
use crate::ledger::redis::copy::Kept;
use crate::ledger::shared::{Entry, EntryId};
use crate::ledger::state::State;

/// In entries states have no number.
const NOBODYS: StateNo = StateNo(0);

/// Makes entries of a journal's frames, from its first one on.
pub struct Entries {
    node: u64,
    states: HashMap<StateNo, State>,
    /// Whose step stands at a position.
    steps: HashMap<u64, Key>,
}

impl Entries {
    /// Of this journal. Made again they are the same.
    #[must_use]
    pub fn of(journal: JournalId) -> Self {
        Self {
            node: journal.fingerprint_seed(),
            states: HashMap::new(),
            steps: HashMap::new(),
        }
    }

    /// The entry that the next frame becomes.
    ///
    /// # Errors
    /// [`Malformed`] where it has no events of this version, or names what an entry cannot name.
    pub fn next(&mut self, position: u64, frame: &[u8]) -> Result<Kept, Malformed> {
        let events = events_of(frame).collect::<Result<Vec<_>, _>>()?;
        let first = events.first().ok_or(Malformed)?;
        let no = first.state();
        if let Event::StateOpened { state, key, owner } = first {
            self.states.insert(no, State::new(*state, *key, *owner));
        }
        let about = self.about(&events)?;
        let state = self.states.get_mut(&no).ok_or(Malformed)?;
        let mut bytes = Vec::new();
        for event in &events {
            if event.state() != no {
                return Err(Malformed);
            }
            let mut event = event.clone();
            *event.state_mut() = NOBODYS;
            if let Some(place) = event.position_mut() {
                *place = state.place_of(about, *place);
            }
            event.encode(&mut bytes);
        }
        let id = EntryId(u128::from(self.node) << 64 | u128::from(position));
        let entry = Entry {
            id,
            after: state.last,
            authorization: about,
            events: &bytes,
        };
        let kept = Kept {
            owner: state.key,
            number: state.taken,
            entry: entry.encode(),
        };
        for event in &events {
            fold(state, event, position);
            if let Event::Decided(decided) = event {
                self.steps.insert(position, decided.step.authorization);
            }
        }
        state.taken += 1;
        state.last = id;
        Ok(kept)
    }

    /// The authorization that all events of a frame are about; of none, an entry is about nothing.
    fn about(&self, events: &[Event<'_>]) -> Result<Key, Malformed> {
        let mut about = None;
        for event in events {
            let named = if let Event::Decided(decided) | Event::Conflicted(decided) = event {
                Some(decided.step.authorization)
            } else if let Event::Booked(booked) = event {
                Some(booked.authorization)
            } else if let Event::Overruled { authorization, .. } = event {
                Some(*authorization)
            } else if let Event::Redelivered { decided_at, .. } = event {
                self.steps.get(decided_at).copied()
            } else {
                continue;
            };
            if about.is_some() && named != about {
                return Err(Malformed);
            }
            about = named;
        }
        Ok(about.unwrap_or(Key(0)))
    }

    /// What the frames came to.
    #[must_use]
    pub fn into_states(self) -> Vec<State> {
        self.states.into_values().collect()
    }
}

/// Where an entry that [`Entries`] made stood in its journal.
#[must_use]
pub fn position_of(id: EntryId) -> u64 {
    u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// What entries of logs come to, without a ledger.
#[derive(Default)]
pub struct Fold {
    states: HashMap<Key, State>,
}

impl Fold {
    /// Applies the next entry of an owner's log, as a frame at this position.
    ///
    /// # Errors
    /// [`Malformed`] where it is not the next one, or not understood.
    pub fn take(&mut self, kept: &Kept, position: u64) -> Result<(), Malformed> {
        let entry = Entry::decode(&kept.entry)?;
        let mut events = events_of(entry.events).collect::<Result<Vec<_>, _>>()?;
        if let Some(Event::StateOpened { key, owner, .. }) = events.first()
            && *key == kept.owner
            && !self.states.contains_key(key)
        {
            let state = State::new(NOBODYS, *key, *owner);
            self.states.insert(*key, state);
        }
        let state = self.states.get_mut(&kept.owner).ok_or(Malformed)?;
        if state.taken != kept.number || state.last != entry.after {
            return Err(Malformed);
        }
        for event in &mut events {
            if let Some(place) = event.position_mut() {
                *place = state.position_of(entry.authorization, *place);
            }
        }
        events.iter().for_each(|event| fold(state, event, position));
        state.taken += 1;
        state.last = entry.id;
        Ok(())
    }

    /// How many owners have a log.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Compares with states that are to be the same ones, to the last hold: what each has come to.
    ///
    /// # Errors
    /// [`Differs`] names the first owner that is not.
    pub fn compare(mut self, others: &[State]) -> Result<Vec<Total>, Differs> {
        let mut totals = Vec::new();
        for other in others {
            let total = Total::of(other);
            let Some(mut state) = self.states.remove(&other.key) else {
                return Err(Differs(total.owner));
            };
            state.no = other.no;
            if image::encode(&state) != image::encode(other) {
                return Err(Differs(total.owner));
            }
            totals.push(total);
        }
        if let Some(more) = self.states.values().next() {
            return Err(Differs(Total::of(more).owner));
        }
        totals.sort_unstable_by(|one, other| one.owner.cmp(&other.owner));
        Ok(totals)
    }
}

/// Whose state is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs(pub String);

/// What one owner's state has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// A customer's id, or whose unknown cards they are.
    pub owner: String,
    /// Cards that were ever used.
    pub cards: usize,
    /// Authorizations that are remembered.
    pub authorizations: usize,
    /// Approvals that count.
    pub approvals: u32,
    /// On hold, in minor units.
    pub held: i64,
    /// Spent for ever, what is held with it.
    pub spent: i64,
}

impl Total {
    fn of(state: &State) -> Self {
        let sum = state.counters.total();
        let owner = match state.owner.customer() {
            Some(customer) => format!("customer {customer}"),
            None => "cards that nobody knows".to_owned(),
        };
        Self {
            owner,
            cards: state.cards.len(),
            authorizations: state.authorization_count(),
            approvals: state.counters.approvals(),
            held: sum.held.get(),
            spent: sum.spent.get(),
        }
    }
}

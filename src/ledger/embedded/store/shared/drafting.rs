//! Commands whose events are drafted instead of recorded, because a shared log has to take them first.
//!
//! Whoever gives such a command asks for its draft around it. A command that nobody asks for leaves no
//! trace, and says so.

use std::cell::RefCell;

use super::{Draft, draft};
use crate::domain::card::Key;
use crate::ledger::check::Events;
use crate::ledger::command::Route;
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::Event;
use crate::ledger::state::State;

enum Slot {
    /// Nobody asks for a draft.
    Closed,
    /// Somebody does.
    Open,
    Holds(Draft),
}

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Closed) };
}

/// Closes the slot however the command ends.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        SLOT.replace(Slot::Closed);
    }
}

impl EmbeddedLedger {
    /// Gives one command, which changes nothing. What it says, its position apart, holds once the
    /// shared log has taken the draft; without a draft nothing has to change.
    pub fn drafting<T>(&self, command: impl FnOnce(&Self) -> T) -> (T, Option<Draft>) {
        let scope = Scope;
        SLOT.replace(Slot::Open);
        let said = command(self);
        let drafted = match SLOT.replace(Slot::Closed) {
            Slot::Holds(draft) => Some(draft),
            Slot::Open | Slot::Closed => None,
        };
        drop(scope);
        (said, drafted)
    }

    /// Whether the command under way has drafted something, so that it must end.
    pub(in crate::ledger::embedded::store) fn has_drafted(&self) -> bool {
        self.is_shared && SLOT.with_borrow(|slot| matches!(slot, Slot::Holds(_)))
    }

    /// A state for an owner who has none. In a shared log it has no number.
    pub(in crate::ledger::embedded::store) fn new_state(
        &self,
        route: &Route<'_>,
    ) -> Result<State, Unavailable> {
        if self.is_shared {
            return Ok(State::new(super::NOBODYS, route.key, route.owner));
        }
        self.open(route)
    }
}

/// Keeps a draft of these events for whoever asks for it. The position is nowhere yet.
pub(in crate::ledger::embedded::store) fn put(
    state: &State,
    opens: Option<&Route<'_>>,
    events: &Events<'_>,
) -> Result<Position, Unavailable> {
    SLOT.with_borrow_mut(|slot| {
        // One command comes to one entry; and an earlier step is named by what it is a step of.
        let names_step = |event: &Event<'_>| event.clone().position_mut().is_some();
        if !matches!(slot, Slot::Open) || events.iter().any(names_step) {
            return Err(Unavailable::Shared);
        }
        let about = events.iter().find_map(|event| {
            if let Event::Booked(booked) = event {
                return Some(booked.authorization);
            }
            None
        });
        *slot = Slot::Holds(draft(state, opens, about.unwrap_or(NOTHING), events));
        Ok(Position(0))
    })
}

/// The same of a draft that is made already.
pub(super) fn hold(draft: Draft) -> Result<(), Unavailable> {
    SLOT.with_borrow_mut(|slot| {
        if !matches!(slot, Slot::Open) {
            return Err(Unavailable::Shared);
        }
        *slot = Slot::Holds(draft);
        Ok(())
    })
}

/// What an entry is about that is about no authorization.
const NOTHING: Key = Key(0);

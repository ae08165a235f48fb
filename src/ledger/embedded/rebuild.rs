//! The states that a journal's records come to.

use std::fmt;

use crate::ledger::codec::Malformed;
use crate::ledger::event::{Event, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::image;
use crate::ledger::state::State;

/// Folds records into states, in the journal's order.
#[derive(Debug, Default)]
pub struct Rebuild {
    states: Vec<Option<State>>,
    records: u64,
    refused: Option<NotUnderstood>,
}

/// A record that verified but holds no events of this version: written by a newer one, or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// Its position in the journal.
    pub position: u64,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the record at position {} is not understood by this version",
            self.position
        )
    }
}

impl std::error::Error for NotUnderstood {}

impl Rebuild {
    /// Starts from no state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a state from a checkpoint's image.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no image.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let state = image::decode(bytes)?;
        self.place(state);
        Ok(())
    }

    /// Applies one record. After one that was not understood, the rest changes nothing.
    pub fn take(&mut self, position: u64, payload: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        self.records += 1;
        for event in events_of(payload) {
            if !event.is_ok_and(|event| self.apply(&event, position)) {
                self.refused = Some(NotUnderstood { position });
                return;
            }
        }
    }

    fn apply(&mut self, event: &Event<'_>, position: u64) -> bool {
        if let Event::StateOpened { state, key, owner } = event {
            self.place(State::new(*state, *key, *owner));
            return true;
        }
        let index = usize::try_from(event.state().0).unwrap_or(usize::MAX);
        match self.states.get_mut(index) {
            Some(Some(state)) => {
                fold(state, event, position);
                true
            }
            Some(None) | None => false,
        }
    }

    fn place(&mut self, state: State) {
        let StateNo(no) = state.no;
        let index = usize::try_from(no).unwrap_or(usize::MAX);
        if self.states.len() <= index {
            self.states.resize_with(index.saturating_add(1), || None);
        }
        if let Some(place) = self.states.get_mut(index) {
            *place = Some(state);
        }
    }

    /// How many records were applied.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The states.
    ///
    /// # Errors
    /// [`NotUnderstood`] where a record was not.
    pub fn finish(self) -> Result<Vec<State>, NotUnderstood> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(self.states.into_iter().flatten().collect()),
        }
    }
}

//! The states that a journal's records come to.

use std::collections::HashMap;
use std::fmt;

use crate::ledger::codec::Malformed;
use crate::ledger::event::{Event, events_of};
use crate::ledger::fold::fold;
use crate::ledger::image;
use crate::ledger::state::State;

/// The state that a record concerns, as checkpoints key it: all events of one frame are of one
/// state.
#[must_use]
pub fn state_of(payload: &[u8]) -> Option<u64> {
    let first = events_of(payload).next()?.ok()?;
    Some(image::checkpoint_key(first.state()))
}

/// A state's image with the records of `payloads` applied, for the next checkpoint.
///
/// # Errors
/// [`NotUnderstood`] where an image or a record is not of this version.
pub fn advance(
    image: Option<&[u8]>,
    payloads: &mut dyn Iterator<Item = (u64, &[u8])>,
) -> Result<Option<Vec<u8>>, NotUnderstood> {
    let mut rebuild = Rebuild::new();
    if let Some(bytes) = image {
        rebuild
            .restore(bytes)
            .map_err(|_malformed| NotUnderstood { position: 0 })?;
    }
    payloads.for_each(|(position, payload)| rebuild.take(position, payload));
    Ok(rebuild.finish()?.first().map(image::encode))
}

/// Folds records into states, in the journal's order.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// By number; sparse where one state alone is rebuilt.
    states: HashMap<u32, State>,
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
        match self.states.get_mut(&event.state().0) {
            Some(state) => {
                fold(state, event, position);
                true
            }
            None => false,
        }
    }

    fn place(&mut self, state: State) {
        self.states.insert(state.no.0, state);
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
            None => {
                let mut states: Vec<State> = self.states.into_values().collect();
                states.sort_unstable_by_key(|state| state.no);
                Ok(states)
            }
        }
    }
}

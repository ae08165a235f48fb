//! What people, agents and rules do beside authorizations: statuses, freezes, intents, attestations.
//!
//! Each is durable at the position that it returns; absent where it stood so already.

use dashmap::mapref::entry::Entry;

use super::{EmbeddedLedger, Unavailable};
use crate::domain::card::Key;
use crate::domain::time::Timestamp;
use crate::ledger::check::{self, Events};
use crate::ledger::command::{
    Attest, Back, DeclareIntent, IntentRefused, Route, SetStanding, SettleIntent,
};
use crate::ledger::embedded::journal::{Class, Position};
use crate::ledger::state::State;

/// Why a command about an intent left no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentUnavailable {
    /// The state refuses it.
    Refused(IntentRefused),
    /// The journal took nothing.
    Journal(Unavailable),
}

impl From<IntentRefused> for IntentUnavailable {
    fn from(refused: IntentRefused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Unavailable> for IntentUnavailable {
    fn from(unavailable: Unavailable) -> Self {
        Self::Journal(unavailable)
    }
}

impl EmbeddedLedger {
    /// Sets the status of a card or an agent.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing or the change contradicts the state.
    pub fn set_standing(
        &self,
        route: &Route<'_>,
        command: &SetStanding<'_>,
        at: Timestamp,
    ) -> Result<Option<Position>, Unavailable> {
        self.apply(route, Class::Release, |state| {
            Ok(check::standing::set_standing(state, command, at)?)
        })
    }

    /// Declares an intent (behaviour 6.1).
    ///
    /// # Errors
    /// [`IntentUnavailable`] where the journal takes nothing or the state refuses it.
    pub fn declare_intent(
        &self,
        route: &Route<'_>,
        command: &DeclareIntent<'_>,
    ) -> Result<Option<Position>, IntentUnavailable> {
        self.apply(route, Class::Reserve, |state| {
            Ok(check::intents::declare(state, command)?)
        })
    }

    /// Approves, rejects or withdraws an intent of an owner.
    ///
    /// # Errors
    /// [`IntentUnavailable`] where the journal takes nothing or the state refuses it.
    pub fn settle_intent(
        &self,
        owner: Key,
        command: &SettleIntent,
    ) -> Result<Option<Position>, IntentUnavailable> {
        let Some(mut state) = self.customers.get_mut(&owner) else {
            return Err(IntentUnavailable::Refused(IntentRefused::Unknown));
        };
        let events = check::intents::settle(&state, command)?;
        if events.iter().next().is_none() {
            return Ok(None);
        }
        Ok(Some(self.record(
            &mut state,
            None,
            &events,
            Class::Release,
        )?))
    }

    /// Notes that an agent attested what it is doing.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing or no number is left.
    pub fn attest(
        &self,
        route: &Route<'_>,
        command: &Attest<'_>,
    ) -> Result<Option<Position>, Unavailable> {
        self.apply(route, Class::Reserve, |state| {
            Ok(check::intents::attest(state, command)?)
        })
    }

    /// Puts an earmark behind a card (behaviour 5.8).
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing or the change contradicts the state.
    pub fn back(
        &self,
        route: &Route<'_>,
        command: &Back<'_>,
    ) -> Result<Option<Position>, Unavailable> {
        self.apply(route, Class::Reserve, |state| {
            Ok(check::earmarks::back(state, command)?)
        })
    }

    /// Applies what `decide` says to the owner's state, which is opened where there is none and
    /// something happens.
    fn apply<'a, E: From<Unavailable>>(
        &self,
        route: &Route<'_>,
        class: Class,
        decide: impl FnOnce(&State) -> Result<Events<'a>, E>,
    ) -> Result<Option<Position>, E> {
        let (mut occupied, opens) = match self.customers.entry(route.key) {
            Entry::Occupied(occupied) => (occupied, None),
            Entry::Vacant(vacant) => (vacant.insert_entry(self.new_state(route)?), Some(route)),
        };
        let state = occupied.get_mut();
        let recorded = decide(state).and_then(|events| {
            if events.iter().next().is_none() {
                return Ok(None);
            }
            let position = self.record(state, opens, &events, class)?;
            Ok(Some(position))
        });
        if opens.is_some() {
            // One that was drafted is opened when the log has taken the draft.
            if matches!(recorded, Ok(Some(_))) && !self.is_shared {
                self.note_opened(occupied.get());
            } else {
                occupied.remove();
            }
        }
        recorded
    }
}

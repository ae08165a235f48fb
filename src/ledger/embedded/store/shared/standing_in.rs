//! What a node approves in the place of a shared log that does not answer, and how the log takes it
//! afterwards (decision 0042).

use super::{Draft, NOBODYS, draft};
use crate::domain::card::Key;
use crate::domain::decision::Decision;
use crate::ledger::check;
use crate::ledger::command::{Authorize, Novelty, Route};
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::stand_in::StoodIn;
use crate::ledger::state::State;

impl EmbeddedLedger {
    /// What this node may approve by itself, by what it knows of the log and what it has approved so for the
    /// same customer before; absent where the log has to be asked. Changes nothing.
    ///
    /// # Errors
    /// [`Unavailable`] where the command contradicts the state.
    pub fn stand_in<'a>(
        &self,
        route: &Route<'a>,
        unattributed: Key,
        unbooked: &[StoodIn<'_>],
        command: &Authorize<'a>,
    ) -> Result<Option<StoodIn<'a>>, Unavailable> {
        // By every rule, and by what others know of the authorization.
        let proposed = self.propose(route, unattributed, command)?;
        let is_new = proposed.answer.novelty == Novelty::New && proposed.draft.owner == route.key;
        if !is_new || proposed.answer.decision != Decision::Approve {
            return Ok(None);
        }
        let stood_in = match self.customers.get(&route.key) {
            Some(state) => check::stand_in::stand_in(&state, *route, unbooked, command),
            None => {
                let state = State::new(NOBODYS, route.key, route.owner);
                check::stand_in::stand_in(&state, *route, unbooked, command)
            }
        };
        Ok(stood_in?)
    }

    /// What the log has to take of what this node approved by itself, whatever the limits say by now.
    ///
    /// # Errors
    /// [`Unavailable`] where the log can never take it: its card belongs to somebody else by now, or the
    /// authorization stands on another card.
    pub fn propose_stood_in(&self, stood_in: &StoodIn<'_>) -> Result<Draft, Unavailable> {
        let state = self.customers.get(&stood_in.owner.key);
        let new;
        let (state, opens) = match &state {
            Some(state) => (&**state, None),
            None => {
                let Route { key, owner } = stood_in.owner;
                new = State::new(NOBODYS, key, owner);
                (&new, Some(&stood_in.owner))
            }
        };
        let events = check::stand_in::book(state, stood_in)?;
        if events
            .iter()
            .any(|event| self.takes_card_away(state, event))
        {
            return Err(Unavailable::Refused);
        }
        let authorization = stood_in.decided.step.authorization;
        Ok(draft(state, opens, authorization, &events))
    }
}

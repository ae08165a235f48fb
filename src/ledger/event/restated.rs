//! What of an event differs from node to node where several share one log: numbers that each gives
//! for itself.

use super::{Booked, Decided, Event, StateNo, state_of};

impl Event<'_> {
    /// The number of the state that it concerns.
    pub(in crate::ledger) fn state_mut(&mut self) -> &mut StateNo {
        state_of!(self)
    }

    /// The journal position of an earlier step that it names, if it names one.
    pub(in crate::ledger) fn position_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Redelivered { decided_at, .. } | Self::Overruled { decided_at, .. } => {
                Some(decided_at)
            }
            Self::StateOpened { .. }
            | Self::CardOpened { .. }
            | Self::AgentOpened { .. }
            | Self::StandingSet { .. }
            | Self::Swept { .. }
            | Self::Lapsed { .. }
            | Self::WindowsOpened { .. }
            | Self::RollingOpened { .. }
            | Self::RiskFrozen { .. }
            | Self::IntentDeclared { .. }
            | Self::IntentSettled { .. }
            | Self::Attested { .. }
            | Self::Backed { .. }
            | Self::Decided(_)
            | Self::Conflicted(_)
            | Self::Booked(_) => None,
        }
    }
}

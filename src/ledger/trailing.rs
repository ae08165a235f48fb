//! The trailing sums of a card, an agent and a customer when a rolling limit first stands there.
//!
//! What was spent before counts: the series begin from the authorizations that are remembered. That
//! takes one walk over the customer's authorizations, once for each scope and span.

use crate::domain::card::Level;
use crate::domain::window::WindowKind;
use crate::ledger::event::{AgentNo, CardNo};
use crate::ledger::rolling::{Series, SeriesSet};
use crate::ledger::state::State;

/// A series and the level it is of.
pub(in crate::ledger) struct LeveledSeries {
    pub(in crate::ledger) level: Level,
    pub(in crate::ledger) series: Series,
}

/// The wanted series of these scopes, as what is remembered makes them.
pub(in crate::ledger) fn begin(
    state: &State,
    card: Option<CardNo>,
    agent: Option<AgentNo>,
    wanted: SeriesSet,
) -> Vec<LeveledSeries> {
    let mut begun = Vec::new();
    for level in Level::ALL {
        for kind in WindowKind::ALL {
            if wanted.contains(level, kind) {
                let series = Series::new(kind);
                begun.push(LeveledSeries { level, series });
            }
        }
    }
    for authorization in state.authorizations.values() {
        let of_card = authorization.card().and_then(|no| state.card(no));
        // Its earmark is what agent and customer are charged with.
        let is_backed = of_card.is_some_and(|card| card.backing().is_some());
        for portion in authorization.portions() {
            let (at, agent_of_it) = (portion.place.at, portion.place.agent);
            let amount = portion.held.saturating_plus(portion.posted);
            for LeveledSeries { level, series } in &mut begun {
                let is_of = match level {
                    Level::Card => card.is_some() && authorization.card() == card,
                    Level::Agent => agent.is_some() && agent_of_it == agent && !is_backed,
                    Level::Customer => !is_backed,
                };
                if is_of {
                    series.charge(at, amount);
                }
            }
        }
    }
    begun
}

//! What an image of the first version leaves open: counts, cooldowns and the latest booking follow
//! from the authorizations that it remembers.

use crate::domain::card::Key;
use crate::ledger::authorization::Step;
use crate::ledger::counters::Counters;
use crate::ledger::event::CardNo;
use crate::ledger::state::State;

/// A step that was charged, and whether its authorization counts as approved by it.
struct Charged {
    card: Option<CardNo>,
    step: Step,
    counted: bool,
}

pub(super) fn complete(state: &mut State) {
    state.inherited = true;
    let keys: Vec<Key> = state
        .authorizations
        .sorted()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let mut charged = Vec::new();
    for key in keys {
        let Some(authorization) = state.authorizations.get_mut(key) else {
            continue;
        };
        let card = authorization.card();
        let mut counted = true;
        authorization.change(|step| {
            if step.decision.is_approval() && !step.reserved.is_zero() {
                step.counted = counted;
                charged.push(Charged {
                    card,
                    step: *step,
                    counted,
                });
                counted = false;
            }
        });
    }
    // In the order of time, because an hour never goes back.
    charged.sort_by_key(|it| (it.step.hour, it.step.position));
    for Charged {
        card,
        step,
        counted,
    } in charged
    {
        let booking = step.booking();
        let add = |counters: &mut Counters| {
            counters.open_hour(booking.hour);
            if counted {
                counters.count(&booking);
            }
        };
        if let Some(card) = card.and_then(|no| state.card_mut(no)) {
            add(&mut card.counters);
            if counted {
                card.recent.note(step.at, step.position);
            }
        }
        if let Some(agent) = step.agent.and_then(|no| state.agent_mut(no)) {
            add(&mut agent.counters);
        }
        add(&mut state.counters);
        state.latest = state.latest.max(booking.at);
        state.hour = state.hour.max(booking.hour);
    }
}

//! The only mutation of the state: applies events. Total: an event that does not fit changes
//! nothing, because a journal that was written by `check` holds none.

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, Key};
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::identity::StoredStep;
use crate::domain::time::Timestamp;
use crate::ledger::counters::Counters;
use crate::ledger::event::{CardNo, Decided, Event, StandingChange};
use crate::ledger::state::{AgentState, Authorization, CardState, MerchantLock, State, Step};

/// Applies one event that stands at `position` of the journal.
pub fn fold(state: &mut State, event: &Event<'_>, position: u64) {
    match event {
        // The store makes the state itself when it meets the event; a redelivery and a conflict
        // are records, they move nothing.
        Event::StateOpened { .. } | Event::Conflicted(_) | Event::Redelivered { .. } => {}
        Event::CardOpened {
            card,
            key,
            id,
            connection,
            ..
        } => {
            if usize::try_from(card.0).is_ok_and(|no| no == state.cards.len()) {
                state.cards.push(CardState {
                    key: *key,
                    id: (*id).into(),
                    connection: (*connection).into(),
                    counters: Counters::default(),
                    status: CardStatus::Active,
                    frozen: false,
                    consumed: None,
                    lock: None,
                });
                state.cards_by_key.get_or_insert_with(*key, || *card);
            }
        }
        Event::AgentOpened { agent, key, id, .. } => {
            if usize::try_from(agent.0).is_ok_and(|no| no == state.agents.len()) {
                state.agents.push(AgentState {
                    key: *key,
                    id: (*id).into(),
                    counters: Counters::default(),
                    status: AgentStatus::Active,
                });
                state.agents_by_key.get_or_insert_with(*key, || *agent);
            }
        }
        Event::Decided(decided) => book(state, decided, position),
        Event::Overruled {
            authorization,
            decided_at,
            ..
        } => {
            overrule(state, *authorization, *decided_at);
        }
        Event::StandingSet {
            change: StandingChange::Card(card, status, frozen),
            ..
        } => {
            if let Some(card) = state.card_mut(*card) {
                card.status = *status;
                card.frozen = *frozen;
            }
        }
        Event::StandingSet {
            change: StandingChange::Agent(agent, status),
            ..
        } => {
            if let Some(agent) = state.agent_mut(*agent) {
                agent.status = *status;
            }
        }
        Event::Swept { part, cut, .. } => sweep(state, *part, *cut),
    }
}

fn book(state: &mut State, decided: &Decided<'_>, position: u64) {
    let reserved = decided.reserved();
    let step = Step {
        stored: StoredStep {
            name: decided.step.name,
            delivery: decided.step.delivery,
            content: decided.step.content,
        },
        decision: decided.decision,
        reserved,
        day: decided.day,
        position,
        at: decided.at,
        agent: decided.agent,
    };
    remember(state, decided, step);
    if reserved.is_zero() {
        return;
    }
    state.day = state.day.max(decided.day);
    each_counters(state, decided.card, &step, |counters| {
        counters.charge(step.day, reserved)
    });
    let card = decided.card.and_then(|card| usize::try_from(card.0).ok());
    let Some(card) = card.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    if decided.consumes {
        card.consumed = Some((decided.at, decided.step.authorization));
    }
    if let Some(locked) = &decided.locks {
        card.lock = Some(Box::new(MerchantLock::of(locked)));
    }
    let Some(lock) = card.lock.as_mut() else {
        return;
    };
    let authorization = state.authorizations.get_mut(decided.step.authorization);
    if let Some(authorization) = authorization.filter(|it| !it.under_lock) {
        authorization.under_lock = true;
        lock.approvals = lock.approvals.saturating_add(1);
    }
}

fn remember(state: &mut State, decided: &Decided<'_>, step: Step) {
    let mut is_new = false;
    let entry = state
        .authorizations
        .get_or_insert_with(decided.step.authorization, || {
            is_new = true;
            Authorization {
                card: decided.card,
                first: step,
                more: Vec::new(),
                under_lock: false,
            }
        });
    if let Some(authorization) = entry.filter(|_| !is_new) {
        authorization.card = authorization.card.or(decided.card);
        authorization.more.push(step);
    }
}

fn each_counters(
    state: &mut State,
    card: Option<CardNo>,
    step: &Step,
    act: impl Fn(&mut Counters),
) {
    if let Some(card) = card.and_then(|card| state.card_mut(card)) {
        act(&mut card.counters);
    }
    if let Some(agent) = step.agent.and_then(|agent| state.agent_mut(agent)) {
        act(&mut agent.counters);
    }
    act(&mut state.counters);
}

/// Gives back amount, lock and consumption (behaviour 2.13 h).
fn overrule(state: &mut State, key: Key, decided_at: u64) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let card_no = authorization.card;
    let Some(step) = authorization
        .steps_mut()
        .find(|step| step.position == decided_at && step.decision.is_approval())
    else {
        return;
    };
    let taken_back = *step;
    step.decision = Decision::Decline(DeclineReason::DeadlineExceeded);
    step.reserved = Minor::ZERO;
    let still_purchase = authorization.is_purchase();
    let leaves_lock = authorization.under_lock && !still_purchase;
    authorization.under_lock &= still_purchase;
    let reserved = taken_back.reserved;
    each_counters(state, card_no, &taken_back, |it| {
        it.release(taken_back.day, reserved)
    });
    if still_purchase {
        return;
    }
    let card_no = card_no.and_then(|card| usize::try_from(card.0).ok());
    let Some(card) = card_no.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    // By key and instant: a forgotten authorization of the same id may have consumed the card.
    let steps_at = |at| {
        let authorization = state.authorizations.get(key);
        authorization.is_some_and(|it| it.steps().any(|step| step.at == at))
    };
    if card
        .consumed
        .is_some_and(|(at, by)| by == key && steps_at(at))
    {
        card.consumed = None;
    }
    if let Some(lock) = card.lock.as_mut().filter(|_| leaves_lock) {
        lock.approvals = lock.approvals.saturating_sub(1);
    }
    if card.lock.as_ref().is_some_and(|lock| lock.approvals == 0) {
        card.lock = None;
    }
}

fn sweep(state: &mut State, part: u16, cut: Timestamp) {
    let mut forgotten = Vec::new();
    state.authorizations.retain_part(part, |_, authorization| {
        let stale = authorization.last_at() < cut;
        if stale && !authorization.reserved().is_zero() {
            forgotten.push(authorization.clone());
        }
        !stale
    });
    for authorization in forgotten {
        for step in authorization.steps() {
            let held = step.reserved;
            each_counters(state, authorization.card, step, |it| {
                it.settle(step.day, held)
            });
        }
    }
}

#[cfg(test)]
mod tests;

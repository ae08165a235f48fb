//! What an approval gives back that the issuer never got (behaviour 2.13 h).

use crate::domain::amount::Minor;
use crate::domain::card::Key;
use crate::domain::decision::{Decision, DeclineReason};
use crate::ledger::authorization::Step;
use crate::ledger::event::CardNo;
use crate::ledger::fold::{each_scope, intents};
use crate::ledger::state::State;

/// Gives back amount, count, lock, consumption, probe, cooldown and intent.
pub(super) fn overrule(state: &mut State, key: Key, decided_at: u64) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let card_no = authorization.card;
    let is_it = |step: &Step| step.position == decided_at && step.decision.is_approval();
    let Some(taken_back) = authorization.steps().find(is_it) else {
        return;
    };
    authorization.change(|step| {
        if step.position == decided_at && step.decision.is_approval() {
            step.decision = Decision::Decline(DeclineReason::DeadlineExceeded);
            step.reserved = Minor::ZERO;
        }
    });
    let still_purchase = authorization.is_purchase();
    let leaves_lock = authorization.is_under_lock() && !still_purchase;
    let mut counted = None;
    if !still_purchase {
        authorization.set_under_lock(false);
        counted = authorization.steps().find(|step| step.counted);
        authorization.change(|step| step.counted = false);
    }
    release(state, card_no, &taken_back, counted.as_ref());
    unmark_card(state, key, card_no, &taken_back, leaves_lock);
    intents::give_back(state, key, card_no, &taken_back);
}

/// The amount goes back to where it was charged, the count to where it was counted.
fn release(state: &mut State, card: Option<CardNo>, taken_back: &Step, counted: Option<&Step>) {
    let booking = taken_back.booking();
    let reserved = taken_back.reserved;
    each_scope(state, card, taken_back.agent, |counters, rolling| {
        counters.release(&booking, reserved);
        if let Some(rolling) = rolling {
            rolling.release(booking.at, reserved);
        }
    });
    if let Some(counted) = counted {
        let booking = counted.booking();
        each_scope(state, card, counted.agent, |counters, _| {
            counters.uncount(&booking);
        });
    }
}

fn unmark_card(
    state: &mut State,
    key: Key,
    card_no: Option<CardNo>,
    taken_back: &Step,
    leaves_lock: bool,
) {
    let card_no = card_no.and_then(|card| usize::try_from(card.0).ok());
    let Some(card) = card_no.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    let Some(authorization) = state.authorizations.get(key) else {
        return;
    };
    let probe = card.probe();
    if !authorization.stands_beside(probe) {
        // By key and instant: a forgotten authorization of the same id may have consumed the card.
        let consumed_by_it = card
            .consumed
            .is_some_and(|(at, by)| by == key && authorization.steps().any(|it| it.at == at));
        if consumed_by_it {
            card.consumed = None;
        }
        card.recent
            .take_back(|position| authorization.steps().any(|it| it.position == position));
    }
    if probe == Some(taken_back.position) {
        card.extras_mut().probe = None;
    }
    if let Some(lock) = card.lock.as_mut().filter(|_| leaves_lock) {
        lock.approvals = lock.approvals.saturating_sub(1);
    }
    if card.lock.as_ref().is_some_and(|lock| lock.approvals == 0) {
        card.lock = None;
    }
}

//! What an approval gives back that the issuer never got (behaviour 2.13 h).

use crate::domain::amount::Minor;
use crate::domain::card::Key;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::lifecycle::OnReversal;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::event::CardNo;
use crate::ledger::fold::{each_scope, earmarks, intents, settle};
use crate::ledger::life::{Place, Taken};
use crate::ledger::state::State;

/// Gives back amount, count, lock, consumption, probe, cooldown and intent.
pub(super) fn overrule(state: &mut State, key: Key, decided_at: u64) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let card_no = authorization.card();
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
    let has_life = authorization.life_mut().map(|life| {
        let place = Place::of(&taken_back);
        (place, life.drop_hold(place, taken_back.reserved))
    });
    let mut released = taken_back;
    if let Some((_, held)) = has_life {
        released.reserved = held;
    }
    let still_purchase = authorization.is_purchase();
    let leaves_lock = authorization.is_under_lock() && !still_purchase;
    let mut counted = None;
    if !still_purchase {
        authorization.set_under_lock(false);
        counted = authorization.steps().find(|step| step.counted);
        authorization.change(uncounted);
    }
    release(state, card_no, &released, counted.as_ref());
    let is_gone = |position| position == decided_at;
    unmark_card(state, key, card_no, &is_gone, leaves_lock);
    intents::give_back(state, key, card_no, &taken_back);
    if let Some((place, _)) = has_life {
        let open = Place {
            day: state.day,
            hour: state.hour,
            at: state.latest,
            ..place
        };
        settle::settle(state, key, open);
    }
}

/// The issuer did not approve it after all (behaviour 2.13 h). What the steps decided stays on
/// record; the amounts have gone back already.
pub(super) fn undo(state: &mut State, key: Key, is_reversed: bool) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let (card_no, is_under_lock) = (authorization.card(), authorization.is_under_lock());
    let steps: Vec<Step> = authorization.steps().collect();
    let mut keeps = OnReversal::GiveBack;
    let mut taken = Taken::default();
    if let Some(life) = authorization.life_mut() {
        // Undone before, and decided again since: what was taken then stays taken.
        taken = life.taken.take().map(|taken| *taken).unwrap_or_default();
        life.taken = Some(Box::default());
        keeps = life.on_reversal;
    }
    if !is_reversed {
        keeps = OnReversal::GiveBack;
    }
    let leaves_lock = is_under_lock && keeps == OnReversal::GiveBack;
    authorization.change(uncounted);
    if let Some(counted) = steps.iter().find(|step| step.counted) {
        uncount(state, card_no, counted);
    }
    if let Some(card) = card_no.and_then(|card| state.card_mut(card)) {
        let is_own = |it: &(Timestamp, Key)| it.1 == key;
        let consumed = card.consumed.filter(is_own).map(|(at, _)| at);
        taken.consumed_at = taken.consumed_at.or(consumed);
        let is_of_it = |probe: &u64| steps.iter().any(|step| step.position == *probe);
        let probe = card.probe().filter(is_of_it);
        taken.probe = taken.probe.or(probe);
        let lock = card.lock.clone();
        let lock = lock.filter(|_| leaves_lock);
        taken.lock = taken.lock.or(lock);
    }
    taken.was_under_lock |= leaves_lock;
    if let Some(authorization) = state.authorizations.get_mut(key) {
        authorization.set_under_lock(is_under_lock && !leaves_lock);
    }
    let is_gone = |position| steps.iter().any(|step| step.position == position);
    unmark_card(state, key, card_no, &is_gone, leaves_lock);
    if let Some(card) = card_no.and_then(|card| state.card_mut(card)) {
        // The owner wants a card that was reversed to stay used.
        if let Some(at) = taken.consumed_at.filter(|_| keeps == OnReversal::KeepUse) {
            card.consumed = Some((at, key));
        }
    }
    if let Some(first) = steps.first() {
        intents::give_back(state, key, card_no, first);
    }
    let authorization = state.authorizations.get_mut(key);
    if let Some(life) = authorization.and_then(Authorization::life_mut) {
        life.taken = Some(Box::new(taken));
    }
}

/// The issuer has posted it all the same: it counts as approved again, where that was counted.
pub(super) fn redo(state: &mut State, key: Key) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let card_no = authorization.card();
    let Some(taken) = authorization.life_mut().and_then(|life| life.taken.take()) else {
        return;
    };
    let stands = |step: &Step| step.decision.is_approval() && !step.reserved.is_zero();
    let first = authorization.steps().find(stands);
    let is_counted = authorization.steps().any(|step| step.counted);
    let Some(first) = first.filter(|_| !is_counted) else {
        return;
    };
    authorization.change(|step| step.counted |= step.position == first.position);
    count(state, card_no, &first);
    if taken.probe.is_none() {
        earmarks::count(state, key, &first);
    }
    let Some(card) = card_no.and_then(|card| state.card_mut(card)) else {
        return;
    };
    if card.consumed.is_none() {
        card.consumed = taken.consumed_at.map(|at| (at, key));
    }
    if taken.probe.is_some() && card.probe().is_none() {
        card.extras_mut().probe = taken.probe;
    } else if taken.probe.is_none() {
        card.recent.note(first.at, first.position);
    }
    if !taken.was_under_lock {
        return;
    }
    if card.lock.is_none() {
        card.lock = taken.lock.map(|mut lock| {
            lock.approvals = 0;
            lock
        });
    }
    let Some(lock) = card.lock.as_mut() else {
        return;
    };
    lock.approvals = lock.approvals.saturating_add(1);
    if let Some(authorization) = state.authorizations.get_mut(key) {
        authorization.set_under_lock(true);
    }
}

fn count(state: &mut State, card: Option<CardNo>, counted: &Step) {
    let booking = counted.booking();
    each_scope(state, card, counted.agent, |counters, _| {
        counters.count(&booking);
    });
}

fn uncount(state: &mut State, card: Option<CardNo>, counted: &Step) {
    let booking = counted.booking();
    each_scope(state, card, counted.agent, |counters, _| {
        counters.uncount(&booking);
    });
    earmarks::uncount(state, card, counted);
}

fn uncounted(step: &mut Step) {
    (step.counted, step.counted_above) = (false, false);
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
        uncount(state, card, counted);
    }
}

fn unmark_card(
    state: &mut State,
    key: Key,
    card_no: Option<CardNo>,
    is_gone: &dyn Fn(u64) -> bool,
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
    if probe.is_some_and(is_gone) {
        card.extras_mut().probe = None;
    }
    if let Some(lock) = card.lock.as_mut().filter(|_| leaves_lock) {
        lock.approvals = lock.approvals.saturating_sub(1);
    }
    if card.lock.as_ref().is_some_and(|lock| lock.approvals == 0) {
        card.lock = None;
    }
}

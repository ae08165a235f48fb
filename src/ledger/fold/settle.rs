//! What an issuer reported moves the sums of card, agent and customer (behaviour 2.13 e to h).

use crate::domain::card::Key;
use crate::domain::hold_time::HoldTime;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::event::{Booked, CardNo};
use crate::ledger::fold::{each_scope, earmarks, forced, give_back};
use crate::ledger::life::{Life, Move, Moved, Place, is_ask};
use crate::ledger::state::{MerchantLock, State};

pub(super) fn book(state: &mut State, booked: &Booked<'_>, position: u64) {
    let key = booked.authorization;
    let parked = || Authorization::parked(booked.card, booked.at);
    state.authorizations.get_or_insert_with(key, parked);
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    authorization.bind(booked.card);
    authorization.learn_hold_time(booked.hold_time);
    authorization.begin_life();
    let steps: Vec<Step> = authorization.steps().collect();
    if let Some(life) = authorization.life_mut() {
        life.take(booked, &steps);
        life.at = life.at.max(booked.at);
        life.position = position;
    }
    let open = Place {
        day: booked.day,
        hour: booked.hour,
        at: booked.at.max(state.latest),
        agent: booked.agent,
    };
    // What is charged to a card counts in this currency, unless something counted before.
    let is_charged = |it: &Authorization| it.card().is_some() && !it.total().is_zero();
    settle(state, key, open);
    if state.authorizations.get(key).is_some_and(is_charged) {
        state.currency = state.currency.or(Some(booked.currency));
    }
}

/// Brings an authorization to where it ought to stand: after a report, or after a step that came
/// later than one.
pub(super) fn settle(state: &mut State, key: Key, open: Place) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let steps: Vec<Step> = authorization.steps().collect();
    let card = authorization.card();
    let Some(life) = authorization.life_mut() else {
        return;
    };
    let books = life.books(&steps);
    let was_undone = life.is_undone();
    // Of a card that nobody knows nothing counts anywhere.
    if card.is_some() {
        let charged = books.posted.saturating_minus(life.restored(&books));
        let moved = life.settle_to(books.held, charged, open);
        for moved in &moved {
            apply(state, card, moved);
        }
    }
    let is_undone = books.is_undone && steps.iter().any(Step::stands);
    if is_undone && (!was_undone || steps.iter().any(|step| step.counted)) {
        give_back::undo(state, key, books.is_reversed);
    } else if was_undone && !is_undone {
        give_back::redo(state, key);
    }
    if !steps.iter().any(Step::stands) {
        forced::settle(state, key, &books, open);
    }
    if !books.posted.is_zero() {
        consume_probe(state, key, card, open);
    }
}

/// Whether nothing was heard about a card of the connection since the cut, and something is held: of
/// the usual holds, or of all.
fn has_lapsed(
    state: &State,
    it: &Authorization,
    connection: &str,
    (cut, time): (Timestamp, HoldTime),
) -> bool {
    let card = it.card().and_then(|card| state.card(card));
    it.last_at() < cut
        && (time != HoldTime::Usual || it.hold_time() == HoldTime::Usual)
        && !it.reserved().is_zero()
        && card.is_some_and(|card| &*card.connection == connection)
}

/// Whether an authorization of the part has lapsed.
pub(in crate::ledger) fn any_lapsed(
    state: &State,
    part: u16,
    connection: &str,
    cut: (Timestamp, HoldTime),
) -> bool {
    let lapsed = |it: &Authorization| has_lapsed(state, it, connection, cut);
    state.authorizations.any_in_part(part, lapsed)
}

pub(super) fn lapse(state: &mut State, part: u16, connection: &str, cut: (Timestamp, HoldTime)) {
    let lapsed = |it: &Authorization| has_lapsed(state, it, connection, cut);
    for key in state.authorizations.keys_of_part(part, lapsed) {
        let Some(authorization) = state.authorizations.get_mut(key) else {
            continue;
        };
        authorization.begin_life();
        if let Some(life) = authorization.life_mut() {
            life.has_lapsed = true;
        }
        let open = Place {
            day: state.day,
            hour: state.hour,
            at: state.latest,
            agent: None,
        };
        settle(state, key, open);
        earmarks::follow_authorization(state, key);
    }
}

pub(super) fn apply(state: &mut State, card: Option<CardNo>, moved: &Moved) {
    let Moved {
        what,
        amount,
        place,
    } = *moved;
    let booking = place.booking();
    if matches!(what, Move::Hold | Move::Charge) {
        state.day = state.day.max(place.day);
        state.hour = state.hour.max(place.hour);
        state.latest = state.latest.max(place.at);
    }
    each_scope(state, card, place.agent, |counters, rolling| {
        match what {
            Move::Hold => counters.charge(&booking, amount),
            Move::Charge => {
                counters.charge(&booking, amount);
                counters.settle(&booking, amount);
            }
            Move::Post => counters.settle(&booking, amount),
            Move::Release => counters.release(&booking, amount),
            Move::Restore => counters.restore(&booking, amount),
        }
        let Some(rolling) = rolling else {
            return;
        };
        match what {
            Move::Hold | Move::Charge => rolling.charge(place.at, amount),
            Move::Release | Move::Restore => rolling.release(place.at, amount),
            Move::Post => {}
        }
    });
}

/// A probe that is captured was the purchase (behaviour 2.14 a).
fn consume_probe(state: &mut State, key: Key, card: Option<CardNo>, open: Place) {
    let Some(authorization) = state.authorizations.get(key) else {
        return;
    };
    let card = card.and_then(|card| usize::try_from(card.0).ok());
    let Some(card) = card.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    let probe = card.probe();
    let is_probe = authorization
        .steps()
        .any(|step| Some(step.position) == probe);
    if is_probe && card.consumed.is_none() {
        card.consumed = Some((open.at, key));
    }
}

impl Life {
    /// Learns what a report says; what it comes to is a matter of [`Life::books`].
    pub(in crate::ledger) fn take(&mut self, booked: &Booked<'_>, steps: &[Step]) {
        let before = self.books(steps).refunded;
        for fact in &booked.facts {
            self.learn(*fact);
        }
        let told = booked.told.filter(|told| self.is_news(told));
        // The issuer speaks of it again: what it says counts. Where it gives accounts, a newer one.
        let gives_accounts = told.is_some() || self.told.is_some();
        let asks = booked.facts.iter().any(|fact| is_ask(fact.kind));
        self.has_lapsed &= told.is_none() && (gives_accounts || !asks);
        self.told = told.or(self.told);
        self.has_drifted |= booked.has_drifted;
        self.on_reversal = booked.on_reversal;
        if booked.consumes || booked.locks.is_some() {
            let uses = self.uses.get_or_insert_default();
            uses.consumes |= booked.consumes;
            let lock = booked.locks.as_ref().map(MerchantLock::of).map(Box::new);
            uses.lock = uses.lock.take().or(lock);
        }
        let after = self.books(steps).refunded;
        if booked.refunds_restore {
            let more = after.saturating_minus(before);
            self.restorable = self.restorable.saturating_plus(more);
        }
        let less = before.saturating_minus(after);
        self.restorable = self.restorable.saturating_minus(less);
    }
}

//! What the issuer has approved without us uses the card as an approval of ours would: it consumes
//! one for a single use, and locks one to the first merchant (behaviour 2.14 a and c).

use crate::domain::card::Key;
use crate::domain::lifecycle::OnReversal;
use crate::ledger::life::{Books, Place};
use crate::ledger::state::State;

/// Brings the card to where an authorization without any standing approval of ours has it.
pub(super) fn settle(state: &mut State, key: Key, books: &Books, open: Place) {
    let Some(authorization) = state.authorizations.get_mut(key) else {
        return;
    };
    let card = authorization
        .card()
        .and_then(|card| usize::try_from(card.0).ok());
    let is_under_lock = authorization.is_under_lock();
    let Some(life) = authorization.life_mut() else {
        return;
    };
    let on_reversal = life.on_reversal;
    let Some(uses) = life.uses.as_deref_mut() else {
        return;
    };
    let Some(card) = card.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    let mut stays_under_lock = is_under_lock;
    if books.moves() {
        if uses.consumes && card.consumed.is_none() {
            card.consumed = Some((open.at, key));
            uses.consumed_at = Some(open.at);
        }
        if !is_under_lock && let Some(wanted) = &uses.lock {
            let lock = card.lock.get_or_insert_with(|| wanted.clone());
            if lock.keys.is_same_merchant(&wanted.keys) {
                lock.approvals = lock.approvals.saturating_add(1);
                stays_under_lock = true;
            }
        }
    } else if books.is_undone {
        let keeps = if books.is_reversed {
            on_reversal
        } else {
            OnReversal::GiveBack
        };
        let is_own = |(at, by)| by == key && uses.consumed_at == Some(at);
        if keeps != OnReversal::KeepUse && card.consumed.is_some_and(is_own) {
            card.consumed = None;
        }
        if is_under_lock && keeps == OnReversal::GiveBack {
            stays_under_lock = false;
            if let Some(lock) = card.lock.as_mut() {
                lock.approvals = lock.approvals.saturating_sub(1);
            }
            card.lock = card.lock.take().filter(|lock| lock.approvals > 0);
        }
    }
    if let Some(authorization) = state.authorizations.get_mut(key) {
        authorization.set_under_lock(stays_under_lock);
    }
}

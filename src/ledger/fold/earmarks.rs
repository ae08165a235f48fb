//! What is spent on a purchase card moves the earmark behind it (behaviour 5.8).
//!
//! Agent and customer are charged with the earmark alone. It holds what the card holds, and while it
//! is open at least what is left of it; what the card has posted, it has posted. So an authorization
//! on the card converts a part of it in the windows of its own approval, what goes beyond it is
//! charged to the windows under way, and what is never used comes back in one piece.

use crate::domain::card::{CardStatus, Key};
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::event::CardNo;
use crate::ledger::fold::settle::apply;
use crate::ledger::life::Place;
use crate::ledger::state::{Backing, State};

/// Puts an earmark behind a card.
pub(super) fn back(state: &mut State, no: CardNo, earmark: Key) {
    let first = |it: &Authorization| it.steps().next().map(|step| step.position);
    let Some(position) = state.authorization(earmark).and_then(first) else {
        return;
    };
    if let Some(card) = state.card_mut(no) {
        let is_open = card.status != CardStatus::Canceled;
        card.extras_mut().backing = Some(Backing {
            earmark,
            position,
            is_open,
        });
    }
    follow(state, Some(no));
}

/// Nothing more will be asked for on the card: what is unused goes back.
pub(super) fn close(state: &mut State, no: CardNo) {
    let Some(card) = state.card_mut(no) else {
        return;
    };
    if let Some(backing) = card.backing() {
        let is_open = false;
        card.extras_mut().backing = Some(Backing { is_open, ..backing });
        follow(state, Some(no));
    }
}

/// Brings the earmark behind the card of an authorization to where that card stands.
pub(super) fn follow_authorization(state: &mut State, key: Key) {
    let card = state.authorization(key).and_then(|it| it.card());
    follow(state, card);
}

/// Brings the earmark behind a card to where the card stands, after something that happened on it at
/// `at`. The earmark is heard of with it, also where nothing moves: it must not be forgotten before
/// what it stands for.
pub(super) fn hear(state: &mut State, card: Option<CardNo>, at: Timestamp) {
    if let Some(backing) = follow(state, card)
        && let Some(earmark) = state.authorizations.get_mut(backing.earmark)
        && let Some(life) = earmark.life_mut()
    {
        life.at = life.at.max(at);
    }
}

/// Brings the earmark behind a card to where the card stands, and says what stands behind it; nothing
/// where there is none any more.
pub(super) fn follow(state: &mut State, card: Option<CardNo>) -> Option<Backing> {
    let (day, hour, latest) = (state.day, state.hour, state.latest);
    let card = card.and_then(|no| state.card_mut(no))?;
    let mut backing = card.backing()?;
    let total = card.counters.total();
    let posted = total.spent.saturating_minus(total.held);
    // The one purchase of a single-use card is over: the rest comes back, whatever is refunded later.
    if card.consumed.is_some() && total.held.is_zero() && !posted.is_zero() {
        backing.is_open = false;
        card.extras_mut().backing = Some(backing);
    }
    let earmark = state.authorizations.get_mut(backing.earmark);
    let earmark = earmark.filter(|it| backing.is_by(it))?;
    earmark.begin_life();
    let unused = earmark.approved().saturating_minus(posted);
    let agent = earmark.steps().next().and_then(|step| step.agent);
    let placeholder = earmark.card();
    let open = Place {
        day,
        hour,
        at: latest,
        agent,
    };
    let life = earmark.life_mut()?;
    let held = if backing.is_open {
        // It is never filled up again, so that nothing is held that nobody was asked for.
        let settled = posted.saturating_minus(life.charged());
        let left = life.held().saturating_minus(settled);
        unused.min(left).max(total.held)
    } else {
        total.held
    };
    let moves = life.settle_to(held, posted, open);
    for moved in moves {
        apply(state, placeholder, &moved);
    }
    Some(backing)
}

//! What is spent on a purchase card moves the earmark behind it (behaviour 5.8).
//!
//! Agent and customer are charged with the earmark alone. It holds what the card holds, and while it
//! is open at least what is left of it; what the card has posted, it has posted. So an authorization
//! on the card converts a part of it in the windows of its own approval, what goes beyond it is
//! charged to the windows under way, and what is never used comes back in one piece. The earmark counts
//! as one approval: for the first on the card that stands. Those beside it count where they are booked.

use crate::domain::amount::Minor;
use crate::domain::card::{CardStatus, Key};
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::counters::Counters;
use crate::ledger::event::{AgentNo, CardNo};
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
            stands_for: None,
        });
    }
    follow(state, Some(no));
}

/// Counts an approval on a backed card: the first one that stands is what the earmark was counted
/// for, and whatever is approved beside it counts at agent and customer as well.
pub(super) fn count(state: &mut State, key: Key, step: &Step) {
    let card = state.authorization(key).and_then(|it| it.card());
    let Some(card) = card.and_then(|no| state.card_mut(no)) else {
        return;
    };
    let Some(backing) = card.backing() else {
        return;
    };
    if backing.stands_for.is_none() {
        let stands_for = Some(step.position);
        card.extras_mut().backing = Some(Backing {
            stands_for,
            ..backing
        });
        return;
    }
    if let Some(authorization) = state.authorizations.get_mut(key) {
        authorization.change(|it| it.counted_above |= it.position == step.position);
    }
    let booking = step.booking();
    each_above(state, step.agent, |counters| {
        // The earmark was charged to windows that may be over.
        counters.charge(&booking, Minor::ZERO);
        counters.count(&booking);
    });
}

/// Takes back what an approval has counted beside its card: its own count, or that the earmark's stands
/// for it.
pub(super) fn uncount(state: &mut State, card: Option<CardNo>, step: &Step) {
    if step.counted_above {
        let booking = step.booking();
        each_above(state, step.agent, |counters| counters.uncount(&booking));
        return;
    }
    let Some(card) = card.and_then(|no| state.card_mut(no)) else {
        return;
    };
    let backing = card.backing();
    if let Some(backing) = backing.filter(|it| it.stands_for == Some(step.position)) {
        let stands_for = None;
        card.extras_mut().backing = Some(Backing {
            stands_for,
            ..backing
        });
    }
}

fn each_above(state: &mut State, agent: Option<AgentNo>, act: impl Fn(&mut Counters)) {
    if let Some(agent) = agent.and_then(|agent| state.agent_mut(agent)) {
        act(&mut agent.counters);
    }
    act(&mut state.counters);
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

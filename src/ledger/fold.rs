//! The only mutation of the state: applies events. Total: an event that does not fit changes
//! nothing, because a journal that was written by `check` holds none.

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, Key, Level};
use crate::domain::identity::StoredStep;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Lag, Step};
use crate::ledger::counters::Counters;
use crate::ledger::event::{AgentNo, CardNo, Decided, Event, StandingChange};
use crate::ledger::life::Place;
use crate::ledger::rolling::{Rolling, SeriesSet};
use crate::ledger::state::{AgentState, CardState, MerchantLock, State};
use crate::ledger::trailing;

mod earmarks;
mod forced;
mod give_back;
mod intents;
mod settle;

pub(in crate::ledger) use settle::any_lapsed;

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
        } => open_card(state, *card, *key, (id, connection)),
        Event::AgentOpened { agent, key, id, .. } => open_agent(state, *agent, *key, id),
        Event::Decided(decided) => {
            book(state, decided, position);
            earmarks::hear(state, decided.card, decided.at);
        }
        Event::Backed { card, earmark, .. } => earmarks::back(state, *card, *earmark),
        Event::Overruled {
            authorization,
            decided_at,
            ..
        } => {
            give_back::overrule(state, *authorization, *decided_at);
            earmarks::follow_authorization(state, *authorization);
        }
        Event::Booked(booked) => {
            settle::book(state, booked, position);
            let card = state.authorization(booked.authorization);
            let card = card.and_then(|it| it.card());
            earmarks::hear(state, card, booked.at);
        }
        Event::StandingSet { change, .. } => set_standing(state, *change),
        Event::RiskFrozen { card, .. } => {
            if let Some(card) = state.card_mut(*card) {
                (card.frozen, card.frozen_by_risk) = (true, true);
            }
        }
        Event::Swept { part, cut, .. } => sweep(state, *part, *cut),
        Event::Lapsed {
            part,
            connection,
            cut,
            time,
            ..
        } => settle::lapse(state, *part, connection, (*cut, *time)),
        Event::WindowsOpened {
            day,
            day_ends,
            hour_offset_s,
            ..
        } => {
            if *day > state.day {
                (state.day, state.day_ends) = (*day, *day_ends);
            }
            state.hour_offset_s = *hour_offset_s;
        }
        Event::RollingOpened {
            card,
            agent,
            series,
            ..
        } => open_series(state, *card, *agent, *series),
        Event::IntentDeclared { .. } | Event::IntentSettled { .. } | Event::Attested { .. } => {
            intents::fold(state, event, position);
        }
    }
}

fn open_card(state: &mut State, card: CardNo, key: Key, (id, connection): (&str, &str)) {
    if usize::try_from(card.0).is_ok_and(|no| no == state.cards.len()) {
        state.cards.push(CardState::opened(key, id, connection));
        state.cards_by_key.get_or_insert_with(key, || card);
    }
}

fn open_agent(state: &mut State, agent: AgentNo, key: Key, id: &str) {
    if usize::try_from(agent.0).is_ok_and(|no| no == state.agents.len()) {
        state.agents.push(AgentState {
            key,
            id: id.into(),
            counters: Counters::default(),
            rolling: None,
            status: AgentStatus::Active,
        });
        state.agents_by_key.get_or_insert_with(key, || agent);
    }
}

fn set_standing(state: &mut State, change: StandingChange) {
    match change {
        StandingChange::Card(no, status, frozen) => {
            if let Some(card) = state.card_mut(no) {
                card.status = status;
                card.frozen_by_risk &= frozen;
                card.frozen = frozen;
            }
            if status == CardStatus::Canceled {
                earmarks::close(state, no);
            }
        }
        StandingChange::Agent(agent, status) => {
            if let Some(agent) = state.agent_mut(agent) {
                agent.status = status;
            }
        }
        StandingChange::Customer(status) => state.status = status,
    }
}

fn book(state: &mut State, decided: &Decided<'_>, position: u64) {
    let reserved = decided.reserved();
    let mut step = Step {
        stored: StoredStep {
            name: decided.step.name,
            delivery: decided.step.delivery,
            content: decided.step.content,
        },
        decision: decided.decision,
        reserved,
        day: decided.day,
        hour: decided.hour,
        lag: Lag::default(),
        counted: false,
        counted_above: false,
        flagged: decided.flagged,
        position,
        at: decided.at,
        agent: decided.agent,
    };
    if !reserved.is_zero() {
        step.lag = Lag::between(decided.at, state.latest);
    }
    let (counted, has_life) = remember(state, decided, step);
    if !reserved.is_zero() {
        charge(state, decided, &step, counted);
    }
    if has_life {
        let open = Place {
            at: state.latest.max(step.at),
            ..Place::of(&step)
        };
        settle::settle(state, decided.step.authorization, open);
    }
}

fn charge(state: &mut State, decided: &Decided<'_>, step: &Step, counted: bool) {
    let (booking, reserved) = (step.booking(), step.reserved);
    state.currency = state.currency.or(Some(decided.amount.currency));
    state.day = state.day.max(step.day);
    state.hour = state.hour.max(booking.hour);
    state.latest = state.latest.max(booking.at);
    each_scope(state, decided.card, step.agent, |counters, rolling| {
        counters.charge(&booking, reserved);
        if counted {
            counters.count(&booking);
        }
        if let Some(rolling) = rolling {
            rolling.charge(booking.at, reserved);
        }
    });
    // A probe is no purchase of its own.
    if counted && !decided.probes {
        earmarks::count(state, decided.step.authorization, step);
    }
    mark_card(state, decided, counted, step.position);
    if let Some(intents) = state.intents.as_deref_mut() {
        intents::book(intents, &mut state.cards, decided);
    }
}

/// What a booked approval does to its card: consumes it, is its probe, locks it, starts its cooldown.
fn mark_card(state: &mut State, decided: &Decided<'_>, is_first: bool, position: u64) {
    let card = decided.card.and_then(|card| usize::try_from(card.0).ok());
    let Some(card) = card.and_then(|card| state.cards.get_mut(card)) else {
        return;
    };
    if decided.consumes {
        card.consumed = Some((decided.at, decided.step.authorization));
    }
    if decided.probes {
        card.extras_mut().probe = Some(position);
    }
    // A probe starts no cooldown, so that its purchase can follow at once.
    if (is_first && !decided.probes) || (decided.consumes && !is_first) {
        card.recent.note(decided.at, position);
    }
    if let Some(locked) = &decided.locks {
        card.lock = Some(Box::new(MerchantLock::of(locked)));
    }
    let Some(lock) = card.lock.as_mut() else {
        return;
    };
    let authorization = state.authorizations.get_mut(decided.step.authorization);
    if let Some(authorization) = authorization.filter(|it| !it.is_under_lock()) {
        authorization.set_under_lock(true);
        lock.approvals = lock.approvals.saturating_add(1);
    }
}

/// Keeps the step; whether it is the one by which its authorization counts as approved, and whether
/// something was reported about it before.
fn remember(state: &mut State, decided: &Decided<'_>, step: Step) -> (bool, bool) {
    let reserves = !step.reserved.is_zero();
    // One that was declined because nobody knew its card is not bound to that card.
    let card = decided.card.filter(|_| decided.card_token.is_none());
    let mut is_new = false;
    let entry = state
        .authorizations
        .get_or_insert_with(decided.step.authorization, || {
            is_new = true;
            let first = Step {
                counted: reserves,
                ..step
            };
            Authorization::new(card, &first)
        });
    let Some(authorization) = entry else {
        return (reserves, false);
    };
    authorization.learn_hold_time(decided.hold_time);
    if is_new {
        return (reserves, false);
    }
    let counted = reserves && !authorization.is_purchase();
    authorization.bind(card);
    authorization.push(&Step { counted, ..step });
    let life = authorization.life_mut();
    let has_life = life.is_some();
    if let Some(life) = life.filter(|_| reserves) {
        life.has_lapsed = false;
        life.add(Place::of(&step), step.reserved, Minor::ZERO);
    }
    (counted, has_life)
}

/// Card, agent and customer, as far as the booking has them. Of a card with an earmark, the card
/// alone: what the other two are charged with follows from that.
fn each_scope(
    state: &mut State,
    card: Option<CardNo>,
    agent: Option<AgentNo>,
    act: impl Fn(&mut Counters, Option<&mut Rolling>),
) {
    if let Some(card) = card.and_then(|card| state.card_mut(card)) {
        act(&mut card.counters, card.rolling.as_deref_mut());
        if card.backing().is_some() {
            return;
        }
    }
    if let Some(agent) = agent.and_then(|agent| state.agent_mut(agent)) {
        act(&mut agent.counters, agent.rolling.as_deref_mut());
    }
    act(&mut state.counters, state.rolling.as_deref_mut());
}

fn open_series(state: &mut State, card: Option<CardNo>, agent: Option<AgentNo>, wanted: SeriesSet) {
    for series in trailing::begin(state, card, agent, wanted) {
        let place = match series.level {
            Level::Card => card
                .and_then(|no| state.card_mut(no))
                .map(|card| &mut card.rolling),
            Level::Agent => agent
                .and_then(|no| state.agent_mut(no))
                .map(|agent| &mut agent.rolling),
            Level::Customer => Some(&mut state.rolling),
        };
        if let Some(place) = place {
            place.get_or_insert_default().begin(series.series);
        }
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
        for portion in authorization.portions() {
            let booking = portion.place.booking();
            each_scope(
                state,
                authorization.card(),
                portion.place.agent,
                |counters, _| {
                    counters.settle(&booking, portion.held);
                },
            );
        }
        earmarks::follow(state, authorization.card());
    }
    intents::sweep(state, part, cut);
}

#[cfg(test)]
mod tests;

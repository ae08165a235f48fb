//! Status and freeze, set above what the snapshot says.

use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus};
use crate::domain::time::Timestamp;
use crate::ledger::check::{Events, agent_opened, next_number, open, parties};
use crate::ledger::command::{AgentRef, Authority, CardRef, Refused, SetStanding};
use crate::ledger::event::{AgentNo, Event, StandingChange};
use crate::ledger::state::State;

/// Sets a status; nothing where it stands so already.
///
/// # Errors
/// [`Refused`] where a canceled card would be anything else, where anybody but an owner would lift
/// a freeze that a risk rule set, or where numbers are used up.
pub fn set_standing<'a>(
    state: &State,
    command: &SetStanding<'a>,
    at: Timestamp,
) -> Result<Events<'a>, Refused> {
    match *command {
        SetStanding::Card {
            card,
            status,
            frozen,
        } => set_card(state, &card, (status, frozen), at),
        SetStanding::Freeze {
            card,
            frozen,
            by: Authority::Owner,
        } => set_card(state, &card, (None, Some(frozen)), at),
        SetStanding::Freeze {
            card,
            frozen,
            by: Authority::Risk,
        } => set_by_risk(state, &card, frozen, at),
        SetStanding::Agent { agent, status } => set_agent(state, &agent, status, at),
        SetStanding::Customer(status) => Ok(set_customer(state, status, at)),
    }
}

fn set_card<'a>(
    state: &State,
    card: &CardRef<'a>,
    (status, frozen): (Option<CardStatus>, Option<bool>),
    at: Timestamp,
) -> Result<Events<'a>, Refused> {
    let parties = parties(state, card)?;
    let now = parties
        .card
        .map_or((CardStatus::Active, false), |it| (it.status, it.frozen));
    let next = (status.unwrap_or(now.0), frozen.unwrap_or(now.1));
    if now.0 == CardStatus::Canceled && next.0 != CardStatus::Canceled {
        return Err(Refused);
    }
    if now == next {
        return Ok(Events::default());
    }
    let mut events = open(state, card, &parties);
    events.done = Some(Event::StandingSet {
        state: state.no,
        change: StandingChange::Card(parties.card_no, next.0, next.1),
        at,
    });
    Ok(events)
}

/// A risk rule freezes what nobody has frozen, and unfreezes nothing.
fn set_by_risk<'a>(
    state: &State,
    card: &CardRef<'a>,
    frozen: bool,
    at: Timestamp,
) -> Result<Events<'a>, Refused> {
    let parties = parties(state, card)?;
    let is_frozen = parties.card.is_some_and(|card| card.frozen);
    if frozen == is_frozen {
        return Ok(Events::default());
    }
    if !frozen {
        return Err(Refused);
    }
    let mut events = open(state, card, &parties);
    events.done = Some(Event::RiskFrozen {
        state: state.no,
        card: parties.card_no,
        at,
    });
    Ok(events)
}

fn set_agent<'a>(
    state: &State,
    agent: &AgentRef<'a>,
    status: AgentStatus,
    at: Timestamp,
) -> Result<Events<'a>, Refused> {
    let found = state.agent_by_key(agent.key);
    let no = match found {
        Some((no, _)) => no,
        None => AgentNo(next_number(state.agents.len())?),
    };
    if found.map_or(AgentStatus::Active, |(_, it)| it.status) == status {
        return Ok(Events::default());
    }
    let mut events = Events::only(Event::StandingSet {
        state: state.no,
        change: StandingChange::Agent(no, status),
        at,
    });
    if found.is_none() {
        events.opened.push(agent_opened(state, agent, no));
    }
    Ok(events)
}

fn set_customer<'a>(state: &State, status: CustomerStatus, at: Timestamp) -> Events<'a> {
    if state.status == status {
        return Events::default();
    }
    Events::only(Event::StandingSet {
        state: state.no,
        change: StandingChange::Customer(status),
        at,
    })
}

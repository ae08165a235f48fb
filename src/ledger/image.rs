//! One owner's whole state as bytes: for checkpoints, for export, and to compare two states.
//!
//! The bytes are canonical: equal states have equal images, whatever order they grew in.

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus};
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::identity::StoredStep;
use crate::domain::time::Timestamp;
use crate::domain::window::LocalDay;
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::counters::Counters;
use crate::ledger::event::{AgentNo, CardNo, Owner, StateNo, decode_locked, encode_locked};
use crate::ledger::state::{AgentState, Authorization, CardState, MerchantLock, State, Step};

const FORMAT: u8 = 1;

/// The state's image.
#[must_use]
pub fn encode(state: &State) -> Vec<u8> {
    let mut out = vec![FORMAT];
    out.put_u64(u64::from(state.no.0));
    out.put_key(state.key);
    let (kind, id) = match state.owner.as_owner() {
        Owner::Customer(id) => (0, id),
        Owner::Unattributed(connection) => (1, connection),
    };
    out.push(kind);
    out.put_text(id);
    put_counters(&mut out, &state.counters);
    out.put_i64(i64::from(state.day.0));
    out.put_u64(state.cards.len() as u64);
    state.cards.iter().for_each(|card| put_card(&mut out, card));
    out.put_u64(state.agents.len() as u64);
    for agent in &state.agents {
        out.put_key(agent.key);
        out.put_text(&agent.id);
        put_counters(&mut out, &agent.counters);
        out.push(agent.status as u8);
    }
    let authorizations = state.authorizations.sorted();
    out.put_u64(authorizations.len() as u64);
    for (key, authorization) in authorizations {
        out.put_key(key);
        put_authorization(&mut out, authorization);
    }
    out
}

/// The state of an image.
///
/// # Errors
/// [`Malformed`] where the bytes are no image of this format.
pub fn decode(bytes: &[u8]) -> Result<State, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != FORMAT {
        return Err(Malformed);
    }
    let no = StateNo(reader.u32()?);
    let key = reader.key()?;
    let owner = match reader.u8()? {
        0 => Owner::Customer(reader.text()?),
        1 => Owner::Unattributed(reader.text()?),
        _ => return Err(Malformed),
    };
    let mut state = State::new(no, key, owner);
    state.counters = counters(&mut reader)?;
    state.day = LocalDay(reader.i32()?);
    for no in 0..reader.u32()? {
        let card = card(&mut reader)?;
        state
            .cards_by_key
            .get_or_insert_with(card.key, || CardNo(no));
        state.cards.push(card);
    }
    for no in 0..reader.u32()? {
        let agent = agent(&mut reader)?;
        state
            .agents_by_key
            .get_or_insert_with(agent.key, || AgentNo(no));
        state.agents.push(agent);
    }
    for _ in 0..reader.u64()? {
        let key = reader.key()?;
        let authorization = authorization(&mut reader)?;
        state
            .authorizations
            .get_or_insert_with(key, || authorization);
    }
    if reader.is_empty() {
        Ok(state)
    } else {
        Err(Malformed)
    }
}

fn put_counters(out: &mut Vec<u8>, counters: &Counters) {
    counters
        .to_numbers()
        .into_iter()
        .for_each(|number| out.put_i64(number));
}

fn counters(reader: &mut Reader<'_>) -> Result<Counters, Malformed> {
    let mut numbers = [0i64; 11];
    for number in &mut numbers {
        *number = reader.i64()?;
    }
    Counters::from_numbers(numbers).ok_or(Malformed)
}

fn put_card(out: &mut Vec<u8>, card: &CardState) {
    out.put_key(card.key);
    out.put_text(&card.id);
    out.put_text(&card.connection);
    put_counters(out, &card.counters);
    out.push(card.status as u8);
    out.push(
        u8::from(card.frozen)
            | u8::from(card.consumed.is_some()) << 1
            | u8::from(card.lock.is_some()) << 2,
    );
    if let Some((at, by)) = card.consumed {
        out.put_i64(at.micros());
        out.put_key(by);
    }
    if let Some(lock) = &card.lock {
        encode_locked(out, &lock.as_locked());
        out.put_u64(u64::from(lock.approvals));
    }
}

fn card(reader: &mut Reader<'_>) -> Result<CardState, Malformed> {
    let key = reader.key()?;
    let id = reader.text()?.into();
    let connection = reader.text()?.into();
    let counters = counters(reader)?;
    let status = reader.u8()?;
    let status = [CardStatus::Active, CardStatus::Locked, CardStatus::Canceled]
        .into_iter()
        .find(|known| *known as u8 == status)
        .ok_or(Malformed)?;
    let flags = reader.u8()?;
    let consumed = (flags & 2 != 0)
        .then(|| Ok::<_, Malformed>((Timestamp::from_micros(reader.i64()?), reader.key()?)))
        .transpose()?;
    let lock = (flags & 4 != 0)
        .then(|| {
            let mut lock = MerchantLock::of(&decode_locked(reader)?);
            lock.approvals = reader.u32()?;
            Ok::<_, Malformed>(Box::new(lock))
        })
        .transpose()?;
    Ok(CardState {
        key,
        id,
        connection,
        counters,
        status,
        frozen: flags & 1 != 0,
        consumed,
        lock,
    })
}

fn agent(reader: &mut Reader<'_>) -> Result<AgentState, Malformed> {
    let key = reader.key()?;
    let id = reader.text()?.into();
    let counters = counters(reader)?;
    let status = reader.u8()?;
    let status = [
        AgentStatus::Active,
        AgentStatus::Paused,
        AgentStatus::Disabled,
    ]
    .into_iter()
    .find(|known| *known as u8 == status)
    .ok_or(Malformed)?;
    Ok(AgentState {
        key,
        id,
        counters,
        status,
    })
}

fn put_authorization(out: &mut Vec<u8>, authorization: &Authorization) {
    out.put_u64(authorization.card.map_or(0, |card| u64::from(card.0) + 1));
    out.push(u8::from(authorization.under_lock));
    out.put_u64(authorization.more.len() as u64);
    authorization.steps().for_each(|step| put_step(out, step));
}

fn authorization(reader: &mut Reader<'_>) -> Result<Authorization, Malformed> {
    let card = reader.u64()?.checked_sub(1).map(u32::try_from).transpose();
    let card = card?.map(CardNo);
    let under_lock = reader.u8()? != 0;
    let increments = reader.u64()?;
    let first = step(reader)?;
    let more = (0..increments)
        .map(|_| step(reader))
        .collect::<Result<_, _>>()?;
    Ok(Authorization {
        card,
        first,
        more,
        under_lock,
    })
}

fn put_step(out: &mut Vec<u8>, step: &Step) {
    let StoredStep {
        name,
        delivery,
        content,
    } = step.stored;
    let flags = u8::from(name.is_some())
        | u8::from(delivery.is_some()) << 1
        | u8::from(step.agent.is_some()) << 2
        | u8::from(matches!(step.decision, Decision::ApprovePartial(_))) << 3;
    out.push(flags);
    out.put_fixed_u64(content);
    [name, delivery]
        .into_iter()
        .flatten()
        .for_each(|number| out.put_fixed_u64(number));
    if let Some(agent) = step.agent {
        out.put_u64(u64::from(agent.0));
    }
    match step.decision {
        Decision::Approve => out.push(0),
        Decision::Decline(reason) => out.push(reason.number()),
        Decision::ApprovePartial(amount) => {
            out.push(0);
            out.put_i64(amount.get());
        }
    }
    out.put_i64(step.reserved.get());
    out.put_i64(i64::from(step.day.0));
    out.put_u64(step.position);
    out.put_i64(step.at.micros());
}

fn step(reader: &mut Reader<'_>) -> Result<Step, Malformed> {
    let flags = reader.u8()?;
    let content = reader.fixed_u64()?;
    let name = (flags & 1 != 0).then(|| reader.fixed_u64()).transpose()?;
    let delivery = (flags & 2 != 0).then(|| reader.fixed_u64()).transpose()?;
    let agent = (flags & 4 != 0)
        .then(|| reader.u32())
        .transpose()?
        .map(AgentNo);
    let minor = |number: i64| Minor::new(number).ok().ok_or(Malformed);
    let decision = match (reader.u8()?, flags & 8 != 0) {
        (0, true) => Decision::ApprovePartial(minor(reader.i64()?)?),
        (0, false) => Decision::Approve,
        (number, false) => Decision::Decline(DeclineReason::from_number(number).ok_or(Malformed)?),
        (_, true) => return Err(Malformed),
    };
    Ok(Step {
        stored: StoredStep {
            name,
            delivery,
            content,
        },
        decision,
        reserved: minor(reader.i64()?)?,
        day: LocalDay(reader.i32()?),
        position: reader.u64()?,
        at: Timestamp::from_micros(reader.i64()?),
        agent,
    })
}

/// The key of an owner in checkpoints: its number in the journal.
#[must_use]
pub fn checkpoint_key(no: StateNo) -> u64 {
    u64::from(no.0)
}

#[cfg(test)]
mod golden;

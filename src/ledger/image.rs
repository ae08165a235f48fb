//! One owner's whole state as bytes: for checkpoints, for export, and to compare two states.
//!
//! The bytes are canonical: equal states have equal images, whatever order they grew in.

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, Key};
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StoredStep;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::authorization::{Authorization, Lag, Step};
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::counters::{Counters, NUMBERS, NUMBERS_FIRST};
use crate::ledger::event::{
    AgentNo, CardNo, Decided, Owner, StateNo, decode_locked, decode_terms, encode_locked,
    encode_terms,
};
use crate::ledger::intent::{Fate, Intent};
use crate::ledger::recent::Recent;
use crate::ledger::rolling::{Rolling, Series};
use crate::ledger::state::{AgentState, Backing, CardState, Extras, MerchantLock, State};

mod first;
mod flags;
mod life;

/// In an authorization's flags, of two bits.
const HOLD_TIME_SHIFT: u32 = 3;

/// What an image says. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    /// Sums, standing, locks and steps.
    First = 1,
    /// Also counts, trailing sums, the ends of windows, cooldowns, probes and intents.
    Second = 2,
}

/// The state's image.
#[must_use]
pub fn encode(state: &State) -> Vec<u8> {
    encode_as(state, Format::Second)
}

/// Whether the bytes are an image of this state. One that goes back to an image of the first
/// version is compared by what that version knew.
#[must_use]
pub fn is_of(bytes: &[u8], state: &State) -> bool {
    let Ok(mut stored) = decode(bytes) else {
        return false;
    };
    if stored.inherited {
        encode_as(&stored, Format::First) == encode_as(state, Format::First)
    } else if stored.currency.is_none() {
        // Versions that knew no currency kept none.
        let is_canonical = bytes == encode(&stored).as_slice();
        stored.currency = state.currency;
        is_canonical && encode(&stored) == encode(state)
    } else {
        bytes == encode(state).as_slice()
    }
}

fn encode_as(state: &State, format: Format) -> Vec<u8> {
    let mut out = vec![format as u8];
    out.put_u64(u64::from(state.no.0));
    out.put_key(state.key);
    let (kind, id) = match state.owner.as_owner() {
        Owner::Customer(id) => (0, id),
        Owner::Unattributed(connection) => (1, connection),
    };
    out.push(kind);
    out.put_text(id);
    put_counters(&mut out, &state.counters, format);
    out.put_i64(i64::from(state.day.0));
    if format >= Format::Second {
        put_rolling(&mut out, state.rolling.as_deref());
        out.put_i64(state.day_ends.micros());
        out.put_i64(i64::from(state.hour.0));
        out.put_u64(u64::from(state.hour_offset_s));
        out.put_i64(state.latest.micros());
        flags::put(&mut out, state);
    }
    out.put_u64(state.cards.len() as u64);
    for card in &state.cards {
        put_card(&mut out, card, format);
    }
    out.put_u64(state.agents.len() as u64);
    for agent in &state.agents {
        out.put_key(agent.key);
        out.put_text(&agent.id);
        put_counters(&mut out, &agent.counters, format);
        if format >= Format::Second {
            put_rolling(&mut out, agent.rolling.as_deref());
        }
        out.push(agent.status as u8);
    }
    let authorizations = state.authorizations.sorted();
    out.put_u64(authorizations.len() as u64);
    for (key, authorization) in authorizations {
        out.put_key(key);
        put_authorization(&mut out, authorization, format);
    }
    if format >= Format::Second {
        put_intents(&mut out, state);
    }
    out
}

/// The state of an image.
///
/// # Errors
/// [`Malformed`] where the bytes are no image of a known format.
pub fn decode(bytes: &[u8]) -> Result<State, Malformed> {
    let mut reader = Reader::new(bytes);
    let format = reader.u8()?;
    let format = [Format::First, Format::Second]
        .into_iter()
        .find(|known| *known as u8 == format)
        .ok_or(Malformed)?;
    let no = StateNo(reader.u32()?);
    let key = reader.key()?;
    let owner = match reader.u8()? {
        0 => Owner::Customer(reader.text()?),
        1 => Owner::Unattributed(reader.text()?),
        _ => return Err(Malformed),
    };
    let mut state = State::new(no, key, owner);
    state.counters = counters(&mut reader, format)?;
    state.day = LocalDay(reader.i32()?);
    if format >= Format::Second {
        state.rolling = rolling(&mut reader)?;
        state.day_ends = instant(&mut reader)?;
        state.hour = LocalHour(reader.i32()?);
        state.hour_offset_s = reader.u16()?;
        state.latest = instant(&mut reader)?;
        flags::read(&mut reader, &mut state)?;
    }
    for no in 0..reader.u32()? {
        let card = card(&mut reader, format)?;
        state
            .cards_by_key
            .get_or_insert_with(card.key, || CardNo(no));
        state.cards.push(card);
    }
    for no in 0..reader.u32()? {
        let agent = agent(&mut reader, format)?;
        state
            .agents_by_key
            .get_or_insert_with(agent.key, || AgentNo(no));
        state.agents.push(agent);
    }
    for _ in 0..reader.u64()? {
        let key = reader.key()?;
        let authorization = authorization(&mut reader, format)?;
        state
            .authorizations
            .get_or_insert_with(key, || authorization);
    }
    match format {
        Format::First => first::complete(&mut state),
        Format::Second => intents(&mut reader, &mut state)?,
    }
    if reader.is_empty() {
        Ok(state)
    } else {
        Err(Malformed)
    }
}

fn instant(reader: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    Ok(Timestamp::from_micros(reader.i64()?))
}

fn minor(reader: &mut Reader<'_>) -> Result<Minor, Malformed> {
    Minor::new(reader.i64()?).ok().ok_or(Malformed)
}

fn put_counters(out: &mut Vec<u8>, counters: &Counters, format: Format) {
    let count = match format {
        Format::First => NUMBERS_FIRST,
        Format::Second => NUMBERS,
    };
    let numbers = counters.to_numbers().into_iter().take(count);
    numbers.for_each(|number| out.put_i64(number));
}

fn counters(reader: &mut Reader<'_>, format: Format) -> Result<Counters, Malformed> {
    let mut first = [0i64; NUMBERS_FIRST];
    let mut all = [0i64; NUMBERS];
    let numbers = match format {
        Format::First => first.as_mut_slice(),
        Format::Second => all.as_mut_slice(),
    };
    for number in numbers {
        *number = reader.i64()?;
    }
    match format {
        Format::First => Counters::from_first_numbers(first),
        Format::Second => Counters::from_numbers(all),
    }
    .ok_or(Malformed)
}

/// A bit for each series that is kept, then their buckets.
fn put_rolling(out: &mut Vec<u8>, rolling: Option<&Rolling>) {
    let kept = rolling.into_iter().flat_map(Rolling::iter);
    let bits = kept.fold(0u8, |bits, series| bits | 1 << series.kind() as u8);
    out.push(bits);
    for series in rolling.into_iter().flat_map(Rolling::iter) {
        let buckets = series.buckets();
        out.put_u64(buckets.len() as u64);
        let mut last = 0i64;
        for (bucket, content) in buckets {
            out.put_i64(bucket.wrapping_sub(last));
            out.put_i64(content.get());
            last = bucket;
        }
    }
}

fn rolling(reader: &mut Reader<'_>) -> Result<Option<Box<Rolling>>, Malformed> {
    let bits = reader.u8()?;
    if bits == 0 {
        return Ok(None);
    }
    if bits > 7 {
        return Err(Malformed);
    }
    let mut rolling = Rolling::default();
    for kind in WindowKind::ALL {
        if bits & 1 << kind as u8 == 0 {
            continue;
        }
        let mut buckets = Vec::new();
        let mut last = 0i64;
        for _ in 0..reader.u64()? {
            last = last.wrapping_add(reader.i64()?);
            buckets.push((last, minor(reader)?));
        }
        let series = Series::from_buckets(kind, buckets.into_iter());
        rolling.begin(series.ok_or(Malformed)?);
    }
    Ok(Some(Box::new(rolling)))
}

fn put_card(out: &mut Vec<u8>, card: &CardState, format: Format) {
    out.put_key(card.key);
    out.put_text(&card.id);
    out.put_text(&card.connection);
    put_counters(out, &card.counters, format);
    out.push(card.status as u8);
    let by_risk = card.frozen_by_risk && format >= Format::Second;
    out.push(
        u8::from(card.frozen)
            | u8::from(card.consumed.is_some()) << 1
            | u8::from(card.lock.is_some()) << 2
            | u8::from(by_risk) << 3,
    );
    if let Some((at, by)) = card.consumed {
        out.put_i64(at.micros());
        out.put_key(by);
    }
    if let Some(lock) = &card.lock {
        encode_locked(out, &lock.as_locked());
        out.put_u64(u64::from(lock.approvals));
    }
    if format >= Format::Second {
        put_rolling(out, card.rolling.as_deref());
        let (kept, older) = card.recent.to_parts();
        for (at, position) in kept {
            out.put_i64(at.micros());
            out.put_u64(position);
        }
        out.put_i64(older.micros());
        put_extras(out, card);
    }
}

/// Extras that say nothing are written as if they were not there.
fn put_extras(out: &mut Vec<u8>, card: &CardState) {
    let (probe, attested_at, open) = (card.probe(), card.attested_at(), card.open_intents());
    let backing = card.backing();
    out.push(
        u8::from(probe.is_some())
            | u8::from(attested_at.is_some()) << 1
            | u8::from(!open.is_empty()) << 2
            | u8::from(backing.is_some()) << 3
            | u8::from(backing.is_some_and(|it| it.is_open)) << 4
            | u8::from(backing.is_some_and(|it| it.stands_for.is_some())) << 5,
    );
    if let Some(position) = probe {
        out.put_u64(position);
    }
    if let Some(at) = attested_at {
        out.put_i64(at.micros());
    }
    if !open.is_empty() {
        out.put_u64(open.len() as u64);
        open.iter().for_each(|key| out.put_key(*key));
    }
    if let Some(backing) = backing {
        out.put_key(backing.earmark);
        out.put_u64(backing.position);
        if let Some(position) = backing.stands_for {
            out.put_u64(position);
        }
    }
}

fn extras(reader: &mut Reader<'_>) -> Result<Option<Box<Extras>>, Malformed> {
    let flags = reader.u8()?;
    if flags == 0 {
        return Ok(None);
    }
    let probe = (flags & 1 != 0).then(|| reader.u64()).transpose()?;
    let attested_at = (flags & 2 != 0).then(|| instant(reader)).transpose()?;
    let mut open_intents = Vec::new();
    if flags & 4 != 0 {
        for _ in 0..reader.u64()? {
            open_intents.push(reader.key()?);
        }
    }
    let mut backing = None;
    if flags & 8 != 0 {
        backing = Some(Backing {
            earmark: reader.key()?,
            position: reader.u64()?,
            is_open: flags & 16 != 0,
            stands_for: (flags & 32 != 0).then(|| reader.u64()).transpose()?,
        });
    }
    Ok(Some(Box::new(Extras {
        probe,
        attested_at,
        open_intents,
        backing,
    })))
}

fn card(reader: &mut Reader<'_>, format: Format) -> Result<CardState, Malformed> {
    let key = reader.key()?;
    let mut card = CardState::opened(key, reader.text()?, reader.text()?);
    card.counters = counters(reader, format)?;
    card.status = CardStatus::from_number(reader.u8()?).ok_or(Malformed)?;
    let flags = reader.u8()?;
    card.frozen = flags & 1 != 0;
    card.frozen_by_risk = flags & 8 != 0;
    card.consumed = (flags & 2 != 0)
        .then(|| Ok::<_, Malformed>((instant(reader)?, reader.key()?)))
        .transpose()?;
    card.lock = (flags & 4 != 0)
        .then(|| {
            let mut lock = MerchantLock::of(&decode_locked(reader)?);
            lock.approvals = reader.u32()?;
            Ok::<_, Malformed>(Box::new(lock))
        })
        .transpose()?;
    if format >= Format::Second {
        card.rolling = rolling(reader)?;
        let mut kept = Recent::default().to_parts().0;
        for (at, position) in &mut kept {
            (*at, *position) = (instant(reader)?, reader.u64()?);
        }
        card.recent = Recent::from_parts(kept, instant(reader)?).ok_or(Malformed)?;
        card.extras = extras(reader)?;
    }
    Ok(card)
}

fn agent(reader: &mut Reader<'_>, format: Format) -> Result<AgentState, Malformed> {
    let key = reader.key()?;
    let id = reader.text()?.into();
    let counters = counters(reader, format)?;
    let rolling = match format {
        Format::First => None,
        Format::Second => rolling(reader)?,
    };
    let status = AgentStatus::from_number(reader.u8()?).ok_or(Malformed)?;
    Ok(AgentState {
        key,
        id,
        counters,
        rolling,
        status,
    })
}

fn put_authorization(out: &mut Vec<u8>, authorization: &Authorization, format: Format) {
    out.put_u64(authorization.card().map_or(0, |card| u64::from(card.0) + 1));
    let life = authorization.life().filter(|_| format >= Format::Second);
    let hold_time = match format {
        Format::First => HoldTime::Unknown,
        Format::Second => authorization.hold_time(),
    };
    out.push(
        u8::from(authorization.is_under_lock())
            | u8::from(life.is_some()) << 1
            | u8::from(authorization.is_parked()) << 2
            | (hold_time as u8) << HOLD_TIME_SHIFT,
    );
    let increments = authorization.steps().count().saturating_sub(1);
    out.put_u64(increments as u64);
    for step in authorization.steps() {
        put_step(out, &step, format);
    }
    if authorization.is_parked() {
        out.put_i64(authorization.first.at.micros());
    }
    if let Some(life) = life {
        life::put(out, life);
    }
}

fn authorization(reader: &mut Reader<'_>, format: Format) -> Result<Authorization, Malformed> {
    let card = reader.u64()?.checked_sub(1).map(u32::try_from).transpose();
    let card = card?.map(CardNo);
    let flags = reader.u8()?;
    // Images of versions that did not know hold times have none: what they hold is held for the
    // longest.
    let hold_time = HoldTime::from_number(flags >> HOLD_TIME_SHIFT).ok_or(Malformed)?;
    let increments = reader.u64()?;
    let mut authorization = if flags & 4 == 0 {
        Authorization::new(card, &step(reader, format)?)
    } else if increments == 0 {
        Authorization::parked(card, instant(reader)?)
    } else {
        return Err(Malformed);
    };
    for _ in 0..increments {
        authorization.push(&step(reader, format)?);
    }
    if flags & 2 != 0 {
        authorization.set_life(life::read(reader)?);
    }
    authorization.set_under_lock(flags & 1 != 0);
    authorization.learn_hold_time(hold_time);
    Ok(authorization)
}

/// Hour and lag are written where they are not what they are for nearly every step.
fn put_step(out: &mut Vec<u8>, step: &Step, format: Format) {
    let StoredStep {
        name,
        delivery,
        content,
    } = step.stored;
    let second = format >= Format::Second;
    let placed = second && (step.hour != Decided::utc_hour(step.at) || step.lag != Lag::default());
    let flags = u8::from(name.is_some())
        | u8::from(delivery.is_some()) << 1
        | u8::from(step.agent.is_some()) << 2
        | u8::from(matches!(step.decision, Decision::ApprovePartial(_))) << 3
        | u8::from(second && step.counted) << 4
        | u8::from(second && step.flagged) << 5
        | u8::from(placed) << 6
        | u8::from(second && step.counted_above) << 7;
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
    if placed {
        out.put_i64(i64::from(step.hour.0));
        out.put_u64(u64::from(step.lag.bits()));
    }
}

fn step(reader: &mut Reader<'_>, format: Format) -> Result<Step, Malformed> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & 1 << bit != 0;
    let content = reader.fixed_u64()?;
    let name = has(0).then(|| reader.fixed_u64()).transpose()?;
    let delivery = has(1).then(|| reader.fixed_u64()).transpose()?;
    let agent = has(2).then(|| reader.u32()).transpose()?.map(AgentNo);
    let decision = match (reader.u8()?, has(3)) {
        (0, true) => Decision::ApprovePartial(minor(reader)?),
        (0, false) => Decision::Approve,
        (number, false) => Decision::Decline(DeclineReason::from_number(number).ok_or(Malformed)?),
        (_, true) => return Err(Malformed),
    };
    let mut step = Step {
        stored: StoredStep {
            name,
            delivery,
            content,
        },
        decision,
        reserved: minor(reader)?,
        day: LocalDay(reader.i32()?),
        hour: LocalHour(i32::MIN),
        lag: Lag::default(),
        counted: has(4),
        counted_above: format >= Format::Second && has(7),
        flagged: has(5),
        position: reader.u64()?,
        at: instant(reader)?,
        agent,
    };
    step.hour = Decided::utc_hour(step.at);
    if format >= Format::Second && has(6) {
        step.hour = LocalHour(reader.i32()?);
        step.lag = Lag::from_bits(reader.u32()?);
    }
    Ok(step)
}

fn put_intents(out: &mut Vec<u8>, state: &State) {
    let intents = state.intents.as_deref();
    let sorted = intents.map_or_else(Vec::new, |intents| intents.sorted());
    out.put_u64(sorted.len() as u64);
    for (key, intent) in sorted {
        out.put_key(key);
        out.put_u64(u64::from(intent.card.0));
        out.put_i64(intent.at.micros());
        out.put_u64(intent.position);
        encode_terms(out, &intent.terms);
        let (fate, by) = match intent.fate {
            Fate::Open => (0, None),
            Fate::Rejected => (1, None),
            Fate::Canceled => (2, None),
            Fate::Taken { by, mismatched } => {
                let fate = if by.is_some() { 3 } else { 5 };
                (fate + u8::from(mismatched), by)
            }
        };
        out.push(fate | u8::from(intent.approved) << 7);
        if let Some(by) = by {
            out.put_key(by);
        }
    }
}

fn intents(reader: &mut Reader<'_>, state: &mut State) -> Result<(), Malformed> {
    for _ in 0..reader.u64()? {
        let key = reader.key()?;
        let (card, at) = (CardNo(reader.u32()?), instant(reader)?);
        let position = reader.u64()?;
        let terms = decode_terms(reader)?;
        let flags = reader.u8()?;
        let taken = |by: Option<Key>, mismatched| Fate::Taken { by, mismatched };
        let fate = match flags & 0x7F {
            0 => Fate::Open,
            1 => Fate::Rejected,
            2 => Fate::Canceled,
            3 => taken(Some(reader.key()?), false),
            4 => taken(Some(reader.key()?), true),
            5 => taken(None, false),
            6 => taken(None, true),
            _ => return Err(Malformed),
        };
        let intent = Intent {
            card,
            at,
            position,
            terms,
            approved: flags & 0x80 != 0,
            fate,
        };
        state.intents.get_or_insert_default().insert(key, intent);
    }
    Ok(())
}

/// The key of an owner in checkpoints: its number in the journal.
#[must_use]
pub fn checkpoint_key(no: StateNo) -> u64 {
    u64::from(no.0)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

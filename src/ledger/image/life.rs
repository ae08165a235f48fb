//! What became of an authorization, as bytes of an image.

use super::{instant, minor};
use crate::domain::lifecycle::OnReversal;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::event::{
    AgentNo, decode_fact, decode_locked, decode_told, encode_fact, encode_locked, encode_told,
};
use crate::ledger::life::{FACTS_MAX, Fact, Life, Place, Portion, Taken, Uses};
use crate::ledger::state::MerchantLock;

const HAS_TOLD: u8 = 1;
const HAS_DRIFTED: u8 = 2;
const IS_TAKEN: u8 = 4;
const HAS_LAPSED: u8 = 8;
const HAS_USES: u8 = 16;

const WAS_CONSUMED: u8 = 1;
const WAS_PROBE: u8 = 2;
const WAS_UNDER_LOCK: u8 = 4;
const HAS_LOCK: u8 = 8;

pub(super) fn put(out: &mut Vec<u8>, life: &Life) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(life.told.is_some(), HAS_TOLD)
            | flag(life.has_drifted, HAS_DRIFTED)
            | flag(life.taken.is_some(), IS_TAKEN)
            | flag(life.has_lapsed, HAS_LAPSED)
            | flag(life.uses.is_some(), HAS_USES),
    );
    out.push(life.on_reversal as u8);
    out.put_i64(life.at.micros());
    out.put_u64(life.position);
    out.put_i64(life.restorable.get());
    if let Some(told) = &life.told {
        encode_told(out, told);
    }
    if let Some(taken) = &life.taken {
        put_taken(out, taken);
    }
    if let Some(uses) = &life.uses {
        put_uses(out, uses);
    }
    out.put_u64(life.facts.len() as u64);
    life.facts.iter().for_each(|fact| encode_fact(out, fact));
    out.put_u64(life.portions.len() as u64);
    for Portion {
        held,
        posted,
        place,
    } in &life.portions
    {
        out.put_i64(held.get());
        out.put_i64(posted.get());
        out.put_i64(i64::from(place.day.0));
        out.put_i64(i64::from(place.hour.0));
        out.put_i64(place.at.micros());
        out.put_u64(place.agent.map_or(0, |agent| u64::from(agent.0) + 1));
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Life, Malformed> {
    let flags = reader.u8()?;
    if flags & !(HAS_TOLD | HAS_DRIFTED | IS_TAKEN | HAS_LAPSED | HAS_USES) != 0 {
        return Err(Malformed);
    }
    let mut life = Life {
        on_reversal: OnReversal::from_number(reader.u8()?).ok_or(Malformed)?,
        at: instant(reader)?,
        position: reader.u64()?,
        restorable: minor(reader)?,
        has_drifted: flags & HAS_DRIFTED != 0,
        has_lapsed: flags & HAS_LAPSED != 0,
        ..Life::default()
    };
    if flags & HAS_TOLD != 0 {
        life.told = Some(decode_told(reader)?);
    }
    if flags & IS_TAKEN != 0 {
        life.taken = Some(Box::new(taken(reader)?));
    }
    if flags & HAS_USES != 0 {
        life.uses = Some(Box::new(uses(reader)?));
    }
    let count = usize::try_from(reader.u64()?)?;
    if count > FACTS_MAX {
        return Err(Malformed);
    }
    let facts = (0..count).map(|_| decode_fact(reader));
    life.facts = facts.collect::<Result<Vec<Fact>, _>>()?;
    if !life.facts.is_sorted_by(|a, b| a.id < b.id) {
        return Err(Malformed);
    }
    for _ in 0..reader.u64()? {
        life.portions.push(portion(reader)?);
    }
    Ok(life)
}

fn portion(reader: &mut Reader<'_>) -> Result<Portion, Malformed> {
    let (held, posted) = (minor(reader)?, minor(reader)?);
    let (day, hour) = (LocalDay(reader.i32()?), LocalHour(reader.i32()?));
    let at = instant(reader)?;
    let agent = reader
        .u64()?
        .checked_sub(1)
        .map(u32::try_from)
        .transpose()?;
    Ok(Portion {
        held,
        posted,
        place: Place {
            day,
            hour,
            at,
            agent: agent.map(AgentNo),
        },
    })
}

fn put_taken(out: &mut Vec<u8>, taken: &Taken) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(taken.consumed_at.is_some(), WAS_CONSUMED)
            | flag(taken.probe.is_some(), WAS_PROBE)
            | flag(taken.was_under_lock, WAS_UNDER_LOCK)
            | flag(taken.lock.is_some(), HAS_LOCK),
    );
    if let Some(at) = taken.consumed_at {
        out.put_i64(at.micros());
    }
    if let Some(position) = taken.probe {
        out.put_u64(position);
    }
    if let Some(lock) = &taken.lock {
        put_lock(out, lock);
    }
}

fn put_lock(out: &mut Vec<u8>, lock: &MerchantLock) {
    encode_locked(out, &lock.as_locked());
    out.put_u64(u64::from(lock.approvals));
}

fn lock(reader: &mut Reader<'_>) -> Result<Box<MerchantLock>, Malformed> {
    let mut lock = MerchantLock::of(&decode_locked(reader)?);
    lock.approvals = reader.u32()?;
    Ok(Box::new(lock))
}

const CONSUMES: u8 = 1;
const HAS_CONSUMED: u8 = 2;

fn put_uses(out: &mut Vec<u8>, uses: &Uses) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(uses.consumes, CONSUMES)
            | flag(uses.consumed_at.is_some(), HAS_CONSUMED)
            | flag(uses.lock.is_some(), HAS_LOCK),
    );
    if let Some(at) = uses.consumed_at {
        out.put_i64(at.micros());
    }
    if let Some(lock) = &uses.lock {
        put_lock(out, lock);
    }
}

fn uses(reader: &mut Reader<'_>) -> Result<Uses, Malformed> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & bit != 0;
    Ok(Uses {
        consumes: has(CONSUMES),
        consumed_at: has(HAS_CONSUMED).then(|| instant(reader)).transpose()?,
        lock: has(HAS_LOCK).then(|| lock(reader)).transpose()?,
    })
}

fn taken(reader: &mut Reader<'_>) -> Result<Taken, Malformed> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & bit != 0;
    Ok(Taken {
        was_under_lock: has(WAS_UNDER_LOCK),
        consumed_at: has(WAS_CONSUMED).then(|| instant(reader)).transpose()?,
        probe: has(WAS_PROBE).then(|| reader.u64()).transpose()?,
        lock: has(HAS_LOCK).then(|| lock(reader)).transpose()?,
    })
}

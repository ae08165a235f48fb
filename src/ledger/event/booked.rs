//! What an issuer reported, as the journal keeps it.
//!
//! The event holds what was new in the report. What it comes to, `fold` finds from all that is
//! known of the authorization, so that no order of reports leaves its mark.

use crate::domain::amount::Minor;
use crate::domain::card::Key;
use crate::domain::currency::Currency;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::{OnReversal, StandingStatus};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::codec::{ExternalId, Malformed, Put, Reader};
use crate::ledger::event::{
    AgentNo, BOOKED, CardNo, LockedMerchant, StateNo, decode_locked, encode_locked, head,
};
use crate::ledger::life::{FACTS_MAX, Fact, Told};

/// One report about one authorization: what was new in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked<'a> {
    /// Where it is booked.
    pub state: StateNo,
    /// Our clock at receipt.
    pub at: Timestamp,
    /// The authorization.
    pub authorization: Key,
    /// The issuer's id of it.
    pub external: ExternalId<'a>,
    /// Absent where the card is unknown; then nothing counts anywhere.
    pub card: Option<CardNo>,
    /// Whom something that has to be charged now is charged to.
    pub agent: Option<AgentNo>,
    /// The day whose windows are charged then.
    pub day: LocalDay,
    /// The hour that is under way then.
    pub hour: LocalHour,
    /// Of all amounts.
    pub currency: Currency,
    /// How long it may be held, by the category of the merchant that the report names.
    pub hold_time: HoldTime,
    /// Things that were not known before.
    pub facts: Vec<Fact>,
    /// A newer account than the one that was known.
    pub told: Option<Told>,
    /// Whether refunds restored the budget when it was booked.
    pub refunds_restore: bool,
    /// What a full reversal gives back.
    pub on_reversal: OnReversal,
    /// Whether another merchant posted than the one that the card is locked to.
    pub has_drifted: bool,
    /// Whether it consumes a single-use card, should no approval of ours stand.
    pub consumes: bool,
    /// The merchant that it locks the card to, where that is not locked yet.
    pub locks: Option<LockedMerchant<'a>>,
    /// Where it tells of a step that the issuer has declined by itself, and of which nothing was known.
    pub declined: Option<DeclinedThere>,
}

/// A step that an issuer has declined by itself: one that we had approved, or were not asked about. It
/// moves nothing by itself; it is kept for those who read records (behaviour 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclinedThere {
    /// Which step of the authorization it is, behind those that we have decided.
    pub ordinal: u32,
    /// What it asked for.
    pub amount: Minor,
}

const HAS_TOLD: u8 = 1;
const REFUNDS_RESTORE: u8 = 2;
const HAS_DRIFTED: u8 = 4;
/// Of two bits. Events of versions that did not know any have none.
const HOLD_TIME_SHIFT: u32 = 3;
const CONSUMES: u8 = 32;
const HAS_LOCK: u8 = 64;
const HAS_DECLINED: u8 = 128;
const HAS_POSTED: u8 = 1;
const HAS_REFUNDED: u8 = 2;
/// Accounts of versions that did not know it have none.
const HAS_MADE_AT: u8 = 4;

pub(super) fn encode_booked(out: &mut Vec<u8>, booked: &Booked<'_>) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    head(out, BOOKED, booked.state);
    out.put_i64(booked.at.micros());
    out.put_key(booked.authorization);
    match booked.external {
        ExternalId::Text(text) => out.put_external_id(text),
        ExternalId::Uuid(_) => out.put_external_id(&booked.external.to_string()),
    }
    out.put_u64(booked.card.map_or(0, |card| u64::from(card.0) + 1));
    out.put_u64(booked.agent.map_or(0, |agent| u64::from(agent.0) + 1));
    out.put_i64(i64::from(booked.day.0));
    out.put_i64(i64::from(booked.hour.0));
    out.put_u64(u64::from(booked.currency.packed()));
    out.push(
        flag(booked.told.is_some(), HAS_TOLD)
            | flag(booked.refunds_restore, REFUNDS_RESTORE)
            | flag(booked.has_drifted, HAS_DRIFTED)
            | (booked.hold_time as u8) << HOLD_TIME_SHIFT
            | flag(booked.consumes, CONSUMES)
            | flag(booked.locks.is_some(), HAS_LOCK)
            | flag(booked.declined.is_some(), HAS_DECLINED),
    );
    out.push(booked.on_reversal as u8);
    if let Some(told) = &booked.told {
        encode_told(out, told);
    }
    out.put_u64(booked.facts.len() as u64);
    booked.facts.iter().for_each(|fact| encode_fact(out, fact));
    if let Some(locked) = &booked.locks {
        encode_locked(out, locked);
    }
    if let Some(declined) = booked.declined {
        out.put_u64(u64::from(declined.ordinal));
        out.put_i64(declined.amount.get());
    }
}

pub(super) fn decode_booked<'a>(
    reader: &mut Reader<'a>,
    state: StateNo,
) -> Result<Booked<'a>, Malformed> {
    let (at, authorization) = (Timestamp::from_micros(reader.i64()?), reader.key()?);
    let external = reader.external_id()?;
    let card = number(reader)?.map(CardNo);
    let agent = number(reader)?.map(AgentNo);
    let (day, hour) = (LocalDay(reader.i32()?), LocalHour(reader.i32()?));
    let currency = Currency::from_packed(reader.u16()?);
    let currency = currency.ok().ok_or(Malformed)?;
    let flags = reader.u8()?;
    let hold_time = HoldTime::from_number(flags >> HOLD_TIME_SHIFT & 3).ok_or(Malformed)?;
    let on_reversal = OnReversal::from_number(reader.u8()?).ok_or(Malformed)?;
    let told = (flags & HAS_TOLD != 0)
        .then(|| decode_told(reader))
        .transpose()?;
    let count = usize::try_from(reader.u64()?)?;
    if count > FACTS_MAX {
        return Err(Malformed);
    }
    let facts: Vec<Fact> = (0..count)
        .map(|_| decode_fact(reader))
        .collect::<Result<_, _>>()?;
    let locks = (flags & HAS_LOCK != 0)
        .then(|| decode_locked(reader))
        .transpose()?;
    let declined = (flags & HAS_DECLINED != 0)
        .then(|| decode_declined(reader))
        .transpose()?;
    Ok(Booked {
        state,
        at,
        authorization,
        external,
        card,
        agent,
        day,
        hour,
        currency,
        hold_time,
        facts,
        told,
        refunds_restore: flags & REFUNDS_RESTORE != 0,
        on_reversal,
        has_drifted: flags & HAS_DRIFTED != 0,
        consumes: flags & CONSUMES != 0,
        locks,
        declined,
    })
}

fn decode_declined(reader: &mut Reader<'_>) -> Result<DeclinedThere, Malformed> {
    Ok(DeclinedThere {
        ordinal: reader.u32()?,
        amount: minor(reader)?,
    })
}

fn number(reader: &mut Reader<'_>) -> Result<Option<u32>, Malformed> {
    let number = reader.u64()?.checked_sub(1);
    Ok(number.map(u32::try_from).transpose()?)
}

fn minor(reader: &mut Reader<'_>) -> Result<Minor, Malformed> {
    Minor::new(reader.i64()?).ok().ok_or(Malformed)
}

/// Most facts carry no time; the end of time is written short.
pub(in crate::ledger) fn encode_fact(out: &mut Vec<u8>, fact: &Fact) {
    out.put_fixed_u64(fact.id);
    out.push(Fact::number(fact.kind));
    out.put_i64(fact.amount.get());
    out.put_i64(fact.at.micros().wrapping_sub(i64::MAX));
}

pub(in crate::ledger) fn decode_fact(reader: &mut Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact {
        id: reader.fixed_u64()?,
        kind: Fact::kind_of(reader.u8()?).ok_or(Malformed)?,
        amount: minor(reader)?,
        at: Timestamp::from_micros(reader.i64()?.wrapping_add(i64::MAX)),
    })
}

pub(in crate::ledger) fn encode_told(out: &mut Vec<u8>, told: &Told) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(told.posted.is_some(), HAS_POSTED)
            | flag(told.refunded.is_some(), HAS_REFUNDED)
            | flag(told.made_at.is_some(), HAS_MADE_AT),
    );
    out.push(told.status as u8);
    out.put_u64(u64::from(told.revision));
    out.put_u64(u64::from(told.asks));
    out.put_u64(u64::from(told.approvals));
    [told.held, told.listed_posted, told.listed_refunded]
        .into_iter()
        .chain(told.posted)
        .chain(told.refunded)
        .for_each(|minor| out.put_i64(minor.get()));
    if let Some(at) = told.made_at {
        out.put_i64(at.micros());
    }
}

pub(in crate::ledger) fn decode_told(reader: &mut Reader<'_>) -> Result<Told, Malformed> {
    let bits = reader.u8()?;
    let number = reader.u8()?;
    let status = [
        StandingStatus::Pending,
        StandingStatus::Settled,
        StandingStatus::Voided,
        StandingStatus::Expired,
        StandingStatus::Declined,
        StandingStatus::Closed,
    ]
    .into_iter()
    .find(|known| *known as u8 == number)
    .ok_or(Malformed)?;
    Ok(Told {
        status,
        revision: reader.u32()?,
        asks: reader.u32()?,
        approvals: reader.u32()?,
        held: minor(reader)?,
        listed_posted: minor(reader)?,
        listed_refunded: minor(reader)?,
        posted: (bits & HAS_POSTED != 0)
            .then(|| minor(reader))
            .transpose()?,
        refunded: (bits & HAS_REFUNDED != 0)
            .then(|| minor(reader))
            .transpose()?,
        made_at: (bits & HAS_MADE_AT != 0)
            .then(|| reader.i64().map(Timestamp::from_micros))
            .transpose()?,
    })
}

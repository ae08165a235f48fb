//! The bytes of a decided step, the most frequent event: at most 80 for an approval.

use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::Level;
use crate::domain::claims::MerchantKeys;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::codec::{ExternalId, Malformed, Put, Reader};
use crate::ledger::event::{
    AgentNo, AttestationClass, CONFLICTED, CardNo, DECIDED, DECIDED_MORE, DECIDED_WIDE, Decided,
    Facts, LockedMerchant, ShadowVerdict, StateNo, head, seen,
};

const HAS_NAME: u8 = 1;
const HAS_DELIVERY: u8 = 2;
const HAS_CARD: u8 = 4;
const HAS_AGENT: u8 = 8;
const HAS_EXPLANATION: u8 = 16;
const HAS_LOCK: u8 = 32;
const CONSUMES: u8 = 64;
const HAS_CARD_TOKEN: u8 = 128;

/// Of the second flag byte, which [`DECIDED_MORE`] and [`DECIDED_WIDE`] have.
const PROBES: u8 = 1;
const FLAGGED: u8 = 2;
const ATTESTED: u8 = 4;
const STALE: u8 = 8;
const HAS_INTENT: u8 = 16;
const HAS_HOUR: u8 = 32;
const STOOD_IN: u8 = 64;
const MORE: u8 = PROBES | FLAGGED | ATTESTED | STALE | HAS_INTENT | HAS_HOUR | STOOD_IN;

/// Of the third flag byte, which only [`DECIDED_WIDE`] has.
const HAS_SHADOW: u8 = 1;
const HAS_FACTS: u8 = 2;
const WIDE: u8 = HAS_SHADOW | HAS_FACTS;
/// The kind's byte has the hold time in its highest bits. Events of versions that did not know any
/// have none there, and are held for the longest.
const HOLD_TIME_SHIFT: u32 = 6;
const KIND: u8 = (1 << HOLD_TIME_SHIFT) - 1;

/// The decision byte of an approval in full; declines are their reason's number.
const APPROVE: u8 = 0;
/// The decision byte of an approval in part; the amount follows.
const APPROVE_PARTIAL: u8 = 255;

/// In the first layout where nothing has to be said that it cannot say, so that an ordinary step
/// takes no more than it ever did.
pub(super) fn encode_decided(out: &mut Vec<u8>, decided: &Decided<'_>) {
    let (more, wide) = (more_flags(decided), wide_flags(decided));
    let tag = match (more, wide) {
        (0, 0) => DECIDED,
        (_, 0) => DECIDED_MORE,
        _ => DECIDED_WIDE,
    };
    encode(out, tag, decided, [more, wide]);
    if more & HAS_HOUR != 0 {
        let hours = i64::from(decided.hour.0) - i64::from(Decided::utc_hour(decided.at).0);
        out.put_i64(hours);
    }
    if let Some(intent) = decided.intent {
        out.put_key(intent);
    }
    if let Some(shadow) = &decided.shadow {
        seen::encode_shadow(out, shadow);
    }
    if let Some(facts) = &decided.facts {
        seen::encode_facts(out, facts);
    }
}

pub(super) fn encode_conflicted(out: &mut Vec<u8>, decided: &Decided<'_>) {
    encode(out, CONFLICTED, decided, [0, 0]);
}

fn more_flags(decided: &Decided<'_>) -> u8 {
    flag(decided.probes, PROBES)
        | flag(decided.flagged, FLAGGED)
        | flag(decided.stood_in, STOOD_IN)
        | flag(decided.intent.is_some(), HAS_INTENT)
        | flag(decided.hour != Decided::utc_hour(decided.at), HAS_HOUR)
        | match decided.attestation {
            AttestationClass::Unattested => 0,
            AttestationClass::Attested => ATTESTED,
            AttestationClass::Stale => STALE,
        }
}

fn wide_flags(decided: &Decided<'_>) -> u8 {
    flag(decided.shadow.is_some(), HAS_SHADOW) | flag(decided.facts.is_some(), HAS_FACTS)
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn encode(out: &mut Vec<u8>, tag: u8, decided: &Decided<'_>, [more, wide]: [u8; 2]) {
    head(out, tag, decided.state);
    out.push(
        flag(decided.step.name.is_some(), HAS_NAME)
            | flag(decided.step.delivery.is_some(), HAS_DELIVERY)
            | flag(decided.card.is_some(), HAS_CARD)
            | flag(decided.agent.is_some(), HAS_AGENT)
            | flag(decided.explanation.is_some(), HAS_EXPLANATION)
            | flag(decided.locks.is_some(), HAS_LOCK)
            | flag(decided.consumes, CONSUMES)
            | flag(decided.card_token.is_some(), HAS_CARD_TOKEN),
    );
    if tag == DECIDED_MORE || tag == DECIDED_WIDE {
        out.push(more);
    }
    if tag == DECIDED_WIDE {
        out.push(wide);
    }
    out.put_fixed_u64(u64::from_ne_bytes(decided.at.micros().to_ne_bytes()));
    out.put_key(decided.step.authorization);
    out.put_fixed_u64(decided.step.content);
    [decided.step.name, decided.step.delivery]
        .into_iter()
        .flatten()
        .for_each(|n| out.put_fixed_u64(n));
    out.put_u64(u64::from(decided.ordinal));
    put_id(out, &decided.authorization);
    [
        decided.card.map(|card| card.0),
        decided.agent.map(|agent| agent.0),
    ]
    .into_iter()
    .flatten()
    .for_each(|number| out.put_u64(u64::from(number)));
    out.push(decided.kind as u8 | (decided.hold_time as u8) << HOLD_TIME_SHIFT);
    out.put_u64(u64::from(decided.amount.currency.packed()));
    out.put_i64(decided.amount.minor.get());
    put_decision(out, decided.decision);
    out.put_i64(i64::from(decided.day.0));
    out.put_u64(decided.snapshot_version);
    out.put_u64(u64::from(decided.latency_us));
    if let Some(locked) = &decided.locks {
        encode_locked(out, locked);
    }
    if let Some(explanation) = &decided.explanation {
        encode_explanation(out, explanation);
    }
    if let Some(token) = &decided.card_token {
        put_id(out, token);
    }
}

pub(super) fn put_decision(out: &mut Vec<u8>, decision: Decision) {
    match decision {
        Decision::Approve => out.push(APPROVE),
        Decision::Decline(reason) => out.push(reason.number()),
        Decision::ApprovePartial(amount) => {
            out.push(APPROVE_PARTIAL);
            out.put_i64(amount.get());
        }
    }
}

fn put_id(out: &mut Vec<u8>, id: &ExternalId<'_>) {
    match id {
        ExternalId::Uuid(bytes) => {
            out.push(0);
            out.extend_from_slice(bytes);
        }
        ExternalId::Text(text) => out.put_external_id(text),
    }
}

pub(super) fn decode_decided<'a>(
    reader: &mut Reader<'a>,
    state: StateNo,
    tag: u8,
) -> Result<Decided<'a>, Malformed> {
    let flags = reader.u8()?;
    let has = |bit| flags & bit != 0;
    let (more, wide) = further_flags(reader, tag)?;
    let at = Timestamp::from_micros(i64::from_ne_bytes(reader.fixed_u64()?.to_ne_bytes()));
    let authorization_key = reader.key()?;
    let content = reader.fixed_u64()?;
    let name = has(HAS_NAME).then(|| reader.fixed_u64()).transpose()?;
    let delivery = has(HAS_DELIVERY).then(|| reader.fixed_u64()).transpose()?;
    let ordinal = reader.u32()?;
    let authorization = reader.external_id()?;
    let card = has(HAS_CARD).then(|| reader.u32()).transpose()?;
    let agent = has(HAS_AGENT).then(|| reader.u32()).transpose()?;
    let kind = reader.u8()?;
    let hold_time = HoldTime::from_number(kind >> HOLD_TIME_SHIFT).ok_or(Malformed)?;
    let kind = AuthorizationKind::from_number(kind & KIND).ok_or(Malformed)?;
    let amount = read_amount(reader)?;
    let decision = decode_decision(reader)?;
    let day = LocalDay(reader.i32()?);
    let (snapshot_version, latency_us) = (reader.u64()?, reader.u32()?);
    let locks = has(HAS_LOCK).then(|| decode_locked(reader)).transpose()?;
    let explanation = match (has(HAS_EXPLANATION), decision) {
        (true, Decision::Decline(reason)) => Some(decode_explanation(reader, reason)?),
        (true, _) => return Err(Malformed),
        (false, _) => None,
    };
    let card_token = has(HAS_CARD_TOKEN)
        .then(|| reader.external_id())
        .transpose()?;
    let hour = decode_hour(reader, at, more)?;
    let intent = (more & HAS_INTENT != 0).then(|| reader.key()).transpose()?;
    let (shadow, facts) = decode_wide(reader, wide)?;
    Ok(Decided {
        state,
        at,
        step: StepIdentity {
            authorization: authorization_key,
            name,
            delivery,
            content,
        },
        ordinal,
        authorization,
        card: card.map(CardNo),
        agent: agent.map(AgentNo),
        kind,
        hold_time,
        amount,
        decision,
        day,
        hour,
        consumes: has(CONSUMES),
        probes: more & PROBES != 0,
        intent,
        flagged: more & FLAGGED != 0,
        stood_in: more & STOOD_IN != 0,
        attestation: class(more)?,
        locks,
        explanation,
        card_token,
        shadow,
        facts,
        snapshot_version,
        latency_us,
    })
}

fn decode_wide<'a>(
    reader: &mut Reader<'a>,
    wide: u8,
) -> Result<(Option<ShadowVerdict>, Option<Facts<'a>>), Malformed> {
    let shadow = (wide & HAS_SHADOW != 0).then(|| seen::decode_shadow(reader));
    let shadow = shadow.transpose()?;
    let facts = (wide & HAS_FACTS != 0).then(|| seen::decode_facts(reader));
    Ok((shadow, facts.transpose()?))
}

fn further_flags(reader: &mut Reader<'_>, tag: u8) -> Result<(u8, u8), Malformed> {
    Ok(match tag {
        DECIDED_WIDE => (flag_byte(reader, MORE)?, flag_byte(reader, WIDE)?),
        DECIDED_MORE => (flag_byte(reader, MORE)?, 0),
        _ => (0, 0),
    })
}

fn flag_byte(reader: &mut Reader<'_>, known: u8) -> Result<u8, Malformed> {
    let flags = reader.u8()?;
    (flags & !known == 0).then_some(flags).ok_or(Malformed)
}

pub(super) fn decode_decision(reader: &mut Reader<'_>) -> Result<Decision, Malformed> {
    Ok(match reader.u8()? {
        APPROVE => Decision::Approve,
        APPROVE_PARTIAL => Decision::ApprovePartial(read_minor(reader)?),
        number => Decision::Decline(DeclineReason::from_number(number).ok_or(Malformed)?),
    })
}

fn decode_hour(reader: &mut Reader<'_>, at: Timestamp, more: u8) -> Result<LocalHour, Malformed> {
    let utc = Decided::utc_hour(at);
    if more & HAS_HOUR == 0 {
        return Ok(utc);
    }
    let hours = i64::from(utc.0).checked_add(reader.i64()?);
    Ok(LocalHour(i32::try_from(hours.ok_or(Malformed)?)?))
}

fn class(more: u8) -> Result<AttestationClass, Malformed> {
    match more & (ATTESTED | STALE) {
        0 => Ok(AttestationClass::Unattested),
        ATTESTED => Ok(AttestationClass::Attested),
        STALE => Ok(AttestationClass::Stale),
        _ => Err(Malformed),
    }
}

fn read_amount(reader: &mut Reader<'_>) -> Result<Amount, Malformed> {
    let currency = Currency::from_packed(reader.u16()?).ok().ok_or(Malformed)?;
    let minor = read_minor(reader)?;
    Ok(Amount { minor, currency })
}

pub(super) fn read_minor(reader: &mut Reader<'_>) -> Result<Minor, Malformed> {
    Minor::new(reader.i64()?).ok().ok_or(Malformed)
}

pub(in crate::ledger) fn encode_locked(out: &mut Vec<u8>, locked: &LockedMerchant<'_>) {
    let keys = &locked.keys;
    out.push(flag(keys.strong.is_some(), 1) | flag(keys.sub_merchant.is_some(), 2));
    out.put_fixed_u64(keys.weak);
    [keys.strong, keys.sub_merchant]
        .into_iter()
        .flatten()
        .for_each(|key| out.put_fixed_u64(key));
    out.put_text(locked.acquirer_id);
    out.put_text(locked.acceptor_id);
    out.put_text(locked.descriptor);
    out.put_u64(locked.mcc.map_or(0, |mcc| u64::from(mcc) + 1));
    out.put_u64(locked.country.map_or(0, u64::from));
}

pub(in crate::ledger) fn decode_locked<'a>(
    reader: &mut Reader<'a>,
) -> Result<LockedMerchant<'a>, Malformed> {
    let flags = reader.u8()?;
    let weak = reader.fixed_u64()?;
    let strong = (flags & 1 != 0).then(|| reader.fixed_u64()).transpose()?;
    let sub_merchant = (flags & 2 != 0).then(|| reader.fixed_u64()).transpose()?;
    Ok(LockedMerchant {
        keys: MerchantKeys {
            strong,
            weak,
            sub_merchant,
        },
        acquirer_id: reader.text()?,
        acceptor_id: reader.text()?,
        descriptor: reader.text()?,
        mcc: reader.u16()?.checked_sub(1),
        country: Some(reader.u16()?).filter(|country| *country != 0),
    })
}

fn encode_explanation(out: &mut Vec<u8>, explanation: &Explanation) {
    let numbers = [
        explanation.observed,
        explanation.limit,
        explanation.remaining,
        explanation.resets_at.map(Timestamp::micros),
    ];
    let present = numbers
        .iter()
        .rev()
        .fold(0u8, |bits, number| bits << 1 | u8::from(number.is_some()));
    out.push(explanation.level.map_or(0, |level| level as u8 + 1));
    out.push(explanation.field as u8);
    out.push(present);
    numbers
        .into_iter()
        .flatten()
        .for_each(|number| out.put_i64(number));
}

fn decode_explanation(
    reader: &mut Reader<'_>,
    reason: DeclineReason,
) -> Result<Explanation, Malformed> {
    let level = match reader.u8()? {
        0 => None,
        number => {
            let level = Level::ALL
                .into_iter()
                .find(|level| *level as u8 + 1 == number);
            Some(level.ok_or(Malformed)?)
        }
    };
    let field = RuleField::from_number(reader.u8()?).ok_or(Malformed)?;
    let present = reader.u8()?;
    let mut number = |bit: u8| (present & bit != 0).then(|| reader.i64()).transpose();
    Ok(Explanation {
        reason,
        level,
        field,
        observed: number(1)?,
        limit: number(2)?,
        remaining: number(4)?,
        resets_at: number(8)?.map(Timestamp::from_micros),
    })
}

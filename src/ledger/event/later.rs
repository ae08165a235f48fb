//! The bytes of the events that are neither a decided step nor the opening of a state, a card or an
//! agent.

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus};
use crate::domain::currency::Currency;
use crate::domain::hold_time::HoldTime;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::domain::window::LocalDay;
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::event::{
    ATTESTED, AgentNo, BACKED, CardNo, Event, INTENT_DECLARED, INTENT_SETTLED, LAPSED,
    LAPSED_USUAL, OVERRULED, REDELIVERED, RISK_FROZEN, ROLLING_OPENED, STANDING_SET, SWEPT,
    StandingChange, StateNo, WINDOWS_OPENED, head,
};
use crate::ledger::intent::{INTENT_MCCS_MAX, IntentTerms, IntentVerdict};
use crate::ledger::rolling::SeriesSet;

const HAS_EXPECTED: u8 = 1;
const HAS_CAP: u8 = 2;
const HAS_CURRENCY: u8 = 4;
const HAS_MERCHANT: u8 = 8;
const AWAITS_APPROVAL: u8 = 16;

pub(super) fn encode_later(out: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::Redelivered {
            state,
            decided_at,
            at,
        } => {
            head(out, REDELIVERED, *state);
            out.put_u64(*decided_at);
            out.put_i64(at.micros());
        }
        Event::Overruled {
            state,
            authorization,
            decided_at,
            at,
        } => {
            head(out, OVERRULED, *state);
            out.put_key(*authorization);
            out.put_u64(*decided_at);
            out.put_i64(at.micros());
        }
        Event::StandingSet { state, change, at } => {
            head(out, STANDING_SET, *state);
            encode_standing(out, *change);
            out.put_i64(at.micros());
        }
        Event::Swept { state, part, cut } => {
            head(out, SWEPT, *state);
            out.put_u64(u64::from(*part));
            out.put_i64(cut.micros());
        }
        Event::Lapsed {
            state,
            part,
            connection,
            cut,
            time,
        } => {
            let is_usual = *time == HoldTime::Usual;
            head(out, if is_usual { LAPSED_USUAL } else { LAPSED }, *state);
            out.put_u64(u64::from(*part));
            out.put_text(connection);
            out.put_i64(cut.micros());
        }
        Event::WindowsOpened { .. }
        | Event::RollingOpened { .. }
        | Event::RiskFrozen { .. }
        | Event::IntentDeclared { .. }
        | Event::IntentSettled { .. }
        | Event::Attested { .. }
        | Event::Backed { .. } => encode_second(out, event),
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Decided(_)
        | Event::Conflicted(_)
        | Event::Booked(_) => {}
    }
}

/// The events of the second version.
fn encode_second(out: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::WindowsOpened {
            state,
            day,
            day_ends,
            hour_offset_s,
        } => {
            head(out, WINDOWS_OPENED, *state);
            out.put_i64(i64::from(day.0));
            out.put_i64(day_ends.micros());
            out.put_u64(u64::from(*hour_offset_s));
        }
        Event::RollingOpened {
            state,
            card,
            agent,
            series,
        } => {
            head(out, ROLLING_OPENED, *state);
            put_number(out, card.map(|card| card.0));
            put_number(out, agent.map(|agent| agent.0));
            out.put_u64(u64::from(series.bits()));
        }
        Event::RiskFrozen { state, card, at } => on_card(out, RISK_FROZEN, *state, *card, *at),
        Event::Attested { state, card, at } => on_card(out, ATTESTED, *state, *card, *at),
        Event::IntentDeclared {
            state,
            card,
            intent,
            terms,
            at,
        } => {
            on_card(out, INTENT_DECLARED, *state, *card, *at);
            out.put_key(*intent);
            encode_terms(out, terms);
        }
        Event::IntentSettled {
            state,
            intent,
            verdict,
            at,
        } => {
            head(out, INTENT_SETTLED, *state);
            out.put_key(*intent);
            out.push(*verdict as u8);
            out.put_i64(at.micros());
        }
        Event::Backed {
            state,
            card,
            earmark,
            at,
        } => {
            on_card(out, BACKED, *state, *card, *at);
            out.put_key(*earmark);
        }
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Decided(_)
        | Event::Conflicted(_)
        | Event::Booked(_)
        | Event::Redelivered { .. }
        | Event::Overruled { .. }
        | Event::StandingSet { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. } => {}
    }
}

pub(super) fn decode_later<'a>(
    reader: &mut Reader<'a>,
    tag: u8,
    state: StateNo,
) -> Result<Event<'a>, Malformed> {
    Ok(match tag {
        REDELIVERED => Event::Redelivered {
            state,
            decided_at: reader.u64()?,
            at: instant(reader)?,
        },
        OVERRULED => Event::Overruled {
            state,
            authorization: reader.key()?,
            decided_at: reader.u64()?,
            at: instant(reader)?,
        },
        STANDING_SET => Event::StandingSet {
            state,
            change: decode_standing(reader)?,
            at: instant(reader)?,
        },
        SWEPT => Event::Swept {
            state,
            part: reader.u16()?,
            cut: instant(reader)?,
        },
        WINDOWS_OPENED => Event::WindowsOpened {
            state,
            day: LocalDay(reader.i32()?),
            day_ends: instant(reader)?,
            hour_offset_s: reader.u16()?,
        },
        ROLLING_OPENED => Event::RollingOpened {
            state,
            card: number(reader)?.map(CardNo),
            agent: number(reader)?.map(AgentNo),
            series: SeriesSet::from_bits(reader.u16()?).ok_or(Malformed)?,
        },
        RISK_FROZEN => Event::RiskFrozen {
            state,
            card: CardNo(reader.u32()?),
            at: instant(reader)?,
        },
        INTENT_DECLARED => Event::IntentDeclared {
            state,
            card: CardNo(reader.u32()?),
            at: instant(reader)?,
            intent: reader.key()?,
            terms: decode_terms(reader)?,
        },
        INTENT_SETTLED => Event::IntentSettled {
            state,
            intent: reader.key()?,
            verdict: verdict(reader.u8()?)?,
            at: instant(reader)?,
        },
        _ => return decode_on_card(reader, tag, state),
    })
}

/// The events that name a card and an instant first, and little more.
fn decode_on_card<'a>(
    reader: &mut Reader<'a>,
    tag: u8,
    state: StateNo,
) -> Result<Event<'a>, Malformed> {
    let (card, at) = (CardNo(reader.u32()?), instant(reader)?);
    Ok(match tag {
        ATTESTED => Event::Attested { state, card, at },
        BACKED => Event::Backed {
            state,
            card,
            earmark: reader.key()?,
            at,
        },
        _ => return Err(Malformed),
    })
}

fn instant(reader: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    Ok(Timestamp::from_micros(reader.i64()?))
}

fn on_card(out: &mut Vec<u8>, tag: u8, state: StateNo, card: CardNo, at: Timestamp) {
    head(out, tag, state);
    out.put_u64(u64::from(card.0));
    out.put_i64(at.micros());
}

/// Zero stands for none.
fn put_number(out: &mut Vec<u8>, number: Option<u32>) {
    out.put_u64(number.map_or(0, |number| u64::from(number) + 1));
}

fn number(reader: &mut Reader<'_>) -> Result<Option<u32>, Malformed> {
    let number = reader.u64()?.checked_sub(1);
    Ok(number.map(u32::try_from).transpose()?)
}

fn verdict(number: u8) -> Result<IntentVerdict, Malformed> {
    let mut known = IntentVerdict::ALL.into_iter();
    known
        .find(|verdict| *verdict as u8 == number)
        .ok_or(Malformed)
}

fn encode_standing(out: &mut Vec<u8>, change: StandingChange) {
    match change {
        StandingChange::Card(card, status, frozen) => {
            out.push(0);
            out.put_u64(u64::from(card.0));
            out.push(status as u8);
            out.push(u8::from(frozen));
        }
        StandingChange::Agent(agent, status) => {
            out.push(1);
            out.put_u64(u64::from(agent.0));
            out.push(status as u8);
        }
        StandingChange::Customer(status) => {
            out.push(2);
            out.put_u64(0);
            out.push(status as u8);
        }
    }
}

fn decode_standing(reader: &mut Reader<'_>) -> Result<StandingChange, Malformed> {
    let kind = reader.u8()?;
    let number = reader.u32()?;
    let status = reader.u8()?;
    let change = match kind {
        0 => {
            let is_frozen = reader.u8()? != 0;
            CardStatus::from_number(status)
                .map(|status| StandingChange::Card(CardNo(number), status, is_frozen))
        }
        1 => AgentStatus::from_number(status)
            .map(|status| StandingChange::Agent(AgentNo(number), status)),
        2 => CustomerStatus::from_number(status)
            .filter(|_| number == 0)
            .map(StandingChange::Customer),
        _ => None,
    };
    change.ok_or(Malformed)
}

pub(in crate::ledger) fn encode_terms(out: &mut Vec<u8>, terms: &IntentTerms) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(terms.expected.is_some(), HAS_EXPECTED)
            | flag(terms.cap.is_some(), HAS_CAP)
            | flag(terms.currency.is_some(), HAS_CURRENCY)
            | flag(terms.merchant.is_some(), HAS_MERCHANT)
            | flag(terms.awaits_approval, AWAITS_APPROVAL),
    );
    [terms.expected, terms.cap]
        .into_iter()
        .flatten()
        .for_each(|minor| out.put_i64(minor.get()));
    if let Some(currency) = terms.currency {
        out.put_u64(u64::from(currency.packed()));
    }
    if let Some(merchant) = terms.merchant {
        out.put_fixed_u64(merchant);
    }
    out.put_u64(terms.mccs.len() as u64);
    terms
        .mccs
        .iter()
        .for_each(|mcc| out.put_u64(u64::from(mcc.get())));
    out.put_i64(terms.expires_at.micros());
}

pub(in crate::ledger) fn decode_terms(reader: &mut Reader<'_>) -> Result<IntentTerms, Malformed> {
    let flags = reader.u8()?;
    let has = |bit| flags & bit != 0;
    let minor = |reader: &mut Reader<'_>| Minor::new(reader.i64()?).ok().ok_or(Malformed);
    let expected = has(HAS_EXPECTED).then(|| minor(reader)).transpose()?;
    let cap = has(HAS_CAP).then(|| minor(reader)).transpose()?;
    let currency = has(HAS_CURRENCY).then(|| reader.u16()).transpose()?;
    let currency = currency.map(|packed| Currency::from_packed(packed).ok().ok_or(Malformed));
    let merchant = has(HAS_MERCHANT).then(|| reader.fixed_u64()).transpose()?;
    let count = usize::try_from(reader.u64()?)?;
    if count > INTENT_MCCS_MAX {
        return Err(Malformed);
    }
    let mcc = |_| Mcc::from_number(reader.u16()?).ok().ok_or(Malformed);
    let mccs = (0..count).map(mcc).collect::<Result<_, _>>()?;
    Ok(IntentTerms {
        expected,
        cap,
        currency: currency.transpose()?,
        merchant,
        mccs,
        expires_at: instant(reader)?,
        awaits_approval: has(AWAITS_APPROVAL),
    })
}

//! What else was seen when a step was decided: what documents on trial would have said, and what was
//! asked, so that it can be decided again on paper. Neither changes the state.

use crate::domain::amount::Minor;
use crate::domain::decision::Decision;
use crate::ledger::codec::{Malformed, Put, Reader};
use crate::ledger::event::decided::{decode_decision, put_decision, read_minor};

const HAS_ACQUIRER: u8 = 1;
const HAS_ACCEPTOR: u8 = 2;
const HAS_MCC: u8 = 4;
const HAS_COUNTRY: u8 = 8;
const TAKES_PART: u8 = 16;
const SAYS_PRESENT: u8 = 32;
const IS_PRESENT: u8 = 64;
const HAS_SCORE: u8 = 128;

/// What documents that are tried out would have decided, by the counters as they were (behaviour
/// 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowVerdict {
    /// Their versions, in the order of [`crate::domain::card::Level::ALL`]; 0 where a level has none.
    pub versions: [u32; 3],
    /// What they would have said.
    pub decision: Decision,
}

/// What was asked, beside what every record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of domain's AuthorizationRequest")]
pub struct Facts<'a> {
    pub amount: Minor,
    pub cash: Minor,
    pub acquirer_id: Option<&'a str>,
    pub acceptor_id: Option<&'a str>,
    pub descriptor: &'a str,
    pub mcc: Option<u16>,
    pub country: Option<u16>,
    pub partial_approval_capable: bool,
    pub card_present: Option<bool>,
    pub risk_score: Option<u8>,
}

/// Bytes of one text that are kept. Networks' names have 25; whoever sends more than this writes no
/// facts into the journal, because cut ones would decide otherwise.
const TEXT_SIZE_MAX: usize = 128;
/// Digits in a row from which on a name may hold a card number (ISO 7812). A phone's have eleven.
const NUMBER_LEN: usize = 13;

impl Facts<'_> {
    /// Whether they may be kept: no text is too long, and the merchant's name holds nothing that could
    /// be a card number (behaviour 8.4).
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        let ids = [self.acquirer_id, self.acceptor_id].into_iter().flatten();
        let mut texts = ids.chain([self.descriptor]);
        texts.all(|text| text.len() <= TEXT_SIZE_MAX) && !has_long_number(self.descriptor)
    }
}

/// Whether so many digits stand in a row, spaces and dashes between them not counted.
fn has_long_number(text: &str) -> bool {
    // Nearly every name has too few digits, which is quickly counted.
    let all_digits = text.bytes().filter(u8::is_ascii_digit).count();
    if all_digits < NUMBER_LEN {
        return false;
    }
    let mut digits = 0;
    text.bytes().any(|byte| {
        match byte {
            b'0'..=b'9' => digits += 1,
            b' ' | b'-' => {}
            _ => digits = 0,
        }
        digits >= NUMBER_LEN
    })
}

pub(super) fn encode_shadow(out: &mut Vec<u8>, shadow: &ShadowVerdict) {
    let versions = shadow.versions.into_iter();
    versions.for_each(|version| out.put_u64(u64::from(version)));
    put_decision(out, shadow.decision);
}

pub(super) fn decode_shadow(reader: &mut Reader<'_>) -> Result<ShadowVerdict, Malformed> {
    Ok(ShadowVerdict {
        versions: [reader.u32()?, reader.u32()?, reader.u32()?],
        decision: decode_decision(reader)?,
    })
}

pub(super) fn encode_facts(out: &mut Vec<u8>, facts: &Facts<'_>) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(facts.acquirer_id.is_some(), HAS_ACQUIRER)
            | flag(facts.acceptor_id.is_some(), HAS_ACCEPTOR)
            | flag(facts.mcc.is_some(), HAS_MCC)
            | flag(facts.country.is_some(), HAS_COUNTRY)
            | flag(facts.partial_approval_capable, TAKES_PART)
            | flag(facts.card_present.is_some(), SAYS_PRESENT)
            | flag(facts.card_present == Some(true), IS_PRESENT)
            | flag(facts.risk_score.is_some(), HAS_SCORE),
    );
    out.put_i64(facts.amount.get());
    out.put_i64(facts.cash.get());
    out.put_text(facts.descriptor);
    let ids = [facts.acquirer_id, facts.acceptor_id].into_iter();
    ids.flatten().for_each(|id| out.put_text(id));
    let codes = [facts.mcc, facts.country].into_iter();
    codes
        .flatten()
        .for_each(|code| out.put_u64(u64::from(code)));
    out.extend(facts.risk_score);
}

pub(super) fn decode_facts<'a>(reader: &mut Reader<'a>) -> Result<Facts<'a>, Malformed> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & bit != 0;
    if has(IS_PRESENT) && !has(SAYS_PRESENT) {
        return Err(Malformed);
    }
    Ok(Facts {
        amount: read_minor(reader)?,
        cash: read_minor(reader)?,
        descriptor: reader.text()?,
        acquirer_id: has(HAS_ACQUIRER).then(|| reader.text()).transpose()?,
        acceptor_id: has(HAS_ACCEPTOR).then(|| reader.text()).transpose()?,
        mcc: has(HAS_MCC).then(|| reader.u16()).transpose()?,
        country: has(HAS_COUNTRY).then(|| reader.u16()).transpose()?,
        partial_approval_capable: has(TAKES_PART),
        card_present: has(SAYS_PRESENT).then_some(has(IS_PRESENT)),
        risk_score: has(HAS_SCORE).then(|| reader.u8()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(descriptor: &str) -> Facts<'_> {
        Facts {
            amount: Minor::ZERO,
            cash: Minor::ZERO,
            acquirer_id: None,
            acceptor_id: Some("174030075991123"),
            descriptor,
            mcc: None,
            country: None,
            partial_approval_capable: false,
            card_present: None,
            risk_score: None,
        }
    }

    #[test]
    fn s15_a_name_that_may_hold_a_card_number_is_not_kept() {
        for kept in [
            "BLUE BOTTLE #12",
            "SHOP +44 20 7946 0958",
            "123456789012",
            "1234567890/1234567890",
        ] {
            assert!(named(kept).may_be_kept(), "{kept}");
        }
        for left in [
            "SHOP 4539578763621486",
            "4539 5787 6362 1486",
            "4539-5787-6362-1486",
            "x1234567890123",
        ] {
            assert!(!named(left).may_be_kept(), "{left}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_leaves_no_facts() {
        let longest = "x".repeat(TEXT_SIZE_MAX);
        assert!(named(&longest).may_be_kept());
        assert!(!named(&format!("{longest}x")).may_be_kept());
        let long_id = Facts {
            acceptor_id: Some(&*format!("{longest}x")),
            ..named("SHOP")
        };
        assert!(!long_id.may_be_kept());
    }
}

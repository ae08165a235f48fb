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

impl Facts<'_> {
    /// Whether no text is too long to be kept.
    #[must_use]
    pub fn are_short(&self) -> bool {
        let ids = [self.acquirer_id, self.acceptor_id].into_iter().flatten();
        let mut texts = ids.chain([self.descriptor]);
        texts.all(|text| text.len() <= TEXT_SIZE_MAX)
    }
}

/// Bytes of one text that are kept. Networks' names have 25; whoever sends more than this writes no
/// facts into the journal, because cut ones would decide otherwise.
const TEXT_SIZE_MAX: usize = 128;

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

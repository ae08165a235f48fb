//! The fields of the document's rows: words, ids, instants, merchant locks.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::decide::compile::{LockRow, Zones, parse_instant};
use crate::decide::json::{Fields, Path, Reader, find_field};
use crate::decide::merchant_text::MerchantText;
use crate::decide::policy::{Cascade, Policy, read_policy};
use crate::domain::acceptor::Country;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Usage};
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

/// Characters of an id.
const ID_LEN_MAX: usize = 128;
const NO_COUNTRY: &str = "must be a country's two letters (ISO 3166-1)";
/// Bytes of a descriptor in a merchant lock.
const DESCRIPTOR_LEN_MAX: usize = 128;

pub(super) const CUSTOMER_STATUSES: &[(&str, CustomerStatus)] = &[
    ("active", CustomerStatus::Active),
    ("suspended", CustomerStatus::Suspended),
];

pub(super) const AGENT_STATUSES: &[(&str, AgentStatus)] = &[
    ("active", AgentStatus::Active),
    ("paused", AgentStatus::Paused),
    ("disabled", AgentStatus::Disabled),
];

pub(super) const CARD_STATUSES: &[(&str, CardStatus)] = &[
    ("active", CardStatus::Active),
    ("locked", CardStatus::Locked),
    ("canceled", CardStatus::Canceled),
];

pub(super) const USAGES: &[(&str, Usage)] = &[("single", Usage::Single), ("multi", Usage::Multi)];

pub(super) const CASCADES: &[(&str, Cascade)] = &[
    ("tighten", Cascade::Tighten),
    ("override", Cascade::Override),
];

pub(super) fn read_id<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Cow<'a, str>> {
    let text = reader.text(raw, path)?;
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.is_empty() || text.len() > ID_LEN_MAX || !printable {
        let message = format!("must be 1 to {ID_LEN_MAX} printable ASCII characters");
        reader.report(raw.get(), path, message);
        return None;
    }
    Some(text)
}

pub(super) fn required_id<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
    name: &'static str,
) -> Option<Cow<'a, str>> {
    let raw = fields.require(reader, path, name)?;
    read_id(reader, raw, &path.field(name))
}

pub(super) fn optional_word<'a, T: Copy>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
    name: &'static str,
    words: &[(&str, T)],
) -> Option<T> {
    let raw = fields.take(name)?;
    reader.word(raw, &path.field(name), words)
}

pub(super) fn read_policy_of<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
    zones: &mut Zones,
) -> Policy {
    let raw = fields.take_unless_null("policy");
    raw.and_then(|raw| read_policy(reader, raw, &path.field("policy"), zones))
        .unwrap_or_default()
}

pub(super) fn read_currency<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
) -> Option<Currency> {
    let raw = fields.take("currency")?;
    let place = path.field("currency");
    let currency = Currency::parse(&reader.text(raw, &place)?).ok();
    if currency.is_none() {
        reader.report(raw.get(), &place, "must be a currency of ISO 4217");
    }
    currency
}

pub(super) fn read_instant<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
    name: &'static str,
) -> Option<Timestamp> {
    let raw = fields.take_unless_null(name)?;
    let place = path.field(name);
    let instant = parse_instant(&reader.text(raw, &place)?);
    if instant.is_none() {
        let message = "must be an instant like \"2026-05-30T00:00:00Z\"";
        reader.report(raw.get(), &place, message);
    }
    instant
}

/// A merchant lock as read, which owns text that had escapes.
pub(super) enum Lock<'a> {
    Strong(Cow<'a, str>, Cow<'a, str>),
    Weak(Cow<'a, str>, Mcc, Country),
}

impl Lock<'_> {
    pub(super) fn row(&self) -> LockRow<'_> {
        match self {
            Self::Strong(acquirer_id, acceptor_id) => LockRow::Strong {
                acquirer_id,
                acceptor_id,
            },
            Self::Weak(descriptor, mcc, country) => LockRow::Weak {
                descriptor,
                mcc: *mcc,
                country: *country,
            },
        }
    }
}

/// Either half of a merchant's identity, never both (behaviour 2.14 c).
pub(super) fn read_lock<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Lock<'a>> {
    let mut fields = reader.object(raw, path)?;
    let lock = if find_field(raw, "descriptor").is_some() {
        read_weak_lock(reader, &mut fields, path)
    } else {
        let acquirer = required_id(reader, &mut fields, path, "acquirerId");
        let acceptor = required_id(reader, &mut fields, path, "acceptorId");
        acquirer.zip(acceptor).map(|(a, b)| Lock::Strong(a, b))
    };
    fields.finish(reader, path, |_| None);
    lock
}

fn read_weak_lock<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
) -> Option<Lock<'a>> {
    let mut text = |reader: &mut Reader<'a>, name| {
        let raw = fields.require(reader, path, name)?;
        Some((raw, reader.text(raw, &path.field(name))?))
    };
    let descriptor = text(reader, "descriptor");
    let mcc = text(reader, "mcc");
    let country = text(reader, "country");
    let descriptor = descriptor.and_then(|(raw, text)| {
        let name = MerchantText::of(&text);
        let message = "must name a merchant in at most 128 bytes";
        let lawful = !name.as_str().is_empty() && text.len() <= DESCRIPTOR_LEN_MAX;
        checked(
            reader,
            raw,
            &path.field("descriptor"),
            lawful.then_some(text),
            message,
        )
    });
    let mcc = mcc.and_then(|(raw, text)| {
        let message = "must be an MCC, four digits like \"5812\"";
        checked(
            reader,
            raw,
            &path.field("mcc"),
            Mcc::parse(&text).ok(),
            message,
        )
    });
    let country = country.and_then(|(raw, text)| {
        let place = path.field("country");
        checked(
            reader,
            raw,
            &place,
            Country::parse_alpha2(&text),
            NO_COUNTRY,
        )
    });
    Some(Lock::Weak(descriptor?, mcc?, country?))
}

/// Passes a value on; complains about an absent one.
fn checked<'a, T>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
    value: Option<T>,
    message: &str,
) -> Option<T> {
    if value.is_none() {
        reader.report(raw.get(), path, message);
    }
    value
}

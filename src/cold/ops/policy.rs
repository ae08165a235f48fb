//! A card's effective policy as it is shown: each value with the level that it comes from.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::decide::effective::{EffectivePolicy, EffectiveValue, Value};
use crate::decide::merchant_text::list::{MerchantEntry, MerchantList};
use crate::decide::policy::Cascade;
use crate::decide::policy::hours::ActiveHours;
use crate::decide::snapshot::CustomerSlot;
use crate::domain::card::Level;
use crate::domain::mcc::{Mcc, MccSet};

/// What stands once, or is null: its key, and its field.
const ONCE: [(&str, &str); 23] = [
    ("perAuth", "limits.perAuth"),
    ("ttlMinutes", "ttlMinutes"),
    ("ttlDays", "ttlDays"),
    ("validFrom", "validFrom"),
    ("validUntil", "validUntil"),
    ("expireAfterCount", "expireAfter.count"),
    ("expireAfterSpend", "expireAfter.spend"),
    ("cooldownMinutes", "cooldownMinutes"),
    ("lockToFirstMerchant", "lockToFirstMerchant"),
    ("maxRiskScore", "maxRiskScore"),
    ("requireRiskScore", "requireRiskScore"),
    ("allowCash", "allowCash"),
    ("allowPartial", "allowPartial"),
    ("fuelHold", "fuelHold"),
    ("probePolicy", "probePolicy"),
    ("refundsRestore", "refundsRestore"),
    ("reauthorizeSameMerchant", "reauthorizeSameMerchant"),
    ("requireIntent", "requireIntent"),
    ("onIntentMismatch", "onIntentMismatch"),
    ("requireApproval", "requireApproval"),
    ("autoApproveBelow", "autoApproveBelow"),
    ("requireAttestation", "requireAttestation"),
    ("attestationWindowMinutes", "attestationWindowMinutes"),
];

/// What stands once for each level that is asked.
const EACH_LEVEL: [&str; 8] = [
    "allowedMccs",
    "blockedMccs",
    "allowedMerchants",
    "blockedMerchants",
    "allowedCountries",
    "blockedCountries",
    "match",
    "activeHours",
];

/// What is enforced on a card beside its limits on sums and counts.
pub(in crate::cold) struct PolicyView {
    cascade: &'static str,
    once: Vec<(&'static str, Option<Leveled>)>,
    each_level: Vec<(&'static str, Vec<Leveled>)>,
}

/// A value and the level that it comes from; null for what holds where no level speaks.
#[derive(Serialize, ToSchema)]
struct Leveled {
    value: Shown,
    /// Where it is written.
    #[schema(pattern = "^(card|agent|customer)$")]
    level: Option<&'static str>,
    /// Whether names alone decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    weak: Option<bool>,
}

/// A value as it is shown, in JSON's own types; amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyValue)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is the value of the same name")]
pub enum Shown {
    Flag(bool),
    Number(i64),
    Text(String),
    Texts(Vec<String>),
    Merchants(Vec<MerchantShown>),
    Hours(HoursShown),
}

/// An entry as its owner wrote it.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyMerchant)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is what the owner wrote")]
pub enum MerchantShown {
    Name(String),
    #[serde(rename_all = "camelCase")]
    Id {
        acceptor_id: String,
    },
}

/// Hours of the day, with the zone that is in force.
#[derive(Serialize, ToSchema)]
#[schema(as = HoursInForce)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct HoursShown {
    pub timezone: String,
    pub days: Vec<&'static str>,
    pub from: String,
    pub to: String,
}

impl PolicyView {
    pub(super) fn new(customer: &CustomerSlot, policy: &EffectivePolicy<'_>) -> Self {
        let is_any = |level| {
            let mut words = policy.of("match").filter(|it| it.level == level);
            words.any(|it| it.value == Value::Word("any"))
        };
        let narrows_by_mcc = policy.of("allowedMccs").any(|it| !is_any(it.level));
        let leveled = |it: &EffectiveValue<'_>| Leveled {
            value: shown(customer, &it.value),
            level: it.level.map(Level::name),
            weak: weak(it, narrows_by_mcc),
        };
        let first = |(key, field)| (key, policy.of(field).next().map(leveled));
        let all = |field| (field, policy.of(field).map(leveled).collect());
        Self {
            cascade: match customer.cascade() {
                Cascade::Tighten => "tighten",
                Cascade::Override => "override",
            },
            once: ONCE.into_iter().map(first).collect(),
            each_level: EACH_LEVEL.into_iter().map(all).collect(),
        }
    }
}

impl PartialSchema for PolicyView {
    fn schema() -> RefOr<Schema> {
        let leveled = || Ref::from_schema_name(Leveled::name());
        let nothing = || ObjectBuilder::new().schema_type(Type::Null);
        let once = || OneOfBuilder::new().item(nothing()).item(leveled());
        let cascade = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["tighten", "override"]));
        let mut all = ObjectBuilder::new()
            .description(Some(
                "What is enforced beside limits: each value with its level. What no level says is \
                 null; lists and hours stand once for each level that has one.",
            ))
            .property("cascade", cascade);
        for (key, _) in ONCE {
            all = all.property(key, once());
        }
        for key in EACH_LEVEL {
            all = all.property(key, ArrayBuilder::new().items(leveled()));
        }
        all.into()
    }
}

impl ToSchema for PolicyView {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Leveled::name().into_owned(), Leveled::schema()));
        Leveled::schemas(schemas);
    }
}

impl Serialize for PolicyView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let size = self.once.len() + self.each_level.len() + 1;
        let mut map = serializer.serialize_map(Some(size))?;
        map.serialize_entry("cascade", self.cascade)?;
        for (key, value) in &self.once {
            map.serialize_entry(key, value)?;
        }
        for (key, values) in &self.each_level {
            map.serialize_entry(key, values)?;
        }
        map.end()
    }
}

/// Whether a list allows merchants by name, on a card that no list of categories narrows: any
/// merchant can call himself so. Absent for anything else.
fn weak(it: &EffectiveValue<'_>, narrows_by_mcc: bool) -> Option<bool> {
    let Value::Merchants(list) = it.value else {
        return None;
    };
    let is_name = |entry: &MerchantEntry| matches!(entry, MerchantEntry::Name(_));
    let allows = it.field == "allowedMerchants";
    allows.then(|| !narrows_by_mcc && list.entries().iter().any(is_name))
}

/// The value as it is shown of a card of this customer.
#[must_use]
pub fn shown(customer: &CustomerSlot, value: &Value<'_>) -> Shown {
    match value {
        Value::Flag(flag) => Shown::Flag(*flag),
        Value::Amount(amount) | Value::Windowed { amount, .. } => Shown::Number(amount.get()),
        Value::Number(number) => Shown::Number(i64::from(*number)),
        Value::Instant(at) => Shown::Text(at.rfc3339().to_string()),
        Value::Word(word) => Shown::Text((*word).to_owned()),
        Value::Name(name) => Shown::Text((*name).to_owned()),
        Value::Mccs(set) => Shown::Texts(ranges(set)),
        Value::Countries(set) => Shown::Texts(set.iter().map(|it| it.to_string()).collect()),
        Value::Merchants(list) => Shown::Merchants(merchants(list)),
        Value::Hours(hours) => Shown::Hours(hours_shown(customer, hours)),
    }
}

fn merchants(list: &MerchantList) -> Vec<MerchantShown> {
    let shown = |entry: &MerchantEntry| match entry {
        MerchantEntry::Name(name) => MerchantShown::Name(name.to_string()),
        MerchantEntry::AcceptorId(id) => MerchantShown::Id {
            acceptor_id: id.to_string(),
        },
    };
    list.entries().iter().map(shown).collect()
}

/// With the zone that is in force: the customer's where the policy names none.
fn hours_shown(customer: &CustomerSlot, hours: &ActiveHours) -> HoursShown {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, to) = hours.minutes();
    HoursShown {
        timezone: hours
            .zone_name()
            .unwrap_or_else(|| customer.timezone())
            .to_owned(),
        days: hours.days().names().collect(),
        from: time(from),
        to: time(to),
    }
}

/// `5812` for one code, `3000-3350` for several in a row: as owners write them.
fn ranges(set: &MccSet) -> Vec<String> {
    let mut ranges: Vec<(Mcc, Mcc)> = Vec::new();
    let codes = (0..=9999).filter_map(|number| Mcc::from_number(number).ok());
    for code in codes.filter(|code| set.contains(*code)) {
        match ranges.last_mut() {
            Some((_, last)) if last.get() + 1 == code.get() => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    let text = |(first, last): (Mcc, Mcc)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests;

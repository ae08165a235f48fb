//! The policy document, read and compiled (behaviour 4.2, 2.13, 2.14).
//!
//! A field that a later version will know is refused by its name, never ignored: an owner who wrote
//! `cooldownMinutes` must not believe that it is enforced.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::json::{Path, Reader};
use crate::domain::amount::Minor;
use crate::domain::claims::ScopeLimits;
use crate::domain::mcc::{Mcc, MccSet};

/// Entries of one list; more is refused.
const LIST_ENTRIES_MAX: usize = 10_000;

/// How the values of several levels become one (behaviour 2.15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cascade {
    /// The tightest value wins.
    #[default]
    Tighten,
    /// The lowest level that sets a value wins. Counters stay enforced at every level.
    Override,
}

/// The caps on amounts, by the names that owners write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum LimitField {
    PerAuth = 0,
    PerDay = 1,
    PerWeek = 2,
    PerMonth = 3,
    Total = 4,
}

impl LimitField {
    /// All caps, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::PerAuth,
        Self::PerDay,
        Self::PerWeek,
        Self::PerMonth,
        Self::Total,
    ];

    /// The name inside `limits`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PerAuth => "perAuth",
            Self::PerDay => "perDay",
            Self::PerWeek => "perWeek",
            Self::PerMonth => "perMonth",
            Self::Total => "total",
        }
    }
}

/// A compiled policy of one level. Kept small, because every card may have its own: absent caps
/// cost a bit, absent lists a null pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    amounts: [Minor; 5],
    present: u8,
    lock_to_first_merchant: Option<bool>,
    allowed_mccs: Option<Arc<MccSet>>,
    blocked_mccs: Option<Arc<MccSet>>,
}

impl Policy {
    /// The cap, where this level sets one.
    #[must_use]
    pub fn limit(&self, field: LimitField) -> Option<Minor> {
        let at = field as usize;
        if self.present >> at & 1 == 1 {
            self.amounts.get(at).copied()
        } else {
            None
        }
    }

    fn set_limit(&mut self, field: LimitField, cap: Minor) {
        let at = field as usize;
        if let Some(amount) = self.amounts.get_mut(at) {
            *amount = cap;
            self.present |= 1 << at;
        }
    }

    /// The caps on the sums that the ledger keeps at this level (behaviour 2.13 d).
    #[must_use]
    pub fn scope_limits(&self) -> ScopeLimits {
        ScopeLimits {
            per_day: self.limit(LimitField::PerDay),
            per_week: self.limit(LimitField::PerWeek),
            per_month: self.limit(LimitField::PerMonth),
            total: self.limit(LimitField::Total),
            ..ScopeLimits::default()
        }
    }

    /// The categories outside which nothing passes; absent means no constraint.
    #[must_use]
    pub fn allowed_mccs(&self) -> Option<&MccSet> {
        self.allowed_mccs.as_deref()
    }

    /// The categories inside which nothing passes; absent means no constraint.
    #[must_use]
    pub fn blocked_mccs(&self) -> Option<&MccSet> {
        self.blocked_mccs.as_deref()
    }

    /// Whether the first approval locks the card to its merchant; absent where this level is silent.
    #[must_use]
    pub fn lock_to_first_merchant(&self) -> Option<bool> {
        self.lock_to_first_merchant
    }

    /// Replaces the lists by copies that other policies use too. A list takes 1 256 bytes, and cards
    /// that differ in their amounts mostly agree in their lists.
    pub(super) fn share_lists(&mut self, known: &mut HashSet<Arc<MccSet>>) {
        for list in [&mut self.allowed_mccs, &mut self.blocked_mccs] {
            let Some(own) = list else {
                continue;
            };
            match known.get(own) {
                Some(shared) => *own = Arc::clone(shared),
                None => {
                    known.insert(Arc::clone(own));
                }
            }
        }
    }

    /// Whether the policy says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Fields of policies that this version does not enforce.
const UNSUPPORTED: &[&str] = &[
    "activeHours",
    "agentMayCreateCards",
    "allowCash",
    "allowPartial",
    "allowedCountries",
    "allowedDomains",
    "allowedMerchants",
    "amountTolerance",
    "attestationWindowMinutes",
    "autoApproveBelow",
    "blockedCountries",
    "blockedDomains",
    "blockedMerchants",
    "cardTtlMinutes",
    "cooldownMinutes",
    "expireAfter",
    "fuelHold",
    "match",
    "maxRiskScore",
    "onIntentMismatch",
    "onViolation",
    "probePolicy",
    "reauthorizeSameMerchant",
    "refundsRestore",
    "requestLimits",
    "requireApproval",
    "requireAttestation",
    "requireIntent",
    "requireRiskScore",
    "reviewTtlMinutes",
    "standingApprovals",
    "ttlDays",
    "ttlMinutes",
    "unscopedRequests",
    "validFrom",
    "validUntil",
];

/// The same inside `limits`.
const UNSUPPORTED_LIMITS: &[&str] = &["countPerDay", "countPerHour", "countTotal", "expireAfter"];

fn unsupported(names: &[&str], name: &str) -> Option<String> {
    names
        .contains(&name)
        .then(|| "not supported by this version".to_owned())
}

/// Reads one policy. Complaints go to `reader`; what could not be read is left out.
pub(super) fn read_policy<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Policy> {
    let mut fields = reader.object(raw, path)?;
    let mut policy = Policy::default();
    if let Some(limits) = fields.take("limits") {
        read_limits(reader, limits, &path.field("limits"), &mut policy);
    }
    if let Some(list) = fields.take("allowedMccs") {
        policy.allowed_mccs = read_mccs(reader, list, &path.field("allowedMccs")).map(Arc::new);
    }
    if let Some(list) = fields.take("blockedMccs") {
        policy.blocked_mccs = read_mccs(reader, list, &path.field("blockedMccs")).map(Arc::new);
    }
    if let Some(lock) = fields.take("lockToFirstMerchant") {
        policy.lock_to_first_merchant = reader.boolean(lock, &path.field("lockToFirstMerchant"));
    }
    fields.finish(reader, path, |name| unsupported(UNSUPPORTED, name));
    Some(policy)
}

fn read_limits<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
    policy: &mut Policy,
) {
    let Some(mut fields) = reader.object(raw, path) else {
        return;
    };
    for field in LimitField::ALL {
        let Some(value) = fields.take(field.name()) else {
            continue;
        };
        let place = path.field(field.name());
        if value.get().starts_with('{') {
            let message = "a limit with a window of its own is not supported by this version";
            reader.report(value.get(), &place, message);
        } else if let Some(cap) = reader.minor(value, &place) {
            policy.set_limit(field, cap);
        }
    }
    fields.finish(reader, path, |name| unsupported(UNSUPPORTED_LIMITS, name));
}

/// A list of codes and ranges; an empty list is no constraint (behaviour 2.14 d).
fn read_mccs<'a>(reader: &mut Reader<'a>, raw: &'a RawValue, path: &Path<'_>) -> Option<MccSet> {
    let items = reader.array(raw, path)?;
    if items.is_empty() {
        return None;
    }
    if items.len() > LIST_ENTRIES_MAX {
        let message = format!("must have at most {LIST_ENTRIES_MAX} entries");
        reader.report(raw.get(), path, message);
        return None;
    }
    let mut set = MccSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let place = path.index(at);
        let Some(text) = reader.text(item, &place) else {
            continue;
        };
        match parse_mcc_range(&text) {
            Some((first, last)) => set.insert_range(first, last),
            None => {
                let message = "must be a category code like \"5812\" or a range like \"3000-3350\"";
                reader.report(item.get(), &place, message);
            }
        }
    }
    Some(set)
}

fn parse_mcc_range(text: &str) -> Option<(Mcc, Mcc)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (Mcc::parse(first).ok()?, Mcc::parse(last).ok()?);
    (first <= last).then_some((first, last))
}

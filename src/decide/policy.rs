//! A policy of one level, compiled (behaviour 4.2, 2.13, 2.14, 6.2).
//!
//! Every card may have its own, so that what few policies say stands behind pointers that policies
//! share: lists in one place, all other fields that are no amount in another.

pub mod hours;
mod read;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use self::hours::ActiveHours;
pub(super) use self::read::read_policy;
use super::merchant_text::list::MerchantList;
use super::purchase::RequestTerms;
use crate::domain::acceptor::CountrySet;
use crate::domain::amount::Minor;
use crate::domain::claims::ScopeLimits;
use crate::domain::mcc::MccSet;
use crate::domain::time::Timestamp;

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

    /// Whether the cap is over a span of time, which may be a calendar's or a trailing one.
    #[must_use]
    pub fn has_window(self) -> bool {
        match self {
            Self::PerDay | Self::PerWeek | Self::PerMonth => true,
            Self::PerAuth | Self::Total => false,
        }
    }
}

/// Whether a single-use card survives one authorization of at most 1.00 (behaviour 2.14 a). The
/// tighter one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbePolicy {
    /// Any approval consumes the card.
    Consume,
    /// One probe in the card's life does not.
    AllowOneProbe,
}

impl ProbePolicy {
    /// The word that owners write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::AllowOneProbe => "allow_one_probe",
        }
    }
}

/// What happens where no intent matches (behaviour 6.2). The tighter one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnIntentMismatch {
    /// The authorization is declined.
    Decline,
    /// It is recorded.
    Flag,
}

impl OnIntentMismatch {
    /// The word that owners write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decline => "decline",
            Self::Flag => "flag",
        }
    }
}

/// The kinds of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum ListField {
    AllowedMccs = 0,
    BlockedMccs = 1,
    AllowedCountries = 2,
    BlockedCountries = 3,
    AllowedMerchants = 4,
    BlockedMerchants = 5,
}

/// Some of the kinds of lists: one bit each, so that a request asks only for what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListFields(u8);

impl ListFields {
    /// Whether the kind is among them.
    #[must_use]
    pub fn has(self, field: ListField) -> bool {
        self.0 >> (field as usize) & 1 == 1
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The lists of one level. Absent means no constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Lists {
    pub allowed_mccs: Option<Arc<MccSet>>,
    pub blocked_mccs: Option<Arc<MccSet>>,
    pub allowed_countries: Option<Arc<CountrySet>>,
    pub blocked_countries: Option<Arc<CountrySet>>,
    pub allowed_merchants: Option<Arc<MerchantList>>,
    pub blocked_merchants: Option<Arc<MerchantList>>,
    /// `match`: whether one kind of allow list is enough.
    pub matches_any: Option<bool>,
}

impl Lists {
    /// The kinds that are there.
    fn fields(&self) -> ListFields {
        let there = [
            (ListField::AllowedMccs, self.allowed_mccs.is_some()),
            (ListField::BlockedMccs, self.blocked_mccs.is_some()),
            (
                ListField::AllowedCountries,
                self.allowed_countries.is_some(),
            ),
            (
                ListField::BlockedCountries,
                self.blocked_countries.is_some(),
            ),
            (
                ListField::AllowedMerchants,
                self.allowed_merchants.is_some(),
            ),
            (
                ListField::BlockedMerchants,
                self.blocked_merchants.is_some(),
            ),
        ];
        let bit = |(field, is_there): (ListField, bool)| u8::from(is_there) << (field as usize);
        ListFields(there.into_iter().map(bit).fold(0, |all, bit| all | bit))
    }
}

/// The fields of one level that are neither amounts nor lists. Absent means unset, which is not
/// false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Terms {
    pub count_per_hour: Option<u32>,
    pub count_per_day: Option<u32>,
    pub count_total: Option<u32>,
    pub expire_after_count: Option<u32>,
    pub expire_after_spend: Option<Minor>,
    pub ttl_minutes: Option<u32>,
    pub ttl_days: Option<u32>,
    pub valid_from: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub active_hours: Option<ActiveHours>,
    pub cooldown_minutes: Option<u32>,
    pub max_risk_score: Option<u8>,
    pub require_risk_score: Option<bool>,
    pub allow_cash: Option<bool>,
    pub allow_partial: Option<bool>,
    pub fuel_hold: Option<Minor>,
    pub probe_policy: Option<ProbePolicy>,
    pub refunds_restore: Option<bool>,
    pub reauthorize_same_merchant: Option<bool>,
    pub require_intent: Option<bool>,
    pub on_intent_mismatch: Option<OnIntentMismatch>,
    pub require_approval: Option<bool>,
    pub auto_approve_below: Option<Minor>,
    pub require_attestation: Option<bool>,
    pub attestation_window_minutes: Option<u8>,
    /// On cards alone: the approval in advance that owns the card.
    pub standing_approval: Option<Box<str>>,
    /// What concerns purchase requests; no authorization ever looks at it.
    pub requests: Option<Arc<RequestTerms>>,
}

/// A compiled policy of one level. Kept small, because every card may have its own: absent caps
/// cost a bit, absent lists and terms a null pointer each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    amounts: [Minor; 5],
    /// One bit for each cap that is set.
    present: u8,
    /// One bit for each cap whose window is a trailing one.
    rolling: u8,
    lock_to_first_merchant: Option<bool>,
    list_fields: ListFields,
    lists: Option<Arc<Lists>>,
    terms: Option<Arc<Terms>>,
}

/// A document that is tried out beside the one in force: evaluated and recorded, never enforced
/// (behaviour 8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The number of its version at its customer, agent or card.
    pub version: u32,
    /// What it says.
    pub policy: Policy,
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

    /// Whether the cap's window is a trailing one.
    #[must_use]
    pub fn is_rolling(&self, field: LimitField) -> bool {
        self.rolling >> (field as usize) & 1 == 1
    }

    fn set_limit(&mut self, field: LimitField, cap: Minor, rolling: bool) {
        let at = field as usize;
        if let Some(amount) = self.amounts.get_mut(at) {
            *amount = cap;
            self.present |= 1 << at;
            self.rolling |= u8::from(rolling) << at;
        }
    }

    /// Sets a cap beside the one that may stand there: the smaller of the two holds, as both would
    /// (behaviour 4.1). False, and nothing is set, where a trailing window stands there: no one cap
    /// says what the two of them say.
    #[must_use]
    pub fn also_cap(&mut self, field: LimitField, cap: Minor) -> bool {
        if self.is_rolling(field) {
            return false;
        }
        let cap = self.limit(field).map_or(cap, |known| known.min(cap));
        self.set_limit(field, cap, false);
        true
    }

    /// The caps on the sums and counts that the ledger keeps at this level (behaviour 2.13 d).
    #[must_use]
    pub fn scope_limits(&self) -> ScopeLimits {
        let (calendar, rolling) = if self.rolling == 0 {
            (self.present, 0)
        } else {
            (self.present & !self.rolling, self.present & self.rolling)
        };
        let cap = |bits: u8, field: LimitField| {
            let at = field as usize;
            let amount = self.amounts.get(at).copied();
            amount.filter(|_| bits >> at & 1 == 1)
        };
        let terms = self.terms.as_deref();
        ScopeLimits {
            per_day: cap(calendar, LimitField::PerDay),
            per_week: cap(calendar, LimitField::PerWeek),
            per_month: cap(calendar, LimitField::PerMonth),
            total: cap(calendar, LimitField::Total),
            rolling_day: cap(rolling, LimitField::PerDay),
            rolling_week: cap(rolling, LimitField::PerWeek),
            rolling_month: cap(rolling, LimitField::PerMonth),
            count_per_hour: terms.and_then(|terms| terms.count_per_hour),
            count_per_day: terms.and_then(|terms| terms.count_per_day),
            count_total: terms.and_then(|terms| terms.count_total),
            count_of_period: None,
        }
    }

    fn set_lists(&mut self, lists: Lists) {
        self.list_fields = lists.fields();
        self.lists = (lists != Lists::default()).then(|| Arc::new(lists));
    }

    /// The kinds of lists that this level has.
    #[must_use]
    pub fn list_fields(&self) -> ListFields {
        self.list_fields
    }

    /// The lists of this level, where it has any.
    #[must_use]
    pub fn lists(&self) -> Option<&Lists> {
        self.lists.as_deref()
    }

    /// The other fields of this level, where it sets any.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_deref()
    }

    /// Whether the first approval locks the card to its merchant; absent where this level is silent.
    #[must_use]
    pub fn lock_to_first_merchant(&self) -> Option<bool> {
        self.lock_to_first_merchant
    }

    /// Whether the policy says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One copy of each thing that policies have in common. Cards that differ in their amounts mostly
/// agree in their lists, and a list of categories takes 1 256 bytes.
#[derive(Debug, Default)]
pub(super) struct Pool {
    policies: HashSet<Arc<Policy>>,
    lists: HashSet<Arc<Lists>>,
    terms: HashSet<Arc<Terms>>,
    mccs: HashSet<Arc<MccSet>>,
    countries: HashSet<Arc<CountrySet>>,
    merchants: HashSet<Arc<MerchantList>>,
}

impl Pool {
    /// The one copy of a policy; none for the one that says nothing.
    pub(super) fn share(&mut self, mut policy: Policy) -> Option<Arc<Policy>> {
        if policy.is_empty() {
            return None;
        }
        if let Some(known) = self.policies.get(&policy) {
            return Some(Arc::clone(known));
        }
        if let Some(terms) = &mut policy.terms {
            share(&mut self.terms, terms);
        }
        if let Some(lists) = &mut policy.lists {
            self.share_lists(lists);
        }
        let policy = Arc::new(policy);
        self.policies.insert(Arc::clone(&policy));
        Some(policy)
    }

    fn share_lists(&mut self, lists: &mut Arc<Lists>) {
        if let Some(known) = self.lists.get(lists) {
            *lists = Arc::clone(known);
            return;
        }
        let own = Arc::make_mut(lists);
        for list in [&mut own.allowed_mccs, &mut own.blocked_mccs]
            .into_iter()
            .flatten()
        {
            share(&mut self.mccs, list);
        }
        let countries = [&mut own.allowed_countries, &mut own.blocked_countries];
        for list in countries.into_iter().flatten() {
            share(&mut self.countries, list);
        }
        let merchants = [&mut own.allowed_merchants, &mut own.blocked_merchants];
        for list in merchants.into_iter().flatten() {
            share(&mut self.merchants, list);
        }
        self.lists.insert(Arc::clone(lists));
    }
}

/// Replaces a thing by the copy of it that is known, or makes it known.
fn share<T: Eq + Hash>(known: &mut HashSet<Arc<T>>, own: &mut Arc<T>) {
    match known.get(own) {
        Some(shared) => *own = Arc::clone(shared),
        None => {
            known.insert(Arc::clone(own));
        }
    }
}

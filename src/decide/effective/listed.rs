//! The effective values by name, for whoever shows or compares them.

use super::{ATTESTATION_MINUTES, InForce};
use crate::decide::merchant_text::list::MerchantList;
use crate::decide::policy::hours::ActiveHours;
use crate::decide::policy::{LimitField, Lists, OnIntentMismatch, Policy, ProbePolicy};
use crate::domain::acceptor::CountrySet;
use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::mcc::MccSet;
use crate::domain::time::Timestamp;

/// One value that is enforced on a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveValue<'s> {
    /// The field's path as owners write it: `limits.perDay`.
    pub field: &'static str,
    /// The level that it comes from; absent for what holds where no level speaks.
    pub level: Option<Level>,
    /// What it says.
    pub value: Value<'s>,
}

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'s> {
    /// True or false.
    Flag(bool),
    /// Minor units of the customer's currency.
    Amount(Minor),
    /// Minor units in a span of time.
    Windowed {
        /// How many.
        amount: Minor,
        /// Whether the span trails, instead of following the calendar.
        rolling: bool,
    },
    /// A number of authorizations, minutes, days, or a score.
    Number(u32),
    /// An instant.
    Instant(Timestamp),
    /// One of a closed list of words.
    Word(&'static str),
    /// What an owner has called something.
    Name(&'s str),
    /// Categories.
    Mccs(&'s MccSet),
    /// Countries.
    Countries(&'s CountrySet),
    /// Merchants.
    Merchants(&'s MerchantList),
    /// Hours of the day.
    Hours(&'s ActiveHours),
}

/// Every value that is enforced on a card, with the level it comes from. Lists and hours stand there
/// once for each level that is asked, counters once for each level that has them, anything else once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectivePolicy<'s> {
    values: Vec<EffectiveValue<'s>>,
    limits: [ScopeLimits; 3],
}

impl<'s> EffectivePolicy<'s> {
    pub(super) fn new(in_force: &InForce<'s>) -> Self {
        let mut listing = Listing(Vec::new());
        listing.limits(in_force);
        listing.lists(in_force);
        listing.lifetime(in_force);
        listing.rules(in_force);
        listing.intents(in_force);
        Self {
            values: listing.0,
            limits: in_force.limits(),
        }
    }

    /// The values in the order of docs/policy.md, of one field lowest level first.
    #[must_use]
    pub fn values(&self) -> &[EffectiveValue<'s>] {
        &self.values
    }

    /// The values of one field.
    pub fn of<'e>(&'e self, field: &'e str) -> impl Iterator<Item = &'e EffectiveValue<'s>> {
        self.values.iter().filter(move |it| it.field == field)
    }

    /// The caps on sums and counts; all levels' are enforced, in the order of [`Level::ALL`].
    #[must_use]
    pub fn limits(&self) -> &[ScopeLimits; 3] {
        &self.limits
    }
}

struct Listing<'s>(Vec<EffectiveValue<'s>>);

impl<'s> Listing<'s> {
    fn push(&mut self, field: &'static str, level: Level, value: Value<'s>) {
        let level = Some(level);
        self.0.push(EffectiveValue {
            field,
            level,
            value,
        });
    }

    fn set<T>(
        &mut self,
        field: &'static str,
        found: Option<(T, Level)>,
        value: impl FnOnce(T) -> Value<'s>,
    ) {
        if let Some((found, level)) = found {
            self.push(field, level, value(found));
        }
    }

    /// A value that holds even where no level speaks.
    fn set_or<T>(
        &mut self,
        field: &'static str,
        found: Option<(T, Level)>,
        default: T,
        value: impl FnOnce(T) -> Value<'s>,
    ) {
        let (found, level) = match found {
            Some((found, level)) => (found, Some(level)),
            None => (default, None),
        };
        let value = value(found);
        self.0.push(EffectiveValue {
            field,
            level,
            value,
        });
    }

    fn required(&mut self, field: &'static str, level: Option<Level>) {
        self.set(field, level.map(|level| (true, level)), Value::Flag);
    }

    fn limits(&mut self, in_force: &InForce<'s>) {
        self.set("limits.perAuth", in_force.per_auth(), Value::Amount);
        let windows = [
            ("limits.perDay", LimitField::PerDay),
            ("limits.perWeek", LimitField::PerWeek),
            ("limits.perMonth", LimitField::PerMonth),
        ];
        for (name, field) in windows {
            for (level, policy) in in_force.leveled() {
                let windowed = |amount| Value::Windowed {
                    amount,
                    rolling: policy.is_rolling(field),
                };
                self.set(name, policy.limit(field).map(|cap| (cap, level)), windowed);
            }
        }
        let total = |policy: &Policy| policy.limit(LimitField::Total);
        for (level, policy) in in_force.leveled() {
            let found = total(policy).map(|cap| (cap, level));
            self.set("limits.total", found, Value::Amount);
        }
        type Count = fn(&ScopeLimits) -> Option<u32>;
        let counts: [(&'static str, Count); 3] = [
            ("limits.countPerHour", |limits| limits.count_per_hour),
            ("limits.countPerDay", |limits| limits.count_per_day),
            ("limits.countTotal", |limits| limits.count_total),
        ];
        for (name, count) in counts {
            for (level, limits) in Level::ALL.into_iter().zip(in_force.limits()) {
                let found = count(&limits).map(|count| (count, level));
                self.set(name, found, Value::Number);
            }
        }
    }

    fn list<T: 's>(
        &mut self,
        field: &'static str,
        found: impl Iterator<Item = (Level, &'s T)>,
        value: impl Fn(&'s T) -> Value<'s>,
    ) {
        for (level, list) in found {
            self.push(field, level, value(list));
        }
    }

    fn lists(&mut self, it: &InForce<'s>) {
        let lists = |get: fn(&'s Lists) -> Option<&'s MccSet>| it.asked(get);
        self.list(
            "allowedMccs",
            lists(|at| at.allowed_mccs.as_deref()),
            Value::Mccs,
        );
        self.list(
            "blockedMccs",
            lists(|at| at.blocked_mccs.as_deref()),
            Value::Mccs,
        );
        let lists = |get: fn(&'s Lists) -> Option<&'s MerchantList>| it.asked(get);
        let allowed = lists(|at| at.allowed_merchants.as_deref());
        self.list("allowedMerchants", allowed, Value::Merchants);
        let blocked = lists(|at| at.blocked_merchants.as_deref());
        self.list("blockedMerchants", blocked, Value::Merchants);
        let lists = |get: fn(&'s Lists) -> Option<&'s CountrySet>| it.asked(get);
        let allowed = lists(|at| at.allowed_countries.as_deref());
        self.list("allowedCountries", allowed, Value::Countries);
        let blocked = lists(|at| at.blocked_countries.as_deref());
        self.list("blockedCountries", blocked, Value::Countries);
        for (level, lists) in it.lists() {
            let word = lists.matches_any.map(|any| (any, level));
            self.set("match", word, |any| {
                Value::Word(if any { "any" } else { "all" })
            });
        }
    }

    fn lifetime(&mut self, it: &InForce<'s>) {
        let minutes = it.smallest(|terms| terms.ttl_minutes);
        self.set("ttlMinutes", minutes, Value::Number);
        let days = it.smallest(|terms| terms.ttl_days);
        self.set("ttlDays", days, Value::Number);
        self.set("validFrom", it.valid_from(), Value::Instant);
        let until = it.smallest(|terms| terms.valid_until);
        self.set("validUntil", until, Value::Instant);
        self.set("expireAfter.count", it.expire_after_count(), Value::Number);
        self.set("expireAfter.spend", it.expire_after_spend(), Value::Amount);
        self.list("activeHours", it.hours(), Value::Hours);
        let named = it.smallest(|terms| terms.standing_approval.as_deref());
        self.set("standingApproval", named, Value::Name);
    }

    fn rules(&mut self, it: &InForce<'s>) {
        self.set("cooldownMinutes", it.cooldown_minutes(), Value::Number);
        self.required("lockToFirstMerchant", it.lock_to_first_merchant());
        let score = |score: u8| Value::Number(u32::from(score));
        self.set("maxRiskScore", it.max_risk_score(), score);
        self.required("requireRiskScore", it.require_risk_score());
        self.set_or("allowCash", it.allow_cash(), false, Value::Flag);
        self.set_or("allowPartial", it.allow_partial(), false, Value::Flag);
        self.set("fuelHold", it.fuel_hold(), Value::Amount);
        let word = |policy: ProbePolicy| Value::Word(policy.name());
        self.set_or("probePolicy", it.probe_policy(), ProbePolicy::Consume, word);
        self.set("refundsRestore", it.refunds_restore(), Value::Flag);
        let again = it.reauthorize_same_merchant();
        self.set("reauthorizeSameMerchant", again, Value::Flag);
    }

    /// What follows from a requirement is listed where the requirement is in force.
    fn intents(&mut self, it: &InForce<'s>) {
        self.required("requireIntent", it.intent_level());
        if it.intent_level().is_some() {
            let word = |policy: OnIntentMismatch| Value::Word(policy.name());
            let decline = OnIntentMismatch::Decline;
            self.set_or("onIntentMismatch", it.on_intent_mismatch(), decline, word);
        }
        self.required("requireApproval", it.require_approval());
        if it.require_approval().is_some() {
            self.set("autoApproveBelow", it.auto_approve_below(), Value::Amount);
        }
        self.required("requireAttestation", it.require_attestation());
        if it.require_attestation().is_some() {
            let minutes = |minutes: u8| Value::Number(u32::from(minutes));
            let window = it.attestation_window_minutes();
            self.set_or(
                "attestationWindowMinutes",
                window,
                ATTESTATION_MINUTES,
                minutes,
            );
        }
    }
}

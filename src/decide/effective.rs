//! The cascade: what the policies of card, agent and customer come to (behaviour 2.15).

mod listed;

use super::policy::hours::ActiveHours;
use super::policy::{
    Cascade, LimitField, ListField, ListFields, Lists, OnIntentMismatch, Policy, ProbePolicy, Terms,
};
use super::purchase::standing::StandingApproval;
use super::snapshot::CardView;
use crate::domain::amount::Minor;
use crate::domain::card::{Level, Usage};
use crate::domain::claims::ScopeLimits;
use crate::domain::explanation::RuleField;
use crate::domain::lifecycle::{BookTerms, OnReversal};
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;

pub use listed::{EffectivePolicy, EffectiveValue, Value};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;
/// How long an attestation is fresh where no policy says so.
const ATTESTATION_MINUTES: u8 = 15;

/// The kinds of allow lists, in the order of their reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowKind {
    Countries,
    Mccs,
    Merchants,
}

impl AllowKind {
    pub(super) const ALL: [Self; 3] = [Self::Countries, Self::Mccs, Self::Merchants];

    fn is_in(self, lists: &Lists) -> bool {
        match self {
            Self::Countries => lists.allowed_countries.is_some(),
            Self::Mccs => lists.allowed_mccs.is_some(),
            Self::Merchants => lists.allowed_merchants.is_some(),
        }
    }

    pub(super) fn field(self) -> ListField {
        match self {
            Self::Countries => ListField::AllowedCountries,
            Self::Mccs => ListField::AllowedMccs,
            Self::Merchants => ListField::AllowedMerchants,
        }
    }
}

/// Whether a card is owned by an approval in advance (behaviour 5.5).
#[derive(Clone, Copy, Debug)]
pub(super) enum InAdvance<'s> {
    /// It is a card like others.
    No,
    /// It says so, and its agent has no such approval, or one with another card.
    Missing,
    /// By this one. What it allows is asked as it is now, so that it cannot be outlived.
    By(&'s StandingApproval),
}

/// The policies over one card, and how their values become one.
#[derive(Clone, Copy, Debug)]
pub(super) struct InForce<'s> {
    policies: [Option<&'s Policy>; 3],
    cascade: Cascade,
    has_terms: bool,
    list_fields: ListFields,
    in_advance: InAdvance<'s>,
}

impl<'s> InForce<'s> {
    pub(super) fn new(policies: [Option<&'s Policy>; 3], cascade: Cascade) -> Self {
        let set = || policies.into_iter().flatten();
        let fields = |all: ListFields, policy: &Policy| all.or(policy.list_fields());
        Self {
            policies,
            cascade,
            has_terms: set().any(|policy| policy.terms().is_some()),
            list_fields: set().fold(ListFields::default(), fields),
            in_advance: InAdvance::No,
        }
    }

    pub(super) fn of(card: &CardView<'s>) -> Self {
        Self::on(card, card.policies())
    }

    /// The same with these documents in the places of the card's, its agent's and its customer's.
    pub(super) fn on(card: &CardView<'s>, policies: [Option<&'s Policy>; 3]) -> Self {
        let in_force = Self::new(policies, card.customer.cascade());
        let in_advance = in_force.owner_of(card.card.id());
        Self {
            in_advance,
            ..in_force
        }
    }

    /// Few cards have one, and no other pays for the search.
    fn owner_of(&self, card_id: &str) -> InAdvance<'s> {
        let [card, agent, _] = self.policies.map(|policy| policy.and_then(Policy::terms));
        let named = card.and_then(|terms| terms.standing_approval.as_deref());
        let Some(name) = named else {
            return InAdvance::No;
        };
        let requests = agent.and_then(|terms| terms.requests.as_deref());
        let all = requests.and_then(|requests| requests.standing.as_deref());
        let is_it =
            |it: &&StandingApproval| *it.name == *name && it.card_id.as_deref() == Some(card_id);
        let mut all = all.unwrap_or_default().iter();
        all.find(is_it).map_or(InAdvance::Missing, InAdvance::By)
    }

    /// The approval in advance that owns the card.
    pub(super) fn in_advance(&self) -> InAdvance<'s> {
        self.in_advance
    }

    /// Whether any level has a field that is neither an amount nor a list.
    pub(super) fn has_terms(&self) -> bool {
        self.has_terms
    }

    /// The kinds of lists that any level has.
    pub(super) fn list_fields(&self) -> ListFields {
        self.list_fields
    }

    fn leveled(&self) -> impl Iterator<Item = (Level, &'s Policy)> + use<'s> {
        let levels = Level::ALL.into_iter().zip(self.policies);
        levels.filter_map(|(level, policy)| Some((level, policy?)))
    }

    fn terms(&self) -> impl Iterator<Item = (Level, &'s Terms)> + use<'s> {
        let some = self.has_terms.then(|| self.leveled());
        let levels = some.into_iter().flatten();
        levels.filter_map(|(level, policy)| Some((level, policy.terms()?)))
    }

    /// The lists of each level that has any, lowest first.
    fn lists(&self) -> impl Iterator<Item = (Level, &'s Lists)> + use<'s> {
        let levels = self.leveled();
        levels.filter_map(|(level, policy)| Some((level, policy.lists()?)))
    }

    /// The value that wins where a smaller one is tighter; of equals the lowest level's.
    fn smallest<T: Ord>(&self, get: impl Fn(&'s Terms) -> Option<T>) -> Option<(T, Level)> {
        self.winner(get, |new, old| new < old)
    }

    /// The value that wins where a larger one is tighter; of equals the lowest level's.
    fn largest<T: Ord>(&self, get: impl Fn(&'s Terms) -> Option<T>) -> Option<(T, Level)> {
        self.winner(get, |new, old| new > old)
    }

    fn winner<T>(
        &self,
        get: impl Fn(&'s Terms) -> Option<T>,
        is_tighter: impl Fn(&T, &T) -> bool,
    ) -> Option<(T, Level)> {
        let set = self
            .terms()
            .filter_map(|(level, terms)| Some((get(terms)?, level)));
        set.reduce(|found, next| match self.cascade {
            Cascade::Tighten if is_tighter(&next.0, &found.0) => next,
            Cascade::Tighten | Cascade::Override => found,
        })
    }

    /// The level of a `require…` that is in force.
    fn required(&self, get: impl Fn(&'s Terms) -> Option<bool>) -> Option<Level> {
        let (required, level) = self.largest(get)?;
        required.then_some(level)
    }

    /// The lists of one kind that a request must pass, lowest level first: every level's, so that
    /// disjoint allow lists allow nothing (behaviour 2.14 d); overriding, the lowest one alone.
    pub(super) fn asked<T: 's>(
        &self,
        get: impl Fn(&'s Lists) -> Option<&'s T>,
    ) -> impl Iterator<Item = (Level, &'s T)> {
        let count = match self.cascade {
            Cascade::Tighten => Level::ALL.len(),
            Cascade::Override => 1,
        };
        let found = self
            .lists()
            .filter_map(move |(level, lists)| Some((level, get(lists)?)));
        found.take(count)
    }

    /// The first level whose allow lists are to be named by this kind's reason, because `passes`
    /// says so of too few of them. A level that says `"match": "any"` is content with one of its
    /// kinds, and is named by the first where none passes.
    pub(super) fn not_allowed(
        &self,
        kind: AllowKind,
        passes: impl Fn(AllowKind, &'s Lists) -> bool,
    ) -> Option<Level> {
        let failed = self.lists().find(|(level, lists)| {
            let asked = |kind: AllowKind| kind.is_in(lists) && self.is_lowest(kind, *level);
            if !asked(kind) || passes(kind, lists) {
                return false;
            }
            let mut all = AllowKind::ALL.into_iter().filter(|kind| asked(*kind));
            let any = lists.matches_any == Some(true);
            !any || (all.next() == Some(kind) && !all.any(|other| passes(other, lists)))
        });
        failed.map(|(level, _)| level)
    }

    /// Whether a list of this kind at this level is asked.
    fn is_lowest(&self, kind: AllowKind, level: Level) -> bool {
        let lower = |(at, lists): (Level, &Lists)| at < level && kind.is_in(lists);
        self.cascade == Cascade::Tighten || !self.lists().any(lower)
    }

    /// The hours that are asked, lowest level first: every level's; overriding, the lowest alone.
    pub(super) fn hours(&self) -> impl Iterator<Item = (Level, &'s ActiveHours)> + use<'s> {
        let count = match self.cascade {
            Cascade::Tighten => Level::ALL.len(),
            Cascade::Override => 1,
        };
        let set = self.terms();
        let set = set.filter_map(|(level, terms)| Some((level, terms.active_hours.as_ref()?)));
        set.take(count)
    }

    /// The cap on one authorization and the level it comes from: the smallest, or overriding the
    /// lowest. Of equal caps the lowest level is named.
    pub(super) fn per_auth(&self) -> Option<(Minor, Level)> {
        let caps = self.leveled();
        let mut set =
            caps.filter_map(|(level, policy)| Some((policy.limit(LimitField::PerAuth)?, level)));
        let found = match self.cascade {
            Cascade::Tighten => set.min(),
            Cascade::Override => set.next(),
        };
        match self.in_advance {
            InAdvance::By(approval) => {
                let cap = (approval.amount_max, Level::Agent);
                Some(found.map_or(cap, |found| found.min(cap)))
            }
            InAdvance::No | InAdvance::Missing => found,
        }
    }

    /// The level that locks the card to its first merchant: any that says so, or overriding the
    /// lowest that speaks. Silence is not "no".
    pub(super) fn lock_to_first_merchant(&self) -> Option<Level> {
        let words = self.leveled();
        let mut set =
            words.filter_map(|(level, policy)| Some((policy.lock_to_first_merchant()?, level)));
        let found = match self.cascade {
            Cascade::Tighten => set.find(|(word, _)| *word),
            Cascade::Override => set.next(),
        };
        let locks = found.filter(|(word, _)| *word).map(|(_, level)| level);
        match self.in_advance {
            InAdvance::No => locks,
            InAdvance::Missing | InAdvance::By(_) => locks.or(Some(Level::Card)),
        }
    }

    /// The caps on sums and counts, which all levels' are (behaviour 2.13 d).
    pub(super) fn limits(&self) -> [ScopeLimits; 3] {
        let limits = self.policies.map(|policy| policy.map(Policy::scope_limits));
        let mut limits = limits.map(Option::unwrap_or_default);
        if let (InAdvance::By(approval), [card, ..]) = (self.in_advance, &mut limits) {
            cap_card(card, approval);
        }
        limits
    }

    /// The instants that end the card's life, each with its field: `validUntil`, and the times to
    /// live counted from the card's creation. A card without a creation has been dead for ever.
    pub(super) fn ends(
        &self,
        created_at: Option<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, Level, RuleField)> {
        let after = move |count: u32, unit_us: i64| match created_at {
            Some(at) => at.plus_micros(i64::from(count).saturating_mul(unit_us)),
            None => Timestamp::from_micros(i64::MIN),
        };
        let minutes = self.smallest(|terms| terms.ttl_minutes);
        let days = self.smallest(|terms| terms.ttl_days);
        let until = self.smallest(|terms| terms.valid_until);
        [
            until.map(|(at, level)| (at, level, RuleField::ValidUntil)),
            minutes.map(|(n, level)| (after(n, MINUTE_US), level, RuleField::TtlMinutes)),
            days.map(|(n, level)| (after(n, DAY_US), level, RuleField::TtlDays)),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn valid_from(&self) -> Option<(Timestamp, Level)> {
        self.largest(|terms| terms.valid_from)
    }

    pub(super) fn expire_after_count(&self) -> Option<(u32, Level)> {
        self.smallest(|terms| terms.expire_after_count)
    }

    pub(super) fn expire_after_spend(&self) -> Option<(Minor, Level)> {
        self.smallest(|terms| terms.expire_after_spend)
    }

    fn cooldown_minutes(&self) -> Option<(u32, Level)> {
        self.largest(|terms| terms.cooldown_minutes)
    }

    pub(super) fn cooldown_us(&self) -> Option<(i64, Level)> {
        let (minutes, level) = self
            .cooldown_minutes()
            .filter(|(minutes, _)| *minutes > 0)?;
        Some((i64::from(minutes).saturating_mul(MINUTE_US), level))
    }

    pub(super) fn max_risk_score(&self) -> Option<(u8, Level)> {
        self.smallest(|terms| terms.max_risk_score)
    }

    pub(super) fn require_risk_score(&self) -> Option<Level> {
        self.required(|terms| terms.require_risk_score)
    }

    /// Whether cash is allowed, and the level that says so; silence is "no".
    pub(super) fn allow_cash(&self) -> Option<(bool, Level)> {
        self.smallest(|terms| terms.allow_cash)
    }

    pub(super) fn allow_partial(&self) -> Option<(bool, Level)> {
        self.smallest(|terms| terms.allow_partial)
    }

    pub(super) fn fuel_hold(&self) -> Option<(Minor, Level)> {
        self.largest(|terms| terms.fuel_hold)
    }

    pub(super) fn probe_policy(&self) -> Option<(ProbePolicy, Level)> {
        self.smallest(|terms| terms.probe_policy)
    }

    fn refunds_restore(&self) -> Option<(bool, Level)> {
        self.smallest(|terms| terms.refunds_restore)
    }

    pub(super) fn reauthorize_same_merchant(&self) -> Option<(bool, Level)> {
        self.smallest(|terms| terms.reauthorize_same_merchant)
    }

    fn require_intent(&self) -> Option<Level> {
        self.required(|terms| terms.require_intent)
    }

    pub(super) fn require_approval(&self) -> Option<Level> {
        self.required(|terms| terms.require_approval)
    }

    /// The level that requires an intent. Whoever requires a human's approval requires an intent:
    /// there is nothing else that a human could have approved.
    pub(super) fn intent_level(&self) -> Option<Level> {
        self.require_intent().or_else(|| self.require_approval())
    }

    pub(super) fn auto_approve_below(&self) -> Option<(Minor, Level)> {
        self.smallest(|terms| terms.auto_approve_below)
    }

    pub(super) fn on_intent_mismatch(&self) -> Option<(OnIntentMismatch, Level)> {
        self.smallest(|terms| terms.on_intent_mismatch)
    }

    fn require_attestation(&self) -> Option<Level> {
        self.required(|terms| terms.require_attestation)
    }

    fn attestation_window_minutes(&self) -> Option<(u8, Level)> {
        self.smallest(|terms| terms.attestation_window_minutes)
    }

    /// How long an attestation is fresh, and the level that requires one.
    pub(super) fn attestation_us(&self) -> Option<(i64, Level)> {
        let level = self.require_attestation()?;
        let window = self.attestation_window_minutes();
        let minutes = window.map_or(ATTESTATION_MINUTES, |(minutes, _)| minutes);
        Some((i64::from(minutes).saturating_mul(MINUTE_US), level))
    }
}

/// What an approval in advance lets its own card have in a period of the calendar, beside the card's own
/// limits.
fn cap_card(limits: &mut ScopeLimits, approval: &StandingApproval) {
    let window = approval.period.window();
    limits.count_of_period = Some((window, approval.count_max));
    let amount = match window {
        WindowKind::Day => &mut limits.per_day,
        WindowKind::Week => &mut limits.per_week,
        WindowKind::Month => &mut limits.per_month,
    };
    // One that says nothing of its sums lets nothing pass.
    let most = approval.total_max.unwrap_or_default();
    *amount = Some(amount.map_or(most, |own| own.min(most)));
}

/// The time to live that is in force, if one is: it counts from the card's creation.
pub(super) fn needs_created_at(
    policies: [Option<&Policy>; 3],
    cascade: Cascade,
) -> Option<(&'static str, Level)> {
    let in_force = InForce::new(policies, cascade);
    let minutes = in_force.smallest(|terms| terms.ttl_minutes);
    let days = in_force.smallest(|terms| terms.ttl_days);
    minutes
        .map(|(_, level)| ("ttlMinutes", level))
        .or_else(|| days.map(|(_, level)| ("ttlDays", level)))
}

/// What policies say about what comes after an authorization of the card (behaviour 2.13 g, 2.14 a).
#[must_use]
pub fn book_terms(card: &CardView<'_>) -> BookTerms {
    let it = InForce::of(card);
    let single = card.card.usage() == Usage::Single;
    let again = it.reauthorize_same_merchant().filter(|_| single);
    BookTerms {
        refunds_restore: matches!(it.refunds_restore(), Some((true, _))),
        on_reversal: match again {
            None => OnReversal::GiveBack,
            Some((true, _)) => OnReversal::KeepLock,
            Some((false, _)) => OnReversal::KeepUse,
        },
        preset_lock: card.card.preset_lock(),
        single_use: single,
        locks_to_first: it.lock_to_first_merchant().is_some() || matches!(again, Some((true, _))),
    }
}

/// Of which intents a human has to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Of none.
    None,
    /// Of those that expect this amount or more, or none.
    From(Minor),
    /// Of all.
    All,
}

/// Which intents of the card a human has to approve by the rules in force (behaviour 6.2).
#[must_use]
pub fn approval(card: &CardView<'_>) -> Approval {
    let in_force = InForce::of(card);
    match (in_force.require_approval(), in_force.auto_approve_below()) {
        (None, _) => Approval::None,
        (Some(_), Some((below, _))) => Approval::From(below),
        (Some(_), None) => Approval::All,
    }
}

/// What one level says for itself, for whoever compares policies.
#[must_use]
pub fn of_level<'s>(level: Level, policy: Option<&'s Policy>) -> EffectivePolicy<'s> {
    let at_level = |it| policy.filter(|_| it == level);
    let policies = Level::ALL.map(at_level);
    EffectivePolicy::new(&InForce::new(policies, Cascade::Tighten))
}

/// When the life of a card under these policies, in the order of [`Level::ALL`], ends at the latest
/// (behaviour 2.14 g).
#[must_use]
pub fn ends_at(
    policies: [Option<&Policy>; 3],
    cascade: Cascade,
    created_at: Timestamp,
) -> Option<Timestamp> {
    let in_force = InForce::new(policies, cascade);
    let ends = in_force.ends(Some(created_at));
    ends.map(|(at, _, _)| at).min()
}

/// What is enforced on the card, for operators and owners.
#[must_use]
pub fn effective<'s>(card: &CardView<'s>) -> EffectivePolicy<'s> {
    EffectivePolicy::new(&InForce::of(card))
}

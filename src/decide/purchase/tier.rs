//! Which way a request goes: denied, to a human, or at once (behaviour 5.4).
//!
//! What policies say is asked here; the sums that are spent already are the ledger's, which is asked
//! afterwards, in the atomic step that makes the earmark.

use super::host::Host;
use super::merchants::KnownMerchant;
use super::standing::StandingApproval;
use super::{CardUse, RequestRule, RequestTerms, Unscoped, category, merchants};
use crate::decide::merchant_text::list::{MerchantEntry, MerchantList};
use crate::decide::policy::{Cascade, LimitField, Policy};
use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::mcc::MccSet;
use crate::domain::time::Timestamp;

/// A day.
const CARD_TTL_MINUTES: u32 = 1_440;
const REVIEW_TTL_MINUTES: u32 = 1_440;
/// From here on a card that names alone would bind is for a human, where no policy says from where on: 1 000.00 of
/// most currencies.
const NAMES_ALONE_BELOW: i64 = 100_000;

/// The policies that an agent's requests meet: its own first, then its customer's.
#[derive(Clone, Copy, Debug)]
pub struct Over<'s> {
    /// The agent's.
    pub agent: Option<&'s Policy>,
    /// The customer's.
    pub customer: Option<&'s Policy>,
    /// How their values become one.
    pub cascade: Cascade,
}

/// What a request asks, as far as rules look at it. No text of the agent is here.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'s> {
    /// The merchant's host.
    pub host: &'s Host,
    /// How much, without the tolerance.
    pub amount: Minor,
    /// Whether the agent says why.
    pub is_justified: bool,
    /// The kind of shop that the agent names.
    pub category: Option<&'s str>,
    /// How often its card is to be used.
    pub card_use: CardUse,
}

/// Why a request is not approved at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host is on a block list.
    DomainBlocked,
    /// The host is on no allow list.
    DomainNotAllowed,
    /// One request may not be so large.
    AmountOverPerRequest(Minor),
    /// One authorization may not be so large, so that the card could never be used for it.
    AmountOverPerAuth(Minor),
    /// No level lets a card be used more than once.
    CardUseNotAllowed,
    /// Nothing but its amount would bind the card.
    Unscoped,
    /// Names alone would bind the card, and anybody can take a name; it is not below what that is good for.
    NamesAlone(Minor),
    /// No threshold says what needs no human.
    NoThreshold,
    /// It is not below the threshold.
    NotBelowThreshold(Minor),
    /// The agent does not say why.
    NotJustified,
}

impl Cause {
    /// Whether it only asks for a human's word, so that any approval answers it.
    #[must_use]
    pub fn asks_for_a_word(self) -> bool {
        match self {
            Self::NoThreshold
            | Self::NotBelowThreshold(_)
            | Self::NamesAlone(_)
            | Self::NotJustified => true,
            Self::DomainBlocked
            | Self::DomainNotAllowed
            | Self::AmountOverPerRequest(_)
            | Self::AmountOverPerAuth(_)
            | Self::CardUseNotAllowed
            | Self::Unscoped => false,
        }
    }

    /// Whether an approval in advance answers it. Who does not say why is heard by a human (behaviour
    /// 5.1), and a rule is waived by whoever has seen the request alone.
    #[must_use]
    pub fn is_answered_in_advance(self) -> bool {
        match self {
            Self::NoThreshold | Self::NotBelowThreshold(_) => true,
            Self::NotJustified
            | Self::NamesAlone(_)
            | Self::DomainBlocked
            | Self::DomainNotAllowed
            | Self::AmountOverPerRequest(_)
            | Self::AmountOverPerAuth(_)
            | Self::CardUseNotAllowed
            | Self::Unscoped => false,
        }
    }

    /// What the broken cap allows, in minor units; absent where it is none.
    #[must_use]
    pub fn cap(self) -> Option<Minor> {
        match self {
            Self::AmountOverPerRequest(cap)
            | Self::AmountOverPerAuth(cap)
            | Self::NamesAlone(cap)
            | Self::NotBelowThreshold(cap) => Some(cap),
            Self::DomainBlocked
            | Self::DomainNotAllowed
            | Self::CardUseNotAllowed
            | Self::Unscoped
            | Self::NoThreshold
            | Self::NotJustified => None,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::DomainBlocked => "domain_blocked",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::AmountOverPerRequest(_) => "amount_over_per_request",
            Self::AmountOverPerAuth(_) => "amount_over_per_auth",
            Self::CardUseNotAllowed => "card_use_not_allowed",
            Self::Unscoped => "unscoped_request",
            Self::NamesAlone(_) => "names_alone",
            Self::NoThreshold => "no_threshold",
            Self::NotBelowThreshold(_) => "not_below_threshold",
            Self::NotJustified => "not_justified",
        }
    }
}

/// One cause, where it stands, and whether a human may let it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub cause: Cause,
    /// Whose rule is broken; absent where no one level's is.
    pub level: Option<Level>,
    /// Whether a human decides; where not, it denies.
    pub may_be_waived: bool,
}

/// Which way it goes, before the ledger has spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tier {
    /// A rule is broken, and nobody may waive it.
    Deny(Cause),
    /// A human decides. Broken rules come first.
    Review(Vec<Violation>),
    /// Nobody needs to be asked.
    Issue,
}

impl Tier {
    /// Which way a request goes in which this was found (behaviour 5.4).
    #[must_use]
    pub fn of(violations: Vec<Violation>) -> Self {
        if let Some(denied) = violations.iter().find(|it| !it.may_be_waived) {
            return Self::Deny(denied.cause);
        }
        if violations.is_empty() {
            Self::Issue
        } else {
            Self::Review(violations)
        }
    }
}

/// What the card of a request is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The amount with its tolerance.
    pub earmark: Minor,
    /// The categories it is bound to; empty where none bind it.
    pub mccs: Vec<String>,
    /// The merchants it is bound to; empty where no map knows the host.
    pub merchants: Vec<MerchantEntry>,
    /// Whether nothing binds it but names, which anybody can take (behaviour 5.6).
    pub is_weak: bool,
    /// How long the card lives.
    pub card_ttl_minutes: u32,
    /// How long a human may take.
    pub review_ttl_minutes: u32,
}

impl<'s> Over<'s> {
    fn levels(self) -> [(Level, Option<&'s Policy>); 2] {
        [(Level::Agent, self.agent), (Level::Customer, self.customer)]
    }

    fn request_terms(self) -> impl Iterator<Item = &'s RequestTerms> {
        let terms = |(_, policy): (Level, Option<&'s Policy>)| policy?.terms()?.requests.as_deref();
        self.levels().into_iter().filter_map(terms)
    }

    /// The tightest value of both levels, or with `override` the agent's, where it has one.
    fn one<T: Ord>(self, get: impl Fn(&RequestTerms) -> Option<T>) -> Option<T> {
        let mut values = self.request_terms().filter_map(get);
        match self.cascade {
            Cascade::Tighten => values.min(),
            Cascade::Override => values.next(),
        }
    }

    /// The amount strictly below which nobody is asked.
    #[must_use]
    pub fn threshold(self) -> Option<Minor> {
        let below = |(_, policy): (Level, Option<&'s Policy>)| policy?.terms()?.auto_approve_below;
        let mut values = self.levels().into_iter().filter_map(below);
        match self.cascade {
            Cascade::Tighten => values.min(),
            Cascade::Override => values.next(),
        }
    }

    /// What the card would be good for.
    #[must_use]
    pub fn terms(self, asked: &Asked<'_>) -> Terms {
        let tolerance = self.one(|it| it.amount_tolerance).unwrap_or_default();
        let lists = |(_, policy): (Level, Option<&'s Policy>)| policy?.lists();
        let lists: Vec<_> = self.levels().into_iter().filter_map(lists).collect();
        let allowed: Vec<&MccSet> = lists
            .iter()
            .filter_map(|it| it.allowed_mccs.as_deref())
            .collect();
        let blocked: Vec<&MccSet> = lists
            .iter()
            .filter_map(|it| it.blocked_mccs.as_deref())
            .collect();
        let within = |mccs: &MccSet| category::common_ranges(mccs, &allowed, &blocked);
        let (merchants, mccs) = match self.known(asked.host) {
            Some(known) => {
                let entries = known.merchants.as_deref().map(MerchantList::entries);
                let mccs = known.mccs.as_deref().map(within);
                (entries.unwrap_or_default().to_vec(), mccs)
            }
            None => match merchants::starter(asked.host) {
                names if !names.is_empty() => (names, None),
                none => {
                    let hinted = asked.category.and_then(category::mccs);
                    (none, hinted.as_ref().map(within))
                }
            },
        };
        let mccs = mccs.unwrap_or_default();
        Terms {
            earmark: asked.amount.saturating_plus(tolerance),
            is_weak: mccs.is_empty() && has_name(&merchants) && !self.narrows_by_mcc(),
            mccs,
            merchants,
            card_ttl_minutes: self
                .one(|it| it.card_ttl_minutes)
                .unwrap_or(CARD_TTL_MINUTES),
            review_ttl_minutes: self
                .one(|it| it.review_ttl_minutes)
                .unwrap_or(REVIEW_TTL_MINUTES),
        }
    }

    /// Whether a list of categories narrows every card that is bound by names: with `override` the list of the
    /// lowest level that has one.
    fn narrows_by_mcc(self) -> bool {
        let mut lists = self
            .levels()
            .into_iter()
            .filter_map(|(_, policy)| policy?.lists().filter(|it| it.allowed_mccs.is_some()));
        match self.cascade {
            Cascade::Tighten => lists.any(|it| it.matches_any != Some(true)),
            Cascade::Override => lists.next().is_some_and(|it| it.matches_any != Some(true)),
        }
    }

    /// What the owner's maps know of the host: the closest domain counts, of the same one the agent's.
    fn known(self, host: &Host) -> Option<&'s KnownMerchant> {
        let maps = self.request_terms();
        let maps = maps.filter_map(|it| it.merchant_map.as_deref());
        merchants::known(maps.flatten(), host)
    }

    /// Caps on how many requests of one agent are approved: in an hour, in a day.
    #[must_use]
    pub fn counts(self) -> (Option<u32>, Option<u32>) {
        (
            self.one(|it| it.count_per_hour),
            self.one(|it| it.count_per_day),
        )
    }

    /// Whether a violation of the rule at the level may be waived by a human.
    #[must_use]
    pub fn reviews(self, level: Level, rule: RequestRule) -> bool {
        let own = self.levels().into_iter().find(|(it, _)| *it == level);
        let terms = own.and_then(|(_, policy)| policy?.terms()?.requests.as_deref());
        terms.is_some_and(|terms| terms.reviews(rule))
    }

    /// Approvals in advance that speak of the request. Whether they have room is in the rows of those
    /// that they have approved.
    #[must_use]
    pub fn standing(
        self,
        asked: &Asked<'_>,
        terms: &Terms,
        now: Timestamp,
    ) -> Vec<StandingApproval> {
        let own = self
            .agent
            .and_then(|policy| policy.terms()?.requests.as_deref());
        let all = own.and_then(|terms| terms.standing.as_deref());
        let all = all.unwrap_or_default().iter();
        all.filter(|it| it.covers(asked.host, terms.earmark, now))
            .cloned()
            .collect()
    }

    /// Everything that keeps the request from being approved at once: broken rules first, the
    /// agent's before the customer's. None hides another (behaviour 5.7).
    #[must_use]
    pub fn violations(self, asked: &Asked<'_>, terms: &Terms) -> Vec<Violation> {
        let broken = self.broken(asked, terms).into_iter();
        let mut found: Vec<Violation> = broken
            .map(|(cause, level, rule)| Violation {
                cause,
                level: Some(level),
                may_be_waived: rule.is_some_and(|rule| self.reviews(level, rule)),
            })
            .collect();
        let mut add = |cause, may_be_waived| {
            found.push(Violation {
                cause,
                level: None,
                may_be_waived,
            });
        };
        if asked.card_use > self.one(|it| it.card_use).unwrap_or_default() {
            add(Cause::CardUseNotAllowed, false);
        }
        if terms.mccs.is_empty() && terms.merchants.is_empty() {
            match self.one(|it| it.unscoped).unwrap_or(Unscoped::Review) {
                Unscoped::Deny => add(Cause::Unscoped, false),
                Unscoped::Review => add(Cause::Unscoped, true),
                Unscoped::Allow => {}
            }
        }
        let least = Minor::new(NAMES_ALONE_BELOW).unwrap_or_default();
        let below = self.one(|it| it.names_alone_below).unwrap_or(least);
        if terms.is_weak && terms.earmark >= below {
            add(Cause::NamesAlone(below), true);
        }
        match self.threshold() {
            None => add(Cause::NoThreshold, true),
            Some(below) if terms.earmark >= below => add(Cause::NotBelowThreshold(below), true),
            Some(_) => {}
        }
        if !asked.is_justified {
            add(Cause::NotJustified, true);
        }
        found
    }

    /// Broken rules and whose they are, each with the one that a human may waive.
    fn broken(self, asked: &Asked<'_>, terms: &Terms) -> Vec<(Cause, Level, Option<RequestRule>)> {
        let mut found = Vec::new();
        for (level, policy) in self.levels() {
            let Some(policy) = policy else { continue };
            let requests = policy.terms().and_then(|terms| terms.requests.as_deref());
            let covers = |rules: &[Host]| rules.iter().any(|rule| rule.covers(asked.host));
            if requests
                .and_then(|it| it.blocked_domains.as_deref())
                .is_some_and(covers)
            {
                let rule = RequestRule::BlockedDomains;
                found.push((Cause::DomainBlocked, level, Some(rule)));
            }
            if requests
                .and_then(|it| it.allowed_domains.as_deref())
                .is_some_and(|rules| !covers(rules))
            {
                let rule = RequestRule::AllowedDomains;
                found.push((Cause::DomainNotAllowed, level, Some(rule)));
            }
            let cap = requests.and_then(|it| it.per_request);
            if let Some(cap) = cap.filter(|cap| terms.earmark > *cap) {
                let rule = RequestRule::RequestLimits;
                found.push((Cause::AmountOverPerRequest(cap), level, Some(rule)));
            }
            let cap = policy.limit(LimitField::PerAuth);
            if let Some(cap) = cap.filter(|cap| terms.earmark > *cap) {
                found.push((Cause::AmountOverPerAuth(cap), level, None));
            }
        }
        found
    }
}

/// Whether one of them is a name: where ids stand beside it, it lets in whoever takes it all the same.
fn has_name(merchants: &[MerchantEntry]) -> bool {
    let is_name = |entry: &MerchantEntry| matches!(entry, MerchantEntry::Name(_));
    merchants.iter().any(is_name)
}

#[cfg(test)]
mod tests;

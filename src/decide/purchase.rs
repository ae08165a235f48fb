//! The rules of purchase requests: what an agent asks before there is a card (behaviour 5).
//!
//! Pure, as everything in `decide`: policies and a request in, a tier out. Card networks carry no
//! domains, so that these rules are met when the card is asked for and never again.

pub mod category;
pub mod host;
pub mod merchants;
pub mod standing;
pub mod tier;

use std::sync::Arc;

use self::host::Host;
use self::merchants::KnownMerchant;
use self::standing::StandingApproval;
use crate::domain::amount::Minor;

/// A rule of requests that an owner can name in `onViolation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum RequestRule {
    AllowedDomains = 0,
    BlockedDomains = 1,
    RequestLimits = 2,
    Limits = 3,
}

impl RequestRule {
    /// All of them, in the order in which they are checked.
    pub const ALL: [Self; 4] = [
        Self::BlockedDomains,
        Self::AllowedDomains,
        Self::RequestLimits,
        Self::Limits,
    ];

    /// The name of the field whose rule it is.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowedDomains => "allowedDomains",
            Self::BlockedDomains => "blockedDomains",
            Self::RequestLimits => "requestLimits",
            Self::Limits => "limits",
        }
    }
}

/// What becomes of a request for a card that nothing but its amount would bind (behaviour 5.6). The
/// tighter one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unscoped {
    /// It is denied.
    Deny,
    /// A human decides.
    Review,
    /// It goes the way of all others.
    Allow,
}

impl Unscoped {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Review, Self::Allow];

    /// The word that owners write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Review => "review",
            Self::Allow => "allow",
        }
    }
}

/// What the card of a request is good for (behaviour 5.6). The tighter one comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CardUse {
    /// One purchase.
    #[default]
    Single,
    /// Purchases at one merchant, until its amount is spent.
    UntilSpent,
}

impl CardUse {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Single, Self::UntilSpent];

    /// The word that owners and agents write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::UntilSpent => "until_spent",
        }
    }
}

/// What one level says of purchase requests. Absent means unset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct RequestTerms {
    pub allowed_domains: Option<Arc<[Host]>>,
    pub blocked_domains: Option<Arc<[Host]>>,
    /// The largest amount of one request, tolerance included.
    pub per_request: Option<Minor>,
    /// Approved requests of one agent.
    pub count_per_hour: Option<u32>,
    pub count_per_day: Option<u32>,
    /// One bit for each rule that a human may waive.
    pub reviewable: u8,
    pub amount_tolerance: Option<Minor>,
    /// In order of the domains.
    pub merchant_map: Option<Arc<[KnownMerchant]>>,
    /// In order of their names. On agents alone.
    pub standing: Option<Arc<[StandingApproval]>>,
    pub unscoped: Option<Unscoped>,
    /// From this amount on, tolerance included, a card that names alone would bind is for a human.
    pub names_alone_below: Option<Minor>,
    /// The most that a request may ask for.
    pub card_use: Option<CardUse>,
    pub card_ttl_minutes: Option<u32>,
    pub review_ttl_minutes: Option<u32>,
}

impl RequestTerms {
    /// The place of the first field that is said, from the object on that has the policy.
    #[must_use]
    pub fn first_field(&self) -> Option<&'static str> {
        let said = [
            (self.allowed_domains.is_some(), "policy.allowedDomains"),
            (self.blocked_domains.is_some(), "policy.blockedDomains"),
            (self.per_request.is_some(), "policy.requestLimits"),
            (self.count_per_hour.is_some(), "policy.requestLimits"),
            (self.count_per_day.is_some(), "policy.requestLimits"),
            (self.reviewable != 0, "policy.onViolation"),
            (self.amount_tolerance.is_some(), "policy.amountTolerance"),
            (self.merchant_map.is_some(), "policy.merchantMap"),
            (self.standing.is_some(), "policy.standingApprovals"),
            (self.unscoped.is_some(), "policy.unscopedRequests"),
            (self.names_alone_below.is_some(), "policy.namesAloneBelow"),
            (self.card_use.is_some(), "policy.cardUse"),
            (self.card_ttl_minutes.is_some(), "policy.cardTtlMinutes"),
            (self.review_ttl_minutes.is_some(), "policy.reviewTtlMinutes"),
        ];
        let found = said.into_iter().find(|(is_said, _)| *is_said);
        found.map(|(_, field)| field)
    }

    /// Whether a violation of the rule at this level goes to a human.
    #[must_use]
    pub fn reviews(&self, rule: RequestRule) -> bool {
        self.reviewable >> (rule as u8) & 1 == 1
    }
}

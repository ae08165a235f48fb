//! One request against one card's rules, in the fixed order of the reasons.
//!
//! The answer is a proposal: the ledger knows the current status, whether the step was decided
//! before, and what the limits have left. Nothing here allocates for a lawful message, unless an
//! intent is required.

mod claims;
mod rules;

use self::claims::claims;
use self::rules::{currency, rule};
use super::effective::{InAdvance, InForce};
use super::policy::Policy;
use super::snapshot::CardView;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level};
use crate::domain::claims::Proposal;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::identity::Keys;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

/// What the rules say to the request at `now`.
#[must_use]
pub fn evaluate(
    card: &CardView<'_>,
    request: &AuthorizationRequest<'_>,
    now: Timestamp,
    keys: &impl Keys,
) -> Proposal {
    evaluate_in_force(card, InForce::of(card), request, now, keys)
}

/// The same with these documents in the places of the card's, its agent's and its customer's.
#[must_use]
pub fn evaluate_under(
    card: &CardView<'_>,
    policies: [Option<&Policy>; 3],
    request: &AuthorizationRequest<'_>,
    now: Timestamp,
    keys: &impl Keys,
) -> Proposal {
    let in_force = InForce::on(card, policies);
    evaluate_in_force(card, in_force, request, now, keys)
}

fn evaluate_in_force(
    card: &CardView<'_>,
    in_force: InForce<'_>,
    request: &AuthorizationRequest<'_>,
    now: Timestamp,
    keys: &impl Keys,
) -> Proposal {
    let asked = Asked::new(card, in_force, request, now);
    let is_money_back = request.kind == AuthorizationKind::Credit;
    let spends = asked.spends();
    let has_terms = asked.in_force.has_terms();
    // Money back is taken in any status; a question about the balance meets the status alone, and has an
    // answer in the customer's currency alone (behaviour 1.4, 2.14 b, i).
    Proposal {
        standing: (!is_money_back).then(|| standing(card)).flatten(),
        expired: (has_terms && !is_money_back)
            .then(|| expired(card, &asked.in_force, now))
            .flatten(),
        rule: match request.kind {
            AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => rule(&asked),
            AuthorizationKind::BalanceInquiry => currency(&asked),
            AuthorizationKind::Credit => None,
        },
        hours: (has_terms && spends && !asked.is_agreed())
            .then(|| outside_hours(&asked))
            .flatten(),
        claims: claims(&asked, keys),
    }
}

/// The reason to decline at `now` whatever is asked on the card, as far as the snapshot knows:
/// reasons 2 to 7 (behaviour 2.10).
#[must_use]
pub fn declines_all(card: &CardView<'_>, now: Timestamp) -> Option<DeclineReason> {
    let found = standing(card).or_else(|| expired(card, &InForce::of(card), now));
    found.map(|it| it.reason)
}

/// Whether what records keep of a request leaves out what has decided it: documents that are tried out on
/// such a record would decide something else.
#[must_use]
pub fn is_agreed(card: &CardView<'_>, request: &AuthorizationRequest<'_>) -> bool {
    let owner = || InForce::of(card).in_advance();
    request.merchant_initiated && matches!(owner(), InAdvance::By(_))
}

/// One request, with the card that it is for and what is in force on it.
struct Asked<'s, 'r> {
    card: &'s CardView<'s>,
    in_force: InForce<'s>,
    request: &'r AuthorizationRequest<'r>,
    now: Timestamp,
    /// What an approval reserves.
    amount: Minor,
    /// The cap on one authorization.
    per_auth: Option<(Minor, Level)>,
}

impl<'s, 'r> Asked<'s, 'r> {
    fn new(
        card: &'s CardView<'s>,
        in_force: InForce<'s>,
        request: &'r AuthorizationRequest<'r>,
        now: Timestamp,
    ) -> Self {
        let mut amount = request.amount.minor;
        // A pump asks whether the card is good, and tells the litres later (behaviour 2.6). Where the
        // issuer gives a hold above 1.00, that is the amount already.
        if request.acceptor.mcc == Some(Mcc::FUEL_DISPENSER)
            && let Some((hold, _)) = in_force.fuel_hold()
            && is_at_most_one(request.amount)
        {
            amount = amount.max(hold);
        }
        Self {
            card,
            in_force,
            request,
            now,
            amount,
            per_auth: in_force.per_auth(),
        }
    }

    /// Whether money would leave the card.
    fn spends(&self) -> bool {
        self.request.kind.spends()
    }

    /// Whether the merchant charges by itself what was approved in advance: nobody is there who could
    /// keep hours, wait, or say what it is for (behaviour 5.5).
    fn is_agreed(&self) -> bool {
        self.request.merchant_initiated && matches!(self.in_force.in_advance(), InAdvance::By(_))
    }

    /// Whether limits have a say.
    fn is_limited(&self) -> bool {
        self.spends() || self.request.kind == AuthorizationKind::BalanceInquiry
    }
}

/// More than nothing and at most 1.00: a probe, or a status check.
fn is_at_most_one(amount: Amount) -> bool {
    !amount.minor.is_zero() && amount.minor <= Amount::one_major(amount.currency)
}

/// Reasons 2, 3 and 5 to 7 as the snapshot has them (behaviour 2.10).
fn standing(card: &CardView<'_>) -> Option<Explanation> {
    let at = |reason, level, field, observed: u8| {
        Some(Explanation {
            observed: Some(i64::from(observed)),
            ..Explanation::of_rule(reason, level, field)
        })
    };
    let status = card.card.status();
    match status {
        CardStatus::Active => {}
        CardStatus::Canceled => {
            let reason = DeclineReason::CardCanceled;
            return at(reason, Level::Card, RuleField::Status, status as u8);
        }
        CardStatus::Locked => {
            let reason = DeclineReason::CardLocked;
            return at(reason, Level::Card, RuleField::Status, status as u8);
        }
    }
    let agent = card
        .agent
        .map_or(AgentStatus::Active, |agent| agent.status());
    if agent != AgentStatus::Active {
        let reason = DeclineReason::AgentSuspended;
        return at(reason, Level::Agent, RuleField::Status, agent as u8);
    }
    let customer = card.customer.status();
    if customer != CustomerStatus::Active {
        let reason = DeclineReason::CustomerSuspended;
        return at(reason, Level::Customer, RuleField::Status, customer as u8);
    }
    if card.card.is_frozen() {
        let reason = DeclineReason::CardFrozenByRisk;
        return at(reason, Level::Card, RuleField::Frozen, 1);
    }
    None
}

/// Reason 4: a card lives from `validFrom` on and up to, not including, the earliest of its ends
/// (behaviour 2.14 g). Observed and limit are instants in microseconds.
fn expired(card: &CardView<'_>, in_force: &InForce<'_>, now: Timestamp) -> Option<Explanation> {
    let explain = |at: Timestamp, level, field| Explanation {
        observed: Some(now.micros()),
        limit: Some(at.micros()),
        ..Explanation::of_rule(DeclineReason::CardExpired, level, field)
    };
    let ends = in_force.ends(card.card.created_at());
    let first = ends.min_by_key(|(at, _, _)| *at);
    if let Some((at, level, field)) = first.filter(|(at, _, _)| *at <= now) {
        return Some(explain(at, level, field));
    }
    let owned = match in_force.in_advance() {
        InAdvance::No => None,
        InAdvance::Missing => {
            let field = RuleField::StandingApproval;
            let reason = DeclineReason::CardExpired;
            Some(Explanation::of_rule(reason, Level::Card, field))
        }
        InAdvance::By(approval) => (approval.until <= now)
            .then(|| explain(approval.until, Level::Agent, RuleField::ValidUntil)),
    };
    if owned.is_some() {
        return owned;
    }
    let (from, level) = in_force.valid_from()?;
    (now < from).then(|| Explanation {
        resets_at: Some(from),
        ..explain(from, level, RuleField::ValidFrom)
    })
}

/// Reason 15. Observed is the instant; what would pass is the next opening.
fn outside_hours(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let (zone, second) = (asked.card.customer.zone(), asked.now.secs());
    let mut hours = asked.in_force.hours();
    let (level, closed) = hours.find(|(_, hours)| !hours.are_open(zone, second))?;
    let opens = closed.next_opening(zone, second);
    Some(Explanation {
        observed: Some(asked.now.micros()),
        resets_at: opens.map(Timestamp::from_secs),
        ..Explanation::of_rule(
            DeclineReason::OutsideActiveHours,
            level,
            RuleField::ActiveHours,
        )
    })
}

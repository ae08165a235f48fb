//! One request against one card's rules, in the fixed order of the reasons.
//!
//! The answer is a proposal: the ledger knows the current status, whether the step was decided
//! before, and what the limits have left. Nothing here allocates for a lawful message.

use super::effective::{asked_lists, lock_to_first_merchant, per_auth};
use super::merchant_text::merchant_keys;
use super::policy::Policy;
use super::snapshot::CardView;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level, Usage};
use crate::domain::claims::{CardRules, Claims, Proposal, ScopeLimits};
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::identity::Keys;
use crate::domain::mcc::{Mcc, MccSet};
use crate::domain::time::Timestamp;

/// What the rules say to the request at `now`.
#[must_use]
pub fn evaluate(
    card: &CardView<'_>,
    request: &AuthorizationRequest<'_>,
    now: Timestamp,
    keys: &impl Keys,
) -> Proposal {
    // Money back is taken in any status; a question about the balance meets the status alone
    // (behaviour 2.14 b, i).
    let (standing, rule) = match request.kind {
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => {
            (standing(card), rule(card, request))
        }
        AuthorizationKind::BalanceInquiry => (standing(card), None),
        AuthorizationKind::Credit => (None, None),
    };
    Proposal {
        standing,
        expired: None,
        rule,
        hours: None,
        claims: claims(card, request, now, keys),
    }
}

/// Reasons 2 to 7 as the snapshot has them (behaviour 2.10). Reason 4 needs a field that policies
/// do not have yet.
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

/// The first of reasons 8 to 17 that applies.
fn rule(card: &CardView<'_>, request: &AuthorizationRequest<'_>) -> Option<Explanation> {
    currency(card, request)
        .or_else(|| cash(request))
        .or_else(|| mcc_blocked(card, request.acceptor.mcc))
        .or_else(|| mcc_not_allowed(card, request.acceptor.mcc))
        .or_else(|| amount_over_per_auth(card, request))
}

/// Limits are in the customer's currency, and no rate is configured (behaviour 1.4).
fn currency(card: &CardView<'_>, request: &AuthorizationRequest<'_>) -> Option<Explanation> {
    let (asked, budget) = (request.amount.currency, card.customer.currency());
    let reason = DeclineReason::CurrencyNotSupported;
    (asked != budget).then(|| Explanation {
        observed: Some(i64::from(asked.packed())),
        limit: Some(i64::from(budget.packed())),
        ..Explanation::of_rule(reason, Level::Customer, RuleField::Currency)
    })
}

/// Cash is refused by default, and no policy can allow it yet (behaviour 2.14 g). Observed is the
/// cash amount against a limit of zero, or the category code without a limit.
fn cash(request: &AuthorizationRequest<'_>) -> Option<Explanation> {
    let refusal = |observed, limit| Explanation {
        field: RuleField::AllowCash,
        observed: Some(observed),
        limit,
        ..Explanation::bare(DeclineReason::TransactionTypeNotAllowed)
    };
    if !request.cash.is_zero() {
        return Some(refusal(request.cash.get(), Some(0)));
    }
    let mcc = request.acceptor.mcc.filter(|mcc| mcc.is_cash())?;
    Some(refusal(i64::from(mcc.get()), None))
}

/// An absent code declines: a block list that cannot be compared must not pass (behaviour 2.14 f).
fn mcc_blocked(card: &CardView<'_>, mcc: Option<Mcc>) -> Option<Explanation> {
    let passes = |set: &MccSet| mcc.is_some_and(|mcc| !set.contains(mcc));
    let failed = asked_lists(card, Policy::blocked_mccs).find(|list| !passes(list.mccs))?;
    let (reason, field) = (DeclineReason::MccBlocked, RuleField::BlockedMccs);
    Some(mcc_refused(reason, failed.level, field, mcc))
}

fn mcc_not_allowed(card: &CardView<'_>, mcc: Option<Mcc>) -> Option<Explanation> {
    let passes = |set: &MccSet| mcc.is_some_and(|mcc| set.contains(mcc));
    let failed = asked_lists(card, Policy::allowed_mccs).find(|list| !passes(list.mccs))?;
    let (reason, field) = (DeclineReason::MccNotAllowed, RuleField::AllowedMccs);
    Some(mcc_refused(reason, failed.level, field, mcc))
}

fn mcc_refused(
    reason: DeclineReason,
    level: Level,
    field: RuleField,
    mcc: Option<Mcc>,
) -> Explanation {
    Explanation {
        observed: mcc.map(|mcc| i64::from(mcc.get())),
        ..Explanation::of_rule(reason, level, field)
    }
}

/// Equal to the cap passes (behaviour 2.13 a). The ledger asks again with the steps before this one.
fn amount_over_per_auth(
    card: &CardView<'_>,
    request: &AuthorizationRequest<'_>,
) -> Option<Explanation> {
    let (cap, level) = per_auth(card)?;
    let reason = DeclineReason::AmountOverPerAuth;
    (request.amount.minor > cap).then(|| Explanation {
        observed: Some(request.amount.minor.get()),
        limit: Some(cap.get()),
        remaining: Some(cap.get()),
        ..Explanation::of_rule(reason, level, RuleField::PerAuth)
    })
}

/// What an approval would need. A credit needs nothing; a question about the balance needs the
/// limits, to answer, and takes nothing from them.
fn claims(
    card: &CardView<'_>,
    request: &AuthorizationRequest<'_>,
    now: Timestamp,
    keys: &impl Keys,
) -> Claims {
    let zone = card.customer.zone();
    let (day, ends) = zone.windows_at(now.secs());
    let (hour, hour_ends) = zone.hour_at(now.secs());
    let (spends, limited) = match request.kind {
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => (true, true),
        AuthorizationKind::BalanceInquiry => (false, true),
        AuthorizationKind::Credit => (false, false),
    };
    let limits = card
        .policies()
        .map(|policy| policy.filter(|_| limited).map(Policy::scope_limits));
    Claims {
        amount: Amount {
            minor: if spends {
                request.amount.minor
            } else {
                Minor::ZERO
            },
            currency: request.amount.currency,
        },
        day,
        resets_at: ends.map(Timestamp::from_secs),
        hour,
        hour_resets_at: Timestamp::from_secs(hour_ends),
        limits: limits.map(Option::<ScopeLimits>::unwrap_or_default),
        per_auth: per_auth(card).filter(|_| limited),
        single_use: spends && card.card.usage() == Usage::Single,
        lock_to_first_merchant: lock_to_first_merchant(card).filter(|_| spends),
        preset_lock: card.card.preset_lock().filter(|_| spends),
        merchant: merchant_keys(keys, &request.acceptor),
        rules: CardRules::default(),
    }
}

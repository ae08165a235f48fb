//! Reasons 8 to 14, 16 and 17: what one request brings against what is in force.

use super::Asked;
use crate::decide::effective::AllowKind;
use crate::decide::merchant_text::list::Merchant;
use crate::decide::policy::{ListField, Lists};
use crate::domain::acceptor::{Country, CountrySet};
use crate::domain::card::Level;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::mcc::{Mcc, MccSet};

/// The first of the reasons that applies.
pub(super) fn rule(asked: &Asked<'_, '_>) -> Option<Explanation> {
    currency(asked)
        .or_else(|| cash(asked))
        .or_else(|| listed(asked))
        .or_else(|| risk_score_too_high(asked))
        .or_else(|| amount_over_per_auth(asked))
}

/// Limits are in the customer's currency, and no rate is configured (behaviour 1.4).
pub(super) fn currency(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let budget = asked.card.customer.currency();
    let billed = asked.request.amount.currency;
    let reason = DeclineReason::CurrencyNotSupported;
    (billed != budget).then(|| Explanation {
        observed: Some(i64::from(billed.packed())),
        limit: Some(i64::from(budget.packed())),
        ..Explanation::of_rule(reason, Level::Customer, RuleField::Currency)
    })
}

/// Cash is refused unless a policy allows it (behaviour 2.14 g). Observed is the cash amount against
/// a limit of zero, or the category code without a limit.
fn cash(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let request = asked.request;
    let code = request.acceptor.mcc.filter(|mcc| mcc.is_cash());
    if request.cash.is_zero() && code.is_none() {
        return None;
    }
    let word = asked.in_force.allow_cash();
    if let Some((true, _)) = word {
        return None;
    }
    let (observed, limit) = match code {
        _ if !request.cash.is_zero() => (Some(request.cash.get()), Some(0)),
        code => (code.map(|code| i64::from(code.get())), None),
    };
    Some(Explanation {
        level: word.map(|(_, level)| level),
        field: RuleField::AllowCash,
        observed,
        limit,
        ..Explanation::bare(DeclineReason::TransactionTypeNotAllowed)
    })
}

/// Reasons 10 to 14. A block beats an allow of its kind, and each kind is asked in its place.
fn listed(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let fields = asked.in_force.list_fields();
    if fields.is_empty() {
        return None;
    }
    let lists = ListsAsked::new(asked);
    let blocked = |field, explain: fn(&ListsAsked<'_, '_, '_>) -> Option<Explanation>| {
        fields.has(field).then(|| explain(&lists)).flatten()
    };
    let not_allowed = |kind: AllowKind| {
        let is_asked = fields.has(kind.field());
        is_asked.then(|| lists.not_allowed(kind)).flatten()
    };
    blocked(ListField::BlockedCountries, |it| it.country_blocked())
        .or_else(|| not_allowed(AllowKind::Countries))
        .or_else(|| blocked(ListField::BlockedMccs, |it| it.mcc_blocked()))
        .or_else(|| not_allowed(AllowKind::Mccs))
        .or_else(|| blocked(ListField::BlockedMerchants, |it| it.merchant_blocked()))
        .or_else(|| not_allowed(AllowKind::Merchants))
}

/// The lists in force, and what the request brings against them.
struct ListsAsked<'a, 's, 'r> {
    asked: &'a Asked<'s, 'r>,
    country: Option<Country>,
    mcc: Option<Mcc>,
    /// Absent where no list names merchants.
    merchant: Option<Merchant<'r>>,
}

impl<'a, 's, 'r> ListsAsked<'a, 's, 'r> {
    fn new(asked: &'a Asked<'s, 'r>) -> Self {
        let acceptor = &asked.request.acceptor;
        let fields = asked.in_force.list_fields();
        let names = [ListField::AllowedMerchants, ListField::BlockedMerchants];
        let names_merchants = names.into_iter().any(|field| fields.has(field));
        Self {
            asked,
            country: acceptor.country,
            mcc: acceptor.mcc,
            merchant: names_merchants.then(|| Merchant::of(acceptor)),
        }
    }

    /// An absent country declines: a block list that cannot be compared must not pass (behaviour
    /// 2.14 f).
    fn country_blocked(&self) -> Option<Explanation> {
        let passes = |set: &CountrySet| self.country.is_some_and(|it| !set.contains(it));
        let mut lists = self
            .asked
            .in_force
            .asked(|at| at.blocked_countries.as_deref());
        let (level, _) = lists.find(|(_, set)| !passes(set))?;
        Some(self.country_refused(level, RuleField::BlockedCountries))
    }

    fn country_refused(&self, level: Level, field: RuleField) -> Explanation {
        Explanation {
            observed: self.country.map(|it| i64::from(it.packed())),
            ..Explanation::of_rule(DeclineReason::CountryNotAllowed, level, field)
        }
    }

    /// An absent code declines, as an absent country does.
    fn mcc_blocked(&self) -> Option<Explanation> {
        let passes = |set: &MccSet| self.mcc.is_some_and(|it| !set.contains(it));
        let mut lists = self.asked.in_force.asked(|at| at.blocked_mccs.as_deref());
        let (level, _) = lists.find(|(_, set)| !passes(set))?;
        Some(self.mcc_refused(DeclineReason::MccBlocked, level, RuleField::BlockedMccs))
    }

    fn mcc_refused(&self, reason: DeclineReason, level: Level, field: RuleField) -> Explanation {
        Explanation {
            observed: self.mcc.map(|mcc| i64::from(mcc.get())),
            ..Explanation::of_rule(reason, level, field)
        }
    }

    fn merchant_blocked(&self) -> Option<Explanation> {
        let merchant = self.merchant.as_ref()?;
        let mut lists = self
            .asked
            .in_force
            .asked(|at| at.blocked_merchants.as_deref());
        let (level, _) = lists.find(|(_, list)| list.names(merchant))?;
        let (reason, field) = (DeclineReason::MerchantBlocked, RuleField::BlockedMerchants);
        Some(Explanation::of_rule(reason, level, field))
    }

    fn not_allowed(&self, kind: AllowKind) -> Option<Explanation> {
        let passes = |kind, lists: &Lists| self.is_allowed(kind, lists);
        let level = self.asked.in_force.not_allowed(kind, passes)?;
        Some(match kind {
            AllowKind::Countries => self.country_refused(level, RuleField::AllowedCountries),
            AllowKind::Mccs => {
                let reason = DeclineReason::MccNotAllowed;
                self.mcc_refused(reason, level, RuleField::AllowedMccs)
            }
            AllowKind::Merchants => {
                let reason = DeclineReason::MerchantNotAllowed;
                Explanation::of_rule(reason, level, RuleField::AllowedMerchants)
            }
        })
    }

    /// Whether a level's list of one kind names what the request brings; what is absent is in no
    /// list.
    fn is_allowed(&self, kind: AllowKind, lists: &Lists) -> bool {
        match kind {
            AllowKind::Countries => {
                let set = lists.allowed_countries.as_deref();
                self.country
                    .is_some_and(|it| set.is_some_and(|set| set.contains(it)))
            }
            AllowKind::Mccs => {
                let set = lists.allowed_mccs.as_deref();
                self.mcc
                    .is_some_and(|it| set.is_some_and(|set| set.contains(it)))
            }
            AllowKind::Merchants => {
                let list = lists.allowed_merchants.as_deref();
                let merchant = self.merchant.as_ref();
                merchant.is_some_and(|it| list.is_some_and(|list| list.names(it)))
            }
        }
    }
}

/// Equal to the cap passes. An absent score passes unless one is required (behaviour 2.14 g).
fn risk_score_too_high(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let reason = DeclineReason::RiskScoreTooHigh;
    let Some(score) = asked.request.risk_score else {
        let level = asked.in_force.require_risk_score()?;
        return Some(Explanation::of_rule(
            reason,
            level,
            RuleField::RequireRiskScore,
        ));
    };
    let (cap, level) = asked.in_force.max_risk_score()?;
    (score > cap).then(|| Explanation {
        observed: Some(i64::from(score)),
        limit: Some(i64::from(cap)),
        ..Explanation::of_rule(reason, level, RuleField::MaxRiskScore)
    })
}

/// Equal to the cap passes (behaviour 2.13 a). The ledger asks again with the steps before this one.
fn amount_over_per_auth(asked: &Asked<'_, '_>) -> Option<Explanation> {
    let (cap, level) = asked.per_auth?;
    let reason = DeclineReason::AmountOverPerAuth;
    (asked.amount > cap).then(|| Explanation {
        observed: Some(asked.amount.get()),
        limit: Some(cap.get()),
        remaining: Some(cap.get()),
        ..Explanation::of_rule(reason, level, RuleField::PerAuth)
    })
}

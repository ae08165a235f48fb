//! Privacy.com's cards API: <https://developers.privacy.com>.
//!
//! It asks nobody before a purchase, so that what is not held there is held nowhere: one limit in
//! whole dollars, over one transaction or for ever, one use, one merchant. It knows no idempotency
//! keys: whatever may have been made is looked for, by its memo, before anything is made again.

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::http::{Call, encoded};
use super::lithic::{NO_LIMIT, WireCard, json, not_understood, set_limit};
use super::remote::Account;
use super::rules::Rules;
use super::{CardOrder, CardsThere, IssuerError};
use crate::domain::time::Timestamp;

const PAGE_SIZE: usize = 100;
/// Cents of the dollar.
const DOLLAR: i64 = 100;

#[derive(Serialize)]
struct WireNew<'a> {
    r#type: &'static str,
    memo: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    funding_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit_duration: Option<&'static str>,
}

#[derive(Deserialize)]
struct WirePage {
    data: Vec<WireCard>,
    page: u64,
    total_pages: u64,
}

/// The limit that is held there, rounded up to whole dollars, and over what.
fn limit(rules: &Rules) -> Option<(i64, &'static str)> {
    let total = rules.total.map(|amount| (amount, "FOREVER"));
    let per_auth = rules.per_auth.map(|amount| (amount, "TRANSACTION"));
    let (amount, duration) = total.or(per_auth).filter(|(amount, _)| *amount > 0)?;
    let cents = amount.checked_add(DOLLAR - 1)? / DOLLAR * DOLLAR;
    Some((cents, duration))
}

/// Whether the card closes behind its first purchase there.
fn closes_after_one(rules: &Rules) -> bool {
    rules.is_single && !rules.has_probe
}

/// What all purchases on such a card can come to: absent where nothing caps their sum.
pub(super) fn whole_limit(rules: &Rules) -> Option<i64> {
    let (amount, duration) = limit(rules)?;
    (duration == "FOREVER" || closes_after_one(rules)).then_some(amount)
}

/// What is held nowhere, by the paths of the fields.
pub(super) fn unenforced(rules: &Rules) -> Vec<String> {
    let is_whole = |amount: Option<i64>| amount.is_some_and(|amount| amount % DOLLAR == 0);
    // Such caps count what is set aside, and a card's life is one window to them.
    let is_set_aside = whole_limit(rules).is_some();
    let held_limit = if rules.total.is_some() {
        ("policy.limits.total", is_whole(rules.total))
    } else {
        ("policy.limits.perAuth", is_whole(rules.per_auth))
    };
    let is_held = |field: &str| match field {
        "policy.lockToFirstMerchant" => !rules.lacks_lock,
        "agent.policy.limits.total" | "customer.policy.limits.total" => is_set_aside,
        _ => field == held_limit.0 && held_limit.1 || rules.allow_nothing(),
    };
    let mut missing: Vec<String> = rules
        .fields
        .iter()
        .filter(|field| !is_held(field))
        .cloned()
        .collect();
    // A probe, or a second try after a reversal, would find the card closed.
    if rules.is_single && rules.has_probe {
        missing.push("usage".to_owned());
    }
    missing
}

pub(super) fn create(order: &CardOrder, account: &Account) -> Result<Call, IssuerError> {
    if order.rules.currency != "USD" {
        let why = "its cards are in USD, and the customer's limits are not";
        return Err(IssuerError::Refused(why.to_owned()));
    }
    let limit = limit(&order.rules);
    let kind = if closes_after_one(&order.rules) {
        "SINGLE_USE"
    } else if order.rules.locks_merchant || order.rules.is_single {
        "MERCHANT_LOCKED"
    } else {
        "UNLOCKED"
    };
    let new = WireNew {
        r#type: kind,
        memo: &order.card_id,
        state: if order.is_paused { "PAUSED" } else { "OPEN" },
        funding_token: account.account.as_deref(),
        spend_limit: limit.map(|(amount, _)| amount),
        spend_limit_duration: limit.map(|(_, duration)| duration),
    };
    json(Method::POST, "/v1/cards".to_owned(), &new)
}

pub(super) fn set_rules(token: &str, rules: &Rules) -> Result<Call, IssuerError> {
    let none = (NO_LIMIT / DOLLAR * DOLLAR, "TRANSACTION");
    set_limit(token, limit(rules).unwrap_or(none))
}

/// Since that day; the memo is compared here.
pub(super) fn find(since: Timestamp, from: Option<&str>) -> Call {
    let text = since.rfc3339_seconds().to_string();
    let day = text.split('T').next().unwrap_or_default();
    let page = from.unwrap_or("1");
    Call::get(format!(
        "/v1/cards?begin={}&page={}&page_size={PAGE_SIZE}",
        encoded(day),
        encoded(page)
    ))
}

pub(super) fn list(from: Option<&str>) -> Call {
    let page = from.unwrap_or("1");
    Call::get(format!(
        "/v1/cards?page={}&page_size={PAGE_SIZE}",
        encoded(page)
    ))
}

pub(super) fn read_page(bytes: &[u8]) -> Result<CardsThere, IssuerError> {
    let page: WirePage = serde_json::from_slice(bytes).map_err(not_understood)?;
    let next = page.page.saturating_add(1);
    Ok(CardsThere {
        next: (page.page < page.total_pages).then(|| next.to_string()),
        cards: page.data.into_iter().map(WireCard::there).collect(),
    })
}

/// The card's purchases that were approved, page by page.
pub(super) fn transactions(token: &str, page: u64) -> Call {
    Call::get(format!(
        "/v1/transactions?card_token={}&result=APPROVED&page={page}&page_size={PAGE_SIZE}",
        encoded(token)
    ))
}

/// A purchase, as it is now; amounts are in cents.
#[derive(Deserialize)]
struct WireTransaction {
    status: String,
    #[serde(default)]
    amount: i64,
    #[serde(default)]
    authorization_amount: i64,
    #[serde(default)]
    settled_amount: i64,
}

#[derive(Deserialize)]
struct WireTransactions {
    data: Vec<WireTransaction>,
    page: u64,
    total_pages: u64,
}

/// What a page of purchases comes to.
pub(super) struct Spent {
    pub(super) minor: i64,
    /// The page that follows.
    pub(super) next: Option<u64>,
}

impl WireTransaction {
    /// What it has cost, or may yet.
    fn cost(&self) -> i64 {
        let settled = self.settled_amount.max(0);
        match &*self.status {
            "BOUNCED" | "DECLINED" | "EXPIRED" | "SETTLED" | "VOIDED" => settled,
            _ => settled.max(self.authorization_amount).max(self.amount),
        }
    }
}

pub(super) fn read_spent(bytes: &[u8]) -> Result<Spent, IssuerError> {
    let page: WireTransactions = serde_json::from_slice(bytes).map_err(not_understood)?;
    let costs = page.data.iter().map(WireTransaction::cost);
    Ok(Spent {
        minor: costs.fold(0, i64::saturating_add),
        next: (page.page < page.total_pages).then(|| page.page.saturating_add(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(fields: &[&str]) -> Rules {
        Rules {
            currency: "USD".to_owned(),
            fields: fields.iter().map(|it| (*it).to_owned()).collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn what_the_issuer_does_not_hold_is_told_by_its_field() {
        let fields = [
            "policy.limits.total",
            "policy.limits.perAuth",
            "policy.lockToFirstMerchant",
            "policy.allowedMccs",
            "customer.policy.limits.perDay",
        ];
        let both = Rules {
            total: Some(5_000),
            per_auth: Some(2_000),
            ..rules(&fields)
        };
        let expected = [fields[1], fields[3], fields[4]];
        assert_eq!(unenforced(&both), expected);
        // Whole dollars only: half a dollar more than the limit would pass.
        let odd = Rules {
            total: Some(5_050),
            ..rules(&fields[..1])
        };
        assert_eq!(unenforced(&odd), [fields[0]]);
        assert_eq!(limit(&odd), Some((5_100, "FOREVER")), "never tighter");
        let single = Rules {
            is_single: true,
            has_probe: true,
            ..rules(&[])
        };
        assert_eq!(unenforced(&single), ["usage"]);
        let closed = Rules {
            total: Some(0),
            ..rules(&fields)
        };
        assert_eq!(unenforced(&closed), [""; 0], "a paused card spends nothing");
        assert_eq!(limit(&closed), None, "0 would mean no limit");
    }
}

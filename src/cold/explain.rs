//! Why a decline happened, in one plain sentence and as values (behaviour 2.12).
//!
//! The sentence is made when somebody reads it; the journal holds numbers only. So a better
//! sentence also explains what was declined last year.

use serde::{Serialize, Serializer};

use crate::domain::acceptor::Country;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level};
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

/// What an explanation needs of the authorization that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The currency of the amounts in it.
    pub currency: Currency,
}

/// An explanation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// One sentence.
    pub text: String,
    /// Where the rule stands.
    pub level: Option<&'static str>,
    /// The rule's path as owners write it.
    pub field: Option<&'static str>,
    /// What the authorization brought.
    pub observed: Option<Shown>,
    /// What the rule allows.
    pub limit: Option<Shown>,
    /// What would still have passed, in minor units.
    pub remaining: Option<i64>,
    /// When the limit's window ends.
    pub resets_at: Option<String>,
}

/// A value that was observed or allowed: minor units as a number, all else in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Minor units, or a count.
    Number(i64),
    /// A code, a word or an instant.
    Text(String),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The explanation in words and values.
#[must_use]
pub fn explain(explanation: &Explanation, context: Context) -> Explained {
    Explained {
        text: sentence(explanation, context),
        level: explanation.level.map(Level::name),
        field: explanation.field.path(),
        observed: explanation.observed.map(|value| shown(explanation, value)),
        limit: explanation.limit.map(|value| shown(explanation, value)),
        remaining: explanation.remaining,
        resets_at: explanation
            .resets_at
            .map(|at| at.rfc3339_seconds().to_string()),
    }
}

fn sentence(it: &Explanation, context: Context) -> String {
    use DeclineReason as Reason;
    let whose = whose(it.level);
    match it.reason {
        Reason::CardUnknown => "No card with this token is known on this connection.".to_owned(),
        Reason::CardCanceled => "The card is canceled.".to_owned(),
        Reason::CardLocked => "The card is locked.".to_owned(),
        Reason::CardExpired => "The card has expired.".to_owned(),
        Reason::AgentSuspended => agent_suspended(it),
        Reason::CustomerSuspended => "The customer is suspended.".to_owned(),
        Reason::CardFrozenByRisk => "The card is frozen because of a risk.".to_owned(),
        Reason::CurrencyNotSupported => currency_not_supported(it),
        Reason::TransactionTypeNotAllowed => transaction_type_not_allowed(it, context),
        Reason::CountryNotAllowed => country_not_allowed(it),
        Reason::MccBlocked => mcc_blocked(it),
        Reason::MccNotAllowed => mcc_not_allowed(it),
        Reason::MerchantBlocked => format!("{whose} rules block this merchant."),
        Reason::MerchantNotAllowed => {
            format!("{whose} rules allow only certain merchants, and this is none of them.")
        }
        Reason::OutsideActiveHours => {
            format!("{whose} rules allow purchases at certain hours only, and it is none of them.")
        }
        Reason::RiskScoreTooHigh => risk_score_too_high(it),
        Reason::AmountOverPerAuth => amount_over_per_auth(it, context),
        Reason::AttestationRequired => {
            format!("{whose} rules require an attestation, and there is none for this purchase.")
        }
        Reason::IntentRequired => {
            format!("{whose} rules require an intent, and the agent has declared none.")
        }
        Reason::IntentPendingApproval => "The agent's intent waits for approval.".to_owned(),
        Reason::IntentExpired => "The agent's intent has expired.".to_owned(),
        Reason::IntentMismatch => "The purchase does not match the agent's intent.".to_owned(),
        Reason::SingleUseConsumed => single_use_consumed(it),
        Reason::MerchantLockMismatch => "The card is locked to another merchant.".to_owned(),
        Reason::CooldownActive => {
            let until = instant(" until ", it.resets_at);
            format!("{whose} rules require a pause between purchases{until}.")
        }
        Reason::CountLimitReached => count_limit_reached(it),
        Reason::CardLimitExceeded => limit_exceeded(it, Level::Card, context),
        Reason::AgentLimitExceeded => limit_exceeded(it, Level::Agent, context),
        Reason::CustomerLimitExceeded => limit_exceeded(it, Level::Customer, context),
        Reason::LedgerUnavailable => "The ledger could not take the authorization.".to_owned(),
        Reason::DeadlineExceeded => {
            "The answer could not leave in time, so nothing was approved.".to_owned()
        }
        Reason::Overloaded => "Too many authorizations were waiting.".to_owned(),
        Reason::ConflictingDuplicate => {
            "A step that was decided before came again with another content; its first decision \
             stands."
                .to_owned()
        }
    }
}

fn whose(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Card) => "The card's",
        Some(Level::Agent) => "The agent's",
        Some(Level::Customer) => "The customer's",
        None => "The",
    }
}

fn agent_suspended(it: &Explanation) -> String {
    let status = match it.observed {
        Some(status) if status == AgentStatus::Paused as i64 => "paused",
        Some(status) if status == AgentStatus::Disabled as i64 => "disabled",
        _ => "suspended",
    };
    format!("The card's agent is {status}.")
}

fn currency_not_supported(it: &Explanation) -> String {
    match (it.observed.and_then(currency), it.limit.and_then(currency)) {
        (Some(asked), Some(budget)) => {
            format!("The authorization is in {asked}, and the customer's limits are in {budget}.")
        }
        _ => "The authorization is not in the currency of the customer's limits.".to_owned(),
    }
}

fn transaction_type_not_allowed(it: &Explanation, context: Context) -> String {
    match (it.field, it.observed, it.limit) {
        (RuleField::AllowCash, Some(cash), Some(_)) => {
            let cash = money(cash, context);
            format!("Cash is not allowed, and {cash} would be paid out as cash.")
        }
        (RuleField::AllowCash, Some(code), None) => {
            let code = mcc(code);
            format!("Cash is not allowed, and the merchant's category {code} gives out cash.")
        }
        _ => "This kind of transaction is not allowed.".to_owned(),
    }
}

fn country_not_allowed(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.observed.and_then(country) {
        Some(country) => format!("{whose} rules do not allow merchants in {country}."),
        None => {
            format!("{whose} rules allow certain countries only, and the merchant names none.")
        }
    }
}

fn mcc_blocked(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.observed.map(mcc) {
        Some(code) => format!("{whose} rules block merchants of category {code}."),
        None => format!("{whose} rules block certain categories, and the merchant names none."),
    }
}

fn mcc_not_allowed(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.observed.map(mcc) {
        Some(code) => {
            format!("{whose} rules allow certain categories only, and {code} is none of them.")
        }
        None => {
            format!("{whose} rules allow certain categories only, and the merchant names none.")
        }
    }
}

fn risk_score_too_high(it: &Explanation) -> String {
    let whose = whose(it.level);
    match (it.observed, it.limit) {
        (Some(score), Some(limit)) => {
            format!("{whose} limit on the network's risk score is {limit}, and it is {score}.")
        }
        _ => format!("{whose} rules require a risk score, and the network gave none."),
    }
}

fn amount_over_per_auth(it: &Explanation, context: Context) -> String {
    let whose = whose(it.level);
    let (Some(observed), Some(limit)) = (it.observed, it.limit) else {
        return format!("{whose} limit on one authorization would be exceeded.");
    };
    let (observed, shown_limit) = (money(observed, context), money(limit, context));
    let room = match it.remaining.filter(|room| *room != limit) {
        Some(room) => format!(", of which {} remain", bare_money(room, context)),
        None => String::new(),
    };
    format!(
        "{whose} limit on one authorization is {shown_limit}{room}; this one would come to \
         {observed}."
    )
}

fn single_use_consumed(it: &Explanation) -> String {
    let at = instant(" at ", it.observed.map(Timestamp::from_micros));
    format!("The card is for one use and was used{at}.")
}

fn count_limit_reached(it: &Explanation) -> String {
    let whose = whose(it.level);
    let until = instant(" until ", it.resets_at);
    match it.limit {
        Some(count) => format!("{whose} limit of {count} authorizations is reached{until}."),
        None => format!("{whose} limit on the number of authorizations is reached{until}."),
    }
}

fn limit_exceeded(it: &Explanation, level: Level, context: Context) -> String {
    let whose = whose(Some(it.level.unwrap_or(level)));
    let window = match it.field {
        RuleField::PerDay => "daily ",
        RuleField::PerWeek => "weekly ",
        RuleField::PerMonth => "monthly ",
        RuleField::Total => "total ",
        RuleField::None
        | RuleField::IssuerToken
        | RuleField::Status
        | RuleField::Frozen
        | RuleField::Currency
        | RuleField::Kind
        | RuleField::AllowCash
        | RuleField::BlockedMccs
        | RuleField::AllowedMccs
        | RuleField::PerAuth
        | RuleField::Usage
        | RuleField::MerchantLock
        | RuleField::CountPerHour
        | RuleField::CountPerDay
        | RuleField::CountTotal
        | RuleField::RollingDay
        | RuleField::RollingWeek
        | RuleField::RollingMonth
        | RuleField::ExpireAfterCount
        | RuleField::ExpireAfterSpend
        | RuleField::CooldownMinutes
        | RuleField::TtlMinutes
        | RuleField::TtlDays
        | RuleField::ValidFrom
        | RuleField::ValidUntil
        | RuleField::ActiveHours
        | RuleField::MaxRiskScore
        | RuleField::RequireRiskScore
        | RuleField::BlockedCountries
        | RuleField::AllowedCountries
        | RuleField::BlockedMerchants
        | RuleField::AllowedMerchants
        | RuleField::RequireAttestation
        | RuleField::RequireIntent
        | RuleField::RequireApproval => "",
    };
    let until = instant(" until ", it.resets_at);
    let (Some(limit), Some(remaining)) = (it.limit, it.remaining) else {
        return format!("{whose} {window}limit would be exceeded{until}.");
    };
    let shown_limit = money(limit, context);
    if remaining == 0 {
        return format!(
            "{whose} {window}limit of {shown_limit} would be exceeded: nothing remains{until}."
        );
    }
    let spent = bare_money(limit.saturating_sub(remaining), context);
    let remaining = bare_money(remaining, context);
    format!(
        "{whose} {window}limit of {shown_limit} would be exceeded: {spent} are spent, \
         {remaining} remain{until}."
    )
}

/// A word and an instant, or nothing.
fn instant(word: &str, at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!("{word}{}", at.rfc3339_seconds()))
}

/// `13.00 USD`.
fn money(minor: i64, context: Context) -> String {
    format!("{} {}", bare_money(minor, context), context.currency)
}

/// `13.00`, where the currency has been named.
fn bare_money(minor: i64, context: Context) -> String {
    let amount = Amount {
        minor: Minor::new(minor).unwrap_or_default(),
        currency: context.currency,
    };
    amount.to_string()
}

/// Four digits; a number that is no code stays what it is.
fn mcc(number: i64) -> String {
    format!("{number:04}")
}

fn currency(packed: i64) -> Option<String> {
    let currency = Currency::from_packed(u16::try_from(packed).ok()?).ok()?;
    Some(currency.to_string())
}

fn country(packed: i64) -> Option<String> {
    let country = Country::from_packed(u16::try_from(packed).ok()?)?;
    Some(country.letters().iter().collect())
}

/// The value of a rule in its own terms: the field tells what the number means.
fn shown(it: &Explanation, value: i64) -> Shown {
    let text = |text: Option<String>| text.map_or(Shown::Number(value), Shown::Text);
    let word = |word: Option<&str>| text(word.map(str::to_owned));
    match it.field {
        RuleField::Status => word(status(it.level, value)),
        RuleField::Frozen => Shown::Text((value != 0).to_string()),
        RuleField::Currency => text(currency(value)),
        RuleField::Kind => word(kind(value)),
        RuleField::BlockedMccs | RuleField::AllowedMccs => mcc_shown(value),
        // A cash amount has a limit of zero beside it, a category code has none.
        RuleField::AllowCash if it.limit.is_none() => mcc_shown(value),
        RuleField::Usage => Shown::Text(Timestamp::from_micros(value).rfc3339().to_string()),
        RuleField::None if it.reason == DeclineReason::CountryNotAllowed => text(country(value)),
        RuleField::None
        | RuleField::IssuerToken
        | RuleField::AllowCash
        | RuleField::PerAuth
        | RuleField::PerDay
        | RuleField::PerWeek
        | RuleField::PerMonth
        | RuleField::Total
        | RuleField::MerchantLock
        | RuleField::CountPerHour
        | RuleField::CountPerDay
        | RuleField::CountTotal
        | RuleField::RollingDay
        | RuleField::RollingWeek
        | RuleField::RollingMonth
        | RuleField::ExpireAfterCount
        | RuleField::ExpireAfterSpend
        | RuleField::CooldownMinutes
        | RuleField::TtlMinutes
        | RuleField::TtlDays
        | RuleField::ValidFrom
        | RuleField::ValidUntil
        | RuleField::ActiveHours
        | RuleField::MaxRiskScore
        | RuleField::RequireRiskScore
        | RuleField::BlockedCountries
        | RuleField::AllowedCountries
        | RuleField::BlockedMerchants
        | RuleField::AllowedMerchants
        | RuleField::RequireAttestation
        | RuleField::RequireIntent
        | RuleField::RequireApproval => Shown::Number(value),
    }
}

fn mcc_shown(value: i64) -> Shown {
    let code = u16::try_from(value)
        .ok()
        .and_then(|n| Mcc::from_number(n).ok());
    code.map_or(Shown::Number(value), |code| Shown::Text(code.to_string()))
}

fn status(level: Option<Level>, value: i64) -> Option<&'static str> {
    match level? {
        Level::Card => [CardStatus::Active, CardStatus::Locked, CardStatus::Canceled]
            .into_iter()
            .find(|status| *status as i64 == value)
            .map(CardStatus::name),
        Level::Agent => [
            AgentStatus::Active,
            AgentStatus::Paused,
            AgentStatus::Disabled,
        ]
        .into_iter()
        .find(|status| *status as i64 == value)
        .map(AgentStatus::name),
        Level::Customer if value == CustomerStatus::Active as i64 => Some("active"),
        Level::Customer => Some("suspended"),
    }
}

fn kind(value: i64) -> Option<&'static str> {
    let kind = AuthorizationKind::from_number(u8::try_from(value).ok()?)?;
    Some(match kind {
        AuthorizationKind::Authorization => "authorization",
        AuthorizationKind::SingleMessage => "single_message",
        AuthorizationKind::Credit => "credit",
        AuthorizationKind::BalanceInquiry => "balance_inquiry",
    })
}

#[cfg(test)]
mod tests;

//! Values of rules in their own terms: the field tells what a number means.

use super::Shown;
use crate::domain::acceptor::Country;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level};
use crate::domain::currency::Currency;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

/// The observed or the allowed value.
pub(super) fn shown(it: &Explanation, value: i64) -> Shown {
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
        RuleField::BlockedCountries | RuleField::AllowedCountries => text(country(value)),
        RuleField::Usage
        | RuleField::TtlMinutes
        | RuleField::TtlDays
        | RuleField::ValidFrom
        | RuleField::ValidUntil
        | RuleField::ActiveHours => {
            Shown::Text(Timestamp::from_micros(value).rfc3339().to_string())
        }
        // Minor units, counts, minutes, scores.
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
        | RuleField::MaxRiskScore
        | RuleField::RequireRiskScore
        | RuleField::BlockedMerchants
        | RuleField::AllowedMerchants
        | RuleField::RequireAttestation
        | RuleField::RequireIntent
        | RuleField::RequireApproval
        | RuleField::StandingApproval
        | RuleField::HeldMax => Shown::Number(value),
    }
}

fn mcc_shown(value: i64) -> Shown {
    let code = u16::try_from(value)
        .ok()
        .and_then(|n| Mcc::from_number(n).ok());
    code.map_or(Shown::Number(value), |code| Shown::Text(code.to_string()))
}

/// Four digits; a number that is no code stays what it is.
pub(super) fn mcc(number: i64) -> String {
    format!("{number:04}")
}

pub(super) fn currency(packed: i64) -> Option<String> {
    let currency = Currency::from_packed(u16::try_from(packed).ok()?).ok()?;
    Some(currency.to_string())
}

pub(super) fn country(packed: i64) -> Option<String> {
    let country = Country::from_packed(u16::try_from(packed).ok()?)?;
    Some(country.to_string())
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

pub(super) fn kind(value: i64) -> Option<&'static str> {
    let kind = AuthorizationKind::from_number(u8::try_from(value).ok()?)?;
    Some(match kind {
        AuthorizationKind::Authorization => "authorization",
        AuthorizationKind::SingleMessage => "single_message",
        AuthorizationKind::Credit => "credit",
        AuthorizationKind::BalanceInquiry => "balance_inquiry",
    })
}

//! One plain sentence for each cause, with what would have passed where that is known.

use super::Context;
use super::shown::{country, currency, kind, mcc};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::{AgentStatus, Level};
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::time::Timestamp;

pub(super) fn sentence(it: &Explanation, context: Context) -> String {
    use DeclineReason as Reason;
    let whose = whose(it.level);
    match it.reason {
        Reason::CardUnknown => "No card with this token is known on this connection.".to_owned(),
        Reason::CardCanceled => "The card is canceled.".to_owned(),
        Reason::CardLocked => "The card is locked.".to_owned(),
        Reason::CardExpired => card_expired(it, context),
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
        Reason::OutsideActiveHours => outside_active_hours(it),
        Reason::RiskScoreTooHigh => risk_score_too_high(it),
        Reason::AmountOverPerAuth => amount_over_per_auth(it, context),
        Reason::AttestationRequired => attestation_required(it),
        Reason::IntentRequired => {
            format!("{whose} rules require an intent, and the agent has declared none.")
        }
        Reason::IntentPendingApproval => "The agent's intent waits for approval.".to_owned(),
        Reason::IntentExpired => {
            let at = instant(" at ", it.resets_at);
            format!("The agent's intent expired{at}.")
        }
        Reason::IntentMismatch => intent_mismatch(it, context),
        Reason::SingleUseConsumed => single_use_consumed(it),
        Reason::MerchantLockMismatch => "The card is locked to another merchant.".to_owned(),
        Reason::CooldownActive => cooldown_active(it),
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
            "It contradicts what is known of its authorization: a step that was decided before, or \
             another card; what was decided stands."
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

fn card_expired(it: &Explanation, context: Context) -> String {
    let rules = format!("{} rules", whose(it.level));
    let limit = it.limit.unwrap_or_default();
    let at = it.limit.map(Timestamp::from_micros);
    if it.field == RuleField::ValidFrom {
        let before = instant(" before ", at);
        format!("{rules} do not let the card be used{before}.")
    } else if it.field == RuleField::ValidUntil {
        let at = instant(" at ", at);
        format!("{rules} let the card expire{at}.")
    } else if [RuleField::TtlMinutes, RuleField::TtlDays].contains(&it.field) {
        let at = instant(" at ", at);
        format!("{rules} gave the card a time to live, which ended{at}.")
    } else if it.field == RuleField::ExpireAfterCount {
        format!(
            "{rules} let the card expire after {}.",
            authorizations(limit)
        )
    } else if it.field == RuleField::ExpireAfterSpend {
        let spend = money(limit, context);
        format!("{rules} let the card expire once {spend} are spent.")
    } else if it.field == RuleField::StandingApproval {
        "No approval of the card's agent owns the card.".to_owned()
    } else {
        "The card has expired.".to_owned()
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
    let cash = match it.level {
        Some(level) => format!("{} rules do not allow cash", whose(Some(level))),
        None => "Cash is not allowed".to_owned(),
    };
    match (it.field, it.observed, it.limit) {
        (RuleField::AllowCash, Some(amount), Some(_)) => {
            let amount = money(amount, context);
            format!("{cash}, and {amount} would be paid out as cash.")
        }
        (RuleField::AllowCash, Some(code), None) => {
            let code = mcc(code);
            format!("{cash}, and the merchant's MCC {code} gives out cash.")
        }
        (RuleField::Kind, Some(number), _) if kind(number).is_some() => {
            let kind = kind(number).unwrap_or_default();
            format!("Transactions of the kind `{kind}` are not allowed.")
        }
        _ => "This kind of transaction is not allowed.".to_owned(),
    }
}

fn country_not_allowed(it: &Explanation) -> String {
    let whose = whose(it.level);
    match (it.field, it.observed.and_then(country)) {
        (RuleField::BlockedCountries, Some(country)) => {
            format!("{whose} rules block merchants in {country}.")
        }
        (RuleField::BlockedCountries, None) => {
            format!("{whose} rules block certain countries, and the merchant names none.")
        }
        (_, Some(country)) => {
            format!("{whose} rules allow certain countries only, and {country} is none of them.")
        }
        (_, None) => {
            format!("{whose} rules allow certain countries only, and the merchant names none.")
        }
    }
}

fn mcc_blocked(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.observed.map(mcc) {
        Some(code) => format!("{whose} rules block merchants of MCC {code}."),
        None => format!("{whose} rules block certain MCCs, and the merchant names none."),
    }
}

fn mcc_not_allowed(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.observed.map(mcc) {
        Some(code) => {
            format!("{whose} rules allow certain MCCs only, and {code} is none of them.")
        }
        None => {
            format!("{whose} rules allow certain MCCs only, and the merchant names none.")
        }
    }
}

fn outside_active_hours(it: &Explanation) -> String {
    let whose = whose(it.level);
    match it.resets_at {
        Some(at) => {
            let at = at.rfc3339_seconds();
            format!(
                "{whose} rules allow purchases at certain hours only, which begin next at {at}."
            )
        }
        None => {
            format!("{whose} rules allow purchases at certain hours only, and it is none of them.")
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

fn attestation_required(it: &Explanation) -> String {
    let whose = whose(it.level);
    match (it.limit, it.observed) {
        (Some(window), Some(age)) => {
            let (window, age) = (minutes(window), minutes(age));
            format!(
                "{whose} rules require an attestation that is less than {window} old, and the \
                 latest is {age} old."
            )
        }
        _ => format!("{whose} rules require an attestation, and there is none for this purchase."),
    }
}

fn intent_mismatch(it: &Explanation, context: Context) -> String {
    match (it.observed, it.limit) {
        (Some(amount), Some(limit)) if amount > limit => {
            let (amount, limit) = (money(amount, context), money(limit, context));
            format!("The purchase would come to {amount}, and the agent's intents reach {limit}.")
        }
        (Some(_), Some(_)) => {
            "The purchase matches none of the agent's intents: its merchant, its MCC or its \
             currency is another."
                .to_owned()
        }
        _ => "The purchase matches none of the agent's intents.".to_owned(),
    }
}

fn single_use_consumed(it: &Explanation) -> String {
    let at = instant(" at ", it.observed.map(Timestamp::from_micros));
    format!("The card is for one use and was used{at}.")
}

fn cooldown_active(it: &Explanation) -> String {
    let whose = whose(it.level);
    let until = instant(" until ", it.resets_at);
    match it.limit {
        Some(limit) => {
            let pause = minutes(limit);
            format!("{whose} rules require a pause of {pause} between purchases{until}.")
        }
        None => format!("{whose} rules require a pause between purchases{until}."),
    }
}

fn count_limit_reached(it: &Explanation) -> String {
    let whose = whose(it.level);
    let until = instant(" until ", it.resets_at);
    let spans = [
        (RuleField::CountPerHour, " an hour"),
        (RuleField::CountPerDay, " a day"),
        (RuleField::CountTotal, " in all"),
        (RuleField::StandingApproval, " a period"),
    ];
    let span = spans.iter().find(|(field, _)| *field == it.field);
    let span = span.map_or("", |(_, span)| *span);
    match it.limit {
        Some(count) => {
            let count = authorizations(count);
            format!("{whose} limit of {count}{span} is reached{until}.")
        }
        None => format!("{whose} limit on the number of authorizations is reached{until}."),
    }
}

fn authorizations(count: i64) -> String {
    match count {
        1 => "1 authorization".to_owned(),
        count => format!("{count} authorizations"),
    }
}

/// What is limited: the word before "limit", and the words behind its amount.
const WINDOWS: [(RuleField, &str, &str); 8] = [
    (RuleField::PerDay, "daily ", ""),
    (RuleField::PerWeek, "weekly ", ""),
    (RuleField::PerMonth, "monthly ", ""),
    (RuleField::Total, "total ", ""),
    (RuleField::RollingDay, "", " in any 24 hours"),
    (RuleField::RollingWeek, "", " in any 7 days"),
    (RuleField::RollingMonth, "", " in any 30 days"),
    (RuleField::HeldMax, "", " on what is held at one time"),
];

fn limit_exceeded(it: &Explanation, level: Level, context: Context) -> String {
    let whose = whose(Some(it.level.unwrap_or(level)));
    let named = WINDOWS.iter().find(|(field, _, _)| *field == it.field);
    let (window, span) = named.map_or(("", ""), |(_, window, span)| (window, span));
    // A calendar's window ends for everything; a trailing one makes room for this amount.
    let until = if span.is_empty() {
        instant(" until ", it.resets_at)
    } else {
        instant(", and there is room for this one at ", it.resets_at)
    };
    let (Some(limit), Some(remaining)) = (it.limit, it.remaining) else {
        return format!("{whose} {window}limit{span} would be exceeded{until}.");
    };
    let shown_limit = money(limit, context);
    if remaining == 0 {
        return format!(
            "{whose} {window}limit of {shown_limit}{span} would be exceeded: nothing \
             remains{until}."
        );
    }
    let spent = bare_money(limit.saturating_sub(remaining), context);
    let word = if it.field == RuleField::HeldMax {
        "held"
    } else {
        "spent"
    };
    let remaining = bare_money(remaining, context);
    format!(
        "{whose} {window}limit of {shown_limit}{span} would be exceeded: {spent} are {word}, \
         {remaining} remain{until}."
    )
}

/// A word and an instant, or nothing.
fn instant(word: &str, at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!("{word}{}", at.rfc3339_seconds()))
}

fn minutes(count: i64) -> String {
    match count {
        1 => "1 minute".to_owned(),
        count => format!("{count} minutes"),
    }
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

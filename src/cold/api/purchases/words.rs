//! Why a request is refused, or waits, in a stable word and a sentence; and what would pass.

use crate::cold::explain::{Context, explain};
use crate::cold::store::purchases::Broken;
use crate::decide::purchase::tier::{Cause, Violation};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::Level;
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};

/// A refusal in words for the agent.
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) text: String,
    pub(super) suggestion: Option<String>,
}

pub(super) fn refused(code: &str, text: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        text: text.to_owned(),
        suggestion: None,
    }
}

pub(super) fn review_expired() -> Refusal {
    let mut refusal = refused("review_expired", "nobody decided in time");
    refusal.suggestion = Some("Ask again, with a new idempotency key.".to_owned());
    refusal
}

pub(super) fn issuer_unavailable() -> Refusal {
    let mut refusal = refused(
        "issuer_unavailable",
        "the card's issuer did not answer in time",
    );
    refusal.suggestion = Some("Ask again later, with a new idempotency key.".to_owned());
    refusal
}

/// Why the rules refuse it, and what would pass.
pub(super) fn in_words(cause: Cause, currency: Currency) -> Refusal {
    let amount = |minor: Minor| format!("{} {currency}", Amount { minor, currency });
    let most = |cap| Some(format!("Ask for at most {}.", amount(cap)));
    let (text, suggestion) = match cause {
        Cause::DomainBlocked => (
            "the owner has blocked this merchant's domain".to_owned(),
            Some("Buy from another merchant.".to_owned()),
        ),
        Cause::DomainNotAllowed => (
            "the owner allows other merchants' domains only".to_owned(),
            Some("Buy from a merchant that the owner allows.".to_owned()),
        ),
        Cause::AmountOverPerRequest(cap) => (
            format!("one request may be for {} at most", amount(cap)),
            most(cap),
        ),
        Cause::AmountOverPerAuth(cap) => (
            format!("one purchase may be of {} at most", amount(cap)),
            most(cap),
        ),
        Cause::CardUseNotAllowed => (
            "the owner's cards are good for one purchase each".to_owned(),
            Some("Ask for one purchase, without card_use.".to_owned()),
        ),
        Cause::Unscoped => (
            "nothing but its amount would bind the card to this purchase".to_owned(),
            Some("Name the kind of shop in category_hint.".to_owned()),
        ),
        Cause::NamesAlone(below) => (
            format!(
                "a name alone would bind the card, which is good for less than {} without a human's word",
                amount(below)
            ),
            Some("The owner can map the domain to categories or to the merchant's ids.".to_owned()),
        ),
        Cause::NoThreshold => ("every purchase needs a human's word".to_owned(), None),
        Cause::NotBelowThreshold(below) => (
            format!("purchases from {} on need a human's word", amount(below)),
            None,
        ),
        Cause::NotJustified => (
            "the agent does not say why".to_owned(),
            Some("Say why in justification.".to_owned()),
        ),
    };
    Refusal {
        code: cause.code().to_owned(),
        text,
        suggestion,
    }
}

pub(super) fn broken(violation: Violation, currency: Currency) -> Broken {
    let Refusal { code, text, .. } = in_words(violation.cause, currency);
    Broken {
        code,
        text,
        level: violation.level.map(|level| level.name().to_owned()),
        field: None,
        cap: violation.cause.cap().map(Minor::get),
    }
}

pub(super) fn broken_limit(why: &Explanation, currency: Currency) -> Broken {
    Broken {
        code: why.reason.code().to_owned(),
        text: limit_text(why, currency),
        level: why.level.map(|level| level.name().to_owned()),
        field: why.field.path().map(str::to_owned),
        cap: why.limit,
    }
}

/// Which limit it is, in a sentence. Counts of requests stand in the card's place in the ledger, and
/// in no card's rules.
fn limit_text(why: &Explanation, currency: Currency) -> String {
    let explained = explain(why, Context { currency });
    let spans = [
        (RuleField::CountPerHour, "countPerHour", "an hour"),
        (RuleField::CountPerDay, "countPerDay", "a day"),
    ];
    let span = spans.into_iter().find(|(field, ..)| *field == why.field);
    let of_requests = why.level == Some(Level::Card);
    let (Some((_, name, span)), Some(count), true) = (span, why.limit, of_requests) else {
        return explained.text;
    };
    let requests = if count == 1 { "request" } else { "requests" };
    let until = explained
        .resets_at
        .map_or_else(String::new, |at| format!(" until {at}"));
    format!("The agent's requestLimits.{name} of {count} {requests} {span} is reached{until}.")
}

/// Why the limits refuse it, and what would pass.
pub(super) fn over_limit(why: &Explanation, currency: Currency) -> Refusal {
    let explained = explain(why, Context { currency });
    let is_amount = why.reason != DeclineReason::CountLimitReached;
    let remaining = why.remaining.filter(|left| *left > 0 && is_amount);
    let remaining = remaining.and_then(|left| Minor::new(left).ok());
    let least = remaining.map(|minor| format!("{} {currency}", Amount { minor, currency }));
    let suggestion = match (least, explained.resets_at) {
        (Some(most), Some(at)) => format!("Ask for at most {most}, or ask again from {at} on."),
        (Some(most), None) => format!("Ask for at most {most}."),
        (None, Some(at)) => format!("Ask again from {at} on."),
        (None, None) => "Ask the owner for more room.".to_owned(),
    };
    Refusal {
        code: why.reason.code().to_owned(),
        text: limit_text(why, currency),
        suggestion: Some(suggestion),
    }
}

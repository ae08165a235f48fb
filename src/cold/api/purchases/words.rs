//! Why a request is refused, or waits, in a stable word and a sentence; and what would pass.

use crate::cold::explain::{Context, explain};
use crate::cold::store::purchases::Broken;
use crate::decide::purchase::tier::Cause;
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::Explanation;

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
        Cause::Unscoped => (
            "nothing but its amount would bind the card to this purchase".to_owned(),
            Some("Name the kind of shop in category_hint.".to_owned()),
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

pub(super) fn broken(cause: Cause, currency: Currency) -> Broken {
    let Refusal { code, text, .. } = in_words(cause, currency);
    Broken {
        code,
        text,
        level: None,
        field: None,
    }
}

pub(super) fn broken_limit(why: &Explanation, currency: Currency) -> Broken {
    Broken {
        code: why.reason.code().to_owned(),
        text: explain(why, Context { currency }).text,
        level: why.level.map(|level| level.name().to_owned()),
        field: why.field.path().map(str::to_owned),
    }
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
        text: explained.text,
        suggestion: Some(suggestion),
    }
}

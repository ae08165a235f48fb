//! The issuers' words: verify a delivery, decode its question, encode our answer.
//!
//! Pure: bytes and `now` in, values and bytes out. One folder per issuer holds its wire format;
//! this file is the only place that tells the issuers apart. docs/issuers/adding.md says how another
//! one comes in.

mod age;
pub mod delivery;
pub mod listed;
pub mod lithic;
mod mac;
pub mod marqeta;
mod question;
mod reply;
pub mod standard_webhooks;
pub mod stripe;
mod wire;

use std::fmt;

use self::delivery::{Header, Presented, SignatureRefused, VerifiedBody};
pub use self::question::{Question, ReplyForm, SameBy};
pub use self::reply::Reply;
use self::standard_webhooks::SignatureHeaders;
use crate::domain::amount::Minor;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::lifecycle::Observation;
use crate::domain::time::Timestamp;

/// One issuer connection: how it speaks, and what is accepted as its issuer's. Cannot be printed: it
/// holds secrets.
pub enum Issuer {
    /// Lithic's Auth Stream Access.
    Lithic(standard_webhooks::Verifier),
    /// The same, signed as it was before Standard Webhooks.
    LithicLegacy(lithic::legacy::Verifier),
    /// Our own issuer for trying things out; it speaks as Lithic does.
    Sandbox(standard_webhooks::Verifier),
    /// Stripe Issuing's real-time authorizations.
    Stripe(stripe::Account),
    /// Marqeta's Gateway Just-in-Time Funding.
    Marqeta(marqeta::Verifier),
}

impl Issuer {
    /// Which issuer it is.
    #[must_use]
    pub fn kind(&self) -> IssuerKind {
        match self {
            Self::Lithic(_) | Self::LithicLegacy(_) => IssuerKind::Lithic,
            Self::Sandbox(_) => IssuerKind::Sandbox,
            Self::Stripe(_) => IssuerKind::Stripe,
            Self::Marqeta(_) => IssuerKind::Marqeta,
        }
    }

    /// Looks up the headers that prove who sent a delivery, by their names in lower case, and no
    /// others.
    pub fn present<'a>(&self, find: impl Fn(&str) -> Header<'a>) -> Presented<'a> {
        match self {
            Self::Lithic(_) | Self::Sandbox(_) => SignatureHeaders::find(find),
            Self::LithicLegacy(_) => lithic::legacy::Verifier::present(find),
            Self::Stripe(_) => stripe::Account::present(find),
            Self::Marqeta(verifier) => verifier.present(find),
        }
    }

    /// Whether the raw bytes are this issuer's (behaviour 2.2).
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not; the answer is 401.
    pub fn verify<'a>(
        &self,
        presented: &Presented<'a>,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        match self {
            Self::Lithic(verifier) | Self::Sandbox(verifier) => {
                verifier.verify(&SignatureHeaders::read(presented), body, now)
            }
            Self::LithicLegacy(verifier) => verifier.verify(presented, body),
            Self::Stripe(account) => account.verify(presented, body, now),
            Self::Marqeta(verifier) => verifier.verify(presented, body),
        }
    }

    /// The question that the body asks (behaviour 2.3). It borrows the body's text where that has no
    /// escapes.
    ///
    /// # Errors
    /// [`NotUnderstood`] names the field; the answer is [`IssuerKind::not_understood`].
    pub fn decode<'a>(&self, body: &VerifiedBody<'a>) -> Result<Question<'a>, NotUnderstood> {
        match self {
            Self::Lithic(_) | Self::LithicLegacy(_) | Self::Sandbox(_) => {
                lithic::decode::authorization(body)
            }
            Self::Stripe(account) => stripe::decode::authorization(account, body),
            Self::Marqeta(_) => marqeta::decode::authorization(body),
        }
    }

    /// Whether an event is about a card itself: its issuer has made, changed, stopped or closed it.
    #[must_use]
    pub fn is_about_card(&self, body: &VerifiedBody<'_>) -> bool {
        match self {
            Self::Lithic(_) | Self::LithicLegacy(_) | Self::Sandbox(_) => {
                lithic::events::is_about_card(body)
            }
            Self::Stripe(_) => stripe::events::is_about_card(body),
            Self::Marqeta(_) => false,
        }
    }

    /// What an event reports about authorizations (behaviour 2.16); nothing where it is about
    /// something else.
    ///
    /// # Errors
    /// [`NotUnderstood`] names the field: an event that ought to be understood and is not.
    pub fn observe<'a>(
        &self,
        body: &VerifiedBody<'a>,
    ) -> Result<Vec<Observation<'a>>, NotUnderstood> {
        match self {
            Self::Lithic(_) | Self::LithicLegacy(_) | Self::Sandbox(_) => {
                lithic::events::observations(body)
            }
            Self::Stripe(account) => stripe::events::observations(account, body),
            Self::Marqeta(_) => marqeta::events::observations(body),
        }
    }
}

/// The issuers that we speak with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuerKind {
    /// Lithic's Auth Stream Access.
    Lithic,
    /// Stripe Issuing's real-time authorizations.
    Stripe,
    /// Marqeta's Gateway Just-in-Time Funding.
    Marqeta,
    /// Our own issuer for trying things out; it speaks as Lithic does.
    Sandbox,
}

/// A configuration names an issuer that we do not speak with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIssuerKind {
    /// What it names.
    pub named: String,
}

impl fmt::Display for UnknownIssuerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = IssuerKind::ALL.map(IssuerKind::name).join(", ");
        write!(
            f,
            "unknown issuer kind `{}`: known are {known}",
            self.named.escape_default()
        )
    }
}

impl std::error::Error for UnknownIssuerKind {}

impl IssuerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Lithic, Self::Stripe, Self::Marqeta, Self::Sandbox];

    /// Reads the word of the configuration.
    ///
    /// # Errors
    /// [`UnknownIssuerKind`] lists the words.
    pub fn parse(text: &str) -> Result<Self, UnknownIssuerKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownIssuerKind {
                named: text.to_owned(),
            })
    }

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lithic => "lithic",
            Self::Stripe => "stripe",
            Self::Marqeta => "marqeta",
            Self::Sandbox => "sandbox",
        }
    }

    /// How long the issuer waits for an answer, in milliseconds.
    #[must_use]
    pub fn patience_ms(self) -> u32 {
        match self {
            Self::Lithic | Self::Sandbox => 6_000,
            Self::Stripe => 2_000,
            Self::Marqeta => 3_000,
        }
    }

    /// Our decision in the issuer's words (behaviour 2.11). `available` is the smallest remaining
    /// amount limit, absent without limits; only an answer to a balance inquiry tells it.
    #[must_use]
    pub fn encode(self, form: &ReplyForm, decision: Decision, available: Option<Minor>) -> Reply {
        match self {
            Self::Lithic | Self::Sandbox => lithic::encode::decision(form, decision, available),
            Self::Stripe => stripe::encode::decision(form, decision),
            Self::Marqeta => marqeta::encode::decision(form, decision, available),
        }
    }

    /// The answer to an authentic body that is not understood: never an approval (behaviour 2.3).
    #[must_use]
    pub fn not_understood(self, cause: &NotUnderstood, body: &[u8]) -> Reply {
        match self {
            Self::Lithic | Self::Sandbox => Reply::not_understood(cause),
            Self::Stripe => stripe::encode::not_understood(),
            Self::Marqeta => marqeta::encode::not_understood(cause, body),
        }
    }

    /// A decline of an authentic body whose question was not looked at, because there was no time, or
    /// got lost on the way, by a bug of ours.
    #[must_use]
    pub fn decline_lost(self, body: &[u8], reason: DeclineReason) -> Reply {
        match self {
            Self::Lithic | Self::Sandbox => lithic::encode::decline(reason),
            Self::Stripe => stripe::encode::decline(reason),
            Self::Marqeta => marqeta::encode::decline_lost(body, reason),
        }
    }
}

/// An authentic body that asks nothing we can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The field's path in the issuer's own names; `body` where there is no telling. A name of
    /// ours, never text from the body.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The body is not one JSON text in UTF-8.
    NotJson,
    /// Required and not there.
    Missing,
    /// There more than once.
    Repeated,
    /// Of another JSON type than documented; an amount that is no integer.
    WrongType,
    /// A number outside its range.
    OutOfRange,
    /// Below zero where money leaves the card.
    Negative,
    /// Not zero where nothing is asked for.
    NotZero,
    /// No id: empty, too long, or with bytes other than visible ASCII.
    NotAnId,
    /// A value that we do not know and cannot pass over.
    Unknown,
    /// Not in the currency of the amount that it stands beside.
    OtherCurrency,
    /// An amount that is no whole number of minor units.
    TooManyDecimals,
    /// Of another mode or another account than the connection's.
    OtherAddressee,
}

impl Fault {
    /// The plain words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotJson => "not one JSON text in UTF-8",
            Self::Missing => "missing",
            Self::Repeated => "present more than once",
            Self::WrongType => "not of the documented type",
            Self::OutOfRange => "out of range",
            Self::Negative => "negative",
            Self::NotZero => "not zero",
            Self::NotAnId => "not an id",
            Self::Unknown => "not a known value",
            Self::OtherCurrency => "in another currency than the amount beside it",
            Self::TooManyDecimals => "more decimals than the currency has",
            Self::OtherAddressee => "of another mode or account than this connection's",
        }
    }
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {}: {}", self.field, self.why.text())
    }
}

impl std::error::Error for NotUnderstood {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_name_and_an_unknown_one_is_told_the_names() {
        for kind in IssuerKind::ALL {
            assert_eq!(IssuerKind::parse(kind.name()), Ok(kind));
        }
        for text in ["", "Lithic", "stripes", "lithic\n"] {
            let error = IssuerKind::parse(text).unwrap_err().to_string();
            assert!(
                error.ends_with("known are lithic, stripe, marqeta, sandbox"),
                "{error}"
            );
            assert!(!error.contains('\n'));
        }
    }
}

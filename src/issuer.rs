//! The issuers' words: verify a delivery, decode its question, encode our answer.
//!
//! Pure: bytes and `now` in, values and bytes out. One folder per issuer holds its wire format;
//! this file is the only place that tells the issuers apart.

mod lithic;
mod reply;
pub mod standard_webhooks;

use std::fmt;

use self::lithic::{decode, encode};
pub use self::reply::Reply;
use self::standard_webhooks::{SignatureHeaders, SignatureRefused, VerifiedBody, Verifier};
use crate::domain::amount::Minor;
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::decision::Decision;
use crate::domain::time::Timestamp;

/// The issuers that we speak with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuerKind {
    /// Lithic's Auth Stream Access.
    Lithic,
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
    pub const ALL: [Self; 2] = [Self::Lithic, Self::Sandbox];

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
            Self::Sandbox => "sandbox",
        }
    }

    /// Whether the raw bytes are this issuer's (behaviour 2.2).
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not; the answer is 401.
    pub fn verify<'a>(
        self,
        verifier: &Verifier,
        headers: &SignatureHeaders<'a>,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        match self {
            Self::Lithic | Self::Sandbox => verifier.verify(headers, body, now),
        }
    }

    /// The question that the body asks (behaviour 2.3). It borrows the body's text where that has no
    /// escapes.
    ///
    /// # Errors
    /// [`NotUnderstood`] names the field; the answer is [`Self::not_understood`].
    pub fn decode<'a>(
        self,
        body: &VerifiedBody<'a>,
    ) -> Result<AuthorizationRequest<'a>, NotUnderstood> {
        match self {
            Self::Lithic | Self::Sandbox => decode::authorization(body),
        }
    }

    /// Our decision in the issuer's words (behaviour 2.11). `available` is the smallest remaining
    /// amount limit, absent without limits; only an answer to a balance inquiry tells it.
    #[must_use]
    pub fn encode(
        self,
        kind: AuthorizationKind,
        decision: Decision,
        available: Option<Minor>,
    ) -> Reply {
        match self {
            Self::Lithic | Self::Sandbox => encode::decision(kind, decision, available),
        }
    }

    /// The answer to an authentic body that is not understood: never an approval (behaviour 2.3).
    #[must_use]
    pub fn not_understood(self, cause: &NotUnderstood) -> Reply {
        match self {
            Self::Lithic | Self::Sandbox => encode::not_understood(cause),
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
    /// Not in the currency of the amount that it raises.
    OtherCurrency,
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
            Self::OtherCurrency => "in another currency than the cardholder's amount",
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
        for text in ["", "Lithic", "stripe", "lithic\n"] {
            let error = IssuerKind::parse(text).unwrap_err().to_string();
            assert!(error.ends_with("known are lithic, sandbox"), "{error}");
            assert!(!error.contains('\n'));
        }
    }
}

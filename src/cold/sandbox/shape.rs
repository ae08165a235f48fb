//! In whose words the sandbox speaks: one file per issuer, in the shapes that its documents show.
//!
//! A shape says what is asked and what is reported as JSON; how it is signed and where it goes is the
//! `player`'s.

mod lithic;
mod marqeta;
mod stripe;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::life::Life;
use crate::config::SANDBOX_NAMES;

/// The issuers in whose words the sandbox can speak.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Whole transactions, each time.
    Lithic,
    /// Authorizations as they stand, and single transactions.
    Stripe,
    /// Single movements.
    Marqeta,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 3] = [Self::Lithic, Self::Stripe, Self::Marqeta];

    /// The word of the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lithic => "lithic",
            Self::Stripe => "stripe",
            Self::Marqeta => "marqeta",
        }
    }

    /// The name of the built-in connection that speaks so.
    #[must_use]
    pub fn connection(self) -> &'static str {
        match self {
            Self::Lithic => SANDBOX_NAMES[0],
            Self::Stripe => SANDBOX_NAMES[1],
            Self::Marqeta => SANDBOX_NAMES[2],
        }
    }

    /// Reads the word of the command line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == text)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an answer to a question says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Approved, whole, or so many minor units of it.
    Approved(Option<i64>),
    /// Declined, for this reason in the issuer's words.
    Declined(String),
}

/// The question of the life's newest step.
#[must_use]
pub fn question(life: &Life) -> Value {
    match life.shape {
        Shape::Lithic => lithic::question(life),
        Shape::Stripe => stripe::question(life),
        Shape::Marqeta => marqeta::question(life),
    }
}

/// What the issuer reports of the life's newest entry: one message, or several that it sends one
/// after the other.
#[must_use]
pub fn reports(life: &Life) -> Vec<Value> {
    match life.shape {
        Shape::Lithic => vec![lithic::transaction_updated(life)],
        Shape::Stripe => stripe::events(life),
        Shape::Marqeta => vec![marqeta::webhook(life)],
    }
}

/// What status and body of an answer say; nothing where they are no answer.
#[must_use]
pub fn read_answer(shape: Shape, life: &Life, status: u16, body: &[u8]) -> Option<Said> {
    match shape {
        Shape::Lithic => lithic::read_answer(status, body),
        Shape::Stripe => stripe::read_answer(status, body),
        Shape::Marqeta => marqeta::read_answer(life, status, body),
    }
}

/// One authorization as an element of the issuer's list of transactions.
#[must_use]
pub fn listed(life: &Life) -> Vec<Value> {
    match life.shape {
        Shape::Lithic => vec![lithic::transaction(life)],
        Shape::Stripe => stripe::listed(life),
        Shape::Marqeta => marqeta::listed(life),
    }
}

/// A question, report or element as it is sent.
#[must_use]
pub fn written(shape: Shape, value: &Value) -> String {
    match shape {
        Shape::Lithic | Shape::Stripe => value.to_string(),
        Shape::Marqeta => marqeta::written(value),
    }
}

/// The head and the tail of a list of transactions, between which the elements stand.
#[must_use]
pub fn list_frame(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::Lithic => ("{\"data\":[", "],\"has_more\":false}"),
        Shape::Stripe => (
            "{\"object\":\"list\",\"url\":\"/v1/issuing/authorizations\",\"data\":[",
            "],\"has_more\":false}",
        ),
        Shape::Marqeta => ("{\"data\":[", "],\"is_more\":false}"),
    }
}

/// The merchant's id at its bank: 15 characters that the descriptor alone decides (FNV-1a), so that
/// one name is one merchant in every process and for ever. Case and surrounding space say nothing.
pub(super) fn acceptor_id(descriptor: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in descriptor.trim().to_uppercase().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("SBX{:012X}", hash >> 16)
}

/// One merchant's bank for all merchants.
pub(super) const ACQUIRER_ID: &str = "400001";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_descriptor_is_one_merchant_and_two_are_two() {
        let id = acceptor_id("CUMULUS HOSTING");
        assert_eq!(id, acceptor_id(" Cumulus Hosting "));
        assert_eq!(id.len(), 15);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(id, acceptor_id("NIMBUS HOSTING"));
    }
}

//! One element of an issuer's list of transactions, as its interface gives it: the same object that
//! its events carry, so that both are read by the same rules.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::{self, Text};
use super::{Fault, NotUnderstood, lithic, stripe};
use crate::domain::lifecycle::Observation;
use crate::domain::time::Timestamp;

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// What it says.
    pub observation: Observation<'a>,
    /// When the authorization, or what moved without one, was made.
    pub created: Timestamp,
}

/// Why an element is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotListed {
    /// It is neither a transaction of Lithic's nor an authorization or a transaction of Stripe's.
    UnknownShape,
    /// It is one of these, and something is wrong with it.
    NotUnderstood(NotUnderstood),
}

impl From<NotUnderstood> for NotListed {
    fn from(cause: NotUnderstood) -> Self {
        Self::NotUnderstood(cause)
    }
}

/// What tells one kind of element from another.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    object: Option<Text<'a>>,
    token: Option<IgnoredAny>,
    card_token: Option<IgnoredAny>,
    events: Option<IgnoredAny>,
    #[serde(borrow)]
    created: Option<Created<'a>>,
}

/// RFC 3339 at Lithic, seconds since the epoch at Stripe.
#[derive(Deserialize)]
#[serde(untagged)]
enum Created<'a> {
    Seconds(i64),
    #[serde(borrow)]
    Text(Text<'a>),
}

const PATHS: [&str; 1] = ["created"];

/// Reads one element, a JSON object.
///
/// # Errors
/// [`NotListed`] where it is none of those that are known, or not as documented.
pub fn listed(element: &[u8]) -> Result<Listed<'_>, NotListed> {
    let marks: Marks<'_> = wire::parse(element, &PATHS)?;
    let observation = match marks.object.as_ref().map(|text| text.0.as_ref()) {
        Some("issuing.authorization") => stripe::events::listed_authorization(element)?,
        Some("issuing.transaction") => stripe::events::listed_transaction(element)?,
        None if marks.token.is_some() && marks.card_token.is_some() && marks.events.is_some() => {
            lithic::events::listed(element)?
        }
        _ => return Err(NotListed::UnknownShape),
    };
    let created = match marks.created {
        Some(Created::Seconds(seconds)) => Some(Timestamp::from_secs(seconds)),
        Some(Created::Text(text)) => Timestamp::parse_rfc3339(&text.0),
        None => None,
    };
    let created = created.ok_or(NotUnderstood {
        field: "created",
        why: Fault::WrongType,
    })?;
    Ok(Listed {
        observation,
        created,
    })
}

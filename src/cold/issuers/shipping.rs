//! Where a physical card is sent, in our words (behaviour 4.1); each issuer's file has its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How fast it is sent. Every issuer that sends cards knows these three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the word of the same name")]
pub enum Service {
    #[default]
    Standard,
    Priority,
    Express,
}

/// To whom and where. Personal data: it is kept with the order until that is settled, is never printed,
/// and stands in no log and no record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipping {
    /// Printed on the card.
    pub first_name: String,
    /// Printed on the card.
    pub last_name: String,
    /// Street and number.
    pub line1: String,
    /// Flat, floor, or care of.
    pub line2: Option<String>,
    /// The city.
    pub city: String,
    /// The state or province; two letters in the United States and Canada.
    pub state: Option<String>,
    /// The postal code.
    pub postal_code: String,
    /// ISO 3166-1, two letters in upper case.
    pub country: String,
    /// E.164.
    pub phone: Option<String>,
    /// How fast.
    pub service: Service,
}

impl fmt::Debug for Shipping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shipping(..)")
    }
}

impl Shipping {
    /// First and last name in one.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}

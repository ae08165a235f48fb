//! What we ask of issuers: to make cards. One trait; the sandbox is the first that is asked.
//!
//! A card costs money at some issuers and cannot be taken back at any, so that whoever asks brings a
//! key under which the issuer gives the same card again, however often it is asked (behaviour 4.5).

pub mod sandbox;

use std::fmt;
use std::pin::Pin;

use crate::cold::store::Mode;
use crate::domain::time::Timestamp;

/// What an issuer will have answered.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, IssuerError>> + Send + 'a>>;

/// Why an issuer has made no card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerError {
    /// It could not be asked, or its answer was not understood; whether there is a card is not known.
    Unavailable(String),
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the issuer: {why}"),
        }
    }
}

impl std::error::Error for IssuerError {}

/// A card that is wanted.
#[derive(Clone, Debug)]
pub struct CardOrder {
    /// The same for every attempt at this card.
    pub key: String,
    /// Our id of the card, where the issuer keeps it.
    pub card_id: String,
    /// When it is ordered.
    pub at: Timestamp,
}

/// A card that an issuer has made. Its number is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCard {
    /// The id that it was ordered under; an earlier attempt may have had another one.
    pub card_id: String,
    /// The issuer's name of it.
    pub token: String,
    /// The number's last four digits.
    pub last4: String,
    /// The month of its end, from one.
    pub exp_month: u8,
    /// The year of its end.
    pub exp_year: u16,
}

/// See the module.
pub trait IssuerClient: Send + Sync {
    /// The connection whose cards it makes.
    fn connection(&self) -> &str;
    /// Whose cards it makes.
    fn mode(&self) -> Mode;
    /// Makes the card, or gives the one that was made under the same key.
    fn create(&self, order: CardOrder) -> Answer<'_, IssuedCard>;
}

//! What we ask of issuers: to make cards, to stop them, to hold limits, to tell what they have.
//!
//! One trait. The sandbox keeps its cards in a file; behind [`remote`] are the issuers that are asked
//! over the network. A card costs money at some issuers and cannot be taken back at any, so that
//! whoever asks brings a key under which the issuer gives the same card again, however often it is
//! asked (behaviour 4.5); where an issuer knows no such keys, its list is looked through first.

mod http;
mod lithic;
mod privacy;
pub mod remote;
pub mod rules;
pub mod sandbox;
pub mod shipping;
mod stripe;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use self::rules::Rules;
use self::shipping::Shipping;
use crate::cold::store::Mode;
use crate::config::Reveal;
use crate::domain::time::Timestamp;

/// What an issuer will have answered.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, IssuerError>> + Send + 'a>>;

/// Why an issuer has not done what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerError {
    /// It could not be asked: nothing was done.
    Unavailable(String),
    /// It was asked, and its answer did not come or was not understood: whether it was done is not
    /// known.
    Unknown(String),
    /// It was asked too often; after this time it may be asked again.
    Limited(Duration),
    /// It does not know our key, or we have none.
    Denied(String),
    /// It will not, and says why. Asking again changes nothing.
    Refused(String),
    /// There is no such thing at this issuer.
    Unsupported(&'static str),
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the issuer cannot be asked: {why}"),
            Self::Unknown(why) => write!(f, "the issuer's answer is not known: {why}"),
            Self::Limited(after) => {
                write!(
                    f,
                    "the issuer was asked too often, for {} s",
                    after.as_secs()
                )
            }
            Self::Denied(why) => write!(f, "the issuer does not accept our key: {why}"),
            Self::Refused(why) => write!(f, "the issuer refuses: {why}"),
            Self::Unsupported(what) => write!(f, "the issuer has no such thing: {what}"),
        }
    }
}

impl std::error::Error for IssuerError {}

/// A card that is wanted. Kept before it is ordered, so that every attempt says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardOrder {
    /// The same for every attempt at this card.
    pub key: String,
    /// Our id of the card, where the issuer keeps it.
    pub card_id: String,
    /// When it was ordered first.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// What of our rules the issuer may hold as well.
    pub rules: Rules,
    /// Whether it begins stopped.
    pub is_paused: bool,
    /// Keyed hash of the request that it is made for, where that has an idempotency key.
    #[serde(default)]
    pub request: Option<String>,
    /// Where it is sent; absent for a card without plastic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<Shipping>,
    /// What is set aside for it, where its issuer never asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
}

/// What is set aside for a card, and at whom (behaviour 4.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Whose card it is.
    pub customer_id: String,
    /// Who uses it.
    pub agent_id: Option<String>,
    /// Minor units of the order's currency.
    pub minor: i64,
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::time::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_micros)
    }
}

/// A card that an issuer has made. Its number is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCard {
    /// The id that it was ordered under; an earlier attempt may have had another one.
    pub card_id: String,
    /// The issuer's name of it.
    pub token: String,
    /// The number's last four digits.
    pub last4: Option<String>,
    /// The month of its end, from one.
    pub exp_month: Option<u8>,
    /// The year of its end.
    pub exp_year: Option<u16>,
}

/// Whether a card works, as its issuer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Open,
    /// It does not, for now.
    Paused,
    /// It never will again.
    Closed,
    /// It is plastic on its way, and works for nobody until its owner says that it has arrived.
    Coming,
    /// A state that we do not know.
    Other,
}

/// A card as its issuer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardThere {
    /// The issuer's name of it.
    pub token: String,
    /// Our id, where the card was made for us.
    pub card_id: Option<String>,
    /// Whether it works.
    pub state: State,
    /// Whether there is plastic.
    pub is_physical: bool,
    /// The number's last four digits.
    pub last4: Option<String>,
    /// The month of its end, from one.
    pub exp_month: Option<u8>,
    /// The year of its end.
    pub exp_year: Option<u16>,
}

/// Some of an issuer's cards, and where the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardsThere {
    /// In the issuer's order.
    pub cards: Vec<CardThere>,
    /// Absent at the end.
    pub next: Option<String>,
}

/// What a card's purchases come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Minor units, those of pending purchases included.
    pub minor: i64,
    /// Whether none is pending, which may come to more yet.
    pub is_final: bool,
}

/// What buys: never printed, never kept.
pub struct Revealed {
    /// The card's number.
    pub number: SecretString,
    /// The number behind the number.
    pub cvv: SecretString,
    /// What the issuer calls the holder, where it tells it.
    pub name: Option<String>,
    /// The address that it compares, in lines, where it tells it.
    pub billing_address: Option<String>,
}

/// Where the issuer's own page shows a card: whoever has the address sees it, so that it is never printed
/// and never kept.
pub struct Framed {
    /// The address.
    pub url: SecretString,
    /// Scheme, host and perhaps port of it.
    pub origin: String,
}

/// See the module.
pub trait IssuerClient: Send + Sync {
    /// The connection whose cards it makes.
    fn connection(&self) -> &str;
    /// Whose cards it makes.
    fn mode(&self) -> Mode;
    /// How its orders are kept and its limits held.
    fn manner(&self) -> Manner;
    /// What of the rules it cannot hold, where nothing but the issuer holds them: paths of fields.
    fn unenforced(&self, rules: &Rules) -> Vec<String>;
    /// What all purchases on a card with these rules can come to, where the issuer never asks and holds a
    /// limit over the card's whole life; in minor units.
    fn whole_limit(&self, rules: &Rules) -> Option<i64>;
    /// Makes the card, or gives the one that was made under the same key.
    fn create(&self, order: CardOrder) -> Answer<'_, IssuedCard>;
    /// The card that an order has made already, where it has.
    fn find(&self, order: CardOrder) -> Answer<'_, Option<IssuedCard>>;
    /// Has the card work or not.
    fn set_state(&self, token: String, state: State) -> Answer<'_, ()>;
    /// Has the issuer hold these limits as well, as far as it can without being tighter than we.
    fn set_rules(&self, token: String, rules: Rules) -> Answer<'_, ()>;
    /// The card as it is there; none where the issuer does not know it.
    fn fetch(&self, token: String) -> Answer<'_, Option<CardThere>>;
    /// The issuer's cards, from here on.
    fn list(&self, from: Option<String>) -> Answer<'_, CardsThere>;
    /// What has been spent on a card of an issuer that never asks.
    fn spent(&self, token: String) -> Answer<'_, Spent>;
    /// The issuer's own page of the card, which opens until then. The issuer is not asked.
    ///
    /// # Errors
    /// Where it has none, or no key is there to sign with.
    fn frame(&self, _token: &str, _until: Timestamp) -> Result<Framed, IssuerError> {
        Err(IssuerError::Unsupported("a page that shows a card"))
    }
    /// The card's number.
    fn reveal(&self, token: String) -> Answer<'_, Revealed>;
    /// Between two looks at what its cards are there; absent where nobody looks.
    fn poll(&self) -> Option<Duration>;
    /// Takes another key from now on.
    fn set_key(&self, key: SecretString);
}

/// What distinguishes issuers for whoever orders cards of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether it is asked over a network, so that answers can get lost.
    pub is_remote: bool,
    /// Whether the same key gives the same card.
    pub knows_keys: bool,
    /// Whether it asks us before each purchase. Where it does not, only its own limits hold.
    pub asks: bool,
    /// Whether it makes and sends physical cards.
    pub ships: bool,
    /// How its cards are shown.
    pub reveal: Reveal,
    /// To agents, too, their own cards.
    pub reveals_to_agents: bool,
    /// Whether a key can be set for it: it needs one, and the configuration has none.
    pub takes_key: bool,
}

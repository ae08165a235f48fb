//! The request's JSON as it stands, borrowed from the body. Only fields that we read are here;
//! whatever others hold is skipped without recursion (behaviour 2.3).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::issuer::{Fault, NotUnderstood};

#[derive(Deserialize)]
pub(super) struct Authorization<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow)]
    pub(super) event_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Text<'a>,
    #[serde(borrow)]
    pub(super) amounts: Option<Object<Amounts<'a>>>,
    pub(super) amount: Option<i64>,
    #[serde(borrow)]
    pub(super) cardholder_currency: Option<Text<'a>>,
    pub(super) merchant_amount: Option<i64>,
    #[serde(borrow)]
    pub(super) merchant_currency: Option<Text<'a>>,
    pub(super) acquirer_fee: Option<i64>,
    pub(super) cash_amount: Option<i64>,
    pub(super) cashback: Option<i64>,
    #[serde(borrow)]
    pub(super) card: Object<Card<'a>>,
    #[serde(borrow)]
    pub(super) merchant: Object<Merchant<'a>>,
    pub(super) network_risk_score: Option<i64>,
    #[serde(borrow)]
    pub(super) pos: Option<Object<Pos<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Amounts<'a> {
    #[serde(borrow)]
    pub(super) cardholder: Object<Money<'a>>,
    #[serde(borrow)]
    pub(super) merchant: Option<Object<Money<'a>>>,
    #[serde(borrow)]
    pub(super) hold: Option<Object<Money<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Money<'a> {
    pub(super) amount: i64,
    #[serde(borrow)]
    pub(super) currency: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Card<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Merchant<'a> {
    #[serde(borrow)]
    pub(super) acquiring_institution_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) acceptor_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) descriptor: Text<'a>,
    #[serde(borrow)]
    pub(super) mcc: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Pos<'a> {
    #[serde(borrow)]
    pub(super) entry_mode: Option<Object<EntryMode<'a>>>,
    pub(super) terminal: Option<Object<Terminal>>,
}

#[derive(Deserialize)]
pub(super) struct EntryMode<'a> {
    #[serde(borrow)]
    pub(super) card: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Terminal {
    pub(super) partial_approval_capable: Option<bool>,
}

/// Text that is borrowed unless it has escapes. A bare `Option<Cow<str>>` would always be owned.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A JSON object. A derived struct alone would take an array of its fields' values as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Reads one JSON text that fills the whole body.
pub(super) fn parse(body: &[u8]) -> Result<Authorization<'_>, NotUnderstood> {
    let text = str::from_utf8(body).map_err(|_not_utf8| NOT_JSON)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = Object::<Authorization<'_>>::deserialize(&mut json);
    parsed
        .and_then(|Object(request)| json.end().map(|()| request))
        .map_err(|_named_below| diagnose(text))
}

const NOT_JSON: NotUnderstood = NotUnderstood {
    field: "body",
    why: Fault::NotJson,
};

/// Every path that a fault can be found at. A path is looked up here rather than passed on, so that
/// no text of the body reaches an answer or a log.
const PATHS: [&str; 36] = [
    "acquirer_fee",
    "amount",
    "amounts",
    "amounts.cardholder",
    "amounts.cardholder.amount",
    "amounts.cardholder.currency",
    "amounts.hold",
    "amounts.hold.amount",
    "amounts.hold.currency",
    "amounts.merchant",
    "amounts.merchant.amount",
    "amounts.merchant.currency",
    "card",
    "card.token",
    "cardholder_currency",
    "cash_amount",
    "cashback",
    "event_token",
    "event_type",
    "merchant",
    "merchant.acceptor_id",
    "merchant.acquiring_institution_id",
    "merchant.city",
    "merchant.country",
    "merchant.descriptor",
    "merchant.mcc",
    "merchant_amount",
    "merchant_currency",
    "network_risk_score",
    "pos",
    "pos.entry_mode",
    "pos.entry_mode.card",
    "pos.terminal",
    "pos.terminal.partial_approval_capable",
    "status",
    "token",
];

/// Finds the fault again, this time keeping count of where it is. Costs a second parse, which only
/// an authentic sender can cause.
#[cold]
fn diagnose(text: &str) -> NotUnderstood {
    let mut json = serde_json::Deserializer::from_str(text);
    let error = match serde_path_to_error::deserialize::<_, Object<Authorization<'_>>>(&mut json) {
        Err(error) if error.inner().is_data() => error,
        Ok(_) | Err(_) => return NOT_JSON,
    };
    let message = error.inner().to_string();
    let container = error.path().to_string();
    let (why, member) = if let Some(rest) = message.strip_prefix("missing field ") {
        (Fault::Missing, rest.split('`').nth(1))
    } else if let Some(rest) = message.strip_prefix("duplicate field ") {
        (Fault::Repeated, rest.split('`').nth(1))
    } else if message.starts_with("invalid value: integer") {
        (Fault::OutOfRange, None)
    } else {
        (Fault::WrongType, None)
    };
    let path = match (container.as_str(), member) {
        (".", Some(member)) => member.to_owned(),
        (_, None) => container,
        (_, Some(member)) => format!("{container}.{member}"),
    };
    let known = PATHS.iter().find(|known| **known == path);
    NotUnderstood {
        field: known.copied().unwrap_or("body"),
        why,
    }
}

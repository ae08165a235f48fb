//! The event's JSON as it stands, borrowed from the body. Only fields that we read are here.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::issuer::NotUnderstood;
use crate::issuer::wire::{self, Object, Text};

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(rename = "type", borrow)]
    pub(super) event_type: Text<'a>,
    pub(super) livemode: bool,
    #[serde(borrow)]
    pub(super) account: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) data: Object<Data<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow)]
    pub(super) object: Object<Authorization<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Authorization<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) livemode: Option<bool>,
    #[serde(borrow)]
    pub(super) card: Object<Card<'a>>,
    #[serde(borrow)]
    pub(super) card_presence: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) authorization_method: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) merchant_data: Object<MerchantData<'a>>,
    #[serde(borrow)]
    pub(super) network_data: Option<Object<NetworkData<'a>>>,
    pub(super) amount_details: Option<Object<AmountDetails>>,
    #[serde(borrow)]
    pub(super) pending_request: Object<PendingRequest<'a>>,
    pub(super) request_history: Count,
}

#[derive(Deserialize)]
pub(super) struct Card<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct MerchantData<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) category_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) network_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct NetworkData<'a> {
    #[serde(borrow)]
    pub(super) acquiring_institution_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct AmountDetails {
    pub(super) atm_fee: Option<i64>,
    pub(super) cashback_amount: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct PendingRequest<'a> {
    pub(super) amount: i64,
    #[serde(borrow)]
    pub(super) currency: Text<'a>,
    pub(super) amount_details: Option<Object<AmountDetails>>,
    pub(super) is_amount_controllable: Option<bool>,
    pub(super) merchant_amount: Option<i64>,
    #[serde(borrow)]
    pub(super) merchant_currency: Option<Text<'a>>,
    pub(super) network_risk_score: Option<i64>,
}

/// How many elements a list has.
pub(super) struct Count(pub(super) usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        let mut count = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Count(count))
    }
}

/// Reads the whole body.
pub(super) fn parse(body: &[u8]) -> Result<Event<'_>, NotUnderstood> {
    wire::parse(body, &PATHS)
}

/// Every path that a fault can be found at.
const PATHS: [&str; 34] = [
    "account",
    "data",
    "data.object",
    "data.object.amount_details",
    "data.object.amount_details.atm_fee",
    "data.object.amount_details.cashback_amount",
    "data.object.authorization_method",
    "data.object.card",
    "data.object.card.id",
    "data.object.card_presence",
    "data.object.id",
    "data.object.livemode",
    "data.object.merchant_data",
    "data.object.merchant_data.category_code",
    "data.object.merchant_data.city",
    "data.object.merchant_data.country",
    "data.object.merchant_data.name",
    "data.object.merchant_data.network_id",
    "data.object.network_data",
    "data.object.network_data.acquiring_institution_id",
    "data.object.pending_request",
    "data.object.pending_request.amount",
    "data.object.pending_request.amount_details",
    "data.object.pending_request.amount_details.atm_fee",
    "data.object.pending_request.amount_details.cashback_amount",
    "data.object.pending_request.currency",
    "data.object.pending_request.is_amount_controllable",
    "data.object.pending_request.merchant_amount",
    "data.object.pending_request.merchant_currency",
    "data.object.pending_request.network_risk_score",
    "data.object.request_history",
    "id",
    "livemode",
    "type",
];

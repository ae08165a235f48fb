//! The transaction's JSON as it stands, borrowed from the body. Only fields that we read are here.

use serde::Deserialize;

use super::decimal::{CurrencyText, Decimal};
use crate::issuer::NotUnderstood;
use crate::issuer::wire::{self, Object, Text};

#[derive(Deserialize)]
pub(super) struct Transaction<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow)]
    pub(super) user_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) card_token: Text<'a>,
    #[serde(borrow)]
    pub(super) currency_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) gpa_order: Option<Object<GpaOrder<'a>>>,
    #[serde(borrow)]
    pub(super) gpa_order_unload: Option<Object<GpaOrder<'a>>>,
    #[serde(borrow)]
    pub(super) cash_back_amount: Option<Decimal<'a>>,
    #[serde(borrow)]
    pub(super) currency_conversion: Option<Object<CurrencyConversion<'a>>>,
    #[serde(borrow)]
    pub(super) acquirer: Option<Object<Acquirer<'a>>>,
    #[serde(borrow)]
    pub(super) card_acceptor: Option<Object<CardAcceptor<'a>>>,
    pub(super) pos: Option<Object<Pos>>,
    pub(super) fraud: Option<Object<Fraud>>,
}

#[derive(Deserialize)]
pub(super) struct GpaOrder<'a> {
    #[serde(borrow)]
    pub(super) currency_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) jit_funding: Object<JitFunding<'a>>,
}

#[derive(Deserialize)]
pub(super) struct JitFunding<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow)]
    pub(super) method: Text<'a>,
    #[serde(borrow)]
    pub(super) user_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) business_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) amount: Decimal<'a>,
    #[serde(borrow)]
    pub(super) original_jit_funding_token: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CurrencyConversion<'a> {
    #[serde(borrow)]
    pub(super) network: Option<Object<NetworkConversion<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct NetworkConversion<'a> {
    #[serde(borrow)]
    pub(super) original_amount: Option<Decimal<'a>>,
    #[serde(borrow)]
    pub(super) original_currency_code: Option<CurrencyText<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Acquirer<'a> {
    #[serde(borrow)]
    pub(super) institution_id_code: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CardAcceptor<'a> {
    #[serde(borrow)]
    pub(super) mid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) mcc: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country_code: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Pos {
    pub(super) card_presence: Option<bool>,
    pub(super) partial_approval_capable: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Fraud {
    pub(super) network: Option<Object<NetworkFraud>>,
}

#[derive(Deserialize)]
pub(super) struct NetworkFraud {
    pub(super) transaction_risk_score: Option<i64>,
}

/// Reads the whole body.
pub(super) fn parse(body: &[u8]) -> Result<Transaction<'_>, NotUnderstood> {
    wire::parse(body, &PATHS)
}

/// As much of a body as a decline has to repeat.
#[derive(Deserialize)]
pub(super) struct Addressed<'a> {
    #[serde(borrow)]
    pub(super) user_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) gpa_order: Option<Object<AddressedOrder<'a>>>,
    #[serde(borrow)]
    pub(super) gpa_order_unload: Option<Object<AddressedOrder<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct AddressedOrder<'a> {
    #[serde(borrow)]
    pub(super) jit_funding: Object<AddressedFunding<'a>>,
}

#[derive(Deserialize)]
pub(super) struct AddressedFunding<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow)]
    pub(super) method: Text<'a>,
    #[serde(borrow)]
    pub(super) user_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) business_token: Option<Text<'a>>,
}

/// Reads as much; absent where even that is not there.
pub(super) fn parse_addressed(body: &[u8]) -> Option<Addressed<'_>> {
    wire::parse(body, &[]).ok()
}

/// Every path that a fault can be found at.
const PATHS: [&str; 42] = [
    "acquirer",
    "acquirer.institution_id_code",
    "card_acceptor",
    "card_acceptor.city",
    "card_acceptor.country",
    "card_acceptor.country_code",
    "card_acceptor.mcc",
    "card_acceptor.mid",
    "card_acceptor.name",
    "card_token",
    "cash_back_amount",
    "currency_code",
    "currency_conversion",
    "currency_conversion.network",
    "currency_conversion.network.original_amount",
    "currency_conversion.network.original_currency_code",
    "fraud",
    "fraud.network",
    "fraud.network.transaction_risk_score",
    "gpa_order",
    "gpa_order.currency_code",
    "gpa_order.jit_funding",
    "gpa_order.jit_funding.amount",
    "gpa_order.jit_funding.business_token",
    "gpa_order.jit_funding.method",
    "gpa_order.jit_funding.original_jit_funding_token",
    "gpa_order.jit_funding.token",
    "gpa_order.jit_funding.user_token",
    "gpa_order_unload",
    "gpa_order_unload.currency_code",
    "gpa_order_unload.jit_funding",
    "gpa_order_unload.jit_funding.amount",
    "gpa_order_unload.jit_funding.business_token",
    "gpa_order_unload.jit_funding.method",
    "gpa_order_unload.jit_funding.original_jit_funding_token",
    "gpa_order_unload.jit_funding.token",
    "gpa_order_unload.jit_funding.user_token",
    "pos",
    "pos.card_presence",
    "pos.partial_approval_capable",
    "token",
    "user_token",
];

//! The request's JSON as it stands, borrowed from the body. Only fields that we read are here;
//! whatever others hold is skipped without recursion (behaviour 2.3).

use serde::Deserialize;

use crate::issuer::NotUnderstood;
use crate::issuer::wire::{self, Object, Text};

#[derive(Deserialize)]
pub(super) struct Authorization<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow)]
    pub(super) event_token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) transaction_initiator: Option<Text<'a>>,
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

/// Reads the whole body.
pub(super) fn parse(body: &[u8]) -> Result<Authorization<'_>, NotUnderstood> {
    wire::parse(body, &PATHS)
}

/// Every path that a fault can be found at.
const PATHS: [&str; 37] = [
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
    "transaction_initiator",
];

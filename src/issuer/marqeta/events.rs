//! Marqeta's webhooks: a list of transactions, each one movement with ids of its own.

use serde::Deserialize;

use super::decimal::Decimal;
use super::decode::acceptor;
use super::wire::{Acquirer, CardAcceptor};
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::lifecycle::{Movement, MovementKind, Observation};
use crate::domain::time::Timestamp;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::wire::{self, Object, Text, id, refuse};
use crate::issuer::{Fault, NotUnderstood};

#[derive(Deserialize)]
struct Webhook<'a> {
    #[serde(borrow)]
    transactions: Option<Vec<Object<Transaction<'a>>>>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(rename = "type", borrow)]
    transaction_type: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow)]
    card_token: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Option<Decimal<'a>>,
    #[serde(borrow)]
    currency_code: Option<Text<'a>>,
    #[serde(borrow)]
    preceding_related_transaction_token: Option<Text<'a>>,
    is_final_clearing: Option<bool>,
    #[serde(borrow)]
    created_time: Option<Text<'a>>,
    #[serde(borrow)]
    card_acceptor: Option<Object<CardAcceptor<'a>>>,
    #[serde(borrow)]
    acquirer: Option<Object<Acquirer<'a>>>,
    #[serde(borrow)]
    gpa_order: Option<Object<Order<'a>>>,
    #[serde(borrow)]
    gpa_order_unload: Option<Object<Order<'a>>>,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    jit_funding: Option<Object<Funding<'a>>>,
}

#[derive(Deserialize)]
struct Funding<'a> {
    #[serde(borrow)]
    token: Option<Text<'a>>,
    #[serde(borrow)]
    original_jit_funding_token: Option<Text<'a>>,
}

/// Every path that a fault can be found at.
const PATHS: [&str; 28] = [
    "transactions",
    "transactions[]",
    "transactions[].acquirer",
    "transactions[].acquirer.institution_id_code",
    "transactions[].amount",
    "transactions[].card_acceptor",
    "transactions[].card_acceptor.city",
    "transactions[].card_acceptor.country",
    "transactions[].card_acceptor.country_code",
    "transactions[].card_acceptor.mcc",
    "transactions[].card_acceptor.mid",
    "transactions[].card_acceptor.name",
    "transactions[].card_token",
    "transactions[].created_time",
    "transactions[].currency_code",
    "transactions[].gpa_order",
    "transactions[].gpa_order.jit_funding",
    "transactions[].gpa_order.jit_funding.original_jit_funding_token",
    "transactions[].gpa_order.jit_funding.token",
    "transactions[].gpa_order_unload",
    "transactions[].gpa_order_unload.jit_funding",
    "transactions[].gpa_order_unload.jit_funding.original_jit_funding_token",
    "transactions[].gpa_order_unload.jit_funding.token",
    "transactions[].is_final_clearing",
    "transactions[].preceding_related_transaction_token",
    "transactions[].state",
    "transactions[].token",
    "transactions[].type",
];

/// What a webhook reports: of transactions on cards that move money. Other kinds of webhook, and the
/// ping, report nothing.
pub(in crate::issuer) fn observations<'a>(
    body: &VerifiedBody<'a>,
) -> Result<Vec<Observation<'a>>, NotUnderstood> {
    let webhook: Webhook<'a> = wire::parse(body.bytes(), &PATHS)?;
    let transactions = webhook.transactions.into_iter().flatten();
    transactions
        .filter_map(|Object(transaction)| observation(transaction).transpose())
        .collect()
}

fn observation<'a>(wire: Transaction<'a>) -> Result<Option<Observation<'a>>, NotUnderstood> {
    let kind = kind(&wire);
    // Loads, fees and transfers belong to no card.
    let Some(card) = wire.card_token.filter(|_| kind != MovementKind::Noted) else {
        return Ok(None);
    };
    let Some(code) = &wire.currency_code else {
        return refuse("transactions[].currency_code", Fault::Missing);
    };
    let Ok(currency) = Currency::parse(&code.0) else {
        return refuse("transactions[].currency_code", Fault::Unknown);
    };
    let amount = amount(wire.amount.as_ref(), currency)?;
    let at = wire.created_time.as_ref().map(instant).transpose()?;
    let funding = [wire.gpa_order, wire.gpa_order_unload]
        .into_iter()
        .flatten();
    let funding = funding
        .filter_map(|Object(order)| order.jit_funding)
        .map(|Object(funding)| funding)
        .next();
    let (own, original) = match funding {
        Some(funding) => (funding.token, funding.original_jit_funding_token),
        None => (None, None),
    };
    let field = "transactions[].gpa_order.jit_funding.token";
    let own = own.map(|text| id(field, text)).transpose()?;
    let field = "transactions[].gpa_order.jit_funding.original_jit_funding_token";
    let original = original.map(|text| id(field, text)).transpose()?;
    let field = "transactions[].preceding_related_transaction_token";
    let follows = wire
        .preceding_related_transaction_token
        .map(|text| id(field, text))
        .transpose()?;
    let token = id("transactions[].token", wire.token)?;
    let acquirer = wire.acquirer.and_then(|Object(it)| it.institution_id_code);
    // What is contested tells nothing new of the merchant.
    let merchant = wire
        .card_acceptor
        .filter(|_| !kind.is_dispute())
        .map(|Object(it)| acceptor(Some(it), acquirer));
    // The first message of an authorization is named by its own funding.
    let begins = follows.is_none()
        && matches!(
            kind,
            MovementKind::Authorized | MovementKind::AuthorizedAndPosted | MovementKind::Declined
        );
    let step = own.clone().filter(|_| original.is_some() || begins);
    let step = step.filter(|_| !kind.is_dispute());
    let authorization = original.or_else(|| own.filter(|_| begins));
    let has_posted = matches!(kind, MovementKind::Posted { .. });
    Ok(Some(Observation {
        delivery: Some(token.clone()),
        is_forced: authorization.is_none() && follows.is_none() && has_posted,
        authorization,
        follows,
        card_token: Some(id("transactions[].card_token", card)?),
        acceptor: merchant,
        at,
        currency: Some(currency),
        movements: vec![Movement {
            id: step.unwrap_or(token),
            kind,
            amount,
        }],
        standing: None,
    }))
}

/// The order of advices, increments and reversals is that of the issuer's clock.
fn instant(text: &Text<'_>) -> Result<Timestamp, NotUnderstood> {
    match Timestamp::parse_rfc3339(&text.0) {
        Some(at) => Ok(at),
        None => refuse("transactions[].created_time", Fault::WrongType),
    }
}

fn amount(stated: Option<&Decimal<'_>>, currency: Currency) -> Result<Minor, NotUnderstood> {
    let field = "transactions[].amount";
    match stated {
        None => refuse(field, Fault::Missing),
        Some(stated) => stated
            .magnitude(currency)
            .map_err(|why| NotUnderstood { field, why }),
    }
}

/// `authorization.advice` carries the new total, everything else its own amount.
fn kind(wire: &Transaction<'_>) -> MovementKind {
    let refused = matches!(wire.state.0.as_ref(), "DECLINED" | "ERROR");
    let is_last = wire.is_final_clearing == Some(true);
    match (wire.transaction_type.0.as_ref(), refused) {
        (
            "authorization"
            | "authorization.incremental"
            | "authorization.cashback"
            | "authorization.quasi.cash"
            | "authorization.standin"
            | "pindebit.authorization"
            | "authorization.atm.withdrawal"
            | "authorization.auth_plus_capture"
            | "auth_plus_capture"
            | "pindebit"
            | "pindebit.cashback"
            | "pindebit.quasi.cash"
            | "pindebit.atm.withdrawal",
            true,
        ) => MovementKind::Declined,
        (_, true) => MovementKind::Noted,
        (
            "authorization"
            | "authorization.incremental"
            | "authorization.cashback"
            | "authorization.quasi.cash"
            | "authorization.standin"
            | "pindebit.authorization",
            false,
        ) => MovementKind::Authorized,
        (
            "authorization.atm.withdrawal"
            | "authorization.auth_plus_capture"
            | "auth_plus_capture"
            | "pindebit"
            | "pindebit.cashback"
            | "pindebit.quasi.cash"
            | "pindebit.atm.withdrawal",
            false,
        ) => MovementKind::AuthorizedAndPosted,
        ("authorization.advice", false) => MovementKind::Replaced,
        ("authorization.reversal" | "pindebit.authorization.reversal", false) => {
            MovementKind::Released
        }
        ("authorization.reversal.issuerexpiration", false) => MovementKind::Expired,
        (
            "authorization.clearing"
            | "authorization.clearing.quasi.cash"
            | "authorization.clearing.atm.withdrawal"
            | "authorization.clearing.cashback"
            | "authorization.capture"
            | "pindebit.authorization.clearing",
            false,
        ) => MovementKind::Posted { is_last },
        (
            "refund"
            | "pindebit.refund"
            | "refund.authorization.clearing"
            | "original.credit.authorization.clearing"
            | "original.credit.auth_plus_capture",
            false,
        ) => MovementKind::Refunded,
        (contested, false) if is_dispute(contested) => MovementKind::Disputed,
        // Inquiries, verifications, credits that are only promised, and types that nobody knows yet.
        _ => MovementKind::Noted,
    }
}

/// `authorization.clearing.chargeback` and whatever comes of it, `pindebit.chargeback`,
/// `dispute.credit`: money between network, issuer and program.
fn is_dispute(transaction_type: &str) -> bool {
    let mut words = transaction_type.split('.');
    words.any(|word| matches!(word, "chargeback" | "dispute" | "representment"))
}

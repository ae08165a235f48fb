//! Lithic's disputes: `dispute.updated`, which names the transaction alone, and
//! `dispute_transaction.*`, which names the card too. Every event of one dispute is a word on the
//! same thing.

use std::borrow::Cow;

use serde::Deserialize;

use super::events::magnitude;
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::lifecycle::{Movement, MovementKind, Observation};
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::wire::{self, Object, Text, id, refuse};
use crate::issuer::{Fault, NotUnderstood};

#[derive(Deserialize)]
struct Dispute<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    amount: i64,
    #[serde(borrow)]
    transaction_token: Text<'a>,
}

#[derive(Deserialize)]
struct DisputeTransaction<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow)]
    card_token: Text<'a>,
    #[serde(borrow)]
    currency: Text<'a>,
    #[serde(borrow)]
    transaction_series: Option<Object<Series<'a>>>,
    liability_allocation: Object<Liability>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow)]
    related_transaction_token: Text<'a>,
}

#[derive(Deserialize)]
struct Liability {
    original_amount: i64,
}

/// Every path that a fault can be found at.
const PATHS: [&str; 9] = [
    "amount",
    "card_token",
    "currency",
    "liability_allocation",
    "liability_allocation.original_amount",
    "token",
    "transaction_series",
    "transaction_series.related_transaction_token",
    "transaction_token",
];

/// What an event of this type reports of a dispute; nothing where the type is another one.
pub(super) fn observation<'a>(
    event_type: &str,
    body: &VerifiedBody<'a>,
) -> Result<Option<Observation<'a>>, NotUnderstood> {
    match event_type {
        "dispute.updated" => {
            let wire: Dispute<'a> = wire::parse(body.bytes(), &PATHS)?;
            let transaction = id("transaction_token", wire.transaction_token)?;
            Ok(Some(Observation {
                authorization: Some(transaction),
                ..disputed(body, wire.token, magnitude("amount", wire.amount)?)?
            }))
        }
        "dispute_transaction.created" | "dispute_transaction.updated" => {
            let wire: DisputeTransaction<'a> = wire::parse(body.bytes(), &PATHS)?;
            let Ok(currency) = Currency::parse(&wire.currency.0) else {
                return refuse("currency", Fault::Unknown);
            };
            let field = "transaction_series.related_transaction_token";
            let transaction = wire
                .transaction_series
                .map(|Object(series)| id(field, series.related_transaction_token))
                .transpose()?;
            let field = "liability_allocation.original_amount";
            let amount = magnitude(field, wire.liability_allocation.0.original_amount)?;
            Ok(Some(Observation {
                authorization: transaction,
                card_token: Some(id("card_token", wire.card_token)?),
                currency: Some(currency),
                ..disputed(body, wire.token, amount)?
            }))
        }
        _ => Ok(None),
    }
}

fn disputed<'a>(
    body: &VerifiedBody<'a>,
    token: Text<'a>,
    amount: Minor,
) -> Result<Observation<'a>, NotUnderstood> {
    Ok(Observation {
        delivery: body.delivery().map(Cow::Borrowed),
        authorization: None,
        follows: None,
        card_token: None,
        acceptor: None,
        at: None,
        currency: None,
        movements: vec![Movement {
            id: id("token", token)?,
            kind: MovementKind::Disputed,
            amount,
        }],
        standing: None,
        is_forced: false,
    })
}

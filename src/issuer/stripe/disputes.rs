//! Stripe's `issuing_dispute.*`: every event of one dispute is a word on the same thing. It names the
//! transaction that is disputed, and neither its authorization nor its card.

use std::borrow::Cow;

use serde::Deserialize;

use super::events::{Reference, currency};
use super::money;
use crate::domain::lifecycle::{Movement, MovementKind, Observation};
use crate::issuer::wire::{Text, id, refuse};
use crate::issuer::{Fault, NotUnderstood};

#[derive(Deserialize)]
pub(super) struct Dispute<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    amount: i64,
    #[serde(borrow)]
    currency: Text<'a>,
    #[serde(borrow)]
    transaction: Reference<'a>,
}

/// What the event reports.
pub(super) fn observation<'a>(
    wire: Dispute<'a>,
    delivery: Option<Cow<'a, str>>,
) -> Result<Observation<'a>, NotUnderstood> {
    let currency = currency(&wire.currency)?;
    let field = "data.object.amount";
    let Some(magnitude) = wire.amount.checked_abs() else {
        return refuse(field, Fault::OutOfRange);
    };
    Ok(Observation {
        delivery,
        authorization: None,
        follows: Some(id("data.object.transaction", wire.transaction.0)?),
        card_token: None,
        acceptor: None,
        at: None,
        currency: Some(currency),
        movements: vec![Movement {
            id: id("data.object.id", wire.id)?,
            kind: MovementKind::Disputed,
            amount: money::read(field, magnitude, currency)?.minor,
        }],
        standing: None,
        is_forced: false,
    })
}

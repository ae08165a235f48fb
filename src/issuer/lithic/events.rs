//! Lithic's `card_transaction.updated`: the whole transaction each time, with all its events so far;
//! and its disputes.
//!
//! Amounts of the transaction are below zero where money leaves the card, amounts of its events have
//! no sign and say the direction in `effective_polarity`.

use std::borrow::Cow;

use serde::Deserialize;

use super::decode::acceptor;
use super::disputes;
use super::wire::{Merchant, Money};
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::lifecycle::{Movement, MovementKind, Observation, Standing, StandingStatus};
use crate::domain::time::Timestamp;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::wire::{self, Object, Text, id, refuse};
use crate::issuer::{Fault, NotUnderstood};

const EVENT_TYPE: &str = "card_transaction.updated";

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow)]
    card_token: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    amounts: Object<Amounts<'a>>,
    #[serde(borrow)]
    events: Vec<Object<Event<'a>>>,
    #[serde(borrow)]
    merchant: Option<Object<Merchant<'a>>>,
    #[serde(borrow)]
    updated: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Amounts<'a> {
    #[serde(borrow)]
    cardholder: Object<Money<'a>>,
    #[serde(borrow)]
    hold: Object<Money<'a>>,
    #[serde(borrow)]
    settlement: Object<Money<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(rename = "type", borrow)]
    event_type: Text<'a>,
    #[serde(borrow)]
    result: Text<'a>,
    amount: Option<i64>,
    #[serde(borrow)]
    amounts: Option<Object<EventAmounts<'a>>>,
}

#[derive(Deserialize)]
struct EventAmounts<'a> {
    #[serde(borrow)]
    cardholder: Object<Money<'a>>,
}

/// Every path that a fault can be found at.
const PATHS: [&str; 32] = [
    "amounts",
    "amounts.cardholder",
    "amounts.cardholder.amount",
    "amounts.cardholder.currency",
    "amounts.hold",
    "amounts.hold.amount",
    "amounts.hold.currency",
    "amounts.settlement",
    "amounts.settlement.amount",
    "amounts.settlement.currency",
    "card_token",
    "event_type",
    "events",
    "events[]",
    "events[].amount",
    "events[].amounts",
    "events[].amounts.cardholder",
    "events[].amounts.cardholder.amount",
    "events[].amounts.cardholder.currency",
    "events[].result",
    "events[].token",
    "events[].type",
    "merchant",
    "merchant.acceptor_id",
    "merchant.acquiring_institution_id",
    "merchant.city",
    "merchant.country",
    "merchant.descriptor",
    "merchant.mcc",
    "status",
    "token",
    "updated",
];

/// Whether an event is about a card itself: `card.updated` and its like.
pub(in crate::issuer) fn is_about_card(body: &VerifiedBody<'_>) -> bool {
    let envelope: Result<Envelope<'_>, _> = wire::parse(body.bytes(), &PATHS);
    let event_type = envelope.ok().and_then(|it| it.event_type);
    event_type.is_some_and(|it| it.0.starts_with("card."))
}

/// What an event reports; nothing for an event of another type.
pub(in crate::issuer) fn observations<'a>(
    body: &VerifiedBody<'a>,
) -> Result<Vec<Observation<'a>>, NotUnderstood> {
    let envelope: Envelope<'_> = wire::parse(body.bytes(), &PATHS)?;
    match envelope.event_type {
        None => return refuse("event_type", Fault::Missing),
        Some(event_type) if event_type.0 != EVENT_TYPE => {
            let dispute = disputes::observation(&event_type.0, body)?;
            return Ok(dispute.into_iter().collect());
        }
        Some(_) => {}
    }
    let transaction: Transaction<'a> = wire::parse(body.bytes(), &PATHS)?;
    let delivery = body.delivery().map(Cow::Borrowed);
    observation(delivery, transaction).map(|one| vec![one])
}

/// A transaction of Lithic's list, which is what its events carry.
pub(in crate::issuer) fn listed(element: &[u8]) -> Result<Observation<'_>, NotUnderstood> {
    observation(None, wire::parse(element, &PATHS)?)
}

fn observation<'a>(
    delivery: Option<Cow<'a, str>>,
    transaction: Transaction<'a>,
) -> Result<Observation<'a>, NotUnderstood> {
    let Object(amounts) = transaction.amounts;
    let Ok(currency) = Currency::parse(&amounts.cardholder.0.currency.0) else {
        return refuse("amounts.cardholder.currency", Fault::Unknown);
    };
    let status = status(&transaction.status)?;
    let movements: Vec<_> = transaction
        .events
        .into_iter()
        .map(|Object(event)| movement(event))
        .collect::<Result<_, _>>()?;
    let asked = movements.iter().any(|it| match it.kind {
        MovementKind::Authorized
        | MovementKind::AuthorizedAndPosted
        | MovementKind::Declined
        | MovementKind::Replaced => true,
        MovementKind::Released
        | MovementKind::Expired
        | MovementKind::Posted { .. }
        | MovementKind::Refunded
        | MovementKind::RefundReversed
        | MovementKind::Noted
        | MovementKind::Disputed => false,
    });
    let has_posted = |it: &Movement<'_>| matches!(it.kind, MovementKind::Posted { .. });
    let (posted, refunded) = posted(&amounts.settlement.0, currency, &movements)?;
    let standing = Standing {
        held: held(&amounts.hold.0, currency)?,
        posted,
        refunded,
        status,
        revision: movements.len(),
        made_at: transaction
            .updated
            .and_then(|it| Timestamp::parse_rfc3339(&it.0)),
    };
    Ok(Observation {
        delivery,
        authorization: Some(id("token", transaction.token)?),
        follows: None,
        card_token: Some(id("card_token", transaction.card_token)?),
        acceptor: transaction.merchant.map(|Object(it)| acceptor(it)),
        at: None,
        currency: Some(currency),
        is_forced: !asked && movements.iter().any(has_posted),
        movements,
        standing: Some(standing),
    })
}

fn status(text: &Text<'_>) -> Result<StandingStatus, NotUnderstood> {
    match text.0.as_ref() {
        "PENDING" => Ok(StandingStatus::Pending),
        "SETTLED" => Ok(StandingStatus::Settled),
        "VOIDED" => Ok(StandingStatus::Voided),
        "EXPIRED" => Ok(StandingStatus::Expired),
        "DECLINED" => Ok(StandingStatus::Declined),
        _ => refuse("status", Fault::Unknown),
    }
}

/// A hold above zero is credit that is yet to come: it gives no room.
fn held(hold: &Money<'_>, currency: Currency) -> Result<Minor, NotUnderstood> {
    if Currency::parse(&hold.currency.0) != Ok(currency) {
        return refuse("amounts.hold.currency", Fault::OtherCurrency);
    }
    magnitude("amounts.hold.amount", hold.amount.min(0))
}

/// What was posted and what came back. The settlement is exact but net; how much of it came back is
/// the sum of the events that say so. In another currency than the card's it tells nothing.
fn posted(
    settlement: &Money<'_>,
    currency: Currency,
    movements: &[Movement<'_>],
) -> Result<(Option<Minor>, Option<Minor>), NotUnderstood> {
    if Currency::parse(&settlement.currency.0) != Ok(currency) {
        return Ok((None, None));
    }
    let sum = |wanted: MovementKind| {
        let of_kind = movements.iter().filter(|it| it.kind == wanted);
        of_kind.fold(Minor::ZERO, |sum, it| sum.saturating_plus(it.amount))
    };
    let refunded = sum(MovementKind::Refunded).saturating_minus(sum(MovementKind::RefundReversed));
    let (came_back, went) = (
        magnitude("amounts.settlement.amount", settlement.amount.max(0))?,
        magnitude("amounts.settlement.amount", settlement.amount.min(0))?,
    );
    // Net is posted less refunded: one of the two sides is zero.
    let refunded = refunded.max(came_back);
    let posted = went
        .plus(refunded)
        .map(|gross| gross.saturating_minus(came_back));
    match posted {
        Ok(posted) => Ok((Some(posted), Some(refunded))),
        Err(_too_large) => refuse("amounts.settlement.amount", Fault::OutOfRange),
    }
}

fn movement<'a>(event: Event<'a>) -> Result<Movement<'a>, NotUnderstood> {
    let approved = event.result.0 == "APPROVED";
    let kind = match (event.event_type.0.as_ref(), approved) {
        ("AUTHORIZATION" | "FINANCIAL_AUTHORIZATION", false) => MovementKind::Declined,
        // The network's approval of what it had asked nobody for, taken back: the whole is declined.
        ("AUTHORIZATION_ADVICE", false) => MovementKind::Declined,
        ("AUTHORIZATION", true) => MovementKind::Authorized,
        ("FINANCIAL_AUTHORIZATION", true) => MovementKind::AuthorizedAndPosted,
        ("AUTHORIZATION_ADVICE", true) => MovementKind::Replaced,
        ("AUTHORIZATION_EXPIRY", true) => MovementKind::Expired,
        ("AUTHORIZATION_REVERSAL" | "VOID", true) => MovementKind::Released,
        ("CLEARING" | "CORRECTION_DEBIT", true) => MovementKind::Posted { is_last: false },
        ("RETURN" | "CORRECTION_CREDIT" | "FINANCIAL_CREDIT_AUTHORIZATION", true) => {
            MovementKind::Refunded
        }
        ("RETURN_REVERSAL", true) => MovementKind::RefundReversed,
        // Inquiries, credits that are only promised, what the network could not find, and types that
        // nobody knows yet.
        _ => MovementKind::Noted,
    };
    let (field, stated) = match (event.amounts, event.amount) {
        (Some(Object(amounts)), _) => (
            "events[].amounts.cardholder.amount",
            amounts.cardholder.0.amount,
        ),
        (None, Some(amount)) => ("events[].amount", amount),
        (None, None) => return refuse("events[].amount", Fault::Missing),
    };
    Ok(Movement {
        id: id("events[].token", event.token)?,
        kind,
        amount: magnitude(field, stated)?,
    })
}

pub(super) fn magnitude(field: &'static str, stated: i64) -> Result<Minor, NotUnderstood> {
    let minor = stated.checked_abs().and_then(|n| Minor::new(n).ok());
    minor.ok_or(NotUnderstood {
        field,
        why: Fault::OutOfRange,
    })
}

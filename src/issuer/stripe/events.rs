//! Stripe's events on the ordinary endpoint: an authorization as it stands, one transaction, or a
//! dispute.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::decode::acceptor;
use super::disputes::{self, Dispute};
use super::wire::{MerchantData, NetworkData};
use super::{Account, money};
use crate::domain::acceptor::CardAcceptor;
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::lifecycle::{Movement, MovementKind, Observation, Standing, StandingStatus};
use crate::domain::time::Timestamp;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::wire::{self, Object, Text, id, refuse};
use crate::issuer::{Fault, NotUnderstood};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type", borrow)]
    event_type: Text<'a>,
    created: Option<i64>,
    livemode: bool,
    #[serde(borrow)]
    account: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Event<T> {
    data: Object<Data<T>>,
}

#[derive(Deserialize)]
struct Data<T> {
    object: Object<T>,
}

#[derive(Deserialize)]
struct Authorization<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    amount: i64,
    #[serde(borrow)]
    currency: Text<'a>,
    approved: bool,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    card: Reference<'a>,
    request_history: Vec<Object<Step>>,
    #[serde(borrow)]
    transactions: Option<Vec<Object<Transaction<'a>>>>,
    #[serde(borrow)]
    merchant_data: Option<Object<MerchantData<'a>>>,
    #[serde(borrow)]
    network_data: Option<Object<NetworkData<'a>>>,
}

#[derive(Deserialize)]
struct Step {
    amount: i64,
    approved: bool,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type", borrow)]
    transaction_type: Text<'a>,
    amount: i64,
    #[serde(borrow)]
    currency: Text<'a>,
    #[serde(borrow)]
    authorization: Option<Reference<'a>>,
    #[serde(borrow)]
    card: Option<Reference<'a>>,
    #[serde(borrow)]
    dispute: Option<Reference<'a>>,
    #[serde(borrow)]
    merchant_data: Option<Object<MerchantData<'a>>>,
    #[serde(borrow)]
    network_data: Option<Object<NetworkData<'a>>>,
}

/// An object's id, or the object itself where the account's settings expand it.
pub(super) struct Reference<'a>(pub(super) Text<'a>);

#[derive(Deserialize)]
struct Expanded<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Reference<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id or an object")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Reference(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Reference(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let expanded = Expanded::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Reference(expanded.id))
    }
}

/// Every path that a fault can be found at.
const PATHS: [&str; 50] = [
    "account",
    "created",
    "data",
    "data.object",
    "data.object.amount",
    "data.object.approved",
    "data.object.authorization",
    "data.object.authorization.id",
    "data.object.card",
    "data.object.card.id",
    "data.object.currency",
    "data.object.dispute",
    "data.object.dispute.id",
    "data.object.id",
    "data.object.merchant_data",
    "data.object.merchant_data.category_code",
    "data.object.merchant_data.city",
    "data.object.merchant_data.country",
    "data.object.merchant_data.name",
    "data.object.merchant_data.network_id",
    "data.object.network_data",
    "data.object.network_data.acquiring_institution_id",
    "data.object.request_history",
    "data.object.request_history[]",
    "data.object.request_history[].amount",
    "data.object.request_history[].approved",
    "data.object.status",
    "data.object.transaction",
    "data.object.transaction.id",
    "data.object.transactions",
    "data.object.transactions[]",
    "data.object.transactions[].amount",
    "data.object.transactions[].authorization",
    "data.object.transactions[].card",
    "data.object.transactions[].currency",
    "data.object.transactions[].dispute",
    "data.object.transactions[].id",
    "data.object.transactions[].merchant_data",
    "data.object.transactions[].merchant_data.category_code",
    "data.object.transactions[].merchant_data.city",
    "data.object.transactions[].merchant_data.country",
    "data.object.transactions[].merchant_data.name",
    "data.object.transactions[].merchant_data.network_id",
    "data.object.transactions[].network_data",
    "data.object.transactions[].network_data.acquiring_institution_id",
    "data.object.transactions[].type",
    "data.object.type",
    "id",
    "livemode",
    "type",
];

/// Whether an event is about a card itself: `issuing_card.updated` and its like.
pub(in crate::issuer) fn is_about_card(body: &VerifiedBody<'_>) -> bool {
    let envelope: Result<Envelope<'_>, _> = wire::parse(body.bytes(), &PATHS);
    envelope.is_ok_and(|it| it.event_type.0.starts_with("issuing_card."))
}

/// What an event reports; nothing for an event of another type.
pub(in crate::issuer) fn observations<'a>(
    account: &Account,
    body: &VerifiedBody<'a>,
) -> Result<Vec<Observation<'a>>, NotUnderstood> {
    let envelope: Envelope<'a> = wire::parse(body.bytes(), &PATHS)?;
    let named = envelope.account.as_ref().map(|text| text.0.as_ref());
    account.check_addressee(envelope.livemode, named)?;
    let delivery = Some(id("id", envelope.id)?);
    match envelope.event_type.0.as_ref() {
        "issuing_authorization.created" | "issuing_authorization.updated" => {
            let event: Event<Authorization<'a>> = wire::parse(body.bytes(), &PATHS)?;
            let made_at = envelope.created.map(Timestamp::from_secs);
            authorization(event.data.0.object.0, delivery, made_at).map(|one| vec![one])
        }
        "issuing_transaction.created" | "issuing_transaction.updated" => {
            let event: Event<Transaction<'a>> = wire::parse(body.bytes(), &PATHS)?;
            transaction(event.data.0.object.0, delivery).map(|one| vec![one])
        }
        event_type if event_type.starts_with("issuing_dispute.") => {
            let event: Event<Dispute<'a>> = wire::parse(body.bytes(), &PATHS)?;
            disputes::observation(event.data.0.object.0, delivery).map(|one| vec![one])
        }
        _ => Ok(Vec::new()),
    }
}

/// Every path that a fault of a list's element can be found at.
const LISTED_PATHS: [&str; 18] = [
    "amount",
    "approved",
    "authorization",
    "card",
    "currency",
    "dispute",
    "id",
    "request_history",
    "request_history[]",
    "request_history[].amount",
    "request_history[].approved",
    "status",
    "transactions",
    "transactions[]",
    "transactions[].amount",
    "transactions[].dispute",
    "transactions[].type",
    "type",
];

/// An authorization of Stripe's list, which is what its events carry.
pub(in crate::issuer) fn listed_authorization(
    element: &[u8],
) -> Result<Observation<'_>, NotUnderstood> {
    authorization(wire::parse(element, &LISTED_PATHS)?, None, None)
}

/// A transaction of Stripe's list.
pub(in crate::issuer) fn listed_transaction(
    element: &[u8],
) -> Result<Observation<'_>, NotUnderstood> {
    transaction(wire::parse(element, &LISTED_PATHS)?, None)
}

/// The authorization as it stood when the event was made. Its steps are named by their place, as the
/// questions were.
fn authorization<'a>(
    wire: Authorization<'a>,
    delivery: Option<Cow<'a, str>>,
    made_at: Option<Timestamp>,
) -> Result<Observation<'a>, NotUnderstood> {
    let currency = currency(&wire.currency)?;
    let status = status(&wire)?;
    let held = money::read("data.object.amount", wire.amount, currency)?.minor;
    let mut movements = Vec::new();
    for (at, Object(step)) in wire.request_history.iter().enumerate() {
        let field = "data.object.request_history[].amount";
        movements.push(Movement {
            id: Cow::Owned(at.to_string()),
            kind: if step.approved {
                MovementKind::Authorized
            } else {
                MovementKind::Declined
            },
            amount: money::read(field, step.amount, currency)?.minor,
        });
    }
    let (mut posted, mut refunded) = (Minor::ZERO, Minor::ZERO);
    for Object(one) in wire.transactions.iter().flatten() {
        let movement = moved(one, currency)?;
        let sum = if movement.kind == MovementKind::Refunded {
            &mut refunded
        } else {
            &mut posted
        };
        *sum = sum.saturating_plus(movement.amount);
        movements.push(movement);
    }
    let revision = movements.len();
    for Object(one) in wire.transactions.iter().flatten() {
        movements.extend(dispute_of(one)?);
    }
    let told = wire.transactions.is_some();
    let standing = Standing {
        held: if status.is_final() { Minor::ZERO } else { held },
        posted: told.then_some(posted),
        refunded: told.then_some(refunded),
        status,
        revision,
        made_at,
    };
    Ok(Observation {
        delivery,
        authorization: Some(id("data.object.id", wire.id)?),
        follows: None,
        card_token: Some(id("data.object.card", wire.card.0)?),
        acceptor: merchant(wire.merchant_data, wire.network_data),
        at: None,
        currency: Some(currency),
        movements,
        standing: Some(standing),
        is_forced: false,
    })
}

fn transaction<'a>(
    wire: Transaction<'a>,
    delivery: Option<Cow<'a, str>>,
) -> Result<Observation<'a>, NotUnderstood> {
    let currency = currency(&wire.currency)?;
    let movement = moved(&wire, currency)?;
    let has_posted = matches!(movement.kind, MovementKind::Posted { .. });
    let mut movements = vec![movement];
    movements.extend(dispute_of(&wire)?);
    let authorization = wire
        .authorization
        .map(|Reference(text)| id("data.object.authorization", text))
        .transpose()?;
    let Some(Reference(card)) = wire.card else {
        return refuse("data.object.card", Fault::Missing);
    };
    Ok(Observation {
        delivery,
        is_forced: authorization.is_none() && has_posted,
        authorization,
        follows: None,
        card_token: Some(id("data.object.card", card)?),
        acceptor: merchant(wire.merchant_data, wire.network_data),
        at: None,
        currency: Some(currency),
        movements,
        standing: None,
    })
}

fn merchant<'a>(
    merchant: Option<Object<MerchantData<'a>>>,
    network: Option<Object<NetworkData<'a>>>,
) -> Option<CardAcceptor<'a>> {
    merchant.map(|Object(merchant)| acceptor(merchant, network))
}

/// Captures are below zero, refunds above.
fn moved<'a>(wire: &Transaction<'a>, currency: Currency) -> Result<Movement<'a>, NotUnderstood> {
    let kind = match wire.transaction_type.0.as_ref() {
        "capture" => MovementKind::Posted { is_last: false },
        "refund" => MovementKind::Refunded,
        _ => return refuse("data.object.type", Fault::Unknown),
    };
    let field = "data.object.amount";
    let Some(magnitude) = wire.amount.checked_abs() else {
        return refuse(field, Fault::OutOfRange);
    };
    Ok(Movement {
        id: id("data.object.id", Text(wire.id.0.clone()))?,
        kind,
        amount: money::read(field, magnitude, currency)?.minor,
    })
}

/// The dispute that a transaction is in. How much of it is disputed, only the dispute itself says.
fn dispute_of<'a>(wire: &Transaction<'a>) -> Result<Option<Movement<'a>>, NotUnderstood> {
    let Some(Reference(text)) = &wire.dispute else {
        return Ok(None);
    };
    Ok(Some(Movement {
        id: id("data.object.dispute", Text(text.0.clone()))?,
        kind: MovementKind::Disputed,
        amount: Minor::ZERO,
    }))
}

pub(super) fn currency(text: &Text<'_>) -> Result<Currency, NotUnderstood> {
    match Currency::parse(&text.0) {
        Ok(currency) => Ok(currency),
        Err(_unknown) => refuse("data.object.currency", Fault::Unknown),
    }
}

/// Closed without an approval is a decline; expired may be captured all the same.
fn status(wire: &Authorization<'_>) -> Result<StandingStatus, NotUnderstood> {
    match wire.status.0.as_ref() {
        "pending" => Ok(StandingStatus::Pending),
        "closed" if wire.approved => Ok(StandingStatus::Closed),
        "closed" => Ok(StandingStatus::Declined),
        "reversed" => Ok(StandingStatus::Voided),
        "expired" => Ok(StandingStatus::Expired),
        _ => refuse("data.object.status", Fault::Unknown),
    }
}

//! Ordering a card so that no attempt makes a second one, and none is lost (behaviour 4.5).
//!
//! The order is kept before the issuer is asked, and taken away together with the card's row. Whoever
//! asks again after a lost answer finds it: the issuer's list is looked through first, and the card
//! is ordered again, in the same words under the same key, only where it is not there. An order that
//! nobody comes back for is settled from the outbox, which closes what it made.

use std::sync::Arc;

use super::aside::set_aside;
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::issuers::{CardOrder, IssuedCard, IssuerClient, IssuerError};
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::{Change, OutboxAsked};
use crate::domain::time::Timestamp;

/// Callers may come back under their key for a day and more.
const SETTLED_AFTER_US: i64 = 49 * 3_600_000_000;
/// An issuer without keys may still be making what its list does not show.
const IN_MAKING_US: i64 = 60_000_000;

/// A card that was made, and what is to be kept together with it.
pub(in crate::cold::api) struct Ordered {
    pub(in crate::cold::api) issued: IssuedCard,
    pub(in crate::cold::api) settled: Option<Change>,
}

/// An order that is kept.
struct Kept {
    order: CardOrder,
    row_id: String,
    version: i64,
    /// When it was made before, where it was.
    before: Option<Timestamp>,
}

pub(in crate::cold::api) async fn order_card(
    api: &Arc<Api>,
    now: Timestamp,
    issuer: &dyn IssuerClient,
    order: CardOrder,
) -> Result<Ordered, Problem> {
    if !issuer.manner().is_remote {
        let issued = order_here(api, issuer, order).await?;
        let settled = None;
        return Ok(Ordered { issued, settled });
    }
    let kept = keep((api, now), issuer, order).await?;
    let settled = Change::OutboxDone(kept.row_id.clone(), kept.version);
    let aside = set_aside(api, now, issuer.connection(), &kept.order).await;
    if let Err(problem) = aside {
        // Nothing was asked for, unless an attempt before this one has.
        if kept.before.is_none() {
            api.store.apply(vec![settled]).await?;
        }
        return Err(problem);
    }
    let made = attempt(now, issuer, &kept).await;
    match made {
        Ok(issued) => Ok(Ordered {
            issued,
            settled: Some(settled),
        }),
        Err(error) => {
            if kept.before.is_none() && is_nothing_made(&error) {
                api.store.apply(vec![settled]).await?;
            }
            Err(error.into())
        }
    }
}

/// An idempotency key that was used for a card long ago, and is forgotten by now, is a new one: what
/// the issuer gives for it is that card, which is kept already.
async fn order_here(
    api: &Api,
    issuer: &dyn IssuerClient,
    order: CardOrder,
) -> Result<IssuedCard, Problem> {
    let issued = issuer.create(order.clone()).await?;
    if api.store.card(issued.card_id.clone()).await?.is_none() {
        return Ok(issued);
    }
    Ok(issuer.create(with_own_key(order)).await?)
}

fn with_own_key(order: CardOrder) -> CardOrder {
    CardOrder {
        key: order.card_id.trim_start_matches("card_").to_owned(),
        ..order
    }
}

/// Whether the issuer has certainly made no card.
fn is_nothing_made(error: &IssuerError) -> bool {
    match error {
        IssuerError::Unknown(_) => false,
        IssuerError::Unavailable(_)
        | IssuerError::Limited(_)
        | IssuerError::Denied(_)
        | IssuerError::Refused(_)
        | IssuerError::Unsupported(_) => true,
    }
}

/// Keeps the order; where the same one was kept before, that is the one.
async fn keep(
    (api, now): (&Api, Timestamp),
    issuer: &dyn IssuerClient,
    order: CardOrder,
) -> Result<Kept, Problem> {
    let row_id = OutboxRow::id_of_order(&order.key);
    let found = api.store.outbox(OutboxAsked::One(row_id.clone()));
    let found = found.await?.pop();
    let (order, before) = match &found {
        None => (order, None),
        Some(row) => {
            let known: CardOrder = serde_json::from_str(&row.payload).map_err(|error| {
                tracing::error!(%error, "a kept order is not understood");
                Problem::internal()
            })?;
            // Another card than the one that may be made already.
            if known.request != order.request {
                return Err(Problem::idempotency_conflict());
            }
            let at = known.at;
            (known, Some(at))
        }
    };
    let payload = serde_json::to_string(&order).map_err(|error| {
        tracing::error!(%error, "an order has no JSON form");
        Problem::internal()
    })?;
    let row = OutboxRow {
        id: row_id.clone(),
        payload,
        due_at: now.plus_micros(SETTLED_AFTER_US),
        ..OutboxRow::of_card(Errand::Order, &order.card_id, issuer.connection(), now)
    };
    api.store.apply(vec![Change::Outbox(row)]).await?;
    Ok(Kept {
        order,
        row_id,
        version: found.map_or(0, |row| row.version) + 1,
        before,
    })
}

async fn attempt(
    now: Timestamp,
    issuer: &dyn IssuerClient,
    kept: &Kept,
) -> Result<IssuedCard, IssuerError> {
    let order = &kept.order;
    if let Some(before) = kept.before {
        if let Some(found) = issuer.find(order.clone()).await? {
            return Ok(found);
        }
        let is_young = now.micros_since(before) < IN_MAKING_US;
        if is_young && !issuer.manner().knows_keys {
            let why = "it may still be making the card; ask again in a minute";
            return Err(IssuerError::Unknown(why.to_owned()));
        }
    }
    match create(issuer, order).await {
        Err(IssuerError::Unknown(why)) => {
            tracing::warn!(connection = issuer.connection(), %why, "looking for a card that may be made");
            // Whatever comes after it, the first call may have made a card.
            let unknown = |error| IssuerError::Unknown(format!("{why}; then: {error}"));
            if let Some(found) = issuer.find(order.clone()).await.map_err(unknown)? {
                return Ok(found);
            }
            if !issuer.manner().knows_keys {
                return Err(IssuerError::Unknown(why));
            }
            create(issuer, order).await.map_err(unknown)
        }
        made => made,
    }
}

/// A key that the issuer remembers longer than we do gives the card that was made for it then.
async fn create(issuer: &dyn IssuerClient, order: &CardOrder) -> Result<IssuedCard, IssuerError> {
    let issued = issuer.create(order.clone()).await?;
    if issued.card_id == order.card_id {
        return Ok(issued);
    }
    issuer.create(with_own_key(order.clone())).await
}

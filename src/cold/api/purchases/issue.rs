//! The purchase card: made at an issuer for one request, and taken away when its time is over
//! (behaviour 5.6).

use std::sync::Arc;

use serde::Serialize;

use super::desk::Step;
use super::earmark;
use super::words::{Refusal, refused};
use crate::cold::api::Api;
use crate::cold::api::cards::{Ordered, order_card};
use crate::cold::api::problem::Problem;
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::{CardOrder, IssuedCard, IssuerClient, IssuerError};
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::purchases::{BoundTo, Purchase, PurchaseState};
use crate::cold::store::versions::Versions;
use crate::cold::store::{Card, Change, Customer};
use crate::domain::amount::Amount;
use crate::domain::card::{CardStatus, Usage};
use crate::domain::time::Timestamp;

const MINUTE_US: i64 = 60_000_000;

/// What came of an order.
pub(super) enum Issued {
    /// The card is there; what is to be kept with it.
    Made(Box<(Card, Option<Change>)>),
    /// It will never be made.
    Never(Refusal),
    /// It may be made yet, or be there already.
    NotYet,
}

/// The rules of a purchase card, as a document like any other.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    limits: Limits,
    lock_to_first_merchant: bool,
    probe_policy: &'static str,
    reauthorize_same_merchant: bool,
    valid_until: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_mccs: &'a [String],
    #[serde(skip_serializing_if = "<[BoundTo]>::is_empty")]
    allowed_merchants: &'a [BoundTo],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    per_auth: i64,
    total: i64,
}

/// When the card of a request ends that is approved now.
pub(super) fn ends(row: &Purchase, now: Timestamp) -> Timestamp {
    let since = row.decided_at.unwrap_or(now);
    since.plus_micros(i64::from(row.terms.card_ttl_minutes) * MINUTE_US)
}

/// The card's own rules: this much once, at one merchant, until its end. A probe of at most one major
/// unit has room beside the purchase.
fn document(row: &Purchase, now: Timestamp) -> Result<String, Problem> {
    let probe = Amount::one_major(row.amount.currency).get();
    let document = Document {
        limits: Limits {
            per_auth: row.terms.earmark,
            total: row.terms.earmark.saturating_add(probe),
        },
        lock_to_first_merchant: true,
        probe_policy: "allow_one_probe",
        reauthorize_same_merchant: true,
        valid_until: ends(row, now).rfc3339().to_string(),
        allowed_mccs: &row.terms.mccs,
        allowed_merchants: &row.terms.merchants,
    };
    serde_json::to_string(&document).map_err(|error| {
        tracing::error!(%error, "a policy has no JSON form");
        Problem::internal()
    })
}

/// The issuer of purchase cards: the first that asks us before each purchase.
fn issuer<'a>(api: &'a Api, row: &Purchase) -> Option<&'a dyn IssuerClient> {
    let mut issuers = api.issuers.iter().map(|issuer| &**issuer);
    issuers.find(|it| it.mode() == row.mode && it.manner().asks)
}

fn order_of(api: &Api, row: &Purchase, rules: Rules) -> CardOrder {
    let called = earmark::name(row);
    let digest = api
        .secret
        .digest("order of a purchase", &[called.as_bytes()]);
    let mut key = String::with_capacity(64);
    for byte in digest {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
        key.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    CardOrder {
        key,
        card_id: row.terms.card_id.clone(),
        at: row.decided_at.unwrap_or(row.created_at),
        rules,
        is_paused: false,
        request: None,
    }
}

async fn rules_of(api: &Api, row: &Purchase, now: Timestamp) -> Result<(Rules, String), Problem> {
    let customer = api.store.customer(row.customer_id.clone()).await?;
    let customer: Customer = customer.ok_or_else(Problem::not_found)?;
    let document = document(row, now)?;
    let policy = card_policy(Some(&document), None)?;
    Ok((Rules::of(&policy, Usage::Single, &customer), document))
}

/// Orders the card, under a key that every attempt has in common.
pub(super) async fn order(
    api: &Arc<Api>,
    row: &Purchase,
    now: Timestamp,
) -> Result<Issued, Problem> {
    let Some(issuer) = issuer(api, row) else {
        let text = "no connection makes cards that are asked about before each purchase";
        return Ok(Issued::Never(refused("issuer_refused", text)));
    };
    if let Some(refusal) = no_room(api, row).await? {
        return Ok(Issued::Never(refusal));
    }
    let (rules, document) = rules_of(api, row, now).await?;
    let order = order_of(api, row, rules);
    let made = if issuer.manner().is_remote {
        match order_card(api, now, issuer, order).await {
            Ok(Ordered { issued, settled }) => Ok((issued, settled)),
            Err(problem) => Err(problem.is_refused_by_issuer()),
        }
    } else {
        match issuer.create(order).await {
            Ok(issued) => Ok((issued, None)),
            Err(IssuerError::Refused(_) | IssuerError::Unsupported(_)) => Err(true),
            Err(error) => {
                tracing::warn!(%error, "a purchase card is not made yet");
                Err(false)
            }
        }
    };
    Ok(match made {
        Ok((issued, settled)) => {
            let card = card(issuer.connection(), row, issued, (document, now));
            Issued::Made(Box::new((card, settled)))
        }
        Err(true) => Issued::Never(refused(
            "issuer_refused",
            "the issuer will not make the card",
        )),
        Err(false) => Issued::NotYet,
    })
}

/// Whether the agent has as many cards as its customer allows (behaviour 4.4).
async fn no_room(api: &Api, row: &Purchase) -> Result<Option<Refusal>, Problem> {
    let customer = api.store.customer(row.customer_id.clone()).await?;
    let most = customer.and_then(|customer| customer.fleet.cards_per_agent_max);
    let Some(most) = most else {
        return Ok(None);
    };
    let there = api.store.count_cards(row.agent_id.clone()).await?;
    let text = format!("the agent has {there} cards, and may have {most}");
    Ok((there >= most).then(|| refused("fleet_cap_reached", &text)))
}

fn card(
    connection: &str,
    row: &Purchase,
    issued: IssuedCard,
    (document, now): (String, Timestamp),
) -> Card {
    Card {
        id: issued.card_id,
        mode: row.mode,
        customer_id: row.customer_id.clone(),
        agent_id: Some(row.agent_id.clone()),
        connection: connection.to_owned(),
        issuer_token: issued.token,
        is_physical: false,
        usage: Usage::Single,
        status: CardStatus::Active,
        is_frozen: false,
        last4: issued.last4,
        exp_month: issued.exp_month,
        exp_year: issued.exp_year,
        limit: None,
        policy: Some(document),
        versions: Versions::default(),
        label: None,
        created_at: now,
        revision: 0,
    }
}

/// Whether the issuer says that it has no card for the request.
pub(super) async fn is_proven_absent(api: &Arc<Api>, row: &Purchase, now: Timestamp) -> bool {
    let Some(issuer) = issuer(api, row) else {
        // Nobody could be asked for one.
        return true;
    };
    let Ok((rules, _)) = rules_of(api, row, now).await else {
        return false;
    };
    match issuer.find(order_of(api, row, rules)).await {
        Ok(found) => found.is_none(),
        Err(error) => {
            tracing::warn!(%error, "whether there is a purchase card is not known");
            false
        }
    }
}

/// Cancels a card whose time is over, which gives back what is left of its earmark.
pub(super) async fn over(
    api: &Arc<Api>,
    mut row: Purchase,
    now: Timestamp,
) -> Result<Option<Step>, Problem> {
    if row.due_at.is_none_or(|due| due > now) {
        return Ok(None);
    }
    row.state = PurchaseState::Expired;
    row.due_at = None;
    let card = match row.card_id.clone() {
        Some(id) => api.store.card(id).await?,
        None => None,
    };
    let mut work = Work {
        batch: vec![Change::purchase(row)],
        ..Work::default()
    };
    if let Some(mut card) = card.filter(|card| card.status != CardStatus::Canceled) {
        card.status = CardStatus::Canceled;
        work.orders.push(Order::Card {
            card: (&card).into(),
            status: Some(CardStatus::Canceled),
            frozen: None,
        });
        let issuer = api.issuer_of(&card.connection);
        if issuer.is_some_and(|it| it.manner().is_remote) {
            let told = OutboxRow::of_card(Errand::State, &card.id, &card.connection, now);
            work.batch.push(Change::Outbox(told));
        }
        work.batch.push(Change::Card(card));
    }
    Ok(Some((work, false)))
}

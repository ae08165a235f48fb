//! The purchase card: made at an issuer for one request, and taken away when its time is over
//! (behaviour 5.6).

use std::sync::Arc;

use serde::Serialize;

use super::desk::only;
use super::earmark;
use super::steps::Step;
use super::words::{Refusal, refused};
use crate::cold::api::Api;
use crate::cold::api::cards::{Ordered, order_card};
use crate::cold::api::fleet::room_for_card;
use crate::cold::api::problem::Problem;
use crate::cold::audit::line::hex;
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::{CardOrder, IssuedCard, IssuerClient, IssuerError, State};
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::purchases::{BoundTo, OrderTerms, Purchase, PurchaseState};
use crate::cold::store::versions::Versions;
use crate::cold::store::{Card, Change, Customer};
use crate::decide::purchase::CardUse;
use crate::domain::amount::Amount;
use crate::domain::card::{CardStatus, Usage};
use crate::domain::time::Timestamp;

const MINUTE_US: i64 = 60_000_000;

/// What came of an order.
pub(super) enum Issued {
    /// The card is there; what is to be kept with it.
    Made(Box<(Card, Vec<Change>)>),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reauthorize_same_merchant: Option<bool>,
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
    let order = row.terms.order.as_ref();
    let since = order.map_or(row.decided_at, |it| Some(Timestamp::from_micros(it.at_us)));
    since
        .unwrap_or(now)
        .plus_micros(i64::from(row.terms.card_ttl_minutes) * MINUTE_US)
}

fn usage(row: &Purchase) -> Usage {
    match row.card_use() {
        CardUse::Single => Usage::Single,
        CardUse::UntilSpent => Usage::Multi,
    }
}

/// The card's own rules: this much once, at one merchant, until its end. A probe of at most one major
/// unit has room beside the purchase. Where it is good for several, they come to this much together, and
/// never to more than is set aside.
fn document(row: &Purchase, now: Timestamp) -> Result<String, Problem> {
    let once = (usage(row) == Usage::Single).then_some(());
    let probe = once.map_or(0, |()| Amount::one_major(row.amount.currency).get());
    let document = Document {
        limits: Limits {
            per_auth: row.terms.earmark,
            total: row.terms.earmark.saturating_add(probe),
        },
        lock_to_first_merchant: true,
        probe_policy: once.map(|()| "allow_one_probe"),
        reauthorize_same_merchant: once.map(|()| true),
        valid_until: ends(row, now).rfc3339().to_string(),
        allowed_mccs: &row.terms.mccs,
        allowed_merchants: &row.terms.merchants,
    };
    serde_json::to_string(&document).map_err(|error| {
        tracing::error!(%error, "a policy has no JSON form");
        Problem::internal()
    })
}

/// What a request that is approved now keeps for all attempts at its card. The issuer of purchase
/// cards is the first that asks us before each purchase.
pub(super) fn order_terms(api: &Api, row: &Purchase, now: Timestamp) -> OrderTerms {
    let issuers = api.issuers.iter();
    let mut issuers = issuers.filter(|it| it.mode() == row.mode && it.manner().asks);
    OrderTerms {
        at_us: now.micros(),
        connection: issuers.next().map(|it| it.connection().to_owned()),
    }
}

/// When the card was ordered first, at the earliest. It never changes.
pub(super) fn ordered_at(row: &Purchase) -> Timestamp {
    let order = row.terms.order.as_ref();
    order.map_or(row.created_at, |it| Timestamp::from_micros(it.at_us))
}

/// Who makes the card, or has made it.
enum Maker<'a> {
    /// There was nobody to be asked when it was approved.
    Nobody,
    /// It is not among the connections now: what it has made is not known.
    Away,
    /// This one.
    There(&'a dyn IssuerClient),
}

fn maker<'a>(api: &'a Api, row: &Purchase) -> Maker<'a> {
    let Some(order) = &row.terms.order else {
        return Maker::Away;
    };
    let Some(connection) = &order.connection else {
        return Maker::Nobody;
    };
    let mut issuers = api.issuers.iter().map(|issuer| &**issuer);
    let found = issuers.find(|it| it.mode() == row.mode && it.connection() == connection);
    found.map_or(Maker::Away, Maker::There)
}

fn order_of(api: &Api, row: &Purchase, rules: Rules) -> CardOrder {
    let called = earmark::name(row);
    let digest = api
        .secret
        .digest("order of a purchase", &[called.as_bytes()]);
    CardOrder {
        key: hex(&digest),
        card_id: row.terms.card_id.clone(),
        at: ordered_at(row),
        rules,
        is_paused: false,
        request: None,
        shipping: None,
        aside: None,
    }
}

async fn rules_of(api: &Api, row: &Purchase, now: Timestamp) -> Result<(Rules, String), Problem> {
    let customer = api.store.customer(row.customer_id.clone()).await?;
    let customer: Customer = customer.ok_or_else(Problem::not_found)?;
    let document = document(row, now)?;
    let policy = card_policy(Some(&document), None)?;
    Ok((Rules::of(&policy, usage(row), &customer), document))
}

/// Orders the card, under a key that every attempt has in common.
pub(super) async fn order(
    api: &Arc<Api>,
    row: &Purchase,
    now: Timestamp,
) -> Result<Issued, Problem> {
    let issuer = match maker(api, row) {
        Maker::There(issuer) => issuer,
        Maker::Away => return Ok(Issued::NotYet),
        Maker::Nobody => {
            let text = "no connection makes cards that are asked about before each purchase";
            return Ok(Issued::Never(refused("issuer_refused", text)));
        }
    };
    let customer = api.store.customer(row.customer_id.clone()).await?;
    let customer = customer.ok_or_else(Problem::not_found)?;
    // Asked before each attempt, also where an earlier one may have made the card already: another
    // card may have taken its place, and a cap is never passed. The card is closed then.
    let room = match room_for_card(api, customer, Some(&row.agent_id)).await {
        Ok(room) => room,
        Err(full) if full.is_fleet_cap() => {
            let text = full
                .detail()
                .unwrap_or("the agent has as many cards as it may have");
            return Ok(Issued::Never(refused(full.code(), text)));
        }
        Err(problem) => return Err(problem),
    };
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
            // Whoever makes a card for the agent at the same time counts again.
            let more = settled.into_iter().chain(room).collect();
            Issued::Made(Box::new((card, more)))
        }
        Err(true) => Issued::Never(refused(
            "issuer_refused",
            "the issuer will not make the card",
        )),
        Err(false) => Issued::NotYet,
    })
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
        usage: usage(row),
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

/// Whether no card of the request can be used: its issuer says that it has none, or has closed it.
pub(super) async fn withdraw(api: &Arc<Api>, row: &Purchase, now: Timestamp) -> bool {
    let issuer = match maker(api, row) {
        Maker::There(issuer) => issuer,
        Maker::Away => return false,
        Maker::Nobody => return true,
    };
    let Ok((rules, _)) = rules_of(api, row, now).await else {
        return false;
    };
    let withdrawn = match issuer.find(order_of(api, row, rules)).await {
        Ok(None) => return true,
        Ok(Some(found)) => close(issuer, found.token).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &withdrawn {
        tracing::warn!(%error, request = row.id, "whether there is a purchase card is not known");
    }
    withdrawn.is_ok()
}

/// A refusal may mean that it is closed already: the issuer is asked how the card stands.
async fn close(issuer: &dyn IssuerClient, token: String) -> Result<(), IssuerError> {
    let told = issuer.set_state(token.clone(), State::Closed).await;
    let Err(IssuerError::Refused(why)) = told else {
        return told;
    };
    match issuer.fetch(token).await? {
        Some(there) if there.state != State::Closed => Err(IssuerError::Refused(why)),
        Some(_) | None => Ok(()),
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
    let card = match row.card_id.clone() {
        Some(id) => api.store.card(id).await?,
        None => None,
    };
    let ends = ends(&row, now);
    if row.terms.shown_us.is_none() && now < ends {
        // Its link has died. Where the card was used all the same, somebody has seen it elsewhere.
        let is_used = match &card {
            Some(card) => {
                let held = api.held(card).await?;
                held.consumed_at.or(held.last_spend).is_some()
            }
            None => false,
        };
        if is_used {
            row.due_at = Some(ends);
            return Ok(Some(Step::last(only(row))));
        }
        row.reason = Some("not_revealed".to_owned());
    }
    row.state = PurchaseState::Expired;
    row.due_at = None;
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
    Ok(Some(Step::last(work)))
}

//! `POST /v1/cards/{id}/replace`: another card in the place of one. The new one has the same owner,
//! use, limit and policy, and its own counters; those of agent and customer go on.
//!
//! The old card is canceled in the same step that makes the new one. Where it is to stay good for a
//! while, it gets an end in its own policy, so that no later act of ours is needed to end it.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::aside::aside_for;
use super::change::{refuse_purchase_card, told_at, told_of};
use super::new::{issuer, order_key, refuse_unsent};
use super::order::{Ordered, order_card};
use super::shipping::NewShipping;
use super::standing::CardHeld;
use super::stopped_above;
use crate::cold::api::body::read;
use crate::cold::api::exchange::{Ask, Reply, Tries};
use crate::cold::api::problem::Problem;
use crate::cold::api::{agents, customers, fleet, versions};
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::ids::draw;
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::shipping::Shipping;
use crate::cold::issuers::{CardOrder, IssuedCard, State};
use crate::cold::store::outward::Errand;
use crate::cold::store::versions::Versions;
use crate::cold::store::{Card, Change};
use crate::decide::compile::parse_instant;
use crate::domain::card::{AgentStatus, CardStatus};
use crate::domain::time::Timestamp;

/// The longest time for which both cards may be good.
const BOTH_US_MAX: i64 = 90 * 86_400 * 1_000_000;

/// What becomes of the old card.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::cold::api) struct Replacement {
    /// Until when the old card stays good, at most 90 days from now; it is canceled at once where
    /// this is absent.
    #[schema(format = DateTime)]
    old_card_until: Option<String>,
    /// Where the new one of a physical card is sent; needed for one.
    shipping: Option<NewShipping>,
}

pub(in crate::cold::api) async fn replace(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let wanted: Replacement = read(&ask.body)?;
    let until = wanted
        .old_card_until
        .map(|text| end(&text, ask.now))
        .transpose()?;
    let old = super::find(&ask, &ask.id).await?;
    // What an operator or the owner has stopped does not come back as another card.
    let stands = ask.api.standing_of_card(&old).await?;
    refuse_replacing(&ask, &old, stands.0).await?;
    let shipping = shipping(&old, wanted.shipping)?;
    // What cannot be is told before a card is ordered.
    retired(old.clone(), until)?;
    if until.is_some() {
        let customer = customers::of_card(&ask, &old).await?;
        fleet::room_for_card(&ask.api, customer, old.agent_id.as_deref()).await?;
    }
    let issuer = issuer(&ask, Some(&old.connection))?;
    refuse_unsent(issuer, old.is_physical)?;
    let card_id = draw("card", ask.now);
    let rules = Rules {
        has_past: false,
        // The new one is made with the lock.
        lacks_lock: false,
        ..ask.api.rules_of(&old).await?
    };
    let aside = aside_for(issuer, &rules, (&old.customer_id, old.agent_id.as_deref()));
    let order = CardOrder {
        key: order_key(&ask, &card_id),
        card_id,
        at: ask.now,
        is_paused: rules.state(first_status(&old, stands.0), stands.1) != State::Open,
        rules,
        request: ask.fingerprint(),
        shipping,
        aside,
    };
    let Ordered { issued, settled } = order_card(&ask.api, ask.now, issuer, order).await?;
    let mut tries = Tries::default();
    loop {
        // Somebody may have stopped the card while its issuer was asked.
        let old = super::find(&ask, &ask.id).await?;
        let now = ask.api.standing_of_card(&old).await?;
        if now.0 == CardStatus::Canceled {
            return Err(Problem::card_canceled());
        }
        let new = successor(&old, &issued, now, ask.now);
        let told = (now != stands).then(|| told_of(&ask, &new, Errand::State));
        let mut more: Vec<Change> = settled.iter().cloned().chain(told.flatten()).collect();
        more.extend(stopped_above(&ask, std::slice::from_ref(&new)).await?);
        if let Some(until) = until {
            let customer = customers::of_card(&ask, &old).await?;
            more.extend(fleet::room_for_card(&ask.api, customer, old.agent_id.as_deref()).await?);
            // Where its issuer never asks us, nothing else ends it there.
            more.extend(told_at(&ask, &old, Errand::End, until));
        }
        let old = over(&ask, old, until, &mut more).await?;
        let outcome = swap(&ask, old, new, more).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

/// Where the new one is sent: nobody keeps where the old one was.
fn shipping(old: &Card, wanted: Option<NewShipping>) -> Result<Option<Shipping>, Problem> {
    let message = match (old.is_physical, wanted) {
        (true, Some(wanted)) => return wanted.read().map(Some),
        (false, None) => return Ok(None),
        (true, None) => "is missing; a physical card needs it",
        (false, Some(_)) => "only a physical card is shipped",
    };
    Err(Problem::invalid_field("shipping", message))
}

/// Refuses a card that has no successor.
async fn refuse_replacing(ask: &Ask, old: &Card, status: CardStatus) -> Result<(), Problem> {
    if status == CardStatus::Canceled {
        return Err(Problem::card_canceled());
    }
    if let Some(id) = &old.agent_id
        && agents::find(ask, id).await?.status == AgentStatus::Disabled
    {
        return Err(Problem::agent_disabled());
    }
    if !ask.api.rows_rule {
        return Err(Problem::file_rules());
    }
    // Another card would be good for the amount once more, with nothing set aside for it.
    let why = "a purchase card is not replaced: its agent makes another request";
    refuse_purchase_card(ask, old, why).await
}

/// How the new card begins: plastic works once its owner has it.
fn first_status(old: &Card, status: CardStatus) -> CardStatus {
    match status {
        CardStatus::Active if old.is_physical => CardStatus::Locked,
        CardStatus::Active | CardStatus::Locked | CardStatus::Canceled => status,
    }
}

fn successor(
    old: &Card,
    issued: &IssuedCard,
    (status, is_frozen): (CardStatus, bool),
    now: Timestamp,
) -> Card {
    Card {
        id: issued.card_id.clone(),
        issuer_token: issued.token.clone(),
        last4: issued.last4.clone(),
        exp_month: issued.exp_month,
        exp_year: issued.exp_year,
        status: first_status(old, status),
        is_frozen,
        // Its counters are its own, and so is the history of its rules.
        versions: Versions::default(),
        created_at: now,
        revision: 0,
        ..old.clone()
    }
}

/// Both in one step.
async fn swap(ask: &Ask, old: Card, new: Card, more: Vec<Change>) -> Result<Reply, Problem> {
    let path = format!("/v1/cards/{}", new.id);
    let shown = ask.api.card_shown_with(new.clone(), CardHeld::default());
    let reply = Reply::created(path, &shown.await?)?;
    let is_over = old.status == CardStatus::Canceled;
    let order = is_over.then(|| Order::Card {
        card: (&old).into(),
        status: Some(CardStatus::Canceled),
        frozen: None,
    });
    let told = is_over.then(|| told_of(ask, &old, Errand::State)).flatten();
    let cards = [Change::Card(old), Change::Card(new)];
    // The row ends the old card by itself. The ledger hears of it afterwards: where the rows are not
    // kept, the old card goes on, and the call can be repeated.
    let work = Work {
        batch: cards.into_iter().chain(told).chain(more).collect(),
        orders: Vec::new(),
        after: order.into_iter().collect(),
    };
    ask.make(work, reply).await
}

fn end(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let latest = now.plus_micros(BOTH_US_MAX);
    let until = parse_instant(text).filter(|until| *until > now && *until <= latest);
    until.ok_or_else(|| {
        let message = "must be an instant like \"2026-05-30T00:00:00Z\", within 90 days from now";
        Problem::invalid_field("oldCardUntil", message)
    })
}

/// The old card as it is from now on. An end that is written into its policy is a version of it.
async fn over(
    ask: &Ask,
    old: Card,
    until: Option<Timestamp>,
    more: &mut Vec<Change>,
) -> Result<Card, Problem> {
    let before = versions::Of::from(&old);
    let mut old = retired(old, until)?;
    let after = versions::Of::from(&old);
    more.extend(versions::patched(ask, &before, after, &mut old.versions).await?);
    Ok(old)
}

/// The old card as it is from now on.
fn retired(old: Card, until: Option<Timestamp>) -> Result<Card, Problem> {
    let Some(until) = until else {
        return Ok(Card {
            status: CardStatus::Canceled,
            ..old
        });
    };
    let text = old.policy.as_deref().unwrap_or("{}");
    let mut policy: Map<String, Value> =
        serde_json::from_str(text).map_err(|_no_object| Problem::internal())?;
    let before = policy.get("validUntil").and_then(Value::as_str);
    let ends = before
        .and_then(parse_instant)
        .map_or(until, |it| it.min(until));
    policy.insert("validUntil".to_owned(), ends.rfc3339().to_string().into());
    let policy = Value::Object(policy).to_string();
    card_policy(Some(&policy), old.limit.as_ref())?;
    Ok(Card {
        policy: Some(policy),
        ..old
    })
}

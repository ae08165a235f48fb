//! Changing a card. What stops it is in the ledger, durably, before the answer leaves: nothing that
//! is asked after it is approved (behaviour 2.14 j).

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::find;
use super::new::{Limit, Status, refuse_unenforced};
use super::view::strictest;
use crate::cold::api::body::{present, read};
use crate::cold::api::exchange::{Ask, Reply, Tries};
use crate::cold::api::fields::document;
use crate::cold::api::problem::Problem;
use crate::cold::api::{customers, versions};
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::issuers::rules::Rules;
use crate::cold::schema::PolicyDocument;
use crate::cold::store::outward::{CardOrigin, Errand, OutboxRow};
use crate::cold::store::{Card, Change};
use crate::decide::policy::Policy;
use crate::domain::card::CardStatus;

/// What becomes of a card; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CardChange {
    status: Option<Status>,
    /// Null takes it away.
    #[schema(value_type = Option<Limit>)]
    #[serde(default, deserialize_with = "present")]
    limits: Option<Option<Limit>>,
    /// Replaces the whole document; null takes it away.
    #[schema(value_type = Option<PolicyDocument>)]
    #[serde(default, deserialize_with = "present")]
    policy: Option<Option<Box<RawValue>>>,
    #[serde(default)]
    configuration: Configuration,
}

/// How the connection takes it.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ChangeConfiguration)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Configuration {
    /// Take rules that nobody holds, where the connection's issuer never asks.
    allow_unenforced: bool,
}

/// What becomes of a card; absent leaves what is there.
#[derive(Default)]
struct Wanted {
    status: Option<CardStatus>,
    frozen: Option<bool>,
    limit: Option<Option<Limit>>,
    policy: Option<Option<String>>,
    allows_unenforced: bool,
}

impl Wanted {
    fn frozen(is_frozen: bool) -> Self {
        Self {
            frozen: Some(is_frozen),
            ..Self::default()
        }
    }
}

/// A body without fields; none at all will do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::cold::api) struct Nothing {}

pub(in crate::cold::api) async fn change(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let change: CardChange = read(&ask.body)?;
    let wanted = Wanted {
        status: change.status.map(Into::into),
        frozen: None,
        limit: change.limits,
        policy: change.policy.map(document),
        allows_unenforced: change.configuration.allow_unenforced,
    };
    make(ask, wanted).await
}

pub(in crate::cold::api) async fn cancel(ask: Ask) -> Result<Reply, Problem> {
    let wanted = Wanted {
        status: Some(CardStatus::Canceled),
        ..Wanted::default()
    };
    without_body(ask, wanted).await
}

pub(in crate::cold::api) async fn freeze(ask: Ask) -> Result<Reply, Problem> {
    without_body(ask, Wanted::frozen(true)).await
}

pub(in crate::cold::api) async fn unfreeze(ask: Ask) -> Result<Reply, Problem> {
    without_body(ask, Wanted::frozen(false)).await
}

async fn without_body(ask: Ask, wanted: Wanted) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    make(ask, wanted).await
}

async fn make(ask: Ask, wanted: Wanted) -> Result<Reply, Problem> {
    let mut tries = Tries::default();
    loop {
        let (work, reply) = attempt(&ask, &wanted).await?;
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn attempt(ask: &Ask, wanted: &Wanted) -> Result<(Work, Reply), Problem> {
    let mut row = find(ask, &ask.id).await?;
    let before = versions::Of::from(&row);
    let mut held = ask.api.held(&row).await?;
    let is_canceled = strictest(row.status, held.status) == CardStatus::Canceled;
    let stays_canceled = wanted.status == Some(CardStatus::Canceled)
        && wanted.frozen.is_none()
        && wanted.limit.is_none()
        && wanted.policy.is_none();
    if is_canceled && !stays_canceled {
        return Err(Problem::card_canceled());
    }
    if let Some(limit) = &wanted.limit {
        let customer = customers::of_card(ask, &row).await?;
        row.limit = limit.as_ref().map(|it| it.read(&customer)).transpose()?;
    }
    if let Some(policy) = &wanted.policy {
        row.policy.clone_from(policy);
    }
    let policy = card_policy(row.policy.as_deref(), row.limit.as_ref())?;
    if wanted.limit.is_some() || wanted.policy.is_some() {
        refuse_unheld(ask, &row, &policy, wanted.allows_unenforced).await?;
    }
    row.status = wanted.status.unwrap_or(row.status);
    row.is_frozen = wanted.frozen.unwrap_or(row.is_frozen);
    held.status = wanted.status.unwrap_or(held.status);
    held.is_frozen = wanted.frozen.unwrap_or(held.is_frozen);
    let after = versions::Of::from(&row);
    let history = versions::patched(ask, &before, after, &mut row.versions).await?;
    let shown = ask.api.card_shown_with(row.clone(), held).await?;
    let reply = Reply::ok(&shown)?;
    let order = order(&row, wanted);
    let mut told = told(ask, &row, wanted);
    told.extend(lifted(ask, &row, wanted).await?);
    told.extend(history);
    let work = Work {
        batch: [Change::Card(row)].into_iter().chain(told).collect(),
        orders: order.into_iter().collect(),
    };
    Ok((work, reply))
}

/// Whoever says what the card is to be says it in the issuer's place, too.
async fn lifted(ask: &Ask, row: &Card, wanted: &Wanted) -> Result<Option<Change>, Problem> {
    if wanted.status.is_none() && wanted.frozen.is_none() {
        return Ok(None);
    }
    let origin = ask.api.store.card_origin(row.id.clone()).await?;
    let paused = origin.filter(|origin| origin.is_paused_there);
    Ok(paused.map(|origin| {
        Change::Origin(CardOrigin {
            is_paused_there: false,
            ..origin
        })
    }))
}

/// What the issuer cannot hold, where nothing else would (behaviour 4.8).
pub(in crate::cold::api) async fn refuse_unheld(
    ask: &Ask,
    row: &Card,
    policy: &Policy,
    is_allowed: bool,
) -> Result<(), Problem> {
    let issuer = ask.api.issuer_of(&row.connection);
    let Some(issuer) = issuer.filter(|it| !it.manner().asks) else {
        return Ok(());
    };
    let customer = customers::of_card(ask, row).await?;
    let agent = match &row.agent_id {
        Some(id) => ask.api.store.agent(id.clone()).await?,
        None => None,
    };
    let own = (row.policy.as_deref(), row.limit.as_ref());
    let rules = Rules::of(policy, row.usage, &customer);
    let rules = rules.with_fields(own, agent.as_ref(), &customer);
    refuse_unenforced(issuer, &rules, is_allowed)
}

/// What the issuer is told of the change: that the card stands differently, and within which limits.
fn told(ask: &Ask, row: &Card, wanted: &Wanted) -> Vec<Change> {
    let mut told = Vec::from_iter(told_of(ask, row, Errand::State));
    // A limit of nothing pauses the card there, so that limits concern its state as well.
    if wanted.limit.is_some() || wanted.policy.is_some() {
        told.extend(told_of(ask, row, Errand::Rules));
    }
    told
}

/// That a card's limits have changed.
pub(in crate::cold::api) fn told_of_rules(ask: &Ask, row: &Card) -> Option<Change> {
    told_of(ask, row, Errand::Rules)
}

/// One thing that the card's issuer is told, where it is asked over a network.
pub(super) fn told_of(ask: &Ask, row: &Card, errand: Errand) -> Option<Change> {
    let issuer = ask.api.issuer_of(&row.connection)?;
    let row = OutboxRow::of_card(errand, &row.id, &row.connection, ask.now);
    issuer.manner().is_remote.then_some(Change::Outbox(row))
}

/// What the ledger is to hold, where the change is one of standing.
fn order(row: &Card, wanted: &Wanted) -> Option<Order> {
    let (status, frozen) = (wanted.status, wanted.frozen);
    (status.is_some() || frozen.is_some()).then(|| Order::Card {
        card: row.into(),
        status,
        frozen,
    })
}

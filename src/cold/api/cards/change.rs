//! Changing a card. What stops it is in the ledger, durably, before the answer leaves: nothing that
//! is asked after it is approved (behaviour 2.14 j).

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::find;
use super::new::{Limit, Status};
use super::view::strictest;
use crate::cold::api::body::{present, read};
use crate::cold::api::customers;
use crate::cold::api::exchange::{Ask, Reply, Tries};
use crate::cold::api::fields::document;
use crate::cold::api::problem::Problem;
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::schema::PolicyDocument;
use crate::cold::store::{Card, Change};
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
}

/// What becomes of a card; absent leaves what is there.
#[derive(Default)]
struct Wanted {
    status: Option<CardStatus>,
    frozen: Option<bool>,
    limit: Option<Option<Limit>>,
    policy: Option<Option<String>>,
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
    card_policy(row.policy.as_deref(), row.limit.as_ref())?;
    row.status = wanted.status.unwrap_or(row.status);
    row.is_frozen = wanted.frozen.unwrap_or(row.is_frozen);
    held.status = wanted.status.unwrap_or(held.status);
    held.is_frozen = wanted.frozen.unwrap_or(held.is_frozen);
    let shown = ask.api.card_shown_with(row.clone(), held).await?;
    let reply = Reply::ok(&shown)?;
    let order = order(&row, wanted);
    let work = Work {
        batch: vec![Change::Card(row)],
        orders: order.into_iter().collect(),
    };
    Ok((work, reply))
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

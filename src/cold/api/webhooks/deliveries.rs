//! What became of each event on its way to a webhook, and sending it anew.

use serde::Serialize;
use utoipa::ToSchema;

use super::{find, make};
use crate::cold::api::about::{About, CURSOR, Given, LIMIT, Parameter, ParameterKind, shape};
use crate::cold::api::body::read;
use crate::cold::api::cards::Nothing;
use crate::cold::api::code::Code;
use crate::cold::api::exchange::{Ask, Reply};
use crate::cold::api::problem::Problem;
use crate::cold::api::query::Page;
use crate::cold::api::text;
use crate::cold::store::webhook::{
    DeliveriesAsked, Delivery, DeliveryState, Webhook, WebhookChange,
};
use crate::cold::webhooks::notice;

/// One event on its way to one webhook. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryShown {
    /// The event's id, which stands in `webhook-id`.
    id: String,
    /// The kind of event.
    #[serde(rename = "type")]
    kind: String,
    #[schema(pattern = "^(waiting|done|dead)$")]
    state: &'static str,
    /// Attempts since it was last asked for.
    attempts: u32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    tried_at: Option<String>,
    /// When it is tried next; null where it is not.
    #[schema(format = DateTime)]
    due_at: Option<String>,
    /// The status of the last answer.
    last_status: Option<u16>,
    /// Why the last attempt was in vain.
    last_error: Option<String>,
    /// What is sent, as text.
    body: String,
}

const STATE: Parameter = Parameter {
    name: "state",
    about: "In this state alone: `waiting`, `done` or `dead`.",
    kind: ParameterKind::Id,
};

pub(in crate::cold::api) const DELIVERIES: About = About {
    query: &[LIMIT, CURSOR, STATE],
    gives: &[Given::list(shape::<DeliveryShown>)],
    ..About::new(
        "listDeliveries",
        "What became of each event on its way to a webhook.",
    )
};
pub(in crate::cold::api) const REPLAY: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<DeliveryShown>)],
    problems: &[Code::WebhookDisabled],
    ..About::new("replayDelivery", "Sends an event anew, under the same id.")
};
pub(in crate::cold::api) const TEST: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<DeliveryShown>)],
    problems: &[Code::WebhookDisabled],
    ..About::new("testWebhook", "Sends an event of the kind `webhook.test`.")
};

fn shown(row: Delivery) -> DeliveryShown {
    let is_waiting = row.state == DeliveryState::Waiting;
    DeliveryShown {
        id: row.id,
        kind: row.kind,
        state: row.state.name(),
        attempts: row.attempts,
        created_at: row.created_at.rfc3339().to_string(),
        tried_at: row.tried_at.map(|at| at.rfc3339().to_string()),
        due_at: is_waiting.then(|| row.due_at.rfc3339().to_string()),
        last_status: row.last_status,
        last_error: row.last_error,
        body: row.body,
    }
}

/// The webhook that the path names, where it is told something.
async fn find_enabled(ask: &Ask) -> Result<Webhook, Problem> {
    let row = find(ask).await?;
    if row.is_enabled {
        Ok(row)
    } else {
        Err(Problem::of(Code::WebhookDisabled))
    }
}

pub(in crate::cold::api) async fn deliveries(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    let state = match ask.query.take("state")? {
        None => None,
        Some(word) => {
            let known = DeliveryState::ALL.into_iter().find(|it| it.name() == word);
            let message = "must be `waiting`, `done` or `dead`";
            Some(known.ok_or_else(|| Problem::invalid_field("state", message))?)
        }
    };
    ask.query.finish()?;
    let webhook = find(&ask).await?;
    let limit = listed.limit;
    let asked = DeliveriesAsked::Of {
        webhook_id: webhook.id,
        state,
        after: listed.after,
        limit,
    };
    let rows = ask.api.store.deliveries(asked).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data = rows.into_iter().map(shown).collect();
    Reply::ok(&page.with(data))
}

pub(in crate::cold::api) async fn replay(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let webhook = find_enabled(&ask).await?;
    let asked = DeliveriesAsked::One(webhook.id, text::id(&ask.inner_id)?);
    let found = ask.api.store.deliveries(asked).await?;
    let row = found.into_iter().next().ok_or_else(Problem::not_found)?;
    let row = Delivery {
        state: DeliveryState::Waiting,
        attempts: 0,
        created_at: ask.now,
        due_at: ask.now,
        ..row
    };
    let reply = Reply::ok(&shown(row.clone()))?;
    make(&ask, vec![WebhookChange::Again(row).into()], reply).await
}

pub(in crate::cold::api) async fn test(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let webhook = find_enabled(&ask).await?;
    let notice = notice::test(webhook.mode, ask.now);
    let row = Delivery {
        webhook_id: webhook.id.clone(),
        id: notice.id.clone(),
        kind: notice.kind.to_owned(),
        body: notice.body.clone(),
        state: DeliveryState::Waiting,
        created_at: ask.now,
        due_at: ask.now,
        attempts: 0,
        tried_at: None,
        last_status: None,
        last_error: None,
        version: 0,
    };
    let reply = Reply::ok(&shown(row))?;
    let told = WebhookChange::ToldTo(webhook.id, notice);
    make(&ask, vec![told.into()], reply).await
}

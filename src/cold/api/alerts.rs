//! `/v1/alerts`: what owners wanted to know at once (behaviour 8.2).

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::Page;
use crate::cold::store::webhook::Alert;

/// One alert.
#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertShown {
    id: String,
    #[schema(pattern = "^(test|live)$")]
    mode: &'static str,
    customer_id: String,
    card_id: String,
    /// `limit_share`, `decline_storm`, `merchant_drift`, `spend_spike` or `forced_posting`.
    kind: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The event as webhooks are told of it.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
}

pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<AlertShown>)],
    ..About::new("listAlerts", "What owners wanted to know at once.")
};

fn shown(row: Alert) -> Result<AlertShown, Problem> {
    let event = RawValue::from_string(row.body).map_err(|error| {
        tracing::error!(%error, "an alert is no JSON");
        Problem::internal()
    })?;
    Ok(AlertShown {
        id: row.id,
        mode: row.mode.name(),
        customer_id: row.customer_id,
        card_id: row.card_id,
        kind: row.kind,
        created_at: row.created_at.rfc3339().to_string(),
        event,
    })
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let limit = listed.limit;
    let rows = ask.api.store.alerts(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data = rows.into_iter().map(shown).collect::<Result<_, _>>()?;
    Reply::ok(&page.with(data))
}

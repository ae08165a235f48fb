//! What issuers are to be told, as operators see it, and what is tried no more tried again.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::OpsState;
use super::problem::Problem;
use super::query::Parameters;
use crate::cold::store::outward::OutboxRow;
use crate::cold::store::{Change, OutboxAsked, Store, StoreError};

const PAGE_LEN: usize = 200;

#[derive(Serialize)]
struct Page {
    rows: Vec<RowShown>,
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowShown {
    id: String,
    errand: &'static str,
    card: String,
    connection: String,
    state: &'static str,
    since: String,
    due: String,
    attempts: u32,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct Replayed {
    replayed: usize,
}

pub(super) fn routes() -> Router<OpsState> {
    Router::new()
        .route("/admin/outbox", get(list))
        .route("/admin/outbox/replay", post(replay))
}

fn shown(row: OutboxRow) -> RowShown {
    RowShown {
        state: if row.is_dead { "dead" } else { "waiting" },
        since: row.created_at.rfc3339().to_string(),
        due: row.due_at.rfc3339().to_string(),
        id: row.id,
        errand: row.errand.name(),
        card: row.card_id,
        connection: row.connection,
        attempts: row.attempts,
        last_error: row.last_error,
    }
}

fn store(state: &OpsState) -> Result<Arc<dyn Store>, Problem> {
    let store = state.store.get().ok_or_else(Problem::not_ready)?;
    let none = || Problem::not_found("the data directory has no database");
    store.clone().ok_or_else(none)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "passed to map_err, which hands the error over"
)]
fn fault(error: StoreError) -> Problem {
    tracing::error!(%error, "the outbox");
    Problem::internal()
}

async fn list(
    State(state): State<OpsState>,
    mut parameters: Parameters,
) -> Result<Json<Page>, Problem> {
    let after = parameters.take("cursor")?.unwrap_or_default();
    parameters.finish()?;
    let asked = OutboxAsked::All(after, PAGE_LEN);
    let rows = store(&state)?.outbox(asked).await.map_err(fault)?;
    let is_full = rows.len() == PAGE_LEN;
    let next = rows.last().filter(|_| is_full).map(|row| row.id.clone());
    let rows = rows.into_iter().map(shown).collect();
    Ok(Json(Page { rows, next }))
}

/// One row, or every dead one.
async fn replay(
    State(state): State<OpsState>,
    mut parameters: Parameters,
) -> Result<Json<Replayed>, Problem> {
    let id = parameters.take("id")?;
    parameters.finish()?;
    let store = store(&state)?;
    if let Some(id) = id {
        let rows = store.outbox(OutboxAsked::One(id)).await.map_err(fault)?;
        if rows.is_empty() {
            return Err(Problem::not_found("no row has this id"));
        }
        let replayed = again(&state, &*store, rows).await?;
        return Ok(Json(Replayed { replayed }));
    }
    let mut replayed = 0;
    let mut after = String::new();
    loop {
        let asked = OutboxAsked::Dead(after, PAGE_LEN);
        let rows = store.outbox(asked).await.map_err(fault)?;
        let Some(last) = rows.last() else {
            return Ok(Json(Replayed { replayed }));
        };
        after = last.id.clone();
        replayed += again(&state, &*store, rows).await?;
    }
}

async fn again(
    state: &OpsState,
    store: &dyn Store,
    rows: Vec<OutboxRow>,
) -> Result<usize, Problem> {
    let now = state.clock.now();
    let count = rows.len();
    let due = |row| Change::Outbox(OutboxRow { due_at: now, ..row });
    let batch = rows.into_iter().map(due).collect();
    store.apply(batch).await.map_err(fault)?;
    Ok(count)
}

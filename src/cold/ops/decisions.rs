//! `/admin/decisions`: the records of decisions, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::OpsState;
use super::authorizations::{Outcome, outcomes};
use super::cards::name_in_records;
use super::problem::Problem;
use super::query::Parameters;
use crate::cold::records::{
    Cursor, DecisionId, DecisionRecord, Filter, PAGE_LEN_MAX, Page, Records,
};
use crate::ledger::embedded::follow::FollowFault;

const PAGE_LEN_DEFAULT: usize = 50;

#[derive(Serialize)]
pub(super) struct List {
    decisions: Vec<Shown>,
    next: Option<String>,
}

/// A decision, and what has become of its authorization since.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    decision: DecisionRecord,
    /// Null as long as the issuer has reported nothing, and once the authorization is forgotten.
    outcome: Option<Outcome>,
}

/// Puts beside each decision what has become of it.
async fn shown(state: &OpsState, decisions: Vec<DecisionRecord>) -> Result<Vec<Shown>, Problem> {
    let outcomes = outcomes(state, &decisions).await?;
    let both = decisions.into_iter().zip(outcomes);
    Ok(both
        .map(|(decision, outcome)| Shown { decision, outcome })
        .collect())
}

pub(super) async fn list(
    State(state): State<OpsState>,
    mut parameters: Parameters,
) -> Result<Json<List>, Problem> {
    let connection = parameters.take("connection")?;
    let authorization = parameters.take("authorization")?;
    let card = parameters.take("card")?;
    let limit = match parameters.take("limit")? {
        Some(text) => parse_limit(&text)?,
        None => PAGE_LEN_DEFAULT,
    };
    let from = match parameters.take("cursor")? {
        Some(text) => {
            let unknown = || Problem::invalid_parameter("cursor", "is none that was given out");
            Some(Cursor::parse(&text).ok_or_else(unknown)?)
        }
        None => None,
    };
    let after = match parameters.take("after")? {
        Some(text) => Some(parse_after(&text, from.is_some())?),
        None => None,
    };
    parameters.finish()?;
    let card = match card {
        Some(id) => Some(name_in_records(&state, id).await),
        None => None,
    };
    let Page { decisions, next } = ask(&state, move |records| {
        let filter = Filter {
            connection: connection.as_deref(),
            authorization: authorization.as_deref(),
            card: card.as_deref(),
            ..Filter::default()
        };
        let Some(after) = after else {
            return records.page(&filter, limit, from);
        };
        let decisions = records.page_after(&filter, limit, after)?;
        Ok(Page {
            decisions,
            next: None,
        })
    })
    .await?;
    let next = next.map(Cursor::text);
    let decisions = shown(&state, decisions).await?;
    Ok(Json(List { decisions, next }))
}

pub(super) async fn one(
    State(state): State<OpsState>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Shown>, Problem> {
    parameters.finish()?;
    let unknown = || Problem::not_found("There is no such decision");
    let id = DecisionId::parse(&id).ok_or_else(unknown)?;
    let found = ask(&state, move |records| records.find(id)).await?;
    let found = found.into_iter().collect();
    let shown = shown(&state, found).await?.into_iter().next();
    shown.map(Json).ok_or_else(unknown)
}

fn parse_after(text: &str, has_cursor: bool) -> Result<DecisionId, Problem> {
    if has_cursor {
        let detail = "goes the other way than `cursor`; give one of them";
        return Err(Problem::invalid_parameter("after", detail));
    }
    let unknown = || Problem::invalid_parameter("after", "is no id of a decision");
    DecisionId::parse(text).ok_or_else(unknown)
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    // Whoever asks for more gets a page and where it goes on.
    limit
        .map(|limit: usize| limit.min(PAGE_LEN_MAX))
        .ok_or_else(|| Problem::invalid_parameter("limit", "must be a number from 1 on"))
}

/// Searches on a thread that may block: it reads files.
pub(super) async fn ask<T: Send + 'static>(
    state: &OpsState,
    search: impl FnOnce(&Records) -> Result<T, FollowFault> + Send + 'static,
) -> Result<T, Problem> {
    let records = Arc::clone(&state.running()?.records);
    let found = tokio::task::spawn_blocking(move || search(&records)).await;
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(fault)) => {
            tracing::error!(%fault, "a record of a decision cannot be read");
            Err(Problem::internal())
        }
        Err(error) => {
            tracing::error!(%error, "a search broke off");
            Err(Problem::internal())
        }
    }
}

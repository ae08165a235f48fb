//! `/v1/decisions`: what was decided on a card, and why (behaviour 2.12, 4.3).

use std::sync::Arc;

use serde::Serialize;

use super::cards;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use crate::cold::records::{Cursor, DecisionId, DecisionRecord, Filter, Records};
use crate::ledger::embedded::follow::FollowFault;

#[derive(Serialize)]
struct List {
    data: Vec<DecisionRecord>,
    next: Option<String>,
}

/// The decisions on one card, newest first.
pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let wanted = ask.query.take("cardId")?;
    let limit = ask.query.limit()?;
    let from = match ask.query.take("cursor")? {
        Some(text) => {
            let unknown = || Problem::invalid_field("cursor", "is none that was given out");
            Some(Cursor::parse(&text).ok_or_else(unknown)?)
        }
        None => None,
    };
    ask.query.finish()?;
    let missing = || Problem::invalid_field("cardId", "is missing; decisions are listed by card");
    let card = cards::find(&ask, &wanted.ok_or_else(missing)?).await?;
    let page = search(&ask, move |records| {
        let filter = Filter {
            card: Some(&card.id),
            ..Filter::default()
        };
        records.page(&filter, limit, from)
    })
    .await?;
    Reply::ok(&List {
        data: page.decisions,
        next: page.next.map(Cursor::text),
    })
}

/// One decision, on a card that the caller may know of.
pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let id = DecisionId::parse(&ask.id).ok_or_else(Problem::not_found)?;
    let found = search(&ask, move |records| records.find(id)).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let card = found.card.as_deref().ok_or_else(Problem::not_found)?;
    let _in_reach = cards::find(&ask, card).await?;
    Reply::ok(&found)
}

/// Searches on a thread that may block: it reads files.
async fn search<T: Send + 'static>(
    ask: &Ask,
    search: impl FnOnce(&Records) -> Result<T, FollowFault> + Send + 'static,
) -> Result<T, Problem> {
    let records = Arc::clone(&ask.api.records);
    let found = tokio::task::spawn_blocking(move || search(&records)).await;
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a record of a decision cannot be read");
        Problem::internal()
    };
    match found {
        Ok(found) => found.map_err(|fault| internal(&fault)),
        Err(error) => Err(internal(&error)),
    }
}

//! `/access-requests/{id}`: where an owner answers an agent that asks to be at work (behaviour 4.4, 7.2). The
//! answer goes through the very function of the API's routes; those that wait are listed at `/reviews`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::{get, post};
use tokio::runtime::Handle;

use super::{Other, agent_name, sent};
use crate::cold::api::access::decide;
use crate::cold::api::exchange::Ask;
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases::summary;
use crate::cold::api::text;
use crate::cold::entry::Web;
use crate::cold::entry::refused::Refused;
use crate::cold::entry::signed_in::SignedIn;
use crate::cold::listen::Peer;
use crate::cold::store::access::{AccessRequest, AccessState};
use crate::cold::web::access::AccessPage;
use crate::cold::web::form::Form;
use crate::cold::web::review::WaitingAccess;
use crate::cold::web::{page, redirect, shown_words};

const PATH: &str = "/access-requests";
/// Those that the list of reviews shows.
const SHOWN: usize = 50;

/// The routes.
pub(super) fn router() -> Router<Web> {
    let decides = |state: AccessState| {
        post(
            async move |State(web): State<Web>, Path(id): Path<String>, request: Request<Body>| {
                sent(answer(&web, id, request, state).await)
            },
        )
    };
    let look = get(
        async |State(web): State<Web>, Path(id): Path<String>, request: Request<Body>| {
            sent(one(&web, &id, request).await)
        },
    );
    Router::new()
        .route(&format!("{PATH}/{{id}}"), look)
        .route(
            &format!("{PATH}/{{id}}/grant"),
            decides(AccessState::Granted),
        )
        .route(
            &format!("{PATH}/{{id}}/refuse"),
            decides(AccessState::Refused),
        )
}

/// Those that wait, newest first.
pub(super) async fn waiting(who: &SignedIn) -> Result<Vec<WaitingAccess>, Problem> {
    let listed = who.listed(&Form::default(), SHOWN);
    let state = Some(AccessState::Pending);
    let rows = who.api.store.access_requests(listed, state).await?;
    let mut waiting = Vec::with_capacity(rows.len());
    for row in rows {
        waiting.push(WaitingAccess {
            path: format!("{PATH}/{}", row.id),
            agent: agent_name(&who.api, &row.agent_id).await?,
            asked_at: row.created_at.rfc3339().to_string(),
        });
    }
    Ok(waiting)
}

async fn in_reach(who: &SignedIn, id: &str) -> Result<AccessRequest, Problem> {
    let found = who.api.store.access_request(text::id(id)?).await?;
    who.caller.access(found)
}

async fn one(web: &Web, id: &str, request: Request<Body>) -> Result<Response<Body>, Other> {
    let (head, _body) = request.into_parts();
    let who = SignedIn::of(web, &head).await?;
    let row = in_reach(&who, id).await?;
    Ok(shown(&who, row).await?)
}

async fn shown(who: &SignedIn, row: AccessRequest) -> Result<Response<Body>, Problem> {
    let found = who.api.store.agent(row.agent_id.clone()).await?;
    let agent = who.caller.agent(found)?;
    let held = who.api.standing_of_agent(&agent).await?;
    let limits = summary(&who.api, &row.agent_id, who.now).await?.lines();
    Ok(page(
        StatusCode::OK,
        &AccessPage {
            id: &row.id,
            csrf: &who.csrf,
            revision: row.revision,
            status: match row.state {
                AccessState::Pending => "waits for a decision",
                AccessState::Granted => "granted",
                AccessState::Refused => "refused",
            },
            agent: agent_name(&who.api, &row.agent_id).await?,
            agent_status: held.name(),
            limits,
            asked_at: row.created_at.rfc3339().to_string(),
            note: row.note.as_deref().map(shown_words),
            waits: row.state == AccessState::Pending,
            may_decide: who.is_owner(),
            reason: shown_words(&row.reason),
        },
    ))
}

async fn answer(
    web: &Web,
    id: String,
    request: Request<Body>,
    state: AccessState,
) -> Result<Response<Body>, Other> {
    let (head, body) = request.into_parts();
    let who = SignedIn::of(web, &head).await?;
    let form = who.sent(&head, body).await?;
    if !who.is_owner() {
        return Err(who.refused("scope_not_allowed", Refused::Forbidden).into());
    }
    let row = in_reach(&who, &id).await?;
    let revision = form.get("revision").and_then(|it| it.parse().ok());
    let revision: i64 = revision.ok_or(Refused::Form)?;
    let note = form.lines("note").filter(|it| !it.trim().is_empty());
    let note = { note.filter(|_| state == AccessState::Refused) }
        .map(|it| text::words(&it, "note"))
        .transpose()?;
    let path = format!("{PATH}/{}", row.id);
    let ask = ask(&who, &head, &row, state);
    // Whoever closes the page does not leave half of an answer.
    let decided = Handle::current().spawn(async move {
        let outcome = decide(&ask, state, note, Some(revision)).await;
        if let Err(problem) = &outcome {
            ask.trace.note(&ask.api, Some(&ask.caller), problem);
        }
        outcome.map(drop)
    });
    decided.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer broke off");
        Err(Problem::internal())
    })?;
    Ok(redirect(&path))
}

fn ask(who: &SignedIn, head: &Parts, row: &AccessRequest, state: AccessState) -> Ask {
    let word = match state {
        AccessState::Granted => "grant",
        AccessState::Refused | AccessState::Pending => "refuse",
    };
    let path = format!("{PATH}/{}/{word}", row.id);
    let peer = head.extensions.get::<Peer>().copied();
    let ask = Ask::of_page(
        Arc::clone(&who.api),
        who.caller.clone(),
        (Method::POST, &path),
        peer,
    );
    Ask {
        id: row.id.clone(),
        ..ask
    }
}

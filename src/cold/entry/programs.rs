//! `/programs`: which programs act as which agents, and the button that ends it at once.

use std::collections::HashMap;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};

use super::Web;
use super::refused::Refused;
use super::signed_in::SignedIn;
use crate::cold::ids::is_id;
use crate::cold::store::grants::Grant;
use crate::cold::store::people::PeopleChange;
use crate::cold::store::{PAGE_LEN_MAX, StoreError};
use crate::cold::web::form::Form;
use crate::cold::web::{called, page, redirect, shown_words};

#[derive(Template)]
#[template(path = "entry/programs.html")]
struct ProgramsPage<'p> {
    csrf: &'p str,
    email: &'p str,
    may_revoke: bool,
    programs: Vec<Program>,
    next: Option<String>,
}

/// A program, in its own words where they are its own.
struct Program {
    id: String,
    called: String,
    client_id: String,
    agent: String,
    since: String,
    until: String,
}

/// Those that the person reaches, newest first.
pub(super) async fn show(
    State(web): State<Web>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let (head, _body) = request.into_parts();
    let who = SignedIn::of(&web, &head).await?;
    let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
    let listed = who.listed(&query, PAGE_LEN_MAX);
    let found = who.api.store.people().grants(listed, who.now).await;
    let found = found.map_err(fault)?;
    let is_full = found.len() == PAGE_LEN_MAX;
    let next = found.last().filter(|_| is_full).map(|row| row.id.clone());
    let mut names = HashMap::new();
    let mut programs = Vec::with_capacity(found.len());
    for row in found {
        if !names.contains_key(&row.agent_id) {
            let agent = who.api.store.agent(row.agent_id.clone()).await;
            let name = agent.map_err(fault)?.and_then(|agent| agent.name);
            names.insert(row.agent_id.clone(), name);
        }
        let name = names.get(&row.agent_id).cloned().flatten();
        programs.push(program(row, name));
    }
    let shown = ProgramsPage {
        csrf: &who.csrf,
        email: &who.user.email,
        may_revoke: who.may_stop(),
        programs,
        next,
    };
    Ok(page(StatusCode::OK, &shown))
}

fn program(row: Grant, agent_name: Option<String>) -> Program {
    Program {
        called: called(row.client_name.as_deref()),
        client_id: shown_words(&row.client_id),
        agent: shown_words(&agent_name.unwrap_or(row.agent_id)),
        since: row.created_at.rfc3339().to_string(),
        until: row.expires_at.rfc3339().to_string(),
        id: row.id,
    }
}

/// Ends what a program may do; nothing that it holds opens anything from the answer on.
pub(super) async fn revoke(
    State(web): State<Web>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let (head, body) = request.into_parts();
    let who = SignedIn::of(&web, &head).await?;
    who.sent(&head, body).await?;
    if !who.may_stop() {
        return Err(who.refused("scope_not_allowed", Refused::Forbidden));
    }
    let found = match is_id(&id) {
        true => who.api.store.people().grant(id).await.map_err(fault)?,
        false => None,
    };
    let row = found.filter(|row| who.caller.reaches_grant(row));
    let row = row.ok_or(Refused::NotFound)?;
    let action = format!("POST /programs/{}/revoke", row.id);
    let revoked = PeopleChange::Revoked(row, who.now);
    who.keep(vec![revoked.into()], &action).await?;
    Ok(redirect("/programs"))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "passed to map_err, which hands the error over"
)]
fn fault(error: StoreError) -> Refused {
    tracing::error!(%error, "programs could not be looked up");
    Refused::Fault
}

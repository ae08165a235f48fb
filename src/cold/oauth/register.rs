//! Programs register themselves (RFC 7591). Anybody may, so it gives nothing: a row with where a
//! program's users are sent back to, which is forgotten after a day if nobody lets the program in.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::answer::{Error, json};
use super::{OAuth, SCOPE, address, counted, redirect};
use crate::cold::api::{is_name, looks_like_a_card_number};
use crate::cold::audit::{self, Event, Who};
use crate::cold::control::Work;
use crate::cold::ids::draw;
use crate::cold::store::Change;
use crate::cold::store::grants::Client;
use crate::cold::store::people::PeopleChange;
use crate::cold::web::form::{self, NoForm};

const REDIRECTS_MAX: usize = 10;
/// Programs that are kept; those that nobody has let in go after a day, and earlier for others.
const CLIENTS_MAX: i64 = 10_000;
/// So long a program that nobody has let in makes room for no other.
const LEFT_US: i64 = 10 * 60 * 1_000_000;

/// What we read of what a program says; what else it says is passed over.
#[derive(Deserialize)]
struct Wanted {
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
}

/// What it is registered as: always a public client, whatever it asked to be.
#[derive(Serialize)]
struct Registered {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    redirect_uris: Vec<String>,
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'static str,
    scope: &'static str,
}

pub(super) async fn register(
    State(oauth): State<OAuth>,
    request: Request<Body>,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let web = &oauth.0.web;
    let api = web.api()?;
    web.site().of(&head.headers).ok_or(Error::UnknownHost)?;
    let now = api.clock.now();
    let taken = oauth.0.registrations.take(&counted(&head), now);
    taken.map_err(Error::TooOften)?;
    // A page of another site sends no JSON without being let (CORS): its visitors register nothing.
    if !form::is_of_kind(&head.headers, "application/json") {
        return Err(Error::MediaType);
    }
    let read = form::read(body).await;
    let wrong = |why| Error::Wrong("invalid_client_metadata", why);
    let read = read.map_err(|NoForm| wrong("JSON of 32 KiB at most"))?;
    let unread = "a JSON object as in RFC 7591, with `redirect_uris`, a list of addresses";
    let wanted: Wanted = serde_json::from_slice(&read).map_err(|_error| wrong(unread))?;
    check(&wanted)?;
    let mut batch: Vec<Change> = Vec::new();
    if api.store.people().count_clients().await? >= CLIENTS_MAX {
        tracing::warn!("so many programs have registered that the oldest unused one makes room");
        batch.push(PeopleChange::RoomForClient(now.plus_micros(-LEFT_US)).into());
    }
    let row = Client {
        id: draw("cli", now),
        name: wanted.client_name,
        uri: wanted.client_uri.filter(|uri| is_page(uri)),
        redirect_uris: wanted.redirect_uris.join("\n"),
        created_at: now,
        used_at: None,
    };
    let registered = Registered {
        client_id: row.id.clone(),
        client_id_issued_at: now.secs(),
        client_name: row.name.clone(),
        client_uri: row.uri.clone(),
        redirect_uris: wanted.redirect_uris,
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
        scope: SCOPE,
    };
    batch.push(PeopleChange::Client(row).into());
    batch.push(Change::Audit(Event {
        at: now,
        mode: None,
        who: Who::Nobody,
        action: format!("POST {}", super::REGISTER),
        changes: audit::made(&batch),
        from: address(&head),
        request_id: Some(draw("req", now)),
        outcome: "201".to_owned(),
    }));
    let work = Work {
        batch,
        ..Work::default()
    };
    api.control.make(work).await?;
    Ok(json(StatusCode::CREATED, &registered))
}

/// Whether it can be a program's page; what else is said there is passed over.
fn is_page(uri: &str) -> bool {
    uri.starts_with("https://") && redirect::is_lawful(uri) && !looks_like_a_card_number(uri)
}

fn check(wanted: &Wanted) -> Result<(), Error> {
    if !redirect::may_be_kept(&wanted.redirect_uris, REDIRECTS_MAX) {
        let text = "redirect_uris: 1 to 10 addresses: https, plain http to this machine, or a scheme \
                    of its own; no card number in them";
        return Err(Error::Wrong("invalid_redirect_uri", text));
    }
    let lacks = |names: &Option<Vec<String>>, name: &str| {
        names
            .as_ref()
            .is_some_and(|names| !names.iter().any(|it| it == name))
    };
    if lacks(&wanted.grant_types, "authorization_code") || lacks(&wanted.response_types, "code") {
        let text = "only the authorization code is given out here";
        return Err(Error::Wrong("invalid_client_metadata", text));
    }
    let is_shown = |name: &str| is_name(name) && !looks_like_a_card_number(name);
    if !wanted.client_name.as_deref().is_none_or(is_shown) {
        let text = "client_name: 1 to 200 characters, none of them a control one";
        return Err(Error::Wrong("invalid_client_metadata", text));
    }
    Ok(())
}

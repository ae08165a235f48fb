//! `/review/{token}`: one request, for whoever has the link out of a notice (behaviour 5.13).
//!
//! Looking changes nothing, however often and by whatever: mail scanners and previews open links. The forms
//! decide once, by the version that the notice told of. Whose word it is, is read from the rows each time: a
//! person who may decide no more, or an endpoint that is gone or disabled, has no links.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use axum::middleware::map_response;
use axum::routing::{get, post};

use super::{Looker, Other, Spoken, Verb, page, sent, speak};
use crate::cold::api::Api;
use crate::cold::api::caller::Caller;
use crate::cold::api::exchange::{Ask, Trace};
use crate::cold::api::notices::{hash_of, person_of};
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases::find;
use crate::cold::audit::Event;
use crate::cold::entry::Web;
use crate::cold::entry::refused::Refused;
use crate::cold::entry::signed_in::{CSRF_FIELD, csrf_of};
use crate::cold::listen::Peer;
use crate::cold::store::purchases::{Purchase, PurchaseState};
use crate::cold::store::review_links::ReviewLink;
use crate::cold::web::form::{Form, Sender};
use crate::cold::web::{self, redirect};
use crate::domain::time::Timestamp;

/// What stands before a link's text.
pub(in crate::cold::api) const PATH: &str = "/review/";
/// Links that are none which one address opens in a minute.
pub(in crate::cold::api) const A_MINUTE: u32 = 60;
const CSRF: &str = "review link form";

/// Its routes.
pub(super) fn router() -> Router<Web> {
    let decides = |verb: Verb| {
        post(
            async move |State(web): State<Web>,
                        Path(token): Path<String>,
                        request: Request<Body>| {
                sent(decide(&web, token, request, verb).await)
            },
        )
    };
    let looks =
        async |State(web): State<Web>, Path(token): Path<String>, request: Request<Body>| {
            sent(look(&web, token, request).await)
        };
    Router::new()
        .route("/review/{token}", get(looks))
        .route("/review/{token}/approve", decides(Verb::Approve))
        .route("/review/{token}/deny", decides(Verb::Deny))
        .layer(map_response(web::without_referrer))
}

/// A link that is ours, with everything that it rests on.
struct Opened {
    api: Arc<Api>,
    link: ReviewLink,
    row: Purchase,
    caller: Caller,
    csrf: String,
    now: Timestamp,
}

impl Opened {
    async fn of(web: &Web, token: &str, head: &Parts) -> Result<Self, Other> {
        let api = web.api()?;
        web.site().of(&head.headers).ok_or(Refused::UnknownHost)?;
        let now = api.clock.now();
        let link = match hash_of(&api, token) {
            Some(hash) => api.store.review_link(hash).await.map_err(Problem::from)?,
            None => None,
        };
        let Some(link) = link else {
            // Guesses alone are counted: everybody may come from the address of one proxy.
            let peer = head.extensions.get::<Peer>();
            let peer = peer.map(|Peer(address)| address.ip().to_string());
            let counted = api.links.take(&peer.unwrap_or_default(), now);
            counted.map_err(Refused::TooOften)?;
            return Err(Problem::not_found().into());
        };
        let webhook = api.store.webhook(link.webhook_id.clone()).await;
        let webhook = webhook.map_err(Problem::from)?;
        let webhook = webhook.filter(|it| it.is_enabled && it.has_links);
        let webhook = webhook.ok_or_else(Problem::not_found)?;
        let user = person_of(&api, &webhook).await?;
        // Another person may have the endpoint by now.
        if user.as_ref().map(|user| &user.id) != link.user_id.as_ref() {
            return Err(Problem::not_found().into());
        }
        let caller = match &user {
            Some(user) => Caller::of_user(user),
            None => Caller::of_chat(&webhook, now),
        };
        let row = caller.purchase(find(&api, &link.purchase_id).await?)?;
        Ok(Self {
            csrf: csrf_of(&api, CSRF, token),
            api,
            link,
            row,
            caller,
            now,
        })
    }

    /// Why a request that waits is not decided by this link.
    fn spent(&self) -> Option<&'static str> {
        let waits = self.row.state == PurchaseState::PendingReview;
        if !waits {
            return None;
        }
        if self.link.used_at.is_some() {
            return Some("This link has been used. Sign in to decide again.");
        }
        if self.link.purchase_version != self.row.revision {
            return Some("The request has changed since this link was sent. Sign in to decide.");
        }
        let is_over = self.link.ends_at <= self.now;
        is_over.then_some("This link has ended. Sign in to see what became of the request.")
    }

    /// What the audit log says of a word by this link.
    fn event(&self, verb: Verb, head: &Parts) -> Event {
        let action = format!("{PATH}{{token}}/{}", verb.word());
        let peer = head.extensions.get::<Peer>().copied();
        let (api, caller) = (Arc::clone(&self.api), self.caller.clone());
        Ask::of_page(api, caller, (Method::POST, &action), peer).event()
    }
}

async fn look(web: &Web, token: String, request: Request<Body>) -> Result<Response<Body>, Other> {
    let (head, _body) = request.into_parts();
    let opened = Opened::of(web, &token, &head).await?;
    let spent = opened.spent();
    let looker = Looker {
        api: &opened.api,
        csrf: &opened.csrf,
        at: format!("{PATH}{token}"),
        may_decide: spent.is_none(),
        by_link: true,
        spent,
        now: opened.now,
    };
    Ok(page(&looker, opened.row.clone()).await?)
}

async fn decide(
    web: &Web,
    token: String,
    request: Request<Body>,
    verb: Verb,
) -> Result<Response<Body>, Other> {
    let (head, body) = request.into_parts();
    // Before anything is looked at, because whoever sends it may take his time.
    let form = Form::read(&head.headers, body).await;
    let opened = match Opened::of(web, &token, &head).await {
        Ok(opened) => opened,
        Err(other) => {
            if let (Ok(api), Other::Problem(problem)) = (web.api(), &other) {
                let action = format!("{PATH}{{token}}/{}", verb.word());
                let peer = head.extensions.get::<Peer>().copied();
                let trace = Trace::of_page((Method::POST, &action), peer, api.clock.now());
                trace.note(&api, None, problem);
            }
            return Err(other);
        }
    };
    let event = opened.event(verb, &head);
    let refused = |outcome: &str| {
        let outcome = outcome.to_owned();
        let event = event.clone();
        opened
            .api
            .control
            .noted()
            .attempt(Event { outcome, ..event });
    };
    if web.site().sender(&head.headers) != Sender::Ours {
        refused("foreign_origin");
        return Err(Refused::Form.into());
    }
    let form = form.inspect_err(|_| refused("no_form"))?;
    let given = form.get(CSRF_FIELD).unwrap_or_default();
    if !opened.api.secret.is_same(given, &opened.csrf) {
        refused("csrf_token");
        return Err(Refused::Form.into());
    }
    if let Some(why) = opened.spent() {
        refused("link_spent");
        return Ok(web::notice(StatusCode::GONE, "Nothing was decided", why));
    }
    let spoken = Spoken {
        verb,
        version: opened.link.purchase_version,
        link: Some((opened.link.hash, opened.link.webhook_id.clone())),
        event: event.clone(),
    };
    let stands = speak(&opened.api, &opened.row, &form, spoken).await?;
    Ok(stands.unwrap_or_else(|| redirect(&format!("{PATH}{token}"))))
}

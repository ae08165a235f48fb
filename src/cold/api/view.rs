//! `/view/{token}`: the page that shows a purchase card to whoever has its link (behaviour 5.12).
//!
//! GET shows a button and changes nothing, so that whatever looks at links in advance sees nothing. POST shows
//! the card, through the same gates as `POST /v1/cards/{id}/reveal` does to the agent whose card it is: a
//! program asks with `Content-Type: application/json` and gets what that route gives.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Method, Request, Response, StatusCode};
use axum::middleware::map_response;
use axum::routing::get;
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;

use super::caller::Caller;
use super::cards::{Revealing, pass, refuse_stopped, shown_to};
use super::exchange::{Ask, Trace, good, problem};
use super::problem::Problem;
use super::purchases::{Link, VIEW_PATH};
use super::{Api, Served};
use crate::cold::entry::site::Site;
use crate::cold::listen::Peer;
use crate::cold::store::Card;
use crate::cold::store::purchases::{Purchase, PurchaseState, PurchaseWanted};
use crate::cold::web;
use crate::cold::web::form::{self, NoForm, Sender};
use crate::cold::web::reveal::{Asking, Framing, Showing};
use crate::domain::time::Timestamp;

const JSON: &str = "application/json";

/// Its routes.
pub(in crate::cold) fn router(served: &Served, site: &Site) -> Router {
    let path = format!("{VIEW_PATH}{{token}}");
    let (looked, asked) = (Served::clone(served), Served::clone(served));
    let site = site.clone();
    let look = async move |Path(token): Path<String>| match started(&looked) {
        Ok(api) => look(api, &token)
            .await
            .unwrap_or_else(|refused| told(&refused)),
        Err(refused) => told(&refused),
    };
    let ask = async move |Path(token): Path<String>, request: Request<Body>| {
        let is_program = form::is_of_kind(request.headers(), JSON);
        let answered = match started(&asked) {
            Ok(api) => open(api, &site, token, request).await,
            Err(refused) => Err(refused),
        };
        match answered {
            Ok(response) => response,
            Err(refused) if is_program => problem(&refused),
            Err(refused) => told(&refused),
        }
    };
    Router::new()
        .route(&path, get(look).post(ask))
        .layer(map_response(web::without_referrer))
}

fn started(served: &Served) -> Result<Arc<Api>, Problem> {
    let api = served.get().ok_or_else(Problem::not_ready)?;
    api.clone().ok_or_else(Problem::not_found)
}

/// What a person is told in place of the card.
pub(super) fn told(refused: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(refused.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, text) = refused.in_words();
    web::notice(status, title, &text)
}

/// A link that opens now, and what it leads to.
struct Found {
    link: Link,
    row: Purchase,
    card: Card,
}

async fn find(api: &Api, token: &str, now: Timestamp) -> Result<Found, Problem> {
    let link = Link::read(&api.secret, token).ok_or_else(Problem::not_found)?;
    if link.ends <= now {
        return Err(Problem::view_ended());
    }
    let wanted = PurchaseWanted::OfCard(link.card_id.clone());
    let row = api
        .store
        .purchase(wanted)
        .await?
        .ok_or_else(Problem::not_found)?;
    if row.state != PurchaseState::Approved {
        return Err(Problem::card_canceled());
    }
    let card = api.store.card(link.card_id.clone()).await?;
    let card = card.ok_or_else(Problem::not_found)?;
    Ok(Found { link, row, card })
}

/// A card that is stopped has no button: pressing it would show nothing.
async fn look(api: Arc<Api>, token: &str) -> Result<Response<Body>, Problem> {
    let now = api.clock.now();
    let Found { link, row, card } = find(&api, token, now).await?;
    let caller = Caller::by_link(&row, now);
    let ask = Ask::of_page(api, caller, (Method::GET, "/view/{token}"), None);
    refuse_stopped(&ask, &card).await?;
    Ok(web::reveal::asking(&Asking {
        last4: card.last4.unwrap_or_default(),
        amount: format!("{} {}", row.amount, row.amount.currency),
        host: row.host,
        ends_at: link.ends.rfc3339().to_string(),
    }))
}

async fn open(
    api: Arc<Api>,
    site: &Site,
    token: String,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<Peer>().copied();
    let is_program = form::is_of_kind(&head.headers, JSON);
    if site.sender(&head.headers) == Sender::Elsewhere {
        return Err(Problem::beyond_reach(
            "the form was sent by another site's page",
        ));
    }
    // Nothing in it says anything; what is too large is refused.
    let body = form::read(body).await;
    let body = body.map_err(|NoForm| Problem::too_slow())?;
    if is_program && !body.is_empty() && &*body != b"{}" {
        return Err(Problem::invalid_field("", "must be empty, or {}"));
    }
    // Whoever hangs up does not leave half of it: the task goes on without him.
    let shown = Handle::current().spawn(async move { show(api, &token, peer, is_program).await });
    shown.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a card was not shown to its end");
        Err(Problem::internal())
    })
}

async fn show(
    api: Arc<Api>,
    token: &str,
    peer: Option<Peer>,
    is_program: bool,
) -> Result<Response<Body>, Problem> {
    let now = api.clock.now();
    let action = (Method::POST, "/view/{token}");
    let found = match find(&api, token, now).await {
        Ok(found) => found,
        Err(refused) => {
            Trace::of_page(action, peer, now).note(&api, None, &refused);
            return Err(refused);
        }
    };
    let caller = Caller::by_link(&found.row, now);
    let ask = Ask::of_page(Arc::clone(&api), caller, action, peer);
    let shown = show_card(&ask, found, is_program).await;
    if let Err(refused) = &shown {
        ask.trace.note(&api, Some(&ask.caller), refused);
    }
    shown
}

async fn show_card(ask: &Ask, found: Found, is_program: bool) -> Result<Response<Body>, Problem> {
    let Found {
        link,
        row: purchase,
        card,
    } = found;
    let amount = format!("{} {}", purchase.amount, purchase.amount.currency);
    let passed = pass(ask, card).await?;
    if passed.is_framed() && !is_program {
        let (row, framed) = passed.framing(ask, link.ends).await?;
        return Ok(web::reveal::framing(
            &framed.origin,
            &Framing {
                last4: row.last4.unwrap_or_default(),
                url: framed.url.expose_secret(),
                amount,
                host: purchase.host,
            },
        ));
    }
    let Revealing { row, revealed } = passed.revealing(ask).await?;
    if is_program {
        return Ok(good(shown_to(&Revealing { row, revealed })?));
    }
    let two = |number: Option<u16>| {
        number.map_or_else(|| "--".to_owned(), |it| format!("{:02}", it % 100))
    };
    Ok(web::reveal::showing(&Showing {
        last4: row.last4.clone().unwrap_or_default(),
        number: revealed.number.expose_secret(),
        expiry: format!(
            "{}/{}",
            two(row.exp_month.map(u16::from)),
            two(row.exp_year)
        ),
        cvv: revealed.cvv.expose_secret(),
        name: revealed.name.as_deref(),
        billing: revealed.billing_address.as_deref(),
        amount,
        host: purchase.host,
    }))
}

//! The listener for people and agents: the API, the pages, and whether it is there.

use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cold::api::mcp::Access;
use crate::cold::api::{Served, Unrouted, plain_bytes, review, router, view};
use crate::cold::entry::refused::Refused;
use crate::cold::entry::site::Site;
use crate::cold::entry::{self, Web};
use crate::cold::web;
use crate::cold::{listen, oauth};

/// Where people look with a browser, by the first segment of a path.
const PAGES: [&str; 8] = [
    "access-requests",
    "assets",
    "login",
    "logout",
    "programs",
    "review",
    "reviews",
    "view",
];

/// Serves it until the runtime ends.
pub async fn serve(listener: TcpListener, served: Served, access: Access, site: Site) {
    let routes = router(&served, &access, &site)
        .merge(web::assets())
        .merge(view::router(&served, &site))
        .route("/healthz", get(|| async { "ok\n" }));
    let routes = match Web::new(&served, site) {
        Ok(web) => routes
            .merge(review::router(web.clone()))
            .merge(entry::router(web.clone()))
            .merge(oauth::router(web, access.reach)),
        Err(error) => {
            tracing::error!(%error, "there are no pages");
            routes
        }
    };
    listen::serve(listener, routes.layer(from_fn(in_words))).await;
}

/// What the router would refuse without a word is told as a page to people, and as a problem to programs.
async fn in_words(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_page = is_page(path);
    if plain_bytes(path).is_err() {
        return match is_page {
            true => Refused::NotFound.into_response(),
            false => Unrouted::NoText.into_response(),
        };
    }
    let response = next.run(request).await;
    let is_bare = response.headers().get(CONTENT_TYPE).is_none();
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || !is_bare {
        return response;
    }
    let mut told = match is_page {
        true => Refused::Method.into_response(),
        false => Unrouted::Method.into_response(),
    };
    let allowed: Option<(HeaderName, _)> = {
        let allowed = response.headers().get(ALLOW);
        allowed.map(|it| (ALLOW, it.clone()))
    };
    told.headers_mut().extend(allowed);
    told
}

fn is_page(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    PAGES.contains(&first) || path == oauth::AUTHORIZE
}

//! Pages for people: one layout, one style sheet, no script (behaviour 7.2).
//!
//! Every page goes through [`page`], so that each has the same headers: nothing from elsewhere is loaded,
//! nothing runs, no other page frames it, no form leads elsewhere, nothing is kept, and no address is told
//! to anybody. Templates escape every value. What they are about is looked up by `cold::api`.

pub(in crate::cold) mod form;
pub(in crate::cold) mod reveal;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;

/// Stricter than `default-src 'self'`: style and pictures are all that a page loads.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";
const STYLE: &str = include_str!("web/style.css");
const ICON: &str = include_str!("web/icon.svg");

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
}

/// What every page loads.
pub(in crate::cold) fn assets() -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        get(async move || {
            let mut response = with_headers(StatusCode::OK, kind, text.to_owned());
            let an_hour = HeaderValue::from_static("public, max-age=3600");
            response.headers_mut().insert(CACHE_CONTROL, an_hour);
            response
        })
    };
    Router::new()
        .route("/assets/style.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
}

/// A page with its headers.
pub(in crate::cold) fn page(status: StatusCode, page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(text) => with_headers(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            let text = "the page cannot be written\n".to_owned();
            with_headers(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                text,
            )
        }
    }
}

/// A page that says one thing.
pub(in crate::cold) fn notice(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    page(status, &Notice { title, text })
}

fn with_headers(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    const FIXED: [(HeaderName, &str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

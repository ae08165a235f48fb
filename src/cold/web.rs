//! Pages for people: one layout, one style sheet, no script (behaviour 7.2).
//!
//! Every page goes through [`page`], so that each has the same headers: nothing from elsewhere is loaded,
//! nothing runs, no other page frames it, no form leads elsewhere, nothing is kept, and no address is told
//! to anybody. Templates escape every value. What they are about is looked up by `cold::api`.

pub(in crate::cold) mod form;
pub(in crate::cold) mod reveal;
pub(in crate::cold) mod review;

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

/// Characters that change how text around them is read, or are not seen.
const UNSEEN: [char; 22] = [
    '\u{00ad}', '\u{034f}', '\u{061c}', '\u{180e}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}',
    '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2061}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{feff}', '\u{fffc}',
];

/// A page that says one thing.
#[derive(Template)]
#[template(path = "web/notice.html")]
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

/// Somebody else's words as they are shown: characters that are not seen, or turn the words around
/// them, are seen.
pub(in crate::cold) fn shown_words(text: &str) -> String {
    let seen = |char: char| {
        let is_unseen = UNSEEN.contains(&char) || (char.is_control() && char != '\n');
        if is_unseen { '\u{fffd}' } else { char }
    };
    text.chars().map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_turn_others_around_are_seen() {
        assert_eq!(
            shown_words("a\u{202e}b\u{200b}\u{7}\nc"),
            "a\u{fffd}b\u{fffd}\u{fffd}\nc"
        );
        assert_eq!(
            shown_words("Gruesse, \u{fc} \u{65e5}"),
            "Gruesse, \u{fc} \u{65e5}"
        );
    }
}

//! Pages for people: one layout, one style sheet, no script (behaviour 7.2).
//!
//! Every page goes through [`page`], [`page_leading_to`] or [`page_framing`], so that each has the same headers: nothing
//! from elsewhere is loaded but an issuer's page of its own card, nothing runs, no other page frames it, no form leads
//! elsewhere, nothing is kept, and no address is told to anybody. Templates escape every value. What they are about is looked up by
//! `cold::api`, `cold::entry` and `cold::oauth`.

pub(in crate::cold) mod access;
pub(in crate::cold) mod form;
pub(in crate::cold) mod reveal;
pub(in crate::cold) mod review;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
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
            let mut response = with_headers(StatusCode::OK, kind, &policy(""), text.to_owned());
            let an_hour = HeaderValue::from_static("public, max-age=3600");
            response.headers_mut().insert(CACHE_CONTROL, an_hour);
            response
        })
    };
    Router::new()
        .route("/assets/style.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
}

/// A page with its headers. Its forms lead to this server alone.
pub(in crate::cold) fn page(status: StatusCode, page: &impl Template) -> Response<Body> {
    written(status, page, &policy(""))
}

/// A page with a form whose answer leads to a program's address: browsers hold where a form is led to
/// against the policy as well. `source` is what a policy names of that address.
pub(in crate::cold) fn page_leading_to(
    source: &str,
    status: StatusCode,
    page: &impl Template,
) -> Response<Body> {
    written(status, page, &policy(source))
}

/// A page with another one in it, of this origin and no other.
pub(in crate::cold) fn page_framing(
    origin: &str,
    status: StatusCode,
    page: &impl Template,
) -> Response<Body> {
    let policy = format!("{}; frame-src {origin}", policy(""));
    written(status, page, &policy)
}

/// A page that says one thing.
pub(in crate::cold) fn notice(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    page(status, &Notice { title, text })
}

/// Somewhere else on this server, or where a program waits for its user. Nothing is shown of it, so that
/// whoever has opened the window keeps its handle.
pub(in crate::cold) fn redirect(to: &str) -> Response<Body> {
    let mut response = with_headers(StatusCode::SEE_OTHER, HTML, &policy(""), String::new());
    match HeaderValue::from_str(to) {
        Ok(to) => {
            response.headers_mut().insert(LOCATION, to);
            within_reach_of_opener(response)
        }
        Err(error) => {
            tracing::error!(%error, "nobody can be sent there");
            let text = "There is no way to where this leads.";
            notice(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something has failed",
                text,
            )
        }
    }
}

/// The same answer without a policy for openers. Programs show signing in, and the question whether they
/// are let in, in a pop-up: the policy would cut its handle for good, and they would never learn that it
/// has come back to them.
pub(in crate::cold) fn within_reach_of_opener(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(OPENER_POLICY);
    response
}

/// The same answer whose page tells nobody its address, this server neither: the address is the secret. The
/// forms of such a page come without an origin, and browsers say then of which site they are.
pub(in crate::cold) async fn without_referrer(mut response: Response<Body>) -> Response<Body> {
    let nothing = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(REFERRER_POLICY, nothing);
    response
}

/// Style and pictures are all that a page loads.
fn policy(form_source: &str) -> String {
    let space = if form_source.is_empty() { "" } else { " " };
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{space}{form_source}; \
         frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
    )
}

fn written(status: StatusCode, page: &impl Template, policy: &str) -> Response<Body> {
    match page.render() {
        Ok(text) => with_headers(status, HTML, policy, text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let text = "the page cannot be written\n".to_owned();
            with_headers(status, "text/plain; charset=utf-8", policy, text)
        }
    }
}

fn with_headers(
    status: StatusCode,
    kind: &'static str,
    policy: &str,
    text: String,
) -> Response<Body> {
    const FIXED: [(HeaderName, &str); 5] = [
        // Browsers that do not say where a form comes from name its origin only with this one.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, "same-origin"),
    ];
    // What a policy names of an address is lawful in a header; without a policy nothing is shown.
    let Ok(policy) = HeaderValue::from_str(policy) else {
        tracing::error!("a page has no lawful policy");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What somebody or something calls itself, as it is shown.
pub(in crate::cold) fn called(name: Option<&str>) -> String {
    name.map_or_else(|| "without a name".to_owned(), shown_words)
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

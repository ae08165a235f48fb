//! What a browser is told, so that it lets the pages of `[mcp] origins` call from elsewhere (CORS).
//! Whether they may call at all is decided where the call is answered; this only tells it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

/// What the protocol's clients send beside what every page may.
const SENT: &str = "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, \
    mcp-protocol-version, mcp-session-id";
/// What they read beside what every page may.
const READ: &str = "mcp-protocol-version, mcp-session-id, retry-after, www-authenticate";
/// Seconds for which a browser need not ask again.
const ASKS_AGAIN_S: &str = "600";

/// The pages that may call from a browser.
#[derive(Clone)]
pub(super) struct Pages(Arc<[String]>);

impl Pages {
    pub(super) fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    /// The page that calls, where it is one of them.
    pub(super) fn calling(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let written = with_port(origin.to_str().ok()?);
        let mut known = self.0.iter();
        let is_known = known.any(|it| it.eq_ignore_ascii_case(&written));
        is_known.then(|| origin.clone())
    }
}

/// Browsers leave out the port that the scheme implies; the settings never do.
fn with_port(origin: &str) -> String {
    let (scheme, host) = origin.split_once("://").unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'));
    match scheme {
        "https" if !has_port => format!("{origin}:443"),
        "http" if !has_port => format!("{origin}:80"),
        _ => origin.to_owned(),
    }
}

/// A browser asks before it lets the page call.
pub(super) fn before(page: &HeaderValue) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    let told = [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
        (ACCESS_CONTROL_MAX_AGE, ASKS_AGAIN_S),
    ];
    headers.extend(told.map(|(name, told)| (name, HeaderValue::from_static(told))));
    allow(answer, page)
}

/// Lets the page read the answer.
pub(super) fn allow(mut answer: Response<Body>, page: &HeaderValue) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(READ),
    );
    headers.append(VARY, HeaderValue::from_static("origin"));
    answer
}

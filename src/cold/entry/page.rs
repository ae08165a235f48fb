//! How a page is sent, and what it says where there is none.

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

const STYLE: &str = include_str!("style.css");

/// Why somebody gets another page than the one he asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cold) enum Refused {
    /// The start is not over, or there is no database.
    NotReady,
    /// By this name, there is another server.
    UnknownHost,
    /// He has to sign in, and comes back to this path.
    SignIn(String),
    /// The form is none of ours, or was not sent by one of our pages.
    Form,
    /// What he may do ends before it.
    Forbidden,
    /// It is not there, or not for him.
    NotFound,
    /// Again after so many seconds.
    TooOften(u32),
    /// Something here has failed.
    Fault,
}

#[derive(Template)]
#[template(path = "entry/refused.html")]
struct RefusedPage {
    title: &'static str,
    text: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let (status, title, text) = match self {
            Self::SignIn(next) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("next", &next);
                return redirect(&format!("/login?{}", query.finish()));
            }
            Self::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not ready",
                "The server is starting, or has no database: `countersign init` makes one.".to_owned(),
            ),
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "Another address",
                "This server is not known by this name. Its operator tells it its address by \
                 server.public_url."
                    .to_owned(),
            ),
            Self::Form => (
                StatusCode::BAD_REQUEST,
                "Nothing was changed",
                "The form is out of date or was not sent by a page of this server. Open the page anew."
                    .to_owned(),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                "What you may do here does not include this.".to_owned(),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing here for you.".to_owned(),
            ),
            Self::TooOften(after_s) => {
                let text = format!("Try again in {after_s} seconds.");
                let mut page = refused(StatusCode::TOO_MANY_REQUESTS, "Too often", text);
                page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after_s));
                return page;
            }
            Self::Fault => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something has failed",
                "It is in the server's log. Try again later.".to_owned(),
            ),
        };
        refused(status, title, text)
    }
}

fn refused(status: StatusCode, title: &'static str, text: String) -> Response<Body> {
    html(status, &RefusedPage { title, text }, None)
}

/// A page. Its forms lead to this server alone, and to the origin where one is given: browsers hold what
/// a form's answer leads to against it as well.
pub(in crate::cold) fn html(
    status: StatusCode,
    page: &impl Template,
    leads_to: Option<&str>,
) -> Response<Body> {
    let Ok(text) = page.render() else {
        tracing::error!("a page could not be written");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    secure(response, leads_to)
}

/// Somewhere else on this server, or where a program waits for its user.
pub(in crate::cold) fn redirect(to: &str) -> Response<Body> {
    let Ok(to) = HeaderValue::from_str(to) else {
        return Refused::Form.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, to);
    secure(response, None)
}

/// No scripts, no frames, nothing from elsewhere; kept by nobody, and told to nobody where it came from.
fn secure(mut response: Response<Body>, leads_to: Option<&str>) -> Response<Body> {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{}{}; \
         frame-ancestors 'none'; base-uri 'none'",
        if leads_to.is_some() { " " } else { "" },
        leads_to.unwrap_or_default()
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The one stylesheet.
pub(super) async fn style() -> impl IntoResponse {
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    ([(CONTENT_TYPE, kind)], STYLE)
}

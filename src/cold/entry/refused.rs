//! What somebody is told who gets another page than the one he asked for.

use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

use crate::cold::web::form::NoForm;
use crate::cold::web::{notice, redirect};

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
    /// Nothing is done there in this way.
    Method,
    /// Again after so many seconds.
    TooOften(u32),
    /// What an agent may spend cannot be told, and he would have decided on that.
    LimitsUnknown,
    /// Something here has failed.
    Fault,
}

impl From<NoForm> for Refused {
    fn from(NoForm: NoForm) -> Self {
        Self::Form
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let (status, title, text) = match self {
            Self::SignIn(next) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("next", &next);
                return redirect(&format!("/login?{}", query.finish()));
            }
            Self::TooOften(after_s) => {
                let text = format!("Try again in {after_s} seconds.");
                let mut page = notice(StatusCode::TOO_MANY_REQUESTS, "Too often", &text);
                page.headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(after_s));
                return page;
            }
            Self::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not ready",
                "The server is starting, or has no database: `countersign init` makes one.",
            ),
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "Another address",
                "This server is not known by this name. Its operator tells it its address by \
                 server.public_url.",
            ),
            Self::Form => (
                StatusCode::BAD_REQUEST,
                "Nothing was changed",
                "The form is out of date or was not sent by a page of this server. Open the page anew.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                "What you may do here does not include this.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing here for you.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Nothing was changed",
                "This address is not used in this way. Open the page, and use its buttons.",
            ),
            Self::LimitsUnknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody was let in",
                "The limits of this agent cannot be told now, and nobody decides without them. Try \
                 again later.",
            ),
            Self::Fault => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something has failed",
                "It is in the server's log. Try again later.",
            ),
        };
        notice(status, title, text)
    }
}

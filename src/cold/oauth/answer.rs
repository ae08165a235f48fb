//! What programs are answered: JSON that nobody keeps, and errors by their names (RFC 6749, 5.2).

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::cold::control::Failed;
use crate::cold::entry::refused::Refused;
use crate::cold::store::StoreError;
use crate::cold::web::form::NoForm;

/// Why a program does not get what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// The code and a sentence.
    Wrong(&'static str, &'static str),
    /// What is sent has to be JSON.
    MediaType,
    /// Again after so many seconds.
    TooOften(u32),
    /// By this name there is another server.
    UnknownHost,
    /// The start is not over, or something here has failed.
    Fault,
}

#[derive(Serialize)]
struct ErrorText {
    error: &'static str,
    error_description: &'static str,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        let (status, error, error_description) = match self {
            Self::Wrong(code, text) => (StatusCode::BAD_REQUEST, code, text),
            Self::MediaType => {
                let text = "content-type must be application/json";
                (
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "invalid_client_metadata",
                    text,
                )
            }
            Self::TooOften(_) => {
                let text = "too many requests from this address";
                (StatusCode::TOO_MANY_REQUESTS, "slow_down", text)
            }
            Self::UnknownHost => {
                let text = "this server is not known by this name";
                (StatusCode::MISDIRECTED_REQUEST, "invalid_request", text)
            }
            Self::Fault => {
                let text = "try again later";
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    text,
                )
            }
        };
        let text = ErrorText {
            error,
            error_description,
        };
        let mut response = json(status, &text);
        if let Self::TooOften(after_s) = self {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(after_s));
        }
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a program could not be answered");
        Self::Fault
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        tracing::error!(?failed, "a program's change was not made");
        Self::Fault
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "a token cannot be drawn");
        Self::Fault
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Form => NoForm.into(),
            Refused::UnknownHost => Self::UnknownHost,
            Refused::TooOften(after_s) => Self::TooOften(after_s),
            Refused::NotReady
            | Refused::SignIn(_)
            | Refused::Forbidden
            | Refused::NotFound
            | Refused::Method
            | Refused::LimitsUnknown
            | Refused::Fault => Self::Fault,
        }
    }
}

impl From<NoForm> for Error {
    fn from(NoForm: NoForm) -> Self {
        Self::Wrong("invalid_request", "each parameter once, in a form")
    }
}

/// A JSON answer that nobody keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let Ok(text) = serde_json::to_vec(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A browser asks before it lets a page ask.
pub(super) async fn before() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Any page may ask: what is answered depends on what it sends, and on no cookie.
pub(super) async fn allow_pages(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type, mcp-protocol-version",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

//! Answers that are no success: problem details (RFC 9457) with a stable code.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::decide::snapshot::Impact;

/// What is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    /// Absent where the title says it all.
    detail: Option<String>,
    /// The parameter that is wrong, where it is one.
    parameter: Option<String>,
}

/// Of a parameter's name, this much is repeated in the answer.
const NAME_LEN_MAX: usize = 64;

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            code,
            detail: None,
            parameter: None,
        }
    }

    pub(super) fn not_ready() -> Self {
        let title = "The ledger cannot be asked yet";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", title)
    }

    pub(super) fn not_found(what: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(super) fn no_such_path() -> Self {
        Self::not_found("There is no such path")
    }

    pub(super) fn no_text() -> Self {
        let title = "The path is no text in UTF-8";
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", title)
    }

    pub(super) fn method_not_allowed() -> Self {
        let title = "This path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title)
    }

    pub(super) fn from_a_page() -> Self {
        let title = "Pages in a browser may not change anything here";
        Self::new(StatusCode::FORBIDDEN, "from_a_page", title)
    }

    pub(super) fn user_refused(why: String) -> Self {
        let title = "People are not changed so";
        Self {
            detail: Some(why),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "user_refused", title)
        }
    }

    pub(super) fn busy() -> Self {
        let title = "Too much is waiting already; ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title)
    }

    pub(super) fn confirmation_required(impact: Impact) -> Self {
        let Impact {
            active,
            declining,
            empties,
        } = impact;
        let what = if empties {
            "the snapshot has no card any more".to_owned()
        } else {
            format!("{declining} of {active} active cards would newly decline")
        };
        Self {
            detail: Some(format!(
                "{what}; POST /admin/reload?confirm=true puts it in force"
            )),
            ..Self::new(
                StatusCode::CONFLICT,
                "confirmation_required",
                "Many cards would decline, so a human must confirm",
            )
        }
    }

    pub(super) fn clock_is_real() -> Self {
        let title = "Time moves by itself here: the process was not started with --sandbox-clock";
        Self::new(StatusCode::CONFLICT, "clock_is_real", title)
    }

    pub(super) fn no_snapshot_file() -> Self {
        let title = "The database rules, so that there is no file to read again";
        Self::new(StatusCode::CONFLICT, "no_snapshot_file", title)
    }

    pub(super) fn clock_in_step() -> Self {
        let title = "The wall clock has made no step";
        Self::new(StatusCode::CONFLICT, "clock_in_step", title)
    }

    pub(super) fn clock_too_far_behind() -> Self {
        Self {
            detail: Some(
                "time does not run backwards in a running process; a new start takes the wall \
                 clock as it is"
                    .to_owned(),
            ),
            ..Self::new(
                StatusCode::CONFLICT,
                "clock_too_far_behind",
                "The wall clock is more than 5 minutes behind",
            )
        }
    }

    pub(super) fn card_canceled() -> Self {
        let title = "The card is canceled for ever";
        Self::new(StatusCode::CONFLICT, "card_canceled", title)
    }

    pub(super) fn ledger_unavailable() -> Self {
        let title = "The ledger cannot record the change; nothing has changed";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", title)
    }

    /// What issuers are to be told is kept before anything is let go.
    pub(super) fn store_unavailable() -> Self {
        let title = "The database does not answer; nothing has changed";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", title)
    }

    pub(super) fn not_durable() -> Self {
        let title = "The change is in force, but is not known to be durable; ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_durable", title)
    }

    pub(super) fn unknown_outcome() -> Self {
        let title = "The ledger did not answer in time; ask again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unknown_outcome", title)
    }

    pub(super) fn internal() -> Self {
        let title = "Something went wrong here";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title)
    }

    pub(super) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        let title = "A parameter is not understood";
        Self {
            detail: Some(detail.into()),
            parameter: Some(name.chars().take(NAME_LEN_MAX).collect()),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", title)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A struct of texts and numbers always has a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

//! Answers that are no success: problem details (RFC 9457) with a stable code (behaviour 4.7).

use axum::http::StatusCode;
use serde::Serialize;

use crate::cold::control::{Failed, NotOrdered, Refused};
use crate::cold::issuers::IssuerError;
use crate::cold::store::StoreError;

/// Faults that one answer names.
const FAULTS_MAX: usize = 20;
const CONFLICT: &str = "conflict";

/// What is wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What is wrong with the request, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Seconds after which it may be asked again.
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// One field that is wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fault {
    /// Its path from the body on, or the parameter's name.
    field: String,
    message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            code,
            detail: None,
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// The document's bytes.
    pub(super) fn body(&self) -> Vec<u8> {
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    // === 400 ===

    pub(super) fn invalid(faults: Vec<Fault>) -> Self {
        let title = "The request is not understood";
        let first = faults.first();
        let detail = first.map(|fault| match &*fault.field {
            "" => fault.message.clone(),
            field => format!("{field}: {}", fault.message),
        });
        Self {
            detail,
            errors: faults.into_iter().take(FAULTS_MAX).collect(),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", title)
        }
    }

    pub(super) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new(field, message)])
    }

    // === who asks ===

    pub(super) fn unauthorized(detail: &'static str) -> Self {
        let title = "A valid API key is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title).with_detail(detail)
    }

    pub(super) fn scope_not_allowed(scope: &'static str) -> Self {
        let title = "The key's scope does not allow this";
        let detail = format!("the key's scope is `{scope}`");
        Self::new(StatusCode::FORBIDDEN, "scope_not_allowed", title).with_detail(detail)
    }

    pub(super) fn beyond_reach(what: &'static str) -> Self {
        let title = "The key's reach does not allow this";
        Self::new(StatusCode::FORBIDDEN, "beyond_reach", title).with_detail(what)
    }

    /// Also for what is there and not for the caller to know of.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is no such object",
        )
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_path",
            "There is no such path",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        let title = "This path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title)
    }

    // === what is asked ===

    pub(super) fn too_slow() -> Self {
        let title = "The body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", title)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let title = "The body is too large";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title)
            .with_detail(format!("a body has at most {most} bytes"))
    }

    pub(super) fn not_json() -> Self {
        let title = "The body must be JSON";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            title,
        )
        .with_detail("send `Content-Type: application/json`, without Content-Encoding")
    }

    pub(super) fn card_canceled() -> Self {
        let title = "The card is canceled for ever";
        Self::new(StatusCode::CONFLICT, "card_canceled", title)
    }

    pub(super) fn agent_disabled() -> Self {
        let title = "The agent is disabled for good";
        Self::new(StatusCode::CONFLICT, "agent_disabled", title)
    }

    pub(super) fn not_supported(field: &str, message: impl Into<String>) -> Self {
        let title = "This is not supported here";
        let fault = Fault::new(field, message);
        Self {
            detail: Some(format!("{field}: {}", fault.message)),
            errors: vec![fault],
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_supported", title)
        }
    }

    /// What the issuer of a connection that never asks cannot hold, field by field.
    pub(super) fn unenforced(fields: Vec<String>) -> Self {
        let title = "The connection's issuer cannot hold these rules, and nothing else would";
        let message =
            "is not enforced on this connection; `configuration.allowUnenforced` takes it so";
        let faults = fields.into_iter().map(|field| Fault::new(field, message));
        Self {
            errors: faults.take(FAULTS_MAX).collect(),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_enforced", title)
        }
    }

    // === idempotency ===

    pub(super) fn idempotency_conflict() -> Self {
        let title = "The idempotency key was used for another request";
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_conflict",
            title,
        )
    }

    pub(super) fn idempotency_in_progress() -> Self {
        let title = "The same request is still being carried out";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::CONFLICT, "idempotency_in_progress", title)
        }
    }

    // === the state of things ===

    /// Whether the change met another one on the same row, and may be tried again.
    pub(super) fn is_conflict(&self) -> bool {
        self.code == CONFLICT
    }

    fn conflict() -> Self {
        let title = "The object is being changed by others; ask again";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::CONFLICT, CONFLICT, title)
        }
    }

    pub(super) fn file_rules() -> Self {
        let title = "A snapshot's file rules, so that nothing can be changed here";
        Self::new(StatusCode::CONFLICT, "snapshot_file_rules", title).with_detail(
            "edit the file and reload it, or start the server without --snapshot to have the \
             database's customers, agents and cards in force",
        )
    }

    pub(super) fn not_ready() -> Self {
        Self::unavailable("not_ready", "The server is still starting")
    }

    pub(super) fn busy() -> Self {
        Self::unavailable("busy", "Too much is waiting already; ask again")
    }

    pub(super) fn ledger_unavailable() -> Self {
        let title = "The ledger did not take the change; ask again";
        Self::unavailable("ledger_unavailable", title)
    }

    fn store_unavailable() -> Self {
        let title = "The database does not answer; whether the change was made is not known";
        Self::unavailable("store_unavailable", title)
    }

    fn unavailable(code: &'static str, title: &'static str) -> Self {
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title)
        }
    }

    pub(super) fn internal() -> Self {
        let title = "Something went wrong here";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let faults = refused.faults.into_iter();
        Self::invalid(
            faults
                .map(|(field, message)| Fault::new(field, message))
                .collect(),
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::conflict(),
            StoreError::Fault(why) => {
                tracing::error!(%why, "the database");
                Self::store_unavailable()
            }
        }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::FileRules => Self::file_rules(),
            Failed::Refused(refused) => refused.into(),
            Failed::Conflict => Self::conflict(),
            Failed::Store => Self::store_unavailable(),
            Failed::Ledger(NotOrdered::Unavailable) => Self::ledger_unavailable(),
            Failed::Ledger(NotOrdered::Contradicts) => Self::card_canceled(),
            Failed::Busy => Self::busy(),
            Failed::Ended => Self::not_ready(),
        }
    }
}

impl From<IssuerError> for Problem {
    fn from(error: IssuerError) -> Self {
        tracing::error!(%error, "an issuer did not do what it was asked");
        let unavailable = "issuer_unavailable";
        match error {
            IssuerError::Unavailable(_) | IssuerError::Unknown(_) => {
                Self::unavailable(unavailable, "The issuer does not answer; ask again")
            }
            IssuerError::Limited(after) => {
                let title = "The issuer was asked too often; ask again";
                let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1);
                Self {
                    retry_after_s: Some(seconds),
                    ..Self::unavailable(unavailable, title)
                }
            }
            IssuerError::Denied(_) => Self::unavailable(
                "issuer_denied",
                "The issuer does not accept the connection's key; an owner has to set it",
            ),
            IssuerError::Refused(why) => {
                let title = "The issuer refuses this";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "issuer_refused", title)
                    .with_detail(why)
            }
            IssuerError::Unsupported(what) => Self::not_supported("connection", what),
        }
    }
}

//! `/admin/reload`: puts what the snapshot's file says in force (behaviour 3.4).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::OpsState;
use super::problem::Problem;
use super::query::Parameters;
use crate::cold::policies::{Outcome, ReloadError};
use crate::decide::document::{DocumentError, DocumentRefused};

#[derive(Serialize)]
struct InForce {
    version: u64,
}

#[derive(Serialize)]
struct Refusal {
    errors: Vec<Fault>,
    /// How many there are beyond those.
    more: usize,
}

#[derive(Serialize)]
struct Fault {
    file: String,
    line: Option<usize>,
    field: String,
    message: String,
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        let DocumentError {
            file,
            line,
            field,
            message,
        } = error;
        Self {
            file,
            line,
            field,
            message,
        }
    }
}

pub(super) async fn reload(
    State(state): State<OpsState>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let confirm = match parameters.take("confirm")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid_parameter("confirm", "is true or false")),
    };
    parameters.finish()?;
    match state.running()?.policies.reload(confirm).await {
        Ok(Outcome::Published(version) | Outcome::Unchanged(version)) => {
            Ok(Json(InForce { version }).into_response())
        }
        Ok(Outcome::Refused(DocumentRefused { errors, more_count })) => {
            let refusal = Json(Refusal {
                errors: errors.into_iter().map(Fault::from).collect(),
                more: more_count,
            });
            Ok((StatusCode::UNPROCESSABLE_ENTITY, refusal).into_response())
        }
        Ok(Outcome::Unconfirmed(impact)) => Err(Problem::confirmation_required(impact)),
        Err(ReloadError::NoFile) => Err(Problem::no_snapshot_file()),
        Err(ReloadError::Busy) => Err(Problem::busy()),
        Err(ReloadError::Ended) => Err(Problem::not_ready()),
    }
}

//! `/admin/clock/confirm`: an operator says that the wall clock is right after its step (behaviour
//! 3.9).

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::OpsState;
use super::problem::Problem;
use super::query::Parameters;
use crate::clock::{NotConfirmed, Standing};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Confirmed {
    /// What the wall clock was ahead; below zero where it was behind.
    offset_ms: i64,
}

pub(super) async fn confirm(
    State(state): State<OpsState>,
    parameters: Parameters,
) -> Result<Json<Confirmed>, Problem> {
    parameters.finish()?;
    match state.clock.confirm() {
        Ok(Standing::Stepped { offset_us } | Standing::InStep { offset_us }) => {
            let offset_ms = offset_us / 1_000;
            tracing::warn!(offset_ms, "an operator has confirmed the wall clock");
            Ok(Json(Confirmed { offset_ms }))
        }
        Err(NotConfirmed::InStep) => Err(Problem::clock_in_step()),
        Err(NotConfirmed::TooFarBehind) => Err(Problem::clock_too_far_behind()),
    }
}

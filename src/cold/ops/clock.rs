//! `/admin/clock/confirm`: an operator says that the wall clock is right after its step (behaviour
//! 3.9). `/admin/clock/advance`: a sandbox's time is moved forward, where the process was started for
//! that.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::OpsState;
use super::problem::Problem;
use super::query::Parameters;
use crate::clock::{NotConfirmed, Standing};

/// From the moving to when time has moved and every thread has got over it: to a hot thread it looks
/// as if it had been away, and what it reads within a tenth of a second then counts as older.
const MOVED_AFTER: Duration = Duration::from_millis(1_000);
const ADVANCE_S_MAX: u32 = 400 * 86_400;

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advanced {
    now: String,
    /// Since the directory was made.
    ahead_s: i64,
}

/// Answers once time has moved.
pub(super) async fn advance(
    State(state): State<OpsState>,
    mut parameters: Parameters,
) -> Result<Json<Advanced>, Problem> {
    let seconds = parameters.take("seconds")?;
    parameters.finish()?;
    let file = state
        .time_file
        .as_ref()
        .ok_or_else(Problem::clock_is_real)?;
    let seconds = seconds.and_then(|text| text.parse().ok());
    let lawful = |seconds: &u32| (1..=ADVANCE_S_MAX).contains(seconds);
    let Some(seconds) = seconds.filter(lawful) else {
        let detail = format!("must be a number of seconds, 1 to {ADVANCE_S_MAX}");
        return Err(Problem::invalid_parameter("seconds", detail));
    };
    let ahead_s = file.add_s(seconds).map_err(|error| {
        tracing::error!(%error, "time was not moved");
        Problem::internal()
    })?;
    state.clock.advance(seconds);
    tracing::warn!(seconds, ahead_s, "the sandbox's time is moved forward");
    tokio::time::sleep(MOVED_AFTER).await;
    Ok(Json(Advanced {
        now: state.clock.now().rfc3339_seconds().to_string(),
        ahead_s,
    }))
}

//! The timekeeper: holds our time against the wall clock, and lets nothing be decided where the wall
//! clock has made a step that nobody has confirmed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Standing};
use crate::cold::readiness::Readiness;
use crate::hot::server::Shared;

const CHECK_EVERY: Duration = Duration::from_secs(1);
const REASON: &str = "clock_step";

/// Checks once a second.
pub(super) async fn keep_time(clock: Clock, shared: Arc<Shared>, readiness: Arc<Readiness>) {
    let mut was_stepped = false;
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let standing = clock.check();
        let (offset_us, is_stepped) = match standing {
            Standing::InStep { offset_us } => (offset_us, false),
            Standing::Stepped { offset_us } => (offset_us, true),
        };
        shared.telemetry.set_clock(offset_us, is_stepped);
        if is_stepped == was_stepped {
            continue;
        }
        was_stepped = is_stepped;
        shared.pipeline.doubt_clock(is_stepped);
        let offset_ms = offset_us / 1_000;
        if is_stepped {
            readiness.set_reason(REASON);
            tracing::error!(
                offset_ms,
                "the wall clock has made a step: nothing is decided until it is back, or until \
                 POST /admin/clock/confirm says that it is right"
            );
        } else {
            readiness.clear_reason(REASON);
            tracing::warn!(offset_ms, "the clock is trusted again");
        }
    }
}

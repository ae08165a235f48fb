//! The sweeper: forgets decided authorizations when their retention is over.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::store::SweepCursor;
use crate::seam::commands::{LedgerPort, PortError};

/// Between two sweeps of forgotten authorizations, in microseconds.
const SWEEP_EVERY_US: i64 = 3_600_000_000;
/// Between two looks at the clock: a sandbox's may be moved by days at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two steps of one sweep, so that authorizations pass between them.
const SWEEP_STEP: Duration = Duration::from_millis(5);

/// Forgets what is older than the retention, a little at a time.
pub(super) async fn sweep_for_ever(port: LedgerPort, clock: Clock, retention_us: i64) {
    loop {
        let due = clock.now().plus_micros(SWEEP_EVERY_US);
        while clock.now() < due {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let cut = Timestamp::from_micros(clock.now().micros().saturating_sub(retention_us));
        let mut cursor = Some(SweepCursor::default());
        while let Some(from) = cursor {
            cursor = match port.ask(move |ledger| ledger.sweep(from, cut)).await {
                Ok(Ok(next)) => next,
                Ok(Err(why)) => {
                    tracing::warn!(?why, "a sweep was broken off");
                    None
                }
                Err(PortError::Busy) => Some(from),
                Err(PortError::Closed) => return,
            };
            tokio::time::sleep(SWEEP_STEP).await;
        }
    }
}

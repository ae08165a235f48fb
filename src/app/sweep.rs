//! The sweeper: ends holds that their issuer has forgotten, and forgets decided authorizations when
//! their retention is over.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::hold_time::HoldTime;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::store::{EmbeddedLedger, SweepCursor, Unavailable};
use crate::seam::commands::{LedgerPort, PortError};

/// Between two sweeps of forgotten authorizations, in microseconds.
const SWEEP_EVERY_US: i64 = 3_600_000_000;
/// Between two looks at the clock: a sandbox's may be moved by days at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two steps of one sweep, so that authorizations pass between them.
const SWEEP_STEP: Duration = Duration::from_millis(5);

/// A connection, the holds that are meant, and how long they live, in microseconds. Those of the long
/// time are all that have not ended by the usual one.
pub(super) type HoldLife = (Box<str>, HoldTime, i64);

/// Gives back what was held for longer than its connection's holds live, and forgets what is older
/// than the retention, a little at a time.
pub(super) async fn sweep_for_ever(
    port: LedgerPort,
    clock: Clock,
    retention_us: i64,
    holds_us: Vec<HoldLife>,
) {
    loop {
        let due = clock.now().plus_micros(SWEEP_EVERY_US);
        while clock.now() < due {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let now = clock.now();
        let before = |us: i64| Timestamp::from_micros(now.micros().saturating_sub(us));
        let cuts = holds_us
            .iter()
            .map(|(name, time, us)| (name.clone(), *time, before(*us)));
        let cuts: Arc<[_]> = cuts.collect();
        let lapse = move |ledger: &EmbeddedLedger, from| ledger.lapse(from, &cuts);
        if visit(&port, lapse).await.is_err() {
            return;
        }
        let cut = before(retention_us);
        let sweep = move |ledger: &EmbeddedLedger, from| ledger.sweep(from, cut);
        if visit(&port, sweep).await.is_err() {
            return;
        }
    }
}

/// The hot side is gone.
struct Closed;

/// One pass over all states.
async fn visit<S>(port: &LedgerPort, step: S) -> Result<(), Closed>
where
    S: Fn(&EmbeddedLedger, SweepCursor) -> Result<Option<SweepCursor>, Unavailable>,
    S: Clone + Send + 'static,
{
    let mut cursor = Some(SweepCursor::default());
    while let Some(from) = cursor {
        let once = step.clone();
        cursor = match port.step(move |ledger| once(ledger, from)).await {
            Ok(Ok(next)) => next,
            Ok(Err(why)) => {
                tracing::warn!(?why, "a sweep was broken off");
                None
            }
            Err(PortError::Busy) => Some(from),
            Err(PortError::NotTaken) => {
                tracing::warn!("a sweep was broken off: the shared log was not heard to take it");
                None
            }
            Err(PortError::Closed) => return Err(Closed),
        };
        tokio::time::sleep(SWEEP_STEP).await;
    }
    Ok(())
}

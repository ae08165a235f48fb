//! Waiting on the cold side until the journal holds something for good.

use std::time::Duration;

use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::writer::Published;

/// A disk that needs longer is broken; the change may still have been kept.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);
/// A write and its sync take longer than this.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Tells what of the journal is written and durable.
pub type JournalProgress = Box<dyn Fn() -> Published + Send + Sync>;

/// Whether everything up to the position is durable, or was within five seconds.
pub(in crate::cold) async fn becomes_durable(
    journal: &JournalProgress,
    position: Position,
) -> bool {
    let covered = async {
        loop {
            let published = journal();
            if published.durable >= position {
                return true;
            }
            if published.poisoned {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let waited = tokio::time::timeout(DURABLE_WITHIN, covered).await;
    waited.unwrap_or(false)
}

//! The checkpointer: folds sealed segments into the next checkpoint, so that a start reads little.
//!
//! It reads files only, never live state, so nothing on the hot path waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::cold::records::retention::Retention;
use crate::ledger::embedded::checkpoint::merge::{Sealed, merge};
use crate::ledger::embedded::frame::JournalId;
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::priority::stand_back;
use crate::ledger::embedded::rebuild::{advance, state_of};
use crate::ledger::embedded::recover::RecoverError;
use crate::ledger::embedded::writer::Writer;

/// Between two looks at what is sealed.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two looks at what may be removed, in looks at what is sealed.
const LOOKS_PER_SWEEP: u32 = 120;
/// Segments that are folded in one go; they are in memory together.
const SEGMENTS_AT_ONCE: usize = 4;

/// Runs on its own thread until the writer is gone.
pub(super) fn spawn(
    storage: Arc<dyn Storage>,
    journal: JournalId,
    writer: &Arc<Writer>,
    mut retention: Retention,
    clock: Clock,
) -> std::io::Result<Checkpointer> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = Arc::downgrade(writer);
    let thread = thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(move || {
            stand_back();
            let mut looks = (0..LOOKS_PER_SWEEP).cycle();
            while !stopped.load(Ordering::Acquire) {
                thread::park_timeout(LOOK_EVERY);
                if !advance_all(&*storage, journal, &writer, &stopped) {
                    return;
                }
                if looks.next() == Some(0) && !stopped.load(Ordering::Acquire) {
                    remove(&*storage, &writer, &mut retention, clock);
                }
            }
        })?;
    Ok(Checkpointer { stop, thread })
}

/// The running thread.
pub(super) struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Checkpointer {
    /// Ends it after the checkpoint it may be writing.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread had panicked");
        }
    }
}

/// Removes segments that need not be kept.
fn remove(storage: &dyn Storage, writer: &Weak<Writer>, retention: &mut Retention, clock: Clock) {
    match retention.sweep_at(storage, clock.now()) {
        Ok(0) => {}
        Ok(segments) => tracing::info!(segments, "segments whose records are over were removed"),
        Err(error) => {
            // The journal's own sync of the directory would claim success for names in doubt.
            let names_in_doubt = matches!(error, RecoverError::Io { name: None, .. });
            if names_in_doubt && let Some(writer) = writer.upgrade() {
                writer.poison();
            }
            tracing::error!(%error, "segments could not be removed; what is left is a whole");
        }
    }
}

fn advance_all(
    storage: &dyn Storage,
    journal: JournalId,
    writer: &Weak<Writer>,
    stopped: &AtomicBool,
) -> bool {
    while !stopped.load(Ordering::Acquire) {
        let Some(running) = writer.upgrade() else {
            return false;
        };
        let before = running.journal().sealed_before();
        drop(running);
        let sealed = Sealed {
            before,
            count_max: SEGMENTS_AT_ONCE,
        };
        match merge(storage, journal, sealed, state_of, |_, image, payloads| {
            advance(image, payloads)
        }) {
            Ok(Some(checkpoint)) => {
                let (states, covers) = (checkpoint.count, checkpoint.covers.sequence);
                tracing::info!(states, covers, "checkpoint written");
            }
            Ok(None) => return true,
            Err(error) => {
                if error.leaves_names_in_doubt()
                    && let Some(writer) = writer.upgrade()
                {
                    writer.poison();
                }
                tracing::error!(%error, "no checkpoint could be written; those before it stand");
                return true;
            }
        }
    }
    true
}

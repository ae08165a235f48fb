//! The threads that execute what the journal gives out.
//!
//! One thread writes (and in strict mode syncs); one makes the next segment, which may take long
//! where zeros must be written; in relaxed mode one more syncs. Callers append under the shared
//! mutex and kick; while the writer runs, a kick is one atomic operation. In relaxed mode a caller
//! may write by itself what it appended; the writer then has the marks, what waits for a sync, and
//! what callers leave to it.

mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::io::Storage;
use super::journal::{Class, Durability, Journal, Lane, Position, Refusal};
use threads::{Shared, Wake};

/// What the writer last made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The kernel has everything through this frame.
    pub written: Position,
    /// Everything through this frame survives a power loss.
    pub durable: Position,
    /// Nothing will become durable any more.
    pub poisoned: bool,
    /// Ordinary frames are refused for lack of room.
    pub full: bool,
    /// The last attempt at a new segment failed: an alarm, appends may still have room.
    pub create_failed: bool,
}

/// Told what is published, once per batch and when a flag changes. Called on the journal's threads:
/// it must be short, must not block, and must not close the writer.
pub type Notify = Box<dyn Fn(Published) + Send + Sync>;

/// How long the threads wait.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Relaxed mode: from the first unsynced write to its sync. The promise is 50 ms with the sync.
    pub sync_after: Duration,
    /// With nothing pending for twice this long, a mark of what was synced is written.
    pub mark_after: Duration,
    /// Between attempts at a segment that could not be made.
    pub retry_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sync_after: Duration::from_millis(20),
            mark_after: Duration::from_millis(5),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// A running journal: share it by `Arc` with those who append. Dropping it closes it.
pub struct Writer {
    shared: Arc<Shared>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    writes_here: bool,
}

impl Writer {
    /// Makes the first segment and starts the threads. If it cannot be made, appends are refused
    /// as full until it can.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        mut journal: Journal,
        storage: Arc<dyn Storage>,
        timing: Timing,
        notify: Notify,
    ) -> std::io::Result<Self> {
        while let Some(io) = journal.next_io(Lane::Create) {
            let result = storage.execute(&io);
            journal.complete(io, result);
        }
        let is_relaxed = journal.durability() == Durability::Relaxed;
        let shared = Arc::new(Shared::new(journal, storage, timing, notify));
        let writer = Self {
            shared,
            handles: Mutex::default(),
            writes_here: is_relaxed,
        };
        writer.spawn(
            "journal-write",
            &writer.shared.threads.write,
            Shared::write_loop,
        )?;
        writer.spawn(
            "journal-create",
            &writer.shared.threads.create,
            Shared::create_loop,
        )?;
        if is_relaxed {
            writer.spawn(
                "journal-sync",
                &writer.shared.threads.sync,
                Shared::sync_loop,
            )?;
        }
        Ok(writer)
    }

    fn spawn(&self, name: &str, wake: &Wake, body: fn(&Shared)) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(|| body(&shared))).is_err() {
                    tracing::error!("a journal thread panicked");
                    shared.die();
                }
            })?;
        wake.set(handle.thread().clone());
        self.handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
        Ok(())
    }

    /// The journal itself, to append under one lock with something else or to ask for its tail.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.shared.lock()
    }

    /// The journal, for a store that appends to it under locks of its own.
    #[must_use]
    pub fn share_journal(&self) -> Arc<Mutex<Journal>> {
        Arc::clone(&self.shared.journal)
    }

    /// Appends one payload; nothing is written before somebody kicks.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn append(&self, payload: &[u8], class: Class) -> Result<Position, Refusal> {
        self.shared.lock().append(payload, class)
    }

    /// Has what was appended written. Call it after the lock is released.
    pub fn kick(&self) {
        self.shared.threads.write.wake();
    }

    /// Has what was appended written, in relaxed mode by this very thread: a write takes a few
    /// microseconds, waking the writer takes more, and while the caller is busy on the writer's core
    /// the writer waits for the scheduler's tick. In strict mode, and while a sync is under way, the
    /// writer is woken, because the disk may take long. Call it after the lock is released, and not from `Notify`.
    pub fn write_or_kick(&self) {
        if !self.writes_here {
            self.kick();
        } else if catch_unwind(AssertUnwindSafe(|| self.shared.write_here())).is_err() {
            tracing::error!("a write of the journal panicked");
            self.shared.die();
        }
    }

    /// What is written and durable, without the lock.
    #[must_use]
    pub fn published(&self) -> Published {
        self.shared.published()
    }

    /// Gives the journal up: nothing more becomes durable, and everybody learns it. For who finds
    /// the directory's state in doubt.
    pub fn poison(&self) {
        self.shared.die();
    }

    /// Refuses further appends, makes what was appended durable, writes and syncs the last mark,
    /// and ends the threads. Waits for all that; a poisoned journal ends at once.
    pub fn close(&self) -> Published {
        self.shared.lock().close();
        self.shared.threads.wake_all();
        let handles =
            std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a journal thread had panicked");
            }
        }
        self.published()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

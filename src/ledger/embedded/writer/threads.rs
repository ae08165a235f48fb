//! The loops of the threads and what they share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, Thread};

use super::{Notify, Published, Timing};
use crate::ledger::embedded::io::{Io, Storage};
use crate::ledger::embedded::journal::{Durability, Journal, Lane, Position};

/// Rounds of waiting before the idle mark: the first may end at once, by a kick that came while
/// the writer ran.
const QUIET_ROUNDS: u32 = 2;

/// Writes in a row on a caller's thread, which has other work: with several callers, each could
/// otherwise write for all of them for ever.
const WRITES_HERE_MAX: u32 = 2;

/// A thread to wake. Waking one that runs is one atomic operation; its next wait then ends at once.
#[derive(Default)]
pub(super) struct Wake(OnceLock<Thread>);

impl Wake {
    pub(super) fn set(&self, thread: Thread) {
        // Set once, by the one who spawned it.
        drop(self.0.set(thread));
    }

    pub(super) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

#[derive(Default)]
pub(super) struct Threads {
    pub(super) write: Wake,
    pub(super) create: Wake,
    pub(super) sync: Wake,
}

impl Threads {
    pub(super) fn wake_all(&self) {
        for thread in [&self.write, &self.create, &self.sync] {
            thread.wake();
        }
    }
}

pub(super) struct Shared {
    pub(super) journal: Arc<Mutex<Journal>>,
    storage: Arc<dyn Storage>,
    notify: Notify,
    timing: Timing,
    notifies_written: bool,
    written: AtomicU64,
    durable: AtomicU64,
    poisoned: AtomicBool,
    full: AtomicBool,
    create_failed: AtomicBool,
    /// Whether the sync thread waits for something to sync, rather than for its time to come.
    sync_is_idle: AtomicBool,
    pub(super) threads: Threads,
}

impl Shared {
    pub(super) fn new(
        journal: Journal,
        storage: Arc<dyn Storage>,
        timing: Timing,
        notify: Notify,
    ) -> Self {
        Self {
            notifies_written: journal.durability() == Durability::Relaxed,
            written: AtomicU64::new(journal.written().0),
            durable: AtomicU64::new(journal.durable().0),
            poisoned: AtomicBool::new(journal.is_poisoned()),
            full: AtomicBool::new(journal.is_full()),
            create_failed: AtomicBool::new(journal.is_create_failed()),
            sync_is_idle: AtomicBool::new(false),
            threads: Threads::default(),
            journal: Arc::new(Mutex::new(journal)),
            storage,
            notify,
            timing,
        }
    }

    /// A caller that panicked under the lock may have left half a frame: nothing may follow it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(|poisoned| {
            let mut journal = poisoned.into_inner();
            journal.poison();
            journal
        })
    }

    pub(super) fn published(&self) -> Published {
        Published {
            written: Position(self.written.load(Ordering::Acquire)),
            durable: Position(self.durable.load(Ordering::Acquire)),
            poisoned: self.poisoned.load(Ordering::Acquire),
            full: self.full.load(Ordering::Acquire),
            create_failed: self.create_failed.load(Ordering::Acquire),
        }
    }

    /// Executes what the lane has to give until it has nothing; whether it had anything.
    pub(super) fn drain(&self, lane: Lane) -> bool {
        let first = self.lock().next_io(lane);
        let any = first.is_some();
        let mut next = first;
        while let Some(io) = next {
            next = self.run(io, Some(lane));
        }
        any
    }

    /// Executes what the write lane has to give, on the caller's thread. What then remains is the
    /// writer's: batches that wait for a sync, and whatever came while the last write ran.
    ///
    /// While a sync is under way the file system may make a write wait for it, and a disk that stalls
    /// stalls there first. That wait is the writer's: the caller has others to answer.
    pub(super) fn write_here(&self) {
        let mut journal = self.lock();
        let mut next = if journal.is_syncing() {
            None
        } else {
            journal.next_io(Lane::Write)
        };
        let pends = next.is_none() && journal.is_write_pending();
        drop(journal);
        if pends {
            self.threads.write.wake();
        }
        let mut rest = WRITES_HERE_MAX;
        while let Some(io) = next {
            rest -= 1;
            next = self.run(io, (rest > 0).then_some(Lane::Write));
        }
    }

    /// Executes one operation and makes its outcome known; gives the lane's next. Who takes no next
    /// leaves it to the writer.
    fn run(&self, io: Io, lane: Option<Lane>) -> Option<Io> {
        let result = self.storage.execute(&io);
        if let Err(fault) = result {
            let operation = match io {
                Io::Create { .. } => "create",
                Io::SyncDir => "sync directory",
                Io::Sync { .. } => "sync",
                Io::Write { .. }
                | Io::CreateEmpty { .. }
                | Io::Truncate { .. }
                | Io::Rewrite { .. }
                | Io::Rename { .. }
                | Io::Remove { .. } => "write",
            };
            tracing::error!(operation, errno = fault.errno, %fault, "journal");
        }
        let mut journal = self.lock();
        journal.complete(io, result);
        let news = self.publish(&journal);
        let next = lane.and_then(|lane| journal.next_io(lane));
        let (create, sync) = (journal.wants_create(), journal.wants_sync());
        let at_once = journal.wants_sync_at_once();
        let pends = next.is_none() && journal.is_write_pending();
        drop(journal);
        if pends {
            self.threads.write.wake();
        }
        if create && lane != Some(Lane::Create) {
            self.threads.create.wake();
        }
        if at_once || (sync && self.sync_is_idle.load(Ordering::Acquire)) {
            self.threads.sync.wake();
        }
        if news {
            (self.notify)(self.published());
        }
        next
    }

    /// Whether those who wait for the configured level, or for a flag, have news.
    fn publish(&self, journal: &Journal) -> bool {
        let (written, durable) = (journal.written().0, journal.durable().0);
        let advanced =
            self.written.swap(written, Ordering::AcqRel) != written && self.notifies_written;
        let synced = self.durable.swap(durable, Ordering::AcqRel) != durable;
        let flags = [
            (&self.poisoned, journal.is_poisoned()),
            (&self.full, journal.is_full()),
            (&self.create_failed, journal.is_create_failed()),
        ];
        let mut flagged = false;
        for (flag, value) in flags {
            flagged |= flag.swap(value, Ordering::AcqRel) != value;
        }
        advanced || synced || flagged
    }

    pub(super) fn write_loop(&self) {
        let mut quiet = 0;
        loop {
            if self.drain(Lane::Write) {
                quiet = 0;
            }
            let journal = self.lock();
            let (closed, wants_mark) = (journal.is_closed(), journal.wants_mark());
            let at_once = journal.wants_sync_at_once();
            drop(journal);
            if closed {
                return;
            }
            // A batch that opens a segment waits for the sync of the one before, which may hold
            // nothing but a mark that nobody has asked to sync.
            if at_once {
                self.threads.sync.wake();
            }
            if wants_mark && quiet < QUIET_ROUNDS {
                thread::park_timeout(self.timing.mark_after);
                quiet += 1;
                continue;
            }
            let mark = self.lock().idle_mark();
            if let Some(mark) = mark {
                self.run(mark, None);
            }
            thread::park();
            quiet = 0;
        }
    }

    pub(super) fn create_loop(&self) {
        loop {
            self.drain(Lane::Create);
            let journal = self.lock();
            let (closing, failed) = (journal.is_closing(), journal.is_create_failed());
            drop(journal);
            if closing {
                return;
            }
            if failed {
                thread::park_timeout(self.timing.retry_after);
                self.lock().retry_create();
            } else {
                thread::park();
            }
        }
    }

    pub(super) fn sync_loop(&self) {
        loop {
            self.sync_is_idle.store(true, Ordering::Release);
            let journal = self.lock();
            let (closing, wants) = (journal.is_closing(), journal.wants_sync());
            let at_once = journal.wants_sync_at_once();
            drop(journal);
            if closing {
                return self.threads.write.wake();
            }
            if !wants {
                thread::park();
                continue;
            }
            self.sync_is_idle.store(false, Ordering::Release);
            if !at_once {
                thread::park_timeout(self.timing.sync_after);
            }
            let sync = self.lock().next_io(Lane::Sync);
            if let Some(sync) = sync {
                self.run(sync, None);
                // A batch may wait for this, and there is something new to mark.
                self.threads.write.wake();
            }
        }
    }

    /// A thread has panicked: nothing more will become durable, and those who wait must learn it.
    pub(super) fn die(&self) {
        let mut journal = self.lock();
        journal.poison();
        let news = self.publish(&journal);
        drop(journal);
        self.threads.wake_all();
        if news {
            (self.notify)(self.published());
        }
    }
}

//! The policy snapshot in force: published by the cold side, loaded by the hot side without a lock.
//!
//! A snapshot that is replaced may hold gigabytes, which take long to free. The last one to let go
//! of it frees it, so the cold side keeps it until nobody else has it.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::decide::snapshot::Snapshot;

/// Holds the snapshot in force, and those that were and are not freed yet.
pub struct CurrentSnapshot {
    root: ArcSwap<Snapshot>,
    retired: Mutex<Vec<Arc<Snapshot>>>,
}

impl CurrentSnapshot {
    /// Starts with this snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            root: ArcSwap::from_pointee(snapshot),
            retired: Mutex::default(),
        }
    }

    /// The snapshot in force, for one whole decision.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.root.load()
    }

    /// Puts a snapshot in force: whoever loads one after this returns gets it, or a newer one. The
    /// one before it waits for [`CurrentSnapshot::free_retired`].
    pub fn publish(&self, snapshot: Snapshot) {
        let before = self.root.swap(Arc::new(snapshot));
        self.retired().push(before);
    }

    /// Frees, on the caller's thread, what nobody reads any more. How many still have readers.
    pub fn free_retired(&self) -> usize {
        let mut retired = self.retired();
        // INVARIANT: a retired snapshot gets no new readers, because `swap` has handed every
        // reader of before a count of its own; so one that is alone here stays alone.
        let (read, unread): (Vec<_>, Vec<_>) = retired
            .drain(..)
            .partition(|snapshot| Arc::strong_count(snapshot) > 1);
        let left = read.len();
        *retired = read;
        // Others may publish while the memory is given back.
        drop(retired);
        drop(unread);
        left
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Snapshot>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;
    use std::thread;

    fn numbered(version: u64) -> Snapshot {
        use crate::decide::compile::Builder;
        use crate::fingerprint::Fingerprinter;
        Builder::new(&Fingerprinter::new(1), &[]).finish(version)
    }

    fn is_there(snapshot: &Weak<Snapshot>) -> bool {
        // A reference of our own would be a reader.
        snapshot.strong_count() > 0
    }

    #[test]
    fn f4_a_reader_that_lets_go_last_does_not_free() {
        let current = CurrentSnapshot::new(numbered(1));
        let first = Arc::downgrade(&current.load());
        thread::scope(|scope| {
            let guard = current.load();
            current.publish(numbered(2));
            assert_eq!(current.free_retired(), 1, "it is being read");
            assert_eq!(guard.version(), 1);
            // As a hot thread does at the end of a decision.
            drop(guard);
            assert!(is_there(&first), "the reader's thread has freed it");
            scope.spawn(|| assert_eq!(current.free_retired(), 0));
        });
        assert!(!is_there(&first));
        assert_eq!(current.load().version(), 2);
    }

    #[test]
    fn f4_what_was_replaced_goes_as_soon_as_nobody_reads_it() {
        let current = CurrentSnapshot::new(numbered(0));
        let slow = Arc::clone(&current.load());
        let weak: Vec<_> = (1..=100)
            .map(|version| {
                current.publish(numbered(version));
                let weak = Arc::downgrade(&current.load());
                current.free_retired();
                weak
            })
            .collect();
        let left: Vec<usize> = (0..100).filter(|at| is_there(&weak[*at])).collect();
        assert_eq!(left, [99], "the one in force");
        assert_eq!(current.free_retired(), 1);
        drop(slow);
        assert_eq!(current.free_retired(), 0);
    }
}

//! The policy snapshot in force: published by the cold side, loaded by the hot side without a lock.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::decide::snapshot::Snapshot;

/// Holds the snapshot in force.
pub struct CurrentSnapshot {
    root: ArcSwap<Snapshot>,
}

impl CurrentSnapshot {
    /// Starts with this snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            root: ArcSwap::from_pointee(snapshot),
        }
    }

    /// The snapshot in force, for one whole decision.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.root.load()
    }

    /// Puts a snapshot in force and returns the one before it, to be dropped by the caller: a
    /// large one takes long to free, which no hot thread may do.
    pub fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.root.swap(Arc::new(snapshot))
    }
}

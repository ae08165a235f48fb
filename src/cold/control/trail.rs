//! The audit log's part of the thread: what was noted is written, and what was written is signed.

use std::sync::Arc;

use crate::cold::audit::noted::Noted;
use crate::cold::audit::signer::Signer;
use crate::cold::readiness::Readiness;
use crate::cold::store::{Batch, Change, Store, StoreError};
use crate::domain::time::Timestamp;

/// A checkpoint covers at most this many entries that none covers yet, or those of this time.
const UNSIGNED_MAX: usize = 256;
const UNSIGNED_US: i64 = 60_000_000;
/// The word of `/readyz` while entries or checkpoints wait.
const BEHIND: &str = "audit_behind";

/// See the module.
pub(super) struct Trail {
    store: Arc<dyn Store>,
    signer: Signer,
    pub(super) noted: Arc<Noted>,
    readiness: Arc<Readiness>,
    /// Entries that no checkpoint covers, as far as this process knows; the first one's time.
    unsigned: Option<(usize, Timestamp)>,
    is_behind: bool,
}

impl Trail {
    /// Whoever was killed may have left entries without a checkpoint.
    pub(super) fn new(
        store: Arc<dyn Store>,
        signer: Signer,
        noted: Arc<Noted>,
        readiness: Arc<Readiness>,
        now: Timestamp,
    ) -> Self {
        noted.hear();
        Self {
            store,
            signer,
            noted,
            readiness,
            unsigned: Some((0, now)),
            is_behind: false,
        }
    }

    /// Tells of a batch that was kept.
    pub(super) fn kept(&mut self, entry_count: usize, now: Timestamp) {
        if entry_count > 0 {
            let (count, since) = self.unsigned.unwrap_or((0, now));
            self.unsigned = Some((count + entry_count, since));
        }
    }

    /// Whether there is something to be done soon.
    pub(super) fn is_busy(&self) -> bool {
        self.is_behind || self.noted.has_more()
    }

    /// Whether entries wait for a checkpoint.
    pub(super) fn is_unsigned(&self) -> bool {
        self.unsigned.is_some()
    }

    /// Writes what was noted, and signs what has waited long enough; at the end, everything.
    pub(super) async fn work(&mut self, now: Timestamp, is_end: bool) {
        let done = async {
            self.write(now).await?;
            let is_due = self.unsigned.is_some_and(|(count, since)| {
                is_end || count >= UNSIGNED_MAX || now.micros_since(since) >= UNSIGNED_US
            });
            if is_due {
                self.sign(now).await?;
            }
            Ok(())
        };
        let done: Result<(), StoreError> = done.await;
        self.is_behind = done.is_err();
        match done {
            Ok(()) => self.readiness.clear_warning(BEHIND),
            Err(error) => {
                tracing::error!(%error, "the audit log waits");
                self.readiness.set_warning(BEHIND);
            }
        }
    }

    async fn write(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let events = self.noted.take(now);
        if events.is_empty() {
            return Ok(());
        }
        let batch: Batch = events.iter().cloned().map(Change::Audit).collect();
        if let Err(error) = self.store.apply(batch).await {
            // Where it was kept and nobody heard, they stand twice, which says more than not at all.
            self.noted.put_back(events);
            return Err(error);
        }
        self.kept(events.len(), now);
        Ok(())
    }

    async fn sign(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let previous = self.store.audit_covered().await?;
        let last = self.store.audit_last().await?;
        let last = last.filter(|last| last.seq > previous);
        if let Some(checkpoint) = last.and_then(|last| self.signer.sign(&last, previous, now)) {
            let kept = vec![Change::Checkpoint(checkpoint.clone())];
            self.store.apply(kept).await?;
            tracing::info!(
                seq = checkpoint.seq,
                statement = checkpoint.text,
                "audit checkpoint"
            );
            self.signer
                .note(&checkpoint)
                .map_err(|error| StoreError::Fault(format!("the file of checkpoints: {error}")))?;
        }
        self.unsigned = None;
        Ok(())
    }
}

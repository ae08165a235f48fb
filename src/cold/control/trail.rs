//! The audit log's part of the thread: what was noted is written, and what was written is signed.

use std::sync::Arc;

use crate::cold::audit::noted::Noted;
use crate::cold::audit::signer::Signer;
use crate::cold::audit::{self, BEFORE_ALL, Entry, Event};
use crate::cold::readiness::Readiness;
use crate::cold::store::{Batch, Change, Store, StoreError};
use crate::domain::time::Timestamp;

/// A checkpoint covers at most this many entries that none covers yet, or those of this time.
const UNSIGNED_MAX: usize = 256;
const UNSIGNED_US: i64 = 60_000_000;
/// Entries that are read at a time.
const PAGE_LEN: usize = 200;
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
    /// Of which it is not known whether they were kept, behind the entry of this number.
    in_doubt: Option<(i64, Vec<Event>)>,
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
            in_doubt: None,
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
        self.find_out(now).await?;
        let events = self.noted.take(now);
        if events.is_empty() {
            return Ok(());
        }
        let last = match self.store.audit_last().await {
            Ok(last) => last.map_or(0, |last| last.seq),
            Err(error) => {
                self.noted.put_back(events);
                return Err(error);
            }
        };
        let batch: Batch = events.iter().cloned().map(Change::Audit).collect();
        if let Err(error) = self.store.apply(batch).await {
            self.in_doubt = Some((last, events));
            return Err(error);
        }
        self.kept(events.len(), now);
        Ok(())
    }

    /// Looks whether entries are there of which nobody knows: they stand once, and not twice.
    async fn find_out(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some((mut after, events)) = self.in_doubt.clone() else {
            return Ok(());
        };
        self.store.settled().await?;
        let is_first = |entry: &Entry| {
            let first = events.first();
            first.is_some_and(|it| audit::entry(it, entry.seq, &BEFORE_ALL).text == entry.text)
        };
        let are_there = loop {
            let page = self.store.audit_entries(after, None, PAGE_LEN).await?;
            match page.last() {
                Some(_) if page.iter().any(is_first) => break true,
                Some(last) => after = last.seq,
                None => break false,
            }
        };
        self.in_doubt = None;
        if are_there {
            self.kept(events.len(), now);
        } else {
            self.noted.put_back(events);
        }
        Ok(())
    }

    async fn sign(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.signer.cover(&*self.store, now).await?;
        self.unsigned = None;
        Ok(())
    }
}

//! Where a reader goes on: at a place of the journal, or, where nodes share a log, at a place in the log of
//! each owner. The database keeps it beside what the reader has made of what it read.

use std::sync::Arc;

use super::Records;
use super::feed::Feed;
use super::logs::Logs;
use crate::cold::binding::Counts;
use crate::cold::store::nodes::LogMark;
use crate::cold::store::webhook::{Mark, WebhookChange};
use crate::cold::store::{Change, Store, StoreError};

/// Rows that are read at a time.
const PAGE_LEN: usize = 10_000;

/// See the module.
pub struct Reading {
    store: Arc<dyn Store>,
    records: Arc<Records>,
    /// The name of its mark, or of its marks.
    name: String,
    is_shared: bool,
    kept: Mark,
}

impl Reading {
    /// Of the reader of this name. Nothing is read yet.
    pub fn new(
        store: &Arc<dyn Store>,
        records: &Arc<Records>,
        (name, counts): (String, Counts),
    ) -> Self {
        Self {
            store: Arc::clone(store),
            records: Arc::clone(records),
            name,
            is_shared: counts == Counts::SharedLedger,
            kept: Mark::default(),
        }
    }

    /// The reader at the place that is kept; where none is, it begins with what is decided from this start
    /// on, or with the beginning of the log that nodes share.
    ///
    /// # Errors
    /// [`StoreError`] where it is not known.
    pub async fn begin(&mut self) -> Result<Feed, StoreError> {
        if self.is_shared {
            let logs = Logs::kept(self.log_marks().await?);
            let feed = self.records.feed_of_logs(logs);
            self.kept = feed.mark();
            return Ok(feed);
        }
        let known = self.store.read_mark(self.name.clone()).await?;
        self.kept = known.unwrap_or_default();
        Ok(self.records.feed(known))
    }

    /// Whether something was read since the place was kept.
    #[must_use]
    pub fn is_unkept(&self, feed: &Feed) -> bool {
        feed.mark() != self.kept
    }

    /// What is to be kept beside what was made of what was read.
    #[must_use]
    pub fn changes(&self, feed: &Feed) -> Vec<Change> {
        let name = || self.name.clone();
        let Some(logs) = feed.logs() else {
            let read = WebhookChange::Read(name(), self.kept, feed.mark());
            return vec![read.into()];
        };
        let places = logs.unkept().into_iter();
        places
            .map(|(before, mark)| WebhookChange::ReadLog(name(), before, mark).into())
            .collect()
    }

    /// It is kept.
    pub fn is_kept(&mut self, feed: &mut Feed) {
        self.kept = feed.mark();
        feed.logs_are_kept();
    }

    /// The reader at what is kept for sure, because what it made since may not be; absent where it is not
    /// known what is kept.
    pub async fn go_back(&mut self, feed: Option<Feed>) -> Option<Feed> {
        let Some(mut feed) = feed else {
            return self.begin().await.ok();
        };
        if self.is_shared {
            let marks = self.log_marks().await.ok()?;
            feed.logs_go_back(self.kept, marks);
            return Some(feed);
        }
        let mark = self.store.read_mark(self.name.clone()).await.ok()?;
        self.kept = mark.unwrap_or(self.kept);
        feed.go_back(self.kept);
        Some(feed)
    }

    async fn log_marks(&self) -> Result<Vec<LogMark>, StoreError> {
        let mut marks: Vec<LogMark> = Vec::new();
        loop {
            let after = marks.last().map(LogMark::name).unwrap_or_default();
            let asked = self.store.nodes();
            let page = asked.log_marks(self.name.clone(), after, PAGE_LEN).await?;
            let is_last = page.len() < PAGE_LEN;
            marks.extend(page);
            if is_last {
                return Ok(marks);
            }
        }
    }
}

//! Rules that another node changes: read from the database and put in force here (decision 0032).
//!
//! The thread asks for the number of the newest change, many times a second, and takes in the rows that
//! have changed since. Where the numbers say that the database is another one than it was, or rows do not
//! fit what is in force, everything is read anew. What stops a card does not wait for this: it is in the
//! log that nodes share.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::time::{sleep, timeout};

use super::compile::{load, put};
use crate::clock::Clock;
use crate::cold::readiness::Readiness;
use crate::cold::store::nodes::{Changed, Kind};
use crate::cold::store::{Change, Store, StoreError};
use crate::decide::compile::Builder;
use crate::decide::past::Past;
use crate::decide::snapshot::Snapshot;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::priority::stand_back;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;

/// Between two questions for what has changed.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// For the answer to one question.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// For the rows of one look, of a table of any size.
const READ_WITHIN: Duration = Duration::from_secs(120);
/// After a fault.
const PAUSE: Duration = Duration::from_millis(200);
/// More rows than these are not read one by one.
const ROWS_MAX: usize = 1_000;
/// Rules of which nothing was heard for this long may be old ones.
const STALE_US: i64 = 2_000_000;
/// The word of `/readyz` while they may be.
const STALE: &str = "rules_stale";

/// What rules are followed with.
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Followed {
    pub store: Arc<dyn Store>,
    pub snapshots: Arc<CurrentSnapshot>,
    /// The issuer connections that there are.
    pub connections: Vec<String>,
    /// Hashes as the ledger does.
    pub keys: Fingerprinter,
    pub clock: Clock,
    pub telemetry: Arc<Telemetry>,
    pub readiness: Arc<Readiness>,
    /// The newest change that the rules in force have.
    pub head: i64,
}

/// Starts the thread, which ends with the process.
///
/// # Errors
/// Where the system gives no thread.
pub fn follow(followed: Followed) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let follower = Follower {
        heard_at: followed.clock.now(),
        has_failed: false,
        followed,
    };
    let body = move || {
        stand_back();
        runtime.block_on(follower.run());
    };
    thread::Builder::new()
        .name("rules".to_owned())
        .spawn(body)?;
    Ok(())
}

struct Follower {
    followed: Followed,
    heard_at: Timestamp,
    has_failed: bool,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let begun = self.followed.clock.now();
            match self.look().await {
                Ok(()) => {
                    // What has changed since the question is not known.
                    self.heard_at = begun;
                    if std::mem::take(&mut self.has_failed) {
                        tracing::info!("rules are followed again");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.has_failed, true) {
                        tracing::error!(%error, "rules that other nodes change are not heard of");
                    }
                    sleep(PAUSE).await;
                }
            }
            self.tell_age();
            self.followed.snapshots.free_retired();
            sleep(LOOK_EVERY).await;
        }
    }

    fn tell_age(&self) {
        let age_us = self.followed.clock.now().micros_since(self.heard_at);
        self.followed.telemetry.set_rules_age(age_us);
        let readiness = &self.followed.readiness;
        if age_us > STALE_US {
            readiness.set_warning(STALE);
        } else {
            readiness.clear_warning(STALE);
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let asked = self.followed.store.nodes().changed_head();
        let late = |_elapsed| StoreError::Fault("no answer in time".to_owned());
        let head = timeout(ANSWERED_WITHIN, asked).await.map_err(late)??;
        if head == self.followed.head {
            return Ok(());
        }
        timeout(READ_WITHIN, self.take_in(head))
            .await
            .map_err(late)??;
        self.followed.head = head;
        Ok(())
    }

    async fn take_in(&self, head: i64) -> Result<(), StoreError> {
        let before = self.followed.head;
        if head < before {
            tracing::warn!(head, before, "the database has fewer changes than before");
            return self.read_all().await;
        }
        let asked = self.followed.store.nodes();
        let mut changed = asked.changed_since(before, ROWS_MAX + 1).await?;
        if changed.len() > ROWS_MAX {
            return self.read_all().await;
        }
        // A row may refer to one of a kind before it.
        changed.sort_by_key(|it| it.kind);
        let mut rows = Vec::with_capacity(changed.len());
        for changed in changed {
            match self.row(&changed).await? {
                Some(row) => rows.push(row),
                // Rows are never removed, so this is another database.
                None => return self.read_all().await,
            }
        }
        let base = Arc::clone(&self.followed.snapshots.load());
        let mut builder = Builder::changing(&base, &self.followed.keys);
        for row in &rows {
            if let Err(refused) = put(&mut builder, row) {
                // It may refer to one that was made since the question.
                tracing::info!(?refused, "a changed row does not fit, so that all are read");
                return self.read_all().await;
            }
        }
        self.publish(builder.finish(base.version() + 1));
        Ok(())
    }

    async fn row(&self, changed: &Changed) -> Result<Option<Change>, StoreError> {
        let (store, id) = (&self.followed.store, changed.id.clone());
        Ok(match changed.kind {
            Kind::Customer => store.customer(id).await?.map(Change::Customer),
            Kind::Agent => store.agent(id).await?.map(Change::Agent),
            Kind::Card => store.card(id).await?.map(Change::Card),
        })
    }

    async fn read_all(&self) -> Result<(), StoreError> {
        let before = Arc::clone(&self.followed.snapshots.load());
        // What is in force already is no document that somebody wrote.
        let nothing = Past::default();
        let loaded = load(
            &*self.followed.store,
            &self.followed.connections,
            &self.followed.keys,
            (&before, before.version() + 1),
            &nothing,
        );
        let next = loaded.await;
        self.publish(next.map_err(|error| StoreError::Fault(error.to_string()))?);
        Ok(())
    }

    fn publish(&self, next: Snapshot) {
        let version = next.version();
        self.followed.snapshots.publish(next);
        self.followed.telemetry.set_snapshot_version(version);
    }
}

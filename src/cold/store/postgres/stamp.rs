//! What tells of a transaction whether it was kept, when nobody has heard the answer to its COMMIT.
//!
//! Every transaction numbers itself in a row that it has for itself while it runs. Whoever wants to
//! know how one ended asks for that row with a lock: the answer comes once the transaction is over,
//! however late its COMMIT arrives, and cannot change any more. Until then nothing else is written under
//! that row, and what is in force is not read anew, because what was read could be followed by that
//! COMMIT. There are a few such rows, so that not everybody waits for one transaction: what changes no
//! rules (attempts at webhooks, say) is written under the others meanwhile. What changes rules waits: it
//! begins with that reading.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, Postgres};
use sqlx::query_as;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::own::Ownership;
use super::{StoreError, connect, in_time, no_answer};
use crate::cold::store::sql::Statement;

/// Transactions that write at a time.
pub(super) const WRITERS: i64 = 4;
/// For the end of a transaction of which nobody has heard.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// One row of the table.
pub(super) struct Slot {
    number: i64,
    /// Of the last transaction that was kept.
    batch: i64,
    /// Whether it is not known how the transaction behind that one has ended.
    is_in_doubt: bool,
}

/// The rows, of the process that owns the database.
pub(super) struct Writers {
    pub(super) ownership: Arc<Ownership>,
    options: PgConnectOptions,
    slots: Vec<Arc<Mutex<Slot>>>,
}

/// A transaction's row while it runs. Where this ends without a word, nothing was committed.
pub(super) struct Stamp {
    writers: Arc<Writers>,
    slot: OwnedMutexGuard<Slot>,
}

impl Writers {
    pub(super) fn new(ownership: Arc<Ownership>, options: PgConnectOptions) -> Self {
        let slot = |number| Slot {
            number,
            batch: 0,
            is_in_doubt: false,
        };
        let slots = (0..WRITERS).map(|number| Arc::new(Mutex::new(slot(number))));
        Self {
            ownership,
            options,
            slots: slots.collect(),
        }
    }

    /// A row for one transaction, once it is known how the last one has ended that had it.
    pub(super) async fn stamp(self: &Arc<Self>) -> Result<Stamp, StoreError> {
        self.ownership.check()?;
        let mut free = self.slots.iter();
        let free = free.find_map(|slot| Arc::clone(slot).try_lock_owned().ok());
        let slot = match (free, self.slots.first()) {
            (Some(slot), _) => slot,
            (None, Some(first)) => Arc::clone(first).lock_owned().await,
            (None, None) => return Err(StoreError::Fault("nothing may be written".to_owned())),
        };
        let mut stamp = Stamp {
            writers: Arc::clone(self),
            slot,
        };
        if stamp.slot.is_in_doubt {
            stamp.settle().await?;
        }
        Ok(stamp)
    }

    /// Returns once it is known of every transaction how it has ended.
    pub(super) async fn settle(self: &Arc<Self>) -> Result<(), StoreError> {
        for slot in &self.slots {
            let mut stamp = Stamp {
                writers: Arc::clone(self),
                slot: Arc::clone(slot).lock_owned().await,
            };
            if stamp.slot.is_in_doubt {
                stamp.settle().await?;
            }
        }
        Ok(())
    }
}

impl Stamp {
    /// Writes the number, as the first that the transaction does. It touches one row, unless the
    /// database is another process's.
    pub(super) fn statement(&self) -> Statement {
        let sql = "UPDATE countersign_writers SET batch = $1 WHERE slot = $2 AND owner = $3";
        Statement::of(sql)
            .bind(self.slot.batch + 1)
            .bind(self.slot.number)
            .bind(self.writers.ownership.owner.clone())
    }

    /// The database is another process's.
    pub(super) fn is_taken(&self) -> StoreError {
        self.writers.ownership.is_taken()
    }

    /// A COMMIT is about to be sent: from here on nothing is known until something is heard.
    pub(super) fn commits(&mut self) {
        self.slot.is_in_doubt = true;
    }

    /// It was kept.
    pub(super) fn kept(&mut self) {
        self.slot.batch += 1;
        self.slot.is_in_doubt = false;
    }

    /// Asks over another connection how it has ended: whether it was kept.
    pub(super) async fn settle(&mut self) -> Result<bool, StoreError> {
        let asked = timeout(SETTLED_WITHIN, self.ask());
        let (owner, batch) = asked.await.map_err(|_late| no_answer(SETTLED_WITHIN))??;
        if owner != self.writers.ownership.owner {
            return Err(self.is_taken());
        }
        let was_kept = batch == self.slot.batch + 1;
        if was_kept {
            self.kept();
        }
        self.slot.is_in_doubt = false;
        tracing::warn!(was_kept, "a change whose COMMIT had no answer");
        Ok(was_kept)
    }

    async fn ask(&self) -> Result<(String, i64), StoreError> {
        let mut connection = connect(&self.writers.options).await?;
        // Waits for whoever has the row.
        let sql = "SELECT owner, batch FROM countersign_writers WHERE slot = $1 FOR UPDATE";
        let asked = query_as::<Postgres, (String, i64)>(sql).bind(self.slot.number);
        in_time(asked.fetch_one(&mut connection)).await
    }
}

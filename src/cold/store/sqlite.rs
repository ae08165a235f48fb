//! The store in one SQLite file, for one process.
//!
//! Write-ahead log, synced on every commit: what was answered survives a power loss. One connection
//! writes, so that a writer never finds the file locked, and its transactions begin as writers, so
//! that none is refused half-way; a few others read. SQL is text that stands here, values are
//! parameters, and there is no other way in.

mod migrations;
mod outward;
mod rows;
mod write;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{SqlSafeStr, query};

use super::outward::{CardOrigin, OutboxCounts, OutboxRow, SealedRow};
use super::{
    Agent, Answer, ApiKey, Batch, Card, Customer, Listed, Mode, OutboxAsked, ReplyKey, Store,
    StoreError, StoredReply,
};
use crate::domain::time::Timestamp;
use rows::{agent, api_key, card, customer, reply};

/// Connections that read.
const READERS: u32 = 2;
/// A statement waits this long for a file that another process, such as a backup, holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Behind every id, in the order of texts.
const BEHIND_ALL: &str = "~";

/// See the module.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let is_taken = error
            .as_database_error()
            .is_some_and(|error| error.is_unique_violation());
        if is_taken {
            Self::Conflict
        } else {
            Self::Fault(error.to_string())
        }
    }
}

impl SqliteStore {
    /// Opens the file, making it where it is absent, and brings its tables up to this version's.
    ///
    /// # Errors
    /// [`StoreError::Fault`] where the file cannot be used, or a newer version wrote it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        migrations::run(&writer).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
    }

    /// Closes the file; what was committed is there already.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn one<T>(
        &self,
        sql: impl SqlSafeStr,
        values: &[&str],
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut asked = query::<Sqlite>(sql);
        for value in values {
            asked = asked.bind((*value).to_owned());
        }
        let found = asked.fetch_optional(&self.readers).await?;
        found.as_ref().map(read).transpose()
    }

    async fn many<T>(
        &self,
        sql: &'static str,
        values: Vec<String>,
        limit: usize,
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut asked = query::<Sqlite>(sql);
        for value in values {
            asked = asked.bind(value);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = asked.bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(read).collect()
    }
}

/// A page of a table, newest first, with one condition more or none.
macro_rules! page {
    ($table:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = ? AND id < ? ORDER BY id DESC LIMIT ?"
        )
    };
    ($table:literal, $column:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = ? AND id < ? AND ",
            $column,
            " = ? ORDER BY id DESC LIMIT ?"
        )
    };
    ($table:literal, $column:literal, $other:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = ? AND id < ? AND ",
            $column,
            " = ? AND ",
            $other,
            " = ? ORDER BY id DESC LIMIT ?"
        )
    };
}

/// The statement of a list, and its values.
fn listed(
    listed: Listed,
    [all, of_customer, of_agent, of_both]: [&'static str; 4],
) -> (&'static str, Vec<String>, usize) {
    let sql = match (&listed.customer_id, &listed.agent_id) {
        (None, None) => all,
        (Some(_), None) => of_customer,
        (None, Some(_)) => of_agent,
        (Some(_), Some(_)) => of_both,
    };
    let after = listed.after.unwrap_or_else(|| BEHIND_ALL.to_owned());
    let first = [listed.mode.name().to_owned(), after];
    let values = first
        .into_iter()
        .chain(listed.customer_id)
        .chain(listed.agent_id);
    (sql, values.collect(), listed.limit)
}

impl Store for SqliteStore {
    fn api_key_by_hash(&self, hash: [u8; 32]) -> Answer<'_, Option<ApiKey>> {
        Box::pin(async move {
            let asked =
                query::<Sqlite>("SELECT * FROM api_keys WHERE hash = ?").bind(hash.to_vec());
            let found = asked.fetch_optional(&self.readers).await?;
            found.as_ref().map(api_key).transpose()
        })
    }

    fn api_key(&self, id: String) -> Answer<'_, Option<ApiKey>> {
        Box::pin(async move {
            self.one("SELECT * FROM api_keys WHERE id = ?", &[&id], api_key)
                .await
        })
    }

    fn api_keys(&self, asked: Listed) -> Answer<'_, Vec<ApiKey>> {
        Box::pin(async move {
            let (sql, values, limit) = listed(
                asked,
                [
                    page!("api_keys"),
                    page!("api_keys", "customer_id"),
                    page!("api_keys", "agent_id"),
                    page!("api_keys", "customer_id", "agent_id"),
                ],
            );
            self.many(sql, values, limit, api_key).await
        })
    }

    fn customer(&self, id: String) -> Answer<'_, Option<Customer>> {
        Box::pin(async move {
            self.one("SELECT * FROM customers WHERE id = ?", &[&id], customer)
                .await
        })
    }

    fn customer_called(&self, mode: Mode, external_id: String) -> Answer<'_, Option<Customer>> {
        Box::pin(async move {
            let sql = "SELECT * FROM customers WHERE mode = ? AND external_id = ?";
            self.one(sql, &[mode.name(), &external_id], customer).await
        })
    }

    fn customers(&self, asked: Listed) -> Answer<'_, Vec<Customer>> {
        Box::pin(async move {
            let (sql, values, limit) = listed(
                asked,
                [
                    page!("customers"),
                    page!("customers", "id"),
                    page!("customers"),
                    page!("customers", "id"),
                ],
            );
            self.many(sql, values, limit, customer).await
        })
    }

    fn agent(&self, id: String) -> Answer<'_, Option<Agent>> {
        Box::pin(async move {
            self.one("SELECT * FROM agents WHERE id = ?", &[&id], agent)
                .await
        })
    }

    fn agent_called(&self, customer_id: String, external_id: String) -> Answer<'_, Option<Agent>> {
        Box::pin(async move {
            let sql = "SELECT * FROM agents WHERE customer_id = ? AND external_id = ?";
            self.one(sql, &[&customer_id, &external_id], agent).await
        })
    }

    fn agents(&self, asked: Listed) -> Answer<'_, Vec<Agent>> {
        Box::pin(async move {
            let (sql, values, limit) = listed(
                asked,
                [
                    page!("agents"),
                    page!("agents", "customer_id"),
                    page!("agents", "id"),
                    page!("agents", "customer_id", "id"),
                ],
            );
            self.many(sql, values, limit, agent).await
        })
    }

    fn card(&self, id: String) -> Answer<'_, Option<Card>> {
        Box::pin(async move {
            self.one("SELECT * FROM cards WHERE id = ?", &[&id], card)
                .await
        })
    }

    fn cards(&self, asked: Listed) -> Answer<'_, Vec<Card>> {
        Box::pin(async move {
            let (sql, values, limit) = listed(
                asked,
                [
                    page!("cards"),
                    page!("cards", "customer_id"),
                    page!("cards", "agent_id"),
                    page!("cards", "customer_id", "agent_id"),
                ],
            );
            self.many(sql, values, limit, card).await
        })
    }

    fn all_customers(&self, after: String, limit: usize) -> Answer<'_, Vec<Customer>> {
        Box::pin(async move {
            let sql = "SELECT * FROM customers WHERE id > ? ORDER BY id LIMIT ?";
            self.many(sql, vec![after], limit, customer).await
        })
    }

    fn all_agents(&self, after: String, limit: usize) -> Answer<'_, Vec<Agent>> {
        Box::pin(async move {
            let sql = "SELECT * FROM agents WHERE id > ? ORDER BY id LIMIT ?";
            self.many(sql, vec![after], limit, agent).await
        })
    }

    fn all_cards(&self, after: String, limit: usize) -> Answer<'_, Vec<Card>> {
        Box::pin(async move {
            let sql = "SELECT * FROM cards WHERE id > ? ORDER BY id LIMIT ?";
            self.many(sql, vec![after], limit, card).await
        })
    }

    fn reply(&self, key: ReplyKey) -> Answer<'_, Option<StoredReply>> {
        Box::pin(async move {
            let sql = "SELECT * FROM replies WHERE api_key_id = ? AND idempotency_key = ?";
            let values = [&*key.api_key_id, &*key.idempotency_key];
            self.one(sql, &values, reply).await
        })
    }

    fn outbox(&self, asked: OutboxAsked) -> Answer<'_, Vec<OutboxRow>> {
        Box::pin(outward::outbox(&self.readers, asked))
    }

    fn outbox_counts(&self) -> Answer<'_, OutboxCounts> {
        Box::pin(outward::outbox_counts(&self.readers))
    }

    fn sealed(&self) -> Answer<'_, Vec<SealedRow>> {
        Box::pin(outward::sealed_rows(&self.readers))
    }

    fn card_origin(&self, id: String) -> Answer<'_, Option<CardOrigin>> {
        Box::pin(outward::card_origin(&self.readers, id))
    }

    fn apply(&self, batch: Batch) -> Answer<'_, ()> {
        Box::pin(write::apply(&self.writer, batch))
    }

    fn forget_replies(&self, before: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let asked = query::<Sqlite>("DELETE FROM replies WHERE at_us < ?");
            asked.bind(before.micros()).execute(&self.writer).await?;
            Ok(())
        })
    }
}

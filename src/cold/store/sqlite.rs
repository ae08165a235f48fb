//! The store in one SQLite file, for one process.
//!
//! Write-ahead log, synced on every commit: what was answered survives a power loss. One connection
//! writes, so that a writer never finds the file locked, and its transactions begin as writers, so
//! that none is refused half-way; a few others read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Transaction, query_scalar, raw_sql};

use super::sql::{Driver, Read, SqlStore, Statement, Writing, speaks};
use super::{Store, StoreError, steps};

/// Connections that read.
const READERS: u32 = 2;
/// A statement waits this long for a file that another process, such as a backup, holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

speaks!(Sqlite, SqliteArguments, SqliteRow);

struct Connections {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Opens the file, making it where it is absent, and brings its tables up to this version's.
///
/// # Errors
/// [`StoreError::Fault`] where the file cannot be used, or a newer version wrote it.
pub async fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
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
    migrate(&writer).await?;
    let readers = pool(READERS).connect_with(options.read_only(true)).await?;
    Ok(Arc::new(SqlStore(Connections { writer, readers })))
}

/// Takes the steps that the file has not seen, in one transaction. Whoever else opens the file meanwhile
/// waits for it once, and finds them taken.
async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut steps_taken = pool.begin_with("BEGIN IMMEDIATE").await?;
    loop {
        let version: i64 = query_scalar::<Sqlite, i64>("PRAGMA user_version")
            .fetch_one(&mut *steps_taken)
            .await?;
        let Some(statements) = steps::after(version)? else {
            return Ok(steps_taken.commit().await?);
        };
        raw_sql(statements).execute(&mut *steps_taken).await?;
        let next = format!("PRAGMA user_version = {}", version + 1);
        raw_sql(AssertSqlSafe(next))
            .execute(&mut *steps_taken)
            .await?;
    }
}

impl Driver for Connections {
    type Writing = Transaction<'static, Sqlite>;

    async fn rows<T: Send>(&self, asked: Statement, read: Read<T>) -> Result<Vec<T>, StoreError> {
        let found = bound(asked).fetch_all(&self.readers).await?;
        found.iter().map(|row| read(row)).collect()
    }

    async fn begin(&self) -> Result<Self::Writing, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn settled(&self) -> Result<(), StoreError> {
        // Where COMMIT has returned, whatever it said, the file stands.
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Writing for Transaction<'static, Sqlite> {
    async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = bound(statement).execute(&mut **self).await?;
        Ok(done.rows_affected())
    }

    async fn rows<T: Send>(
        &mut self,
        asked: Statement,
        read: Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        let found = bound(asked).fetch_all(&mut **self).await?;
        found.iter().map(|row| read(row)).collect()
    }

    async fn roll_back(self) {
        // The connection takes it back before it does anything else.
        drop(self);
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(Self::commit(self).await?)
    }
}

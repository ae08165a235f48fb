//! The store in a PostgreSQL database.
//!
//! Commits are synchronous whatever the server's default is. Nothing is waited for without end: a
//! connection, a statement and a lock each have their time, and what has no answer by then is a
//! fault. Of a COMMIT without an answer it is asked over another connection how it has ended
//! (its `stamp`). A connection that broke is given up and another one made, so that the store is back
//! when the server is.
//!
//! Whoever changes rows owns the database ([`mod@own`]), as whoever has a data directory owns its lock.

pub mod own;
mod stamp;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, Postgres,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, query_scalar, raw_sql};
use tokio::time::timeout;

use self::own::{Hold, Locked, NotOwned, OWNER_LOCK};
use self::stamp::{Stamp, Writers};

use super::sql::{Driver, Read, SqlStore, Statement, Writing, speaks};
use super::{Store, StoreError, steps};

/// Connections at a time: the one that makes changes, and some that read.
const CONNECTIONS_MAX: u32 = 5;
/// For a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// For an answer; the server's own limits are shorter, so that it says itself what took so long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// For the answer to a COMMIT, before it is asked how it has ended.
const COMMITTED_WITHIN: Duration = Duration::from_secs(8);
/// How the server is to treat our sessions. The time for a statement is its own, not a migration's.
/// What a machine that has vanished leaves, locks among it, is gone after twenty seconds.
const SESSION: [(&str, &str); 9] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
];
/// The parameters of an address that mean something here.
const PARAMETERS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];
/// Who holds this advisory lock may change tables. The number is ours alone: "countersign" in short.
const MIGRATION_LOCK: i64 = 0x636e_7472_7367_6e01;

speaks!(Postgres, PgArguments, PgRow);

/// The rows by which it is known who writes, and how what he wrote has ended.
const WRITERS_TABLE: &str = "CREATE TABLE IF NOT EXISTS countersign_writers (
    slot BIGINT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    place TEXT NOT NULL,
    batch BIGINT NOT NULL
)";

struct Connections {
    pool: PgPool,
    /// Absent where the database is not owned.
    writers: Option<Arc<Writers>>,
}

/// Connects to the database of this address, and brings its tables up to this version's where nobody
/// works on it. For whoever only looks: it is not kept from others, and of a COMMIT without an answer
/// it is not known how it has ended.
///
/// # Errors
/// [`StoreError::Fault`] names host, port and database, never a password.
pub async fn open(address: &SecretString) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(address.expose_secret())?;
    let migrated = migrate(&options, false).await;
    migrated.map_err(|error| named(&options, error))?;
    Ok(store(options, None))
}

/// The same for whoever changes rows: the database is this process's until the store is closed. The
/// place tells others whose it is.
///
/// # Errors
/// [`NotOwned`], as [`open`].
pub async fn own(address: &SecretString, place: &str) -> Result<(Arc<dyn Store>, Hold), NotOwned> {
    let options = options(address.expose_secret())?;
    let owned = async {
        let locked = Locked::take(&options).await?;
        migrate(&options, true).await?;
        locked.claim(options.clone(), place).await
    };
    let (ownership, hold) = owned.await.map_err(|error| match error {
        NotOwned::Taken(whose) => NotOwned::Taken(format!("{}: {whose}", self::place(&options))),
        NotOwned::Store(error) => NotOwned::Store(named(&options, error)),
    })?;
    let writers = Arc::new(Writers::new(ownership, options.clone()));
    Ok((store(options, Some(writers)), hold))
}

fn store(options: PgConnectOptions, writers: Option<Arc<Writers>>) -> Arc<dyn Store> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(CONNECTED_WITHIN);
    let pool = pool.connect_lazy_with(options);
    Arc::new(SqlStore(Connections { pool, writers }))
}

fn named(options: &PgConnectOptions, error: StoreError) -> StoreError {
    let named = |why: &dyn Display| StoreError::Fault(format!("{}: {why}", place(options)));
    match error {
        StoreError::Fault(why) => named(&why),
        StoreError::Conflict => named(&"its tables are being changed by another program"),
    }
}

/// Complaints repeat nothing of the address: it may hold a password, wherever it is mistyped.
fn options(address: &str) -> Result<PgConnectOptions, StoreError> {
    let fault = |why: String| StoreError::Fault(format!("the database's address {why}"));
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| pair.split('=').next().unwrap_or_default());
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    if !names.all(is_known) {
        let why = format!("has a parameter that is none of {}", PARAMETERS.join(", "));
        return Err(fault(why));
    }
    let options: PgConnectOptions = address.parse().map_err(|_may_quote_it: sqlx::Error| {
        fault("is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned())
    })?;
    let name = options.get_application_name().unwrap_or("countersign");
    let name = name.to_owned();
    Ok(options.application_name(&name).options(SESSION))
}

/// The address for people, without user and password.
fn place(options: &PgConnectOptions) -> String {
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("postgres: {}, database {database}", socket.display()),
        None => format!(
            "postgres://{}:{}/{database}",
            options.get_host(),
            options.get_port()
        ),
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connected = timeout(CONNECTED_WITHIN, options.connect()).await;
    Ok(connected.map_err(|_elapsed| no_answer(CONNECTED_WITHIN))??)
}

/// Takes the steps that the database has not seen, each in a transaction of its own that holds the
/// lock: of several programs that start at once, one takes it, and the others find it taken. Who does
/// not own the database takes none beside whoever does, which may be an older program.
async fn migrate(options: &PgConnectOptions, is_owner: bool) -> Result<(), StoreError> {
    let mut connection = connect(options).await?;
    loop {
        let mut step = connection.begin().await?;
        // However long another program takes, and however large the tables are.
        raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            .execute(&mut *step)
            .await?;
        sqlx::query::<Postgres>("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *step)
            .await?;
        raw_sql("CREATE TABLE IF NOT EXISTS countersign_schema (version BIGINT NOT NULL)")
            .execute(&mut *step)
            .await?;
        raw_sql(WRITERS_TABLE).execute(&mut *step).await?;
        let version = "SELECT COALESCE(MAX(version), 0) FROM countersign_schema";
        let version: i64 = query_scalar::<Postgres, i64>(version)
            .fetch_one(&mut *step)
            .await?;
        let Some(statements) = steps::after(version)? else {
            step.commit().await?;
            return Ok(connection.close().await?);
        };
        if !is_owner {
            let free = "SELECT pg_try_advisory_xact_lock_shared($1)";
            let free = query_scalar::<Postgres, bool>(free).bind(OWNER_LOCK);
            if !free.fetch_one(&mut *step).await? {
                let why = format!(
                    "its tables are of version {version}, and a server works on it: stop that one \
                     first, or use its own version"
                );
                return Err(StoreError::Fault(why));
            }
        }
        raw_sql(AssertSqlSafe(steps::for_postgres(statements)))
            .execute(&mut *step)
            .await?;
        sqlx::query::<Postgres>("INSERT INTO countersign_schema (version) VALUES ($1)")
            .bind(version + 1)
            .execute(&mut *step)
            .await?;
        step.commit().await?;
    }
}

fn no_answer(within: Duration) -> StoreError {
    StoreError::Fault(format!("no answer within {} s", within.as_secs()))
}

/// What the server does not answer in time is a fault.
async fn in_time<T: Send>(
    asked: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, StoreError> {
    let answered = timeout(ANSWERED_WITHIN, asked).await;
    Ok(answered.map_err(|_elapsed| no_answer(ANSWERED_WITHIN))??)
}

/// A transaction that writes. Where this ends before the COMMIT, the connection is closed, which the
/// server takes as a word to take everything back.
struct Writes {
    /// Absent once it is over.
    connection: Option<PoolConnection<Postgres>>,
    /// Absent where the database is not owned.
    stamp: Option<Stamp>,
}

impl Driver for Connections {
    type Writing = Writes;

    async fn rows<T: Send>(&self, asked: Statement, read: Read<T>) -> Result<Vec<T>, StoreError> {
        let found = in_time(bound(asked).fetch_all(&self.pool)).await?;
        found.iter().map(|row| read(row)).collect()
    }

    async fn begin(&self) -> Result<Self::Writing, StoreError> {
        let stamp = match &self.writers {
            Some(writers) => Some(writers.stamp().await?),
            None => None,
        };
        let numbered = stamp.as_ref().map(Stamp::statement);
        let connection = in_time(self.pool.acquire()).await?;
        let mut writes = Writes {
            connection: Some(connection),
            stamp,
        };
        in_time(raw_sql("BEGIN").execute(writes.connection()?)).await?;
        if let Some(numbered) = numbered
            && writes.execute(numbered).await? != 1
            && let Some(stamp) = &writes.stamp
        {
            return Err(stamp.is_taken());
        }
        Ok(writes)
    }

    async fn settled(&self) -> Result<(), StoreError> {
        match &self.writers {
            Some(writers) => writers.settle().await,
            None => Ok(()),
        }
    }

    async fn close(&self) {
        self.pool.close().await;
        if let Some(writers) = &self.writers {
            writers.ownership.release().await;
        }
    }
}

impl Writes {
    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let over = || StoreError::Fault("the transaction is over".to_owned());
        self.connection.as_deref_mut().ok_or_else(over)
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        // Not given back to the pool, which would send what waits to be sent, a COMMIT perhaps.
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Writing for Writes {
    async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = in_time(bound(statement).execute(self.connection()?)).await?;
        Ok(done.rows_affected())
    }

    async fn rows<T: Send>(
        &mut self,
        asked: Statement,
        read: Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        let found = in_time(bound(asked).fetch_all(self.connection()?)).await?;
        found.iter().map(|row| read(row)).collect()
    }

    async fn roll_back(mut self) {
        let Ok(connection) = self.connection() else {
            return;
        };
        if in_time(raw_sql("ROLLBACK").execute(connection))
            .await
            .is_ok()
        {
            // Back to the pool.
            drop(self.connection.take());
        }
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        if let Some(stamp) = &mut self.stamp {
            stamp.commits();
        }
        let commit = raw_sql("COMMIT").execute(self.connection()?);
        let error = match timeout(COMMITTED_WITHIN, commit).await {
            Ok(Ok(_)) => {
                drop(self.connection.take());
                if let Some(stamp) = &mut self.stamp {
                    stamp.kept();
                }
                return Ok(());
            }
            Ok(Err(error)) => error.into(),
            Err(_elapsed) => no_answer(COMMITTED_WITHIN),
        };
        // First of all: a COMMIT that was not sent yet is not sent any more.
        drop(self.connection.take().map(PoolConnection::detach));
        let was_kept = match &mut self.stamp {
            Some(stamp) => stamp.settle().await?,
            None => false,
        };
        if was_kept { Ok(()) } else { Err(error) }
    }
}

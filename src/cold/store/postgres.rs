//! The store in a PostgreSQL database.
//!
//! Commits are synchronous whatever the server's default is. Nothing is waited for without end: a
//! connection, a statement and a lock each have their time, and what has no answer by then is a
//! fault, of which nobody knows whether it was kept. A connection that broke is given up and another
//! one made, so that the store is back when the server is.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Transaction, query_scalar, raw_sql,
};
use tokio::time::timeout;

use super::sql::{Driver, Read, SqlStore, Statement, Writing, speaks};
use super::{Store, StoreError, steps};

/// Connections at a time: the one that makes changes, and some that read.
const CONNECTIONS_MAX: u32 = 5;
/// For a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// For an answer; the server's own limits are shorter, so that it says itself what took so long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How the server is to treat our sessions. The time for a statement is its own, not a migration's.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
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

struct Connections {
    pool: PgPool,
}

/// Connects to the database of this address, and brings its tables up to this version's.
///
/// # Errors
/// [`StoreError::Fault`] names host, port and database, never a password.
pub async fn open(address: &SecretString) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(address.expose_secret())?;
    let place = place(&options);
    let named = |why: &dyn Display| StoreError::Fault(format!("{place}: {why}"));
    migrate(&options).await.map_err(|error| match error {
        StoreError::Fault(why) => named(&why),
        StoreError::Conflict => named(&"its tables are being changed by another program"),
    })?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(CONNECTED_WITHIN);
    let pool = pool.connect_lazy_with(options);
    Ok(Arc::new(SqlStore(Connections { pool })))
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

/// Takes the steps that the database has not seen, each in a transaction of its own that holds the
/// lock: of several programs that start at once, one takes it, and the others find it taken.
async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let connected = timeout(CONNECTED_WITHIN, options.connect()).await;
    let connected = connected.map_err(|_elapsed| no_answer(CONNECTED_WITHIN))?;
    let mut connection = connected?;
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
        let version = "SELECT COALESCE(MAX(version), 0) FROM countersign_schema";
        let version: i64 = query_scalar::<Postgres, i64>(version)
            .fetch_one(&mut *step)
            .await?;
        let Some(statements) = steps::after(version)? else {
            step.commit().await?;
            return Ok(connection.close().await?);
        };
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

impl Driver for Connections {
    type Writing = Transaction<'static, Postgres>;

    async fn rows<T: Send>(&self, asked: Statement, read: Read<T>) -> Result<Vec<T>, StoreError> {
        let found = in_time(bound(asked).fetch_all(&self.pool)).await?;
        found.iter().map(|row| read(row)).collect()
    }

    async fn begin(&self) -> Result<Self::Writing, StoreError> {
        in_time(self.pool.begin()).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

impl Writing for Transaction<'static, Postgres> {
    async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = in_time(bound(statement).execute(&mut **self)).await?;
        Ok(done.rows_affected())
    }

    async fn commit(self) -> Result<(), StoreError> {
        in_time(Self::commit(self)).await
    }
}

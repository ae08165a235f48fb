//! Whose a database is: of one process at a time, since two ledgers would each spend the whole of
//! every limit.
//!
//! Two things keep others away. A lock of a session that does nothing else says who is there: the
//! server lets it go by itself where the process ends, however it ends, or cannot be reached for
//! twenty seconds. A row says who changes anything: every transaction touches it under the name that
//! its process has drawn at the start, so that one which still believes to have the lock when
//! another process has it already changes nothing.
//!
//! Where the session ends, nothing is changed until the lock is had again. Where another process has
//! written its name meanwhile, the database is that one's, and stays so.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx::{Connection as _, query_as, query_scalar, raw_sql};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::stamp::WRITERS;
use super::{StoreError, connect, in_time};

/// Whoever has this advisory lock owns the database; as the one of migrations, but for its last byte.
pub(super) const OWNER_LOCK: i64 = 0x636e_7472_7367_6e02;
/// A process that was killed just now is gone within this time.
const ATTEMPTS_MAX: u32 = 20;
const ATTEMPT_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at whether the lock is held still.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKED_WITHIN: Duration = Duration::from_secs(5);
/// For transactions that an earlier owner has begun.
const CLAIM_TIMEOUT: &str = "SET LOCAL lock_timeout = '40s'; SET LOCAL statement_timeout = '40s'";
/// A pooler that gives each transaction another session would hold the lock for nobody.
const IS_HELD: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND pid = pg_backend_pid() AND objsubid = 1 AND classid::bigint = $1 >> 32
    AND objid::bigint = $1 & 4294967295)";
/// Where the session that has the lock comes from, and since when it is there. Of another user's session
/// the server may say neither.
const HOLDER: &str = "SELECT COALESCE(host(client_addr), 'this machine'),
        COALESCE(to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
            'an unknown instant')
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = $1 >> 32 AND objid::bigint = $1 & 4294967295";

/// Why a database is not this process's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOwned {
    /// It is another one's: whose, for people.
    Taken(String),
    /// It cannot be used.
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for NotOwned {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Whether the database is this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It is.
    Held,
    /// The session of the lock has ended. Nothing is changed until the lock is had again.
    Unsure,
    /// It is another process's now, for good.
    Taken,
}

/// Tells whether the database is still this process's.
#[derive(Clone, Debug)]
pub struct Hold(watch::Receiver<Holding>);

impl Hold {
    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Holding {
        *self.0.borrow()
    }

    /// What it is next; nothing any more once the store is closed.
    pub async fn changed(&mut self) -> Option<Holding> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }
}

/// The process's side of it: for whoever writes.
pub(super) struct Ownership {
    /// Drawn at the start.
    pub(super) owner: String,
    state: watch::Sender<Holding>,
    stop: std::sync::Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

/// A connection whose session has the lock.
pub(super) struct Locked(PgConnection);

impl Locked {
    /// Takes the lock.
    pub(super) async fn take(options: &PgConnectOptions) -> Result<Self, NotOwned> {
        let mut connection = connect(options).await?;
        for _ in 0..ATTEMPTS_MAX {
            if try_lock(&mut connection).await? {
                if !is_held(&mut connection).await? {
                    let why = "the lock on it is not kept from one transaction to the next; connect \
                               directly, or through a pooler in session mode";
                    return Err(NotOwned::Store(StoreError::Fault(why.to_owned())));
                }
                return Ok(Self(connection));
            }
            sleep(ATTEMPT_EVERY).await;
        }
        Err(NotOwned::Taken(holder(&mut connection).await?))
    }

    /// Writes its name, once every transaction of an earlier owner has ended; from then on the lock is
    /// watched. The tables are there.
    pub(super) async fn claim(
        self,
        options: PgConnectOptions,
        place: &str,
    ) -> Result<(std::sync::Arc<Ownership>, Hold), NotOwned> {
        let Self(mut connection) = self;
        let mut claim = connection.begin().await?;
        raw_sql(CLAIM_TIMEOUT).execute(&mut *claim).await?;
        let owner = query_scalar::<Postgres, String>("SELECT gen_random_uuid()::text");
        let owner = owner.fetch_one(&mut *claim).await?;
        let sql = "INSERT INTO countersign_writers (slot, owner, place, batch)
             SELECT slot, $1, $2, 0 FROM generate_series(0, $3 - 1) AS slot
             ON CONFLICT (slot) DO UPDATE SET owner = excluded.owner, place = excluded.place, batch = 0";
        sqlx::query::<Postgres>(sql)
            .bind(&owner)
            .bind(place)
            .bind(WRITERS)
            .execute(&mut *claim)
            .await?;
        claim.commit().await?;
        let (state, seen) = watch::channel(Holding::Held);
        let (stop, stopped) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let ownership = std::sync::Arc::new(Ownership {
            owner,
            state,
            stop: std::sync::Mutex::new(Some((stop, has_ended))),
        });
        let watcher = Watcher {
            ownership: std::sync::Arc::clone(&ownership),
            options,
            connection: Some(connection),
        };
        drop(Handle::current().spawn(async move {
            watcher.watch(stopped).await;
            // Nobody waits where the store was not closed.
            let _gone = ended.send(());
        }));
        Ok((ownership, Hold(seen)))
    }
}

impl Ownership {
    /// Whether anything may be changed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let why = match *self.state.borrow() {
            Holding::Held => return Ok(()),
            Holding::Unsure => "the session that holds the lock on it has ended",
            Holding::Taken => "another server works on it",
        };
        Err(StoreError::Fault(why.to_owned()))
    }

    /// The row has another name.
    pub(super) fn is_taken(&self) -> StoreError {
        self.become_(Holding::Taken);
        StoreError::Fault("another server works on it".to_owned())
    }

    fn become_(&self, next: Holding) {
        self.state.send_if_modified(|state| {
            let is_new = *state != next && *state != Holding::Taken;
            if is_new {
                *state = next;
            }
            is_new
        });
    }

    /// Lets the lock go.
    pub(super) async fn release(&self) {
        let stop = self.stop.lock();
        let stop = stop
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some((stop, ended)) = stop
            && stop.send(()).is_ok()
        {
            // Where the task is gone, so is its session.
            let _gone = ended.await;
        }
    }
}

/// Watches the session of the lock.
struct Watcher {
    ownership: std::sync::Arc<Ownership>,
    options: PgConnectOptions,
    /// Absent while it is to be had again.
    connection: Option<PgConnection>,
}

impl Watcher {
    async fn watch(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _asked = &mut stopped => break,
                () = sleep(LOOK_EVERY) => {}
            }
            self.look().await;
            if *self.ownership.state.borrow() == Holding::Taken {
                // Whoever has it needs no lock of ours in his way.
                self.connection = None;
                let _asked = stopped.await;
                break;
            }
        }
        if let Some(connection) = self.connection {
            // Whatever it says, the session is over.
            let _closed = timeout(LOOKED_WITHIN, connection.close()).await;
        }
    }

    async fn look(&mut self) {
        if let Some(connection) = &mut self.connection {
            let seen = timeout(LOOKED_WITHIN, is_held(connection)).await;
            if matches!(seen, Ok(Ok(true))) {
                return;
            }
            self.connection = None;
            self.ownership.become_(Holding::Unsure);
        }
        // Else it is away, or the session that has ended here has not ended there yet.
        if let Ok(Ok(Some(connection))) = timeout(LOOKED_WITHIN, self.again()).await {
            self.connection = Some(connection);
            self.ownership.become_(Holding::Held);
        }
    }

    /// The lock once more, where nobody has had it since.
    async fn again(&self) -> Result<Option<PgConnection>, StoreError> {
        let mut connection = connect(&self.options).await?;
        let is_locked = try_lock(&mut connection).await?;
        let owner = "SELECT owner FROM countersign_writers WHERE slot = 0";
        let owner = query_scalar::<Postgres, String>(owner);
        let owner = owner.fetch_optional(&mut connection).await?;
        if owner.as_ref() != Some(&self.ownership.owner) {
            self.ownership.become_(Holding::Taken);
            return Ok(None);
        }
        Ok(is_locked.then_some(connection))
    }
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let sql = "SELECT pg_try_advisory_lock($1)";
    in_time(query_scalar(sql).bind(OWNER_LOCK).fetch_one(connection)).await
}

async fn is_held(connection: &mut PgConnection) -> Result<bool, StoreError> {
    in_time(query_scalar(IS_HELD).bind(OWNER_LOCK).fetch_one(connection)).await
}

/// Who has the lock, for people.
async fn holder(connection: &mut PgConnection) -> Result<String, StoreError> {
    let asked = query_as::<Postgres, (String, String)>(HOLDER).bind(OWNER_LOCK);
    let session = in_time(asked.fetch_optional(&mut *connection)).await?;
    let place = "SELECT place FROM countersign_writers WHERE slot = 0";
    let place = query_scalar::<Postgres, String>(place);
    // The table is not there where the other one has only begun.
    let place = in_time(place.fetch_optional(connection)).await;
    let place = place.ok().flatten().map(|it| format!(", with {it}"));
    let session = session.map(|(from, since)| format!(", from {from} since {since}"));
    Ok(format!(
        "another server works on it{}{}; with two, each would spend the whole of every limit",
        place.unwrap_or_default(),
        session.unwrap_or_default()
    ))
}

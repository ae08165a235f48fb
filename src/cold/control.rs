//! Changes of customers, agents and cards, one after the other: kept, then in force, then answered.
//!
//! One thread makes every change: it compiles the next snapshot beside the one in force, commits the
//! rows, publishes, and only then answers, so that whoever has the answer can use what he changed.
//! What stops a card is set in the ledger before that, and what lets it go again after it: whatever
//! a crash leaves undone in between, the stricter of the two is in force.
//!
//! What waits meanwhile is made together, in one transaction and one snapshot, so that many callers
//! at once cost one sync of the disk and not one each.

mod compile;
mod follow;
mod group;
mod orders;
mod trail;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep;

use crate::clock::Clock;
use crate::cold::audit::noted::Noted;
use crate::cold::audit::signer::Signer;
use crate::cold::durable::JournalProgress;
use crate::cold::people::session;
use crate::cold::readiness::Readiness;
use crate::cold::store::people::PeopleChange;
use crate::cold::store::{Batch, Store};
use crate::decide::past::Past;
use crate::decide::snapshot::Snapshot;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::priority::stand_back;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;

pub use compile::{LoadError, Refused, card_policy, load, policy};
pub use follow::{Followed, follow};
use group::Asked;
pub use orders::{CardName, NotOrdered, Order};
use trail::Trail;

/// Changes that may wait at a time; more are refused.
const WAITING_MAX: usize = 1_024;
/// Changes that are made together; more take turns.
const TOGETHER_MAX: usize = 128;
/// Between two attempts to free what somebody still reads.
const FREE_EVERY: Duration = Duration::from_millis(5);
/// Without work, the thread looks up this often.
const IDLE: Duration = Duration::from_secs(600);
/// While what is in force may lag behind the database, it is asked again this often.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);
/// Entries of the audit log wait for their checkpoint no longer than a minute.
const SIGN_EVERY: Duration = Duration::from_secs(60);
/// Answers to idempotent requests are kept for this long, and looked through once an hour.
const REPLIES_KEPT_US: i64 = 48 * HOUR_US;
const HOUR_US: i64 = 3_600_000_000;
/// The word of `/readyz` while what is in force may lag behind the database.
const BEHIND: &str = "database_fault";

/// What one request changes.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Rows, kept together.
    pub batch: Batch,
    /// What the ledger is to hold beside them: what stops something before they are kept, what lets
    /// it go again after it.
    pub orders: Vec<Order>,
    /// What the ledger is to hold once they are in force, whatever it is.
    pub after: Vec<Order>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// A snapshot's file rules, so that rows of the database would not be in force.
    FileRules,
    /// The rows do not fit together.
    Refused(Refused),
    /// A row was changed in between; it may be read and tried again.
    Conflict,
    /// The database does not answer. What was kept is in force after the next change, or start.
    Store,
    /// The ledger did not take an order.
    Ledger(NotOrdered),
    /// Too many changes wait; it may be asked again.
    Busy,
    /// The thread has ended.
    Ended,
}

/// Whom changes concern.
pub struct Surroundings {
    /// Where rows are kept.
    pub store: Arc<dyn Store>,
    /// Where they are in force.
    pub snapshots: Arc<CurrentSnapshot>,
    /// Whether the rows are what is in force; not where a snapshot's file rules.
    pub rows_rule: bool,
    /// The issuer connections that there are.
    pub connections: Vec<String>,
    /// Hashes as the ledger does.
    pub keys: Fingerprinter,
    /// Takes orders.
    pub ledger: LedgerPort,
    /// Tells when orders are durable.
    pub journal: JournalProgress,
    /// For the times of orders.
    pub clock: Clock,
    /// Shows the version in force.
    pub telemetry: Arc<Telemetry>,
    /// Says where the rows are not in force.
    pub readiness: Arc<Readiness>,
    /// What is to be written into the audit log beside changes.
    pub noted: Arc<Noted>,
    /// Rung where an issuer is to be told something.
    pub bell: Arc<Notify>,
    /// Rung where a webhook is to be told something.
    pub webhook_bell: Arc<Notify>,
}

/// The running thread. It ends when every clone of this is dropped.
#[derive(Clone)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    is_behind: Arc<AtomicBool>,
    noted: Arc<Noted>,
}

enum Command {
    Make(Asked),
    /// Writes and signs what waits: the process ends.
    Settle(oneshot::Sender<()>),
}

impl Control {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(around: Surroundings, signer: Signer) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(WAITING_MAX);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let is_behind = Arc::<AtomicBool>::default();
        let trail = Trail::new(
            Arc::clone(&around.store),
            signer,
            Arc::clone(&around.noted),
            Arc::clone(&around.readiness),
            around.clock.now(),
        );
        let noted = Arc::clone(&around.noted);
        let keeper = Keeper {
            forgotten_at: around.clock.now().plus_micros(-HOUR_US),
            around,
            trail,
            is_behind: Arc::clone(&is_behind),
        };
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                stand_back();
                runtime.block_on(keeper.run(received));
            })?;
        Ok(Self {
            commands,
            is_behind,
            noted,
        })
    }

    /// What is to be written into the audit log and belongs to no change.
    #[must_use]
    pub fn noted(&self) -> &Noted {
        &self.noted
    }

    /// Writes and signs what the audit log waits for: the process ends.
    pub async fn settle(&self) {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(Command::Settle(answer)).await.is_ok() {
            // Where the thread has ended, nothing waits.
            let _ended = answered.await;
        }
    }

    /// Returns once everything that the database has kept is in force: an answer that was kept may
    /// tell of a change of which nobody knew whether it was kept.
    ///
    /// # Errors
    /// [`Failed`] where the database does not answer.
    pub async fn catch_up(&self) -> Result<(), Failed> {
        if !self.is_behind.load(Ordering::Acquire) {
            return Ok(());
        }
        self.make(Work::default()).await
    }

    /// Makes the change. Once this returns well, it is durable and in force.
    ///
    /// # Errors
    /// [`Failed`] where it is not, as far as is known.
    pub async fn make(&self, work: Work) -> Result<(), Failed> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { work, answer };
        let sent = self.commands.try_send(Command::Make(asked));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failed::Busy,
            mpsc::error::TrySendError::Closed(_) => Failed::Ended,
        })?;
        answered.await.unwrap_or(Err(Failed::Ended))
    }
}

/// The thread's own.
struct Keeper {
    around: Surroundings,
    trail: Trail,
    /// Whether the database may hold what is not in force. This thread alone writes it.
    is_behind: Arc<AtomicBool>,
    forgotten_at: Timestamp,
}

impl Keeper {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut read_count = 0;
        let noted = Arc::clone(&self.trail.noted);
        loop {
            let wait = self.wait(read_count);
            tokio::select! {
                command = commands.recv() => {
                    let Some(first) = command else { return };
                    self.take(first, &mut commands).await;
                }
                () = noted.news() => {}
                () = sleep(wait) => {
                    // Where it does not succeed, it is said, and tried again.
                    let _still_away = self.catch_up().await;
                }
            }
            self.trail.work(self.around.clock.now(), false).await;
            if self.around.rows_rule {
                read_count = self.around.snapshots.free_retired();
            }
            self.forget_replies().await;
        }
    }

    fn wait(&self, read_count: usize) -> Duration {
        let is_away = self.is_behind.load(Ordering::Acquire) || self.trail.is_busy();
        match (read_count > 0, is_away, self.trail.is_unsigned()) {
            (true, _, _) => FREE_EVERY,
            (false, true, _) => CATCH_UP_EVERY,
            (false, false, true) => SIGN_EVERY,
            (false, false, false) => IDLE,
        }
    }

    /// Carries out a command and whatever waits behind it.
    async fn take(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) {
        let mut changes = Vec::new();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Make(asked) => changes.push(asked),
                Command::Settle(answer) => {
                    self.make_all(std::mem::take(&mut changes)).await;
                    self.trail.work(self.around.clock.now(), true).await;
                    // Nobody listens any more where the caller has gone away.
                    let _gone = answer.send(());
                }
            }
            let has_room = changes.len() < TOGETHER_MAX;
            next = has_room.then(|| commands.try_recv().ok()).flatten();
        }
        self.make_all(changes).await;
    }

    fn publish(&self, next: Snapshot) {
        let version = next.version();
        self.around.snapshots.publish(next);
        self.around.telemetry.set_snapshot_version(version);
    }

    /// Puts in force whatever the database holds, where that may be something else.
    async fn catch_up(&self) -> Result<(), Failed> {
        if !self.is_behind.load(Ordering::Acquire) {
            return Ok(());
        }
        // What is still on its way to being kept would come behind what is read now.
        if let Err(error) = self.around.store.settled().await {
            tracing::error!(%error, "it is not known whether a change was kept");
            return Err(Failed::Store);
        }
        let before = Arc::clone(&self.around.snapshots.load());
        // What is in force already is no document that somebody wrote.
        let nothing = Past::default();
        let loaded = load(
            &*self.around.store,
            &self.around.connections,
            &self.around.keys,
            (&before, before.version() + 1),
            &nothing,
        );
        match loaded.await {
            Ok(next) => self.publish(next),
            Err(error) => {
                tracing::error!(%error, "the database cannot be put in force");
                return Err(Failed::Store);
            }
        }
        self.is_behind.store(false, Ordering::Release);
        self.around.readiness.clear_warning(BEHIND);
        Ok(())
    }

    async fn forget_replies(&mut self) {
        let now = self.around.clock.now();
        // Whoever waits to be told of a change that is in doubt waits for nothing else.
        let is_behind = self.is_behind.load(Ordering::Acquire);
        if is_behind || now.micros_since(self.forgotten_at) < HOUR_US {
            return;
        }
        self.forgotten_at = now;
        let before = now.plus_micros(-REPLIES_KEPT_US);
        if let Err(error) = self.around.store.forget_replies(before).await {
            tracing::warn!(%error, "old answers to idempotent requests could not be removed");
        }
        let idle_since = now.plus_micros(-session::IDLE_US);
        let swept = PeopleChange::Swept(now, idle_since).into();
        if let Err(error) = self.around.store.apply(vec![swept]).await {
            tracing::warn!(%error, "sessions and tokens that are over could not be removed");
        }
    }
}

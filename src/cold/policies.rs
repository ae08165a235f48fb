//! The policies in force: read from their file, checked, published (behaviour 3.4, 11.3).
//!
//! One thread does all of it: changes come one after the other, whoever asked for them, and what
//! was compiled is freed by who allocated it. A change is taken whole or refused whole, and one that
//! would decline many cards waits for a human's word. The hot side learns of it by its next load.

mod source;
mod used;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::cold::readiness::Readiness;
use crate::decide::document::DocumentRefused;
use crate::decide::past::Past;
use crate::decide::snapshot::{Impact, Snapshot};
use crate::domain::card::Key;
use crate::ledger::embedded::priority::stand_back;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;
use source::Content;
use watch::{Look, Watch};

pub use source::{Source, look_before, read_stdin, read_whole};

/// The version of the snapshot that a process starts with.
pub const FIRST_VERSION: u64 = 1;

/// Reloads that may wait at a time; more are refused.
const WAITING_MAX: usize = 64;
/// Between two attempts to free what somebody still reads.
const FREE_EVERY: Duration = Duration::from_millis(5);
/// Without a watch, the thread looks up this often, for nothing.
const IDLE: Duration = Duration::from_secs(3_600);

/// Words of `/readyz` for a file that is not in force.
const REFUSED: &str = "snapshot_refused";
const UNCONFIRMED: &str = "snapshot_unconfirmed";
const UNREADABLE: &str = "snapshot_unreadable";
const WARNINGS: [&str; 3] = [REFUSED, UNCONFIRMED, UNREADABLE];

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file is in force, under this version.
    Published(u64),
    /// The file says what is in force already, under this version.
    Unchanged(u64),
    /// The file is wrong, and what was in force stays.
    Refused(DocumentRefused),
    /// The file would decline many cards, and nobody has confirmed that; what was in force stays.
    Unconfirmed(Impact),
}

/// Why a reload did not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// Too many wait; it may be asked again.
    Busy,
    /// The thread has ended.
    Ended,
    /// No file rules.
    NoFile,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many reloads wait already",
            Self::Ended => "the thread that reads policies has ended",
            Self::NoFile => "no snapshot's file is in force, but the database",
        })
    }
}

impl std::error::Error for ReloadError {}

/// Whom the policies concern.
pub struct Surroundings {
    /// Knows whose the cards are that were used.
    pub ledger: LedgerPort,
    /// Tells which cards are over.
    pub clock: Clock,
    /// Counts reloads.
    pub telemetry: Arc<Telemetry>,
    /// Says where a file is not in force.
    pub readiness: Arc<Readiness>,
    /// Between two looks at the file; absent where nobody looks.
    pub watch_every: Option<Duration>,
    /// What an operator types to confirm a change.
    pub confirm_command: String,
}

/// The policies that a process starts with.
pub struct First {
    /// Where they are in force.
    pub snapshots: Arc<CurrentSnapshot>,
    digest: Key,
    /// The keys under which cards were used that are not in it, by the hashes of their ids.
    left: HashMap<Key, Key>,
}

/// The running thread. It ends when this is dropped.
pub struct Policies {
    /// Absent where no file rules.
    commands: Option<SyncSender<Command>>,
}

enum Command {
    Reload(bool, oneshot::Sender<Outcome>),
    HangUp,
}

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    Operator,
    Signal,
    Watch,
}

impl Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::Operator => "/admin/reload",
            Self::Signal => "SIGHUP",
            Self::Watch => "watch",
        }
    }
}

impl First {
    /// Reads the file of a process that starts. `past` knows what was used.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(source: &Source, past: &Past) -> Result<Self, DocumentRefused> {
        let content = source.read()?;
        let before = Snapshot::empty();
        let snapshot = source.compile(&content, &before, FIRST_VERSION, past)?;
        Ok(Self {
            left: used::left(source, past, &snapshot),
            snapshots: Arc::new(CurrentSnapshot::new(snapshot)),
            digest: content.digest,
        })
    }
}

impl Policies {
    /// Starts the thread on what was loaded first.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(source: Source, mut around: Surroundings, first: First) -> io::Result<Self> {
        let (commands, received) = sync_channel(WAITING_MAX);
        if source.is_no_file() {
            around.watch_every = None;
        }
        let mut keeper = Keeper {
            snapshots: first.snapshots,
            in_force: first.digest,
            left: first.left,
            against: None,
            watch: Watch::default(),
            source,
            around,
        };
        thread::Builder::new()
            .name("policies".to_owned())
            .spawn(move || {
                stand_back();
                keeper.run(&received);
            })?;
        Ok(Self {
            commands: Some(commands),
        })
    }

    /// Where no file rules: nothing is read again.
    #[must_use]
    pub fn of_no_file() -> Self {
        Self { commands: None }
    }

    /// Reads the file now, and puts it in force unless something is against it.
    ///
    /// # Errors
    /// [`ReloadError`] where that was not even tried.
    pub async fn reload(&self, confirm: bool) -> Result<Outcome, ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Reload(confirm, answer))?;
        answered.await.map_err(|_dropped| ReloadError::Ended)
    }

    /// The same for whoever does not wait for the outcome: it goes to the log.
    ///
    /// # Errors
    /// [`ReloadError`] where it will not be tried.
    pub fn hang_up(&self) -> Result<(), ReloadError> {
        self.send(Command::HangUp)
    }

    fn send(&self, command: Command) -> Result<(), ReloadError> {
        let commands = self.commands.as_ref().ok_or(ReloadError::NoFile)?;
        commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => ReloadError::Busy,
            TrySendError::Disconnected(_) => ReloadError::Ended,
        })
    }
}

/// The thread's own.
struct Keeper {
    source: Source,
    around: Surroundings,
    snapshots: Arc<CurrentSnapshot>,
    /// Hash of the content that is in force.
    in_force: Key,
    /// The keys of cards that are in no snapshot any more, by the hashes of their ids.
    left: HashMap<Key, Key>,
    /// Hash of the content that was not put in force, so that the watch does not ask for it again.
    against: Option<Key>,
    watch: Watch,
}

impl Keeper {
    fn run(&mut self, commands: &Receiver<Command>) {
        let look_every = self.around.watch_every.unwrap_or(IDLE);
        let mut until_look = look_every;
        let mut read_count = 0;
        loop {
            let wait = if read_count > 0 {
                FREE_EVERY
            } else {
                look_every
            };
            let wait = wait.min(until_look);
            match commands.recv_timeout(wait) {
                Ok(Command::Reload(confirm, answer)) => {
                    let outcome = self.reload(Trigger::Operator, confirm);
                    // Nobody listens any more where the operator has gone away.
                    let _gone = answer.send(outcome);
                }
                Ok(Command::HangUp) => drop(self.reload(Trigger::Signal, false)),
                Err(RecvTimeoutError::Timeout) => {
                    until_look = until_look.saturating_sub(wait);
                    if until_look.is_zero() {
                        until_look = look_every;
                        self.look();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            read_count = self.snapshots.free_retired();
        }
    }

    fn look(&mut self) {
        if self.around.watch_every.is_none() {
            return;
        }
        match self.watch.look(self.source.stamp()) {
            Look::Nothing => {}
            Look::Read => drop(self.reload(Trigger::Watch, false)),
            Look::Gone => {
                let file = self.source.name();
                tracing::warn!(file, "the snapshot's file is gone; what is in force stays");
                self.around.readiness.set_warning(UNREADABLE);
            }
        }
    }

    /// Reads the file and, where nothing is against it, puts it in force.
    fn reload(&mut self, trigger: Trigger, confirm: bool) -> Outcome {
        let content = match self.source.read_again() {
            Ok(content) => content,
            Err(error) => return self.told(trigger, Outcome::Refused(error.into()), None),
        };
        let digest = content.digest;
        if trigger == Trigger::Watch && self.against == Some(digest) {
            // The same that was refused when somebody asked for it; it was said then.
            return Outcome::Refused(DocumentRefused::default());
        }
        let is_same = digest == self.in_force;
        let is_well = !self.around.readiness.has_any_warning(&WARNINGS);
        if trigger == Trigger::Watch && is_same && is_well {
            // The watch's first look, or a file that was touched only: no news.
            return Outcome::Unchanged(self.version());
        }
        let outcome = if is_same {
            Outcome::Unchanged(self.version())
        } else {
            self.replace(&content, confirm)
        };
        self.told(trigger, outcome, Some(digest))
    }

    fn replace(&mut self, content: &Content, confirm: bool) -> Outcome {
        let before = Arc::clone(&self.snapshots.load());
        let version = before.version() + 1;
        let compiled = self
            .source
            .compile(content, &before, version, &Past::default());
        let next = match compiled {
            Ok(next) => next,
            Err(refused) => return Outcome::Refused(refused),
        };
        if next.is_same_as(&before) {
            return Outcome::Unchanged(before.version());
        }
        let past = match self.past(&next, &before) {
            Ok(past) => past,
            Err(why) => {
                let message = format!("cannot be checked against the ledger: {why}");
                return Outcome::Refused(self.source.as_a_whole(message).into());
            }
        };
        if !past.is_empty() {
            // Once more, to say where they stand.
            let again = self.source.compile(content, &before, version, &past);
            if let Err(refused) = again {
                return Outcome::Refused(refused);
            }
        }
        let impact = before.impact_of(&next, self.around.clock.now());
        if impact.wants_confirmation() && !confirm {
            return Outcome::Unconfirmed(impact);
        }
        self.remember(&next, &before);
        self.snapshots.publish(next);
        Outcome::Published(version)
    }

    fn version(&self) -> u64 {
        self.snapshots.load().version()
    }

    /// Remembers and says what a reload came to.
    fn told(&mut self, trigger: Trigger, outcome: Outcome, digest: Option<Key>) -> Outcome {
        let (file, telemetry) = (self.source.name(), &self.around.telemetry);
        let trigger = trigger.name();
        let (word, warning) = match &outcome {
            Outcome::Published(version) => {
                telemetry.set_snapshot_version(*version);
                tracing::info!(file, version, trigger, "a new snapshot is in force");
                ("published", None)
            }
            Outcome::Unchanged(version) => {
                tracing::info!(file, version, trigger, "the snapshot is unchanged");
                ("unchanged", None)
            }
            Outcome::Refused(DocumentRefused { errors, more_count }) => {
                for error in errors {
                    tracing::error!(%error, trigger, "the snapshot is refused; what is in force stays");
                }
                if *more_count > 0 {
                    tracing::error!(more_count, "and more; see `countersign policy check`");
                }
                let warning = if digest.is_some() {
                    REFUSED
                } else {
                    UNREADABLE
                };
                ("refused", Some(warning))
            }
            Outcome::Unconfirmed(impact) => {
                let Impact {
                    active,
                    declining,
                    empties,
                } = impact;
                let command = &self.around.confirm_command;
                tracing::error!(
                    file,
                    active,
                    declining,
                    empties,
                    trigger,
                    "the snapshot waits for a confirmation, because active cards would newly \
                     decline; what is in force stays. To confirm: {command}"
                );
                ("unconfirmed", Some(UNCONFIRMED))
            }
        };
        telemetry.count_reload(word);
        telemetry.set_snapshot_waiting(warning.is_some());
        for known in WARNINGS {
            if warning == Some(known) {
                self.around.readiness.set_warning(known);
            } else {
                self.around.readiness.clear_warning(known);
            }
        }
        match (&outcome, digest) {
            (Outcome::Published(_) | Outcome::Unchanged(_), Some(digest)) => {
                self.in_force = digest;
                self.against = None;
            }
            (_, digest) => self.against = digest,
        }
        outcome
    }
}

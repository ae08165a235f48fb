//! Joins this process to a ledger that several nodes share (decision 0028).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::app::{StartError, recovery};
use crate::cold::readiness::Readiness;
use crate::config::{
    Config, ConfigError, LedgerStore, SHARED_COPY, SHARED_STAND_IN, StandInConfig,
};
use crate::hot::pipeline::Core;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::embedded::writer::Writer;
use crate::ledger::redis::arming::{self, Named};
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::node::{self, Begin, Trouble};
use crate::ledger::redis::offers::SharedLog;
use crate::ledger::redis::refusal::Refusals;
use crate::ledger::redis::repair::{self, Repaired};
use crate::ledger::redis::setup::{self, Unfit};
use crate::ledger::redis::stand_in::{StandIn, Standing};
use crate::ledger::redis::wire::{Generation, Term};
use crate::telemetry::Telemetry;

/// The word of `/readyz` while Redis may have forgotten something.
const FORGOT: &str = "shared_ledger_forgot";
/// What it warns of while a server of a cluster may have.
const FORGOT_PARTLY: &str = "shared_ledger_forgot_partly";
/// Its word after this node could not keep what the log says.
const NOT_FOLLOWED: &str = "shared_log_not_followed";

/// What `/readyz` warns of while the log does not have all that this node approved by itself.
const UNBOOKED: &str = "stand_in_unbooked";
/// What it warns of once this node's file of that takes nothing more.
const STAND_IN_BROKEN: &str = "stand_in_file";

/// Between two looks at how far the journal is written.
const WRITTEN_PAUSE: Duration = Duration::from_millis(1);

/// Who is told how it goes with the shared log.
pub(super) type Told<'a> = (&'a Arc<Readiness>, &'a Arc<Telemetry>);

/// One node of a shared ledger.
pub(super) struct Node {
    remote: Remote,
    generation: Generation,
    copy: PathBuf,
    stand_in: (PathBuf, Option<StandInConfig>),
}

impl Node {
    /// Looks whether the Redis that the configuration names may be worked with; absent where it names
    /// none.
    ///
    /// # Errors
    /// [`StartError::SharedLog`] says why not.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(remote) = remote(&config.ledger)? else {
            return Ok(None);
        };
        let generation = runtime()?.block_on(setup::examine(&remote));
        let generation = generation.map_err(|why| unfit(&remote, &why))?;
        tracing::info!(%remote, ledger = %generation, "joining a shared ledger");
        let copy = config.data_dir.join(SHARED_COPY);
        let stand_in = config.data_dir.join(SHARED_STAND_IN);
        Ok(Some(Self {
            remote,
            generation,
            copy,
            stand_in: (stand_in, config.stand_in),
        }))
    }

    /// What this node has approved by itself and may approve, read before anybody is answered; absent where
    /// that is nothing.
    ///
    /// # Errors
    /// [`StartError::StandIn`] where its file cannot be trusted.
    pub(super) fn stand_in(
        &self,
        (readiness, telemetry): Told<'_>,
    ) -> Result<Option<Arc<StandIn>>, StartError> {
        let (path, config) = &self.stand_in;
        let (readiness, telemetry) = (Arc::clone(readiness), Arc::clone(telemetry));
        let tell = move |standing: Standing| {
            telemetry.set_stand_in(standing.used, standing.unbooked);
            for (warns, warning) in [
                (standing.unbooked > 0, UNBOOKED),
                (standing.is_broken, STAND_IN_BROKEN),
            ] {
                if warns {
                    readiness.set_warning(warning);
                } else {
                    readiness.clear_warning(warning);
                }
            }
        };
        if let Some(StandInConfig {
            budget,
            nodes,
            most,
        }) = config
        {
            let currency = budget.currency;
            tracing::warn!(
                "while the ledger does not answer each node approves up to {budget} {currency} by itself: \
                 {nodes} nodes may overspend {most} {currency} together"
            );
        }
        let budget = config.map(|it| it.budget);
        let opened = StandIn::open(path, &self.generation, budget, Box::new(tell));
        opened.map_err(|error| StartError::StandIn(path.clone(), error))
    }

    /// What the journal of a node begins with: all that it will hold is in the log.
    pub(super) fn nothing_yet(&self) -> recovery::Recovery {
        let journal = JournalId(self.generation.0);
        recovery::Recovery {
            states: Vec::new(),
            seed: journal.fingerprint_seed(),
            journal,
            next: Cursor::GENESIS,
        }
    }

    /// A ledger that will learn from the log.
    pub(super) fn ledger(&self, writer: &Writer) -> EmbeddedLedger {
        EmbeddedLedger::of_shared_log(writer.share_journal())
    }

    /// Learns what is in the log, and follows it from there.
    ///
    /// # Errors
    /// [`StartError::SharedLog`] where that is not to be had.
    pub(super) fn join(
        &self,
        core: &Core,
        writer: &Arc<Writer>,
        (readiness, telemetry): Told<'_>,
    ) -> Result<SharedLog, StartError> {
        let (kicked, told) = (Arc::clone(writer), Arc::clone(readiness));
        let tell = move |trouble, begins| {
            let reason = match trouble {
                Trouble::Forgot => FORGOT,
                Trouble::NotFollowed => NOT_FOLLOWED,
                // The others' customers are served.
                Trouble::ForgotPartly if begins => return told.set_warning(FORGOT_PARTLY),
                Trouble::ForgotPartly => return told.clear_warning(FORGOT_PARTLY),
            };
            if begins {
                told.set_reason(reason);
            } else {
                told.clear_reason(reason);
            }
        };
        let counts = Arc::clone(telemetry);
        let node = getrandom::u64().map_err(no_randomness)?;
        let begin = Begin {
            remote: self.remote.clone(),
            generation: self.generation.clone(),
            node,
            ledger: Arc::clone(&core.ledger),
            copy: self.copy.clone(),
            kick: Box::new(move || kicked.write_or_kick()),
            tell: Box::new(tell),
            count: Refusals::new(move |code| counts.count_ledger_refusal(code)),
        };
        let log = node::start(begin).map_err(|error| unfit(&self.remote, &error))?;
        are_written(core, writer)?;
        Ok(log)
    }
}

/// Returns once what was learned is in the journal's files, where it is searched for.
fn are_written(core: &Core, writer: &Writer) -> Result<(), StartError> {
    let refused =
        |why: &str| StartError::SharedLog(format!("what the log says is not kept: {why}"));
    let last = core.ledger.barrier();
    let last = last.map_err(|error| refused(&format!("{error:?}")))?;
    loop {
        writer.write_or_kick();
        let published = writer.published();
        if published.poisoned {
            return Err(refused("the journal takes nothing"));
        }
        if published.written >= last {
            return Ok(());
        }
        thread::sleep(WRITTEN_PAUSE);
    }
}

fn remote(store: &LedgerStore) -> Result<Option<Remote>, StartError> {
    let address = store.address().map_err(StartError::Config)?;
    let root = store.root().map_err(StartError::Config)?;
    let opened = address.map(|it| Remote::at(it, root)).transpose();
    opened.map_err(|error| {
        StartError::Config(ConfigError {
            place: "--ledger".to_owned(),
            // What is said of an address alone, without the kind of error that it is to the library.
            message: error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned),
        })
    })
}

fn unfit(remote: &Remote, why: &dyn std::fmt::Display) -> StartError {
    StartError::SharedLog(format!("the Redis at {remote} cannot be used: {why}"))
}

fn no_randomness(error: getrandom::Error) -> StartError {
    let error = io::Error::other(error.to_string());
    StartError::Io("the system gives no randomness", error)
}

fn random() -> Result<[u8; 16], StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

pub(super) fn new_term() -> Result<Term, StartError> {
    random().map(|bytes| Term(u128::from_be_bytes(bytes)))
}

fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::Io("cannot start a runtime", error))
}

/// Begins a ledger in a Redis that holds none. Its name.
///
/// # Errors
/// [`StartError`] says what is in the way.
pub fn found_ledger(store: &LedgerStore) -> Result<String, StartError> {
    let (generation, term) = (Generation(random()?), new_term()?);
    with_remote(store, async |remote| {
        setup::found(remote, &generation, term).await
    })
    .map(|it| it.to_string())
}

/// The ledger of a Redis that may be worked with.
///
/// # Errors
/// [`StartError`] says why it may not be.
pub fn examine_ledger(store: &LedgerStore) -> Result<Generation, StartError> {
    with_remote(store, setup::examine)
}

/// Arms the ledger of a Redis that was started anew, by the word of an operator. Its name.
///
/// # Errors
/// [`StartError`] says what is in the way.
pub fn arm_ledger(store: &LedgerStore, named: &Named) -> Result<String, StartError> {
    let term = new_term()?;
    with_remote(store, async |remote| arming::arm(remote, term, named).await)
        .map(|it| it.to_string())
}

/// Gives a Redis that lost entries back what the node of this data directory has kept of them.
///
/// # Errors
/// [`StartError`] says what is in the way.
pub fn repair_ledger(store: &LedgerStore, data_dir: &Path) -> Result<Repaired, StartError> {
    let copy = data_dir.join(SHARED_COPY);
    with_remote(store, async |remote| repair::repair(remote, &copy).await)
}

pub(super) fn with_remote<T>(
    store: &LedgerStore,
    act: impl AsyncFnOnce(&Remote) -> Result<T, Unfit>,
) -> Result<T, StartError> {
    let missing = || {
        StartError::Config(ConfigError {
            place: "--ledger".to_owned(),
            message:
                "must be redis://HOST:PORT, rediss://HOST:PORT, redis+sentinel://HOST:PORT/NAME or \
                      redis+cluster://HOST:PORT"
                    .to_owned(),
        })
    };
    let remote = remote(store)?.ok_or_else(missing)?;
    let done = runtime()?.block_on(act(&remote));
    done.map_err(|why| {
        if matches!(why, Unfit::Copy(..)) {
            // The Redis is not to blame.
            return StartError::Config(ConfigError {
                place: "--data-dir".to_owned(),
                message: why.to_string(),
            });
        }
        unfit(&remote, &why)
    })
}

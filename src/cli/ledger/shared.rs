//! `countersign ledger found` and `ledger arm`: the ledger that several nodes share.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::app::{StartError, arm_ledger, found_ledger, repair_ledger};
use crate::cli::demo::Failure;
use crate::cli::{Exit, typed};
use crate::config::LedgerStore;
use crate::ledger::redis::arming::{Named, Order};
use crate::ledger::redis::repair::Repaired;

/// Which Redis.
#[derive(Debug, Args)]
pub(super) struct RedisArguments {
    /// The Redis that nodes share: redis://HOST:PORT, or rediss://HOST:PORT under TLS; with sentinels
    /// redis+sentinel://HOST:PORT,HOST:PORT/NAME; of a cluster redis+cluster://HOST:PORT,HOST:PORT
    #[arg(long, env = "COUNTERSIGN_LEDGER", value_name = "STORE", value_parser = typed::ledger, hide_env_values = true)]
    ledger: LedgerStore,
    /// The root of its certificate (PEM) [default: the public ones]
    #[arg(long, env = "COUNTERSIGN_LEDGER_CA", value_name = "FILE")]
    ledger_ca: Option<PathBuf>,
}

impl RedisArguments {
    pub(super) fn store(&self) -> Result<LedgerStore, Failure> {
        let store = self.ledger.clone().with_ca(self.ledger_ca.clone());
        store.map_err(|error| failure(&StartError::Config(error)))
    }
}

/// The same, where there may be none.
#[derive(Debug, Args)]
pub(super) struct OptionalRedis {
    /// The Redis that nodes share, where the database is to belong to its ledger [default: the data
    /// directory's journal]
    #[arg(long, env = "COUNTERSIGN_LEDGER", value_name = "STORE", value_parser = typed::ledger, hide_env_values = true)]
    ledger: Option<LedgerStore>,
    /// The root of its certificate (PEM) [default: the public ones]
    #[arg(long, env = "COUNTERSIGN_LEDGER_CA", value_name = "FILE")]
    ledger_ca: Option<PathBuf>,
}

impl OptionalRedis {
    /// Absent where a journal is meant.
    pub(super) fn store(&self) -> Result<Option<LedgerStore>, Failure> {
        let store = self.ledger.clone().unwrap_or_default();
        let store = store.with_ca(self.ledger_ca.clone());
        let store = store.map_err(|error| failure(&StartError::Config(error)))?;
        Ok(match store {
            LedgerStore::Embedded => None,
            LedgerStore::Shared(_) => Some(store),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct FoundArguments {
    #[command(flatten)]
    redis: RedisArguments,
}

/// Servers beside the primaries.
#[derive(Debug, Args)]
pub(super) struct NamedArguments {
    /// A replica or former primary that cannot be told that it is not armed any more: you have made sure that it is
    /// stopped for good, or was started anew since it was last in use. May be said again
    #[arg(long, value_name = "HOST:PORT", value_parser = NonEmptyStringValueParser::new())]
    without: Vec<String>,
    /// A former primary that runs and follows nobody, so that no other server knows of it: it is told too. May be
    /// said again
    #[arg(long, value_name = "HOST:PORT", value_parser = NonEmptyStringValueParser::new())]
    also: Vec<String>,
}

impl NamedArguments {
    /// For this command.
    pub(super) fn of(&self, order: Order) -> Named {
        Named {
            without: self.without.clone(),
            also: self.also.clone(),
            order,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ArmArguments {
    #[command(flatten)]
    redis: RedisArguments,
    /// You have made sure that this Redis has every approval that it ever acknowledged: it was stopped
    /// in order and has written everything, or it writes every command to its disk before it answers
    /// (`appendfsync always`), or `countersign ledger repair` has given it what every node had kept; and
    /// no other server was in its place meanwhile. If not, limits can be spent twice
    #[arg(long, required = true)]
    nothing_was_lost: bool,
    #[command(flatten)]
    named: NamedArguments,
}

#[derive(Debug, Args)]
pub(super) struct RepairArguments {
    #[command(flatten)]
    redis: RedisArguments,
    /// The data directory of a node; its server may run
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

pub(super) fn repair(arguments: &RepairArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let store = arguments.redis.store()?;
    let repaired = repair_ledger(&store, &arguments.data_dir).map_err(|error| failure(&error))?;
    let Repaired {
        generation,
        put,
        known,
        is_cut_short,
        damaged,
    } = repaired;
    let end = if is_cut_short {
        "; the copy ends within an entry, which its machine lost"
    } else {
        ""
    };
    let written = writeln!(
        out,
        "repaired {generation}: {put} entries put back, {known} were there{end}\n\
         When every node has given what it kept: countersign ledger arm --nothing-was-lost"
    );
    written.map_err(|error| Failure::other(&error))?;
    match damaged {
        None => Ok(Exit::Ok),
        Some((path, error)) => Err(Failure {
            exit: Exit::Corrupt,
            message: format!(
                "--data-dir: {}: {error}. What stands before that was given; what stands behind it is \
                 lost unless another node has kept it",
                path.display()
            ),
        }),
    }
}

pub(super) fn found(arguments: &FoundArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    told(found_ledger(&arguments.redis.store()?), "founded", out)
}

pub(super) fn arm(arguments: &ArmArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let named = arguments.named.of(Order::Arm);
    told(arm_ledger(&arguments.redis.store()?, &named), "armed", out)
}

fn told(
    done: Result<String, StartError>,
    what: &str,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let name = done.map_err(|error| failure(&error))?;
    writeln!(out, "{what} {name}").map_err(|error| Failure::other(&error))?;
    Ok(Exit::Ok)
}

pub(super) fn failure(error: &StartError) -> Failure {
    Failure {
        exit: error.exit(),
        message: error.to_string(),
    }
}

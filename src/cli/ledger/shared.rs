//! `countersign ledger found` and `ledger arm`: the ledger that several nodes share.

use std::io::Write;

use clap::Args;

use crate::app::{StartError, arm_ledger, found_ledger};
use crate::cli::demo::Failure;
use crate::cli::{Exit, typed};
use crate::config::LedgerStore;

#[derive(Debug, Args)]
pub(super) struct FoundArguments {
    /// The Redis that nodes share: redis://HOST:PORT
    #[arg(long, env = "COUNTERSIGN_LEDGER", value_name = "STORE", value_parser = typed::ledger, hide_env_values = true)]
    ledger: LedgerStore,
}

#[derive(Debug, Args)]
pub(super) struct ArmArguments {
    /// The Redis that nodes share: redis://HOST:PORT
    #[arg(long, env = "COUNTERSIGN_LEDGER", value_name = "STORE", value_parser = typed::ledger, hide_env_values = true)]
    ledger: LedgerStore,
    /// You have made sure that this Redis has every approval that it ever acknowledged: it was stopped
    /// in order and has written everything, or it writes every command to its disk before it answers
    /// (`appendfsync always`); and no other server was in its place meanwhile. If not, limits can be
    /// spent twice
    #[arg(long, required = true)]
    nothing_was_lost: bool,
}

pub(super) fn found(arguments: &FoundArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    told(found_ledger(&arguments.ledger), "founded", out)
}

pub(super) fn arm(arguments: &ArmArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    told(arm_ledger(&arguments.ledger), "armed", out)
}

fn told(
    done: Result<String, StartError>,
    what: &str,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let name = done.map_err(|error| Failure {
        exit: error.exit(),
        message: error.to_string(),
    })?;
    writeln!(out, "{what} {name}").map_err(|error| Failure::other(&error))?;
    Ok(Exit::Ok)
}

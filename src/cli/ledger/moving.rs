//! `countersign ledger export` and `ledger import`: a whole ledger moves.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::shared::{NamedArguments, RedisArguments, failure};
use crate::app::{Moved, StartError, export_ledger, import_ledger};
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::ledger::redis::arming::Order;
use crate::ledger::redis::moving::Total;

#[derive(Debug, Args)]
pub(super) struct MoveArguments {
    #[command(flatten)]
    redis: RedisArguments,
    /// The data directory; no server runs on it
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    named: NamedArguments,
}

pub(super) fn export(arguments: &MoveArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let named = arguments.named.of(Order::Export);
    let moved = export_ledger(&arguments.redis.store()?, &arguments.data_dir, &named);
    let next = "the journal stands beside it as journal.moved; start nodes with --ledger";
    told(moved, "exported", next, out)
}

pub(super) fn import(arguments: &MoveArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let named = arguments.named.of(Order::Import);
    let moved = import_ledger(&arguments.redis.store()?, &arguments.data_dir, &named);
    let next = "the Redis approves nothing any more; start one server without --ledger";
    told(moved, "imported", next, out)
}

fn told(
    moved: Result<Moved, StartError>,
    what: &str,
    next: &str,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let moved = moved.map_err(|error| failure(&error))?;
    write(&moved, what, next, out).map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn write(moved: &Moved, what: &str, next: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let Moved {
        ledger,
        entries,
        totals,
    } = moved;
    for total in totals {
        let Total {
            owner,
            cards,
            authorizations,
            approvals,
            held,
            spent,
        } = total;
        writeln!(
            out,
            "{owner}: {cards} cards, {authorizations} authorizations, {approvals} approvals, {held} held, {spent} \
             spent"
        )?;
    }
    let owners = totals.len();
    writeln!(
        out,
        "{what} {ledger}: {entries} entries of {owners} owners, the same on both sides. {next}"
    )
}

//! `countersign policy`: looks into snapshots without a server.

mod check;
mod compare;
mod diff;
mod explain;
mod values;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::config::read_named;
use crate::decide::document::{DocumentError, read_alone};
use crate::decide::snapshot::Snapshot;
use crate::fingerprint::Fingerprinter;

/// Look into snapshots without a server.
#[derive(Args, Clone, Debug)]
pub struct PolicyArguments {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PolicyCommand {
    /// Say everything that is wrong with a snapshot.
    Check(CheckArguments),
    /// Show what is in force on a card, with the level that each value comes from.
    Explain(ExplainArguments),
    /// Show what a snapshot changes for whom. Exits with 1 where it changes something.
    Diff(DiffArguments),
}

#[derive(Args, Clone, Debug)]
struct CheckArguments {
    /// The snapshot (JSON, or JSON lines)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct ExplainArguments {
    /// The card: its id in the snapshot
    #[arg(long, value_name = "ID")]
    card: String,
    /// The snapshot (JSON, or JSON lines) [default: that of the sandbox in ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_SNAPSHOT", value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct DiffArguments {
    /// The snapshot that is in force
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The snapshot that would follow it
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where a file cannot be read, or is wrong and the command needs it right.
pub fn run(args: &PolicyArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &args.command {
        PolicyCommand::Check(args) => check::run(&args.file, args.json, out),
        PolicyCommand::Explain(args) => explain::run(args, out),
        PolicyCommand::Diff(args) => diff::run(args, out),
    }
}

/// Reads a file as a server would, with any issuer connection, or says all that is wrong with it.
fn read(path: &Path) -> Result<Result<Snapshot, Vec<DocumentError>>, Failure> {
    let bytes = read_named(path).map_err(|error| Failure::usage(&error))?;
    // Nothing here outlives the command, so any seed will do.
    let keys = Fingerprinter::new(0);
    Ok(read_alone(&bytes, &path.display().to_string(), &keys))
}

/// The same for a command that can do nothing with a wrong one.
fn read_right(path: &Path) -> Result<Snapshot, Failure> {
    read(path)?.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure {
            message: format!("the snapshot is wrong\n  {}", lines.join("\n  ")),
            exit: Exit::Usage,
        }
    })
}

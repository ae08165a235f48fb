//! `countersign policy`: looks into snapshots without a server.

mod check;
mod compare;
mod diff;
mod explain;
mod replay;
mod values;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand};
use secrecy::SecretString;

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::cold::policies::{read_stdin, read_whole};
use crate::decide::document::{DocumentError, DocumentRefused, read_alone};
use crate::decide::snapshot::Snapshot;
use crate::domain::card::Level;
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
    /// Show what recorded decisions would have been under a policy. Exits with 1 where one would have
    /// been another.
    Replay(ReplayArguments),
    /// Show what a snapshot changes for whom. Exits with 1 where it changes something.
    Diff(DiffArguments),
}

#[derive(Args, Clone, Debug)]
struct CheckArguments {
    /// The snapshot (JSON, or JSON lines); `-` for standard input
    #[arg(value_name = "FILE")]
    file: FileName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct ExplainArguments {
    /// The card: its id in the snapshot
    #[arg(long, value_name = "ID")]
    card: String,
    /// The snapshot (JSON, or JSON lines), `-` for standard input [default: that of the server with
    /// a sandbox that was started last on the data directory]
    #[arg(long, env = "COUNTERSIGN_SNAPSHOT", value_name = "FILE")]
    snapshot: Option<FileName>,
    /// The data directory where no snapshot is named [default: ./countersign-data]
    #[arg(
        long,
        env = "COUNTERSIGN_DATA_DIR",
        value_name = "DIR",
        default_value = "./countersign-data",
        hide_default_value = true
    )]
    data_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct DiffArguments {
    /// The snapshot that is in force; `-` for standard input
    #[arg(value_name = "BEFORE")]
    before: FileName,
    /// The snapshot that would follow it; `-` for standard input
    #[arg(value_name = "AFTER")]
    after: FileName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("subject").required(true))]
struct ReplayArguments {
    /// The policy (JSON)
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The card whose policy it would be
    #[arg(long, value_name = "ID", group = "subject")]
    card: Option<String>,
    /// The agent whose policy it would be
    #[arg(long, value_name = "ID", group = "subject")]
    agent: Option<String>,
    /// The customer whose policy it would be
    #[arg(long, value_name = "ID", group = "subject")]
    customer: Option<String>,
    /// The other rules: a snapshot (JSON, or JSON lines), `-` for standard input [default: those of
    /// the database in the data directory]
    #[arg(long, env = "COUNTERSIGN_SNAPSHOT", value_name = "FILE")]
    snapshot: Option<FileName>,
    /// The data directory, on which no server runs [default: ./countersign-data]
    #[arg(
        long,
        env = "COUNTERSIGN_DATA_DIR",
        value_name = "DIR",
        default_value = "./countersign-data",
        hide_default_value = true
    )]
    data_dir: PathBuf,
    /// The PostgreSQL database, as of `countersign serve` [default: a file in the data directory]
    #[arg(
        long,
        env = "COUNTERSIGN_DATABASE",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    database: Option<SecretString>,
    /// It decides what was received from this instant on
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// And before this one
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl ReplayArguments {
    /// Where the policy would stand.
    fn subject(&self) -> (Level, &str) {
        let card = self.card.as_deref().map(|id| (Level::Card, id));
        let agent = self.agent.as_deref().map(|id| (Level::Agent, id));
        let customer = self.customer.as_deref().unwrap_or_default();
        card.or(agent).unwrap_or((Level::Customer, customer))
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where a file cannot be read, or is wrong and the command needs it right.
pub fn run(args: &PolicyArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &args.command {
        PolicyCommand::Check(args) => check::run(&args.file, args.json, out),
        PolicyCommand::Explain(args) => explain::run(args, out),
        PolicyCommand::Replay(args) => replay::run(args, out),
        PolicyCommand::Diff(args) => diff::run(args, out),
    }
}

/// A snapshot as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileName {
    StandardInput,
    Path(PathBuf),
}

impl FromStr for FileName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::StandardInput,
            path => Self::Path(path.into()),
        })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl FileName {
    /// Reads it as a server would, with any issuer connection, or says all that is wrong with it.
    fn read(&self) -> Result<Snapshot, DocumentRefused> {
        // Nothing here outlives the command, so any seed will do.
        self.read_with(&Fingerprinter::new(0))
    }

    /// The same with the hashes of a data directory.
    fn read_with(&self, keys: &Fingerprinter) -> Result<Snapshot, DocumentRefused> {
        let file = self.to_string();
        let read = match self {
            Self::StandardInput => read_stdin(),
            Self::Path(path) => read_whole(path),
        };
        let bytes = read.map_err(|message| DocumentError {
            file: file.clone(),
            line: None,
            field: String::new(),
            message,
        })?;
        read_alone(&bytes, &file, keys)
    }

    /// The same for a command that can do nothing with a wrong one.
    fn read_right(&self) -> Result<Snapshot, Failure> {
        right(self.read())
    }

    fn read_right_with(&self, keys: &Fingerprinter) -> Result<Snapshot, Failure> {
        right(self.read_with(keys))
    }
}

fn right(read: Result<Snapshot, DocumentRefused>) -> Result<Snapshot, Failure> {
    read.map_err(|refused| {
        let lines = refused.to_string().replace('\n', "\n  ");
        Failure {
            message: format!("the snapshot is wrong\n  {lines}"),
            exit: Exit::Usage,
        }
    })
}

//! The command line: what can be typed, and which function it runs.

pub mod audit;
pub mod decisions;
pub mod demo;
mod desk;
pub mod doctor;
pub mod import;
pub mod init;
pub mod keys;
pub mod ledger;
mod log;
pub mod outbox;
pub mod policy;
pub mod reconcile;
pub mod sandbox;
mod serve;
mod typed;
pub mod user;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// How the process ends (behaviour 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; a server has drained.
    Ok = 0,
    /// Anything that has no number of its own.
    Other = 1,
    /// Flags, configuration or snapshot are wrong.
    Usage = 2,
    /// Another process has the data directory or the database, or the database belongs to another journal.
    InUse = 3,
    /// The journal is corrupt.
    Corrupt = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer authorizations.
    Serve(serve::ServeArguments),
    /// Show what a running server has decided.
    Decisions(decisions::DecisionsArguments),
    /// Ask a running server as an issuer would.
    Sandbox(sandbox::SandboxArguments),
    /// Start a server in a temporary directory, ask it what an issuer would ask, show its answers.
    Demo,
    /// Say what is wrong with clock, disk, limits, configuration and secrets, and what to do.
    Doctor(doctor::DoctorArguments),
    /// Make a customer and an owner's API key, and say what comes next.
    Init(init::InitArguments),
    /// Print or verify the audit log.
    Audit(audit::AuditArguments),
    /// Take over the cards that an issuer had before.
    Import(import::ImportArguments),
    /// The keys that issuers' keys are sealed under.
    Keys(keys::KeysArguments),
    /// Look into a data directory.
    Ledger(ledger::LedgerArguments),
    /// Hold an issuer's list of transactions against our books.
    Reconcile(reconcile::ReconcileArguments),
    /// What issuers are still to be told.
    Outbox(outbox::OutboxArguments),
    /// Print the description of the cards API (OpenAPI 3.1).
    Openapi,
    /// Look into snapshots without a server.
    Policy(policy::PolicyArguments),
    /// The people who may sign in to a running server's pages.
    User(user::UserArguments),
}

/// Runs what was typed.
#[must_use]
pub fn run() -> Exit {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        typed::by_variable(error, &Arguments::command(), std::env::args()).exit()
    });
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Decisions(arguments) => {
            let mut stdout = std::io::stdout().lock();
            let style = demo::page::Style::of_stdout();
            finish(decisions::run(&arguments, &mut stdout, style))
        }
        Command::Sandbox(arguments) => {
            let mut stdout = std::io::stdout().lock();
            let style = demo::page::Style::of_stdout();
            finish(sandbox::run(&arguments, &mut stdout, style))
        }
        Command::Doctor(arguments) => {
            finish(doctor::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::Init(arguments) => finish(init::run(arguments, &mut std::io::stdout().lock())),
        Command::Audit(arguments) => finish(audit::run(arguments, &mut std::io::stdout().lock())),
        Command::Import(arguments) => {
            finish(import::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::Keys(arguments) => finish(keys::run(&arguments, &mut std::io::stdout().lock())),
        Command::Ledger(arguments) => {
            finish(ledger::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::Reconcile(arguments) => {
            finish(reconcile::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::Outbox(arguments) => {
            finish(outbox::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::Policy(arguments) => {
            finish(policy::run(&arguments, &mut std::io::stdout().lock()))
        }
        Command::User(arguments) => finish(user::run(arguments, &mut std::io::stdout().lock())),
        Command::Openapi => finish(openapi()),
        Command::Demo => {
            let mut stdout = std::io::stdout().lock();
            finish(demo::run(
                &mut stdout,
                demo::page::Style::of_stdout(),
                serve::start_for_demo,
            ))
        }
    }
}

fn openapi() -> Result<Exit, demo::Failure> {
    let text = crate::cold::api::openapi::text();
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|error| demo::Failure {
        message: error.to_string(),
        exit: Exit::Other,
    })?;
    Ok(Exit::Ok)
}

/// A failure is told on stderr, plainly: it is the answer to what was typed.
fn finish(result: Result<Exit, demo::Failure>) -> Exit {
    result.unwrap_or_else(|failure| {
        let _closed = writeln!(std::io::stderr(), "countersign: {failure}");
        failure.exit
    })
}

//! Load generator and baselines for countersign.
//!
//! One binary, so that the figures and what they are compared with come from one build. It loads
//! loopback addresses only, and it reports nothing when the server answered wrongly.

mod authorization;
mod baseline;
mod busy;
mod child;
mod cli;
mod clock;
mod compare;
mod config;
mod cores;
mod error;
mod fleet;
mod http;
mod ids;
mod latency;
mod measurement;
mod output;
mod prepared;
mod refusal;
mod report;
mod run;
mod shared;
mod signature;
mod snapshot;
mod tally;
mod target;
mod usage;
mod verdict;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

use baseline::Kind;
use cli::{Baseline, Cli, Command, ConfigArgs, Listen, Mode, RunArgs, SnapshotArgs};
use error::Error;
use run::{Pace, Plan};
use snapshot::Snapshot;
use target::Target;

/// The server's allocator, so that a ratio does not compare allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("loadtest: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), Error> {
    match command {
        Command::Baseline(baseline) => serve_baseline(baseline),
        Command::Snapshot(args) => write_snapshot(&args),
        Command::Config(args) => write_config(&args),
        Command::Run(args) => run_once(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Busy(args) => busy::busy(&args),
        Command::Shared(args) => shared::shared(&args),
    }
}

fn serve_baseline(baseline: Baseline) -> Result<(), Error> {
    let (kind, Listen { listen, core }) = match baseline {
        Baseline::Raw(listen) => (Kind::Raw, listen),
        Baseline::Bare(listen) => (Kind::Bare, listen),
        Baseline::Verified { listen, secret } => (Kind::Verified { secret }, listen),
    };
    core.map_or(Ok(()), cores::pin_current_thread)?;
    baseline::serve(kind, listen)
}

fn write_snapshot(args: &SnapshotArgs) -> Result<(), Error> {
    let snapshot = Snapshot::new(args.fleet.fleet(), &args.connection);
    output::json(&args.out, &snapshot)
}

fn write_config(args: &ConfigArgs) -> Result<(), Error> {
    let text = config::config(&args.connection, &args.secret)?;
    output::file(&args.out, text.as_bytes())
}

fn run_once(args: &RunArgs) -> Result<(), Error> {
    args.core.map_or(Ok(()), cores::pin_current_thread)?;
    cores::raise_open_file_limit();
    let pace = match (args.mode, args.rate) {
        (Mode::Open, Some(per_second)) => Pace::Open { per_second },
        (Mode::Open | Mode::Closed, _) => Pace::Closed,
    };
    let measurement = run::execute(&Plan {
        target: &Target::parse(&args.target)?,
        others: &[],
        secret: &args.secret,
        cards: &fleet::card_tokens(args.cards),
        connections: args.connections,
        pace,
        warmup_s: args.warmup,
        duration_s: args.duration,
        prepared_per_second: args.generator.prepared_per_second,
        seed: args.generator.seed.unwrap_or_else(ids::fresh_seed),
        server: None,
    })?;
    let refusals = refusal::refusals(&measurement, args.generator.approved_percent_min);
    if !refusals.is_empty() {
        return Err(Error::Refused {
            what: args.target.clone(),
            refusals,
        });
    }
    if let Some(path) = &args.json {
        output::json(path, &measurement)?;
    }
    output::line(report::run(&measurement).trim_end())
}

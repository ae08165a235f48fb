//! What changes of cards, or receivers that are down, cost the authorizations beside them.
//!
//! One server whose database rules, with cards made over its API. Runs alternate: authorizations
//! alone, and authorizations while cards are changed over HTTP, so many a second, each at its time.
//! The share of the processor stands beside each figure, because on few cores whoever makes the
//! changes, and the server's threads that carry them out, take it from the rest.

mod api;
mod changes;
mod report;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use serde::Serialize;

use crate::child::{Child, Cores};
use crate::cli::{BusyArgs, Durability};
use crate::cores;
use crate::error::Error;
use crate::ids;
use crate::measurement::Measurement;
use crate::output;
use crate::refusal::{Refusal, refusals};
use crate::run::{self, Pace, Plan};
use crate::usage::Accounts;
use crate::workspace::Workspace;
use api::Cards;
use changes::{Changes, Load};

/// Threads that authorizations wait for: those that answer and those that write the journal.
const HOT: [&str; 2] = ["hot-", "journal"];

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    durability: &'static str,
    cards: u64,
    changes_per_second: Option<u64>,
    /// In place of changes.
    receivers_down: Option<u64>,
    rounds: Vec<Round>,
}

/// Two runs, one after the other.
#[derive(Debug, Serialize)]
struct Round {
    idle: Run,
    busy: Run,
}

/// One run, and where the server's processor time went.
#[derive(Debug, Serialize)]
struct Run {
    authorizations: Measurement,
    /// Of the threads that authorizations wait for, for each of them.
    hot_ns_per_request: u64,
    /// Of all other threads of the server, in hundredths of a core.
    other_percent: u64,
    changes: Option<Changes>,
}

pub(crate) fn busy(args: &BusyArgs) -> Result<(), Error> {
    cores::raise_open_file_limit();
    cores::pin_current_thread(args.generator_core)?;
    let workspace = Workspace::new(&args.work_dir)?;
    let data_dir = workspace.fresh_data_dir()?;
    let owner = api::init(&args.server_bin, &data_dir)?;
    let cores = Cores {
        server: args.server_core,
        generator: args.generator_core,
    };
    let child = Child::start(serve(args, &data_dir), "countersign", &workspace, cores)?;
    if let Some(core) = args.cold_core {
        let is_cold = |name: &str| !HOT.iter().any(|hot| name.starts_with(hot));
        cores::pin_threads(child.pid(), core, is_cold)?;
    }
    let cards = api::cards(&child, &owner, args.cards, &data_dir)?;
    let receivers = match args.receivers_down {
        Some(count) => Some(api::Receivers::down(&child, &owner, count)?),
        None => None,
    };
    let bench = Bench {
        args,
        child: &child,
        cards: Arc::new(cards),
        receivers,
    };
    let rounds = (1..=args.rounds)
        .map(|number| bench.round(number))
        .collect::<Result<Vec<_>, _>>()?;
    child.stop()?;
    let report = Report {
        durability: durability(args.durability),
        cards: args.cards,
        changes_per_second: args.receivers_down.is_none().then_some(args.changes),
        receivers_down: args.receivers_down,
        rounds,
    };
    if let Some(path) = &args.json {
        output::json(path, &report)?;
    }
    output::line(report::text(&report).trim_end())
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Strict => "strict",
        Durability::Relaxed => "relaxed",
    }
}

fn serve(args: &BusyArgs, data_dir: &Path) -> Command {
    let mut command = Command::new(&args.server_bin);
    command.arg("serve").arg("--data-dir").arg(data_dir);
    for listener in ["--issuer-listen", "--listen", "--ops-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.args(["--durability", durability(args.durability)]);
    command
}

/// What all runs share.
struct Bench<'a> {
    args: &'a BusyArgs,
    child: &'a Child,
    cards: Arc<Cards>,
    receivers: Option<api::Receivers>,
}

impl Bench<'_> {
    fn round(&self, number: u64) -> Result<Round, Error> {
        let idle = self.run(number, false)?;
        let busy = self.run(number, true)?;
        let round = Round { idle, busy };
        let name = format!("round {number} of {}", self.args.rounds);
        output::note(&format!("{name}: {}", report::brief(&round)));
        Ok(round)
    }

    fn run(&self, number: u64, is_busy: bool) -> Result<Run, Error> {
        let args = self.args;
        let target = self.child.target("/issuers/sandbox/authorizations")?;
        if let Some(receivers) = &self.receivers {
            receivers.hear(is_busy)?;
        }
        let load = (is_busy && self.receivers.is_none())
            .then(|| {
                let load = Load {
                    address: self.child.api("/")?.address(),
                    per_second: args.changes,
                    clients: args.clients,
                    seconds: args.warmup + args.seconds,
                    core: args.cold_core.unwrap_or(args.generator_core),
                };
                let cards = Arc::clone(&self.cards);
                Ok(thread::spawn(move || changes::make(&load, &cards)))
            })
            .transpose()?;
        let before = Readings::take(self.child.pid());
        let seed = args.generator.seed.unwrap_or_else(ids::fresh_seed);
        let measured = run::execute(&Plan {
            target: &target,
            others: &[],
            secret: &self.cards.secret,
            cards: &self.cards.tokens,
            connections: args.connections,
            pace: args
                .rate
                .map_or(Pace::Closed, |per_second| Pace::Open { per_second }),
            warmup_s: args.warmup,
            duration_s: args.seconds,
            prepared_per_second: args.generator.prepared_per_second,
            seed: seed ^ number << 1 ^ u64::from(is_busy),
            server: Some((self.child.pid(), args.server_core)),
        });
        let after = Readings::take(self.child.pid());
        if is_busy && let Some(receivers) = &self.receivers {
            receivers.check_that_something_waits()?;
        }
        let changes = load.map(|load| load.join()).transpose();
        let changes = changes.map_err(|_panic| Error::Server("a thread broke off".to_owned()))?;
        let changes = changes.transpose()?;
        let authorizations = measured?;
        self.judge(&authorizations, changes.as_ref())?;
        let (hot_ns, other_percent) = after.since(before);
        Ok(Run {
            hot_ns_per_request: hot_ns / authorizations.replies.max(1),
            other_percent: other_percent / (args.warmup + args.seconds).max(1),
            authorizations,
            changes,
        })
    }

    fn judge(&self, run: &Measurement, changes: Option<&Changes>) -> Result<(), Error> {
        let mut found = refusals(run, self.args.generator.approved_percent_min);
        let refused = changes.iter().flat_map(|changes| &changes.refused);
        found.extend(refused.map(|(text, &count)| Refusal::Fault {
            text: format!("a change of a card: {text}"),
            count,
        }));
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            what: "countersign".to_owned(),
            refusals: found,
        })
    }
}

/// Processor time of the server's threads at one moment.
#[derive(Clone, Copy)]
struct Readings {
    hot: Accounts,
    all: Accounts,
}

impl Readings {
    fn take(pid: u32) -> Self {
        let hot = HOT.map(|name| Accounts::of_threads(pid, name).unwrap_or_default());
        Self {
            hot: hot.into_iter().fold(Accounts::default(), Accounts::plus),
            all: Accounts::of_process(pid).unwrap_or_default(),
        }
    }

    /// Nanoseconds of the hot threads; of the others, hundredths of a second.
    fn since(self, earlier: Self) -> (u64, u64) {
        let hot = self.hot.busy_ns_since(earlier.hot);
        let all = self.all.busy_ns_since(earlier.all);
        (hot, all.saturating_sub(hot) / 10_000_000)
    }
}

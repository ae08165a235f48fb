//! The nodes of a run: started on one Redis, loaded together, stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Run;
use super::redis::Redis;
use crate::child::{Child, Cores};
use crate::cli::SharedArgs;
use crate::config;
use crate::error::Error;
use crate::fleet;
use crate::ids;
use crate::measurement::Measurement;
use crate::output;
use crate::refusal::refusals;
use crate::run::{self, Pace, Plan};
use crate::snapshot::Snapshot;
use crate::usage::Accounts;
use crate::workspace::Workspace;

/// Public, and worth nothing: it signs invented authorizations on the loopback interface.
const SECRET: &str = "bG9hZHRlc3QgbG9hZHRlc3QgbG9hZHRlc3QgbG9hZCE=";
const SECRET_VARIABLE: &str = "LOADTEST_ISSUER_SECRET";
pub(super) const CONNECTION: &str = "load";
const ANY_PORT: &str = "127.0.0.1:0";
/// Logs that are looked at for the size of their entries.
const LOGS_LOOKED_AT: usize = 50;
/// Of all that is asked, where there is room.
const APPROVED_PERCENT_MIN: u64 = 99;

/// Begins a ledger.
pub(super) fn found(server_bin: &Path, url: &str) -> Result<(), Error> {
    let mut command = Command::new(server_bin);
    command.args(["ledger", "found", "--ledger", url]);
    let told = command.output();
    let told = told.map_err(Error::io(format!("start {}", server_bin.display())))?;
    if told.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&told.stderr).into_owned();
    Err(Error::Server(why))
}

pub(super) struct Nodes<'a> {
    args: &'a SharedArgs,
    cards: u64,
    children: Vec<Child>,
    data_dirs: Vec<PathBuf>,
}

impl<'a> Nodes<'a> {
    pub(super) fn start(
        args: &'a SharedArgs,
        workspace: &Workspace,
        redis: &Redis,
        snapshot: &Snapshot,
        count: u64,
    ) -> Result<Self, Error> {
        output::json(&workspace.snapshot(), snapshot)?;
        let text = config::config(CONNECTION, &format!("env:{SECRET_VARIABLE}"))?;
        output::file(&workspace.config(), text.as_bytes())?;
        let cores = Cores {
            server: args.server_core,
            generator: args.generator_core,
        };
        let data_dirs = (0..count).map(|_| workspace.fresh_data_dir());
        let data_dirs = data_dirs.collect::<Result<Vec<_>, Error>>()?;
        let start = |data_dir: &PathBuf| {
            let command = serve(args, (workspace, data_dir), redis);
            Child::start(command, "countersign", workspace, cores)
        };
        Ok(Self {
            args,
            cards: args.fleet.cards,
            children: data_dirs.iter().map(start).collect::<Result<_, Error>>()?,
            data_dirs,
        })
    }

    /// Of the first one.
    pub(super) fn data_dir(&self) -> Result<&Path, Error> {
        let first = self.data_dirs.first().map(PathBuf::as_path);
        first.ok_or_else(|| Error::Usage("there is no node".to_owned()))
    }

    /// Bytes of memory of all of them.
    pub(super) fn resident(&self) -> Result<u64, Error> {
        let each = self.children.iter().map(|child| resident(child.pid()));
        each.sum()
    }

    pub(super) fn stop(self) -> Result<(), Error> {
        self.children.into_iter().try_for_each(Child::stop)
    }

    /// So many connections, spread over all nodes.
    pub(super) fn measure(&self, connections: u64, warmup_s: u64) -> Result<Measurement, Error> {
        let path = format!("/issuers/{CONNECTION}/authorizations");
        let targets = self.children.iter().map(|child| child.target(&path));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let [first, others @ ..] = &*targets else {
            return Err(Error::Usage("there is no node".to_owned()));
        };
        let generator = self.args.generator;
        run::execute(&Plan {
            target: first,
            others,
            secret: SECRET,
            cards: &fleet::card_tokens(self.cards),
            connections,
            pace: Pace::Closed,
            warmup_s,
            duration_s: self.args.seconds,
            prepared_per_second: generator.prepared_per_second,
            seed: generator.seed.unwrap_or_else(ids::fresh_seed),
            server: None,
        })
    }

    /// The same, with what it cost; refused where an answer was wrong.
    pub(super) fn load(&self, redis: &Redis, connections: u64) -> Result<Run, Error> {
        redis.forget_figures()?;
        let memory = redis.memory()?;
        let before = (redis.accounts(), self.accounts());
        let measured = self.measure(connections, self.args.warmup)?;
        let redis_ns = redis.accounts().busy_ns_since(before.0);
        let nodes_ns = self.accounts().busy_ns_since(before.1);
        let calls = redis.calls()?;
        let found = refusals(&measured, APPROVED_PERCENT_MIN);
        if !found.is_empty() {
            return Err(Error::Refused {
                what: "countersign".to_owned(),
                refusals: found,
            });
        }
        let decisions = measured.replies.max(1);
        Ok(Run {
            per_second: measured.requests_per_second,
            decisions,
            latency: measured.latency,
            redis_ns: redis_ns / decisions,
            nodes_ns: nodes_ns / decisions,
            generator_percent: measured.generator.map_or(0, |it| it.busy_percent),
            calls,
            entry_size: entry_size(redis)?,
            redis_bytes: redis.memory()?.saturating_sub(memory) / decisions,
        })
    }

    fn accounts(&self) -> Accounts {
        let each = self.children.iter();
        let each = each.map(|child| Accounts::of_process(child.pid()).unwrap_or_default());
        each.fold(Accounts::default(), Accounts::plus)
    }
}

/// Of a log's entries, in the median.
fn entry_size(redis: &Redis) -> Result<u64, Error> {
    let mut sizes = Vec::new();
    for log in redis.logs()?.iter().take(LOGS_LOOKED_AT) {
        sizes.extend(redis.entry_sizes(log)?);
    }
    Ok(crate::compare::median(sizes.into_iter()))
}

fn resident(pid: u32) -> Result<u64, Error> {
    let told = fs::read_to_string(format!("/proc/{pid}/status"));
    let told = told.map_err(Error::io("read what a node holds in memory"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024)
        .ok_or_else(|| Error::Server("a node's memory is not told".to_owned()))
}

fn serve(args: &SharedArgs, (workspace, data_dir): (&Workspace, &Path), redis: &Redis) -> Command {
    let mut command = Command::new(&args.server_bin);
    command
        .arg("serve")
        .arg("--config")
        .arg(workspace.config())
        .arg("--snapshot")
        .arg(workspace.snapshot())
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--ledger", &redis.url(), "--durability", "relaxed"])
        .env(SECRET_VARIABLE, SECRET);
    for listener in ["--issuer-listen", "--listen", "--ops-listen"] {
        command.args([listener, ANY_PORT]);
    }
    command
}

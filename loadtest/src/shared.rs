//! What a ledger costs that several nodes share in one Redis, and whether it is exact.
//!
//! Its floor is the same function, called over as many connections in the same way, without
//! anybody deciding anything: what Redis itself can take on this machine. All processes share few
//! cores here, so that processor time for a decision says more about other machines than
//! throughput does, and both are reported.

mod floor;
mod naive;
mod nodes;
mod rebuild;
mod redis;
mod report;
mod resp;

use serde::Serialize;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::cli::{SharedArgs, SharedWhat};
use crate::cores;
use crate::error::Error;
use crate::latency::Quantiles;
use crate::output;
use crate::snapshot::Snapshot;
use crate::workspace::Workspace;
use floor::{Floor, Growth};
use nodes::Nodes;
use rebuild::Rebuild;
use redis::{Calls, Redis};

/// All that was measured; absent what was not asked for.
#[derive(Debug, Default, Serialize)]
struct Report {
    connections: u64,
    cards: u64,
    customers: u64,
    append_only: bool,
    rounds: Vec<Round>,
    alone: Option<(Run, Run)>,
    growth: Option<Growth>,
    exactness: Vec<Exactness>,
    rebuilds: Vec<Rebuild>,
}

/// One number of nodes: they, and as many connections without them.
#[derive(Debug, Serialize)]
struct Round {
    nodes: u64,
    countersign: Run,
    floor: Run,
}

/// One run.
#[derive(Debug, Default, Serialize)]
struct Run {
    per_second: u64,
    decisions: u64,
    latency: Quantiles,
    /// Processor time for a decision, of Redis and of all nodes together.
    redis_ns: u64,
    nodes_ns: u64,
    /// In hundredths of a core.
    generator_percent: u64,
    calls: Calls,
    /// Bytes of an entry in the log, in the median.
    entry_size: u64,
    /// More memory of Redis for an entry.
    redis_bytes: u64,
}

/// Who was asked for more than there was room for.
#[derive(Debug, Serialize)]
struct Exactness {
    who: &'static str,
    room: u64,
    asked: u64,
    approved: u64,
}

pub(crate) fn shared(args: &SharedArgs) -> Result<(), Error> {
    cores::raise_open_file_limit();
    cores::pin_current_thread(args.generator_core)?;
    let workspace = Workspace::new(&args.work_dir)?;
    let bench = Bench {
        args,
        workspace: &workspace,
    };
    let mut report = Report {
        connections: args.connections,
        cards: args.fleet.cards,
        customers: args.fleet.customers,
        append_only: args.append_only,
        ..Report::default()
    };
    match args.what {
        SharedWhat::Throughput => {
            for number in 1..=args.rounds {
                for nodes in 1..=args.nodes {
                    report.rounds.push(bench.round(nodes)?);
                }
                output::note(&format!("round {number} of {}", args.rounds));
            }
            report.alone = Some(bench.alone()?);
        }
        SharedWhat::Memory => report.growth = Some(bench.growth()?),
        SharedWhat::Rebuild => {
            for _ in 0..args.rounds {
                report.rebuilds.push(bench.rebuild()?);
            }
        }
        SharedWhat::Exactness => {
            for _ in 0..args.rounds {
                report.exactness.push(bench.ours()?);
                report.exactness.push(bench.theirs()?);
            }
        }
    }
    if let Some(path) = &args.json {
        output::json(path, &report)?;
    }
    output::line(report::text(&report).trim_end())
}

struct Bench<'a> {
    args: &'a SharedArgs,
    workspace: &'a Workspace,
}

impl Bench<'_> {
    /// A Redis in which a ledger was founded.
    fn founded(&self) -> Result<Redis, Error> {
        let args = self.args;
        let redis = Redis::start(args, self.workspace)?;
        nodes::found(&args.server_bin, &redis.url())?;
        Ok(redis)
    }

    /// In turn within a round, on what is the same machine for both.
    fn round(&self, nodes: u64) -> Result<Round, Error> {
        let countersign = self.countersign(nodes, self.args.connections)?;
        let per_node = self.args.connections.div_ceil(nodes);
        let floor = self.floor(nodes, per_node, countersign.entry_size)?;
        Ok(Round {
            nodes,
            countersign,
            floor,
        })
    }

    /// One client, which waits for each answer: what one decision takes, and one call.
    fn alone(&self) -> Result<(Run, Run), Error> {
        let countersign = self.countersign(1, 1)?;
        let floor = self.floor(1, 1, countersign.entry_size)?;
        Ok((countersign, floor))
    }

    fn countersign(&self, nodes: u64, connections: u64) -> Result<Run, Error> {
        let redis = self.founded()?;
        let fleet = self.args.fleet.fleet();
        let snapshot = Snapshot::new(fleet, nodes::CONNECTION);
        let nodes = Nodes::start(self.args, self.workspace, &redis, &snapshot, nodes)?;
        let run = nodes.load(&redis, connections)?;
        nodes.stop()?;
        Ok(run)
    }

    fn floor(&self, connections: u64, in_flight: u64, entry_size: u64) -> Result<Run, Error> {
        let redis = self.founded()?;
        let floor = Floor {
            args: self.args,
            redis: &redis,
            connections,
            in_flight,
            entry_size,
        };
        block_on(floor.run())
    }

    fn growth(&self) -> Result<Growth, Error> {
        let redis = self.founded()?;
        block_on(floor::growth(&redis, self.args))
    }

    /// All nodes, and more authorizations than there is room for.
    fn ours(&self) -> Result<Exactness, Error> {
        let redis = self.founded()?;
        let fleet = self.args.fleet.fleet().of_one_customer();
        let snapshot = Snapshot::with_room(fleet, nodes::CONNECTION, self.args.room);
        let count = self.args.nodes;
        let nodes = Nodes::start(self.args, self.workspace, &redis, &snapshot, count)?;
        let measured = nodes.measure(self.args.connections, 0)?;
        nodes.stop()?;
        Ok(Exactness {
            who: "countersign",
            room: self.args.room,
            asked: measured.replies,
            approved: measured.approved,
        })
    }

    fn theirs(&self) -> Result<Exactness, Error> {
        let redis = self.founded()?;
        block_on(naive::race(&redis, self.args.connections, self.args.room))
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("start the runtime"))?;
    LocalSet::new().block_on(&runtime, work)
}

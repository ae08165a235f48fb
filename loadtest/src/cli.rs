//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::fleet::Fleet;

/// Load generator and baselines for countersign.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a floor to compare with
    #[command(subcommand)]
    Baseline(Baseline),
    /// Write a policy snapshot for the generator's cards
    Snapshot(SnapshotArgs),
    /// Write the configuration that goes with the snapshot
    Config(ConfigArgs),
    /// Load one server and report, or refuse to
    Run(RunArgs),
    /// Load the baselines and countersign in turn, and compare
    Compare(CompareArgs),
    /// Load countersign alone and with changes of cards beside it, in turn, and compare
    Busy(BusyArgs),
    /// Load nodes that share a ledger in one Redis, and compare with what Redis itself can take
    Shared(SharedArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Baseline {
    /// TCP alone: the ceiling of the generator
    Raw(Listen),
    /// hyper alone
    Bare(Listen),
    /// hyper, HMAC and a typed parse, and nothing else
    Verified {
        #[command(flatten)]
        listen: Listen,
        /// Base64, with or without `whsec_`
        #[arg(long)]
        secret: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// Port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Pin to this core
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// How many of each there are.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct FleetArgs {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cards: u64,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) agents: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) customers: u64,
}

impl FleetArgs {
    pub(crate) fn fleet(self) -> Fleet {
        let Self {
            cards,
            agents,
            customers,
        } = self;
        Fleet {
            cards,
            agents,
            customers,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Name of the issuer connection
    #[arg(long, default_value = "load")]
    pub(crate) connection: String,
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[arg(long, default_value = "load")]
    pub(crate) connection: String,
    /// Where the server finds the secret: env:NAME or file:PATH
    #[arg(long)]
    pub(crate) secret: String,
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each connection sends as soon as it has its reply
    Closed,
    /// Each request has its own time, from which its latency counts
    Open,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// http://127.0.0.1:PORT/issuers/NAME/authorizations
    #[arg(long)]
    pub(crate) target: String,
    /// Base64, with or without `whsec_`
    #[arg(long)]
    pub(crate) secret: String,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cards: u64,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connections: u64,
    #[arg(long, value_enum, default_value = "closed")]
    pub(crate) mode: Mode,
    /// Requests per second of an open loop
    #[arg(long, required_if_eq("mode", "open"), value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Measured seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration: u64,
    /// Seconds before them that are sent and checked but not measured
    #[arg(long, default_value_t = 1)]
    pub(crate) warmup: u64,
    /// Core of the generator
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Write the figures as JSON to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) generator: GeneratorArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct GeneratorArgs {
    /// Refuse to report when fewer are approved
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) approved_percent_min: u64,
    /// Requests that a closed loop prepares for each second (about 170 bytes each)
    #[arg(long, default_value_t = 150_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) prepared_per_second: u64,
    /// Repeat a run exactly; otherwise each run has its own tokens
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    Strict,
    Relaxed,
}

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The countersign binary
    #[arg(long)]
    pub(crate) server_bin: PathBuf,
    #[arg(long, value_enum, default_value = "relaxed")]
    pub(crate) durability: Durability,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) rounds: u64,
    /// Strict durability scales this with the measured fdatasync
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    pub(crate) connections: u64,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds before them that are not measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warmup: u64,
    /// Repeat a run in which others had more than 5 % of a core, at most so often
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=20))]
    pub(crate) retries: u64,
    /// Report all the same when the repetitions were disturbed too; for trying things out
    #[arg(long)]
    pub(crate) allow_disturbed: bool,
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
    /// Where the data directories are made; the disk under it is the one measured
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
    /// Write all figures as JSON to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) generator: GeneratorArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BusyArgs {
    /// The countersign binary
    #[arg(long)]
    pub(crate) server_bin: PathBuf,
    #[arg(long, value_enum, default_value = "relaxed")]
    pub(crate) durability: Durability,
    /// Pairs of runs: one without changes, one with them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) rounds: u64,
    /// Connections of the hot load
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    pub(crate) connections: u64,
    /// Authorizations a second of an open loop; without it the loop is closed
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Cards, made over the API before the first run
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) cards: u64,
    /// Changes of cards a second, each over HTTP, at their times
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) changes: u64,
    /// Connections that make them
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub(crate) clients: u64,
    /// In place of changes: webhooks that hear of every decision, whose receivers are down
    #[arg(
        long,
        conflicts_with_all = ["changes", "clients"],
        value_parser = clap::value_parser!(u64).range(1..=16)
    )]
    pub(crate) receivers_down: Option<u64>,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds before them that are not measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warmup: u64,
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
    /// The core of whoever makes changes, and of the server's threads but for those that answer
    /// authorizations and write the journal; without it, those are on the server's core, and whoever
    /// makes changes is on the generator's
    #[arg(long)]
    pub(crate) cold_core: Option<usize>,
    /// Where the data directory is made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
    /// Write all figures as JSON to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) generator: GeneratorArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SharedWhat {
    /// Decisions a second of 1 to `--nodes` nodes, beside as many connections that only append
    Throughput,
    /// Memory of Redis for logs and entries
    Memory,
    /// More is asked for than there is room for, of all nodes and of clients that get and increment
    Exactness,
    /// A Redis that lost everything gets it back from a node's copy, and a node begins with that
    Rebuild,
}

#[derive(Args, Debug)]
pub(crate) struct SharedArgs {
    #[arg(value_enum, default_value = "throughput")]
    pub(crate) what: SharedWhat,
    /// The countersign binary
    #[arg(long)]
    pub(crate) server_bin: PathBuf,
    #[arg(long, default_value = "redis-server")]
    pub(crate) redis_bin: PathBuf,
    /// Have Redis write every command to its disk before it answers
    #[arg(long)]
    pub(crate) append_only: bool,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=16))]
    pub(crate) nodes: u64,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) rounds: u64,
    /// Over all nodes
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    pub(crate) connections: u64,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// How many approvals there is room for
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) room: u64,
    /// Bytes of an entry whose memory is measured; the nodes' own stand in the figures of throughput
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(49..=100_000))]
    pub(crate) entry_size: u64,
    /// Measured seconds of each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds before them that are not measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warmup: u64,
    /// Of all nodes
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) redis_core: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
    /// Where the data directories are made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
    /// Write all figures as JSON to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) generator: GeneratorArgs,
}

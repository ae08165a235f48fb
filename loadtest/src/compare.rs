//! The one command behind the published figures: both floors and countersign, in turn, on two cores.
//!
//! Each run has a fresh process and a fresh data directory, so that no round profits from another.
//! The ratio is taken within a round, where the machine was the same for both, and the median of
//! the rounds is reported.

mod disk;
mod machine;
mod report;
mod subject;

use serde::Serialize;

use crate::child::{Child, Cores};
use crate::cli::{CompareArgs, Durability};
use crate::cores;
use crate::error::Error;
use crate::fleet;
use crate::ids;
use crate::measurement::Measurement;
use crate::output;
use crate::refusal::{Refusal, refusals};
use crate::run::{self, Pace, Plan};
use crate::workspace::Workspace;
use disk::Disk;
use machine::Machine;
use subject::{SECRET, Subject};

/// The middle value; of an even number, the lower of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = u64>) -> u64 {
    report::median(values)
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Comparison {
    machine: Machine,
    durability: &'static str,
    disk: Disk,
    connections: u64,
    cards: u64,
    rounds: Vec<Round>,
    open_loop_per_second: u64,
    open_loop: Vec<(Subject, Measurement)>,
}

/// One closed-loop run of each, in this order.
#[derive(Debug, Serialize)]
struct Round {
    bare: Measurement,
    verified: Measurement,
    countersign: Measurement,
}

pub(crate) fn compare(args: &CompareArgs) -> Result<(), Error> {
    cores::raise_open_file_limit();
    cores::pin_current_thread(args.generator_core)?;
    let workspace = Workspace::new(&args.work_dir)?;
    let disk = disk::measure(workspace.path())?;
    let connections = match args.durability {
        Durability::Relaxed => args.connections,
        Durability::Strict => disk::connections(args.connections, disk.fdatasync_p50_ns),
    };
    let bench = Bench {
        args,
        workspace: &workspace,
        connections,
    };
    bench.write_inputs()?;

    let rounds = (1..=args.rounds)
        .map(|number| bench.round(number))
        .collect::<Result<Vec<_>, _>>();
    let rounds = rounds?;
    let capacity = report::median(
        rounds
            .iter()
            .map(|round| round.countersign.requests_per_second),
    );
    let open_loop_per_second = (capacity / 2).max(1);
    let comparison = Comparison {
        machine: Machine::of_this(),
        durability: subject::durability(args.durability),
        disk,
        connections,
        cards: args.fleet.cards,
        open_loop: bench.open_loop(open_loop_per_second)?,
        open_loop_per_second,
        rounds,
    };
    if let Some(path) = &args.json {
        output::json(path, &comparison)?;
    }
    output::line(report::comparison(&comparison).trim_end())
}

/// What all runs of a comparison share.
struct Bench<'a> {
    args: &'a CompareArgs,
    workspace: &'a Workspace,
    connections: u64,
}

impl Bench<'_> {
    fn write_inputs(&self) -> Result<(), Error> {
        output::json(
            &self.workspace.snapshot(),
            &subject::snapshot(self.args.fleet),
        )?;
        output::file(&self.workspace.config(), subject::config()?.as_bytes())
    }

    fn round(&self, number: u64) -> Result<Round, Error> {
        let closed = |subject| {
            let measurement = self.measure(subject, Pace::Closed, number)?;
            output::note(&format!(
                "round {number} of {}: {:<12} {}",
                self.args.rounds,
                subject.name(),
                report::brief(&measurement)
            ));
            Ok(measurement)
        };
        Ok(Round {
            bare: closed(Subject::Bare)?,
            verified: closed(Subject::Verified)?,
            countersign: closed(Subject::Countersign)?,
        })
    }

    /// The floor at the same rate shows how much of the latency is the machine's.
    fn open_loop(&self, per_second: u64) -> Result<Vec<(Subject, Measurement)>, Error> {
        let subjects = [Subject::Verified, Subject::Countersign];
        subjects
            .into_iter()
            .map(|subject| {
                let measurement = self.measure(subject, Pace::Open { per_second }, 0)?;
                let brief = report::brief(&measurement);
                output::note(&format!("open loop: {:<12} {brief}", subject.name()));
                Ok((subject, measurement))
            })
            .collect()
    }

    /// A run that the machine disturbed is repeated, and in the end refused. The rule looks at who
    /// had the cores and not at the figures, so it favours nobody.
    fn measure(&self, subject: Subject, pace: Pace, number: u64) -> Result<Measurement, Error> {
        let name = subject.name();
        let mut attempts_left = self.args.retries;
        loop {
            let measurement = self.attempt(subject, pace, number)?;
            let Some(percent) = measurement.disturbed_percent() else {
                return Ok(measurement);
            };
            if attempts_left > 0 {
                attempts_left -= 1;
                output::note(&format!(
                    "{name}: repeated, because others had {percent} % of a core"
                ));
            } else if self.args.allow_disturbed {
                return Ok(measurement);
            } else {
                let refusals = vec![Refusal::Disturbed { percent }];
                return Err(Error::Refused {
                    what: name.to_owned(),
                    refusals,
                });
            }
        }
    }

    /// Starts the subject, loads it, stops it, and believes the figures or not.
    fn attempt(&self, subject: Subject, pace: Pace, number: u64) -> Result<Measurement, Error> {
        let (args, generator) = (self.args, self.args.generator);
        let data_dir = self.workspace.fresh_data_dir()?;
        let command = subject.command(args, self.workspace, &data_dir)?;
        let cores = Cores {
            server: args.server_core,
            generator: args.generator_core,
        };
        let child = Child::start(command, subject.name(), self.workspace, cores)?;
        let target = child.target(&subject::path())?;
        let seed = generator
            .seed
            .map_or_else(ids::fresh_seed, |seed| seed ^ number);
        let measurement = run::execute(&Plan {
            target: &target,
            others: &[],
            secret: SECRET,
            cards: &fleet::card_tokens(args.fleet.cards),
            connections: self.connections,
            pace,
            warmup_s: args.warmup,
            duration_s: args.seconds,
            prepared_per_second: generator.prepared_per_second,
            seed,
            server: Some((child.pid(), args.server_core)),
        })?;
        child.stop()?;
        self.workspace.remove(&data_dir);
        let refusals = refusals(&measurement, generator.approved_percent_min);
        if refusals.is_empty() {
            Ok(measurement)
        } else {
            Err(Error::Refused {
                what: subject.name().to_owned(),
                refusals,
            })
        }
    }
}

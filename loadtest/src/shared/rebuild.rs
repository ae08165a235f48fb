//! What it takes to give a Redis that lost everything back what a node has kept of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::Bench;
use super::nodes::{self, Nodes};
use super::redis::Redis;
use crate::clock::Clock;
use crate::error::Error;
use crate::output;
use crate::snapshot::Snapshot;

/// One rebuild.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Rebuild {
    /// What the log held: cards that were used, and entries.
    cards: u64,
    entries: u64,
    copy_bytes: u64,
    repair_ms: u64,
    arm_ms: u64,
    /// Until a node that knows nothing has learned everything and answers.
    start_ms: u64,
    redis_bytes: u64,
    node_bytes: u64,
}

impl Rebuild {
    /// For people.
    pub(super) fn line(&self) -> String {
        let per_second = |ms: u64| self.entries.saturating_mul(1_000) / ms.max(1);
        let mib = |bytes: u64| bytes / (1 << 20);
        format!(
            "{} cards were used, {} entries, a copy of {} MiB\nrepair: {} ms ({} entries a second); arm: {} ms; \
             start of a node: {} ms ({} entries a second)\nmemory: Redis {} MiB, the node {} MiB",
            self.cards,
            self.entries,
            mib(self.copy_bytes),
            self.repair_ms,
            per_second(self.repair_ms),
            self.arm_ms,
            self.start_ms,
            per_second(self.start_ms),
            mib(self.redis_bytes),
            mib(self.node_bytes),
        )
    }
}

impl Bench<'_> {
    /// A node decides, Redis loses everything, and is repaired from what the node has kept.
    pub(super) fn rebuild(&self) -> Result<Rebuild, Error> {
        let snapshot = Snapshot::new(self.args.fleet.fleet(), nodes::CONNECTION);
        let before = self.founded()?;
        let nodes = Nodes::start(self.args, self.workspace, &before, &snapshot, 1)?;
        nodes.measure(self.args.connections, 0)?;
        let data_dir = nodes.data_dir()?.to_owned();
        nodes.stop()?;
        drop(before);
        output::note("the log is there; Redis begins anew");
        let mut rebuilt = Rebuild {
            copy_bytes: size_of_copy(&data_dir)?,
            ..Rebuild::default()
        };
        let (_, told) = self.act(&["verify"], Some(&data_dir), None)?;
        rebuilt.cards = counted(&told, "cards opened")?;
        rebuilt.entries = counted(&told, "frames")?;
        let redis = Redis::start(self.args, self.workspace)?;
        let url = redis.url();
        rebuilt.repair_ms = self.act(&["repair"], Some(&data_dir), Some(&url))?.0;
        rebuilt.arm_ms = self
            .act(&["arm", "--nothing-was-lost"], None, Some(&url))?
            .0;
        let since = Clock::start();
        let nodes = Nodes::start(self.args, self.workspace, &redis, &snapshot, 1)?;
        rebuilt.start_ms = millis(since);
        rebuilt.redis_bytes = redis.memory()?;
        rebuilt.node_bytes = nodes.resident()?;
        nodes.stop()?;
        Ok(rebuilt)
    }

    /// One `ledger` command: how many milliseconds it took, and what it said.
    fn act(
        &self,
        words: &[&str],
        data_dir: Option<&Path>,
        ledger: Option<&str>,
    ) -> Result<(u64, String), Error> {
        let server = &self.args.server_bin;
        let mut command = Command::new(server);
        command.arg("ledger").args(words);
        if let Some(data_dir) = data_dir {
            command.arg("--data-dir").arg(data_dir);
        }
        if let Some(ledger) = ledger {
            command.args(["--ledger", ledger]);
        }
        let since = Clock::start();
        let told = command.output();
        let took = millis(since);
        let told = told.map_err(Error::io(format!("start {}", server.display())))?;
        if !told.status.success() {
            let why = String::from_utf8_lossy(&told.stderr).into_owned();
            return Err(Error::Server(why));
        }
        Ok((took, String::from_utf8_lossy(&told.stdout).into_owned()))
    }
}

fn millis(since: Clock) -> u64 {
    since.now_ns() / 1_000_000
}

/// The number behind a name at the beginning of a line.
fn counted(told: &str, name: &str) -> Result<u64, Error> {
    let lines = told.lines().map(str::trim_start);
    let mut found = lines.filter_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    let number = found.next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| Error::Server(format!("`ledger verify` says nothing of {name}")))
}

fn size_of_copy(data_dir: &Path) -> Result<u64, Error> {
    let copy = data_dir.join("shared-log");
    let size = fs::metadata(&copy).map(|it| it.len());
    size.map_err(Error::io(format!("look at {}", copy.display())))
}

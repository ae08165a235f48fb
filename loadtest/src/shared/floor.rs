//! The same function in the same Redis, without anybody deciding.
//!
//! Each connection stands for a node: it hears what all append, as nodes do, and has so many
//! commands under way. Its logs are its own, so that it never races.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::Run;
use super::redis::{Calls, Redis, memory};
use super::resp::{Line, Value, put};
use crate::cli::SharedArgs;
use crate::clock::Clock;
use crate::error::Error;
use crate::latency::Latency;
use crate::usage::Accounts;

const SECOND_NS: u64 = 1_000_000_000;
const BUCKETS: u64 = 1_024;
/// Of an entry: its identity stands behind the first byte.
const ID: std::ops::Range<usize> = 1..17;
/// Entries of an answer at most, as nodes say it.
const PAGE_LEN: &[u8] = b"256";
/// Of growth: logs, and how long each becomes.
const LOGS: u64 = 2_000;
const LOG_LEN: u64 = 100;

pub(super) struct Floor<'a> {
    pub(super) args: &'a SharedArgs,
    pub(super) redis: &'a Redis,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) entry_size: u64,
}

/// What a longer log costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Growth {
    pub(super) entry_size: u64,
    /// Memory of Redis for a customer's log with one entry, and for each entry after that.
    pub(super) first: u64,
    pub(super) more: u64,
}

/// The ledger in a Redis, by its own words.
#[derive(Clone)]
struct Ledger {
    append: String,
    generation: String,
    channel: String,
}

impl Ledger {
    async fn of(line: &mut Line) -> Result<Self, Error> {
        let generation = line.ask(&[b"GET", b"countersign:ledger"]).await?.text();
        let listed = line.ask(&[b"FUNCTION", b"LIST"]).await?;
        let Value::Items(libraries) = listed else {
            return Err(Error::Server("Redis has no functions".to_owned()));
        };
        let library = libraries.iter().find_map(|library| {
            if let Value::Items(said) = library {
                return said.get(1).map(Value::text);
            }
            None
        });
        let library = library.ok_or_else(|| Error::Server("no library is there".to_owned()))?;
        Ok(Self {
            append: format!("{library}_append"),
            channel: format!("countersign:{generation}"),
            generation,
        })
    }
}

/// One log, as its only writer knows it.
struct Log {
    number: u64,
    len: u64,
    last: [u8; 16],
}

impl Log {
    /// The command that appends the next entry.
    fn append(&mut self, ledger: &Ledger, entry_size: u64, into: &mut Vec<u8>) {
        let bucket = self.number % BUCKETS;
        let record = format!("countersign:{{{bucket}}}");
        let log = format!("{record}:{:032x}", self.number);
        let mut entry = vec![7; usize::try_from(entry_size).unwrap_or(0).max(ID.end)];
        let id = (u128::from(self.number) << 64 | u128::from(self.len + 1)).to_le_bytes();
        if let Some(place) = entry.get_mut(ID) {
            place.copy_from_slice(&id);
        }
        put(
            into,
            &[
                b"FCALL",
                ledger.append.as_bytes(),
                b"2",
                record.as_bytes(),
                log.as_bytes(),
                ledger.generation.as_bytes(),
                self.len.to_string().as_bytes(),
                &self.last,
                PAGE_LEN,
                ledger.channel.as_bytes(),
                &u128::from(self.number).to_be_bytes(),
                &entry,
            ],
        );
        self.last = id;
        self.len += 1;
    }
}

impl Floor<'_> {
    pub(super) async fn run(&self) -> Result<Run, Error> {
        let ledger = Ledger::of(&mut Line::to(self.redis.address()).await?).await?;
        let seconds = self.args.warmup + self.args.seconds;
        let tally = Rc::new(RefCell::new(Tally {
            clock: Clock::start(),
            begins_ns: self.args.warmup * SECOND_NS,
            ends_ns: seconds * SECOND_NS,
            count: 0,
            latency: Latency::new()?,
        }));
        let mut running = JoinSet::new();
        for connection in 0..self.connections {
            let mut line = Line::to(self.redis.address()).await?;
            line.ask(&[b"HELLO", b"3"]).await?;
            // Its confirmation is pushed, so that nothing answers.
            let mut hears = Vec::new();
            put(&mut hears, &[b"SUBSCRIBE", ledger.channel.as_bytes()]);
            line.send(&hears).await?;
            let logs = self.logs(connection);
            let (ledger, tally) = (ledger.clone(), Rc::clone(&tally));
            let (in_flight, size) = (self.in_flight, self.entry_size);
            running.spawn_local(append_on(line, logs, ledger, (in_flight, size), tally));
        }
        tokio::time::sleep(Duration::from_secs(self.args.warmup)).await;
        let (redis, own) = (self.redis.accounts(), Accounts::of_current_thread());
        self.reset().await?;
        while let Some(ended) = running.join_next().await {
            ended.map_err(|_panic| Error::Server("a connection broke off".to_owned()))??;
        }
        let calls = Calls::told(&mut Line::to(self.redis.address()).await?).await?;
        let tally = tally.borrow();
        let redis_ns = self.redis.accounts().busy_ns_since(redis);
        let own = own.zip(Accounts::of_current_thread());
        let own_ns = own.map_or(0, |(then, now)| now.busy_ns_since(then));
        Ok(Run {
            per_second: tally.count / self.args.seconds.max(1),
            decisions: tally.count,
            latency: tally.latency.quantiles(),
            redis_ns: redis_ns / tally.count.max(1),
            generator_percent: own_ns * 100 / (self.args.seconds * SECOND_NS).max(1),
            calls,
            entry_size: self.entry_size,
            ..Run::default()
        })
    }

    /// As many as customers, over all connections.
    fn logs(&self, connection: u64) -> VecDeque<Log> {
        let own = (self.args.fleet.customers / self.connections).max(self.in_flight);
        let number = |at| 1 + connection * own + at;
        (0..own).map(|at| empty(number(at))).collect()
    }

    async fn reset(&self) -> Result<(), Error> {
        let mut line = Line::to(self.redis.address()).await?;
        line.ask(&[b"CONFIG", b"RESETSTAT"]).await.map(drop)
    }
}

fn empty(number: u64) -> Log {
    Log {
        number,
        len: 0,
        last: [0; 16],
    }
}

/// What all connections count.
struct Tally {
    clock: Clock,
    begins_ns: u64,
    ends_ns: u64,
    count: u64,
    latency: Latency,
}

/// Appends with so many commands under way until the time is over.
async fn append_on(
    mut line: Line,
    mut idle: VecDeque<Log>,
    ledger: Ledger,
    (in_flight, entry_size): (u64, u64),
    tally: Rc<RefCell<Tally>>,
) -> Result<(), Error> {
    let mut under_way: VecDeque<(Log, u64)> = VecDeque::new();
    let mut commands = Vec::new();
    let mut is_over = false;
    loop {
        while !is_over && (under_way.len() as u64) < in_flight {
            let Some(mut log) = idle.pop_front() else {
                break;
            };
            log.append(&ledger, entry_size, &mut commands);
            under_way.push_back((log, tally.borrow().clock.now_ns()));
        }
        if !commands.is_empty() {
            line.send(&commands).await?;
            commands.clear();
        }
        if under_way.is_empty() {
            return Ok(());
        }
        let mut answer = Some(line.answer().await?);
        while let Some(said) = answer.take() {
            if said.text() != "appended" {
                return Err(Error::Server(format!(
                    "the function says `{}`",
                    said.text()
                )));
            }
            let Some((log, since_ns)) = under_way.pop_front() else {
                break;
            };
            idle.push_back(log);
            let mut tally = tally.borrow_mut();
            let now_ns = tally.clock.now_ns();
            is_over = now_ns >= tally.ends_ns;
            if now_ns >= tally.begins_ns && !is_over {
                tally.count += 1;
                tally.latency.record(since_ns, now_ns);
            }
            answer = line.ready()?;
        }
    }
}

/// Appends to many logs, and asks for the memory.
pub(super) async fn growth(redis: &Redis, args: &SharedArgs) -> Result<Growth, Error> {
    let mut line = Line::to(redis.address()).await?;
    let ledger = Ledger::of(&mut line).await?;
    let mut logs: Vec<Log> = (1..=LOGS).map(empty).collect();
    let before = memory(&mut line).await?;
    let mut marks = Vec::new();
    for round in 0..LOG_LEN {
        for few in logs.chunks_mut(100) {
            let mut commands = Vec::new();
            for log in &mut *few {
                log.append(&ledger, args.entry_size, &mut commands);
            }
            line.send(&commands).await?;
            for _ in &*few {
                let said = line.answer().await?.text();
                if said != "appended" {
                    return Err(Error::Server(format!("the function says `{said}`")));
                }
            }
        }
        if round == 0 || round == LOG_LEN - 1 {
            marks.push(memory(&mut line).await?);
        }
    }
    let [first, last] = *marks else {
        return Err(Error::Server("nothing was appended".to_owned()));
    };
    Ok(Growth {
        entry_size: args.entry_size,
        first: first.saturating_sub(before) / LOGS,
        more: last.saturating_sub(first) / (LOGS * (LOG_LEN - 1)),
    })
}

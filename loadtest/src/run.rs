//! One run against one server: a single thread, one task per connection.

mod connection;
mod pace;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use crate::authorization::Recipe;
use crate::error::Error;
use crate::ids::UUID_SIZE;
use crate::measurement::Measurement;
use crate::prepared::Prepared;
use crate::signature::Key;
use crate::target::Target;
use crate::usage::{Accounts, Usage};
pub(crate) use pace::Pace;
use pace::Work;

/// How long replies may be outstanding after the last request was due.
const DRAIN: Duration = Duration::from_secs(10);
const SECOND_NS: u64 = 1_000_000_000;

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) target: &'a Target,
    /// More servers that have the same path; connections are spread over all.
    pub(crate) others: &'a [Target],
    pub(crate) secret: &'a str,
    /// The issuer's tokens of the cards that are used.
    pub(crate) cards: &'a [[u8; UUID_SIZE]],
    pub(crate) connections: u64,
    pub(crate) pace: Pace,
    pub(crate) warmup_s: u64,
    pub(crate) duration_s: u64,
    /// How many requests a closed loop prepares for each second.
    pub(crate) prepared_per_second: u64,
    pub(crate) seed: u64,
    /// The server's process and its core, where it is a child of ours.
    pub(crate) server: Option<(u32, usize)>,
}

impl Plan<'_> {
    fn seconds(&self) -> u64 {
        self.warmup_s + self.duration_s
    }

    fn request_count(&self) -> u64 {
        match self.pace {
            Pace::Closed => self.prepared_per_second * self.seconds(),
            Pace::Open { per_second } => per_second * self.seconds(),
        }
    }
}

/// Prepares the requests, sends them and counts. The caller decides whether to believe the figures.
pub(crate) fn execute(plan: &Plan<'_>) -> Result<Measurement, Error> {
    let recipe = Recipe {
        host: plan.target.host(),
        path: plan.target.path(),
        key: &Key::from_secret(plan.secret)?,
        cards: plan.cards,
        seed: plan.seed,
    };
    let prepared = Prepared::new(&recipe, plan.request_count())?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start the runtime"))?;
    LocalSet::new().block_on(&runtime, drive(plan, prepared))
}

async fn drive(plan: &Plan<'_>, prepared: Prepared) -> Result<Measurement, Error> {
    let others = plan.others.iter().map(Target::address);
    let addresses: Vec<_> = std::iter::once(plan.target.address())
        .chain(others)
        .collect();
    let streams = connect(&addresses, plan.connections).await?;
    let window = plan.warmup_s * SECOND_NS..plan.seconds() * SECOND_NS;
    let work = Rc::new(Work::new(prepared, plan.pace, window)?);
    let before = Readings::take(plan);

    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn_local(connection::converse(stream, Rc::clone(&work)));
    }
    if let Pace::Open { .. } = plan.pace {
        let (work, connections) = (Rc::clone(&work), plan.connections);
        tasks.spawn_local(async move { work.release_on_time(connections).await });
    }
    let limit = Duration::from_secs(plan.seconds()) + DRAIN;
    let drained = tokio::time::timeout(limit, async { while tasks.join_next().await.is_some() {} });
    // A run that does not end in time shows as missing replies.
    drained.await.unwrap_or_default();

    // Taken before the check for duplicates, which is work of ours but not of the run.
    let (after, elapsed_ns) = (Readings::take(plan), work.now_ns());
    tasks.abort_all();
    let mut measurement = measurement(plan, &work);
    before.fill(&mut measurement, after, elapsed_ns);
    Ok(measurement)
}

/// The scheduler's accounts of both sides at one moment.
#[derive(Clone, Copy)]
struct Readings {
    generator: Option<Accounts>,
    server: Option<Accounts>,
    server_core: Option<Accounts>,
}

impl Readings {
    fn take(plan: &Plan<'_>) -> Self {
        Self {
            generator: Accounts::of_current_thread(),
            server: plan
                .server
                .and_then(|(pid, _core)| Accounts::of_process(pid)),
            server_core: plan.server.and_then(|(_pid, core)| Accounts::of_core(core)),
        }
    }

    fn fill(self, measurement: &mut Measurement, now: Self, elapsed_ns: u64) {
        let usage = |now: Option<Accounts>, then: Option<Accounts>| -> Option<Usage> {
            Some(now?.usage_since(then?, elapsed_ns))
        };
        measurement.generator = usage(now.generator, self.generator);
        measurement.server = usage(now.server, self.server);
        let whole_core = usage(now.server_core, self.server_core);
        measurement.server_core_foreign_percent = whole_core
            .zip(measurement.server)
            .map(|(core, server)| core.busy_percent.saturating_sub(server.busy_percent));
    }
}

async fn connect(addresses: &[SocketAddr], connections: u64) -> Result<Vec<TcpStream>, Error> {
    let mut streams = Vec::new();
    for (_, address) in (0..connections).zip(addresses.iter().cycle()) {
        streams.push(connect_one(*address).await?);
    }
    Ok(streams)
}

/// A connection that sends at once what it is given.
pub(crate) async fn connect_one(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(Error::io(format!("connect to {address}")))?;
    stream
        .set_nodelay(true)
        .map_err(Error::io("set TCP_NODELAY"))?;
    Ok(stream)
}

fn measurement(plan: &Plan<'_>, work: &Work) -> Measurement {
    let tally = work.tally();
    let window_ns = tally.window_size_ns();
    Measurement {
        connections: plan.connections,
        offered_per_second: match plan.pace {
            Pace::Closed => 0,
            Pace::Open { per_second } => per_second,
        },
        requests_per_second: per_second(tally.replies_in_window, window_ns),
        window_ms: window_ns / 1_000_000,
        cut_short: window_ns < plan.duration_s * SECOND_NS,
        scheduled: work.scheduled(tally.sent),
        sent: tally.sent,
        replies: tally.replies,
        approved: tally.approved,
        declined: tally.declined.clone(),
        non_200: tally.non_200.clone(),
        faults: tally.faults.clone(),
        duplicate_tokens: work.duplicates(tally.sent),
        latency: tally.latency.quantiles(),
        send_lag: tally.send_lag.quantiles(),
        generator: None,
        server: None,
        server_core_foreign_percent: None,
        seed: plan.seed,
    }
}

fn per_second(count: u64, window_ns: u64) -> u64 {
    let rate = u128::from(count) * u128::from(SECOND_NS) / u128::from(window_ns.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

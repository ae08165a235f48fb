//! The only wiring: opens the store, starts the listeners, joins hot and cold.

mod addresses;
mod checkpoint;
mod control;
mod error;
mod follower;
mod journal;
mod moving;
mod operators;
mod ownership;
mod place;
mod process;
pub(crate) mod recovery;
mod shared;
mod stop;
mod sweep;
mod timekeeper;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::app::sweep::HoldLife;
use crate::cli::Exit;
use crate::clock::Clock;
use crate::cold::api::Served;
use crate::cold::control::Followed;
use crate::cold::policies::FIRST_VERSION;
use crate::cold::readiness::Readiness;
use crate::cold::records::retention::Retention;
use crate::cold::records::{Begin, Records};
use crate::cold::sandbox::files::{self as sandbox_files, SandboxSetup};
use crate::cold::sandbox::time::TimeFile;
use crate::config::{
    Config, ConfigError, HOLD_DAYS_DEFAULT, HoldDays, IssuerConfig, LedgerStore,
    SANDBOX_DEADLINE_MS, SANDBOX_NAME, hot_threads,
};
use crate::domain::hold_time::HoldTime;
use crate::fingerprint::Fingerprinter;
use crate::hot::durability::Progress;
use crate::hot::pipeline::{Connection, Core, Pipeline};
use crate::hot::server::{HotServer, Limits, Shared};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::embedded::writer::Writer;
use crate::ledger::redis::offers::SharedLog;
use crate::ledger::redis::stand_in::StandIn;
use crate::ledger::state::State;
use crate::seam::commands::{LedgerInbox, LedgerPort, ledger_port};
use crate::telemetry::Telemetry;

pub use addresses::Addresses;
use checkpoint::Checkpointer;
use control::{Around, Loaded, Plane, Rules};
pub use error::StartError;
use follower::Follower;
pub use moving::{Moved, export_ledger, import_ledger};
use operators::Operators;
use ownership::Rows;
pub use shared::{arm_ledger, examine_ledger, found_ledger, repair_ledger};
use stop::HangUps;
pub use stop::StopSignals;

/// For the database to be closed at the end.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// A server that answers.
pub struct App {
    hot: HotServer,
    writer: Arc<Writer>,
    checkpointer: Checkpointer,
    records: Arc<Records>,
    cold: Runtime,
    addresses: Addresses,
    snapshot: PathBuf,
    rows: Option<Rows>,
    served: Served,
}

/// A started server, and what its ready line says.
pub struct Started {
    /// The server.
    pub app: App,
    /// JSON for the ready line.
    pub ready: String,
}

impl App {
    /// Opens the data directory, starts the listeners, recovers the ledger, loads the snapshot.
    /// Issuers that ask before all that is done are declined `ledger_unavailable`. The writer begins before
    /// anything else may end the start: what it makes keeps an empty journal's name for the next one.
    ///
    /// # Errors
    /// [`StartError`] tells how the process should end.
    pub fn start(mut config: Config) -> Result<Started, StartError> {
        process::prepare(config.durability);
        let node = shared::Node::of(&config)?;
        let storage: Arc<dyn Storage> = Arc::new(place::open(&config)?);
        let (clock, time_file) = start_clock(&config)?;
        add_sandbox(&mut config)?;
        let rules = Rules::of(&config).ok_or_else(no_snapshot)?;
        let names = connection_names(&config);
        let (issuers, hold_days) = take_issuers(&mut config);
        let readiness = Arc::<Readiness>::default();
        let shared = share(issuers, limits(&config), &names, clock, &readiness);
        let (port, inbox) = ledger_port();
        let hot = start_hot(&config, &shared, inbox)?;
        let cold = cold_runtime()?;
        let hang_ups = HangUps::listen(&cold).map_err(no_signals)?;
        let (address, asked, served) = (config.ops_listen, port.clone(), Served::default());
        let seen = (&readiness, time_file, &served);
        let operators = Operators::listen(&cold, address, &shared, asked, seen)?;
        let front = operators::listen_for_people(&cold, &config, &served)?;
        let plane = Plane::open(&cold, &config, &readiness)?;
        let rows = plane.as_ref().map(Plane::rows);
        let recovered = recover(&*storage, &config, node.as_ref())?;
        let follower = Follower::open(&cold, &config, recovered.journal)?;
        let (level, keys) = (config.durability, Fingerprinter::new(recovered.seed));
        let with = (&*names, &keys, recovered.past(&keys));
        let writer = journal::start_writer(&recovered, level, &storage, &shared, &readiness)?;
        let read = follower::rows_of(rows.as_ref(), follower.as_ref());
        let loaded = Loaded::load(&rules, read, &cold, with)?;
        control::bind(plane.as_ref(), &cold, &recovered, (&writer, clock))?;
        let records = start_records(&storage, &recovered, &writer, &config, &readiness);
        let checkpointer =
            start_checkpointer(&storage, &recovered, &writer, &records, clock, &config)?;
        let with = (&loaded, &keys, &writer, (&readiness, &shared.telemetry));
        let core = core_of(node.as_ref(), recovered.states, with)?;
        arm(&shared, &writer, core, &port);
        follow(follower, &loaded, (&names, &keys), (&shared, &readiness))?;
        let around = Around {
            cold: &cold,
            card_bell: shared.pipeline.card_bell(),
            rules: &rules,
            names,
            keys,
            records: &records,
            writer: &writer,
            clock,
            journal: recovered.journal,
            webhooks: config.webhooks,
            purchases: config.purchases,
            people: (control::mailer(&config)?, &served),
            alerts: config.alerts.clone(),
            public_url: front.public_url,
            watch_every: config.snapshot_poll,
        };
        control::start(plane, loaded, &operators, around)?;
        hang_ups.hear(&cold, operators.hang_up());
        spawn_sweeper(&cold, port, clock, (config.retention_days, hold_days));
        drop(cold.spawn(timekeeper::keep_time(clock, Arc::clone(&shared), readiness)));
        let app = Self {
            addresses: Addresses::of(&hot, &operators, front.address),
            hot,
            writer,
            checkpointer,
            records,
            cold,
            snapshot: rules.path().to_owned(),
            rows,
            served,
        };
        app.announced(&config)
    }

    fn announced(self, config: &Config) -> Result<Started, StartError> {
        if config.sandbox {
            self.announce(&config.data_dir)?;
        }
        let ready = self
            .addresses
            .ready_line(config.durability, config.stand_in);
        Ok(Started { app: self, ready })
    }

    fn announce(&self, data_dir: &Path) -> Result<(), StartError> {
        let Some(issuer) = self.addresses.issuer else {
            return Ok(());
        };
        let ops = self.addresses.ops;
        let (issuer, ops) = (format!("http://{issuer}"), format!("http://{ops}"));
        sandbox_files::announce(data_dir, &issuer, &ops, &self.snapshot)
            .map_err(StartError::Sandbox)
    }

    /// Where the listeners are.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The file that tells which cards the sandbox has.
    #[must_use]
    pub fn snapshot_path(&self) -> &Path {
        &self.snapshot
    }

    /// Notices SIGTERM and SIGINT from here on. To be called before anybody is told that the server
    /// is ready, because whoever knows it may stop it.
    ///
    /// # Errors
    /// Where the system gives no handler.
    pub fn stop_signals(&self) -> Result<StopSignals, StartError> {
        StopSignals::listen(&self.cold).map_err(no_signals)
    }

    /// Serves until a signal comes, or another server has the database, then [drains](Self::drain).
    #[must_use]
    pub fn run_until_stopped(self, mut signals: StopSignals) -> Exit {
        let taken = async {
            match &self.rows {
                Some(rows) => rows.taken().await,
                None => std::future::pending().await,
            }
        };
        let exit = self.cold.block_on(async {
            tokio::select! {
                () = signals.received() => Exit::Ok,
                () = taken => Exit::InUse,
            }
        });
        tracing::info!("draining");
        self.drain();
        exit
    }

    /// Takes no more connections, answers what is in flight, makes everything durable.
    pub fn drain(self) {
        self.hot.drain();
        self.checkpointer.stop();
        self.writer.close();
        self.records.stop();
        if let Some(Rows { store, .. }) = self.rows {
            // What was committed is durable; this spares the next start the log.
            let api = self.served.get().and_then(Option::as_ref);
            let closed = async {
                if let Some(api) = api {
                    api.settle().await;
                }
                store.close().await
            };
            let closed = async { tokio::time::timeout(CLOSED_WITHIN, closed).await };
            let _late = self.cold.block_on(closed);
        }
        self.cold.shutdown_timeout(Duration::from_secs(2));
    }
}

fn no_signals(error: std::io::Error) -> StartError {
    StartError::Io("signals cannot be received", error)
}

fn connection_names(config: &Config) -> Vec<String> {
    let asking = config.issuers.iter().map(|issuer| issuer.name.clone());
    let silent = config.card_makers.iter().filter(|it| !it.maker.asks());
    asking
        .chain(silent.map(|it| it.connection.clone()))
        .collect()
}

fn recover(
    storage: &dyn Storage,
    config: &Config,
    node: Option<&shared::Node>,
) -> Result<recovery::Recovery, StartError> {
    match node {
        Some(node) => Ok(node.nothing_yet()),
        None => {
            recovery::recover(storage).map_err(|error| error.within(&place::journal_dir(config)))
        }
    }
}

/// The clock, and the file that tells how far it is ahead where it may be moved. Time that was moved
/// on a data directory stays so, because what its journal holds happened then.
fn start_clock(config: &Config) -> Result<(Clock, Option<TimeFile>), StartError> {
    let file = sandbox_files::time_file(&config.data_dir);
    let ahead_s = file.ahead_s().map_err(StartError::Sandbox)?;
    if ahead_s > 0 && !config.sandbox_clock {
        let place = config.data_dir.display().to_string();
        let message = format!(
            "time was moved forward by {ahead_s} s on this data directory: start with \
             --sandbox-clock, or take another directory"
        );
        return Err(StartError::Config(ConfigError { place, message }));
    }
    let clock = Clock::start_ahead(ahead_s.saturating_mul(1_000_000));
    Ok((clock, config.sandbox_clock.then_some(file)))
}

/// The built-in issuer is connections like any other, one for each of its shapes; its secrets and
/// cards are made at first start.
fn add_sandbox(config: &mut Config) -> Result<(), StartError> {
    if !config.sandbox {
        return Ok(());
    }
    let SandboxSetup {
        keys,
        snapshot_path,
    } = sandbox_files::prepare(&config.data_dir).map_err(StartError::Sandbox)?;
    let connections = keys.connections().map_err(|error| {
        let (place, message) = (SANDBOX_NAME.to_owned(), error.to_string());
        StartError::Config(ConfigError { place, message })
    })?;
    let connections = connections.into_iter().map(|(name, issuer)| IssuerConfig {
        name: name.to_owned(),
        issuer,
        events: None,
        hold_days: HOLD_DAYS_DEFAULT,
        deadline_ms: SANDBOX_DEADLINE_MS,
        warnings: Vec::new(),
    });
    config.issuers.extend(connections);
    if Rules::of(config).is_none() {
        config.snapshot = Some(snapshot_path);
    }
    Ok(())
}

fn no_snapshot() -> StartError {
    StartError::Config(ConfigError {
        place: "--snapshot".to_owned(),
        message: "no snapshot of cards and policies is named".to_owned(),
    })
}

fn limits(config: &Config) -> Limits {
    Limits {
        header_timeout: config.header_timeout,
        body_timeout: config.body_timeout,
        connections_max: process::within_descriptors(config.connections_max),
        ..Limits::default()
    }
}

fn share(
    issuers: Vec<IssuerConfig>,
    limits: Limits,
    names: &[String],
    clock: Clock,
    readiness: &Arc<Readiness>,
) -> Arc<Shared> {
    let (alarmed, telemetry) = (
        Arc::clone(readiness),
        Telemetry::new(names.iter().map(String::as_str)),
    );
    let counted = Arc::clone(&telemetry);
    let alarm = Box::new(move |reason| {
        counted.set_journal_poisoned();
        alarmed.set_reason(reason);
    });
    Arc::new(Shared {
        pipeline: Pipeline::new(),
        connections: connections(issuers),
        progress: Arc::new(Progress::new(hot_threads())),
        clock,
        telemetry,
        limits,
        kick: OnceLock::new(),
        log: OnceLock::new(),
        stand_in: OnceLock::new(),
        alarm,
    })
}

fn connections(issuers: Vec<IssuerConfig>) -> HashMap<Box<str>, Connection> {
    let connection = |(index, issuer): (usize, IssuerConfig)| {
        let name: Box<str> = issuer.name.into();
        for warning in issuer.warnings {
            tracing::warn!(connection = &*name, "{warning}");
        }
        let connection = Connection {
            name: name.clone(),
            issuer: issuer.issuer,
            events: issuer.events,
            deadline_us: on_its_way_us(issuer.deadline_ms),
            index,
        };
        (name, connection)
    };
    issuers.into_iter().enumerate().map(connection).collect()
}

/// When an answer has to be on its way to keep this deadline, in microseconds: a thread can be
/// interrupted between its look at the clock and the socket. A tenth is kept for that, at most 50 ms.
fn on_its_way_us(deadline_ms: u32) -> i64 {
    const KEPT_US_MAX: i64 = 50_000;
    let deadline_us = i64::from(deadline_ms) * 1_000;
    deadline_us - (deadline_us / 10).min(KEPT_US_MAX)
}

fn start_hot(
    config: &Config,
    shared: &Arc<Shared>,
    inbox: LedgerInbox,
) -> Result<HotServer, StartError> {
    let address = config.issuer_listen;
    let asked = config.roles.authorizer.then_some(address);
    // Who only looks after rules has commands to run, and few.
    let threads = asked.map_or(1, |_| hot_threads());
    HotServer::start(asked, threads, shared, inbox)
        .map_err(|error| StartError::Listen("issuer_listen", address, error))
}

fn cold_runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("cold")
        .enable_all()
        .build()
        .map_err(|error| StartError::Io("cannot start the cold runtime", error))
}

fn start_records(
    storage: &Arc<dyn Storage>,
    recovered: &recovery::Recovery,
    writer: &Arc<Writer>,
    config: &Config,
    readiness: &Arc<Readiness>,
) -> Arc<Records> {
    let written = Arc::clone(writer);
    let begin = Begin::recovered(
        &recovered.states,
        recovered.next,
        config.records_indexed_max,
    )
    .in_order(matches!(config.ledger, LedgerStore::Embedded))
    .warning(Arc::clone(readiness));
    Records::start(Arc::clone(storage), begin, move || {
        written.published().written.0
    })
}

fn start_checkpointer(
    storage: &Arc<dyn Storage>,
    recovered: &recovery::Recovery,
    writer: &Arc<Writer>,
    records: &Arc<Records>,
    clock: Clock,
    config: &Config,
) -> Result<Checkpointer, StartError> {
    let retention = Retention::new(Arc::clone(records), config.records_days);
    let storage = Arc::clone(storage);
    checkpoint::spawn(storage, recovered.journal, writer, retention, clock)
        .map_err(|error| StartError::Io("cannot start the checkpoint thread", error))
}

/// What decisions are made with: on this process's own states, or on those of a shared log.
fn core_of(
    node: Option<&shared::Node>,
    states: Vec<State>,
    (loaded, keys, writer, told): (&Loaded, &Fingerprinter, &Arc<Writer>, shared::Told<'_>),
) -> Result<(Core, Option<Joined>), StartError> {
    let Some(node) = node else {
        let ledger = EmbeddedLedger::new(states, writer.share_journal());
        return Ok((loaded.core(keys, ledger), None));
    };
    let core = loaded.core(keys, node.ledger(writer));
    let log = node.join(&core, writer, told)?;
    let stand_in = node.stand_in(told)?;
    Ok((core, Some((log, stand_in))))
}

/// The log that several nodes share, and what this one approves in its place.
type Joined = (SharedLog, Option<Arc<StandIn>>);

fn arm(
    shared: &Arc<Shared>,
    writer: &Arc<Writer>,
    (core, joined): (Core, Option<Joined>),
    port: &LedgerPort,
) {
    let kick = Arc::clone(writer);
    // The cell is new, so nothing is in it.
    let _full = shared.kick.set(Box::new(move || kick.write_or_kick()));
    if let Some((log, stand_in)) = joined {
        let log = Arc::new(log);
        port.share(Arc::clone(&log));
        // The same.
        let _full = shared.log.set(log);
        if let Some(stand_in) = stand_in {
            let _full = shared.stand_in.set(stand_in);
        }
    }
    shared.telemetry.set_snapshot_version(FIRST_VERSION);
    shared.pipeline.arm(core);
}

/// Has the rules follow those that another process changes, where this one only answers issuers.
fn follow(
    follower: Option<Follower>,
    loaded: &Loaded,
    (names, keys): (&[String], &Fingerprinter),
    (shared, readiness): (&Arc<Shared>, &Arc<Readiness>),
) -> Result<(), StartError> {
    let Some(follower) = follower else {
        return Ok(());
    };
    follower.start(|store, head| Followed {
        store,
        snapshots: Arc::clone(&loaded.snapshots),
        connections: names.to_vec(),
        keys: keys.clone(),
        clock: shared.clock,
        telemetry: Arc::clone(&shared.telemetry),
        readiness: Arc::clone(readiness),
        head,
    })
}

/// The connections, and how long holds live at each.
fn take_issuers(config: &mut Config) -> (Vec<IssuerConfig>, Vec<HoldLife>) {
    let issuers = std::mem::take(&mut config.issuers);
    let lives = issuers.iter().flat_map(hold_lives).collect();
    (issuers, lives)
}

/// How long a connection's holds live without a word of the issuer, in microseconds: two days longer
/// than it lets them live itself.
fn hold_lives(issuer: &IssuerConfig) -> [HoldLife; 2] {
    const PATIENCE_DAYS: i64 = 2;
    let HoldDays { usual, long } = issuer.hold_days;
    [(HoldTime::Usual, usual), (HoldTime::Long, long)].map(|(time, days)| {
        let days = i64::from(days).saturating_add(PATIENCE_DAYS);
        let life_us = days.saturating_mul(DAY_US);
        (issuer.name.as_str().into(), time, life_us)
    })
}

fn spawn_sweeper(
    cold: &Runtime,
    port: LedgerPort,
    clock: Clock,
    (retention_days, holds_us): (u32, Vec<HoldLife>),
) {
    let retention_us = i64::from(retention_days).saturating_mul(DAY_US);
    let sweep = sweep::sweep_for_ever(port, clock, retention_us, holds_us);
    drop(cold.handle().spawn(sweep));
}

const DAY_US: i64 = 86_400 * 1_000_000;

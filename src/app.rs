//! The only wiring: opens the store, starts the listeners, joins hot and cold.

mod recovery;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::Exit;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, DurabilityLevel, IssuerConfig, read_named};
use crate::decide::document::{DocumentContext, DocumentError, read_snapshot};
use crate::decide::snapshot::Snapshot;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::hot::durability::Progress;
use crate::hot::pipeline::{Connection, Core, Pipeline};
use crate::hot::server::{HotServer, Limits, Shared};
use crate::ledger::embedded::files::{Files, OpenError};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::Durability;
use crate::ledger::embedded::recover::RecoverError;
use crate::ledger::embedded::store::{EmbeddedLedger, SweepCursor};
use crate::ledger::embedded::writer::{Published, Writer};
use crate::seam::commands::{LedgerPort, ledger_port};
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;

/// Between two sweeps of forgotten authorizations.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Between two steps of one sweep, so that authorizations pass between them.
const SWEEP_STEP: Duration = Duration::from_millis(5);

/// Why a server did not start.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the error that it wraps")]
pub enum StartError {
    Config(ConfigError),
    Snapshot(Vec<DocumentError>),
    DataDir(std::path::PathBuf, OpenError),
    Journal(RecoverError),
    NotUnderstood(crate::ledger::embedded::rebuild::NotUnderstood),
    Io(&'static str, io::Error),
    Listen(SocketAddr, io::Error),
}

impl StartError {
    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Snapshot(_) => Exit::Usage,
            Self::DataDir(_, OpenError::InUse) => Exit::InUse,
            Self::Journal(RecoverError::Corrupt(_)) | Self::NotUnderstood(_) => Exit::Corrupt,
            Self::DataDir(_, OpenError::Io(_))
            | Self::Journal(RecoverError::Io { .. })
            | Self::Io(..)
            | Self::Listen(..) => Exit::Other,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Snapshot(errors) => {
                f.write_str("the snapshot is refused")?;
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
            Self::DataDir(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Journal(error) => error.fmt(f),
            Self::NotUnderstood(error) => write!(f, "journal corrupt: {error}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A server that answers.
pub struct App {
    hot: HotServer,
    writer: Arc<Writer>,
    cold: tokio::runtime::Runtime,
    addresses: Addresses,
}

/// Where the listeners are, with real port numbers.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the listeners by their names")]
pub struct Addresses {
    pub issuer: SocketAddr,
    pub listen: SocketAddr,
    pub ops: SocketAddr,
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
    /// Issuers that ask before all that is done are declined `ledger_unavailable`.
    ///
    /// # Errors
    /// [`StartError`] tells how the process should end.
    pub fn start(config: Config) -> Result<Started, StartError> {
        let clock = Clock::start();
        let files = open_journal(&config.data_dir)?;
        let storage: Arc<dyn Storage> = Arc::new(files);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let progress = Arc::new(Progress::new(threads));
        let names = config.issuers.iter().map(|issuer| issuer.name.as_str());
        let telemetry = Telemetry::new(names.clone());
        let names: Vec<String> = names.map(str::to_owned).collect();
        let (port, inbox) = ledger_port();
        let shared = Arc::new(Shared {
            pipeline: Pipeline::new(),
            connections: connections(config.issuers),
            progress: Arc::clone(&progress),
            clock,
            telemetry: Arc::clone(&telemetry),
            limits: Limits::default(),
            kick: std::sync::OnceLock::new(),
        });
        let hot = HotServer::start(config.issuer_listen, threads, &shared, inbox)
            .map_err(|error| StartError::Listen(config.issuer_listen, error))?;
        let cold = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cold")
            .enable_all()
            .build()
            .map_err(|error| StartError::Io("cannot start the cold runtime", error))?;

        let recovered = recovery::recover(&*storage)?;
        let keys = Fingerprinter::new(recovered.seed);
        let path = config.snapshot.as_deref();
        let snapshot = load_snapshot(path, &names, &keys)?;
        telemetry.set_snapshot_version(snapshot.version());
        let writer = start_writer(
            &recovered,
            config.durability,
            &storage,
            &progress,
            &telemetry,
        )?;
        let ledger = Arc::new(EmbeddedLedger::new(
            recovered.states,
            writer.share_journal(),
        ));
        let snapshots = Arc::new(CurrentSnapshot::new(snapshot));
        let kick = Arc::clone(&writer);
        // The cell is new, so it is empty.
        let _full = shared.kick.set(Box::new(move || kick.kick()));
        shared.pipeline.arm(Core {
            keys,
            ledger,
            snapshots,
        });
        let retention_us = i64::from(config.retention_days) * 86_400 * 1_000_000;
        drop(
            cold.handle()
                .spawn(sweep_for_ever(port, clock, retention_us)),
        );

        let issuer = hot.address();
        let addresses = Addresses {
            issuer,
            listen: config.listen,
            ops: config.ops_listen,
        };
        let app = Self {
            hot,
            writer,
            cold,
            addresses,
        };
        let ready = app.ready_line(config.durability);
        Ok(Started { app, ready })
    }

    fn ready_line(&self, durability: DurabilityLevel) -> String {
        let Addresses {
            issuer,
            listen,
            ops,
        } = self.addresses;
        let durability = durability.name();
        format!(
            r#"{{"issuer":"http://{issuer}","ops":"http://{ops}","listen":"http://{listen}","snapshotVersion":1,"durability":"{durability}"}}"#
        )
    }

    /// Where the listeners are.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until SIGTERM or SIGINT, then [drains](Self::drain).
    #[must_use]
    pub fn run_until_stopped(self) -> Exit {
        self.cold.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut term), Ok(mut interrupt)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::interrupt()),
            ) else {
                tracing::error!("signals cannot be received");
                return;
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        tracing::info!("draining");
        self.drain();
        Exit::Ok
    }

    /// Takes no more connections, answers what is in flight, makes everything durable.
    pub fn drain(self) {
        self.hot.drain();
        self.writer.close();
        self.cold.shutdown_timeout(Duration::from_secs(2));
    }
}

fn open_journal(data_dir: &Path) -> Result<Files, StartError> {
    let path = data_dir.join("journal");
    std::fs::create_dir_all(data_dir)
        .map_err(|error| StartError::DataDir(data_dir.to_owned(), OpenError::Io(error)))?;
    Files::open(&path).map_err(|error| StartError::DataDir(path, error))
}

fn connections(issuers: Vec<IssuerConfig>) -> HashMap<Box<str>, Connection> {
    let connection = |(index, issuer): (usize, IssuerConfig)| {
        let name: Box<str> = issuer.name.into();
        let deadline_us = i64::from(issuer.deadline_ms) * 1_000;
        let connection = Connection {
            name: name.clone(),
            kind: issuer.kind,
            verifier: issuer.verifier,
            deadline_us,
            index,
        };
        (name, connection)
    };
    issuers.into_iter().enumerate().map(connection).collect()
}

fn load_snapshot(
    path: Option<&Path>,
    connections: &[String],
    keys: &Fingerprinter,
) -> Result<Snapshot, StartError> {
    let path = path.ok_or_else(|| {
        StartError::Config(ConfigError {
            place: "--snapshot".to_owned(),
            message: "no snapshot of cards and policies is named".to_owned(),
        })
    })?;
    let bytes = read_named(path).map_err(StartError::Config)?;
    let file = path.display().to_string();
    let connections: Vec<&str> = connections.iter().map(String::as_str).collect();
    let context = DocumentContext {
        file: &file,
        connections: &connections,
        version: 1,
    };
    read_snapshot(&bytes, context, keys).map_err(StartError::Snapshot)
}

fn start_writer(
    recovered: &recovery::Recovery,
    level: DurabilityLevel,
    storage: &Arc<dyn Storage>,
    progress: &Arc<Progress>,
    telemetry: &Arc<Telemetry>,
) -> Result<Arc<Writer>, StartError> {
    let durability = match level {
        DurabilityLevel::Strict => Durability::Strict,
        DurabilityLevel::Relaxed => Durability::Relaxed,
    };
    let (progress, telemetry) = (Arc::clone(progress), Arc::clone(telemetry));
    let notify = move |published: Published| {
        let reached = match durability {
            Durability::Strict => published.durable,
            Durability::Relaxed => published.written,
        };
        if published.poisoned {
            telemetry.set_journal_poisoned();
        }
        progress.publish(reached.0, published.poisoned);
    };
    let journal = recovered.journal(durability);
    Writer::start(
        journal,
        Arc::clone(storage),
        recovery::timing(),
        Box::new(notify),
    )
    .map(Arc::new)
    .map_err(|error| StartError::Io("cannot start the journal's threads", error))
}

/// Forgets what is older than the retention, a little at a time.
async fn sweep_for_ever(port: LedgerPort, clock: Clock, retention_us: i64) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let cut = Timestamp::from_micros(clock.now().micros().saturating_sub(retention_us));
        let mut cursor = Some(SweepCursor::default());
        while let Some(from) = cursor {
            cursor = match port.ask(move |ledger| ledger.sweep(from, cut)).await {
                Ok(Ok(next)) => next,
                Ok(Err(why)) => {
                    tracing::warn!(?why, "a sweep was broken off");
                    None
                }
                Err(_closed) => return,
            };
            tokio::time::sleep(SWEEP_STEP).await;
        }
    }
}

//! `countersign serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;
use secrecy::SecretString;

use crate::app::{Addresses, App, Started};
use crate::cli::Exit;
use crate::cli::demo::Running;
use crate::cli::log::log_to_stderr;
use crate::cli::typed;
use crate::config::{Config, DurabilityLevel, LedgerStore, Overrides, Roles};

/// Flags of `serve`; each also has a variable, COUNTERSIGN_ and its name.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Configuration file (TOML)
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cards and policies (JSON, or JSON lines)
    #[arg(long, env = "COUNTERSIGN_SNAPSHOT", value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Where the journal lives [default: ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// PostgreSQL for customers, agents, cards and keys: postgres://…, file:PATH or env:NAME
    /// [default: a file in the data directory]
    #[arg(
        long,
        env = "COUNTERSIGN_DATABASE",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    database: Option<SecretString>,
    /// Listener for issuers [default: 127.0.0.1:8700]
    #[arg(long, env = "COUNTERSIGN_ISSUER_LISTEN", value_name = "ADDRESS", value_parser = typed::address)]
    issuer_listen: Option<SocketAddr>,
    /// Listener for people and agents [default: 127.0.0.1:8701]
    #[arg(long, env = "COUNTERSIGN_LISTEN", value_name = "ADDRESS", value_parser = typed::address)]
    listen: Option<SocketAddr>,
    /// Listener for operators [default: 127.0.0.1:8702]
    #[arg(long, env = "COUNTERSIGN_OPS_LISTEN", value_name = "ADDRESS", value_parser = typed::address)]
    ops_listen: Option<SocketAddr>,
    /// When an approval may leave: `strict` or `relaxed` [default: strict]
    #[arg(long, env = "COUNTERSIGN_DURABILITY", value_name = "LEVEL", value_parser = typed::durability)]
    durability: Option<DurabilityLevel>,
    /// Where holds and limits are kept: `embedded`, or redis://HOST:PORT (rediss:// under TLS,
    /// redis+sentinel://HOST:PORT/NAME, redis+cluster://HOST:PORT) that several nodes share
    /// [default: embedded]
    #[arg(long, env = "COUNTERSIGN_LEDGER", value_name = "STORE", value_parser = typed::ledger, hide_env_values = true)]
    ledger: Option<LedgerStore>,
    /// What this process does, of several that share a ledger: `authorizer` answers issuers, `control` serves
    /// people and agents [default: authorizer,control]
    #[arg(long, env = "COUNTERSIGN_ROLES", value_name = "ROLES", value_parser = Roles::parse)]
    roles: Option<Roles>,
    /// The root of the certificate of rediss://HOST:PORT (PEM) [default: the public ones]
    #[arg(long, env = "COUNTERSIGN_LEDGER_CA", value_name = "FILE")]
    ledger_ca: Option<PathBuf>,
    /// Run the built-in issuer beside the configured ones
    #[arg(long, env = "COUNTERSIGN_SANDBOX", value_parser = BoolishValueParser::new())]
    sandbox: bool,
    /// Let `sandbox clock` move time forward; every connection must be a sandbox
    #[arg(long, env = "COUNTERSIGN_SANDBOX_CLOCK", value_parser = BoolishValueParser::new())]
    sandbox_clock: bool,
}

impl ServeArguments {
    fn overrides(self) -> Overrides {
        Overrides {
            config: self.config,
            snapshot: self.snapshot,
            data_dir: self.data_dir,
            database: self.database,
            issuer_listen: self.issuer_listen,
            listen: self.listen,
            ops_listen: self.ops_listen,
            durability: self.durability,
            ledger: self.ledger,
            roles: self.roles,
            ledger_ca: self.ledger_ca,
            sandbox: self.sandbox,
            sandbox_clock: self.sandbox_clock,
        }
    }
}

/// Serves until SIGTERM or SIGINT, then drains.
pub(super) fn run(arguments: ServeArguments) -> Exit {
    if let Err(error) = log_to_stderr() {
        return refuse(&error, Exit::Usage);
    }
    let config = match Config::load(arguments.overrides()) {
        Ok(config) => config,
        Err(error) => return refuse(&error, Exit::Usage),
    };
    let Started { app, ready } = match App::start(config) {
        Ok(started) => started,
        Err(error) => {
            let exit = error.exit();
            return refuse(&error, exit);
        }
    };
    let signals = match app.stop_signals() {
        Ok(signals) => signals,
        Err(error) => return refuse(&error, error.exit()),
    };
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "ready {ready}").and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "the ready line could not be written");
    }
    drop(stdout);
    app.run_until_stopped(signals)
}

/// A whole server for the demo, on free ports.
pub(super) fn start_for_demo(data_dir: &Path) -> Result<Running, String> {
    let free_port = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let overrides = Overrides {
        data_dir: Some(data_dir.to_owned()),
        issuer_listen: free_port,
        listen: free_port,
        ops_listen: free_port,
        ..Overrides::default()
    };
    let config = Config::load(overrides).map_err(|error| error.to_string())?;
    let Started { app, .. } = App::start(config).map_err(|error| error.to_string())?;
    let Addresses { issuer, ops, .. } = app.addresses();
    let issuer = issuer.ok_or_else(|| "the server answers no issuers".to_owned())?;
    let snapshot = app.snapshot_path().to_owned();
    let shutdown = Box::new(move || {
        app.drain();
        Ok(())
    });
    Ok(Running {
        issuer,
        ops,
        snapshot,
        shutdown,
    })
}

fn refuse(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    // Plain, without the logger's ornaments: it is the answer to what was typed.
    let _closed = writeln!(std::io::stderr(), "countersign: {error}");
    exit
}

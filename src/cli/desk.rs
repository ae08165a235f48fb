//! Where a command works that changes rows while no server does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime};
use crate::clock::Clock;
use crate::cold::init::{InitError, Opened, Place};
use crate::cold::store::Store;
use crate::config::{
    Config, ConfigError, DATA_DIR_DEFAULT, Overrides, database_address, journal_of,
};
use crate::domain::time::Timestamp;
use crate::ledger::embedded::files::{Files, OpenError};

/// Which data directory and database.
#[derive(Args, Clone, Debug)]
pub(super) struct Where {
    /// Where the database is [default: ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration (TOML), where the master keys are named there
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The PostgreSQL database, as of `countersign serve` [default: a file in the data directory]
    #[arg(
        long,
        env = "COUNTERSIGN_DATABASE",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    database: Option<SecretString>,
}

/// What a command works on, while no server does.
pub(super) struct Desk {
    /// Nobody else has them meanwhile.
    pub(super) journal: Arc<Files>,
    pub(super) place: Place,
    pub(super) master_keys: Vec<SecretString>,
}

impl Desk {
    pub(super) fn open(place: &Where) -> Result<Self, Failure> {
        let usage = |error: ConfigError| Failure {
            message: error.to_string(),
            exit: Exit::Usage,
        };
        let flag = place.database.clone();
        let (data_dir, master_keys, database) = if place.config.is_some() {
            let config = Config::load(Overrides {
                config: place.config.clone(),
                data_dir: place.data_dir.clone(),
                database: flag,
                ..Overrides::default()
            });
            let config = config.map_err(usage)?;
            (Some(config.data_dir), config.master_keys, config.database)
        } else {
            let database = flag.map(database_address).transpose().map_err(usage)?;
            (place.data_dir.clone(), Vec::new(), database)
        };
        let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
        let place = Place::of(&data_dir, database.as_ref());
        if !place.is_named() {
            return Err(Failure {
                message: format!("{}: no database; `countersign init`", data_dir.display()),
                exit: Exit::Usage,
            });
        }
        Ok(Self {
            journal: Arc::new(lock(&data_dir)?),
            place,
            master_keys,
        })
    }

    /// Changes rows; the audit log is signed afterwards.
    pub(super) fn act<T>(
        &self,
        act: impl AsyncFnOnce(&dyn Store, Timestamp) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let at = Clock::start().now();
        runtime()?.block_on(async {
            let opened = self.place.own().await.map_err(|error| {
                if let InitError::Taken(whose) = error {
                    let message = format!("{whose}; stop it first");
                    let exit = Exit::InUse;
                    return Failure { message, exit };
                }
                Failure::other(&error)
            })?;
            let Opened { store, signer, .. } = opened;
            let store = &*store;
            let done = act(store, at).await;
            let signed = signer.cover(store, at).await;
            // What was committed is there, however this ends.
            let _closed = store.close().await;
            let done = done?;
            signed.map_err(|error| Failure::other(&error))?;
            Ok(done)
        })
    }
}

fn lock(data_dir: &Path) -> Result<Files, Failure> {
    let journal = journal_of(data_dir);
    Files::open(&journal).map_err(|error| match error {
        OpenError::InUse => Failure {
            message: format!("{}: a server runs on it; stop it first", data_dir.display()),
            exit: Exit::InUse,
        },
        OpenError::Io(error) => Failure::other(&format!("{}: {error}", journal.display())),
    })
}

//! `countersign keys`: the master keys that issuers' keys are sealed under.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::clock::Clock;
use crate::cold::init::{InitError, Opened, Place};
use crate::cold::seal::{MasterKeys, SECRET_LEN_MAX, SealError, Told};
use crate::config::{Config, ConfigError, DATA_DIR_DEFAULT, Overrides, database_address};
use crate::ledger::embedded::files::{Files, OpenError};

/// The keys that issuers' keys are sealed under.
#[derive(Args, Clone, Debug)]
pub struct KeysArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Print a new master key, for whoever keeps it elsewhere than in the data directory
    New,
    /// Put a new master key in the data directory in place of the one that is there
    Rotate(Where),
    /// Wrap everything by the first of the configuration's master keys
    Rewrap(Where),
    /// Seal an issuer's key, which is read from stdin
    Set {
        #[command(flatten)]
        place: Where,
        /// The connection whose key it is
        #[arg(long, value_name = "NAME")]
        connection: String,
    },
}

#[derive(Args, Clone, Debug)]
struct Where {
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

/// Runs the command.
///
/// # Errors
/// [`Failure`] where it cannot be done; it can be run again.
pub fn run(arguments: &KeysArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let said = match &arguments.action {
        Action::New => {
            let keys = MasterKeys::draw().map_err(|error| Failure::other(&error))?;
            keys.text().expose_secret().trim_end().to_owned()
        }
        Action::Rotate(place) => rotate(place)?,
        Action::Rewrap(place) => rewrap(place)?,
        Action::Set { place, connection } => set(place, connection)?,
    };
    writeln!(out, "{said}").map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

/// What a command works on, while no server does.
struct Desk {
    _locked: Files,
    place: Place,
    master_keys: Vec<SecretString>,
}

impl Desk {
    fn open(place: &Where) -> Result<Self, Failure> {
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
            _locked: lock(&data_dir)?,
            place,
            master_keys,
        })
    }

    /// Changes what is sealed; the audit log is told of it, and signed.
    fn change<T>(
        &self,
        action: &'static str,
        act: impl AsyncFnOnce(Told<'_>) -> Result<T, SealError>,
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
            let done = act(Told { store, action, at }).await;
            let signed = signer.cover(store, at).await;
            // What was committed is there, however this ends.
            let _closed = store.close().await;
            let done = done.map_err(|error| Failure::other(&error))?;
            signed.map_err(|error| Failure::other(&error))?;
            Ok(done)
        })
    }
}

fn lock(data_dir: &Path) -> Result<Files, Failure> {
    let journal = data_dir.join("journal");
    Files::open(&journal).map_err(|error| match error {
        OpenError::InUse => Failure {
            message: format!("{}: a server runs on it; stop it first", data_dir.display()),
            exit: Exit::InUse,
        },
        OpenError::Io(error) => Failure::other(&format!("{}: {error}", journal.display())),
    })
}

fn rotate(place: &Where) -> Result<String, Failure> {
    let desk = Desk::open(place)?;
    if !desk.master_keys.is_empty() {
        return Err(Failure {
            message: "the configuration names the master keys: put a new one first there, run \
                      `countersign keys rewrap`, and take the old ones away"
                .to_owned(),
            exit: Exit::Usage,
        });
    }
    let path = desk.place.master_path();
    let action = "countersign keys rotate";
    let count = desk.change(action, async |told| told.rotate(&path).await)?;
    Ok(format!(
        "{count} sealed keys are wrapped by a new master key"
    ))
}

fn rewrap(place: &Where) -> Result<String, Failure> {
    let desk = Desk::open(place)?;
    let keys = desk.place.master_keys(&desk.master_keys);
    let keys = keys.map_err(|error| Failure::other(&error))?;
    let action = "countersign keys rewrap";
    let count = desk.change(action, async |told| told.rewrap_all(&keys).await)?;
    Ok(format!(
        "{count} sealed keys are wrapped by the first master key"
    ))
}

fn set(place: &Where, connection: &str) -> Result<String, Failure> {
    let desk = Desk::open(place)?;
    let keys = desk.place.master_keys(&desk.master_keys);
    let keys = keys.map_err(|error| Failure::other(&error))?;
    let key = read_key().map_err(|why| Failure {
        message: format!("stdin: {why}"),
        exit: Exit::Usage,
    })?;
    let action = "countersign keys set";
    desk.change(action, async |told| told.set(&keys, connection, &key).await)?;
    Ok(format!(
        "the key of `{connection}` is sealed; the next start uses it"
    ))
}

fn read_key() -> Result<SecretString, String> {
    let mut text = String::new();
    let most = u64::try_from(SECRET_LEN_MAX + 2).unwrap_or(u64::MAX);
    let read = io::stdin().lock().take(most).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let key = text.trim();
    let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > SECRET_LEN_MAX || !printable {
        return Err("must be one line of 1 to 4096 printable ASCII characters".to_owned());
    }
    Ok(SecretString::from(key.to_owned()))
}

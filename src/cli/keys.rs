//! `countersign keys`: the master keys that issuers' keys are sealed under.

use std::io::{self, Read as _, Write};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::cli::desk::{Desk, Where};
use crate::cold::seal::{MasterKeys, SECRET_LEN_MAX, SealError, Told};

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

/// Changes what is sealed; the audit log is told of it, and signed.
fn change<T>(
    desk: &Desk,
    action: &'static str,
    act: impl AsyncFnOnce(Told<'_>) -> Result<T, SealError>,
) -> Result<T, Failure> {
    desk.act(async |store, at| {
        let done = act(Told { store, action, at }).await;
        done.map_err(|error| Failure::other(&error))
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
    let count = change(&desk, action, async |told| told.rotate(&path).await)?;
    Ok(format!(
        "{count} sealed keys are wrapped by a new master key"
    ))
}

fn rewrap(place: &Where) -> Result<String, Failure> {
    let desk = Desk::open(place)?;
    let keys = desk.place.master_keys(&desk.master_keys);
    let keys = keys.map_err(|error| Failure::other(&error))?;
    let action = "countersign keys rewrap";
    let count = change(&desk, action, async |told| told.rewrap_all(&keys).await)?;
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
    change(&desk, action, async |told| {
        told.set(&keys, connection, &key).await
    })?;
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

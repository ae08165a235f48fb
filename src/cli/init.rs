//! `countersign init`: a customer, an owner's key, and what to do next.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::clock::Clock;
use crate::cold::init::{InitError, Made, Place, Wanted};
use crate::cold::store::Mode;
use crate::config::{database_address, journal_of};
use crate::domain::currency::Currency;
use crate::ledger::embedded::files::{Files, OpenError};

const DATA_DIR_DEFAULT: &str = "countersign-data";

/// Flags of `init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// Where the database will live [default: ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The PostgreSQL database, as of `countersign serve` [default: a file in the data directory]
    #[arg(
        long,
        env = "COUNTERSIGN_DATABASE",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    database: Option<SecretString>,
    /// What the customer is called
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The zone in which the customer's days begin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// The currency of all the customer's limits
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// Make a customer and a key with money behind them, in place of ones for trying things out
    #[arg(long)]
    live: bool,
    /// Make only another owner's key
    #[arg(long)]
    new_key: bool,
}

/// Makes them, and tells.
///
/// # Errors
/// [`Failure`] where nothing was made, or it cannot be told.
pub fn run(arguments: InitArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let usage = |message: String| Failure {
        message,
        exit: Exit::Usage,
    };
    let currency = Currency::parse(&arguments.currency);
    let wanted = Wanted {
        mode: if arguments.live {
            Mode::Live
        } else {
            Mode::Test
        },
        name: arguments.name,
        timezone: arguments.timezone,
        currency: currency
            .map_err(|_unknown| usage("--currency: must be a currency of ISO 4217".to_owned()))?,
        only_key: arguments.new_key,
    };
    let data_dir = arguments
        .data_dir
        .unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
    let journal = journal_of(&data_dir);
    let in_use = |whose: String| Failure {
        message: format!("{whose}; stop it first, or make keys with POST /v1/api-keys"),
        exit: Exit::InUse,
    };
    let _locked = Files::open(&journal).map_err(|error| match error {
        OpenError::InUse => in_use(format!("{}: a server runs on it", data_dir.display())),
        OpenError::Io(error) => Failure::other(&format!("{}: {error}", journal.display())),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))?;
    let now = Clock::start().now();
    let address = arguments.database.map(database_address).transpose();
    let address = address.map_err(|error| usage(error.to_string()))?;
    let place = Place::of(&data_dir, address.as_ref());
    let made = runtime.block_on(place.init(wanted, now));
    let made = made.map_err(|error| match error {
        InitError::Done | InitError::NotDone | InitError::Name | InitError::Timezone(_) => {
            usage(error.to_string())
        }
        InitError::Io(..)
        | InitError::NoSecret(_)
        | InitError::Signer(_)
        | InitError::Secret(_)
        | InitError::Seal(_)
        | InitError::Store(_) => Failure::other(&error),
        InitError::Taken(_) => in_use(error.to_string()),
    })?;
    let is_default = data_dir == std::path::Path::new(DATA_DIR_DEFAULT);
    let flag = if is_default {
        String::new()
    } else {
        format!(" --data-dir {}", data_dir.display())
    };
    tell(&made, &flag, out).map_err(|error| Failure::other(&error))
}

fn tell(made: &Made, flag: &str, out: &mut dyn Write) -> std::io::Result<Exit> {
    if let Some(id) = &made.customer_id {
        writeln!(out, "customer   {id}")?;
    }
    let key = made.key.expose_secret();
    writeln!(out, "owner key  {key}")?;
    writeln!(out)?;
    writeln!(
        out,
        "The key is shown this once; only a hash of it is kept. Next:"
    )?;
    writeln!(out)?;
    writeln!(out, "    export COUNTERSIGN_KEY={key}")?;
    writeln!(out, "    countersign serve{flag}")?;
    writeln!(
        out,
        "    curl -H \"Authorization: Bearer $COUNTERSIGN_KEY\" http://127.0.0.1:8701/v1/customers"
    )?;
    writeln!(out)?;
    writeln!(out, "docs/quickstart.md goes on from there.")?;
    Ok(Exit::Ok)
}

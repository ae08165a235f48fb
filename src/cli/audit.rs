//! `countersign audit`: the audit log out of the database, and whether it is the one that was written.

use std::fmt::Display;
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::cold::audit::export::export;
use crate::cold::audit::line::Line;
use crate::cold::audit::signer::Witness;
use crate::cold::audit::verify::{Altered, Verified, Verifier};
use crate::cold::init::Place;
use crate::cold::store::StoreError;
use crate::config::{DATA_DIR_DEFAULT, database_address};

/// Subcommands of `audit`.
#[derive(Debug, Args)]
pub struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Print the whole log as JSON lines. A server may run meanwhile
    Export(PlaceArguments),
    /// Find any line that was altered, put in, taken out or moved, and a missing end
    Verify {
        /// A file that `audit export` has made, in place of the database
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        #[command(flatten)]
        place: PlaceArguments,
    },
}

#[derive(Debug, Args)]
struct PlaceArguments {
    /// Where `control/audit.pub` and `control/audit.checkpoints` are [default: ./countersign-data]
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
}

/// Why there is no whole log.
enum Stopped {
    Store(StoreError),
    Out(io::Error),
    Altered(Altered),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Store(error) => Self::other(&error),
            Stopped::Out(error) => Self::other(&error),
            Stopped::Altered(altered) => failed(&altered),
        }
    }
}

fn failed(why: &dyn Display) -> Failure {
    Failure {
        message: format!("the audit log was altered: {why}"),
        exit: Exit::Corrupt,
    }
}

impl PlaceArguments {
    fn place(self) -> Result<Place, Failure> {
        let address = self.database.map(database_address).transpose();
        let address = address.map_err(|error| Failure {
            message: error.to_string(),
            exit: Exit::Usage,
        })?;
        let data_dir = self.data_dir;
        let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
        Ok(Place::of(&data_dir, address.as_ref()))
    }
}

/// Prints the log, or what is wrong with it.
///
/// # Errors
/// [`Failure`], with the exit code 4 where the log was altered.
pub fn run(arguments: AuditArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    match arguments.command {
        AuditCommand::Export(place) => {
            let mut out = io::BufWriter::new(out);
            each(&place.place()?, |line, _agrees| {
                writeln!(out, "{}", line.write()).map_err(Stopped::Out)
            })?;
            out.flush().map_err(|error| Failure::other(&error))?;
        }
        AuditCommand::Verify { from, place } => {
            let place = place.place()?;
            let witness = Witness::read(place.folder());
            let witness = witness.map_err(|error| Failure::other(&error))?;
            let found = match from {
                Some(path) => of_file(&path, &witness)?,
                None => of_database(&place, &witness)?,
            };
            tell(&found, out).map_err(|error| Failure::other(&error))?;
        }
    }
    Ok(Exit::Ok)
}

/// Every line of the log in the database.
fn each(place: &Place, take: impl FnMut(Line, bool) -> Result<(), Stopped>) -> Result<(), Failure> {
    if !place.is_named() {
        let message = "there is no database; `countersign init` makes one".to_owned();
        let exit = Exit::Usage;
        return Err(Failure { message, exit });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::other(&error))?;
    runtime.block_on(async {
        let store = place.look().await;
        let store = store.map_err(|error| Failure::other(&error))?;
        let exported = export(&*store, take).await;
        // Nothing was written.
        let _closed = store.close().await;
        Ok(exported?)
    })
}

fn of_database(place: &Place, witness: &Witness) -> Result<Verified, Failure> {
    let mut verifier = Verifier::new(witness);
    each(place, |line, agrees| {
        verifier.take_row(&line, agrees).map_err(Stopped::Altered)
    })?;
    verifier.finish().map_err(|altered| failed(&altered))
}

/// Line by line: a log may be larger than memory.
fn of_file(path: &PathBuf, witness: &Witness) -> Result<Verified, Failure> {
    let named = |error: &dyn Display| Failure::other(&format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| named(&error))?;
    let mut reader = BufReader::new(file);
    let mut verifier = Verifier::new(witness);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .map_err(|error| named(&error))?
        > 0
    {
        verifier
            .take_bytes(&line)
            .map_err(|altered| failed(&altered))?;
        line.clear();
    }
    verifier.finish().map_err(|altered| failed(&altered))
}

fn tell(found: &Verified, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "entries      {}", found.entry_count)?;
    writeln!(out, "checkpoints  {}", found.checkpoint_count)?;
    writeln!(out, "covered      {}", found.covered)?;
    writeln!(out, "ok")
}

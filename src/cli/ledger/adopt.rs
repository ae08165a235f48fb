//! `countersign ledger adopt`: gives a database to the journal of a data directory, or to the ledger that
//! nodes share.

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use crate::app::examine_ledger;
use crate::app::recovery::{self, Recovery};
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::cli::desk::{Desk, Where};
use crate::cli::ledger::shared::{OptionalRedis, failure};
use crate::cold::binding::{Binding, Counts, NotAdopted};
use crate::config::LedgerStore;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::Durability;
use crate::ledger::embedded::writer::Writer;

#[derive(Args, Debug)]
pub(super) struct AdoptArguments {
    #[command(flatten)]
    place: Where,
    /// The journal or ledger that the database belongs to, as a refused start names it
    #[arg(long, value_name = "JOURNAL")]
    instead_of: String,
    #[command(flatten)]
    redis: OptionalRedis,
}

/// What the database is to belong to.
struct Found {
    journal: JournalId,
    counts: Counts,
    next: Cursor,
    /// What is said of it.
    told: String,
}

/// The journal is there, with its name, before the database has it.
pub(super) fn run(arguments: &AdoptArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let desk = Desk::open(&arguments.place)?;
    let place = desk.place.for_people();
    let found = match arguments.redis.store()? {
        Some(store) => shared(&store)?,
        None => journal(&desk, &place)?,
    };
    desk.act(async |store, at| {
        let binding = Binding {
            store,
            journal: found.journal,
            counts: found.counts,
            next: found.next,
            place: place.clone(),
        };
        let adopted = binding.adopt(&arguments.instead_of, at).await;
        adopted.map_err(|error| match error {
            NotAdopted::Store(error) => Failure::other(&error),
            NotAdopted::Unbound | NotAdopted::Ours | NotAdopted::Another(_) => Failure {
                message: error.to_string(),
                exit: Exit::Usage,
            },
        })
    })?;
    writeln!(out, "{}", found.told).map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn journal(desk: &Desk, place: &str) -> Result<Found, Failure> {
    let storage: Arc<dyn Storage> = Arc::clone(&desk.journal) as Arc<dyn Storage>;
    let found = found(&storage)?;
    let records = found.next.sequence.saturating_sub(1);
    let name = found.journal.name();
    Ok(Found {
        journal: found.journal,
        counts: Counts::Journal,
        next: found.next,
        told: format!(
            "the database belongs to the journal {name} of {place} from now on. It has {records} \
             records: what was approved elsewhere is not counted in it"
        ),
    })
}

/// The ledger of a Redis that may be worked with.
fn shared(store: &LedgerStore) -> Result<Found, Failure> {
    let generation = examine_ledger(store).map_err(|error| failure(&error))?;
    Ok(Found {
        journal: JournalId(generation.0),
        counts: Counts::SharedLedger,
        // What readers have of it is kept by place in each log, and each node's journal begins anew.
        next: Cursor::GENESIS,
        told: format!(
            "the database belongs to the shared ledger {generation} from now on: what was approved \
             elsewhere is not counted in it"
        ),
    })
}

/// The journal, whose first segment is made where there is none.
fn found(storage: &Arc<dyn Storage>) -> Result<Recovery, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::other(&error.to_string());
    let found = recovery::recover(&**storage).map_err(|error| Failure {
        message: error.to_string(),
        exit: error.exit(),
    })?;
    let journal = found.journal(Durability::Strict);
    let nobody = Box::new(|_published| {});
    let writer = Writer::start(journal, Arc::clone(storage), recovery::timing(), nobody);
    let published = writer.map_err(|error| failed(&error))?.close();
    if published.create_failed {
        return Err(failed(&"the journal's first segment cannot be made"));
    }
    Ok(found)
}

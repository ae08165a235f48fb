//! From a data directory to a ledger that goes on where the last process stopped.

use std::io;

use crate::app::StartError;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::{Config, Durability, Journal};
use crate::ledger::embedded::rebuild::Rebuild;
use crate::ledger::embedded::recover;
use crate::ledger::embedded::writer::Timing;
use crate::ledger::state::State;

/// What recovery found.
pub(super) struct Recovery {
    /// The states at the journal's end.
    pub(super) states: Vec<State>,
    /// Seeds the fingerprints; the same for the life of the data directory.
    pub(super) seed: u64,
    journal: JournalId,
    next: Cursor,
}

impl Recovery {
    /// A journal that goes on at the end.
    pub(super) fn journal(&self, durability: Durability) -> Journal {
        // A segment's seed keeps its frames apart from those of any other file; if the system has
        // no randomness left, zero still leaves offset, number and identity to tell them apart.
        let seeds = Box::new(|| getrandom::u64().unwrap_or_default());
        Journal::new(Config::new(durability), self.journal, self.next, seeds)
    }
}

/// How long the journal's threads wait.
pub(super) fn timing() -> Timing {
    Timing::default()
}

/// Reads the journal to its end and puts its tail in order.
pub(super) fn recover(storage: &dyn Storage) -> Result<Recovery, StartError> {
    let mut rebuild = Rebuild::new();
    let found = recover::recover(storage, None, Cursor::GENESIS, |record| {
        rebuild.take(record.sequence, record.payload);
    })
    .map_err(StartError::Journal)?;
    if let Some(torn) = found.torn {
        tracing::warn!(
            ?torn,
            "the journal's unfinished end was cut off; none of it was durable"
        );
    }
    let records = rebuild.records();
    let states = rebuild.finish().map_err(StartError::NotUnderstood)?;
    tracing::info!(records, customers = states.len(), "recovered");
    let journal = match found.journal {
        Some(journal) => journal,
        None => new_identity()?,
    };
    let JournalId([a, b, c, d, e, f, g, h, ..]) = journal;
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    Ok(Recovery {
        states,
        seed,
        journal,
        next: found.next,
    })
}

fn new_identity() -> Result<JournalId, StartError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        let error = io::Error::other(error.to_string());
        StartError::Io("the system gives no randomness", error)
    })?;
    Ok(JournalId(id))
}

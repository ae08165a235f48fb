//! From a data directory to a ledger that goes on where the last process stopped.

use std::io;

use crate::app::StartError;
use crate::decide::compile::id_key;
use crate::decide::past::Past;
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::checkpoint::{self, Checkpoint};
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::{Config, Durability, Journal};
use crate::ledger::embedded::rebuild::{NotUnderstood, Rebuild};
use crate::ledger::embedded::recover::{self, Torn};
use crate::ledger::embedded::writer::Timing;
use crate::ledger::event::Owner;
use crate::ledger::state::State;

/// What recovery found.
pub(crate) struct Recovery {
    /// The states at the journal's end.
    pub(crate) states: Vec<State>,
    /// Seeds the fingerprints; the same for the life of the data directory.
    pub(crate) seed: u64,
    pub(crate) journal: JournalId,
    /// Where the journal goes on.
    pub(crate) next: Cursor,
}

impl Recovery {
    /// Whose every card is that was ever used, and under which id, and in which currency each customer's sums
    /// are, where anything was charged.
    pub(crate) fn past(&self, keys: &Fingerprinter) -> Past {
        let mut past = Past::default();
        for state in &self.states {
            if let Some(currency) = state.currency {
                past.note_currency(state.key, currency);
            }
            for card in state.cards() {
                past.note_owner(card.key, state.key);
                past.note_card(id_key(keys, &card.id), card.key);
            }
        }
        past
    }

    /// A journal that goes on at the end.
    pub(crate) fn journal(&self, durability: Durability) -> Journal {
        // A segment's seed keeps its frames apart from those of any other file; if the system has
        // no randomness left, zero still leaves offset, number and identity to tell them apart.
        let seeds = Box::new(|| getrandom::u64().unwrap_or_default());
        Journal::new(Config::new(durability), self.journal, self.next, seeds)
    }
}

/// How long the journal's threads wait.
pub(crate) fn timing() -> Timing {
    Timing::default()
}

/// Whether it is a customer's, and not a connection's for cards that nobody knows.
fn is_customer(state: &State) -> bool {
    matches!(state.owner.as_owner(), Owner::Customer(_))
}

/// Reads the journal to its end and puts its tail in order.
pub(crate) fn recover(storage: &dyn Storage) -> Result<Recovery, StartError> {
    let mut rebuild = Rebuild::new();
    let checkpoint = restore(storage, &mut rebuild)?;
    let from = checkpoint.map_or(Cursor::GENESIS, |checkpoint| checkpoint.covers);
    let journal = checkpoint.map(|checkpoint| checkpoint.journal);
    let found = recover::recover(storage, journal, from, |record| {
        rebuild.take(record.sequence, record.payload);
    })
    .map_err(StartError::Journal)?;
    if let Some(Torn { place, dropped }) = found.torn {
        let cut = place.map(|(name, offset)| format!("{name} at byte {offset}"));
        let cut = cut.unwrap_or_else(|| "a segment without a frame".to_owned());
        let dropped_frames = dropped;
        tracing::warn!(
            cut,
            dropped_frames,
            "the journal's unfinished end was cut off; none of it was durable"
        );
    }
    let after_checkpoint = rebuild.records();
    let states = rebuild.finish().map_err(StartError::NotUnderstood)?;
    tracing::info!(
        checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.covers.sequence),
        after_checkpoint,
        customers = states.iter().filter(|state| is_customer(state)).count(),
        "recovered: records that the checkpoint covers, and those that were read after it"
    );
    let journal = match found.journal.or(journal) {
        Some(journal) => journal,
        None => new_identity()?,
    };
    Ok(Recovery {
        states,
        seed: journal.fingerprint_seed(),
        journal,
        next: found.next,
    })
}

/// Puts the newest checkpoint's states in place, if there is one.
fn restore(storage: &dyn Storage, rebuild: &mut Rebuild) -> Result<Option<Checkpoint>, StartError> {
    let loaded = checkpoint::load(storage).map_err(StartError::Journal)?;
    for (name, error) in &loaded.skipped {
        tracing::warn!(%name, %error, "a checkpoint is damaged and was passed over");
    }
    let Some(checkpoint) = loaded.checkpoint else {
        return Ok(None);
    };
    let mut entries = checkpoint.entries(storage).map_err(StartError::Journal)?;
    while let Some((_, image)) = entries.next().map_err(StartError::Journal)? {
        let position = checkpoint.covers.sequence;
        rebuild
            .restore(image)
            .map_err(|_malformed| StartError::NotUnderstood(NotUnderstood { position }))?;
    }
    Ok(Some(checkpoint))
}

fn new_identity() -> Result<JournalId, StartError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        let error = io::Error::other(error.to_string());
        StartError::Io("the system gives no randomness", error)
    })?;
    Ok(JournalId(id))
}

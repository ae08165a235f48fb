//! Moves a whole ledger: from the journal of one process into a Redis that nodes share, and back.
//!
//! It is in use in one place at any time: what it leaves is closed before what it comes to is opened. And what was read
//! back has to be what was there before, to the last hold.

use std::fs::{File, remove_dir_all, rename};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::app::shared::{new_term, with_remote};
use crate::app::{StartError, recovery};
use crate::cold::doctor::InUse;
use crate::config::{ConfigError, LedgerStore, OWN_JOURNAL, SHARED_COPY, SHARED_JOURNAL};
use crate::ledger::embedded::files::{Files, OpenError};
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::{Durability, Refusal};
use crate::ledger::embedded::rebuild::NotUnderstood;
use crate::ledger::embedded::recover::examine_whole;
use crate::ledger::embedded::store::{EmbeddedLedger, Learned, Unavailable};
use crate::ledger::embedded::writer::Writer;
use crate::ledger::redis::arming::{Named, Order, arm, close_all_others};
use crate::ledger::redis::copy::{Copy, Kept};
use crate::ledger::redis::moving::{Differs, Entries, Fold, Total, position_of};
use crate::ledger::redis::setup::Unfit;
use crate::ledger::redis::wire::Generation;
use crate::ledger::redis::{repair, whole};
use crate::ledger::shared::Entry;
use crate::ledger::state::State;

/// Where a journal stands whose ledger has moved into a Redis.
const MOVED: &str = "journal.moved";
/// Where one is made whose ledger comes from there.
const COMING: &str = "journal.coming";
/// For the journal to take the next frame.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);
const BEHIND_ATTEMPTS: u32 = 5_000;

/// What has moved.
#[derive(Debug)]
pub struct Moved {
    /// The ledger's name, which stays.
    pub ledger: String,
    /// Commands that changed it.
    pub entries: u64,
    /// What each owner has come to, on both sides.
    pub totals: Vec<Total>,
}

/// Moves the ledger of a data directory into a Redis that holds none.
///
/// # Errors
/// [`StartError`] says what is in the way; then it is in use where it was.
pub fn export_ledger(
    store: &LedgerStore,
    data_dir: &Path,
    named: &Named,
) -> Result<Moved, StartError> {
    let path = data_dir.join(OWN_JOURNAL);
    if !path.is_dir() {
        return Err(on_data_dir(format!(
            "{}: no journal is here",
            path.display()
        )));
    }
    let files = opened(&path)?;
    let copy = data_dir.join(SHARED_COPY);
    let written = write_copy(&files, &copy)?;
    let term = new_term()?;
    let (totals, armed) = with_remote(store, async |remote| {
        // Refused where another ledger is there, or this one in use; what an attempt before has left is known.
        let repaired = repair::repair(remote, &copy).await?;
        if let Some((path, error)) = repaired.damaged {
            return Err(Unfit::Copy(path, error));
        }
        let mut fold = Fold::default();
        whole::each(remote, |kept| {
            let entry = Entry::decode(&kept.entry).map_err(|_malformed| Unfit::Strange)?;
            let taken = fold.take(&kept, position_of(entry.id));
            taken.map_err(|_malformed| Unfit::Strange)
        })
        .await?;
        let totals = fold.compare(&written.states).map_err(Unfit::Differs)?;
        // Whoever cannot be told is known while the journal can still be used.
        close_all_others(remote, named).await?;
        // From here on the journal is not used any more; only then the Redis is.
        let moved = rename(&path, data_dir.join(MOVED)).and_then(|()| synced(data_dir));
        moved.map_err(|error| Unfit::Local(format!("{}: {error}", path.display())))?;
        let mut named = named.clone();
        named.order = Order::Arm;
        Ok((totals, arm(remote, term, &named).await))
    })?;
    drop(files);
    armed.map_err(|why| {
        StartError::SharedLog(format!(
            "everything is in the Redis and the journal is closed, but it cannot be armed: {why}. When it can, \
             `countersign ledger arm --nothing-was-lost` is all that is left to do"
        ))
    })?;
    Ok(Moved {
        ledger: written.generation.to_string(),
        entries: written.entries,
        totals,
    })
}

/// The ledger of a journal, written as a node would have kept it.
struct Written {
    generation: Generation,
    states: Vec<State>,
    entries: u64,
}

fn write_copy(files: &Files, path: &Path) -> Result<Written, StartError> {
    // Whose journal it is stands in its first segment.
    let (begin, end) = examine_whole(files, |_record| {}).map_err(StartError::Journal)?;
    let Some(journal) = end.journal else {
        return Err(on_data_dir("the journal is empty".to_owned()));
    };
    if begin != Cursor::GENESIS {
        return Err(on_data_dir(format!(
            "the journal begins at position {}, because what came before is older than records are kept \
             (ledger.records_days); a ledger moves with its whole history only",
            begin.sequence
        )));
    }
    let generation = Generation(journal.0);
    let failed = |error| StartError::Io("cannot write the copy of the log", error);
    let mut copy = Copy::begin(path, &generation).map_err(failed)?;
    let (mut entries, mut count) = (Entries::of(journal), 0);
    let mut written = Ok(());
    examine_whole(files, |record| {
        if written.is_err() {
            return;
        }
        let position = record.sequence;
        written = match entries.next(position, record.payload) {
            Ok(kept) => copy
                .keep(kept.owner, kept.number, &kept.entry)
                .map_err(failed),
            Err(_malformed) => Err(StartError::NotUnderstood(NotUnderstood { position })),
        };
        count += 1;
    })
    .map_err(StartError::Journal)?;
    written?;
    copy.stand().map_err(failed)?;
    Ok(Written {
        generation,
        states: entries.into_states(),
        entries: count,
    })
}

/// Moves the ledger of a Redis into a data directory that has none.
///
/// # Errors
/// [`StartError`] says what is in the way. A Redis that was closed already stays so until it is armed.
pub fn import_ledger(
    store: &LedgerStore,
    data_dir: &Path,
    named: &Named,
) -> Result<Moved, StartError> {
    for name in [OWN_JOURNAL, SHARED_JOURNAL] {
        let path = data_dir.join(name);
        if path.exists() {
            let message = format!("{}: a journal is here already", path.display());
            return Err(on_data_dir(message));
        }
    }
    let coming = data_dir.join(COMING);
    match remove_dir_all(&coming) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StartError::DataDir(coming, OpenError::Io(error)));
        }
        Ok(()) | Err(_) => {}
    }
    let (generation, fold, entries) = with_remote(store, async |remote| {
        let generation = whole::close(remote, named).await?;
        let journal = Coming::begin(&coming, &generation);
        let journal = journal.map_err(|error| Unfit::Local(error.to_string()))?;
        let (mut fold, mut entries) = (Fold::default(), 0);
        whole::each(remote, |kept| {
            let position = journal.take(&kept)?;
            entries += 1;
            let taken = fold.take(&kept, position);
            taken.map_err(|_malformed| Unfit::Strange)
        })
        .await?;
        journal.end()?;
        Ok((generation, fold, entries))
    })?;
    // As the next start will read it.
    let files = opened(&coming)?;
    let found = recovery::recover(&files)?;
    let totals = fold.compare(&found.states).map_err(|Differs(owner)| {
        StartError::SharedLog(format!(
            "{owner} has come to something else in the journal; the Redis is closed, `countersign ledger arm` \
             lets it be used again"
        ))
    })?;
    let path = data_dir.join(OWN_JOURNAL);
    let moved = rename(&coming, &path).and_then(|()| synced(data_dir));
    moved.map_err(|error| StartError::DataDir(path, OpenError::Io(error)))?;
    Ok(Moved {
        ledger: generation.to_string(),
        entries,
        totals,
    })
}

/// A journal that is made of what a log says.
struct Coming {
    ledger: EmbeddedLedger,
    writer: Writer,
}

impl Coming {
    fn begin(path: &Path, generation: &Generation) -> Result<Self, StartError> {
        let storage: Arc<dyn Storage> = Arc::new(opened(path)?);
        let journal = JournalId(generation.0);
        let nothing = recovery::Recovery {
            states: Vec::new(),
            seed: journal.fingerprint_seed(),
            journal,
            next: Cursor::GENESIS,
        };
        let journal = nothing.journal(Durability::Strict);
        let nobody = Box::new(|_published| {});
        let writer = Writer::start(journal, storage, recovery::timing(), nobody);
        let writer =
            writer.map_err(|error| StartError::Io("cannot start the journal's threads", error))?;
        Ok(Self {
            ledger: EmbeddedLedger::of_shared_log(writer.share_journal()),
            writer,
        })
    }

    /// Writes down the next entry of a log. Its position.
    fn take(&self, kept: &Kept) -> Result<u64, Unfit> {
        let entry = Entry::decode(&kept.entry).map_err(|_malformed| Unfit::Strange)?;
        for _ in 0..BEHIND_ATTEMPTS {
            match self.ledger.learn(kept.owner, kept.number, &entry) {
                Ok(Learned::Now(position)) => return Ok(position.0),
                Err(Unavailable::Journal(Refusal::Behind | Refusal::Full)) => {
                    self.writer.write_or_kick();
                    thread::sleep(BEHIND_PAUSE);
                }
                Ok(Learned::Before | Learned::Missing(_)) | Err(_) => return Err(Unfit::Strange),
            }
        }
        Err(Unfit::Local(
            "the disk does not take the journal".to_owned(),
        ))
    }

    /// Has everything durable.
    fn end(self) -> Result<(), Unfit> {
        let published = self.writer.close();
        if published.poisoned || published.create_failed {
            return Err(Unfit::Local("the disk did not take the journal".to_owned()));
        }
        Ok(())
    }
}

fn opened(path: &Path) -> Result<Files, StartError> {
    Files::open(path).map_err(|error| match error {
        OpenError::InUse => StartError::InUse(InUse::of(path)),
        OpenError::Io(error) => StartError::DataDir(path.to_owned(), OpenError::Io(error)),
    })
}

fn on_data_dir(message: String) -> StartError {
    StartError::Config(ConfigError {
        place: "--data-dir".to_owned(),
        message,
    })
}

/// A name that has changed is kept through a loss of power.
fn synced(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The journal that has moved away from this data directory, if one has.
pub(super) fn moved_away(data_dir: &Path) -> Option<PathBuf> {
    let moved = data_dir.join(MOVED);
    (moved.exists() && !data_dir.join(OWN_JOURNAL).exists()).then_some(moved)
}

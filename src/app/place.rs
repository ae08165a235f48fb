//! The data directory: whose ledger's journal is in it.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::app::StartError;
use crate::app::moving::moved_away;
use crate::cold::doctor::InUse;
use crate::cold::policies::look_before;
use crate::config::{Config, LedgerStore, OWN_JOURNAL, SHARED_JOURNAL};
use crate::ledger::embedded::files::{Files, LOCK_FILE, OpenError};

/// What the process before has learned of a log that several nodes share.
const BEFORE: &str = "shared-journal.before";

/// What is in the directory is for nobody else: decisions, ids of cards, the sandbox's secret.
const DATA_DIR_MODE: u32 = 0o700;

/// Opens the journal, once it is known that there is something to decide by.
///
/// # Errors
/// [`StartError`] names what is in the way.
pub(super) fn open(config: &Config) -> Result<Files, StartError> {
    if let Some(path) = &config.snapshot {
        look_before(path).map_err(|error| StartError::Snapshot(error.into()))?;
    }
    let dir = journal_dir(config);
    let [own, shared] = [OWN_JOURNAL, SHARED_JOURNAL].map(|name| config.data_dir.join(name));
    let other = if dir == own { &shared } else { &own };
    if holds_records(other) {
        return Err(StartError::OtherLedger(other.clone()));
    }
    if dir == own
        && let Some(moved) = moved_away(&config.data_dir)
    {
        return Err(StartError::OtherLedger(moved));
    }
    let files = open_journal(&config.data_dir, &dir)?;
    if dir == own {
        return Ok(files);
    }
    // What the last process learned is in the log and is learned again. It is kept until the next
    // start: if the log has lost it, it is what is left of it.
    let before = config.data_dir.join(BEFORE);
    let moved = remove_if_there(&before).and_then(|()| std::fs::rename(&dir, &before));
    moved.map_err(|error| StartError::DataDir(dir.clone(), OpenError::Io(error)))?;
    drop(files);
    open_journal(&config.data_dir, &dir)
}

/// Whether more than a lock is in a journal's directory: a command that changed rows has left that, before
/// the first start.
fn holds_records(journal: &Path) -> bool {
    match std::fs::read_dir(journal) {
        Ok(mut entries) => {
            entries.any(|entry| entry.map_or(true, |entry| entry.file_name() != LOCK_FILE))
        }
        // A file in the directory's place is told of as what it is, by whoever opens the directory.
        Err(error) => ![ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()),
    }
}

fn remove_if_there(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The journal of the ledger that this configuration names.
pub(super) fn journal_dir(config: &Config) -> PathBuf {
    let name = match config.ledger {
        LedgerStore::Embedded => OWN_JOURNAL,
        LedgerStore::Shared(_) => SHARED_JOURNAL,
    };
    config.data_dir.join(name)
}

fn open_journal(data_dir: &Path, journal_dir: &Path) -> Result<Files, StartError> {
    let refuse = |path: &Path, error| StartError::DataDir(path.to_owned(), OpenError::Io(error));
    if data_dir.exists() && !data_dir.is_dir() {
        let error = std::io::Error::new(ErrorKind::NotADirectory, "is no directory");
        return Err(refuse(data_dir, error));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DATA_DIR_MODE)
        .create(data_dir)
        .map_err(|error| refuse(data_dir, error))?;
    Files::open(journal_dir).map_err(|error| match error {
        OpenError::InUse => StartError::InUse(InUse::of(journal_dir)),
        OpenError::Io(error) => refuse(journal_dir, error),
    })
}

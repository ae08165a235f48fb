//! The file that the policies come from: what it says, and whether it has changed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::in_full;
use crate::decide::compile::id_key;
use crate::decide::document::{
    Before, DocumentContext, DocumentError, DocumentRefused, read_next_snapshot,
};
use crate::decide::past::Past;
use crate::decide::snapshot::Snapshot;
use crate::domain::card::Key;
use crate::domain::identity::{KeySpace, Keys};
use crate::fingerprint::Fingerprinter;

/// The largest file that is read; some ten million cards.
const FILE_SIZE_MAX: u64 = 4 << 30;

/// Where policies come from, and what is needed to compile them.
pub struct Source {
    path: PathBuf,
    connections: Vec<String>,
    keys: Fingerprinter,
}

/// The bytes of a file, known by their hash.
pub(super) struct Content {
    bytes: Vec<u8>,
    pub(super) digest: Key,
}

impl Source {
    /// The file, the names of the configured issuer connections, and what hashes as the ledger does.
    #[must_use]
    pub fn new(path: &Path, connections: Vec<String>, keys: &Fingerprinter) -> Self {
        Self {
            path: path.to_owned(),
            connections,
            keys: keys.clone(),
        }
    }

    /// The hash by which a card's id is known.
    pub(super) fn id_key(&self, id: &str) -> Key {
        id_key(&self.keys, id)
    }

    /// The file's name in complaints.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads it once more. What is no file, such as a pipe, has nothing more to say, and could keep
    /// its reader waiting for ever.
    pub(super) fn read_again(&self) -> Result<Content, DocumentError> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => {
                Err(self.as_a_whole("is no file that could be read again".to_owned()))
            }
            Ok(_) | Err(_) => self.read(),
        }
    }

    pub(super) fn read(&self) -> Result<Content, DocumentError> {
        let bytes = read_whole(&self.path).map_err(|message| self.as_a_whole(message))?;
        let digest = self.keys.key(KeySpace::Content, &[&bytes]);
        Ok(Content { bytes, digest })
    }

    pub(super) fn compile(
        &self,
        content: &Content,
        before: &Snapshot,
        version: u64,
        past: &Past,
    ) -> Result<Snapshot, DocumentRefused> {
        let connections: Vec<&str> = self.connections.iter().map(String::as_str).collect();
        let context = DocumentContext {
            file: &self.name(),
            connections: &connections,
            version,
        };
        let before = Before {
            snapshot: before,
            past,
        };
        read_next_snapshot(&content.bytes, context, &self.keys, before)
    }

    /// A complaint about no line in particular.
    pub(super) fn as_a_whole(&self, message: String) -> DocumentError {
        DocumentError {
            file: self.name(),
            line: None,
            field: String::new(),
            message,
        }
    }

    /// Whether something else than a file is there, which a watch could not read.
    pub(super) fn is_no_file(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file())
    }

    /// How the file looks from outside; absent where it cannot be looked at.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some(Stamp::of(&metadata))
    }
}

/// Whether the file can be opened, before anything is made that would stand on it. What is no file,
/// such as a pipe, is left to its one reader.
///
/// # Errors
/// That it cannot be read.
pub fn look_before(path: &Path) -> Result<(), DocumentError> {
    let looked = std::fs::metadata(path).and_then(|metadata| {
        if metadata.is_file() {
            File::open(path)?;
        }
        Ok(())
    });
    looked.map_err(|error| DocumentError {
        file: path.display().to_string(),
        line: None,
        field: String::new(),
        message: unreadable(path, &error),
    })
}

/// Reads a whole snapshot's file.
///
/// # Errors
/// What is wrong with it, for people.
pub fn read_whole(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read_bounded(file).map_err(|error| unreadable(path, &error))?
}

/// Reads a whole snapshot from standard input.
///
/// # Errors
/// What is wrong with it, for people.
pub fn read_stdin() -> Result<Vec<u8>, String> {
    let read = read_bounded(io::stdin().lock());
    read.map_err(|error| format!("cannot be read: {error}"))?
}

/// All of it, or that it is too much.
fn read_bounded(from: impl Read) -> io::Result<Result<Vec<u8>, String>> {
    let mut bytes = Vec::new();
    let mut bounded = from.take(FILE_SIZE_MAX + 1);
    bounded.read_to_end(&mut bytes)?;
    if bounded.limit() == 0 {
        return Ok(Err(format!("is larger than {FILE_SIZE_MAX} bytes")));
    }
    Ok(Ok(bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot be read: {}", in_full(path, error))
}

/// What can be seen of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(test)]
    pub(super) fn numbered(number: u64) -> Self {
        Self {
            file: (0, 0),
            size: number,
            modified: (0, 0),
            changed: (0, 0),
        }
    }
}

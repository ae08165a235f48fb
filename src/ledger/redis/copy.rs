//! A node's own copy of the log: what a Redis that lost entries gets back from it.
//!
//! Every entry that the node has learned stands in it as the log has it, before anything that rests on it
//! leaves. It is written to the system and synced once, before it takes the place of the one before it: the end of the
//! process takes nothing of it, the end of its machine's power what came after that.

use std::fs::{File, OpenOptions, hard_link, remove_file, rename};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::domain::card::Key;
use crate::ledger::embedded::frame::checksum;
use crate::ledger::redis::wire::Generation;

/// How a copy begins; another layout begins otherwise.
const MAGIC: &[u8; 24] = b"countersign shared log 1";
/// Owner and number, before the entry.
const HEAD_SIZE: usize = 24;
/// Size and checksum, before that.
const PREFIX_SIZE: usize = 8;
/// Of a record without its prefix; an entry is far smaller.
const RECORD_SIZE_MAX: usize = 1 << 20;
/// Of an entry; a longer one would not be read again.
pub const ENTRY_SIZE_MAX: usize = RECORD_SIZE_MAX - HEAD_SIZE;
/// What is read at once where a whole record is looked for.
const SEARCH_SIZE: u64 = 4 << 20;
/// It holds ids of cards and what they spent.
const MODE: u32 = 0o600;

/// Where a copy is written to.
pub struct Copy {
    file: File,
    record: Vec<u8>,
    /// Where it is to stand, until it does.
    place: Option<PathBuf>,
}

/// Where a copy is written that does not hold everything yet.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

impl Copy {
    /// Begins one that will stand at `path`. Until then the one that is there stays: the log may be lost
    /// while this one has only half of it.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn begin(path: &Path, generation: &Generation) -> io::Result<Self> {
        let new = unfinished(path);
        or_absent(remove_file(&new))?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(MODE).open(new)?;
        file.write_all(&[MAGIC.as_slice(), &generation.0].concat())?;
        Ok(Self {
            file,
            record: Vec::new(),
            place: Some(path.to_owned()),
        })
    }

    /// Has it stand at its place, unless it does: it holds all that was in the log. The one that was
    /// there stands beside it until the next time.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn stand(&mut self) -> io::Result<()> {
        let Some(path) = &self.place else {
            return Ok(());
        };
        // What stands beside it was settled long ago; where the machine's power goes, this one is as good.
        self.file.sync_all()?;
        let before = path.with_extension("before");
        or_absent(remove_file(&before))?;
        // A second name, so that at no moment there is none. Some file systems have no such thing.
        or_absent(hard_link(path, &before).or_else(|_| rename(path, &before)))?;
        rename(unfinished(path), path)?;
        self.place = None;
        Ok(())
    }

    /// Adds the entry of this number of an owner's log.
    ///
    /// # Errors
    /// Where the file system refuses; part of it may be written, so that nothing may follow. Where the entry
    /// is longer than [`ENTRY_SIZE_MAX`]; nothing is written then.
    pub fn keep(&mut self, owner: Key, number: u64, entry: &[u8]) -> io::Result<()> {
        let size = HEAD_SIZE + entry.len();
        let size = u32::try_from(size).ok().filter(|_| size <= RECORD_SIZE_MAX);
        let size = size.ok_or_else(|| io::Error::other("an entry is too long"))?;
        let head = [&owner.0.to_be_bytes()[..], &number.to_le_bytes()].concat();
        let crc = checksum(&[&head, entry]);
        self.record.clear();
        for part in [&size.to_le_bytes()[..], &crc.to_le_bytes(), &head, entry] {
            self.record.extend_from_slice(part);
        }
        self.file.write_all(&self.record)
    }
}

fn or_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// One entry of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose log.
    pub owner: Key,
    /// Its place, counted from zero.
    pub number: u64,
    /// Its bytes.
    pub entry: Vec<u8>,
}

/// Reads a copy from its beginning.
pub struct Reader {
    file: BufReader<File>,
    /// Where it stands.
    pub path: PathBuf,
    /// Of which ledger it is.
    pub generation: Generation,
    /// Whether it ended within a record, as where its machine lost power.
    pub is_cut_short: bool,
    /// Where the next record begins.
    at: u64,
}

impl Reader {
    /// Opens the copy at `path`.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let (mut magic, mut name) = ([0; MAGIC.len()], [0; 16]);
        file.read_exact(&mut magic)?;
        file.read_exact(&mut name)?;
        if magic != *MAGIC {
            return Err(io::Error::other("it is no copy of a shared log"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            generation: Generation(name),
            is_cut_short: false,
            at: (MAGIC.len() + name.len()) as u64,
        })
    }

    /// The next entry; absent at the end.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged: a record is not whole and there are whole ones behind it. Only
    /// the end may be torn.
    pub fn next_kept(&mut self) -> io::Result<Option<Kept>> {
        let mut record = Vec::new();
        let has_prefix = self.fill(&mut record, PREFIX_SIZE)?;
        if record.is_empty() {
            return Ok(None);
        }
        if has_prefix && let Some(size) = size_of(&record) {
            self.fill(&mut record, size)?;
        }
        match whole(&record) {
            Some(kept) => {
                self.at += record.len() as u64;
                Ok(Some(kept))
            }
            None if has_whole(&mut self.file, self.at)? => {
                let told = format!("it is damaged at byte {}, and goes on behind that", self.at);
                Err(io::Error::new(ErrorKind::InvalidData, told))
            }
            None => {
                self.is_cut_short = true;
                Ok(None)
            }
        }
    }

    /// Reads so much more. Whether there was so much.
    fn fill(&mut self, into: &mut Vec<u8>, size: usize) -> io::Result<bool> {
        let read = self.file.by_ref().take(size as u64).read_to_end(into)?;
        Ok(read == size)
    }
}

/// What the prefix of a record says of its size, if it can be so.
fn size_of(bytes: &[u8]) -> Option<usize> {
    let (size, _) = bytes.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    (HEAD_SIZE..=RECORD_SIZE_MAX)
        .contains(&size)
        .then_some(size)
}

/// The record that these bytes begin with, if it is whole.
fn whole(bytes: &[u8]) -> Option<Kept> {
    let size = size_of(bytes)?;
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_SIZE>()?;
    let [_, _, _, _, crc @ ..] = *prefix;
    let body = rest.get(..size)?;
    if checksum(&[body]) != u32::from_le_bytes(crc) {
        return None;
    }
    let (owner, rest) = body.split_first_chunk()?;
    let (number, entry) = rest.split_first_chunk()?;
    Some(Kept {
        owner: Key(u128::from_be_bytes(*owner)),
        number: u64::from_le_bytes(*number),
        entry: entry.to_vec(),
    })
}

/// Whether a whole record begins anywhere behind this place.
fn has_whole(file: &mut (impl Read + Seek), at: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(at + 1))?;
    let mut window = Vec::new();
    loop {
        let read = file.by_ref().take(SEARCH_SIZE).read_to_end(&mut window)?;
        // What begins in the rest may end behind the window.
        let rest = if read == 0 {
            0
        } else {
            PREFIX_SIZE + RECORD_SIZE_MAX
        };
        let searched = window.len().saturating_sub(rest);
        let begins = |from: &usize| window.get(*from..).and_then(whole).is_some();
        if (0..searched).any(|from| begins(&from)) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        window.drain(..searched);
    }
}

#[cfg(test)]
mod tests;

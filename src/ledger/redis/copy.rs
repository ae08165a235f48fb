//! A node's own copy of the log: what a Redis that lost entries gets back from it.
//!
//! Every entry that the node has learned stands in it as the log has it, before anything that rests on it
//! leaves. It is written to the system and not synced: the end of the process takes nothing of it.

use std::fs::{File, OpenOptions, hard_link, remove_file, rename};
use std::io::{self, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::domain::card::Key;
use crate::ledger::embedded::frame::checksum;
use crate::ledger::redis::wire::Generation;

/// How a copy begins; another layout begins otherwise.
const MAGIC: &[u8; 24] = b"countersign shared log 1";
/// Owner and number, before the entry.
const HEAD_SIZE: usize = 24;
/// Of a record; an entry is far smaller.
const RECORD_SIZE_MAX: usize = 1 << 20;
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
    /// Where the file system refuses. Part of it may be written, so that nothing may follow.
    pub fn keep(&mut self, owner: Key, number: u64, entry: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::other("an entry is too long");
        let size = u32::try_from(HEAD_SIZE + entry.len()).map_err(too_long)?;
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
    /// Of which ledger it is.
    pub generation: Generation,
    /// Whether it ended within a record, as where its machine lost power.
    pub is_cut_short: bool,
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
            generation: Generation(name),
            is_cut_short: false,
        })
    }

    /// The next entry; absent at the end.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn next_kept(&mut self) -> io::Result<Option<Kept>> {
        let mut head = [0; 8];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let [a, b, c, d, crc @ ..] = head;
        let size = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !(HEAD_SIZE..=RECORD_SIZE_MAX).contains(&size) {
            self.is_cut_short = true;
            return Ok(None);
        }
        let mut body = vec![0; size];
        let is_whole = self.fill(&mut body)? && checksum(&[&body]) == u32::from_le_bytes(crc);
        let parted = body.split_at_checked(HEAD_SIZE).filter(|_| is_whole);
        let kept = parted.and_then(|(head, entry)| {
            let (owner, number) = head.split_at_checked(16)?;
            Some(Kept {
                owner: Key(u128::from_be_bytes(owner.try_into().ok()?)),
                number: u64::from_le_bytes(number.try_into().ok()?),
                entry: entry.to_vec(),
            })
        });
        self.is_cut_short |= kept.is_none();
        Ok(kept)
    }

    /// Whether there was so much. What ends in between is cut short.
    fn fill(&mut self, into: &mut [u8]) -> io::Result<bool> {
        let mut rest = into;
        let mut any = false;
        while !rest.is_empty() {
            match self.file.read(rest) {
                Ok(0) => {
                    self.is_cut_short |= any;
                    return Ok(false);
                }
                Ok(size) => {
                    any = true;
                    rest = rest.get_mut(size..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Copy {
        /// One that takes nothing.
        pub(in crate::ledger::redis) fn unwritable() -> Self {
            Self {
                file: File::open("/dev/null").unwrap(),
                record: Vec::new(),
                place: None,
            }
        }
    }

    #[test]
    fn a_copy_is_read_as_it_was_written_and_no_further_than_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let generation = Generation([7; 16]);
        let mut copy = Copy::begin(&path, &generation).unwrap();
        let kept = |number: u64| Kept {
            owner: Key(5),
            number,
            entry: vec![u8::try_from(number).unwrap(); 40],
        };
        for number in 0..3 {
            copy.keep(Key(5), number, &kept(number).entry).unwrap();
        }
        assert!(!path.exists(), "it does not hold everything yet");
        copy.stand().unwrap();
        copy.stand().unwrap();
        assert!(!unfinished(&path).exists());
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - 40) / 3;
        for size in 0..=whole.len() {
            std::fs::write(&path, &whole[..size]).unwrap();
            let Ok(mut reader) = Reader::open(&path) else {
                assert!(size < 40, "{size}");
                continue;
            };
            assert_eq!(reader.generation, generation);
            let mut read = Vec::new();
            while let Some(next) = reader.next_kept().unwrap() {
                read.push(next);
            }
            let wanted: Vec<Kept> = (0..3).map(kept).take((size - 40) / record).collect();
            assert_eq!(read, wanted, "{size}");
            assert_eq!(reader.is_cut_short, (size - 40) % record != 0, "{size}");
        }
        let mut flipped = whole;
        flipped[40 + record + 30] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.next_kept().unwrap(), Some(kept(0)));
        assert_eq!(reader.next_kept().unwrap(), None);
        assert!(reader.is_cut_short);
        // Processes that end before they know all leave the former, and the next one keeps it.
        drop(Copy::begin(&path, &generation).unwrap());
        let mut copy = Copy::begin(&path, &generation).unwrap();
        copy.keep(Key(5), 0, &kept(0).entry).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), flipped);
        copy.stand().unwrap();
        copy.keep(Key(5), 1, &kept(1).entry).unwrap();
        let before = std::fs::read(path.with_extension("before")).unwrap();
        assert_eq!(before, flipped);
        assert_eq!(std::fs::read(&path).unwrap().len(), 40 + 2 * record);
    }
}

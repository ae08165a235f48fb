//! The file of what this node approved by itself, and the thread that writes it.
//!
//! A record says that something was approved, or that the log has it. Only the end may be torn: where something
//! whole stands behind what is not, the file is damaged, and nobody knows what was approved.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::ledger::embedded::frame::checksum;
use crate::ledger::redis::stand_in::{Entry, Stage};
use crate::ledger::redis::wire::Generation;

/// How the file begins; another layout begins otherwise.
const MAGIC: &[u8; 24] = b"countersign stand-in   1";
const HEAD_SIZE: usize = MAGIC.len() + 16;
/// Size and checksum, before each record.
const PREFIX_SIZE: usize = 8;
/// What a record says, and of which approval.
const BODY_HEAD_SIZE: usize = 9;
/// Of a record without its prefix; an approval is far smaller.
const BODY_SIZE_MAX: usize = 1 << 20;
const APPROVED: u8 = 1;
const ENDED: u8 = 2;
/// It holds ids of cards and what they spent.
const MODE: u32 = 0o600;

/// The file cannot be trusted.
#[derive(Debug)]
pub(super) struct Damaged {
    path: PathBuf,
    at: Option<usize>,
}

impl Damaged {
    /// Something that stands in it is not understood.
    pub(super) fn error(path: &Path) -> io::Error {
        Self::at(path, None)
    }

    fn at(path: &Path, at: Option<usize>) -> io::Error {
        let path = path.to_owned();
        io::Error::new(ErrorKind::InvalidData, Self { path, at })
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.at {
            Some(at) => write!(f, "{path} is damaged at byte {at}, and goes on behind that")?,
            None => write!(f, "{path} holds an approval that is not understood")?,
        }
        f.write_str("; it has what this node approved while the ledger did not answer")
    }
}

impl std::error::Error for Damaged {}

/// What is to be written.
pub(super) enum Order {
    /// An approval.
    Keep(Arc<Entry>),
    /// That it has ended.
    End(u64),
}

/// One approval that had not ended.
pub(super) struct Kept {
    pub(super) id: u64,
    pub(super) bytes: Vec<u8>,
}

/// The open file.
pub(super) struct File {
    file: fs::File,
    next_id: u64,
    /// How many approvals in it have not ended.
    live: usize,
}

impl File {
    /// Opens it, or begins one; what has not ended in it.
    pub(super) fn open(path: &Path, generation: &Generation) -> io::Result<(Self, Vec<Kept>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.mode(MODE).open(path)?;
        let bytes = fs::read(path)?;
        let head = [MAGIC.as_slice(), &generation.0].concat();
        let mut read = Read::default();
        let mut whole = HEAD_SIZE;
        if bytes.len() < HEAD_SIZE && head.starts_with(&bytes) {
            file.set_len(0)?;
            file.write_all(&head)?;
        } else if bytes.starts_with(MAGIC) {
            whole = read.all(path, &bytes)?;
            // What another ledger was told is nothing to this one.
            if !bytes.starts_with(&head) && !read.live.is_empty() {
                let told = format!(
                    "{} has approvals of another ledger that were not booked",
                    path.display()
                );
                return Err(io::Error::new(ErrorKind::InvalidData, told));
            }
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&head)?;
        } else {
            return Err(Damaged::at(path, Some(0)));
        }
        if read.live.is_empty() {
            whole = HEAD_SIZE;
        }
        file.set_len(whole as u64)?;
        file.sync_all()?;
        sync_directory(path)?;
        file.seek(SeekFrom::End(0))?;
        let kept = read.live.into_iter().map(|(id, bytes)| Kept { id, bytes });
        let kept: Vec<Kept> = kept.collect();
        let file = Self {
            file,
            next_id: read.next_id,
            live: kept.len(),
        };
        Ok((file, kept))
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Writes what is ordered until nobody orders any more, several orders with one sync. After a failure
    /// nobody knows what is in the file: it takes nothing more.
    pub(super) fn run(mut self, orders: &Receiver<Order>, broken: impl Fn()) {
        let mut is_broken = false;
        while let Ok(first) = orders.recv() {
            let batch: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
            if !is_broken && let Err(error) = self.write(&batch) {
                tracing::error!(%error, "the file of what this node approves by itself takes nothing more");
                is_broken = true;
                broken();
            }
            let stage = if is_broken {
                Stage::Void
            } else {
                Stage::Durable
            };
            for order in &batch {
                if let Order::Keep(entry) = order {
                    entry.stage.send_if_modified(|now| {
                        let is_waited_for = *now == Stage::Written;
                        if is_waited_for {
                            *now = stage;
                        }
                        is_waited_for
                    });
                }
            }
        }
    }

    fn write(&mut self, batch: &[Order]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for order in batch {
            match order {
                Order::Keep(entry) => {
                    put(&mut bytes, APPROVED, entry.id, &entry.bytes)?;
                    self.live = self.live.saturating_add(1);
                }
                Order::End(id) => {
                    put(&mut bytes, ENDED, *id, &[])?;
                    self.live = self.live.saturating_sub(1);
                }
            }
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        if self.live == 0 {
            // Nothing in it has not ended, so that it begins anew.
            self.file.set_len(HEAD_SIZE as u64)?;
            self.file.seek(SeekFrom::End(0))?;
        }
        Ok(())
    }
}

/// A new file is there after a loss of power only when its directory is synced.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn put(out: &mut Vec<u8>, says: u8, id: u64, bytes: &[u8]) -> io::Result<()> {
    let size = BODY_HEAD_SIZE + bytes.len();
    let size = u32::try_from(size).ok().filter(|_| size <= BODY_SIZE_MAX);
    let size = size.ok_or_else(|| io::Error::other("an approval is too long"))?;
    let id = id.to_le_bytes();
    let crc = checksum(&[&[says], &id, bytes]);
    for part in [
        &size.to_le_bytes()[..],
        &crc.to_le_bytes(),
        &[says],
        &id,
        bytes,
    ] {
        out.extend_from_slice(part);
    }
    Ok(())
}

#[derive(Default)]
struct Read {
    live: BTreeMap<u64, Vec<u8>>,
    next_id: u64,
}

impl Read {
    /// Reads all records; where the whole ones end.
    fn all(&mut self, path: &Path, bytes: &[u8]) -> io::Result<usize> {
        let mut at = HEAD_SIZE.min(bytes.len());
        while let Some((says, id, approval, size)) = bytes.get(at..).and_then(whole) {
            match says {
                APPROVED => drop(self.live.insert(id, approval.to_vec())),
                _ => drop(self.live.remove(&id)),
            }
            self.next_id = self.next_id.max(id.saturating_add(1));
            at += size;
        }
        let is_whole = |from: usize| bytes.get(from..).and_then(whole).is_some();
        if (at..bytes.len()).any(is_whole) {
            return Err(Damaged::at(path, Some(at)));
        }
        Ok(at)
    }
}

/// The record that these bytes begin with, if it is whole, and its size.
fn whole(bytes: &[u8]) -> Option<(u8, u64, &[u8], usize)> {
    let (size, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    if !(BODY_HEAD_SIZE..=BODY_SIZE_MAX).contains(&size) {
        return None;
    }
    let body = rest.get(..size)?;
    if checksum(&[body]) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (says, rest) = body.split_first()?;
    let (id, approval) = rest.split_first_chunk()?;
    let is_known = [APPROVED, ENDED].contains(says);
    is_known.then(|| (*says, u64::from_le_bytes(*id), approval, PREFIX_SIZE + size))
}

#[cfg(test)]
impl File {
    /// One on a disk that is full.
    pub(super) fn full() -> Self {
        Self {
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            next_id: 0,
            live: 0,
        }
    }
}

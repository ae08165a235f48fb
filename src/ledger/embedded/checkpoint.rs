//! Checkpoints: the folded state of everything before a cursor, by key.
//!
//! ```text
//! header  magic 8 | format u32 | journal 16 | segment u64 | sequence u64 | chain u32 | zeros | crc u32
//! block   size u32 | crc u32 | entries: key u64 | len u32 | bytes
//! footer  0 u32 | crc u32 | entries u64 | size of the file before the footer u64
//! ```
//!
//! Keys ascend. Each CRC runs over the one before it, so the footer's covers the file. A checkpoint
//! is read to its footer before anything of it is used; one that does not verify is passed over
//! for the older one, whose segments are kept for that. That costs a second read at start.

pub mod merge;

use super::frame::{Cursor, FORMAT, HeaderFault, JournalId, u32_at, u64_at};
use super::io::{Name, Storage};
use super::recover::{RecoverError, on};
use super::scan::{Corrupt, Reason};

/// Largest state of one key, in bytes.
pub const ENTRY_SIZE_MAX: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"CSCHKP\r\n";
const HEADER_SIZE: usize = 64;
const BLOCK_HEAD_SIZE: usize = 8;
const ENTRY_HEAD_SIZE: usize = 12;
const FOOTER_SIZE: usize = 24;
/// A block is closed when it has at least this size. One read and one CRC each.
const BLOCK_SIZE: usize = 64 << 10;

/// A checkpoint that was verified to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The journal it belongs to.
    pub journal: JournalId,
    /// It holds everything before this; replay goes on here.
    pub covers: Cursor,
    /// How many entries it has.
    pub count: u64,
}

/// What [`load`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The newest checkpoint that verifies; without one, replay from [`Cursor::GENESIS`].
    pub checkpoint: Option<Checkpoint>,
    /// Newer ones that do not, for the log.
    pub skipped: Vec<(Name, RecoverError)>,
}

impl Checkpoint {
    /// Its file.
    #[must_use]
    pub fn name(&self) -> Name {
        Name::Checkpoint(self.covers.sequence)
    }

    /// Its entries, from the first key on.
    ///
    /// # Errors
    /// When the file cannot be read or is not what was verified.
    pub fn entries<'s>(&self, storage: &'s dyn Storage) -> Result<Entries<'s>, RecoverError> {
        Entries::open(storage, self.name())
    }
}

/// The newest checkpoint that verifies wholly.
///
/// # Errors
/// When the directory cannot be listed, or a checkpoint was written by a newer version: then the
/// segments were too, and falling back would only hide it.
pub fn load(storage: &dyn Storage) -> Result<Loaded, RecoverError> {
    let mut skipped = Vec::new();
    for name in names(storage)? {
        match verify(storage, name) {
            Ok(checkpoint) => {
                return Ok(Loaded {
                    checkpoint: Some(checkpoint),
                    skipped,
                });
            }
            Err(
                newer @ RecoverError::Corrupt(Corrupt {
                    reason: Reason::Newer(_),
                    ..
                }),
            ) => {
                return Err(newer);
            }
            Err(error) => skipped.push((name, error)),
        }
    }
    Ok(Loaded {
        checkpoint: None,
        skipped,
    })
}

/// The newest checkpoint before this one that verifies wholly, if there is one.
///
/// # Errors
/// When the directory cannot be listed.
pub fn before(
    storage: &dyn Storage,
    newer: &Checkpoint,
) -> Result<Option<Checkpoint>, RecoverError> {
    let older = names(storage)?
        .into_iter()
        .filter(|name| *name < newer.name());
    Ok(older.filter_map(|name| verify(storage, name).ok()).next())
}

/// The names of all checkpoints, newest first.
fn names(storage: &dyn Storage) -> Result<Vec<Name>, RecoverError> {
    let mut names = storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?;
    names.retain(|name| matches!(name, Name::Checkpoint(_)));
    names.sort_unstable();
    names.reverse();
    Ok(names)
}

/// Reads a checkpoint to its footer.
///
/// # Errors
/// When it cannot be read or anything in it does not verify.
pub fn verify(storage: &dyn Storage, name: Name) -> Result<Checkpoint, RecoverError> {
    let mut entries = Entries::open(storage, name)?;
    while entries.next()?.is_some() {}
    Ok(Checkpoint {
        journal: entries.journal,
        covers: entries.covers,
        count: entries.count,
    })
}

/// Reads a checkpoint block by block; memory is that of the largest block.
pub struct Entries<'s> {
    storage: &'s dyn Storage,
    name: Name,
    size: u64,
    journal: JournalId,
    covers: Cursor,
    /// Offset of the next block.
    offset: u64,
    chain: u32,
    block: Vec<u8>,
    /// Where in the block the next entry begins.
    at: usize,
    last_key: Option<u64>,
    count: u64,
    ended: bool,
}

impl<'s> Entries<'s> {
    fn open(storage: &'s dyn Storage, name: Name) -> Result<Self, RecoverError> {
        let corrupt = |reason| {
            RecoverError::Corrupt(Corrupt {
                name,
                offset: 0,
                reason,
            })
        };
        let size = storage.size(name).map_err(on(name))?;
        let mut header = [0; HEADER_SIZE];
        storage.read(name, 0, &mut header).map_err(on(name))?;
        let (journal, covers, chain) = decode_header(&header).map_err(|fault| match fault {
            HeaderFault::Damaged => corrupt(Reason::Header),
            HeaderFault::Newer(format) => corrupt(Reason::Newer(format)),
        })?;
        if name != Name::Checkpoint(covers.sequence) {
            return Err(corrupt(Reason::Misnamed(covers.sequence)));
        }
        Ok(Self {
            storage,
            name,
            size,
            journal,
            covers,
            offset: HEADER_SIZE as u64,
            chain,
            block: Vec::new(),
            at: 0,
            last_key: None,
            count: 0,
            ended: false,
        })
    }

    fn corrupt(&self) -> RecoverError {
        let (name, offset) = (self.name, self.offset);
        RecoverError::Corrupt(Corrupt {
            name,
            offset,
            reason: Reason::Block,
        })
    }

    /// The next key and its state; `None` behind the footer.
    ///
    /// # Errors
    /// When the file cannot be read or a block does not verify.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends from its own buffer"
    )]
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, RecoverError> {
        if self.at == self.block.len() && !self.ended {
            self.read_block()?;
        }
        if self.ended {
            return Ok(None);
        }
        let (key, range) = self.entry_at(self.at).ok_or_else(|| self.corrupt())?;
        if self.last_key.is_some_and(|last| last >= key) {
            return Err(self.corrupt());
        }
        self.last_key = Some(key);
        self.at = range.end;
        self.count += 1;
        match self.block.get(range) {
            Some(bytes) => Ok(Some((key, bytes))),
            None => Err(self.corrupt()),
        }
    }

    fn entry_at(&self, at: usize) -> Option<(u64, std::ops::Range<usize>)> {
        let head = self.block.get(at..)?;
        let size = usize::try_from(u32_at(head, 8)?).ok()?;
        let start = at + ENTRY_HEAD_SIZE;
        let end = start
            .checked_add(size)
            .filter(|end| *end <= self.block.len())?;
        Some((u64_at(head, 0)?, start..end))
    }

    fn read_block(&mut self) -> Result<(), RecoverError> {
        let mut head = [0; BLOCK_HEAD_SIZE];
        self.storage
            .read(self.name, self.offset, &mut head)
            .map_err(on(self.name))?;
        let (Some(size), Some(crc)) = (u32_at(&head, 0), u32_at(&head, 4)) else {
            return Err(self.corrupt());
        };
        let is_footer = size == 0;
        let body_size = if is_footer {
            FOOTER_SIZE as u64 - 8
        } else {
            u64::from(size)
        };
        let body_at = self.offset + BLOCK_HEAD_SIZE as u64;
        // A damaged size must not make us allocate more than the file has.
        if body_at + body_size > self.size || (is_footer && body_at + body_size != self.size) {
            return Err(self.corrupt());
        }
        self.block
            .resize(usize::try_from(body_size).unwrap_or(usize::MAX), 0);
        let read = self
            .storage
            .read(self.name, body_at, &mut self.block)
            .map_err(on(self.name))?;
        if read < self.block.len() || block_crc(self.chain, size, &self.block) != crc {
            return Err(self.corrupt());
        }
        if is_footer {
            let says = (u64_at(&self.block, 0), u64_at(&self.block, 8));
            if says != (Some(self.count), Some(self.offset)) {
                return Err(self.corrupt());
            }
            self.ended = true;
        }
        self.chain = crc;
        self.at = 0;
        self.offset = body_at + body_size;
        Ok(())
    }
}

fn block_crc(chain: u32, size: u32, body: &[u8]) -> u32 {
    let start = crc32c::crc32c_append(chain, &size.to_le_bytes());
    crc32c::crc32c_append(start, body)
}

/// Makes the bytes of a checkpoint, entry by entry; they are taken out as they come.
pub struct Builder {
    /// Bytes not yet taken; the open block begins at `block_at`.
    out: Vec<u8>,
    block_at: usize,
    /// Offset in the file of the first byte of `out`.
    offset: u64,
    chain: u32,
    last_key: Option<u64>,
    count: u64,
}

/// Why an entry was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFault {
    /// Its key is not above the one before.
    Order,
    /// Its state is above [`ENTRY_SIZE_MAX`].
    TooLarge,
}

impl Builder {
    /// Begins a checkpoint of everything before the cursor.
    #[must_use]
    pub fn new(journal: JournalId, covers: Cursor) -> Self {
        let out = encode_header(journal, covers);
        let chain = u32_at(&out, HEADER_SIZE - 4).unwrap_or_default();
        let mut builder = Self {
            out,
            block_at: 0,
            offset: 0,
            chain,
            last_key: None,
            count: 0,
        };
        builder.begin_block();
        builder
    }

    fn begin_block(&mut self) {
        self.block_at = self.out.len();
        self.out.extend_from_slice(&[0; BLOCK_HEAD_SIZE]);
    }

    /// Adds an entry. Keys must ascend.
    ///
    /// # Errors
    /// See [`EntryFault`]; the entry was not added.
    pub fn push(&mut self, key: u64, state: &[u8]) -> Result<(), EntryFault> {
        if self.last_key.is_some_and(|last| last >= key) {
            return Err(EntryFault::Order);
        }
        let size = u32::try_from(state.len()).map_err(|_large| EntryFault::TooLarge)?;
        if state.len() > ENTRY_SIZE_MAX {
            return Err(EntryFault::TooLarge);
        }
        self.out.extend_from_slice(&key.to_le_bytes());
        self.out.extend_from_slice(&size.to_le_bytes());
        self.out.extend_from_slice(state);
        self.last_key = Some(key);
        self.count += 1;
        if self.out.len() - self.block_at >= BLOCK_SIZE {
            self.end_block();
            self.begin_block();
        }
        Ok(())
    }

    fn end_block(&mut self) {
        let body = self
            .out
            .get(self.block_at + BLOCK_HEAD_SIZE..)
            .unwrap_or_default();
        let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.chain = block_crc(self.chain, size, body);
        self.fill_head(size);
    }

    fn fill_head(&mut self, size: u32) {
        if let Some(head) = self
            .out
            .get_mut(self.block_at..self.block_at + BLOCK_HEAD_SIZE)
        {
            let (first, second) = head.split_at_mut(4);
            first.copy_from_slice(&size.to_le_bytes());
            second.copy_from_slice(&self.chain.to_le_bytes());
        }
    }

    /// Finished bytes and their offset in the file, if there are at least this many.
    pub fn take(&mut self, at_least: usize) -> Option<(u64, Vec<u8>)> {
        if self.block_at < at_least.max(1) {
            return None;
        }
        let open = self.out.split_off(self.block_at);
        let ready = std::mem::replace(&mut self.out, open);
        let offset = self.offset;
        self.offset += ready.len() as u64;
        self.block_at = 0;
        Some((offset, ready))
    }

    /// Ends the checkpoint; its last bytes, their offset, and how many entries it has.
    #[must_use]
    pub fn finish(mut self) -> (u64, Vec<u8>, u64) {
        if self.out.len() > self.block_at + BLOCK_HEAD_SIZE {
            self.end_block();
            self.begin_block();
        }
        let before = self.offset + self.block_at as u64;
        let mut body = self.count.to_le_bytes().to_vec();
        body.extend_from_slice(&before.to_le_bytes());
        self.chain = block_crc(self.chain, 0, &body);
        self.fill_head(0);
        self.out.extend_from_slice(&body);
        (self.offset, self.out, self.count)
    }
}

fn encode_header(journal: JournalId, covers: Cursor) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_SIZE);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&journal.0);
    bytes.extend_from_slice(&covers.segment.to_le_bytes());
    bytes.extend_from_slice(&covers.sequence.to_le_bytes());
    bytes.extend_from_slice(&covers.chain.to_le_bytes());
    bytes.resize(HEADER_SIZE - 4, 0);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode_header(header: &[u8; HEADER_SIZE]) -> Result<(JournalId, Cursor, u32), HeaderFault> {
    let (covered, crc) = header.split_at(HEADER_SIZE - 4);
    let crc = u32_at(crc, 0).ok_or(HeaderFault::Damaged)?;
    if !covered.starts_with(&MAGIC) || crc32c::crc32c(covered) != crc {
        return Err(HeaderFault::Damaged);
    }
    let format = u32_at(covered, 8).ok_or(HeaderFault::Damaged)?;
    if format != FORMAT {
        return Err(HeaderFault::Newer(format));
    }
    let journal = covered.get(12..28).and_then(|id| id.try_into().ok());
    let covers = Cursor {
        segment: u64_at(covered, 28).ok_or(HeaderFault::Damaged)?,
        sequence: u64_at(covered, 36).ok_or(HeaderFault::Damaged)?,
        chain: u32_at(covered, 44).ok_or(HeaderFault::Damaged)?,
    };
    Ok((JournalId(journal.ok_or(HeaderFault::Damaged)?), covers, crc))
}

//! Making the next checkpoint from the one before and the sealed segments behind it.
//!
//! Live state is never read, so nothing on the hot path waits for this. Memory is that of the
//! segments merged at once and of one key's state; the state of all keys streams through.
//! Segments stay: they are the decision records. [`removable`] says which a sweep may take.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::{Builder, Checkpoint, ENTRY_SIZE_MAX, EntryFault, Loaded, load, names, verify};
use crate::ledger::embedded::frame::{
    self, Cursor, FIRST_OFFSET, FRAME_OVERHEAD_SIZE, Found, HEADER_SIZE, JournalId, MARK_SIZE,
    SegmentHeader,
};
use crate::ledger::embedded::io::{Io, Name, Storage};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::recover::{RecoverError, listed, on, read_whole, segments};
use crate::ledger::embedded::scan::{Corrupt, Reason, Scan};

const WRITE_SIZE: usize = 1 << 20;

/// Why there is no new checkpoint. Those before it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError<E> {
    /// Something could not be read or written, or is damaged.
    Files(RecoverError),
    /// The caller's fold failed at this key.
    Fold {
        /// The key.
        key: u64,
        /// What the fold returned.
        error: E,
    },
    /// The state of this key is above [`ENTRY_SIZE_MAX`].
    TooLarge {
        /// The key.
        key: u64,
    },
}

impl<E: fmt::Display> fmt::Display for MergeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(error) => error.fmt(f),
            Self::Fold { key, error } => write!(f, "state of key {key:016x}: {error}"),
            Self::TooLarge { key } => {
                write!(f, "state of key {key:016x} is above {ENTRY_SIZE_MAX} bytes")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for MergeError<E> {}

impl<E> MergeError<E> {
    /// Whether the directory could not be synced or read. The kernel may then hold as clean the
    /// name of a segment that never reached the disk, and the journal's own sync of the directory
    /// would claim success for it: the journal must be given up.
    #[must_use]
    pub fn leaves_names_in_doubt(&self) -> bool {
        matches!(self, Self::Files(RecoverError::Io { name: None, .. }))
    }
}

impl<E> From<RecoverError> for MergeError<E> {
    fn from(error: RecoverError) -> Self {
        Self::Files(error)
    }
}

/// Which segments to merge.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// Segments below this number are complete and durable; see
    /// [`sealed_before`](crate::ledger::embedded::journal::Journal::sealed_before).
    pub before: u64,
    /// At most so many at once: they are held in memory together.
    pub count_max: usize,
}

/// Writes the next checkpoint: the newest valid one with the payloads of the sealed segments
/// behind it folded in, grouped by `key_of` and in journal order. `fold` gets a key, its state so
/// far and its payloads with their positions, and returns the new state, or `None` to drop the key; keys without
/// payloads are copied. A payload without a key concerns no state. Keeps this checkpoint and the one
/// before it. `None` if there is nothing to merge.
///
/// # Errors
/// See [`MergeError`].
pub fn merge<E>(
    storage: &dyn Storage,
    journal: JournalId,
    sealed: Sealed,
    key_of: impl Fn(&[u8]) -> Option<u64>,
    mut fold: impl FnMut(
        u64,
        Option<&[u8]>,
        &mut dyn Iterator<Item = (u64, &[u8])>,
    ) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Checkpoint>, MergeError<E>> {
    let Loaded {
        checkpoint: base, ..
    } = load(storage)?;
    if let Some(base) = base.filter(|base| base.journal != journal) {
        let reason = Reason::OtherJournal;
        return Err(RecoverError::Corrupt(Corrupt {
            name: base.name(),
            offset: 0,
            reason,
        })
        .into());
    }
    let from = base.map_or(Cursor::GENESIS, |base| base.covers);
    let Some(mut read) = Batch::read(storage, journal, from, sealed, key_of)? else {
        return Ok(None);
    };
    let covers = read.covers;
    let draft = Name::Draft(covers.sequence);
    run(storage, draft, &Io::CreateEmpty { name: draft })?;
    let mut output = Output {
        storage,
        draft,
        builder: Builder::new(journal, covers),
    };
    let mut groups = read.groups();
    if let Some(base) = base {
        let mut entries = base.entries(storage)?;
        while let Some((key, state)) = entries.next()? {
            while let Some(group) = groups.next_below(key) {
                output.fold(&group, None, &mut fold)?;
            }
            match groups.next_if(key) {
                Some(group) => output.fold(&group, Some(state), &mut fold)?,
                None => output.push(key, state)?,
            }
        }
    }
    while let Some(group) = groups.next() {
        output.fold(&group, None, &mut fold)?;
    }
    let count = output.finish(covers)?;
    prune(storage, covers, base)?;
    Ok(Some(Checkpoint {
        journal,
        covers,
        count,
    }))
}

fn run(storage: &dyn Storage, name: Name, io: &Io) -> Result<(), RecoverError> {
    storage.execute(io).map_err(|fault| match io {
        Io::SyncDir => RecoverError::Io { name: None, fault },
        Io::Create { .. }
        | Io::CreateEmpty { .. }
        | Io::Write { .. }
        | Io::Sync { .. }
        | Io::Truncate { .. }
        | Io::Rewrite { .. }
        | Io::Rename { .. }
        | Io::Remove { .. } => on(name)(fault),
    })
}

/// The draft on its way to being a checkpoint.
struct Output<'s> {
    storage: &'s dyn Storage,
    draft: Name,
    builder: Builder,
}

impl Output<'_> {
    fn fold<E>(
        &mut self,
        group: &Group<'_>,
        old: Option<&[u8]>,
        fold: &mut impl FnMut(
            u64,
            Option<&[u8]>,
            &mut dyn Iterator<Item = (u64, &[u8])>,
        ) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), MergeError<E>> {
        let key = group.key;
        let mut payloads = group.payloads.iter().copied();
        match fold(key, old, &mut payloads) {
            Ok(Some(state)) => self.push(key, &state),
            Ok(None) => Ok(()),
            Err(error) => Err(MergeError::Fold { key, error }),
        }
    }

    fn push<E>(&mut self, key: u64, state: &[u8]) -> Result<(), MergeError<E>> {
        self.builder.push(key, state).map_err(|fault| match fault {
            EntryFault::TooLarge => MergeError::TooLarge { key },
            // Both sources ascend and were verified; a key twice would be damage.
            EntryFault::Order => MergeError::Files(damaged(self.draft)),
        })?;
        if let Some((offset, bytes)) = self.builder.take(WRITE_SIZE) {
            let name = self.draft;
            run(
                self.storage,
                name,
                &Io::Write {
                    name,
                    offset,
                    bytes,
                },
            )?;
        }
        Ok(())
    }

    fn finish(mut self, covers: Cursor) -> Result<u64, RecoverError> {
        let name = self.draft;
        if let Some((offset, bytes)) = self.builder.take(1) {
            run(
                self.storage,
                name,
                &Io::Write {
                    name,
                    offset,
                    bytes,
                },
            )?;
        }
        let (offset, bytes, count) = self.builder.finish();
        let to = Name::Checkpoint(covers.sequence);
        for io in [
            Io::Write {
                name,
                offset,
                bytes,
            },
            Io::Sync { name },
            Io::Rename { from: name, to },
            Io::SyncDir,
        ] {
            run(self.storage, name, &io)?;
        }
        Ok(count)
    }
}

fn damaged(name: Name) -> RecoverError {
    RecoverError::Corrupt(Corrupt {
        name,
        offset: 0,
        reason: Reason::Block,
    })
}

/// Removes drafts and all checkpoints but the new one and the one it was made from.
fn prune(storage: &dyn Storage, new: Cursor, base: Option<Checkpoint>) -> Result<(), RecoverError> {
    let kept = [
        Some(Name::Checkpoint(new.sequence)),
        base.map(|base| base.name()),
    ];
    for name in storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?
    {
        let is_ours = matches!(name, Name::Checkpoint(_) | Name::Draft(_));
        if is_ours && !kept.contains(&Some(name)) {
            run(storage, name, &Io::Remove { name })?;
        }
    }
    Ok(())
}

/// The payloads of the segments to merge, by key.
struct Batch {
    segments: Vec<Vec<u8>>,
    /// Key, index of the segment, offset and size of the payload; sorted by key, stably.
    index: Vec<(u64, usize, usize, usize)>,
    covers: Cursor,
}

struct Group<'b> {
    key: u64,
    /// Positions in the journal, and what was appended there.
    payloads: Vec<(u64, &'b [u8])>,
}

impl Batch {
    fn read(
        storage: &dyn Storage,
        journal: JournalId,
        from: Cursor,
        sealed: Sealed,
        key_of: impl Fn(&[u8]) -> Option<u64>,
    ) -> Result<Option<Self>, RecoverError> {
        let mut numbers = segments(storage, from)?;
        numbers.retain(|number| *number < sealed.before);
        numbers.truncate(sealed.count_max);
        let Some(last) = numbers.last().copied() else {
            return Ok(None);
        };
        let mut scan = Scan::new(Some(journal), from);
        let mut batch = Self {
            segments: Vec::new(),
            index: Vec::new(),
            covers: from,
        };
        for number in numbers {
            let mut bytes = Vec::new();
            read_whole(storage, Name::Segment(number), &mut bytes)?;
            for record in scan.segment(number, &bytes)? {
                if let Some(key) = key_of(record.payload) {
                    let at = usize::try_from(record.offset).unwrap_or(usize::MAX);
                    let place = at.saturating_add(FRAME_OVERHEAD_SIZE);
                    batch
                        .index
                        .push((key, batch.segments.len(), place, record.payload.len()));
                }
            }
            batch.segments.push(bytes);
        }
        batch.covers = scan.cursor();
        check_end(storage, scan, last)?;
        batch.index.sort_by_key(|(key, ..)| *key);
        Ok(Some(batch))
    }

    fn groups(&mut self) -> Groups<'_> {
        let entries = std::mem::take(&mut self.index).into_iter().peekable();
        Groups {
            segments: &self.segments,
            entries,
        }
    }
}

/// That the last segment ends where it says: the next one continues it, or it was cut there by a
/// recovery. Its sealing promised that nothing is missing.
fn check_end(storage: &dyn Storage, mut scan: Scan, last: u64) -> Result<(), RecoverError> {
    let next = Name::Segment(last + 1);
    let names = storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?;
    if names.contains(&next) {
        let mut start = vec![0; HEADER_SIZE + MARK_SIZE];
        let read = storage.read(next, 0, &mut start).map_err(on(next))?;
        start.truncate(read);
        drop(scan.segment(last + 1, &start)?);
    }
    let end = scan.finish()?;
    let Some(tail) = end.tail else {
        return Err(damaged(Name::Segment(last)));
    };
    if tail.segment == last + 1 || (tail.segment == last && tail.end == tail.size) {
        return Ok(());
    }
    let (name, offset) = (Name::Segment(tail.segment), tail.end);
    let reason = Reason::SyncedFrame(end.next.sequence);
    Err(RecoverError::Corrupt(Corrupt {
        name,
        offset,
        reason,
    }))
}

struct Groups<'b> {
    segments: &'b [Vec<u8>],
    entries: Peekable<IntoIter<(u64, usize, usize, usize)>>,
}

impl<'b> Groups<'b> {
    fn next(&mut self) -> Option<Group<'b>> {
        let key = self.entries.peek()?.0;
        let mut payloads = Vec::new();
        while let Some((_, segment, at, size)) = self.entries.next_if(|(next, ..)| *next == key) {
            let segment = self.segments.get(segment);
            payloads.extend(segment.and_then(|bytes| {
                let position = frame::sequence_at(bytes, at.checked_sub(FRAME_OVERHEAD_SIZE)?)?;
                Some((position, bytes.get(at..at + size)?))
            }));
        }
        Some(Group { key, payloads })
    }

    fn next_below(&mut self, key: u64) -> Option<Group<'b>> {
        if self.entries.peek()?.0 < key {
            self.next()
        } else {
            None
        }
    }

    fn next_if(&mut self, key: u64) -> Option<Group<'b>> {
        if self.entries.peek()?.0 == key {
            self.next()
        } else {
            None
        }
    }
}

/// The segments that a retention sweep may remove, oldest first: those whose
/// frames all come before the cut and are covered by both of the two newest valid checkpoints, so
/// that falling back never needs them. The last covered one stays, as the proof that none is lost.
///
/// # Errors
/// When a file cannot be read.
pub fn removable(storage: &dyn Storage, cut: Position) -> Result<Vec<u64>, RecoverError> {
    let mut valid = names(storage)?
        .into_iter()
        .filter_map(|name| verify(storage, name).ok());
    let (Some(_), Some(older)) = (valid.next(), valid.next()) else {
        return Ok(Vec::new());
    };
    let mut removable = Vec::new();
    for number in listed(storage)? {
        let is_covered = number + 1 < older.covers.segment;
        if !is_covered || first_sequence(storage, number + 1)?.is_none_or(|next| next > cut.0) {
            break;
        }
        removable.push(number);
    }
    Ok(removable)
}

/// Removes segments that [`removable`] named, in its order. Each removal is made durable before the
/// next: a power loss must not leave a gap, which a start would refuse.
///
/// # Errors
/// When a removal or its sync fails; the rest stays.
pub fn sweep(storage: &dyn Storage, removable: &[u64]) -> Result<(), RecoverError> {
    for number in removable {
        let name = Name::Segment(*number);
        run(storage, name, &Io::Remove { name })?;
        run(storage, name, &Io::SyncDir)?;
    }
    Ok(())
}

/// The sequence number of a segment's first frame; `None` if it has none.
fn first_sequence(storage: &dyn Storage, number: u64) -> Result<Option<u64>, RecoverError> {
    let name = Name::Segment(number);
    let mut start = vec![0; HEADER_SIZE + MARK_SIZE];
    let read = storage.read(name, 0, &mut start).map_err(on(name))?;
    start.truncate(read);
    let Ok(header) = SegmentHeader::decode(&start) else {
        return Err(damaged(name));
    };
    match frame::read(&start, HEADER_SIZE, header.key()) {
        Found::Frame(first) => Ok(Some(first.sequence)),
        Found::Damage => {
            let reason = Reason::Block;
            Err(RecoverError::Corrupt(Corrupt {
                name,
                offset: FIRST_OFFSET,
                reason,
            }))
        }
        Found::Nothing => Ok(None),
    }
}

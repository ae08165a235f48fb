//! Starting from what a directory holds: scan, judge, and put the tail in order.
//!
//! Every step may be interrupted and the whole repeated: nothing that counts is moved, and what is
//! cut off or removed did not count before either.

use std::fmt;

use super::frame::{
    self, Body, Cursor, FIRST_OFFSET, Found, HEADER_SIZE, HeaderFault, JournalId, MARK_SIZE,
    SegmentHeader,
};
use super::io::{Io, IoFault, Name, Storage};
use super::scan::{Corrupt, End, Reason, Record, Scan};

/// Why a journal cannot be started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverError {
    /// Something durable is damaged or does not belong here. Repair is a decision for people.
    Corrupt(Corrupt),
    /// The disk failed while reading or putting the tail in order.
    Io {
        /// The file, if it was about one.
        name: Option<Name>,
        /// The failure.
        fault: IoFault,
    },
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(corrupt) => write!(f, "journal corrupt: {corrupt}"),
            Self::Io {
                name: Some(name),
                fault,
            } => write!(f, "{name}: {fault}"),
            Self::Io { name: None, fault } => write!(f, "data directory: {fault}"),
        }
    }
}

impl std::error::Error for RecoverError {}

impl From<Corrupt> for RecoverError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

pub(super) fn on(name: Name) -> impl Fn(IoFault) -> RecoverError {
    move |fault| RecoverError::Io {
        name: Some(name),
        fault,
    }
}

/// A journal that was read to its end and put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Where to go on; everything before it is durable.
    pub next: Cursor,
    /// Identity found in the segments; `None` if there were none.
    pub journal: Option<JournalId>,
    /// What was cut off because it had never become durable, for the log.
    pub torn: Option<Torn>,
}

/// The unfinished end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment that was cut, and the offset in bytes; `None` if no frame of it counted.
    pub place: Option<(Name, u64)>,
    /// Whole frames among what was cut off.
    pub dropped: u64,
}

/// Reads the segments from the cursor on, hands each record over in order, and leaves the
/// directory such that a journal can go on at [`Recovered::next`]. What has been handed over
/// counts only if this returns `Ok`.
///
/// # Errors
/// See [`RecoverError`]. A corrupt journal is left untouched.
pub fn recover(
    storage: &dyn Storage,
    journal: Option<JournalId>,
    from: Cursor,
    mut take: impl FnMut(Record<'_>),
) -> Result<Recovered, RecoverError> {
    let end = examine(storage, journal, from, &mut take)?;
    for io in repairs(&end) {
        let name = file_of(&io);
        storage
            .execute(&io)
            .map_err(|fault| RecoverError::Io { name, fault })?;
    }
    let place = end.tail.map(|tail| (Name::Segment(tail.segment), tail.end));
    let torn = end.torn.then_some(Torn {
        place,
        dropped: end.dropped,
    });
    Ok(Recovered {
        next: end.next,
        journal: end.journal,
        torn,
    })
}

/// Reads the segments from the cursor on and hands each record over in order, and changes nothing.
///
/// # Errors
/// See [`RecoverError`].
pub fn examine(
    storage: &dyn Storage,
    journal: Option<JournalId>,
    from: Cursor,
    mut take: impl FnMut(Record<'_>),
) -> Result<End, RecoverError> {
    scan_all(
        storage,
        Scan::new(journal, from),
        segments(storage, from)?,
        &mut take,
    )
}

/// Reads every segment that is there, from wherever the oldest begins, and changes nothing. Where
/// that was, and where the journal ends.
///
/// # Errors
/// See [`RecoverError`].
pub fn examine_whole(
    storage: &dyn Storage,
    mut take: impl FnMut(Record<'_>),
) -> Result<(Cursor, End), RecoverError> {
    let begin = begin(storage)?;
    let numbers = listed(storage)?;
    for (number, expected) in numbers.iter().zip(begin.segment..) {
        if *number != expected {
            return Err(missing(expected));
        }
    }
    let end = scan_all(storage, Scan::new(None, begin), numbers, &mut take)?;
    Ok((begin, end))
}

fn scan_all(
    storage: &dyn Storage,
    mut scan: Scan,
    numbers: Vec<u64>,
    take: &mut dyn FnMut(Record<'_>),
) -> Result<End, RecoverError> {
    let mut bytes = Vec::new();
    for number in numbers {
        read_whole(storage, Name::Segment(number), &mut bytes)?;
        for record in scan.segment(number, &bytes)? {
            take(record);
        }
    }
    Ok(scan.finish()?)
}

/// Where the oldest segment begins: at the journal's beginning, unless a sweep has removed some.
fn begin(storage: &dyn Storage) -> Result<Cursor, RecoverError> {
    let Some(segment) = listed(storage)?.first().copied().filter(|first| *first > 1) else {
        return Ok(Cursor::GENESIS);
    };
    let name = Name::Segment(segment);
    let mut start = vec![0; HEADER_SIZE + MARK_SIZE];
    let read = storage.read(name, 0, &mut start).map_err(on(name))?;
    start.truncate(read);
    let corrupt = |offset, reason| Corrupt {
        name,
        offset,
        reason,
    };
    let header = SegmentHeader::decode(&start).map_err(|fault| match fault {
        HeaderFault::Damaged => corrupt(0, Reason::Header),
        HeaderFault::Newer(format) => corrupt(0, Reason::Newer(format)),
    })?;
    match frame::read(&start, HEADER_SIZE, header.key()) {
        Found::Frame(first) => match first.body {
            Body::Mark(mark) => Ok(Cursor {
                segment,
                sequence: first.sequence,
                chain: mark.chain,
            }),
            Body::Data(_) => Err(corrupt(FIRST_OFFSET, Reason::Chain).into()),
        },
        Found::Damage | Found::Nothing => Err(corrupt(FIRST_OFFSET, Reason::Block).into()),
    }
}

/// The segments to read, without gaps. The last one before the cursor must still be there: it is
/// never removed, so its absence means that segments were lost.
pub(super) fn segments(storage: &dyn Storage, from: Cursor) -> Result<Vec<u64>, RecoverError> {
    let names = storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?;
    let mut numbers: Vec<u64> = names
        .into_iter()
        .filter_map(|name| match name {
            Name::Segment(number) => Some(number),
            Name::Checkpoint(_) | Name::Draft(_) => None,
        })
        .collect();
    numbers.sort_unstable();
    let before = from.segment.saturating_sub(1);
    let mut expected = numbers
        .first()
        .map_or(before, |first| (*first).min(before))
        .max(1);
    for number in &numbers {
        if *number != expected {
            return Err(missing(expected));
        }
        expected += 1;
    }
    if expected < from.segment {
        return Err(missing(expected));
    }
    numbers.retain(|number| *number >= from.segment);
    Ok(numbers)
}

/// The numbers of all segments, sorted.
pub(super) fn listed(storage: &dyn Storage) -> Result<Vec<u64>, RecoverError> {
    let names = storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?;
    let numbers = names.into_iter().filter_map(|name| match name {
        Name::Segment(number) => Some(number),
        Name::Checkpoint(_) | Name::Draft(_) => None,
    });
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn missing(segment: u64) -> RecoverError {
    let name = Name::Segment(segment);
    RecoverError::Corrupt(Corrupt {
        name,
        offset: 0,
        reason: Reason::Missing,
    })
}

/// What makes the directory hold exactly the frames that count, durably.
fn repairs(end: &End) -> Vec<Io> {
    let mut steps = Vec::new();
    if let Some(tail) = end.tail {
        let name = Name::Segment(tail.segment);
        if tail.unproven_from < tail.end {
            steps.push(Io::Rewrite {
                name,
                from: tail.unproven_from,
                to: tail.end,
            });
        }
        if tail.size > tail.end {
            steps.push(Io::Truncate {
                name,
                size: tail.end,
            });
        }
        // Always, even if a process before this one may have come as far.
        steps.push(Io::Sync { name });
    }
    // Last first and one by one, so that no crash leaves a gap in the numbers. Before the first, what
    // an interrupted recovery has removed: the disk may still have it.
    if !end.blank.is_empty() {
        steps.push(Io::SyncDir);
    }
    for number in end.blank.iter().rev() {
        steps.push(Io::Remove {
            name: Name::Segment(*number),
        });
        steps.push(Io::SyncDir);
    }
    steps
}

fn file_of(io: &Io) -> Option<Name> {
    match io {
        Io::Create { segment, .. } => Some(Name::Segment(*segment)),
        Io::CreateEmpty { name }
        | Io::Write { name, .. }
        | Io::Sync { name }
        | Io::Truncate { name, .. }
        | Io::Rewrite { name, .. }
        | Io::Remove { name }
        | Io::Rename { to: name, .. } => Some(*name),
        Io::SyncDir => None,
    }
}

/// Reads a file into the buffer, whose memory is used again.
pub(super) fn read_whole(
    storage: &dyn Storage,
    name: Name,
    bytes: &mut Vec<u8>,
) -> Result<(), RecoverError> {
    let size = storage.size(name).map_err(on(name))?;
    bytes.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
    let read = storage.read(name, 0, bytes).map_err(on(name))?;
    bytes.truncate(read);
    Ok(())
}

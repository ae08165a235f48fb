//! Reading a journal: which frames stand, where it ends, and whether that end is honest.
//!
//! A power loss may keep a later page of what was never synced and lose an earlier one, so a good
//! frame behind a bad one proves nothing. Marks, segment headers and the order of segments do:
//! a frame that something behind it calls synced was promised to somebody, and its damage is
//! corruption, refused with its place. Otherwise the journal ends there.
//!
//! Pure over bytes; one segment in memory at a time.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

use super::frame::{
    self, ALIGNMENT, Body, Cursor, FIRST_OFFSET, FRAME_OVERHEAD_SIZE, Found, HEADER_SIZE,
    HeaderFault, JournalId, SegmentHeader, SegmentKey,
};
use super::io::Name;

/// Damage of something that had been synced, or files that do not belong together.
/// The process must not start from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The file.
    pub name: Name,
    /// Offset in bytes at which something else should stand.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Magic or CRC of the header are wrong.
    Header,
    /// Written by a newer version of this program, in the format with this number.
    Newer(u32),
    /// The file belongs to another journal.
    OtherJournal,
    /// The file says that it has this number, or covers through this sequence number.
    Misnamed(u64),
    /// This file is missing.
    Missing,
    /// The frame with this sequence number had been synced and is damaged, gone or cut off.
    SyncedFrame(u64),
    /// A frame verifies and has this sequence number, which is not its turn.
    Sequence(u64),
    /// A mark verifies and does not follow the frame before it.
    Chain,
    /// The bytes from this offset on do not verify (checkpoints).
    Block,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.name, self.offset)?;
        match self.reason {
            Reason::Header => f.write_str("the header is damaged"),
            Reason::Newer(format) => {
                write!(
                    f,
                    "format {format} is newer than this program, which reads {}",
                    frame::FORMAT
                )
            }
            Reason::OtherJournal => f.write_str("the file belongs to another journal"),
            Reason::Misnamed(number) => write!(f, "the file says that its number is {number}"),
            Reason::Missing => f.write_str("the file is missing"),
            Reason::SyncedFrame(sequence) => {
                write!(f, "record {sequence} was durable and is damaged or missing")
            }
            Reason::Sequence(sequence) => write!(f, "record {sequence} stands out of turn"),
            Reason::Chain => f.write_str("a mark does not follow the record before it"),
            Reason::Block => f.write_str("a block is damaged"),
        }
    }
}

impl std::error::Error for Corrupt {}

/// A payload and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'b> {
    /// Its position in the journal.
    pub sequence: u64,
    /// Number of its segment.
    pub segment: u64,
    /// Offset of its frame in the segment, in bytes.
    pub offset: u64,
    /// What was appended.
    pub payload: &'b [u8],
}

/// Where a journal ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Where to go on: always in a new segment.
    pub next: Cursor,
    /// The identity found in the segments; `None` if there were none.
    pub journal: Option<JournalId>,
    /// The last segment with frames, if one was read.
    pub tail: Option<TailSegment>,
    /// Segments behind it in which no frame counts.
    pub blank: Vec<u64>,
    /// Whether something stood behind the end that was not durable and does not count.
    pub torn: bool,
    /// How many whole frames stood there.
    pub dropped: u64,
}

/// The last segment with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailSegment {
    /// Its number.
    pub segment: u64,
    /// Offset behind its last frame, in bytes.
    pub end: u64,
    /// From here on nothing proves that the frames reached the disk, though they can be read.
    pub unproven_from: u64,
    /// Size of the file that was read, in bytes.
    pub size: u64,
}

/// The first place where the next frame does not stand.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    sequence: u64,
    segment: u64,
    offset: u64,
    /// Whole frames behind it in its segment.
    behind: u64,
    damage: bool,
}

/// Reads segments in order. Feed each, take all its records, then ask for the end.
#[derive(Debug)]
pub struct Scan {
    journal: Option<JournalId>,
    /// What the next frame must be; `segment` is the next to feed.
    next: Cursor,
    /// The highest sequence number that something read so far calls synced.
    synced_through: u64,
    suspect: Option<Suspect>,
    failed: Option<Corrupt>,
    tail: Option<TailSegment>,
    blank: Vec<u64>,
    torn: bool,
    dropped: u64,
    /// Starts of batches that nothing has proven yet: sequence number, offset.
    unproven: VecDeque<(u64, u64)>,
}

impl Scan {
    /// A scan that expects the cursor's frame first, in a journal with this identity, or any.
    #[must_use]
    pub fn new(journal: Option<JournalId>, from: Cursor) -> Self {
        Self {
            journal,
            next: from,
            synced_through: from.sequence.saturating_sub(1),
            suspect: None,
            failed: None,
            tail: None,
            blank: Vec::new(),
            torn: false,
            dropped: 0,
            unproven: VecDeque::new(),
        }
    }

    /// What the next frame must be, after all records fed so far were taken.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.next
    }

    /// Takes the next segment's bytes, numbered as its file is named, and gives its records.
    ///
    /// # Errors
    /// When the segment does not belong here, or proves damage in one before it.
    pub fn segment<'s, 'b>(
        &'s mut self,
        number: u64,
        bytes: &'b [u8],
    ) -> Result<Records<'s, 'b>, Corrupt> {
        if let Some(corrupt) = self.failed {
            return Err(corrupt);
        }
        let opened = self.open(number, bytes);
        if let Err(corrupt) = opened {
            self.failed = Some(corrupt);
        }
        let (key, is_blank) = opened?;
        self.next.segment += 1;
        let offset = if is_blank { None } else { Some(FIRST_OFFSET) };
        Ok(Records {
            scan: self,
            segment: number,
            key,
            bytes,
            offset,
        })
    }

    /// Judges the header, and the end of the segment before by how this one begins.
    fn open(&mut self, number: u64, bytes: &[u8]) -> Result<(SegmentKey, bool), Corrupt> {
        let place = |name, reason| Corrupt {
            name,
            offset: 0,
            reason,
        };
        let name = Name::Segment(number);
        if number != self.next.segment {
            return Err(place(Name::Segment(self.next.segment), Reason::Missing));
        }
        let header = SegmentHeader::decode(bytes).map_err(|fault| match fault {
            HeaderFault::Damaged => place(name, Reason::Header),
            HeaderFault::Newer(format) => place(name, Reason::Newer(format)),
        })?;
        if *self.journal.get_or_insert(header.journal) != header.journal {
            return Err(place(name, Reason::OtherJournal));
        }
        if header.segment != number {
            return Err(place(name, Reason::Misnamed(header.segment)));
        }
        self.heed(header.synced_through)?;
        let key = header.key();
        let Some(suspect) = self.suspect else {
            return Ok((key, false));
        };
        let continues = matches!(
            frame::read(bytes, HEADER_SIZE, key),
            Found::Frame(first) if first.sequence == suspect.sequence
        );
        // Blank segments are taken away, so that nothing may go on behind one.
        if continues && suspect.behind == 0 && self.blank.is_empty() {
            self.suspect = None;
            return Ok((key, false));
        }
        self.open_headless(number, bytes, key, suspect)?;
        Ok((key, true))
    }

    /// Takes a segment that does not begin with the frame whose turn it is.
    fn open_headless(
        &mut self,
        number: u64,
        bytes: &[u8],
        key: SegmentKey,
        suspect: Suspect,
    ) -> Result<(), Corrupt> {
        let behind = behind(bytes, HEADER_SIZE, key, 1..=u64::MAX);
        let damage = begins_with_damage(bytes.get(HEADER_SIZE..).unwrap_or_default());
        let begins = matches!(frame::read(bytes, HEADER_SIZE, key), Found::Frame(_));
        // A segment is written to only after the one before it was synced as a whole. So if that
        // one is whole as far as can be seen, what is missing is the start of this one, which may
        // be the first, unfinished write to it. Otherwise a frame here proves damage there.
        let is_whole = !suspect.damage && suspect.behind == 0 && suspect.offset > FIRST_OFFSET;
        if is_whole && !begins {
            let (segment, offset) = (number, FIRST_OFFSET);
            let place = Suspect {
                segment,
                offset,
                behind: behind.frames,
                damage,
                ..suspect
            };
            self.suspect = Some(place);
            return self.heed(behind.synced_through);
        }
        if behind.frames > 0 {
            return Err(suspect.corrupt());
        }
        self.torn |= damage;
        self.blank.push(number);
        Ok(())
    }

    /// Takes note that everything through this sequence number was synced.
    fn heed(&mut self, synced_through: u64) -> Result<(), Corrupt> {
        self.synced_through = self.synced_through.max(synced_through);
        match self.suspect {
            Some(suspect) if suspect.sequence <= self.synced_through => Err(suspect.corrupt()),
            _ => Ok(()),
        }
    }

    /// Where the journal ends.
    ///
    /// # Errors
    /// When what is missing had been synced.
    pub fn finish(mut self) -> Result<End, Corrupt> {
        if let Some(corrupt) = self.failed {
            return Err(corrupt);
        }
        if let Some(suspect) = self.suspect {
            self.torn |= suspect.damage || suspect.behind > 0;
            self.dropped += suspect.behind;
            if suspect.offset == FIRST_OFFSET {
                self.blank.insert(0, suspect.segment);
            }
        }
        let segment = self.tail.map_or_else(
            || self.blank.first().copied().unwrap_or(self.next.segment),
            |tail| tail.segment + 1,
        );
        Ok(End {
            next: Cursor {
                segment,
                ..self.next
            },
            journal: self.journal,
            tail: self.tail,
            blank: self.blank,
            torn: self.torn,
            dropped: self.dropped,
        })
    }
}

impl Suspect {
    fn corrupt(&self) -> Corrupt {
        Corrupt {
            name: Name::Segment(self.segment),
            offset: self.offset,
            reason: Reason::SyncedFrame(self.sequence),
        }
    }
}

/// The records of one segment. Dropping it early reads the rest.
#[derive(Debug)]
pub struct Records<'s, 'b> {
    scan: &'s mut Scan,
    segment: u64,
    key: SegmentKey,
    bytes: &'b [u8],
    /// Where the next frame should stand; `None` at the end.
    offset: Option<u64>,
}

impl<'b> Iterator for Records<'_, 'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        loop {
            let offset = self.offset?;
            let index = usize::try_from(offset).unwrap_or(usize::MAX);
            let found = match frame::read(self.bytes, index, self.key) {
                Found::Frame(found) => found,
                Found::Nothing => return self.end(offset, false),
                Found::Damage => return self.end(offset, true),
            };
            if let Err(reason) = self.accept(offset, &found) {
                let name = Name::Segment(self.segment);
                self.scan.failed = Some(Corrupt {
                    name,
                    offset,
                    reason,
                });
                self.offset = None;
                return None;
            }
            self.offset = Some(offset + found.size as u64);
            if let Body::Data(payload) = found.body {
                let (sequence, segment) = (found.sequence, self.segment);
                return Some(Record {
                    sequence,
                    segment,
                    offset,
                    payload,
                });
            }
        }
    }
}

impl Records<'_, '_> {
    /// Sequence numbers and offsets of a file belong together, and so no torn write puts a frame
    /// that verifies out of turn: anything unexpected here is corruption.
    fn accept(&mut self, offset: u64, found: &frame::Frame<'_>) -> Result<(), Reason> {
        let scan = &mut *self.scan;
        if found.sequence != scan.next.sequence {
            return Err(Reason::Sequence(found.sequence));
        }
        match found.body {
            Body::Mark(mark) => {
                if mark.chain != scan.next.chain || mark.synced_through >= found.sequence {
                    return Err(Reason::Chain);
                }
                scan.synced_through = scan.synced_through.max(mark.synced_through);
                if offset == FIRST_OFFSET {
                    scan.unproven.clear();
                }
                scan.unproven.push_back((found.sequence, offset));
            }
            Body::Data(_) if offset == FIRST_OFFSET => return Err(Reason::Chain),
            Body::Data(_) => {}
        }
        scan.next.sequence += 1;
        scan.next.chain = found.crc;
        Ok(())
    }

    /// The frame whose turn it is does not stand here: looks at what stands behind.
    fn end(&mut self, offset: u64, damage: bool) -> Option<Record<'static>> {
        self.offset = None;
        let scan = &mut *self.scan;
        let sequence = scan.next.sequence;
        let index = usize::try_from(offset).unwrap_or(usize::MAX);
        let frames_max = (self.bytes.len() / FRAME_OVERHEAD_SIZE) as u64;
        let sequences = sequence..=sequence.saturating_add(frames_max);
        let behind = behind(self.bytes, index, self.key, sequences);
        let rest = self.bytes.get(index..).unwrap_or_default();
        let damage = damage || begins_with_damage(rest);
        let segment = self.segment;
        scan.suspect = Some(Suspect {
            sequence,
            segment,
            offset,
            behind: behind.frames,
            damage,
        });
        if let Err(corrupt) = scan.heed(behind.synced_through) {
            scan.failed = Some(corrupt);
            return None;
        }
        if offset > FIRST_OFFSET {
            let unproven_from = if scan.synced_through + 1 >= sequence {
                offset
            } else {
                unproven_from(&mut scan.unproven, scan.synced_through, offset)
            };
            let size = self.bytes.len() as u64;
            scan.tail = Some(TailSegment {
                segment,
                end: offset,
                unproven_from,
                size,
            });
        }
        None
    }
}

impl Drop for Records<'_, '_> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}

/// Drops the starts of batches that are wholly synced and gives the first that is left.
fn unproven_from(starts: &mut VecDeque<(u64, u64)>, synced_through: u64, end: u64) -> u64 {
    let next_start = |starts: &VecDeque<(u64, u64)>| starts.get(1).map(|(first, _)| *first);
    while next_start(starts).is_some_and(|first| first <= synced_through + 1) {
        starts.pop_front();
    }
    starts.front().map_or(end, |(_, offset)| *offset)
}

/// Whether anything but zeros stands in the first bytes.
fn begins_with_damage(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .take(FRAME_OVERHEAD_SIZE)
        .any(|byte| *byte != 0)
}

struct Behind {
    frames: u64,
    synced_through: u64,
}

/// The whole frames at or behind this offset whose sequence numbers are among these, and the most
/// that a mark among them says. Where a frame begins is unknown, hence every aligned offset.
fn behind(segment: &[u8], from: usize, key: SegmentKey, sequences: RangeInclusive<u64>) -> Behind {
    let mut behind = Behind {
        frames: 0,
        synced_through: 0,
    };
    let mut offset = from;
    while offset + FRAME_OVERHEAD_SIZE <= segment.len() {
        // Checked first, the sequence number spares nearly all CRCs.
        if !frame::sequence_at(segment, offset).is_some_and(|s| sequences.contains(&s)) {
            offset += ALIGNMENT;
            continue;
        }
        offset += match frame::read(segment, offset, key) {
            Found::Frame(found) => {
                behind.frames += 1;
                if let Body::Mark(mark) = found.body {
                    behind.synced_through = behind.synced_through.max(mark.synced_through);
                }
                found.size
            }
            Found::Damage | Found::Nothing => ALIGNMENT,
        };
    }
    behind
}

//! Reading the journal behind its writer, for indexes and exports.
//!
//! A follower never waits for the writer and never makes it wait: it reads the files, and takes
//! only frames whose sequence number the writer has already called written. Such a frame is whole in
//! its file, so what does not verify where it should stand ends the segment. In segments that nobody
//! writes to any more, damage is looked past: the follower goes on with the next whole frame and tells
//! what is missing. What this does not promise: a frame that was written and not yet synced can vanish at a power loss, and whoever
//! followed has then seen something that never happened.

use std::fmt;
use std::ops::RangeInclusive;

use super::frame::{
    self, ALIGNMENT, Body, Cursor, FIRST_OFFSET, FRAME_OVERHEAD_SIZE, Found, HEADER_USED_SIZE,
    PAYLOAD_SIZE_MAX, SegmentHeader, SegmentKey,
};
use super::io::{IoFault, Name, Storage};
use super::scan::Record;

/// The largest read.
const CHUNK_SIZE_MAX: usize = 256 << 10;
/// The smallest read.
const CHUNK_SIZE_MIN: usize = 4 << 10;
/// What a frame is taken to need when the size of a read is chosen.
const FRAME_SIZE_USUAL: u64 = 128;
/// The first read of a single frame; few are larger.
const FRAME_READ_SIZE: usize = 512;
const NO_SUCH_FILE: i32 = 2;

/// Why a follower cannot go on for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFault {
    /// The directory or a file cannot be read.
    Io(IoFault),
    /// The file's header is none of ours.
    Header(Name),
    /// The frame with this sequence number is called written and stands nowhere.
    Lost(u64),
    /// No frame stands at this offset of the segment.
    NoFrame(u64, u64),
}

impl FollowFault {
    /// Whether the file is not there: a checkpoint has made it superfluous.
    #[must_use]
    pub fn is_missing_file(self) -> bool {
        matches!(self, Self::Io(fault) if fault.errno == NO_SUCH_FILE)
    }
}

impl From<IoFault> for FollowFault {
    fn from(fault: IoFault) -> Self {
        Self::Io(fault)
    }
}

impl fmt::Display for FollowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(fault) => fault.fmt(f),
            Self::Header(name) => write!(f, "{name}: the header is damaged"),
            Self::Lost(sequence) => write!(f, "record {sequence} is missing"),
            Self::NoFrame(segment, offset) => {
                let name = Name::Segment(*segment);
                write!(f, "{name} at byte {offset}: no record stands here")
            }
        }
    }
}

impl std::error::Error for FollowFault {}

/// Frames that should stand in the journal and cannot be read: damaged, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where the first of them should stand.
    pub segment: u64,
    /// Offset in bytes of that place.
    pub offset: u64,
    /// The first sequence number that is missing.
    pub first: u64,
    /// The next one that is there again, if any is.
    pub next: Option<u64>,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, offset) = (Name::Segment(self.segment), self.offset);
        write!(f, "{name} at byte {offset}: records from {} ", self.first)?;
        match self.next {
            Some(next) => write!(f, "to before {next} cannot be read"),
            None => write!(f, "on cannot be read"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    key: SegmentKey,
    /// Where the next frame should stand.
    offset: u64,
}

/// Reads every record once, in order, from the oldest segment that is there.
#[derive(Debug)]
pub struct Follower {
    place: Option<Place>,
    /// The sequence number that must come; absent where the oldest segment decides it.
    next: Option<u64>,
    /// Segments before this one are gone or read.
    segment_min: u64,
    /// Segments from this one on are not its own.
    segment_end: u64,
    gap: Option<Gap>,
    buffer: Vec<u8>,
}

impl Default for Follower {
    fn default() -> Self {
        Self::before(u64::MAX)
    }
}

impl Follower {
    /// One that reads from the oldest segment up to this one, which it leaves to another.
    #[must_use]
    pub fn before(segment: u64) -> Self {
        Self {
            place: None,
            next: None,
            segment_min: 0,
            segment_end: segment,
            gap: None,
            buffer: Vec::new(),
        }
    }

    /// One that reads this segment alone.
    #[must_use]
    pub fn of_segment(segment: u64) -> Self {
        Self {
            segment_min: segment,
            ..Self::before(segment.saturating_add(1))
        }
    }

    /// One that begins where a recovered journal goes on.
    #[must_use]
    pub fn from(next: Cursor) -> Self {
        Self {
            next: Some(next.sequence),
            segment_min: next.segment,
            ..Self::default()
        }
    }

    /// One that reads this segment and those behind it, from the first one's first record on.
    #[must_use]
    pub fn of_segments_from(segment: u64) -> Self {
        Self {
            segment_min: segment,
            ..Self::default()
        }
    }

    /// The highest sequence number that it has handed over; 0 where there is none.
    #[must_use]
    pub fn read_through(&self) -> u64 {
        self.next.map_or(0, |next| next.saturating_sub(1))
    }

    /// What the last poll has looked past; only where nobody writes any more.
    pub fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    /// Hands over the records of the next chunk, at most those through `through`, the highest
    /// sequence number that the writer calls written. Whether there is more to read.
    ///
    /// # Errors
    /// [`FollowFault`]; a later call tries again from the same place.
    pub fn poll(
        &mut self,
        storage: &dyn Storage,
        through: u64,
        take: impl FnMut(Record<'_>),
    ) -> Result<bool, FollowFault> {
        if through < self.next.unwrap_or(1) {
            return Ok(false);
        }
        let polled = self.poll_chunk(storage, through, take);
        if polled.is_err_and(FollowFault::is_missing_file)
            && let Some(place) = self.place.take()
        {
            // A checkpoint has made the segment superfluous: go on with the oldest that is left.
            self.segment_min = place.segment + 1;
            self.next = None;
            return Ok(true);
        }
        polled
    }

    fn poll_chunk(
        &mut self,
        storage: &dyn Storage,
        through: u64,
        mut take: impl FnMut(Record<'_>),
    ) -> Result<bool, FollowFault> {
        let place = match self.place {
            Some(place) => Some(place),
            None => open_oldest(storage, self.segment_min, self.segment_end)?,
        };
        let Some(mut place) = place else {
            return Ok(false);
        };
        let frames = through.saturating_sub(self.next.unwrap_or(1)) + 1;
        let wanted = usize::try_from(frames.saturating_mul(FRAME_SIZE_USUAL));
        let mut size = wanted
            .unwrap_or(usize::MAX)
            .clamp(CHUNK_SIZE_MIN, CHUNK_SIZE_MAX);
        loop {
            self.buffer.resize(size, 0);
            let name = Name::Segment(place.segment);
            let read = storage.read(name, place.offset, &mut self.buffer)?;
            self.buffer.truncate(read);
            let start = place.offset;
            self.take_frames(&mut place, through, &mut take);
            if place.offset > start {
                self.place = Some(place);
                return Ok(self.next.is_none_or(|next| next <= through));
            }
            // A frame that goes on behind the bytes looks like none.
            if read < size || size == CHUNK_SIZE_MAX {
                break;
            }
            size = CHUNK_SIZE_MAX;
        }
        if self.segment_end < u64::MAX {
            self.advance_in_past(storage, place, through)
        } else {
            self.advance(storage, place)
        }
    }

    /// Goes on behind `place`, at which no frame stands that must come: in the next segment if that
    /// one does go on with it, otherwise behind what is damaged.
    fn advance_in_past(
        &mut self,
        storage: &dyn Storage,
        place: Place,
        through: u64,
    ) -> Result<bool, FollowFault> {
        let first = self.next.unwrap_or(1);
        let following = open_oldest(storage, place.segment + 1, self.segment_end)?;
        let goes_on = match following {
            Some(next) if next.segment == place.segment + 1 => {
                frame_at(storage, next)?.is_some_and(|frame| frame.0 == first)
            }
            // Segments between were removed.
            Some(_) => true,
            None => through < first,
        };
        if !goes_on {
            let again = next_frame(storage, place, first..=through)?;
            let next = again.map(|(sequence, _)| sequence);
            // Without an end to expect, that nothing more stands is the end.
            if again.is_some() || following.is_some() || through < u64::MAX {
                let Place {
                    segment, offset, ..
                } = place;
                self.gap = Some(Gap {
                    segment,
                    offset,
                    first,
                    next,
                });
            }
            if let Some((sequence, offset)) = again {
                self.next = Some(sequence);
                self.place = Some(Place { offset, ..place });
                return Ok(true);
            }
        }
        if following.is_some_and(|next| !goes_on || next.segment > place.segment + 1) {
            self.next = None;
        }
        self.place = following.or(Some(place));
        Ok(following.is_some())
    }

    /// Goes on in the oldest segment behind `place`, in which nothing more stands.
    fn advance(&mut self, storage: &dyn Storage, place: Place) -> Result<bool, FollowFault> {
        let lost = FollowFault::Lost(self.next.unwrap_or(1));
        if place.offset == FIRST_OFFSET {
            return Err(lost);
        }
        let next = open_oldest(storage, place.segment + 1, self.segment_end)?.ok_or(lost)?;
        if next.segment > place.segment + 1 {
            self.next = None;
        }
        self.place = Some(next);
        Ok(true)
    }

    fn take_frames(&mut self, place: &mut Place, through: u64, mut take: impl FnMut(Record<'_>)) {
        let mut at = 0;
        while let Found::Frame(found) = frame::read_at(&self.buffer, at, place.offset, place.key) {
            let expected = self.next.is_none_or(|next| next == found.sequence);
            if !expected || found.sequence > through {
                return;
            }
            if let Body::Data(payload) = found.body {
                take(Record {
                    sequence: found.sequence,
                    segment: place.segment,
                    offset: place.offset,
                    payload,
                });
            }
            at += found.size;
            place.offset += found.size as u64;
            self.next = Some(found.sequence + 1);
        }
    }
}

/// The start of the oldest segment from the first one on and before the second; absent where there
/// is none.
fn open_oldest(
    storage: &dyn Storage,
    segment_min: u64,
    segment_end: u64,
) -> Result<Option<Place>, FollowFault> {
    let segments = storage.list()?.into_iter().filter_map(|name| match name {
        Name::Segment(number) => Some(number),
        Name::Checkpoint(_) | Name::Draft(_) => None,
    });
    let own = segment_min..segment_end;
    let oldest = segments.filter(|number| own.contains(number)).min();
    let place = |segment| {
        Ok(Place {
            segment,
            key: segment_key(storage, segment)?,
            offset: FIRST_OFFSET,
        })
    };
    oldest.map(place).transpose()
}

fn segment_key(storage: &dyn Storage, segment: u64) -> Result<SegmentKey, FollowFault> {
    let mut bytes = [0; HEADER_USED_SIZE];
    let name = Name::Segment(segment);
    storage.read(name, 0, &mut bytes)?;
    let header = SegmentHeader::decode(&bytes).ok();
    header
        .filter(|header| header.segment == segment)
        .map(|header| header.key())
        .ok_or(FollowFault::Header(name))
}

/// Sequence number and size of the frame at this place, if one stands there.
fn frame_at(storage: &dyn Storage, place: Place) -> Result<Option<(u64, usize)>, FollowFault> {
    let mut bytes = Vec::new();
    for size in [FRAME_READ_SIZE, FRAME_OVERHEAD_SIZE + PAYLOAD_SIZE_MAX] {
        bytes.resize(size, 0);
        let read = storage.read(Name::Segment(place.segment), place.offset, &mut bytes)?;
        bytes.truncate(read);
        if let Found::Frame(found) = frame::read_at(&bytes, 0, place.offset, place.key) {
            return Ok(Some((found.sequence, found.size)));
        }
        if read < size {
            break;
        }
    }
    Ok(None)
}

/// Sequence number and offset of the first frame of one of these numbers behind `place` in its
/// segment.
fn next_frame(
    storage: &dyn Storage,
    place: Place,
    sequences: RangeInclusive<u64>,
) -> Result<Option<(u64, u64)>, FollowFault> {
    let mut bytes = vec![0; CHUNK_SIZE_MAX];
    let mut start = place.offset;
    loop {
        bytes.resize(CHUNK_SIZE_MAX, 0);
        let read = storage.read(Name::Segment(place.segment), start, &mut bytes)?;
        bytes.truncate(read);
        let mut at = 0;
        while at + FRAME_OVERHEAD_SIZE <= bytes.len() {
            // Checked first, the sequence number spares nearly all reads.
            if frame::sequence_at(&bytes, at).is_some_and(|it| sequences.contains(&it)) {
                let offset = start + at as u64;
                if let Some((sequence, _)) = frame_at(storage, Place { offset, ..place })? {
                    return Ok(Some((sequence, offset)));
                }
            }
            at += ALIGNMENT;
        }
        if read < CHUNK_SIZE_MAX {
            return Ok(None);
        }
        start += at as u64;
    }
}

/// Reads the one record whose frame stands at `offset` of the segment; its payload.
///
/// # Errors
/// [`FollowFault`] where there is no such file, or no frame of a record verifies there.
pub fn read_one(storage: &dyn Storage, segment: u64, offset: u64) -> Result<Vec<u8>, FollowFault> {
    let key = segment_key(storage, segment)?;
    let mut bytes = Vec::new();
    for size in [FRAME_READ_SIZE, FRAME_OVERHEAD_SIZE + PAYLOAD_SIZE_MAX] {
        bytes.resize(size, 0);
        let read = storage.read(Name::Segment(segment), offset, &mut bytes)?;
        bytes.truncate(read);
        if let Found::Frame(found) = frame::read_at(&bytes, 0, offset, key) {
            return match found.body {
                Body::Data(payload) => Ok(payload.to_vec()),
                Body::Mark(_) => Err(FollowFault::NoFrame(segment, offset)),
            };
        }
        if read < size {
            break;
        }
    }
    Err(FollowFault::NoFrame(segment, offset))
}

#[cfg(test)]
mod tests;

//! A batch: the bytes of one write, a mark first, frames behind it.

use super::segments::Room;
use crate::ledger::embedded::frame::{self, MARK_SIZE, Mark, SegmentKey};
use crate::ledger::embedded::io::Name;

/// Buffers that come back from writes, so that batches allocate nothing in steady state.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Vec<u8>>);

const POOL_COUNT_MAX: usize = 4;

impl Pool {
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < POOL_COUNT_MAX {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// Empty by default. The mark's bytes are reserved at once and filled in by `seal`, because what
/// has been synced is best said as late as possible.
#[derive(Debug, Default)]
pub(super) struct Batch {
    place: Option<Place>,
    last_sequence: u64,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    key: SegmentKey,
    offset: u64,
    first_sequence: u64,
    chain: u32,
}

impl Batch {
    /// Starts the batch where the room ends; takes a sequence number for its mark. `chain` is the
    /// CRC of the frame before it.
    pub(super) fn begin(
        &mut self,
        buffer: Vec<u8>,
        room: &mut Room,
        next_sequence: &mut u64,
        chain: u32,
    ) {
        let Room { segment, key, end } = *room;
        let first_sequence = *next_sequence;
        self.place = Some(Place {
            segment,
            key,
            offset: end,
            first_sequence,
            chain,
        });
        self.last_sequence = first_sequence;
        self.bytes = buffer;
        self.bytes.resize(MARK_SIZE, 0);
        *next_sequence += 1;
        room.end += MARK_SIZE as u64;
    }

    /// Adds a frame at the end of the room; returns its CRC.
    pub(super) fn push(&mut self, room: &mut Room, sequence: u64, payload: &[u8]) -> u32 {
        let before = self.bytes.len();
        let crc = frame::push_data(&mut self.bytes, room.key, room.end, sequence, payload);
        room.end += (self.bytes.len() - before) as u64;
        self.last_sequence = sequence;
        crc
    }

    pub(super) fn is_empty(&self) -> bool {
        self.place.is_none()
    }

    /// Whether a frame of this size may join.
    pub(super) fn takes(&self, size: usize, batch_size_max: usize) -> bool {
        !self.is_empty() && self.bytes.len() + size <= batch_size_max
    }

    pub(super) fn segment(&self) -> u64 {
        self.place.map_or(0, |place| place.segment)
    }

    /// Offset behind the last frame.
    pub(super) fn end(&self) -> u64 {
        self.place.map_or(0, |place| place.offset) + self.bytes.len() as u64
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// The last frame, unless the batch is a mark alone.
    pub(super) fn last_data(&self) -> Option<u64> {
        let first = self.place?.first_sequence;
        (self.last_sequence > first).then_some(self.last_sequence)
    }

    /// Fills in the mark and gives the write: file, offset, bytes.
    pub(super) fn seal(mut self, synced_through: u64) -> (Name, u64, Vec<u8>) {
        let Some(place) = self.place else {
            return (Name::Segment(0), 0, self.bytes);
        };
        let says = Mark {
            chain: place.chain,
            synced_through,
        };
        let mark = frame::mark(place.key, place.offset, place.first_sequence, says);
        if let Some(reserved) = self.bytes.first_chunk_mut::<MARK_SIZE>() {
            *reserved = mark;
        }
        (Name::Segment(place.segment), place.offset, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_only_a_few_are_kept() {
        let mut pool = Pool::default();
        for _ in 0..POOL_COUNT_MAX + 3 {
            pool.give(vec![7; 100]);
        }
        let taken: Vec<Vec<u8>> = (0..=POOL_COUNT_MAX).map(|_| pool.take()).collect();
        assert!(taken.iter().all(Vec::is_empty));
        let kept = taken.iter().filter(|buffer| buffer.capacity() >= 100);
        assert_eq!(kept.count(), POOL_COUNT_MAX);
    }
}

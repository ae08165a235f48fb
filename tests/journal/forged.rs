//! Segments made by hand: what the end of a journal may look like, and what stands behind it.

use countersign::ledger::embedded::frame::{
    self, Cursor, FIRST_OFFSET, HEADER_SIZE, MARK_SIZE, Mark, SegmentHeader, SegmentKey,
};
use countersign::ledger::embedded::io::Name;
use countersign::ledger::embedded::scan::{Corrupt, End, Reason, Scan};

use crate::harness::ID;

/// A journal being forged, frame by frame.
#[derive(Default)]
struct Forge {
    segments: Vec<Vec<u8>>,
    sequence: u64,
    chain: u32,
}

impl Forge {
    /// Begins the next segment, whose header calls this much synced.
    fn segment(&mut self, synced_through: u64) -> &mut Self {
        let header = Self::header(self.segments.len() as u64 + 1, synced_through);
        let mut bytes = header.encode().to_vec();
        bytes.resize(HEADER_SIZE, 0);
        self.segments.push(bytes);
        self
    }

    fn header(segment: u64, synced_through: u64) -> SegmentHeader {
        SegmentHeader {
            journal: ID,
            segment,
            seed: segment * 77,
            synced_through,
        }
    }

    fn last(&mut self) -> (&mut Vec<u8>, SegmentKey, u64) {
        let bytes = self.segments.last_mut().unwrap();
        let key = SegmentHeader::decode(bytes).unwrap().key();
        let offset = bytes.len() as u64;
        (bytes, key, offset)
    }

    /// A mark that calls this much synced.
    fn mark(&mut self, synced_through: u64) -> &mut Self {
        self.sequence += 1;
        let (sequence, chain) = (self.sequence, self.chain);
        let (bytes, key, offset) = self.last();
        let said = Mark {
            chain,
            synced_through,
        };
        let mark = frame::mark(key, offset, sequence, said);
        bytes.extend_from_slice(&mark);
        let [_, _, _, _, a, b, c, d, ..] = mark;
        self.chain = u32::from_le_bytes([a, b, c, d]);
        self
    }

    /// Records of eight bytes each.
    fn records(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            self.sequence += 1;
            let sequence = self.sequence;
            let (bytes, key, offset) = self.last();
            self.chain = frame::push_data(bytes, key, offset, sequence, &sequence.to_le_bytes());
        }
        self
    }

    /// Bytes that are no frame.
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.last().0.extend_from_slice(bytes);
        self
    }

    /// Spoils the frame that begins here in the last segment.
    fn spoil(&mut self, offset: u64) -> &mut Self {
        let (bytes, ..) = self.last();
        bytes[usize::try_from(offset).unwrap() + 9] ^= 1;
        self
    }

    fn end(&self) -> Result<End, Corrupt> {
        let mut scan = Scan::new(Some(ID), Cursor::GENESIS);
        for (number, bytes) in (1..).zip(&self.segments) {
            scan.segment(number, bytes)?.for_each(drop);
        }
        scan.finish()
    }
}

const MARK: u64 = MARK_SIZE as u64;
const RECORD: u64 = 24;

/// Where the journal goes on, what is blank, and what was torn and dropped.
fn said(end: &End) -> (u64, u64, &[u64], bool, u64) {
    let Cursor {
        segment, sequence, ..
    } = end.next;
    (segment, sequence, &end.blank, end.torn, end.dropped)
}

fn corrupt(segment: u64, offset: u64, reason: Reason) -> Corrupt {
    let name = Name::Segment(segment);
    Corrupt {
        name,
        offset,
        reason,
    }
}

#[test]
fn c4_whatever_stands_behind_the_end_makes_it_torn() {
    type Row = (&'static str, fn(&mut Forge), bool, u64);
    #[rustfmt::skip]
    let rows: [Row; 7] = [
        ("nothing", |_| {}, false, 0),
        ("zeros", |it| { it.raw(&[0; 64]); }, false, 0),
        ("a length", |it| { it.raw(&[9, 0, 0, 0]).raw(&[0; 60]); }, true, 0),
        ("a frame without its length", |it| { it.raw(&[0, 0, 0, 0, 7]).raw(&[0; 59]); }, true, 0),
        ("less than a frame", |it| { it.raw(&[0, 0, 7]); }, true, 0),
        ("zeros and two frames", |it| { it.raw(&[0; 24]).records(2); }, true, 2),
        ("rubbish and a frame", |it| { it.raw(&[255; 24]).records(1); }, true, 1),
    ];
    for (what, behind, torn, dropped) in rows {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2);
        behind(&mut forge);
        let end = forge.end().unwrap();
        assert_eq!(said(&end), (2, 4, &[][..], torn, dropped), "{what}");
        let tail = end.tail.unwrap();
        assert_eq!(tail.end, FIRST_OFFSET + MARK + 2 * RECORD, "{what}");
    }
}

/// The first write to a segment may be torn like any other, and then nothing of it counts.
#[test]
fn c4_the_first_write_to_a_segment_may_be_torn() {
    for records in [0, 3] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2);
        forge.segment(0).mark(3).records(records);
        forge.spoil(FIRST_OFFSET);
        let end = forge.end().unwrap();
        assert_eq!(said(&end), (2, 4, &[2][..], true, records as u64));
        assert_eq!(end.tail.map(|tail| tail.segment), Some(1));
    }
}

#[test]
fn c5_a_torn_first_write_that_something_behind_calls_synced_is_named_by_its_place() {
    // A mark behind it, and the header of the segment behind it.
    for by_header in [false, true] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2);
        forge.segment(0).mark(3).records(1);
        if by_header {
            forge.spoil(FIRST_OFFSET).segment(5);
        } else {
            forge.mark(5).spoil(FIRST_OFFSET);
        }
        let expected = corrupt(2, FIRST_OFFSET, Reason::SyncedFrame(4));
        assert_eq!(forge.end(), Err(expected), "{by_header}");
    }
}

/// A segment is written to when the one before it is whole and synced.
#[test]
fn c5_frames_of_a_later_segment_prove_the_earlier_ones() {
    let torn = |forge: &mut Forge| {
        forge.segment(0).mark(0).records(2).raw(&[255; 24]);
    };
    let with_hole = |forge: &mut Forge| {
        forge.segment(0).mark(0).records(2).raw(&[0; 24]).records(1);
        forge.sequence -= 1;
    };
    let place = FIRST_OFFSET + MARK + 2 * RECORD;
    for (what, first) in [
        ("torn", &torn as &dyn Fn(&mut Forge)),
        ("with a hole", &with_hole),
    ] {
        for spoiled in [false, true] {
            let mut forge = Forge::default();
            first(&mut forge);
            forge.sequence += 1;
            forge.segment(0).mark(3).records(2);
            if spoiled {
                forge.spoil(FIRST_OFFSET);
            }
            let expected = corrupt(1, place, Reason::SyncedFrame(4));
            assert_eq!(forge.end(), Err(expected), "{what}, {spoiled}");
        }
    }
}

#[test]
fn c5_frames_behind_a_segment_without_any_are_refused() {
    for spoiled in [false, true] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2);
        forge.segment(0).raw(&[0; 64]);
        forge.sequence += 1;
        forge.segment(0).mark(3).records(2);
        if spoiled {
            forge.spoil(FIRST_OFFSET);
        }
        let expected = corrupt(2, FIRST_OFFSET, Reason::SyncedFrame(4));
        assert_eq!(forge.end(), Err(expected), "{spoiled}");
    }
}

#[test]
fn segments_without_frames_at_the_end_are_blank_and_rubbish_in_them_is_torn() {
    for (rubbish, torn) in [(0, false), (7, true)] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2);
        forge.segment(0).raw(&[0; 64]);
        forge.segment(3).raw(&[rubbish; 64]);
        let end = forge.end().unwrap();
        assert_eq!(said(&end), (2, 4, &[2, 3][..], torn, 0));
    }
}

#[test]
fn c7_a_segment_begins_with_a_mark() {
    let mut forge = Forge::default();
    forge.segment(0).records(1);
    assert_eq!(forge.end(), Err(corrupt(1, FIRST_OFFSET, Reason::Chain)));
}

#[test]
fn c5_a_mark_cannot_call_itself_synced() {
    for (said, stands) in [(3, true), (4, false), (u64::MAX, false)] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2).mark(said).records(1);
        let place = FIRST_OFFSET + MARK + 2 * RECORD;
        let expected = corrupt(1, place, Reason::Chain);
        assert_eq!(forge.end().err(), (!stands).then_some(expected), "{said}");
    }
}

/// What has not been proven is written again by a start: from the first batch that no mark speaks of.
#[test]
fn c8_batches_are_proven_by_the_marks_behind_them() {
    let batch = MARK + 2 * RECORD;
    for (synced, proven) in [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2)] {
        let mut forge = Forge::default();
        forge.segment(0).mark(0).records(2).mark(0).records(2);
        forge.mark(synced).records(2);
        let tail = forge.end().unwrap().tail.unwrap();
        assert_eq!(
            tail.unproven_from,
            FIRST_OFFSET + proven * batch,
            "{synced}"
        );
        assert_eq!(tail.end, FIRST_OFFSET + 3 * batch);
    }
}

#[test]
fn records_that_nobody_takes_are_read_all_the_same() {
    let mut forge = Forge::default();
    forge.segment(0).mark(0).records(2);
    forge.segment(0).mark(3).records(2);
    let mut scan = Scan::new(None, Cursor::GENESIS);
    for (number, bytes) in (1..).zip(&forge.segments) {
        drop(scan.segment(number, bytes).unwrap());
    }
    assert_eq!((scan.cursor().segment, scan.cursor().sequence), (3, 7));
    assert_eq!(scan.finish(), forge.end());
}

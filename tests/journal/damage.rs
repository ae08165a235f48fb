//! Damage of the medium: never a wrong record, never a durable record silently gone.

use countersign::ledger::embedded::frame::{
    self, Cursor, Found, HEADER_SIZE, JournalId, Mark, SegmentHeader,
};
use countersign::ledger::embedded::io::Name;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Position};
use countersign::ledger::embedded::recover::RecoverError;
use countersign::ledger::embedded::scan::{Corrupt, End, Reason, Scan};

use crate::disk::{Disk, SECTOR_SIZE};
use crate::harness::{ID, Record, Run, assert_kept, reopen};

/// A journal's files in order, with what was appended and how much of it was durable.
#[derive(Clone)]
struct Sample {
    segments: Vec<Vec<u8>>,
    appended: Vec<Record>,
    durable: Position,
}

/// Batches of these sizes, each synced; at the end a mark, or `unsynced` records more.
fn sample(config: Config, seed: u64, batches: &[usize], unsynced: usize) -> Sample {
    let disk = Disk::new();
    let mut run = Run::new(&disk, config, Cursor::GENESIS, seed);
    run.settle();
    let size = |n: usize| 3 + n * 5 % 30;
    for (index, batch) in batches.iter().enumerate() {
        for n in 0..*batch {
            run.append(size(index + n), Class::Reserve).unwrap();
        }
        run.settle();
    }
    run.mark();
    let durable = run.journal.durable();
    if unsynced > 0 {
        for n in 0..unsynced {
            run.append(size(n), Class::Reserve).unwrap();
        }
        // Given out and executed: written, and no sync follows.
        assert!(run.advance(0) && run.advance(0) && run.advance(0));
    }
    let used = run.journal.tail().written.segment;
    let segments = (1..=used).map(|n| disk.content(Name::Segment(n))).collect();
    Sample {
        segments,
        appended: run.appended,
        durable,
    }
}

fn one_segment() -> Config {
    Config {
        segment_size: 20 << 10,
        release_size: 0,
        ..Config::new(Durability::Strict)
    }
}

fn several_segments() -> Config {
    Config {
        segment_size: 6 << 10,
        release_size: 0,
        ..Config::new(Durability::Strict)
    }
}

/// About 200 records in 24 batches.
fn batches() -> Vec<usize> {
    (0..24).map(|n| 1 + n * 7 % 16).collect()
}

fn scan<'b>(segments: impl IntoIterator<Item = &'b [u8]>) -> (Vec<Record>, Result<End, Corrupt>) {
    let mut scan = Scan::new(Some(ID), Cursor::GENESIS);
    let mut records = Vec::new();
    for (number, bytes) in (1..).zip(segments) {
        match scan.segment(number, bytes) {
            Ok(found) => {
                records.extend(found.map(|record| (record.sequence, record.payload.to_vec())));
            }
            Err(corrupt) => return (records, Err(corrupt)),
        }
    }
    (records, scan.finish())
}

/// The segments are either refused or hold everything that was promised, unchanged.
/// Whether they were refused.
#[track_caller]
fn detected_or_harmless(sample: &Sample, segments: &[Vec<u8>], what: &str) -> bool {
    let (records, end) = scan(segments.iter().map(Vec::as_slice));
    if end.is_ok() {
        assert_kept(&sample.appended, sample.durable, &records, what);
    }
    end.is_err()
}

/// Where the frames of a segment begin, and where they end.
fn starts(segment: &[u8]) -> Vec<usize> {
    let key = SegmentHeader::decode(segment).unwrap().key();
    let mut starts = vec![HEADER_SIZE];
    while let Found::Frame(found) = frame::read(segment, *starts.last().unwrap(), key) {
        starts.push(starts.last().unwrap() + found.size);
    }
    starts
}

#[test]
fn an_undamaged_journal_is_read_whole() {
    for (config, used) in [(one_segment(), 1), (several_segments(), 4)] {
        let sample = sample(config, 1, &batches(), 0);
        assert_eq!(sample.segments.len(), used);
        let (records, end) = scan(sample.segments.iter().map(Vec::as_slice));
        assert_eq!(records, sample.appended);
        let end = end.unwrap();
        assert!(!end.torn);
        assert!(sample.appended.len() > 190, "{}", sample.appended.len());
        // What the last mark proves need not be written again; the mark itself is not proven.
        let tail = end.tail.unwrap();
        assert_eq!(tail.end - tail.unproven_from, frame::MARK_SIZE as u64);
    }
}

#[test]
fn c4_torn_last_batch_at_every_byte_keeps_all_before_it() {
    let sample = sample(one_segment(), 2, &[3, 1, 4], 5);
    let segment = &sample.segments[0];
    let starts = starts(segment);
    let durable_end = starts[starts.len() - 7];
    let end = *starts.last().unwrap();
    for cut in durable_end..end {
        // The file may be cut, or the rest of it never written.
        let shortened = segment[..cut].to_vec();
        let mut zeroed = shortened.clone();
        zeroed.resize(segment.len(), 0);
        for torn in [shortened, zeroed] {
            let (records, verdict) = scan([torn.as_slice()]);
            let stands = |frame: &&[usize]| {
                torn.get(frame[0]..frame[1]) == Some(&segment[frame[0]..frame[1]])
            };
            let whole = starts.windows(2).take_while(stands).count();
            let expected: Vec<_> = sample
                .appended
                .iter()
                .filter(|(sequence, _)| *sequence <= whole as u64)
                .cloned()
                .collect();
            assert_eq!(records, expected, "cut at {cut}");
            let verdict = verdict.unwrap();
            assert_eq!(verdict.next.sequence, whole as u64 + 1, "cut at {cut}");
            assert_eq!(
                verdict.tail.unwrap().end,
                starts[whole] as u64,
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn c4_frames_behind_a_hole_in_the_last_batch_are_dropped_and_counted() {
    let sample = sample(one_segment(), 3, &[2, 2], 6);
    let starts = starts(&sample.segments[0]);
    // The second record of the unsynced batch; five stand behind its mark and first record.
    let hole = starts[starts.len() - 6];
    let mut torn = sample.segments[0].clone();
    torn[hole + 1] ^= 0x10;
    let (records, end) = scan([torn.as_slice()]);
    let end = end.unwrap();
    assert!(end.torn);
    assert_eq!((end.dropped, records.len()), (4, 5));
}

#[test]
fn c5_r6_every_single_flipped_bit_is_detected_or_harmless() {
    let mut sample = sample(one_segment(), 4, &batches(), 0);
    let end = *starts(&sample.segments[0]).last().unwrap();
    let frames = HEADER_SIZE..end;
    sample.segments[0].truncate(end + 64);
    let mut segments = sample.segments.clone();
    let mut detected = 0;
    let places = (0..80)
        .chain([HEADER_SIZE - 1])
        .chain(HEADER_SIZE..end + 64);
    for byte in places {
        for bit in 0..8 {
            segments[0][byte] ^= 1 << bit;
            let what = format!("byte {byte} bit {bit}");
            let seen = detected_or_harmless(&sample, &segments, &what);
            // All but the last mark is proven durable by it.
            if frames.contains(&byte) && byte < end - frame::MARK_SIZE {
                assert!(seen, "{what} went unseen");
                detected += 1;
            }
            segments[0][byte] ^= 1 << bit;
        }
    }
    assert!(detected > 50_000, "{detected}");
}

#[test]
fn c5_r6_flips_in_any_of_several_segments_are_detected_or_harmless() {
    let sample = sample(several_segments(), 5, &batches(), 3);
    let mut segments = sample.segments.clone();
    for number in 0..segments.len() {
        let end = *starts(&segments[number]).last().unwrap();
        let is_last = number + 1 == segments.len();
        for byte in (0..64)
            .chain(HEADER_SIZE..segments[number].len())
            .step_by(3)
        {
            let bit = byte % 8;
            segments[number][byte] ^= 1 << bit;
            let what = format!("segment {number} byte {byte}");
            let seen = detected_or_harmless(&sample, &segments, &what);
            assert!(seen || is_last || byte >= end, "{what} went unseen");
            segments[number][byte] ^= 1 << bit;
        }
    }
}

#[test]
fn c5_the_place_is_named() {
    let sample = sample(several_segments(), 6, &batches(), 0);
    let mut segments = sample.segments;
    let place = starts(&segments[2])[4];
    segments[2][place + 20] ^= 1;
    let corrupt = scan(segments.iter().map(Vec::as_slice)).1.unwrap_err();
    assert_eq!(
        (corrupt.name, corrupt.offset),
        (Name::Segment(3), place as u64)
    );
    assert!(matches!(corrupt.reason, Reason::SyncedFrame(_)));
    let message = corrupt.to_string();
    assert!(
        message.starts_with(&format!(
            "journal-0000000000000003.seg at byte {place}: record "
        )),
        "{message}"
    );
}

#[test]
fn c6_zeroed_copied_and_swapped_sectors_are_detected_or_harmless() {
    for (config, seed) in [(one_segment(), 7), (several_segments(), 8)] {
        let sample = sample(config, seed, &batches(), 0);
        let sectors: Vec<(usize, usize)> = (0..sample.segments.len())
            .flat_map(|n| (0..sample.segments[n].len() / SECTOR_SIZE).map(move |s| (n, s)))
            .filter(|(_, sector)| *sector == 0 || *sector >= HEADER_SIZE / SECTOR_SIZE)
            .collect();
        let range = |sector: usize| sector * SECTOR_SIZE..(sector + 1) * SECTOR_SIZE;
        let content = |(n, s): (usize, usize)| sample.segments[n][range(s)].to_vec();
        // Where the evidence for the last batches goes too, their loss looks like a torn tail:
        // then the records are only known to be a prefix.
        let last = sample.segments.len() - 1;
        let end = *starts(&sample.segments[last]).last().unwrap();
        let evidence = (
            last,
            (end - frame::MARK_SIZE) / SECTOR_SIZE..=(end - 1) / SECTOR_SIZE,
        );
        let bare = Sample {
            durable: Position(0),
            ..sample.clone()
        };
        let check = |damaged: &[Vec<u8>], places: &[(usize, usize)], what: &str| {
            let gone = places
                .iter()
                .any(|(n, s)| *n == evidence.0 && evidence.1.contains(s));
            let seen = detected_or_harmless(if gone { &bare } else { &sample }, damaged, what);
            let same = damaged == sample.segments;
            let unused = |(n, s): &(usize, usize)| {
                sample.segments[*n][range(*s)].iter().all(|byte| *byte == 0)
            };
            assert!(
                seen || gone || same || places.iter().all(unused),
                "{what} went unseen"
            );
        };
        for to in &sectors {
            let mut zeroed = sample.segments.clone();
            zeroed[to.0][range(to.1)].fill(0);
            check(&zeroed, &[*to], &format!("zeroed {to:?}"));
            for from in &sectors {
                let mut damaged = sample.segments.clone();
                damaged[to.0][range(to.1)].copy_from_slice(&content(*from));
                check(&damaged, &[*to], &format!("{from:?} over {to:?}"));
                damaged[from.0][range(from.1)].copy_from_slice(&content(*to));
                check(&damaged, &[*from, *to], &format!("{from:?} and {to:?}"));
            }
        }
    }
}

#[test]
fn c6_zeroed_sectors_before_the_last_mark_are_detected() {
    let sample = sample(one_segment(), 9, &batches(), 0);
    let end = *starts(&sample.segments[0]).last().unwrap() - frame::MARK_SIZE;
    for start in (HEADER_SIZE..end - SECTOR_SIZE).step_by(SECTOR_SIZE) {
        let mut segments = sample.segments.clone();
        segments[0][start..start + SECTOR_SIZE].fill(0);
        assert!(
            detected_or_harmless(&sample, &segments, "zeroed"),
            "at {start}"
        );
    }
}

#[test]
fn c6_cut_segments_with_later_ones_behind_are_detected() {
    let sample = sample(several_segments(), 10, &batches(), 0);
    for number in 0..sample.segments.len() - 1 {
        for start in starts(&sample.segments[number]).iter().rev().skip(1) {
            let mut segments = sample.segments.clone();
            segments[number].truncate(*start);
            assert!(
                detected_or_harmless(&sample, &segments, "cut"),
                "{number} at {start}"
            );
        }
    }
}

/// A disk that holds the sample's segments, numbered by their order.
fn disk_of(segments: &[Vec<u8>]) -> Disk {
    let disk = Disk::new();
    for (number, bytes) in (1..).zip(segments) {
        disk.set_content(Name::Segment(number), bytes.clone());
    }
    disk
}

fn corrupt(disk: &Disk) -> Corrupt {
    match reopen(disk) {
        Err(RecoverError::Corrupt(corrupt)) => corrupt,
        other => panic!("not called corrupt: {other:?}"),
    }
}

#[test]
fn c6_missing_segments_are_named() {
    let sample = sample(several_segments(), 11, &batches(), 0);
    let last = sample.segments.len() as u64;
    for number in 1..last {
        let disk = disk_of(&sample.segments);
        disk.lose(Name::Segment(number));
        let expected = Corrupt {
            name: Name::Segment(number),
            offset: 0,
            reason: Reason::Missing,
        };
        assert_eq!(corrupt(&disk), expected);
    }
}

#[test]
fn c6_swapped_and_duplicated_segments_are_named() {
    let sample = sample(several_segments(), 12, &batches(), 0);
    let mut swapped = sample.segments.clone();
    swapped.swap(1, 3);
    let expected = Corrupt {
        name: Name::Segment(2),
        offset: 0,
        reason: Reason::Misnamed(4),
    };
    assert_eq!(corrupt(&disk_of(&swapped)), expected);
    let mut doubled = sample.segments;
    doubled[2] = doubled[1].clone();
    let expected = Corrupt {
        name: Name::Segment(3),
        offset: 0,
        reason: Reason::Misnamed(2),
    };
    assert_eq!(corrupt(&disk_of(&doubled)), expected);
}

/// The spare behind the last segment was made when some of that was durable, and says so.
#[test]
fn c6_a_spare_proves_what_was_durable_when_it_was_made() {
    let disk = Disk::new();
    let mut run = Run::new(&disk, several_segments(), Cursor::GENESIS, 19);
    run.settle();
    run.fill_until(3);
    let mut content = disk.content(Name::Segment(3));
    content[HEADER_SIZE..].fill(0);
    disk.set_content(Name::Segment(3), content);
    assert!(matches!(corrupt(&disk).reason, Reason::SyncedFrame(_)));
    disk.lose(Name::Segment(4));
    assert!(reopen(&disk).is_ok(), "without the spare nothing tells");
}

/// Found by fuzzing: recovery took the blank segment away, and the next start missed it.
#[test]
fn c6_a_segment_that_holds_nothing_between_two_that_do_is_refused() {
    let ours = sample(one_segment(), 20, &[2, 3], 0);
    let segment = &ours.segments[0];
    let end = *starts(segment).last().unwrap();
    let mut rotten = segment[..end].to_vec();
    rotten.extend([0xff; 24]);
    let header = |segment, seed| SegmentHeader {
        journal: ID,
        segment,
        seed,
        synced_through: 0,
    };
    let mut blank = header(2, 5).encode().to_vec();
    blank.resize(HEADER_SIZE, 0);
    let mut goes_on = header(3, 6).encode().to_vec();
    goes_on.resize(HEADER_SIZE, 0);
    let said = Mark {
        chain: chain_at_the_end(segment),
        synced_through: 0,
    };
    let next = starts(segment).len() as u64;
    goes_on.extend(frame::mark(
        header(3, 6).key(),
        HEADER_SIZE as u64,
        next,
        said,
    ));
    let found = corrupt(&disk_of(&[rotten, blank, goes_on]));
    assert_eq!(found.reason, Reason::SyncedFrame(next));
    assert_eq!((found.name, found.offset), (Name::Segment(1), end as u64));
}

/// The CRC of the segment's last frame.
fn chain_at_the_end(segment: &[u8]) -> u32 {
    let key = SegmentHeader::decode(segment).unwrap().key();
    let starts = starts(segment);
    let Found::Frame(last) = frame::read(segment, starts[starts.len() - 2], key) else {
        panic!("no frame stands there");
    };
    last.crc
}

#[test]
fn c6_a_corrupt_journal_is_left_untouched() {
    let sample = sample(several_segments(), 13, &batches(), 0);
    let mut segments = sample.segments;
    segments[1][HEADER_SIZE + 40] ^= 1;
    let disk = disk_of(&segments);
    corrupt(&disk);
    for (number, bytes) in (1..).zip(&segments) {
        assert_eq!(&disk.content(Name::Segment(number)), bytes);
    }
    assert_eq!(disk.operations(), 0);
}

/// The same numbers, sizes and sequence numbers, written in another life of the directory.
#[test]
fn c7_segment_of_another_epoch_is_refused() {
    let ours = sample(several_segments(), 14, &batches(), 0);
    let theirs = sample(several_segments(), 15, &batches(), 0);
    let mut mixed = ours.segments;
    mixed[2] = theirs.segments[2].clone();
    assert_eq!(corrupt(&disk_of(&mixed)).reason, Reason::Chain);
}

/// What an earlier file left in the same blocks lies behind the end, and stays there.
#[test]
fn c7_stale_frames_of_an_earlier_file_are_not_replayed() {
    let ours = sample(one_segment(), 16, &[2, 3], 0);
    let theirs = sample(one_segment(), 17, &batches(), 0);
    let mut stale = ours.segments.clone();
    let end = *starts(&stale[0]).last().unwrap();
    stale[0][end..].copy_from_slice(&theirs.segments[0][end..]);
    let (records, verdict) = scan([stale[0].as_slice()]);
    assert_eq!(records, ours.appended);
    assert_eq!(verdict.unwrap().dropped, 0);
}

#[test]
fn c16_newer_format_and_other_journal_are_refused() {
    let sample = sample(several_segments(), 18, &batches(), 0);
    let mut newer = sample.segments.clone();
    newer[3][8] = 9;
    let crc = crc32c::crc32c(&newer[3][..60]).to_le_bytes();
    newer[3][60..64].copy_from_slice(&crc);
    let found = corrupt(&disk_of(&newer));
    assert_eq!(
        (found.name, found.reason),
        (Name::Segment(4), Reason::Newer(9))
    );
    assert!(
        found.to_string().contains("newer than this program"),
        "{found}"
    );

    let mut scan = Scan::new(Some(JournalId([1; 16])), Cursor::GENESIS);
    let refused = scan.segment(1, &sample.segments[0]).unwrap_err();
    assert_eq!(refused.reason, Reason::OtherJournal);
}

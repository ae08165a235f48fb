use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::*;
use crate::ledger::embedded::files::Files;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::Io;
use crate::ledger::embedded::journal::{Class, Config, Durability, Journal, Refusal};
use crate::ledger::embedded::recover::recover;
use crate::ledger::embedded::writer::{Timing, Writer};

const ID: JournalId = JournalId([9; 16]);

fn start(path: &Path, segment_size: u64) -> (Arc<Files>, Writer) {
    let files = Arc::new(Files::open(path).unwrap());
    let recovered = recover(&*files, Some(ID), Cursor::GENESIS, |_| {}).unwrap();
    let config = Config {
        segment_size,
        release_size: 4 << 10,
        ..Config::new(Durability::Relaxed)
    };
    let seeds = Box::new(|| getrandom::u64().unwrap());
    let journal = Journal::new(config, ID, recovered.next, seeds);
    let storage = Arc::clone(&files);
    let writer = Writer::start(journal, storage, Timing::default(), Box::new(|_| {})).unwrap();
    (files, writer)
}

fn append(writer: &Writer, payload: &[u8]) {
    loop {
        match writer.append(payload, Class::Reserve) {
            Ok(_) => return writer.kick(),
            // The next segment is not made yet; it comes.
            Err(Refusal::Full | Refusal::Behind) => thread::yield_now(),
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

/// Everything that can be read, each with its place.
fn drain(follower: &mut Follower, storage: &dyn Storage, through: u64) -> Vec<(u64, u64, Vec<u8>)> {
    let mut seen = Vec::new();
    while follower
        .poll(storage, through, |record| {
            seen.push((record.segment, record.offset, record.payload.to_vec()));
        })
        .unwrap()
    {}
    seen
}

/// A payload that tells its number, of sizes from a few bytes to the largest.
fn payload(n: u32) -> Vec<u8> {
    let size = match n {
        n if n % 257 == 0 => PAYLOAD_SIZE_MAX,
        n if n % 31 == 0 => 5_000,
        n => 8 + usize::try_from(n % 100).unwrap(),
    };
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(size, 0xA5);
    bytes
}

#[test]
fn a_follower_beside_the_writer_sees_every_record_once_and_in_order() {
    const COUNT: u32 = 1_200;
    let dir = tempfile::tempdir().unwrap();
    let (files, writer) = start(dir.path(), 192 << 10);
    let mut seen = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| (0..COUNT).for_each(|n| append(&writer, &payload(n))));
        let mut follower = Follower::default();
        while seen.len() < usize::try_from(COUNT).unwrap() {
            let through = writer.published().written.0;
            let before = seen.len();
            seen.extend(drain(&mut follower, &*files, through));
            if seen.len() == before {
                thread::yield_now();
            }
        }
    });
    for (n, (segment, offset, read)) in (0..COUNT).zip(&seen) {
        assert_eq!(*read, payload(n), "record {n}");
        assert_eq!(read_one(&*files, *segment, *offset).unwrap(), *read);
    }
    let last_segment = seen.last().unwrap().0;
    assert!(last_segment > 2, "the records span segments");
}

#[test]
fn what_is_not_called_written_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (files, writer) = start(dir.path(), 64 << 10);
    (0..10).for_each(|n| append(&writer, &[n]));
    writer.close();
    let mut follower = Follower::default();
    let mut seen = Vec::new();
    // Sequence numbers of marks count too, so some steps bring nothing.
    for through in 0..=writer.published().written.0 {
        for (_, _, payload) in drain(&mut follower, &*files, through) {
            seen.push(payload);
        }
        assert!(u64::try_from(seen.len()).unwrap() <= through);
    }
    assert_eq!(seen, (0..10).map(|n| vec![n]).collect::<Vec<_>>());
}

#[test]
fn a_follower_goes_on_over_restarts_and_skips_segments_that_were_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut through = 0;
    for round in 0..3 {
        let (_, writer) = start(dir.path(), 64 << 10);
        append(&writer, &[round]);
        through = writer.close().written.0;
    }
    let files = Files::open(dir.path()).unwrap();
    let payloads = |follower: &mut Follower, through| -> Vec<Vec<u8>> {
        let seen = drain(follower, &files, through);
        seen.into_iter().map(|(_, _, payload)| payload).collect()
    };
    assert_eq!(payloads(&mut Follower::default(), through), [[0], [1], [2]]);
    let mut behind = Follower::default();
    // Sequence 1 is a mark, 2 the first record.
    assert_eq!(payloads(&mut behind, 2), [[0]]);
    let name = Name::Segment(1);
    files.execute(&Io::Remove { name }).unwrap();
    assert_eq!(payloads(&mut behind, through), [[1], [2]]);
    assert_eq!(payloads(&mut Follower::default(), through), [[1], [2]]);
}

#[test]
fn a_record_that_is_called_written_and_stands_nowhere_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (_, writer) = start(dir.path(), 64 << 10);
    append(&writer, b"one");
    let through = writer.close().written.0;
    drop(writer);
    let files = Files::open(dir.path()).unwrap();
    recover(&files, Some(ID), Cursor::GENESIS, |_| {}).unwrap();
    let mut follower = Follower::default();
    assert_eq!(drain(&mut follower, &files, through).len(), 1);
    let fault = follower.poll(&files, through + 1, |_| {}).unwrap_err();
    assert!(matches!(fault, FollowFault::Lost(_)), "{fault}");
    let damaged = read_one(&files, 1, FIRST_OFFSET + 8);
    assert_eq!(damaged, Err(FollowFault::NoFrame(1, FIRST_OFFSET + 8)));
}

/// Three segments of forty records; where each record stands.
fn three_segments(dir: &Path) -> Vec<(u64, u64, Vec<u8>)> {
    let mut through = 0;
    for round in 0..3 {
        let (_, writer) = start(dir, 64 << 10);
        (0..40).for_each(|n| append(&writer, &[round, n]));
        through = writer.close().written.0;
    }
    let files = Files::open(dir).unwrap();
    drain(&mut Follower::default(), &files, through)
}

fn damage(dir: &Path, segment: u64, offset: u64, bytes: &[u8]) {
    let path = dir.join(Name::Segment(segment).to_string());
    let mut content = std::fs::read(&path).unwrap();
    let at = usize::try_from(offset).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, content).unwrap();
}

/// What a follower of the past sees, and what it looks past.
fn past(dir: &Path, segment_end: u64, through: u64) -> (Vec<Vec<u8>>, Vec<Gap>) {
    let files = Files::open(dir).unwrap();
    let mut follower = Follower::before(segment_end);
    let (mut seen, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let more = follower
            .poll(&files, through, |record| seen.push(record.payload.to_vec()))
            .unwrap();
        gaps.extend(follower.take_gap());
        if !more {
            return (seen, gaps);
        }
    }
}

#[test]
fn c5_past_a_damaged_record_the_others_are_still_found_and_the_gap_is_told() {
    let whole = tempfile::tempdir().unwrap();
    let records = three_segments(whole.path());
    assert_eq!(records.len(), 120);
    let through = |segment: u64| {
        let files = Files::open(whole.path()).unwrap();
        let mut follower = Follower::of_segment(segment);
        while follower.poll(&files, u64::MAX, |_| {}).unwrap() {}
        assert_eq!(follower.take_gap(), None, "nothing is damaged");
        follower.next.unwrap() - 1
    };
    let last = through(3);
    assert_eq!(past(whole.path(), 4, last).1, []);
    // The first, one within, and the last of a segment that others follow, and of the last one.
    for lost in [0, 17, 39, 40, 60, 79, 80, 100, 119] {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(whole.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let (segment, offset, _) = records[lost];
        damage(dir.path(), segment, offset + 4, &[0xA5; 4]);
        let (seen, gaps) = past(dir.path(), 4, last);
        let others = records.iter().enumerate().filter(|(at, _)| *at != lost);
        let others: Vec<_> = others.map(|(_, (_, _, payload))| payload.clone()).collect();
        assert_eq!(seen, others, "{lost}");
        let [gap] = gaps[..] else {
            panic!("{lost}: {gaps:?}")
        };
        assert_eq!((gap.segment, gap.offset), (segment, offset), "{lost}");
        assert_eq!(gap.next, Some(gap.first + 1), "{lost}");
        assert!(gap.to_string().contains("cannot be read"));
    }
}

#[test]
fn c5_records_that_are_cut_off_are_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let records = three_segments(dir.path());
    let (_, last) = past(dir.path(), 4, 1_000)
        .1
        .first()
        .map(|gap| (gap.next, gap.first - 1))
        .unwrap();
    // All that stands from the eleventh record of the second segment on.
    let (segment, offset, _) = records[50];
    let path = dir.path().join(Name::Segment(segment).to_string());
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(offset).unwrap();
    let (seen, gaps) = past(dir.path(), 4, last);
    assert_eq!(seen.len(), 50 + 40);
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((gap.segment, gap.offset, gap.next), (segment, offset, None));
    let (seen, gaps) = past(dir.path(), 3, last);
    assert_eq!((seen.len(), gaps.len()), (50, 1));
}

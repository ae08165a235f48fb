//! Exactly as much as fits, and not a byte more; what a closing journal gives out, and what it says.

use countersign::ledger::embedded::frame::{Cursor, FIRST_OFFSET, FRAME_OVERHEAD_SIZE, MARK_SIZE};
use countersign::ledger::embedded::io::Io;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Lane, Refusal};

use crate::disk::Disk;
use crate::harness::{Run, small};

/// A journal that has its segments.
fn ready(disk: &Disk, config: Config) -> Run<'_> {
    let mut run = Run::new(disk, config, Cursor::GENESIS, 77);
    run.settle();
    run
}

#[test]
fn a_payload_that_fills_a_segment_is_taken_and_one_byte_more_is_not() {
    let payload_size = 2_000;
    let frames = MARK_SIZE + FRAME_OVERHEAD_SIZE + payload_size + MARK_SIZE;
    let config = Config {
        segment_size: FIRST_OFFSET + frames as u64,
        ..small(Durability::Strict)
    };
    let disk = Disk::new();
    let mut run = ready(&disk, config);
    assert_eq!(
        run.append(payload_size + 1, Class::Release),
        Err(Refusal::TooLarge)
    );
    run.append(payload_size, Class::Release).unwrap();
    run.close();
}

#[test]
fn memory_for_pending_frames_is_used_to_the_last_byte() {
    let frame = FRAME_OVERHEAD_SIZE + 104;
    let spending = 10;
    let config = Config {
        segment_size: 64 << 10,
        pending_size_max: MARK_SIZE + spending * frame,
        release_size: 2 * frame,
        batch_size_max: 1 << 20,
        ..Config::new(Durability::Strict)
    };
    let disk = Disk::new();
    let mut run = ready(&disk, config);
    for _ in 0..spending {
        run.append(104, Class::Reserve).unwrap();
    }
    assert_eq!(run.append(0, Class::Reserve), Err(Refusal::Behind));
    for _ in 0..2 {
        run.append(104, Class::Release).unwrap();
    }
    assert_eq!(run.append(0, Class::Release), Err(Refusal::Behind));
    run.settle();
    run.append(104, Class::Reserve).unwrap();
}

#[test]
fn only_relaxed_journals_sync_beside_their_writes_and_none_that_closes() {
    for (durability, expected) in [(Durability::Strict, false), (Durability::Relaxed, true)] {
        for closing in [false, true] {
            let disk = Disk::new();
            let mut run = ready(&disk, small(durability));
            let journal = &mut run.journal;
            journal.append(b"payload", Class::Reserve).unwrap();
            let write = journal.next_io(Lane::Write).unwrap();
            journal.complete(write, Ok(()));
            if closing {
                journal.close();
            }
            let syncs = matches!(journal.next_io(Lane::Sync), Some(Io::Sync { .. }));
            assert_eq!(syncs, expected && !closing, "{durability:?}, {closing}");
        }
    }
}

#[test]
fn a_closing_journal_makes_no_further_segment() {
    let disk = Disk::new();
    let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, 77);
    assert!(run.journal.wants_create());
    run.journal.close();
    assert!(!run.journal.wants_create());
    assert_eq!(run.journal.next_io(Lane::Create), None);
}

#[test]
fn each_refusal_says_what_is_the_matter() {
    let rows = [
        (Refusal::Full, "no room"),
        (Refusal::Behind, "does not keep up"),
        (Refusal::Poisoned, "failed"),
        (Refusal::Closed, "closed"),
        (Refusal::TooLarge, "too large"),
    ];
    for (refusal, words) in rows {
        assert!(refusal.to_string().contains(words), "{refusal}");
    }
}

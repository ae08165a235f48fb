//! Exactly as much as fits, and not a byte more; what a closing journal gives out, and what it says.

use countersign::ledger::embedded::frame::{Cursor, FIRST_OFFSET, FRAME_OVERHEAD_SIZE, MARK_SIZE};
use countersign::ledger::embedded::io::{Io, IoFault, Name};
use countersign::ledger::embedded::journal::{
    Class, Config, Durability, Journal, Lane, Position, Refusal,
};
use countersign::ledger::embedded::recover::{RecoverError, examine_whole};
use countersign::ledger::embedded::scan::{Corrupt, Reason};

use crate::disk::Disk;
use crate::harness::{Run, reopen, small};

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
fn a_mark_that_is_being_written_counts_as_pending() {
    let frame = FRAME_OVERHEAD_SIZE + 104;
    let config = Config {
        segment_size: 64 << 10,
        pending_size_max: MARK_SIZE + MARK_SIZE + 2 * frame,
        release_size: 0,
        ..Config::new(Durability::Strict)
    };
    let disk = Disk::new();
    let mut run = ready(&disk, config);
    run.append(104, Class::Reserve).unwrap();
    run.settle();
    let mark = run.journal.idle_mark().unwrap();
    for _ in 0..2 {
        run.append(104, Class::Reserve).unwrap();
    }
    assert_eq!(run.append(0, Class::Reserve), Err(Refusal::Behind));
    run.journal.complete(mark, Ok(()));
    run.append(0, Class::Reserve).unwrap();
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

/// The first write to a segment waits for the sync of the one before, and must not wait for long.
#[test]
fn a_sync_is_wanted_at_once_exactly_while_a_write_waits_for_it() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let disk = Disk::new();
        let mut run = ready(&disk, small(durability));
        let mut waited = false;
        for _ in 0..60 {
            run.append(200, Class::Reserve).unwrap();
            while run.advance(0) {}
            let waits = run.journal.written() < run.journal.appended();
            assert_eq!(run.journal.wants_sync_at_once(), waits);
            waited |= waits;
            if waits {
                assert!(run.journal.wants_sync());
                while run.advance(1) {}
                assert!(!run.journal.wants_sync_at_once());
            }
            while run.advance(2) {}
        }
        assert_eq!(waited, durability == Durability::Relaxed);
    }
}

/// The writer is woken for these, and for nothing else.
#[test]
fn a_write_is_pending_while_frames_wait_and_nobody_writes() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Relaxed));
    assert!(!run.journal.is_write_pending(), "nothing waits");
    run.append(9, Class::Reserve).unwrap();
    assert!(run.journal.is_write_pending());
    let first = run.journal.next_io(Lane::Write).unwrap();
    run.append(9, Class::Reserve).unwrap();
    assert!(!run.journal.is_write_pending(), "one is being written");
    run.journal.complete(first, Ok(()));
    assert!(run.journal.is_write_pending(), "what came meanwhile waits");
    let second = run.journal.next_io(Lane::Write).unwrap();
    run.append(9, Class::Reserve).unwrap();
    run.journal.complete(second, Err(IoFault::EIO));
    assert!(!run.journal.is_write_pending(), "nothing is written again");
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

/// Takes a write of one frame, or the sync behind it, out of a journal that is ready.
fn in_flight(journal: &mut Journal, sync: bool) -> Io {
    journal.append(b"payload", Class::Reserve).unwrap();
    let write = journal.next_io(Lane::Write).unwrap();
    if !sync {
        return write;
    }
    journal.complete(write, Ok(()));
    journal.next_io(Lane::Write).unwrap()
}

#[test]
fn c8_what_succeeds_after_the_journal_was_given_up_counts_for_nothing() {
    for sync in [false, true] {
        let disk = Disk::new();
        let mut run = ready(&disk, small(Durability::Strict));
        let io = in_flight(&mut run.journal, sync);
        let before = run.journal.tail();
        run.journal.poison();
        run.journal.complete(io, Ok(()));
        assert_eq!(run.journal.tail(), before);
        assert!(run.journal.is_poisoned());
    }
}

#[test]
fn a_journal_that_was_given_up_wants_nothing_more() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Relaxed));
    // Two batches, and a sync that began between them.
    let write = in_flight(&mut run.journal, false);
    run.journal.complete(write, Ok(()));
    let sync = run.journal.next_io(Lane::Sync).unwrap();
    let write = in_flight(&mut run.journal, false);
    run.journal.complete(write, Ok(()));
    run.journal.complete(sync, Ok(()));
    let wants = |journal: &Journal| {
        let sync = journal.wants_sync();
        (sync, journal.wants_mark(), journal.wants_create())
    };
    assert_eq!(wants(&run.journal), (true, true, false));
    run.journal.poison();
    assert_eq!(wants(&run.journal), (false, false, false));
    let mut fresh = Run::new(&disk, small(Durability::Relaxed), Cursor::GENESIS, 77);
    assert_eq!(wants(&fresh.journal), (false, false, true));
    fresh.journal.poison();
    assert_eq!(wants(&fresh.journal), (false, false, false));
}

#[test]
fn a_segment_is_wanted_while_there_is_no_spare_and_none_under_way() {
    let disk = Disk::new();
    let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, 77);
    for _segment_and_spare in 0..2 {
        for _create_and_name in 0..2 {
            assert!(run.journal.wants_create());
            let io = run.journal.next_io(Lane::Create).unwrap();
            assert!(!run.journal.wants_create());
            assert_eq!(run.journal.next_io(Lane::Create), None);
            run.journal.complete(io, Ok(()));
        }
    }
    assert!(!run.journal.wants_create());
    assert_eq!(run.journal.next_io(Lane::Create), None);
}

#[test]
fn closing_is_done_when_nothing_is_left_that_could_be() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    assert!(!run.journal.is_closing() && !run.journal.is_closed());
    run.append(9, Class::Reserve).unwrap();
    run.journal.close();
    assert!(
        run.journal.is_closing() && !run.journal.is_closed(),
        "a frame is pending"
    );
    // Write, sync, mark, sync: each given out, and each done.
    for _ in 0..4 {
        let io = run.journal.next_io(Lane::Write).unwrap();
        assert!(!run.journal.is_closed(), "{io:?} is under way");
        run.journal.complete(io, Ok(()));
    }
    assert!(run.journal.is_closed());

    // Given up, it is done as soon as nothing is under way.
    for sync in [false, true] {
        let mut run = ready(&disk, small(Durability::Strict));
        let io = in_flight(&mut run.journal, sync);
        run.append(9, Class::Reserve).unwrap();
        run.journal.close();
        run.journal.poison();
        assert!(!run.journal.is_closed(), "{io:?} is under way");
        run.journal.complete(io, Err(IoFault::EIO));
        assert!(run.journal.is_closed());
    }
    let mut run = ready(&disk, small(Durability::Strict));
    run.journal.poison();
    assert!(!run.journal.is_closed(), "nobody asked to close it");
}

/// A mark stands at the beginning of a batch, and says only what is news.
#[test]
fn an_idle_mark_waits_until_nothing_is_pending_and_there_is_news() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    run.append(9, Class::Reserve).unwrap();
    run.settle();
    run.append(9, Class::Reserve).unwrap();
    let journal = &mut run.journal;
    assert!(journal.wants_mark());
    assert_eq!(journal.idle_mark(), None, "a frame is pending");
    let write = journal.next_io(Lane::Write).unwrap();
    assert_eq!(journal.idle_mark(), None, "a write is under way");
    journal.complete(write, Ok(()));
    run.settle();
    run.mark();
    assert!(!run.journal.wants_mark());
    assert_eq!(run.journal.idle_mark(), None, "nothing is news");
}

/// Without a spare, whatever is left.
#[test]
fn c9_a_journal_is_full_exactly_when_spending_would_be_refused() {
    let fails = |io: &Io| matches!(io, Io::Create { segment, .. } if *segment > 1);
    let mut states = [0, 0];
    for (first, appends) in (0..7).flat_map(|first| (125..143).map(move |n| (first * 8, n))) {
        let disk = Disk::new();
        let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, 9);
        disk.fail_all(Some((fails, IoFault::ENOSPC)));
        run.settle();
        run.append(first, Class::Release).unwrap();
        run.settle();
        for _ in 0..appends {
            run.append(8, Class::Release).unwrap();
            run.settle();
        }
        let full = run.journal.is_full();
        let refused = run.append(256, Class::Reserve).is_err();
        assert_eq!(refused, full, "after {first} and {appends}");
        states[usize::from(full)] += 1;
    }
    assert!(states.iter().all(|count| *count > 20), "{states:?}");
}

#[test]
fn the_tail_is_where_the_last_frame_ends() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    let mut end = FIRST_OFFSET;
    for payload_size in [8, 104, 0] {
        run.append(payload_size, Class::Reserve).unwrap();
        run.settle();
        end += (MARK_SIZE + FRAME_OVERHEAD_SIZE + payload_size) as u64;
        let tail = run.journal.tail();
        assert_eq!((tail.written.offset, tail.durable.offset), (end, end));
        assert_eq!(tail.written.segment, 1);
    }
}

#[test]
fn segments_below_the_one_in_use_are_sealed_and_all_of_them_after_a_start() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    assert_eq!(run.journal.sealed_before(), 1);
    for segment in 1..=3 {
        run.fill_until(segment);
        assert_eq!(run.journal.sealed_before(), segment);
    }
    run.close();
    let (recovered, _) = reopen(&disk).unwrap();
    assert_eq!(recovered.next.segment, 4);
    let run = Run::new(&disk, small(Durability::Strict), recovered.next, 78);
    assert_eq!(run.journal.sealed_before(), 4);
    assert_eq!(
        run.journal.appended(),
        Position(recovered.next.sequence - 1)
    );
}

/// What a second start has to do: write the last mark again, which nothing proves, and sync.
#[test]
fn c2_a_journal_that_was_put_in_order_is_not_cut_again() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    run.append(9, Class::Reserve).unwrap();
    run.close();
    let counts = [(); 3].map(|()| {
        let before = disk.operations();
        reopen(&disk).unwrap();
        disk.operations() - before
    });
    // The first one also cuts the room behind the end, and removes the spare between two syncs.
    assert_eq!(counts, [6, 2, 2]);
}

/// Each operation of a start fails once; those on the directory concern no file.
#[test]
fn a_start_that_fails_names_the_file_that_it_was_about() {
    let mut named = Vec::new();
    for nth in 1..=6 {
        let disk = Disk::new();
        let mut run = ready(&disk, small(Durability::Strict));
        run.append(9, Class::Reserve).unwrap();
        run.close();
        disk.fail_nth(nth, IoFault::EIO);
        match reopen(&disk) {
            Err(RecoverError::Io { name, fault }) => {
                assert_eq!(fault, IoFault::EIO);
                named.push(name);
            }
            other => panic!("{other:?}"),
        }
    }
    let (used, spare) = (Some(Name::Segment(1)), Some(Name::Segment(2)));
    assert_eq!(named, [used, used, used, None, spare, None]);
}

/// Where the journal begins, and the records that it has.
fn whole(disk: &Disk) -> Result<(Cursor, Vec<u64>), RecoverError> {
    let mut records = Vec::new();
    let (begin, _) = examine_whole(disk, |record| records.push(record.sequence))?;
    Ok((begin, records))
}

#[test]
fn a_journal_is_read_from_the_oldest_segment_that_is_left() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    assert_eq!(whole(&disk).unwrap(), (Cursor::GENESIS, Vec::new()));
    run.fill_until(3);
    run.close();
    let appended: Vec<u64> = run.appended.iter().map(|(number, _)| *number).collect();
    assert_eq!(whole(&disk).unwrap(), (Cursor::GENESIS, appended.clone()));

    let second = Name::Segment(2);
    let content = disk.content(second);
    disk.lose(second);
    match whole(&disk) {
        Err(RecoverError::Corrupt(corrupt)) => assert_eq!(corrupt.name, second),
        other => panic!("{other:?}"),
    }
    disk.set_content(second, content);
    disk.lose(Name::Segment(1));
    let (begin, left) = whole(&disk).unwrap();
    assert_eq!(begin.segment, 2);
    assert!(!left.is_empty() && left.len() < appended.len());
    assert!(appended.ends_with(&left));
}

#[test]
fn an_error_of_a_start_names_the_file_and_the_fault() {
    let name = Name::Segment(7);
    let corrupt = |reason| Corrupt {
        name,
        offset: 96,
        reason,
    };
    let rows = [
        (
            RecoverError::from(corrupt(Reason::Header)),
            "journal corrupt: journal-0000000000000007.seg at byte 96: the header is damaged",
        ),
        (
            RecoverError::from(corrupt(Reason::Chain)),
            "a mark does not follow",
        ),
        (
            RecoverError::from(corrupt(Reason::Block)),
            "a block is damaged",
        ),
        (
            RecoverError::from(corrupt(Reason::Missing)),
            "the file is missing",
        ),
        (
            RecoverError::from(corrupt(Reason::OtherJournal)),
            "another journal",
        ),
        (
            RecoverError::from(corrupt(Reason::Misnamed(9))),
            "its number is 9",
        ),
        (
            RecoverError::from(corrupt(Reason::Newer(3))),
            "format 3 is newer",
        ),
        (
            RecoverError::from(corrupt(Reason::Sequence(12))),
            "record 12 stands out of turn",
        ),
        (
            RecoverError::from(corrupt(Reason::SyncedFrame(12))),
            "record 12 was durable",
        ),
        (
            RecoverError::Io {
                name: Some(name),
                fault: IoFault::ENOSPC,
            },
            "journal-0000000000000007.seg: No space left",
        ),
        (
            RecoverError::Io {
                name: None,
                fault: IoFault::EIO,
            },
            "data directory: Input/output error",
        ),
    ];
    for (error, words) in rows {
        assert!(error.to_string().contains(words), "{error}");
    }
}

//! Operations that fail: what is refused, what is remembered, what heals.

use countersign::ledger::embedded::follow::Follower;
use countersign::ledger::embedded::frame::{Cursor, PAYLOAD_SIZE_MAX};
use countersign::ledger::embedded::io::{Io, IoFault, Name};
use countersign::ledger::embedded::journal::{Class, Config, Durability, Lane, Position, Refusal};
use countersign::ledger::embedded::scan::Record;

use crate::disk::{Chance, Crash, Disk};
use crate::harness::{Run, assert_kept, reopen, small};

const MODES: [Durability; 2] = [Durability::Strict, Durability::Relaxed];

fn is_create(io: &Io) -> bool {
    matches!(io, Io::Create { .. })
}

/// A journal that has its segments.
fn ready(disk: &Disk, config: Config) -> Run<'_> {
    let mut run = Run::new(disk, config, Cursor::GENESIS, 77);
    run.settle();
    run
}

/// Appends until it is refused; the refusal.
fn fill(run: &mut Run<'_>, class: Class) -> Refusal {
    for _ in 0..10_000 {
        if let Err(refusal) = run.append(50, class) {
            return refusal;
        }
        run.settle();
    }
    panic!("nothing is refused");
}

#[test]
fn strict_writes_then_syncs_and_takes_all_that_is_pending() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Strict));
    let journal = &mut run.journal;
    for n in 0..10 {
        assert_eq!(
            journal.append(b"payload", Class::Reserve),
            Ok(Position(n + 2))
        );
    }
    let write = journal.next_io(Lane::Write).unwrap();
    assert!(matches!(&write, Io::Write { bytes, .. } if bytes.len() == 32 + 10 * 24));
    assert_eq!(
        journal.next_io(Lane::Write),
        None,
        "one operation at a time"
    );
    journal.append(b"meanwhile", Class::Reserve).unwrap();
    journal.complete(write, Ok(()));
    assert_eq!(
        (journal.written(), journal.durable()),
        (Position(11), Position(0))
    );
    let sync = journal.next_io(Lane::Write).unwrap();
    assert_eq!(
        sync,
        Io::Sync {
            name: Name::Segment(1)
        }
    );
    assert_eq!(
        journal.next_io(Lane::Write),
        None,
        "what came meanwhile waits for the sync"
    );
    journal.complete(sync, Ok(()));
    assert_eq!(journal.durable(), Position(11));
    assert!(matches!(
        journal.next_io(Lane::Write),
        Some(Io::Write { .. })
    ));
}

#[test]
fn relaxed_writes_while_a_sync_is_under_way() {
    let disk = Disk::new();
    let mut run = ready(&disk, small(Durability::Relaxed));
    let journal = &mut run.journal;
    journal.append(b"first", Class::Reserve).unwrap();
    let write = journal.next_io(Lane::Write).unwrap();
    assert!(!journal.wants_sync());
    journal.complete(write, Ok(()));
    assert!(journal.wants_sync());
    let sync = journal.next_io(Lane::Sync).unwrap();
    journal.append(b"second", Class::Reserve).unwrap();
    let write = journal.next_io(Lane::Write).unwrap();
    journal.complete(write, Ok(()));
    assert_eq!(
        (journal.written(), journal.durable()),
        (Position(4), Position(0))
    );
    journal.complete(sync, Ok(()));
    assert_eq!(
        journal.durable(),
        Position(2),
        "the second came after the sync was given out"
    );
    assert!(journal.wants_sync());
}

#[test]
fn a_mark_is_written_once_and_asks_for_no_sync() {
    for durability in MODES {
        let disk = Disk::new();
        let mut run = ready(&disk, small(durability));
        assert_eq!(run.journal.idle_mark(), None, "nothing was synced");
        run.append(9, Class::Reserve).unwrap();
        run.settle();
        assert!(run.journal.wants_mark());
        let before = disk.operations();
        run.mark();
        run.mark();
        assert_eq!(disk.operations() - before, 1);
        assert!(run.journal.durable() < run.journal.written());
    }
}

#[test]
fn closing_writes_syncs_marks_and_syncs_the_mark() {
    for durability in MODES {
        let disk = Disk::new();
        let mut run = ready(&disk, small(durability));
        run.append(9, Class::Reserve).unwrap();
        let before = disk.operations();
        run.close();
        assert_eq!(disk.operations() - before, 4);
        assert_eq!(
            run.journal.append(b"late", Class::Release),
            Err(Refusal::Closed)
        );
        disk.crash(Crash::LosesAll, &mut Chance::new(0));
        let (recovered, records) = reopen(&disk).unwrap();
        assert_eq!((recovered.torn, records), (None, run.appended));
    }
}

#[test]
fn payloads_that_do_not_fit_are_refused_and_leave_no_trace() {
    let disk = Disk::new();
    let config = Config {
        pending_size_max: 1 << 20,
        ..Config::new(Durability::Strict)
    };
    let mut run = ready(
        &disk,
        Config {
            segment_size: 128 << 10,
            ..config
        },
    );
    let next = |run: &mut Run<'_>| run.append(1, Class::Reserve).unwrap().0;
    run.append(PAYLOAD_SIZE_MAX, Class::Release).unwrap();
    let before = next(&mut run);
    assert_eq!(
        run.append(PAYLOAD_SIZE_MAX + 1, Class::Release),
        Err(Refusal::TooLarge)
    );
    assert_eq!(next(&mut run), before + 1);
    let mut tiny = ready(&disk, small(Durability::Strict));
    assert_eq!(tiny.append(8 << 10, Class::Release), Err(Refusal::TooLarge));
}

#[test]
fn c11_a_disk_that_stalls_bounds_what_is_pending() {
    let disk = Disk::new();
    let config = Config {
        segment_size: 64 << 10,
        ..small(Durability::Strict)
    };
    let mut run = ready(&disk, config);
    let appends = (0..200).map(|_| run.append(100, Class::Reserve));
    let outcomes: Vec<_> = appends.collect();
    let taken = outcomes
        .iter()
        .take_while(|outcome| outcome.is_ok())
        .count();
    assert_eq!(outcomes.get(taken), Some(&Err(Refusal::Behind)));
    assert!((14_000..=16_384).contains(&(taken * 116)), "{taken}");
    run.append(100, Class::Release).unwrap();
    run.settle();
    run.append(100, Class::Reserve).unwrap();
}

/// Every operation of a script fails once, in its own run.
#[test]
fn c8_a_failed_write_or_sync_at_every_point_poisons_for_ever() {
    let mut poisoned = 0;
    for durability in MODES {
        for nth in 1.. {
            let disk = Disk::new();
            let mut chance = Chance::new(5);
            let mut run = Run::new(&disk, small(durability), Cursor::GENESIS, 5);
            disk.fail_nth(nth, IoFault::EIO);
            let mut at_poison = None;
            for _ in 0..1_500 {
                run.step(&mut chance);
                if run.journal.is_poisoned() {
                    let durable = *at_poison.get_or_insert_with(|| run.journal.durable());
                    assert_eq!(
                        run.journal.durable(),
                        durable,
                        "durable after op {nth} failed"
                    );
                    assert_eq!(run.append(9, Class::Release), Err(Refusal::Poisoned));
                    assert!(run.journal.idle_mark().is_none());
                    for lane in [Lane::Write, Lane::Sync, Lane::Create] {
                        assert!(run.journal.next_io(lane).is_none());
                    }
                }
            }
            poisoned += u64::from(at_poison.is_some());
            let ended = disk.operations() < nth;
            let promised = run.journal.durable();
            disk.crash(Crash::LosesAll, &mut chance);
            let (_, records) = reopen(&disk).unwrap();
            assert_kept(
                &run.appended,
                promised,
                &records,
                &format!("op {nth} failed"),
            );
            if ended {
                break;
            }
        }
    }
    assert!(poisoned > 100, "{poisoned}");
}

/// A segment whose name may vanish must not be written to, and no second sync can be believed.
#[test]
fn c8_c13_a_failed_directory_sync_poisons() {
    let disk = Disk::new();
    let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, 5);
    disk.fail_nth(2, IoFault::EIO);
    run.settle();
    assert_eq!(disk.operations(), 2);
    assert!(run.journal.is_poisoned());
    assert_eq!(run.append(9, Class::Release), Err(Refusal::Poisoned));
}

#[test]
fn c9_a_full_disk_shows_on_the_spare_refuses_late_and_heals() {
    for durability in MODES {
        for room in 0..4 {
            let disk = Disk::new();
            let mut run = Run::new(&disk, small(durability), Cursor::GENESIS, 9);
            if room == 0 {
                disk.fail_all(Some((is_create, IoFault::ENOSPC)));
            }
            run.settle();
            for _ in 1..room {
                let before = run.journal.tail().written.segment;
                run.fill_until(before + 1);
            }
            disk.fail_all(Some((is_create, IoFault::ENOSPC)));
            assert_eq!(fill(&mut run, Class::Reserve), Refusal::Full);
            assert!(run.journal.is_full() && run.journal.is_create_failed());
            assert!(!run.journal.is_poisoned());
            if room > 0 {
                // The emergency room takes reversals, and everything taken is durable.
                for _ in 0..6 {
                    run.append(50, Class::Release).unwrap();
                }
                run.settle();
                assert!(run.journal.durable().0 >= run.appended.last().unwrap().0);
                assert_eq!(fill(&mut run, Class::Release), Refusal::Full);
            }
            run.journal.retry_create();
            run.settle();
            assert_eq!(
                run.append(1, Class::Reserve),
                Err(Refusal::Full),
                "still no space"
            );
            disk.fail_all(None);
            run.journal.retry_create();
            run.settle();
            assert!(!run.journal.is_full() && !run.journal.is_create_failed());
            run.append(50, Class::Reserve).unwrap();
            run.close();
            let (_, records) = reopen(&disk).unwrap();
            assert_eq!(records, run.appended);
        }
    }
}

/// The alarm comes while a whole segment of room is left.
#[test]
fn c9_the_alarm_comes_before_the_refusals() {
    let disk = Disk::new();
    let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, 9);
    // The first segment and its name, then no spare.
    for _ in 0..6 {
        assert!(run.advance(2));
    }
    disk.fail_all(Some((is_create, IoFault::ENOSPC)));
    run.settle();
    assert!(run.journal.is_create_failed() && !run.journal.is_full());
    for _ in 0..50 {
        run.append(50, Class::Reserve).unwrap();
    }
}

/// An indexer that reads as far as the tail says sees every record once and in order.
#[test]
fn followers_see_what_is_written_as_it_is_written() {
    for durability in MODES {
        let disk = Disk::new();
        let mut chance = Chance::new(31);
        let mut run = Run::new(&disk, small(durability), Cursor::GENESIS, 31);
        let mut seen = Vec::new();
        let mut follower = Follower::default();
        for _ in 0..4_000 {
            run.step(&mut chance);
            let written = run.journal.tail().written.through.0;
            if !chance.one_in(5) {
                continue;
            }
            let mut take =
                |record: Record<'_>| seen.push((record.sequence, record.payload.to_vec()));
            for _ in 0..1_000 {
                if !follower.poll(&disk, written, &mut take).unwrap() {
                    break;
                }
            }
            let known = run
                .appended
                .iter()
                .take_while(|(sequence, _)| *sequence <= written);
            assert_eq!(seen.len(), known.count());
        }
        assert!(seen.len() > 500);
        assert_eq!(seen, run.appended[..seen.len()]);
    }
}

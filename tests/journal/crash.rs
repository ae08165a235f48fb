//! Crashes at every kind of moment; the invariants hold in every life that follows.

use countersign::ledger::embedded::frame::Cursor;
use countersign::ledger::embedded::io::{Io, IoFault};
use countersign::ledger::embedded::journal::{Class, Durability, Position};
use countersign::ledger::embedded::recover::RecoverError;

use crate::disk::{Chance, Crash, Disk};
use crate::harness::{ID, Record, Run, assert_kept, reopen, small};

const MODES: [Durability; 2] = [Durability::Strict, Durability::Relaxed];

/// How many histories each test runs; `COUNTERSIGN_SEEDS` in the environment replaces it.
#[expect(clippy::disallowed_methods, reason = "a knob of the test alone")]
fn seeds(count: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("COUNTERSIGN_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok());
    0..asked.unwrap_or(count)
}

/// Recovers through this many crashes during recovery itself.
fn recover_through_crashes(
    disk: &Disk,
    depth: u32,
    how: Crash,
    chance: &mut Chance,
    what: &str,
) -> (Cursor, Vec<Record>) {
    for _ in 0..depth {
        disk.stop_at_nth(1 + chance.below(4));
        if let Err(RecoverError::Corrupt(corrupt)) = reopen(disk) {
            panic!("{what}: called corrupt after a crash during recovery: {corrupt}");
        }
        disk.crash(how, chance);
    }
    let (recovered, records) = reopen(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    (recovered.next, records)
}

/// One history: several lives on one disk, each ended by a crash.
fn history(seed: u64, durability: Durability, depth: u32) {
    let mut chance = Chance::new(seed);
    let disk = Disk::new();
    let mut next = Cursor::GENESIS;
    let mut appended: Vec<Record> = Vec::new();
    for life in 0..5 {
        let mut run = Run::new(&disk, small(durability), next, chance.next());
        disk.stop_at_nth(1 + chance.below(120));
        for _ in 0..chance.below(3_000) {
            run.step(&mut chance);
        }
        let (promised, handed) = (run.journal.durable(), run.journal.written());
        appended.append(&mut run.appended);
        let how = [
            Crash::Kills,
            Crash::LosesAll,
            Crash::KeepsAll,
            Crash::Scrambles,
            Crash::Scrambles,
        ][chance.index(5)];
        disk.crash(how, &mut chance);
        let what = format!("seed {seed}, {durability:?}, life {life}, {how:?}");
        let (cursor, recovered) = recover_through_crashes(&disk, depth, how, &mut chance, &what);
        let promised = if how == Crash::Kills {
            handed.max(promised)
        } else {
            promised
        };
        let what = format!("seed {seed}, {durability:?}, life {life}, {how:?}");
        assert_kept(&appended, promised, &recovered, &what);
        appended = recovered;
        next = cursor;
    }
}

#[test]
fn c1_c3_every_durable_record_survives_every_crash() {
    for durability in MODES {
        for seed in seeds(100) {
            history(seed, durability, 0);
        }
    }
}

#[test]
fn c2_crashes_during_recovery_three_deep_change_nothing() {
    for durability in MODES {
        for seed in seeds(60) {
            history(seed, durability, 3);
        }
    }
}

/// After a failed sync the kernel shows bytes that are not on the disk. A start that reads them
/// must write them again, or the next power loss takes what it has built on.
#[test]
fn c8_what_a_start_has_read_is_durable_even_after_a_failed_sync() {
    for durability in MODES {
        let disk = Disk::new();
        let mut run = Run::new(&disk, small(durability), Cursor::GENESIS, 1);
        run.settle();
        run.append(100, Class::Reserve).unwrap();
        run.settle();
        // Large enough to reach into sectors that nothing else writes.
        run.append(900, Class::Reserve).unwrap();
        disk.fail_all(Some((|io| matches!(io, Io::Sync { .. }), IoFault::EIO)));
        run.settle();
        assert!(run.journal.is_poisoned());
        let mut chance = Chance::new(1);
        disk.crash(Crash::Kills, &mut chance);
        let (_, seen) = reopen(&disk).unwrap();
        assert_eq!(seen, run.appended);
        disk.crash(Crash::LosesAll, &mut chance);
        let (_, kept) = reopen(&disk).unwrap();
        assert_eq!(kept, seen);
    }
}

#[test]
fn c13_names_that_vanish_lose_no_durable_record() {
    // Crash after each of the first operations: the creation of segments and their names.
    for nth in 1..40 {
        for seed in 0..8 {
            let disk = Disk::new();
            let mut chance = Chance::new(seed);
            let mut run = Run::new(&disk, small(Durability::Strict), Cursor::GENESIS, seed);
            disk.stop_at_nth(nth);
            let mut promised = Position(0);
            for _ in 0..400 {
                run.step(&mut chance);
                promised = promised.max(run.journal.durable());
            }
            disk.crash(Crash::Scrambles, &mut chance);
            let (recovered, records) = reopen(&disk).unwrap();
            assert!(recovered.journal.is_none_or(|id| id == ID));
            assert_kept(
                &run.appended,
                promised,
                &records,
                &format!("op {nth}, seed {seed}"),
            );
        }
    }
}

//! Checkpoints: equal to the fold of the journal, whatever crashes, fails or rots.

use std::collections::BTreeMap;
use std::convert::Infallible;

use countersign::ledger::embedded::checkpoint::merge::{
    MergeError, Sealed, merge, removable, sweep,
};
use countersign::ledger::embedded::checkpoint::{Builder, Checkpoint, EntryFault, load, verify};
use countersign::ledger::embedded::frame::{Cursor, HEADER_SIZE, JournalId};
use countersign::ledger::embedded::io::{Io, IoFault, Name, Storage};
use countersign::ledger::embedded::journal::{Class, Durability, Position};
use countersign::ledger::embedded::recover::{RecoverError, recover};
use countersign::ledger::embedded::scan::{Corrupt, Reason};

use crate::disk::{Chance, Crash, Disk};
use crate::harness::{ID, Record, Run, reopen, small};

type State = BTreeMap<u64, Vec<u8>>;

/// A payload concerns the key that its size names; sizes below 4 concern none.
fn key_of(payload: &[u8]) -> Option<u64> {
    (payload.len() >= 4).then_some(payload.len() as u64 % 13)
}

/// A state that shows count and order: each payload's number, then the rest is cut. A payload of
/// size 50 drops its key.
fn apply(old: Option<&[u8]>, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() == 50 {
        return None;
    }
    let mut state = old.unwrap_or_default().to_vec();
    state.extend_from_slice(&payload[..4]);
    Some(state)
}

fn fold(
    _key: u64,
    old: Option<&[u8]>,
    payloads: &mut dyn Iterator<Item = (u64, &[u8])>,
) -> Result<Option<Vec<u8>>, Infallible> {
    let start = old.map(<[u8]>::to_vec);
    Ok(payloads.fold(start, |state, (_, payload)| {
        apply(state.as_deref(), payload)
    }))
}

fn replay(state: &mut State, payload: &[u8]) {
    let Some(key) = key_of(payload) else { return };
    match apply(state.get(&key).map(Vec::as_slice), payload) {
        Some(new) => state.insert(key, new),
        None => state.remove(&key),
    };
}

fn model(records: &[Record]) -> State {
    let mut state = State::new();
    for (_, payload) in records {
        replay(&mut state, payload);
    }
    state
}

fn entries(disk: &Disk, checkpoint: &Checkpoint) -> State {
    let mut state = State::new();
    let mut entries = checkpoint.entries(disk).unwrap();
    while let Some((key, bytes)) = entries.next().unwrap() {
        state.insert(key, bytes.to_vec());
    }
    state
}

/// A start: the newest checkpoint and what follows it; also how many checkpoints were skipped.
fn start(disk: &Disk) -> Result<(State, Cursor, usize), RecoverError> {
    let loaded = load(disk)?;
    let mut state = loaded
        .checkpoint
        .map(|found| entries(disk, &found))
        .unwrap_or_default();
    let from = loaded
        .checkpoint
        .map_or(Cursor::GENESIS, |found| found.covers);
    let recovered = recover(disk, Some(ID), from, |record| {
        replay(&mut state, record.payload)
    })?;
    Ok((state, recovered.next, loaded.skipped.len()))
}

fn merge_all(disk: &Disk, before: u64) -> Result<Option<Checkpoint>, MergeError<Infallible>> {
    merge(
        disk,
        ID,
        Sealed {
            before,
            count_max: 100,
        },
        key_of,
        fold,
    )
}

/// Appends this many records over some segments and leaves the process dead.
fn live(disk: &Disk, next: Cursor, count: usize, appended: &mut Vec<Record>) -> u64 {
    let mut run = Run::new(disk, small(Durability::Strict), next, next.sequence);
    run.settle();
    for n in 0..count {
        run.append(n * 7 % 120, Class::Reserve).unwrap();
        if n % 5 == 0 {
            run.settle();
        }
    }
    run.settle();
    appended.append(&mut run.appended);
    run.journal.sealed_before()
}

/// Two checkpoints and some segments behind them; everything that was appended.
fn two_checkpoints() -> (Disk, Vec<Record>, u64) {
    let disk = Disk::new();
    let mut appended = Vec::new();
    let sealed = live(&disk, Cursor::GENESIS, 300, &mut appended);
    merge_all(&disk, sealed).unwrap().unwrap();
    let (_, next, _) = start(&disk).unwrap();
    let sealed = live(&disk, next, 300, &mut appended);
    merge_all(&disk, sealed).unwrap().unwrap();
    let (_, next, _) = start(&disk).unwrap();
    let sealed = live(&disk, next, 300, &mut appended);
    (disk, appended, sealed)
}

fn checkpoints(disk: &Disk) -> Vec<Name> {
    let names = disk.list().unwrap();
    names
        .into_iter()
        .filter(|name| matches!(name, Name::Checkpoint(_)))
        .collect()
}

#[test]
fn a_checkpoint_is_the_fold_of_all_before_it_and_segments_stay() {
    let (disk, appended, sealed) = two_checkpoints();
    for count_max in [1, 2, 100] {
        let disk = disk.clone();
        let limits = Sealed {
            before: sealed,
            count_max,
        };
        let made = merge(&disk, ID, limits, key_of, fold).unwrap().unwrap();
        let covered = appended.partition_point(|(sequence, _)| *sequence < made.covers.sequence);
        assert_eq!(entries(&disk, &made), model(&appended[..covered]));
        assert_eq!(made.count, entries(&disk, &made).len() as u64);
        assert_eq!(verify(&disk, made.name()), Ok(made));
        assert_eq!(start(&disk).unwrap().0, model(&appended));
        assert_eq!(checkpoints(&disk).len(), 2);
        assert_eq!(
            reopen(&disk).unwrap().1,
            appended,
            "every record is still there"
        );
    }
}

#[test]
fn nothing_sealed_makes_no_checkpoint() {
    let (disk, _, sealed) = two_checkpoints();
    merge_all(&disk, sealed).unwrap().unwrap();
    let before = disk.operations();
    assert_eq!(merge_all(&disk, sealed), Ok(None));
    assert_eq!(disk.operations(), before);
}

#[test]
fn c14_a_crash_at_every_step_of_a_merge_loses_nothing() {
    let (disk, appended, sealed) = two_checkpoints();
    let expected = model(&appended);
    for how in [
        Crash::Kills,
        Crash::LosesAll,
        Crash::KeepsAll,
        Crash::Scrambles,
    ] {
        for nth in 1.. {
            let disk = disk.clone();
            disk.stop_at_nth(nth);
            let outcome = merge_all(&disk, sealed);
            disk.crash(how, &mut Chance::new(nth));
            let (state, _, skipped) = start(&disk).unwrap();
            assert_eq!(state, expected, "{how:?} at {nth}");
            assert_eq!(skipped, 0, "{how:?} at {nth}: what has its name is whole");
            // And the next attempt succeeds over whatever was left.
            merge_all(&disk, sealed).unwrap();
            assert_eq!(start(&disk).unwrap().0, expected, "{how:?} at {nth}, again");
            assert_eq!(
                disk.list()
                    .unwrap()
                    .iter()
                    .filter(|n| matches!(n, Name::Draft(_)))
                    .count(),
                0
            );
            if outcome.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn c14_a_failure_at_every_step_of_a_merge_leaves_the_old_ones() {
    let (disk, appended, sealed) = two_checkpoints();
    for nth in 1.. {
        let disk = disk.clone();
        disk.fail_nth(nth, IoFault::ENOSPC);
        let outcome = merge_all(&disk, sealed);
        disk.crash(Crash::Kills, &mut Chance::new(0));
        assert_eq!(
            start(&disk).unwrap(),
            (model(&appended), start(&disk).unwrap().1, 0)
        );
        match outcome {
            Ok(_) => break,
            Err(MergeError::Files(RecoverError::Io { fault, .. })) => {
                assert_eq!(fault, IoFault::ENOSPC);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn c14_every_flipped_bit_of_the_newest_falls_back_to_the_older() {
    let (disk, appended, _) = two_checkpoints();
    let expected = model(&appended);
    let newest = *checkpoints(&disk).last().unwrap();
    let good = disk.content(newest);
    for byte in 0..good.len() {
        let bit = byte % 8;
        let mut flipped = good.clone();
        flipped[byte] ^= 1 << bit;
        disk.set_content(newest, flipped);
        let (state, _, skipped) = start(&disk).unwrap();
        assert_eq!(skipped, 1, "byte {byte} bit {bit}");
        if byte % 64 == 0 {
            assert_eq!(state, expected);
        }
    }
    for cut in (0..good.len()).step_by(7) {
        disk.set_content(newest, good[..cut].to_vec());
        assert_eq!(start(&disk).unwrap().2, 1, "cut at {cut}");
    }
    let mut longer = good;
    longer.push(0);
    disk.set_content(newest, longer);
    assert_eq!(start(&disk).unwrap().2, 1, "a byte behind the footer");
}

/// A footer that verifies and counts another number of entries: a fault of the writer.
#[test]
fn c14_a_footer_must_count_what_was_read() {
    let (disk, appended, _) = two_checkpoints();
    let newest = *checkpoints(&disk).last().unwrap();
    let mut content = disk.content(newest);
    let footer = content.len() - 24;
    // One block only, so the CRC before the footer's is that block's.
    let chain = u32::from_le_bytes(content[68..72].try_into().unwrap());
    content[footer + 8] += 1;
    let crc = crc32c::crc32c_append(
        crc32c::crc32c_append(chain, &[0; 4]),
        &content[footer + 8..],
    );
    content[footer + 4..footer + 8].copy_from_slice(&crc.to_le_bytes());
    disk.set_content(newest, content.clone());
    let (state, _, skipped) = start(&disk).unwrap();
    assert_eq!((state, skipped), (model(&appended), 1));
    // The same with the right count verifies: the test computes the CRC as the loader does.
    content[footer + 8] -= 1;
    let crc = crc32c::crc32c_append(
        crc32c::crc32c_append(chain, &[0; 4]),
        &content[footer + 8..],
    );
    content[footer + 4..footer + 8].copy_from_slice(&crc.to_le_bytes());
    disk.set_content(newest, content);
    assert_eq!(start(&disk).unwrap().2, 0);
}

#[test]
fn c14_with_both_damaged_the_whole_journal_is_replayed() {
    let (disk, appended, sealed) = two_checkpoints();
    for name in checkpoints(&disk) {
        let mut content = disk.content(name);
        let middle = content.len() / 2;
        content[middle] ^= 4;
        disk.set_content(name, content);
    }
    let (state, _, skipped) = start(&disk).unwrap();
    assert_eq!((state, skipped), (model(&appended), 2));
    // A merge then starts over and clears the damaged ones away.
    merge_all(&disk, sealed).unwrap().unwrap();
    assert_eq!(checkpoints(&disk).len(), 1);
    assert_eq!(start(&disk).unwrap().0, model(&appended));
}

#[test]
fn c14_an_older_checkpoint_under_the_newer_name_is_not_believed() {
    let (disk, appended, _) = two_checkpoints();
    let names = checkpoints(&disk);
    disk.set_content(names[1], disk.content(names[0]));
    let (state, _, skipped) = start(&disk).unwrap();
    assert_eq!((state, skipped), (model(&appended), 1));
}

#[test]
fn c14_a_checkpoint_without_its_segments_is_refused() {
    let (disk, _, _) = two_checkpoints();
    let covers = load(&disk).unwrap().checkpoint.unwrap().covers;
    for name in disk.list().unwrap() {
        if matches!(name, Name::Segment(number) if number + 1 >= covers.segment) {
            disk.lose(name);
        }
    }
    let missing = Name::Segment(covers.segment - 1);
    let expected = Corrupt {
        name: missing,
        offset: 0,
        reason: Reason::Missing,
    };
    assert_eq!(start(&disk).unwrap_err(), RecoverError::Corrupt(expected));
}

#[test]
fn c16_a_newer_checkpoint_is_refused_and_one_of_another_journal_too() {
    let (disk, _, sealed) = two_checkpoints();
    let newest = *checkpoints(&disk).last().unwrap();
    let mut content = disk.content(newest);
    content[8] = 2;
    let crc = crc32c::crc32c(&content[..60]).to_le_bytes();
    content[60..64].copy_from_slice(&crc);
    disk.set_content(newest, content);
    let expected = Corrupt {
        name: newest,
        offset: 0,
        reason: Reason::Newer(2),
    };
    assert_eq!(start(&disk).unwrap_err(), RecoverError::Corrupt(expected));

    let (disk, ..) = two_checkpoints();
    let theirs = JournalId([1; 16]);
    let refused = merge(
        &disk,
        theirs,
        Sealed {
            before: sealed,
            count_max: 9,
        },
        key_of,
        fold,
    );
    let Err(MergeError::Files(RecoverError::Corrupt(corrupt))) = refused else {
        panic!("merged another journal's segments");
    };
    assert_eq!(corrupt.reason, Reason::OtherJournal);
}

#[test]
fn a_damaged_or_cut_sealed_segment_is_never_merged() {
    let (disk, _, sealed) = two_checkpoints();
    let last = Name::Segment(sealed - 1);
    let good = disk.content(last);
    let end = good.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (HEADER_SIZE..end).step_by(97).chain([end]) {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        let mut zeroed = good.clone();
        zeroed[at..].fill(0);
        for damaged in [flipped, zeroed] {
            let disk = disk.clone();
            disk.set_content(last, damaged);
            let Err(MergeError::Files(RecoverError::Corrupt(corrupt))) = merge_all(&disk, sealed)
            else {
                panic!("merged with damage at {at}");
            };
            assert_eq!(corrupt.name, last, "{corrupt}");
        }
    }
}

#[test]
fn a_failing_fold_names_its_key_and_changes_nothing() {
    let (disk, appended, sealed) = two_checkpoints();
    let failing = |key, old: Option<&[u8]>, payloads: &mut dyn Iterator<Item = (u64, &[u8])>| {
        if key == 7 {
            Err("seven")
        } else {
            Ok(fold(key, old, payloads).unwrap())
        }
    };
    let limits = Sealed {
        before: sealed,
        count_max: 9,
    };
    let refused = merge(&disk, ID, limits, key_of, failing);
    assert_eq!(
        refused,
        Err(MergeError::Fold {
            key: 7,
            error: "seven"
        })
    );
    assert_eq!(start(&disk).unwrap().0, model(&appended));
}

#[test]
fn only_segments_that_both_checkpoints_cover_may_be_removed() {
    let (disk, appended, sealed) = two_checkpoints();
    let older = checkpoints(&disk)[0];
    let covers = verify(&disk, older).unwrap().covers;
    assert_eq!(removable(&disk, Position(0)), Ok(Vec::new()));
    let all = removable(&disk, Position(u64::MAX)).unwrap();
    assert_eq!(all, (1..covers.segment - 1).collect::<Vec<_>>());
    // A segment goes only when all its frames lie before the cut.
    let cut = Position(appended[100].0);
    let some = removable(&disk, cut).unwrap();
    assert!(!some.is_empty() && some.len() < all.len(), "{some:?}");
    // With them gone, start, merge, and even falling back still work.
    sweep(&disk, &all).unwrap();
    assert_eq!(start(&disk).unwrap().0, model(&appended));
    let newest = *checkpoints(&disk).last().unwrap();
    let broken = disk.clone();
    broken.set_content(newest, vec![0; 100]);
    let (state, _, skipped) = start(&broken).unwrap();
    assert_eq!((state, skipped), (model(&appended), 1));
    merge_all(&disk, sealed).unwrap().unwrap();
    assert_eq!(start(&disk).unwrap().0, model(&appended));
    // With one checkpoint there is nothing to fall back to but the journal.
    broken.lose(older);
    assert_eq!(removable(&broken, Position(u64::MAX)), Ok(Vec::new()));
}

#[test]
fn c14_a_crash_at_every_step_of_a_sweep_leaves_no_gap() {
    let (disk, appended, _) = two_checkpoints();
    let expected = model(&appended);
    let all = removable(&disk, Position(u64::MAX)).unwrap();
    assert!(all.len() >= 2);
    for nth in 1..=2 * all.len() as u64 {
        for seed in 0..8 {
            let disk = disk.clone();
            disk.stop_at_nth(nth);
            assert!(sweep(&disk, &all).is_err());
            disk.crash(Crash::Scrambles, &mut Chance::new(seed));
            assert_eq!(start(&disk).unwrap().0, expected, "step {nth}, seed {seed}");
        }
    }
}

/// Not needed for the state, but a decision record all the same.
#[test]
fn c6_a_missing_segment_that_a_checkpoint_covers_is_named() {
    let (disk, ..) = two_checkpoints();
    disk.lose(Name::Segment(2));
    let expected = Corrupt {
        name: Name::Segment(2),
        offset: 0,
        reason: Reason::Missing,
    };
    assert_eq!(start(&disk).unwrap_err(), RecoverError::Corrupt(expected));
}

/// States larger than a block and many small ones, through several reads and writes.
#[test]
fn large_and_many_states_are_read_back() {
    let disk = Disk::new();
    let covers = Cursor {
        segment: 5,
        sequence: 99,
        chain: 7,
    };
    let name = Name::Checkpoint(99);
    disk.execute(&Io::CreateEmpty { name }).unwrap();
    let mut builder = Builder::new(ID, covers);
    let state = |key: u64| {
        let size = if key.is_multiple_of(1_000) {
            200_000
        } else {
            key % 90
        };
        vec![key.to_le_bytes()[0]; usize::try_from(size).unwrap()]
    };
    for key in 0..5_000 {
        builder.push(key * 3, &state(key)).unwrap();
        if let Some((offset, bytes)) = builder.take(100_000) {
            disk.execute(&Io::Write {
                name,
                offset,
                bytes,
            })
            .unwrap();
        }
    }
    assert_eq!(builder.push(14_997, &[]), Err(EntryFault::Order));
    let (offset, bytes, count) = builder.finish();
    disk.execute(&Io::Write {
        name,
        offset,
        bytes,
    })
    .unwrap();
    assert_eq!(count, 5_000);
    let expected = Checkpoint {
        journal: ID,
        covers,
        count,
    };
    assert_eq!(load(&disk).unwrap().checkpoint, Some(expected));
    let read = entries(&disk, &expected);
    assert_eq!(read.len(), 5_000);
    assert!(read.iter().all(|(key, bytes)| *bytes == state(key / 3)));
}

//! Which segments are removed, and what is left of the records in them (behaviour 2.9).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use countersign::cold::records::retention::Retention;
use countersign::cold::records::{Filter, Records};
use countersign::domain::time::Timestamp;
use countersign::ledger::embedded::io::{Io, Name, Storage};

use crate::store::{Ask, NOON, Store, directory, rules};

const DAY_US: i64 = 86_400 * 1_000_000;
const KEEP_DAYS: u32 = 100;
/// Enough to fill a segment of 256 KiB, and some of the next.
const EACH_DAY: usize = 4_000;

fn day(number: i64) -> Timestamp {
    Timestamp::from_micros(NOON + number * DAY_US)
}

/// Decisions of one day, of which the last one is on another card.
fn decide_for_a_day(store: &Store, number: i64) {
    let snapshot = rules(&store.keys);
    for n in 0..EACH_DAY {
        let authorization = format!("day-{number}-{n}");
        let card = if n + 1 == EACH_DAY { "crd_2" } else { "crd_1" };
        let ask = Ask {
            card,
            authorization: &authorization,
            at: day(number),
            ..Ask::default()
        };
        store.decide(&snapshot, ask);
        if n % 100 == 0 {
            store.write_out();
        }
    }
    store.write_out();
}

fn segments(store: &Store) -> Vec<u64> {
    let names = store.files.list().unwrap().into_iter();
    names
        .filter_map(|name| match name {
            Name::Segment(number) => Some(number),
            Name::Checkpoint(_) | Name::Draft(_) => None,
        })
        .collect()
}

fn is_found(records: &Records, authorization: &str) -> bool {
    let filter = Filter {
        authorization: Some(authorization),
        ..Filter::default()
    };
    !records.page(&filter, 1, None).unwrap().decisions.is_empty()
}

/// What `countersign ledger verify` says about a journal that nobody has open.
fn verify(data_dir: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(["ledger", "verify", "--data-dir"])
        .arg(data_dir);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn segments_go_when_all_their_records_are_over_and_checkpoints_cover_them() {
    let dir = directory();
    let journal = dir.path().join("journal");
    let store = Store::open(&journal);
    for number in [0, 10, 200, 201, 202] {
        decide_for_a_day(&store, number);
    }
    let before = segments(&store);
    let records = store.records();
    assert!(is_found(&records, "day-0-7"));
    let mut retention = Retention::new(Arc::clone(&records), KEEP_DAYS);
    let mut sweep = |now: i64| retention.sweep_at(&*store.files, day(now)).unwrap();

    // Old enough, but no checkpoint covers them yet; then only one does.
    assert_eq!(sweep(500), 0);
    let folded = store.checkpoint();
    assert!(folded >= 4, "{folded} segments were sealed");
    assert_eq!(sweep(99), 0, "nothing is over");
    assert_eq!(segments(&store)[0], before[0]);

    // The first day is over a hundred days after it, and not a moment before.
    let first_day = sweep(101);
    let after = segments(&store);
    assert!(
        first_day > 0 && after[0] == before[first_day],
        "{before:?} {after:?}"
    );
    assert!(!is_found(&records, "day-0-7"));
    assert!(
        is_found(&records, &format!("day-0-{}", EACH_DAY - 2)),
        "shares its segment with day 10"
    );
    assert!(is_found(&records, "day-10-2000") && is_found(&records, "day-202-0"));
    assert_eq!(sweep(101), 0);
    assert!(sweep(210) > 0);
    assert!(is_found(&records, "day-200-2000"));

    // However old: what the older checkpoint does not cover stays, and the last that it covers.
    sweep(10_000);
    let left = segments(&store);
    assert!(left.len() >= 3 && left[0] > after[0], "{before:?} {left:?}");
    drop(retention);
    records.stop();
    store.writer.close();
    drop(records);
    drop(store);

    let (code, text) = verify(dir.path());
    assert_eq!(code, Some(0), "{text}");
    let removed = format!(
        "those before {} removed",
        Name::Segment(left[0]).file_name()
    );
    assert!(text.contains(&removed), "{text}");
    assert!(text.contains("equal to the fold of the frames"), "{text}");

    check_next_process(&journal);
}

/// It knows every card and every authorization still, and every name.
fn check_next_process(journal: &Path) {
    let store = Store::open(journal);
    let records = store.records_of_this_process();
    let snapshot = rules(&store.keys);
    let again = Ask {
        authorization: "day-0-7",
        at: day(203),
        ..Ask::default()
    };
    assert!(
        store.authorize(&snapshot, again).position < 20,
        "a redelivery"
    );
    let on_other = Filter {
        card: Some("crd_2"),
        ..Filter::default()
    };
    let page = records.page(&on_other, 10, None).unwrap();
    let newest = &page.decisions[0];
    assert_eq!(newest.authorization, format!("day-202-{}", EACH_DAY - 1));
    assert_eq!(newest.customer.as_deref(), Some("cus_2"));
    assert_eq!(records.card_named("crd_1").unwrap().customer, "cus_1");
}

#[test]
fn a_segment_that_cannot_be_read_stays_with_all_behind_it() {
    let dir = directory();
    let store = Store::open(dir.path());
    for number in 0..4 {
        decide_for_a_day(&store, number);
    }
    store.checkpoint();
    let before = segments(&store);
    let name = Name::Segment(before[0]);
    let bytes = vec![0xff; 64];
    store
        .files
        .execute(&Io::Write {
            name,
            offset: 0,
            bytes,
        })
        .unwrap();
    let mut retention = Retention::new(store.records(), KEEP_DAYS);
    assert_eq!(retention.sweep_at(&*store.files, day(10_000)).unwrap(), 0);
    assert_eq!(segments(&store)[0], before[0]);
}

/// Beyond its bound the index forgets the oldest, and what became of them; the journal still has them.
#[test]
fn the_index_of_records_is_bounded() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records_of_this_process();
    let count = crate::store::INDEXED_MAX + 40_000;
    let ask = |n: usize| {
        let authorization = format!("auth-{n}");
        let ask = Ask {
            card: "crd_2",
            authorization: &authorization,
            minor: 1,
            ..Ask::default()
        };
        store.decide(&snapshot, ask);
    };
    for n in 0..count {
        ask(n);
        if n % 500 == 0 {
            store.write_out();
        }
    }
    ask(1);
    ask(count - 1);
    store.write_out();
    assert!(is_found(&records, &format!("auth-{}", count - 1)));
    assert!(!is_found(&records, "auth-0"));
    // Whole blocks are forgotten, once another one is begun.
    let indexed = records.indexed();
    let most = crate::store::INDEXED_MAX + (1 << 15);
    assert!((60_000..=most).contains(&indexed), "{indexed}");
    assert!(is_found(&records, &format!("auth-{}", count - indexed)));
    assert!(!is_found(
        &records,
        &format!("auth-{}", count - indexed - 1)
    ));
}

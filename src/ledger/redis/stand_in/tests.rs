use std::sync::atomic::AtomicU32;

use super::*;
use crate::domain::currency::Currency;
use crate::ledger::check::harness::{Ask, empty_state, with_command};
use crate::ledger::check::stand_in::stand_in;
use crate::ledger::command::Route;
use crate::ledger::event::Owner;

const LEDGER: Generation = Generation([7; 16]);
const OWNER: Key = Key(5);

fn usd(minor: i64) -> Amount {
    Amount {
        minor: Minor::new(minor).unwrap(),
        currency: Currency::USD,
    }
}

/// An approval of this amount, under the authorization of this number.
fn approval(number: u32, amount: i64) -> Vec<u8> {
    let route = Route {
        key: OWNER,
        owner: Owner::Customer("cus"),
    };
    let ask = Ask::new(number, amount);
    with_command(&ask, |command| {
        let given = stand_in(&empty_state(), route, &[], command);
        given.unwrap().unwrap().encode()
    })
}

/// One that takes what it is asked for, with this budget.
fn open(path: &Path, budget: i64) -> Arc<StandIn> {
    let budget = Some(usd(budget));
    let opened = StandIn::open(path, &LEDGER, budget, Box::new(|_| {}));
    opened.unwrap().unwrap()
}

fn begin(book: &Arc<StandIn>, bytes: &[u8]) -> Began {
    let (_, version) = book.of_owner(OWNER);
    book.begin(&StoodIn::decode(bytes).unwrap(), version)
}

fn kept(entry: &Entry) -> Stage {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(entry.kept())
}

/// Approves, and lets it leave.
fn approve(book: &Arc<StandIn>, number: u32, amount: i64) -> Arc<Entry> {
    let Began::New(leaving) = begin(book, &approval(number, amount)) else {
        panic!("{number}");
    };
    assert_eq!(kept(leaving.entry()), Stage::Durable);
    assert!(
        book.next_unbooked()
            .is_none_or(|it| it.id != leaving.entry().id)
    );
    Arc::clone(&leaving.entry)
}

fn is_refused(book: &Arc<StandIn>, number: u32, amount: i64) -> bool {
    matches!(begin(book, &approval(number, amount)), Began::Refused)
}

/// The file has nothing but its head, soon.
fn begins_anew(path: &Path) {
    let has_ended = (0..2_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        std::fs::metadata(path).unwrap().len() == 40
    });
    assert!(has_ended);
}

#[test]
fn a_budget_is_in_use_until_the_log_has_what_was_approved_however_often_the_node_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    let book = open(&path, 1_000);
    approve(&book, 1, 600);
    assert!(is_refused(&book, 2, 401), "more than is left");
    approve(&book, 2, 400);
    assert!(is_refused(&book, 3, 1));
    for _ in 0..2 {
        let again = open(&path, 1_000);
        assert_eq!(again.inner().standing().used, 1_000);
        assert!(is_refused(&again, 3, 1));
        let Began::Known(known) = begin(&again, &approval(1, 600)) else {
            panic!("it is known");
        };
        assert_eq!(known.stood_in().unwrap().encode(), approval(1, 600));
    }
    // A smaller budget than what is in use lets nothing more through.
    assert!(is_refused(&open(&path, 500), 3, 1));
    let book = open(&path, 1_000);
    let first = book.next_unbooked().unwrap();
    book.is_booked(&first);
    assert_eq!(first.stage(), Stage::Booked);
    assert!(is_refused(&book, 3, 601));
    book.is_booked(&book.next_unbooked().unwrap());
    // Written in order: with it the ends of those two are in the file.
    approve(&book, 3, 600);
    book.is_stuck(&book.next_unbooked().unwrap());
    assert!(book.next_unbooked().is_none(), "one is stuck");
    assert_eq!(book.inner().standing().used, 600);
    drop(book);
    // Without a budget what waits is booked, and nothing else.
    let without = || StandIn::open(&path, &LEDGER, None, Box::new(|_| {})).unwrap();
    let rest = without().unwrap();
    assert!(is_refused(&rest, 4, 1));
    rest.is_booked(&rest.next_unbooked().unwrap());
    // The file begins anew once nothing waits; whoever comes next finds nothing.
    begins_anew(&path);
    assert!(without().is_none());
    std::fs::remove_file(&path).unwrap();
    assert!(without().is_none());
    assert!(!path.exists());
}

#[test]
fn what_did_not_leave_in_time_does_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    let book = open(&path, 1_000);
    let Began::New(leaving) = begin(&book, &approval(1, 600)) else {
        panic!("there is room");
    };
    leaving.withdraw();
    assert!(book.next_unbooked().is_none());
    approve(&book, 2, 1_000);
    let again = open(&path, 1_000);
    let waits = again.next_unbooked().unwrap();
    assert_eq!(waits.stood_in().unwrap().encode(), approval(2, 1_000));
    // One whose sender has gone leaves all the same, and one that others were faster than does not.
    let (_, version) = book.of_owner(OWNER);
    let two = approval(3, 1);
    book.is_booked(&book.next_unbooked().unwrap());
    let Began::New(leaving) = begin(&book, &approval(4, 1)) else {
        panic!("there is room");
    };
    kept(leaving.entry());
    drop(leaving);
    assert!(book.next_unbooked().is_some());
    let late = book.begin(&StoodIn::decode(&two).unwrap(), version);
    assert!(matches!(late, Began::Newer));
}

#[test]
fn other_currencies_and_other_ledgers_are_not_meant() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    let budget = Amount {
        currency: Currency::parse("EUR").unwrap(),
        ..usd(1_000)
    };
    let euros = StandIn::open(&path, &LEDGER, Some(budget), Box::new(|_| {}));
    assert!(is_refused(&euros.unwrap().unwrap(), 1, 1));
    approve(&open(&path, 1_000), 1, 1);
    let other = Generation([8; 16]);
    let budget = Some(usd(1_000));
    let of_other = || StandIn::open(&path, &other, budget, Box::new(|_| {}));
    let error = of_other().err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("another ledger"), "{error}");
    let book = open(&path, 1_000);
    book.is_booked(&book.next_unbooked().unwrap());
    begins_anew(&path);
    approve(&of_other().unwrap().unwrap(), 2, 1);
}

#[test]
fn a_file_is_read_as_far_as_it_is_whole_and_damage_before_its_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    let book = open(&path, 1_000);
    let mut ends = vec![40];
    for number in 1..4 {
        approve(&book, number, 1);
        ends.push(std::fs::metadata(&path).unwrap().len());
    }
    drop(book);
    let whole = std::fs::read(&path).unwrap();
    for size in 0..=whole.len() {
        std::fs::write(&path, &whole[..size]).unwrap();
        let book = open(&path, 1_000);
        let wanted = ends.iter().filter(|end| **end <= size as u64).count();
        let unbooked = book.inner().standing().unbooked;
        assert_eq!(unbooked, wanted.saturating_sub(1) as i64, "{size}");
    }
    for at in [40, 44, 48, 60] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let opened = StandIn::open(&path, &LEDGER, Some(usd(1)), Box::new(|_| {}));
        let error = opened.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{at}");
        assert!(error.to_string().contains("damaged at byte 40"), "{error}");
    }
    std::fs::write(&path, "something else that is as long as the head").unwrap();
    let opened = StandIn::open(&path, &LEDGER, Some(usd(1)), Box::new(|_| {}));
    assert!(
        opened
            .err()
            .unwrap()
            .to_string()
            .contains("damaged at byte 0")
    );
}

/// Every write fails on this device.
#[test]
fn a_file_that_takes_nothing_lets_nothing_be_approved() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(&dir.path().join("stand-in"), 1_000);
    let (orders, ordered) = std::sync::mpsc::channel();
    let Began::New(leaving) = begin(&book, &approval(1, 1)) else {
        panic!("there is room");
    };
    kept(leaving.entry());
    let entry = Arc::new(read(9, approval(9, 1), Stage::Written).unwrap());
    orders.send(Order::Keep(Arc::clone(&entry))).unwrap();
    drop(orders);
    let told = AtomicU32::new(0);
    File::full().run(&ordered, || {
        told.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(kept(&entry), Stage::Void);
    assert_eq!(told.load(Ordering::SeqCst), 1);
    book.inner().is_broken = true;
    assert!(is_refused(&book, 2, 1));
}

//! Chargebacks and disputes are booked, and nothing is restored or moved (behaviour 2.13 g).

use crate::domain::lifecycle::MovementKind::{self, Authorized, Disputed, Posted, Refunded};
use crate::domain::lifecycle::StandingStatus::{Declined, Pending, Settled};
use crate::domain::lifecycle::{BookStatus, Flags};
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger};

const LAST: MovementKind = Posted { is_last: true };

fn disputed(amount: i64) -> Report {
    Report::of(1).fact(20, Disputed, amount, 90).restoring()
}

/// Sums, card, and everything of the books but the flags and when something was last heard.
fn money(ledger: &Ledger) -> String {
    let (sums, mut books) = ledger.books(1);
    books.flags = Flags::default();
    let card = ledger.card(1);
    let of_card = (card.consumed, &card.lock, card.recent.last());
    format!("{sums:?} {books:?} {:?} {of_card:?}", ledger.all_sums())
}

#[test]
fn i7_a_dispute_is_booked_once_and_moves_nothing() {
    let reports = [
        ("held", Report::of(1).told(Pending, (1, 1, 0), 100)),
        ("held, singly", Report::of(1).fact(1, Authorized, 100, 10)),
        ("posted in part", Report::of(1).posted(7, 40)),
        ("posted", Report::of(1).fact(7, LAST, 100, 40)),
        ("posted above", Report::of(1).fact(7, LAST, 130, 40)),
        (
            "told",
            Report::of(1).posted(7, 100).told(Settled, (1, 1, 1), 0),
        ),
        ("undone", Report::of(1).told(Declined, (1, 0, 0), 0)),
    ];
    for (what, before) in reports {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100).step(1).single_use().locking());
        ledger.report(&before);
        let (stood, flags) = (money(&ledger), ledger.flags(1));
        let raised = ledger.try_report(&disputed(60)).unwrap();
        assert_eq!(raised.status, BookStatus::Applied, "{what}");
        assert!(raised.raised.has(Flags::DISPUTED), "{what}");
        assert_eq!(money(&ledger), stood, "{what}");
        assert_eq!(ledger.flags(1), flags.and(Flags::DISPUTED), "{what}");
        // The same again, and whatever else is said of the same dispute.
        for amount in [60, 30] {
            let status = ledger.report(&disputed(amount));
            assert_eq!(status, BookStatus::Duplicate, "{what}");
        }
        let raised = ledger.try_report(&disputed(70)).unwrap();
        assert_eq!(raised.status, BookStatus::Applied, "{what}");
        assert_eq!(raised.raised, Flags::default(), "known already: {what}");
        assert_eq!(money(&ledger), stood, "{what}");
        assert_eq!(ledger.recovered().flags(1), ledger.flags(1), "{what}");
    }
}

/// The first thing that is heard of an approval may be its dispute; it is no decline.
#[test]
fn i7_an_approval_that_is_disputed_stands() {
    for amount in [0, 100] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, amount).single_use().locking());
        let sums = format!("{:?}", ledger.all_sums());
        let card = format!("{:?}", (ledger.card(1).consumed, &ledger.card(1).lock));
        ledger.report(&disputed(60));
        let books = ledger.books(1).1;
        assert!(!books.is_undone && books.flags == Flags::DISPUTED);
        assert_eq!(books.held.get(), amount);
        assert_eq!(format!("{:?}", ledger.all_sums()), sums);
        let after = format!("{:?}", (ledger.card(1).consumed, &ledger.card(1).lock));
        assert_eq!(after, card);
    }
}

/// It holds nothing, uses no card, and is no approval without us.
#[test]
fn i7_a_dispute_of_what_nobody_knows_is_kept_and_invents_nothing() {
    let mut ledger = Ledger::new();
    let using = |it: &mut Report| {
        it.merchant = Some(1);
        (it.terms.single_use, it.terms.locks_to_first) = (true, true);
    };
    assert_eq!(
        ledger.report(&disputed(60).with(using)),
        BookStatus::Applied
    );
    let (sums, books) = ledger.books(1);
    assert_eq!((sums, books.flags), ([0; 3], Flags::DISPUTED));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert!(ledger.card(1).consumed.is_none() && ledger.card(1).lock.is_none());
}

/// What a refund restores, a dispute neither adds to nor takes from.
#[test]
fn i7_a_disputed_purchase_restores_what_its_refunds_do() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).fact(7, LAST, 100, 40));
    ledger.report(&disputed(100));
    assert_eq!(ledger.totals()[0], (100, 0));
    ledger.report(&Report::of(1).fact(8, Refunded, 30, 95).restoring());
    assert_eq!(ledger.books(1).0, [0, 100, 30]);
    assert_eq!(ledger.totals()[0], (70, 0));
}

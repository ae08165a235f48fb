//! What an authorization leaves that was undone, and what it takes again when it is posted after all.

use crate::domain::decision::DeclineReason::MerchantLockMismatch;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::MovementKind::Released;
use crate::domain::lifecycle::OnReversal;
use crate::domain::lifecycle::StandingStatus::{Pending, Voided};
use crate::domain::time::Timestamp;
use crate::ledger::check;
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger, TODAY, authorization_key, empty_state};
use crate::ledger::event::{CardNo, Owner};
use crate::ledger::state::OwnerId;

const MINUTE: i64 = 60_000_000;

fn reversed(authorization: u32, amount: i64) -> Report {
    Report::of(authorization).fact(7, Released, amount, 40)
}

fn at(ask: &Ask) -> Option<Timestamp> {
    Some(Timestamp::from_micros(ask.at))
}

#[test]
fn it_is_counted_and_cools_down_once_however_often_it_comes_and_goes() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 100);
    ledger.approve(&ask);
    for (revision, status, held, approvals) in [
        (1, Voided, 0, 0),
        (2, Pending, 100, 1),
        (3, Voided, 0, 0),
        (4, Pending, 100, 1),
    ] {
        ledger.report(&Report::of(1).told(status, (1, 1, revision), held));
        assert_eq!(ledger.totals(), [(held, held); 3], "{revision}");
        let card = ledger.card(1);
        assert_eq!(card.counters.approvals(), approvals, "{revision}");
        let cools = card.recent.last();
        assert_eq!(cools, at(&ask).filter(|_| approvals > 0), "{revision}");
    }
}

#[test]
fn it_is_counted_by_the_first_step_that_holds_something() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 0));
    let purchase = Ask::new(1, 100).step(2).later(MINUTE);
    ledger.approve(&purchase);
    ledger.report(&reversed(1, 100).with(|it| it.facts[0].at = Timestamp::from_micros(i64::MAX)));
    assert_eq!(ledger.card(1).recent.last(), None);
    ledger.report(&Report::of(1).told(Pending, (2, 2, 9), 100));
    assert_eq!(ledger.card(1).recent.last(), at(&purchase));
    assert_eq!(ledger.card(1).counters.approvals(), 1);
}

#[test]
fn a_probe_goes_and_comes_with_its_own_authorization_alone() {
    let mut ledger = Ledger::new();
    let probing = |ask: Ask| ask.single_use().ruled(|it| it.may_probe = true);
    let probe = ledger.approve(&probing(Ask::new(1, 100)));
    ledger.approve(&probing(Ask::new(2, 4_000)));
    ledger.report(&reversed(2, 4_000));
    assert_eq!(ledger.card(1).probe(), Some(probe));
    assert_eq!(ledger.card(1).consumed, None);
    ledger.report(&reversed(1, 100));
    assert_eq!(ledger.card(1).probe(), None);
    ledger.report(&Report::of(1).posted(8, 100));
    assert_eq!(ledger.card(1).probe(), Some(probe));
    assert_eq!(ledger.card(1).recent.last(), None, "a probe cools nothing");
    let consumed = ledger.card(1).consumed.map(|(_, by)| by);
    assert_eq!(consumed, Some(authorization_key(1)));
}

/// Whichever of several is posted after all, its merchant holds the lock again.
#[test]
fn a_lock_that_opened_is_closed_by_whichever_is_posted_after_all() {
    for undone in [[1, 2], [2, 1]] {
        for posted in [1, 2] {
            let mut ledger = Ledger::new();
            ledger.approve(&Ask::new(1, 100).locking());
            ledger.approve(&Ask::new(2, 50).locking());
            for n in undone {
                ledger.report(&reversed(n, 100));
            }
            assert!(ledger.card(1).lock.is_none());
            ledger.report(&Report::of(posted).posted(8, 50));
            let elsewhere = Ask::new(3, 1).locking().at_merchant(2);
            let reason = ledger.reason(&elsewhere);
            assert_eq!(reason, Some(MerchantLockMismatch), "{undone:?} {posted}");
            assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
        }
    }
}

#[test]
fn a_step_after_the_end_locks_the_card_anew() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).locking());
    ledger.report(&reversed(1, 100));
    assert!(ledger.card(1).lock.is_none());
    ledger.approve(&Ask::new(1, 50).step(2).locking().at_merchant(2));
    let lock = ledger.card(1).lock.as_ref().unwrap();
    assert_eq!((lock.keys.weak, lock.approvals), (102, 1));
}

/// The issuer never had our approval, and says that it holds the amount all the same.
#[test]
fn what_the_issuer_holds_without_our_answer_is_charged_to_the_windows_that_are_open() {
    let mut ledger = Ledger::new();
    let first = ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).told(Pending, (1, 1, 0), 100));
    let later = Ask::new(2, 5).on_day(TODAY + 1).later(86_400_000_000);
    ledger.approve(&later);
    assert!(ledger.overrule(1, first));
    assert_eq!(ledger.totals(), [(105, 105); 3]);
    let found = ledger.state.authorization(authorization_key(1)).unwrap();
    let places: Vec<_> = found.portions().into_iter().map(|it| it.place).collect();
    let [place] = places.as_slice() else {
        panic!("{places:?}")
    };
    let state = &ledger.state;
    assert_eq!((place.day, place.hour), (state.day, state.hour));
    assert_eq!(Some(place.at), at(&later));
}

#[test]
fn a_step_that_comes_after_a_void_that_knows_of_it_is_undone_too() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).told(Voided, (2, 1, 1), 0));
    ledger.approve(&Ask::new(1, 50).step(2));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert_eq!(ledger.card(1).counters.approvals(), 0);
}

#[test]
fn what_is_reported_of_it_meanwhile_takes_and_gives_nothing_more() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).single_use());
    ledger.report(&reversed(1, 100));
    let again = Report::of(1).fact(8, Released, 1, 41);
    ledger.report(&again.with(|it| it.terms.on_reversal = OnReversal::KeepUse));
    assert_eq!(ledger.card(1).counters.approvals(), 0);
    assert_eq!(ledger.card(1).consumed, None);
}

#[test]
fn i9_a_hold_lapses_when_its_last_word_is_older_than_the_cut() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 100);
    ledger.approve(&ask);
    let lapses = |micros| {
        let cut = Timestamp::from_micros(micros);
        check::lapse(&ledger.state, 0, "acme", (cut, HoldTime::Long)).is_some()
    };
    assert!(!lapses(ask.at));
    assert!(lapses(ask.at + 1));
}

#[test]
fn a_state_tells_its_owner_its_cards_and_what_a_delivery_brought() {
    let mut ledger = Ledger::new();
    let delivered = |n, delivery| Ask::new(n, 1).with(|it| it.delivery = Some(delivery));
    ledger.approve(&delivered(1, 5));
    ledger.approve(&delivered(2, 6));
    ledger.approve(&delivered(3, 6).on_card(2, None));
    let of = |card, delivery| {
        ledger
            .state
            .authorization_of_delivery(CardNo(card), delivery)
    };
    assert_eq!(of(0, 5), Some(authorization_key(1)));
    assert_eq!(of(0, 6), Some(authorization_key(2)));
    assert_eq!(of(1, 6), Some(authorization_key(3)));
    assert_eq!([of(1, 5), of(0, 7), of(2, 5)], [None; 3]);
    let ids: Vec<&str> = ledger.state.cards().map(|card| &*card.id).collect();
    assert_eq!(ids, ["id_1", "id_2"]);
    assert_eq!(empty_state().owner.customer(), Some("cus_1"));
    assert_eq!(OwnerId::from(Owner::Unattributed("acme")).customer(), None);
}

//! What comes after an authorization: what is held, posted and given back, in every order.

use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::MovementKind::{
    self, Authorized, AuthorizedAndPosted, Declined, Expired, Posted, RefundReversed, Refunded,
    Released, Replaced,
};
use crate::domain::lifecycle::StandingStatus::{self, Pending, Settled, Voided};
use crate::domain::lifecycle::{BookStatus, Flags, OnReversal};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger, TODAY, limits, minor};

use crate::domain::card::Level;
use crate::domain::claims::PresetLock;
use crate::domain::decision::Decision;
use crate::domain::decision::DeclineReason::{CardLimitExceeded, SingleUseConsumed};

const LAST: MovementKind = Posted { is_last: true };

fn day_of(ledger: &Ledger, day: i32) -> (i64, i64) {
    let sum = ledger.state.counters.window(WindowKind::Day, LocalDay(day));
    (sum.spent.get(), sum.held.get())
}

// ---- single movements (Marqeta's way) ----

#[test]
fn i1_a_clearing_moves_from_held_to_posted_and_the_last_one_frees_the_rest() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    assert_eq!(
        ledger.report(&Report::of(1).posted(7, 30)),
        BookStatus::Applied
    );
    assert_eq!(ledger.books(1).0, [70, 30, 0]);
    assert_eq!(ledger.totals(), [(100, 70); 3]);
    ledger.report(&Report::of(1).posted(8, 20));
    assert_eq!(ledger.totals(), [(100, 50); 3]);
    ledger.report(&Report::of(1).fact(9, LAST, 40, 60));
    assert_eq!(ledger.totals(), [(90, 0); 3]);
    assert_eq!(day_of(&ledger, TODAY), (90, 0));
    assert!(ledger.books(1).1.is_closed);
    // It stays one approved authorization.
    assert_eq!(ledger.card(1).counters.approvals(), 1);
    assert_eq!(
        ledger.report(&Report::of(1).fact(9, LAST, 40, 60)),
        BookStatus::Duplicate
    );
    assert_eq!(ledger.totals(), [(90, 0); 3]);
}

#[test]
fn i2_a_clearing_above_the_hold_is_booked_past_the_limit_in_the_windows_open_then() {
    let mut ledger = Ledger::new();
    let limited = |n, amount| Ask::new(n, amount).limited(Level::Card, limits(None, Some(100)));
    ledger.approve(&limited(1, 100));
    let tip = Report::of(1).posted(7, 120).later(1);
    let raised = ledger.try_report(&tip).unwrap().raised;
    assert!(raised.has(Flags::EXCESS) && !raised.has(Flags::FORCED));
    assert_eq!(ledger.totals(), [(120, 0); 3]);
    assert_eq!(day_of(&ledger, TODAY + 1), (20, 0));
    let next = limited(2, 1).on_day(TODAY + 1).later(86_400_000_000);
    assert_eq!(ledger.reason(&next), Some(CardLimitExceeded));
    // It is told once.
    let more = ledger
        .try_report(&Report::of(1).posted(8, 5).later(1))
        .unwrap();
    assert_eq!(
        (more.status, more.raised),
        (BookStatus::Applied, Flags::default())
    );
}

#[test]
fn i3_a_clearing_without_an_approval_of_ours_is_forced_and_counts() {
    let mut ledger = Ledger::new();
    let raised = ledger
        .try_report(&Report::of(1).posted(7, 50))
        .unwrap()
        .raised;
    assert!(raised.has(Flags::FORCED));
    assert_eq!(ledger.totals(), [(50, 0); 3]);
    let full = Ask::new(2, 51).limited(Level::Card, limits(Some(100), None));
    assert_eq!(ledger.reason(&full), Some(CardLimitExceeded));
    assert_eq!(ledger.card(1).counters.approvals(), 0);
    assert_eq!(ledger.state.authorization_count(), 1);
    ledger = ledger.recovered();
    assert_eq!(ledger.totals(), [(50, 0); 3]);
}

#[test]
fn i4_a_reversal_that_comes_first_waits_for_its_authorization() {
    let mut ledger = Ledger::new();
    ledger.report(&Report::of(1).fact(7, Released, 100, 40));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    let mut ledger = ledger.recovered();
    ledger.approve(&Ask::new(1, 100).single_use().locking());
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert_eq!(ledger.card(1).counters.approvals(), 0);
    assert_eq!(ledger.card(1).consumed, None);
    assert!(ledger.card(1).lock.is_none());
    // The decision stays on record for a redelivery.
    let again = ledger.ask(&Ask::new(1, 100).single_use().locking());
    assert!(again.decision.is_approval());
}

#[test]
fn i5_reversals_end_at_zero() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).fact(7, Released, 60, 40));
    assert_eq!(ledger.totals(), [(40, 40); 3]);
    assert_eq!(
        ledger.report(&Report::of(1).fact(7, Released, 60, 40)),
        BookStatus::Duplicate
    );
    ledger.report(&Report::of(1).fact(8, Released, 60, 41));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert!(ledger.books(1).1.is_undone);
    // After a clearing, only what is left goes back.
    ledger.approve(&Ask::new(2, 100));
    ledger.report(&Report::of(2).posted(1, 70));
    ledger.report(&Report::of(2).fact(2, Released, 100, 60));
    assert_eq!(ledger.totals(), [(70, 0); 3]);
    assert!(!ledger.books(2).1.is_undone);
    assert_eq!(ledger.card(1).counters.approvals(), 1);
}

#[test]
fn i7_a_refund_restores_where_the_policy_says_so_at_most_what_was_posted_and_in_its_window() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).fact(7, LAST, 100, 40));
    let refund = Report::of(1).fact(8, Refunded, 30, 50).later(1);
    ledger.report(&refund);
    assert_eq!(ledger.totals(), [(100, 0); 3]);
    assert_eq!(ledger.books(1).1.refunded, minor(30));
    // The next one under another policy, and more than there is.
    ledger.report(
        &Report::of(1)
            .fact(9, Refunded, 500, 51)
            .later(1)
            .restoring(),
    );
    assert_eq!(ledger.books(1).0, [0, 100, 100]);
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert_eq!(day_of(&ledger, TODAY), (0, 0));
    // Taken back, it counts again.
    ledger.report(&Report::of(1).fact(10, RefundReversed, 450, 52).later(1));
    assert_eq!(ledger.books(1).0, [0, 100, 50]);
    assert_eq!(ledger.totals()[0], (50, 0));
    // One without a purchase restores nothing.
    ledger.report(&Report::of(3).fact(1, Refunded, 70, 9).restoring());
    assert_eq!(ledger.totals()[0], (50, 0));
}

#[test]
fn i7_a_refund_after_its_window_closed_gives_no_allowance_today() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).fact(7, LAST, 100, 40));
    ledger.approve(&Ask::new(2, 5).on_day(TODAY + 1).later(86_400_000_000));
    ledger.report(
        &Report::of(1)
            .fact(8, Refunded, 100, 50)
            .later(1)
            .restoring(),
    );
    assert_eq!(day_of(&ledger, TODAY + 1), (5, 5));
    assert_eq!(ledger.totals()[0], (5, 5));
}

#[test]
fn i9_an_expiry_gives_back_the_amount_only_and_a_late_clearing_is_booked() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).single_use());
    ledger.report(&Report::of(1).fact(7, Expired, 100, 40));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert_eq!(ledger.card(1).counters.approvals(), 1);
    assert!(ledger.card(1).consumed.is_some());
    let late = Report::of(1).posted(8, 100).later(9);
    assert_eq!(ledger.report(&late), BookStatus::Applied);
    assert_eq!(ledger.totals(), [(100, 0); 3]);
    assert_eq!(day_of(&ledger, TODAY + 9), (100, 0));
    assert_eq!(ledger.flags(1), Flags::default());
}

#[test]
fn i10_what_the_issuer_approves_without_us_consumes_and_locks_the_card_until_it_is_undone() {
    let using = |it: &mut Report| {
        it.merchant = Some(1);
        (it.terms.single_use, it.terms.locks_to_first) = (true, true);
    };
    let ask = |n: u32| Ask::new(n, 100).single_use().locking();
    // A hold and a posting of its own, and each undone again.
    let held = Report::of(1).told(Pending, (1, 1, 0), 100).with(using);
    let posted = Report::of(1).posted(7, 100).with(using);
    for forced in [&held, &posted] {
        let mut ledger = Ledger::new();
        ledger.report(forced);
        assert!(ledger.card(1).consumed.is_some());
        assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
        let mut ledger = ledger.recovered();
        assert_eq!(ledger.decline(&ask(2)).reason, SingleUseConsumed);
        // The question that it was, late.
        ledger.approve(&ask(1));
        assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
        assert_eq!(ledger.decline(&ask(3)).reason, SingleUseConsumed);
    }
    let mut ledger = Ledger::new();
    ledger.report(&held);
    let voided = Report::of(1).told(Voided, (1, 1, 1), 0).with(using);
    ledger.report(&voided);
    assert_eq!(ledger.card(1).consumed, None);
    assert!(ledger.card(1).lock.is_none());
    let mut ledger = ledger.recovered();
    ledger.report(&posted);
    assert!(ledger.card(1).consumed.is_some(), "posted all the same");
    assert!(ledger.card(1).lock.is_some());
    // A refund uses nothing.
    let mut ledger = Ledger::new();
    let refund = Report::of(3).fact(9, Refunded, 100, 50).with(using);
    ledger.report(&refund);
    assert_eq!(ledger.card(1).consumed, None);
}

#[test]
fn i10_of_what_was_approved_without_us_the_use_outlives_an_overruled_question() {
    let mut ledger = Ledger::new();
    let posted = Report::of(1).posted(7, 100).with(|it| {
        it.terms.single_use = true;
    });
    ledger.report(&posted);
    let answer = ledger.approve(&Ask::new(1, 100).single_use());
    ledger.overrule(1, answer);
    assert!(ledger.card(1).consumed.is_some());
    let refused = ledger.decline(&Ask::new(2, 100).single_use());
    assert_eq!(refused.reason, SingleUseConsumed);
}

/// A report that uses its card as `single` and `locks` say, from this merchant.
fn used(n: u32, merchant: u64, (single, locks): (bool, bool)) -> Report {
    Report::of(n).with(|it| {
        it.merchant = Some(merchant);
        (it.terms.single_use, it.terms.locks_to_first) = (single, locks);
    })
}

#[test]
fn i10_what_is_approved_without_us_uses_a_card_only_as_its_rules_say() {
    for (single, locks) in [(false, false), (true, false), (false, true)] {
        let mut ledger = Ledger::new();
        ledger.report(&used(1, 1, (single, locks)).posted(7, 100));
        let card = ledger.card(1);
        assert_eq!(
            (card.consumed.is_some(), card.lock.is_some()),
            (single, locks)
        );
    }
    // The report that makes it alone says so, whatever was known before.
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).single_use());
    let first = ledger.card(1).consumed;
    ledger.report(&used(2, 1, (true, false)).posted(7, 50).later(1));
    assert_eq!(ledger.card(1).consumed, first, "consumed once");
}

#[test]
fn i10_what_is_undone_gives_back_no_use_of_another_authorization() {
    let held = |n: u32| used(n, 1, (true, true)).told(Pending, (1, 1, 0), 100);
    let voided = |n: u32, others: u32| used(n, 1, (true, true)).told(Voided, (1, 1, others), 0);
    let mut ledger = Ledger::new();
    ledger.report(&held(1));
    ledger.report(&held(2));
    assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 2);
    let first = ledger.card(1).consumed;
    ledger.report(&voided(2, 1));
    assert_eq!(ledger.card(1).consumed, first);
    assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
    // The other had consumed it at the same instant, and had given that back.
    ledger.report(&voided(1, 1));
    assert_eq!(ledger.card(1).consumed, None);
    assert!(ledger.card(1).lock.is_none());
    ledger.report(&held(3));
    ledger.report(&voided(1, 2));
    let again = Ask::new(1, 100).single_use().locking();
    assert_eq!(ledger.decline(&again).reason, SingleUseConsumed);
    assert!(ledger.card(1).consumed.is_some());
    assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
    // One that was never under the lock leaves it.
    let elsewhere = used(4, 2, (true, true));
    ledger.report(&elsewhere.clone().told(Pending, (1, 1, 0), 100));
    ledger.report(&elsewhere.told(Voided, (1, 1, 1), 0));
    assert_eq!(ledger.card(1).lock.as_ref().unwrap().approvals, 1);
}

#[test]
fn i10_a_posting_uses_its_card_also_where_our_approval_turns_out_not_to_have_left() {
    let mut ledger = Ledger::new();
    let answer = ledger.approve(&Ask::new(1, 100).single_use().locking());
    ledger.report(&used(1, 1, (true, true)).posted(7, 100));
    assert!(ledger.overrule(1, answer));
    assert!(ledger.card(1).consumed.is_some());
    assert!(ledger.card(1).lock.is_some());
    let mut ledger = ledger.recovered();
    assert_eq!(ledger.totals(), [(100, 0); 3]);
    let next = Ask::new(2, 100).single_use().locking();
    assert_eq!(ledger.decline(&next).reason, SingleUseConsumed);
}

#[test]
fn i2_a_hold_that_is_raised_or_lowered_without_a_step_follows_the_account_that_was_made_last() {
    let account = |held: i64, made: i64| {
        Report::of(1)
            .told(Pending, (1, 1, 0), held)
            .made(1_780_000_000 + made)
    };
    let accounts = [account(100, 1), account(140, 2), account(60, 3)];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100));
        let mut newest = None;
        for at in order {
            let expected = if newest.is_some_and(|newest| at < newest) {
                BookStatus::Stale
            } else {
                BookStatus::Applied
            };
            assert_eq!(ledger.report(&accounts[at]), expected, "{order:?}");
            newest = newest.max(Some(at));
            let held = [100, 140, 60][newest.unwrap()];
            assert_eq!(ledger.totals(), [(held, held); 3], "{order:?}");
        }
        assert_eq!(ledger.recovered().flags(1), Flags::default());
    }
}

#[test]
fn i2_a_later_account_that_knows_fewer_steps_raises_the_hold_and_lowers_it_not() {
    for (told, held) in [(140, 140), (100, 130)] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100));
        ledger.report(
            &Report::of(1)
                .told(Pending, (1, 1, 0), 100)
                .made(1_780_000_001),
        );
        ledger.approve(&Ask::new(1, 30).step(2));
        ledger.report(
            &Report::of(1)
                .told(Pending, (1, 1, 0), told)
                .made(1_780_000_002),
        );
        assert_eq!(ledger.totals()[2], (held, held));
    }
}

/// Issuers promise no order: what was approved after they had made it is not theirs to end.
#[test]
fn i2_an_end_that_was_late_gives_back_nothing_that_was_approved_since() {
    const SECOND_ASKED_S: i64 = 1_780_007_200;
    for (status, made, held) in [
        (Voided, -3_600, 150),
        (StandingStatus::Expired, -6, 150),
        (StandingStatus::Declined, -6, 150),
        (Voided, -5, 0),
        (StandingStatus::Expired, 60, 0),
    ] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100));
        ledger.approve(&Ask::new(1, 50).step(2).later(7_200_000_000));
        let end = Report::of(1).told(status, (1, 1, 1), 0);
        ledger.report(&end.made(SECOND_ASKED_S + made));
        assert_eq!(ledger.books(1).0, [held, 0, 0], "{status:?} {made}");
        assert_eq!(ledger.totals()[2].1, held, "{status:?} {made}");
    }
}

#[test]
fn i9_a_usual_hold_ends_before_one_of_a_hotel_and_before_one_that_nobody_can_tell() {
    let mut ledger = Ledger::new();
    let shop = |it: &mut Ask| it.mcc = Some(5_812);
    let hotel = |it: &mut Ask| it.mcc = Some(7_011);
    ledger.approve(&Ask::new(1, 100).with(shop));
    ledger.approve(&Ask::new(2, 20).with(hotel));
    ledger.approve(&Ask::new(3, 3));
    // An increment that names no category takes nothing back; one of a hotel makes it long.
    ledger.approve(&Ask::new(1, 400).step(2));
    ledger.approve(&Ask::new(4, 5_000).with(shop));
    ledger.approve(&Ask::new(4, 1_000).step(2).with(hotel));
    let mut ledger = ledger.recovered();
    assert!(ledger.lapse_of(HoldTime::Usual, "acme", 9));
    assert!(!ledger.lapse_of(HoldTime::Usual, "acme", 99));
    assert_eq!(ledger.totals()[2], (6_023, 6_023));
    assert!(ledger.books(1).1.is_expired);
    assert!(ledger.lapse_of(HoldTime::Long, "acme", 33));
    assert_eq!(ledger.totals()[2], (0, 0));
}

#[test]
fn i9_a_report_says_how_long_its_hold_lives_in_any_order() {
    let told = |n: u32| Report::of(n).told(Pending, (1, 1, 0), 100);
    let long = |it: &mut Report| it.hold_time = HoldTime::Long;
    let usual = |it: &mut Report| it.hold_time = HoldTime::Usual;
    for turned in [false, true] {
        let mut ledger = Ledger::new();
        let mut words = [told(1).with(long), told(1).with(usual)];
        if turned {
            words.reverse();
        }
        for word in &words {
            ledger.report(word);
        }
        assert_eq!(ledger.report(&words[0]), BookStatus::Duplicate);
        assert_eq!(ledger.report(&words[1]), BookStatus::Duplicate);
        // A stand-in whose category nobody names, and one of the usual time.
        ledger.report(&told(2));
        ledger.report(&told(3).with(usual));
        let mut ledger = ledger.recovered();
        assert!(ledger.lapse_of(HoldTime::Usual, "acme", 9));
        let held = [1, 2, 3].map(|n| ledger.books(n).0[0]);
        assert_eq!(held, [100, 100, 0], "turned: {turned}");
    }
}

#[test]
fn i9_a_hold_that_its_issuer_has_forgotten_is_given_back_once_and_posted_all_the_same() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).single_use());
    ledger.approve(&Ask::new(2, 60).on_card(2, Some(2)));
    ledger.report(&Report::of(1).posted(7, 30).later(3));
    // Of the other connection, and not yet over here.
    assert!(!ledger.lapse("beta", 99));
    assert!(ledger.lapse("acme", 2));
    assert_eq!(ledger.totals()[0], (100, 70), "heard of since");
    assert_eq!(ledger.totals()[2], (100, 70));
    assert!(ledger.lapse("acme", 3));
    assert!(!ledger.lapse("acme", 3));
    assert_eq!(ledger.totals()[2], (30, 0));
    let (numbers, books) = ledger.books(1);
    assert_eq!(
        (numbers, books.is_expired, books.is_undone),
        ([0, 30, 0], true, false)
    );
    assert!(ledger.card(1).consumed.is_some());
    assert_eq!(ledger.card(1).counters.approvals(), 1);
    let mut ledger = ledger.recovered();
    ledger.report(&Report::of(1).posted(8, 70).later(40));
    assert_eq!(ledger.totals()[2], (100, 0));
    // The issuer holds it after all.
    ledger.report(&Report::of(2).told(Pending, (1, 1, 0), 60).later(41));
    assert_eq!(ledger.totals()[2], (160, 60));
}

#[test]
fn i10_what_the_issuer_did_not_approve_gives_everything_back() {
    for kind in [Declined, Released] {
        let mut ledger = Ledger::new();
        let ask = Ask::new(1, 100)
            .single_use()
            .locking()
            .with(|it| it.name = Some(5));
        let cooled = |n| {
            Ask::new(n, 1)
                .single_use()
                .ruled(|it| it.cooldown_us = Some((60_000_000, Level::Card)))
        };
        ledger.approve(&ask);
        assert_eq!(ledger.reason(&cooled(2)), Some(SingleUseConsumed));
        let id = if kind == Declined { 5 } else { 6 };
        ledger.report(&Report::of(1).fact(id, kind, 100, 40));
        assert_eq!(ledger.totals(), [(0, 0); 3]);
        let card = ledger.card(1);
        assert_eq!((card.consumed, card.lock.is_none()), (None, true));
        assert_eq!(card.counters.approvals(), 0);
        assert_eq!(card.recent.last(), None);
        assert_eq!(ledger.reason(&cooled(2)), None);
        let mut ledger = ledger.recovered();
        // It is posted all the same: it was an authorization after all.
        ledger.report(&Report::of(1).posted(9, 100));
        assert_eq!(ledger.totals(), [(100, 0); 3]);
        let card = ledger.card(1);
        assert!(card.consumed.is_some() && card.lock.is_some());
        assert_eq!(card.counters.approvals(), 1);
        assert_eq!(ledger.reason(&cooled(2)), Some(SingleUseConsumed));
    }
}

#[test]
fn i10_what_the_issuer_approved_without_us_holds_and_is_marked() {
    let mut ledger = Ledger::new();
    let declined = Ask::new(1, 100)
        .with(|it| it.name = Some(5))
        .limited(Level::Card, limits(Some(50), None));
    ledger.decline(&declined);
    let raised = ledger
        .try_report(&Report::of(1).fact(5, Authorized, 100, 40))
        .unwrap()
        .raised;
    assert!(raised.has(Flags::FORCED));
    assert_eq!(ledger.totals(), [(100, 100); 3]);
    ledger.report(&Report::of(1).fact(6, LAST, 100, 50));
    assert_eq!(ledger.totals(), [(100, 0); 3]);
    // Cash at a machine: asked and posted at once.
    ledger.report(&Report::of(2).fact(7, AuthorizedAndPosted, 80, 40));
    assert_eq!(ledger.totals(), [(180, 0); 3]);
    assert!(ledger.flags(2).has(Flags::FORCED));
}

#[test]
fn an_advice_carries_the_new_total_whatever_came_before_it() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 10));
    // The later advice comes first.
    ledger.report(&Report::of(1).fact(8, Replaced, 25, 60));
    ledger.report(&Report::of(1).fact(7, Replaced, 90, 50));
    assert_eq!(ledger.totals(), [(25, 25); 3]);
    ledger.report(&Report::of(1).posted(9, 5));
    assert_eq!(ledger.books(1).0, [20, 5, 0]);
}

#[test]
fn a_captured_probe_consumes_its_card() {
    let mut ledger = Ledger::new();
    let probe = |n| {
        Ask::new(n, 100)
            .single_use()
            .ruled(|it| it.may_probe = true)
    };
    ledger.approve(&probe(1));
    assert_eq!(ledger.card(1).consumed, None);
    assert_eq!(ledger.reason(&Ask::new(2, 900).single_use()), None);
    ledger.report(&Report::of(1).posted(7, 100));
    assert!(ledger.card(1).consumed.is_some());
    assert_eq!(
        ledger.reason(&Ask::new(2, 900).single_use()),
        Some(SingleUseConsumed)
    );
    // Its own probe has consumed it, not its issuer alone.
    let more = Ask::new(1, 900).step(2).single_use();
    assert_eq!(ledger.reason(&more), Some(SingleUseConsumed));
}

#[test]
fn a_reversed_single_use_card_goes_back_as_far_as_its_owner_wants() {
    let at = |n: u64| Ask::new(9, 5).single_use().locking().at_merchant(n);
    let after = |on_reversal| {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100).single_use().locking());
        let reversal = Report::of(1).fact(7, Released, 100, 40);
        ledger.report(&reversal.with(|it| it.terms.on_reversal = on_reversal));
        assert_eq!(ledger.totals(), [(0, 0); 3]);
        assert_eq!(ledger.card(1).counters.approvals(), 0);
        [
            ledger.reason(&at(1)).is_none(),
            ledger.reason(&at(2)).is_none(),
        ]
    };
    assert_eq!(after(OnReversal::GiveBack), [true, true]);
    assert_eq!(after(OnReversal::KeepLock), [true, false]);
    assert_eq!(after(OnReversal::KeepUse), [false, false]);
}

#[test]
fn another_merchant_that_posts_is_booked_and_told() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).locking());
    let posted = |n, id| {
        Report::of(1)
            .posted(id, 10)
            .with(|it| it.merchant = Some(n))
    };
    let raised = |ledger: &mut Ledger, n, id| ledger.try_report(&posted(n, id)).unwrap().raised;
    assert_eq!(raised(&mut ledger, 1, 7), Flags::default());
    // Who takes something back is not compared.
    let released = Report::of(1).fact(6, Released, 10, 40);
    let released = ledger.try_report(&released.with(|it| it.merchant = Some(2)));
    assert_eq!(released.unwrap().raised, Flags::default());
    assert!(raised(&mut ledger, 2, 8).has(Flags::DRIFT));
    assert_eq!(raised(&mut ledger, 2, 9), Flags::default());
    assert_eq!(ledger.books(1).0, [60, 30, 0]);
}

#[test]
fn what_is_given_back_comes_from_the_latest_portion_and_what_is_posted_from_the_oldest() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let increment = Ask::new(1, 50).step(2).on_day(TODAY + 1);
    ledger.approve(&increment.later(86_400_000_000));
    let card = |ledger: &Ledger| {
        let counters = ledger.card(1).counters;
        let sum = counters.window(WindowKind::Day, LocalDay(TODAY + 1));
        (sum.spent.get(), sum.held.get())
    };
    assert_eq!(card(&ledger), (50, 50));
    let later = |s: i64| 1_780_086_400 + s;
    let posted = Posted { is_last: false };
    ledger.report(&Report::of(1).fact(7, posted, 110, later(10)).later(1));
    assert_eq!(card(&ledger), (50, 40));
    ledger.report(&Report::of(1).fact(8, Released, 15, later(20)).later(1));
    assert_eq!(card(&ledger), (35, 25));
    ledger.report(
        &Report::of(1)
            .fact(9, Refunded, 12, later(30))
            .later(1)
            .restoring(),
    );
    // Two of the twelve are of the day before.
    assert_eq!(card(&ledger), (25, 25));
    assert_eq!(ledger.totals(), [(123, 25); 3]);
}

// ---- whole accounts (Lithic's and Stripe's way) ----

#[test]
fn a_newer_account_sets_where_it_stands_and_an_older_one_nothing() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let first = Report::of(1).told(Pending, (1, 1, 0), 100);
    let cleared = Report::of(1).posted(7, 40).told(Settled, (1, 1, 1), 60);
    let expired = Report::of(1)
        .posted(7, 40)
        .told(StandingStatus::Expired, (1, 1, 2), 0);
    assert_eq!(ledger.report(&first), BookStatus::Applied);
    assert_eq!(ledger.report(&cleared), BookStatus::Applied);
    assert_eq!(ledger.books(1).0, [60, 40, 0]);
    assert_eq!(ledger.report(&first), BookStatus::Stale);
    assert_eq!(ledger.report(&cleared), BookStatus::Duplicate);
    assert_eq!(ledger.report(&expired), BookStatus::Applied);
    assert_eq!(ledger.report(&cleared), BookStatus::Stale);
    assert_eq!(ledger.books(1).0, [0, 40, 0]);
    assert_eq!(ledger.totals(), [(40, 0); 3]);
    assert_eq!(ledger.flags(1), Flags::default());
}

#[test]
fn a_refund_that_was_taken_back_is_none_whatever_the_ids_are() {
    for (refund, back) in [(9, 3), (3, 9)] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100));
        let account = Report::of(1).posted(7, 100);
        let account = account
            .fact(refund, Refunded, 60, 50)
            .fact(back, RefundReversed, 60, 50);
        let told = account.told(Settled, (1, 1, 3), 0);
        ledger.report(&told.with(|it| {
            if let Some(told) = &mut it.told {
                (told.refunded, told.listed_refunded) = (Some(minor(0)), minor(0));
            }
        }));
        assert_eq!(ledger.books(1).1.refunded, minor(0), "{refund} {back}");
    }
}

/// Stripe's partial reversal adds no step and no movement to the account.
#[test]
fn of_two_accounts_that_know_as_much_the_one_with_the_smaller_hold_is_newer() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    for (held, expected) in [
        (60, BookStatus::Applied),
        (100, BookStatus::Stale),
        (45, BookStatus::Applied),
    ] {
        let status = ledger.report(&Report::of(1).told(Pending, (1, 1, 0), held));
        assert_eq!(status, expected, "{held}");
    }
    assert_eq!(ledger.totals(), [(45, 45); 3]);
}

#[test]
fn an_account_that_knows_fewer_steps_raises_the_hold_and_never_lowers_it() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.approve(&Ask::new(1, 50).step(2));
    ledger.report(&Report::of(1).told(Pending, (1, 1, 0), 100));
    assert_eq!(ledger.books(1).0, [150, 0, 0]);
    ledger.report(&Report::of(1).told(Pending, (1, 1, 1), 170));
    assert_eq!(ledger.books(1).0, [170, 0, 0]);
    // What it has posted it takes from the hold.
    ledger.report(&Report::of(1).posted(7, 20).told(Settled, (1, 1, 2), 0));
    assert_eq!(ledger.books(1).0, [150, 20, 0]);
    // One that knows both sets the hold, and so does an end.
    let mut ended = ledger.recovered();
    ledger.report(&Report::of(1).posted(7, 20).told(Settled, (2, 2, 2), 90));
    assert_eq!(ledger.books(1).0, [90, 20, 0]);
    let end = Report::of(1)
        .posted(7, 20)
        .told(StandingStatus::Expired, (1, 1, 3), 0);
    ended.report(&end);
    assert_eq!(ended.books(1).0, [0, 20, 0]);
    // A step after the end is held until the next account.
    ended.approve(&Ask::new(1, 30).step(3));
    assert_eq!(ended.books(1).0, [30, 20, 0]);
}

#[test]
fn a_capture_that_comes_before_the_account_that_lists_it_is_taken_from_the_hold_once() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).told(Pending, (1, 1, 0), 100));
    ledger.report(&Report::of(1).posted(7, 40));
    assert_eq!(ledger.books(1).0, [60, 40, 0]);
    ledger.report(&Report::of(1).posted(7, 40).told(Pending, (1, 1, 1), 60));
    assert_eq!(ledger.books(1).0, [60, 40, 0]);
    assert_eq!(ledger.totals(), [(100, 60); 3]);
}

#[test]
fn a_void_before_any_posting_gives_the_use_back_and_one_after_it_does_not() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).single_use());
    ledger.report(&Report::of(1).told(Voided, (1, 1, 1), 0));
    assert_eq!(
        (ledger.card(1).consumed, ledger.totals()),
        (None, [(0, 0); 3])
    );
    ledger.approve(&Ask::new(2, 100).single_use());
    ledger.report(&Report::of(2).posted(7, 100).told(Voided, (1, 1, 2), 0));
    assert!(ledger.card(1).consumed.is_some());
    assert_eq!(ledger.totals(), [(100, 0); 3]);
}

#[test]
fn what_nobody_knows_is_kept_and_counts_nowhere() {
    let mut ledger = Ledger::new();
    let stranger = |it: Report| it.with(|it| it.is_known = false);
    assert_eq!(
        ledger.report(&stranger(Report::of(1).posted(7, 50))),
        BookStatus::Applied
    );
    assert_eq!(
        ledger.report(&stranger(Report::of(1).posted(7, 50))),
        BookStatus::Duplicate
    );
    assert_eq!(ledger.state.counters.total().spent, minor(0));
    assert_eq!(ledger.books(1).1.posted, minor(50));
    // A reversal whose original was not found is nothing.
    let nothing = Report::of(2).told(StandingStatus::Declined, (0, 0, 1), 0);
    assert_eq!(ledger.report(&nothing), BookStatus::Ignored);
    assert_eq!(ledger.state.authorization_count(), 1);
    // A decline without us is kept as one.
    let declined = Report::of(3).told(StandingStatus::Declined, (1, 0, 0), 0);
    assert_eq!(ledger.report(&declined), BookStatus::Applied);
    assert!(ledger.flags(3).has(Flags::DECLINED_BY_ISSUER));
}

#[test]
fn a_step_that_did_not_leave_is_no_approval_of_ours_even_with_reports() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let second = ledger.approve(&Ask::new(1, 50).step(2));
    ledger.report(&Report::of(1).posted(7, 20));
    assert_eq!(ledger.books(1).0, [130, 20, 0]);
    assert!(ledger.overrule(1, second));
    assert_eq!(ledger.books(1).0, [80, 20, 0]);
    assert_eq!(ledger.totals(), [(100, 80); 3]);
    assert_eq!(ledger.card(1).counters.approvals(), 1);
}

#[test]
fn a_sweep_settles_what_is_left_of_an_authorization_with_reports() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 100);
    ledger.approve(&ask);
    ledger.report(&Report::of(1).posted(7, 130));
    ledger.report(&Report::of(1).fact(8, Authorized, 25, 60).later(1));
    assert!(!ledger.sweep(0, ask.at + 1), "a report keeps it");
    assert_eq!(ledger.totals(), [(155, 25); 3]);
    assert!(ledger.sweep(0, i64::MAX));
    assert_eq!(ledger.totals(), [(155, 0); 3]);
    assert_eq!(ledger.state.authorization_count(), 0);
}

/// An end is taken to know all our steps; said again, it is still the same end.
#[test]
fn b7_an_end_that_names_fewer_steps_than_we_decided_is_a_duplicate_when_it_comes_again() {
    let mut ledger = Ledger::new();
    ledger.ask(&Ask::new(1, 100).step(1));
    ledger.ask(&Ask::new(1, 50).step(2));
    let end = Report::of(1).told(Voided, (1, 1, 1), 0);
    assert_eq!(ledger.report(&end), BookStatus::Applied);
    assert_eq!(ledger.report(&end), BookStatus::Duplicate);
    let older = Report::of(1).told(Pending, (1, 1, 0), 100);
    assert_eq!(ledger.report(&older), BookStatus::Stale);
}

/// What was parked while nobody knew the card is charged when a step names it, in the windows that
/// are under way then: in a zone whose hours are not those of universal time too.
#[test]
fn i3_what_was_posted_on_an_unknown_card_is_charged_to_the_windows_of_the_step_that_names_it() {
    let mut ledger = Ledger::new();
    let parked = Report::of(1).posted(7, 40).with(|it| it.is_known = false);
    ledger.report(&parked);
    assert_eq!(day_of(&ledger, TODAY), (0, 0));
    let ask = Ask::new(1, 100).limited(Level::Card, limits(Some(1), None));
    // The hour under way began at a quarter to.
    let ask = ask.with(|it| it.hour = Some((500_000, 500_001 * 3_600 - 900)));
    let declined = ledger.ask(&ask).decision;
    assert_eq!(declined, Decision::Decline(CardLimitExceeded));
    assert_eq!(day_of(&ledger, TODAY), (40, 0));
    assert_eq!(ledger.state.hour, LocalHour(500_000));
    assert_eq!(ledger.state.hour_offset_s, 900);
    assert_eq!(ledger.state.day_ends, Timestamp::from_secs(1));
}

/// The owner's own lock is compared too: what another merchant posts is booked and told.
#[test]
fn m_a_posting_of_another_merchant_than_the_preset_one_is_drift() {
    let preset = |it: &mut Report| it.terms.preset_lock = Some(PresetLock::Strong(1));
    let posts = |report: Report, n| report.with(|it| it.merchant = Some(n)).with(preset);
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&posts(Report::of(1).posted(7, 30), 1));
    assert!(!ledger.flags(1).has(Flags::DRIFT));
    ledger.report(&posts(Report::of(1).posted(8, 30), 2));
    assert!(ledger.flags(1).has(Flags::DRIFT));
}

//! Earmarks behind purchase cards (behaviour 5.8): card 1 of agent 1 is the purchase card, card 9 the one
//! on which the agent's earmarks stand.

use crate::domain::card::{CardStatus, Level};
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::DeclineReason;
use crate::domain::lifecycle::MovementKind::{Expired, Posted, Refunded, Released};
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger, TODAY, authorization_key, limits, minor};

const EARMARK: u32 = 100;

fn earmark(amount: i64) -> Ask {
    Ask::new(EARMARK, amount).on_card(9, Some(1))
}

/// An earmark of this much behind card 1.
fn backed(amount: i64) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.approve(&earmark(amount));
    assert_eq!(ledger.back(1, EARMARK), Ok(true));
    ledger
}

/// Spent and held of card, agent and customer.
fn stands(ledger: &Ledger, card: (i64, i64), above: (i64, i64)) {
    assert_eq!(ledger.totals(), [card, above, above]);
}

fn counted(ledger: &Ledger) -> [u32; 2] {
    [
        ledger.agent(1).counters.approvals(),
        ledger.state.counters.approvals(),
    ]
}

#[test]
fn behaviour_5_8_the_cards_authorization_converts_its_earmark_and_the_rest_returns() {
    let mut ledger = backed(1_000);
    stands(&ledger, (0, 0), (1_000, 1_000));
    ledger.approve(&Ask::new(1, 800).single_use());
    stands(&ledger, (800, 800), (1_000, 1_000));
    let posts = |id, amount, is_last| Report::of(1).fact(id, Posted { is_last }, amount, 40);
    ledger.report(&posts(7, 300, false));
    stands(&ledger, (800, 500), (1_000, 700));
    ledger.report(&posts(8, 400, true));
    stands(&ledger, (700, 0), (700, 0));
    assert_eq!(counted(&ledger), [1, 1], "one purchase");
    // A refund that restores does not bring the earmark back.
    ledger.report(&Report::of(1).fact(9, Refunded, 700, 50).restoring());
    stands(&ledger, (0, 0), (0, 0));
}

#[test]
fn what_was_reversed_may_be_asked_again_out_of_the_same_earmark() {
    let mut ledger = backed(1_000);
    ledger.approve(&Ask::new(1, 1_000).single_use());
    ledger.report(&Report::of(1).fact(7, Released, 1_000, 40));
    stands(&ledger, (0, 0), (1_000, 1_000));
    let full = limits(None, Some(1_000));
    ledger.approve(&Ask::new(2, 1_000).single_use().limited(Level::Agent, full));
    stands(&ledger, (1_000, 1_000), (1_000, 1_000));
    assert_eq!(counted(&ledger), [1, 1]);
}

#[test]
fn a_card_that_is_canceled_gives_back_what_is_unused_and_keeps_what_is_held() {
    let mut unused = backed(1_000);
    assert_eq!(
        unused.set_card(1, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    stands(&unused, (0, 0), (0, 0));
    let mut used = backed(1_000);
    used.approve(&Ask::new(1, 600));
    assert_eq!(used.set_card(1, Some(CardStatus::Canceled), None), Ok(true));
    stands(&used, (600, 600), (600, 600));
    used.report(&Report::of(1).posted(7, 600));
    stands(&used, (600, 0), (600, 0));
    // A frozen one may come back, and keeps what was set aside.
    let mut frozen = backed(1_000);
    assert_eq!(frozen.set_card(1, None, Some(true)), Ok(true));
    stands(&frozen, (0, 0), (1_000, 1_000));
}

#[test]
fn what_goes_beyond_the_earmark_meets_the_caps_and_is_charged_when_it_is_booked() {
    let mut ledger = backed(1_000);
    let cap = limits(None, Some(1_100));
    let asks = |n, amount| Ask::new(n, amount).limited(Level::Customer, cap);
    let refused = ledger.decline(&asks(1, 1_101));
    assert_eq!(refused.reason, DeclineReason::CustomerLimitExceeded);
    assert_eq!(refused.observed, Some(101), "the excess alone is asked");
    ledger.approve(&asks(2, 1_100));
    stands(&ledger, (1_100, 1_100), (1_100, 1_100));
    // A clearing above it has moved the money.
    ledger.report(&Report::of(2).posted(7, 1_300));
    stands(&ledger, (1_300, 0), (1_300, 0));
}

#[test]
fn it_stands_in_the_windows_of_its_approval() {
    let mut ledger = backed(1_000);
    let day = limits(Some(1_000), None);
    let tomorrow = |n, amount| {
        Ask::new(n, amount)
            .on_day(TODAY + 1)
            .later(86_400_000_000)
            .limited(Level::Agent, day)
    };
    ledger.approve(&tomorrow(1, 1_000));
    // Today's purchases are not in tomorrow's window.
    ledger.approve(&tomorrow(2, 1_000).on_card(2, Some(1)));
    ledger.report(&Report::of(1).later(1).fact(7, Expired, 0, 40));
    stands(&ledger, (0, 0), (2_000, 2_000));
    ledger.decline(&tomorrow(3, 1).on_card(2, Some(1)));
}

#[test]
fn counts_are_those_of_the_earmark() {
    let mut ledger = backed(1_000);
    let once = ScopeLimits {
        count_total: Some(1),
        ..ScopeLimits::default()
    };
    ledger.approve(&Ask::new(1, 1_000).limited(Level::Agent, once));
    let refused = ledger.decline(
        &Ask::new(2, 1)
            .on_card(2, Some(1))
            .limited(Level::Agent, once),
    );
    assert_eq!(refused.reason, DeclineReason::CountLimitReached);
}

/// What one card is asked several times: together never more than the earmark without being asked of the
/// caps, which see each amount once.
#[test]
fn several_authorizations_convert_one_earmark_and_its_rest_comes_back_once() {
    let mut ledger = backed(1_000);
    let caps = limits(Some(1_000), Some(1_000));
    let asks = |n, amount| {
        let ask = Ask::new(n, amount).limited(Level::Card, limits(None, Some(1_000)));
        let ask = ask.limited(Level::Agent, caps);
        ask.limited(Level::Customer, caps)
    };
    let posts = |n, id, amount, is_last| Report::of(n).fact(id, Posted { is_last }, amount, 40);
    ledger.approve(&asks(1, 300));
    ledger.approve(&asks(2, 400));
    stands(&ledger, (700, 700), (1_000, 1_000));
    assert_eq!(ledger.decline(&asks(3, 301)).level, Some(Level::Card));
    // A part of the first one is cleared, the second one is never used.
    ledger.report(&posts(1, 7, 100, false));
    stands(&ledger, (700, 600), (1_000, 900));
    ledger.report(&Report::of(2).fact(8, Expired, 0, 40));
    stands(&ledger, (300, 200), (1_000, 900));
    ledger.approve(&asks(4, 700));
    stands(&ledger, (1_000, 900), (1_000, 900));
    assert_eq!(
        ledger.decline(&asks(5, 1)).reason,
        DeclineReason::CardLimitExceeded
    );
    // What was thought lapsed is cleared late: the money has moved, above the earmark.
    ledger.report(&posts(2, 9, 400, true));
    stands(&ledger, (1_400, 900), (1_400, 900));
    // Canceled while it holds: nothing is unused, and what is held stays until it ends.
    assert_eq!(
        ledger.set_card(1, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    stands(&ledger, (1_400, 900), (1_400, 900));
    ledger.report(&posts(1, 10, 150, true));
    ledger.report(&Report::of(4).fact(11, Released, 700, 40));
    stands(&ledger, (650, 0), (650, 0));
}

#[test]
fn between_two_authorizations_the_rest_is_kept_until_the_card_ends() {
    let mut ledger = backed(1_000);
    ledger.approve(&Ask::new(1, 300));
    ledger.report(&Report::of(1).posted(7, 300));
    stands(&ledger, (300, 0), (1_000, 700));
    // Nobody else takes it meanwhile.
    let other = Ask::new(2, 1).on_card(2, Some(1));
    ledger.decline(&other.limited(Level::Agent, limits(None, Some(1_000))));
    // What its issuer approves without us comes out of it too.
    ledger.report(&Report::of(3).posted(8, 200));
    stands(&ledger, (500, 0), (1_000, 500));
    ledger.report(&Report::of(4).posted(9, 600));
    stands(&ledger, (1_100, 0), (1_100, 0));
    assert_eq!(
        ledger.set_card(1, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    stands(&ledger, (1_100, 0), (1_100, 0));
    let mut unspent = backed(1_000);
    unspent.approve(&Ask::new(1, 300));
    unspent.report(&Report::of(1).posted(7, 300));
    assert_eq!(
        unspent.set_card(1, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    stands(&unspent, (300, 0), (300, 0));
}

/// The earmark was counted once. What is bought beside the first purchase meets the counts of agent and
/// customer, and counts there, each in its own windows.
#[test]
fn every_purchase_beside_the_first_is_counted_above_the_card() {
    let mut ledger = backed(1_000);
    let at_most = |count_total| ScopeLimits {
        count_total: Some(count_total),
        ..ScopeLimits::default()
    };
    let asks = |n, most| Ask::new(n, 100).limited(Level::Agent, at_most(most));
    ledger.approve(&asks(1, 1));
    assert_eq!(counted(&ledger), [1, 1]);
    let refused = ledger.decline(&asks(2, 1));
    assert_eq!(
        (refused.reason, refused.level),
        (DeclineReason::CountLimitReached, Some(Level::Agent))
    );
    let second = ledger.approve(&asks(3, 2));
    assert_eq!(counted(&ledger), [2, 2]);
    // An increment is no further one; what is taken back gives its own count back, and once.
    ledger.approve(&asks(1, 2).step(2));
    assert_eq!(counted(&ledger), [2, 2]);
    assert!(ledger.overrule(3, second));
    assert_eq!(counted(&ledger), [1, 1]);
    // The first one is reversed: the earmark's count is free for the next.
    ledger.report(&Report::of(1).fact(7, Released, 200, 2_000_000_000));
    assert_eq!(counted(&ledger), [1, 1]);
    ledger.approve(&asks(4, 1));
    assert_eq!(counted(&ledger), [1, 1]);
    // It is cleared all the same, and is one beside the other then.
    ledger.report(&Report::of(1).posted(8, 200));
    assert_eq!(counted(&ledger), [2, 2]);
    assert_eq!(ledger.recovered().image(), ledger.image());
    // On a later day it counts in that day's window, where nothing of the earmark was charged.
    let tomorrow = ScopeLimits {
        count_per_day: Some(1),
        ..ScopeLimits::default()
    };
    let asks = |n| {
        let ask = Ask::new(n, 100).on_day(TODAY + 1).later(86_400_000_000);
        ask.limited(Level::Customer, tomorrow)
    };
    ledger.approve(&asks(5));
    ledger.decline(&asks(6));
}

/// A probe is no purchase beside the one that it comes before.
#[test]
fn a_probe_takes_no_count_from_the_purchase_of_a_single_use_card() {
    let mut ledger = backed(1_000);
    let once = ScopeLimits {
        count_total: Some(1),
        ..ScopeLimits::default()
    };
    let asks = |n, amount| {
        let ask = Ask::new(n, amount).single_use();
        let ask = ask.ruled(|rules| rules.may_probe = amount <= 100);
        ask.limited(Level::Agent, once)
    };
    let probe = ledger.approve(&asks(1, 100));
    ledger.approve(&asks(2, 900));
    assert_eq!(counted(&ledger), [1, 1]);
    assert!(ledger.overrule(1, probe));
    assert_eq!(counted(&ledger), [1, 1]);
}

#[test]
fn rolling_sums_that_begin_later_count_it_once() {
    let mut ledger = backed(1_000);
    ledger.approve(&Ask::new(1, 800));
    let rolling = ScopeLimits {
        rolling_day: Some(minor(1_200)),
        ..ScopeLimits::default()
    };
    let other = |n, amount| {
        Ask::new(n, amount)
            .on_card(2, Some(1))
            .limited(Level::Agent, rolling)
    };
    assert_eq!(ledger.decline(&other(2, 201)).remaining, Some(200));
    ledger.approve(&other(3, 200));
}

#[test]
fn an_earmark_stands_behind_one_unused_card_for_good() {
    let mut ledger = Ledger::new();
    assert!(ledger.back(1, EARMARK).is_err(), "there is none");
    ledger.approve(&earmark(1_000));
    ledger.approve(&Ask::new(1, 1).on_card(2, Some(1)));
    assert!(ledger.back(2, EARMARK).is_err(), "the card was used");
    assert_eq!(ledger.back(1, EARMARK), Ok(true));
    assert_eq!(ledger.back(1, EARMARK), Ok(false), "it is there");
    assert!(ledger.back(5, EARMARK).is_err(), "it is another card's");
    ledger.approve(&Ask::new(101, 5).on_card(9, Some(1)));
    assert!(ledger.back(1, 101).is_err(), "another one");
    // One that was given back is none.
    ledger.report(&Report::of(EARMARK).fact(1, Released, 1_000, 40));
    assert_eq!(
        ledger.set_card(3, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    assert!(ledger.back(3, 101).is_err(), "the card is canceled");
    assert!(ledger.back(4, EARMARK).is_err(), "it is given back");
}

#[test]
fn a_card_that_is_known_takes_an_earmark_as_long_as_it_was_never_used() {
    let unused = Ask::new(1, 60).limited(Level::Card, limits(None, Some(50)));
    let mut ledger = Ledger::new();
    ledger.decline(&unused);
    ledger.approve(&earmark(1_000));
    assert_eq!(ledger.back(1, EARMARK), Ok(true), "a decline is no use");
    // Posted without an approval of ours, and approved but given back since.
    let posted = Report::of(1).posted(7, 5);
    let expired = Report::of(1).fact(7, Expired, 60, 40);
    for (approves, report) in [(false, posted), (true, expired)] {
        let mut ledger = Ledger::new();
        if approves {
            ledger.approve(&Ask::new(1, 60));
        }
        ledger.report(&report);
        ledger.approve(&earmark(1_000));
        assert!(ledger.back(1, EARMARK).is_err(), "approves: {approves}");
    }
}

#[test]
fn an_earmark_is_heard_of_with_all_that_its_card_does() {
    let mut ledger = backed(1_000);
    let heard = |ledger: &Ledger| {
        let earmark = ledger.state.authorization(authorization_key(EARMARK));
        earmark.unwrap().life().unwrap().last_at()
    };
    let before = heard(&ledger);
    ledger.approve(&Ask::new(1, 300).later(5_000_000));
    let asked = heard(&ledger);
    assert!(asked > before, "though it holds as before");
    ledger.report(&Report::of(1).posted(7, 300).later(40));
    assert!(heard(&ledger) > asked);
}

/// What the reference model found: the card of a forgotten earmark moved the next one under its key.
#[test]
fn one_that_is_forgotten_does_not_come_back_under_its_key() {
    let mut ledger = backed(1_000);
    assert!(ledger.sweep(0, i64::MAX));
    ledger.approve(&earmark(40));
    assert!(ledger.back(1, EARMARK).is_err(), "its own is forgotten");
    assert_eq!(ledger.back(2, EARMARK), Ok(true), "this one is free");
    let lost = ledger.reason(&Ask::new(1, 10));
    assert_eq!(lost, Some(DeclineReason::CardExpired));
    // What its issuer approves alone takes nothing from another card's earmark.
    ledger.report(&Report::of(2).posted(7, 34));
    stands(&ledger, (34, 0), (1_040, 40));
}

#[test]
fn it_survives_images_and_journals() {
    let mut ledger = backed(1_000);
    ledger.approve(&Ask::new(1, 300));
    let mut recovered = ledger.recovered();
    assert_eq!(recovered.image(), ledger.image());
    assert_eq!(recovered.card(1).backing(), ledger.card(1).backing());
    assert!(recovered.card(1).backing().unwrap().is_open);
    for ledger in [&mut ledger, &mut recovered] {
        ledger.report(&Report::of(1).posted(7, 300));
        assert_eq!(
            ledger.set_card(1, Some(CardStatus::Canceled), None),
            Ok(true)
        );
        stands(ledger, (300, 0), (300, 0));
    }
    assert_eq!(recovered.image(), ledger.image());
    assert!(!recovered.recovered().card(1).backing().unwrap().is_open);
}

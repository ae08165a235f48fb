//! What an issuer's messages come to: which are news, which flags they raise, and what they open.

use crate::domain::decision::DeclineReason::MccBlocked;
use crate::domain::lifecycle::MovementKind::{self, Authorized, Declined, Noted, Posted};
use crate::domain::lifecycle::StandingStatus::{Closed, Expired, Pending, Settled, Voided};
use crate::domain::lifecycle::{BookStatus, Flags};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, WindowKind};
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger, TODAY, authorization_key, limits, minor};
use crate::ledger::command::Refused;
use crate::ledger::event::{Event, events_of};
use crate::ledger::life::{FACTS_MAX, Fact};

use crate::domain::card::Level;

const POSTED: MovementKind = Posted { is_last: false };
const LAST: MovementKind = Posted { is_last: true };

#[test]
fn of_two_words_on_one_thing_the_later_kind_then_the_larger_amount_stands_in_either_order() {
    for (one, other, stands) in [
        ((POSTED, 30), (POSTED, 40), [60, 40, 0]),
        ((POSTED, 40), (LAST, 30), [0, 30, 0]),
        ((LAST, 30), (LAST, 31), [0, 31, 0]),
    ] {
        for words in [[one, other], [other, one]] {
            let mut ledger = Ledger::new();
            ledger.approve(&Ask::new(1, 100));
            for (kind, amount) in words {
                ledger.report(&Report::of(1).fact(7, kind, amount, 50));
            }
            assert_eq!(ledger.books(1).0, stands, "{words:?}");
        }
    }
}

#[test]
fn reports_may_fill_the_facts_that_are_kept_of_an_authorization_and_bring_not_one_more() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 2_000));
    let ids = 1..=u64::try_from(FACTS_MAX).unwrap();
    let full = ids.fold(Report::of(1), |report, id| report.posted(id, 1));
    let all = full.clone().posted(9_999, 1);
    assert_eq!(ledger.try_report(&all), Err(Refused));
    assert_eq!(ledger.report(&full), BookStatus::Applied);
    assert_eq!(
        ledger.try_report(&Report::of(1).posted(9_999, 1)),
        Err(Refused)
    );
    assert_eq!(ledger.report(&full), BookStatus::Duplicate);
    // Nor does a journal that says so bring more.
    let found = ledger.state.authorization(authorization_key(1)).unwrap();
    let mut life = found.life().unwrap().clone();
    assert!(!life.learn(Fact {
        id: 9_999,
        kind: POSTED,
        amount: minor(1),
        at: Timestamp::default(),
    }));
    assert_eq!(life.facts.len(), FACTS_MAX);
}

#[test]
fn every_kind_of_fact_has_one_number() {
    let known = (0..=u8::MAX).filter_map(|number| {
        let kind = Fact::kind_of(number)?;
        assert_eq!(Fact::number(kind), number);
        Some(kind)
    });
    assert_eq!(known.count(), 12);
}

#[test]
fn i10_an_approval_of_the_issuers_that_was_none_of_ours_is_forced() {
    let flags = |report: &Report| {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100).with(|it| it.name = Some(7)));
        ledger.report(report);
        ledger.flags(1).has(Flags::FORCED)
    };
    for (approvals, forced) in [(0, false), (1, false), (2, true)] {
        let told = Report::of(1).told(Pending, (2, approvals, 0), 100);
        assert_eq!(flags(&told), forced, "{approvals}");
    }
    for (id, forced) in [(7, false), (8, true)] {
        let fact = Report::of(1).fact(id, Authorized, 100, 1);
        assert_eq!(flags(&fact), forced, "{id}");
    }
}

#[test]
fn i10_a_decline_of_the_issuers_that_was_none_of_ours_is_told() {
    let flags = |id| {
        let mut ledger = Ledger::new();
        let named = |step: u64, id| {
            let ask = Ask::new(1, 60).step(step);
            ask.with(|it| it.name = Some(id))
        };
        ledger.decline(&named(1, 7).with(|it| it.rule = Some(MccBlocked)));
        ledger.approve(&named(2, 9));
        ledger.report(&Report::of(1).fact(id, Declined, 60, 1));
        ledger.flags(1).has(Flags::DECLINED_BY_ISSUER)
    };
    assert_eq!([7, 8, 9].map(flags), [false, true, true]);
}

/// The steps that each report has brought as declined by the issuer, behind those of ours.
#[test]
fn what_an_issuer_declines_by_itself_is_recorded_once_for_each_step() {
    let declined = |ledger: &mut Ledger, report: &Report| {
        let before = ledger.frames.len();
        ledger.report(report);
        let written = ledger.frames.iter().skip(before);
        let mut events = written.flat_map(|(_, bytes)| events_of(bytes));
        let declined = events.find_map(|event| {
            let Event::Booked(booked) = event.unwrap() else {
                return None;
            };
            booked.declined
        });
        declined.map(|it| (it.ordinal, it.amount.get()))
    };
    // Of one that it asked nobody about.
    let mut ledger = Ledger::new();
    let unasked = Report::of(1).fact(8, Declined, 60, 1);
    assert_eq!(declined(&mut ledger, &unasked), Some((1, 60)));
    assert_eq!(declined(&mut ledger, &unasked), None, "told again");
    let again = Report::of(1).fact(9, Declined, 70, 2);
    assert_eq!(declined(&mut ledger, &again), Some((2, 70)));
    let posted = Report::of(1).posted(10, 50);
    assert_eq!(declined(&mut ledger, &posted), None, "no decline");
    assert_eq!(
        ledger.totals(),
        [(50, 0); 3],
        "what was posted, and no more"
    );
    // Of one that we had approved, and one that we had declined.
    let named = |step: u64, id| Ask::new(1, 60).step(step).with(|it| it.name = Some(id));
    let mut ledger = Ledger::new();
    ledger.decline(&named(1, 7).with(|it| it.rule = Some(MccBlocked)));
    ledger.approve(&named(2, 9));
    let ours = Report::of(1).fact(7, Declined, 60, 1);
    assert_eq!(declined(&mut ledger, &ours), None);
    let theirs = Report::of(1).fact(9, Declined, 60, 2);
    assert_eq!(declined(&mut ledger, &theirs), Some((3, 60)));
    // By whole accounts.
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    let account =
        |asks, approvals, revision| Report::of(1).told(Pending, (asks, approvals, revision), 60);
    assert_eq!(declined(&mut ledger, &account(1, 1, 1)), None);
    assert_eq!(declined(&mut ledger, &account(2, 1, 2)), Some((2, 0)));
    assert_eq!(declined(&mut ledger, &account(3, 2, 3)), None, "none more");
}

#[test]
fn a_step_that_was_taken_without_us_does_not_pay_for_one_of_ours() {
    let named = |id, amount| Ask::new(1, amount).step(id).with(|it| it.name = Some(id));
    for (kind, approvals, held) in [(Authorized, 2, 160), (Declined, 1, 100)] {
        let mut ledger = Ledger::new();
        ledger.approve(&named(1, 100));
        let second = Report::of(1)
            .fact(1, Authorized, 100, 1)
            .fact(2, kind, 60, 2);
        let account = second.clone().told(Pending, (2, approvals, 2), held);
        ledger.report(&account);
        assert_eq!(ledger.books(1).0, [held, 0, 0], "{kind:?}");
        ledger.approve(&named(3, 50));
        assert_eq!(ledger.books(1).0, [held + 50, 0, 0], "{kind:?}");
        assert_eq!(ledger.totals(), [(held + 50, held + 50); 3], "{kind:?}");
        // One that knows as many steps, and not this one.
        ledger.report(&account.clone().made(1_780_000_060));
        assert_eq!(ledger.books(1).0, [held + 50, 0, 0], "{kind:?}");
        let third = second.fact(3, Authorized, 50, 3);
        let account = third.told(Pending, (3, approvals + 1, 3), held + 20);
        ledger.report(&account);
        assert_eq!(
            ledger.books(1).0,
            [held + 20, 0, 0],
            "{kind:?}: it knows all"
        );
        // An end is one of everything.
        ledger.approve(&named(4, 10));
        let account = Report::of(1).told(Closed, (3, approvals + 1, 3), 0);
        ledger.report(&account.made(1_790_000_000));
        assert_eq!(ledger.books(1).0, [0, 0, 0], "{kind:?}");
    }
}

/// The times of questions are those of the harness: 1 780 000 000 s.
#[test]
fn what_was_decided_after_an_account_was_made_it_does_not_know_unless_it_names_it() {
    let later = 1_780_000_100;
    let after = |ask: Ask| ask.with(|it| it.at = later * 1_000_000);
    for name in [None, Some(3)] {
        // A step that the issuer declined by itself counts in both.
        for (status, held) in [(Pending, 100), (Voided, 0)] {
            let mut ledger = Ledger::new();
            ledger.approve(
                &Ask::new(1, 100)
                    .step(1)
                    .with(|it| it.name = name.map(|_| 1)),
            );
            let account = Report::of(1)
                .fact(1, Authorized, 100, 1)
                .fact(2, Declined, 60, 2)
                .told(status, (2, 1, 2), held)
                .made(1_780_000_001);
            ledger.report(&account);
            assert_eq!(ledger.books(1).0, [held, 0, 0], "{status:?} {name:?}");
            ledger.approve(&after(Ask::new(1, 50).step(3).with(|it| it.name = name)));
            let (numbers, books) = ledger.books(1);
            assert_eq!(numbers, [held + 50, 0, 0], "{status:?} {name:?}");
            assert!(!books.is_undone, "{status:?} {name:?}");
        }
    }
    // Its own name, by a clock that is far behind.
    let mut ledger = Ledger::new();
    ledger.approve(&after(Ask::new(1, 100).with(|it| it.name = Some(1))));
    let account = Report::of(1).fact(1, Authorized, 100, 1);
    ledger.report(&account.told(Pending, (1, 1, 1), 60).made(1_780_000_001));
    assert_eq!(ledger.books(1).0, [60, 0, 0]);
}

#[test]
fn a_hold_that_has_lapsed_does_not_come_back_with_an_account_that_is_known() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let known = Report::of(1).told(Pending, (1, 1, 1), 100);
    ledger.report(&known);
    assert!(ledger.lapse("acme", 99));
    assert_eq!(ledger.books(1).0, [0, 0, 0]);
    ledger.report(
        &Report::of(1)
            .fact(1, Authorized, 100, 1)
            .told(Pending, (1, 1, 1), 100),
    );
    assert_eq!(ledger.books(1).0, [0, 0, 0], "no news of money");
    ledger.report(&Report::of(1).told(Pending, (1, 1, 2), 90));
    assert_eq!(ledger.books(1).0, [90, 0, 0], "a newer account");
}

/// A report of everything that there may be of one authorization, and steps beside it.
#[test]
fn steps_are_left_out_of_what_is_kept_before_a_posting_is_refused() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let most = u64::try_from(FACTS_MAX).unwrap();
    let mut report = Report::of(1);
    for id in 0..most {
        report = report.posted(10_000 + id, 1);
    }
    for id in 0..9 {
        report = report.fact(id, Authorized, 10, 1);
    }
    let counts = (9, 9, u32::try_from(most).unwrap());
    ledger.report(&report.told(Pending, counts, 0));
    assert_eq!(ledger.books(1).0, [0, i64::try_from(most).unwrap(), 0]);
}

/// Where an issuer calls its steps otherwise than its questions did, they are counted.
#[test]
fn an_account_that_names_none_of_our_steps_knows_as_many_as_it_counts() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100).with(|it| it.name = Some(1)));
    let account = Report::of(1).fact(7, Authorized, 100, 1);
    ledger.report(&account.told(Pending, (1, 1, 1), 60));
    assert_eq!(ledger.books(1).0, [60, 0, 0]);
}

#[test]
fn an_account_is_closed_by_its_word_or_once_all_of_it_has_moved() {
    for (status, held, posted, [reversed, expired, closed]) in [
        (Pending, 100, 0, [false, false, false]),
        (Pending, 0, 0, [false, false, false]),
        (Pending, 0, 100, [false, false, true]),
        (Settled, 60, 40, [false, false, false]),
        (Settled, 0, 40, [false, false, true]),
        (Closed, 0, 0, [false, false, true]),
        (Closed, 0, 40, [false, false, true]),
        (Voided, 0, 0, [true, false, true]),
        (Expired, 0, 0, [false, true, true]),
    ] {
        let mut ledger = Ledger::new();
        ledger.approve(&Ask::new(1, 100));
        let report = Report::of(1).with(|it| {
            if posted > 0 {
                *it = it.clone().posted(7, posted);
            }
        });
        ledger.report(&report.told(status, (1, 1, 1), held));
        let (numbers, books) = ledger.books(1);
        assert_eq!(numbers, [held, posted, 0]);
        assert_eq!(
            [books.is_reversed, books.is_expired, books.is_closed],
            [reversed, expired, closed],
            "{status:?} {held} {posted}"
        );
    }
}

#[test]
fn a_step_that_did_not_leave_gives_back_its_own_hold_and_not_a_later_ones() {
    let mut ledger = Ledger::new();
    let first = ledger.approve(&Ask::new(1, 100));
    ledger.approve(&Ask::new(1, 50).step(2).on_day(TODAY + 1));
    // After both, by the issuer's clock.
    ledger.report(&Report::of(1).fact(7, POSTED, 20, 1_780_000_001));
    assert!(ledger.overrule(1, first));
    assert_eq!(ledger.books(1).0, [30, 20, 0]);
    let counters = ledger.state.counters;
    let day = counters.window(WindowKind::Day, LocalDay(TODAY + 1));
    assert_eq!((day.spent, day.held), (minor(30), minor(30)));
    assert_eq!(ledger.totals(), [(50, 30); 3]);
}

#[test]
fn i9_a_posting_after_the_hold_has_lapsed_brings_no_hold_back() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    assert!(ledger.lapse("acme", 1));
    ledger.report(&Report::of(1).posted(7, 40).later(2));
    assert_eq!(ledger.books(1).0, [0, 40, 0]);
    assert_eq!(ledger.totals(), [(40, 0); 3]);
    // The latest report is the last word, whatever comes in an older one.
    let two_days_later = Ask::new(1, 1).at + 2 * 86_400_000_000;
    ledger.report(&Report::of(1).posted(8, 1).later(1));
    let found = ledger.state.authorization(authorization_key(1)).unwrap();
    let life = found.life().unwrap();
    assert_eq!(life.last_at(), Timestamp::from_micros(two_days_later));
}

#[test]
fn a_report_that_charges_nothing_opens_no_window() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let open = |ledger: &Ledger| (ledger.state.day, ledger.state.day_ends, ledger.state.hour);
    let before = open(&ledger);
    for report in [
        Report::of(1).posted(7, 30),
        Report::of(1).fact(8, LAST, 60, 60),
    ] {
        ledger.report(&report.later(1));
        assert_eq!(open(&ledger), before);
    }
    // Nor does one on a card that nobody knows.
    let stranger = Report::of(2).posted(7, 50).with(|it| it.is_known = false);
    let mut ledger = Ledger::new();
    let before = open(&ledger);
    ledger.report(&stranger);
    assert_eq!(open(&ledger), before);
}

/// Else a day would go on as it stood at the decline, whatever zone the customer has got since.
#[test]
fn a_decline_opens_no_window_where_all_that_was_reported_is_charged() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    ledger.report(&Report::of(1).posted(7, 30));
    let open = |ledger: &Ledger| (ledger.state.day, ledger.state.day_ends, ledger.state.hour);
    let before = open(&ledger);
    let tomorrow = Ask::new(1, 60)
        .step(2)
        .on_day(TODAY + 1)
        .later(86_400_000_000);
    ledger.decline(&tomorrow.clone().with(|it| it.rule = Some(MccBlocked)));
    assert_eq!(open(&ledger), before);
    ledger.approve(&tomorrow.step(3));
    assert_ne!(open(&ledger), before);
}

#[test]
fn what_moves_nothing_is_ignored_and_what_is_repeated_is_where_it_was_booked() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 100));
    let noted = Report::of(1).fact(9, Noted, 5, 60);
    let answer = |ledger: &mut Ledger, report: &Report| {
        let answer = ledger.try_report(report).unwrap();
        (answer.status, answer.position)
    };
    assert_eq!(answer(&mut ledger, &noted), (BookStatus::Ignored, None));
    let posted = Report::of(1).posted(7, 30);
    let (status, position) = answer(&mut ledger, &posted);
    assert_eq!(
        (status, position),
        (BookStatus::Applied, Some(ledger.position))
    );
    ledger.approve(&Ask::new(2, 1));
    assert_eq!(answer(&mut ledger, &noted), (BookStatus::Ignored, None));
    let again = (BookStatus::Duplicate, position);
    assert_eq!(answer(&mut ledger, &posted), again);
}

/// A report on a card that nobody knew counts nowhere, until a step says whose card it is.
#[test]
fn d1_what_a_late_step_charges_is_booked_no_earlier_than_what_was_booked_before() {
    let mut ledger = Ledger::new();
    ledger.report(&Report::of(1).posted(7, 50).with(|it| it.is_known = false));
    let latest = Ask::new(2, 5).later(60_000_000);
    ledger.approve(&latest);
    ledger.decline(&Ask::new(1, 60).with(|it| it.rule = Some(MccBlocked)));
    assert_eq!(ledger.totals(), [(55, 5); 3]);
    let found = ledger.state.authorization(authorization_key(1)).unwrap();
    let places = found.portions().into_iter().map(|it| it.place.at.micros());
    assert_eq!(places.collect::<Vec<_>>(), [latest.at]);
    // It counts in the windows that are open.
    let full = Ask::new(3, 46).limited(Level::Card, limits(Some(100), None));
    assert!(ledger.reason(&full).is_some());
}

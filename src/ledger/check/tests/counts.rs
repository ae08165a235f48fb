//! 2.13 c, 2.14 g: counts of approvals, and cards that end by use.

use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::Decision;
use crate::domain::decision::DeclineReason::{
    CardExpired, CountLimitReached, CustomerLimitExceeded,
};
use crate::domain::explanation::RuleField;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::check::harness::{Ask, Ledger, TODAY, minor};

const HOUR_US: i64 = 3_600_000_000;

fn per_hour(limit: u32) -> ScopeLimits {
    ScopeLimits {
        count_per_hour: Some(limit),
        ..ScopeLimits::default()
    }
}

fn per_day(limit: u32) -> ScopeLimits {
    ScopeLimits {
        count_per_day: Some(limit),
        ..ScopeLimits::default()
    }
}

fn in_total(limit: u32) -> ScopeLimits {
    ScopeLimits {
        count_total: Some(limit),
        ..ScopeLimits::default()
    }
}

#[test]
fn a_count_admits_as_many_approvals_as_it_says_at_every_level_and_explains_itself() {
    for level in Level::ALL {
        let kinds = [
            (per_hour(3), RuleField::CountPerHour),
            (per_day(3), RuleField::CountPerDay),
            (in_total(3), RuleField::CountTotal),
        ];
        for (limits, field) in kinds {
            let mut ledger = Ledger::new();
            let ask = |n| Ask::new(n, 5).limited(level, limits);
            for n in 1..=3 {
                ledger.approve(&ask(n));
            }
            let asked = ask(4);
            let explanation = ledger.decline(&asked);
            assert_eq!(explanation.reason, CountLimitReached);
            assert_eq!((explanation.level, explanation.field), (Some(level), field));
            assert_eq!(
                (explanation.observed, explanation.limit),
                (Some(3), Some(3))
            );
            assert_eq!(explanation.remaining, Some(0));
            let resets_at = if field == RuleField::CountPerHour {
                Some(Timestamp::from_secs((asked.at / HOUR_US + 1) * 3_600))
            } else {
                let of_day = field == RuleField::CountPerDay;
                of_day.then_some(asked.claims.resets_at[0])
            };
            assert_eq!(explanation.resets_at, resets_at, "{field:?}");
        }
    }
}

#[test]
fn counts_go_over_all_cards_of_an_agent_and_all_agents_of_a_customer() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 5).on_card(1, Some(1)));
    let other_card = Ask::new(2, 5).on_card(2, Some(1));
    let no_agent = Ask::new(2, 5).on_card(2, None);
    for (ask, levels) in [
        (&other_card, [false, true, true]),
        (&no_agent, [false, false, true]),
    ] {
        for (level, reached) in Level::ALL.into_iter().zip(levels) {
            let reason = ledger.reason(&ask.clone().limited(level, in_total(1)));
            assert_eq!(reason, reached.then_some(CountLimitReached), "{level:?}");
        }
    }
}

#[test]
fn h5_what_reserves_nothing_and_increments_are_not_counted_and_meet_no_count() {
    let mut ledger = Ledger::new();
    let none = |ask: Ask| ask.limited(Level::Card, in_total(0));
    ledger.approve(&none(Ask::new(1, 0)));
    ledger.approve(&none(Ask::new(2, 9).of_kind(AuthorizationKind::Credit)));
    ledger.approve(&none(
        Ask::new(3, 9).of_kind(AuthorizationKind::BalanceInquiry),
    ));
    assert_eq!(
        ledger.reason(&none(Ask::new(4, 1))),
        Some(CountLimitReached)
    );
    ledger.approve(&Ask::new(4, 1).step(2));
    ledger.approve(&none(Ask::new(4, 7).step(3)));
    assert_eq!(ledger.card(1).counters.approvals(), 1);
    // A purchase under the id of a verification is no increment.
    ledger.approve(&Ask::new(1, 5).step(2));
    assert_eq!(ledger.card(1).counters.approvals(), 2);
}

#[test]
fn a10_hour_and_day_begin_at_their_instant_and_a_window_never_reopens() {
    let mut ledger = Ledger::new();
    let limits = ScopeLimits {
        count_per_day: Some(2),
        ..per_hour(1)
    };
    let start = TODAY_US;
    let ask = |n, micros: i64, day: i32| {
        let ask = Ask::new(n, 5).limited(Level::Card, limits).on_day(day);
        ask.with(|it| it.at = start + micros)
    };
    ledger.approve(&ask(1, HOUR_US - 1, TODAY));
    assert_eq!(
        ledger.reason(&ask(2, HOUR_US - 1, TODAY)),
        Some(CountLimitReached)
    );
    ledger.approve(&ask(2, HOUR_US, TODAY));
    assert_eq!(
        ledger.reason(&ask(3, 2 * HOUR_US, TODAY)),
        Some(CountLimitReached)
    );
    ledger.approve(&ask(3, 24 * HOUR_US, TODAY + 1));
    // The clock steps back: the later hour and day are the ones that count.
    let back = ledger.decline(&ask(4, HOUR_US * 20, TODAY));
    assert_eq!(
        (back.reason, back.field),
        (CountLimitReached, RuleField::CountPerHour)
    );
    assert_eq!(back.resets_at, None, "the end of that hour is not known");
    let counters = &ledger.card(1).counters;
    assert_eq!(counters.count_of_day(LocalDay(TODAY + 1)), 1);
    assert_eq!(counters.count_of_hour(LocalHour((TODAY + 1) * 24)), 1);
}

const TODAY_US: i64 = TODAY as i64 * 24 * HOUR_US;

#[test]
fn b5_an_overruled_authorization_gives_its_count_back_where_it_was_counted() {
    let mut ledger = Ledger::new();
    let at = |ask: Ask, hours: i64| {
        let day = TODAY + i32::try_from(hours / 24).unwrap();
        ask.on_day(day)
            .with(|it| it.at = TODAY_US + hours * HOUR_US)
    };
    let first = ledger.approve(&at(Ask::new(1, 5), 22));
    let increment = ledger.approve(&at(Ask::new(1, 5).step(2).on_card(1, Some(2)), 23));
    ledger.approve(&at(Ask::new(2, 5), 23));
    let counts = |ledger: &Ledger| {
        let it = &ledger.state.counters;
        let hours = [22, 23, 24].map(|hour| it.count_of_hour(LocalHour(TODAY * 24 + hour)));
        (hours, it.count_of_day(LocalDay(TODAY)), it.approvals())
    };
    assert_eq!(counts(&ledger), ([0, 1, 0], 2, 2));
    // As long as a step stands the authorization counts, where its first step was counted.
    assert!(ledger.overrule(1, first));
    assert_eq!(counts(&ledger), ([0, 1, 0], 2, 2));
    assert_eq!(ledger.agent(1).counters.approvals(), 2);
    assert!(ledger.overrule(1, increment));
    assert_eq!(counts(&ledger), ([0, 1, 0], 1, 1));
    assert_eq!(ledger.agent(1).counters.approvals(), 1);
    assert_eq!(ledger.agent(2).counters.approvals(), 0);
    // What comes after that under the same id is a first approval again.
    ledger.approve(&at(Ask::new(1, 5).step(3), 24));
    assert_eq!(counts(&ledger), ([0, 0, 1], 0, 2));
}

#[test]
fn a_card_expires_when_it_has_approved_or_spent_what_it_was_made_for() {
    let by_count = |ask: Ask| ask.ruled(|it| it.expire_after_count = Some((2, Level::Agent)));
    let spend = Some((minor(18), Level::Card));
    let by_spend = |ask: Ask| ask.ruled(|it| it.expire_after_spend = spend);
    let mut ledger = Ledger::new();
    ledger.approve(&by_count(by_spend(Ask::new(1, 9))));
    let second = ledger.approve(&by_count(by_spend(Ask::new(2, 9))));
    let explanation = ledger.decline(&by_count(Ask::new(3, 1)));
    assert_eq!(explanation.reason, CardExpired);
    assert_eq!(explanation.field, RuleField::ExpireAfterCount);
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(2), Some(2))
    );
    let explanation = ledger.decline(&by_spend(Ask::new(4, 0)));
    assert_eq!(explanation.field, RuleField::ExpireAfterSpend);
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(18), Some(18))
    );
    // Increments skip it, and what is taken back opens the card again.
    assert_eq!(
        ledger.reason(&by_count(by_spend(Ask::new(1, 1).step(2)))),
        None
    );
    assert!(ledger.overrule(2, second));
    assert_eq!(ledger.reason(&by_count(by_spend(Ask::new(5, 1)))), None);
}

/// 4.4: every card's hold counts, whatever its own limits are, until it is given back.
#[test]
fn what_is_held_at_one_time_is_capped_over_all_cards() {
    let mut ledger = Ledger::new();
    let ask = |authorization, amount, card: u32| {
        let ask = Ask::new(authorization, amount).on_card(card, Some(card));
        ask.with(|it| it.claims.held_max = Some(minor(100)))
    };
    let first = ledger.approve(&ask(1, 60, 1));
    let refused = ledger.decline(&ask(2, 41, 2));
    assert_eq!(refused.reason, CustomerLimitExceeded);
    assert_eq!(refused.level, Some(Level::Customer));
    assert_eq!(refused.field, RuleField::HeldMax);
    let [observed, limit, remaining] = [refused.observed, refused.limit, refused.remaining];
    assert_eq!(
        [observed, limit, remaining],
        [Some(41), Some(100), Some(40)]
    );
    assert_eq!(refused.resets_at, None);
    // Exactly at the cap; and an increment is a hold like any other.
    ledger.approve(&ask(3, 40, 2));
    assert_eq!(
        ledger.reason(&ask(1, 1, 1).step(2)),
        Some(CustomerLimitExceeded)
    );
    assert!(ledger.overrule(1, first));
    ledger.approve(&ask(4, 60, 3));
    assert_eq!(ledger.reason(&ask(5, 1, 3)), Some(CustomerLimitExceeded));
    // Where nobody caps it, nothing is.
    ledger.approve(&Ask::new(6, 1_000));
    // A part is approved up to the cap, and whoever asks for the balance is told of that room.
    let mut ledger = Ledger::new();
    ledger.approve(&ask(1, 60, 1));
    let balance = ask(2, 0, 2).of_kind(AuthorizationKind::BalanceInquiry);
    assert_eq!(ledger.dry(&balance).available, Some(minor(40)));
    let part = ask(3, 90, 2).ruled(|it| it.may_approve_part = true);
    let answer = ledger.ask(&part);
    assert_eq!(answer.decision, Decision::ApprovePartial(minor(40)));
    assert_eq!(ledger.reason(&ask(4, 1, 3)), Some(CustomerLimitExceeded));
}

/// What an approval in advance lets its own card have (behaviour 5.5): 2026-05-27 is a Wednesday, so that
/// the week ends before the month does.
#[test]
fn a_count_of_a_period_goes_by_the_calendars_windows() {
    let next = [
        (WindowKind::Day, TODAY + 1),
        (WindowKind::Week, TODAY + 5),
        (WindowKind::Month, TODAY + 5),
    ];
    for (kind, later) in next {
        let mut ledger = Ledger::new();
        let limits = ScopeLimits {
            count_of_period: Some((kind, 2)),
            ..ScopeLimits::default()
        };
        let on = |n, day: i32| {
            let passed = i64::from(day - TODAY) * 86_400_000_000;
            let ask = Ask::new(n, 10).on_day(day).later(passed);
            ask.limited(Level::Card, limits)
        };
        ledger.approve(&on(1, TODAY));
        ledger.approve(&on(2, later - 1));
        let refused = ledger.decline(&on(3, later - 1));
        assert_eq!(
            (refused.reason, refused.field, refused.limit),
            (CountLimitReached, RuleField::StandingApproval, Some(2)),
            "{kind:?}"
        );
        assert!(refused.resets_at.is_some());
        // An increment is none.
        ledger.approve(&on(2, later - 1).step(2));
        ledger.approve(&on(4, later));
        ledger.approve(&on(5, later));
        ledger.decline(&on(6, later));
    }
}

//! 2.13 b: rolling limits.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::DeclineReason::{
    AgentLimitExceeded, CardLimitExceeded, CustomerLimitExceeded,
};
use crate::domain::explanation::RuleField;
use crate::domain::window::WindowKind;
use crate::ledger::check::harness::{Ask, Ledger, TODAY, minor};
use crate::ledger::event::{Event, events_of};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1_440 * MINUTE;

fn trailing(kind: WindowKind, limit: i64) -> ScopeLimits {
    let mut limits = ScopeLimits::default();
    let place = match kind {
        WindowKind::Day => &mut limits.rolling_day,
        WindowKind::Week => &mut limits.rolling_week,
        WindowKind::Month => &mut limits.rolling_month,
    };
    *place = Some(minor(limit));
    limits
}

fn span(kind: WindowKind) -> i64 {
    match kind {
        WindowKind::Day => DAY,
        WindowKind::Week => 7 * DAY,
        WindowKind::Month => 30 * DAY,
    }
}

/// How many series were begun by all frames so far.
fn openings(ledger: &Ledger) -> usize {
    let events = ledger.frames.iter().flat_map(|(_, frame)| events_of(frame));
    let opens = |event: &Event<'_>| matches!(event, Event::RollingOpened { .. });
    events
        .filter(|event| opens(event.as_ref().unwrap()))
        .count()
}

#[test]
fn a_rolling_limit_holds_over_midnight_and_room_comes_back_a_span_later() {
    let fields = [
        RuleField::RollingDay,
        RuleField::RollingWeek,
        RuleField::RollingMonth,
    ];
    for (kind, field) in WindowKind::ALL.into_iter().zip(fields) {
        for (level, reason) in Level::ALL.into_iter().zip([
            CardLimitExceeded,
            AgentLimitExceeded,
            CustomerLimitExceeded,
        ]) {
            let mut ledger = Ledger::new();
            let ask = |n, amount| {
                let day = TODAY + i32::try_from(n).unwrap();
                let ask = Ask::new(n, amount).on_day(day);
                ask.limited(level, trailing(kind, 100))
            };
            ledger.approve(&ask(1, 60));
            ledger.approve(&ask(2, 40).later(span(kind) / 2));
            let late = ask(3, 60).later(span(kind));
            let explanation = ledger.decline(&late);
            assert_eq!((explanation.reason, explanation.field), (reason, field));
            assert_eq!(explanation.level, Some(level));
            assert_eq!(
                (explanation.observed, explanation.limit),
                (Some(60), Some(100))
            );
            assert_eq!(explanation.remaining, Some(0));
            // It says when the amount fits, and then it does.
            let free = explanation.resets_at.unwrap().micros();
            let width = span(kind) / 1_440;
            assert!((late.at..=late.at + width).contains(&free), "{kind:?}");
            let again = |at: i64| ask(4, 60).with(|it| it.at = at);
            assert!(ledger.reason(&again(free - 1)).is_some());
            assert_eq!(ledger.reason(&again(free)), None);
            let never = ledger.decline(&ask(5, 101).later(span(kind)));
            assert_eq!(never.resets_at, None);
        }
    }
}

#[test]
fn a_rolling_limit_that_is_written_today_counts_what_was_spent_before() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 30));
    ledger.approve(&Ask::new(1, 20).step(2).later(5 * MINUTE));
    let gone = ledger.approve(&Ask::new(2, 9).later(6 * MINUTE));
    ledger.approve(&Ask::new(3, 10).on_card(2, Some(1)).later(7 * MINUTE));
    ledger.approve(&Ask::new(4, 5).on_card(3, None).later(8 * MINUTE));
    assert!(ledger.overrule(2, gone));
    assert_eq!(openings(&ledger), 0);
    assert!(ledger.card(1).rolling.is_none() && ledger.state.rolling.is_none());
    for (level, spent) in Level::ALL.into_iter().zip([50, 60, 65]) {
        let ask = |amount| {
            let ask = Ask::new(9, amount).later(DAY - 1);
            ask.limited(level, trailing(WindowKind::Day, 100))
        };
        assert_eq!(ledger.reason(&ask(100 - spent)), None, "{level:?}");
        assert!(ledger.reason(&ask(101 - spent)).is_some(), "{level:?}");
    }
    assert_eq!(openings(&ledger), 0, "a dry run changes nothing");
    // Even a decline begins them, all that are asked for in one go, and no later step again.
    let asked = Ask::new(9, 101).later(10 * MINUTE);
    let asked = Level::ALL.into_iter().fold(asked, |ask, level| {
        ask.limited(level, trailing(WindowKind::Day, 100))
    });
    ledger.decline(&asked);
    assert_eq!(openings(&ledger), 1);
    ledger.decline(&asked.clone().step(2));
    assert_eq!(openings(&ledger), 1);
    ledger.decline(
        &asked
            .clone()
            .with(|it| it.authorization = 10)
            .on_card(2, Some(1)),
    );
    assert_eq!(openings(&ledger), 2, "another card has a series of its own");
    let spent = |rolling: Option<&crate::ledger::rolling::Rolling>| {
        let series = rolling.unwrap().series(WindowKind::Day).unwrap();
        series.spent(ledger.state.latest).get()
    };
    assert_eq!(spent(ledger.card(1).rolling.as_deref()), 50);
    assert_eq!(spent(ledger.card(2).rolling.as_deref()), 10);
    assert_eq!(spent(ledger.agent(1).rolling.as_deref()), 60);
    assert_eq!(spent(ledger.state.rolling.as_deref()), 65);
    assert!(ledger.card(3).rolling.is_none());
    assert!(
        ledger
            .card(1)
            .rolling
            .as_ref()
            .unwrap()
            .series(WindowKind::Week)
            .is_none()
    );
}

#[test]
fn a_release_goes_back_to_the_bucket_that_was_charged_also_after_the_clock_went_back() {
    let mut ledger = Ledger::new();
    let ask = |n, amount, micros: i64| {
        let ask = Ask::new(n, amount).later(micros);
        ask.limited(Level::Card, trailing(WindowKind::Day, 100))
    };
    ledger.approve(&ask(1, 40, 0));
    // Half a day back: charged to the latest bucket all the same.
    let back = ledger.approve(&ask(2, 60, -DAY / 2));
    assert!(ledger.reason(&ask(3, 1, DAY - 1)).is_some());
    assert!(ledger.overrule(2, back));
    assert_eq!(ledger.reason(&ask(3, 60, 1)), None);
    assert!(ledger.reason(&ask(3, 61, 1)).is_some());
    ledger = ledger.recovered();
    assert!(ledger.reason(&ask(3, 61, DAY)).is_some());
    assert_eq!(ledger.reason(&ask(3, 100, DAY + 2 * MINUTE)), None);
}

#[test]
fn a_balance_inquiry_and_a_sweep_know_of_rolling_limits() {
    let mut ledger = Ledger::new();
    let first = Ask::new(1, 60);
    let at = first.at;
    ledger.approve(&first);
    let inquiry = |n| {
        let ask = Ask::new(n, 0).of_kind(AuthorizationKind::BalanceInquiry);
        ask.limited(Level::Customer, trailing(WindowKind::Month, 100))
    };
    assert_eq!(ledger.dry(&inquiry(2)).available, Some(minor(40)));
    ledger.approve(&inquiry(2));
    // Forgotten, and spent all the same.
    assert!(ledger.sweep(0, at + 1));
    assert_eq!(ledger.dry(&inquiry(3)).available, Some(minor(40)));
    assert_eq!(
        ledger.dry(&inquiry(3).later(31 * DAY)).available,
        Some(minor(100))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However approvals, releases, restarts and a clock that steps about follow each other: no
    /// span of the length holds more than the limit, and nothing is refused for what lies more
    /// than a span and a bucket back.
    #[test]
    fn i1_no_span_ever_holds_more_than_its_limit(
        kind in select(&WindowKind::ALL[..]),
        since in 0..30usize,
        steps in vec((0..1_441i64, any::<bool>(), 1..40i64, 0..8u8), 20..80),
    ) {
        let mut ledger = Ledger::new();
        let width = span(kind) / 1_440;
        let (mut now, mut latest) = (Ask::new(0, 1).at, 0i64);
        // What stands: instant of booking, amount, authorization, position.
        let mut booked: Vec<(i64, i64, u32, u64)> = Vec::new();
        for (at, (buckets, back, amount, what)) in steps.into_iter().enumerate() {
            let number = u32::try_from(at).unwrap();
            now += if back && what == 0 { -buckets * width / 3 } else { buckets * width / 30 + 1 };
            if what == 1 && !booked.is_empty() {
                let (_, _, authorization, position) = booked.remove(booked.len() / 2);
                prop_assert!(ledger.overrule(authorization, position));
                continue;
            }
            if what == 2 {
                ledger = ledger.recovered();
            }
            let mut ask = Ask::new(number, amount).with(|it| it.at = now);
            if at >= since {
                ask = ask.limited(Level::Agent, trailing(kind, 100));
            }
            let answer = ledger.ask(&ask);
            let instant = now.max(latest);
            let spent = |span: i64| -> i64 {
                let within = booked.iter().filter(|it| it.0 > instant - span);
                within.map(|it| it.1).sum()
            };
            if answer.decision.is_approval() {
                prop_assert!(at < since || spent(span(kind)) + amount <= 100);
                booked.push((instant, amount, number, answer.position));
                latest = instant;
            } else {
                prop_assert!(spent(span(kind) + width) + amount > 100);
            }
        }
        let held: i64 = booked.iter().map(|it| it.1).sum();
        prop_assert_eq!(ledger.totals()[2].1, held);
    }
}

#[test]
fn reserve_then_release_is_identity_for_spans() {
    let mut ledger = Ledger::new();
    let ask = |n| {
        let ask = Ask::new(n, 7).limited(Level::Card, trailing(WindowKind::Week, 100));
        ask.later(i64::from(n) * MINUTE)
    };
    ledger.approve(&ask(1));
    let before = ledger.card(1).rolling.clone();
    let position = ledger.approve(&ask(2));
    assert_ne!(ledger.card(1).rolling, before);
    assert!(ledger.overrule(2, position));
    assert_eq!(ledger.card(1).rolling, before);
    let spent = |it: &Ledger| it.card(1).counters.total().spent;
    assert_eq!(spent(&ledger), minor(7));
    assert_ne!(spent(&ledger), Minor::ZERO);
}

#[test]
fn a_rolling_limit_holds_on_a_card_without_an_agent_and_one_of_no_agent_says_nothing() {
    for level in [Level::Card, Level::Customer] {
        let mut ledger = Ledger::new();
        let ask = |n, amount| {
            let ask = Ask::new(n, amount).on_card(3, None);
            ask.limited(level, trailing(WindowKind::Day, 100))
        };
        ledger.approve(&ask(1, 60));
        assert!(ledger.reason(&ask(2, 41)).is_some(), "{level:?}");
        ledger.approve(&ask(2, 40));
    }
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 60).on_card(3, None);
    ledger.approve(&ask.limited(Level::Agent, trailing(WindowKind::Day, 1)));
    assert_eq!(openings(&ledger), 0);
}

#[test]
fn rolling_limits_that_begin_together_have_each_their_own_sum() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 70));
    let both = ScopeLimits {
        rolling_day: Some(minor(1_000)),
        ..trailing(WindowKind::Week, 100)
    };
    let ask = |n, amount| {
        let ask = Ask::new(n, amount).later(3 * DAY);
        ask.limited(Level::Card, both)
    };
    let reason = ledger.reason(&ask(2, 31));
    assert_eq!(reason, Some(CardLimitExceeded));
    assert_eq!(ledger.reason(&ask(2, 30)), None);
    // The agent's sum is not that of its second card.
    let ask = |amount| {
        let ask = Ask::new(3, amount).on_card(2, Some(1)).later(DAY);
        let ask = ask.limited(Level::Card, trailing(WindowKind::Week, 1_000));
        ask.limited(Level::Agent, trailing(WindowKind::Week, 100))
    };
    assert_eq!(ledger.reason(&ask(31)), Some(AgentLimitExceeded));
    assert_eq!(ledger.reason(&ask(30)), None);
}

#[test]
fn an_amount_as_large_as_a_rolling_limit_is_told_when_there_is_room() {
    let mut ledger = Ledger::new();
    let ask = |n, amount| Ask::new(n, amount).limited(Level::Card, trailing(WindowKind::Day, 100));
    ledger.approve(&ask(1, 30));
    let explanation = ledger.decline(&ask(2, 100));
    let free = explanation.resets_at.unwrap().micros();
    assert_eq!(
        ledger.reason(&ask(3, 100).with(|it| it.at = free)),
        None,
        "{free}"
    );
}

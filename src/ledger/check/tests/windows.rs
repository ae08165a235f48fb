//! 2.13 e: a customer's zone that changes.

use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::DeclineReason::{CardLimitExceeded, CountLimitReached};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, WindowKind, ZoneTable};
use crate::ledger::check::harness::{Ask, Ledger, limits, minor};
use crate::ledger::event::{Event, events_of};

const HOUR: i64 = 3_600;
/// 2026-05-29T00:00:00Z, a Friday.
const FRIDAY: i64 = 1_780_012_800;

/// A question at this second in this zone, as `decide` makes its claims.
fn ask(n: u32, amount: i64, zone: &ZoneTable, second: i64) -> Ask {
    let (day, ends) = zone.windows_at(second);
    let (hour, hour_ends) = zone.hour_at(second);
    Ask::new(n, amount).with(|it| {
        it.at = second * 1_000_000;
        it.content = second.unsigned_abs();
        it.claims.day = day;
        it.claims.resets_at = ends.map(Timestamp::from_secs);
        it.hour = Some((hour.0, hour_ends));
    })
}

fn daily(ask: Ask) -> Ask {
    ask.limited(Level::Card, limits(Some(100), None))
}

fn zone(hours: i64) -> ZoneTable {
    ZoneTable::new(i32::try_from(hours * HOUR).unwrap(), [])
}

fn openings(ledger: &Ledger) -> usize {
    let events = ledger.frames.iter().flat_map(|(_, frame)| events_of(frame));
    let opens = |event: &Event<'_>| matches!(event, Event::WindowsOpened { .. });
    events
        .filter(|event| opens(event.as_ref().unwrap()))
        .count()
}

#[test]
fn d6_a_zone_that_moves_east_does_not_end_the_day_under_way() {
    let mut ledger = Ledger::new();
    let (utc, tokyo) = (ZoneTable::utc(), zone(9));
    // 16:00 in UTC, which is 01:00 of the next day in Tokyo.
    let four = FRIDAY + 16 * HOUR;
    ledger.approve(&daily(ask(1, 100, &utc, four)));
    let explanation = ledger.decline(&daily(ask(2, 1, &tokyo, four + 60)));
    assert_eq!(explanation.reason, CardLimitExceeded);
    // The day ends as it stood when it was opened, over restarts too.
    assert_eq!(
        explanation.resets_at,
        Some(Timestamp::from_secs(FRIDAY + 24 * HOUR))
    );
    ledger = ledger.recovered();
    assert!(
        ledger
            .reason(&daily(ask(2, 1, &tokyo, FRIDAY + 24 * HOUR - 1)))
            .is_some()
    );
    // Then the day is the new zone's, to the new zone's midnight.
    ledger.approve(&daily(ask(2, 100, &tokyo, FRIDAY + 24 * HOUR)));
    let explanation = ledger.decline(&daily(ask(3, 1, &tokyo, FRIDAY + 24 * HOUR)));
    let midnight = Timestamp::from_secs(FRIDAY + (24 + 15) * HOUR);
    assert_eq!(explanation.resets_at, Some(midnight));
    ledger.approve(&daily(ask(3, 100, &tokyo, FRIDAY + (24 + 15) * HOUR)));
}

#[test]
fn d6_a_zone_that_moves_west_lets_the_day_go_on() {
    let mut ledger = Ledger::new();
    let (tokyo, utc) = (zone(9), ZoneTable::utc());
    // 16:00 in UTC is Saturday in Tokyo.
    let four = FRIDAY + 16 * HOUR;
    ledger.approve(&daily(ask(1, 100, &tokyo, four)));
    for hours in [16, 24, 39, 47] {
        let second = FRIDAY + hours * HOUR + 59;
        let explanation = ledger.decline(&daily(ask(2, 1, &utc, second)));
        assert_eq!(explanation.reason, CardLimitExceeded, "{hours}");
    }
    ledger.approve(&daily(ask(2, 100, &utc, FRIDAY + 48 * HOUR)));
}

/// Weeks and months follow the days: on their last day none of them begins early.
#[test]
fn d6_weeks_and_months_do_not_begin_early_either() {
    // 2026-05-31 is a Sunday and the last of its month.
    let sunday = FRIDAY + 48 * HOUR;
    for kind in [WindowKind::Week, WindowKind::Month] {
        let mut limits = ScopeLimits::default();
        match kind {
            WindowKind::Week => limits.per_week = Some(minor(100)),
            WindowKind::Month | WindowKind::Day => limits.per_month = Some(minor(100)),
        }
        let limited = |ask: Ask| ask.limited(Level::Customer, limits);
        let mut ledger = Ledger::new();
        let late = sunday + 20 * HOUR;
        ledger.approve(&limited(ask(1, 100, &ZoneTable::utc(), late)));
        let explanation = ledger.decline(&limited(ask(2, 1, &zone(9), late)));
        let end = Timestamp::from_secs(sunday + 24 * HOUR);
        assert_eq!(explanation.resets_at, Some(end), "{kind:?}");
        ledger.approve(&limited(ask(2, 100, &zone(9), sunday + 24 * HOUR)));
    }
}

#[test]
fn d6_a_change_of_zone_gives_no_second_hour() {
    let mut ledger = Ledger::new();
    let hourly = |ask: Ask| {
        let limits = ScopeLimits {
            count_per_hour: Some(1),
            ..ScopeLimits::default()
        };
        ask.limited(Level::Agent, limits)
    };
    let (utc, kolkata) = (ZoneTable::utc(), ZoneTable::new(19_800, []));
    let noon = FRIDAY + 12 * HOUR;
    ledger.approve(&hourly(ask(1, 1, &utc, noon)));
    // In Kolkata an hour begins at half past.
    let half_past = noon + 1_800;
    let explanation = ledger.decline(&hourly(ask(2, 1, &kolkata, half_past)));
    assert_eq!(explanation.reason, CountLimitReached);
    assert_eq!(
        explanation.resets_at,
        Some(Timestamp::from_secs(noon + HOUR))
    );
    ledger.approve(&hourly(ask(2, 1, &kolkata, noon + HOUR)));
    let explanation = ledger.decline(&hourly(ask(3, 1, &kolkata, noon + HOUR)));
    assert_eq!(
        explanation.resets_at,
        Some(Timestamp::from_secs(half_past + HOUR))
    );
    ledger.approve(&hourly(ask(3, 1, &kolkata, half_past + HOUR)));
    // The day ends as it stood when it was opened, though Kolkata's is over sooner.
    let day_ends = Timestamp::from_secs(FRIDAY + 24 * HOUR);
    assert_eq!(ledger.state.day_ends, day_ends);
}

/// In Kolkata an hour begins at half past by the clock of universal time.
#[test]
fn an_approval_is_counted_in_the_hour_of_its_zone() {
    let mut ledger = Ledger::new();
    let hourly = |ask: Ask| {
        let limits = ScopeLimits {
            count_per_hour: Some(1),
            ..ScopeLimits::default()
        };
        ask.limited(Level::Agent, limits)
    };
    let kolkata = ZoneTable::new(19_800, []);
    let half_past = FRIDAY + 12 * HOUR + 1_800;
    ledger.approve(&hourly(ask(1, 1, &kolkata, half_past)));
    let (hour, _) = kolkata.hour_at(half_past);
    assert_eq!(ledger.agent(1).counters.count_of_hour(hour), 1);
    for second in [half_past + 1, half_past + HOUR - 1] {
        let explanation = ledger.decline(&hourly(ask(2, 1, &kolkata, second)));
        assert_eq!(explanation.reason, CountLimitReached);
        let ends = Timestamp::from_secs(half_past + HOUR);
        assert_eq!(explanation.resets_at, Some(ends));
    }
}

/// Hours of the same number that end at different times: the later end is told.
#[test]
fn d6_an_hour_that_was_opened_elsewhere_ends_as_it_stood_then() {
    let mut ledger = Ledger::new();
    let limits = ScopeLimits {
        count_per_hour: Some(1),
        ..ScopeLimits::default()
    };
    let hourly = |ask: Ask| ask.limited(Level::Agent, limits);
    let noon = FRIDAY + 12 * HOUR;
    ledger.approve(&hourly(ask(1, 1, &ZoneTable::utc(), noon)));
    let kolkata = ZoneTable::new(19_800, []);
    let explanation = ledger.decline(&hourly(ask(2, 1, &kolkata, noon + 600)));
    let ends = Timestamp::from_secs(noon + HOUR);
    assert_eq!(explanation.resets_at, Some(ends));
}

#[test]
fn d6_a_week_that_goes_on_over_a_day_that_waits_ends_with_the_week() {
    let mut ledger = Ledger::new();
    let limits = ScopeLimits {
        per_week: Some(minor(100)),
        ..ScopeLimits::default()
    };
    let weekly = |ask: Ask| ask.limited(Level::Customer, limits);
    let four = FRIDAY + 16 * HOUR;
    ledger.approve(&weekly(ask(1, 100, &ZoneTable::utc(), four)));
    let explanation = ledger.decline(&weekly(ask(2, 1, &zone(9), four)));
    // Monday in Tokyo.
    let monday = Timestamp::from_secs(FRIDAY + 3 * 24 * HOUR - 9 * HOUR);
    assert_eq!(explanation.resets_at, Some(monday));
}

#[test]
fn only_the_step_that_opens_a_day_says_when_it_ends() {
    let mut ledger = Ledger::new();
    let utc = ZoneTable::utc();
    ledger.decline(&ask(9, 1, &utc, FRIDAY).limited(Level::Card, limits(Some(0), None)));
    ledger.approve(&ask(8, 0, &utc, FRIDAY));
    assert_eq!(openings(&ledger), 0, "nothing was charged");
    for n in 1..20 {
        ledger.approve(&ask(n, 1, &utc, FRIDAY + i64::from(n) * HOUR));
    }
    assert_eq!(openings(&ledger), 1);
    ledger.approve(&ask(20, 1, &utc, FRIDAY + 24 * HOUR));
    assert_eq!(openings(&ledger), 2);
    assert_eq!(
        ledger.state.day_ends,
        Timestamp::from_secs(FRIDAY + 48 * HOUR)
    );
    assert_eq!(ledger.state.day, LocalDay(20_603));
}

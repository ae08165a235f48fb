//! Every zone of the IANA database at every change from 1970 to 2037: the compiled tables against
//! jiff's own civil arithmetic (hazards D3 to D5).
#![cfg(test)]

use countersign::decide::compile::compile_zone;
use countersign::domain::window::{LocalDay, WindowKind, ZoneTable};
use jiff::civil::{Date, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

const FIRST: Date = date(1970, 1, 1);

fn day_of(date: Date) -> i32 {
    (date - FIRST).get_days()
}

fn date_of(day: i32) -> Date {
    FIRST.checked_add(i64::from(day).days()).unwrap()
}

fn civil_day(zone: &TimeZone, second: i64) -> i32 {
    let instant = Timestamp::from_second(second).unwrap();
    day_of(zone.to_datetime(instant).date())
}

/// Seconds around a change at which a window could be mistaken.
const AROUND: [i64; 15] = [
    -90_000, -86_400, -3_601, -3_600, -1_800, -60, -1, 0, 1, 60, 1_800, 3_599, 3_600, 86_399,
    90_000,
];

struct Checked {
    zones: usize,
    changes: usize,
    starts: usize,
}

fn check_zone(zone: &TimeZone, table: &ZoneTable, name: &str, checked: &mut Checked) {
    let end = Timestamp::from_second(2_145_916_800).unwrap();
    let changes: Vec<i64> = zone
        .following(Timestamp::UNIX_EPOCH)
        .map(|change| change.timestamp())
        .take_while(|at| *at < end)
        .map(Timestamp::as_second)
        .collect();
    checked.zones += 1;
    checked.changes += changes.len();
    // A day that has begun does not end because the clock is set back over its midnight.
    let mut begun = i32::MIN;
    for (at, change) in changes.iter().enumerate() {
        let begun_before = begun;
        begun = begun.max(civil_day(zone, change - 1));
        let next = changes.get(at + 1).copied().unwrap_or(i64::MAX);
        for second in AROUND.map(|offset| change + offset) {
            let previous = at.checked_sub(1).and_then(|at| changes.get(at));
            if second < next && previous.is_none_or(|previous| second >= *previous) {
                let floor = if second < *change {
                    begun_before
                } else {
                    begun
                };
                let expected = LocalDay(civil_day(zone, second).max(floor));
                assert_eq!(table.day_at(second), expected, "{name} at {second}");
            }
        }
        let day = civil_day(zone, *change);
        for day in day - 1..=day + 2 {
            check_start(zone, table, name, day);
            checked.starts += 1;
        }
    }
}

/// jiff's start of a day: its first instant, or the end of the gap that swallowed its midnight.
fn check_start(zone: &TimeZone, table: &ZoneTable, name: &str, day: i32) {
    let start = date_of(day).to_zoned(zone.clone()).unwrap();
    let start = start.timestamp().as_second();
    assert_eq!(table.start_of(LocalDay(day)), start, "{name} day {day}");
    assert!(table.day_at(start) >= LocalDay(day), "{name} day {day}");
    assert!(table.day_at(start - 1) < LocalDay(day), "{name} day {day}");
}

#[test]
fn d4_every_zone_and_every_change_agree_with_civil_arithmetic() {
    let database = TimeZoneDatabase::bundled();
    let mut checked = Checked {
        zones: 0,
        changes: 0,
        starts: 0,
    };
    for name in database.available() {
        let zone = database.get(name.as_str()).unwrap();
        let table = compile_zone(name.as_str()).unwrap();
        check_zone(&zone, &table, name.as_str(), &mut checked);
        for second in (0..4_102_444_800).step_by(86_400 * 97) {
            assert!(
                table.day_at(second).0 >= civil_day(&zone, second),
                "{name:?}"
            );
        }
    }
    let Checked {
        zones,
        changes,
        starts,
    } = checked;
    println!("{zones} zones, {changes} changes, {starts} starts of days");
    assert!(zones > 590 && changes > 30_000, "{zones} {changes}");
}

#[test]
fn d4_zones_that_are_remembered_for_it() {
    let table = |name| compile_zone(name).unwrap();
    let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    // Samoa had no 2011-12-30.
    let apia = table("Pacific/Apia");
    let jump = second("2011-12-30T10:00:00Z");
    assert_eq!(apia.day_at(jump - 1), LocalDay(day_of(date(2011, 12, 29))));
    assert_eq!(apia.day_at(jump), LocalDay(day_of(date(2011, 12, 31))));
    // In Beirut summer time began at midnight: 2024-03-31 started at 01:00.
    let beirut = table("Asia/Beirut");
    let start = beirut.start_of(LocalDay(day_of(date(2024, 3, 31))));
    assert_eq!(start, second("2024-03-30T22:00:00Z"));
    // A day of 23 and one of 25 hours in New York.
    let new_york = table("America/New_York");
    let length = |day: Date| {
        let day = day_of(day);
        new_york.start_of(LocalDay(day + 1)) - new_york.start_of(LocalDay(day))
    };
    assert_eq!(length(date(2026, 3, 8)), 23 * 3_600);
    assert_eq!(length(date(2026, 11, 1)), 25 * 3_600);
    assert_eq!(length(date(2026, 11, 2)), 24 * 3_600);
}

#[test]
fn d5_weeks_and_months_are_those_of_the_calendar() {
    for day in 0..day_of(date(2100, 1, 1)) {
        let (today, tomorrow) = (date_of(day), date_of(day + 1));
        let changes = |kind: WindowKind| kind.id(LocalDay(day)) != kind.id(LocalDay(day + 1));
        let monday = tomorrow.weekday().to_monday_one_offset() == 1;
        assert_eq!(changes(WindowKind::Week), monday, "{today}");
        assert_eq!(changes(WindowKind::Month), tomorrow.day() == 1, "{today}");
        assert!(changes(WindowKind::Day));
    }
}

#[test]
fn names_that_are_no_zone_are_unknown() {
    for name in [
        "",
        "Mars/Base",
        "UTC+1",
        "+01:00",
        "../etc/passwd",
        "EST5EDT4",
        "America",
    ] {
        assert!(compile_zone(name).is_none(), "{name}");
    }
}

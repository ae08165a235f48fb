//! A calendar that is walked, quarter of an hour by quarter of an hour, over each zone's offsets.
//! Shares nothing with the engine's, which divides.

use std::sync::LazyLock;

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
const QUARTER: i64 = 15 * MINUTE;

/// 2027-11-20T00:00:00Z, a Saturday. The walk begins here; a year's end, a leap day and a change of
/// each zone follow.
const BASE: i64 = 1_826_668_800_000_000;
/// The engine's number of that day in UTC.
const BASE_DAY: i32 = 21_142;
const QUARTERS: usize = 300 * 96;

/// Where commands may happen: the walk begins before and goes on behind.
pub(crate) const FIRST: i64 = BASE + 10 * DAY;
pub(crate) const LAST: i64 = BASE + 200 * DAY;

/// A zone: the first offset in minutes, and one change, as days and minutes behind the base.
pub(crate) struct Zone {
    pub(crate) first: i64,
    pub(crate) change: Option<((i64, i64), i64)>,
}

const fn fixed(minutes: i64) -> Zone {
    Zone {
        first: minutes,
        change: None,
    }
}

pub(crate) const ZONES: [Zone; 7] = [
    fixed(0),
    fixed(9 * 60),
    fixed(-11 * 60),
    fixed(14 * 60),
    fixed(5 * 60 + 45),
    // Forward by an hour at one in the morning of a Sunday in March.
    Zone {
        first: 60,
        change: Some(((127, 60), 120)),
    },
    // Half an hour after its midnight, back over it.
    Zone {
        first: -4 * 60,
        change: Some(((40, 4 * 60 + 30), -5 * 60)),
    },
];

impl Zone {
    pub(crate) fn change_at(&self) -> Option<(i64, i64)> {
        let ((days, minutes), offset) = self.change?;
        Some((BASE + days * DAY + minutes * MINUTE, offset))
    }

    fn offset_at(&self, at: i64) -> i64 {
        match self.change_at() {
            Some((from, offset)) if from <= at => offset,
            _ => self.first,
        }
    }
}

/// A day: how many there were since the walk began, its week and its month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) index: i32,
    week: i32,
    month: i32,
}

impl Date {
    /// The engine's number of the day.
    pub(crate) fn number(self) -> i32 {
        BASE_DAY - 1 + self.index
    }

    /// Whether both lie in one day (0), week (1), month (2), or at all.
    pub(crate) fn is_with(self, other: Self, window: usize) -> bool {
        match window {
            0 => self.index == other.index,
            1 => self.week == other.week,
            2 => self.month == other.month,
            _ => true,
        }
    }
}

struct Walk {
    /// The day under way in each quarter of an hour; days that have begun do not return.
    dates: Vec<Date>,
    /// The number of the hour under way: that of the full hour of universal time that ends in it or
    /// with it begins.
    hours: Vec<i32>,
}

/// The days from the one before the base on, one after the other.
fn dates() -> Vec<Date> {
    let lengths = [30, 31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31];
    let (mut day_of_month, mut month, mut weekday, mut week) = (19, 0usize, 5, 0);
    let mut dates = Vec::new();
    for index in 0..310 {
        dates.push(Date {
            index,
            week,
            month: i32::try_from(month).unwrap(),
        });
        weekday += 1;
        if weekday == 8 {
            (weekday, week) = (1, week + 1);
        }
        day_of_month += 1;
        if day_of_month > lengths[month % 12] {
            (day_of_month, month) = (1, month + 1);
        }
    }
    dates
}

fn walk(zone: &Zone) -> Walk {
    let dates = dates();
    // Local quarters since the midnight that began the day before the base.
    let mut local = 96 + zone.first / 15;
    let mut offset = zone.first;
    let (mut date, mut hour) = (dates[0], 0);
    let mut walk = Walk {
        dates: Vec::new(),
        hours: Vec::new(),
    };
    for quarter in 0..QUARTERS {
        let at = BASE + i64::try_from(quarter).unwrap() * QUARTER;
        if zone.offset_at(at) != offset {
            local += (zone.offset_at(at) - offset) / 15;
            offset = zone.offset_at(at);
        }
        let mut left = local;
        let mut today = 0;
        while left >= 96 {
            left -= 96;
            today += 1;
        }
        date = date.max(dates[today]);
        let minutes_past = left % 4;
        if minutes_past == 0 || quarter == 0 {
            // The full hour of universal time at or after this quarter.
            hour = i32::try_from((at + HOUR - 1) / HOUR).unwrap();
        }
        walk.dates.push(date);
        walk.hours.push(hour);
        local += 1;
    }
    walk
}

static WALKS: LazyLock<Vec<Walk>> = LazyLock::new(|| ZONES.iter().map(walk).collect());

fn quarter(at: i64) -> usize {
    usize::try_from((at - BASE) / QUARTER).unwrap()
}

fn instant(quarter: usize) -> i64 {
    BASE + i64::try_from(quarter).unwrap() * QUARTER
}

/// The day under way in a zone.
pub(crate) fn date_at(zone: usize, at: i64) -> Date {
    WALKS[zone].dates[quarter(at)]
}

/// The hour under way in a zone.
pub(crate) fn hour_at(zone: usize, at: i64) -> i32 {
    WALKS[zone].hours[quarter(at)]
}

/// The first instant from `from` on at which the zone's day is no longer in this window of `date`.
pub(crate) fn date_ends(zone: usize, date: Date, window: usize, from: i64) -> i64 {
    let dates = &WALKS[zone].dates;
    let mut at = quarter(from);
    while dates[at] <= date || dates[at].is_with(date, window) {
        at += 1;
    }
    instant(at).max(from)
}

/// The first instant from `from` on at which the zone's hour is a later one.
pub(crate) fn hour_ends(zone: usize, hour: i32, from: i64) -> i64 {
    let hours = &WALKS[zone].hours;
    let mut at = quarter(from);
    while hours[at] <= hour {
        at += 1;
    }
    instant(at).max(from)
}

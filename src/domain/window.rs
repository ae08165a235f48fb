//! Calendar windows: which day, week and month of the customer's zone an instant falls in.
//!
//! A zone is compiled into a table of offsets (decide's `compile`), so that finding a window is
//! arithmetic on integers. Windows never reopen: where a zone sets its clock back over midnight,
//! the later day has begun already and goes on (behaviour 2.13 e).

use super::time::Timestamp;

/// Days since 1970-01-01 in the customer's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDay(pub i32);

/// Hours since 1970-01-01T00:00Z, begun where the zone's clock shows a full hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalHour(pub i32);

/// The spans that a calendar limit can cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// A month of the calendar.
    Month,
}

impl WindowKind {
    /// All kinds, shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The window of this kind that holds `day`. Ids of one kind grow with time.
    #[must_use]
    pub fn id(self, day: LocalDay) -> i32 {
        match self {
            Self::Day => day.0,
            Self::Week => day.0.saturating_add(3).div_euclid(7),
            Self::Month => month_of(day),
        }
    }

    /// The first day of the window after the one that holds `day`.
    #[must_use]
    pub fn next_start(self, day: LocalDay) -> LocalDay {
        match self {
            Self::Day => LocalDay(day.0.saturating_add(1)),
            Self::Week => LocalDay(
                self.id(day)
                    .saturating_add(1)
                    .saturating_mul(7)
                    .saturating_sub(3),
            ),
            Self::Month => first_of_month(month_of(day).saturating_add(1)),
        }
    }
}

/// Months since January of year 0 of the proleptic Gregorian calendar.
fn month_of(day: LocalDay) -> i32 {
    let (months, _) = month_and_day(i64::from(day.0));
    i32::try_from(months).unwrap_or(i32::MAX)
}

/// Months since January of year 0 of the proleptic Gregorian calendar, and the day of that month,
/// from one. Days count from 1970-01-01 and lie within a million years of it.
pub(super) fn month_and_day(day: i64) -> (i64, i64) {
    // Days are counted from 0000-03-01, in eras of 400 years, so that the leap day ends a year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era) * 12 + month_from_march + 2;
    (months, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

pub(super) fn first_of_month(month: i32) -> LocalDay {
    let from_march = i64::from(month) - 2;
    let year = from_march.div_euclid(12);
    let month_from_march = from_march.rem_euclid(12);
    let day_of_year = (153 * month_from_march + 2) / 5;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    LocalDay(i32::try_from(era * 146_097 + day_of_era - 719_468).unwrap_or(i32::MAX))
}

/// The windows that are open at one instant, by the clock of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The day under way; weeks and months follow from it.
    pub day: LocalDay,
    /// When the day, the week and the month under way end.
    pub resets_at: [Timestamp; 3],
    /// The hour under way.
    pub hour: LocalHour,
    /// When that hour ends.
    pub hour_resets_at: Timestamp,
}

/// One stretch of a zone in which the offset from UTC stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneSpan {
    /// First second of the stretch, since the epoch.
    pub from_s: i64,
    /// Seconds that the zone's clock is ahead of UTC.
    pub offset_s: i32,
    /// The latest day that had begun before this stretch; earlier days do not return.
    floor: LocalDay,
}

/// A part of one stretch, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First second, since the epoch.
    pub from_s: i64,
    /// The second behind the last one.
    pub until_s: i64,
    /// Seconds that the zone's clock is ahead of UTC.
    pub offset_s: i32,
}

/// A zone's offsets, in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneTable {
    spans: Vec<ZoneSpan>,
}

const DAY_S: i64 = 86_400;
const HOUR_S: i64 = 3_600;

impl ZoneTable {
    /// A zone with `first_offset_s` up to the first of `changes`, each a second since the epoch
    /// and the offset in force from then on. Changes are in order of time.
    #[must_use]
    pub fn new(first_offset_s: i32, changes: impl IntoIterator<Item = (i64, i32)>) -> Self {
        let first = ZoneSpan {
            from_s: i64::MIN,
            offset_s: first_offset_s,
            floor: LocalDay(i32::MIN),
        };
        let mut spans = vec![first];
        let mut last = first;
        for (from_s, offset_s) in changes {
            let floor = day_in(last, from_s.saturating_sub(1));
            last = ZoneSpan {
                from_s,
                offset_s,
                floor,
            };
            spans.push(last);
        }
        Self { spans }
    }

    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self::new(0, [])
    }

    /// The day that is under way at `second` since the epoch.
    #[must_use]
    pub fn day_at(&self, second: i64) -> LocalDay {
        let after = self.spans.partition_point(|span| span.from_s <= second);
        self.spans
            .get(after.saturating_sub(1))
            .map_or(LocalDay(i32::MIN), |span| day_in(*span, second))
    }

    /// The first second, since the epoch, at which `day` or a later one is under way.
    #[must_use]
    pub fn start_of(&self, day: LocalDay) -> i64 {
        let mut low = 0;
        let mut high = self.spans.len();
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.ends_before(middle, day) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        self.start_within(low, day)
    }

    /// The day that is under way at `second`, and the seconds at which the day, the week and the
    /// month end. As [`Self::day_at`] and [`Self::start_of`], with one search for all: windows end
    /// in the stretch of `second` or soon behind it.
    #[must_use]
    pub fn windows_at(&self, second: i64) -> (LocalDay, [i64; 3]) {
        let after = self.spans.partition_point(|span| span.from_s <= second);
        let current = after.saturating_sub(1);
        let day = self
            .spans
            .get(current)
            .map_or(LocalDay(i32::MIN), |span| day_in(*span, second));
        let ends = WindowKind::ALL.map(|kind| {
            let next = kind.next_start(day);
            let mut at = current;
            while self.ends_before(at, next) {
                at += 1;
            }
            self.start_within(at, next)
        });
        (day, ends)
    }

    /// The hour that is under way at `second`, and the second at which it ends. Hours are counted
    /// in universal time, so that a clock that is set back by whole hours repeats none.
    #[must_use]
    pub fn hour_at(&self, second: i64) -> (LocalHour, i64) {
        let after = self.spans.partition_point(|span| span.from_s <= second);
        let offset_s = self
            .spans
            .get(after.saturating_sub(1))
            .map_or(0, |span| i64::from(span.offset_s).rem_euclid(HOUR_S));
        let hour = second.saturating_add(offset_s).div_euclid(HOUR_S);
        let ends = hour
            .saturating_add(1)
            .saturating_mul(HOUR_S)
            .saturating_sub(offset_s);
        let bounded = hour.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        (LocalHour(i32::try_from(bounded).unwrap_or(i32::MAX)), ends)
    }

    /// The windows that are open at an instant.
    #[must_use]
    pub fn calendar_at(&self, at: Timestamp) -> Calendar {
        let (day, ends) = self.windows_at(at.secs());
        let (hour, hour_ends) = self.hour_at(at.secs());
        Calendar {
            day,
            resets_at: ends.map(Timestamp::from_secs),
            hour,
            hour_resets_at: Timestamp::from_secs(hour_ends),
        }
    }

    /// The stretches of constant offset from `second` on, the first cut to begin there.
    pub fn stretches_from(&self, second: i64) -> impl Iterator<Item = Stretch> + '_ {
        let after = self.spans.partition_point(|span| span.from_s <= second);
        let current = after.saturating_sub(1);
        let spans = self.spans.iter().enumerate().skip(current);
        spans.map(move |(at, span)| Stretch {
            from_s: span.from_s.max(second),
            until_s: self.spans.get(at + 1).map_or(i64::MAX, |next| next.from_s),
            offset_s: span.offset_s,
        })
    }

    /// What the zone's clock shows at `second`, as seconds since its 1970-01-01T00:00. Unlike days
    /// of windows, clocks are set back.
    #[must_use]
    pub fn clock_at(&self, second: i64) -> i64 {
        let after = self.spans.partition_point(|span| span.from_s <= second);
        let span = self.spans.get(after.saturating_sub(1));
        second.saturating_add(span.map_or(0, |span| i64::from(span.offset_s)))
    }

    /// Whether stretch `at` ends before `day` begins.
    fn ends_before(&self, at: usize, day: LocalDay) -> bool {
        match (self.spans.get(at), self.spans.get(at + 1)) {
            (Some(span), Some(next)) => day_in(*span, next.from_s - 1) < day,
            _ => false,
        }
    }

    /// The first second of `day` in stretch `at`, which does not end before it.
    fn start_within(&self, at: usize, day: LocalDay) -> i64 {
        self.spans.get(at).map_or(i64::MAX, |span| {
            let midnight = i64::from(day.0) * DAY_S - i64::from(span.offset_s);
            midnight.max(span.from_s)
        })
    }
}

fn day_in(span: ZoneSpan, second: i64) -> LocalDay {
    let local = second
        .saturating_add(i64::from(span.offset_s))
        .div_euclid(DAY_S);
    let bounded = local.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    LocalDay(i32::try_from(bounded).unwrap_or(i32::MAX)).max(span.floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday() {
        // 1970-01-01 was a Thursday; 1970-01-05 a Monday.
        assert_eq!(
            WindowKind::Week.id(LocalDay(3)),
            WindowKind::Week.id(LocalDay(0))
        );
        assert_eq!(
            WindowKind::Week.id(LocalDay(4)),
            WindowKind::Week.id(LocalDay(0)) + 1
        );
        assert_eq!(WindowKind::Week.next_start(LocalDay(0)), LocalDay(4));
        assert_eq!(WindowKind::Week.next_start(LocalDay(4)), LocalDay(11));
    }

    #[test]
    fn d5_months_end_where_the_calendar_says() {
        // 2024-02-28, 2024-02-29, 2024-03-01.
        let (last_but_one, leap, march) = (LocalDay(19_781), LocalDay(19_782), LocalDay(19_783));
        assert_eq!(
            WindowKind::Month.id(last_but_one),
            WindowKind::Month.id(leap)
        );
        assert_eq!(WindowKind::Month.id(leap) + 1, WindowKind::Month.id(march));
        assert_eq!(WindowKind::Month.next_start(last_but_one), march);
        for day in -800_000..800_000 {
            let (day, next) = (LocalDay(day), LocalDay(day + 1));
            let start = WindowKind::Month.next_start(day);
            assert!(start > day);
            assert_eq!(
                WindowKind::Month.id(next) > WindowKind::Month.id(day),
                start == next
            );
        }
    }

    #[test]
    fn d4_a_zone_that_sets_back_over_midnight_does_not_reopen_the_day() {
        // At local 00:01 of day 10 the clock goes back an hour to 23:01 of day 9.
        let change = 10 * DAY_S + 60;
        let zone = ZoneTable::new(0, [(change, -3600)]);
        assert_eq!(zone.day_at(10 * DAY_S - 1), LocalDay(9));
        for second in [
            10 * DAY_S,
            change - 1,
            change,
            change + 3_540,
            change + 3_600,
        ] {
            assert_eq!(zone.day_at(second), LocalDay(10), "{second}");
        }
        assert_eq!(zone.start_of(LocalDay(10)), 10 * DAY_S);
        assert_eq!(zone.start_of(LocalDay(11)), 11 * DAY_S + 3_600);
    }

    #[test]
    fn d4_a_zone_that_sets_back_at_midnight_begins_the_day_an_hour_later() {
        let midnight = 10 * DAY_S;
        let zone = ZoneTable::new(0, [(midnight, -3600)]);
        assert_eq!(zone.day_at(midnight), LocalDay(9));
        assert_eq!(zone.start_of(LocalDay(10)), midnight + 3_600);
        let (_, [day_ends, ..]) = zone.windows_at(midnight - 1);
        assert_eq!(day_ends, midnight + 3_600);
    }

    #[test]
    fn d4_a_zone_that_skips_a_day_starts_the_next_one_at_the_jump() {
        // Day 10 does not exist: at its midnight the clock goes forward 24 hours.
        let zone = ZoneTable::new(-36_000, [(10 * DAY_S + 36_000, 50_400)]);
        assert_eq!(zone.day_at(10 * DAY_S + 35_999), LocalDay(9));
        assert_eq!(zone.day_at(10 * DAY_S + 36_000), LocalDay(11));
        assert_eq!(zone.start_of(LocalDay(10)), 10 * DAY_S + 36_000);
        assert_eq!(zone.start_of(LocalDay(11)), 10 * DAY_S + 36_000);
    }

    #[test]
    fn hours_begin_where_the_zones_clock_shows_a_full_hour() {
        let kathmandu = ZoneTable::new(5 * 3_600 + 45 * 60, []);
        // 05:45 local at the epoch: the hour ends a quarter of an hour later.
        assert_eq!(kathmandu.hour_at(0), (LocalHour(0), 900));
        assert_eq!(kathmandu.hour_at(899), (LocalHour(0), 900));
        assert_eq!(kathmandu.hour_at(900), (LocalHour(1), 4_500));
        // A clock that is set back from 02:00 to 01:00 has two hours of that name.
        let change = 100 * HOUR_S;
        let berlin = ZoneTable::new(7_200, [(change, 3_600)]);
        assert_eq!(berlin.hour_at(change - 1).0, LocalHour(99));
        assert_eq!(berlin.hour_at(change).0, LocalHour(100));
        // Where clocks are set by half an hour, hours begin elsewhere from then on.
        let lord_howe = ZoneTable::new(39_600, [(change, 37_800)]);
        assert_eq!(lord_howe.hour_at(change - 1), (LocalHour(99), change));
        assert_eq!(lord_howe.hour_at(change), (LocalHour(100), change + 1_800));
    }

    #[test]
    fn stretches_join_and_begin_where_they_are_asked_for() {
        let zone = ZoneTable::new(3_600, [(1_000, 7_200), (2_000, 3_600)]);
        let stretch = |from_s, until_s, offset_s| Stretch {
            from_s,
            until_s,
            offset_s,
        };
        let from = |second| zone.stretches_from(second).collect::<Vec<_>>();
        let last = stretch(2_000, i64::MAX, 3_600);
        assert_eq!(
            from(999),
            [
                stretch(999, 1_000, 3_600),
                stretch(1_000, 2_000, 7_200),
                last
            ]
        );
        assert_eq!(from(1_000), [stretch(1_000, 2_000, 7_200), last]);
        assert_eq!(from(5_000), [stretch(5_000, i64::MAX, 3_600)]);
        assert_eq!(
            [999, 1_000, 2_000].map(|at| zone.clock_at(at)),
            [4_599, 8_200, 5_600]
        );
    }

    #[test]
    fn a_day_starts_where_it_is_first_under_way() {
        let zone = ZoneTable::new(3_600, [(1_000_000, 7_200), (2_000_000, 3_600)]);
        for day in 0..40 {
            let start = zone.start_of(LocalDay(day));
            assert!(zone.day_at(start) >= LocalDay(day));
            assert!(zone.day_at(start - 1) < LocalDay(day));
        }
    }
}

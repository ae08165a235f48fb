//! The hours at which purchases are allowed (behaviour 2.14 g).

use std::sync::Arc;

use crate::decide::compile::Zone;
use crate::domain::window::{Stretch, ZoneTable};

const DAY_S: i64 = 86_400;
/// How far ahead the next opening is looked for: a week, and a day that a zone may skip.
const AHEAD_S: i64 = 9 * DAY_S;

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(u8);

impl Days {
    /// From Monday to Sunday, as owners write them.
    pub const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// The days at these places of [`Self::NAMES`].
    #[must_use]
    pub fn of(places: impl IntoIterator<Item = u8>) -> Self {
        let bits = places
            .into_iter()
            .map(|place| 1_u8.checked_shl(u32::from(place)));
        Self(bits.fold(0, |days, bit| days | bit.unwrap_or(0)) & Self::ALL.0)
    }

    /// The names in the order of the week.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let places = (0_u8..).zip(Self::NAMES);
        places
            .filter(move |(place, _)| self.0 >> place & 1 == 1)
            .map(|(_, name)| name)
    }

    /// Whether the day, counted from 1970-01-01, a Thursday, is one of them.
    fn has(self, day: i64) -> bool {
        let place = day.saturating_add(3).rem_euclid(7);
        self.0 >> place & 1 == 1
    }
}

/// From one time of the day to another, on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActiveHours {
    /// The zone whose clock counts; the customer's where the owner named none.
    pub(super) zone: Option<Arc<Zone>>,
    pub(super) days: Days,
    /// Minutes since midnight, at most a whole day. Where `to` is earlier, the hours go on past
    /// midnight and belong to the day on which they began. The two differ.
    pub(super) from_minute: u16,
    pub(super) to_minute: u16,
}

impl ActiveHours {
    /// The name of the zone; absent where it is the customer's.
    #[must_use]
    pub fn zone_name(&self) -> Option<&str> {
        self.zone.as_deref().map(Zone::name)
    }

    /// The days on which the hours begin.
    #[must_use]
    pub fn days(&self) -> Days {
        self.days
    }

    /// The minutes of the day from which and up to which.
    #[must_use]
    pub fn minutes(&self) -> (u16, u16) {
        (self.from_minute, self.to_minute)
    }

    fn table<'s>(&'s self, of_customer: &'s ZoneTable) -> &'s ZoneTable {
        self.zone.as_deref().map_or(of_customer, Zone::table)
    }

    /// Whether a purchase at `second` since the epoch is in time.
    #[must_use]
    pub fn are_open(&self, of_customer: &ZoneTable, second: i64) -> bool {
        self.are_open_at_clock(self.table(of_customer).clock_at(second))
    }

    fn are_open_at_clock(&self, clock_s: i64) -> bool {
        let (day, of_day) = (clock_s.div_euclid(DAY_S), clock_s.rem_euclid(DAY_S));
        let (from, to) = (
            i64::from(self.from_minute) * 60,
            i64::from(self.to_minute) * 60,
        );
        if from < to {
            return self.days.has(day) && (from..to).contains(&of_day);
        }
        let since_today = of_day >= from && self.days.has(day);
        let since_yesterday = of_day < to && self.days.has(day.saturating_sub(1));
        since_today || since_yesterday
    }

    /// The first second at or after `second` at which the hours are open.
    #[must_use]
    pub fn next_opening(&self, of_customer: &ZoneTable, second: i64) -> Option<i64> {
        let end = second.saturating_add(AHEAD_S);
        let stretches = self.table(of_customer).stretches_from(second);
        stretches
            .take_while(|stretch| stretch.from_s < end)
            .find_map(|stretch| self.opening_within(stretch))
    }

    /// While the offset stays the same, hours open at their beginning or are open already.
    fn opening_within(&self, stretch: Stretch) -> Option<i64> {
        let offset_s = i64::from(stretch.offset_s);
        let clock_s = stretch.from_s.saturating_add(offset_s);
        if self.are_open_at_clock(clock_s) {
            return Some(stretch.from_s);
        }
        let today = clock_s.div_euclid(DAY_S);
        let begin = |day: i64| day * DAY_S + i64::from(self.from_minute) * 60 - offset_s;
        (today..=today.saturating_add(AHEAD_S / DAY_S))
            .filter(|day| self.days.has(*day))
            .map(begin)
            .find(|second| *second >= stretch.from_s)
            .filter(|second| *second < stretch.until_s)
    }
}

//! Which windows a step is charged to (behaviour 2.13 e).
//!
//! A window never reopens, and none ends before it would have ended in the zone in which it was
//! opened: a customer's zone that moves to the east begins the next day only when the day under way
//! is over, and one that moves to the west lets that day go on.

use crate::domain::claims::Claims;
use crate::domain::time::Timestamp;
use crate::domain::window::{Calendar, LocalDay, LocalHour, WindowKind};
use crate::ledger::counters::WindowIds;
use crate::ledger::state::State;

const HOUR_S: i64 = 3_600;

/// The windows that are open for one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// The day under way.
    pub(super) day: LocalDay,
    /// Its windows.
    pub(super) ids: WindowIds,
    /// The hour under way.
    pub(super) hour: LocalHour,
    /// The instant of the booking; bookings of one customer never go back.
    pub(super) at: Timestamp,
    /// Seconds by which that hour began before the full hour of universal time.
    hour_offset_s: u16,
}

impl Windows {
    pub(super) fn new(state: &State, now: &Calendar, at: Timestamp) -> Self {
        let begins = |is_later: bool, ends: Timestamp| is_later && at >= ends;
        let day = if begins(now.day > state.day, state.day_ends) {
            now.day
        } else {
            state.day
        };
        let hour_is_new = begins(now.hour > state.hour, hour_ends(state));
        let (hour, hour_offset_s) = if hour_is_new {
            (now.hour, offset_of(now))
        } else {
            (state.hour, state.hour_offset_s)
        };
        Self {
            day,
            ids: WindowIds::of(day),
            hour,
            at: at.max(state.latest),
            hour_offset_s,
        }
    }

    /// What the state must be told before the step is booked: when a day that opens will end, and
    /// how hours lie where that changes. Absent for nearly every step.
    pub(super) fn opened(
        &self,
        state: &State,
        now: &Calendar,
    ) -> Option<(LocalDay, Timestamp, u16)> {
        let [day_ends, ..] = now.resets_at;
        let tells = self.day > state.day || self.hour_offset_s != state.hour_offset_s;
        tells.then_some((self.day, day_ends, self.hour_offset_s))
    }

    /// When the window of this kind ends; absent where the clock or the zone went back, so that
    /// nobody knows.
    pub(super) fn resets_at(
        &self,
        kind: WindowKind,
        state: &State,
        claims: &Claims,
    ) -> Option<Timestamp> {
        let ends = *claims.resets_at.get(kind as usize)?;
        let at_least = if self.day == state.day {
            state.day_ends
        } else {
            Timestamp::from_micros(i64::MIN)
        };
        match self.day.cmp(&claims.day) {
            std::cmp::Ordering::Equal => Some(ends.max(at_least)),
            // The next day waits until this one has ended.
            std::cmp::Ordering::Less if kind.id(self.day) == kind.id(claims.day) => {
                Some(ends.max(at_least))
            }
            std::cmp::Ordering::Less => Some(at_least),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// When the hour ends, likewise.
    pub(super) fn hour_resets_at(&self, state: &State, claims: &Claims) -> Option<Timestamp> {
        let is_open = self.hour == state.hour;
        match self.hour.cmp(&claims.hour) {
            std::cmp::Ordering::Equal if is_open => {
                Some(claims.hour_resets_at.max(hour_ends(state)))
            }
            std::cmp::Ordering::Equal => Some(claims.hour_resets_at),
            std::cmp::Ordering::Less => Some(hour_ends(state)),
            std::cmp::Ordering::Greater => None,
        }
    }
}

fn hour_ends(state: &State) -> Timestamp {
    resets_at(state.hour, state.hour_offset_s)
}

/// When an hour ends that began so many seconds before the full hour of universal time.
pub(super) fn resets_at(hour: LocalHour, offset_s: u16) -> Timestamp {
    let next = i64::from(hour.0).saturating_add(1);
    let offset = i64::from(offset_s);
    Timestamp::from_secs(next.saturating_mul(HOUR_S).saturating_sub(offset))
}

/// By how many seconds the hour under way began before the full hour of universal time.
pub(super) fn offset_of(now: &Calendar) -> u16 {
    let next = i64::from(now.hour.0).saturating_add(1);
    let full = next.saturating_mul(HOUR_S);
    let offset = full.saturating_sub(now.hour_resets_at.secs());
    u16::try_from(offset.rem_euclid(HOUR_S)).unwrap_or_default()
}

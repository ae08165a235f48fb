//! How our time runs beside the monotonic clock: straight, with bends that are known before they
//! come. All numbers are microseconds. Pure.

/// Parts in a million.
const MILLION: i64 = 1_000_000;

/// From an instant of the monotonic clock on, a correction is worked off at a bounded rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// On the monotonic clock.
    pub(super) from: i64,
    /// Our time there.
    pub(super) time: i64,
    /// What is to be added to it.
    pub(super) correction: i64,
    /// At most so many microseconds in each second.
    pub(super) ppm: i64,
}

impl Line {
    pub(super) fn at(&self, monotonic: i64) -> i64 {
        let passed = monotonic.saturating_sub(self.from);
        self.time
            .saturating_add(passed)
            .saturating_add(self.worked_off(passed))
    }

    fn worked_off(&self, passed: i64) -> i64 {
        if self.correction == 0 {
            return 0;
        }
        let most = passed.max(0).saturating_mul(self.ppm) / MILLION;
        self.correction.clamp(-most, most)
    }

    /// What is not worked off yet.
    pub(super) fn left(&self, monotonic: i64) -> i64 {
        let passed = monotonic.saturating_sub(self.from);
        self.correction.saturating_sub(self.worked_off(passed))
    }
}

/// A line, and the one that takes its place at its beginning. It never runs backwards: lines meet
/// where one takes the place of the other, or the later one is ahead there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) before: Line,
    pub(super) after: Line,
}

impl Course {
    /// Straight on from here.
    pub(super) fn straight(monotonic: i64, time: i64) -> Self {
        let line = Line {
            from: monotonic,
            time,
            ..Line::default()
        };
        Self {
            before: line,
            after: line,
        }
    }

    pub(super) fn at(&self, monotonic: i64) -> i64 {
        if monotonic < self.after.from {
            self.before.at(monotonic)
        } else {
            self.after.at(monotonic)
        }
    }
}

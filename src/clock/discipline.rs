//! Our time held against the wall clock: small differences are worked off, a large one is an
//! operator's business. Pure: readings go in, a course comes out.
//!
//! The wall clock is believed when it drifts and doubted when it steps, because a wrong day gives a
//! second allowance. What this costs: after a step nothing is approved until the wall clock is back or
//! somebody has said that it is right. Our time never runs backwards: one that is found to be ahead
//! is made slower, and where that would take too long only a new start helps.

use super::course::{Course, Line};

/// A difference above this is a step.
const STEP_US: i64 = 2_000_000;
/// How fast a small difference is worked off: what a clock's discipline in a kernel does at most.
const DRIFT_PPM: i64 = 500;
/// How fast our time falls back once an operator has said that it is ahead. Deadlines are longer by as
/// much meanwhile, which is less than what is kept of them for the way out.
const BACK_PPM: i64 = 50_000;
/// More would take more than 100 minutes, and signatures are checked against our time meanwhile.
const BACK_US_MAX: i64 = 300_000_000;
/// Our time has fallen back far enough for the small rate.
const BACK_ENOUGH_US: i64 = 10_000;
/// Between the making of a bend and its beginning, so that nobody has read past it.
const LEAD_US: i64 = 500_000;

/// How our time stands to the wall clock, which is ahead of it by `offset_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Together, or on the way there.
    InStep {
        /// In microseconds.
        offset_us: i64,
    },
    /// The wall clock has made a step, and nobody has said that it is right.
    Stepped {
        /// In microseconds.
        offset_us: i64,
    },
}

/// Why a wall clock cannot be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConfirmed {
    /// It has made no step.
    InStep,
    /// It is so far behind that the process has to be started again.
    TooFarBehind,
}

#[derive(Debug)]
pub(super) struct Discipline {
    course: Course,
    /// What the wall clock is ahead, where it has made a step.
    stepped: Option<i64>,
    /// Of the step that an operator has confirmed and that is not acted on yet.
    confirmed: Option<i64>,
    /// Whether our time falls back to a wall clock that was confirmed.
    falls_back: bool,
}

impl Discipline {
    pub(super) fn new(monotonic: i64, wall: i64) -> Self {
        Self {
            course: Course::straight(monotonic, wall),
            stepped: None,
            confirmed: None,
            falls_back: false,
        }
    }

    pub(super) fn course(&self) -> Course {
        self.course
    }

    /// Compares both clocks, and bends our course to the wall's where they differ a little. To be
    /// called about once a second.
    pub(super) fn check(&mut self, monotonic: i64, wall: i64) -> Standing {
        let offset_us = wall.saturating_sub(self.course.after.at(monotonic));
        let may_bend = monotonic >= self.course.after.from;
        if may_bend && let Some(confirmed) = self.confirmed.take() {
            // Somebody confirmed what he saw, not what came after.
            if is_small(offset_us.saturating_sub(confirmed)) {
                self.act_on_confirmation(monotonic, offset_us);
                return Standing::InStep { offset_us };
            }
        }
        let unexpected = if self.falls_back {
            offset_us.saturating_sub(self.course.after.left(monotonic))
        } else {
            offset_us
        };
        if !is_small(unexpected) {
            self.stepped = Some(offset_us);
            self.falls_back = false;
            if may_bend {
                self.bend(monotonic, 0, DRIFT_PPM);
            }
            return Standing::Stepped { offset_us };
        }
        self.stepped = None;
        self.confirmed = None;
        self.falls_back &= offset_us < -BACK_ENOUGH_US;
        if may_bend {
            let ppm = if self.falls_back { BACK_PPM } else { DRIFT_PPM };
            self.bend(monotonic, offset_us, ppm);
        }
        Standing::InStep { offset_us }
    }

    /// An operator says that the wall clock is right. The next check acts on it.
    pub(super) fn confirm(&mut self) -> Result<Standing, NotConfirmed> {
        let offset_us = self.stepped.ok_or(NotConfirmed::InStep)?;
        if offset_us < -BACK_US_MAX {
            return Err(NotConfirmed::TooFarBehind);
        }
        self.confirmed = Some(offset_us);
        Ok(Standing::Stepped { offset_us })
    }

    /// Both clocks have been moved forward.
    pub(super) fn advance(&mut self, monotonic: i64, by_us: i64) {
        let left = self.course.after.left(monotonic);
        let ppm = self.course.after.ppm;
        self.bend(monotonic, left, ppm);
        let ahead = &mut self.course.after.time;
        *ahead = ahead.saturating_add(by_us);
    }

    fn act_on_confirmation(&mut self, monotonic: i64, offset_us: i64) {
        self.stepped = None;
        self.falls_back = offset_us < 0;
        if self.falls_back {
            self.bend(monotonic, offset_us, BACK_PPM);
        } else {
            self.bend(monotonic, 0, DRIFT_PPM);
            let ahead = &mut self.course.after.time;
            *ahead = ahead.saturating_add(offset_us);
        }
    }

    fn bend(&mut self, monotonic: i64, correction: i64, ppm: i64) {
        let before = self.course.after;
        let from = monotonic.saturating_add(LEAD_US);
        let after = Line {
            from,
            time: before.at(from),
            correction,
            ppm,
        };
        self.course = Course { before, after };
    }
}

fn is_small(offset_us: i64) -> bool {
    offset_us.unsigned_abs() <= STEP_US.unsigned_abs()
}

#[cfg(test)]
mod tests;

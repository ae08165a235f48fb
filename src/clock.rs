//! The only clock.
//!
//! Time is the wall clock at start plus what the monotonic clock has counted since, so that a step
//! of the wall clock moves neither deadlines nor windows while the process runs. Somebody has to
//! [check](Clock::check) it against the wall clock once a second: `discipline` then bends its course
//! where the two have drifted apart, and says so where the wall clock has made a step.

mod course;
mod discipline;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;
use course::{Course, Line};
use discipline::Discipline;
pub use discipline::{NotConfirmed, Standing};

/// Courses that are kept: whoever reads one while it is made anew would have to sleep through as many
/// checks, and notices it.
const KEPT: usize = 4;

/// Reads time. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    shared: &'static Shared,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// The number of the course in force; it stands at this number modulo [`KEPT`].
    latest: AtomicUsize,
    courses: [Stored; KEPT],
    discipline: Mutex<Discipline>,
    /// What a sandbox has moved the wall clock forward, in microseconds; changed under the lock of
    /// the discipline.
    ahead: AtomicI64,
}

impl Clock {
    /// A clock that starts at the wall clock's present reading. It lives as long as the process.
    #[must_use]
    pub fn start() -> Self {
        Self::start_ahead(0)
    }

    /// A clock for which the wall clock is so many microseconds later than it says: for trying
    /// things with a sandbox.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads time"
    )]
    pub fn start_ahead(ahead_us: i64) -> Self {
        let (start, wall) = (Instant::now(), wall().saturating_add(ahead_us));
        let discipline = Discipline::new(0, wall);
        let course = discipline.course();
        let shared = Shared {
            start,
            latest: AtomicUsize::new(0),
            courses: [(); KEPT].map(|()| Stored::new(course)),
            discipline: Mutex::new(discipline),
            ahead: AtomicI64::new(ahead_us),
        };
        Self {
            shared: Box::leak(Box::new(shared)),
        }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let course = self.shared.course();
        Timestamp::from_micros(course.at(self.shared.monotonic()))
    }

    /// Holds our time against the wall clock. To be called about once a second, by one thread.
    #[must_use]
    pub fn check(&self) -> Standing {
        let mut discipline = self.shared.discipline();
        let wall = wall().saturating_add(self.shared.ahead.load(Ordering::Relaxed));
        let standing = discipline.check(self.shared.monotonic(), wall);
        self.shared.publish(discipline.course());
        standing
    }

    /// Moves our time and the wall clock forward together, half a second from now. Only a sandbox does
    /// that, to see what time brings.
    pub fn advance(&self, by_s: u32) {
        let by_us = i64::from(by_s).saturating_mul(1_000_000);
        let mut discipline = self.shared.discipline();
        let ahead = self.shared.ahead.load(Ordering::Relaxed);
        self.shared
            .ahead
            .store(ahead.saturating_add(by_us), Ordering::Relaxed);
        discipline.advance(self.shared.monotonic(), by_us);
        self.shared.publish(discipline.course());
    }

    /// An operator says that the wall clock is right; the next check acts on it. What the step was.
    ///
    /// # Errors
    /// [`NotConfirmed`] where there is nothing to confirm, or only a new start helps.
    pub fn confirm(&self) -> Result<Standing, NotConfirmed> {
        self.shared.discipline().confirm()
    }
}

impl Shared {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads time"
    )]
    fn monotonic(&self) -> i64 {
        let elapsed = Instant::now().saturating_duration_since(self.start);
        i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
    }

    fn discipline(&self) -> MutexGuard<'_, Discipline> {
        self.discipline
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The course in force, without a lock.
    fn course(&self) -> Course {
        loop {
            let number = self.latest.load(Ordering::Acquire);
            let Some(stored) = self.courses.get(number % KEPT) else {
                continue;
            };
            let course = stored.load();
            fence(Ordering::Acquire);
            let latest = self.latest.load(Ordering::Relaxed);
            if latest.wrapping_sub(number) < KEPT - 1 {
                return course;
            }
        }
    }

    /// Under the lock of the discipline.
    fn publish(&self, course: Course) {
        let number = self.latest.load(Ordering::Relaxed).wrapping_add(1);
        // Whoever sees a part of this course sees that the one before it is in force.
        fence(Ordering::Release);
        if let Some(stored) = self.courses.get(number % KEPT) {
            stored.store(course);
        }
        self.latest.store(number, Ordering::Release);
    }
}

/// A course in numbers that can be read and written at a time.
#[derive(Debug)]
struct Stored([AtomicI64; 8]);

impl Stored {
    fn new(course: Course) -> Self {
        let stored = Self([const { AtomicI64::new(0) }; 8]);
        stored.store(course);
        stored
    }

    fn store(&self, course: Course) {
        let Course { before, after } = course;
        let numbers = [before, after].map(|line| [line.from, line.time, line.correction, line.ppm]);
        for (stored, number) in self.0.iter().zip(numbers.into_iter().flatten()) {
            stored.store(number, Ordering::Relaxed);
        }
    }

    fn load(&self) -> Course {
        let [from, time, correction, ppm, rest @ ..] = self
            .0
            .each_ref()
            .map(|number| number.load(Ordering::Relaxed));
        let before = Line {
            from,
            time,
            correction,
            ppm,
        };
        let [from, time, correction, ppm] = rest;
        let after = Line {
            from,
            time,
            correction,
            ppm,
        };
        Course { before, after }
    }
}

/// The wall clock, in microseconds since the epoch; before it, the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads time"
)]
fn wall() -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_agree_and_checks_disturb_nobody() {
        let clock = Clock::start();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    let mut last = clock.now();
                    for _ in 0..200_000 {
                        let now = clock.now();
                        assert!(now >= last);
                        assert!(now.micros_since(last) < 60_000_000, "torn");
                        last = now;
                    }
                });
            }
            for _ in 0..20_000 {
                let standing = clock.check();
                assert!(matches!(standing, Standing::InStep { .. }), "{standing:?}");
            }
        });
        assert_eq!(clock.confirm(), Err(NotConfirmed::InStep));
    }

    #[test]
    fn a_clock_that_was_moved_forward_is_in_step_there() {
        let (plain, moved) = (Clock::start(), Clock::start());
        moved.advance(36 * 3_600);
        // As the moving takes force after half a second, somebody has to look at it until then.
        while moved.now().micros_since(plain.now()) < 129_000_000_000 {
            std::thread::yield_now();
        }
        let ahead = moved.now().micros_since(plain.now());
        assert!((129_600_000_000 - 1_000_000..129_600_000_000 + 1_000_000).contains(&ahead));
        assert!(
            matches!(moved.check(), Standing::InStep { offset_us } if offset_us.abs() < 1_000_000)
        );
        let ahead = Clock::start_ahead(129_600_000_000);
        assert!(ahead.now().micros_since(moved.now()).abs() < 1_000_000);
        assert!(matches!(ahead.check(), Standing::InStep { .. }));
    }
}

//! The only clock.
//!
//! Time is the wall clock at start plus what the monotonic clock has counted since, so that a step
//! of the wall clock moves neither deadlines nor windows while the process runs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Reads time. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_at_start: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that starts at the wall clock's present reading.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads time"
    )]
    pub fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        Self {
            wall_at_start: Timestamp::from_micros(micros),
            start: Instant::now(),
        }
    }

    /// The present instant.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads time"
    )]
    pub fn now(&self) -> Timestamp {
        let elapsed = Instant::now().saturating_duration_since(self.start);
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.wall_at_start.plus_micros(micros)
    }
}

//! Whether a hot thread was away: suspended with its machine, stopped, or starved.
//!
//! A request that is read right after may have waited all that time in the kernel, which does not
//! say since when. It counts as arrived when the thread was last seen at work, so that it is late
//! if the absence was longer than its deadline. The cost: what really arrives in the moment after a
//! long absence is declined with the rest. Time in which the monotonic clock stands still, as in
//! some suspended virtual machines, is not seen.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// Between two beats of a thread that is at work or idle.
const BEAT: Duration = Duration::from_millis(10);
/// Beats further apart than this are an absence.
const ABSENCE_US: i64 = 40_000;
/// After an absence: what was waiting has been read by then.
const AFTERMATH_US: i64 = 100_000;

/// Beats on one hot thread.
pub(super) struct Pulse {
    clock: Clock,
    last: Cell<Timestamp>,
    away_since: Cell<Timestamp>,
    away_until: Cell<Timestamp>,
}

impl Pulse {
    pub(super) fn new(clock: Clock) -> Self {
        let now = clock.now();
        Self {
            clock,
            last: Cell::new(now),
            away_since: Cell::new(now),
            away_until: Cell::new(now),
        }
    }

    /// Beats for ever.
    pub(super) async fn beat(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            let now = self.clock.now();
            self.notice_absence(now);
            self.last.set(now);
        }
    }

    /// When a request that is read now must be taken to have arrived.
    pub(super) fn arrival(&self) -> Timestamp {
        self.arrival_at(self.clock.now())
    }

    fn arrival_at(&self, now: Timestamp) -> Timestamp {
        self.notice_absence(now);
        if now < self.away_until.get() {
            self.away_since.get()
        } else {
            now
        }
    }

    fn notice_absence(&self, now: Timestamp) {
        let last = self.last.get();
        if now.micros_since(last) > ABSENCE_US {
            self.away_since.set(last);
            self.away_until.set(now.plus_micros(AFTERMATH_US));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d7_what_is_read_after_an_absence_arrived_before_it() {
        let pulse = Pulse::new(Clock::start());
        let start = pulse.last.get();
        let at = |millis: i64| start.plus_micros(millis * 1_000);
        assert_eq!(pulse.arrival_at(at(0)), at(0));
        assert_eq!(pulse.arrival_at(at(40)), at(40), "an ordinary delay");
        pulse.last.set(at(40));
        // Away for two seconds; requests are read before the first beat, and after it.
        assert_eq!(pulse.arrival_at(at(2_040)), at(40));
        pulse.last.set(at(2_041));
        assert_eq!(pulse.arrival_at(at(2_080)), at(40));
        pulse.last.set(at(2_120));
        assert_eq!(pulse.arrival_at(at(2_139)), at(40));
        assert_eq!(pulse.arrival_at(at(2_140)), at(2_140), "back to normal");
    }
}

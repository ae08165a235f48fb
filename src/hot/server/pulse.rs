//! Whether a hot thread was away, and how far behind it is.
//!
//! Away: suspended with its machine, stopped, or starved. A request that is read right after may have
//! waited all that time in the kernel, which does not say since when. It counts as arrived when the
//! thread was last seen at work, so that it is late if the absence was longer than its deadline. The
//! cost: what really arrives in the moment after a long absence is declined with the rest. Time in
//! which the monotonic clock stands still, as in some suspended virtual machines, is not seen.
//!
//! Behind: a beat that comes late was waiting for its turn like everything else, so its lateness is
//! what whoever asks for a turn now has to expect.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// Between two beats of a thread that is at work or idle.
const BEAT: Duration = Duration::from_millis(10);
const BEAT_US: i64 = 10_000;
/// Timers are a millisecond coarse.
const COARSE_US: i64 = 2_000;
/// Signs of life further apart than this are an absence.
const ABSENCE_US: i64 = 40_000;
/// After an absence: what was waiting has been read by then.
const AFTERMATH_US: i64 = 100_000;

/// Beats on one hot thread.
pub(super) struct Pulse {
    clock: Clock,
    alive: Cell<Timestamp>,
    away_since: Cell<Timestamp>,
    away_until: Cell<Timestamp>,
    beat_due: Cell<Timestamp>,
    behind_us: Cell<i64>,
}

impl Pulse {
    pub(super) fn new(clock: Clock) -> Self {
        let now = clock.now();
        Self {
            clock,
            alive: Cell::new(now),
            away_since: Cell::new(now),
            away_until: Cell::new(now),
            beat_due: Cell::new(now.plus_micros(BEAT_US)),
            behind_us: Cell::new(0),
        }
    }

    /// Beats for ever.
    pub(super) async fn beat(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            self.beat_at(self.clock.now());
        }
    }

    fn beat_at(&self, now: Timestamp) {
        self.is_alive(now);
        self.behind_us.set(self.overdue_us(now));
        self.beat_due.set(now.plus_micros(BEAT_US));
    }

    fn overdue_us(&self, now: Timestamp) -> i64 {
        (now.micros_since(self.beat_due.get()) - COARSE_US).max(0)
    }

    /// How long whoever asks for a turn now will wait for it, in microseconds.
    pub(super) fn behind_us(&self, now: Timestamp) -> i64 {
        self.behind_us.get().max(self.overdue_us(now))
    }

    /// When a request must be taken to have arrived whose bytes the runtime saw at `seen`.
    pub(super) fn arrival(&self, seen: Timestamp) -> Timestamp {
        self.is_alive(seen);
        let away = self.away_since.get()..self.away_until.get();
        if away.contains(&seen) {
            away.start
        } else {
            seen
        }
    }

    /// A sign of life of the thread.
    pub(super) fn is_alive(&self, at: Timestamp) {
        let last = self.alive.get();
        if at.micros_since(last) > ABSENCE_US {
            self.away_since.set(last);
            self.away_until.set(at.plus_micros(AFTERMATH_US));
        }
        self.alive.set(last.max(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> (Pulse, impl Fn(i64) -> Timestamp) {
        let pulse = Pulse::new(Clock::start());
        let start = pulse.alive.get();
        (pulse, move |millis: i64| start.plus_micros(millis * 1_000))
    }

    #[test]
    fn d7_what_is_read_after_an_absence_arrived_before_it() {
        let (pulse, at) = pulse();
        assert_eq!(pulse.arrival(at(0)), at(0));
        assert_eq!(pulse.arrival(at(40)), at(40), "an ordinary delay");
        // Away for two seconds; requests are read before the first beat, and after it.
        assert_eq!(pulse.arrival(at(2_041)), at(40));
        pulse.beat_at(at(2_042));
        assert_eq!(pulse.arrival(at(2_080)), at(40));
        pulse.beat_at(at(2_120));
        assert_eq!(pulse.arrival(at(2_140)), at(40));
        assert_eq!(pulse.arrival(at(2_141)), at(2_141), "back to normal");
    }

    #[test]
    fn d7_what_was_seen_before_an_absence_arrived_when_it_was_seen() {
        let (pulse, at) = pulse();
        pulse.is_alive(at(30));
        pulse.is_alive(at(2_030));
        // Waited for its turn while the thread was away.
        assert_eq!(pulse.arrival(at(25)), at(25));
        assert_eq!(pulse.arrival(at(2_031)), at(30));
    }

    #[test]
    fn a_thread_that_works_through_a_long_queue_is_not_away() {
        let (pulse, at) = pulse();
        for millis in (5..500).step_by(5) {
            pulse.is_alive(at(millis));
        }
        assert_eq!(pulse.arrival(at(500)), at(500));
    }

    #[test]
    fn g2_a_beat_that_is_late_tells_how_far_the_thread_is_behind() {
        let (pulse, at) = pulse();
        assert_eq!(pulse.behind_us(at(12)), 0, "timers are coarse");
        assert_eq!(pulse.behind_us(at(62)), 50_000, "not even there yet");
        pulse.beat_at(at(92));
        assert_eq!(pulse.behind_us(at(92)), 80_000);
        pulse.beat_at(at(103));
        assert_eq!(pulse.behind_us(at(104)), 0, "caught up");
    }
}

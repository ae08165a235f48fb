//! How many connections there are, and how fast they may come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::time::Timestamp;

/// Between two connections that are accepted, in the long run: 4 000 a second. An accept and the
/// close that follows take about 60 µs of the machine, so that a crowd at the door takes a quarter of
/// a core and no more; connections that are kept do not notice it.
const ACCEPT_EVERY_US: i64 = 250;
/// As many may come at once, and are taken as fast as can be: what waits to be accepted may hold a
/// request already, whose time runs.
const BURST: i64 = 4_096;

/// The connections of the process.
#[derive(Debug)]
pub(super) struct Seats {
    taken: AtomicUsize,
    max: usize,
}

impl Seats {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let taken = AtomicUsize::new(0);
        Arc::new(Self { taken, max })
    }

    /// Takes a seat, or stands beside them where all are taken.
    pub(super) fn take(self: &Arc<Self>) -> Seat {
        let before = self.taken.fetch_add(1, Ordering::AcqRel);
        Seat {
            seats: Arc::clone(self),
            is_beyond: before >= self.max,
        }
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    is_beyond: bool,
}

impl Seat {
    /// Whether there were enough without this one.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How fast connections are accepted.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the one after the last would have been due, had they come one by one.
    due: Timestamp,
}

impl Pace {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { due: now }
    }

    /// Notes that one was accepted; how long to wait before the next, in microseconds.
    pub(super) fn accepted(&mut self, now: Timestamp) -> i64 {
        self.due = self.due.max(now).plus_micros(ACCEPT_EVERY_US);
        let ahead = self.due.micros_since(now) - BURST * ACCEPT_EVERY_US;
        ahead.max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_and_come_back() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take(), seats.take());
        assert!(!first.is_beyond() && !second.is_beyond());
        let third = seats.take();
        assert!(third.is_beyond());
        drop(first);
        assert!(seats.take().is_beyond(), "the third is still there");
        drop(third);
        assert!(!seats.take().is_beyond());
    }

    #[test]
    fn g3_a_burst_is_let_in_and_then_one_at_a_time() {
        let start = Timestamp::from_secs(1_000);
        let mut pace = Pace::new(start);
        let burst = (0..10_000)
            .take_while(|_| pace.accepted(start) == 0)
            .count();
        assert_eq!(burst, 4_096);
        // Two more at once: each waits for its own time.
        assert_eq!(pace.accepted(start), 2 * ACCEPT_EVERY_US);
        // After two seconds of quiet there is room for a burst again.
        let later = start.plus_micros(2_000_000);
        let burst = (0..10_000)
            .take_while(|_| pace.accepted(later) == 0)
            .count();
        assert_eq!(burst, 4_096);
    }
}

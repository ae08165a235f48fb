//! When bytes came in: the moment at which the runtime learned of them, not the later one at which
//! the connection had its turn.
//!
//! Under load a connection waits for its turn behind all others that are ready, and that wait is
//! part of the request's budget. The runtime asks the kernel at least every 61 turns, so the moment
//! is right to about a millisecond. What it does not see is a wait before that: the thread's
//! absence, which the pulse sees, and a connection that nobody has accepted yet.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use crate::clock::Clock;
use crate::domain::time::Timestamp;

const SILENT: i64 = i64::MIN;

/// One connection's, between its socket and its task.
pub(super) struct Doorbell {
    inner: Arc<Inner>,
    waker: Waker,
}

struct Inner {
    clock: Clock,
    /// When it first rang since somebody looked.
    rung: AtomicI64,
    task: OnceLock<Waker>,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.load(Ordering::Relaxed) == SILENT {
            let now = self.clock.now().micros();
            self.rung.store(now, Ordering::Relaxed);
        }
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Doorbell {
    /// One that rang at `rung` and has not been looked at.
    pub(super) fn rung_at(clock: Clock, rung: Timestamp) -> Self {
        let inner = Arc::new(Inner {
            clock,
            rung: AtomicI64::new(rung.micros()),
            task: OnceLock::new(),
        });
        let waker = Waker::from(Arc::clone(&inner));
        Self { inner, waker }
    }

    /// What wakes the task and rings on the way. A connection stays with one task; another one would
    /// be woken without a ring.
    pub(super) fn waker<'w>(&'w self, task: &'w Waker) -> &'w Waker {
        let ours = self.inner.task.get_or_init(|| task.clone());
        if ours.will_wake(task) {
            &self.waker
        } else {
            task
        }
    }

    /// When it rang, if it did since the last look.
    pub(super) fn rung(&self) -> Option<Timestamp> {
        let rung = self.inner.rung.swap(SILENT, Ordering::Relaxed);
        (rung != SILENT).then(|| Timestamp::from_micros(rung))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted(AtomicI64);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_first_ring_counts_and_each_wakes_the_task() {
        let woken = Arc::new(Counted(AtomicI64::new(0)));
        let task = Waker::from(Arc::clone(&woken));
        let clock = Clock::start();
        let accepted = clock.now();
        let bell = Doorbell::rung_at(clock, accepted);
        assert_eq!(bell.rung(), Some(accepted));
        assert_eq!(bell.rung(), None, "looked at");
        let ours = bell.waker(&task);
        let before = clock.now();
        ours.wake_by_ref();
        let between = clock.now();
        ours.wake_by_ref();
        let rung = bell.rung().unwrap();
        assert!(before <= rung && rung <= between);
        assert_eq!(bell.rung(), None, "looked at");
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn another_task_is_woken_without_a_ring() {
        let [first, other] = [0, 1].map(|_| Arc::new(Counted(AtomicI64::new(0))));
        let clock = Clock::start();
        let bell = Doorbell::rung_at(clock, clock.now());
        bell.rung();
        let tasks = [&first, &other].map(|it| Waker::from(Arc::clone(it)));
        for task in &tasks {
            bell.waker(task).wake_by_ref();
        }
        assert!(bell.rung().is_some());
        assert_eq!(first.0.load(Ordering::Relaxed), 1);
        assert_eq!(other.0.load(Ordering::Relaxed), 1);
    }
}

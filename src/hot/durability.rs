//! How an answer waits until the journal frame it rests on is durable.
//!
//! The journal's writer publishes how far it has come and rings one bell per hot thread; the
//! thread then wakes those of its requests whose frame is covered. So a batch of a hundred
//! approvals costs one wake across threads, not a hundred.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::hot::pipeline::Waited;

/// Between two looks at the deadlines of waiting requests.
const DEADLINE_TICK: Duration = Duration::from_millis(2);

/// How far the journal has come, told by its writer to all hot threads.
#[derive(Debug, Default)]
pub struct Progress {
    reached: AtomicU64,
    poisoned: AtomicBool,
    bells: Vec<Arc<Notify>>,
}

impl Progress {
    /// For this many hot threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let bells = (0..threads).map(|_| Arc::default()).collect();
        Self {
            bells,
            ..Self::default()
        }
    }

    /// Everything up to `position` counts as durable; or nothing more ever will.
    pub fn publish(&self, position: u64, poisoned: bool) {
        self.reached.fetch_max(position, Ordering::Release);
        if poisoned {
            self.poisoned.store(true, Ordering::Release);
        }
        self.bells.iter().for_each(|bell| bell.notify_one());
    }

    fn covers(&self, position: u64) -> Option<Waited> {
        if self.reached.load(Ordering::Acquire) >= position {
            Some(Waited::Durable)
        } else if self.poisoned.load(Ordering::Acquire) {
            Some(Waited::Poisoned)
        } else {
            None
        }
    }
}

struct Waiter {
    position: u64,
    deadline: Timestamp,
    waker: Waker,
}

/// The waiting requests of one hot thread.
pub struct WaitingRoom {
    progress: Arc<Progress>,
    bell: Arc<Notify>,
    clock: Clock,
    waiters: RefCell<VecDeque<Waiter>>,
    kick_wanted: Cell<bool>,
    kick_bell: Notify,
    occupied: Notify,
}

impl WaitingRoom {
    /// The room of the hot thread with this number.
    #[must_use]
    pub fn new(progress: &Arc<Progress>, thread: usize, clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            progress: Arc::clone(progress),
            bell: progress
                .bells
                .get(thread)
                .map(Arc::clone)
                .unwrap_or_default(),
            clock,
            waiters: RefCell::default(),
            kick_wanted: Cell::new(false),
            kick_bell: Notify::new(),
            occupied: Notify::new(),
        })
    }

    /// Waits until the journal covers `position`, or never will, or `deadline` is there.
    pub async fn wait(&self, position: u64, deadline: Timestamp) -> Waited {
        let mut queued = false;
        poll_fn(|context| {
            if let Some(waited) = self.progress.covers(position) {
                return Poll::Ready(waited);
            }
            if queued && self.clock.now() >= deadline {
                return Poll::Ready(Waited::TimedOut);
            }
            let mut waiters = self.waiters.borrow_mut();
            if waiters.is_empty() {
                self.occupied.notify_one();
            }
            waiters.push_back(Waiter {
                position,
                deadline,
                waker: context.waker().clone(),
            });
            queued = true;
            Poll::Pending
        })
        .await
    }

    /// Asks for a kick of the journal's writer once the requests that are ready have all run, so
    /// that they share a batch.
    pub fn want_kick(&self) {
        if !self.kick_wanted.replace(true) {
            self.kick_bell.notify_one();
        }
    }

    /// Kicks the writer whenever that was asked for. Runs for ever.
    pub async fn kick_writer(&self, kick: impl Fn()) {
        loop {
            self.kick_bell.notified().await;
            tokio::task::yield_now().await;
            self.kick_wanted.set(false);
            kick();
        }
    }

    /// Wakes requests whose frames are covered. Runs for ever.
    pub async fn wake_covered(&self) {
        loop {
            self.bell.notified().await;
            self.wake_where(|waiter| self.progress.covers(waiter.position).is_some());
        }
    }

    /// Wakes requests whose deadline is there. Runs for ever; idle while nobody waits.
    pub async fn wake_overdue(&self) {
        loop {
            if self.waiters.borrow().is_empty() {
                self.occupied.notified().await;
            }
            tokio::time::sleep(DEADLINE_TICK).await;
            let now = self.clock.now();
            self.wake_where(|waiter| waiter.deadline <= now);
        }
    }

    fn wake_where(&self, due: impl Fn(&Waiter) -> bool) {
        self.waiters.borrow_mut().retain(|waiter| {
            let due = due(waiter);
            if due {
                waiter.waker.wake_by_ref();
            }
            !due
        });
    }
}

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

/// Frames that one batch is let grow to before it is written while further requests are ready.
const BATCH_LEN: u32 = 64;
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
    kick: Box<dyn Fn()>,
    kicks_wanted: Cell<u32>,
    kick_bell: Notify,
    occupied: Notify,
    /// What was covered when the waiters were looked at last.
    looked_at: Cell<u64>,
}

impl WaitingRoom {
    /// The room of the hot thread with this number. `kick` has the journal written.
    #[must_use]
    pub fn new(
        progress: &Arc<Progress>,
        thread: usize,
        clock: Clock,
        kick: Box<dyn Fn()>,
    ) -> Rc<Self> {
        Rc::new(Self {
            progress: Arc::clone(progress),
            bell: progress
                .bells
                .get(thread)
                .map(Arc::clone)
                .unwrap_or_default(),
            clock,
            waiters: RefCell::default(),
            kick,
            kicks_wanted: Cell::new(0),
            kick_bell: Notify::new(),
            occupied: Notify::new(),
            looked_at: Cell::new(0),
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
    /// that they share a batch; at once where the batch is large, so that those in it do not wait
    /// for a long queue.
    pub fn want_kick(&self) {
        let wanted = self.kicks_wanted.get() + 1;
        self.kicks_wanted.set(wanted);
        if wanted >= BATCH_LEN {
            self.kick_now();
        } else if wanted == 1 {
            self.kick_bell.notify_one();
        }
    }

    /// Kicks the writer whenever that was asked for. Runs for ever.
    pub async fn kick_when_wanted(&self) {
        loop {
            self.kick_bell.notified().await;
            tokio::task::yield_now().await;
            if self.kicks_wanted.get() > 0 {
                self.kick_now();
            }
        }
    }

    /// The kick may have written, so that waiters are covered: they need not wait for the bell.
    fn kick_now(&self) {
        self.kicks_wanted.set(0);
        (self.kick)();
        self.wake_newly_covered();
    }

    /// Wakes requests whose frames are covered. Runs for ever.
    pub async fn wake_covered(&self) {
        loop {
            self.bell.notified().await;
            self.wake_newly_covered();
        }
    }

    fn wake_newly_covered(&self) {
        let reached = self.progress.reached.load(Ordering::Acquire);
        let poisoned = self.progress.poisoned.load(Ordering::Acquire);
        if self.looked_at.replace(reached) != reached || poisoned {
            self.wake_where(|waiter| waiter.position <= reached || poisoned);
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

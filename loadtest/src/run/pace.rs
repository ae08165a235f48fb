//! Which request goes next, and when it should have gone.
//!
//! In a closed loop a connection sends as soon as it has its reply. In an open loop each request has
//! a time of its own, fixed before the run; a due request that finds no free connection queues, and
//! its wait counts. The queue is a semaphore: one permit per due request, handed out in order.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::ops::Range;

use tokio::sync::Semaphore;

use super::SECOND_NS;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::UUID_SIZE;
use crate::prepared::Prepared;
use crate::tally::Tally;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Closed,
    Open { per_second: u64 },
}

/// A request with its first two moments.
pub(super) struct Job {
    pub(super) token: [u8; UUID_SIZE],
    pub(super) intended_ns: u64,
    pub(super) sent_ns: u64,
}

/// What the connections of one run share. All of it stays on one thread.
pub(super) struct Work {
    prepared: Prepared,
    pace: Pace,
    clock: Clock,
    end_ns: u64,
    next: Cell<u64>,
    due: Semaphore,
    tally: RefCell<Tally>,
}

impl Work {
    /// The clock starts here.
    pub(super) fn new(prepared: Prepared, pace: Pace, window: Range<u64>) -> Result<Self, Error> {
        Ok(Self {
            prepared,
            pace,
            end_ns: window.end,
            next: Cell::new(0),
            due: Semaphore::new(0),
            tally: RefCell::new(Tally::new(window)?),
            clock: Clock::start(),
        })
    }

    /// Waits for the next request that is due and puts it into the buffer; `None` when there is no
    /// more to do.
    pub(super) async fn next(&self, buffer: &mut Vec<u8>) -> Option<Job> {
        match self.pace {
            Pace::Closed => self.next_at_once(buffer),
            Pace::Open { per_second } => {
                self.due.acquire().await.ok()?.forget();
                let index = self.next.replace(self.next.get() + 1);
                let token = self.prepared.write(index, buffer)?;
                let intended_ns = intended_ns(index, per_second);
                Some(Job {
                    token,
                    intended_ns,
                    sent_ns: self.now_ns(),
                })
            }
        }
    }

    fn next_at_once(&self, buffer: &mut Vec<u8>) -> Option<Job> {
        let now_ns = self.now_ns();
        if now_ns >= self.end_ns {
            return None;
        }
        let Some(token) = self.prepared.write(self.next.get(), buffer) else {
            self.tally_mut().close_window(now_ns);
            return None;
        };
        self.next.set(self.next.get() + 1);
        Some(Job {
            token,
            intended_ns: now_ns,
            sent_ns: now_ns,
        })
    }

    /// Lets each request of an open loop go at its time. It spins: timers are a millisecond coarse,
    /// and the core is the generator's own. Each turn polls the sockets once.
    pub(super) async fn release_on_time(&self, connections: u64) {
        let Pace::Open { per_second } = self.pace else {
            return;
        };
        let total = self.prepared.count();
        let mut released = 0;
        while released < total {
            let due = due_count(self.now_ns(), per_second).min(total);
            self.release(due - released);
            released = due;
            tokio::task::yield_now().await;
        }
        // One more for each connection, which finds nothing left and ends.
        self.release(connections);
    }

    fn release(&self, count: u64) {
        self.due
            .add_permits(usize::try_from(count).unwrap_or_default());
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    pub(super) fn tally(&self) -> Ref<'_, Tally> {
        self.tally.borrow()
    }

    pub(super) fn tally_mut(&self) -> RefMut<'_, Tally> {
        self.tally.borrow_mut()
    }

    /// Requests that should have been sent, given those that were.
    pub(super) fn scheduled(&self, sent: u64) -> u64 {
        match self.pace {
            Pace::Closed => sent,
            Pace::Open { .. } => self.prepared.count(),
        }
    }

    pub(super) fn duplicates(&self, sent: u64) -> u64 {
        self.prepared.duplicates(sent)
    }
}

/// When request `index` should go.
fn intended_ns(index: u64, per_second: u64) -> u64 {
    let at = u128::from(index) * u128::from(SECOND_NS) / u128::from(per_second.max(1));
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// How many requests should have gone by now: those with `intended_ns <= now_ns`.
fn due_count(now_ns: u64, per_second: u64) -> u64 {
    let scaled = (u128::from(now_ns) + 1) * u128::from(per_second);
    u64::try_from(scaled.div_ceil(u128::from(SECOND_NS))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{due_count, intended_ns};

    #[test]
    fn a_request_is_due_exactly_from_its_intended_time() {
        for per_second in [1, 3, 7_919, 45_000, 1_000_000] {
            for index in [0, 1, 2, 1_000, 123_456] {
                let at = intended_ns(index, per_second);
                assert!(
                    due_count(at, per_second) > index,
                    "{index} at {per_second}/s"
                );
                if at > 0 {
                    assert!(
                        due_count(at - 1, per_second) <= index,
                        "{index} at {per_second}/s"
                    );
                }
            }
        }
    }
}

//! How busy a thread or a process was, from the scheduler's own accounts.
//!
//! A closed loop measures the server only while the server is the busier side; a run on a machine
//! that others use measures them as well. Both show here, the latter as far as interrupts allow.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Shares of the time that passed, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) busy_percent: u64,
    /// Ready to run while something else held the core.
    pub(crate) waiting_percent: u64,
}

/// A tick of `/proc/stat`: Linux shows hundredths of a second on every machine.
const TICK_NS: u64 = 10_000_000;

/// Accounts of a thread or process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accounts {
    busy_ns: u64,
    waiting_ns: u64,
}

impl Accounts {
    pub(crate) fn of_current_thread() -> Option<Self> {
        read(Path::new("/proc/thread-self/schedstat"))
    }

    /// The sum over the threads that are alive.
    pub(crate) fn of_process(pid: u32) -> Option<Self> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let threads = tasks.filter_map(|task| read(&task.ok()?.path().join("schedstat")));
        threads.reduce(Self::plus)
    }

    /// The sum over those threads of a process whose names begin so.
    pub(crate) fn of_threads(pid: u32, begins: &str) -> Option<Self> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let threads = tasks.filter_map(|task| {
            let task = task.ok()?.path();
            let name = fs::read_to_string(task.join("comm")).ok()?;
            name.starts_with(begins)
                .then(|| read(&task.join("schedstat")))?
        });
        threads.reduce(Self::plus)
    }

    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            busy_ns: self.busy_ns + other.busy_ns,
            waiting_ns: self.waiting_ns + other.waiting_ns,
        }
    }

    /// Processor time since another reading.
    pub(crate) fn busy_ns_since(self, earlier: Self) -> u64 {
        self.busy_ns.saturating_sub(earlier.busy_ns)
    }

    /// Everything that ran on a core, and what the hypervisor took from it. Interrupts are left out:
    /// whether the thread that they interrupt is charged for them depends on the kernel.
    pub(crate) fn of_core(core: usize) -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let name = format!("cpu{core}");
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(&name))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .map_while(|number| number.parse().ok())
            .collect();
        let [
            user,
            nice,
            system,
            _idle,
            _iowait,
            _irq,
            _softirq,
            steal,
            ..,
        ] = ticks.as_slice()
        else {
            return None;
        };
        Some(Self {
            busy_ns: (user + nice + system + steal) * TICK_NS,
            waiting_ns: 0,
        })
    }

    pub(crate) fn usage_since(self, earlier: Self, elapsed_ns: u64) -> Usage {
        let percent = |now: u64, then: u64| now.saturating_sub(then) * 100 / elapsed_ns.max(1);
        Usage {
            busy_percent: percent(self.busy_ns, earlier.busy_ns),
            waiting_percent: percent(self.waiting_ns, earlier.waiting_ns),
        }
    }
}

/// The first two numbers of a `schedstat` file: time on a core, time waiting for one.
fn read(path: &Path) -> Option<Accounts> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text
        .split_whitespace()
        .map_while(|number| number.parse().ok());
    Some(Accounts {
        busy_ns: numbers.next()?,
        waiting_ns: numbers.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Usage};

    #[test]
    fn counts_shares_of_the_time_between_two_readings() {
        let then = Accounts {
            busy_ns: 1_000,
            waiting_ns: 0,
        };
        let now = Accounts {
            busy_ns: 76_000,
            waiting_ns: 5_000,
        };
        let usage = now.usage_since(then, 100_000);
        assert_eq!(
            usage,
            Usage {
                busy_percent: 75,
                waiting_percent: 5
            }
        );
    }
}

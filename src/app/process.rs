//! What holds for the whole process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;

use crate::config::DurabilityLevel;

/// What holds for the whole process.
pub(super) fn prepare(durability: DurabilityLevel) {
    leave_no_core();
    take_small_pages();
    warn_of_durability(durability);
}

/// The memory of a process that crashes may hold what an issuer has just sent.
fn leave_no_core() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may leave a core file with what the memory held");
    }
}

/// A page of 2 MiB is cleared at once, while a request waits: the first request of a connection, whose
/// buffers are new, and every one that meets a table that grows. Small pages cost about three percent of
/// the throughput; docs/performance.md has the figures.
fn take_small_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages stay on, which makes single answers slower");
    }
}

/// Says what the level may cost (behaviour 3.5).
fn warn_of_durability(level: DurabilityLevel) {
    if level == DurabilityLevel::Relaxed {
        tracing::warn!("durability is relaxed: {RELAXED}");
    }
}

const RELAXED: &str = "a power loss may take the approvals of the last 50 ms with it, and what they \
                       had spent can then be spent again; a crash of the process alone takes nothing";

/// Asks for all descriptors that the system grants. Each connection takes one; the journal,
/// listeners and operators have some of their own. As many connections as there is room for.
pub(super) fn within_descriptors(connections_max: usize) -> usize {
    const OTHERS: u64 = 256;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = setrlimit(Resource::Nofile, raised).map_or(current, |()| maximum);
    let shown =
        |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let (before, now) = (shown(current), shown(limit));
    tracing::info!(%before, %now, "limit of open files");
    let fit = limit.map_or(u64::MAX, |limit| limit.saturating_sub(OTHERS).max(1));
    let fit = usize::try_from(fit).unwrap_or(usize::MAX);
    if fit < connections_max {
        tracing::warn!(
            connections_max,
            fit,
            "fewer connections than configured: the hard limit of open files is too low"
        );
    }
    connections_max.min(fit)
}

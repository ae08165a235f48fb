//! What the system grants a process that is started as this one was.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Check;

const FILES: &str = "open_files";
const CORES: &str = "core_dumps";
const MEMORY: &str = "memory";
/// Journal, listeners, operators.
const OTHER_FILES: u64 = 256;
const MEMORY_MIN: u64 = 128 << 20;
/// A million cards, ten million records, connections.
const MEMORY_GOOD: u64 = 1 << 30;
const CGROUP_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

pub(super) fn checks(connections_max: Option<usize>) -> Vec<Check> {
    let files = getrlimit(Resource::Nofile).maximum;
    let cores = getrlimit(Resource::Core).current;
    vec![
        judge_files(files, connections_max),
        judge_cores(cores),
        judge_memory(memory()),
    ]
}

fn judge_files(hard: Option<u64>, connections_max: Option<usize>) -> Check {
    let connections = connections_max.and_then(|it| u64::try_from(it).ok());
    let needed = connections.unwrap_or_default().saturating_add(OTHER_FILES);
    match hard {
        Some(hard) if hard < needed => {
            let seen = format!("{hard} at most, and {needed} are needed for all connections");
            let remedy = "raise the hard limit (LimitNOFILE=, ulimit -Hn) or lower \
                          server.connections_max";
            Check::warn(FILES, seen, remedy)
        }
        Some(hard) => Check::ok(FILES, format!("{hard} at most, {needed} needed")),
        None => Check::ok(FILES, format!("no limit, {needed} needed")),
    }
}

fn judge_cores(soft: Option<u64>) -> Check {
    match soft {
        Some(0) => Check::ok(CORES, "none"),
        _ => Check::warn(
            CORES,
            "a crash leaves the process's memory in a file, secrets included",
            "LimitCORE=0, or ulimit -c 0",
        ),
    }
}

fn judge_memory(bytes: Option<u64>) -> Check {
    let Some(bytes) = bytes else {
        return Check::warn(MEMORY, "cannot be seen", "make sure that there is 1 GiB");
    };
    let seen = format!("{} MiB to be had", bytes >> 20);
    if bytes < MEMORY_MIN {
        Check::fail(MEMORY, seen, "give it at least 128 MiB")
    } else if bytes < MEMORY_GOOD {
        let remedy = "enough for some hundred thousand cards and records; 1 GiB for a million";
        Check::warn(MEMORY, seen, remedy)
    } else {
        Check::ok(MEMORY, seen)
    }
}

/// What can be had: of the machine, within the process's own limits.
fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let of_machine = available(&info)?;
    let limits = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    let groups = CGROUP_LIMITS.map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let limits = limits.into_iter().chain(groups).flatten();
    Some(limits.fold(of_machine, u64::min))
}

fn available(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::doctor::Verdict;

    #[test]
    fn each_limit_is_judged_by_what_is_needed() {
        let files = |hard, connections| judge_files(hard, connections).verdict;
        assert_eq!(files(Some(12_256), Some(12_000)), Verdict::Ok);
        assert_eq!(files(Some(12_255), Some(12_000)), Verdict::Warn);
        assert_eq!(files(None, Some(12_000)), Verdict::Ok);
        assert_eq!(judge_cores(Some(0)).verdict, Verdict::Ok);
        assert_eq!(judge_cores(Some(1)).verdict, Verdict::Warn);
        assert_eq!(judge_cores(None).verdict, Verdict::Warn);
        let memory = |bytes| judge_memory(bytes).verdict;
        assert_eq!(memory(Some(MEMORY_GOOD)), Verdict::Ok);
        assert_eq!(memory(Some(MEMORY_GOOD - 1)), Verdict::Warn);
        assert_eq!(memory(Some(MEMORY_MIN - 1)), Verdict::Fail);
        assert_eq!(memory(None), Verdict::Warn);
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        let info = "MemTotal:  24634004 kB\nMemFree: 1 kB\nMemAvailable:   1048576 kB\n";
        assert_eq!(available(info), Some(1 << 30));
        assert_eq!(available("MemTotal: 3 kB\n"), None);
    }
}

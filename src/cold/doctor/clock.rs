//! Whether the machine's clock is right, as far as that can be seen.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::Check;
use crate::clock::{Clock, Standing};
use crate::config::journal_of;

const NAME: &str = "clock";
const WATCHED: Duration = Duration::from_millis(500);
/// A clock that is disciplined moves by 0.25 ms in this time at most.
const MOVED_US_MAX: u64 = 5_000;
/// Files are written by the same clock; a moment is left for rounding.
const AHEAD_S_MAX: u64 = 2;
/// Where systemd-timesyncd says that it has the time.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// Names of programs that keep the time, as the kernel shows them.
const KEEPERS: [&str; 6] = [
    "chronyd",
    "ntpd",
    "ntp-daemon",
    "openntpd",
    "ptp4l",
    "systemd-timesyn",
];

/// `data_dir` is absent where nobody knows it; then the journal is not asked.
pub(super) fn check(clock: Clock, data_dir: Option<&Path>) -> Check {
    std::thread::sleep(WATCHED);
    let offset_us = match clock.check() {
        Standing::InStep { offset_us } | Standing::Stepped { offset_us } => offset_us,
    };
    let now_s = u64::try_from(clock.now().secs()).unwrap_or_default();
    let newest_s = data_dir.and_then(newest_s);
    judge(offset_us, now_s, newest_s, keeper().as_deref())
}

/// The verdict, from what the wall clock moved against the monotonic one, the time, the newest file
/// of the journal, and who keeps the time.
fn judge(offset_us: i64, now_s: u64, newest_s: Option<u64>, keeper: Option<&str>) -> Check {
    let ahead_s = newest_s.map_or(0, |newest| newest.saturating_sub(now_s));
    if ahead_s > AHEAD_S_MAX {
        let seen = format!("the journal was written {ahead_s} s after the present time");
        return Check::fail(
            NAME,
            seen,
            "the clock has gone back: set it right before a start",
        );
    }
    if offset_us.unsigned_abs() > MOVED_US_MAX {
        let seen = format!("the wall clock moved by {offset_us} \u{b5}s while it was watched");
        return Check::warn(NAME, seen, "somebody is setting it: wait, and look again");
    }
    match keeper {
        Some(keeper) => Check::ok(
            NAME,
            format!("{keeper}; steady against the monotonic clock"),
        ),
        None => Check::warn(
            NAME,
            "nobody is seen to keep the time",
            "run chronyd or systemd-timesyncd, unless the host does it",
        ),
    }
}

fn newest_s(data_dir: &Path) -> Option<u64> {
    let files = fs::read_dir(journal_of(data_dir)).ok()?;
    let written = files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok());
    let newest = written.max()?.duration_since(UNIX_EPOCH).ok()?;
    Some(newest.as_secs())
}

fn keeper() -> Option<String> {
    if Path::new(SYNCHRONIZED).exists() {
        return Some("synchronised by systemd-timesyncd".to_owned());
    }
    let processes = fs::read_dir("/proc").ok()?;
    let names = processes.filter_map(|process| {
        let name = fs::read_to_string(process.ok()?.path().join("comm")).ok()?;
        let name = name.trim();
        KEEPERS
            .contains(&name)
            .then(|| format!("{name} is running"))
    });
    names.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::doctor::Verdict;

    #[test]
    fn each_verdict_has_its_cause() {
        let verdict =
            |offset_us, newest_s, keeper| judge(offset_us, 1_000, newest_s, keeper).verdict;
        assert_eq!(verdict(0, Some(1_002), Some("x")), Verdict::Ok);
        assert_eq!(verdict(-5_000, None, Some("x")), Verdict::Ok);
        assert_eq!(verdict(0, Some(1_003), Some("x")), Verdict::Fail);
        assert_eq!(verdict(5_001, None, Some("x")), Verdict::Warn);
        assert_eq!(verdict(-5_001, None, Some("x")), Verdict::Warn);
        assert_eq!(verdict(0, None, None), Verdict::Warn);
    }
}

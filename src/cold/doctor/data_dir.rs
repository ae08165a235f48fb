//! The data directory: whether it can be used, who else can read it, its room, and who has it.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::Check;
use crate::config::journal_of;

const DIRECTORY: &str = "data_dir";
const SPACE: &str = "space";
const JOURNAL: &str = "journal";
/// The current segment, the next one, and one to spare.
const SPACE_MIN: u64 = 3 * (64 << 20);
/// Ten hours of a hundred authorizations a second.
const SPACE_GOOD: u64 = 1 << 30;
const FILES_MIN: u64 = 100;

pub(super) fn checks(data_dir: &Path) -> Vec<Check> {
    let Ok(meta) = fs::metadata(data_dir) else {
        let seen = format!("{} is not there", data_dir.display());
        let remedy = "nothing, where this is the first start: `serve` makes it";
        return vec![Check::warn(DIRECTORY, seen, remedy)];
    };
    let mut checks = vec![directory(data_dir, &meta)];
    checks.extend(space(data_dir));
    checks.push(journal(data_dir));
    checks
}

fn directory(path: &Path, meta: &Metadata) -> Check {
    let mode = meta.mode() & 0o7777;
    let seen = format!("{}, mode {mode:04o}", path.display());
    if !meta.is_dir() {
        return Check::fail(
            DIRECTORY,
            format!("{seen}: no directory"),
            "name a directory",
        );
    }
    if mode & 0o002 != 0 {
        let remedy = format!("chmod 0700 {}", path.display());
        return Check::fail(
            DIRECTORY,
            format!("{seen}: anybody may write to it"),
            remedy,
        );
    }
    if mode & 0o004 != 0 {
        let remedy = format!("chmod 0700 {}", path.display());
        return Check::warn(DIRECTORY, format!("{seen}: anybody may read it"), remedy);
    }
    Check::ok(DIRECTORY, seen)
}

fn space(path: &Path) -> Option<Check> {
    let found = statvfs(path).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems do not count files.
    let files = (found.f_files > 0).then_some(found.f_favail);
    Some(judge_space(free, files))
}

fn judge_space(free: u64, files: Option<u64>) -> Check {
    let seen = format!("{} MiB free", free >> 20);
    if files.is_some_and(|files| files < FILES_MIN) {
        let seen = format!("{seen}, but hardly a file more");
        return Check::fail(SPACE, seen, "free inodes on this file system");
    }
    if free < SPACE_MIN {
        let remedy = "free space: without room for a segment everything is declined";
        return Check::fail(SPACE, seen, remedy);
    }
    if free < SPACE_GOOD {
        return Check::warn(SPACE, seen, "free space, or lower ledger.records_days");
    }
    Check::ok(SPACE, seen)
}

fn journal(data_dir: &Path) -> Check {
    let Ok(lock) = fs::metadata(journal_of(data_dir).join("lock")) else {
        return Check::ok(JOURNAL, "none yet");
    };
    match holder_of(&lock) {
        Some(holder) => Check::ok(JOURNAL, format!("in use by process {holder}")),
        None => Check::ok(JOURNAL, "not in use"),
    }
}

/// Where the configuration does not even say where it is.
pub(super) fn unknown() -> Check {
    let seen = "not looked at: the configuration does not say where it is";
    Check::warn(
        DIRECTORY,
        seen,
        "mend the configuration, or name --data-dir",
    )
}

/// A journal that another process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    journal: PathBuf,
    holder: Option<String>,
}

impl InUse {
    /// Looks who has the journal in this directory.
    #[must_use]
    pub fn of(journal: &Path) -> Self {
        let lock = fs::metadata(journal.join("lock")).ok();
        Self {
            journal: journal.to_owned(),
            holder: lock.as_ref().and_then(holder_of),
        }
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let journal = self.journal.display();
        let holder = self.holder.as_deref();
        let holder = holder.map_or_else(
            || "another process".to_owned(),
            |holder| format!("process {holder}"),
        );
        write!(
            f,
            "{journal}: the data directory is in use by {holder}; stop that one, or name another \
             --data-dir"
        )
    }
}

fn holder_of(lock: &Metadata) -> Option<String> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder(&locks, lock.ino()).map(str::to_owned)
}

/// Who holds a lock on this file, by the kernel's list: to try the lock would keep a server that
/// starts at this moment from having it.
fn holder(locks: &str, inode: u64) -> Option<&str> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let holder = words.nth(2)?;
        let file = words.next()?;
        let is_ours = file.rsplit(':').next()?.parse() == Ok(inode);
        (kind == "FLOCK" && is_ours).then_some(holder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::doctor::Verdict;

    #[test]
    fn room_is_judged_by_segments_and_files() {
        let verdict = |free, files| judge_space(free, files).verdict;
        assert_eq!(verdict(SPACE_GOOD, Some(FILES_MIN)), Verdict::Ok);
        assert_eq!(verdict(SPACE_GOOD, None), Verdict::Ok);
        assert_eq!(verdict(SPACE_GOOD - 1, None), Verdict::Warn);
        assert_eq!(verdict(SPACE_MIN, None), Verdict::Warn);
        assert_eq!(verdict(SPACE_MIN - 1, None), Verdict::Fail);
        assert_eq!(verdict(SPACE_GOOD, Some(FILES_MIN - 1)), Verdict::Fail);
    }

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:500 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 22 fe:00:500 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 33 fe:00:501 0 EOF\n";
        assert_eq!(holder(locks, 500), Some("22"));
        assert_eq!(holder(locks, 501), Some("33"));
        assert_eq!(holder(locks, 502), None);
        assert_eq!(holder("", 500), None);
    }
}

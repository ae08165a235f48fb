//! How long the disk takes to make something durable: what the journal does, in a file of its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Check;
use crate::clock::Clock;

const NAME: &str = "disk";
const ROUNDS: usize = 200;
/// A disk that is very slow is not waited for any longer.
const TIME_US_MAX: i64 = 3_000_000;
/// A batch of some authorizations.
const WRITE_SIZE: usize = 1_300;
const FILE_SIZE: u64 = 1 << 20;
/// `relaxed` promises that what is lost at a power loss is at most this old.
const RELAXED_US: u64 = 50_000;
/// The shortest budget that a connection has unless its own is set.
const BUDGET_MS_DEFAULT: u32 = 300;
/// No disk that keeps anything is as quick.
const TOO_QUICK_US: u64 = 8;
/// What file systems in memory are known by.
#[cfg(target_os = "linux")]
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

pub(super) fn check(clock: Clock, data_dir: &Path, budget_ms: Option<u32>) -> Check {
    // Before the first start, the disk is that of the directory above.
    let above = data_dir.ancestors().chain([Path::new(".")]);
    let Some(place) = above.into_iter().find(|it| it.is_dir()) else {
        return Check::fail(NAME, "no such disk", "name a directory that can be made");
    };
    if is_in_memory(place) {
        let seen = format!("{} is a file system in memory", place.display());
        return Check::fail(NAME, seen, "put the data directory on a disk");
    }
    match measure(clock, place) {
        Ok(mut took_us) => {
            took_us.sort_unstable();
            judge(&took_us, budget_ms.unwrap_or(BUDGET_MS_DEFAULT))
        }
        Err(error) => {
            let seen = format!("{}: {error}", place.display());
            Check::fail(NAME, seen, "let the server's user write there")
        }
    }
}

/// From the sorted times in microseconds.
fn judge(took_us: &[u64], budget_ms: u32) -> Check {
    let at = |percent: usize| {
        let last = took_us.len().saturating_sub(1);
        let at = (took_us.len() * percent / 100).min(last);
        took_us.get(at).copied().unwrap_or_default()
    };
    let (p50, p99) = (at(50), at(99));
    let seen = format!(
        "fdatasync p50 {p50} \u{b5}s, p99 {p99} \u{b5}s, of {}",
        took_us.len()
    );
    // A batch waits for the sync before its own and for its own.
    let strict_us = u64::from(budget_ms) * 1_000 / 2;
    if 2 * p99 > strict_us {
        let remedy = format!("use another disk: in `strict` answers miss {budget_ms} ms");
        return Check::fail(NAME, seen, remedy);
    }
    if p99 > RELAXED_US / 2 {
        return Check::warn(
            NAME,
            seen,
            "use a quicker disk, or find out who else uses it",
        );
    }
    if p50 < TOO_QUICK_US {
        let remedy = "make sure that it keeps what it says it has: no disk is as quick";
        return Check::warn(NAME, seen, remedy);
    }
    Check::ok(NAME, seen)
}

fn measure(clock: Clock, place: &Path) -> io::Result<Vec<u64>> {
    let draft = Draft::create(place)?;
    draft.file.set_len(FILE_SIZE)?;
    draft.file.write_all_at(&vec![0; 1 << 20], 0)?;
    draft.file.sync_all()?;
    let bytes = [0x5a; WRITE_SIZE];
    let begun = clock.now();
    let mut took_us = Vec::with_capacity(ROUNDS);
    let mut offset = 0;
    while took_us.len() < ROUNDS && clock.now().micros_since(begun) < TIME_US_MAX {
        draft.file.write_all_at(&bytes, offset)?;
        offset += WRITE_SIZE as u64;
        let before = clock.now();
        draft.file.sync_data()?;
        let took = clock.now().micros_since(before);
        took_us.push(u64::try_from(took).unwrap_or_default());
    }
    Ok(took_us)
}

/// A file that goes when it is not needed any more.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn create(place: &Path) -> io::Result<Self> {
        let path = place.join(format!(".countersign-doctor-{}", std::process::id()));
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&path)?;
        Ok(Self { file, path })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "a file of the doctor stays behind");
        }
    }
}

#[cfg(target_os = "linux")]
fn is_in_memory(place: &Path) -> bool {
    let kind = rustix::fs::statfs(place).ok().map(|found| found.f_type);
    kind.is_some_and(|kind| IN_MEMORY.contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_place: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::doctor::Verdict;

    #[test]
    fn a_disk_is_judged_by_what_it_has_to_keep() {
        let verdict = |p50: u64, p99: u64, budget_ms| {
            let mut took = vec![p50; 100];
            took[98] = p99;
            took[99] = p99;
            judge(&took, budget_ms).verdict
        };
        assert_eq!(verdict(100, 25_000, 300), Verdict::Ok);
        assert_eq!(verdict(100, 25_001, 300), Verdict::Warn);
        assert_eq!(verdict(100, 75_000, 300), Verdict::Warn);
        assert_eq!(verdict(100, 75_001, 300), Verdict::Fail);
        assert_eq!(verdict(100, 1_000, 3), Verdict::Fail);
        assert_eq!(verdict(7, 20, 300), Verdict::Warn);
        assert_eq!(verdict(8, 20, 300), Verdict::Ok);
        assert_eq!(judge(&[400_000], 300).verdict, Verdict::Fail, "gave up");
    }
}

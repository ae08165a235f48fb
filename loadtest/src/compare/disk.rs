//! What a sync costs on the disk of the data directory, and what follows for strict durability.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::clock::Clock;
use crate::error::Error;
use crate::latency::Latency;

const PAGE_SIZE: usize = 4_096;
const APPEND_COUNT: usize = 500;
/// Up to here the rule leaves the number of connections alone.
const QUICK_FDATASYNC_NS: u64 = 150_000;

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Disk {
    pub(super) fdatasync_p50_ns: u64,
    pub(super) fdatasync_p99_ns: u64,
}

/// Appends pages to a file and syncs after each; the time is that of the sync.
pub(super) fn measure(directory: &Path) -> Result<Disk, Error> {
    let path = directory.join("fdatasync-probe");
    let doing = || Error::io(format!("measure fdatasync in {}", directory.display()));
    let mut file = File::create(&path).map_err(doing())?;
    let clock = Clock::start();
    let mut latency = Latency::new()?;
    for _ in 0..APPEND_COUNT {
        file.write_all(&[0x5a; PAGE_SIZE]).map_err(doing())?;
        let written_ns = clock.now_ns();
        file.sync_data().map_err(doing())?;
        latency.record(written_ns, clock.now_ns());
    }
    std::fs::remove_file(&path).map_err(doing())?;
    let quantiles = latency.quantiles();
    Ok(Disk {
        fdatasync_p50_ns: quantiles.p50_ns,
        fdatasync_p99_ns: quantiles.p99_ns,
    })
}

/// Group commit shares a sync among the requests that wait for it, so a slower disk needs more of
/// them for the same throughput: `base × F / 150 µs`, rounded, and never fewer than `base`.
pub(super) fn connections(base: u64, fdatasync_p50_ns: u64) -> u64 {
    if fdatasync_p50_ns <= QUICK_FDATASYNC_NS {
        return base;
    }
    (base * fdatasync_p50_ns + QUICK_FDATASYNC_NS / 2) / QUICK_FDATASYNC_NS
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn connections_grow_with_the_sync_from_150_us_on() {
        assert_eq!(connections(64, 0), 64);
        assert_eq!(connections(64, 150_000), 64);
        assert_eq!(connections(64, 151_000), 64);
        assert_eq!(connections(64, 152_000), 65);
        assert_eq!(connections(64, 300_000), 128);
        assert_eq!(connections(64, 4_000_000), 1_707);
    }
}

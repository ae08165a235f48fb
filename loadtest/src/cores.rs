//! Pins threads to cores.
//!
//! A child inherits the affinity of the thread that spawns it, so pinning around the spawn puts
//! every thread of the child on its core from the first instruction, without code between fork and
//! exec. The writer thread of a server is thereby counted in.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::Error;

/// Pins the calling thread.
pub(crate) fn pin_current_thread(core: usize) -> Result<(), Error> {
    if core >= CpuSet::MAX_CPU {
        return Err(Error::Usage(format!("core {core} does not exist")));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|errno| Error::io(format!("pin to core {core}"))(errno.into()))
}

/// Raises the soft limit of open files to the hard one; children inherit it.
pub(crate) fn raise_open_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // A refusal shows later, as a connection that cannot be opened.
    setrlimit(Resource::Nofile, raised).unwrap_or_default();
}

//! Pins threads to cores.
//!
//! A child inherits the affinity of the thread that spawns it, so pinning around the spawn puts
//! every thread of the child on its core from the first instruction, without code between fork and
//! exec. The writer thread of a server is thereby counted in.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
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

/// Pins those threads of a process that `is_meant` by their names.
pub(crate) fn pin_threads(
    pid: u32,
    core: usize,
    is_meant: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    if core >= CpuSet::MAX_CPU {
        return Err(Error::Usage(format!("core {core} does not exist")));
    }
    let mut set = CpuSet::new();
    set.set(core);
    let doing = format!("pin threads to core {core}");
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(Error::io(&*doing))?;
    for task in tasks {
        let task = task.map_err(Error::io(&*doing))?;
        // One that ends meanwhile needs no core.
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let thread = task.file_name().to_str().and_then(|id| id.parse().ok());
        if let Some(thread) = thread.and_then(Pid::from_raw)
            && is_meant(&name)
        {
            let pinned = sched_setaffinity(Some(thread), &set);
            pinned.map_err(|errno| Error::io(&*doing)(errno.into()))?;
        }
    }
    Ok(())
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

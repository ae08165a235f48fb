//! Whose turn it is where threads share a core.
//!
//! On a machine with a core for each hot thread and none to spare, the kernel gives a thread that
//! wakes the core of one that runs. A thread that nobody waits for therefore asks for less: it runs
//! when the hot thread sleeps, and with a tenth of its share while it does not. It must hold no lock
//! that others want, or they wait with it; so this is not for the index of records, nor for the cold
//! runtime, by which an operator freezes a card.

/// Behind everything that an answer waits for; enough that nothing falls behind for ever.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets the threads that answers wait for go first, from now on and for this thread only. Where the
/// system does not allow it, the thread stays as it is.
pub fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        // With no process named, Linux means the calling thread.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "a thread in the background keeps its priority");
        }
    }
}

//! The binary under load: races, kills, a suspended machine, too much of everything. One of these tests at a time, because
//! each takes all the machine has.

#![cfg(test)]

#[path = "binary_load/crowd.rs"]
mod crowd;
#[path = "binary_load/kill.rs"]
mod kill;
#[path = "support/load.rs"]
mod load;
#[path = "support/open_loop.rs"]
mod open_loop;
#[path = "binary_load/overload.rs"]
mod overload;
#[path = "binary_load/race.rs"]
mod race;
#[path = "binary_load/records.rs"]
mod records;
#[path = "binary_load/reload.rs"]
mod reload;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "binary_load/standing.rs"]
mod standing;
#[path = "binary_load/suspend.rs"]
mod suspend;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by whoever loads the machine.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

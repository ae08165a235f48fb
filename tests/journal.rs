//! The embedded journal against crashes, faults and damage.

#[cfg(test)]
#[path = "support/disk.rs"]
mod disk;

#[cfg(test)]
#[path = "journal/harness.rs"]
mod harness;

#[cfg(test)]
#[path = "journal/crash.rs"]
mod crash;

#[cfg(test)]
#[path = "journal/faults.rs"]
mod faults;

#[cfg(test)]
#[path = "journal/damage.rs"]
mod damage;

#[cfg(test)]
#[path = "journal/edges.rs"]
mod edges;

#[cfg(test)]
#[path = "journal/forged.rs"]
mod forged;

#[cfg(test)]
#[path = "journal/checkpoint.rs"]
mod checkpoint;

#[cfg(test)]
#[path = "journal/shell.rs"]
mod shell;

//! The embedded journal against crashes, faults and damage.

#[cfg(test)]
#[path = "support/disk.rs"]
mod disk;

#[cfg(test)]
#[path = "journal/shell.rs"]
mod shell;

//! The only contacts of the hot and the cold side: the policy snapshot, and commands to the ledger.

pub mod commands;
pub mod snapshot;

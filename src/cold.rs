//! The cold path: everything that nobody waits for at a card terminal.

pub mod explain;
pub mod front;
pub mod ops;
pub mod policies;
pub mod readiness;
pub mod records;
pub mod sandbox;

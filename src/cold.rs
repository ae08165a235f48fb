//! The cold path: everything that nobody waits for at a card terminal.

pub mod doctor;
pub mod explain;
pub mod front;
mod http;
pub mod listing;
pub mod ops;
pub mod policies;
pub mod readiness;
pub mod reconcile;
pub mod records;
pub mod sandbox;

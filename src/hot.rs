//! The hot path: what runs while the card network waits.

pub mod durability;
pub mod pipeline;
pub mod problem;
pub mod server;

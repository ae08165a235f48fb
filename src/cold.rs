//! What runs while nobody waits for a decision.

pub mod sandbox;

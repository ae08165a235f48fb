//! The cold path: everything that nobody waits for at a card terminal.

pub mod sandbox;

//! The sandbox issuer: what it sends, what it keeps, what its commands print.

#![cfg(test)]

#[path = "sandbox/commands.rs"]
mod commands;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/issuer.rs"]
mod issuer;
#[path = "sandbox/lives.rs"]
mod lives;
#[path = "sandbox/reconcile.rs"]
mod reconcile;
#[path = "sandbox/stand_in.rs"]
mod stand_in;

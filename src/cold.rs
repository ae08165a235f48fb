//! The cold path: everything that nobody waits for at a card terminal.

pub mod api;
pub mod ask;
pub mod audit;
pub mod control;
pub mod doctor;
pub mod durable;
pub mod explain;
pub mod front;
mod http;
mod ids;
pub mod init;
pub mod issuers;
mod listen;
pub mod listing;
pub mod mirror;
pub mod ops;
pub mod outbox;
pub mod policies;
pub mod readiness;
pub mod reconcile;
pub mod records;
pub mod sandbox;
mod schema;
pub mod seal;
pub mod store;
pub mod tokens;
pub mod webhooks;

//! The binary between issuers of every kind: bytes over sockets, as each of them sends and reads.

#![cfg(test)]

#[path = "issuer_binary/config.rs"]
mod config;
#[path = "issuer_binary/decisions.rs"]
mod decisions;
#[path = "issuer_binary/events.rs"]
mod events;
#[path = "issuer_binary/post.rs"]
mod post;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "issuer_binary/table.rs"]
mod table;

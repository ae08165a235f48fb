//! The binary, seen from outside: what it answers over sockets, and how it starts and ends.

#![cfg(test)]

#[path = "binary/bodies.rs"]
mod bodies;
#[path = "binary/decisions.rs"]
mod decisions;
#[path = "binary/doctor.rs"]
mod doctor;
#[path = "binary/events.rs"]
mod events;
#[path = "binary/exits.rs"]
mod exits;
#[path = "binary/http.rs"]
mod http;
#[path = "support/load.rs"]
mod load;
#[path = "binary/policy.rs"]
mod policy;
#[path = "binary/reload.rs"]
mod reload;
#[path = "binary/restarts.rs"]
mod restarts;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "binary/signatures.rs"]
mod signatures;
#[path = "binary/slow.rs"]
mod slow;
#[path = "binary/told.rs"]
mod told;

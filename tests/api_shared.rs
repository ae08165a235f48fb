//! The suite of the cards API with the rows in a real PostgreSQL server, and holds and limits in a real Redis
//! that nodes share (decision 0032).

#![cfg(test)]

#[path = "api/in_shared.rs"]
mod database;
#[path = "support/postgres.rs"]
mod pg;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/redis.rs"]
mod redis;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;

#[path = "api/access.rs"]
mod access;
#[path = "api/alerts.rs"]
mod alerts;
#[path = "api/cards.rs"]
mod cards;
#[path = "api/fleet.rs"]
mod fleet;
#[path = "api/idempotency.rs"]
mod idempotency;
#[path = "api/intents.rs"]
mod intents;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/nodes.rs"]
mod nodes;
#[path = "api/plane.rs"]
mod plane;
#[path = "api/purchases.rs"]
mod purchases;
#[path = "api/quickstart.rs"]
mod quickstart;
#[path = "api/replacing.rs"]
mod replacing;
#[path = "api/reveal.rs"]
mod reveal;
#[path = "api/simple.rs"]
mod simple;
#[path = "api/transactions.rs"]
mod transactions;
#[path = "api/versions.rs"]
mod versions;
#[path = "api/webhooks.rs"]
mod webhooks;

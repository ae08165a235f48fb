//! The cards API of the built program, over its sockets (behaviour 4).

#![cfg(test)]

#[path = "api/in_file.rs"]
mod database;

#[path = "api/access.rs"]
mod access;
#[path = "api/alerts.rs"]
mod alerts;
#[path = "api/audit.rs"]
mod audit;
#[path = "api/backtest.rs"]
mod backtest;
#[path = "api/bound.rs"]
mod bound;
#[path = "api/browser.rs"]
mod browser;
#[path = "api/canary.rs"]
mod canary;
#[path = "api/cards.rs"]
mod cards;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/dice.rs"]
mod dice;
#[path = "api/document.rs"]
mod document;
#[path = "api/fleet.rs"]
mod fleet;
#[path = "api/idempotency.rs"]
mod idempotency;
#[path = "api/in_advance.rs"]
mod in_advance;
#[path = "api/intents.rs"]
mod intents;
#[path = "api/items.rs"]
mod items;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/looking.rs"]
mod looking;
#[path = "api/mcp.rs"]
mod mcp;
#[path = "api/notices.rs"]
mod notices;
#[path = "api/oauth.rs"]
mod oauth;
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
#[path = "api/review.rs"]
mod review;
#[path = "api/reviewed.rs"]
mod reviewed;
#[path = "api/rules.rs"]
mod rules;
#[path = "api/scopes.rs"]
mod scopes;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "api/sign_in.rs"]
mod sign_in;
#[path = "api/simple.rs"]
mod simple;
#[path = "api/store.rs"]
mod store;
#[path = "api/tampering.rs"]
mod tampering;
#[path = "api/transactions.rs"]
mod transactions;
#[path = "api/unrouted.rs"]
mod unrouted;
#[path = "api/until_spent.rs"]
mod until_spent;
#[path = "api/versions.rs"]
mod versions;
#[path = "api/view.rs"]
mod view;
#[path = "api/waiting.rs"]
mod waiting;
#[path = "api/webhooks.rs"]
mod webhooks;

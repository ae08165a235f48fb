//! What the issuers report after they have asked: events in, observations out (behaviour 2.16).

#![cfg(test)]

#[path = "issuer_lifecycle/hostile.rs"]
mod hostile;
#[path = "issuer_lifecycle/lithic.rs"]
mod lithic;
#[path = "issuer_lifecycle/marqeta.rs"]
mod marqeta;
#[path = "issuer_lifecycle/stripe.rs"]
mod stripe;
#[path = "issuer_lifecycle/support.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

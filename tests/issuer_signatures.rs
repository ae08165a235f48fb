//! Proofs of all schemes under attack: whatever is changed about a delivery, it is refused.

#![cfg(test)]

#[path = "issuer_signatures/corpus.rs"]
mod corpus;
#[path = "issuer_signatures/readings.rs"]
mod readings;
#[path = "issuer_signatures/schemes.rs"]
mod schemes;

//! Laws of the stateless rules on random policies, and a naive evaluator to compare with
//! (hazard F7).
#![cfg(test)]

#[path = "policy_laws/compare.rs"]
mod compare;
#[path = "support/dice.rs"]
mod dice;
#[path = "policy_laws/monotone.rs"]
mod monotone;
#[path = "policy_laws/naive.rs"]
mod naive;
#[path = "policy_merchants/oracle.rs"]
mod oracle;
#[path = "policy_laws/world.rs"]
mod world;

//! The whole engine on a disk that forgets, with a clock and an issuer of its own: one number is the
//! seed of one run, and every run obeys the laws of docs/simulation.md.
//!
//! `SIM_SEED=123 cargo test --test simulation one_seed -- --nocapture` replays one run with its
//! trace. `SIM_SEEDS=100000` sets how many seeds the others run.

#![cfg(test)]

#[path = "simulation/agents.rs"]
mod agents;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/commands.rs"]
mod commands;
#[path = "simulation/covered.rs"]
mod covered;
#[path = "simulation/deliver.rs"]
mod deliver;
#[path = "support/disk.rs"]
#[expect(dead_code, reason = "the journal's tests use the rest")]
mod disk;
#[path = "simulation/engine.rs"]
mod engine;
#[path = "simulation/issuer.rs"]
mod issuer;
#[path = "support/lives.rs"]
#[expect(dead_code, reason = "the ledger's model uses the rest")]
mod lives;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/past_rules.rs"]
mod past_rules;
#[path = "simulation/planted.rs"]
mod planted;
#[path = "simulation/reports.rs"]
mod reports;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/shell.rs"]
mod shell;
#[path = "simulation/starts.rs"]
mod starts;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/world.rs"]
mod world;

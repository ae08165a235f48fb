//! countersign: real-time authorization of cards that are handed to AI agents.
//!
//! The architecture can be read off the import lines: `domain` ← `decide`, `ledger`, `issuer`
//! ← `seam` ← `hot`, `cold` ← `app`. ARCHITECTURE.md draws the map, docs/request.md follows one
//! authorization through it.

pub mod app;
pub mod cli;
pub mod clock;
pub mod cold;
pub mod config;
pub mod decide;
pub mod domain;
pub mod fingerprint;
pub mod hot;
pub mod issuer;
pub mod ledger;
pub mod seam;
pub mod telemetry;

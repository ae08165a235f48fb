//! countersign: real-time authorization of cards that are handed to AI agents.
//!
//! The architecture can be read off the import lines: `domain` ← `decide`, `ledger`, `issuer`
//! ← `seam` ← `hot`, `cold` ← `app`. ARCHITECTURE.md draws the map, docs/request.md follows one
//! authorization through it.

pub mod cli;
pub mod clock;
pub mod cold;
pub mod decide;
pub mod domain;
pub mod fingerprint;
pub mod issuer;
pub mod ledger;

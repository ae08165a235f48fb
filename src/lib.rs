//! countersign: authorization engine for payment cards that are handed to AI agents.

pub mod ledger;

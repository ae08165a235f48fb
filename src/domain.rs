//! The vocabulary: values and their arithmetic, with the standard library alone.
//!
//! Nothing here reads a clock, a file or a socket, and nothing here is serializable: wire formats
//! belong to the edges, the journal's format to the ledger.

pub mod acceptor;
pub mod amount;
pub mod authorization;
pub mod card;
pub mod claims;
pub mod country;
pub mod currency;
pub mod currency_numeric;
pub mod decision;
pub mod explanation;
pub mod hold_time;
pub mod identity;
pub mod lifecycle;
pub mod mcc;
pub mod time;
pub mod window;

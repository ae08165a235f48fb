//! The ledger: what has been approved, held and spent, and the stores that keep it.

pub mod embedded;

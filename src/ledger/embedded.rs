//! The embedded store's durable half: an append-only journal with checkpoints beside it.
//!
//! Nothing in here knows what a ledger event is; payloads are opaque bytes. The state machines
//! (`frame`, `scan`, `journal`, `checkpoint`) do no I/O and read no clock: they hand out [`io::Io`]
//! values and take results. `files` and `writer` are the shell that executes them for real;
//! the simulator is another shell.
//!
//! A start: `Files::open` (takes the lock), `checkpoint::load`, take its entries, `recover` from its
//! cursor, `Journal::new` at `Recovered::next`, `Writer::start`. Only then does anything count.
//!
//! What this costs and does not promise: the last batch before a power loss carries no evidence
//! that it was ever synced, so damage inside exactly that batch looks like a torn tail.
//! One disk is one copy; losing it loses the journal.

pub mod checkpoint;
pub mod files;
pub mod follow;
pub mod frame;
pub mod io;
pub mod journal;
pub mod priority;
pub mod rebuild;
pub mod recover;
pub mod scan;
pub mod store;
pub mod writer;

//! The log that several nodes share, kept in Redis (decision 0028).
//!
//! `wire` says what is sent and what an answer means; `setup` founds a ledger and looks whether one may
//! be worked with, on all `servers` at once; `arming` has them approve, and replicas not; `link` keeps a connection, `sentinel` says where to, or a `cluster` whose `routes` say for which bucket; `hosts` reads where several are; `offers` takes what this node decided; `node` has the
//! log take it and learns what all nodes did; `refusal` says what a server answers instead; `copy` keeps what was learned and `repair` gives it
//! back to a Redis that lost it; `moving` makes entries of a journal, and `whole` reads all logs of a ledger that moves. Nothing is decided here: the log takes an entry or says which came before it.

pub mod arming;
mod cluster;
pub mod copy;
mod hosts;
pub mod link;
pub mod moving;
pub mod node;
pub mod offers;
pub mod refusal;
pub mod repair;
mod routes;
mod sentinel;
mod servers;
pub mod setup;
pub mod stand_in;
pub mod whole;
pub mod wire;

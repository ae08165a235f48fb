//! The ledger: what was decided, what is held, what is spent.
//!
//! `check` reads a state and answers with events; `fold` applies events and is the only mutation.
//! Both are pure: the instant is an argument, and the same code runs in the server, in recovery and
//! in the simulator. A store (`embedded`) adds durability and hands out one owner's state at a time.

pub mod authorization;
pub mod check;
pub mod codec;
pub mod command;
pub mod counters;
pub mod embedded;
pub mod event;
pub mod fold;
pub mod image;
pub mod intent;
mod key_map;
pub mod life;
pub mod recent;
pub mod redis;
pub mod rolling;
pub mod shared;
pub mod stand_in;
pub mod state;
mod trailing;

//! What the owner's rules say about one authorization, as a pure function.
//!
//! A document (`document`) is read with positions and compiled (`compile`) into an immutable
//! `snapshot`; `evaluate` compares one request with one card of it and proposes. Nothing here reads
//! a clock, a file or a socket: the instant and the hasher of ids are arguments. What a limit has
//! left is the ledger's to say.

pub mod compile;
pub mod document;
pub mod effective;
pub mod evaluate;
mod json;
pub mod merchant_text;
pub mod past;
pub mod policy;
pub mod purchase;
pub mod snapshot;
mod spelling;

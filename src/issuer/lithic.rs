//! Lithic's Auth Stream Access: the request before a card is charged, and its reply.

pub(super) mod decode;
mod disputes;
pub(super) mod encode;
pub(super) mod events;
pub mod legacy;
mod reasons;
mod wire;

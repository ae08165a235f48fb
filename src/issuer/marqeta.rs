//! Marqeta's Gateway Just-in-Time Funding: the funding request for one transaction, and its reply.

mod basic;
mod decimal;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod events;
mod method;
mod reasons;
pub mod webhook;
mod wire;

pub use self::basic::{CredentialInvalid, Credentials, HeaderSecret, StaticHeader, Verifier};

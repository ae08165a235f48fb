//! Stripe's side of the engine: bytes in, values and bytes out.

#![cfg(test)]

#[path = "issuer_stripe/differential.rs"]
mod differential;
#[path = "support/fixture_files.rs"]
mod fixture_files;
#[path = "issuer_stripe/fixtures.rs"]
mod fixtures;
#[path = "issuer_stripe/hostile.rs"]
mod hostile;
#[path = "support/mutation.rs"]
mod mutation;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "issuer_stripe/replies.rs"]
mod replies;
#[path = "issuer_stripe/signature.rs"]
mod signature;
#[path = "issuer_stripe/support.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/two_readers.rs"]
mod two_readers;

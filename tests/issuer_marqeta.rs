//! Marqeta's side of the engine: bytes in, values and bytes out.

#![cfg(test)]

#[path = "issuer_marqeta/credentials.rs"]
mod credentials;
#[path = "issuer_marqeta/differential.rs"]
mod differential;
#[path = "support/fixture_files.rs"]
mod fixture_files;
#[path = "issuer_marqeta/fixtures.rs"]
mod fixtures;
#[path = "issuer_marqeta/hostile.rs"]
mod hostile;
#[path = "support/mutation.rs"]
mod mutation;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "issuer_marqeta/replies.rs"]
mod replies;
#[path = "issuer_marqeta/support.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;
#[path = "support/two_readers.rs"]
mod two_readers;

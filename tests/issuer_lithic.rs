//! Lithic's side of the engine: bytes in, values and bytes out.

#[cfg(test)]
#[path = "issuer_lithic/differential.rs"]
mod differential;
#[cfg(test)]
#[path = "support/fixture_files.rs"]
mod fixture_files;
#[cfg(test)]
#[path = "issuer_lithic/fixtures.rs"]
mod fixtures;
#[cfg(test)]
#[path = "issuer_lithic/hostile.rs"]
mod hostile;
#[cfg(test)]
#[path = "issuer_lithic/legacy.rs"]
mod legacy;
#[cfg(test)]
#[path = "support/mutation.rs"]
mod mutation;
#[cfg(test)]
#[path = "support/oracle.rs"]
mod oracle;
#[cfg(test)]
#[path = "issuer_lithic/reading.rs"]
mod reading;
#[cfg(test)]
#[path = "issuer_lithic/replies.rs"]
mod replies;
#[cfg(test)]
#[path = "issuer_lithic/signature.rs"]
mod signature;
#[cfg(test)]
#[path = "issuer_lithic/support.rs"]
mod support;
#[cfg(test)]
#[path = "support/tree.rs"]
mod tree;
#[cfg(test)]
#[path = "support/two_readers.rs"]
mod two_readers;

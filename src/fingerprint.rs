//! The one hash of ids and contents: XXH3-128 under a secret seed.
//!
//! The seed is drawn once per data directory and kept in it, because journal and memory hold these
//! fingerprints. It is secret so that nobody who can shape a message's text can aim at a collision.
//! XXH3 is no cryptographic hash; with a secret seed and issuer-made ids in every input it need not be.

use xxhash_rust::xxh3::Xxh3;

use crate::domain::card::Key;
use crate::domain::identity::{KeySpace, Keys};

/// Hashes under one seed.
#[derive(Clone)]
pub struct Fingerprinter {
    prepared: Xxh3,
}

impl Fingerprinter {
    /// A hasher with the data directory's seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            prepared: Xxh3::with_seed(seed),
        }
    }
}

impl Keys for Fingerprinter {
    fn key(&self, space: KeySpace, parts: &[&[u8]]) -> Key {
        let mut hasher = self.prepared.clone();
        hasher.update(&[space as u8]);
        for part in parts {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Key(hasher.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_spaces_and_seeds_are_kept_apart() {
        let hasher = Fingerprinter::new(7);
        let base = hasher.key(KeySpace::Card, &[b"ab", b"c"]);
        assert_eq!(base, hasher.key(KeySpace::Card, &[b"ab", b"c"]));
        assert_ne!(base, hasher.key(KeySpace::Card, &[b"a", b"bc"]));
        assert_ne!(base, hasher.key(KeySpace::Card, &[b"abc"]));
        assert_ne!(base, hasher.key(KeySpace::Agent, &[b"ab", b"c"]));
        assert_ne!(
            base,
            Fingerprinter::new(8).key(KeySpace::Card, &[b"ab", b"c"])
        );
    }
}

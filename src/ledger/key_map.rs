//! A map by [`Key`] that never rehashes a large map in one go.
//!
//! Up to a few thousand entries it is one table; beyond, 256 tables by the key's upper bits, so
//! that the busiest customer's growth moves one 256th at a time. Keys are hashes already and are
//! used as such. Iteration order is not offered where it could show.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::domain::card::Key;

const SPLIT_LEN: usize = 4_096;
/// How many parts a large map has.
pub(in crate::ledger) const PARTS: u16 = 256;
/// The part that names all entries. Smaller numbers name the entries whose keys begin with that
/// byte, whether or not the map is kept in parts: what an event says of a part does not depend on
/// how large the map once was.
pub(in crate::ledger) const WHOLE: u16 = PARTS;

/// Takes a key's lower half as its hash.
#[derive(Default)]
pub(in crate::ledger) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        let [.., a, b, c, d, e, f, g, h] = key.to_be_bytes();
        self.0 = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    }
}

type Table<T> = HashMap<Key, T, BuildHasherDefault<KeyHasher>>;

/// See the module.
#[derive(Debug)]
pub(in crate::ledger) struct KeyMap<T> {
    parts: Vec<Table<T>>,
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self {
            parts: vec![Table::default()],
        }
    }
}

impl<T> KeyMap<T> {
    fn part(&self, key: Key) -> usize {
        if self.parts.len() == 1 {
            0
        } else {
            usize::from(key.0.to_be_bytes()[0])
        }
    }

    pub(in crate::ledger) fn get(&self, key: Key) -> Option<&T> {
        self.parts.get(self.part(key))?.get(&key)
    }

    pub(in crate::ledger) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let part = self.part(key);
        self.parts.get_mut(part)?.get_mut(&key)
    }

    /// The value of `key`, made by `make` where there is none yet.
    pub(in crate::ledger) fn get_or_insert_with(
        &mut self,
        key: Key,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        self.split_when_large();
        let part = self.part(key);
        Some(match self.parts.get_mut(part)?.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(make()),
        })
    }

    fn split_when_large(&mut self) {
        let [single] = self.parts.as_mut_slice() else {
            return;
        };
        if single.len() < SPLIT_LEN {
            return;
        }
        let whole = std::mem::take(single);
        self.parts = (0..PARTS).map(|_| Table::default()).collect();
        for (key, value) in whole {
            let part = self.part(key);
            if let Some(table) = self.parts.get_mut(part) {
                table.insert(key, value);
            }
        }
    }

    pub(in crate::ledger) fn len(&self) -> usize {
        self.parts.iter().map(HashMap::len).sum()
    }

    /// How many parts there are: 1 or [`PARTS`].
    pub(in crate::ledger) fn part_count(&self) -> u16 {
        if self.parts.len() == 1 { 1 } else { PARTS }
    }

    /// The name of the `index`th of the parts in which the map is kept.
    pub(in crate::ledger) fn part_name(&self, index: u16) -> u16 {
        if self.part_count() == 1 && index == 0 {
            WHOLE
        } else {
            index
        }
    }

    /// Keeps the entries of the named part that `keep` wants.
    pub(in crate::ledger) fn retain_part(
        &mut self,
        part: u16,
        mut keep: impl FnMut(Key, &mut T) -> bool,
    ) {
        let tables = if self.parts.len() == 1 || part == WHOLE {
            self.parts.as_mut_slice()
        } else {
            let found = self.parts.get_mut(usize::from(part));
            found.map(std::slice::from_mut).unwrap_or_default()
        };
        for table in tables {
            table.retain(|key, value| !is_in_part(*key, part) || keep(*key, value));
            if table.capacity() > 4 * table.len().max(16) {
                table.shrink_to(2 * table.len());
            }
        }
    }

    /// Whether any entry of the `index`th of the parts in which the map is kept fits.
    pub(in crate::ledger) fn any_in_part(&self, index: u16, fits: impl Fn(&T) -> bool) -> bool {
        self.parts
            .get(usize::from(index))
            .is_some_and(|table| table.values().any(fits))
    }

    /// All entries in order of their keys.
    pub(in crate::ledger) fn sorted(&self) -> Vec<(Key, &T)> {
        let mut entries: Vec<(Key, &T)> = self
            .parts
            .iter()
            .flatten()
            .map(|(key, value)| (*key, value))
            .collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }
}

fn is_in_part(key: Key, part: u16) -> bool {
    part == WHOLE || u16::from(key.0.to_be_bytes()[0]) == part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_entries_survive_the_split_and_parts_can_be_emptied() {
        let mut map = KeyMap::default();
        let key = |n: u128| Key(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        for n in 0..10_000 {
            *map.get_or_insert_with(key(n), || 0).unwrap() = n;
        }
        assert_eq!(map.part_count(), PARTS);
        assert_eq!(map.len(), 10_000);
        for n in 0..10_000 {
            assert_eq!(map.get(key(n)), Some(&n));
        }
        for part in 0..PARTS {
            map.retain_part(part, |_, n| *n % 2 == 0);
        }
        assert_eq!(map.len(), 5_000);
        assert_eq!(map.get(key(3)), None);
        assert!(map.sorted().is_sorted_by_key(|(key, _)| *key));
    }
}

//! A map by [`Key`] whose growth never moves much in one go.
//!
//! Values stand in chunks and never move; hash tables hold their indices, eight bytes an entry, and
//! those are all that a growing table moves. Up to a few thousand entries there is one table; beyond,
//! 256 of them by the key's upper byte, so that the busiest customer's growth comes in small parts.
//! Keys are hashes already and are used as such. Iteration order is not offered where it could show.

use std::hash::Hasher;

use hashbrown::HashTable;

use crate::domain::card::Key;

const SPLIT_LEN: usize = 4_096;
const CHUNK_LEN: usize = 256;
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

/// Where a value stands, and 32 bits of its key, so that a table can grow without looking at values.
#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    index: u32,
}

impl Slot {
    fn hash(&self) -> u64 {
        spread(self.tag)
    }
}

fn tag(key: Key) -> u32 {
    let [.., a, b, c, d] = key.0.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Tables look at the upper and at the lower bits of a hash, and a tag has only 32.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

type Entry<T> = Option<(Key, T)>;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct KeyMap<T> {
    tables: Vec<HashTable<Slot>>,
    /// All but the last are full; an entry that was removed is empty until it is used again.
    chunks: Vec<Vec<Entry<T>>>,
    free: Vec<u32>,
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self {
            tables: vec![HashTable::new()],
            chunks: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> KeyMap<T> {
    fn table(&self, key: Key) -> usize {
        usize::from(self.index_of(key))
    }

    fn find(&self, key: Key) -> Option<u32> {
        let tag = tag(key);
        let same = |slot: &Slot| {
            slot.tag == tag
                && place(&self.chunks, slot.index).is_some_and(|(stored, _)| *stored == key)
        };
        let found = self.tables.get(self.table(key))?.find(spread(tag), same);
        found.map(|slot| slot.index)
    }

    pub(in crate::ledger) fn get(&self, key: Key) -> Option<&T> {
        place(&self.chunks, self.find(key)?).map(|(_, value)| value)
    }

    pub(in crate::ledger) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let index = self.find(key)?;
        place_mut(&mut self.chunks, index)?
            .as_mut()
            .map(|(_, value)| value)
    }

    /// The value of `key`, made by `make` where there is none yet. Absent where four thousand
    /// million values leave no index for another.
    pub(in crate::ledger) fn get_or_insert_with(
        &mut self,
        key: Key,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        let index = match self.find(key) {
            Some(index) => index,
            None => self.insert(key, make())?,
        };
        place_mut(&mut self.chunks, index)?
            .as_mut()
            .map(|(_, value)| value)
    }

    fn insert(&mut self, key: Key, value: T) -> Option<u32> {
        self.split_when_large();
        let index = self.store((key, value))?;
        let slot = Slot {
            tag: tag(key),
            index,
        };
        let table = self.table(key);
        self.tables
            .get_mut(table)?
            .insert_unique(slot.hash(), slot, Slot::hash);
        Some(index)
    }

    fn store(&mut self, entry: (Key, T)) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            *place_mut(&mut self.chunks, index)? = Some(entry);
            return Some(index);
        }
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == CHUNK_LEN)
        {
            // A map's first chunk grows as needed: most maps stay small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK_LEN };
            self.chunks.push(Vec::with_capacity(room));
        }
        let full = self.chunks.len().saturating_sub(1);
        let chunk = self.chunks.last_mut()?;
        let index = u32::try_from(full * CHUNK_LEN + chunk.len()).ok()?;
        chunk.push(Some(entry));
        Some(index)
    }

    fn split_when_large(&mut self) {
        let [single] = self.tables.as_slice() else {
            return;
        };
        if single.len() < SPLIT_LEN {
            return;
        }
        let mut tables: Vec<HashTable<Slot>> = (0..PARTS).map(|_| HashTable::new()).collect();
        for slot in single {
            let Some((key, _)) = place(&self.chunks, slot.index) else {
                continue;
            };
            if let Some(table) = tables.get_mut(usize::from(key.0.to_be_bytes()[0])) {
                table.insert_unique(slot.hash(), *slot, Slot::hash);
            }
        }
        self.tables = tables;
    }

    pub(in crate::ledger) fn len(&self) -> usize {
        self.tables.iter().map(HashTable::len).sum()
    }

    /// How many parts there are: 1 or [`PARTS`].
    pub(in crate::ledger) fn part_count(&self) -> u16 {
        if self.tables.len() == 1 { 1 } else { PARTS }
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
        let Self {
            tables,
            chunks,
            free,
        } = self;
        let tables = if tables.len() == 1 || part == WHOLE {
            tables.as_mut_slice()
        } else {
            let found = tables.get_mut(usize::from(part));
            found.map(std::slice::from_mut).unwrap_or_default()
        };
        for table in tables {
            table.retain(|slot| {
                let Some(entry) = place_mut(chunks, slot.index) else {
                    return false;
                };
                let kept = entry
                    .as_mut()
                    .is_some_and(|(key, value)| !is_in_part(*key, part) || keep(*key, value));
                if !kept {
                    *entry = None;
                    free.push(slot.index);
                }
                kept
            });
            if table.capacity() > 4 * table.len().max(16) {
                table.shrink_to(2 * table.len(), Slot::hash);
            }
        }
    }

    /// Whether any entry of the `index`th of the parts in which the map is kept fits.
    pub(in crate::ledger) fn any_in_part(&self, index: u16, fits: impl Fn(&T) -> bool) -> bool {
        self.find_in_part(index, fits).is_some()
    }

    /// The index of the part that has this key, or would.
    pub(in crate::ledger) fn index_of(&self, key: Key) -> u16 {
        if self.tables.len() == 1 {
            0
        } else {
            u16::from(key.0.to_be_bytes()[0])
        }
    }

    /// An entry of the `index`th of the parts in which the map is kept that fits.
    pub(in crate::ledger) fn find_in_part(
        &self,
        index: u16,
        fits: impl Fn(&T) -> bool,
    ) -> Option<(Key, &T)> {
        let slots = self.tables.get(usize::from(index)).into_iter().flatten();
        let mut entries = slots.filter_map(|slot| place(&self.chunks, slot.index));
        entries
            .find(|(_, value)| fits(value))
            .map(|(key, value)| (*key, value))
    }

    /// The keys of the named part whose values fit, in order.
    pub(in crate::ledger) fn keys_of_part(&self, part: u16, fits: impl Fn(&T) -> bool) -> Vec<Key> {
        let entries = self.chunks.iter().flatten().flatten();
        let of_part = entries.filter(|(key, value)| is_in_part(*key, part) && fits(value));
        let mut keys: Vec<Key> = of_part.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// The keys of the `index`th of the parts in which the map is kept.
    pub(in crate::ledger) fn keys_in_part(&self, index: u16) -> Vec<Key> {
        let slots = self.tables.get(usize::from(index)).into_iter().flatten();
        let entries = slots.filter_map(|slot| place(&self.chunks, slot.index));
        entries.map(|(key, _)| *key).collect()
    }

    /// All that is in it, in no order that may show.
    pub(in crate::ledger) fn entries(&self) -> impl Iterator<Item = (Key, &T)> {
        let entries = self.chunks.iter().flatten().flatten();
        entries.map(|(key, value)| (*key, value))
    }

    /// All keys, in no order that may show.
    pub(in crate::ledger) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries().map(|(key, _)| key)
    }

    /// Whether any entry of the named part fits.
    pub(in crate::ledger) fn any_named(&self, part: u16, fits: impl Fn(&T) -> bool) -> bool {
        let mut entries = self.chunks.iter().flatten().flatten();
        entries.any(|(key, value)| is_in_part(*key, part) && fits(value))
    }

    /// All values, in no order that may show.
    pub(in crate::ledger) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries().map(|(_, value)| value)
    }

    /// The least key whose value fits.
    pub(in crate::ledger) fn key_where(&self, fits: impl Fn(&T) -> bool) -> Option<Key> {
        let entries = self.chunks.iter().flatten().flatten();
        let fitting = entries.filter(|(_, value)| fits(value));
        fitting.map(|(key, _)| *key).min()
    }

    /// Takes an entry out.
    pub(in crate::ledger) fn remove(&mut self, key: Key) -> Option<T> {
        let index = self.find(key)?;
        let table = self.table(key);
        let slot = self
            .tables
            .get_mut(table)?
            .find_entry(spread(tag(key)), |slot| slot.index == index)
            .ok()?;
        slot.remove();
        let (_, value) = place_mut(&mut self.chunks, index)?.take()?;
        self.free.push(index);
        Some(value)
    }

    /// All entries in order of their keys.
    pub(in crate::ledger) fn sorted(&self) -> Vec<(Key, &T)> {
        let entries = self.chunks.iter().flatten().flatten();
        let mut entries: Vec<(Key, &T)> = entries.map(|(key, value)| (*key, value)).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }
}

fn position(index: u32) -> (usize, usize) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    (index / CHUNK_LEN, index % CHUNK_LEN)
}

fn place<T>(chunks: &[Vec<Entry<T>>], index: u32) -> Option<&(Key, T)> {
    let (chunk, at) = position(index);
    chunks.get(chunk)?.get(at)?.as_ref()
}

fn place_mut<T>(chunks: &mut [Vec<Entry<T>>], index: u32) -> Option<&mut Entry<T>> {
    let (chunk, at) = position(index);
    chunks.get_mut(chunk)?.get_mut(at)
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
        assert_eq!(map.values().count(), 5_000);
        assert!(map.any_named(WHOLE, |n| *n == 7_776));
        assert!(!map.any_named(WHOLE, |n| *n == 7_777));
        let found = |wanted: u128| {
            let parts = (0..PARTS).filter_map(|part| map.find_in_part(part, |n| *n == wanted));
            parts.map(|(key, n)| (key, *n)).collect::<Vec<_>>()
        };
        assert_eq!(found(7_776), [(key(7_776), 7_776)]);
        assert_eq!(found(7_777), []);
    }

    #[test]
    fn a_key_is_its_own_hash() {
        let key = Key(0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10);
        let mut hasher = KeyHasher::default();
        hasher.write_u128(key.0);
        assert_eq!(hasher.finish(), 0x090A_0B0C_0D0E_0F10);
        // Nothing else is hashed by it; that would be turned in byte by byte.
        let mut hasher = KeyHasher::default();
        hasher.write(&[1, 2, 0, 0, 0, 0, 0, 0, 1, 3]);
        assert_eq!(hasher.finish(), 2 ^ 3);
        assert_eq!(tag(key), 0x0D0E_0F10);
        assert_eq!(
            [spread(0), spread(1), spread(2)].map(|it| it >> 32),
            [0, 0x9E37_79B9, 0x3C6E_F372]
        );
    }

    #[test]
    fn a_map_is_split_when_one_table_has_become_large() {
        let mut map = KeyMap::default();
        let key = |n: u128| Key(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        let fill = |map: &mut KeyMap<u128>, until: usize| {
            for n in 0..until as u128 {
                map.get_or_insert_with(key(n), || n);
            }
        };
        fill(&mut map, SPLIT_LEN);
        assert_eq!((map.part_count(), map.part_name(0)), (1, WHOLE));
        assert_eq!(map.part_name(5), 5);
        fill(&mut map, SPLIT_LEN + 1);
        assert_eq!((map.part_count(), map.part_name(0)), (PARTS, 0));
        // Chunks are full but for the last.
        let filled: Vec<usize> = map.chunks.iter().map(Vec::len).collect();
        assert_eq!(
            filled,
            [vec![CHUNK_LEN; SPLIT_LEN / CHUNK_LEN], vec![1]].concat()
        );
    }

    #[test]
    fn keys_are_told_whole_by_part_and_by_what_fits() {
        let mut map = KeyMap::default();
        assert_eq!(map.key_where(|_| true), None);
        let key = |n: u128| Key(n << 120 | n);
        for n in [3, 1, 2] {
            map.get_or_insert_with(key(n), || n);
        }
        let mut keys: Vec<Key> = map.keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, [1, 2, 3].map(key));
        let mut keys = map.keys_in_part(0);
        keys.sort_unstable();
        assert_eq!(keys, [1, 2, 3].map(key));
        assert_eq!(map.keys_in_part(1), []);
        assert_eq!(map.keys_of_part(2, |_| true), [key(2)]);
        assert_eq!(map.key_where(|n| *n > 1), Some(key(2)));
        assert_eq!(map.key_where(|n| *n > 3), None);
    }

    #[test]
    fn a_table_gives_room_back_when_more_than_three_quarters_of_it_are_empty() {
        let mut map = KeyMap::default();
        for n in 0..240 {
            map.get_or_insert_with(Key(n), || n);
        }
        let mut capacity_with = |count: u128| {
            map.retain_part(WHOLE, |_, n| *n < count);
            (map.len(), map.tables[0].capacity())
        };
        assert_eq!(capacity_with(240), (240, 448));
        assert_eq!(capacity_with(112), (112, 448));
        assert_eq!(capacity_with(100), (100, 224));
        assert_eq!(capacity_with(0), (0, 0));
    }

    #[test]
    fn an_entry_that_is_taken_out_leaves_its_place_to_another() {
        let mut map = KeyMap::default();
        for n in 0..40u128 {
            map.get_or_insert_with(Key(n << 64 | 5), || n);
        }
        assert_eq!(map.remove(Key(7 << 64 | 5)), Some(7));
        assert_eq!(map.remove(Key(7 << 64 | 5)), None);
        assert_eq!((map.len(), map.get(Key(7 << 64 | 5))), (39, None));
        map.get_or_insert_with(Key(1), || 77);
        assert_eq!(
            (map.get(Key(1)), map.get(Key(8 << 64 | 5))),
            (Some(&77), Some(&8))
        );
    }
}

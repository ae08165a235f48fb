//! The cards by key.

use std::sync::Arc;

use super::CardSlot;
use super::draft::{Marks, Rest};
use crate::domain::card::Key;

/// Shards of the card table. Each holds about 2 400 cards where there are ten million.
const CARD_SHARDS: usize = 4096;

/// Every card, in shards that versions share.
#[derive(Clone)]
pub(super) struct CardTable {
    shards: Arc<[Arc<CardShard>]>,
}

impl CardTable {
    pub(super) fn new() -> Self {
        let empty = Arc::new(CardShard::default());
        let shards = (0..CARD_SHARDS).map(|_| Arc::clone(&empty)).collect();
        Self { shards }
    }

    pub(super) fn find(&self, key: Key) -> Option<&CardSlot> {
        self.shards.get(shard_of(key))?.find(key)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).sum()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &CardSlot> {
        self.shards.iter().flat_map(|shard| &shard.slots)
    }

    /// The cards of those shards that the other table does not share.
    pub(super) fn slots_apart_from<'s>(
        &'s self,
        other: &'s Self,
    ) -> impl Iterator<Item = &'s CardSlot> {
        let pairs = self.shards.iter().zip(other.shards.iter());
        let apart = pairs.filter(|(own, other)| !Arc::ptr_eq(own, other));
        apart.flat_map(|(own, _)| &own.slots)
    }

    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shards, &other.shards)
    }
}

/// Keys are hashes already: their upper half picks the shard, their lower half the place in it.
fn shard_of(key: Key) -> usize {
    let [a, b, ..] = key.0.to_be_bytes();
    usize::from(u16::from_be_bytes([a, b])) % CARD_SHARDS
}

/// An open-addressed index over a dense list: 4 bytes a place, at most two thirds of them used.
#[derive(Clone, Default)]
struct CardShard {
    /// Position in `slots` plus one; zero is a free place. The length is a power of two.
    index: Box<[u32]>,
    slots: Vec<CardSlot>,
}

impl CardShard {
    fn find(&self, key: Key) -> Option<&CardSlot> {
        let (_, slot) = self.find_at(key)?;
        Some(slot)
    }

    fn find_at(&self, key: Key) -> Option<(usize, &CardSlot)> {
        let mut place = self.home(key)?;
        // INVARIANT: the index has free places, so the walk ends.
        loop {
            let position = *self.index.get(place)?;
            let at = usize::try_from(position.checked_sub(1)?).ok()?;
            let slot = self.slots.get(at)?;
            if slot.key == key {
                return Some((at, slot));
            }
            place = self.after(place);
        }
    }

    /// A shard of these slots, whose keys differ, without room to spare.
    fn of(slots: impl Iterator<Item = CardSlot>, count: usize) -> Self {
        let mut shard = Self {
            index: Box::default(),
            slots: Vec::with_capacity(count),
        };
        shard.slots.extend(slots);
        shard.rebuild_index();
        shard
    }

    fn insert(&mut self, slot: CardSlot) -> bool {
        if self.find(slot.key).is_some() {
            return false;
        }
        self.slots.push(slot);
        if self.slots.len() * 3 > self.index.len() * 2 {
            self.rebuild_index();
        } else {
            self.index_slot(self.slots.len());
        }
        true
    }

    fn rebuild_index(&mut self) {
        if self.slots.is_empty() {
            self.index = Box::default();
            return;
        }
        let places = (self.slots.len() * 2).next_power_of_two().max(4);
        self.index = vec![0; places].into();
        for position in 1..=self.slots.len() {
            self.index_slot(position);
        }
    }

    fn index_slot(&mut self, position: usize) {
        let slot = position.checked_sub(1).and_then(|at| self.slots.get(at));
        let home = slot.and_then(|slot| self.home(slot.key));
        let (Some(mut place), Ok(position)) = (home, u32::try_from(position)) else {
            return;
        };
        while self.index.get(place).is_some_and(|taken| *taken != 0) {
            place = self.after(place);
        }
        if let Some(free) = self.index.get_mut(place) {
            *free = position;
        }
    }

    /// Where the search for a key begins; absent where there is nothing to search.
    fn home(&self, key: Key) -> Option<usize> {
        let [.., a, b, c, d] = key.0.to_be_bytes();
        let hash = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        Some(hash & self.index.len().checked_sub(1)?)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.index.len() - 1)
    }
}

/// The next version of a table. Cards that stay as they are cost a bit each until it is finished,
/// and nothing where their whole shard stays.
pub(super) struct CardsDraft {
    base: CardTable,
    /// Of the shards that were touched.
    shards: Box<[Option<Box<ShardDraft>>]>,
}

#[derive(Default)]
struct ShardDraft {
    /// New cards, and cards that differ from those of the same key in the base.
    changed: CardShard,
    /// Places in the base: where the rest goes, of the cards that stay; else of those that do not.
    marks: Marks,
}

/// What a finished draft comes to.
pub(super) struct CardsDone {
    pub(super) cards: CardTable,
    /// Keys of the base that are gone, or whose card has another id now.
    pub(super) gone: Vec<Key>,
    /// Keys that are new, or whose card has another id now.
    pub(super) fresh: Vec<Key>,
}

impl CardsDraft {
    pub(super) fn new(base: CardTable) -> Self {
        let shards = (0..CARD_SHARDS).map(|_| None).collect();
        Self { base, shards }
    }

    pub(super) fn base(&self, key: Key) -> Option<&CardSlot> {
        self.base.find(key)
    }

    /// Puts a card in. False, and nothing is put, where a card of this key was put before.
    pub(super) fn put(&mut self, slot: CardSlot, rest: Rest) -> bool {
        let at = shard_of(slot.key);
        let (Some(base), Some(draft)) = (self.base.shards.get(at), self.shards.get_mut(at)) else {
            return false;
        };
        let draft = draft.get_or_insert_default();
        if draft.changed.find(slot.key).is_some() {
            return false;
        }
        match (base.find_at(slot.key), rest) {
            (Some((at, _)), Rest::Goes) if draft.marks.has(at) => false,
            (Some((at, before)), Rest::Goes) if *before == slot => {
                draft.marks.set(at);
                true
            }
            (Some((at, before)), Rest::Stays) if *before == slot && !draft.marks.has(at) => true,
            (Some((at, _)), Rest::Stays) => {
                draft.marks.set(at);
                draft.changed.insert(slot)
            }
            (Some(_), Rest::Goes) | (None, _) => draft.changed.insert(slot),
        }
    }

    /// Takes a card of the base out, where the rest stays. Whether there was one to take.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let at = shard_of(key);
        let found = self.base.shards.get(at).and_then(|base| base.find_at(key));
        let (Some((place, _)), Some(draft)) = (found, self.shards.get_mut(at)) else {
            return false;
        };
        let marks = &mut draft.get_or_insert_default().marks;
        let taken = !marks.has(place);
        marks.set(place);
        taken
    }

    /// Shows every card that is not the base's.
    pub(super) fn each_changed(&mut self, mut change: impl FnMut(&mut CardSlot)) {
        let drafts = self.shards.iter_mut().flatten();
        drafts
            .flat_map(|draft| &mut draft.changed.slots)
            .for_each(&mut change);
    }

    pub(super) fn finish(self, rest: Rest) -> CardsDone {
        let (mut gone, mut fresh) = (Vec::new(), Vec::new());
        let mut is_changed = false;
        let bases = self.base.shards.iter();
        let shards = bases.zip(self.shards).map(|(base, draft)| {
            if draft.is_none() && rest == Rest::Stays {
                // Not one card of a shard that nobody touched is looked at.
                return Arc::clone(base);
            }
            let draft = draft.unwrap_or_default();
            let next = draft.finish(base, rest, &mut gone, &mut fresh);
            is_changed |= next.is_some();
            next.map_or_else(|| Arc::clone(base), Arc::new)
        });
        let shards: Arc<[_]> = shards.collect();
        let cards = if is_changed {
            CardTable { shards }
        } else {
            self.base
        };
        CardsDone { cards, gone, fresh }
    }
}

impl ShardDraft {
    /// The shard, where it differs from the base.
    fn finish(
        self,
        base: &CardShard,
        rest: Rest,
        gone: &mut Vec<Key>,
        fresh: &mut Vec<Key>,
    ) -> Option<CardShard> {
        let Self { mut changed, marks } = self;
        let stays = |at: usize| marks.has(at) == (rest == Rest::Goes);
        let staying = (0..base.slots.len()).filter(|at| stays(*at)).count();
        if staying == base.slots.len() && changed.slots.is_empty() {
            return None;
        }
        for (at, before) in base.slots.iter().enumerate() {
            let keeps_id = stays(at)
                || changed
                    .find(before.key)
                    .is_some_and(|slot| slot.id == before.id);
            if !keeps_id {
                gone.push(before.key);
            }
        }
        for slot in &changed.slots {
            let kept_id = base
                .find(slot.key)
                .is_some_and(|before| before.id == slot.id);
            if !kept_id {
                fresh.push(slot.key);
            }
        }
        if staying == 0 {
            changed.slots.shrink_to_fit();
            return Some(changed);
        }
        let kept = base.slots.iter().enumerate();
        let kept = kept.filter(|(at, _)| stays(*at)).map(|(_, slot)| slot);
        let count = staying + changed.slots.len();
        let slots = kept.cloned().chain(changed.slots);
        Some(CardShard::of(slots, count))
    }
}

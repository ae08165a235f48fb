//! Which customers' states know an authorization, so that one id is decided once for all of them
//! (behaviour 2.4).
//!
//! An authorization belongs to one card and so to one state, and nearly every authorization that
//! comes is new. Eight bytes tell where it was decided: a part of its key and the number of the
//! state. Two keys may share that part, so whoever finds another state's number looks into that
//! state.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::domain::card::Key;
use crate::ledger::event::StateNo;

/// Locks: many, so that hot threads rarely wait for each other.
const SHARDS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim<W> {
    tag: u32,
    whose: W,
}

/// See the module.
pub(super) struct Claims<W = StateNo> {
    shards: Vec<Mutex<HashTable<Claim<W>>>>,
    /// The owners of states by number.
    owners: Mutex<Vec<Option<Key>>>,
}

/// Tables look at the upper and at the lower bits of a hash, and a tag has only 32.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn tag(authorization: Key) -> u32 {
    let [_, a, b, c, d, ..] = authorization.0.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Claims {
    /// Notes whose state this is.
    pub(super) fn open(&self, state: StateNo, owner: Key) {
        let Ok(at) = usize::try_from(state.0) else {
            return;
        };
        let mut owners = lock(&self.owners);
        if owners.len() <= at {
            owners.resize(at + 1, None);
        }
        if let Some(place) = owners.get_mut(at) {
            *place = Some(owner);
        }
    }

    /// Whose state has this number.
    pub(super) fn owner(&self, state: StateNo) -> Option<Key> {
        let at = usize::try_from(state.0).ok()?;
        lock(&self.owners).get(at).copied().flatten()
    }
}

impl<W: Copy + PartialEq> Claims<W> {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            owners: Mutex::default(),
        }
    }

    /// Claims the authorization for a state. The states that may know it too: nearly always none.
    pub(super) fn claim(&self, authorization: Key, whose: W) -> Vec<W> {
        let tag = tag(authorization);
        let Some(mut shard) = self.shard(authorization) else {
            return Vec::new();
        };
        let mut others = Vec::new();
        let mut is_claimed = false;
        for claim in shard.iter_hash(spread(tag)).filter(|it| it.tag == tag) {
            if claim.whose == whose {
                is_claimed = true;
            } else {
                others.push(claim.whose);
            }
        }
        if !is_claimed {
            let claim = Claim { tag, whose };
            shard.insert_unique(spread(tag), claim, |it| spread(it.tag));
        }
        others
    }

    /// The states that may know the authorization.
    pub(super) fn holders(&self, authorization: Key) -> Vec<W> {
        let tag = tag(authorization);
        let shard = self.shard(authorization);
        let claims = shard.iter().flat_map(|shard| shard.iter_hash(spread(tag)));
        let own = claims.filter(|it| it.tag == tag);
        own.map(|it| it.whose).collect()
    }

    /// The state has forgotten the authorization, or never came to know it.
    pub(super) fn release(&self, authorization: Key, whose: W) {
        let claim = Claim {
            tag: tag(authorization),
            whose,
        };
        let Some(mut shard) = self.shard(authorization) else {
            return;
        };
        if let Ok(found) = shard.find_entry(spread(claim.tag), |it| *it == claim) {
            found.remove();
        }
        let room = shard.capacity();
        if room > 4 * shard.len().max(16) {
            shard.shrink_to(room / 2, |it| spread(it.tag));
        }
    }

    fn shard(&self, authorization: Key) -> Option<MutexGuard<'_, HashTable<Claim<W>>>> {
        let [first, ..] = authorization.0.to_be_bytes();
        self.shards.get(usize::from(first)).map(lock)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ONE: StateNo = StateNo(1);
    const TWO: StateNo = StateNo(2);

    #[test]
    fn b4_whoever_claims_later_is_told_of_all_who_did_before() {
        let claims = Claims::new();
        // The second has all bits that are kept in common with the first.
        let (key, alike) = (Key(7 << 90), Key((7 << 90) + 1));
        assert_eq!(claims.claim(key, ONE), []);
        assert_eq!(claims.claim(key, ONE), [], "its own");
        assert_eq!(claims.claim(key, TWO), [ONE]);
        assert_eq!(claims.claim(alike, TWO), [ONE]);
        assert_eq!(claims.claim(Key(8 << 90), TWO), []);
        assert_eq!(claims.holders(key).len(), 2);
        claims.release(key, ONE);
        assert_eq!(claims.holders(key), [TWO]);
        claims.release(key, TWO);
        assert_eq!(claims.holders(key), []);
    }

    #[test]
    fn claims_take_no_more_room_than_they_need() {
        let claims = Claims::new();
        let key = |n: u32| Key(u128::from(n) << 88);
        for n in 0..10_000 {
            claims.claim(key(n), ONE);
        }
        for n in 0..10_000 {
            assert_eq!(claims.holders(key(n)), [ONE], "{n}");
            claims.release(key(n), ONE);
        }
        let shard = claims.shard(key(0)).unwrap();
        assert!(shard.is_empty() && shard.capacity() < 100);
    }

    /// Room comes back by halves, so that the next claims need none anew.
    #[test]
    fn half_of_the_room_comes_back_once_less_than_a_quarter_is_taken() {
        let claims = Claims::new();
        let key = |n: u32| Key(u128::from(n) << 88);
        let room = || claims.shard(key(0)).unwrap().capacity();
        for n in 0..120 {
            claims.claim(key(n), ONE);
        }
        let most = room();
        let fewest = u32::try_from(most / 4).unwrap();
        for n in fewest..120 {
            claims.release(key(n), ONE);
        }
        assert_eq!(room(), most, "a quarter is taken");
        claims.release(key(0), ONE);
        assert_eq!(room(), most / 2);
    }

    #[test]
    fn tags_are_spread_over_the_upper_and_the_lower_bits_of_a_hash() {
        let different = |part: fn(u64) -> u64| {
            let parts: BTreeSet<u64> = (0..1_024).map(|tag| part(spread(tag))).collect();
            parts.len()
        };
        assert_eq!(different(|hash| hash % 1_024), 1_024, "places in a table");
        assert_eq!(different(|hash| hash >> 57), 128, "marks in a place");
    }

    #[test]
    fn owners_are_found_by_number() {
        let claims = Claims::new();
        claims.open(StateNo(3), Key(30));
        assert_eq!(claims.owner(StateNo(3)), Some(Key(30)));
        assert_eq!(claims.owner(StateNo(2)), None);
        assert_eq!(claims.owner(StateNo(4)), None);
    }
}

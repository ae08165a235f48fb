//! Things by the text of their id; for operators.

use std::sync::Arc;

/// Shards of an index of ids.
const ID_SHARDS: usize = 1024;

/// Things by the text of their id, each shard in order of that text. It holds references only; the
/// text is that of the thing.
#[derive(Clone)]
pub(super) struct IdIndex<R> {
    shards: Arc<[Arc<[R]>]>,
}

impl<R: Copy + Ord> IdIndex<R> {
    pub(super) fn empty() -> Self {
        let empty: Arc<[R]> = Arc::new([]);
        let shards = (0..ID_SHARDS).map(|_| Arc::clone(&empty)).collect();
        Self { shards }
    }

    pub(super) fn find<'s>(&self, id: &str, name: impl Fn(R) -> &'s str) -> Option<R> {
        let shard = self.shards.get(id_shard(id))?;
        let at = shard.binary_search_by_key(&id, |item| name(*item)).ok()?;
        shard.get(at).copied()
    }

    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shards, &other.shards)
    }

    /// The index without what is gone and with what is fresh. `before` has the names of what is
    /// here, `name` those of what will be.
    pub(super) fn updated<'s>(
        &self,
        gone: &[R],
        before: impl Fn(R) -> &'s str,
        fresh: &[R],
        name: impl Fn(R) -> &'s str,
    ) -> Self {
        if gone.is_empty() && fresh.is_empty() {
            return self.clone();
        }
        let mut news: Box<[Option<Box<News<R>>>]> = (0..ID_SHARDS).map(|_| None).collect();
        for item in gone {
            if let Some(news) = news.get_mut(id_shard(before(*item))) {
                news.get_or_insert_default().gone.push(*item);
            }
        }
        for item in fresh {
            if let Some(news) = news.get_mut(id_shard(name(*item))) {
                news.get_or_insert_default().fresh.push(*item);
            }
        }
        let shards = self.shards.iter().zip(news).map(|(shard, news)| {
            let Some(news) = news else {
                return Arc::clone(shard);
            };
            let News { mut gone, fresh } = *news;
            gone.sort_unstable();
            let mut items = Vec::with_capacity(shard.len() + fresh.len());
            let stays = |item: &&R| gone.binary_search(item).is_err();
            items.extend(shard.iter().filter(stays).chain(&fresh));
            items.sort_unstable_by_key(|item| name(*item));
            items.into()
        });
        Self {
            shards: shards.collect(),
        }
    }
}

/// What changes in one shard.
struct News<R> {
    gone: Vec<R>,
    fresh: Vec<R>,
}

impl<R> Default for News<R> {
    fn default() -> Self {
        Self {
            gone: Vec::new(),
            fresh: Vec::new(),
        }
    }
}

/// FNV-1a. Not keyed: whoever makes ids collide slows down only the operators' look-ups.
fn id_shard(id: &str) -> usize {
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    usize::try_from(hash).unwrap_or(0) % ID_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_leaves_no_reference_behind() {
        const BEFORE: [&str; 4] = ["a", "b", "c", "d"];
        const AFTER: [&str; 4] = ["", "b", "new", "d"];
        let (before, after) = (|at: usize| BEFORE[at], |at: usize| AFTER[at]);
        let held = |index: &IdIndex<usize>| index.shards.iter().map(|it| it.len()).sum::<usize>();
        let first = IdIndex::empty().updated(&[], before, &[3, 0, 2, 1], before);
        assert_eq!(held(&first), 4);
        // The first is gone, the third has another name.
        let second = first.updated(&[0, 2], before, &[2], after);
        assert_eq!(held(&second), 3);
        let found = |id| second.find(id, after);
        assert_eq!(["b", "new", "d"].map(found), [Some(1), Some(2), Some(3)]);
        assert_eq!(["a", "c", ""].map(found), [None; 3]);
        let untouched = second.updated(&[], after, &[], after);
        assert!(untouched.is_shared_with(&second) && !second.is_shared_with(&first));
    }
}

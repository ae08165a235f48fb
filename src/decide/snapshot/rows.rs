//! Customers or agents by position.

use std::sync::Arc;

use super::draft::{Marks, Rest};

/// Rows in one chunk.
const CHUNK: usize = 1024;

type Chunk<T> = Arc<[Option<T>]>;

/// Rows in chunks that versions share. A row that goes leaves a hole, so that no other one moves:
/// what refers to it by position need not be written anew.
pub(super) struct Rows<T>(Arc<[Chunk<T>]>);

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl<T> Rows<T> {
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at / CHUNK)?.get(at % CHUNK)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|chunk| chunk.iter()).flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// The first position behind every row and hole.
    pub(super) fn end(&self) -> usize {
        match self.0.split_last() {
            Some((last, before)) => before.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The next version of some rows.
pub(super) struct RowsDraft<T> {
    base: Rows<T>,
    /// New rows, and rows that differ from those of the same position in the base.
    changed: Vec<(usize, T)>,
    /// Positions in the base: where the rest goes, of rows that stay; else of rows that do not.
    marks: Marks,
    /// Where the search for a hole goes on.
    hole: usize,
    /// The first position behind all.
    end: usize,
}

/// What a finished draft comes to.
pub(super) struct RowsDone<T> {
    pub(super) rows: Rows<T>,
    /// Positions whose row is gone.
    pub(super) gone: Vec<u32>,
    /// Positions that had no row.
    pub(super) fresh: Vec<u32>,
}

impl<T: Clone + PartialEq> RowsDraft<T> {
    pub(super) fn new(base: Rows<T>) -> Self {
        Self {
            changed: Vec::new(),
            marks: Marks::default(),
            hole: 0,
            end: base.end(),
            base,
        }
    }

    pub(super) fn base(&self, at: u32) -> Option<&T> {
        self.base.get(at)
    }

    /// A position for a row that has none; absent where there are more than a snapshot can hold.
    /// A hole is filled only where the base has it already: what refers to a row that goes now must
    /// not find another one.
    pub(super) fn free_position(&mut self) -> Option<u32> {
        let base_end = self.base.end();
        while self.hole < base_end {
            let at = u32::try_from(self.hole).ok()?;
            self.hole += 1;
            if self.base.get(at).is_none() {
                return Some(at);
            }
        }
        let at = u32::try_from(self.end).ok().filter(|at| *at < u32::MAX)?;
        self.end += 1;
        Some(at)
    }

    /// Puts a row at its position, where none was put before.
    pub(super) fn put(&mut self, at: u32, row: T, rest: Rest) {
        let Ok(place) = usize::try_from(at) else {
            return;
        };
        let is_same = self.base.get(at) == Some(&row);
        if is_same == (rest == Rest::Goes) {
            self.marks.set(place);
        }
        if !is_same {
            self.changed.push((place, row));
        }
    }

    /// Shows every row that is not the base's.
    pub(super) fn each_changed(&mut self, mut change: impl FnMut(&mut T)) {
        self.changed.iter_mut().for_each(|(_, row)| change(row));
    }

    pub(super) fn finish(mut self, rest: Rest) -> RowsDone<T> {
        let (mut gone, mut fresh) = (Vec::new(), Vec::new());
        if self.changed.is_empty() && self.marks.is_empty() && rest == Rest::Stays {
            let rows = self.base;
            return RowsDone { rows, gone, fresh };
        }
        self.changed.sort_by_key(|(at, _)| *at);
        let mut changed = self.changed.into_iter().peekable();
        let chunk_count = self.end.div_ceil(CHUNK);
        let mut chunks: Vec<Chunk<T>> = Vec::with_capacity(chunk_count);
        let mut is_changed = false;
        for number in 0..chunk_count {
            let (start, end) = (number * CHUNK, self.end.min((number + 1) * CHUNK));
            let base = self.base.0.get(number);
            let before = |at: usize| base?.get(at - start)?.as_ref();
            let stays = |at: usize| self.marks.has(at) == (rest == Rest::Goes);
            let is_touched = changed.peek().is_some_and(|(at, _)| *at < end)
                || (start..end).any(|at| before(at).is_some() && !stays(at));
            if let Some(base) = base.filter(|_| !is_touched) {
                chunks.push(Arc::clone(base));
                continue;
            }
            is_changed = true;
            let chunk = (start..end).map(|at| {
                let row = match changed.next_if(|(place, _)| *place == at) {
                    Some((_, row)) => Some(row),
                    None => before(at).filter(|_| stays(at)).cloned(),
                };
                if before(at).is_some() != row.is_some() {
                    let list = if row.is_some() { &mut fresh } else { &mut gone };
                    list.extend(u32::try_from(at));
                }
                row
            });
            chunks.push(chunk.collect());
        }
        let rows = if is_changed {
            Rows(chunks.into())
        } else {
            self.base
        };
        RowsDone { rows, gone, fresh }
    }
}

//! How far a reader has come in a log that several nodes share, where the journal is made anew at each start
//! (decision 0032).
//!
//! Places in the journal say nothing then. What stays is the place in the log of each owner: the journal
//! has the entries of one owner in their order, one record for each.

use std::collections::HashMap;

use crate::cold::store::nodes::LogMark;
use crate::domain::card::Key;
use crate::ledger::event::StateNo;

/// The places of one reader.
#[derive(Debug, Default)]
pub struct Logs {
    /// Records of each state that were read since the journal's beginning.
    read: HashMap<StateNo, u64>,
    /// Those of them that changed since the places were kept, as they were then.
    read_before: HashMap<StateNo, u64>,
    /// Entries of each owner of which everything that was made is kept.
    kept: HashMap<Key, u64>,
    /// Those that came since.
    fresh: HashMap<Key, u64>,
}

impl Logs {
    /// Places as they were kept.
    #[must_use]
    pub fn kept(marks: Vec<LogMark>) -> Self {
        Self {
            kept: by_owner(marks),
            ..Self::default()
        }
    }

    /// The next record of a state: whether it was not taken in before.
    pub(super) fn read(&mut self, state: StateNo, owner: Key) -> bool {
        let read = self.read.entry(state).or_default();
        self.read_before.entry(state).or_insert(*read);
        *read += 1;
        let is_new = *read > self.kept.get(&owner).copied().unwrap_or_default();
        if is_new {
            self.fresh.insert(owner, *read);
        }
        is_new
    }

    /// What is to be kept beside what was made of what was read: each place, and what it was.
    #[must_use]
    pub fn unkept(&self) -> Vec<(u64, LogMark)> {
        let fresh = self.fresh.iter().map(|(&owner, &taken)| {
            let before = self.kept.get(&owner).copied().unwrap_or_default();
            (before, LogMark { owner, taken })
        });
        let mut fresh: Vec<_> = fresh.collect();
        // Whoever writes the same rows writes them in the same order.
        fresh.sort_unstable_by_key(|(_, mark)| mark.owner);
        fresh
    }

    /// It is kept.
    pub fn are_kept(&mut self) {
        self.kept.extend(self.fresh.drain());
        self.read_before.clear();
    }

    /// Goes back to where the places were kept last, which were found to be these.
    pub(super) fn go_back(&mut self, marks: Vec<LogMark>) {
        self.read.extend(self.read_before.drain());
        self.fresh.clear();
        self.kept = by_owner(marks);
    }
}

fn by_owner(marks: Vec<LogMark>) -> HashMap<Key, u64> {
    let places = marks.into_iter().map(|mark| (mark.owner, mark.taken));
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(owner: u128, taken: u64) -> LogMark {
        LogMark {
            owner: Key(owner),
            taken,
        }
    }

    #[test]
    fn what_was_taken_in_is_not_taken_in_again_wherever_it_stands() {
        let mut logs = Logs::kept(vec![mark(7, 2)]);
        let mut takes = |state, owner| logs.read(StateNo(state), Key(owner));
        // In another order than last time, and under other numbers.
        assert!(takes(0, 9));
        assert!(!takes(1, 7));
        assert!(!takes(1, 7));
        assert!(takes(1, 7));
        assert_eq!(logs.unkept(), [(2, mark(7, 3)), (0, mark(9, 1))]);
        logs.are_kept();
        assert_eq!(logs.unkept(), []);
    }

    #[test]
    fn who_goes_back_takes_in_what_was_not_kept() {
        let mut logs = Logs::default();
        assert!(logs.read(StateNo(0), Key(7)));
        logs.are_kept();
        assert!(logs.read(StateNo(0), Key(7)));
        assert!(logs.read(StateNo(1), Key(8)));
        // The database has kept the one, as nobody heard, and not the other.
        logs.go_back(vec![mark(7, 2)]);
        assert!(!logs.read(StateNo(0), Key(7)));
        assert!(logs.read(StateNo(1), Key(8)));
        assert_eq!(logs.unkept(), [(0, mark(8, 1))]);
    }
}

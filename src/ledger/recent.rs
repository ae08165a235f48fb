//! The latest approvals of one card, from which its cooldown counts (behaviour 2.14 g).
//!
//! A few are kept, so that one that is taken back leaves the time of the one before it. Of older ones
//! only the latest instant is known, and it stays: where more are taken back than are kept, the
//! cooldown errs to decline.

use crate::domain::time::Timestamp;

/// Approvals that are kept one by one.
const KEPT: usize = 3;
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);
const NONE: (Timestamp, u64) = (NEVER, 0);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Instant and journal position, latest first.
    kept: [(Timestamp, u64); KEPT],
    /// The latest instant of those that are kept no longer.
    older: Timestamp,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            kept: [NONE; KEPT],
            older: NEVER,
        }
    }
}

impl Recent {
    /// When the latest approval was received; absent before the first.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        let [(latest, _), ..] = self.kept;
        let last = if latest == NEVER { self.older } else { latest };
        (last != NEVER).then_some(last)
    }

    /// Notes an approval.
    pub(in crate::ledger) fn note(&mut self, at: Timestamp, position: u64) {
        let mut moving = (at, position);
        for slot in &mut self.kept {
            if moving > *slot {
                std::mem::swap(slot, &mut moving);
            }
        }
        self.older = self.older.max(moving.0);
    }

    /// Forgets the approvals at positions that `gone` names.
    pub(in crate::ledger) fn take_back(&mut self, gone: impl Fn(u64) -> bool) {
        let stays = |slot: &(Timestamp, u64)| *slot != NONE && !gone(slot.1);
        let mut left = self.kept.into_iter().filter(stays);
        self.kept = std::array::from_fn(|_| left.next().unwrap_or(NONE));
    }

    /// The fields in a fixed order, for storage.
    pub(in crate::ledger) fn to_parts(self) -> ([(Timestamp, u64); KEPT], Timestamp) {
        (self.kept, self.older)
    }

    pub(in crate::ledger) fn from_parts(
        kept: [(Timestamp, u64); KEPT],
        older: Timestamp,
    ) -> Option<Self> {
        let sorted = kept.is_sorted_by(|a, b| a >= b);
        sorted.then_some(Self { kept, older })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn what_is_taken_back_leaves_the_time_of_the_one_before() {
        let mut recent = Recent::default();
        assert_eq!(recent.last(), None);
        for n in [1, 2, 4, 3] {
            recent.note(at(n), n.unsigned_abs());
        }
        assert_eq!(recent.last(), Some(at(4)));
        recent.take_back(|position| position == 4);
        assert_eq!(recent.last(), Some(at(3)));
        recent.take_back(|position| position == 2);
        assert_eq!(recent.last(), Some(at(3)));
        recent.take_back(|position| position == 3);
        // The fourth is no longer kept one by one: its time stays, whatever is taken back.
        assert_eq!(recent.last(), Some(at(1)));
        recent.take_back(|position| position == 1);
        assert_eq!(recent.last(), Some(at(1)));
    }

    #[test]
    fn the_order_in_which_approvals_are_noted_does_not_matter() {
        let noted = |order: [i64; 5]| {
            let mut recent = Recent::default();
            for n in order {
                recent.note(at(n / 2), n.unsigned_abs());
            }
            recent
        };
        assert_eq!(noted([1, 2, 3, 4, 5]), noted([5, 4, 3, 2, 1]));
        assert_eq!(noted([1, 2, 3, 4, 5]), noted([3, 5, 1, 4, 2]));
    }
}

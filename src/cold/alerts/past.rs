//! What a card did lately, as far as alerts ask: pure, and small.

use std::collections::VecDeque;

use crate::domain::time::Timestamp;

/// Declines within this time make a storm.
const STORM_US: i64 = 600 * 1_000_000;
/// Approvals that say what is usual, at least and at most.
const USUAL_MIN: usize = 5;
const USUAL_MAX: usize = 20;

/// One card's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// The latest, oldest first.
    declines: VecDeque<Timestamp>,
    /// The latest approved amounts, oldest first.
    approved: VecDeque<i64>,
}

impl Past {
    /// Takes in a decline. Whether so many came within ten minutes.
    pub(super) fn decline(&mut self, at: Timestamp, count: usize) -> bool {
        self.declines.push_back(at);
        while self.declines.len() > count.max(1) {
            self.declines.pop_front();
        }
        let first = self.declines.front();
        let is_dense = first.is_some_and(|first| at.micros_since(*first) <= STORM_US);
        count > 0 && self.declines.len() >= count && is_dense
    }

    /// Takes in an approval. The usual amount, where this one is so many times it.
    pub(super) fn approve(&mut self, amount: i64, factor: i64) -> Option<i64> {
        let count = self.approved.len();
        let sum: i128 = self.approved.iter().map(|it| i128::from(*it)).sum();
        let len = i128::try_from(count).unwrap_or(1).max(1);
        let is_spike = factor > 0
            && count >= USUAL_MIN
            && sum > 0
            && i128::from(amount) * len >= i128::from(factor) * sum;
        self.approved.push_back(amount);
        while self.approved.len() > USUAL_MAX {
            self.approved.pop_front();
        }
        let usual = i64::try_from(sum / len).unwrap_or(i64::MAX);
        is_spike.then_some(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn so_many_declines_within_ten_minutes_are_a_storm() {
        let mut past = Past::default();
        assert!(!past.decline(at(0), 3));
        assert!(!past.decline(at(300), 3));
        assert!(past.decline(at(600), 3));
        assert!(!past.decline(at(901), 3), "the first one is too old");
        assert!(past.decline(at(902), 3));
        assert!(!Past::default().decline(at(0), 0), "switched off");
    }

    #[test]
    fn an_amount_of_many_times_the_usual_is_a_spike() {
        let mut past = Past::default();
        for _ in 0..4 {
            assert_eq!(past.approve(100, 5), None);
        }
        assert_eq!(past.approve(10_000, 5), None, "four say nothing");
        let mut past = Past::default();
        for _ in 0..5 {
            assert_eq!(past.approve(100, 5), None);
        }
        assert_eq!(past.clone().approve(499, 5), None);
        assert_eq!(past.clone().approve(500, 5), Some(100));
        assert_eq!(past.clone().approve(i64::MAX, 5), Some(100));
        assert_eq!(past.approve(500, 0), None, "switched off");
    }
}

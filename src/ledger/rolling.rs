//! Trailing sums: what was charged in the 24 hours, 7 days or 30 days that end now (behaviour 2.13 b).
//!
//! Time is cut into buckets of 1/1440 of the span. A charge counts from its instant until the bucket
//! that holds it lies wholly outside the span, so no span of that length ever holds more than the
//! limit, and room comes back up to one bucket late. A series is kept for a scope and a span only
//! from the moment a rolling limit first stands there; it begins from the authorizations that are
//! remembered, whose retention is longer than the longest span. At most 1 441 buckets are kept, and
//! only those that hold something.

use std::collections::VecDeque;

use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;

/// Buckets that end with the one under way and hold every instant of the span.
const BUCKETS: i64 = 1_441;

/// Microseconds of one bucket of a span.
fn width_us(kind: WindowKind) -> i64 {
    let minutes = match kind {
        WindowKind::Day => 1,
        WindowKind::Week => 7,
        WindowKind::Month => 30,
    };
    minutes * 60_000_000
}

/// The bucket of an instant.
fn bucket_of(kind: WindowKind, at: Timestamp) -> i64 {
    at.micros().div_euclid(width_us(kind))
}

/// The series of one scope, by span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rolling {
    series: [Option<Series>; 3],
}

impl Rolling {
    /// The series over spans of this kind's length, if one is kept.
    #[must_use]
    pub fn series(&self, kind: WindowKind) -> Option<&Series> {
        self.series.get(kind as usize)?.as_ref()
    }

    pub(in crate::ledger) fn begin(&mut self, series: Series) {
        if let Some(slot) = self.series.get_mut(series.kind as usize) {
            slot.get_or_insert(series);
        }
    }

    pub(in crate::ledger) fn charge(&mut self, at: Timestamp, amount: Minor) {
        let each = self.series.iter_mut().flatten();
        each.for_each(|series| series.charge(at, amount));
    }

    pub(in crate::ledger) fn release(&mut self, at: Timestamp, amount: Minor) {
        let each = self.series.iter_mut().flatten();
        each.for_each(|series| series.release(at, amount));
    }

    /// Those that are kept, shortest span first.
    pub(in crate::ledger) fn iter(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().flatten()
    }
}

/// What one scope was charged over one trailing span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    kind: WindowKind,
    /// Number and content of each bucket that holds something, oldest first.
    buckets: VecDeque<(i64, Minor)>,
    sum: Minor,
}

impl Series {
    pub(in crate::ledger) fn new(kind: WindowKind) -> Self {
        Self {
            kind,
            buckets: VecDeque::new(),
            sum: Minor::ZERO,
        }
    }

    /// The length of its span.
    #[must_use]
    pub fn kind(&self) -> WindowKind {
        self.kind
    }

    /// What the span that ends at `at` holds. `at` is not before the latest charge.
    #[must_use]
    pub fn spent(&self, at: Timestamp) -> Minor {
        let oldest = self.oldest(bucket_of(self.kind, at));
        let gone = self.buckets.iter().take_while(|(at, _)| *at < oldest);
        gone.fold(self.sum, |sum, (_, amount)| sum.saturating_minus(*amount))
    }

    /// When `amount` has left the span that ends at `at`, if nothing more is charged; absent where
    /// the span holds less than that.
    #[must_use]
    pub fn frees(&self, at: Timestamp, amount: Minor) -> Option<Timestamp> {
        let oldest = self.oldest(bucket_of(self.kind, at));
        let mut left = amount;
        for (bucket, content) in self.buckets.iter().filter(|(at, _)| *at >= oldest) {
            left = left.saturating_minus(*content);
            if left.is_zero() {
                let leaves = bucket.saturating_add(BUCKETS);
                let micros = leaves.saturating_mul(width_us(self.kind));
                return Some(Timestamp::from_micros(micros));
            }
        }
        None
    }

    /// Charges in the order of time, but for those from which a series begins.
    pub(in crate::ledger) fn charge(&mut self, at: Timestamp, amount: Minor) {
        if amount.is_zero() {
            return;
        }
        let bucket = bucket_of(self.kind, at);
        let newest = self
            .buckets
            .back()
            .map_or(bucket, |(at, _)| bucket.max(*at));
        let oldest = self.oldest(newest);
        if bucket < oldest {
            return;
        }
        match self.find(bucket) {
            Ok(found) => {
                if let Some((_, content)) = self.buckets.get_mut(found) {
                    *content = content.saturating_plus(amount);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, amount)),
        }
        self.sum = self.sum.saturating_plus(amount);
        while let Some((_, gone)) = self.buckets.pop_front_if(|(at, _)| *at < oldest) {
            self.sum = self.sum.saturating_minus(gone);
        }
    }

    /// Takes back from the bucket that was charged, where it is still kept.
    pub(in crate::ledger) fn release(&mut self, at: Timestamp, amount: Minor) {
        let Ok(found) = self.find(bucket_of(self.kind, at)) else {
            return;
        };
        let Some((_, content)) = self.buckets.get_mut(found) else {
            return;
        };
        let taken = amount.min(*content);
        *content = content.saturating_minus(taken);
        self.sum = self.sum.saturating_minus(taken);
        if content.is_zero() {
            self.buckets.remove(found);
        }
    }

    fn find(&self, bucket: i64) -> Result<usize, usize> {
        // Nearly every charge goes to the end.
        match self.buckets.back() {
            Some((newest, _)) if *newest >= bucket => {
                self.buckets.binary_search_by_key(&bucket, |(at, _)| *at)
            }
            _ => Err(self.buckets.len()),
        }
    }

    fn oldest(&self, newest: i64) -> i64 {
        newest.saturating_sub(BUCKETS - 1)
    }

    /// Number and content of each bucket, for storage.
    pub(in crate::ledger) fn buckets(&self) -> impl ExactSizeIterator<Item = (i64, Minor)> {
        self.buckets.iter().copied()
    }

    /// The series of stored buckets; absent where they are out of order, empty or too far apart.
    pub(in crate::ledger) fn from_buckets(
        kind: WindowKind,
        buckets: impl Iterator<Item = (i64, Minor)>,
    ) -> Option<Self> {
        let mut series = Self::new(kind);
        for (bucket, content) in buckets {
            let later = series.buckets.back().is_none_or(|(at, _)| *at < bucket);
            if !later || content.is_zero() {
                return None;
            }
            series.sum = series.sum.saturating_plus(content);
            series.buckets.push_back((bucket, content));
        }
        let first = series.buckets.front().map_or(0, |(at, _)| *at);
        let last = series.buckets.back().map_or(0, |(at, _)| *at);
        (first >= series.oldest(last)).then_some(series)
    }
}

/// The series that an event opens: one bit for each level and span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesSet(u16);

impl SeriesSet {
    const ALL: u16 = 0x1FF;

    fn bit(level: Level, kind: WindowKind) -> u16 {
        1 << (level as u16 * 3 + kind as u16)
    }

    /// Adds the series of a level and a span.
    pub fn add(&mut self, level: Level, kind: WindowKind) {
        self.0 |= Self::bit(level, kind);
    }

    /// Whether the series of a level and a span is among them.
    #[must_use]
    pub fn contains(self, level: Level, kind: WindowKind) -> bool {
        self.0 & Self::bit(level, kind) != 0
    }

    /// Those of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits, for storage.
    pub(in crate::ledger) fn bits(self) -> u16 {
        self.0
    }

    /// The set of stored bits; absent where a bit means nothing.
    pub(in crate::ledger) fn from_bits(bits: u16) -> Option<Self> {
        (bits & !Self::ALL == 0).then_some(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;
    const DAY: i64 = 1_440 * MINUTE;

    fn minor(n: i64) -> Minor {
        Minor::new(n).unwrap()
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn series_of_both_sets_are_those_of_either() {
        let mut days = SeriesSet::default();
        days.add(Level::Card, WindowKind::Day);
        let mut both = days;
        both.add(Level::Agent, WindowKind::Week);
        assert_eq!(days.or(both), both);
        assert_eq!(both.or(both), both);
    }

    #[test]
    fn a_charge_leaves_when_its_bucket_lies_wholly_outside_the_span() {
        for (kind, days) in WindowKind::ALL.into_iter().zip([1, 7, 30]) {
            for offset in [0, 1, MINUTE - 1, 30 * MINUTE - 1, 12_345_678_901] {
                let mut series = Series::new(kind);
                series.charge(at(offset), minor(7));
                let span = days * DAY;
                assert_eq!(
                    series.spent(at(offset + span)),
                    minor(7),
                    "{kind:?} {offset}"
                );
                let late = offset + span + days * MINUTE;
                assert_eq!(series.spent(at(late)), Minor::ZERO, "{kind:?} {offset}");
                let frees = series.frees(at(offset), minor(7)).unwrap();
                assert_eq!(series.spent(frees), Minor::ZERO);
                assert_eq!(series.spent(frees.plus_micros(-1)), minor(7));
                assert_eq!(series.frees(at(offset), minor(8)), None);
            }
        }
    }

    #[test]
    fn buckets_stay_bounded_and_a_release_goes_to_its_own() {
        let mut series = Series::new(WindowKind::Day);
        for minute in 0..5_000 {
            series.charge(at(minute * MINUTE + 3), minor(2));
        }
        assert_eq!(series.buckets.len(), 1_441);
        assert_eq!(series.spent(at(4_999 * MINUTE)), minor(2 * 1_441));
        series.release(at(4_000 * MINUTE), minor(2));
        series.release(at(100 * MINUTE), minor(2));
        assert_eq!(series.buckets.len(), 1_440);
        assert_eq!(series.spent(at(4_999 * MINUTE)), minor(2 * 1_440));
        // Nothing is taken from another bucket than the one that was charged.
        series.release(at(4_000 * MINUTE), minor(2));
        assert_eq!(series.spent(at(4_999 * MINUTE)), minor(2 * 1_440));
    }

    #[test]
    fn a_series_begins_alike_from_charges_in_any_order() {
        let charges = [5, 1_446, 1_445, 3_000, 1_560, 1_559, 3_000];
        let begun = |order: &[usize]| {
            let mut series = Series::new(WindowKind::Day);
            for n in order {
                series.charge(at(charges[*n] * MINUTE), minor(1));
            }
            series
        };
        let forwards = begun(&[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(begun(&[6, 5, 4, 3, 2, 1, 0]), forwards);
        assert_eq!(begun(&[3, 0, 5, 1, 6, 2, 4]), forwards);
        assert_eq!(forwards.sum, minor(3));
        let stored = Series::from_buckets(WindowKind::Day, forwards.buckets());
        assert_eq!(stored, Some(forwards));
    }

    #[test]
    fn stored_buckets_that_cannot_be_are_refused() {
        let read = |buckets: &[(i64, i64)]| {
            let buckets = buckets.iter().map(|(at, n)| (*at, minor(*n)));
            Series::from_buckets(WindowKind::Day, buckets)
        };
        assert!(read(&[(0, 1), (1_440, 1)]).is_some());
        assert!(read(&[(0, 1), (1_441, 1)]).is_none());
        assert!(read(&[(1, 1), (1, 1)]).is_none());
        assert!(read(&[(1, 0)]).is_none());
    }
}

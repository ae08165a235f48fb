//! The sums of one scope: by day, week, month and for ever.
//!
//! They are kept whether or not a limit stands, so that a limit written in the middle of a window
//! counts what the window has already seen. INVARIANT: counters equal the fold of the events.

use crate::domain::amount::Minor;
use crate::domain::window::{LocalDay, WindowKind};

/// One sum: everything charged, and the part of it that is still on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Posted and held together.
    pub spent: Minor,
    /// Reserved by approvals and neither posted nor released.
    pub held: Minor,
}

impl Sum {
    fn charge(&mut self, amount: Minor) {
        self.spent = self.spent.saturating_plus(amount);
        self.held = self.held.saturating_plus(amount);
    }

    fn release(&mut self, amount: Minor) {
        self.spent = self.spent.saturating_minus(amount);
        self.held = self.held.saturating_minus(amount);
    }

    fn settle(&mut self, amount: Minor) {
        self.held = self.held.saturating_minus(amount);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowSum {
    id: i32,
    sum: Sum,
}

impl WindowSum {
    const EMPTY: Self = Self {
        id: i32::MIN,
        sum: Sum {
            spent: Minor::ZERO,
            held: Minor::ZERO,
        },
    };
}

/// The sums of one card, one agent or one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    windows: [WindowSum; 3],
    total: Sum,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            windows: [WindowSum::EMPTY; 3],
            total: Sum::default(),
        }
    }
}

impl Counters {
    /// Charges `amount` to the windows that hold `day`. The caller never goes back in days.
    pub(in crate::ledger) fn charge(&mut self, day: LocalDay, amount: Minor) {
        for (window, kind) in self.windows.iter_mut().zip(WindowKind::ALL) {
            let id = kind.id(day);
            if id > window.id {
                *window = WindowSum {
                    id,
                    ..WindowSum::EMPTY
                };
            }
            window.sum.charge(amount);
        }
        self.total.charge(amount);
    }

    /// Undoes a charge of `day`. Windows that have closed since keep nothing and give back nothing.
    pub(in crate::ledger) fn release(&mut self, day: LocalDay, amount: Minor) {
        self.each_open(day, |sum| sum.release(amount));
        self.total.release(amount);
    }

    /// Ends a hold of `day` without giving its amount back.
    pub(in crate::ledger) fn settle(&mut self, day: LocalDay, amount: Minor) {
        self.each_open(day, |sum| sum.settle(amount));
        self.total.settle(amount);
    }

    fn each_open(&mut self, day: LocalDay, act: impl Fn(&mut Sum)) {
        for (window, kind) in self.windows.iter_mut().zip(WindowKind::ALL) {
            if window.id == kind.id(day) {
                act(&mut window.sum);
            }
        }
    }

    /// What the window of this kind that holds `day` has seen.
    #[must_use]
    pub fn window(&self, kind: WindowKind, day: LocalDay) -> Sum {
        let at = kind as usize;
        let id = kind.id(day);
        self.windows
            .get(at)
            .filter(|window| window.id == id)
            .map_or_else(Sum::default, |window| window.sum)
    }

    /// Everything since the scope's first use.
    #[must_use]
    pub fn total(&self) -> Sum {
        self.total
    }

    /// The fields in a fixed order, for storage and comparison.
    pub(in crate::ledger) fn to_numbers(self) -> [i64; 11] {
        let [day, week, month] = self.windows;
        let of = |sum: Sum| [sum.spent.get(), sum.held.get()];
        let [ds, dh] = of(day.sum);
        let [ws, wh] = of(week.sum);
        let [ms, mh] = of(month.sum);
        let [ts, th] = of(self.total);
        [
            i64::from(day.id),
            ds,
            dh,
            i64::from(week.id),
            ws,
            wh,
            i64::from(month.id),
            ms,
            mh,
            ts,
            th,
        ]
    }

    /// The counters of stored fields; absent where a number is out of range.
    pub(in crate::ledger) fn from_numbers(numbers: [i64; 11]) -> Option<Self> {
        let sum = |spent, held| {
            Some(Sum {
                spent: Minor::new(spent).ok()?,
                held: Minor::new(held).ok()?,
            })
        };
        let window = |id, spent, held| {
            Some(WindowSum {
                id: i32::try_from(id).ok()?,
                sum: sum(spent, held)?,
            })
        };
        let [di, ds, dh, wi, ws, wh, mi, ms, mh, ts, th] = numbers;
        let windows = [
            window(di, ds, dh)?,
            window(wi, ws, wh)?,
            window(mi, ms, mh)?,
        ];
        Some(Self {
            windows,
            total: sum(ts, th)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(n: i64) -> Minor {
        Minor::new(n).unwrap()
    }

    #[test]
    fn a_charge_counts_in_every_window_and_a_release_takes_it_back() {
        let mut counters = Counters::default();
        let untouched = counters;
        counters.charge(LocalDay(20_000), minor(70));
        for kind in WindowKind::ALL {
            assert_eq!(counters.window(kind, LocalDay(20_000)).spent, minor(70));
            assert_eq!(counters.window(kind, LocalDay(20_400)).spent, Minor::ZERO);
        }
        counters.release(LocalDay(20_000), minor(70));
        assert_eq!(counters.total(), untouched.total());
        assert_eq!(
            counters.window(WindowKind::Day, LocalDay(20_000)),
            Sum::default()
        );
    }

    #[test]
    fn a_release_after_the_window_closed_leaves_the_next_window_alone() {
        let mut counters = Counters::default();
        counters.charge(LocalDay(10), minor(70));
        counters.charge(LocalDay(11), minor(30));
        counters.release(LocalDay(10), minor(70));
        assert_eq!(
            counters.window(WindowKind::Day, LocalDay(11)).spent,
            minor(30)
        );
        assert_eq!(counters.total().spent, minor(30));
    }

    #[test]
    fn numbers_round_trip() {
        let mut counters = Counters::default();
        assert_eq!(
            Counters::from_numbers(counters.to_numbers()),
            Some(counters)
        );
        counters.charge(LocalDay(-5), minor(9));
        counters.settle(LocalDay(-5), minor(4));
        assert_eq!(
            Counters::from_numbers(counters.to_numbers()),
            Some(counters)
        );
        assert_eq!(Counters::from_numbers([-1; 11]), None);
    }
}

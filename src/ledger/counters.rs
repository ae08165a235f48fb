//! The sums of one scope by day, week, month and for ever, and its approvals by hour, day and for
//! ever.
//!
//! They are kept whether or not a limit stands, so that a limit written in the middle of a window
//! counts what the window has already seen. INVARIANT: counters equal the fold of the events.

use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};

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

    fn restore(&mut self, amount: Minor) {
        self.spent = self.spent.saturating_minus(amount);
    }
}

/// The windows that hold one day, by kind: found once for all scopes, because finding the month
/// takes some divisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct WindowIds([i32; 3]);

impl WindowIds {
    pub(in crate::ledger) fn of(day: LocalDay) -> Self {
        Self(WindowKind::ALL.map(|kind| kind.id(day)))
    }
}

/// Where and when one step is booked: what its amount is charged to, and its release taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Booking {
    /// The windows of the day that is charged.
    pub(in crate::ledger) windows: WindowIds,
    /// The hour whose count is charged.
    pub(in crate::ledger) hour: LocalHour,
    /// The instant by which trailing spans go; bookings of one customer never go back.
    pub(in crate::ledger) at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowSum {
    id: i32,
    count: u32,
    sum: Sum,
}

impl WindowSum {
    const EMPTY: Self = Self {
        id: i32::MIN,
        count: 0,
        sum: Sum {
            spent: Minor::ZERO,
            held: Minor::ZERO,
        },
    };

    /// The window of this id; an earlier one has closed for ever.
    fn open(&mut self, id: i32) -> &mut Self {
        if id > self.id {
            *self = Self { id, ..Self::EMPTY };
        }
        self
    }
}

/// The sums and counts of one card, one agent or one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    windows: [WindowSum; 3],
    total: Sum,
    approvals: u32,
    hour: i32,
    hour_count: u32,
}

impl Default for Counters {
    fn default() -> Self {
        Self::UNUSED
    }
}

/// How many numbers counters are stored as: those that the first version knew, and all.
pub(in crate::ledger) const NUMBERS_FIRST: usize = 11;
pub(in crate::ledger) const NUMBERS: usize = 17;

impl Counters {
    /// Those of a scope before its first use.
    pub(in crate::ledger) const UNUSED: Self = Self {
        windows: [WindowSum::EMPTY; 3],
        total: Sum {
            spent: Minor::ZERO,
            held: Minor::ZERO,
        },
        approvals: 0,
        hour: i32::MIN,
        hour_count: 0,
    };

    /// Charges `amount` to the windows of the booking. The caller never goes back in days and hours.
    pub(in crate::ledger) fn charge(&mut self, booking: &Booking, amount: Minor) {
        for (window, id) in self.windows.iter_mut().zip(booking.windows.0) {
            window.open(id).sum.charge(amount);
        }
        self.total.charge(amount);
        self.open_hour(booking.hour);
    }

    /// Counts one approval of a booking that was charged.
    pub(in crate::ledger) fn count(&mut self, booking: &Booking) {
        let more = |count: &mut u32| *count = count.saturating_add(1);
        self.each_open(booking, |window| more(&mut window.count));
        more(&mut self.approvals);
        if booking.hour.0 == self.hour {
            more(&mut self.hour_count);
        }
    }

    pub(in crate::ledger) fn open_hour(&mut self, hour: LocalHour) {
        if hour.0 > self.hour {
            self.hour = hour.0;
            self.hour_count = 0;
        }
    }

    /// Undoes a charge. Windows that have closed since keep nothing and give back nothing.
    pub(in crate::ledger) fn release(&mut self, booking: &Booking, amount: Minor) {
        self.each_open(booking, |window| window.sum.release(amount));
        self.total.release(amount);
    }

    /// Takes back one counted approval.
    pub(in crate::ledger) fn uncount(&mut self, booking: &Booking) {
        let less = |count: &mut u32| *count = count.saturating_sub(1);
        self.each_open(booking, |window| less(&mut window.count));
        less(&mut self.approvals);
        if booking.hour.0 == self.hour {
            less(&mut self.hour_count);
        }
    }

    /// Ends a hold without giving its amount back.
    pub(in crate::ledger) fn settle(&mut self, booking: &Booking, amount: Minor) {
        self.each_open(booking, |window| window.sum.settle(amount));
        self.total.settle(amount);
    }

    /// Gives back what was posted.
    pub(in crate::ledger) fn restore(&mut self, booking: &Booking, amount: Minor) {
        self.each_open(booking, |window| window.sum.restore(amount));
        self.total.restore(amount);
    }

    fn each_open(&mut self, booking: &Booking, act: impl Fn(&mut WindowSum)) {
        for (window, id) in self.windows.iter_mut().zip(booking.windows.0) {
            if window.id == id {
                act(window);
            }
        }
    }

    fn open_window(&self, kind: WindowKind, day: LocalDay) -> Option<&WindowSum> {
        let id = kind.id(day);
        let window = self.windows.get(kind as usize)?;
        (window.id == id).then_some(window)
    }

    /// What the open window of this kind has spent.
    pub(in crate::ledger) fn spent(&self, kind: WindowKind, windows: &WindowIds) -> Minor {
        let at = kind as usize;
        let open = self.windows.get(at).zip(windows.0.get(at));
        open.filter(|(window, id)| window.id == **id)
            .map_or(Minor::ZERO, |(window, _)| window.sum.spent)
    }

    /// What the window of this kind that holds `day` has seen.
    #[must_use]
    pub fn window(&self, kind: WindowKind, day: LocalDay) -> Sum {
        self.open_window(kind, day)
            .map_or_else(Sum::default, |window| window.sum)
    }

    /// Everything since the scope's first use.
    #[must_use]
    pub fn total(&self) -> Sum {
        self.total
    }

    /// Approved authorizations in this hour.
    #[must_use]
    pub fn count_of_hour(&self, hour: LocalHour) -> u32 {
        if self.hour == hour.0 {
            self.hour_count
        } else {
            0
        }
    }

    /// Approved authorizations on this day.
    #[must_use]
    pub fn count_of_day(&self, day: LocalDay) -> u32 {
        self.count_of_window(WindowKind::Day, day)
    }

    /// Approved authorizations in the window of this kind that holds `day`.
    #[must_use]
    pub fn count_of_window(&self, kind: WindowKind, day: LocalDay) -> u32 {
        self.open_window(kind, day).map_or(0, |window| window.count)
    }

    /// Approved authorizations since the scope's first use.
    #[must_use]
    pub fn approvals(&self) -> u32 {
        self.approvals
    }

    /// The fields in a fixed order, for storage and comparison; those of the first version first.
    pub(in crate::ledger) fn to_numbers(self) -> [i64; NUMBERS] {
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
            i64::from(day.count),
            i64::from(week.count),
            i64::from(month.count),
            i64::from(self.approvals),
            i64::from(self.hour),
            i64::from(self.hour_count),
        ]
    }

    /// The counters of stored fields; absent where a number is out of range.
    pub(in crate::ledger) fn from_numbers(numbers: [i64; NUMBERS]) -> Option<Self> {
        let sum = |spent, held| {
            Some(Sum {
                spent: Minor::new(spent).ok()?,
                held: Minor::new(held).ok()?,
            })
        };
        let window = |id, spent, held, count| {
            Some(WindowSum {
                id: i32::try_from(id).ok()?,
                count: u32::try_from(count).ok()?,
                sum: sum(spent, held)?,
            })
        };
        let [di, ds, dh, wi, ws, wh, mi, ms, mh, ts, th, counts @ ..] = numbers;
        let [dc, wc, mc, approvals, hour, hour_count] = counts;
        let windows = [
            window(di, ds, dh, dc)?,
            window(wi, ws, wh, wc)?,
            window(mi, ms, mh, mc)?,
        ];
        Some(Self {
            windows,
            total: sum(ts, th)?,
            approvals: u32::try_from(approvals).ok()?,
            hour: i32::try_from(hour).ok()?,
            hour_count: u32::try_from(hour_count).ok()?,
        })
    }

    /// The numbers of counters that have counted no approval yet, as the first version stored them.
    pub(in crate::ledger) fn from_first_numbers(numbers: [i64; NUMBERS_FIRST]) -> Option<Self> {
        let mut all = Self::default().to_numbers();
        for (to, from) in all.iter_mut().zip(numbers) {
            *to = from;
        }
        Self::from_numbers(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(n: i64) -> Minor {
        Minor::new(n).unwrap()
    }

    fn on(day: i32) -> Booking {
        Booking {
            windows: WindowIds::of(LocalDay(day)),
            hour: LocalHour(day * 24),
            at: Timestamp::default(),
        }
    }

    #[test]
    fn a_charge_counts_in_every_window_and_a_release_takes_it_back() {
        let mut counters = Counters::default();
        let untouched = counters;
        counters.charge(&on(20_000), minor(70));
        counters.count(&on(20_000));
        for kind in WindowKind::ALL {
            assert_eq!(counters.window(kind, LocalDay(20_000)).spent, minor(70));
            assert_eq!(counters.window(kind, LocalDay(20_400)).spent, Minor::ZERO);
        }
        counters.release(&on(20_000), minor(70));
        assert_eq!(counters.total(), untouched.total());
        assert_eq!(
            counters.window(WindowKind::Day, LocalDay(20_000)),
            Sum::default()
        );
    }

    #[test]
    fn a_release_after_the_window_closed_leaves_the_next_window_alone() {
        let mut counters = Counters::default();
        counters.charge(&on(10), minor(70));
        counters.count(&on(10));
        counters.charge(&on(11), minor(30));
        counters.count(&on(11));
        counters.release(&on(10), minor(70));
        assert_eq!(
            counters.window(WindowKind::Day, LocalDay(11)).spent,
            minor(30)
        );
        assert_eq!(counters.total().spent, minor(30));
    }

    #[test]
    fn a10_hour_and_day_count_and_roll_with_the_amounts_and_give_back_in_their_own() {
        let mut counters = Counters::default();
        let at = |day: i32, hour: i32| Booking {
            hour: LocalHour(day * 24 + hour),
            ..on(day)
        };
        let counts = |it: &Counters, booking: Booking| {
            let of_day = it.count_of_day(LocalDay(booking.windows.0[0]));
            [it.count_of_hour(booking.hour), of_day, it.approvals()]
        };
        counters.charge(&at(10, 22), minor(1));
        counters.count(&at(10, 22));
        counters.charge(&at(10, 23), minor(1));
        counters.count(&at(10, 23));
        // An increment charges its amount and is no further approval, but its hour has begun.
        counters.charge(&at(10, 23), minor(5));
        assert_eq!(counts(&counters, at(10, 23)), [1, 2, 2]);
        assert_eq!(counts(&counters, at(10, 22)), [0, 2, 2]);
        counters.charge(&at(11, 0), minor(1));
        counters.count(&at(11, 0));
        assert_eq!(counts(&counters, at(11, 0)), [1, 1, 3]);
        counters.uncount(&at(10, 23));
        assert_eq!(counts(&counters, at(11, 0)), [1, 1, 2]);
        counters.uncount(&at(11, 0));
        assert_eq!(counts(&counters, at(11, 0)), [0, 0, 1]);
    }

    #[test]
    fn numbers_round_trip() {
        let mut counters = Counters::default();
        assert_eq!(
            Counters::from_numbers(counters.to_numbers()),
            Some(counters)
        );
        counters.charge(&on(-5), minor(9));
        counters.count(&on(-5));
        counters.settle(&on(-5), minor(4));
        assert_eq!(
            Counters::from_numbers(counters.to_numbers()),
            Some(counters)
        );
        assert_eq!(Counters::from_numbers([-1; NUMBERS]), None);
    }
}

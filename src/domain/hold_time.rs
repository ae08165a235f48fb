//! How long issuers let a hold live that nobody clears (behaviour 2.16).

use super::mcc::Mcc;

/// How long an issuer lets the holds of a merchant's category live. Of several words on one
/// authorization the longest counts, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HoldTime {
    /// Nobody has named the category, so that it may be one of the longest.
    #[default]
    Unknown = 0,
    /// About a week.
    Usual = 1,
    /// About a month: hotels, rented cars and what else [`Mcc::holds_long`] names.
    Long = 2,
}

impl HoldTime {
    /// Of a message that names this category, or none.
    #[must_use]
    pub fn of(mcc: Option<Mcc>) -> Self {
        match mcc {
            None => Self::Unknown,
            Some(mcc) if mcc.holds_long() => Self::Long,
            Some(_) => Self::Usual,
        }
    }

    /// The value of a stored number. Numbers are never used again.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let mut known = [Self::Unknown, Self::Usual, Self::Long].into_iter();
        known.find(|it| *it as u8 == number)
    }

    /// What two words on one authorization come to.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i9_the_categories_that_are_held_long_and_their_neighbours() {
        for (code, expected) in [
            (2999, HoldTime::Usual),
            (3000, HoldTime::Long),
            (3350, HoldTime::Long),
            (3351, HoldTime::Long),
            (3999, HoldTime::Long),
            (4000, HoldTime::Usual),
            (4411, HoldTime::Long),
            (4511, HoldTime::Long),
            (5542, HoldTime::Usual),
            (5812, HoldTime::Usual),
            (5959, HoldTime::Usual),
            (5960, HoldTime::Long),
            (5969, HoldTime::Long),
            (5970, HoldTime::Usual),
            (7011, HoldTime::Long),
            (7012, HoldTime::Usual),
            (7512, HoldTime::Long),
            (7513, HoldTime::Long),
            (7519, HoldTime::Long),
        ] {
            let mcc = Mcc::from_number(code).unwrap();
            assert_eq!(HoldTime::of(Some(mcc)), expected, "{code}");
        }
        assert_eq!(HoldTime::of(None), HoldTime::Unknown);
    }

    #[test]
    fn the_longest_word_counts_in_either_order() {
        let all = [HoldTime::Unknown, HoldTime::Usual, HoldTime::Long];
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
            assert_eq!(a.and(b), b.and(a));
            assert!(a.and(b) >= a);
        }
        for number in 0..=u8::MAX {
            let known = HoldTime::from_number(number);
            assert_eq!(known.map(|it| it as u8), Some(number).filter(|it| *it < 3));
        }
    }
}

//! Money: an integer count of minor units with a currency. No operator works on raw numbers.

use std::fmt;

use super::currency::Currency;

/// The largest amount, limit or sum: 2^53 − 1 minor units, which every store can hold exactly.
pub const AMOUNT_MINOR_MAX: i64 = (1 << 53) - 1;

/// A non-negative count of minor units, at most [`AMOUNT_MINOR_MAX`] (behaviour 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(i64);

/// The number is negative or above [`AMOUNT_MINOR_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountOutOfRange;

impl fmt::Display for AmountOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an amount must lie between 0 and {AMOUNT_MINOR_MAX} minor units"
        )
    }
}

impl Minor {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(AMOUNT_MINOR_MAX);

    /// Accepts 0 to [`AMOUNT_MINOR_MAX`].
    ///
    /// # Errors
    /// [`AmountOutOfRange`] for anything else.
    pub const fn new(minor: i64) -> Result<Self, AmountOutOfRange> {
        if minor >= 0 && minor <= AMOUNT_MINOR_MAX {
            Ok(Self(minor))
        } else {
            Err(AmountOutOfRange)
        }
    }

    /// The count of minor units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is no money.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`AmountOutOfRange`] above [`AMOUNT_MINOR_MAX`].
    pub fn plus(self, other: Self) -> Result<Self, AmountOutOfRange> {
        Self::new(self.0.checked_add(other.0).ok_or(AmountOutOfRange)?)
    }

    /// The sum, held at [`AMOUNT_MINOR_MAX`]: for counters that already passed their limit.
    #[must_use]
    pub fn saturating_plus(self, other: Self) -> Self {
        self.plus(other).unwrap_or(Self::MAX)
    }

    /// What is left after taking `other` away, never below zero.
    #[must_use]
    pub fn saturating_minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Minor units of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// How many minor units.
    pub minor: Minor,
    /// Of which currency.
    pub currency: Currency,
}

impl Amount {
    /// One major unit, 1.00, in minor units.
    #[must_use]
    pub fn one_major(currency: Currency) -> Minor {
        let minor = 10_i64.checked_pow(u32::from(currency.exponent()));
        minor
            .and_then(|minor| Minor::new(minor).ok())
            .unwrap_or(Minor::MAX)
    }

    /// Reads decimal major units ("12.34") of `currency`, as people and purchase requests write them.
    ///
    /// # Errors
    /// [`MajorTextInvalid`] names what is wrong: no digits, more decimals than the currency has,
    /// or too large.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MajorTextInvalid> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let dangling = text.contains('.') && fraction.is_empty();
        if whole.is_empty() || dangling || !digits(whole) || !digits(fraction) {
            return Err(MajorTextInvalid::NotDecimal);
        }
        let exponent = usize::from(currency.exponent());
        if fraction.len() > exponent {
            return Err(MajorTextInvalid::TooManyDecimals);
        }
        let padded = format!("{whole}{fraction:0<exponent$}");
        let minor = padded.parse::<i64>().ok().and_then(|n| Minor::new(n).ok());
        Ok(Self {
            minor: minor.ok_or(MajorTextInvalid::TooLarge)?,
            currency,
        })
    }
}

/// Why a text in major units is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MajorTextInvalid {
    /// Not digits with at most one point between them.
    NotDecimal,
    /// More decimals than the currency's minor unit has.
    TooManyDecimals,
    /// Above [`AMOUNT_MINOR_MAX`].
    TooLarge,
}

impl fmt::Display for MajorTextInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "an amount is written in digits, like 12.34",
            Self::TooManyDecimals => "the amount has more decimals than its currency",
            Self::TooLarge => "the amount is above 2^53 - 1 minor units",
        })
    }
}

/// Major units with as many decimals as the currency has: `12.34`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = usize::from(self.currency.exponent());
        let digits = format!("{:0>width$}", self.minor.get(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        if exponent == 0 {
            f.write_str(whole)
        } else {
            write!(f, "{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_amounts_outside_the_range_are_refused() {
        for n in [-1, i64::MIN, AMOUNT_MINOR_MAX + 1, i64::MAX] {
            assert_eq!(Minor::new(n), Err(AmountOutOfRange), "{n}");
        }
        assert_eq!(
            Minor::MAX.plus(Minor::new(1).unwrap()),
            Err(AmountOutOfRange)
        );
        assert_eq!(Minor::MAX.plus(Minor::ZERO), Ok(Minor::MAX));
    }

    fn minor(count: i64) -> Minor {
        Minor::new(count).unwrap()
    }

    #[test]
    fn the_largest_amount_is_the_largest_that_every_store_holds_exactly() {
        assert_eq!(Minor::MAX.get(), 9_007_199_254_740_991);
    }

    #[test]
    fn only_no_money_is_zero() {
        assert!(Minor::ZERO.is_zero() && Minor::default().is_zero());
        assert!(!minor(1).is_zero() && !Minor::MAX.is_zero());
    }

    #[test]
    fn sums_are_held_at_the_largest_amount_and_differences_at_nothing() {
        let sums = [(2, 3, 5), (AMOUNT_MINOR_MAX, 0, AMOUNT_MINOR_MAX)];
        let held = [(AMOUNT_MINOR_MAX, 1), (AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)];
        let held = held.map(|(one, other)| (one, other, AMOUNT_MINOR_MAX));
        for (one, other, sum) in sums.into_iter().chain(held) {
            assert_eq!(minor(one).saturating_plus(minor(other)), minor(sum));
        }
        let differences = [(5, 3, 2), (3, 3, 0), (3, 5, 0), (0, AMOUNT_MINOR_MAX, 0)];
        for (one, other, left) in differences {
            assert_eq!(minor(one).saturating_minus(minor(other)), minor(left));
        }
    }

    #[test]
    fn amounts_and_what_is_wrong_with_one_are_written_plainly() {
        assert_eq!(minor(1_234).to_string(), "1234");
        let texts = [
            AmountOutOfRange.to_string(),
            MajorTextInvalid::NotDecimal.to_string(),
            MajorTextInvalid::TooManyDecimals.to_string(),
            MajorTextInvalid::TooLarge.to_string(),
        ];
        let words = [
            "between 0 and 9007199254740991",
            "12.34",
            "decimals",
            "2^53 - 1",
        ];
        for (text, word) in texts.iter().zip(words) {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn major_units_round_trip() {
        let cases = [
            ("USD", "12.34", 1234),
            ("JPY", "12", 12),
            ("KWD", "0.005", 5),
            ("USD", "7", 700),
        ];
        for (code, text, minor) in cases {
            let currency = Currency::parse(code).unwrap();
            let amount = Amount::parse_major(text, currency).unwrap();
            assert_eq!(amount.minor.get(), minor, "{text} {code}");
        }
        let usd = |n| Amount {
            minor: Minor::new(n).unwrap(),
            currency: Currency::USD,
        };
        assert_eq!(usd(5).to_string(), "0.05");
        assert_eq!(usd(123_456).to_string(), "1234.56");
    }

    #[test]
    fn one_major_unit_has_as_many_minor_ones_as_the_exponent_says() {
        for (code, minor) in [("USD", 100), ("JPY", 1), ("KWD", 1_000), ("CLF", 10_000)] {
            let currency = Currency::parse(code).unwrap();
            assert_eq!(Amount::one_major(currency).get(), minor, "{code}");
        }
    }

    #[test]
    fn major_text_that_is_no_amount_is_refused() {
        use MajorTextInvalid::{NotDecimal, TooLarge, TooManyDecimals};
        let cases = [
            ("", NotDecimal),
            (".5", NotDecimal),
            ("1.", NotDecimal),
            ("-1", NotDecimal),
            ("1e2", NotDecimal),
            ("1,000", NotDecimal),
            ("١", NotDecimal),
            ("1.234", TooManyDecimals),
            ("99999999999999999999", TooLarge),
        ];
        for (text, why) in cases {
            assert_eq!(Amount::parse_major(text, Currency::USD), Err(why), "{text}");
        }
    }
}

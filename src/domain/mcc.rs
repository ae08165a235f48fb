//! Merchant category codes (ISO 18245): four digits.

use std::fmt;

/// A merchant category code, 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mcc(u16);

/// The text is not four ASCII digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MccInvalid;

impl Mcc {
    /// Automated fuel dispensers, whose authorizations are status checks for a small amount.
    pub const FUEL_DISPENSER: Self = Self(5542);

    /// Reads exactly four digits.
    ///
    /// # Errors
    /// [`MccInvalid`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MccInvalid> {
        let bytes = text.as_bytes();
        if bytes.len() != 4 || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(MccInvalid);
        }
        let value = bytes
            .iter()
            .fold(0, |value: u16, digit| value * 10 + u16::from(digit - b'0'));
        Ok(Self(value))
    }

    /// The code that a message names: absent where it is none, and where it is 0000, which no merchant
    /// has and which stands for none (behaviour 2.14 f).
    #[must_use]
    pub fn of_message(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|code| code.0 != 0)
    }

    /// The code as a number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The code of a number read back from storage.
    ///
    /// # Errors
    /// [`MccInvalid`] above 9999.
    pub fn from_number(number: u16) -> Result<Self, MccInvalid> {
        if number <= 9999 {
            Ok(Self(number))
        } else {
            Err(MccInvalid)
        }
    }

    /// Whether money comes out as cash: manual and automated cash disbursement, and what the
    /// networks call quasi-cash (behaviour 2.14 g).
    #[must_use]
    pub fn is_cash(self) -> bool {
        matches!(self.0, 6010 | 6011 | 4829 | 6050 | 6051 | 6540 | 7995)
    }

    /// Whether issuers let a hold of it live for about a month: airlines, rented cars and hotels, each
    /// by its own code or by that of its trade, cruise lines, and what is sold from a distance.
    #[must_use]
    pub fn holds_long(self) -> bool {
        matches!(self.0, 3000..=3999 | 4411 | 4511 | 5960..=5969 | 7011 | 7512 | 7513 | 7519)
    }
}

/// Four digits with leading zeros.
impl fmt::Display for Mcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// A set of merchant category codes: one bit each.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MccSet(Box<[u64; 157]>);

impl MccSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new([0; 157]))
    }

    /// Adds every code from `first` to `last`, both included.
    pub fn insert_range(&mut self, first: Mcc, last: Mcc) {
        for code in first.0..=last.0 {
            if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
                *word |= 1 << (code % 64);
            }
        }
    }

    /// Whether the set has the code.
    #[must_use]
    pub fn contains(&self, mcc: Mcc) -> bool {
        self.0
            .get(usize::from(mcc.0 / 64))
            .is_some_and(|word| word >> (mcc.0 % 64) & 1 == 1)
    }
}

impl Default for MccSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MccSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = (0..=9999).filter(|code| self.contains(Mcc(*code)));
        f.debug_set().entries(members).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_only_four_digits_are_a_code() {
        for text in ["", "581", "58122", "58a2", "+581", " 581", "٥٨١٢"] {
            assert_eq!(Mcc::parse(text), Err(MccInvalid), "{text}");
        }
        assert_eq!(Mcc::parse("0042").unwrap().to_string(), "0042");
    }

    #[test]
    fn a_message_that_names_no_code_says_nothing() {
        assert_eq!(Mcc::of_message("5812"), Mcc::parse("5812").ok());
        assert_eq!([Mcc::of_message("0000"), Mcc::of_message("581")], [None; 2]);
    }

    #[test]
    fn a_range_holds_both_its_ends_and_nothing_beside_them() {
        let mcc = |n| Mcc::from_number(n).unwrap();
        let mut set = MccSet::new();
        set.insert_range(mcc(3000), mcc(3350));
        set.insert_range(mcc(9999), mcc(9999));
        for (code, inside) in [
            (2999, false),
            (3000, true),
            (3350, true),
            (3351, false),
            (9999, true),
        ] {
            assert_eq!(set.contains(mcc(code)), inside, "{code}");
        }
    }
}

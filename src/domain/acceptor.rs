//! The card acceptor: the merchant as the network knows it.

use std::borrow::Cow;
use std::fmt;

use super::mcc::Mcc;

/// A country as its two upper-case letters (ISO 3166-1 alpha-2), packed into 16 bits.
///
/// The packing is part of the journal's format and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(u16);

impl Country {
    /// Reads two ASCII letters of either case. Whether such a country exists is for the issuer
    /// that named it.
    #[must_use]
    pub fn parse_alpha2(text: &str) -> Option<Self> {
        let &[a, b] = text.as_bytes() else {
            return None;
        };
        let letters = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then(|| Self(u16::from(letters[0]) << 8 | u16::from(letters[1])))
    }

    /// The packed letters for storage; never zero.
    #[must_use]
    pub fn packed(self) -> u16 {
        self.0
    }

    /// The country of packed letters read back from storage.
    #[must_use]
    pub fn from_packed(packed: u16) -> Option<Self> {
        let [a, b] = packed.to_be_bytes();
        (a.is_ascii_uppercase() && b.is_ascii_uppercase()).then_some(Self(packed))
    }

    /// Which of the 26² pairs of letters it is.
    fn pair_index(self) -> u16 {
        let [a, b] = self.0.to_be_bytes().map(|letter| letter.wrapping_sub(b'A'));
        u16::from(a) * 26 + u16::from(b)
    }

    /// The two letters.
    #[must_use]
    pub fn letters(self) -> [char; 2] {
        self.0.to_be_bytes().map(char::from)
    }
}

/// A set of countries: one bit for each pair of letters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CountrySet([u64; 11]);

impl CountrySet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self([0; 11])
    }

    /// Adds a country.
    pub fn insert(&mut self, country: Country) {
        let bit = country.pair_index();
        if let Some(word) = self.0.get_mut(usize::from(bit / 64)) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Whether the set has the country.
    #[must_use]
    pub fn contains(&self, country: Country) -> bool {
        let bit = country.pair_index();
        let word = self.0.get(usize::from(bit / 64));
        word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// The countries in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = Country> + '_ {
        let letters = || b'A'..=b'Z';
        let all = letters()
            .flat_map(move |a| letters().map(move |b| Country(u16::from_be_bytes([a, b]))));
        all.filter(|country| self.contains(*country))
    }
}

impl Default for CountrySet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CountrySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The merchant of one authorization, as the issuer's message names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardAcceptor<'a> {
    /// The merchant's bank [DE 32].
    pub acquirer_id: Option<Cow<'a, str>>,
    /// The merchant at that bank [DE 42].
    pub acceptor_id: Option<Cow<'a, str>>,
    /// The name on the cardholder's statement [DE 43].
    pub descriptor: Cow<'a, str>,
    /// What the merchant sells [DE 18]; absent where the message's code is no code.
    pub mcc: Option<Mcc>,
    /// Where the merchant is; card-not-present merchants put a phone number or an address here.
    pub city: Cow<'a, str>,
    /// The merchant's country; absent where unknown.
    pub country: Option<Country>,
}

/// Its two letters.
impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.letters();
        write!(f, "{a}{b}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_added_and_tells_it_in_order() {
        let country = |text| Country::parse_alpha2(text).unwrap();
        let mut set = CountrySet::new();
        assert_eq!(set.iter().count(), 0);
        for text in ["ZZ", "us", "AA", "DE", "US"] {
            set.insert(country(text));
        }
        let told: Vec<_> = set.iter().map(|it| it.to_string()).collect();
        assert_eq!(told, ["AA", "DE", "US", "ZZ"]);
        assert!(set.contains(country("DE")) && !set.contains(country("ED")));
    }
}

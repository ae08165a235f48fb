//! The card acceptor: the merchant as the network knows it.

use std::borrow::Cow;

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

    /// The two letters.
    #[must_use]
    pub fn letters(self) -> [char; 2] {
        self.0.to_be_bytes().map(char::from)
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

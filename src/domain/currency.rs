//! Currencies and their exponents (ISO 4217).

use std::fmt;

/// A currency of the registry, as its three letters packed into 16 bits.
///
/// The packing is part of the journal's format and never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(u16);

/// The text names no currency of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCurrency;

/// Exponents that differ from two.
const EXPONENTS: &[(&str, u8)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// Every active currency of ISO 4217, without the codes that are no money (metals, testing, "none").
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB \
BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP \
DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR \
ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK \
MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG \
QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND \
TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER \
ZAR ZMW ZWG";

/// One bit for each of the 26³ packed codes: whether the registry has it.
const KNOWN: [u64; 275] = known_bits();

const fn pack(a: u8, b: u8, c: u8) -> u16 {
    (a - b'A') as u16 * 676 + (b - b'A') as u16 * 26 + (c - b'A') as u16
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn known_bits() -> [u64; 275] {
    let codes = CODES.as_bytes();
    let mut bits = [0u64; 275];
    let mut at = 0;
    while at + 2 < codes.len() {
        let packed = pack(codes[at], codes[at + 1], codes[at + 2]);
        bits[(packed / 64) as usize] |= 1 << (packed % 64);
        at += 4;
    }
    bits
}

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(pack(b'U', b'S', b'D'));
    /// Euro.
    pub const EUR: Self = Self(pack(b'E', b'U', b'R'));

    /// Reads three letters of either case.
    ///
    /// # Errors
    /// [`UnknownCurrency`] where the registry has no such code.
    pub fn parse(text: &str) -> Result<Self, UnknownCurrency> {
        let &[a, b, c] = text.as_bytes() else {
            return Err(UnknownCurrency);
        };
        let letters = [
            a.to_ascii_uppercase(),
            b.to_ascii_uppercase(),
            c.to_ascii_uppercase(),
        ];
        if !letters.iter().all(u8::is_ascii_uppercase) {
            return Err(UnknownCurrency);
        }
        Self::from_packed(pack(letters[0], letters[1], letters[2]))
    }

    /// The currency of a packed code read back from storage.
    ///
    /// # Errors
    /// [`UnknownCurrency`] where the registry has no such code.
    pub fn from_packed(packed: u16) -> Result<Self, UnknownCurrency> {
        let word = KNOWN.get(usize::from(packed / 64)).copied().unwrap_or(0);
        if word >> (packed % 64) & 1 == 1 {
            Ok(Self(packed))
        } else {
            Err(UnknownCurrency)
        }
    }

    /// The packed code for storage.
    #[must_use]
    pub fn packed(self) -> u16 {
        self.0
    }

    /// The three upper-case letters.
    #[must_use]
    pub fn code(self) -> CurrencyCode {
        let letter = |n: u16| b'A' + u8::try_from(n % 26).unwrap_or(0);
        CurrencyCode([letter(self.0 / 676), letter(self.0 / 26), letter(self.0)])
    }

    /// How many decimals the minor unit stands behind the major one: JPY 0, USD 2, KWD 3.
    #[must_use]
    pub fn exponent(self) -> u8 {
        let code = self.code();
        EXPONENTS
            .binary_search_by(|(known, _)| (*known).cmp(code.as_str()))
            .ok()
            .and_then(|at| EXPONENTS.get(at))
            .map_or(2, |(_, exponent)| *exponent)
    }

    /// Every currency of the registry, in alphabetical order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..17_576).filter_map(|packed| Self::from_packed(packed).ok())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().as_str())
    }
}

/// Three ASCII letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyCode([u8; 3]);

impl CurrencyCode {
    /// The letters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("???")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_in_either_case() {
        for code in CODES.split_whitespace() {
            let currency = Currency::parse(code).unwrap();
            assert_eq!(currency.code().as_str(), code);
            assert_eq!(Currency::parse(&code.to_lowercase()).unwrap(), currency);
            assert_eq!(Currency::from_packed(currency.packed()).unwrap(), currency);
        }
        assert_eq!(Currency::all().count(), CODES.split_whitespace().count());
    }

    #[test]
    fn h6_codes_that_are_no_money_are_unknown() {
        for code in ["XXX", "XTS", "XAU", "ABC", "", "US", "USDX", "U$D", "ÄÖ"] {
            assert_eq!(Currency::parse(code), Err(UnknownCurrency), "{code}");
        }
    }

    #[test]
    fn exponents_follow_the_standard() {
        for (code, exponent) in [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("HUF", 2)] {
            assert_eq!(
                Currency::parse(code).unwrap().exponent(),
                exponent,
                "{code}"
            );
        }
    }
}

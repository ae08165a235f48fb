//! Amounts as JSON numbers in major units (`9.58`, `200.0`, `1e2`), read as text and exactly.
//!
//! A binary fraction cannot hold 9.58, so that no parser may make one of it on the way: the number's
//! characters are kept and its digits counted.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::issuer::Fault;

/// Longer numbers are nobody's amounts.
const TEXT_SIZE_MAX: usize = 64;
/// 2^53 has sixteen digits.
const DIGITS_MAX: usize = 16;
const EXPONENT_DIGITS_MAX: usize = 4;

/// A JSON number as it stands in the body.
pub(super) struct Decimal<'a>(&'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Decimal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            Ok(Self(raw))
        } else {
            Err(D::Error::custom("not a number"))
        }
    }
}

impl Decimal<'_> {
    /// Whether it has a minus sign, also before a zero.
    pub(super) fn is_negative(&self) -> bool {
        self.0.starts_with('-')
    }

    /// The number without its sign, in minor units of `currency`.
    pub(super) fn magnitude(&self, currency: Currency) -> Result<Minor, Fault> {
        let text = self.0.strip_prefix('-').unwrap_or(self.0);
        if text.len() > TEXT_SIZE_MAX {
            return Err(Fault::OutOfRange);
        }
        let (mantissa, exponent) = split_exponent(text)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let decimals = i64::try_from(fraction.len()).map_err(|_bounded| Fault::OutOfRange)?;
        let shift = i64::from(currency.exponent()) + exponent - decimals;
        scaled(&[whole, fraction].concat(), shift)
    }
}

/// The part before `e` or `E`, and the number behind it.
fn split_exponent(text: &str) -> Result<(&str, i64), Fault> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Ok((text, 0));
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if digits.len() > EXPONENT_DIGITS_MAX {
        return Err(Fault::OutOfRange);
    }
    let exponent: i64 = digits.parse().map_err(|_no_digits| Fault::WrongType)?;
    Ok((mantissa, sign * exponent))
}

/// The digits times ten to the power of `shift`, if that is a whole number of a lawful size.
fn scaled(digits: &str, shift: i64) -> Result<Minor, Fault> {
    let significant = digits.trim_end_matches('0');
    let dropped =
        i64::try_from(digits.len() - significant.len()).map_err(|_bounded| Fault::OutOfRange)?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Minor::ZERO);
    }
    // The last digit is not zero, so that below zero something would be lost.
    let shift = u32::try_from(shift + dropped).map_err(|_below_zero| Fault::TooManyDecimals)?;
    if significant.len() > DIGITS_MAX {
        return Err(Fault::OutOfRange);
    }
    let mantissa: i64 = significant.parse().map_err(|_no_digits| Fault::WrongType)?;
    10i64
        .checked_pow(shift)
        .and_then(|power| mantissa.checked_mul(power))
        .and_then(|minor| Minor::new(minor).ok())
        .ok_or(Fault::OutOfRange)
}

/// The three digits or letters of a currency, whether they came as text or as a number. It is only
/// ever informative, so that anything else is taken for a currency that nobody knows.
pub(super) struct CurrencyText<'a>(&'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for CurrencyText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self)
    }
}

impl CurrencyText<'_> {
    pub(super) fn currency(&self) -> Option<Currency> {
        let raw = self.0.get();
        let code: Cow<'_, str> = if raw.starts_with('"') {
            serde_json::from_str(raw).ok()?
        } else {
            Cow::Borrowed(raw)
        };
        Currency::parse_numeric(&code).or_else(|| Currency::parse(&code).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, code: &str) -> Result<i64, Fault> {
        let decimal: Decimal<'_> = serde_json::from_str(text).unwrap();
        let currency = Currency::parse(code).unwrap();
        decimal.magnitude(currency).map(Minor::get)
    }

    #[test]
    fn h1_numbers_are_read_exactly_or_refused() {
        use Fault::{OutOfRange, TooManyDecimals};
        let cases = [
            ("9.58", "USD", Ok(958)),
            ("15.3", "USD", Ok(1530)),
            ("200.0", "USD", Ok(20_000)),
            ("200", "USD", Ok(20_000)),
            ("1e2", "USD", Ok(10_000)),
            ("1E+2", "USD", Ok(10_000)),
            ("12.5e-1", "USD", Ok(125)),
            ("1250e-3", "USD", Ok(125)),
            ("0.1", "USD", Ok(10)),
            ("0.10000000000000000000000000000000000000000", "USD", Ok(10)),
            ("0.30000000000000004", "USD", Err(TooManyDecimals)),
            ("0.005", "USD", Err(TooManyDecimals)),
            ("0.005", "KWD", Ok(5)),
            ("1.0001", "KWD", Err(TooManyDecimals)),
            ("100", "JPY", Ok(100)),
            ("100.0", "JPY", Ok(100)),
            ("100.5", "JPY", Err(TooManyDecimals)),
            ("1e-2", "USD", Ok(1)),
            ("1e-3", "USD", Err(TooManyDecimals)),
            ("0", "USD", Ok(0)),
            ("0.0", "USD", Ok(0)),
            ("-0", "USD", Ok(0)),
            ("0e400", "USD", Ok(0)),
            ("0e-400", "USD", Ok(0)),
            ("1e400", "USD", Err(OutOfRange)),
            ("1e99999", "USD", Err(OutOfRange)),
            ("1e-99999", "USD", Err(OutOfRange)),
            ("1e9999", "USD", Err(OutOfRange)),
            ("1e-9999", "USD", Err(TooManyDecimals)),
            ("90071992547409.91", "USD", Ok((1 << 53) - 1)),
            ("90071992547409.92", "USD", Err(OutOfRange)),
            ("9007199254740991e-2", "USD", Ok((1 << 53) - 1)),
            ("99999999999999999999", "USD", Err(OutOfRange)),
            ("10000000000000000000000", "USD", Err(OutOfRange)),
        ];
        for (text, code, expected) in cases {
            assert_eq!(read(text, code), expected, "{text} {code}");
        }
        let longest = format!("1.{}", "0".repeat(62));
        assert_eq!(read(&longest, "USD"), Ok(100));
        assert_eq!(read(&format!("{longest}0"), "USD"), Err(OutOfRange));
    }

    #[test]
    fn h1_what_is_no_json_number_is_no_amount() {
        let texts = [
            "\"9.58\"", "null", "true", "[9.58]", "{}", "NaN", "Infinity", "+1", ".5", "1.", "01",
            "1e", "1e+", "--1", "0x10", "1_000", "1,5", "\u{661}", "",
        ];
        for text in texts {
            assert!(serde_json::from_str::<Decimal<'_>>(text).is_err(), "{text}");
        }
    }
}

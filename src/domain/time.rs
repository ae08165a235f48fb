//! Instants as numbers and as text; reading the clock is `clock.rs`'s business.

use std::fmt;

use super::window::{first_of_month, month_and_day};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since the epoch, held at the ends of the range.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant `micros` microseconds later.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to here; negative where `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339, with any offset and any count of decimals; what is finer than a microsecond is
    /// cut off. Absent where the text is no instant of the years 0000 to 9999.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let is = |at: usize, wanted: &[u8]| text.get(at).is_some_and(|it| wanted.contains(it));
        let marked = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
        let number = |from, to| number(text, from, to);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let lawful = marked && hour < 24 && minute < 60 && second < 61;
        let days = day_number(year, month, day).filter(|_| lawful)?;
        let (mut at, mut fraction) = (19, 0);
        if is(at, b".") {
            let decimals = text.iter().skip(20).take_while(|it| it.is_ascii_digit());
            let count = decimals.count();
            for place in 0..6 {
                let digit = number(20 + place, 21 + place).filter(|_| place < count);
                fraction = fraction * 10 + digit.unwrap_or(0);
            }
            at = 20 + Some(count).filter(|count| *count > 0)?;
        }
        let (ahead, end) = if is(at, b"Zz") {
            (0, at + 1)
        } else {
            let minutes = number(at + 1, at + 3)? * 60 + number(at + 4, at + 6)?;
            let lawful = is(at, b"+-") && is(at + 3, b":");
            let minutes = Some(minutes).filter(|_| lawful)?;
            (if is(at, b"-") { -minutes } else { minutes }, at + 6)
        };
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - ahead * 60;
        (text.len() == end).then(|| Self::from_secs(seconds).plus_micros(fraction))
    }

    /// As RFC 3339 in UTC with microseconds: `2026-05-30T00:00:00.000000Z`. Instants outside the
    /// years 0000 to 9999, which the format cannot say, become the nearest that it can.
    #[must_use]
    pub fn rfc3339(self) -> Rfc3339 {
        Rfc3339 {
            at: self,
            has_fraction: true,
        }
    }

    /// The same in whole seconds, rounded down: `2026-05-30T00:00:00Z`.
    #[must_use]
    pub fn rfc3339_seconds(self) -> Rfc3339 {
        Rfc3339 {
            at: self,
            has_fraction: false,
        }
    }
}

/// The number that these decimal digits say.
fn number(text: &[u8], from: usize, to: usize) -> Option<i64> {
    let digits = text.get(from..to)?;
    digits.iter().try_fold(0i64, |sum, digit| {
        let value = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(sum * 10 + i64::from(value))
    })
}

/// Days since 1970-01-01 of a date; absent where there is no such date.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let months = year * 12 + month - 1;
    let first = first_of_month(i32::try_from(months).ok()?);
    let days = i64::from(first.0) + day - 1;
    let lawful = (1..=12).contains(&month) && month_and_day(days) == (months, day);
    lawful.then_some(days)
}

/// An instant to be written.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339 {
    at: Timestamp,
    has_fraction: bool,
}

/// 0000-01-01T00:00:00Z.
const WRITTEN_FIRST: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z.
const WRITTEN_LAST: i64 = 253_402_300_799_999_999;

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.0.clamp(WRITTEN_FIRST, WRITTEN_LAST);
        let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (months, day) = month_and_day(days);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.has_fraction {
            write!(f, ".{fraction:06}")?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_from_rfc_3339_with_any_offset() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-05-30T00:00:00.000000Z", Some(1_780_099_200_000_000)),
            ("2026-05-30t02:00:00.5+02:00", Some(1_780_099_200_500_000)),
            (
                "2026-05-29T17:00:00.123456789-07:00",
                Some(1_780_099_200_123_456),
            ),
            ("2000-02-29T23:59:59.999999Z", Some(951_868_799_999_999)),
            ("2001-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-05-30T24:00:00Z", None),
            ("2026-05-30T00:00:00", None),
            ("2026-05-30T00:00:00.Z", None),
            ("2026-05-30T00:00:00+0200", None),
            ("2026-05-30T00:00:00Zulu", None),
            ("", None),
        ] {
            let read = Timestamp::parse_rfc3339(text);
            assert_eq!(read.map(Timestamp::micros), micros, "{text}");
        }
    }

    #[test]
    fn instants_are_written_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_399_000_001, "2000-02-28T23:59:59.000001Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (1_780_099_200_000_000, "2026-05-30T00:00:00.000000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ];
        for (micros, text) in cases {
            let at = Timestamp::from_micros(micros);
            assert_eq!(at.rfc3339().to_string(), text);
            let seconds = format!("{}Z", text.split_once('.').unwrap().0);
            assert_eq!(at.rfc3339_seconds().to_string(), seconds);
        }
    }
}

//! Instants as numbers and as text; reading the clock is `clock.rs`'s business.

use std::fmt;

use super::window::month_and_day;

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

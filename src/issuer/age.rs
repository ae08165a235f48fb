//! When a delivery was signed, and whether that is near enough to now.

use super::delivery::{SignatureRefused, VerifierInvalid};
use crate::domain::time::Timestamp;

/// Above an hour a timestamp would no longer bound a replay in any useful way.
pub(super) const TOLERANCE_S_MAX: u32 = 3_600;
/// Fifteen digits of seconds are thirty million years.
const TIMESTAMP_DIGITS_MAX: usize = 15;

/// How far a signature's time may lie from ours, in the past and in the future.
pub(super) struct Tolerance {
    seconds: i64,
}

impl Tolerance {
    pub(super) fn new(seconds: u32) -> Result<Self, VerifierInvalid> {
        if seconds == 0 || seconds > TOLERANCE_S_MAX {
            return Err(VerifierInvalid::ToleranceOutOfRange);
        }
        Ok(Self {
            seconds: i64::from(seconds),
        })
    }

    /// Whole seconds on both sides, as the reference libraries count; at the edge still passes.
    pub(super) fn check(&self, signed_at_s: i64, now: Timestamp) -> Result<(), SignatureRefused> {
        let age_s = now.secs().saturating_sub(signed_at_s);
        if age_s > self.seconds {
            Err(SignatureRefused::TooOld)
        } else if age_s < -self.seconds {
            Err(SignatureRefused::TooNew)
        } else {
            Ok(())
        }
    }
}

/// Whole seconds since the epoch: digits alone, no leading zero.
pub(super) fn unix_seconds(value: &[u8]) -> Result<i64, SignatureRefused> {
    let digits = value.iter().all(u8::is_ascii_digit);
    if value.is_empty() || value.len() > TIMESTAMP_DIGITS_MAX || !digits || value.starts_with(b"0")
    {
        return Err(SignatureRefused::TimestampMalformed);
    }
    Ok(value
        .iter()
        .fold(0, |seconds, digit| seconds * 10 + i64::from(digit - b'0')))
}

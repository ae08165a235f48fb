//! The grammar of `Stripe-Signature`: one reading, or none.
//!
//! `name=value` entries parted by commas, without white space. Exactly one is `t`, one to eight are
//! `v1`; entries of other names are passed over, whatever their values hold.

use crate::issuer::age::unix_seconds;
use crate::issuer::delivery::SignatureRefused;
use crate::issuer::mac::{MAC_SIZE, from_hex};

/// Candidate signatures that one delivery may bring.
const SIGNATURES_MAX: usize = 8;

/// One header, read.
pub(super) struct SignatureHeader<'a> {
    /// As it was signed.
    pub(super) timestamp: &'a [u8],
    /// The same as a number.
    pub(super) signed_at_s: i64,
    macs: [[u8; MAC_SIZE]; SIGNATURES_MAX],
    count: usize,
}

impl<'a> SignatureHeader<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, SignatureRefused> {
        let mut timestamp = None;
        let mut macs = [[0; MAC_SIZE]; SIGNATURES_MAX];
        let mut count = 0;
        for entry in value.split(|byte| *byte == b',') {
            let (name, value) = parts(entry)?;
            match name {
                b"t" if timestamp.is_some() => return Err(SignatureRefused::Repeated),
                b"t" => timestamp = Some((value, unix_seconds(value)?)),
                b"v1" => {
                    let slot: &mut [u8; MAC_SIZE] = macs
                        .get_mut(count)
                        .ok_or(SignatureRefused::TooManySignatures)?;
                    *slot = from_hex(value).ok_or(SignatureRefused::SignatureMalformed)?;
                    count += 1;
                }
                _ => {}
            }
        }
        let (timestamp, signed_at_s) = timestamp.ok_or(SignatureRefused::TimestampMalformed)?;
        if count == 0 {
            return Err(SignatureRefused::NoKnownVersion);
        }
        Ok(Self {
            timestamp,
            signed_at_s,
            macs,
            count,
        })
    }

    pub(super) fn signatures(&self) -> impl Iterator<Item = &[u8; MAC_SIZE]> {
        self.macs.iter().take(self.count)
    }
}

/// Name and value of one entry. A name that only differs in case or white space from one that we
/// know would be another reading, so that it spoils the header.
fn parts(entry: &[u8]) -> Result<(&[u8], &[u8]), SignatureRefused> {
    let equals = entry.iter().position(|byte| *byte == b'=');
    let (name, value) = equals
        .and_then(|at| entry.split_at_checked(at))
        .ok_or(SignatureRefused::SignatureMalformed)?;
    let value = value.get(1..).unwrap_or_default();
    let lawful = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let visible = value.iter().all(u8::is_ascii_graphic);
    if name.is_empty() || !name.iter().all(lawful) || !visible {
        return Err(SignatureRefused::SignatureMalformed);
    }
    Ok((name, value))
}

//! Keys as keyed HMAC-SHA256 states, and the one way in which MACs are compared.

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA256.
pub(super) const MAC_SIZE: usize = 32;

/// A MAC that has no equality but the constant-time one.
pub(super) type Mac = CtOutput<Hmac<Sha256>>;

/// A key, ready to use. Cannot be printed, nor read back.
#[derive(Clone)]
pub(super) struct Key {
    /// Keyed once; each use clones it, which spares two of the hash's compressions.
    keyed: Hmac<Sha256>,
}

impl Key {
    /// Absent for a key that HMAC does not take; there is no such length.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let keyed = Hmac::new_from_slice(key).ok()?;
        Some(Self { keyed })
    }

    /// The MAC of the parts, one after the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Mac {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize()
    }
}

/// Whether one of the candidates is the MAC. All are compared, each in constant time.
pub(super) fn is_any<'m>(
    expected: &Mac,
    candidates: impl Iterator<Item = &'m [u8; MAC_SIZE]>,
) -> bool {
    candidates.fold(false, |any, candidate| {
        any | (*expected == CtOutput::new((*candidate).into()))
    })
}

/// Exactly 64 hexadecimal digits in lower case: each MAC has one spelling.
pub(super) fn from_hex(text: &[u8]) -> Option<[u8; MAC_SIZE]> {
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != MAC_SIZE || !rest.is_empty() {
        return None;
    }
    let mut mac = [0; MAC_SIZE];
    for (byte, [high, low]) in mac.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(mac)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

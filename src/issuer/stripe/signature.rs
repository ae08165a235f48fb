//! `Stripe-Signature`: who sent these bytes, and when.
//!
//! The header holds `t=<unix seconds>` and `v1=<hex>` entries, each an HMAC-SHA256 over
//! `<t>.<raw body>`, keyed with the whole secret as text, `whsec_` included. Any `v1` entry under any
//! active secret will do, which is how secrets roll (behaviour 2.2).
//!
//! Stripe's own libraries take a time in the future, several `t` (the last or the first, depending on
//! the library), and hexadecimal digits of either case. None of that is taken here: a header has one
//! reading or none.

mod header;
mod secret;

use self::header::SignatureHeader;
pub use self::secret::{Secret, SecretInvalid};
use crate::domain::time::Timestamp;
use crate::issuer::age::Tolerance;
use crate::issuer::delivery::{
    Header, SignatureRefused, Unsigned, VerifiedBody, VerifierInvalid, check_count,
};

/// The header that holds time and signatures.
pub const HEADER: &str = "stripe-signature";

/// What one connection accepts as Stripe's. Cannot be printed: it holds secrets.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::stripe::Verifier>();
/// ```
pub struct Verifier {
    secrets: Box<[Secret]>,
    tolerance: Tolerance,
    unsigned: Unsigned,
}

impl Verifier {
    /// A verifier with several active secrets while one is rolled, and a tolerance in seconds, both
    /// into the past and into the future.
    ///
    /// # Errors
    /// [`VerifierInvalid`] where nothing, or too much, could ever pass.
    pub fn new(
        secrets: Vec<Secret>,
        tolerance_s: u32,
        unsigned: Unsigned,
    ) -> Result<Self, VerifierInvalid> {
        check_count(secrets.len(), unsigned)?;
        Ok(Self {
            secrets: secrets.into_boxed_slice(),
            tolerance: Tolerance::new(tolerance_s)?,
            unsigned,
        })
    }

    /// Whether the raw bytes of `body` are Stripe's. Nothing is allocated.
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not.
    pub fn verify<'a>(
        &self,
        header: Header<'_>,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        let value = match header {
            Header::Absent => return self.unsigned.verify(body),
            Header::Once(value) => value,
            Header::Repeated => return Err(SignatureRefused::Repeated),
        };
        let header = SignatureHeader::parse(value)?;
        self.tolerance.check(header.signed_at_s, now)?;
        // No early exit: every secret and every candidate is compared whatever the others said.
        let mut authentic = false;
        for secret in &self.secrets {
            authentic |= secret.signed_any(&header, body);
        }
        if authentic {
            // The event's id stands in the body; the header names no delivery.
            Ok(VerifiedBody::new(body, None))
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }
}

/// The value of `Stripe-Signature`, as Stripe would sign `body`.
#[must_use]
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> String {
    let timestamp = at.secs().to_string();
    let mac = secret.mac(timestamp.as_bytes(), body);
    let mut value = format!("t={timestamp},v1=");
    for byte in mac.as_bytes() {
        for nibble in [byte >> 4, byte & 0xf] {
            value.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    value
}

//! The Standard Webhooks scheme: who sent these bytes, and when.
//!
//! `webhook-signature` holds `v1,<base64>` entries, each an HMAC-SHA256 over
//! `<webhook-id>.<webhook-timestamp>.<raw body>`. Any entry under any active secret will do, which
//! is how secrets rotate (behaviour 2.2).
//!
//! What it costs: every active secret is tried on every delivery, so that the time taken tells
//! nothing about which one matched. What it does not promise: a delivery can be replayed within the
//! tolerance; recognising it is the ledger's business (behaviour 2.4).

mod header;
mod secret;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::header::Candidates;
pub use self::secret::{Secret, SecretInvalid};
use super::age::{Tolerance, unix_seconds};
use super::delivery::{
    Header, Presented, SignatureRefused, Unsigned, VerifiedBody, VerifierInvalid, check_count,
};
use crate::domain::time::Timestamp;

/// The header that names the delivery.
pub const HEADER_ID: &str = "webhook-id";
/// The header that says when the delivery was signed, in whole seconds since the epoch.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The header that holds the signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// Candidate signatures that one delivery may bring.
const SIGNATURES_MAX: usize = 8;

/// The three headers as they arrived; absent is not the same as empty.
#[derive(Clone, Copy, Default)]
pub struct SignatureHeaders<'a> {
    /// The value of `webhook-id`.
    pub id: Option<&'a [u8]>,
    /// The value of `webhook-timestamp`.
    pub timestamp: Option<&'a [u8]>,
    /// The value of `webhook-signature`.
    pub signature: Option<&'a [u8]>,
    /// Whether any of the three came more than once. Such a delivery has two readings.
    pub repeated: bool,
}

impl<'a> SignatureHeaders<'a> {
    /// Finds the three by their names.
    pub(super) fn find(find: impl Fn(&str) -> Header<'a>) -> Presented<'a> {
        Presented {
            headers: [
                find(HEADER_ID),
                find(HEADER_TIMESTAMP),
                find(HEADER_SIGNATURE),
                Header::Absent,
                Header::Absent,
            ],
        }
    }

    /// The three as [`Self::find`] found them.
    pub(super) fn read(presented: &Presented<'a>) -> Self {
        let [id, timestamp, signature, ..] = presented.headers;
        let mut repeated = false;
        let mut once = |header| match header {
            Header::Absent => None,
            Header::Once(value) => Some(value),
            Header::Repeated => {
                repeated = true;
                None
            }
        };
        let (id, timestamp, signature) = (once(id), once(timestamp), once(signature));
        Self {
            id,
            timestamp,
            signature,
            repeated,
        }
    }
}

/// What one connection accepts as its issuer's deliveries. Cannot be printed: it holds secrets.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::standard_webhooks::Verifier>();
/// ```
pub struct Verifier {
    secrets: Box<[Secret]>,
    tolerance: Tolerance,
    unsigned: Unsigned,
}

/// The headers of a delivery that we sign ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// For `webhook-id`.
    pub id: String,
    /// For `webhook-timestamp`.
    pub timestamp: String,
    /// For `webhook-signature`.
    pub signature: String,
}

impl Verifier {
    /// A verifier with several active secrets during a rotation, and a tolerance in seconds, both
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

    /// Whether the raw bytes of `body` are the issuer's. Nothing is allocated.
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not.
    pub fn verify<'a>(
        &self,
        headers: &SignatureHeaders<'a>,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        if headers.repeated {
            return Err(SignatureRefused::Repeated);
        }
        let (id, timestamp, signature) = match (headers.id, headers.timestamp, headers.signature) {
            (Some(id), Some(timestamp), Some(signature)) => (id, timestamp, signature),
            (None, None, None) => return self.unsigned.verify(body),
            _ => return Err(SignatureRefused::Incomplete),
        };
        let delivery = header::delivery_id(id)?;
        self.tolerance.check(unix_seconds(timestamp)?, now)?;
        let candidates = Candidates::parse(signature)?;
        // No early exit: every secret and every candidate is compared whatever the others said.
        let mut authentic = false;
        for secret in &self.secrets {
            authentic |= secret.signed_any(&candidates, id, timestamp, body);
        }
        if authentic {
            Ok(VerifiedBody::new(body, Some(delivery)))
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }
}

/// Signs a delivery as an issuer would: for the sandbox, and for our own webhooks.
#[must_use]
pub fn sign(secret: &Secret, id: &str, at: Timestamp, body: &[u8]) -> SignedHeaders {
    let timestamp = at.secs().to_string();
    let mac = secret.mac(id.as_bytes(), timestamp.as_bytes(), body);
    SignedHeaders {
        id: id.to_owned(),
        signature: format!("v1,{}", STANDARD.encode(mac.as_bytes())),
        timestamp,
    }
}

impl SignedHeaders {
    /// The same headers as a receiver sees them.
    #[must_use]
    pub fn received(&self) -> SignatureHeaders<'_> {
        SignatureHeaders {
            id: Some(self.id.as_bytes()),
            timestamp: Some(self.timestamp.as_bytes()),
            signature: Some(self.signature.as_bytes()),
            repeated: false,
        }
    }

    /// The same headers as [`Issuer::present`](super::Issuer::present) gives them.
    #[must_use]
    pub fn presented(&self) -> Presented<'_> {
        SignatureHeaders::find(|name| match name {
            HEADER_ID => Header::Once(self.id.as_bytes()),
            HEADER_TIMESTAMP => Header::Once(self.timestamp.as_bytes()),
            HEADER_SIGNATURE => Header::Once(self.signature.as_bytes()),
            _ => Header::Absent,
        })
    }
}

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

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::header::Candidates;
pub use self::secret::{Secret, SecretInvalid};
use crate::domain::time::Timestamp;

/// The header that names the delivery.
pub const HEADER_ID: &str = "webhook-id";
/// The header that says when the delivery was signed, in whole seconds since the epoch.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The header that holds the signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// Candidate signatures that one delivery may bring.
const SIGNATURES_MAX: usize = 8;
/// Secrets that one connection may have active at once.
const SECRETS_MAX: usize = 4;
/// Above an hour the timestamp would no longer bound a replay in any useful way.
const TOLERANCE_S_MAX: u32 = 3_600;

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

/// Why a delivery is not taken for the issuer's. Says nothing of the body or of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureRefused {
    /// None of the headers is there, and the connection requires them.
    Missing,
    /// Some of the headers are there.
    Incomplete,
    /// A header came more than once.
    Repeated,
    /// The id is empty, longer than 255 bytes, or has bytes other than visible ASCII without `.`.
    IdMalformed,
    /// The timestamp is not a plain integer.
    TimestampMalformed,
    /// Signed longer ago than the tolerance.
    TooOld,
    /// Signed further in the future than the tolerance.
    TooNew,
    /// The header is no list of `version,signature` entries, or a `v1` entry holds no MAC.
    SignatureMalformed,
    /// More than eight `v1` entries.
    TooManySignatures,
    /// No `v1` entry.
    NoKnownVersion,
    /// No entry is a signature of these bytes under an active secret.
    Mismatch,
}

impl SignatureRefused {
    /// Every cause.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::Incomplete,
        Self::Repeated,
        Self::IdMalformed,
        Self::TimestampMalformed,
        Self::TooOld,
        Self::TooNew,
        Self::SignatureMalformed,
        Self::TooManySignatures,
        Self::NoKnownVersion,
        Self::Mismatch,
    ];

    /// The label in metrics and logs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Incomplete => "incomplete",
            Self::Repeated => "repeated",
            Self::IdMalformed => "id_malformed",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::SignatureMalformed => "signature_malformed",
            Self::TooManySignatures => "too_many_signatures",
            Self::NoKnownVersion => "no_known_version",
            Self::Mismatch => "mismatch",
        }
    }
}

impl fmt::Display for SignatureRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What to do with a delivery that has none of the three headers. Lithic sends them only after the
/// program's secret has been fetched once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// Refuse it.
    #[default]
    Refuse,
    /// Take it for the issuer's, whoever sent it.
    Accept,
}

impl Unsigned {
    /// Reads the word of the configuration; absent where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "refuse" => Some(Self::Refuse),
            "accept" => Some(Self::Accept),
            _ => None,
        }
    }
}

/// Why a connection cannot be set up to verify deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierInvalid {
    /// No secret, while unsigned deliveries are refused: nothing would ever pass.
    NoSecret,
    /// More secrets than a rotation needs.
    TooManySecrets,
    /// Zero, or more than an hour.
    ToleranceOutOfRange,
}

impl fmt::Display for VerifierInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("no secret, while unsigned = \"refuse\""),
            Self::TooManySecrets => write!(f, "more than {SECRETS_MAX} secrets"),
            Self::ToleranceOutOfRange => {
                write!(
                    f,
                    "the tolerance must lie between 1 and {TOLERANCE_S_MAX} seconds"
                )
            }
        }
    }
}

impl std::error::Error for VerifierInvalid {}

/// What one connection accepts as its issuer's deliveries. Cannot be printed: it holds secrets.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::standard_webhooks::Verifier>();
/// ```
pub struct Verifier {
    secrets: Box<[Secret]>,
    tolerance_s: i64,
    unsigned: Unsigned,
}

/// A body that is the issuer's. Only [`Verifier::verify`] makes one, so that nothing unverified
/// can be decoded.
#[derive(Clone, Copy)]
pub struct VerifiedBody<'a> {
    bytes: &'a [u8],
    delivery: Option<&'a str>,
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
        if secrets.is_empty() && unsigned == Unsigned::Refuse {
            return Err(VerifierInvalid::NoSecret);
        }
        if secrets.len() > SECRETS_MAX {
            return Err(VerifierInvalid::TooManySecrets);
        }
        if tolerance_s == 0 || tolerance_s > TOLERANCE_S_MAX {
            return Err(VerifierInvalid::ToleranceOutOfRange);
        }
        Ok(Self {
            secrets: secrets.into_boxed_slice(),
            tolerance_s: i64::from(tolerance_s),
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
            (None, None, None) => return self.verify_unsigned(body),
            _ => return Err(SignatureRefused::Incomplete),
        };
        let delivery = header::delivery_id(id)?;
        self.check_age(header::unix_seconds(timestamp)?, now)?;
        let candidates = Candidates::parse(signature)?;
        // No early exit: every secret and every candidate is compared whatever the others said.
        let mut authentic = false;
        for secret in &self.secrets {
            authentic |= secret.signed_any(&candidates, id, timestamp, body);
        }
        if authentic {
            Ok(VerifiedBody {
                bytes: body,
                delivery: Some(delivery),
            })
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }

    fn verify_unsigned<'a>(&self, body: &'a [u8]) -> Result<VerifiedBody<'a>, SignatureRefused> {
        match self.unsigned {
            Unsigned::Refuse => Err(SignatureRefused::Missing),
            Unsigned::Accept => Ok(VerifiedBody {
                bytes: body,
                delivery: None,
            }),
        }
    }

    /// Whole seconds on both sides, as the reference libraries count; at the edge still passes.
    fn check_age(&self, signed_at_s: i64, now: Timestamp) -> Result<(), SignatureRefused> {
        let age_s = now.secs().saturating_sub(signed_at_s);
        if age_s > self.tolerance_s {
            Err(SignatureRefused::TooOld)
        } else if age_s < -self.tolerance_s {
            Err(SignatureRefused::TooNew)
        } else {
            Ok(())
        }
    }
}

impl<'a> VerifiedBody<'a> {
    /// The bytes that were verified.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The id of the delivery; absent where it came unsigned.
    #[must_use]
    pub fn delivery(&self) -> Option<&'a str> {
        self.delivery
    }
}

/// The length only: a body never reaches a log.
impl fmt::Debug for VerifiedBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedBody({} bytes)", self.bytes.len())
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
}

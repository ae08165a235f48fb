//! One delivery as it arrived: the headers that prove who sent it, and what becomes of the proof.

use std::fmt;

use super::age::TOLERANCE_S_MAX;

/// Headers that one kind of issuer may ask for.
pub(super) const PRESENTED_MAX: usize = 5;
/// Secrets that one connection may have active at once.
const SECRETS_MAX: usize = 4;

/// One header of a delivery. One that came more than once has two readings.
#[derive(Clone, Copy, Default)]
pub enum Header<'a> {
    /// Not there, which is not the same as empty.
    #[default]
    Absent,
    /// There once.
    Once(&'a [u8]),
    /// There more than once.
    Repeated,
}

/// The headers in which a delivery proves who sent it, in the order in which its issuer's kind asks
/// for them. Made by [`Issuer::present`](super::Issuer::present).
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    pub(super) headers: [Header<'a>; PRESENTED_MAX],
}

/// A body that is the issuer's. Only the schemes of this layer make one, so that nothing unverified
/// can be decoded.
#[derive(Clone, Copy)]
pub struct VerifiedBody<'a> {
    bytes: &'a [u8],
    delivery: Option<&'a str>,
}

impl<'a> VerifiedBody<'a> {
    pub(super) fn new(bytes: &'a [u8], delivery: Option<&'a str>) -> Self {
        Self { bytes, delivery }
    }

    /// The bytes that were verified.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The id of the delivery; absent where its headers do not name one.
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

/// Why a delivery is not taken for the issuer's. Says nothing of the body or of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureRefused {
    /// None of the headers is there, and the connection requires them.
    Missing,
    /// Some of the headers are there.
    Incomplete,
    /// A header, or what stands in it once, came more than once.
    Repeated,
    /// The id is empty, longer than 255 bytes, or has bytes other than visible ASCII without `.`.
    IdMalformed,
    /// The timestamp is not a plain integer.
    TimestampMalformed,
    /// Signed longer ago than the tolerance.
    TooOld,
    /// Signed further in the future than the tolerance.
    TooNew,
    /// The header is not of the scheme's form, or an entry of the known version holds no MAC.
    SignatureMalformed,
    /// More than eight signatures of the known version.
    TooManySignatures,
    /// No signature of the known version.
    NoKnownVersion,
    /// The header holds no user and password (HTTP Basic).
    CredentialsMalformed,
    /// The scheme signs the body's canonical form, and the body has none.
    BodyNotCanonical,
    /// No entry is a signature of these bytes under an active secret, or the credentials are others.
    Mismatch,
}

impl SignatureRefused {
    /// Every cause.
    pub const ALL: [Self; 13] = [
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
        Self::CredentialsMalformed,
        Self::BodyNotCanonical,
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
            Self::CredentialsMalformed => "credentials_malformed",
            Self::BodyNotCanonical => "body_not_canonical",
            Self::Mismatch => "mismatch",
        }
    }
}

impl fmt::Display for SignatureRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What to do with a delivery that has none of the headers. Lithic sends them only after the
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

    /// What becomes of a delivery without any of the headers.
    pub(super) fn verify(self, body: &[u8]) -> Result<VerifiedBody<'_>, SignatureRefused> {
        match self {
            Self::Refuse => Err(SignatureRefused::Missing),
            Self::Accept => Ok(VerifiedBody::new(body, None)),
        }
    }
}

/// Whether so many secrets let anything pass, and no more than a rotation needs.
pub(super) fn check_count(secrets: usize, unsigned: Unsigned) -> Result<(), VerifierInvalid> {
    if secrets == 0 && unsigned == Unsigned::Refuse {
        return Err(VerifierInvalid::NoSecret);
    }
    if secrets > SECRETS_MAX {
        return Err(VerifierInvalid::TooManySecrets);
    }
    Ok(())
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
    /// More headers with fixed values than are looked for.
    TooManyHeaders,
}

impl fmt::Display for VerifierInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("no secret, while unsigned = \"refuse\""),
            Self::TooManySecrets => write!(f, "more than {SECRETS_MAX} secrets"),
            Self::TooManyHeaders => {
                write!(f, "more than {} headers", PRESENTED_MAX - 1)
            }
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

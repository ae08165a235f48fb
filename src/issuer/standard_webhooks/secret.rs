//! Signing secrets, kept as keyed HMAC states.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::header::Candidates;
use crate::issuer::mac::{Key, Mac, is_any};

/// Shorter keys can be guessed.
const KEY_SIZE_MIN: usize = 16;
const PREFIX: &str = "whsec_";

/// Issuers print secrets with and without padding.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One signing secret. Cannot be printed, nor read back.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::standard_webhooks::Secret>();
/// ```
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Display>() {}
/// printable::<countersign::issuer::standard_webhooks::Secret>();
/// ```
#[derive(Clone)]
pub struct Secret {
    key: Key,
}

/// Why a text is no secret. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretInvalid {
    /// Nothing, or nothing but the prefix.
    Empty,
    /// White space somewhere; most often the newline at the end of a file.
    Whitespace,
    /// Not base64 after the optional `whsec_`.
    NotBase64,
    /// Fewer than 16 bytes.
    TooShort,
}

impl fmt::Display for SecretInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the secret is empty"),
            Self::Whitespace => {
                f.write_str("the secret has white space in it (a newline at the end of the file?)")
            }
            Self::NotBase64 => {
                f.write_str("the secret is not base64 (with or without the prefix whsec_)")
            }
            Self::TooShort => write!(f, "the secret is shorter than {KEY_SIZE_MIN} bytes"),
        }
    }
}

impl std::error::Error for SecretInvalid {}

impl Secret {
    /// Reads base64, padded or not, with or without `whsec_`. Takes the text, so that it is wiped
    /// from memory.
    ///
    /// # Errors
    /// [`SecretInvalid`] where the text is not exactly a secret that is long enough.
    pub fn from_text(text: String) -> Result<Self, SecretInvalid> {
        let text = SecretString::from(text);
        let text = text.expose_secret();
        if text.contains(char::is_whitespace) {
            return Err(SecretInvalid::Whitespace);
        }
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        if encoded.is_empty() {
            return Err(SecretInvalid::Empty);
        }
        let key: SecretSlice<u8> = SECRET_BASE64
            .decode(encoded)
            .map_err(|_names_a_byte_of_it| SecretInvalid::NotBase64)?
            .into();
        if key.expose_secret().len() < KEY_SIZE_MIN {
            return Err(SecretInvalid::TooShort);
        }
        let key = Key::new(key.expose_secret()).ok_or(SecretInvalid::TooShort)?;
        Ok(Self { key })
    }

    /// The MAC of one delivery.
    pub(super) fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Mac {
        self.key.mac(&[id, b".", timestamp, b".", body])
    }

    /// Whether one of the candidates is the MAC.
    pub(super) fn signed_any(
        &self,
        candidates: &Candidates,
        id: &[u8],
        timestamp: &[u8],
        body: &[u8],
    ) -> bool {
        is_any(&self.mac(id, timestamp, body), candidates.iter())
    }
}

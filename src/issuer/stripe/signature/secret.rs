//! Endpoints' signing secrets, kept as keyed HMAC states.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

use super::header::SignatureHeader;
use crate::issuer::mac::{Key, Mac, is_any};

/// Shorter keys can be guessed.
const SECRET_SIZE_MIN: usize = 16;
const PREFIX: &str = "whsec_";

/// One signing secret. Cannot be printed, nor read back.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::stripe::Secret>();
/// ```
#[derive(Clone)]
pub struct Secret {
    key: Key,
}

/// Why a text is no secret of Stripe's. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretInvalid {
    /// Nothing, or nothing but the prefix.
    Empty,
    /// Something else than visible ASCII; most often the newline at the end of a file.
    Whitespace,
    /// Without `whsec_`: another key than the endpoint's, or a part of it.
    NoPrefix,
    /// Fewer than 16 characters.
    TooShort,
}

impl fmt::Display for SecretInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the secret is empty"),
            Self::Whitespace => f.write_str(
                "the secret has white space or other invisible characters in it (a newline at the \
                 end of the file?)",
            ),
            Self::NoPrefix => f.write_str(
                "the secret does not begin with whsec_; Stripe's signing secrets are used whole",
            ),
            Self::TooShort => write!(f, "the secret is shorter than {SECRET_SIZE_MIN} characters"),
        }
    }
}

impl std::error::Error for SecretInvalid {}

impl Secret {
    /// Takes the endpoint's secret as Stripe shows it, `whsec_` included; all of it is the key. Takes
    /// the text, so that it is wiped from memory.
    ///
    /// # Errors
    /// [`SecretInvalid`] where the text is not exactly such a secret.
    pub fn from_text(text: String) -> Result<Self, SecretInvalid> {
        let text = SecretString::from(text);
        let text = text.expose_secret();
        if text.is_empty() || text == PREFIX {
            return Err(SecretInvalid::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretInvalid::Whitespace);
        }
        if !text.starts_with(PREFIX) {
            return Err(SecretInvalid::NoPrefix);
        }
        if text.len() < SECRET_SIZE_MIN {
            return Err(SecretInvalid::TooShort);
        }
        let key = Key::new(text.as_bytes()).ok_or(SecretInvalid::TooShort)?;
        Ok(Self { key })
    }

    /// The MAC of one delivery.
    pub(super) fn mac(&self, timestamp: &[u8], body: &[u8]) -> Mac {
        self.key.mac(&[timestamp, b".", body])
    }

    /// Whether one of the header's signatures is the MAC.
    pub(super) fn signed_any(&self, header: &SignatureHeader<'_>, body: &[u8]) -> bool {
        is_any(&self.mac(header.timestamp, body), header.signatures())
    }
}

//! `X-Marqeta-Signature` on webhooks, where the webhook has a secret: hexadecimal HMAC-SHA256 over the
//! raw body. Beside it stands HTTP Basic, as on funding requests.
//!
//! Marqeta's default algorithm is HMAC-SHA1, which is not taken: set `signature_algorithm` to
//! `HMAC_SHA_256`. There is no time in what is signed.

use secrecy::SecretString;

use super::basic::{self, CredentialInvalid};
use crate::issuer::delivery::{Header, SignatureRefused, Unsigned, VerifierInvalid, check_count};
use crate::issuer::mac::{Key, from_hex, is_any};

/// The header that holds the signature.
pub const HEADER: &str = "x-marqeta-signature";
/// Shorter keys can be guessed.
const SECRET_SIZE_MIN: usize = 16;

/// One secret of a webhook. Cannot be printed, nor read back.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::marqeta::webhook::Secret>();
/// ```
pub struct Secret {
    key: Key,
}

impl Secret {
    /// Takes the secret as it was given to Marqeta. Takes the text, so that it is wiped from memory.
    ///
    /// # Errors
    /// [`CredentialInvalid`] where it is none or too short.
    pub fn from_text(text: String) -> Result<Self, CredentialInvalid> {
        let text = SecretString::from(text);
        let text = basic::visible(&text)?;
        if text.len() < SECRET_SIZE_MIN {
            return Err(CredentialInvalid::TooShort);
        }
        let key = Key::new(text.as_bytes()).ok_or(CredentialInvalid::TooLong)?;
        Ok(Self { key })
    }
}

/// What is accepted as a signature of a connection's webhooks. Cannot be printed: it holds secrets.
pub struct Signatures {
    secrets: Box<[Secret]>,
}

impl Signatures {
    /// Several active secrets while one is rotated.
    ///
    /// # Errors
    /// [`VerifierInvalid`] where nothing, or too much, could ever pass.
    pub fn new(secrets: Vec<Secret>) -> Result<Self, VerifierInvalid> {
        check_count(secrets.len(), Unsigned::Refuse)?;
        Ok(Self {
            secrets: secrets.into_boxed_slice(),
        })
    }

    /// Whether the header is a signature of the raw bytes. Nothing is allocated.
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not.
    pub fn check(&self, header: Header<'_>, body: &[u8]) -> Result<(), SignatureRefused> {
        let value = match header {
            Header::Absent => return Err(SignatureRefused::Missing),
            Header::Once(value) => value,
            Header::Repeated => return Err(SignatureRefused::Repeated),
        };
        let mac = from_hex(value).ok_or(SignatureRefused::SignatureMalformed)?;
        // No early exit: every secret is tried whatever the others said.
        let mut authentic = false;
        for secret in &self.secrets {
            authentic |= is_any(&secret.key.mac(&[body]), std::iter::once(&mac));
        }
        if authentic {
            Ok(())
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }
}

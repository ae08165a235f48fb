//! `X-Lithic-HMAC`, the scheme before Standard Webhooks: only where a connection asks for it.
//!
//! The header is the base64 of an HMAC-SHA256, keyed with the program's API key as text, over the
//! body in a canonical form: members sorted by name, no white space. Signer and receiver each make
//! that form with their language's library, and these differ, so that the two in use are both tried.
//!
//! What it costs: the body is parsed before it is known who sent it, within bounds of size, depth and
//! grammar. What it does not promise: there is no time in what is signed, so that a delivery can be
//! sent again for ever; recognising it is the ledger's business (behaviour 2.4).

mod canonical;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use self::canonical::{Form, canonical};
use crate::issuer::delivery::{
    Header, Presented, SignatureRefused, Unsigned, VerifiedBody, VerifierInvalid, check_count,
};
use crate::issuer::mac::{Key, MAC_SIZE, is_any};

/// The header that holds the signature.
const HEADER: &str = "x-lithic-hmac";
/// Shorter keys can be guessed.
const KEY_SIZE_MIN: usize = 16;

/// One API key. Cannot be printed, nor read back.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::lithic::legacy::ApiKey>();
/// ```
pub struct ApiKey {
    key: Key,
}

/// Why a text is no API key. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyInvalid {
    /// Nothing.
    Empty,
    /// Something else than visible ASCII; most often the newline at the end of a file.
    Whitespace,
    /// Fewer than 16 characters.
    TooShort,
}

impl fmt::Display for ApiKeyInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the API key is empty"),
            Self::Whitespace => f.write_str(
                "the API key has white space or other invisible characters in it (a newline at \
                 the end of the file?)",
            ),
            Self::TooShort => write!(f, "the API key is shorter than {KEY_SIZE_MIN} characters"),
        }
    }
}

impl std::error::Error for ApiKeyInvalid {}

impl ApiKey {
    /// Takes the key as Lithic shows it. Takes the text, so that it is wiped from memory.
    ///
    /// # Errors
    /// [`ApiKeyInvalid`] where the text is not exactly a key that is long enough.
    pub fn from_text(text: String) -> Result<Self, ApiKeyInvalid> {
        let text = SecretString::from(text);
        let text = text.expose_secret();
        if text.is_empty() {
            return Err(ApiKeyInvalid::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyInvalid::Whitespace);
        }
        if text.len() < KEY_SIZE_MIN {
            return Err(ApiKeyInvalid::TooShort);
        }
        let key = Key::new(text.as_bytes()).ok_or(ApiKeyInvalid::TooShort)?;
        Ok(Self { key })
    }
}

/// What one connection accepts as Lithic's. Cannot be printed: it holds secrets.
pub struct Verifier {
    keys: Box<[ApiKey]>,
    unsigned: Unsigned,
}

impl Verifier {
    /// A verifier with several active keys while one is replaced.
    ///
    /// # Errors
    /// [`VerifierInvalid`] where nothing, or too much, could ever pass.
    pub fn new(keys: Vec<ApiKey>, unsigned: Unsigned) -> Result<Self, VerifierInvalid> {
        check_count(keys.len(), unsigned)?;
        Ok(Self {
            keys: keys.into_boxed_slice(),
            unsigned,
        })
    }

    pub(in crate::issuer) fn present<'a>(find: impl Fn(&str) -> Header<'a>) -> Presented<'a> {
        let absent = Header::Absent;
        Presented {
            headers: [find(HEADER), absent, absent, absent, absent],
        }
    }

    pub(in crate::issuer) fn verify<'a>(
        &self,
        presented: &Presented<'_>,
        body: &'a [u8],
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        let [signature, ..] = presented.headers;
        let value = match signature {
            Header::Absent => return self.unsigned.verify(body),
            Header::Once(value) => value,
            Header::Repeated => return Err(SignatureRefused::Repeated),
        };
        let candidate = mac(value)?;
        let text = str::from_utf8(body).map_err(|_not_utf8| SignatureRefused::BodyNotCanonical)?;
        let mut authentic = false;
        for form in [Form::Ascii, Form::Plain] {
            let signed = canonical(text, form).ok_or(SignatureRefused::BodyNotCanonical)?;
            for key in &self.keys {
                authentic |= is_any(&key.key.mac(&[&signed]), std::iter::once(&candidate));
            }
        }
        if authentic {
            Ok(VerifiedBody::new(body, None))
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }
}

/// The decoder wants whole groups of three; whatever does not fill exactly a MAC is none. Only one
/// text decodes to each MAC: padding and the last bits are checked.
fn mac(text: &[u8]) -> Result<[u8; MAC_SIZE], SignatureRefused> {
    let mut decoded = [0; MAC_SIZE + 1];
    if STANDARD.decode_slice(text, &mut decoded) != Ok(MAC_SIZE) {
        return Err(SignatureRefused::SignatureMalformed);
    }
    let [mac @ .., _] = decoded;
    Ok(mac)
}

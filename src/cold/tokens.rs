//! API keys: what they look like, and the keyed hash that is kept of them (behaviour 4.7).
//!
//! The hash's own key is drawn once and stands in a file beside the database, so that whoever has a
//! copy of the database alone can neither use a key nor test a guess.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::cold::store::Mode;

/// Random bytes of a key: 192 bits.
const KEY_SIZE: usize = 24;
const SECRET_SIZE: usize = 32;
/// Characters of a verifier.
const VERIFIER_LEN: std::ops::RangeInclusive<usize> = 43..=128;
/// Random bytes of sessions, codes and tokens.
const OPAQUE_SIZE: usize = 32;
/// The longest text that is hashed to look for a key.
const TEXT_LEN_MAX: usize = 128;

/// A file that cannot be used.
#[derive(Debug)]
pub struct SecretFileError {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for SecretFileError {}

/// The key of the hash. Cannot be printed, nor read back.
pub struct TokenSecret {
    keyed: Hmac<Sha256>,
}

impl TokenSecret {
    /// Draws one into a file that only its owner reads. The file must not be there.
    ///
    /// # Errors
    /// [`SecretFileError`] where the file cannot be written, or the system gives no randomness.
    pub fn create(path: &Path) -> Result<Self, SecretFileError> {
        let mut bytes = [0; SECRET_SIZE];
        let written = fill(&mut bytes).and_then(|()| {
            let mut options = OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600).open(path);
            let mut file = opened?;
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written
            .and_then(|()| Self::of(&bytes))
            .map_err(|cause| error(path, cause))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SecretFileError`] where the file is absent or of another size.
    pub fn read(path: &Path) -> Result<Self, SecretFileError> {
        fs::read(path)
            .and_then(|bytes| Self::of(&bytes))
            .map_err(|cause| error(path, cause))
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "is not of 32 bytes");
        if bytes.len() != SECRET_SIZE {
            return Err(invalid());
        }
        let keyed = Hmac::new_from_slice(bytes).map_err(|_length| invalid())?;
        Ok(Self { keyed })
    }

    /// The hash under which a key's text is kept; none for what is no text of a key.
    #[must_use]
    pub fn hash_of_key(&self, text: &str) -> Option<[u8; 32]> {
        let is_lawful = text.len() <= TEXT_LEN_MAX && text.starts_with("cs_");
        is_lawful.then(|| self.digest("api key", &[text.as_bytes()]))
    }

    /// The keyed hash of some parts, for one purpose. Lengths keep ("ab", "c") and ("a", "bc") apart.
    #[must_use]
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(purpose, parts).finalize().into_bytes().into()
    }

    /// Whether it is that hash. However much of it is, the answer takes as long.
    #[must_use]
    pub fn has_made(&self, purpose: &str, parts: &[&[u8]], hash: &[u8]) -> bool {
        self.mac(purpose, parts).verify_slice(hash).is_ok()
    }

    /// Whether two texts are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        let hashed = |text: &str| self.digest("compared", &[text.as_bytes()]);
        hashed(one) == hashed(other)
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        for part in [purpose.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// The text of a new key. It is shown once.
///
/// # Errors
/// Where the system gives no randomness.
pub fn draw(mode: Mode) -> io::Result<SecretString> {
    let mut bytes = [0; KEY_SIZE];
    fill(&mut bytes)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    Ok(SecretString::from(format!("cs_{}_{text}", mode.name())))
}

/// What a verifier's challenge is (RFC 7636, S256); none where it is no verifier.
#[must_use]
pub fn challenge_of(verifier: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_lawful = VERIFIER_LEN.contains(&verifier.len()) && verifier.bytes().all(is_part);
    is_lawful.then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
}

/// A text of 256 random bits behind a prefix that says what it is; its keyed hash is kept.
///
/// # Errors
/// Where the system gives no randomness.
pub fn draw_opaque(prefix: &str) -> io::Result<SecretString> {
    let mut bytes = [0; OPAQUE_SIZE];
    fill(&mut bytes)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    Ok(SecretString::from(format!("{prefix}{text}")))
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

fn error(path: &Path, cause: io::Error) -> SecretFileError {
    let path = path.to_owned();
    SecretFileError { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_one_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge_of(verifier).as_deref(), Some(challenge));
        assert_eq!(challenge_of("short"), None);
        assert_eq!(challenge_of(&"a".repeat(129)), None);
        assert_eq!(challenge_of(&"ä".repeat(30)), None);
    }
}

//! HTTP Basic, and headers with fixed values: Marqeta signs no bodies.
//!
//! What it does not promise: whoever has read one request can send others, and change its body. The
//! transport has to keep readers away (TLS, a private network, mTLS at the proxy).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::issuer::delivery::{
    Header, PRESENTED_MAX, Presented, SignatureRefused, Unsigned, VerifiedBody, VerifierInvalid,
    check_count,
};
use crate::issuer::mac::{Key, Mac};

const AUTHORIZATION: &str = "authorization";
const SCHEME: &str = "basic ";
/// Marqeta takes 50 characters of user and 100 of password.
const CREDENTIALS_SIZE_MAX: usize = 255;
/// Marqeta wants 20 characters of password; shorter ones than this can be guessed.
const PASSWORD_SIZE_MIN: usize = 16;
/// Headers with fixed values that one connection may ask for.
const STATIC_HEADERS_MAX: usize = PRESENTED_MAX - 1;
/// Secrets are compared by their MACs under this key, so that neither length nor content shows in the
/// time that it takes.
const COMPARISON_KEY: &[u8] = b"countersign: comparison of secrets";

/// User and password. Cannot be printed, nor read back.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::marqeta::Credentials>();
/// ```
pub struct Credentials {
    mac: Mac,
}

/// The fixed value of one header. Cannot be printed, nor read back.
pub struct HeaderSecret {
    mac: Mac,
}

/// A header that has to stand in each request, with one of its values.
pub struct StaticHeader {
    name: Box<str>,
    values: Box<[HeaderSecret]>,
}

/// Why a text is no credential. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialInvalid {
    /// Nothing.
    Empty,
    /// A control character or white space; most often the newline at the end of a file.
    Whitespace,
    /// Not `user:password`.
    NoColon,
    /// No user before the colon.
    NoUser,
    /// Fewer than 16 characters of password, or of a header's value.
    TooShort,
    /// More than 255 bytes.
    TooLong,
    /// Not the name of a header, or of one that HTTP itself uses.
    NotAHeader,
    /// No value, or more values than a rotation needs.
    WrongNumberOfValues,
}

impl fmt::Display for CredentialInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the secret is empty"),
            Self::Whitespace => f.write_str(
                "the secret has white space or control characters in it (a newline at the end of \
                 the file?)",
            ),
            Self::NoColon => f.write_str("the secret is not of the form user:password"),
            Self::NoUser => f.write_str("the secret has no user before its colon"),
            Self::TooShort => write!(
                f,
                "the password or value is shorter than {PASSWORD_SIZE_MIN} characters"
            ),
            Self::TooLong => write!(f, "the secret is longer than {CREDENTIALS_SIZE_MAX} bytes"),
            Self::NotAHeader => f.write_str(
                "not the name of a header of its own, in lower case, like x-countersign-key",
            ),
            Self::WrongNumberOfValues => {
                f.write_str("needs one value, or a few while it is rotated")
            }
        }
    }
}

impl std::error::Error for CredentialInvalid {}

impl Credentials {
    /// Reads `user:password`. Takes the text, so that it is wiped from memory.
    ///
    /// # Errors
    /// [`CredentialInvalid`] where the text is not exactly that.
    pub fn from_text(text: String) -> Result<Self, CredentialInvalid> {
        let text = SecretString::from(text);
        let text = visible(&text)?;
        let (user, password) = text.split_once(':').ok_or(CredentialInvalid::NoColon)?;
        if user.is_empty() {
            return Err(CredentialInvalid::NoUser);
        }
        if password.len() < PASSWORD_SIZE_MIN {
            return Err(CredentialInvalid::TooShort);
        }
        let mac = comparable(text.as_bytes()).ok_or(CredentialInvalid::TooLong)?;
        Ok(Self { mac })
    }
}

impl HeaderSecret {
    /// Reads the value of a header. Takes the text, so that it is wiped from memory.
    ///
    /// # Errors
    /// [`CredentialInvalid`] where it could not stand in a header, or could be guessed.
    pub fn from_text(text: String) -> Result<Self, CredentialInvalid> {
        let text = SecretString::from(text);
        let text = visible(&text)?;
        if text.len() < PASSWORD_SIZE_MIN {
            return Err(CredentialInvalid::TooShort);
        }
        let mac = comparable(text.as_bytes()).ok_or(CredentialInvalid::TooLong)?;
        Ok(Self { mac })
    }
}

impl StaticHeader {
    /// The header `name`, which holds one of `values`.
    ///
    /// # Errors
    /// [`CredentialInvalid`] where no request could have it.
    pub fn new(name: &str, values: Vec<HeaderSecret>) -> Result<Self, CredentialInvalid> {
        let lawful = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let reserved = ["", AUTHORIZATION, "host", "connection", "transfer-encoding"];
        if !name.bytes().all(lawful) || reserved.contains(&name) || name.starts_with("content-") {
            return Err(CredentialInvalid::NotAHeader);
        }
        if check_count(values.len(), Unsigned::Refuse).is_err() {
            return Err(CredentialInvalid::WrongNumberOfValues);
        }
        Ok(Self {
            name: name.into(),
            values: values.into_boxed_slice(),
        })
    }
}

pub(super) fn visible(text: &SecretString) -> Result<&str, CredentialInvalid> {
    let text = text.expose_secret();
    if text.is_empty() {
        return Err(CredentialInvalid::Empty);
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(CredentialInvalid::Whitespace);
    }
    if text.len() > CREDENTIALS_SIZE_MAX {
        return Err(CredentialInvalid::TooLong);
    }
    Ok(text)
}

fn comparable(secret: &[u8]) -> Option<Mac> {
    Some(Key::new(COMPARISON_KEY)?.mac(&[secret]))
}

/// What one connection accepts as Marqeta's. Cannot be printed: it holds secrets.
///
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<countersign::issuer::marqeta::Verifier>();
/// ```
pub struct Verifier {
    comparison: Key,
    credentials: Box<[Credentials]>,
    headers: Box<[StaticHeader]>,
    unsigned: Unsigned,
}

impl Verifier {
    /// A verifier with several active credentials while they are rotated, and headers that each
    /// request must have.
    ///
    /// # Errors
    /// [`VerifierInvalid`] where nothing, or too much, could ever pass.
    pub fn new(
        credentials: Vec<Credentials>,
        headers: Vec<StaticHeader>,
        unsigned: Unsigned,
    ) -> Result<Self, VerifierInvalid> {
        check_count(credentials.len(), unsigned)?;
        if headers.len() > STATIC_HEADERS_MAX {
            return Err(VerifierInvalid::TooManyHeaders);
        }
        let comparison = Key::new(COMPARISON_KEY).ok_or(VerifierInvalid::NoSecret)?;
        Ok(Self {
            comparison,
            credentials: credentials.into_boxed_slice(),
            headers: headers.into_boxed_slice(),
            unsigned,
        })
    }

    /// Finds the headers by their names.
    pub(in crate::issuer) fn present<'a>(
        &self,
        find: impl Fn(&str) -> Header<'a>,
    ) -> Presented<'a> {
        let mut presented = Presented::default();
        let names = self.headers.iter().map(|header| header.name.as_ref());
        let names = std::iter::once(AUTHORIZATION).chain(names);
        for (slot, name) in presented.headers.iter_mut().zip(names) {
            *slot = find(name);
        }
        presented
    }

    /// Whether whoever sent `body` knows the credentials. Nothing is allocated.
    ///
    /// # Errors
    /// [`SignatureRefused`] says why not.
    pub(in crate::issuer) fn verify<'a>(
        &self,
        presented: &Presented<'_>,
        body: &'a [u8],
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        let [authorization, others @ ..] = &presented.headers;
        let asked = std::iter::once(authorization).chain(others.iter().take(self.headers.len()));
        let (mut present, mut absent) = (false, false);
        for header in asked {
            match header {
                Header::Absent => absent = true,
                Header::Once(_) => present = true,
                Header::Repeated => return Err(SignatureRefused::Repeated),
            }
        }
        match (present, absent) {
            (false, _) => return self.unsigned.verify(body),
            (true, true) => return Err(SignatureRefused::Incomplete),
            (true, false) => {}
        }
        let mut buffer = [0; CREDENTIALS_SIZE_MAX];
        let credentials = basic(value(authorization), &mut buffer)?;
        // No early exit: everything is compared whatever the others said.
        let mut authentic = self.is_any(credentials, self.credentials.iter().map(|it| &it.mac));
        for (header, presented) in self.headers.iter().zip(others) {
            authentic &= self.is_any(value(presented), header.values.iter().map(|it| &it.mac));
        }
        if authentic {
            Ok(VerifiedBody::new(body, None))
        } else {
            Err(SignatureRefused::Mismatch)
        }
    }

    fn is_any<'m>(&self, presented: &[u8], known: impl Iterator<Item = &'m Mac>) -> bool {
        let presented = self.comparison.mac(&[presented]);
        known.fold(false, |any, known| any | (presented == *known))
    }
}

fn value<'a>(header: &Header<'a>) -> &'a [u8] {
    match header {
        Header::Once(value) => value,
        Header::Absent | Header::Repeated => b"",
    }
}

/// The credentials of `Basic <base64>`, decoded onto the stack. Each has one spelling: one space,
/// padding, no loose bits; the scheme's name alone may be in either case (RFC 7235).
fn basic<'b>(
    value: &[u8],
    buffer: &'b mut [u8; CREDENTIALS_SIZE_MAX],
) -> Result<&'b [u8], SignatureRefused> {
    let malformed = SignatureRefused::CredentialsMalformed;
    let (scheme, encoded) = value.split_at_checked(SCHEME.len()).ok_or(malformed)?;
    if !scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) {
        return Err(malformed);
    }
    let size = STANDARD
        .decode_slice(encoded, buffer)
        .map_err(|_names_a_byte_of_it| malformed)?;
    let credentials = buffer.get(..size).ok_or(malformed)?;
    if !credentials.contains(&b':') {
        return Err(malformed);
    }
    Ok(credentials)
}

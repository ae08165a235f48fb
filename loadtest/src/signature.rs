//! Standard Webhooks signatures, written apart from the server's so that the two check each other.
//!
//! Signed bytes: `webhook-id` `.` `webhook-timestamp` `.` body. Key: base64 of the secret after an
//! optional `whsec_`. Header: `v1,` and the base64 of HMAC-SHA256, several separated by blanks.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::Error;

/// Base64 characters of 32 bytes.
pub(crate) const SIGNATURE_SIZE: usize = 44;
const MAC_SIZE: usize = 32;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key whose two SHA-256 block states are computed once.
#[derive(Clone)]
pub(crate) struct Key {
    keyed: Hmac<Sha256>,
}

impl Key {
    pub(crate) fn from_secret(secret: &str) -> Result<Self, Error> {
        let text = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = BASE64
            .decode(text)
            .map_err(|fault| Error::Usage(format!("the secret is not base64: {fault}")))?;
        let keyed = Hmac::new_from_slice(&bytes)
            .map_err(|fault| Error::Usage(format!("the secret is no HMAC key: {fault}")))?;
        Ok(Self { keyed })
    }

    pub(crate) fn sign(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; SIGNATURE_SIZE] {
        let tag = self.feed(id, timestamp, body).finalize().into_bytes();
        let mut text = [b'='; SIGNATURE_SIZE];
        let written = BASE64.encode_slice(tag, &mut text);
        debug_assert!(matches!(written, Ok(SIGNATURE_SIZE)));
        text
    }

    /// True when one `v1` entry of the header matches. The comparison takes constant time.
    pub(crate) fn verifies(&self, id: &[u8], timestamp: &[u8], header: &[u8], body: &[u8]) -> bool {
        let feed = self.feed(id, timestamp, body);
        header.split(|byte| *byte == b' ').any(|entry| {
            let Some(text) = entry.strip_prefix(b"v1,") else {
                return false;
            };
            // The decoder wants room for a whole last group of three.
            let mut tag = [0; MAC_SIZE + 1];
            let Ok(size) = BASE64.decode_slice(text, &mut tag) else {
                return false;
            };
            tag.get(..size)
                .is_some_and(|tag| feed.clone().verify_slice(tag).is_ok())
        })
    }

    fn feed(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(id);
        mac.update(b".");
        mac.update(timestamp);
        mac.update(b".");
        mac.update(body);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    const SECRET: &str = "aDeFC3Zn55XB3PDD2zF0JP9cyrDHdV/18VOmkTcuyto=";
    const ID: &[u8] = b"65a9dad4-1b60-4686-83fd-65b25078a4b4";
    const TIMESTAMP: &[u8] = b"1698031907";
    const BODY: &[u8] = br#"{"acquirer_fee":0,"amount":2000,"authorization_amount":2000}"#;
    const SIGNATURE: &[u8; 44] = b"OGBiqPtc/O2sWacUsuS4pvTdfFBv6dqxYX/4UFzrbGk=";

    #[test]
    fn signs_the_published_vector() {
        for secret in [
            SECRET.to_owned(),
            format!("whsec_{SECRET}"),
            SECRET.replace('=', ""),
        ] {
            let key = Key::from_secret(&secret).unwrap();
            assert_eq!(&key.sign(ID, TIMESTAMP, BODY), SIGNATURE);
        }
    }

    #[test]
    fn verifies_any_v1_entry_and_nothing_else() {
        let key = Key::from_secret(SECRET).unwrap();
        let valid = [b"v1,".as_slice(), SIGNATURE].concat();
        let rotated = [b"v1,AAAA v1a,zzzz ".as_slice(), &valid].concat();
        let other_version = [b"v2,".as_slice(), SIGNATURE].concat();
        let cut = &valid[..valid.len() - 5];
        assert!(key.verifies(ID, TIMESTAMP, &valid, BODY));
        assert!(key.verifies(ID, TIMESTAMP, &rotated, BODY));
        assert!(!key.verifies(ID, TIMESTAMP, &other_version, BODY));
        assert!(!key.verifies(ID, TIMESTAMP, cut, BODY));
        assert!(!key.verifies(ID, TIMESTAMP, b"", BODY));
        assert!(!key.verifies(ID, b"1698031908", &valid, BODY));
        assert!(!key.verifies(ID, TIMESTAMP, &valid, b"{}"));
    }

    #[test]
    fn refuses_a_secret_that_is_not_base64() {
        assert!(Key::from_secret("not base64!").is_err());
    }
}

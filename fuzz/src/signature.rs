//! The headers of a delivery, read a second time by plain means.
//!
//! Input: flags; id, timestamp and signature header as pieces; the body. In the header the bytes 1 to
//! 4 stand for a signature of this delivery: under the two secrets that can be active, under one that
//! is when both are, and under one that never is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{SignatureRefused, Unsigned};
use countersign::issuer::standard_webhooks::{Secret, SignatureHeaders, Verifier};
use standardwebhooks::Webhook;

use super::input::Input;

const SECRETS: [&str; 4] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    "dGhpcmQgc2VjcmV0IG9mIHRoZSB0ZXN0cw==",
    "whsec_bm9ib2R5J3Mgc2VjcmV0LCBldmVyIQ==",
];
const NOW_S: i64 = 1_795_194_000;
const TOLERANCE_S: i64 = 300;
const UNSIGNED: u8 = 4;
const REPEATED: u8 = 8;
const NO_ID: u8 = 16;
const NO_TIMESTAMP: u8 = 32;
const NO_SIGNATURE: u8 = 64;
/// The timestamp is a distance from now in two bytes.
const RELATIVE: u8 = 128;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let has = |bit| flags & bit != 0;
    let active = SECRETS.get(..usize::from(flags & 3)).unwrap_or_default();
    let id = input.piece();
    let timestamp = if has(RELATIVE) {
        let distance = i16::from_le_bytes(input.word().to_le_bytes());
        (NOW_S + i64::from(distance)).to_string().into_bytes()
    } else {
        input.piece().to_vec()
    };
    let template = input.long_piece();
    let body = input.rest();
    read_secret(template);

    let signature = signed(template, id, &timestamp, body);
    let headers = SignatureHeaders {
        id: (!has(NO_ID)).then_some(id),
        timestamp: (!has(NO_TIMESTAMP)).then_some(timestamp.as_slice()),
        signature: (!has(NO_SIGNATURE)).then_some(signature.as_slice()),
        repeated: has(REPEATED),
    };
    let unsigned = if has(UNSIGNED) {
        Unsigned::Accept
    } else {
        Unsigned::Refuse
    };
    let secrets = active
        .iter()
        .map(|text| Secret::from_text((*text).to_owned()).unwrap())
        .collect();
    let Ok(verifier) = Verifier::new(secrets, 300, unsigned) else {
        assert!(active.is_empty() && unsigned == Unsigned::Refuse);
        return;
    };
    let now = Timestamp::from_micros(NOW_S * 1_000_000 + 999_999);
    let verified = verifier.verify(&headers, body, now);
    let expected = expected(&headers, unsigned, active, body);
    assert_eq!(verified.map(|found| found.delivery()), expected);
    if let Ok(found) = verified {
        assert_eq!(found.bytes(), body);
    }
}

/// A text from the input as a secret: read or refused, and never more than that.
fn read_secret(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && Secret::from_text(text.to_owned()).is_ok()
    {
        let bare = text.strip_prefix("whsec_").unwrap_or(text);
        assert!(bare.len() * 3 / 4 >= 16, "a short secret was taken");
    }
}

/// The header with its placeholders filled in.
fn signed(template: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    for byte in template {
        match SECRETS.get(usize::from(*byte).wrapping_sub(1)) {
            Some(secret) => header.extend(mac(secret, id, timestamp, body)),
            None => header.push(*byte),
        }
    }
    header
}

/// The signature in base64; nothing where another signer could not make one.
fn mac(secret: &str, id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    let (Ok(id), Ok(timestamp)) = (str::from_utf8(id), str::from_utf8(timestamp)) else {
        return Vec::new();
    };
    let Ok(seconds) = timestamp.parse::<i64>() else {
        return Vec::new();
    };
    let signer = Webhook::new(secret).unwrap();
    let signature = signer.sign(id, seconds, body).unwrap_or_default();
    signature.strip_prefix("v1,").unwrap_or_default().into()
}

/// Who the delivery is from, by the words of the scheme. The kinds of refusal that do not depend on
/// the text of a header are told apart.
fn expected<'a>(
    headers: &SignatureHeaders<'a>,
    unsigned: Unsigned,
    active: &[&str],
    body: &[u8],
) -> Result<Option<&'a str>, SignatureRefused> {
    if headers.repeated {
        return Err(SignatureRefused::Repeated);
    }
    let (id, timestamp, signature) = match (headers.id, headers.timestamp, headers.signature) {
        (Some(id), Some(timestamp), Some(signature)) => (id, timestamp, signature),
        (None, None, None) if unsigned == Unsigned::Accept => return Ok(None),
        (None, None, None) => return Err(SignatureRefused::Missing),
        _ => return Err(SignatureRefused::Incomplete),
    };
    let id = str::from_utf8(id).unwrap_or_default();
    if !(1..=255).contains(&id.len())
        || id.contains(|c: char| !('!'..='~').contains(&c) || c == '.')
    {
        return Err(SignatureRefused::IdMalformed);
    }
    let text = str::from_utf8(timestamp).unwrap_or_default();
    let signed_at = text.parse::<i64>().unwrap_or(-1);
    if signed_at <= 0 || signed_at.to_string() != text || text.len() > 15 {
        return Err(SignatureRefused::TimestampMalformed);
    }
    if signed_at < NOW_S - TOLERANCE_S {
        return Err(SignatureRefused::TooOld);
    }
    if signed_at > NOW_S + TOLERANCE_S {
        return Err(SignatureRefused::TooNew);
    }
    let mut candidates: Vec<&[u8]> = Vec::new();
    for entry in signature.split(|byte| *byte == b' ') {
        let mut parts = entry.splitn(2, |byte| *byte == b',');
        match (parts.next(), parts.next()) {
            (Some(b""), _) | (_, None) => return Err(SignatureRefused::SignatureMalformed),
            (Some(b"v1"), Some(_)) if candidates.len() == 8 => {
                return Err(SignatureRefused::TooManySignatures);
            }
            (Some(b"v1"), Some(text)) if is_mac(text) => candidates.push(text),
            (Some(b"v1"), Some(_)) => return Err(SignatureRefused::SignatureMalformed),
            _ => {}
        }
    }
    if candidates.is_empty() {
        return Err(SignatureRefused::NoKnownVersion);
    }
    let of_active = |secret: &&str| mac(secret, id.as_bytes(), timestamp, body);
    if active
        .iter()
        .map(of_active)
        .any(|it| candidates.contains(&it.as_slice()))
    {
        Ok(Some(id))
    } else {
        Err(SignatureRefused::Mismatch)
    }
}

/// Base64 of 32 bytes in its only spelling.
fn is_mac(text: &[u8]) -> bool {
    STANDARD
        .decode(text)
        .is_ok_and(|mac| mac.len() == 32 && STANDARD.encode(mac).as_bytes() == text)
}

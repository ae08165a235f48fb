//! What the two HTTP baselines answer.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::wire::AuthorizationRequest;
use crate::signature::Key;

const APPROVED: &[u8] = br#"{"result":"APPROVED"}"#;
const APPROVED_HEAD: &[u8] = br#"{"result":"APPROVED","token":""#;
const APPROVED_TAIL: &[u8] = br#""}"#;

pub(super) enum Answerer {
    /// The same bytes to everybody.
    Bare,
    /// Signature and typed parse, then approve.
    Verified(Key),
}

impl Answerer {
    pub(super) fn answer(&self, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, StatusCode> {
        match self {
            Self::Bare => Ok(Bytes::from_static(APPROVED)),
            Self::Verified(key) => {
                if !is_signed(key, headers, body) {
                    return Err(StatusCode::UNAUTHORIZED);
                }
                let request = serde_json::from_slice::<AuthorizationRequest<'_>>(body)
                    .map_err(|_fault| StatusCode::BAD_REQUEST)?;
                Ok(approve(std::hint::black_box(&request)))
            }
        }
    }
}

fn is_signed(key: &Key, headers: &HeaderMap, body: &[u8]) -> bool {
    let value = |name| headers.get(name).map(hyper::header::HeaderValue::as_bytes);
    let (Some(id), Some(timestamp), Some(signature)) = (
        value("webhook-id"),
        value("webhook-timestamp"),
        value("webhook-signature"),
    ) else {
        return false;
    };
    key.verifies(id, timestamp, signature, body)
}

/// The constant parts are interned; only the echoed token differs.
fn approve(request: &AuthorizationRequest<'_>) -> Bytes {
    let token = request.token.0.as_bytes();
    let mut reply = Vec::with_capacity(APPROVED_HEAD.len() + token.len() + APPROVED_TAIL.len());
    reply.extend_from_slice(APPROVED_HEAD);
    reply.extend_from_slice(token);
    reply.extend_from_slice(APPROVED_TAIL);
    Bytes::from(reply)
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::{HeaderMap, HeaderValue};

    use super::Answerer;
    use crate::authorization::example_body;
    use crate::signature::Key;

    const SECRET: &str = "aDeFC3Zn55XB3PDD2zF0JP9cyrDHdV/18VOmkTcuyto=";

    fn signed(key: &Key, body: &[u8]) -> HeaderMap {
        let signature = key.sign(b"id", b"1", body);
        let entry = [b"v1,".as_slice(), &signature].concat();
        HeaderMap::from_iter([
            (
                "webhook-id".parse().unwrap(),
                HeaderValue::from_static("id"),
            ),
            (
                "webhook-timestamp".parse().unwrap(),
                HeaderValue::from_static("1"),
            ),
            (
                "webhook-signature".parse().unwrap(),
                HeaderValue::from_bytes(&entry).unwrap(),
            ),
        ])
    }

    #[test]
    fn approves_a_signed_authorization_and_echoes_its_token() {
        let (body, token) = example_body();
        let key = Key::from_secret(SECRET).unwrap();
        let headers = signed(&key, &body);
        let reply = Answerer::Verified(key).answer(&headers, &body).unwrap();
        assert_eq!(
            reply,
            format!(r#"{{"result":"APPROVED","token":"{token}"}}"#)
        );
    }

    #[test]
    fn refuses_what_is_unsigned_or_not_understood() {
        let (body, _token) = example_body();
        let key = Key::from_secret(SECRET).unwrap();
        let (headers, broken) = (signed(&key, &body), signed(&key, b"{}"));
        let verified = Answerer::Verified(key);
        assert_eq!(
            verified.answer(&HeaderMap::new(), &body),
            Err(StatusCode::UNAUTHORIZED)
        );
        assert_eq!(
            verified.answer(&headers, b"{}"),
            Err(StatusCode::UNAUTHORIZED)
        );
        assert_eq!(
            verified.answer(&broken, b"{}"),
            Err(StatusCode::BAD_REQUEST)
        );
    }
}

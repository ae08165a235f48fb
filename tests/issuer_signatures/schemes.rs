//! A connection of each scheme, and a delivery that it accepts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::time::Timestamp;
use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Header, SignatureRefused, Unsigned};
use countersign::issuer::lithic::legacy;
use countersign::issuer::marqeta;
use countersign::issuer::standard_webhooks;
use countersign::issuer::stripe;

/// 2026-11-20T17:00:00Z.
pub(crate) const NOW_S: i64 = 1_795_194_000;
pub(crate) const BODY: &str = r#"{"z":1,"amount":2599,"name":"\u00e9"}"#;
pub(crate) const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const STRIPE_SECRET: &str = "whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0";
pub(crate) const CREDENTIALS: &str = "countersign:Correct-Horse-Battery-9";
const API_KEY: &str = "6a1f0e9d-8c7b-4a59-b846-372615f4e3d2";
const FIXED: &str = "a-fixed-value-of-one-header";
/// `hmac` over `json.dumps(…, sort_keys=True, separators=(",", ":"))` of Python 3.11.
const LEGACY_MAC: &str = "fN5DOjuVXusvZvcye4PxJYGiMCj47d9xMO3fLmoiIb8=";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW_S)
}

/// A connection, its name, and the headers of a delivery of [`BODY`] that it accepts.
pub(crate) struct Scheme {
    pub(crate) name: &'static str,
    pub(crate) issuer: Issuer,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Scheme {
    /// What becomes of a delivery; a header may come several times.
    pub(crate) fn verify(
        &self,
        headers: &[(&str, Vec<u8>)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureRefused> {
        let find = |name: &str| {
            let mut named = headers.iter().filter(|(known, _)| *known == name);
            match (named.next(), named.next()) {
                (None, _) => Header::Absent,
                (Some((_, value)), None) => Header::Once(value),
                (Some(_), Some(_)) => Header::Repeated,
            }
        };
        let presented = self.issuer.present(find);
        self.issuer.verify(&presented, body, now).map(|_| ())
    }

    pub(crate) fn good(&self) -> Vec<(&'static str, Vec<u8>)> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (*name, value.clone().into_bytes()))
            .collect()
    }
}

pub(crate) fn standard() -> Scheme {
    let secret = || standard_webhooks::Secret::from_text(STANDARD_SECRET.to_owned()).unwrap();
    let verifier = standard_webhooks::Verifier::new(vec![secret()], 300, Unsigned::Refuse).unwrap();
    let signed = standard_webhooks::sign(&secret(), "msg_1", now(), BODY.as_bytes());
    Scheme {
        name: "standard webhooks",
        issuer: Issuer::Lithic(verifier),
        headers: vec![
            ("webhook-id", signed.id),
            ("webhook-timestamp", signed.timestamp),
            ("webhook-signature", signed.signature),
        ],
    }
}

pub(crate) fn legacy() -> Scheme {
    let key = legacy::ApiKey::from_text(API_KEY.to_owned()).unwrap();
    Scheme {
        name: "x-lithic-hmac",
        issuer: Issuer::LithicLegacy(legacy::Verifier::new(vec![key], Unsigned::Refuse).unwrap()),
        headers: vec![("x-lithic-hmac", LEGACY_MAC.to_owned())],
    }
}

pub(crate) fn stripe() -> Scheme {
    let secret = || stripe::Secret::from_text(STRIPE_SECRET.to_owned()).unwrap();
    let account = stripe::Account {
        verifier: stripe::Verifier::new(vec![secret()], 300, Unsigned::Refuse).unwrap(),
        livemode: None,
        account: None,
    };
    let signed = stripe::sign(&secret(), now(), BODY.as_bytes());
    Scheme {
        name: "stripe-signature",
        issuer: Issuer::Stripe(account),
        headers: vec![("stripe-signature", signed)],
    }
}

pub(crate) fn marqeta() -> Scheme {
    let credentials = marqeta::Credentials::from_text(CREDENTIALS.to_owned()).unwrap();
    let value = marqeta::HeaderSecret::from_text(FIXED.to_owned()).unwrap();
    let header = marqeta::StaticHeader::new("x-countersign", vec![value]).unwrap();
    let verifier =
        marqeta::Verifier::new(vec![credentials], vec![header], Unsigned::Refuse).unwrap();
    Scheme {
        name: "basic",
        issuer: Issuer::Marqeta(verifier),
        headers: vec![
            (
                "authorization",
                format!("Basic {}", STANDARD.encode(CREDENTIALS)),
            ),
            ("x-countersign", FIXED.to_owned()),
        ],
    }
}

pub(crate) fn all() -> [Scheme; 4] {
    [standard(), legacy(), stripe(), marqeta()]
}

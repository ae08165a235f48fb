//! `X-Lithic-HMAC`: only where a connection asks for it (W5, W6, W9).

use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Header, SignatureRefused, Unsigned, VerifierInvalid};
use countersign::issuer::lithic::legacy::{ApiKey, ApiKeyInvalid, Verifier};
use countersign::issuer::standard_webhooks;

use crate::support::{fixture, now, secret};

const KEY: &str = "6a1f0e9d-8c7b-4a59-b846-372615f4e3d2";
const OTHER: &str = "00000000-8c7b-4a59-b846-372615f4e3d2";

/// Fixtures as `json.dumps(…, sort_keys=True, separators=(",", ":"))` of Python 3.11 and as
/// `JSON.stringify` of Node 20 over sorted members, signed there.
#[rustfmt::skip]
const SIGNED: [(&str, &str, &str); 5] = [
    ("purchase", "ldx/PA3lwGC72fl+nsNb3n0BcdfASDk77N4o+qA3upg=", "yj6s4zav+uqkTy9BJKqDnal+CnPVmFTDWe2jspQAZfM="),
    ("purchase.escapes", "EQR4+nRmfmnhgNrNRl/UdjqSBzWz0FN9EfQwsPHjxkM=", "6BN0wiZlNWt6rZrA2jPjRE2pU+MMS3bZcXuB1dNbwtE="),
    ("purchase.everything", "nlisGYeByehrKQlgyNsRXR1zO82lxTZqEddlJIq7os0=", "nlisGYeByehrKQlgyNsRXR1zO82lxTZqEddlJIq7os0="),
    ("purchase.2021_shape", "hHHhBmqj5NqCuBe6v3cMnfZcqk79pYUoKWzz1XLgoTY=", "DLqEAtzQPzkjWGqH4oEF3eZ2yt0R9CRlSOPNj0aFlDo="),
    ("purchase.tags", "tn3K9jc5qpqUP7O7wyROV2oLZ9WhGzNEosiI9VGafZo=", "TimVx7hqmlFklFEGc8GxzYOoc+rYJLP0ko7lMyVTHJg="),
];

fn connection(keys: &[&str], unsigned: Unsigned) -> Issuer {
    let keys = keys
        .iter()
        .map(|key| ApiKey::from_text((*key).to_owned()).unwrap());
    Issuer::LithicLegacy(Verifier::new(keys.collect(), unsigned).unwrap())
}

fn verify(issuer: &Issuer, signature: Option<&str>, body: &str) -> Result<(), SignatureRefused> {
    let presented = issuer.present(|name| match (name, signature) {
        ("x-lithic-hmac", Some(signature)) => Header::Once(signature.as_bytes()),
        _ => Header::Absent,
    });
    let verified = issuer.verify(&presented, body.as_bytes(), now());
    verified.map(|body| assert_eq!(body.delivery(), None))
}

#[test]
fn what_other_languages_sign_is_accepted_however_the_body_is_spaced() {
    let issuer = connection(&[KEY], Unsigned::Refuse);
    for (name, python, node) in SIGNED {
        let body = fixture(name);
        for signature in [python, node] {
            assert_eq!(verify(&issuer, Some(signature), &body), Ok(()), "{name}");
            let spaced = body.replace(": ", " :\t");
            assert_eq!(verify(&issuer, Some(signature), &spaced), Ok(()), "{name}");
        }
        let dearer = body.replacen("\"amount\": 2", "\"amount\": 3", 1);
        let cheaper = body.replacen("00", "01", 1);
        for altered in [dearer, cheaper] {
            let verified = verify(&issuer, Some(python), &altered);
            assert!(altered == body || verified.is_err(), "{name}");
        }
    }
}

#[test]
fn w5_during_a_rotation_both_keys_sign() {
    let (name, python, _) = SIGNED[0];
    for (keys, accepted) in [
        (&[KEY][..], true),
        (&[OTHER, KEY], true),
        (&[KEY, OTHER], true),
        (&[OTHER], false),
    ] {
        let issuer = connection(keys, Unsigned::Refuse);
        let verified = verify(&issuer, Some(python), &fixture(name));
        assert_eq!(verified.is_ok(), accepted, "{keys:?}");
    }
}

/// Neither scheme stands in for the other: without the switch the older header proves nothing.
#[test]
fn w10_the_two_schemes_do_not_mix() {
    let (name, python, _) = SIGNED[0];
    let body = fixture(name);
    let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let standard = standard_webhooks::Verifier::new(vec![secret(text)], 300, Unsigned::Refuse);
    let today = Issuer::Lithic(standard.unwrap());
    assert_eq!(
        verify(&today, Some(python), &body),
        Err(SignatureRefused::Missing)
    );
    let signed = standard_webhooks::sign(&secret(text), "msg_1", now(), body.as_bytes());
    let old = connection(&[KEY], Unsigned::Refuse);
    let presented = old.present(|name| match name {
        "webhook-id" => Header::Once(signed.id.as_bytes()),
        "webhook-timestamp" => Header::Once(signed.timestamp.as_bytes()),
        "webhook-signature" => Header::Once(signed.signature.as_bytes()),
        _ => Header::Absent,
    });
    let verified = old.verify(&presented, body.as_bytes(), now());
    assert_eq!(verified.map(|_| ()), Err(SignatureRefused::Missing));
}

#[test]
fn unsigned_is_accepted_only_where_it_says_so() {
    let body = fixture("purchase");
    let open = connection(&[KEY], Unsigned::Accept);
    assert_eq!(verify(&open, None, &body), Ok(()));
    assert!(verify(&open, Some(""), &body).is_err());
    assert!(verify(&open, Some(SIGNED[1].1), &body).is_err());
    let closed = connection(&[KEY], Unsigned::Refuse);
    assert_eq!(verify(&closed, None, &body), Err(SignatureRefused::Missing));
}

#[test]
fn w9_what_is_no_api_key_is_refused_at_load() {
    use ApiKeyInvalid as A;
    let rows = [
        (KEY, None),
        ("sixteen-letters!", None),
        ("", Some(A::Empty)),
        ("fifteen-letters", Some(A::TooShort)),
        (
            "6a1f0e9d-8c7b-4a59-b846-372615f4e3d2\n",
            Some(A::Whitespace),
        ),
        ("6a1f0e9d 8c7b-4a59-b846-372615f4e3d2", Some(A::Whitespace)),
        ("6a1f0e9d-8c7b-4a59-b846-372615f4e3dé", Some(A::Whitespace)),
    ];
    for (text, expected) in rows {
        let refused = ApiKey::from_text(text.to_owned()).err();
        assert_eq!(refused, expected, "{text:?}");
        if let Some(refused) = refused {
            assert!(text.len() < 3 || !refused.to_string().contains(text.trim()));
        }
    }
    let none = Verifier::new(Vec::new(), Unsigned::Refuse).err();
    assert_eq!(none, Some(VerifierInvalid::NoSecret));
}

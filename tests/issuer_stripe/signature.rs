//! `Stripe-Signature`: vectors, rotation, and what is no secret (W2, W5, W9).

use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, SignatureRefused, Unsigned, VerifierInvalid};
use countersign::issuer::stripe::{SecretInvalid, Verifier, sign};

use crate::support::{NOW_S, now, secret};

const SECRET: &str = "whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0";
const OTHER: &str = "whsec_00112233445566778899aabbccddeeff";
const BODY: &[u8] = b"{\"approved\":false,\"name\":\"\xc3\xa9\"}";

fn verifier(secrets: &[&str]) -> Verifier {
    let secrets = secrets.iter().map(|text| secret(text)).collect();
    Verifier::new(secrets, 300, Unsigned::Refuse).unwrap()
}

fn verify(verifier: &Verifier, header: &str) -> Result<(), SignatureRefused> {
    let verified = verifier.verify(Header::Once(header.as_bytes()), BODY, now());
    verified.map(|body| {
        assert_eq!(body.bytes(), BODY);
        assert_eq!(body.delivery(), None);
    })
}

/// Made by `WebhookSignature.generate_signature_header` of Stripe's library for Python, 16.1.0.
#[test]
fn the_librarys_own_vectors_are_reproduced_and_verify() {
    let vectors = [
        (
            "whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0",
            1795194000,
            "t=1795194000,v1=9e280c55272a404fb43527c0d866dd505c6fba41649a7cc70e2db71ac31f087d",
        ),
        (
            "whsec_test_secret",
            1700000000,
            "t=1700000000,v1=b1a01877ded60d7e9417f2f17bd0d74fe9f3775cdd190e3a49078daa46069a20",
        ),
    ];
    for (text, at, expected) in vectors {
        let signed = sign(&secret(text), Timestamp::from_secs(at), BODY);
        assert_eq!(signed, expected);
        let verified = verifier(&[text]).verify(
            Header::Once(expected.as_bytes()),
            BODY,
            Timestamp::from_secs(at),
        );
        assert_eq!(verified.map(|body| body.bytes()), Ok(BODY));
    }
}

#[test]
fn w2_w5_while_a_secret_is_rolled_both_sign_and_afterwards_the_new_one() {
    let mac = |text| {
        let signed = sign(&secret(text), now(), BODY);
        signed.split_once(',').unwrap().1.to_owned()
    };
    let (old, new) = (mac(OTHER), mac(SECRET));
    let of = |macs: &[&str]| format!("t={NOW_S},{}", macs.join(","));
    let wrong = format!("v1={}", "0".repeat(64));
    #[rustfmt::skip]
    let rows: [(&[&str], String, bool); 11] = [
        (&[SECRET], of(&[&new]), true),
        (&[SECRET], of(&[&old]), false),
        (&[SECRET], of(&[&old, &new]), true),
        (&[SECRET], of(&[&new, &old]), true),
        (&[SECRET], of(&[&new, "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"]), true),
        (&[OTHER, SECRET], of(&[&new]), true),
        (&[OTHER, SECRET], of(&[&old]), true),
        (&[OTHER, OTHER, OTHER, SECRET], of(&[&new]), true),
        (&[SECRET], of(&[&wrong, &wrong, &wrong, &wrong, &wrong, &wrong, &wrong, &new]), true),
        (&[SECRET], of(&[&wrong, &wrong, &wrong, &wrong, &wrong, &wrong, &wrong, &wrong, &new]), false),
        (&[SECRET], format!("{new},t={NOW_S}"), true),
    ];
    for (secrets, header, accepted) in rows {
        let verified = verify(&verifier(secrets), &header);
        assert_eq!(verified.is_ok(), accepted, "{secrets:?} {header}");
    }
}

#[test]
fn w6_any_single_flipped_bit_is_refused() {
    let verifier = verifier(&[SECRET]);
    let mut parts = [
        sign(&secret(SECRET), now(), BODY).into_bytes(),
        BODY.to_vec(),
    ];
    for part in 0..parts.len() {
        for bit in 0..parts[part].len() * 8 {
            parts[part][bit / 8] ^= 1 << (bit % 8);
            let [header, body] = &parts;
            let verified = verifier.verify(Header::Once(header), body, now());
            assert!(verified.is_err(), "part {part}, bit {bit}");
            parts[part][bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn w9_what_is_no_secret_of_stripes_is_refused_at_load() {
    use SecretInvalid as S;
    #[rustfmt::skip]
    let rows = [
        (SECRET, None),
        ("whsec_test_secret", None),
        ("", Some(S::Empty)),
        ("whsec_", Some(S::Empty)),
        ("\n", Some(S::Whitespace)),
        ("whsec_4f1c2d3e4b5a69788796\n", Some(S::Whitespace)),
        ("whsec_4f1c2d3e 4b5a69788796", Some(S::Whitespace)),
        ("whsec_4f1c2d3e4b5a69788796é", Some(S::Whitespace)),
        ("4f1c2d3e4b5a69788796a5b4c3d2e1f0", Some(S::NoPrefix)),
        ("WHSEC_4f1c2d3e4b5a69788796", Some(S::NoPrefix)),
        ("sk_live_4f1c2d3e4b5a69788796", Some(S::NoPrefix)),
        ("whsec_123456789", Some(S::TooShort)),
        ("whsec_1234567890", None),
    ];
    for (text, expected) in rows {
        let refused = countersign::issuer::stripe::Secret::from_text(text.to_owned()).err();
        assert_eq!(refused, expected, "{text:?}");
        if let Some(refused) = refused {
            let told = text.trim();
            let says = match refused {
                S::Empty => "empty",
                S::Whitespace => "newline",
                S::NoPrefix => "does not begin with whsec_",
                S::TooShort => "shorter than 16",
            };
            assert!(refused.to_string().contains(says), "{refused}");
            assert!(told.len() < 7 || !refused.to_string().contains(told));
        }
    }
    // The whole text is the key, not what is behind its prefix.
    let without = sign(
        &secret("whsec_whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0"),
        now(),
        BODY,
    );
    assert_eq!(
        verify(&verifier(&[SECRET]), &without),
        Err(SignatureRefused::Mismatch)
    );
}

#[test]
fn w9_a_connection_without_a_secret_is_refused_unless_it_takes_unsigned_ones() {
    use VerifierInvalid as V;
    let rows = [
        (1, 300, Unsigned::Refuse, None),
        (4, 3600, Unsigned::Refuse, None),
        (0, 300, Unsigned::Accept, None),
        (0, 300, Unsigned::Refuse, Some(V::NoSecret)),
        (5, 300, Unsigned::Refuse, Some(V::TooManySecrets)),
        (1, 0, Unsigned::Refuse, Some(V::ToleranceOutOfRange)),
        (1, 3601, Unsigned::Refuse, Some(V::ToleranceOutOfRange)),
    ];
    for (count, tolerance_s, unsigned, expected) in rows {
        let secrets = (0..count).map(|_| secret(SECRET)).collect();
        let refused = Verifier::new(secrets, tolerance_s, unsigned).err();
        assert_eq!(refused, expected, "{count} {tolerance_s} {unsigned:?}");
    }
}

#[test]
fn unsigned_is_accepted_only_where_it_says_so_and_only_without_the_header() {
    let open = Verifier::new(vec![secret(SECRET)], 300, Unsigned::Accept).unwrap();
    assert!(open.verify(Header::Absent, BODY, now()).is_ok());
    for header in [
        Header::Once(b""),
        Header::Once(b"t=1,v1=00"),
        Header::Repeated,
    ] {
        assert!(open.verify(header, BODY, now()).is_err());
    }
    let closed = verifier(&[SECRET]).verify(Header::Absent, BODY, now());
    assert_eq!(closed.map(|_| ()), Err(SignatureRefused::Missing));
}

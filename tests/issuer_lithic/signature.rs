//! Who sent it: headers, ages, secrets, and bytes (W1 to W9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{SignatureRefused, Unsigned, VerifierInvalid};
use countersign::issuer::standard_webhooks::{
    Secret, SecretInvalid, SignatureHeaders, SignedHeaders, Verifier, sign,
};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use crate::support::{NOW_S, now, secret};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const THIRD: &str = "dGhpcmQgc2VjcmV0IG9mIHRoZSB0ZXN0cw==";
const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const BODY: &[u8] = b"{\"amount\":2599,\"name\":\"\xc3\xa9\"}";

fn verifier(secrets: &[&str]) -> Verifier {
    let secrets = secrets.iter().map(|text| secret(text)).collect();
    Verifier::new(secrets, 300, Unsigned::Refuse).unwrap()
}

fn signed_at(seconds: i64) -> SignedHeaders {
    sign(&secret(SECRET), ID, Timestamp::from_secs(seconds), BODY)
}

/// The signature of the test's delivery, without its version.
fn mac(text: &str) -> String {
    let signed = sign(&secret(text), ID, now(), BODY);
    signed.signature.strip_prefix("v1,").unwrap().to_owned()
}

fn verify(headers: &SignatureHeaders<'_>) -> Result<(), SignatureRefused> {
    let verified = verifier(&[SECRET]).verify(headers, BODY, now());
    verified.map(|body| {
        assert_eq!(body.bytes(), BODY);
        assert_eq!(body.delivery(), Some(ID));
    })
}

/// The published example of Lithic's scheme.
#[test]
fn the_published_vector_verifies_and_is_reproduced() {
    let published = "aDeFC3Zn55XB3PDD2zF0JP9cyrDHdV/18VOmkTcuyto=";
    let body = br#"{"acquirer_fee":0,"amount":2000,"authorization_amount":2000}"#;
    let at = Timestamp::from_secs(1_698_031_907);
    let id = "65a9dad4-1b60-4686-83fd-65b25078a4b4";
    let expected = "v1,OGBiqPtc/O2sWacUsuS4pvTdfFBv6dqxYX/4UFzrbGk=";
    for text in [
        published,
        published.trim_end_matches('='),
        &format!("whsec_{published}"),
    ] {
        let signed = sign(&secret(text), id, at, body);
        assert_eq!(signed.signature, expected);
        let verified = verifier(&[text]).verify(&signed.received(), body, at);
        assert_eq!(verified.map(|body| body.delivery()), Ok(Some(id)));
    }
}

#[test]
fn another_signer_makes_the_same_signatures() {
    for text in [SECRET, OTHER, THIRD] {
        let independent = standardwebhooks::Webhook::new(text).unwrap();
        let bodies: [&[u8]; 4] = [b"", b"{}", BODY, &[b'x'; 4096]];
        for body in bodies {
            let ours = sign(&secret(text), ID, now(), body);
            let theirs = independent.sign(ID, NOW_S, body).unwrap();
            assert_eq!(ours.signature, theirs);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn w1_w2_w3_headers_have_one_reading_or_none() {
    use SignatureRefused as R;
    let good = mac(SECRET);
    let wrong = mac(OTHER);
    let raw = STANDARD.decode(&good).unwrap();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let bare = good.trim_end_matches('=').to_owned();
    let url_safe = good.replace('+', "-").replace('/', "_");
    assert_ne!(url_safe, good, "the vector must tell the alphabets apart");
    // The last character before the padding holds four bits that decode to nothing.
    let loose_bits = {
        let mut text = bare.clone().into_bytes();
        let last = text.last_mut().unwrap();
        *last += 1;
        format!("{}=", String::from_utf8(text).unwrap())
    };
    #[rustfmt::skip]
    let rows: Vec<(&str, String, Result<(), R>)> = vec![
        ("alone", format!("v1,{good}"), Ok(())),
        ("after a wrong one", format!("v1,{wrong} v1,{good}"), Ok(())),
        ("before a wrong one", format!("v1,{good} v1,{wrong}"), Ok(())),
        ("eighth of eight", format!("{}v1,{good}", format!("v1,{wrong} ").repeat(7)), Ok(())),
        ("ninth of nine", format!("{}v1,{good}", format!("v1,{wrong} ").repeat(8)), Err(R::TooManySignatures)),
        ("first of nine", format!("v1,{good}{}", format!(" v1,{wrong}").repeat(8)), Err(R::TooManySignatures)),
        ("beside v1a", format!("v1a,{wrong} v1,{good}"), Ok(())),
        ("beside v2 that holds anything", format!("v2,!?,, v1,{good}"), Ok(())),
        ("beside v2 that holds nothing", format!("v2, v1,{good}"), Ok(())),
        ("beside many of other versions", format!("{}v1,{good}", "v0,x ".repeat(100)), Ok(())),
        ("twice", format!("v1,{good} v1,{good}"), Ok(())),
        ("wrong", format!("v1,{wrong}"), Err(R::Mismatch)),
        ("all wrong", format!("{}v1,{wrong}", format!("v1,{wrong} ").repeat(7)), Err(R::Mismatch)),
        ("nothing", String::new(), Err(R::SignatureMalformed)),
        ("a space", " ".to_owned(), Err(R::SignatureMalformed)),
        ("a comma", ",".to_owned(), Err(R::SignatureMalformed)),
        ("version alone", "v1".to_owned(), Err(R::SignatureMalformed)),
        ("version and comma", "v1,".to_owned(), Err(R::SignatureMalformed)),
        ("signature alone", good.clone(), Err(R::SignatureMalformed)),
        ("no version", format!(",{good}"), Err(R::SignatureMalformed)),
        ("v0 alone", format!("v0,{good}"), Err(R::NoKnownVersion)),
        ("v2 alone", format!("v2,{good}"), Err(R::NoKnownVersion)),
        ("v1a alone", format!("v1a,{good}"), Err(R::NoKnownVersion)),
        ("V1", format!("V1,{good}"), Err(R::NoKnownVersion)),
        ("v01", format!("v01,{good}"), Err(R::NoKnownVersion)),
        ("v1=", format!("v1={good}"), Err(R::SignatureMalformed)),
        ("tab for space", format!("v1,{wrong}\tv1,{good}"), Err(R::SignatureMalformed)),
        ("two spaces", format!("v1,{wrong}  v1,{good}"), Err(R::SignatureMalformed)),
        ("leading space", format!(" v1,{good}"), Err(R::SignatureMalformed)),
        ("trailing space", format!("v1,{good} "), Err(R::SignatureMalformed)),
        ("trailing comma", format!("v1,{good},"), Err(R::SignatureMalformed)),
        ("trailing newline", format!("v1,{good}\n"), Err(R::SignatureMalformed)),
        ("commas between", format!("v1,{wrong},v1,{good}"), Err(R::SignatureMalformed)),
        ("semicolon between", format!("v1,{wrong};v1,{good}"), Err(R::SignatureMalformed)),
        ("space after the comma", format!("v1, {good}"), Err(R::SignatureMalformed)),
        ("a malformed one beside a good one", format!("v1,x v1,{good}"), Err(R::SignatureMalformed)),
        ("unpadded", format!("v1,{bare}"), Err(R::SignatureMalformed)),
        ("padded twice", format!("v1,{good}="), Err(R::SignatureMalformed)),
        ("url-safe alphabet", format!("v1,{url_safe}"), Err(R::SignatureMalformed)),
        ("loose bits", format!("v1,{loose_bits}"), Err(R::SignatureMalformed)),
        ("hexadecimal", format!("v1,{hex}"), Err(R::SignatureMalformed)),
        ("hexadecimal in capitals", format!("v1,{}", hex.to_uppercase()), Err(R::SignatureMalformed)),
        ("31 bytes", format!("v1,{}", STANDARD.encode(&raw[1..])), Err(R::SignatureMalformed)),
        ("33 bytes", format!("v1,{}", STANDARD.encode([&raw[..], b"x"].concat())), Err(R::SignatureMalformed)),
        ("63 characters", format!("v1,{}", hex.split_at(1).1), Err(R::SignatureMalformed)),
        ("lower case", format!("v1,{}{}", good.split_at(40).0.to_lowercase(), good.split_at(40).1), Err(R::Mismatch)),
        ("reversed bytes", format!("v1,{}", STANDARD.encode(raw.iter().rev().copied().collect::<Vec<_>>())), Err(R::Mismatch)),
        ("quoted", format!("\"v1,{good}\""), Err(R::NoKnownVersion)),
    ];
    for (what, signature, expected) in rows {
        let signed = SignedHeaders {
            signature,
            ..signed_at(NOW_S)
        };
        assert_eq!(verify(&signed.received()), expected, "{what}");
    }
}

#[test]
fn w1_absent_empty_and_repeated_headers() {
    use SignatureRefused as R;
    let signed = signed_at(NOW_S);
    let whole = signed.received();
    let none = SignatureHeaders::default();
    #[rustfmt::skip]
    let rows: [(&str, SignatureHeaders<'_>, Result<(), R>); 12] = [
        ("whole", whole, Ok(())),
        ("none", none, Err(R::Missing)),
        ("no id", SignatureHeaders { id: None, ..whole }, Err(R::Incomplete)),
        ("no timestamp", SignatureHeaders { timestamp: None, ..whole }, Err(R::Incomplete)),
        ("no signature", SignatureHeaders { signature: None, ..whole }, Err(R::Incomplete)),
        ("id alone", SignatureHeaders { id: whole.id, ..none }, Err(R::Incomplete)),
        ("signature alone", SignatureHeaders { signature: whole.signature, ..none }, Err(R::Incomplete)),
        ("empty id", SignatureHeaders { id: Some(b""), ..whole }, Err(R::IdMalformed)),
        ("empty timestamp", SignatureHeaders { timestamp: Some(b""), ..whole }, Err(R::TimestampMalformed)),
        ("empty signature", SignatureHeaders { signature: Some(b""), ..whole }, Err(R::SignatureMalformed)),
        ("repeated", SignatureHeaders { repeated: true, ..whole }, Err(R::Repeated)),
        ("none, repeated", SignatureHeaders { repeated: true, ..none }, Err(R::Repeated)),
    ];
    for (what, headers, expected) in rows {
        assert_eq!(verify(&headers), expected, "{what}");
    }
}

/// Each id is signed as it stands, so that only its form can be at fault.
#[test]
fn w1_an_id_is_visible_ascii_without_the_separator() {
    let longest = "a".repeat(255);
    let longer = "a".repeat(256);
    let rows: [(&str, bool); 14] = [
        ("65a9dad4-1b60-4686-83fd-65b25078a4b4", true),
        ("!#~", true),
        (&longest, true),
        (&longer, false),
        ("a.b", false),
        (".", false),
        ("msg.1795194000", false),
        ("a b", false),
        (" a", false),
        ("a\n", false),
        ("a\0", false),
        ("a\u{7f}", false),
        ("é", false),
        ("", false),
    ];
    for (id, well_formed) in rows {
        let signed = sign(&secret(SECRET), id, now(), BODY);
        let verified = verifier(&[SECRET]).verify(&signed.received(), BODY, now());
        let expected = if well_formed {
            Ok(Some(id))
        } else {
            Err(SignatureRefused::IdMalformed)
        };
        assert_eq!(verified.map(|body| body.delivery()), expected, "{id:?}");
    }
}

#[test]
fn w3_age_is_bounded_on_both_sides_and_the_edge_passes() {
    use SignatureRefused as R;
    let rows = [
        (0, Ok(())),
        (-300, Ok(())),
        (300, Ok(())),
        (-301, Err(R::TooOld)),
        (301, Err(R::TooNew)),
        (-86_400, Err(R::TooOld)),
        (86_400, Err(R::TooNew)),
        (1 - NOW_S, Err(R::TooOld)),
        (900_000_000_000_000 - NOW_S, Err(R::TooNew)),
    ];
    for (offset_s, expected) in rows {
        let signed = signed_at(NOW_S + offset_s);
        assert_eq!(verify(&signed.received()), expected, "{offset_s}");
    }
    // Within the second of the edge.
    let signed = signed_at(NOW_S - 300);
    let verifier = verifier(&[SECRET]);
    for (micros, expected) in [(0, Ok(())), (999_999, Ok(())), (1_000_000, Err(R::TooOld))] {
        let verified = verifier.verify(&signed.received(), BODY, now().plus_micros(micros));
        assert_eq!(verified.map(|_| ()), expected, "{micros}");
    }
}

/// Longer ones than any that could be meant are none.
#[test]
fn w3_a_timestamp_has_at_most_fifteen_digits() {
    let rows = [
        ("9".repeat(15), SignatureRefused::TooNew),
        ("9".repeat(16), SignatureRefused::TimestampMalformed),
    ];
    for (timestamp, expected) in rows {
        let headers = SignedHeaders {
            timestamp,
            ..signed_at(NOW_S)
        };
        assert_eq!(verify(&headers.received()), Err(expected));
    }
}

/// The form is looked at before the signature.
#[test]
fn w3_a_timestamp_is_a_plain_integer() {
    let plain = NOW_S.to_string();
    let texts = [
        format!("+{plain}"),
        format!("-{plain}"),
        format!(" {plain}"),
        format!("{plain} "),
        format!("0{plain}"),
        format!("{plain}.0"),
        format!("{plain}.000"),
        format!("{plain}e0"),
        format!("{plain}000000"),
        format!("{plain}_"),
        format!("{plain},{plain}"),
        "1_795_194_000".to_owned(),
        "0".to_owned(),
        "-0".to_owned(),
        "0x6b00a990".to_owned(),
        "9223372036854775807".to_owned(),
        "9223372036854775808".to_owned(),
        "18446744073709551616".to_owned(),
        "9".repeat(4000),
        "NaN".to_owned(),
        "2026-11-20T17:00:00Z".to_owned(),
        "١٧٩٥١٩٤٠٠٠".to_owned(),
    ];
    for timestamp in texts {
        let headers = SignedHeaders {
            timestamp: timestamp.clone(),
            ..signed_at(NOW_S)
        };
        let expected = Err(SignatureRefused::TimestampMalformed);
        assert_eq!(verify(&headers.received()), expected, "{timestamp}");
    }
}

#[test]
fn w5_during_a_rotation_both_secrets_sign_and_afterwards_the_new_one() {
    let (old, new) = (mac(OTHER), mac(SECRET));
    #[rustfmt::skip]
    let rows: [(&[&str], String, bool); 10] = [
        (&[OTHER], format!("v1,{old}"), true),
        (&[OTHER, SECRET], format!("v1,{old}"), true),
        (&[OTHER, SECRET], format!("v1,{new}"), true),
        (&[SECRET, OTHER], format!("v1,{old}"), true),
        (&[OTHER, SECRET], format!("v1,{old} v1,{new}"), true),
        (&[SECRET], format!("v1,{old} v1,{new}"), true),
        (&[SECRET], format!("v1,{new}"), true),
        (&[SECRET], format!("v1,{old}"), false),
        (&[THIRD], format!("v1,{old} v1,{new}"), false),
        (&[THIRD, THIRD, THIRD, SECRET], format!("v1,{new}"), true),
    ];
    for (secrets, signature, accepted) in rows {
        let signed = SignedHeaders {
            signature,
            ..signed_at(NOW_S)
        };
        let verified = verifier(secrets).verify(&signed.received(), BODY, now());
        assert_eq!(
            verified.is_ok(),
            accepted,
            "{secrets:?} {}",
            signed.signature
        );
    }
}

#[test]
fn w6_the_raw_bytes_are_what_was_signed() {
    let signed = signed_at(NOW_S);
    let same_value: [&[u8]; 7] = [
        b"{\"amount\": 2599,\"name\":\"\xc3\xa9\"}",
        b"{\"name\":\"\xc3\xa9\",\"amount\":2599}",
        b"{\"amount\":2599,\"name\":\"\\u00e9\"}",
        b"{\"amount\":2599,\"name\":\"\xe9\"}",
        b"{\"amount\":2599,\"name\":\"\xc3\xa9\"}\n",
        b"\xef\xbb\xbf{\"amount\":2599,\"name\":\"\xc3\xa9\"}",
        b"",
    ];
    for body in same_value {
        let verified = verifier(&[SECRET]).verify(&signed.received(), body, now());
        assert_eq!(verified.map(|_| ()), Err(SignatureRefused::Mismatch));
    }
}

#[test]
fn w6_any_single_flipped_bit_is_refused() {
    let signed = signed_at(NOW_S);
    let verifier = verifier(&[SECRET]);
    let mut parts = [
        signed.id.into_bytes(),
        signed.timestamp.into_bytes(),
        signed.signature.into_bytes(),
        BODY.to_vec(),
    ];
    let mut flips = 0;
    for part in 0..parts.len() {
        for bit in 0..parts[part].len() * 8 {
            parts[part][bit / 8] ^= 1 << (bit % 8);
            let [id, timestamp, signature, body] = &parts;
            let headers = SignatureHeaders {
                id: Some(id),
                timestamp: Some(timestamp),
                signature: Some(signature),
                repeated: false,
            };
            assert!(
                verifier.verify(&headers, body, now()).is_err(),
                "part {part}, bit {bit}"
            );
            parts[part][bit / 8] ^= 1 << (bit % 8);
            flips += 1;
        }
    }
    assert!(flips > 900);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_sign_we_accept_and_with_one_bit_flipped_refuse(
        key in proptest::collection::vec(any::<u8>(), 16..80),
        body in proptest::collection::vec(any::<u8>(), 1..3000),
        id in "[!-\\-/-~]{1,60}",
        offset_s in -300i64..=300,
        flip in any::<proptest::sample::Index>(),
    ) {
        let text = STANDARD.encode(key);
        let signed = sign(&secret(&text), &id, Timestamp::from_secs(NOW_S + offset_s), &body);
        let verifier = verifier(&[OTHER, &text]);
        let verified = verifier.verify(&signed.received(), &body, now()).unwrap();
        prop_assert_eq!(verified.delivery(), Some(id.as_str()));
        let bit = flip.index(body.len() * 8);
        let mut flipped = body.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = verifier.verify(&signed.received(), &flipped, now()).map(|_| ());
        prop_assert_eq!(refused, Err(SignatureRefused::Mismatch));
    }

    #[test]
    fn no_bytes_in_the_headers_are_taken_for_a_signature(
        id in proptest::collection::vec(any::<u8>(), 0..40),
        signature in "(v1,|v1a,|[A-Za-z0-9+/=]{0,44}|,| |\\PC){0,6}",
    ) {
        let timestamp = NOW_S.to_string();
        let headers = SignatureHeaders {
            id: Some(&id),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(signature.as_bytes()),
            repeated: false,
        };
        prop_assert!(verifier(&[SECRET]).verify(&headers, BODY, now()).is_err());
    }
}

#[test]
fn w8_another_connections_signature_is_refused() {
    let signed = sign(&secret(OTHER), ID, now(), BODY);
    let verified = verifier(&[SECRET]).verify(&signed.received(), BODY, now());
    assert_eq!(verified.map(|_| ()), Err(SignatureRefused::Mismatch));
}

#[test]
fn w9_what_is_no_secret_is_refused_at_load() {
    use SecretInvalid as S;
    let sixteen = STANDARD.encode([7; 16]);
    let fifteen = STANDARD.encode([7; 15]);
    let long = STANDARD.encode([7; 200]);
    let rows: Vec<(String, Option<S>)> = vec![
        (sixteen.clone(), None),
        (long, None),
        (format!("whsec_{sixteen}"), None),
        (sixteen.trim_end_matches('=').to_owned(), None),
        (format!("whsec_{}", sixteen.trim_end_matches('=')), None),
        (String::new(), Some(S::Empty)),
        ("whsec_".to_owned(), Some(S::Empty)),
        ("\n".to_owned(), Some(S::Whitespace)),
        (format!("{sixteen}\n"), Some(S::Whitespace)),
        (format!("{sixteen}\r\n"), Some(S::Whitespace)),
        (format!(" {sixteen}"), Some(S::Whitespace)),
        (format!("whsec_ {sixteen}"), Some(S::Whitespace)),
        (format!("{sixteen}\u{a0}"), Some(S::Whitespace)),
        (fifteen.clone(), Some(S::TooShort)),
        (format!("whsec_{fifteen}"), Some(S::TooShort)),
        ("AA==".to_owned(), Some(S::TooShort)),
        ("====".to_owned(), Some(S::NotBase64)),
        (format!("WHSEC_{sixteen}"), Some(S::NotBase64)),
        (format!("whsec_whsec_{sixteen}"), Some(S::NotBase64)),
        (format!("{sixteen}="), Some(S::NotBase64)),
        (format!("{sixteen}{sixteen}"), Some(S::NotBase64)),
        (
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2La-_aS".to_owned(),
            Some(S::NotBase64),
        ),
        ("password password".to_owned(), Some(S::Whitespace)),
        ("pässwördpässwörd".to_owned(), Some(S::NotBase64)),
        (
            "00112233445566778899aabbccddeeff0".to_owned(),
            Some(S::NotBase64),
        ),
    ];
    for (text, expected) in rows {
        let refused = Secret::from_text(text.clone()).err();
        assert_eq!(refused, expected, "{text:?}");
        if let Some(refused) = refused {
            assert!(text.len() < 5 || !refused.to_string().contains(&text));
        }
    }
}

#[test]
fn w9_a_connection_without_a_secret_is_refused_unless_it_takes_unsigned_ones() {
    use VerifierInvalid as V;
    let secrets = |count: usize| (0..count).map(|_| secret(SECRET)).collect::<Vec<_>>();
    let rows = [
        (1, 300, Unsigned::Refuse, None),
        (4, 300, Unsigned::Refuse, None),
        (0, 300, Unsigned::Accept, None),
        (1, 1, Unsigned::Refuse, None),
        (1, 3600, Unsigned::Refuse, None),
        (0, 300, Unsigned::Refuse, Some(V::NoSecret)),
        (5, 300, Unsigned::Refuse, Some(V::TooManySecrets)),
        (1, 0, Unsigned::Refuse, Some(V::ToleranceOutOfRange)),
        (1, 3601, Unsigned::Refuse, Some(V::ToleranceOutOfRange)),
    ];
    for (count, tolerance_s, unsigned, expected) in rows {
        let refused = Verifier::new(secrets(count), tolerance_s, unsigned).err();
        assert_eq!(refused, expected, "{count} {tolerance_s} {unsigned:?}");
    }
}

#[test]
fn unsigned_is_accepted_only_where_it_says_so_and_only_without_any_header() {
    let open = |secrets| Verifier::new(secrets, 300, Unsigned::Accept).unwrap();
    let none = SignatureHeaders::default();
    for verifier in [open(Vec::new()), open(vec![secret(SECRET)])] {
        let verified = verifier.verify(&none, BODY, now()).unwrap();
        assert_eq!((verified.bytes(), verified.delivery()), (BODY, None));
        let wrong = sign(&secret(OTHER), ID, now(), BODY);
        let refused = verifier.verify(&wrong.received(), BODY, now());
        assert_eq!(refused.map(|_| ()), Err(SignatureRefused::Mismatch));
        let partly = SignatureHeaders {
            id: Some(ID.as_bytes()),
            ..none
        };
        let refused = verifier.verify(&partly, BODY, now());
        assert_eq!(refused.map(|_| ()), Err(SignatureRefused::Incomplete));
    }
    let words = [
        ("refuse", Some(Unsigned::Refuse)),
        ("accept", Some(Unsigned::Accept)),
        ("", None),
        ("Accept", None),
    ];
    for (word, expected) in words {
        assert_eq!(Unsigned::parse(word), expected, "{word:?}");
    }
    assert_eq!(Unsigned::default(), Unsigned::Refuse);
}

#[test]
fn w11_neither_refusals_nor_bodies_can_be_printed_whole() {
    let signed = signed_at(NOW_S);
    let verifier = verifier(&[SECRET]);
    let verified = verifier.verify(&signed.received(), BODY, now()).unwrap();
    assert_eq!(
        format!("{verified:?}"),
        format!("VerifiedBody({} bytes)", BODY.len())
    );
    let mut codes = SignatureRefused::ALL
        .map(|refused| refused.to_string())
        .to_vec();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), SignatureRefused::ALL.len());
    assert!(
        codes
            .iter()
            .all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    );
}

#[test]
fn o2_what_is_wrong_with_a_secret_or_a_connection_is_said_in_words() {
    use {SecretInvalid as S, VerifierInvalid as V};
    let rows: [(String, &str); 7] = [
        (S::Empty.to_string(), "empty"),
        (S::Whitespace.to_string(), "white space"),
        (S::NotBase64.to_string(), "not base64"),
        (S::TooShort.to_string(), "shorter than 16 bytes"),
        (V::NoSecret.to_string(), "no secret"),
        (V::TooManySecrets.to_string(), "more than 4 secrets"),
        (
            V::ToleranceOutOfRange.to_string(),
            "between 1 and 3600 seconds",
        ),
    ];
    for (text, words) in rows {
        assert!(text.contains(words), "{text}");
    }
}

//! HTTP Basic and headers with fixed values: rotation, and what is no secret (W1, W5, W9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Header, SignatureRefused, Unsigned, VerifierInvalid};
use countersign::issuer::marqeta::{
    CredentialInvalid, Credentials, HeaderSecret, StaticHeader, Verifier,
};

use crate::support::now;

const OLD: &str = "countersign:Correct-Horse-Battery-8";
const NEW: &str = "countersign:Correct-Horse-Battery-9";
const VALUE: &str = "a-fixed-value-of-one-header";
const OTHER_VALUE: &str = "another-value-of-that-header";
const BODY: &[u8] = b"{}";

fn credentials(text: &str) -> Credentials {
    Credentials::from_text(text.to_owned()).unwrap()
}

fn value(text: &str) -> HeaderSecret {
    HeaderSecret::from_text(text.to_owned()).unwrap()
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn connection(known: &[&str], headers: &[(&str, &[&str])], unsigned: Unsigned) -> Issuer {
    let headers = headers.iter().map(|(name, values)| {
        let values = values.iter().map(|text| value(text)).collect();
        StaticHeader::new(name, values).unwrap()
    });
    let known = known.iter().map(|text| credentials(text)).collect();
    Issuer::Marqeta(Verifier::new(known, headers.collect(), unsigned).unwrap())
}

fn verify(issuer: &Issuer, headers: &[(&str, &str)]) -> Result<(), SignatureRefused> {
    let find = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| *name == wanted);
        found.map_or(Header::Absent, |(_, value)| Header::Once(value.as_bytes()))
    };
    let presented = issuer.present(find);
    issuer.verify(&presented, BODY, now()).map(|_| ())
}

#[test]
fn w5_during_a_rotation_both_passwords_pass_and_afterwards_the_new_one() {
    #[rustfmt::skip]
    let rows: [(&[&str], &str, bool); 9] = [
        (&[OLD], OLD, true),
        (&[OLD, NEW], OLD, true),
        (&[OLD, NEW], NEW, true),
        (&[NEW, NEW], NEW, true),
        (&[NEW], NEW, true),
        (&[NEW], OLD, false),
        (&[NEW], "Countersign:Correct-Horse-Battery-9", false),
        (&[NEW], "countersign:Correct-Horse-Battery-9 ", false),
        (&[NEW], "countersign:", false),
    ];
    for (known, presented, accepted) in rows {
        let issuer = connection(known, &[], Unsigned::Refuse);
        let verified = verify(&issuer, &[("authorization", &basic(presented))]);
        assert_eq!(verified.is_ok(), accepted, "{known:?} {presented}");
    }
}

#[test]
fn w1_every_fixed_header_has_to_be_there_with_one_of_its_values() {
    let headers: &[(&str, &[&str])] = &[("x-a", &[VALUE, OTHER_VALUE]), ("x-b", &[VALUE])];
    let issuer = connection(&[NEW], headers, Unsigned::Refuse);
    let (good, bad) = (basic(NEW), basic(OLD));
    let (good, bad) = (good.as_str(), bad.as_str());
    use SignatureRefused::{Incomplete, Mismatch, Missing};
    #[rustfmt::skip]
    let rows = [
        (vec![("authorization", good), ("x-a", VALUE), ("x-b", VALUE)], Ok(())),
        (vec![("authorization", good), ("x-a", OTHER_VALUE), ("x-b", VALUE)], Ok(())),
        (vec![("authorization", good), ("x-a", VALUE), ("x-b", OTHER_VALUE)], Err(Mismatch)),
        (vec![("authorization", good), ("x-a", ""), ("x-b", VALUE)], Err(Mismatch)),
        (vec![("authorization", bad), ("x-a", VALUE), ("x-b", VALUE)], Err(Mismatch)),
        (vec![("authorization", good), ("x-a", VALUE)], Err(Incomplete)),
        (vec![("authorization", good)], Err(Incomplete)),
        (vec![("x-a", VALUE), ("x-b", VALUE)], Err(Incomplete)),
        (vec![], Err(Missing)),
    ];
    for (headers, expected) in rows {
        assert_eq!(verify(&issuer, &headers), expected, "{headers:?}");
    }
}

#[test]
fn w9_what_are_no_credentials_is_refused_at_load() {
    use CredentialInvalid as C;
    let longest = format!("u:{}", "p".repeat(253));
    let longer = format!("{longest}p");
    #[rustfmt::skip]
    let rows = [
        (NEW, None),
        ("u:sixteen-letters!", None),
        ("u:with:colons:in:the:password", None),
        (&longest, None),
        (&longer, Some(C::TooLong)),
        ("", Some(C::Empty)),
        ("nocolon-but-long-enough", Some(C::NoColon)),
        (":sixteen-letters!", Some(C::NoUser)),
        ("u:fifteen-letters", Some(C::TooShort)),
        ("u:", Some(C::TooShort)),
        ("u:sixteen letters!", Some(C::Whitespace)),
        ("u:sixteen-letters!\n", Some(C::Whitespace)),
        ("u:sixteen-letters!\u{a0}", Some(C::Whitespace)),
        ("u:sixteen-letters!\0", Some(C::Whitespace)),
    ];
    for (text, expected) in rows {
        let refused = Credentials::from_text(text.to_owned()).err();
        assert_eq!(refused, expected, "{text:?}");
        if let Some(refused) = refused {
            assert!(text.len() < 3 || !refused.to_string().contains(text.trim()));
        }
    }
    for (text, expected) in [
        (VALUE, None),
        ("", Some(C::Empty)),
        ("fifteen-letters", Some(C::TooShort)),
        ("sixteen-letters!", None),
        ("with a space in between", Some(C::Whitespace)),
    ] {
        assert_eq!(HeaderSecret::from_text(text.to_owned()).err(), expected);
    }
}

#[test]
fn what_is_wrong_with_a_credential_is_said_in_words() {
    use CredentialInvalid as C;
    for (refused, word) in [
        (C::Empty, "empty"),
        (C::Whitespace, "white space"),
        (C::NoColon, "user:password"),
        (C::NoUser, "no user"),
        (C::TooShort, "shorter than 16"),
        (C::TooLong, "longer than 255"),
        (C::NotAHeader, "name of a header"),
        (C::WrongNumberOfValues, "one value"),
    ] {
        let text = refused.to_string();
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn w9_what_is_no_fixed_header_is_refused_at_load() {
    use CredentialInvalid as C;
    let values = |count: usize| (0..count).map(|_| value(VALUE)).collect::<Vec<_>>();
    #[rustfmt::skip]
    let rows = [
        ("x-countersign", 1, None),
        ("x-countersign", 4, None),
        ("x-countersign", 0, Some(C::WrongNumberOfValues)),
        ("x-countersign", 5, Some(C::WrongNumberOfValues)),
        ("X-Countersign", 1, Some(C::NotAHeader)),
        ("x countersign", 1, Some(C::NotAHeader)),
        ("x-countersign:", 1, Some(C::NotAHeader)),
        ("", 1, Some(C::NotAHeader)),
        ("authorization", 1, Some(C::NotAHeader)),
        ("content-type", 1, Some(C::NotAHeader)),
        ("host", 1, Some(C::NotAHeader)),
    ];
    for (name, count, expected) in rows {
        let refused = StaticHeader::new(name, values(count)).err();
        assert_eq!(refused, expected, "{name} {count}");
    }
    let headers = |count: usize| {
        let names = ["x-a", "x-b", "x-c", "x-d", "x-e"];
        let headers = names[..count]
            .iter()
            .map(|name| StaticHeader::new(name, values(1)));
        headers.collect::<Result<Vec<_>, _>>().unwrap()
    };
    use VerifierInvalid as V;
    for (known, count, unsigned, expected) in [
        (1, 4, Unsigned::Refuse, None),
        (0, 0, Unsigned::Accept, None),
        (1, 5, Unsigned::Refuse, Some(V::TooManyHeaders)),
        (0, 1, Unsigned::Refuse, Some(V::NoSecret)),
        (5, 1, Unsigned::Refuse, Some(V::TooManySecrets)),
    ] {
        let known = (0..known).map(|_| credentials(NEW)).collect();
        let refused = Verifier::new(known, headers(count), unsigned).err();
        assert_eq!(refused, expected, "{count} headers");
    }
}

#[test]
fn unsigned_is_accepted_only_where_it_says_so_and_only_without_any_header() {
    let open = connection(&[NEW], &[("x-a", &[VALUE])], Unsigned::Accept);
    assert_eq!(verify(&open, &[]), Ok(()));
    let wrong = basic(OLD);
    for headers in [
        &[("authorization", wrong.as_str())][..],
        &[("authorization", wrong.as_str()), ("x-a", VALUE)],
        &[("x-a", VALUE)],
        &[("authorization", "")],
    ] {
        assert!(verify(&open, headers).is_err(), "{headers:?}");
    }
}

//! Deliveries that differ from a good one in one place (W1 to W3, W6, W8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::issuer::delivery::SignatureRefused;

use crate::schemes::{BODY, Scheme, all, legacy, marqeta, now, standard, stripe};

type Change = fn(&str) -> Vec<u8>;

fn text(text: impl Into<String>) -> Vec<u8> {
    text.into().into_bytes()
}

fn with_byte(value: &str, at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes[at] = change(bytes[at]);
    bytes
}

/// What is done to the value of one header. None of it leaves a value as it was, and none of it makes
/// another lawful value.
#[rustfmt::skip]
const CHANGES: &[(&str, Change)] = &[
    ("empty", |_| vec![]),
    ("a space before", |v| text(format!(" {v}"))),
    ("a space behind", |v| text(format!("{v} "))),
    ("a tab before", |v| text(format!("\t{v}"))),
    ("a tab behind", |v| text(format!("{v}\t"))),
    ("a newline behind", |v| text(format!("{v}\n"))),
    ("CR LF behind", |v| text(format!("{v}\r\n"))),
    ("a newline before", |v| text(format!("\n{v}"))),
    ("folded", |v| text(v.replacen(char::is_alphanumeric, "\r\n 1", 1))),
    ("NUL behind", |v| text(format!("{v}\0"))),
    ("NUL before", |v| text(format!("\0{v}"))),
    ("NUL and more behind", |v| text(format!("{v}\0{v}"))),
    ("in double quotes", |v| text(format!("\"{v}\""))),
    ("in single quotes", |v| text(format!("'{v}'"))),
    ("in brackets", |v| text(format!("[{v}]"))),
    ("in braces", |v| text(format!("{{{v}}}"))),
    ("in angle brackets", |v| text(format!("<{v}>"))),
    ("a comma behind", |v| text(format!("{v},"))),
    ("a comma before", |v| text(format!(",{v}"))),
    ("a semicolon behind", |v| text(format!("{v};"))),
    ("twice with a comma", |v| text(format!("{v},{v}"))),
    ("twice with comma and space", |v| text(format!("{v}, {v}"))),
    ("twice with a semicolon", |v| text(format!("{v};{v}"))),
    ("twice with two spaces", |v| text(format!("{v}  {v}"))),
    ("twice without anything", |v| text(format!("{v}{v}"))),
    ("the first byte gone", |v| v.as_bytes()[1..].to_vec()),
    ("the last byte gone", |v| v.as_bytes()[..v.len() - 1].to_vec()),
    ("the second half gone", |v| v.as_bytes()[..v.len() / 2].to_vec()),
    ("the first half gone", |v| v.as_bytes()[v.len() / 2..].to_vec()),
    ("the last byte doubled", |v| [v.as_bytes(), &v.as_bytes()[v.len() - 1..]].concat()),
    ("reversed", |v| text(v.chars().rev().collect::<String>())),
    ("upper case", |v| text(v.to_uppercase())),
    ("lower case", |v| text(v.to_lowercase())),
    ("a word before", |v| text(format!("Bearer {v}"))),
    ("a name before", |v| text(format!("signature={v}"))),
    ("percent-encoded", |v| text(v.bytes().map(|b| format!("%{b:02X}")).collect::<String>())),
    ("percent-encoded NUL behind", |v| text(format!("{v}%00"))),
    ("byte-order mark before", |v| text(format!("\u{feff}{v}"))),
    ("no-break space behind", |v| text(format!("{v}\u{a0}"))),
    ("zero-width joiner behind", |v| text(format!("{v}\u{200d}"))),
    ("full-width", |v| text(v.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect::<String>())),
    ("an equals sign behind", |v| text(format!("{v}="))),
    ("a comment behind", |v| text(format!("{v}/**/"))),
    ("a number sign behind", |v| text(format!("{v}#"))),
    ("null", |_| text("null")),
    ("undefined", |_| text("undefined")),
    ("true", |_| text("true")),
    ("none", |_| text("none")),
    ("a star", |_| text("*")),
    ("zero", |_| text("0")),
    ("minus one", |_| text("-1")),
    ("not a number", |_| text("NaN")),
    ("64 zeros", |_| text("0".repeat(64))),
    ("64 letters", |_| text("a".repeat(64))),
    ("a MAC of zeros", |_| text(STANDARD.encode([0; 32]))),
    ("eight thousand letters", |_| text("A".repeat(8_000))),
    ("base64 of it", |v| text(STANDARD.encode(v))),
    ("hexadecimal of it", |v| text(v.bytes().map(|b| format!("{b:02x}")).collect::<String>())),
    ("the first byte changed", |v| with_byte(v, 0, |b| b ^ 1)),
    ("the last byte changed", |v| with_byte(v, v.len() - 1, |b| b ^ 1)),
    ("a byte in the middle changed", |v| with_byte(v, v.len() / 2, |b| b ^ 1)),
    ("the high bit of the first byte", |v| with_byte(v, 0, |b| b | 0x80)),
    ("the high bit of the last byte", |v| with_byte(v, v.len() - 1, |b| b | 0x80)),
    ("not UTF-8 behind", |v| [v.as_bytes(), b"\xff"].concat()),
];

#[test]
fn a_delivery_as_it_should_be_is_accepted_by_each_scheme() {
    for scheme in all() {
        let verified = scheme.verify(&scheme.good(), BODY.as_bytes(), now());
        assert_eq!(verified, Ok(()), "{}", scheme.name);
    }
}

#[test]
fn w1_w3_any_change_of_any_header_is_refused() {
    let mut count = 0;
    for scheme in all() {
        for at in 0..scheme.headers.len() {
            let (name, value) = &scheme.headers[at];
            for (what, change) in CHANGES {
                let changed = change(value);
                // Digits have no case, and hexadecimal digits have only one here.
                if changed == value.as_bytes() {
                    continue;
                }
                let mut headers = scheme.good();
                headers[at].1 = changed;
                let verified = scheme.verify(&headers, BODY.as_bytes(), now());
                assert!(verified.is_err(), "{} {name}: {what}", scheme.name);
                count += 1;
            }
        }
    }
    // Seven headers of four schemes.
    assert!(count >= 430, "{count}");
}

#[test]
fn w1_a_header_that_is_missing_or_comes_twice_is_refused() {
    use SignatureRefused::{Incomplete, Missing, Repeated};
    for scheme in all() {
        let good = scheme.good();
        let refused = |headers: &[_]| scheme.verify(headers, BODY.as_bytes(), now());
        assert_eq!(refused(&[]), Err(Missing), "{}", scheme.name);
        for at in 0..good.len() {
            let mut without = good.clone();
            without.remove(at);
            let expected = if without.is_empty() {
                Missing
            } else {
                Incomplete
            };
            assert_eq!(refused(&without), Err(expected), "{} {at}", scheme.name);
            let mut twice = good.clone();
            twice.push(good[at].clone());
            assert_eq!(refused(&twice), Err(Repeated), "{} {at}", scheme.name);
            let mut twice = good.clone();
            twice.insert(0, (good[at].0, b"x".to_vec()));
            assert_eq!(refused(&twice), Err(Repeated), "{} {at}", scheme.name);
        }
    }
}

/// Basic signs no body, and the older scheme of Lithic's what the body means; the others its bytes.
#[test]
fn w6_another_body_is_refused_by_who_signs_bodies() {
    let same_meaning = [
        r#"{"amount":2599,"name":"\u00e9","z":1}"#,
        r#"{"z": 1, "amount": 2599, "name": "é"}"#,
        "{\"z\":1,\"amount\":2599,\"name\":\"\u{e9}\"}\n",
    ];
    let other_meaning = [
        "",
        "{}",
        r#"{"z":1,"amount":2599,"name":"e"}"#,
        r#"{"z":1,"amount":2600,"name":"\u00e9"}"#,
        r#"{"z":1,"amount":2599.5,"name":"\u00e9"}"#,
        r#"{"z":1,"amount":"2599","name":"\u00e9"}"#,
        r#"{"z":1,"amount":2599,"name":"\u00e9","amount":2599}"#,
        r#"{"z":1,"amount":2599,"name":"\u00e9"}{}"#,
        r#"[{"z":1,"amount":2599,"name":"\u00e9"}]"#,
        "\u{feff}{\"z\":1,\"amount\":2599,\"name\":\"\\u00e9\"}",
    ];
    let verify =
        |scheme: &Scheme, body: &str| scheme.verify(&scheme.good(), body.as_bytes(), now());
    for scheme in [standard(), stripe()] {
        for body in same_meaning.iter().chain(&other_meaning) {
            assert!(verify(&scheme, body).is_err(), "{} {body}", scheme.name);
        }
    }
    for body in same_meaning {
        assert_eq!(verify(&legacy(), body), Ok(()), "{body}");
    }
    for body in other_meaning {
        assert!(verify(&legacy(), body).is_err(), "{body}");
    }
    assert_eq!(verify(&marqeta(), "{}"), Ok(()));
}

/// Stripe's and Lithic's times bind both ways; at the edge still passes.
#[test]
fn w3_what_is_too_old_or_too_new_is_refused() {
    use SignatureRefused::{TooNew, TooOld};
    for scheme in [standard(), stripe()] {
        for (seconds, expected) in [
            (0, Ok(())),
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(TooOld)),
            (-301, Err(TooNew)),
            (86_400, Err(TooOld)),
            (-86_400, Err(TooNew)),
        ] {
            let now = now().plus_micros(seconds * 1_000_000);
            let verified = scheme.verify(&scheme.good(), BODY.as_bytes(), now);
            assert_eq!(verified, expected, "{} {seconds}", scheme.name);
        }
    }
}

/// What one scheme accepts proves nothing to another.
#[test]
fn w8_w10_a_proof_of_one_scheme_is_none_of_another() {
    for (at, scheme) in all().iter().enumerate() {
        for (other_at, other) in all().iter().enumerate() {
            let mut headers = other.good();
            if at != other_at {
                assert!(scheme.verify(&headers, BODY.as_bytes(), now()).is_err());
                // Under the names that the scheme asks for.
                let names = scheme.headers.iter().map(|(name, _)| *name);
                for (header, name) in headers.iter_mut().zip(names) {
                    header.0 = name;
                }
                let verified = scheme.verify(&headers, BODY.as_bytes(), now());
                assert!(verified.is_err(), "{} for {}", other.name, scheme.name);
            }
        }
    }
}

//! No header has two readings: what is accepted is what a second, plain reading of the grammar takes
//! (W1, W2), whatever pieces a header is put together from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::issuer::delivery::{Header, SignatureRefused, Unsigned};
use countersign::issuer::standard_webhooks::{self, SignatureHeaders};
use countersign::issuer::stripe;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;

use crate::schemes::{BODY, CREDENTIALS, NOW_S, STANDARD_SECRET, STRIPE_SECRET, marqeta, now};

const OTHER_STRIPE_SECRET: &str = "whsec_00112233445566778899aabbccddeeff";

fn stripe_verifier() -> stripe::Verifier {
    let secret = stripe::Secret::from_text(STRIPE_SECRET.to_owned()).unwrap();
    stripe::Verifier::new(vec![secret], 300, Unsigned::Refuse).unwrap()
}

/// The hexadecimal MAC of the body as signed at `seconds`, which need not be now.
fn stripe_mac(secret: &str, seconds: i64) -> String {
    let secret = stripe::Secret::from_text(secret.to_owned()).unwrap();
    let at = countersign::domain::time::Timestamp::from_secs(seconds);
    let value = stripe::sign(&secret, at, BODY.as_bytes());
    value.split_once(",v1=").unwrap().1.to_owned()
}

/// The grammar once more, by splitting and comparing text.
fn stripe_accepts(header: &str) -> bool {
    let mut times = Vec::new();
    let mut macs = Vec::new();
    for entry in header.split(',') {
        let Some((name, value)) = entry.split_once('=') else {
            return false;
        };
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let visible = |c: char| ('!'..='~').contains(&c);
        if name.is_empty() || !name.chars().all(word) || !value.chars().all(visible) {
            return false;
        }
        match name {
            "t" => times.push(value),
            "v1" => macs.push(value),
            _ => {}
        }
    }
    let [time] = times[..] else { return false };
    let Ok(seconds) = time.parse::<i64>() else {
        return false;
    };
    let lawful = |mac: &&str| {
        let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        mac.len() == 64 && mac.chars().all(digit)
    };
    seconds.to_string() == time
        && (NOW_S - seconds).abs() <= 300
        && (1..=8).contains(&macs.len())
        && macs.iter().all(lawful)
        && macs.contains(&stripe_mac(STRIPE_SECRET, seconds).as_str())
}

fn stripe_piece() -> impl Strategy<Value = String> {
    let good = stripe_mac(STRIPE_SECRET, NOW_S);
    let other = stripe_mac(OTHER_STRIPE_SECRET, NOW_S);
    let earlier = stripe_mac(STRIPE_SECRET, NOW_S - 7);
    let whole = vec![
        format!("v1={good}"),
        format!("v1={other}"),
        format!("v1={earlier}"),
        format!("v0={good}"),
        format!("v1={}", good.to_uppercase()),
        format!("V1={good}"),
        format!(" v1={good}"),
        format!("v1= {good}"),
        format!("v1={good}0"),
        format!("t={NOW_S}"),
        format!("t={}", NOW_S - 7),
        format!("t={}", NOW_S + 301),
        format!("t=+{NOW_S}"),
        format!("t=0{NOW_S}"),
        format!("T={NOW_S}"),
        "t=".to_owned(),
        "v1=".to_owned(),
        "v2=anything".to_owned(),
        "v2=".to_owned(),
        "=".to_owned(),
        "t".to_owned(),
        String::new(),
    ];
    prop_oneof![
        4 => Just(format!("t={NOW_S}")),
        6 => Just(format!("v1={good}")),
        8 => select(whole),
        1 => "[tv01=, a-f]{0,8}",
    ]
}

fn standard_accepts(header: &str) -> bool {
    let secret = standard_webhooks::Secret::from_text(STANDARD_SECRET.to_owned()).unwrap();
    let signed = standard_webhooks::sign(&secret, "msg_1", now(), BODY.as_bytes());
    let good = signed.signature.strip_prefix("v1,").unwrap();
    let mut macs = Vec::new();
    for entry in header.split(' ') {
        let Some((version, value)) = entry.split_once(',') else {
            return false;
        };
        match version {
            "" => return false,
            "v1" => macs.push(value),
            _ => {}
        }
    }
    let lawful = |mac: &&str| {
        let decoded = STANDARD.decode(mac).unwrap_or_default();
        decoded.len() == 32 && STANDARD.encode(decoded) == **mac
    };
    (1..=8).contains(&macs.len()) && macs.iter().all(lawful) && macs.contains(&good)
}

fn standard_piece() -> impl Strategy<Value = String> {
    let secret = standard_webhooks::Secret::from_text(STANDARD_SECRET.to_owned()).unwrap();
    let good = standard_webhooks::sign(&secret, "msg_1", now(), BODY.as_bytes()).signature;
    let (_, mac) = good.split_once(',').unwrap();
    let whole = vec![
        format!("v1,{}", STANDARD.encode([7; 32])),
        format!("v1,{}", mac.trim_end_matches('=')),
        format!("v1,{mac}="),
        format!("v1,{}", STANDARD.encode([7; 31])),
        format!("V1,{mac}"),
        format!("v1={mac}"),
        format!("v1a,{mac}"),
        format!("v1,,{mac}"),
        mac.to_owned(),
        "v2,".to_owned(),
        ",".to_owned(),
        String::new(),
    ];
    prop_oneof![
        4 => Just(good),
        4 => select(whole),
        1 => "[v1,= A-Z]{0,8}",
    ]
}

/// One space, one spelling of the credentials; the word in either case.
fn basic_accepts(header: &str) -> bool {
    header.split_once(' ').is_some_and(|(scheme, encoded)| {
        scheme.eq_ignore_ascii_case("basic") && encoded == STANDARD.encode(CREDENTIALS)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn w1_w2_stripes_header_has_the_oracles_reading_or_none(
        pieces in proptest::collection::vec(stripe_piece(), 1..12),
    ) {
        let header = pieces.join(",");
        let verified = stripe_verifier().verify(
            Header::Once(header.as_bytes()), BODY.as_bytes(), now(),
        );
        prop_assert_eq!(verified.is_ok(), stripe_accepts(&header), "{}", header);
    }

    #[test]
    fn w1_w2_lithics_header_has_the_oracles_reading_or_none(
        pieces in proptest::collection::vec(standard_piece(), 1..12),
    ) {
        let header = pieces.join(" ");
        let secret = standard_webhooks::Secret::from_text(STANDARD_SECRET.to_owned()).unwrap();
        let verifier = standard_webhooks::Verifier::new(vec![secret], 300, Unsigned::Refuse).unwrap();
        let timestamp = NOW_S.to_string();
        let headers = SignatureHeaders {
            id: Some(b"msg_1"),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(header.as_bytes()),
            repeated: false,
        };
        let verified = verifier.verify(&headers, BODY.as_bytes(), now());
        prop_assert_eq!(verified.is_ok(), standard_accepts(&header), "{}", header);
    }

    #[test]
    fn w1_basic_credentials_have_the_oracles_reading_or_none(
        scheme in select(vec!["Basic", "basic", "BASIC", "Basi", "Basic:", "Bearer", "", " Basic"]),
        between in select(vec![" ", " ", " ", "  ", "\t", "", "=", " \u{a0}"]),
        encoded in prop_oneof![
            4 => Just(STANDARD.encode(CREDENTIALS)),
            1 => Just(STANDARD.encode(CREDENTIALS).trim_end_matches('=').to_owned()),
            1 => Just(format!("{}=", STANDARD.encode(CREDENTIALS))),
            1 => Just(CREDENTIALS.to_owned()),
            1 => Just(STANDARD.encode(format!("{CREDENTIALS}\0"))),
            1 => Just(STANDARD.encode(CREDENTIALS.replace(':', "::"))),
            1 => "[A-Za-z0-9+/=]{0,60}",
        ],
    ) {
        let header = format!("{scheme}{between}{encoded}");
        let scheme = marqeta();
        let mut headers = scheme.good();
        headers[0].1 = header.clone().into_bytes();
        let verified = scheme.verify(&headers, BODY.as_bytes(), now());
        prop_assert_eq!(verified.is_ok(), basic_accepts(&header), "{}", header);
    }

    #[test]
    fn w1_no_bytes_at_all_are_taken_for_a_proof(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let verified = stripe_verifier().verify(Header::Once(&bytes), BODY.as_bytes(), now());
        prop_assert_eq!(verified.is_err(), true);
        for scheme in crate::schemes::all() {
            let headers: Vec<_> = scheme.headers.iter().map(|(name, _)| (*name, bytes.clone())).collect();
            prop_assert_eq!(scheme.verify(&headers, &bytes, now()).is_err(), true);
        }
    }
}

/// Stripe's own library takes all of these (W1, W3); there are two ways to read each.
#[test]
fn w1_what_stripes_own_library_lets_pass_is_refused() {
    let good = stripe_mac(STRIPE_SECRET, NOW_S);
    let future = NOW_S + 3_000;
    let rows = [
        (
            format!("t={NOW_S},t={NOW_S},v1={good}"),
            SignatureRefused::Repeated,
        ),
        (
            format!("t=1,t={NOW_S},v1={good}"),
            SignatureRefused::Repeated,
        ),
        (
            format!("t={NOW_S},v1={good},t=1"),
            SignatureRefused::Repeated,
        ),
        (
            format!("t={future},v1={}", stripe_mac(STRIPE_SECRET, future)),
            SignatureRefused::TooNew,
        ),
        (
            format!("t={NOW_S},v1={}", "0".repeat(64)),
            SignatureRefused::Mismatch,
        ),
        (
            format!("t={NOW_S}{}", format!(",v1={good}").repeat(9)),
            SignatureRefused::TooManySignatures,
        ),
        (
            format!("t={NOW_S},v0={good}"),
            SignatureRefused::NoKnownVersion,
        ),
        (format!("v1={good}"), SignatureRefused::TimestampMalformed),
        (
            format!("t={NOW_S}, v1={good}"),
            SignatureRefused::SignatureMalformed,
        ),
        (
            format!("t={NOW_S},v1={}", good.to_uppercase()),
            SignatureRefused::SignatureMalformed,
        ),
    ];
    for (header, expected) in rows {
        let verified =
            stripe_verifier().verify(Header::Once(header.as_bytes()), BODY.as_bytes(), now());
        assert_eq!(verified.map(|_| ()), Err(expected), "{header}");
    }
}

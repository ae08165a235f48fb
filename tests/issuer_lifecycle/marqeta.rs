//! Marqeta's webhooks: lists of single movements, and their optional signature.

use countersign::issuer::delivery::{Header, SignatureRefused, VerifierInvalid};
use countersign::issuer::marqeta::CredentialInvalid;
use countersign::issuer::marqeta::webhook::{Secret, Signatures};

use crate::support::{fixture, in_short, marqeta, names, observe};

/// The first message's funding, and its transaction.
const FUNDING: &str = "607d9e40-3164-5fec-b5fd-69951f0b7bfc";
const TRANSACTION: &str = "b911ccd4-a376-5832-a730-364e55fe2a0d";

/// Name, movement with its id, authorization, what it follows, whether it is forced.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    bool,
);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The new total stands at the top; the difference is in the funding.
    ("advice", "replaced 2000", "j9", Some(FUNDING), Some(TRANSACTION), false),
    ("atm", "authorized and posted 10300", "j11", Some("j11"), None, false),
    ("authorization", "authorized 2599", FUNDING, Some(FUNDING), None, false),
    ("chargeback", "disputed 1000", "t14", Some(FUNDING), Some("t3"), false),
    ("chargeback_credit", "disputed 1000", "t15", Some(FUNDING), Some("t3"), false),
    ("chargeback_of_clearing", "disputed 1000", "t16", None, Some("t5"), false),
    ("clearing", "posted 1000", "j3", Some(FUNDING), Some(TRANSACTION), false),
    ("clearing_final", "posted last 1000", "j4", Some(FUNDING), Some(TRANSACTION), false),
    ("clearing_without_funding", "posted last 2599", "t5", None, Some(TRANSACTION), false),
    ("declined", "declined 2599", FUNDING, Some(FUNDING), None, false),
    ("expiry", "expired 2599", "j8", Some(FUNDING), Some(TRANSACTION), false),
    ("force_post", "posted 1200", "t6", None, None, true),
    ("increment_declined", "declined 500", "j17", Some(FUNDING), Some(TRANSACTION), false),
    ("incremental", "authorized 500", "j2", Some(FUNDING), Some(TRANSACTION), false),
    ("refund", "refunded 1999", "t10", None, None, false),
    ("refund_linked", "refunded 1000", "j18", Some(FUNDING), None, false),
    ("reversal", "released 1000", "j7", Some(FUNDING), Some(TRANSACTION), false),
    ("reversed", "released 2599", "j13", Some(FUNDING), Some(TRANSACTION), false),
    ("standin", "authorized 800", "j12", Some("j12"), None, false),
    // Our answer came too late: what was reserved has to come back.
    ("timed_out", "declined 2599", FUNDING, Some(FUNDING), None, false),
];

#[test]
fn every_event_is_observed_as_its_row_says() {
    let named: Vec<_> = names("marqeta");
    let rows: Vec<_> = ROWS.iter().map(|(name, ..)| *name).collect();
    let others = ["inquiry", "other", "ping", "refund_authorized", "several"];
    let known: Vec<_> = named
        .iter()
        .filter(|name| !others.contains(&name.as_str()))
        .collect();
    assert_eq!(known, rows, "a fixture without a row, or a row without one");
    for (name, movement, id, authorization, follows, is_forced) in ROWS {
        let body = fixture("marqeta", name);
        let observed = observe(&marqeta(), &body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [one] = &observed[..] else {
            panic!("{name}: {observed:?}");
        };
        assert_eq!(
            in_short(one),
            (vec![(*movement).to_owned()], None),
            "{name}"
        );
        assert_eq!(one.movements[0].id, *id, "{name}");
        assert_eq!(one.authorization.as_deref(), *authorization, "{name}");
        assert_eq!(one.follows.as_deref(), *follows, "{name}");
        assert_eq!(one.is_forced, *is_forced, "{name}");
        let card = Some("5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142");
        assert_eq!(one.card_token.as_deref(), card);
    }
}

/// Several at once; a fee belongs to no authorization.
#[test]
fn a_webhook_may_report_several_movements() {
    let body = fixture("marqeta", "several");
    let observed = observe(&marqeta(), &body).unwrap();
    let short: Vec<_> = observed
        .iter()
        .map(|one| in_short(one).0.concat())
        .collect();
    assert_eq!(short, ["authorized 2599", "posted last 2599"]);
}

#[test]
fn what_is_about_something_else_reports_nothing() {
    for name in ["ping", "other", "inquiry", "refund_authorized"] {
        assert_eq!(observe(&marqeta(), &fixture("marqeta", name)), Ok(vec![]));
    }
}

const SECRET: &str = "a-secret-of-the-webhook-9";
const BODY: &[u8] = b"{\"pings\":[{\"token\":\"marqeta\",\"payload\":\"healthcheck\"}]}";
/// Made by Python's hmac with SHA-256.
const SIGNATURE: &str = "d4a42bf4f0900f7a016bf5b958d0e14b08e5526cd851d2333056cbb839f68f55";

fn signatures(secrets: &[&str]) -> Signatures {
    let secrets = secrets
        .iter()
        .map(|text| Secret::from_text((*text).to_owned()).unwrap());
    Signatures::new(secrets.collect()).unwrap()
}

#[test]
fn w1_w5_w6_a_webhooks_signature_is_of_its_raw_bytes() {
    use SignatureRefused::{Mismatch, Missing, Repeated, SignatureMalformed};
    let known = signatures(&["another-secret-of-it-1", SECRET]);
    let check = |header, body| known.check(header, body);
    let upper = SIGNATURE.to_uppercase();
    let longer = format!("{SIGNATURE}0");
    let wrong = "0".repeat(64);
    let sha1 = "0".repeat(40);
    assert_eq!(check(Header::Once(SIGNATURE.as_bytes()), BODY), Ok(()));
    for (header, expected) in [
        (Header::Absent, Missing),
        (Header::Repeated, Repeated),
        (Header::Once(b""), SignatureMalformed),
        (Header::Once(upper.as_bytes()), SignatureMalformed),
        (Header::Once(longer.as_bytes()), SignatureMalformed),
        (Header::Once(sha1.as_bytes()), SignatureMalformed),
        (Header::Once(wrong.as_bytes()), Mismatch),
    ] {
        assert_eq!(check(header, BODY), Err(expected));
    }
    let good = Header::Once(SIGNATURE.as_bytes());
    assert_eq!(check(good, b"{}"), Err(Mismatch));
    assert_eq!(check(good, &[BODY, b"\n"].concat()), Err(Mismatch));
    let before = signatures(&[SECRET, "another-secret-of-it-1"]);
    assert_eq!(before.check(good, BODY), Ok(()));
    let others = signatures(&["another-secret-of-it-1"]);
    assert_eq!(others.check(good, BODY), Err(Mismatch));
}

#[test]
fn w9_what_is_no_secret_of_a_webhook_is_refused_at_load() {
    for (text, expected) in [
        (SECRET, None),
        ("", Some(CredentialInvalid::Empty)),
        ("fifteen-letters", Some(CredentialInvalid::TooShort)),
        (
            "a-secret-of-the-webhook\n",
            Some(CredentialInvalid::Whitespace),
        ),
    ] {
        assert_eq!(
            Secret::from_text(text.to_owned()).err(),
            expected,
            "{text:?}"
        );
    }
    let none = Signatures::new(Vec::new()).err();
    assert_eq!(none, Some(VerifierInvalid::NoSecret));
}

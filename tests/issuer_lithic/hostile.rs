//! Bodies that are authentic and wrong, or strange and right (H1 to H6, H10; behaviour 2.3).

use std::borrow::Cow;

use countersign::domain::amount::{AMOUNT_MINOR_MAX, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::issuer::{Fault, NotUnderstood};

use crate::support::{amount, decode, fixture, minor};

/// Replaces the only `from` in the plain purchase.
fn purchase_with(from: &str, to: &str) -> String {
    let body = fixture("purchase");
    assert_eq!(body.matches(from).count(), 1, "`{from}` must stand once");
    body.replace(from, to)
}

const TOKEN: &str = r#""0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01""#;
const CARD_TOKEN: &str = r#""5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142""#;
const CARDHOLDER: &str =
    r#""cardholder": {"amount": 2599, "currency": "USD", "conversion_rate": "1.000000"}"#;
const CARDHOLDER_START: &str = r#""cardholder": {"amount": 2599, "currency": "USD""#;
const MERCHANT_MONEY: &str = r#""merchant": {"amount": 2599, "currency": "USD"}"#;
const NO_HOLD: &str = r#""hold": null"#;
const EVENT_TYPE: &str = r#""event_type": "card_authorization.approval_request""#;
const STATUS: &str = r#""status": "AUTHORIZATION""#;
const NO_CASH: &str = r#""cash_amount": 0"#;
const SCORE: &str = r#""network_risk_score": 120"#;
const ENTRY_CARD: &str = r#""entry_mode": {"card": "NOT_PRESENT""#;
const PARTIAL: &str = r#""partial_approval_capable": false"#;
const LAST: &str = r#""funding": []"#;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Fault,
);

/// Hazard, what stands in the purchase, what stands there now, the field at fault, the fault.
#[rustfmt::skip]
const STRUCTURE: &[Row] = &[
    ("h2 twice", TOKEN, r#""a", "token": "a""#, "token", Fault::Repeated),
    ("h2 twice, escaped", TOKEN, r#""a", "t\u006fken": "a""#, "token", Fault::Repeated),
    ("h2 first is null", SCORE, r#""network_risk_score": null, "network_risk_score": 1"#, "network_risk_score", Fault::Repeated),
    ("h2 both are null", SCORE, r#""network_risk_score": null, "network_risk_score": null"#, "network_risk_score", Fault::Repeated),
    ("h2 amount twice", CARDHOLDER_START, r#""cardholder": {"amount": 1, "amount": 2599, "currency": "USD""#, "amounts.cardholder.amount", Fault::Repeated),
    ("h2 amount twice, escaped", CARDHOLDER_START, r#""cardholder": {"am\u006funt": 1, "amount": 2599, "currency": "USD""#, "amounts.cardholder.amount", Fault::Repeated),
    ("h2 currency twice", CARDHOLDER_START, r#""cardholder": {"amount": 1, "currency": "USD", "\u0063urrency": "JPY""#, "amounts.cardholder.currency", Fault::Repeated),
    ("h2 card twice", LAST, r#""card": {"token": "other"}"#, "card", Fault::Repeated),
    ("h2 amounts twice", LAST, r#""amounts": null"#, "amounts", Fault::Repeated),
    ("h2 deprecated amount twice", LAST, r#""amount": 2599"#, "amount", Fault::Repeated),
    ("h2 event type twice", LAST, r#""event_type": "card_authorization.approval_request""#, "event_type", Fault::Repeated),
    ("h3 no token", r#""token": "0b1f"#, r#""tocken": "0b1f"#, "token", Fault::Missing),
    ("h3 no status", STATUS, r#""stat": 0"#, "status", Fault::Missing),
    ("h3 no card token", r#""card": {"token""#, r#""card": {"tokens""#, "card.token", Fault::Missing),
    ("h3 no card", r#""card": {"token""#, r#""cards": {"token""#, "card", Fault::Missing),
    ("h3 no descriptor", r#""descriptor""#, r#""description""#, "merchant.descriptor", Fault::Missing),
    ("h3 no merchant", r#""merchant": {"acceptor_id""#, r#""shop": {"acceptor_id""#, "merchant", Fault::Missing),
    ("h3 no cardholder amounts", r#""cardholder": {"amount""#, r#""holder": {"amount""#, "amounts.cardholder", Fault::Missing),
    ("h3 no amount", CARDHOLDER_START, r#""cardholder": {"currency": "USD""#, "amounts.cardholder.amount", Fault::Missing),
    ("h3 no currency", CARDHOLDER_START, r#""cardholder": {"amount": 2599"#, "amounts.cardholder.currency", Fault::Missing),
    ("h3 hold without amount", NO_HOLD, r#""hold": {"currency": "USD"}"#, "amounts.hold.amount", Fault::Missing),
    ("h3 hold without currency", NO_HOLD, r#""hold": {"amount": 1}"#, "amounts.hold.currency", Fault::Missing),
    ("h3 null token", TOKEN, "null", "token", Fault::WrongType),
    ("h3 null card token", CARD_TOKEN, "null", "card.token", Fault::WrongType),
    ("h3 null descriptor", r#""API HOST GMBH""#, "null", "merchant.descriptor", Fault::WrongType),
    ("h3 null amount", CARDHOLDER_START, r#""cardholder": {"amount": null, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h3 number for text", TOKEN, "17", "token", Fault::WrongType),
    ("h3 object for text", TOKEN, r#"{"a": 1}"#, "token", Fault::WrongType),
    ("h3 list for text", STATUS, r#""status": ["AUTHORIZATION"]"#, "status", Fault::WrongType),
    ("h3 text for object", CARDHOLDER, r#""cardholder": "2599 USD""#, "amounts.cardholder", Fault::WrongType),
    ("h3 list for object", CARDHOLDER, r#""cardholder": [2599, "USD"]"#, "amounts.cardholder", Fault::WrongType),
    ("h3 list for card", r#""card": {"token": "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142""#, r#""card": ["x"], "x": {"y": "z""#, "card", Fault::WrongType),
    ("h3 list for pos", r#""pos": {"#, r#""pos": [], "p": {"#, "pos", Fault::WrongType),
    ("h3 list for entry mode", ENTRY_CARD, r#""entry_mode": ["PRESENT"], "e": {"card": "NOT_PRESENT""#, "pos.entry_mode", Fault::WrongType),
    ("h3 number for event token", LAST, r#""event_token": 5"#, "event_token", Fault::WrongType),
    ("h3 number for entry mode", ENTRY_CARD, r#""entry_mode": {"card": 1"#, "pos.entry_mode.card", Fault::WrongType),
    ("h3 text for flag", PARTIAL, r#""partial_approval_capable": "false""#, "pos.terminal.partial_approval_capable", Fault::WrongType),
    ("h3 number for flag", PARTIAL, r#""partial_approval_capable": 0"#, "pos.terminal.partial_approval_capable", Fault::WrongType),
    ("h10 number for mcc", r#""mcc": "7372""#, r#""mcc": 7372"#, "merchant.mcc", Fault::WrongType),
    ("h10 number for country", r#""country": "DEU""#, r#""country": 276"#, "merchant.country", Fault::WrongType),
    ("h10 list for city", r#""city": "BERLIN""#, r#""city": ["BERLIN"]"#, "merchant.city", Fault::WrongType),
    ("h10 number for acceptor", r#""acceptor_id": "ACC000000000001""#, r#""acceptor_id": 1"#, "merchant.acceptor_id", Fault::WrongType),
    ("h10 number for acquirer", r#""acquiring_institution_id": "191231""#, r#""acquiring_institution_id": 191231"#, "merchant.acquiring_institution_id", Fault::WrongType),
    ("h3 empty token", TOKEN, r#""""#, "token", Fault::NotAnId),
    ("h3 token with NUL", TOKEN, r#""a\u0000b""#, "token", Fault::NotAnId),
    ("h3 token with space", TOKEN, r#""a b""#, "token", Fault::NotAnId),
    ("h3 token with letters beyond ASCII", TOKEN, r#""é""#, "token", Fault::NotAnId),
    ("h3 empty card token", CARD_TOKEN, r#""""#, "card.token", Fault::NotAnId),
    ("h3 card token with newline", CARD_TOKEN, r#""a\n""#, "card.token", Fault::NotAnId),
    ("h3 empty event token", LAST, r#""event_token": """#, "event_token", Fault::NotAnId),
    ("h3 other event", EVENT_TYPE, r#""event_type": "card_transaction.updated""#, "event_type", Fault::Unknown),
    ("h3 empty event", EVENT_TYPE, r#""event_type": """#, "event_type", Fault::Unknown),
    ("h3 unknown status", STATUS, r#""status": "AUTHORIZATION_ADVICE""#, "status", Fault::Unknown),
    ("h3 status in lower case", STATUS, r#""status": "authorization""#, "status", Fault::Unknown),
];

#[rustfmt::skip]
const MONEY: &[Row] = &[
    ("h1 decimal point", CARDHOLDER_START, r#""cardholder": {"amount": 2599.0, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h1 exponent", CARDHOLDER_START, r#""cardholder": {"amount": 26e2, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h1 numeric text", CARDHOLDER_START, r#""cardholder": {"amount": "2599", "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h1 minus zero", CARDHOLDER_START, r#""cardholder": {"amount": -0, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h1 true", CARDHOLDER_START, r#""cardholder": {"amount": true, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h1 20 digits", CARDHOLDER_START, r#""cardholder": {"amount": 10000000000000000000, "currency": "USD""#, "amounts.cardholder.amount", Fault::OutOfRange),
    ("h1 21 digits", CARDHOLDER_START, r#""cardholder": {"amount": 100000000000000000000, "currency": "USD""#, "amounts.cardholder.amount", Fault::WrongType),
    ("h4 negative", CARDHOLDER_START, r#""cardholder": {"amount": -1, "currency": "USD""#, "amounts.cardholder.amount", Fault::Negative),
    ("h4 smallest", CARDHOLDER_START, r#""cardholder": {"amount": -9223372036854775808, "currency": "USD""#, "amounts.cardholder.amount", Fault::Negative),
    ("h4 2^53", CARDHOLDER_START, r#""cardholder": {"amount": 9007199254740992, "currency": "USD""#, "amounts.cardholder.amount", Fault::OutOfRange),
    ("h4 largest", CARDHOLDER_START, r#""cardholder": {"amount": 9223372036854775807, "currency": "USD""#, "amounts.cardholder.amount", Fault::OutOfRange),
    ("h4 beyond", CARDHOLDER_START, r#""cardholder": {"amount": 9223372036854775808, "currency": "USD""#, "amounts.cardholder.amount", Fault::OutOfRange),
    ("h4 negative hold", NO_HOLD, r#""hold": {"amount": -1, "currency": "USD"}"#, "amounts.hold.amount", Fault::Negative),
    ("h4 hold of 2^53", NO_HOLD, r#""hold": {"amount": 9007199254740992, "currency": "USD"}"#, "amounts.hold.amount", Fault::OutOfRange),
    ("h4 negative cash", NO_CASH, r#""cash_amount": -1"#, "cash_amount", Fault::Negative),
    ("h4 cash of 2^53", NO_CASH, r#""cash_amount": 9007199254740992"#, "cash_amount", Fault::OutOfRange),
    ("h4 cash in text", NO_CASH, r#""cash_amount": "0""#, "cash_amount", Fault::WrongType),
    ("h4 fee in text", r#""acquirer_fee": 0"#, r#""acquirer_fee": "0""#, "acquirer_fee", Fault::WrongType),
    ("h4 cashback with a point", r#""cashback": 0"#, r#""cashback": 0.0"#, "cashback", Fault::WrongType),
    ("h4 negative merchant amount", MERCHANT_MONEY, r#""merchant": {"amount": -1, "currency": "USD"}"#, "amounts.merchant.amount", Fault::Negative),
    ("h4 merchant amount of 2^53", MERCHANT_MONEY, r#""merchant": {"amount": 9007199254740992, "currency": "ABC"}"#, "amounts.merchant.amount", Fault::OutOfRange),
    ("h6 unknown", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "ABC""#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 none", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "XXX""#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 testing", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "XTS""#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 not letters", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "U$D""#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 number", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "840""#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 empty", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": """#, "amounts.cardholder.currency", Fault::Unknown),
    ("h6 hold in another", NO_HOLD, r#""hold": {"amount": 1, "currency": "EUR"}"#, "amounts.hold.currency", Fault::OtherCurrency),
    ("h6 hold in none", NO_HOLD, r#""hold": {"amount": 1, "currency": "XXX"}"#, "amounts.hold.currency", Fault::OtherCurrency),
    ("h4 risk below", SCORE, r#""network_risk_score": -1"#, "network_risk_score", Fault::OutOfRange),
    ("h4 risk above", SCORE, r#""network_risk_score": 1000"#, "network_risk_score", Fault::OutOfRange),
    ("h4 risk with a point", SCORE, r#""network_risk_score": 12.5"#, "network_risk_score", Fault::WrongType),
    ("h5 inquiry with an amount", STATUS, r#""status": "BALANCE_INQUIRY""#, "amounts.cardholder.amount", Fault::NotZero),
];

/// What is not JSON is told without a field.
#[rustfmt::skip]
const SYNTAX: &[(&str, &str, &str)] = &[
    ("h1 leading zero", CARDHOLDER_START, r#""cardholder": {"amount": 02599, "currency": "USD""#),
    ("h1 plus", CARDHOLDER_START, r#""cardholder": {"amount": +2599, "currency": "USD""#),
    ("h1 hexadecimal", CARDHOLDER_START, r#""cardholder": {"amount": 0xA27, "currency": "USD""#),
    ("h1 not a number", CARDHOLDER_START, r#""cardholder": {"amount": NaN, "currency": "USD""#),
    ("h1 without end", CARDHOLDER_START, r#""cardholder": {"amount": 1e400, "currency": "USD""#),
    ("h1 comment", LAST, r#""funding": [] /* none */"#),
    ("h1 trailing comma", LAST, r#""funding": [],"#),
    ("h1 single quotes", TOKEN, "'a'"),
    ("h1 list left open in an unknown field", LAST, r#""funding": [[[["#),
    ("h3 raw newline in text", TOKEN, "\"a\nb\""),
    ("h3 lone surrogate in text", r#""API HOST GMBH""#, r#""API \ud800 GMBH""#),
    ("h3 surrogates in the wrong order", r#""API HOST GMBH""#, r#""\udc00\ud800""#),
    ("h3 unknown escape", r#""API HOST GMBH""#, r#""\x41""#),
];

#[test]
fn h1_h6_what_is_wrong_is_refused_by_the_name_of_its_field() {
    let of_syntax = SYNTAX
        .iter()
        .map(|(hazard, from, to)| (*hazard, *from, *to, "body", Fault::NotJson));
    let rows: Vec<_> = STRUCTURE
        .iter()
        .chain(MONEY)
        .copied()
        .chain(of_syntax)
        .collect();
    assert_eq!(rows.len(), 100);
    for (hazard, from, to, field, why) in rows {
        let refused = decode(purchase_with(from, to).as_bytes()).err();
        assert_eq!(refused, Some(NotUnderstood { field, why }), "{hazard}");
    }
}

#[test]
fn h1_bytes_around_the_text_are_refused() {
    let body = fixture("purchase");
    let whole = body.as_bytes();
    let not_json = Some(NotUnderstood {
        field: "body",
        why: Fault::NotJson,
    });
    for end in 0..whole.len() - 2 {
        assert_eq!(decode(&whole[..end]).err(), not_json, "first {end} bytes");
    }
    let around: [(&[u8], &[u8]); 8] = [
        (b"\xef\xbb\xbf", b""),
        (b"\0", b""),
        (b"", b"\0"),
        (b"", b"{}"),
        (b"", b"x"),
        (b"", b","),
        (b"[", b"]"),
        (b"\"", b"\""),
    ];
    for (before, after) in around {
        let framed = [before, whole, after].concat();
        assert!(decode(&framed).is_err(), "{before:?} {after:?}");
    }
    assert!(decode(&[b" \t\r\n", whole, b" \t\r\n"].concat()).is_ok());
    let other: [&[u8]; 9] = [
        b"",
        b" ",
        b"{}",
        b"[]",
        b"null",
        b"true",
        b"1",
        b"\"\"",
        b"{\"token\"",
    ];
    for body in other {
        assert!(decode(body).is_err(), "{body:?}");
    }
}

#[test]
fn h3_utf8_is_checked_in_unknown_fields_too() {
    let body = fixture("purchase");
    for name in ["API HOST GMBH", "agent-7"] {
        let invalid: [&[u8]; 4] = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"];
        for bytes in invalid {
            let (before, after) = body.split_once(name).unwrap();
            let body = [before.as_bytes(), bytes, after.as_bytes()].concat();
            let refused = decode(&body).unwrap_err();
            assert_eq!(refused.why, Fault::NotJson);
        }
    }
}

#[test]
fn h1_depth_in_unknown_fields_is_passed_over_without_recursion() {
    let expected = fixture("purchase");
    let expected = decode(expected.as_bytes()).unwrap();
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let deep = format!("{}1{}", open.repeat(30_000), close.repeat(30_000));
        let body = purchase_with(LAST, &format!("\"unknown\": {deep}"));
        assert_eq!(decode(body.as_bytes()).unwrap(), expected);
        let inside = purchase_with(
            r#""last_four""#,
            &format!("\"unknown\": {deep}, \"last_four\""),
        );
        assert_eq!(decode(inside.as_bytes()).unwrap(), expected);
        // The same in a field that we read.
        let read = purchase_with(TOKEN, &deep);
        assert_eq!(decode(read.as_bytes()).unwrap_err().field, "token");
    }
}

#[test]
fn h1_size_in_unknown_fields_is_passed_over() {
    let expected = fixture("purchase");
    let expected = decode(expected.as_bytes()).unwrap();
    let long = format!("\"unknown\": \"{}\"", "x".repeat(250_000));
    let wide = format!("\"unknown\": [{}0]", "0,".repeat(1_000_000));
    for unknown in [long, wide] {
        assert_eq!(
            decode(purchase_with(LAST, &unknown).as_bytes()).unwrap(),
            expected
        );
    }
}

#[test]
fn h3_an_id_has_a_longest_length() {
    for (length, understood) in [(128, true), (129, false), (200_000, false)] {
        let id = "a".repeat(length);
        let body = purchase_with(TOKEN, &format!("\"{id}\""));
        assert_eq!(decode(body.as_bytes()).is_ok(), understood, "{length}");
    }
}

#[test]
fn w11_a_refusal_repeats_nothing_of_the_body() {
    let canary = "4242CANARY";
    let spots = [
        (STATUS, format!("\"status\": \"{canary}\"")),
        (SCORE, format!("\"network_risk_score\": \"{canary}\"")),
        (LAST, format!("\"{canary}\": [}}")),
        (TOKEN, format!("\"{canary} \"")),
        (CARDHOLDER, format!("\"cardholder\": \"{canary}\"")),
    ];
    for (from, to) in spots {
        let refused = decode(purchase_with(from, &to).as_bytes()).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(canary));
    }
}

type Change = fn(&mut AuthorizationRequest<'_>);

/// Strange, and understood: what stands in the purchase, what stands there now, what differs in the
/// request.
#[rustfmt::skip]
const STRANGE: &[(&str, &str, &str, Change)] = &[
    ("h2 twice in an unknown field", LAST, r#""x": {"a": 1, "a": 2}, "x": 3"#, |_| {}),
    ("h2 twice beside a known field", r#""last_four": "4142""#, r#""last_four": 1, "last_four": 2"#, |_| {}),
    ("h1 strange numbers in unknown fields", LAST, r#""x": [1e400, -0, 1.0, 100000000000000000000]"#, |_| {}),
    ("h3 unknown field named as a known one elsewhere", LAST, r#""x": {"token": 1, "token": 2}"#, |_| {}),
    ("h3 unknown field with an empty name", LAST, r#""": null"#, |_| {}),
    ("h3 no event type", EVENT_TYPE, r#""x": 0"#, |_| {}),
    ("h3 null event type", EVENT_TYPE, r#""event_type": null"#, |_| {}),
    ("h3 escaped event type", EVENT_TYPE, r#""event_type": "card\u005fauthorization.approval_request""#, |_| {}),
    ("h3 null event token", LAST, r#""event_token": null"#, |_| {}),
    ("h3 event token", LAST, r#""event_token": "e\u002d1""#, |r| r.step = Some("e-1".into())),
    ("h3 escaped token", TOKEN, r#""\u0061\/b""#, |r| {
        r.authorization = "a/b".into()
    }),
    ("h3 surrogate pair", r#""API HOST GMBH""#, r#""\ud83d\ude00""#, |r| r.acceptor.descriptor = "😀".into()),
    ("h3 a field more", r#""pos": {"#, r#""pos": {"battery": 7, "#, |_| {}),
    ("h3 no cash amount", NO_CASH, r#""x": 0"#, |_| {}),
    ("h3 cash under its old name", NO_CASH, r#""x": 0"#, |_| {}),
    ("h4 deprecated amount differs", r#""amount": 2599, "currency": "USD", "conversion_rate""#, r#""amount": 2600, "currency": "USD", "conversion_rate""#, |r| r.amount = amount(2600, "USD")),
    ("h4 2^53 - 1", CARDHOLDER_START, r#""cardholder": {"amount": 9007199254740991, "currency": "USD""#, |r| r.amount.minor = Minor::MAX),
    ("h4 larger hold", NO_HOLD, r#""hold": {"amount": 2600, "currency": "USD"}"#, |r| r.amount = amount(2600, "USD")),
    ("h4 smaller hold", NO_HOLD, r#""hold": {"amount": 2598, "currency": "USD"}"#, |_| {}),
    ("h4 hold of nothing", NO_HOLD, r#""hold": {"amount": 0, "currency": "usd"}"#, |_| {}),
    ("h4 cash above the amount", NO_CASH, r#""cash_amount": 9000"#, |r| r.cash = minor(9000)),
    ("h4 fee below zero", r#""acquirer_fee": 0"#, r#""acquirer_fee": -50"#, |_| {}),
    ("h6 lower case", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "eur""#, |r| r.amount = amount(2599, "EUR")),
    ("h6 three decimals", CARDHOLDER_START, r#""cardholder": {"amount": 2599, "currency": "KWD""#, |r| r.amount = amount(2599, "KWD")),
    ("h6 merchant's is unknown", MERCHANT_MONEY, r#""merchant": {"amount": 1, "currency": "ABC"}"#, |r| r.merchant_amount = None),
    ("h6 merchant's is absent", MERCHANT_MONEY, r#""merchant": null"#, |r| r.merchant_amount = None),
    ("h10 mcc of letters", r#""mcc": "7372""#, r#""mcc": "73A2""#, |r| r.acceptor.mcc = None),
    ("h10 mcc of three", r#""mcc": "7372""#, r#""mcc": "737""#, |r| r.acceptor.mcc = None),
    ("h10 mcc that stands for none", r#""mcc": "7372""#, r#""mcc": "0000""#, |r| r.acceptor.mcc = None),
    ("h10 mcc of other digits", r#""mcc": "7372""#, r#""mcc": "٧٣٧٢""#, |r| r.acceptor.mcc = None),
    ("h10 no mcc", r#""mcc": "7372""#, r#""mcc": null"#, |r| {
        r.acceptor.mcc = None
    }),
    ("h10 unknown country", r#""country": "DEU""#, r#""country": "ZZZ""#, |r| r.acceptor.country = None),
    ("h10 two letters", r#""country": "DEU""#, r#""country": "DE""#, |r| r.acceptor.country = None),
    ("h10 no country", r#""country": "DEU", "#, "", |r| {
        r.acceptor.country = None
    }),
    ("h10 no city", r#""city": "BERLIN""#, r#""city": null"#, |r| r.acceptor.city = Cow::Borrowed("")),
    ("h10 empty name", r#""API HOST GMBH""#, r#""""#, |r| {
        r.acceptor.descriptor = Cow::Borrowed("")
    }),
    ("h10 control characters", r#""API HOST GMBH""#, r#""\u001b[31m\u202e\u0000""#, |r| r.acceptor.descriptor = "\u{1b}[31m\u{202e}\0".into()),
    ("h10 blank acceptor", r#""acceptor_id": "ACC000000000001""#, r#""acceptor_id": "  ""#, |r| r.acceptor.acceptor_id = None),
    ("h10 no acquirer", r#""acquiring_institution_id": "191231""#, r#""acquiring_institution_id": null"#, |r| r.acceptor.acquirer_id = None),
    ("h10 unknown entry mode", ENTRY_CARD, r#""entry_mode": {"card": "TELEPATHY""#, |r| r.card_present = None),
    ("h10 present", ENTRY_CARD, r#""entry_mode": {"card": "PRESENT""#, |r| r.card_present = Some(true)),
    ("h10 null entry mode", ENTRY_CARD, r#""entry_mode": {"card": null"#, |r| r.card_present = None),
    ("h4 lowest risk", SCORE, r#""network_risk_score": 0"#, |r| {
        r.risk_score = Some(0)
    }),
    ("h4 a whole risk", SCORE, r#""network_risk_score": 500"#, |r| r.risk_score = Some(50)),
    ("h4 risk rounds up", SCORE, r#""network_risk_score": 501"#, |r| r.risk_score = Some(51)),
    ("h4 risk rounds up to the largest", SCORE, r#""network_risk_score": 991"#, |r| r.risk_score = Some(99)),
    ("h4 highest risk", SCORE, r#""network_risk_score": 999"#, |r| r.risk_score = Some(99)),
    ("h8 can take a part", PARTIAL, r#""partial_approval_capable": true"#, |r| r.partial_approval_capable = true),
    ("h8 does not say", PARTIAL, r#""partial_approval_capable": null"#, |_| {}),
    ("single message", STATUS, r#""status": "FINANCIAL_AUTHORIZATION""#, |r| r.kind = AuthorizationKind::SingleMessage),
    ("credit above zero", STATUS, r#""status": "CREDIT_AUTHORIZATION""#, |r| r.kind = AuthorizationKind::Credit),
];

#[test]
fn h1_h10_what_is_strange_is_understood() {
    let plain = fixture("purchase");
    for (what, from, to, change) in STRANGE {
        let body = purchase_with(from, to);
        let mut expected = decode(plain.as_bytes()).unwrap();
        change(&mut expected);
        assert_eq!(decode(body.as_bytes()), Ok(expected), "{what}");
    }
}

#[test]
fn h6_every_currency_is_taken_as_it_stands() {
    for currency in countersign::domain::currency::Currency::all() {
        let to = format!("\"cardholder\": {{\"amount\": 2599, \"currency\": \"{currency}\"");
        let body = purchase_with(CARDHOLDER_START, &to);
        let decoded = decode(body.as_bytes()).unwrap();
        assert_eq!(decoded.amount, amount(2599, currency.code().as_str()));
    }
}

#[test]
fn h4_a_credit_is_its_magnitude_and_has_a_largest() {
    let largest = AMOUNT_MINOR_MAX;
    let cases = [
        (-1, Some(1)),
        (0, Some(0)),
        (-largest, Some(largest)),
        (-largest - 1, None),
        (i64::MIN, None),
        (i64::MAX, None),
    ];
    for (stated, magnitude) in cases {
        let body = fixture("credit").replace("-1999", &stated.to_string());
        let decoded = decode(body.as_bytes()).map(|request| request.amount.minor.get());
        assert_eq!(decoded.ok(), magnitude, "{stated}");
    }
}

#[test]
fn h8_a_part_is_approved_only_where_exactly_that_part_would_be_taken() {
    let capable = fixture("purchase.partial_capable");
    let fee = (r#""acquirer_fee": 0"#, r#""acquirer_fee": 25"#);
    let cash = (r#""cash_amount": 0"#, r#""cash_amount": 100"#);
    let hold = (NO_HOLD, r#""hold": {"amount": 9999, "currency": "USD"}"#);
    let credit = (STATUS, r#""status": "CREDIT_AUTHORIZATION""#);
    for (from, to) in [fee, cash, hold, credit] {
        assert_eq!(capable.matches(from).count(), 1);
        let body = capable.replace(from, to);
        assert!(
            !decode(body.as_bytes()).unwrap().partial_approval_capable,
            "{to}"
        );
    }
    assert!(decode(capable.as_bytes()).unwrap().partial_approval_capable);
    let fuel = fixture("purchase.hold_larger");
    assert!(decode(fuel.as_bytes()).unwrap().partial_approval_capable);
}

type Flat = (&'static str, &'static str, Option<(&'static str, Fault)>);

#[test]
fn h3_the_shape_of_2021_needs_its_own_amount_and_currency() {
    let body = fixture("purchase.2021_shape");
    #[rustfmt::skip]
    let rows: [Flat; 8] = [
        (
            r#""amount": 2000"#,
            r#""x": 2000"#,
            Some(("amounts", Fault::Missing)),
        ),
        (
            r#""amount": 2000"#,
            r#""amount": null"#,
            Some(("amounts", Fault::Missing)),
        ),
        (
            r#""amount": 2000"#,
            r#""amount": -1"#,
            Some(("amount", Fault::Negative)),
        ),
        (
            r#""amount": 2000"#,
            r#""amount": 20.00"#,
            Some(("amount", Fault::WrongType)),
        ),
        (
            r#""cardholder_currency": "USD""#,
            r#""x": "USD""#,
            Some(("cardholder_currency", Fault::Missing)),
        ),
        (
            r#""cardholder_currency": "USD""#,
            r#""cardholder_currency": "ABC""#,
            Some(("cardholder_currency", Fault::Unknown)),
        ),
        (
            r#""merchant_amount": 2000"#,
            r#""merchant_amount": -1"#,
            Some(("merchant_amount", Fault::Negative)),
        ),
        (
            r#""merchant_currency": "USD""#,
            r#""merchant_currency": "ABC""#,
            None,
        ),
    ];
    for (from, to, fault) in rows {
        assert_eq!(body.matches(&format!("  {from}")).count(), 1, "{from}");
        let body = body.replace(&format!("  {from}"), to);
        let refused = decode(body.as_bytes()).err();
        let expected = fault.map(|(field, why)| NotUnderstood { field, why });
        assert_eq!(refused, expected, "{to}");
    }
    // Cash stood under another name then.
    let cash = body.replace(r#""cashback": 0"#, r#""cashback": 700"#);
    assert_eq!(decode(cash.as_bytes()).unwrap().cash, minor(700));
}

/// A machine may ask for a fee where nothing is asked of the card; that fee decides nothing.
#[test]
fn h7_a_merchants_fee_on_an_inquiry_is_information() {
    let body = fixture("balance_inquiry");
    let (none, fee) = (
        r#""merchant": {"amount": 0, "currency": "USD"}"#,
        r#""merchant": {"amount": 300, "currency": "USD"}"#,
    );
    assert_eq!(body.matches(none).count(), 1);
    let with_fee = body.replace(none, fee);
    let decoded = decode(with_fee.as_bytes()).unwrap();
    assert_eq!(decoded.kind, AuthorizationKind::BalanceInquiry);
    assert_eq!(decoded.amount, amount(0, "USD"));
    assert_eq!(decoded.merchant_amount, Some(amount(300, "USD")));
    let negative = with_fee.replace("300", "-300");
    let refused = decode(negative.as_bytes()).unwrap_err();
    assert_eq!(
        refused,
        NotUnderstood {
            field: "amounts.merchant.amount",
            why: Fault::Negative,
        }
    );
}

//! Events that are authentic and wrong, or strange and right (H1 to H6, H10, H11; behaviour 2.3).

use std::borrow::Cow;

use countersign::domain::amount::Minor;
use countersign::domain::authorization::AuthorizationRequest;
use countersign::issuer::{Fault, NotUnderstood};

use crate::support::{amount, decode, fixture, minor, open, question_of};

/// Replaces the only `from` in the plain purchase.
fn purchase_with(from: &str, to: &str) -> String {
    let body = fixture("purchase");
    assert_eq!(body.matches(from).count(), 1, "`{from}` must stand once");
    body.replace(from, to)
}

const TYPE: &str = r#""type": "issuing_authorization.request""#;
const EVENT_ID: &str = r#""id": "evt_1"#;
const AUTHORIZATION_ID: &str = r#""id": "iauth_1"#;
const CARD_ID: &str = r#""ic_1QwErTyUiOpAsDfGhJkLzXcV""#;
const CARD: &str = r#""card": {"#;
const MERCHANT: &str = r#""merchant_data": {"#;
const PENDING: &str = r#""pending_request": {"#;
const AMOUNT: &str = "\"amount\": 2599,\n        \"amount_details\"";
const CURRENCY: &str = "\"currency\": \"usd\",\n        \"is_amount_controllable\"";
const CONTROLLABLE: &str = r#""is_amount_controllable": false"#;
const MERCHANT_AMOUNT: &str = r#""merchant_amount": 2599"#;
const SCORE: &str = r#""network_risk_score": 12"#;
const HISTORY: &str = r#""request_history": []"#;
const METHOD: &str = r#""authorization_method": "online""#;
const PRESENCE: &str = r#""card_presence": "not_present""#;
const MCC: &str = r#""category_code": "5734""#;
const COUNTRY: &str = r#""country": "DE""#;
const NAME: &str = r#""name": "API HOST GMBH""#;
const NETWORK_ID: &str = r#""network_id": "1234567890""#;
const ACQUIRER: &str = r#""acquiring_institution_id": "191231""#;
const LAST: &str = r#""pending_webhooks": 1"#;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Fault,
);

const P_AMOUNT: &str = "data.object.pending_request.amount";
const P_CURRENCY: &str = "data.object.pending_request.currency";

/// Hazard, what stands in the purchase, what stands there now, the field at fault, the fault.
#[rustfmt::skip]
const WRONG: &[Row] = &[
    ("h2 type twice", LAST, r#""type": "issuing_authorization.request""#, "type", Fault::Repeated),
    ("h2 type twice, escaped", LAST, r#""ty\u0070e": "issuing_authorization.created""#, "type", Fault::Repeated),
    ("h2 event id twice", LAST, r#""id": "evt_2""#, "id", Fault::Repeated),
    ("h2 data twice", LAST, r#""data": {}"#, "data", Fault::Repeated),
    ("h2 mode twice", LAST, r#""livemode": true"#, "livemode", Fault::Repeated),
    ("h2 amount twice", AMOUNT, r#""amount": 1, "amount": 2599, "amount_details""#, P_AMOUNT, Fault::Repeated),
    ("h2 amount twice, escaped", AMOUNT, r#""am\u006funt": 1, "amount": 2599, "amount_details""#, P_AMOUNT, Fault::Repeated),
    ("h2 pending twice", HISTORY, r#""request_history": [], "pending_request": null"#, "data.object.pending_request", Fault::Repeated),
    ("h2 history twice", HISTORY, r#""request_history": [], "request_history": [1]"#, "data.object.request_history", Fault::Repeated),
    ("h2 card twice", CARD, r#""card": null, "card": {"#, "data.object.card", Fault::WrongType),
    ("h3 no type", TYPE, r#""tipe": 0"#, "type", Fault::Missing),
    ("h3 no event id", EVENT_ID, r#""ide": "evt_1"#, "id", Fault::Missing),
    ("h3 no authorization id", AUTHORIZATION_ID, r#""ide": "iauth_1"#, "data.object.id", Fault::Missing),
    ("h3 no card", CARD, r#""cards": {"#, "data.object.card", Fault::Missing),
    ("h3 no card id", r#""id": "ic_1Q"#, r#""ide": "ic_1Q"#, "data.object.card.id", Fault::Missing),
    ("h3 no merchant", MERCHANT, r#""merchants": {"#, "data.object.merchant_data", Fault::Missing),
    ("h3 no pending request", PENDING, r#""pended_request": {"#, "data.object.pending_request", Fault::Missing),
    ("h3 no history", HISTORY, r#""requests": []"#, "data.object.request_history", Fault::Missing),
    ("h3 no amount", AMOUNT, r#""amount_details""#, P_AMOUNT, Fault::Missing),
    ("h3 no currency", CURRENCY, r#""is_amount_controllable""#, P_CURRENCY, Fault::Missing),
    ("h3 null pending request", PENDING, r#""pending_request": null, "x": {"#, "data.object.pending_request", Fault::WrongType),
    ("h3 null history", HISTORY, r#""request_history": null"#, "data.object.request_history", Fault::WrongType),
    ("h3 object for history", HISTORY, r#""request_history": {"0": 1}"#, "data.object.request_history", Fault::WrongType),
    ("h3 number for history", HISTORY, r#""request_history": 0"#, "data.object.request_history", Fault::WrongType),
    ("h3 card not expanded", CARD, r#""card": "ic_1QwErTyUiOpAsDfGhJkLzXcV", "x": {"#, "data.object.card", Fault::WrongType),
    ("h3 list for card", CARD, r#""card": ["ic_1"], "x": {"#, "data.object.card", Fault::WrongType),
    ("h3 text for mode", r#""pending_webhooks": 1"#, r#""account": 1"#, "account", Fault::WrongType),
    ("h3 number for event id", EVENT_ID, r#""id": 1, "x": "evt_1"#, "id", Fault::WrongType),
    ("h3 text for flag", CONTROLLABLE, r#""is_amount_controllable": "true""#, "data.object.pending_request.is_amount_controllable", Fault::WrongType),
    ("h3 number for method", METHOD, r#""authorization_method": 1"#, "data.object.authorization_method", Fault::WrongType),
    ("h3 number for presence", PRESENCE, r#""card_presence": true"#, "data.object.card_presence", Fault::WrongType),
    ("h3 empty card id", CARD_ID, r#""""#, "data.object.card.id", Fault::NotAnId),
    ("h3 card id with newline", CARD_ID, r#""ic\n1""#, "data.object.card.id", Fault::NotAnId),
    ("h3 card id beyond ASCII", CARD_ID, r#""ic_é""#, "data.object.card.id", Fault::NotAnId),
    ("h3 event id with space", EVENT_ID, r#""id": "evt 1"#, "id", Fault::NotAnId),
    ("h3 authorization id with NUL", AUTHORIZATION_ID, r#""id": "iauth\u0000"#, "data.object.id", Fault::NotAnId),
    ("h3 another event", TYPE, r#""type": "issuing_authorization.created""#, "type", Fault::Unknown),
    ("h3 another case", TYPE, r#""type": "Issuing_Authorization.Request""#, "type", Fault::Unknown),
    ("h3 empty type", TYPE, r#""type": """#, "type", Fault::Unknown),
    ("h1 decimal point", AMOUNT, r#""amount": 2599.0, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 exponent", AMOUNT, r#""amount": 26e2, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 numeric text", AMOUNT, r#""amount": "2599", "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 minus zero", AMOUNT, r#""amount": -0, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 true", AMOUNT, r#""amount": true, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 null", AMOUNT, r#""amount": null, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 20 digits", AMOUNT, r#""amount": 10000000000000000000, "amount_details""#, P_AMOUNT, Fault::OutOfRange),
    ("h1 21 digits", AMOUNT, r#""amount": 100000000000000000000, "amount_details""#, P_AMOUNT, Fault::WrongType),
    ("h1 leading zero", AMOUNT, r#""amount": 02599, "amount_details""#, "body", Fault::NotJson),
    ("h1 not a number", AMOUNT, r#""amount": NaN, "amount_details""#, "body", Fault::NotJson),
    ("h1 without end", AMOUNT, r#""amount": 1e400, "amount_details""#, "body", Fault::NotJson),
    ("h1 comment", LAST, r#""pending_webhooks": 1 /* one */"#, "body", Fault::NotJson),
    ("h1 trailing comma", HISTORY, r#""request_history": [1,]"#, "body", Fault::NotJson),
    ("h3 lone surrogate", NAME, r#""name": "\ud800""#, "body", Fault::NotJson),
    ("h4 negative", AMOUNT, r#""amount": -1, "amount_details""#, P_AMOUNT, Fault::Negative),
    ("h4 smallest", AMOUNT, r#""amount": -9223372036854775808, "amount_details""#, P_AMOUNT, Fault::Negative),
    ("h4 2^53", AMOUNT, r#""amount": 9007199254740992, "amount_details""#, P_AMOUNT, Fault::OutOfRange),
    ("h4 largest", AMOUNT, r#""amount": 9223372036854775807, "amount_details""#, P_AMOUNT, Fault::OutOfRange),
    ("h4 negative merchant amount", MERCHANT_AMOUNT, r#""merchant_amount": -1"#, "data.object.pending_request.merchant_amount", Fault::Negative),
    ("h4 merchant amount of 2^53", MERCHANT_AMOUNT, r#""merchant_amount": 9007199254740992"#, "data.object.pending_request.merchant_amount", Fault::OutOfRange),
    ("h6 unknown", CURRENCY, r#""currency": "abc", "is_amount_controllable""#, P_CURRENCY, Fault::Unknown),
    ("h6 none", CURRENCY, r#""currency": "xxx", "is_amount_controllable""#, P_CURRENCY, Fault::Unknown),
    ("h6 number", CURRENCY, r#""currency": "840", "is_amount_controllable""#, P_CURRENCY, Fault::Unknown),
    ("h6 empty", CURRENCY, r#""currency": "", "is_amount_controllable""#, P_CURRENCY, Fault::Unknown),
    ("h6 half a krona", CURRENCY, r#""currency": "isk", "is_amount_controllable""#, P_AMOUNT, Fault::TooManyDecimals),
    ("h4 risk of zero", SCORE, r#""network_risk_score": 0"#, "data.object.pending_request.network_risk_score", Fault::OutOfRange),
    ("h4 risk below", SCORE, r#""network_risk_score": -1"#, "data.object.pending_request.network_risk_score", Fault::OutOfRange),
    ("h4 risk above", SCORE, r#""network_risk_score": 100"#, "data.object.pending_request.network_risk_score", Fault::OutOfRange),
    ("h4 risk far above", SCORE, r#""network_risk_score": 268"#, "data.object.pending_request.network_risk_score", Fault::OutOfRange),
    ("h4 risk with a point", SCORE, r#""network_risk_score": 12.5"#, "data.object.pending_request.network_risk_score", Fault::WrongType),
    ("h10 number for mcc", MCC, r#""category_code": 5734"#, "data.object.merchant_data.category_code", Fault::WrongType),
    ("h10 number for country", COUNTRY, r#""country": 276"#, "data.object.merchant_data.country", Fault::WrongType),
    ("h10 list for name", NAME, r#""name": ["API"]"#, "data.object.merchant_data.name", Fault::WrongType),
    ("h10 number for acceptor", NETWORK_ID, r#""network_id": 1234567890"#, "data.object.merchant_data.network_id", Fault::WrongType),
    ("h10 number for acquirer", ACQUIRER, r#""acquiring_institution_id": 191231"#, "data.object.network_data.acquiring_institution_id", Fault::WrongType),
];

#[test]
fn h1_h11_what_is_wrong_is_refused_by_the_name_of_its_field() {
    for (hazard, from, to, field, why) in WRONG {
        let refused = decode(purchase_with(from, to).as_bytes()).err();
        let expected = NotUnderstood { field, why: *why };
        assert_eq!(refused, Some(expected), "{hazard}");
    }
}

/// Cash is looked for where older and newer versions of the interface have it.
#[test]
fn h4_cash_is_read_wherever_it_stands_and_errs_to_more() {
    let outside =
        "\"atm_fee\": null,\n        \"cashback_amount\": 0\n      },\n      \"approved\"";
    let inside = "\"atm_fee\": null,\n          \"cashback_amount\": 0";
    let at = |place: &str, fee: &str, cashback: &str| {
        purchase_with(
            place,
            &place
                .replace("\"atm_fee\": null", &format!("\"atm_fee\": {fee}"))
                .replace(
                    "\"cashback_amount\": 0",
                    &format!("\"cashback_amount\": {cashback}"),
                ),
        )
    };
    for place in [outside, inside] {
        let rows = [
            ("null", "0", Some(0)),
            ("0", "null", Some(0)),
            ("null", "1", Some(1)),
            ("null", "2599", Some(2599)),
            ("null", "9000", Some(9000)),
            ("1", "0", Some(2599)),
            ("300", "100", Some(2599)),
            ("-1", "0", None),
            ("null", "-1", None),
            ("\"300\"", "0", None),
            ("0.5", "0", None),
        ];
        for (fee, cashback, cash) in rows {
            let body = at(place, fee, cashback);
            let decoded = decode(body.as_bytes()).ok();
            assert_eq!(
                decoded.map(|it| it.cash),
                cash.map(minor),
                "{fee} {cashback}"
            );
        }
    }
}

/// Of another mode or account than the connection's: authentic, and not understood (H11).
#[test]
fn h11_another_mode_or_account_is_not_ours() {
    let (live, test) = (fixture("purchase"), fixture("purchase.test_mode"));
    let event_alone = live.replace(
        "\"livemode\": true,\n  \"pending",
        "\"livemode\": false,\n  \"pending",
    );
    assert_ne!(event_alone, live);
    let connected = fixture("purchase.everything");
    let account = Some("acct_1AbCdEfGhIjKlMnO");
    #[rustfmt::skip]
    let rows = [
        (None, None, &live, None),
        (None, None, &test, None),
        (Some(true), None, &live, None),
        (Some(false), None, &test, None),
        (Some(true), None, &test, Some("livemode")),
        (Some(false), None, &live, Some("livemode")),
        (None, None, &event_alone, Some("data.object.livemode")),
        (None, None, &connected, None),
        (None, account, &connected, None),
        (None, account, &live, Some("account")),
        (None, Some("acct_other"), &connected, Some("account")),
        (None, Some("acct_1abcdefghijklmno"), &connected, Some("account")),
    ];
    for (livemode, account, body, expected) in rows {
        let refused = question_of(&open(livemode, account), body.as_bytes()).err();
        let expected = expected.map(|field| NotUnderstood {
            field,
            why: Fault::OtherAddressee,
        });
        assert_eq!(refused, expected, "{livemode:?} {account:?}");
    }
}

#[test]
fn h1_bytes_around_the_text_are_refused() {
    let body = fixture("purchase");
    let whole = body.as_bytes();
    for end in 0..whole.len() - 2 {
        let refused = decode(&whole[..end]).unwrap_err();
        assert_eq!(refused.why, Fault::NotJson, "first {end} bytes");
    }
    let around: [(&[u8], &[u8]); 7] = [
        (b"\xef\xbb\xbf", b""),
        (b"\0", b""),
        (b"", b"\0"),
        (b"", b"{}"),
        (b"", b"x"),
        (b"[", b"]"),
        (b"\"", b"\""),
    ];
    for (before, after) in around {
        let framed = [before, whole, after].concat();
        assert!(decode(&framed).is_err(), "{before:?} {after:?}");
    }
    assert!(decode(&[b" \t\r\n", whole, b" \t\r\n"].concat()).is_ok());
    for body in ["", " ", "{}", "[]", "null", "true", "1", "\"\"", "{\"id\""] {
        assert!(decode(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn h1_depth_and_size_in_unknown_fields_are_passed_over() {
    let plain = fixture("purchase");
    let expected = decode(plain.as_bytes()).unwrap();
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let deep = format!("{}1{}", open.repeat(30_000), close.repeat(30_000));
        let body = purchase_with(LAST, &format!("\"unknown\": {deep}"));
        assert_eq!(decode(body.as_bytes()).unwrap(), expected);
        let metadata = plain.replacen("\"metadata\": {}", &format!("\"metadata\": {deep}"), 1);
        assert_eq!(decode(metadata.as_bytes()).unwrap(), expected);
        // In a list that is only counted, and in a field that is read.
        let history = purchase_with(HISTORY, &format!("\"request_history\": [{deep}, {deep}]"));
        assert_eq!(
            decode(history.as_bytes()).unwrap().step.as_deref(),
            Some("2")
        );
        let read = purchase_with(CARD_ID, &deep);
        let refused = decode(read.as_bytes()).unwrap_err();
        assert_eq!(refused.field, "data.object.card.id");
    }
    let wide = format!("\"request_history\": [{}0]", "0,".repeat(99_999));
    let counted = purchase_with(HISTORY, &wide);
    assert_eq!(
        decode(counted.as_bytes()).unwrap().step.as_deref(),
        Some("100000")
    );
}

#[test]
fn w11_a_refusal_repeats_nothing_of_the_body() {
    let canary = "4242CANARY";
    let spots = [
        (TYPE, format!("\"type\": \"{canary}\"")),
        (SCORE, format!("\"network_risk_score\": \"{canary}\"")),
        (LAST, format!("\"{canary}\": [}}")),
        (CARD_ID, format!("\"{canary} \"")),
        (CARD, format!("\"card\": \"{canary}\", \"x\": {{")),
    ];
    for (from, to) in spots {
        let refused = decode(purchase_with(from, &to).as_bytes()).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(canary));
    }
}

type Change = fn(&mut AuthorizationRequest<'_>);

/// Strange, and understood: what stands in the purchase, what stands there now, what differs.
#[rustfmt::skip]
const STRANGE: &[(&str, &str, &str, Change)] = &[
    ("h2 twice in an unknown field", LAST, r#""x": {"a": 1, "a": 2}, "x": 3"#, |_| {}),
    ("h2 twice beside a known field", r#""brand": "Visa""#, r#""brand": 1, "brand": 2"#, |_| {}),
    ("h1 strange numbers in unknown fields", LAST, r#""x": [1e400, -0, 1.0, 100000000000000000000]"#, |_| {}),
    ("h3 escaped type", TYPE, r#""type": "issuing\u005fauthorization.request""#, |_| {}),
    ("h3 null account", LAST, r#""account": null"#, |_| {}),
    ("h3 history of nulls", HISTORY, r#""request_history": [null, null, null]"#, |r| r.step = Some("3".into())),
    ("h4 nothing", AMOUNT, r#""amount": 0, "amount_details""#, |r| r.amount = amount(0, "USD")),
    ("h4 2^53 - 1", AMOUNT, r#""amount": 9007199254740991, "amount_details""#, |r| r.amount.minor = Minor::MAX),
    ("h6 upper case", CURRENCY, r#""currency": "EUR", "is_amount_controllable""#, |r| r.amount = amount(2599, "EUR")),
    ("h6 three decimals", CURRENCY, r#""currency": "kwd", "is_amount_controllable""#, |r| r.amount = amount(2599, "KWD")),
    ("h6 whole ariary", CURRENCY, r#""currency": "mga", "is_amount_controllable""#, |r| r.amount = amount(259_900, "MGA")),
    ("h6 merchant's is unknown", "\"merchant_currency\": \"usd\",\n        \"network", "\"merchant_currency\": \"abc\",\n        \"network", |r| r.merchant_amount = None),
    ("h8 controllable", CONTROLLABLE, r#""is_amount_controllable": true"#, |r| r.partial_approval_capable = true),
    ("h8 does not say", CONTROLLABLE, r#""is_amount_controllable": null"#, |_| {}),
    ("h10 mcc of letters", MCC, r#""category_code": "57A4""#, |r| r.acceptor.mcc = None),
    ("h10 mcc of three", MCC, r#""category_code": "573""#, |r| r.acceptor.mcc = None),
    ("h10 no mcc", MCC, r#""category_code": null"#, |r| r.acceptor.mcc = None),
    ("h10 mcc that stands for none", MCC, r#""category_code": "0000""#, |r| r.acceptor.mcc = None),
    ("h10 letters of no country", COUNTRY, r#""country": "ZZ""#, |r| r.acceptor.country = None),
    ("h10 three letters", COUNTRY, r#""country": "DEU""#, |r| r.acceptor.country = None),
    ("h10 digits for a country", COUNTRY, r#""country": "27""#, |r| r.acceptor.country = None),
    ("h10 no country", COUNTRY, r#""country": null"#, |r| r.acceptor.country = None),
    ("h10 empty name", NAME, r#""name": """#, |r| r.acceptor.descriptor = Cow::Borrowed("")),
    ("h10 control characters", NAME, r#""name": "\u001b[31m\u202e\u0000""#, |r| r.acceptor.descriptor = "\u{1b}[31m\u{202e}\0".into()),
    ("h10 blank acceptor", NETWORK_ID, r#""network_id": "  ""#, |r| r.acceptor.acceptor_id = None),
    ("h10 no acquirer", ACQUIRER, r#""acquiring_institution_id": null"#, |r| r.acceptor.acquirer_id = None),
    ("h10 unknown presence", PRESENCE, r#""card_presence": "telepathic""#, |_| {}),
    ("h10 presence outranks method", METHOD, r#""authorization_method": "chip""#, |_| {}),
    ("h10 present", PRESENCE, r#""card_presence": "present""#, |r| r.card_present = Some(true)),
    ("h4 lowest risk", SCORE, r#""network_risk_score": 1"#, |r| r.risk_score = Some(1)),
    ("h4 no risk", SCORE, r#""network_risk_score": null"#, |r| r.risk_score = None),
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

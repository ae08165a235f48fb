//! Requests that are authentic and wrong, or strange and right (H1 to H6, H10; behaviour 2.3).

use std::borrow::Cow;

use countersign::domain::amount::Minor;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::currency::Currency;
use countersign::issuer::{Fault, NotUnderstood};

use crate::support::{amount, decode, fixture, minor};

/// Replaces the only `from` in the plain purchase.
fn purchase_with(from: &str, to: &str) -> String {
    let body = fixture("purchase");
    assert_eq!(body.matches(from).count(), 1, "`{from}` must stand once");
    body.replace(from, to)
}

const TOKEN: &str = "\"token\": \"b911ccd4";
const CARD_TOKEN: &str = r#""card_token": "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142""#;
const ORDER: &str = r#""gpa_order": {"#;
const FUNDING: &str = r#""jit_funding": {"#;
const JIT_TOKEN: &str = r#""token": "607d9e40-3164-5fec-b5fd-69951f0b7bfc""#;
const METHOD: &str = r#""method": "pgfs.authorization""#;
const AMOUNT: &str = "\"amount\": 25.99\n    }";
const ORDER_CURRENCY: &str = "\"currency_code\": \"USD\"\n  }";
const CURRENCY: &str = "\"currency_code\": \"USD\",\n  \"currency_conversion\"";
const ORIGINAL_AMOUNT: &str = r#""original_amount": 25.99"#;
const ORIGINAL_CURRENCY: &str = r#""original_currency_code": "840""#;
const CONVERSION: &str = r#""currency_conversion": {"#;
const SCORE: &str = r#""transaction_risk_score": 12"#;
const PRESENCE: &str = r#""card_presence": false"#;
const PARTIAL: &str = "\"partial_approval_capable\": false";
const MCC: &str = r#""mcc": "7372""#;
const COUNTRY: &str = r#""country": "DEU""#;
const NAME: &str = r#""name": "API HOST GMBH""#;
const MID: &str = r#""mid": "ACC000000000001""#;
const ACQUIRER: &str = r#""institution_id_code": "191231""#;
const LAST: &str = r#""network": "VISA""#;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Fault,
);

const J_AMOUNT: &str = "gpa_order.jit_funding.amount";
const J_METHOD: &str = "gpa_order.jit_funding.method";

/// Hazard, what stands in the purchase, what stands there now, the field at fault, the fault.
#[rustfmt::skip]
const WRONG: &[Row] = &[
    ("h2 token twice", LAST, r#""token": "b""#, "token", Fault::Repeated),
    ("h2 token twice, escaped", LAST, r#""t\u006fken": "b""#, "token", Fault::Repeated),
    ("h2 card twice", LAST, r#""card_token": "b""#, "card_token", Fault::Repeated),
    ("h2 order twice", LAST, r#""gpa_order": null"#, "gpa_order", Fault::Repeated),
    ("h2 order and unload", LAST, r#""gpa_order_unload": {"jit_funding": {"token": "t", "method": "m", "user_token": "u", "amount": 1}}"#, "gpa_order", Fault::Repeated),
    ("h2 amount twice", AMOUNT, "\"amount\": 25.99, \"amount\": 1 }", J_AMOUNT, Fault::Repeated),
    ("h2 amount twice, escaped", AMOUNT, "\"amount\": 25.99, \"am\\u006funt\": 1 }", J_AMOUNT, Fault::Repeated),
    ("h2 method twice", METHOD, r#""method": "pgfs.authorization", "method": "pgfs.balanceinquiry""#, J_METHOD, Fault::Repeated),
    ("h2 cash back twice", LAST, r#""cash_back_amount": null, "cash_back_amount": 1"#, "cash_back_amount", Fault::Repeated),
    ("h3 no token", TOKEN, "\"tocken\": \"b911ccd4", "token", Fault::Missing),
    ("h3 no card", CARD_TOKEN, r#""card": "x", "y": 0"#, "card_token", Fault::Missing),
    ("h3 no order", ORDER, r#""order": {"#, "gpa_order", Fault::Missing),
    ("h3 null order", ORDER, r#""gpa_order": null, "x": {"#, "gpa_order", Fault::Missing),
    ("h3 no funding", FUNDING, r#""funding_jit": {"#, "gpa_order.jit_funding", Fault::Missing),
    ("h3 no jit token", JIT_TOKEN, r#""t": 0"#, "gpa_order.jit_funding.token", Fault::Missing),
    ("h3 no method", METHOD, r#""m": 0"#, J_METHOD, Fault::Missing),
    ("h3 no amount", AMOUNT, "\"x\": 25.99 }", J_AMOUNT, Fault::Missing),
    ("h3 number for token", TOKEN, "\"token\": 7, \"x\": \"b911ccd4", "token", Fault::WrongType),
    ("h3 null card token", CARD_TOKEN, r#""card_token": null"#, "card_token", Fault::WrongType),
    ("h3 list for order", ORDER, r#""gpa_order": [1], "x": {"#, "gpa_order", Fault::WrongType),
    ("h3 list for funding", FUNDING, r#""jit_funding": ["t"], "x": {"#, "gpa_order.jit_funding", Fault::WrongType),
    ("h3 null funding", FUNDING, r#""jit_funding": null, "x": {"#, "gpa_order.jit_funding", Fault::WrongType),
    ("h3 number for method", METHOD, r#""method": 1"#, J_METHOD, Fault::WrongType),
    ("h3 number for currency", ORDER_CURRENCY, "\"currency_code\": 840\n  }", "gpa_order.currency_code", Fault::WrongType),
    ("h3 text for presence", PRESENCE, r#""card_presence": "false""#, "pos.card_presence", Fault::WrongType),
    ("h3 text for capability", PARTIAL, r#""partial_approval_capable": "1""#, "pos.partial_approval_capable", Fault::WrongType),
    ("h3 list for pos", r#""pos": {"#, r#""pos": [], "x": {"#, "pos", Fault::WrongType),
    ("h3 empty card token", CARD_TOKEN, r#""card_token": """#, "card_token", Fault::NotAnId),
    ("h3 card token with newline", CARD_TOKEN, r#""card_token": "a\n""#, "card_token", Fault::NotAnId),
    ("h3 jit token with space", JIT_TOKEN, r#""token": "a b""#, "gpa_order.jit_funding.token", Fault::NotAnId),
    ("h3 jit token beyond ASCII", JIT_TOKEN, r#""token": "é""#, "gpa_order.jit_funding.token", Fault::NotAnId),
    ("h3 a notification", METHOD, r#""method": "pgfs.authorization.clearing""#, J_METHOD, Fault::Unknown),
    ("h3 a reversal", METHOD, r#""method": "pgfs.authorization.reversal""#, J_METHOD, Fault::Unknown),
    ("h3 an advice", METHOD, r#""method": "pgfs.authorization.advice""#, J_METHOD, Fault::Unknown),
    ("h3 a stand-in", METHOD, r#""method": "pgfs.authorization.standin""#, J_METHOD, Fault::Unknown),
    ("h3 a force post", METHOD, r#""method": "pgfs.force_capture""#, J_METHOD, Fault::Unknown),
    ("h3 a refund", METHOD, r#""method": "pgfs.refund""#, J_METHOD, Fault::Unknown),
    ("h3 upper case", METHOD, r#""method": "PGFS.AUTHORIZATION""#, J_METHOD, Fault::Unknown),
    ("h3 no method at all", METHOD, r#""method": """#, J_METHOD, Fault::Unknown),
    ("b3 an increment of nothing", METHOD, r#""method": "pgfs.authorization.incremental""#, "gpa_order.jit_funding.original_jit_funding_token", Fault::Missing),
    ("h3 an original that is no id", METHOD, r#""method": "pgfs.authorization", "original_jit_funding_token": """#, "gpa_order.jit_funding.original_jit_funding_token", Fault::NotAnId),
    ("h1 three decimals", AMOUNT, "\"amount\": 25.999 }", J_AMOUNT, Fault::TooManyDecimals),
    ("h1 what a float would make", AMOUNT, "\"amount\": 25.990000000000002 }", J_AMOUNT, Fault::TooManyDecimals),
    ("h1 a small exponent", AMOUNT, "\"amount\": 1e-3 }", J_AMOUNT, Fault::TooManyDecimals),
    ("h1 a large exponent", AMOUNT, "\"amount\": 1e400 }", J_AMOUNT, Fault::OutOfRange),
    ("h1 numeric text", AMOUNT, "\"amount\": \"25.99\" }", J_AMOUNT, Fault::WrongType),
    ("h1 null", AMOUNT, "\"amount\": null }", J_AMOUNT, Fault::WrongType),
    ("h1 true", AMOUNT, "\"amount\": true }", J_AMOUNT, Fault::WrongType),
    ("h1 list", AMOUNT, "\"amount\": [25.99] }", J_AMOUNT, Fault::WrongType),
    ("h1 object", AMOUNT, "\"amount\": {\"value\": 25.99} }", J_AMOUNT, Fault::WrongType),
    ("h1 leading zero", AMOUNT, "\"amount\": 025.99 }", "body", Fault::NotJson),
    ("h1 no digit before the point", AMOUNT, "\"amount\": .99 }", "body", Fault::NotJson),
    ("h1 no digit behind the point", AMOUNT, "\"amount\": 25. }", "body", Fault::NotJson),
    ("h1 comma", AMOUNT, "\"amount\": 25,99 }", "body", Fault::NotJson),
    ("h1 not a number", AMOUNT, "\"amount\": NaN }", "body", Fault::NotJson),
    ("h4 minus zero", AMOUNT, "\"amount\": -0 }", J_AMOUNT, Fault::Negative),
    ("h4 minus zero with decimals", AMOUNT, "\"amount\": -0.00 }", J_AMOUNT, Fault::Negative),
    ("h4 negative", AMOUNT, "\"amount\": -25.99 }", J_AMOUNT, Fault::Negative),
    ("h4 2^53", AMOUNT, "\"amount\": 90071992547409.92 }", J_AMOUNT, Fault::OutOfRange),
    ("h4 2^64", AMOUNT, "\"amount\": 18446744073709551616 }", J_AMOUNT, Fault::OutOfRange),
    ("h4 a hundred digits", AMOUNT, "\"amount\": 1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 }", J_AMOUNT, Fault::OutOfRange),
    ("h4 negative cash", LAST, r#""cash_back_amount": -1"#, "cash_back_amount", Fault::Negative),
    ("h4 cash with three decimals", LAST, r#""cash_back_amount": 0.001"#, "cash_back_amount", Fault::TooManyDecimals),
    ("h4 cash in text", LAST, r#""cash_back_amount": "0""#, "cash_back_amount", Fault::WrongType),
    ("h4 merchant's with three decimals", ORIGINAL_AMOUNT, r#""original_amount": 25.999"#, "currency_conversion.network.original_amount", Fault::TooManyDecimals),
    ("h4 merchant's of 2^53", ORIGINAL_AMOUNT, r#""original_amount": 90071992547409.92"#, "currency_conversion.network.original_amount", Fault::OutOfRange),
    ("h5 a verification with an amount", METHOD, r#""method": "pgfs.authorization.account_verification""#, J_AMOUNT, Fault::NotZero),
    ("h5 an inquiry with an amount", METHOD, r#""method": "pgfs.balanceinquiry""#, J_AMOUNT, Fault::NotZero),
    ("h6 order's is unknown", ORDER_CURRENCY, "\"currency_code\": \"ABC\"\n  }", "gpa_order.currency_code", Fault::Unknown),
    ("h6 order's is none", ORDER_CURRENCY, "\"currency_code\": \"XXX\"\n  }", "gpa_order.currency_code", Fault::Unknown),
    ("h6 order's is a number", ORDER_CURRENCY, "\"currency_code\": \"840\"\n  }", "gpa_order.currency_code", Fault::Unknown),
    ("h6 transaction's is unknown", CURRENCY, "\"currency_code\": \"ABC\", \"currency_conversion\"", "currency_code", Fault::Unknown),
    ("h6 two currencies", CURRENCY, "\"currency_code\": \"EUR\", \"currency_conversion\"", "currency_code", Fault::OtherCurrency),
    ("h4 risk below", SCORE, r#""transaction_risk_score": -1"#, "fraud.network.transaction_risk_score", Fault::OutOfRange),
    ("h4 risk above", SCORE, r#""transaction_risk_score": 100"#, "fraud.network.transaction_risk_score", Fault::OutOfRange),
    ("h4 risk with a point", SCORE, r#""transaction_risk_score": 12.0"#, "fraud.network.transaction_risk_score", Fault::WrongType),
    ("h10 number for mcc", MCC, r#""mcc": 7372"#, "card_acceptor.mcc", Fault::WrongType),
    ("h10 number for country", COUNTRY, r#""country": 276"#, "card_acceptor.country", Fault::WrongType),
    ("h10 list for name", NAME, r#""name": ["API"]"#, "card_acceptor.name", Fault::WrongType),
    ("h10 number for merchant", MID, r#""mid": 1"#, "card_acceptor.mid", Fault::WrongType),
    ("h10 number for acquirer", ACQUIRER, r#""institution_id_code": 191231"#, "acquirer.institution_id_code", Fault::WrongType),
    ("h1 comment", LAST, r#""network": "VISA" /* none */"#, "body", Fault::NotJson),
    ("h3 lone surrogate", NAME, r#""name": "\ud800""#, "body", Fault::NotJson),
];

#[test]
fn h1_h10_what_is_wrong_is_refused_by_the_name_of_its_field() {
    for (hazard, from, to, field, why) in WRONG {
        let refused = decode(purchase_with(from, to).as_bytes()).err();
        let expected = NotUnderstood { field, why: *why };
        assert_eq!(refused, Some(expected), "{hazard}");
    }
}

#[test]
fn h3_whose_account_it_is_has_to_be_said_and_in_which_currency() {
    let nobody = fixture("purchase").replace("\"user_token\"", "\"nobody\"");
    let expected = NotUnderstood {
        field: "gpa_order.jit_funding.user_token",
        why: Fault::Missing,
    };
    assert_eq!(decode(nobody.as_bytes()).err(), Some(expected));
    let nothing = fixture("purchase").replace("\"currency_code\"", "\"code\"");
    let expected = NotUnderstood {
        field: "gpa_order.currency_code",
        why: Fault::Missing,
    };
    assert_eq!(decode(nothing.as_bytes()).err(), Some(expected));
    // The transaction's stands in for the order's.
    let outer = purchase_with(ORDER_CURRENCY, "\"code\": \"USD\"\n  }");
    assert_eq!(
        decode(outer.as_bytes()).unwrap().amount,
        amount(2599, "USD")
    );
}

/// An unload gives money back: asking for money under it is asking twice.
#[test]
fn h3_an_unload_is_a_credit_or_nothing() {
    let unload = fixture("credit.unload");
    let purchase = unload.replace("pgfs.refund.authorization", "pgfs.authorization");
    assert_ne!(unload, purchase);
    let expected = NotUnderstood {
        field: "gpa_order_unload",
        why: Fault::Unknown,
    };
    assert_eq!(decode(purchase.as_bytes()).err(), Some(expected));
    let method = unload.replace("pgfs.refund.authorization", "pgfs.refund");
    let expected = NotUnderstood {
        field: "gpa_order_unload.jit_funding.method",
        why: Fault::Unknown,
    };
    assert_eq!(decode(method.as_bytes()).err(), Some(expected));
}

#[test]
fn h1_bytes_around_the_text_are_refused() {
    let body = fixture("purchase");
    let whole = body.as_bytes();
    for end in 0..whole.len() - 2 {
        let refused = decode(&whole[..end]).unwrap_err();
        assert_eq!(refused.why, Fault::NotJson, "first {end} bytes");
    }
    for (before, after) in [
        ("\u{feff}", ""),
        ("\0", ""),
        ("", "\0"),
        ("", "{}"),
        ("", "x"),
        ("[", "]"),
    ] {
        let framed = format!("{before}{body}{after}");
        assert!(decode(framed.as_bytes()).is_err(), "{before:?} {after:?}");
    }
    for body in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "true",
        "1",
        "\"\"",
        "{\"token\"",
    ] {
        assert!(decode(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn h1_depth_in_unknown_fields_is_passed_over_without_recursion() {
    let plain = fixture("purchase");
    let expected = decode(plain.as_bytes()).unwrap();
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let deep = format!("{}1{}", open.repeat(30_000), close.repeat(30_000));
        let body = purchase_with(LAST, &format!("\"unknown\": {deep}"));
        assert_eq!(decode(body.as_bytes()).unwrap(), expected);
        // Also in the fields whose text is kept as it is.
        for (from, name, field) in [
            (AMOUNT, "amount", J_AMOUNT),
            (LAST, "cash_back_amount", "cash_back_amount"),
        ] {
            let end = if from == AMOUNT { " }" } else { "" };
            let read = purchase_with(from, &format!("\"{name}\": {deep}{end}"));
            let refused = decode(read.as_bytes()).unwrap_err();
            assert_eq!((refused.field, refused.why), (field, Fault::WrongType));
        }
        let code = format!("\"original_currency_code\": {deep}");
        let body = purchase_with(ORIGINAL_CURRENCY, &code);
        assert_eq!(decode(body.as_bytes()).unwrap().merchant_amount, None);
    }
}

#[test]
fn w11_a_refusal_repeats_nothing_of_the_body() {
    let canary = "4242CANARY";
    let spots = [
        (METHOD, format!("\"method\": \"{canary}\"")),
        (SCORE, format!("\"transaction_risk_score\": \"{canary}\"")),
        (LAST, format!("\"{canary}\": [}}")),
        (AMOUNT, format!("\"amount\": \"{canary}\" }}")),
        (
            ORDER_CURRENCY,
            format!("\"currency_code\": \"{canary}\" }}"),
        ),
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
    ("h1 strange numbers in unknown fields", LAST, r#""x": [1e400, -0, 1.0, 100000000000000000000]"#, |_| {}),
    ("h3 escaped method", METHOD, r#""method": "pgfs\u002eauthorization""#, |_| {}),
    ("h3 null unload", LAST, r#""gpa_order_unload": null"#, |_| {}),
    ("h3 null acting user", LAST, r#""x": null"#, |_| {}),
    ("h1 one decimal", AMOUNT, "\"amount\": 25.9 }", |r| r.amount = amount(2590, "USD")),
    ("h1 many zeros", AMOUNT, "\"amount\": 25.9900000000 }", |_| {}),
    ("h1 an exponent", AMOUNT, "\"amount\": 2599e-2 }", |_| {}),
    ("h1 a capital exponent", AMOUNT, "\"amount\": 0.2599E+2 }", |_| {}),
    ("h4 nothing", AMOUNT, "\"amount\": 0 }", |r| r.amount = amount(0, "USD")),
    ("h4 2^53 - 1", AMOUNT, "\"amount\": 90071992547409.91 }", |r| r.amount.minor = Minor::MAX),
    ("h4 cash back", LAST, r#""cash_back_amount": 20.5"#, |r| r.cash = minor(2050)),
    ("h4 cash above the amount", LAST, r#""cash_back_amount": 90"#, |r| r.cash = minor(9000)),
    ("h6 merchant's is a number", ORIGINAL_CURRENCY, r#""original_currency_code": 978"#, |r| r.merchant_amount = Some(amount(2599, "EUR"))),
    ("h6 merchant's in letters", ORIGINAL_CURRENCY, r#""original_currency_code": "EUR""#, |r| r.merchant_amount = Some(amount(2599, "EUR"))),
    ("h6 merchant's is unknown", ORIGINAL_CURRENCY, r#""original_currency_code": "999""#, |r| r.merchant_amount = None),
    ("h6 merchant's is no code", ORIGINAL_CURRENCY, r#""original_currency_code": [978]"#, |r| r.merchant_amount = None),
    ("h6 merchant's is absent", CONVERSION, r#""conversion": {"#, |r| r.merchant_amount = None),
    ("h6 merchant's is nothing", ORIGINAL_AMOUNT, r#""original_amount": null"#, |r| r.merchant_amount = None),
    ("h10 mcc of letters", MCC, r#""mcc": "73A2""#, |r| r.acceptor.mcc = None),
    ("h10 no mcc", MCC, r#""mcc": null"#, |r| r.acceptor.mcc = None),
    ("h10 mcc that stands for none", MCC, r#""mcc": "0000""#, |r| r.acceptor.mcc = None),
    ("h10 unknown country", COUNTRY, r#""country": "ZZZ""#, |r| r.acceptor.country = None),
    ("h10 two letters", COUNTRY, r#""country": "DE""#, |_| {}),
    ("h10 the newer name", COUNTRY, r#""country_code": "DEU""#, |_| {}),
    ("h10 no country", COUNTRY, r#""x": 0"#, |r| r.acceptor.country = None),
    ("h10 empty name", NAME, r#""name": """#, |r| r.acceptor.descriptor = Cow::Borrowed("")),
    ("h10 control characters", NAME, r#""name": "\u001b[31m\u202e\u0000""#, |r| r.acceptor.descriptor = "\u{1b}[31m\u{202e}\0".into()),
    ("h10 blank merchant", MID, r#""mid": "  ""#, |r| r.acceptor.acceptor_id = None),
    ("h10 no acquirer", ACQUIRER, r#""institution_id_code": null"#, |r| r.acceptor.acquirer_id = None),
    ("h10 present", PRESENCE, r#""card_presence": true"#, |r| r.card_present = Some(true)),
    ("h4 lowest risk", SCORE, r#""transaction_risk_score": 0"#, |r| r.risk_score = Some(0)),
    ("h4 no risk", SCORE, r#""transaction_risk_score": null"#, |r| r.risk_score = None),
    ("h8 capable", PARTIAL, r#""partial_approval_capable": true"#, |r| r.partial_approval_capable = true),
    ("single message", METHOD, r#""method": "pgfs.auth_plus_capture""#, |r| r.kind = AuthorizationKind::SingleMessage),
    ("credit", METHOD, r#""method": "pgfs.refund.authorization""#, |r| r.kind = AuthorizationKind::Credit),
    ("all of it cash", METHOD, r#""method": "pgfs.atm.withdrawal""#, |r| { r.kind = AuthorizationKind::SingleMessage; r.cash = minor(2599); }),
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

/// 1.5 is one and a half of whatever a currency's major unit is.
#[test]
fn h6_major_units_are_scaled_by_each_currencys_exponent() {
    for currency in Currency::all() {
        let code = currency.code();
        let body = fixture("purchase")
            .replace(
                "\"currency_code\": \"USD\"",
                &format!("\"currency_code\": \"{}\"", code.as_str()),
            )
            .replace("25.99", "7e0")
            .replace(AMOUNT.replace("25.99", "7e0").as_str(), "\"amount\": 1.5 }");
        let decoded = decode(body.as_bytes()).map(|request| request.amount.minor.get());
        let expected = match currency.exponent() {
            0 => Err(NotUnderstood {
                field: J_AMOUNT,
                why: Fault::TooManyDecimals,
            }),
            exponent => Ok(15 * 10i64.pow(u32::from(exponent) - 1)),
        };
        assert_eq!(decoded, expected, "{currency}");
    }
}

#[test]
fn h8_a_part_is_only_for_purchases_without_cash() {
    for name in fixture_names_with_capable_terminal() {
        let body = fixture(name);
        let capable = decode(body.as_bytes()).unwrap().partial_approval_capable;
        assert_eq!(capable, name == "purchase.partial_capable", "{name}");
    }
}

/// Their terminals all say that they can.
fn fixture_names_with_capable_terminal() -> [&'static str; 6] {
    let names = [
        "purchase.partial_capable",
        "purchase.cashback",
        "purchase.quasi_cash",
        "purchase.verification",
        "financial.pindebit_quasi_cash",
        "credit.original",
    ];
    for name in names {
        assert!(
            fixture(name).contains("\"partial_approval_capable\": true"),
            "{name}"
        );
    }
    names
}

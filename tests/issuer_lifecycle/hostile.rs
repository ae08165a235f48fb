//! Events that are authentic and wrong (H1 to H4; behaviour 2.3).

use countersign::issuer::{Fault, Issuer, NotUnderstood};

use crate::support::{fixture, lithic, marqeta, names, observe, stripe};
use crate::tree::Tree;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Fault,
);

/// Issuer, event, what stands there, what stands there now, the field at fault, the fault.
#[rustfmt::skip]
const WRONG: &[Row] = &[
    ("lithic", "authorized", r#""event_type": "card_transaction.updated""#, r#""x": 0"#, "event_type", Fault::Missing),
    ("lithic", "authorized", r#""token": "0b1f"#, r#""t": "0b1f"#, "token", Fault::Missing),
    ("lithic", "authorized", r#""card_token": ""#, r#""card": ""#, "card_token", Fault::Missing),
    ("lithic", "authorized", r#""status": "PENDING""#, r#""status": "OPEN""#, "status", Fault::Unknown),
    ("lithic", "authorized", r#""hold": {"#, r#""holds": {"#, "amounts.hold", Fault::Missing),
    ("lithic", "authorized", "\"hold\": {\n      \"amount\": -2599", "\"hold\": {\n      \"amount\": -25.99", "amounts.hold.amount", Fault::WrongType),
    ("lithic", "authorized", "\"hold\": {\n      \"amount\": -2599", "\"hold\": {\n      \"amount\": -9007199254740992", "amounts.hold.amount", Fault::OutOfRange),
    ("lithic", "authorized", "\"hold\": {\n      \"amount\": -2599,\n      \"currency\": \"USD\"", "\"hold\": {\n      \"amount\": -2599,\n      \"currency\": \"EUR\"", "amounts.hold.currency", Fault::OtherCurrency),
    ("lithic", "authorized", "\"settlement\": {\n      \"amount\": 0", "\"settlement\": {\n      \"amount\": -9223372036854775808", "amounts.settlement.amount", Fault::OutOfRange),
    ("lithic", "authorized", "\"result\": \"APPROVED\",
      \"detailed", "\"result\": 1,
      \"detailed", "events[].result", Fault::WrongType),
    ("lithic", "authorized", r#""events": ["#, r#""events": [null, "#, "events[]", Fault::WrongType),
    ("lithic", "authorized", r#""events": ["#, r#""events": {}, "x": ["#, "events", Fault::WrongType),
    ("lithic", "authorized", r#""network": "VISA""#, r#""token": "again""#, "token", Fault::Repeated),
    ("lithic", "dispute", r#""transaction_token": ""#, r#""transaction": ""#, "transaction_token", Fault::Missing),
    ("lithic", "dispute", r#""amount": 2599"#, r#""amount": 25.99"#, "amount", Fault::WrongType),
    ("lithic", "dispute_transaction", r#""currency": "USD",
  "disp"#, r#""currency": "XXX",
  "disp"#, "currency", Fault::Unknown),
    ("lithic", "dispute_transaction", r#""related_transaction_token": ""#, r#""related_transaction_token": "", "x": ""#, "transaction_series.related_transaction_token", Fault::NotAnId),
    ("lithic", "dispute_transaction", r#""original_amount": 2599"#, r#""original_amount": -9223372036854775808"#, "liability_allocation.original_amount", Fault::OutOfRange),
    ("stripe", "dispute", r#""transaction": "ipi_1"#, r#""x": "ipi_1"#, "data.object.transaction", Fault::Missing),
    ("stripe", "dispute", r#""amount": 2599"#, r#""amount": -9223372036854775808"#, "data.object.amount", Fault::OutOfRange),
    ("stripe", "dispute", r#""currency": "usd""#, r#""currency": "xxx""#, "data.object.currency", Fault::Unknown),
    ("stripe", "capture_disputed", r#""dispute": "idp_1"#, r#""dispute": 1, "x": "idp_1"#, "data.object.dispute", Fault::WrongType),
    ("marqeta", "chargeback", r#""token": "t14""#, r#""token": """#, "transactions[].token", Fault::NotAnId),
    ("stripe", "created", r#""amount": 2599,"#, r#""amount": -1,"#, "data.object.amount", Fault::Negative),
    ("stripe", "created", r#""status": "pending""#, r#""status": "open""#, "data.object.status", Fault::Unknown),
    ("stripe", "created", r#""request_history": ["#, r#""request_history": [7, "#, "data.object.request_history[]", Fault::WrongType),
    ("stripe", "created", r#""request_history": ["#, r#""requests": ["#, "data.object.request_history", Fault::Missing),
    ("stripe", "capture", r#""type": "capture""#, r#""type": "load""#, "data.object.type", Fault::Unknown),
    ("stripe", "capture", r#""amount": -2599,"#, r#""amount": -9223372036854775808,"#, "data.object.amount", Fault::OutOfRange),
    ("stripe", "capture", r#""amount": -2599,"#, r#""amount": "-2599","#, "data.object.amount", Fault::WrongType),
    ("stripe", "capture", r#""card": "ic_1"#, r#""cards": "ic_1"#, "data.object.card", Fault::Missing),
    ("stripe", "capture", r#""card": "ic_1"#, r#""card": 1, "x": "ic_1"#, "data.object.card", Fault::WrongType),
    ("stripe", "capture", r#""currency": "usd""#, r#""currency": "xxx""#, "data.object.currency", Fault::Unknown),
    ("stripe", "krona", r#""amount": -250000,"#, r#""amount": -250050,"#, "data.object.amount", Fault::TooManyDecimals),
    ("marqeta", "clearing", "\"amount\": 10.00,\n      \"request", "\"amount\": 10.005,\n      \"request", "transactions[].amount", Fault::TooManyDecimals),
    ("marqeta", "clearing", "\"amount\": 10.00,\n      \"request", "\"amount\": \"10.00\",\n      \"request", "transactions[].amount", Fault::WrongType),
    ("marqeta", "clearing", "\"amount\": 10.00,\n      \"request", "\"x\": 1,\n      \"request", "transactions[].amount", Fault::Missing),
    ("marqeta", "clearing", "\"currency_code\": \"USD\",\n      \"response", "\"currency_code\": \"ABC\",\n      \"response", "transactions[].currency_code", Fault::Unknown),
    ("marqeta", "clearing", "\"currency_code\": \"USD\",\n      \"response", "\"x\": \"USD\",\n      \"response", "transactions[].currency_code", Fault::Missing),
    ("marqeta", "clearing", r#""token": "t3""#, r#""t": 0"#, "transactions[].token", Fault::Missing),
    ("marqeta", "clearing", r#""token": "t3""#, r#""token": """#, "transactions[].token", Fault::NotAnId),
    ("marqeta", "clearing", r#""is_final_clearing": false"#, r#""is_final_clearing": "no""#, "transactions[].is_final_clearing", Fault::WrongType),
    ("marqeta", "clearing", r#""transactions": ["#, r#""transactions": [1, "#, "transactions[]", Fault::WrongType),
];

fn issuer(name: &str) -> Issuer {
    match name {
        "lithic" => lithic(),
        "stripe" => stripe(None),
        _ => marqeta(),
    }
}

#[test]
fn h1_h4_what_is_wrong_is_refused_by_the_name_of_its_field() {
    for (kind, name, from, to, field, why) in WRONG {
        let body = fixture(kind, name);
        assert!(
            body.contains(from),
            "{kind} {name}: `{from}` must stand there"
        );
        let refused = observe(&issuer(kind), &body.replacen(from, to, 1)).err();
        let expected = NotUnderstood { field, why: *why };
        assert_eq!(refused, Some(expected), "{kind} {name}: {to}");
    }
}

/// Whatever one value is replaced by, there is an observation or a refusal, and no panic.
#[test]
fn h3_each_value_replaced_is_observed_or_refused() {
    let strange = [
        Tree::Null,
        Tree::Bool(true),
        Tree::Integer(i64::MIN),
        Tree::Integer(i64::MAX),
        Tree::Integer(7),
        Tree::Raw("-0"),
        Tree::Raw("1e400"),
        Tree::Raw("0.1"),
        Tree::Text(String::new()),
        Tree::Text("APPROVED".to_owned()),
        Tree::List(vec![]),
        Tree::Object(vec![]),
    ];
    let (mut observed, mut refused) = (0, 0);
    for kind in ["lithic", "stripe", "marqeta"] {
        let issuer = issuer(kind);
        for name in names(kind).iter().step_by(4) {
            let whole = Tree::parse(&fixture(kind, name)).unwrap();
            for index in 0..whole.size() {
                for value in &strange {
                    let mut tree = whole.clone();
                    *tree.at(index).unwrap() = value.clone();
                    match observe(&issuer, &tree.to_string()) {
                        Ok(_) => observed += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    assert!(observed > 3_000 && refused > 500, "{observed} {refused}");
}

#[test]
fn h1_bytes_that_are_no_event_are_refused() {
    for issuer in [lithic(), stripe(None), marqeta()] {
        for body in ["", " ", "[]", "null", "{", "\"\"", "\u{feff}{}"] {
            assert!(observe(&issuer, body).is_err(), "{body:?}");
        }
    }
    // Nothing in it is nothing to book, at Marqeta.
    assert_eq!(observe(&marqeta(), "{}"), Ok(vec![]));
    let deep = format!("{{\"transactions\": {}}}", "[".repeat(50_000));
    assert!(observe(&marqeta(), &deep).is_err());
}

/// A question is no event: it reports nothing, on whichever path it comes.
#[test]
fn questions_are_not_taken_for_events() {
    let questions = [
        (
            lithic(),
            include_str!("../../fixtures/lithic/purchase.json"),
        ),
        (
            stripe(None),
            include_str!("../../fixtures/stripe/purchase.json"),
        ),
        (
            marqeta(),
            include_str!("../../fixtures/marqeta/purchase.json"),
        ),
    ];
    for (issuer, question) in questions {
        assert_eq!(observe(&issuer, question), Ok(vec![]));
    }
}

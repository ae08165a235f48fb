//! Our words to Marqeta: 200 or 402, the request's ids, and the documented members alone.

use std::collections::BTreeSet;
use std::fs;

use countersign::domain::amount::Minor;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::issuer::{Fault, IssuerKind, NotUnderstood, Reply, ReplyForm};
use serde_json::{Value, json};

use crate::support::{fixture, fixture_names, minor, question};

/// Reasons by number, and the word of each (behaviour 2.11).
const WORDS: [(&[u8], &str); 12] = [
    (&[1], "INVALID_CARD"),
    (&[2], "CLOSED_ACCOUNT"),
    (&[3, 5], "CARD_NOT_ACTIVE"),
    (&[4], "EXPIRED_CARD"),
    (&[6], "CARDHOLDER_NOT_ACTIVE"),
    (&[7, 16, 18, 19, 20, 21, 22], "SUSPECTED_FRAUD"),
    (&[8, 9, 10, 15], "TRANSACTION_NOT_PERMITTED"),
    (&[11, 12, 13, 14, 24], "INVALID_MERCHANT"),
    (&[17], "AMOUNT_LIMIT_EXCEEDED"),
    (
        &[23, 25, 26, 30, 31, 32],
        "TRANSACTION_COUNT_LIMIT_EXCEEDED",
    ),
    (&[27, 28, 29], "INSUFFICIENT_FUNDS"),
    (&[33], "DUPLICATE_TRANSACTION"),
];

fn parsed(reply: &Reply) -> Value {
    assert_eq!(reply.content_type, "application/json");
    assert!(reply.headers.is_empty());
    serde_json::from_slice(&reply.body).unwrap()
}

fn form(name: &str) -> ReplyForm {
    question(fixture(name).as_bytes()).unwrap().form
}

fn encode(name: &str, decision: Decision, available: Option<i64>) -> (u16, Value) {
    let reply = IssuerKind::Marqeta.encode(&form(name), decision, available.map(minor));
    let mut reply_json = parsed(&reply);
    (reply.status, reply_json["jit_funding"].take())
}

/// The schema that the interop tests hold real replies against.
fn documented() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/marqeta_response.schema.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn h9_every_reply_has_documented_members_and_words_alone() {
    let schema = documented();
    let funding = &schema["properties"]["jit_funding"]["properties"];
    let words = funding["decline_reason"]["enum"].as_array().unwrap();
    let declines = DeclineReason::ALL.map(Decision::Decline);
    let partial = Decision::ApprovePartial(minor(1));
    for name in fixture_names() {
        for decision in declines.into_iter().chain([Decision::Approve, partial]) {
            let (status, reply) = encode(&name, decision, Some(5));
            assert_eq!(status, if decision.is_approval() { 200 } else { 402 });
            assert_eq!(
                reply.get("decline_reason").is_none(),
                decision.is_approval()
            );
            for (member, value) in reply.as_object().unwrap() {
                assert!(funding.get(member).is_some(), "{name}: {reply}");
                if member == "decline_reason" {
                    assert!(words.contains(value), "{name}: {reply}");
                }
            }
        }
    }
}

#[test]
fn every_reason_has_its_word_and_our_own_in_the_memo() {
    let mut seen = BTreeSet::new();
    for (numbers, word) in WORDS {
        for number in numbers {
            let reason = DeclineReason::from_number(*number).unwrap();
            seen.insert(*number);
            let (status, reply) = encode("purchase", Decision::Decline(reason), Some(5));
            assert_eq!(status, 402);
            let expected = json!({
                "token": "607d9e40-3164-5fec-b5fd-69951f0b7bfc",
                "method": "pgfs.authorization",
                "user_token": "3f1d9a52-0000-4b7e-8f7c-2f6f1c9e0001",
                "amount": 25.99,
                "decline_reason": word,
                "memo": reason.code(),
            });
            assert_eq!(reply, expected, "{reason:?}");
        }
    }
    assert_eq!(seen.len(), DeclineReason::ALL.len());
}

/// Money goes out as it came in: digits, with as many decimals as the currency has.
#[test]
fn h8_a_partial_approval_is_a_lower_amount() {
    let rows = [
        ("purchase", 1, "0.01"),
        ("purchase", 2500, "25.00"),
        ("purchase.yen", 1234, "1234"),
        ("purchase.dinar", 1004, "1.004"),
        ("purchase", Minor::MAX.get(), "90071992547409.91"),
    ];
    for (name, part, text) in rows {
        let decision = Decision::ApprovePartial(minor(part));
        let reply = IssuerKind::Marqeta.encode(&form(name), decision, None);
        assert_eq!(reply.status, 200);
        let body = String::from_utf8(reply.body.into_owned()).unwrap();
        assert!(body.ends_with(&format!(",\"amount\":{text}}}}}")), "{body}");
    }
}

#[test]
fn h8_a_partial_approval_of_nothing_is_a_decline() {
    let (status, reply) = encode("purchase", Decision::ApprovePartial(Minor::ZERO), None);
    assert_eq!(status, 402);
    assert_eq!(reply["decline_reason"], "INSUFFICIENT_FUNDS");
}

#[test]
fn a_balance_inquiry_is_told_what_is_left() {
    for name in ["balance_inquiry", "balance_inquiry.pindebit"] {
        for (left, text) in [(0, json!(0.00)), (8000, json!(80.00))] {
            let (_, reply) = encode(name, Decision::Approve, Some(left));
            let expected = json!({"USD": {
                "currency_code": "USD", "ledger_balance": text, "available_balance": text,
                "credit_balance": 0, "pending_credits": 0,
            }});
            assert_eq!(reply["balances"], expected);
        }
        // Without limits there is no figure to tell.
        let (status, reply) = encode(name, Decision::Approve, None);
        assert_eq!((status, reply.get("balances")), (200, None));
    }
    let (_, purchase) = encode("purchase", Decision::Approve, Some(8000));
    assert_eq!(purchase.get("balances"), None);
}

fn not_understood(body: &str) -> Reply {
    let cause = NotUnderstood {
        field: "gpa_order.jit_funding.amount",
        why: Fault::TooManyDecimals,
    };
    IssuerKind::Marqeta.not_understood(&cause, body.as_bytes())
}

#[test]
fn w11_what_is_not_understood_is_declined_where_its_ids_can_be_read() {
    let reply = not_understood(&fixture("purchase").replace("25.99", "null"));
    assert_eq!(reply.status, 402);
    let expected = json!({"jit_funding": {
        "token": "607d9e40-3164-5fec-b5fd-69951f0b7bfc",
        "method": "pgfs.authorization",
        "user_token": "3f1d9a52-0000-4b7e-8f7c-2f6f1c9e0001",
        "amount": 0,
        "decline_reason": "TRANSACTION_NOT_PERMITTED",
        "memo": "not_understood",
    }});
    assert_eq!(parsed(&reply), expected);
    let business = not_understood(&fixture("purchase.business"));
    let business = parsed(&business);
    assert_eq!(business["jit_funding"]["business_token"], "business-7");
    let outer = parsed(&not_understood(&fixture("purchase.outer_user")));
    let holder = &outer["jit_funding"]["user_token"];
    assert_eq!(holder, "3f1d9a52-0000-4b7e-8f7c-2f6f1c9e0001");
    let escapes = parsed(&not_understood(&fixture("purchase.escapes")));
    assert_eq!(escapes["jit_funding"]["token"], "jit\"\\quoted");
}

#[test]
fn w11_where_no_ids_can_be_read_there_is_a_400_that_names_the_field() {
    let long = "x".repeat(256);
    let purchase = fixture("purchase");
    let token = "\"607d9e40-3164-5fec-b5fd-69951f0b7bfc\"";
    let bodies = [
        String::new(),
        "{".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        purchase.replace("jit_funding", "jit"),
        purchase.replace(token, "7"),
        purchase.replace(token, &format!("\"{long}\"")),
        purchase.replace(token, &format!("{token}, \"token\": \"other\"")),
        purchase.replace("\"user_token\"", "\"nobody\""),
        purchase.replace("\"gpa_order\"", "\"gpa_order_unload\": {}, \"gpa_order\""),
    ];
    for body in bodies {
        let reply = not_understood(&body);
        assert_eq!(
            (reply.status, reply.content_type),
            (400, "application/problem+json"),
            "{body}"
        );
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(problem["code"], "not_understood");
        assert_eq!(
            problem["detail"],
            "field gpa_order.jit_funding.amount: more decimals than the currency has"
        );
        let lost =
            IssuerKind::Marqeta.decline_lost(body.as_bytes(), DeclineReason::LedgerUnavailable);
        assert_eq!(lost.status, 400);
    }
    let lost =
        IssuerKind::Marqeta.decline_lost(purchase.as_bytes(), DeclineReason::LedgerUnavailable);
    assert_eq!(lost.status, 402);
    let lost = parsed(&lost);
    assert_eq!(lost["jit_funding"]["memo"], "ledger_unavailable");
    assert_eq!(
        lost["jit_funding"]["decline_reason"],
        "TRANSACTION_COUNT_LIMIT_EXCEEDED"
    );
}

//! Our words to Lithic: exactly the documented members, and no others.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;

use countersign::domain::amount::Minor;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::issuer::{Fault, IssuerKind, NotUnderstood, Reply, ReplyForm};
use serde_json::{Value, json};

use crate::support::{amount, minor};

const KINDS: [AuthorizationKind; 4] = [
    AuthorizationKind::Authorization,
    AuthorizationKind::SingleMessage,
    AuthorizationKind::Credit,
    AuthorizationKind::BalanceInquiry,
];

/// Reasons by number, and the result of each (behaviour 2.11).
const RESULTS: [(&[u8], &str); 5] = [
    (&[1, 2, 3, 4, 5, 6], "CARD_PAUSED"),
    (&[7, 16, 18, 19, 20, 21, 22, 33], "SUSPECTED_FRAUD"),
    (&[8, 9, 10, 11, 12, 13, 14, 15, 24], "UNAUTHORIZED_MERCHANT"),
    (&[17, 23, 25, 26, 30, 31, 32], "VELOCITY_EXCEEDED"),
    (&[27, 28, 29], "INSUFFICIENT_FUNDS"),
];

fn parsed(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn encode(kind: AuthorizationKind, decision: Decision, available: Option<Minor>) -> Value {
    let form = ReplyForm::new(kind, amount(2599, "USD"));
    let reply = IssuerKind::Lithic.encode(&form, decision, available);
    assert_eq!(
        (reply.status, reply.content_type),
        (200, "application/json")
    );
    assert_eq!(
        reply,
        IssuerKind::Sandbox.encode(&form, decision, available),
        "the sandbox speaks as Lithic does"
    );
    parsed(&reply)
}

/// The schema that the interop tests hold real replies against.
fn documented() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/asa_response.schema.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn h9_every_reply_has_documented_members_and_results_alone() {
    let schema = documented();
    let results = schema["properties"]["result"]["enum"].as_array().unwrap();
    let declines = DeclineReason::ALL.map(Decision::Decline);
    let partial = Decision::ApprovePartial(minor(1));
    for decision in declines.into_iter().chain([Decision::Approve, partial]) {
        for kind in KINDS {
            let reply = encode(kind, decision, Some(minor(5)));
            assert!(results.contains(&reply["result"]), "{reply}");
            for name in reply.as_object().unwrap().keys() {
                assert!(schema["properties"].get(name).is_some(), "{reply}");
            }
        }
    }
}

#[test]
fn every_reason_has_its_result_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for (numbers, result) in RESULTS {
        for number in numbers {
            let reason = DeclineReason::from_number(*number).unwrap();
            seen.insert(*number);
            for kind in KINDS {
                for available in [None, Some(minor(5))] {
                    let reply = encode(kind, Decision::Decline(reason), available);
                    assert_eq!(reply, json!({ "result": result }), "{reason:?}");
                }
            }
        }
    }
    assert_eq!(seen.len(), DeclineReason::ALL.len());
}

#[test]
fn a_whole_approval_has_no_amount() {
    for kind in &KINDS[..3] {
        for available in [None, Some(minor(5))] {
            assert_eq!(
                encode(*kind, Decision::Approve, available),
                json!({"result": "APPROVED"})
            );
        }
    }
}

#[test]
fn h8_a_partial_approval_says_how_much() {
    for count in [1, 2500, Minor::MAX.get()] {
        let decision = Decision::ApprovePartial(minor(count));
        assert_eq!(
            encode(AuthorizationKind::Authorization, decision, None),
            json!({"result": "APPROVED", "approved_amount": count})
        );
    }
}

#[test]
fn h8_a_partial_approval_of_nothing_is_a_decline() {
    let decision = Decision::ApprovePartial(Minor::ZERO);
    assert_eq!(
        encode(AuthorizationKind::Authorization, decision, None),
        json!({"result": "INSUFFICIENT_FUNDS"})
    );
}

#[test]
fn a_balance_inquiry_is_told_what_is_left() {
    let cases = [
        (None, json!(null)),
        (Some(0), json!(0)),
        (Some(8000), json!(8000)),
    ];
    for (left, expected) in cases {
        assert_eq!(
            encode(
                AuthorizationKind::BalanceInquiry,
                Decision::Approve,
                left.map(minor)
            ),
            json!({"result": "APPROVED", "balance": {"amount": expected, "available": expected}})
        );
    }
}

#[test]
fn the_frequent_replies_are_not_copied() {
    let declines = DeclineReason::ALL.map(Decision::Decline);
    for decision in declines.into_iter().chain([Decision::Approve]) {
        let form = ReplyForm::new(AuthorizationKind::Authorization, amount(2599, "USD"));
        let reply = IssuerKind::Lithic.encode(&form, decision, None);
        assert!(matches!(reply.body, Cow::Borrowed(_)), "{decision:?}");
    }
}

#[test]
fn w11_what_is_not_understood_is_told_by_field_and_never_approved() {
    let faults = [
        Fault::NotJson,
        Fault::Missing,
        Fault::Repeated,
        Fault::WrongType,
        Fault::OutOfRange,
        Fault::Negative,
        Fault::NotZero,
        Fault::NotAnId,
        Fault::Unknown,
        Fault::OtherCurrency,
        Fault::TooManyDecimals,
        Fault::OtherAddressee,
    ];
    for why in faults {
        let cause = NotUnderstood {
            field: "amounts.cardholder.amount",
            why,
        };
        let reply = IssuerKind::Lithic.not_understood(&cause, b"{}");
        assert_eq!(
            (reply.status, reply.content_type),
            (400, "application/problem+json")
        );
        assert_eq!(
            parsed(&reply),
            json!({
                "type": "about:blank",
                "title": "The authorization request was not understood",
                "status": 400,
                "code": "not_understood",
                "detail": format!("field amounts.cardholder.amount: {}", why.text()),
            })
        );
    }
}

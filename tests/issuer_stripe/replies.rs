//! Our words to Stripe: exactly the documented members, with the version, and no others.

use std::borrow::Cow;
use std::fs;

use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::currency::Currency;
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

fn parsed(reply: &Reply) -> Value {
    assert_eq!(
        (reply.status, reply.content_type),
        (200, "application/json")
    );
    assert_eq!(reply.headers, [("stripe-version", "2026-10-28.endive")]);
    serde_json::from_slice(&reply.body).unwrap()
}

fn encode(amount: Amount, decision: Decision) -> Value {
    let form = |kind| ReplyForm::new(kind, amount);
    let replies = KINDS.map(|kind| {
        let reply = IssuerKind::Stripe.encode(&form(kind), decision, Some(minor(5)));
        parsed(&reply)
    });
    assert!(replies.windows(2).all(|pair| pair[0] == pair[1]));
    replies[0].clone()
}

/// The schema that the interop tests hold real replies against.
fn documented() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/stripe_response.schema.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn h9_every_reply_has_documented_members_alone() {
    let schema = documented();
    let declines = DeclineReason::ALL.map(Decision::Decline);
    let partial = Decision::ApprovePartial(minor(1));
    for decision in declines.into_iter().chain([Decision::Approve, partial]) {
        let reply = encode(amount(2599, "USD"), decision);
        assert_eq!(reply["approved"], json!(decision.is_approval()));
        for name in reply.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{reply}");
        }
    }
}

#[test]
fn every_reason_stands_in_the_metadata_under_its_code() {
    for reason in DeclineReason::ALL {
        assert_eq!(
            encode(amount(2599, "USD"), Decision::Decline(reason)),
            json!({"approved": false, "metadata": {"countersign_reason": reason.code()}})
        );
    }
}

#[test]
fn h8_h9_an_approval_names_the_amount_only_where_it_is_a_part() {
    let usd = amount(2599, "USD");
    assert_eq!(encode(usd, Decision::Approve), json!({"approved": true}));
    for count in [1, 2500, Minor::MAX.get()] {
        assert_eq!(
            encode(usd, Decision::ApprovePartial(minor(count))),
            json!({"approved": true, "amount": count})
        );
    }
}

/// A part is said in Stripe's unit, and what that cannot say is not approved.
#[test]
fn h6_a_part_is_said_in_stripes_unit() {
    for currency in Currency::all() {
        let whole = Amount {
            minor: minor(500_000),
            currency,
        };
        let said = match currency.code().as_str() {
            "ISK" | "UGX" => 25_000,
            "MGA" => 2,
            _ => 250,
        };
        assert_eq!(
            encode(whole, Decision::ApprovePartial(minor(250))),
            json!({"approved": true, "amount": said}),
            "{currency}"
        );
    }
    let limit =
        json!({"approved": false, "metadata": {"countersign_reason": "card_limit_exceeded"}});
    for (code, part) in [("USD", 0), ("MGA", 99), ("ISK", 0)] {
        assert_eq!(
            encode(amount(500, code), Decision::ApprovePartial(minor(part))),
            limit
        );
    }
}

#[test]
fn w11_what_is_not_understood_is_declined_with_200_and_the_version() {
    let cause = NotUnderstood {
        field: "data.object.pending_request.amount",
        why: Fault::Missing,
    };
    for body in [&b"{}"[..], b"", b"{\"approved\":true}"] {
        assert_eq!(
            parsed(&IssuerKind::Stripe.not_understood(&cause, body)),
            json!({"approved": false, "metadata": {"countersign_reason": "not_understood"}})
        );
        let reason = DeclineReason::LedgerUnavailable;
        assert_eq!(
            parsed(&IssuerKind::Stripe.decline_lost(body, reason)),
            json!({"approved": false, "metadata": {"countersign_reason": "ledger_unavailable"}})
        );
    }
}

#[test]
fn the_frequent_replies_are_not_copied() {
    let declines = DeclineReason::ALL.map(Decision::Decline);
    for decision in declines.into_iter().chain([Decision::Approve]) {
        let form = ReplyForm::new(AuthorizationKind::Authorization, amount(2599, "USD"));
        let reply = IssuerKind::Stripe.encode(&form, decision, None);
        assert!(matches!(reply.body, Cow::Borrowed(_)), "{decision:?}");
    }
}

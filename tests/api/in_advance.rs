//! What a human approves in advance (behaviour 5.5).

use std::thread;

use serde_json::{Value, json};

use crate::plane::{Plane, code};
use crate::purchases::{Buyer, act, buyer};
use crate::webhooks::{HERE, plane as plane_with};

/// Rules with one approval in advance, with these members changed.
fn rules(more: &Value) -> Value {
    let mut approval = json!({"name": "books", "domain": "example.com", "amountMax": 1_500,
        "period": "week", "countMax": 2, "until": "2100-01-01T00:00:00Z"});
    let more = more.as_object().unwrap();
    approval.as_object_mut().unwrap().extend(more.clone());
    json!({"unscopedRequests": "allow", "standingApprovals": [approval]})
}

fn set_policy(plane: &Plane, buyer: &Buyer, policy: &Value) {
    let path = format!("/v1/agents/{}", buyer.agent);
    plane.owner_asks("PATCH", &path, &json!({"policy": policy}), 200);
}

/// Asks for so much; whether a card comes at once, and by which approval in advance.
fn outcome(plane: &Plane, buyer: &Buyer, more: &Value) -> (Value, Value) {
    let asked = buyer.asks(plane, more);
    (asked["status"].clone(), asked["standingApproval"].clone())
}

fn approved() -> (Value, Value) {
    (json!("approved"), json!("books"))
}

fn waits() -> (Value, Value) {
    (json!("pending_review"), Value::Null)
}

#[test]
fn what_is_approved_in_advance_needs_no_human_until_it_is_used_up() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let buyer = buyer(&plane, &rules(&json!({})));
    let asks = |amount: &str| outcome(&plane, &buyer, &json!({"amount": amount}));
    assert_eq!(asks("15.01"), waits(), "beyond its range");
    assert_eq!(asks("15.00"), approved());
    assert_eq!(asks("3.00"), approved());
    assert_eq!(asks("2.00"), waits(), "two in a week");
    // Six days later the first ones count, a day later they do not.
    for (days, then) in [(6, waits()), (1, approved())] {
        let path = format!("/admin/clock/advance?seconds={}", days * 86_400 + 1);
        assert_eq!(plane.server().post(&path).status, 200);
        let amount = format!("4.0{days}");
        assert_eq!(asks(&amount), then, "{days} days later");
    }
}

#[test]
fn an_approval_in_advance_waives_no_rule_and_answers_nothing_else() {
    let plane = Plane::start();
    let with = |more: &Value| {
        let mut rules = rules(&json!({}));
        let more = more.as_object().unwrap();
        rules.as_object_mut().unwrap().extend(more.clone());
        buyer(&plane, &rules)
    };
    let plain = with(&json!({}));
    let elsewhere = json!({"merchantUrl": "https://example.org/"});
    assert_eq!(outcome(&plane, &plain, &elsewhere), waits());
    let unexplained = json!({"justification": ""});
    assert_eq!(outcome(&plane, &plain, &unexplained), waits());
    let unscoped = with(&json!({"unscopedRequests": "review"}));
    let hintless = json!({"categoryHint": null});
    assert_eq!(outcome(&plane, &unscoped, &hintless), waits());
    let reviewed =
        json!({"allowedDomains": ["example.org"], "onViolation": {"allowedDomains": "review"}});
    assert_eq!(outcome(&plane, &with(&reviewed), &json!({})), waits());
    let denied = (json!("denied"), Value::Null);
    let blocked = with(&json!({"blockedDomains": ["example.com"]}));
    assert_eq!(outcome(&plane, &blocked, &json!({})), denied);
    // The limits speak last, as always, and what they refuse rests on no approval.
    let full = with(&json!({"limits": {"perDay": 1_000}}));
    assert_eq!(full.asks(&plane, &json!({}))["status"], "denied");
    let shown = with(&json!({"limits": {"perDay": 1_000}, "onViolation": {"limits": "review"}}));
    let waiting = shown.asks(&plane, &json!({}));
    assert_eq!(waiting["standingApproval"], Value::Null);
    let decided = act(&plane, &waiting["id"], "approve", &Value::Null);
    assert_eq!(
        (&decided["status"], &decided["standingApproval"]),
        (&json!("approved"), &Value::Null)
    );
}

#[test]
fn an_approval_in_advance_ends_with_its_time_or_its_owners_word() {
    let plane = Plane::start();
    let over = buyer(&plane, &rules(&json!({"until": "2026-01-01T00:00:00Z"})));
    assert_eq!(outcome(&plane, &over, &json!({})), waits());
    let buyer = buyer(&plane, &rules(&json!({})));
    assert_eq!(outcome(&plane, &buyer, &json!({})), approved());
    set_policy(&plane, &buyer, &json!({"unscopedRequests": "allow"}));
    let more = json!({"amount": "1.00"});
    assert_eq!(outcome(&plane, &buyer, &more), waits());
    // What it has approved counts when it is given again.
    set_policy(&plane, &buyer, &rules(&json!({"totalMax": 1_500})));
    let more = json!({"amount": "3.01"});
    assert_eq!(outcome(&plane, &buyer, &more), waits(), "15.01 together");
    let more = json!({"amount": "3.00"});
    assert_eq!(outcome(&plane, &buyer, &more), approved());
    // Nobody but an owner gives one, and to one agent alone.
    let path = format!("/v1/agents/{}", buyer.agent);
    let policy = json!({"policy": rules(&json!({}))});
    assert_eq!(plane.ask(&buyer.key, "PATCH", &path, &policy).status, 403);
    let path = format!("/v1/customers/{}", plane.customer);
    let refused = plane.ask(&plane.owner, "PATCH", &path, &policy);
    assert_eq!(code(&refused, 400), "invalid_request");
    assert!(refused.text().contains("standingApprovals"));
}

#[test]
fn of_many_at_once_no_more_are_approved_in_advance_than_its_count() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({"countMax": 3})));
    let all: Vec<(Value, Value)> = thread::scope(|scope| {
        let asks = |n: usize| {
            let (plane, buyer) = (&plane, &buyer);
            scope.spawn(move || outcome(plane, buyer, &json!({"amount": n})))
        };
        let asked: Vec<_> = (1..=12).map(asks).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let taken = all.iter().filter(|it| **it == approved()).count();
    let waiting = all.iter().filter(|it| **it == waits()).count();
    assert_eq!((taken, waiting), (3, 9), "{all:?}");
}

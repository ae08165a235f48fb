//! What a reviewer's word is good for, and what time does to requests (behaviour 5.7, 5.6, 4.4).

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code, value};
use crate::purchases::{Buyer, act, buyer, wish};
use crate::server::{millis_since, now};
use crate::webhooks::{HERE, plane as plane_with};

const APPROVED: &str = "APPROVED";
const PATIENCE_MS: i64 = 60_000;

fn set_policy(plane: &Plane, agent: &str, policy: &Value) {
    let path = format!("/v1/agents/{agent}");
    plane.owner_asks("PATCH", &path, &json!({"policy": policy}), 200);
}

fn set_customer(plane: &Plane, body: &Value) {
    let path = format!("/v1/customers/{}", plane.customer);
    plane.owner_asks("PATCH", &path, body, 200);
}

/// Approves it; it must be denied for this reason, and no card may come of it.
fn is_denied(plane: &Plane, id: &Value, reason: &str) {
    let decided = act(plane, id, "approve", &Value::Null);
    assert_eq!(
        (&decided["status"], &decided["reason"]),
        (&json!("denied"), &json!(reason)),
        "{decided}"
    );
    assert_eq!(decided["virtualCard"], Value::Null);
    assert_eq!(plane.get("/v1/cards")["data"], json!([]));
}

/// Behaviour 5.7: a rule may be waived, and still nobody has waived it.
#[test]
fn an_approval_waives_no_rule_that_came_after_the_look() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let waits = buyer.asks(&plane, &json!({}));
    assert_eq!(waits["status"], "pending_review");
    let blocks =
        json!({"blockedDomains": ["example.com"], "onViolation": {"blockedDomains": "review"}});
    set_policy(&plane, &buyer.agent, &blocks);
    is_denied(&plane, &waits["id"], "domain_blocked");
}

/// Behaviour 5.7: the customer's rule is another one than the agent's of the same name.
#[test]
fn an_approval_waives_the_rule_of_the_level_that_was_shown() {
    let plane = Plane::start();
    let rules =
        json!({"allowedDomains": ["example.org"], "onViolation": {"allowedDomains": "review"}});
    let buyer = buyer(&plane, &rules);
    let waits = buyer.asks(&plane, &json!({}));
    assert_eq!(waits["reason"], "domain_not_allowed");
    let second = buyer.asks(&plane, &json!({"amount": "11.00"}));
    set_customer(
        &plane,
        &json!({"policy": {"allowedDomains": ["example.org"]}}),
    );
    is_denied(&plane, &waits["id"], "domain_not_allowed");
    set_customer(&plane, &json!({"policy": null}));
    let approved = act(&plane, &second["id"], "approve", &Value::Null);
    assert_eq!(
        approved["status"], "approved",
        "what was shown is waived: {approved}"
    );
}

/// Behaviour 5.7: a cap that was lowered after the look is not the one that was shown.
#[test]
fn an_approval_waives_the_cap_that_was_shown_and_no_lower_one() {
    let plane = Plane::start();
    let capped = |cap: u64| json!({"requestLimits": {"perRequest": cap}, "onViolation": {"requestLimits": "review"}});
    let buyer = buyer(&plane, &capped(1_000));
    let waits = buyer.asks(&plane, &json!({}));
    assert_eq!(waits["causes"][0]["level"], "agent", "{waits}");
    let second = buyer.asks(&plane, &json!({"amount": "11.00"}));
    set_policy(&plane, &buyer.agent, &capped(100));
    is_denied(&plane, &waits["id"], "amount_over_per_request");
    set_policy(&plane, &buyer.agent, &capped(1_000));
    let approved = act(&plane, &second["id"], "approve", &Value::Null);
    assert_eq!(approved["status"], "approved", "{approved}");
}

/// Behaviour 5.7: the same of a limit on a sum.
#[test]
fn an_approval_waives_the_limit_that_was_shown_and_no_lower_one() {
    let plane = Plane::start();
    let limited =
        |cap: u64| json!({"limits": {"perDay": cap}, "onViolation": {"limits": "review"}});
    let buyer = buyer(&plane, &limited(1_000));
    let waits = buyer.asks(&plane, &json!({}));
    let shown = waits["causes"].as_array().unwrap();
    assert!(
        shown.iter().any(|it| it["code"] == "agent_limit_exceeded"),
        "{waits}"
    );
    let second = buyer.asks(&plane, &json!({"amount": "11.00"}));
    set_policy(&plane, &buyer.agent, &limited(999));
    is_denied(&plane, &waits["id"], "agent_limit_exceeded");
    set_policy(&plane, &buyer.agent, &limited(1_001));
    let approved = act(&plane, &second["id"], "approve", &Value::Null);
    assert_eq!(approved["status"], "approved", "{approved}");
}

/// A key of a caller is its own word, and no place of ours.
#[test]
fn a_key_may_be_any_word() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    for key in ["waits", "in advance"] {
        let waits = buyer.asks(&plane, &json!({"idempotencyKey": key, "amount": "3.00"}));
        assert_eq!(waits["status"], "pending_review", "{key}: {waits}");
    }
}

/// Behaviour 5.7: each broken rule counts, and not the first alone.
#[test]
fn a_waived_rule_hides_none_that_is_broken_beside_it() {
    let plane = Plane::start();
    let rules =
        json!({"allowedDomains": ["example.org"], "onViolation": {"allowedDomains": "review"}});
    let buyer = buyer(&plane, &rules);
    let waits = buyer.asks(&plane, &json!({}));
    let tighter = json!({"allowedDomains": ["example.org"], "requestLimits": {"perRequest": 100}});
    set_policy(&plane, &buyer.agent, &tighter);
    is_denied(&plane, &waits["id"], "amount_over_per_request");
}

/// Behaviour 5.7: a reviewer has approved no more than what was shown.
#[test]
fn an_approval_is_good_for_no_more_than_was_shown() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"amountTolerance": 100}));
    let shown = buyer.asks(&plane, &json!({}));
    assert_eq!(shown["earmark"], "13.00");
    let less = buyer.asks(&plane, &json!({"amount": "2.00"}));
    set_policy(&plane, &buyer.agent, &json!({"amountTolerance": 2_000}));
    let approved = act(&plane, &shown["id"], "approve", &Value::Null);
    assert_eq!(
        (&approved["status"], &approved["earmark"]),
        (&json!("approved"), &json!("13.00"))
    );
    assert_ne!(plane.buy(&card_of(&approved), 1_301), APPROVED);
    set_policy(&plane, &buyer.agent, &json!({}));
    let approved = act(&plane, &less["id"], "approve", &Value::Null);
    assert_eq!(approved["earmark"], "2.00", "and for less where it is less");
}

/// Behaviour 4.4: of many at a time that are approved, no more get a card than the cap lets.
#[test]
fn purchase_cards_keep_to_the_cap_also_when_many_are_asked_for_at_once() {
    let plane = Plane::start();
    let buyer = buyer(
        &plane,
        &json!({"autoApproveBelow": 5000, "limits": {"total": 100_000}}),
    );
    set_customer(&plane, &json!({"fleet": {"cardsPerAgentMax": 3}}));
    let all: Vec<Value> = thread::scope(|scope| {
        let asks = |n: usize| {
            let (plane, buyer) = (&plane, &buyer);
            scope.spawn(move || buyer.asks(plane, &json!({"amount": n})))
        };
        let asked: Vec<_> = (1..=12).map(asks).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let approved: Vec<&Value> = all.iter().filter(|it| it["status"] == "approved").collect();
    assert_eq!(approved.len(), 3, "{all:?}");
    let denied = all.iter().filter(|it| it["reason"] == "fleet_cap_reached");
    assert_eq!(denied.count(), 9, "{all:?}");
    let cards = plane.get("/v1/cards?limit=200");
    assert_eq!(cards["data"].as_array().unwrap().len(), 3);
    // What was set aside for the others is back.
    let amounts = approved.iter().map(|it| it["amount"].as_str().unwrap());
    let cents: u64 = amounts
        .map(|it| it.replace('.', "").parse::<u64>().unwrap())
        .sum();
    let spent = &buyer.spending(&plane)["total_budget_spent"];
    assert_eq!(spent, &json!(format!("{}.{:02}", cents / 100, cents % 100)));
}

/// Behaviour 4.4: what is set aside is held, and no reviewer can waive the cap on it.
#[test]
fn a_cap_on_what_is_held_is_no_question_for_a_reviewer() {
    let plane = Plane::start();
    set_customer(
        &plane,
        &json!({"fleet": {"heldMax": 1500}, "policy": {"onViolation": {"limits": "review"}}}),
    );
    let buyer = buyer(&plane, &json!({"onViolation": {"limits": "review"}}));
    let first = buyer.asks(&plane, &json!({}));
    assert_eq!(first["status"], "pending_review");
    assert_eq!(
        act(&plane, &first["id"], "approve", &Value::Null)["status"],
        "approved"
    );
    let refused = buyer.asks(&plane, &json!({"amount": "4.00"}));
    assert_eq!(
        (&refused["status"], &refused["reason"]),
        (&json!("denied"), &json!("customer_limit_exceeded")),
        "the 12.00 that are set aside count as held: {refused}"
    );
    assert!(
        refused["message"].as_str().unwrap().contains("held"),
        "{refused}"
    );
    assert_eq!(
        buyer.asks(&plane, &json!({"amount": "3.00"}))["status"],
        "pending_review"
    );
}

fn card_of(approved: &Value) -> String {
    approved["virtualCard"]["id"].as_str().unwrap().to_owned()
}

/// Behaviour 4.4: the amount of a purchase card can never be raised, nor its merchant widened.
#[test]
fn a_purchase_cards_rules_are_its_requests_and_stay() {
    let plane = Plane::start();
    let policy = json!({"autoApproveBelow": 5000, "unscopedRequests": "allow"});
    let buyer = buyer(&plane, &policy);
    let made = buyer.asks(&plane, &json!({"categoryHint": null}));
    let card = card_of(&made);
    let path = format!("/v1/cards/{card}");
    let refused = |method: &str, path: &str, body: &Value, field: &str| {
        let answer = plane.ask(&plane.owner, method, path, body);
        assert_eq!(code(&answer, 409), "purchase_card", "{path}");
        let detail = value(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(field), "{detail}");
    };
    let more = json!({"limits": {"perAuth": 9_000, "total": 9_000}});
    refused("PATCH", &path, &json!({"policy": more}), "`policy`");
    refused("PATCH", &path, &json!({"policy": null}), "`policy`");
    let limit = json!({"amount": 9_000, "currency": "USD", "interval": "per_authorization"});
    refused("PATCH", &path, &json!({"limits": limit}), "`limits`");
    refused(
        "POST",
        &format!("{path}/replace"),
        &json!({}),
        "another request",
    );
    let versions = format!("{path}/policy/versions");
    let draft = plane.owner_asks("POST", &versions, &json!({"policy": more}), 201);
    let activate = format!("{versions}/{}/activate", draft["version"]);
    refused("POST", &activate, &json!({}), "`policy`");
    // It can be stopped, and goes on as it was.
    plane.owner_asks("PATCH", &path, &json!({"status": "locked"}), 200);
    plane.owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    plane.owner_asks("POST", &format!("{path}/freeze"), &Value::Null, 200);
    plane.owner_asks("POST", &format!("{path}/unfreeze"), &Value::Null, 200);
    assert_ne!(plane.buy(&card, 1_201), APPROVED);
    assert_eq!(plane.buy(&card, 1_200), APPROVED);
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
}

/// Behaviour 5.4: an agent cannot bury its reviewers.
#[test]
fn so_many_requests_of_an_agent_wait_and_no_more() {
    let plane = plane_with("[purchases]\nreviews_waiting_max = 32\n", &[]);
    let (one, other) = (buyer(&plane, &json!({})), buyer(&plane, &json!({})));
    let ask = |n: usize| {
        let body = wish(&json!({"amount": n}));
        plane.ask(&one.key, "POST", "/v1/purchase-requests", &body)
    };
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asked: Vec<_> = (1..=40)
            .map(|n| scope.spawn(move || ask(n).status))
            .collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let taken = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(taken, 32, "{statuses:?}");
    assert_eq!(code(&ask(50), 409), "too_many_reviews");
    let waits = plane.get("/v1/purchase-requests?status=pending_review&limit=200");
    let waits = waits["data"].as_array().unwrap();
    assert_eq!(waits.len(), 32);
    // The same again is the one that waits; another agent has its own; what is decided makes room.
    let amount = &waits[0]["amount"];
    assert_eq!(
        one.asks(&plane, &json!({"amount": amount}))["id"],
        waits[0]["id"]
    );
    assert_eq!(other.asks(&plane, &json!({}))["status"], "pending_review");
    act(&plane, &waits[0]["id"], "deny", &Value::Null);
    assert_eq!(ask(50).status, 201);
    assert_eq!(code(&ask(51), 409), "too_many_reviews");
}

/// Behaviour 5.4: counts of requests are the agent's, and called what its owner calls them.
#[test]
fn counts_of_requests_are_told_by_the_names_that_owners_write() {
    let plane = Plane::start();
    let rules = json!({"autoApproveBelow": 5000, "requestLimits": {"countPerDay": 1}});
    let buyer = buyer(&plane, &rules);
    assert_eq!(buyer.asks(&plane, &json!({}))["status"], "approved");
    let refused = buyer.asks(&plane, &json!({"amount": "1.00"}));
    assert_eq!(refused["reason"], "count_limit_reached");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("requestLimits.countPerDay"), "{message}");
    assert!(!message.contains("card"), "{message}");
}

/// Waits until the server has done by itself what makes it so.
fn until(buyer: &Buyer, plane: &Plane, id: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = now();
    loop {
        let seen = buyer.sees(plane, id);
        if is_so(&seen) {
            return seen;
        }
        assert!(millis_since(since) < PATIENCE_MS, "{seen}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Behaviour 5.7.
#[test]
fn a_review_that_nobody_makes_ends_and_stays_ended() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let buyer = buyer(&plane, &json!({"reviewTtlMinutes": 30}));
    let waits = buyer.asks(&plane, &json!({}));
    plane.advance(30 * 60 - 60);
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "pending_review");
    plane.advance(61);
    let ended = until(&buyer, &plane, &waits["id"], |it| {
        it["version"] != waits["version"]
    });
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("denied"), &json!("review_expired"))
    );
    assert_eq!(act(&plane, &waits["id"], "approve", &Value::Null), ended);
    assert_eq!(plane.get("/v1/cards")["data"], json!([]));
}

/// Behaviour 5.6, 5.8.
#[test]
fn a_card_whose_time_is_over_is_canceled_and_gives_back_what_was_set_aside() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let rules = json!({"autoApproveBelow": 5000, "unscopedRequests": "allow", "cardTtlMinutes": 20,
        "limits": {"total": 2_000}});
    let buyer = buyer(&plane, &rules);
    let made = buyer.asks(&plane, &json!({"categoryHint": null}));
    let card = card_of(&made);
    assert_eq!(buyer.spending(&plane)["total_budget_spent"], "12.00");
    plane.advance(20 * 60 + 1);
    let over = until(&buyer, &plane, &made["id"], |it| {
        it["version"] != made["version"]
    });
    assert_eq!(over["status"], "expired");
    assert_eq!(
        plane.get(&format!("/v1/cards/{card}"))["status"],
        "canceled"
    );
    assert_eq!(buyer.spending(&plane)["total_budget_spent"], "0.00");
    assert_eq!(
        buyer.asks(&plane, &json!({"amount": "20.00"}))["status"],
        "approved"
    );
}

//! Purchase cards made at an issuer over the network (behaviour 5.14).

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk};
use crate::far_side::{Fault, Speech};
use crate::plane::value;
use crate::server::{millis_since, now};

const PATIENCE_MS: i64 = 60_000;

fn key(desk: &Desk) -> String {
    let rules =
        json!({"autoApproveBelow": 5000, "unscopedRequests": "allow", "limits": {"perDay": 5000}});
    let agent = desk.plane.agent(&rules);
    desk.plane.key(&json!({"scope": "agent", "agentId": agent}))
}

fn wish(amount: &str) -> Value {
    json!({"merchantUrl": "shop.example.com", "amount": amount, "description": "A thing",
        "justification": "It is needed"})
}

fn asks(desk: &Desk, key: &str, amount: &str) -> Value {
    let path = "/v1/purchase-requests";
    value(&desk.plane.ask(key, "POST", path, &wish(amount)))
}

fn spent(desk: &Desk, key: &str) -> Value {
    let path = "/v1/agents/me/spending";
    value(&desk.plane.ask(key, "GET", path, &Value::Null))["daily_spent"].clone()
}

fn until_approved(desk: &Desk, id: &Value) -> Value {
    let path = format!("/v1/purchase-requests/{}", id.as_str().unwrap());
    let since = now();
    loop {
        let seen = desk.plane.get(&path);
        if seen["status"] == "approved" {
            return seen;
        }
        assert_eq!(seen["message"], "issuing", "{seen}");
        assert!(millis_since(since) < PATIENCE_MS, "{seen}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn b5_14_an_issuer_that_does_not_answer_is_waited_for_also_after_a_crash() {
    let mut desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.set_deaf(true);
    let waits = asks(&desk, &key, "12.00");
    assert_eq!(
        (&waits["status"], &waits["message"]),
        (&json!("pending_review"), &json!("issuing"))
    );
    assert_eq!(spent(&desk, &key), "12.00", "it is set aside already");
    desk.plane.kill();
    desk.restart();
    desk.far.set_deaf(false);
    let made = until_approved(&desk, &waits["id"]);
    assert_eq!(desk.far.cards().len(), 1);
    assert_eq!(spent(&desk, &key), "12.00", "once");
    let card = made["virtualCard"]["id"].as_str().unwrap();
    assert_eq!(desk.buy(card, 1_200), APPROVED);
    assert_eq!(spent(&desk, &key), "12.00");
}

#[test]
fn b5_14_a_card_whose_answer_was_lost_is_found_and_not_made_again() {
    let desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.fault(Fault::DropsAfter);
    let asked = asks(&desk, &key, "12.00");
    let made = until_approved(&desk, &asked["id"]);
    let cards = desk.far.cards();
    assert_eq!(cards.len(), 1);
    // The fence at the issuer is never tighter than the card.
    assert_eq!(cards[0]["state"], "OPEN");
    let card = made["virtualCard"]["id"].as_str().unwrap();
    assert_ne!(desk.buy(card, 1_201), APPROVED);
    assert_eq!(desk.buy(card, 1_200), APPROVED);
}

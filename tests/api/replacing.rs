//! A card in the place of another (behaviour 4.3).

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};

#[test]
fn a_replaced_card_is_canceled_and_the_new_one_has_its_rules() {
    let mut plane = Plane::start();
    let agent = plane.agent(&json!({"limits": {"perDay": 1000}}));
    let policy = json!({"limits": {"perAuth": 600}, "blockedMccs": ["5812"]});
    let old = plane.card(&json!({"agentId": agent, "policy": policy, "usage": "multi"}));
    assert_eq!(plane.buy(&old, 600), "APPROVED");
    let path = format!("/v1/cards/{old}/replace");
    let headers = format!(
        "{}idempotency-key: rotate-1\r\n",
        crate::plane::bearer(&plane.owner)
    );
    let first = plane.ask_with("POST", &path, &headers, "{}");
    assert_eq!(first.status, 201, "{}", first.text());
    let again = plane.ask_with("POST", &path, &headers, "{}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        again.body, first.body,
        "one card, however often it is asked"
    );
    let new = value(&first);
    assert_ne!(id(&new), old);
    assert_eq!(new["policy"], policy);
    assert_eq!(new["agentId"], *agent);
    assert_eq!(plane.get(&format!("/v1/cards/{old}"))["status"], "canceled");
    assert_eq!(plane.buy(&old, 1), "CARD_PAUSED");
    // The agent's day goes on where the old card has left it.
    assert_eq!(plane.buy(&id(&new), 601), "VELOCITY_EXCEEDED");
    assert_eq!(plane.buy(&id(&new), 401), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&id(&new), 400), "APPROVED");
    plane.kill();
    plane.restart();
    assert_eq!(plane.buy(&old, 1), "CARD_PAUSED");
    assert_eq!(plane.get("/v1/cards")["data"].as_array().unwrap().len(), 2);
    let refused = plane.ask(&plane.owner, "POST", &path, &Value::Null);
    assert_eq!(code(&refused, 409), "card_canceled");
}

#[test]
fn a_card_that_is_replaced_later_stays_good_until_then() {
    let plane = Plane::start();
    let old = plane.card(&json!({"policy": {"limits": {"perAuth": 600}}}));
    let path = format!("/v1/cards/{old}/replace");
    let until = far_in_days(30);
    let body = json!({"oldCardUntil": until});
    let new = plane.owner_asks("POST", &path, &body, 201);
    for card in [&old, &id(&new)] {
        assert_eq!(plane.buy(card, 600), "APPROVED");
    }
    let shown = plane.get(&format!("/v1/cards/{old}"));
    assert_eq!(to_seconds(&shown["expiresAt"]), until);
    assert_eq!(shown["policy"]["limits"], json!({"perAuth": 600}));
    assert!(new["expiresAt"].is_null(), "{new}");
    // An end that is nearer stays.
    let nearer = json!({"oldCardUntil": far_in_days(60)});
    plane.owner_asks("POST", &path, &nearer, 201);
    let shown = plane.get(&format!("/v1/cards/{old}"));
    assert_eq!(to_seconds(&shown["expiresAt"]), until);
    for wrong in ["2020-01-01T00:00:00Z", "tomorrow", &far_in_days(91)] {
        let body = json!({"oldCardUntil": wrong});
        let refused = plane.ask(&plane.owner, "POST", &path, &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{wrong}");
        assert_eq!(value(&refused)["errors"][0]["field"], "oldCardUntil");
    }
}

#[test]
fn what_is_stopped_does_not_come_back_as_another_card() {
    let plane = Plane::start();
    let old = plane.card(&json!({}));
    let path = format!("/v1/cards/{old}");
    plane.owner_asks("POST", &format!("{path}/freeze"), &Value::Null, 200);
    plane.owner_asks("PATCH", &path, &json!({"status": "locked"}), 200);
    let new = plane.owner_asks("POST", &format!("{path}/replace"), &Value::Null, 201);
    assert_eq!(plane.buy(&id(&new), 1), "CARD_PAUSED");
    let path = format!("/v1/cards/{}", id(&new));
    plane.owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    assert_eq!(plane.get(&path)["status"], "frozen");
    assert_eq!(plane.buy(&id(&new), 1), "SUSPECTED_FRAUD");
    plane.owner_asks("POST", &format!("{path}/unfreeze"), &Value::Null, 200);
    assert_eq!(plane.buy(&id(&new), 1), "APPROVED");
}

/// `2026-05-30T00:00:00.000000Z` without its fraction.
fn to_seconds(instant: &Value) -> String {
    let (seconds, _) = instant.as_str().unwrap().split_once('.').unwrap();
    format!("{seconds}Z")
}

fn far_in_days(days: i64) -> String {
    let at = crate::server::now().plus_micros(days * 86_400_000_000 + 60_000_000);
    at.rfc3339_seconds().to_string()
}

//! What stands on a card, what was decided on it, and what would be (behaviour 2.12, 2.15, 4.3).

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};
use crate::server::{millis_since, now};

fn spend(card: &str, amount: u64) -> Value {
    json!({"cardId": card, "amount": amount, "currency": "USD",
        "merchant": {"descriptor": "API HOST GMBH", "mcc": "7372", "country": "DE"}})
}

#[test]
fn each_value_is_shown_with_its_level_and_each_limit_with_what_is_left() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({"limits": {"perDay": 5000}, "cooldownMinutes": 0}));
    let card = plane.card(&json!({
        "agentId": agent, "policy": {"limits": {"total": 9000, "countPerDay": 3}},
        "limits": {"amount": 4000, "currency": "USD", "interval": "monthly"},
    }));
    assert_eq!(plane.buy(&card, 1500), "APPROVED");
    let shown = plane.get(&format!("/v1/cards/{card}/policy"));
    assert_eq!(
        (&shown["cardId"], &shown["currency"]),
        (&json!(card), &json!("USD"))
    );
    let cooldown = json!({"value": 0, "level": "agent"});
    assert_eq!(shown["policy"]["cooldownMinutes"], cooldown, "{shown}");
    let limits = shown["limits"].as_array().unwrap();
    let limit = |level: &str, cap: u64| {
        let mut found = limits
            .iter()
            .filter(|it| it["level"] == level && it["limit"] == cap);
        let it = found
            .next()
            .unwrap_or_else(|| panic!("no {level} {cap}: {shown}"))
            .clone();
        (
            it["spent"].clone(),
            it["held"].clone(),
            it["remaining"].clone(),
        )
    };
    assert_eq!(limit("card", 4000), (json!(1500), json!(1500), json!(2500)));
    assert_eq!(limit("card", 9000), (json!(1500), json!(1500), json!(7500)));
    assert_eq!(
        limit("agent", 5000),
        (json!(1500), json!(1500), json!(3500))
    );
    assert_eq!(shown["counts"][0]["limit"], 3, "{shown}");
}

#[test]
fn decisions_are_listed_by_card_and_explain_themselves() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let card = plane.card(&json!({"agentId": agent, "policy": {"limits": {"perDay": 1000}}}));
    let other = plane.card(&json!({}));
    assert_eq!(plane.buy(&card, 900), "APPROVED");
    assert_eq!(plane.buy(&card, 200), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&other, 5), "APPROVED");
    let path = format!("/v1/decisions?cardId={card}");
    let list = plane.get(&path);
    let of = |decision: &str| {
        let data = list["data"].as_array().unwrap();
        let mut found = data.iter().filter(|it| it["decision"] == decision);
        found
            .next()
            .unwrap_or_else(|| panic!("no {decision}: {list}"))
    };
    let (declined, approved) = (of("decline"), of("approve"));
    assert_eq!(declined["reason"], "card_limit_exceeded");
    assert_eq!(declined["explanation"]["remaining"], 100, "{declined}");
    assert_eq!(approved["approvedAmount"], 900);
    let one = format!("/v1/decisions/{}", id(declined));
    assert_eq!(&plane.get(&one), declined);
    // An agent sees its own, and nothing else; a foreign decision is one that is not there.
    let own = plane.key(&json!({"scope": "agent", "agentId": agent}));
    assert_eq!(plane.ask(&own, "GET", &path, &Value::Null).status, 200);
    let theirs = plane.get(&format!("/v1/decisions?cardId={other}"));
    for path in [
        format!("/v1/decisions?cardId={other}"),
        format!("/v1/decisions/{}", id(&theirs["data"][0])),
        "/v1/decisions/dec_00000000ffffffff".to_owned(),
        "/v1/decisions/nonsense".to_owned(),
    ] {
        let refused = plane.ask(&own, "GET", &path, &Value::Null);
        assert_eq!(code(&refused, 404), "not_found", "{path}");
    }
    for query in ["?cardId=", "?cursor=zz"] {
        let path = format!("/v1/decisions{query}");
        let refused = plane.ask(&plane.owner, "GET", &path, &Value::Null);
        assert_eq!(code(&refused, 400), "invalid_request", "{query}");
    }
}

/// Behaviour 8.1.
#[test]
fn a_dry_run_stands_in_the_audit_log_with_what_it_said() {
    let plane = Plane::start();
    let card = plane.card(&json!({"policy": {"limits": {"perAuth": 800}}}));
    for amount in [800, 801] {
        plane.owner_asks("POST", "/v1/spend/evaluate", &spend(&card, amount), 200);
    }
    let told = || {
        let log = plane.get("/v1/audit?limit=200");
        let entries = log["data"].as_array().unwrap().iter();
        let own = entries.filter(|it| it["entry"]["action"] == "POST /v1/spend/evaluate");
        own.map(|it| it["entry"]["outcome"].clone())
            .collect::<Vec<_>>()
    };
    // It is written behind the answer.
    let since = now();
    while told().len() < 2 {
        assert!(millis_since(since) < 5_000, "{:?}", told());
    }
    assert_eq!(told(), [json!("approve"), json!("amount_over_per_auth")]);
}

/// What operators look at is for them alone.
#[test]
fn s22_metrics_and_decisions_are_on_no_other_listener() {
    let plane = Plane::start();
    let key = crate::plane::bearer(&plane.owner);
    for path in [
        "/metrics",
        "/readyz",
        "/admin/decisions",
        "/admin/cards/card_x",
        "/admin/outbox",
    ] {
        let for_people = plane.ask_with("GET", path, &key, "");
        assert_eq!(for_people.status, 404, "{path}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{key}\r\n");
        let for_issuers = plane.server().client().ask(request.as_bytes());
        assert_eq!(for_issuers.status, 404, "{path}: {}", for_issuers.text());
    }
    plane.buy(&plane.card(&json!({})), 100);
    let shown = plane.server().admin_text("/metrics");
    assert!(shown.contains("countersign_decisions_total"));
    assert!(!shown.contains(&plane.customer) && !shown.contains(&plane.owner));
}

#[test]
fn a_dry_run_says_what_would_be_decided_and_changes_nothing() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let policy = json!({"limits": {"perAuth": 800, "perDay": 1000}, "blockedMccs": ["5812"]});
    let card = plane.card(&json!({"agentId": agent, "usage": "single", "policy": policy}));
    let ask = |body: &Value| plane.owner_asks("POST", "/v1/spend/evaluate", body, 200);
    // As often as one likes: nothing is reserved, nothing consumed.
    for _ in 0..3 {
        let verdict = ask(&spend(&card, 800));
        assert_eq!(verdict["decision"], "approve", "{verdict}");
        assert_eq!(verdict["approvedAmount"], 800);
    }
    let over = ask(&spend(&card, 801));
    assert_eq!(over["reason"], "amount_over_per_auth");
    assert_eq!(over["explanation"]["limit"], 800, "{over}");
    let mut food = spend(&card, 1);
    food["merchant"]["mcc"] = json!("5812");
    assert_eq!(ask(&food)["reason"], "mcc_blocked");
    let mut foreign = spend(&card, 1);
    foreign["currency"] = json!("EUR");
    assert_eq!(ask(&foreign)["reason"], "currency_not_supported");
    let before = plane.get(&format!("/v1/cards/{card}"));
    assert!(before["lastSpendAt"].is_null() && before["singleUseConsumedAt"].is_null());
    let decisions = plane.get(&format!("/v1/decisions?cardId={card}"));
    assert_eq!(decisions["data"], json!([]));
    // It knows what was spent, as the real one does.
    assert_eq!(plane.buy(&card, 700), "APPROVED");
    assert_eq!(ask(&spend(&card, 1))["reason"], "single_use_consumed");
    plane.owner_asks(
        "POST",
        &format!("/v1/cards/{card}/freeze"),
        &Value::Null,
        200,
    );
    assert_eq!(ask(&spend(&card, 1))["reason"], "card_frozen_by_risk");
    for (field, wrong) in [
        ("amount", json!(-1)),
        ("currency", json!("XYZ")),
        ("riskScore", json!(100)),
        ("cardId", Value::Null),
    ] {
        let mut body = spend(&card, 1);
        body[field] = wrong;
        let refused = plane.ask(&plane.owner, "POST", "/v1/spend/evaluate", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{field}");
        assert_eq!(value(&refused)["errors"][0]["field"], field);
    }
    let nobodys = plane.ask(
        &plane.owner,
        "POST",
        "/v1/spend/evaluate",
        &spend("card_x", 1),
    );
    assert_eq!(code(&nobodys, 404), "not_found");
}

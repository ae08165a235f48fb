//! Caps over a customer's agents and cards, and agents that make their own (behaviour 4.4).

use std::thread;

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};
use crate::server::now;

fn cap(plane: &Plane, fleet: &Value) {
    let path = format!("/v1/customers/{}", plane.customer);
    let shown = plane.owner_asks("PATCH", &path, &json!({"fleet": fleet}), 200);
    for (name, wanted) in fleet.as_object().unwrap() {
        assert_eq!(&shown["fleet"][name], wanted, "{shown}");
    }
}

#[test]
fn a_customer_has_no_more_agents_than_its_cap_also_when_many_ask_at_once() {
    let plane = Plane::start();
    cap(&plane, &json!({"agentsMax": 3}));
    let body = json!({"customerId": plane.customer});
    let ask = || plane.ask(&plane.owner, "POST", "/v1/agents", &body);
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let made: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
    assert!((1..=3).contains(&made.len()), "{}", made.len());
    for refused in answers.iter().filter(|it| it.status != 201) {
        let code = code(refused, 409);
        assert!(
            ["fleet_cap_reached", "conflict"].contains(&&*code),
            "{code}"
        );
    }
    for _ in made.len()..3 {
        assert_eq!(ask().status, 201);
    }
    assert_eq!(code(&ask(), 409), "fleet_cap_reached");
    // One that is disabled leaves its place; other caps and none at all hold from their call on.
    let path = format!("/v1/agents/{}", id(&value(made[0])));
    plane.owner_asks("PATCH", &path, &json!({"status": "disabled"}), 200);
    assert_eq!(ask().status, 201);
    assert_eq!(code(&ask(), 409), "fleet_cap_reached");
    let path = format!("/v1/customers/{}", plane.customer);
    let shown = plane.owner_asks("PATCH", &path, &json!({"fleet": null}), 200);
    let none = json!({"agentsMax": null, "cardsPerAgentMax": null, "agentMayCreateCards": false, "heldMax": null});
    assert_eq!(shown["fleet"], none);
    assert_eq!(ask().status, 201);
}

#[test]
fn cards_beside_those_that_they_replace_count_also_when_many_ask_at_once() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let cards: Vec<String> = (0..32)
        .map(|_| plane.card(&json!({"agentId": agent})))
        .collect();
    cap(&plane, &json!({"cardsPerAgentMax": 34}));
    let until = now().plus_micros(3_600_000_000).rfc3339().to_string();
    let body = json!({"oldCardUntil": until});
    let ask = |card: &String| {
        let path = format!("/v1/cards/{card}/replace");
        plane.ask(&plane.owner, "POST", &path, &body).status
    };
    let made: Vec<u16> = thread::scope(|scope| {
        let asking: Vec<_> = cards
            .iter()
            .map(|card| scope.spawn(move || ask(card)))
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let count = made.iter().filter(|status| **status == 201).count();
    assert_eq!(count, 2, "{made:?}");
}

#[test]
fn an_agent_has_no_more_cards_than_the_cap_and_a_refused_one_is_not_ordered() {
    let mut plane = Plane::start();
    cap(&plane, &json!({"cardsPerAgentMax": 2}));
    let (agent, other) = (plane.agent(&json!({})), plane.agent(&json!({})));
    let body = json!({"customerId": plane.customer, "agentId": agent});
    let first = plane.card(&json!({"agentId": agent}));
    plane.card(&json!({"agentId": agent}));
    let full = |plane: &Plane| {
        let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
        assert_eq!(code(&refused, 409), "fleet_cap_reached");
    };
    full(&plane);
    plane.kill();
    plane.restart();
    full(&plane);
    let later = json!({"oldCardUntil": "2099-01-01T00:00:00Z"});
    let path = format!("/v1/cards/{first}");
    let far = plane.ask(&plane.owner, "POST", &format!("{path}/replace"), &later);
    assert_eq!(code(&far, 400), "invalid_request");
    // In its place is no place more.
    let new = plane.owner_asks("POST", &format!("{path}/replace"), &Value::Null, 201);
    full(&plane);
    plane.card(&json!({"agentId": other}));
    plane.card(&json!({}));
    plane.owner_asks(
        "DELETE",
        &format!("/v1/cards/{}", id(&new)),
        &Value::Null,
        200,
    );
    plane.card(&json!({"agentId": agent}));
    full(&plane);
    let path = plane.home.data_dir().join("sandbox/cards.jsonl");
    let ordered = std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(ordered, 6, "what was refused was not ordered");
}

#[test]
fn s3_agents_make_cards_only_where_they_may_for_themselves_and_under_their_policy() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({"limits": {"perAuth": 500}}));
    let other = plane.agent(&json!({}));
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    let body = json!({"customerId": plane.customer, "policy": {"limits": {"perAuth": 900}}});
    let ask = |body: &Value| plane.ask(&key, "POST", "/v1/cards", body);
    assert_eq!(code(&ask(&body), 403), "beyond_reach");
    cap(
        &plane,
        &json!({"agentMayCreateCards": true, "cardsPerAgentMax": 1}),
    );
    let theirs = json!({"customerId": plane.customer, "agentId": other});
    assert_eq!(code(&ask(&theirs), 404), "not_found");
    let nobodys = json!({"customerId": "cus_nobody"});
    assert_eq!(code(&ask(&nobodys), 404), "not_found");
    let made = ask(&body);
    assert_eq!(made.status, 201, "{}", made.text());
    let card = value(&made);
    assert_eq!(card["agentId"], *agent);
    // What it wrote itself loosens nothing.
    assert_eq!(plane.buy(&id(&card), 501), "VELOCITY_EXCEEDED");
    assert_eq!(plane.buy(&id(&card), 500), "APPROVED");
    assert_eq!(code(&ask(&body), 409), "fleet_cap_reached");
    // Where a card's policy would outrank the agent's, an agent writes none.
    cap(&plane, &json!({"agentMayCreateCards": true}));
    let path = format!("/v1/customers/{}", plane.customer);
    plane.owner_asks("PATCH", &path, &json!({"cascade": "override"}), 200);
    assert_eq!(code(&ask(&body), 403), "beyond_reach");
    assert_eq!(ask(&json!({"customerId": plane.customer})).status, 201);
    let limit = |interval: &str| {
        json!({"customerId": plane.customer,
            "limits": {"amount": 9_000, "currency": "USD", "interval": interval}})
    };
    assert_eq!(code(&ask(&limit("per_authorization")), 403), "beyond_reach");
    assert_eq!(ask(&limit("daily")).status, 201, "that is one counter more");
    let alone = json!({"customerId": plane.customer, "configuration": {"allowUnenforced": true}});
    assert_eq!(code(&ask(&alone), 403), "beyond_reach");
    // Nor does it change what it has.
    let path = format!("/v1/cards/{}", id(&card));
    let refused = plane.ask(&key, "PATCH", &path, &json!({"policy": null}));
    assert_eq!(code(&refused, 403), "scope_not_allowed");
}

#[test]
fn a_cap_that_is_none_is_refused_by_its_name() {
    let plane = Plane::start();
    let path = format!("/v1/customers/{}", plane.customer);
    for (fleet, field) in [
        (json!({"agentsMax": -1}), "fleet.agentsMax"),
        (
            json!({"cardsPerAgentMax": 1_000_001}),
            "fleet.cardsPerAgentMax",
        ),
        (json!({"agentsMax": 1.5}), "fleet.agentsMax"),
        (json!({"heldMax": -5}), "fleet.heldMax"),
        (json!({"spentMax": 5}), "fleet.spentMax"),
    ] {
        let refused = plane.ask(&plane.owner, "PATCH", &path, &json!({"fleet": fleet}));
        assert_eq!(code(&refused, 400), "invalid_request", "{fleet}");
        assert_eq!(value(&refused)["errors"][0]["field"], field);
    }
}

#[test]
fn what_a_fleet_holds_at_one_time_is_capped_until_it_is_posted() {
    let mut plane = Plane::start();
    let (agent, other) = (plane.agent(&json!({})), plane.agent(&json!({})));
    let card = plane.card(&json!({"agentId": agent}));
    let second = plane.card(&json!({"agentId": other}));
    assert_eq!(plane.buy(&card, 600), "APPROVED");
    cap(&plane, &json!({"heldMax": 1_000}));
    // What was held before counts.
    assert_eq!(plane.buy(&second, 401), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&second, 400), "APPROVED");
    assert_eq!(plane.buy(&card, 1), "INSUFFICIENT_FUNDS");
    plane.kill();
    plane.restart();
    assert_eq!(plane.buy(&card, 1), "INSUFFICIENT_FUNDS");
    let listed = plane.get(&format!("/v1/decisions?cardId={card}"))["data"].clone();
    let why = &listed[0]["explanation"];
    assert_eq!(why["field"], "fleet.heldMax", "{why}");
    assert_eq!(why["level"], "customer");
    assert_eq!(
        why["text"],
        "The customer's limit of 10.00 USD on what is held at one time would be exceeded: nothing remains."
    );
    let policy = plane.get(&format!("/v1/cards/{card}/policy"));
    let limits = policy["limits"].as_array().unwrap();
    let held = limits
        .iter()
        .find(|it| it["field"] == "fleet.heldMax")
        .unwrap();
    assert_eq!(held["remaining"], 0, "{held}");
    assert_eq!(held["held"], 1_000);
    // What is posted is held no more.
    let approved = |it: &&Value| it["decision"] == "approve";
    let first = listed.as_array().unwrap().iter().find(approved).unwrap();
    let authorization = first["authorization"].as_str().unwrap();
    assert_eq!(plane.clear(&card, authorization, 600), 200);
    assert_eq!(plane.buy(&second, 601), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&second, 600), "APPROVED");
    cap(&plane, &json!({"heldMax": null}));
    assert_eq!(plane.buy(&card, 5_000), "APPROVED");
    let path = format!("/v1/customers/{}", plane.customer);
    for wrong in [-1, i64::MAX] {
        let body = json!({"fleet": {"heldMax": wrong}});
        let refused = plane.ask(&plane.owner, "PATCH", &path, &body);
        assert_eq!(code(&refused, 400), "invalid_request");
        assert!(
            refused.text().contains("fleet.heldMax"),
            "{}",
            refused.text()
        );
    }
}

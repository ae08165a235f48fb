//! Intents and attestations through their doors, and what they do to authorizations (behaviour 6).

use serde_json::{Value, json};

use crate::plane::{Plane, code, value};
use crate::server::{millis_since, now};

const APPROVED: &str = "APPROVED";

/// A card with these rules, and the path of its intents.
fn card(plane: &Plane, policy: &Value) -> (String, String) {
    let card = plane.card(&json!({"policy": policy}));
    let path = format!("/v1/cards/{card}/intents");
    (card, path)
}

fn reason_of_last(plane: &Plane, card: &str) -> Value {
    plane.get(&format!("/v1/decisions?cardId={card}&limit=1"))["data"][0]["reason"].clone()
}

/// In minor units: the purchase is declined for this reason.
fn declined(plane: &Plane, card: &str, amount: u64, reason: &str) {
    assert_ne!(plane.buy(card, amount), APPROVED);
    assert_eq!(reason_of_last(plane, card), reason, "{amount}");
}

#[test]
fn one_intent_is_for_one_authorization_and_says_what_became_of_it() {
    let mut plane = Plane::start();
    let (card, path) = card(&plane, &json!({"requireIntent": true}));
    declined(&plane, &card, 500, "intent_required");
    let body = json!({"purpose": "Train to Bern", "intentId": "trip-1", "expectedAmount": 1000,
        "expectedMccs": ["7372", "5812"], "metadata": {"order": 7}});
    let made = plane.owner_asks("POST", &path, &body, 201);
    assert_eq!(made["state"], "pending");
    assert_eq!(made["maxAmount"], 1100, "a tenth is tolerated");
    assert_eq!(
        (&made["tolerance"], &made["tolerancePercent"]),
        (&Value::Null, &json!(10))
    );
    assert_eq!(made["ttlMinutes"], 30);
    assert_eq!(made["expectedCurrency"], "USD");
    assert_eq!(made["expectedMccs"], json!(["5812", "7372"]));
    assert_eq!(made["metadata"], json!({"order": 7}));
    declined(&plane, &card, 1_101, "intent_mismatch");
    assert_eq!(plane.buy(&card, 1_100), APPROVED);
    declined(&plane, &card, 100, "intent_required");
    let one = format!("{path}/trip-1");
    assert_eq!(plane.get(&one)["state"], "matched");
    // What is known is no second one, and another one cannot be called so.
    assert_eq!(
        plane.owner_asks("POST", &path, &body, 200)["state"],
        "matched"
    );
    declined(&plane, &card, 100, "intent_required");
    let other = json!({"purpose": "Train to Bern", "intentId": "trip-1", "expectedAmount": 900});
    let refused = plane.owner_asks("POST", &path, &other, 409);
    assert_eq!(refused["code"], "intent_conflict");
    let refused = plane.owner_asks("DELETE", &one, &Value::Null, 409);
    assert_eq!(refused["code"], "intent_closed");
    // What waits outlives a crash.
    let next = json!({"purpose": "And back", "intentId": "trip-2", "expectedAmount": 1000, "tolerance": 0});
    plane.owner_asks("POST", &path, &next, 201);
    plane.kill();
    plane.restart();
    declined(&plane, &card, 1_001, "intent_mismatch");
    assert_eq!(plane.buy(&card, 1_000), APPROVED);
    let listed = plane.get(&path);
    let states = listed["data"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|it| (&it["intentId"], &it["state"])).collect();
    let (matched, one, two) = (json!("matched"), json!("trip-1"), json!("trip-2"));
    assert_eq!(states, [(&two, &matched), (&one, &matched)]);
}

#[test]
fn an_intent_shows_what_is_in_force_of_it() {
    let plane = Plane::start();
    let (_, path) = card(&plane, &json!({"requireIntent": true}));
    let declare = |more: &Value, status: u16| {
        let mut body = json!({"purpose": "Something"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        plane.owner_asks("POST", &path, &body, status)
    };
    for (more, tolerance, percent, ttl) in [
        (json!({"ttlMinutes": 45}), Value::Null, Value::Null, 45),
        (json!({"expectedAmount": 100}), Value::Null, json!(10), 30),
        (
            json!({"expectedAmount": 100, "tolerance": 3}),
            json!(3),
            Value::Null,
            30,
        ),
        (
            json!({"expectedAmount": 100, "tolerancePercent": 0}),
            Value::Null,
            json!(0),
            30,
        ),
    ] {
        let made = declare(&more, 201);
        let shown = (
            &made["tolerance"],
            &made["tolerancePercent"],
            &made["ttlMinutes"],
        );
        assert_eq!(shown, (&tolerance, &percent, &json!(ttl)), "{more}");
    }
    for domain in ["amazon.com", "https://amazon.com/x"] {
        let refused = declare(&json!({"expectedMerchant": domain}), 400);
        assert_eq!(refused["errors"][0]["field"], "expectedMerchant");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("domain"), "{message}");
    }
    declare(&json!({"expectedMerchant": "AMAZON"}), 201);
}

#[test]
fn what_a_human_has_to_approve_waits_for_one() {
    let plane = Plane::start();
    let rules = json!({"requireIntent": true, "requireApproval": true, "autoApproveBelow": 500});
    let (card, path) = card(&plane, &rules);
    let declare = |name: &str, amount: i64| {
        let body = json!({"purpose": "Something", "intentId": name, "expectedAmount": amount,
            "tolerance": 0});
        plane.owner_asks("POST", &path, &body, 201)["state"].clone()
    };
    assert_eq!(declare("small", 499), "pending", "strictly below passes");
    assert_eq!(plane.buy(&card, 499), APPROVED);
    // A tolerance of the declarer's own lifts nothing to what a human has to approve.
    let body = json!({"purpose": "Something", "intentId": "wide", "expectedAmount": 1,
        "tolerance": 9_000_000});
    assert_eq!(
        plane.owner_asks("POST", &path, &body, 201)["maxAmount"],
        499
    );
    declined(&plane, &card, 500, "intent_mismatch");
    plane.owner_asks("DELETE", &format!("{path}/wide"), &Value::Null, 200);
    assert_eq!(declare("large", 500), "pending_approval");
    declined(&plane, &card, 500, "intent_pending_approval");
    let agent = plane.agent(&json!({}));
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    let act = |name: &str, verb: &str| format!("{path}/{name}/{verb}");
    let own = plane.ask(&key, "POST", &act("large", "approve"), &Value::Null);
    assert_eq!(code(&own, 403), "scope_not_allowed");
    let approved = plane.owner_asks("POST", &act("large", "approve"), &Value::Null, 200);
    assert_eq!(approved["state"], "pending");
    assert!(approved["decidedBy"].is_string() && approved["decidedAt"].is_string());
    assert_eq!(plane.buy(&card, 500), APPROVED);
    declare("unwanted", 600);
    let body = json!({"reason": "Too dear"});
    let rejected = plane.owner_asks("POST", &act("unwanted", "reject"), &body, 200);
    assert_eq!(
        (&rejected["state"], &rejected["reason"]),
        (&json!("rejected"), &json!("Too dear"))
    );
    declined(&plane, &card, 600, "intent_required");
    let late = plane.owner_asks("POST", &act("unwanted", "approve"), &Value::Null, 409);
    assert_eq!(late["code"], "intent_closed");
    let missing = plane.owner_asks("POST", &act("nobody", "approve"), &Value::Null, 404);
    assert_eq!(missing["code"], "not_found");
    // An intent without an amount is never small.
    let body = json!({"purpose": "Anything", "intentId": "any"});
    assert_eq!(
        plane.owner_asks("POST", &path, &body, 201)["state"],
        "pending_approval"
    );
    let gone = plane.owner_asks("DELETE", &format!("{path}/any"), &Value::Null, 200);
    assert_eq!(gone["state"], "canceled");
}

#[test]
fn an_attestation_lets_the_card_spend_for_its_window() {
    let plane = Plane::start();
    let card = plane.card(&json!({"policy": {"requireAttestation": true}}));
    declined(&plane, &card, 100, "attestation_required");
    let path = format!("/v1/cards/{card}/attestations");
    let body = json!({"statement": "I pay for the train", "intentId": "nobody"});
    let refused = plane.owner_asks("POST", &path, &body, 400);
    assert_eq!(refused["errors"][0]["field"], "intentId");
    let body = json!({"statement": "I pay for the train"});
    let made = plane.owner_asks("POST", &path, &body, 201);
    assert_eq!(made["statement"], body["statement"]);
    assert_eq!(plane.buy(&card, 100), APPROVED);
    let since = now();
    let classes = || {
        let decisions = plane.get(&format!("/v1/decisions?cardId={card}"));
        let decisions = decisions["data"].as_array().unwrap().clone();
        let class = |it: Value| it["attestation"].as_str().unwrap().to_owned();
        decisions.into_iter().map(class).collect::<Vec<_>>()
    };
    while classes() != ["attested", "unattested"] {
        assert!(millis_since(since) < 2_000, "{:?}", classes());
    }
    assert_eq!(plane.get(&path)["data"], json!([made]));
}

#[test]
fn what_is_wrong_with_an_intent_is_said_by_its_field() {
    let plane = Plane::start();
    let (card, path) = card(&plane, &json!({"requireIntent": true}));
    for (field, more) in [
        ("purpose", json!({"purpose": ""})),
        ("purpose", json!({"purpose": "\u{7}"})),
        ("intentId", json!({"intentId": "a b"})),
        ("expectedAmount", json!({"expectedAmount": -1})),
        ("expectedCurrency", json!({"expectedCurrency": "XXY"})),
        ("expectedMerchant", json!({"expectedMerchant": "  "})),
        ("expectedMccs[1]", json!({"expectedMccs": ["5812", "58"]})),
        ("tolerance", json!({"tolerance": 5})),
        ("tolerancePercent", json!({"tolerancePercent": 5})),
        (
            "tolerancePercent",
            json!({"expectedAmount": 9, "tolerance": 1, "tolerancePercent": 5}),
        ),
        (
            "tolerancePercent",
            json!({"expectedAmount": 9, "tolerancePercent": 101}),
        ),
        ("ttlMinutes", json!({"ttlMinutes": 0})),
        ("ttlMinutes", json!({"ttlMinutes": 1441})),
        ("metadata", json!({"metadata": [1]})),
        ("unheardOf", json!({"unheardOf": 1})),
    ] {
        let mut body = json!({"purpose": "Something"});
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let refused = plane.owner_asks("POST", &path, &body, 400);
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    assert_eq!(plane.get(&path)["data"], json!([]), "nothing was kept");
    declined(&plane, &card, 100, "intent_required");
    // As many as may wait, and no more.
    for number in 0..32 {
        let body = json!({"purpose": "One of many", "intentId": format!("n-{number}")});
        plane.owner_asks("POST", &path, &body, 201);
    }
    let body = json!({"purpose": "One too many", "intentId": "n-32"});
    let refused = plane.owner_asks("POST", &path, &body, 409);
    assert_eq!(refused["code"], "too_many_intents");
    assert_eq!(plane.get(&format!("{path}/n-32"))["state"], "canceled");
    plane.owner_asks("DELETE", &format!("{path}/n-3"), &Value::Null, 200);
    let response = plane.ask(&plane.owner, "POST", &path, &body);
    assert_eq!(value(&response)["intentId"], "n-32");
    assert_eq!(plane.get(&format!("{path}/n-32"))["state"], "pending");
}

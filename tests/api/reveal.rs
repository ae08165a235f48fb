//! A card's number, shown where its connection is set to, and kept nowhere (behaviour 5.12, 6.2).

use serde_json::{Value, json};

use crate::plane::{Plane, bearer, code, value};
use crate::server::{Response, find};

fn reveal(plane: &Plane, key: &str, card: &str) -> Response {
    let path = format!("/v1/cards/{card}/reveal");
    plane.ask(key, "POST", &path, &Value::Null)
}

fn text(shown: &Value, field: &str) -> String {
    shown[field].as_str().unwrap().to_owned()
}

/// The check digit of card numbers.
fn passes_check(number: &str) -> bool {
    let digits = number.chars().rev().map(|c| c.to_digit(10).unwrap());
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| [digit, digit * 2 / 10 + digit * 2 % 10][place % 2])
        .sum();
    sum.is_multiple_of(10)
}

#[test]
fn s15_a_number_is_shown_to_whoever_may_see_it_and_stands_nowhere_else() {
    let mut plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let key = |agent: &str| plane.key(&json!({"scope": "agent", "agentId": agent}));
    let (own, other) = (key(&agent), key(&plane.agent(&json!({}))));
    let card = plane.card(&json!({"agentId": agent}));
    let headers = format!("{}idempotency-key: once\r\n", bearer(&plane.owner));
    let path = format!("/v1/cards/{card}/reveal");
    let answer = plane.ask_with("POST", &path, &headers, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let shown = value(&answer);
    let (number, last4) = (
        text(&shown, "number"),
        plane.get(&format!("/v1/cards/{card}")),
    );
    assert!(number.ends_with(&text(&last4, "last4")), "{number}");
    assert!(number.len() == 16 && passes_check(&number), "{number}");
    assert_eq!(text(&shown, "cvv").len(), 3);
    assert_eq!(shown["expYear"], last4["expYear"]);
    // The same key shows it again: the answer was not kept.
    let again = plane.ask_with("POST", &path, &headers, "");
    assert_eq!(again.header("idempotent-replayed"), None);
    assert_eq!(value(&again), shown);
    assert_eq!(value(&reveal(&plane, &own, &card)), shown);
    assert_eq!(code(&reveal(&plane, &other, &card), 404), "not_found");
    let log = plane.get("/v1/audit?limit=200");
    let told = log["data"].as_array().unwrap().iter();
    let told = told.filter(|it| it["entry"]["action"] == format!("POST {path}"));
    let outcomes: Vec<&str> = told
        .map(|it| it["entry"]["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes[..3], ["200", "200", "200"], "{log}");
    stands_nowhere(&mut plane, &number);
}

/// No file of the stopped server has the number in it.
fn stands_nowhere(plane: &mut Plane, number: &str) {
    plane.stop();
    let folder = plane.home.path(".");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(find(&bytes, number.as_bytes()).is_none(), "{path:?}");
            }
        }
    }
}

#[test]
fn nothing_is_shown_of_a_card_that_is_stopped_nor_too_often() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let path = format!("/v1/cards/{card}");
    let ask = || reveal(&plane, &plane.owner, &card);
    let patch = |status: &str| {
        plane.owner_asks("PATCH", &path, &json!({"status": status}), 200);
    };
    patch("locked");
    assert_eq!(code(&ask(), 409), "card_stopped");
    patch("active");
    plane.owner_asks("POST", &format!("{path}/freeze"), &Value::Null, 200);
    assert_eq!(code(&ask(), 409), "card_stopped");
    plane.owner_asks("POST", &format!("{path}/unfreeze"), &Value::Null, 200);
    let suspend = |status: &str| {
        let customer = format!("/v1/customers/{}", plane.customer);
        plane.owner_asks("PATCH", &customer, &json!({"status": status}), 200);
    };
    suspend("suspended");
    assert_eq!(code(&ask(), 409), "card_stopped");
    suspend("active");
    let answers: Vec<u16> = (0..12).map(|_| ask().status).collect();
    // However the minute turns meanwhile.
    assert!(
        answers.contains(&200) && answers.contains(&429),
        "{answers:?}"
    );
    assert!(answers.iter().filter(|it| **it == 200).count() <= 10);
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
    assert_eq!(code(&ask(), 409), "card_canceled");
    let over = plane.card(&json!({"policy": {"validUntil": "2020-01-01T00:00:00Z"}}));
    let refused = reveal(&plane, &plane.owner, &over);
    assert_eq!(code(&refused, 409), "card_stopped");
}

#[test]
fn intents_and_attestations_gate_what_is_shown() {
    let plane = Plane::start();
    let ask = |card: &str| reveal(&plane, &plane.owner, card);
    let card = plane.card(&json!({"policy": {"requireApproval": true}}));
    let path = format!("/v1/cards/{card}");
    assert_eq!(code(&ask(&card), 409), "reveal_gated");
    let intent = json!({"purpose": "a train", "intentId": "trip", "expectedAmount": 900});
    plane.owner_asks("POST", &format!("{path}/intents"), &intent, 201);
    assert_eq!(
        code(&ask(&card), 409),
        "reveal_gated",
        "nobody has approved it"
    );
    let approve = format!("{path}/intents/trip/approve");
    plane.owner_asks("POST", &approve, &Value::Null, 200);
    assert_eq!(ask(&card).status, 200);
    plane.owner_asks("DELETE", &format!("{path}/intents/trip"), &Value::Null, 200);
    assert_eq!(code(&ask(&card), 409), "reveal_gated");

    let card = plane.card(&json!({"policy": {"requireAttestation": true}}));
    assert_eq!(code(&ask(&card), 409), "reveal_gated");
    let attest = format!("/v1/cards/{card}/attestations");
    let said = json!({"statement": "I buy a ticket"});
    plane.owner_asks("POST", &attest, &said, 201);
    assert_eq!(ask(&card).status, 200);
}

#[test]
fn s15_the_simple_form_shows_number_and_balance_under_the_same_gates() {
    let mut plane = Plane::start();
    let body = json!({"label": "lunch", "limit_usd": 50});
    let headers = format!("{}idempotency-key: one\r\n", bearer(&plane.owner));
    let create = || plane.ask_with("POST", "/api/v1/cards", &headers, &body.to_string());
    let made = value(&create());
    assert!(made.get("number").is_none(), "{made}");
    let card = text(&made, "id");
    let path = format!("/api/v1/cards/{card}/reveal");
    let ask = |key: &str| plane.ask(key, "POST", &path, &Value::Null);
    assert_eq!(plane.buy(&card, 1_200), "APPROVED");
    let again = format!("{}idempotency-key: two\r\n", bearer(&plane.owner));
    let answer = plane.ask_with("POST", &path, &again, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = value(&answer);
    let long = value(&reveal(&plane, &plane.owner, &card));
    for (field, of_long) in [
        ("number", "number"),
        ("cvv", "cvv"),
        ("exp_year", "expYear"),
        ("exp_month", "expMonth"),
    ] {
        assert_eq!(shown[field], long[of_long], "{shown}");
    }
    assert_eq!(shown["balance_cents"], 3_800);
    let number = text(&shown, "number");
    // Nobody else sees it, and not one that is no card of this form.
    let viewer = plane.key(&json!({"scope": "viewer"}));
    assert_eq!(ask(&viewer).status, 403);
    let other = plane.card(&json!({}));
    let of_other = format!("/api/v1/cards/{other}/reveal");
    let refused = plane.ask(&plane.owner, "POST", &of_other, &Value::Null);
    assert_eq!(code(&refused, 404), "not_found");
    let again = value(&create());
    assert_eq!(again, made, "a repetition of the creation");
    let freeze = format!("/v1/cards/{card}/freeze");
    plane.owner_asks("POST", &freeze, &Value::Null, 200);
    assert_eq!(code(&ask(&plane.owner), 409), "card_stopped");
    let log = plane.get("/v1/audit?limit=200")["data"].clone();
    let mut told = log.as_array().unwrap().iter();
    let action = format!("POST {path}");
    assert!(told.any(|it| it["entry"]["action"] == action && it["entry"]["outcome"] == "200"));
    stands_nowhere(&mut plane, &number);
}

//! Idempotency keys to the letter (behaviour 4.5).

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::plane::{Plane, bearer, code, id, request, value};
use crate::server::{Client, Response, now};

fn keyed(plane: &Plane, key: &str, path: &str, body: &str) -> Response {
    let headers = format!("{}idempotency-key: {key}\r\n", bearer(&plane.owner));
    plane.ask_with("POST", path, &headers, body)
}

fn count(plane: &Plane) -> usize {
    plane.get("/v1/cards?limit=200")["data"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn the_same_request_gets_the_same_answer_once_carried_out_also_after_a_kill() {
    let mut plane = Plane::start();
    let customer = plane.customer.clone();
    let body = format!(r#"{{"customerId":"{customer}","usage":"single"}}"#);
    let first = keyed(&plane, "k1", "/v1/cards", &body);
    assert_eq!(first.status, 201);
    assert_eq!(first.header("idempotent-replayed"), None);
    // Another order of fields, other white space: the same body.
    let same = format!("{{ \"usage\" : \"single\",\n \"customerId\":\"{customer}\" }}");
    for at in 0..3 {
        let again = keyed(
            &plane,
            "k1",
            "/v1/cards",
            if at == 0 { &body } else { &same },
        );
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        plane.kill();
        plane.restart();
    }
    assert_eq!(count(&plane), 1);
    let other = format!(r#"{{"customerId":"{customer}","usage":"multi"}}"#);
    let refused = keyed(&plane, "k1", "/v1/cards", &other);
    assert_eq!(code(&refused, 422), "idempotency_conflict");
    let path = format!("/v1/cards/{}/freeze", id(&value(&first)));
    let refused = keyed(&plane, "k1", &path, "");
    assert_eq!(code(&refused, 422), "idempotency_conflict", "another path");
    assert_eq!(keyed(&plane, "k2", "/v1/cards", &body).status, 201);
    assert_eq!(count(&plane), 2);
}

#[test]
fn keys_of_two_callers_have_nothing_to_do_with_each_other() {
    let plane = Plane::start();
    let body = json!({"customerId": plane.customer}).to_string();
    let second = plane.key(&json!({"scope": "owner"}));
    let first = keyed(&plane, "k", "/v1/cards", &body);
    let headers = format!("{}idempotency-key: k\r\n", bearer(&second));
    let other = plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!((first.status, other.status), (201, 201));
    assert_ne!(id(&value(&first)), id(&value(&other)));
}

#[test]
fn refusals_are_kept_and_a_later_success_does_not_change_them() {
    let plane = Plane::start();
    let body = json!({"customerId": plane.customer, "colour": "red"}).to_string();
    let first = keyed(&plane, "bad", "/v1/cards", &body);
    assert_eq!(code(&first, 400), "invalid_request");
    let again = keyed(&plane, "bad", "/v1/cards", &body);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        again.header("content-type"),
        Some("application/problem+json")
    );
    let good = json!({"customerId": plane.customer}).to_string();
    let refused = keyed(&plane, "bad", "/v1/cards", &good);
    assert_eq!(code(&refused, 422), "idempotency_conflict");
}

/// Behaviour 4.5: a refusal that a rule makes is an answer like any other.
#[test]
fn refusals_by_how_things_stand_are_kept_too() {
    let plane = Plane::start();
    let path = format!("/v1/customers/{}", plane.customer);
    let cap = |most: i64| {
        let body = json!({"fleet": {"agentsMax": most}});
        plane.owner_asks("PATCH", &path, &body, 200);
    };
    let first = |key: &str, path: &str, body: &str, word: &str| {
        let first = keyed(&plane, key, path, body);
        assert_eq!(code(&first, 409), word);
        assert_eq!(first.header("idempotent-replayed"), None);
        first
    };
    let again = |key: &str, path: &str, body: &str, first: &Response| {
        let again = keyed(&plane, key, path, body);
        assert_eq!((again.status, &again.body), (409, &first.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    };
    plane.agent(&json!({}));
    cap(1);
    let agent = json!({"customerId": plane.customer}).to_string();
    let full = first("full", "/v1/agents", &agent, "fleet_cap_reached");
    cap(3);
    again("full", "/v1/agents", &agent, &full);
    assert_eq!(keyed(&plane, "room", "/v1/agents", &agent).status, 201);
    let card = plane.card(&json!({}));
    plane.owner_asks("DELETE", &format!("/v1/cards/{card}"), &Value::Null, 200);
    let path = format!("/v1/cards/{card}/intents");
    let body = json!({"purpose": "Something"}).to_string();
    let late = first("late", &path, &body, "card_canceled");
    again("late", &path, &body, &late);
    // What a key's reach does not allow is told once and for ever, too.
    let agent = plane.key(&json!({"scope": "agent", "agentId": plane.agent(&json!({}))}));
    let headers = format!("{}idempotency-key: k\r\n", bearer(&agent));
    let body = json!({"customerId": plane.customer}).to_string();
    let ask = || plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!(code(&ask(), 403), "beyond_reach");
    assert_eq!(ask().header("idempotent-replayed"), Some("true"));
}

#[test]
fn a_key_has_at_most_255_characters() {
    let plane = Plane::start();
    let body = json!({"customerId": plane.customer}).to_string();
    let longest = "k".repeat(255);
    assert_eq!(keyed(&plane, &longest, "/v1/cards", &body).status, 201);
    for key in [&"k".repeat(256), "", "\u{e9}"] {
        let refused = keyed(&plane, key, "/v1/cards", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{key}");
        assert_eq!(value(&refused)["errors"][0]["field"], "Idempotency-Key");
    }
    assert_eq!(count(&plane), 1);
}

#[test]
fn of_many_at_a_time_one_is_carried_out_and_the_others_wait_or_get_its_answer() {
    let plane = Plane::start();
    let body = json!({"customerId": plane.customer}).to_string();
    for round in 0..5 {
        let headers = format!("{}idempotency-key: race-{round}\r\n", bearer(&plane.owner));
        let request = request("POST", "/v1/cards", &headers, &body);
        let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(plane.listen())).collect();
        for client in &mut clients {
            client.send(request.as_bytes());
        }
        let responses: Vec<Response> = clients.iter_mut().map(Client::response).collect();
        let made: Vec<&Response> = responses.iter().filter(|it| it.status == 201).collect();
        assert!(!made.is_empty());
        assert!(made.iter().all(|it| it.body == made[0].body), "one card");
        let fresh = made
            .iter()
            .filter(|it| it.header("idempotent-replayed").is_none());
        assert_eq!(fresh.count(), 1, "carried out once");
        for waiting in responses.iter().filter(|it| it.status != 201) {
            assert_eq!(code(waiting, 409), "idempotency_in_progress");
            assert_eq!(waiting.header("retry-after"), Some("1"));
        }
        assert_eq!(count(&plane), round + 1);
    }
}

#[test]
fn who_hangs_up_finds_it_done_and_no_card_is_made_twice_however_often_we_are_killed() {
    let mut plane = Plane::start();
    let customer = plane.customer.clone();
    let body = json!({"customerId": customer}).to_string();
    for round in 0..6 {
        let headers = format!("{}idempotency-key: crash-{round}\r\n", bearer(&plane.owner));
        let request = request("POST", "/v1/cards", &headers, &body);
        let mut stream = TcpStream::connect(plane.listen()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if round % 2 == 0 {
            // Killed somewhere between the first byte and the answer.
            plane.kill();
            plane.restart();
        }
        drop(stream);
        let ask = |_| {
            let response = plane.ask_with("POST", "/v1/cards", &headers, &body);
            if response.status == 409 {
                // On a busy machine the first one takes its time.
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            response
        };
        let response = (0..2_000).map(ask).find(|it| it.status != 409);
        let response = response.expect("it is never done");
        assert_eq!(response.status, 201, "{}", response.text());
        let card = id(&value(&response));
        assert_eq!(count(&plane), round + 1);
        assert_eq!(plane.buy(&card, 100), "APPROVED");
    }
    // Nor did the issuer make one that nobody knows.
    let path = plane.home.data_dir().join("sandbox/cards.jsonl");
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 6);
}

#[test]
fn a_key_that_is_used_again_after_its_time_is_a_new_one() {
    let mut plane = Plane::start();
    let body = json!({"customerId": plane.customer}).to_string();
    let first = id(&value(&keyed(&plane, "old", "/v1/cards", &body)));
    plane.kill();
    forget_replies(&plane);
    plane.restart();
    let response = keyed(&plane, "old", "/v1/cards", &body);
    assert_eq!(response.status, 201, "{}", response.text());
    let second = id(&value(&response));
    assert_ne!(second, first);
    for card in [&first, &second] {
        assert_eq!(plane.buy(card, 100), "APPROVED");
    }
}

/// As two days do.
fn forget_replies(plane: &Plane) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = plane.database.open(&plane.home.data_dir()).await.unwrap();
        let later = now().plus_micros(1);
        store.forget_replies(later).await.unwrap();
        store.close().await.unwrap();
    });
}

#[test]
fn a_key_that_is_shown_once_is_not_kept_for_a_repetition() {
    let plane = Plane::start();
    let body = json!({"scope": "viewer"}).to_string();
    let first = value(&keyed(&plane, "key", "/v1/api-keys", &body));
    assert!(first["key"].is_string());
    let again = keyed(&plane, "key", "/v1/api-keys", &body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let again = value(&again);
    assert_eq!((&again["id"], &again["key"]), (&first["id"], &Value::Null));
}

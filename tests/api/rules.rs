//! What rules: the database, or a file (docs/decisions/0012-two-sources-of-rules.md).

use std::fs;

use serde_json::{Value, json};

use crate::plane::{Plane, code};
use crate::server::{Home, SnapshotOf, authorization};

#[test]
fn where_a_file_rules_the_api_changes_nothing_and_the_file_decides() {
    let mut plane = Plane::start();
    let card = plane.card(&json!({}));
    assert_eq!(plane.buy(&card, 100), "APPROVED");
    plane.server().post("/admin/reload"); // There is no file: a 409, and nothing happens.
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("of-file", "cus", None, &json!({}));
    let mut file = snapshot.build();
    file["cards"][0]["connection"] = json!("sandbox");
    plane.home.write("snapshot.json", &file.to_string());
    let path = plane.home.path("snapshot.json").display().to_string();
    plane.restart_with(&["--snapshot", &path]);
    // Looking is allowed; the card of the database is in no rule, so it is not approved.
    assert_eq!(plane.get(&format!("/v1/cards/{card}"))["status"], "active");
    assert_eq!(plane.buy(&card, 100), "CARD_PAUSED");
    for (method, path, body) in [
        ("POST", "/v1/customers".to_owned(), json!({})),
        (
            "POST",
            "/v1/agents".to_owned(),
            json!({"customerId": plane.customer}),
        ),
        (
            "POST",
            "/v1/cards".to_owned(),
            json!({"customerId": plane.customer}),
        ),
        (
            "PATCH",
            format!("/v1/cards/{card}"),
            json!({"policy": null}),
        ),
        ("POST", format!("/v1/cards/{card}/freeze"), Value::Null),
        ("DELETE", format!("/v1/cards/{card}"), Value::Null),
        (
            "PATCH",
            format!("/v1/customers/{}", plane.customer),
            json!({"name": "Eve"}),
        ),
    ] {
        let refused = plane.ask(&plane.owner, method, &path, &body);
        assert_eq!(
            code(&refused, 409),
            "snapshot_file_rules",
            "{method} {path}"
        );
    }
    let lines = fs::read_to_string(plane.home.data_dir().join("sandbox/cards.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1, "no card was ordered");
    plane.restart();
    assert_eq!(plane.get(&format!("/v1/cards/{card}"))["status"], "active");
    assert_eq!(plane.buy(&card, 100), "APPROVED");
}

#[test]
fn a_reload_where_the_database_rules_says_so() {
    let plane = Plane::start();
    let refused = plane.server().post("/admin/reload");
    assert_eq!(code(&refused, 409), "no_snapshot_file");
}

#[test]
fn without_a_database_the_file_rules_and_every_key_is_unknown() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("card-1", "cus", None, &json!({}));
    let home = Home::new("strict", &snapshot.build());
    let server = home.start();
    let url = server.ready["listen"].as_str().unwrap().to_owned();
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = crate::server::Client::connect(address);
    let refused = client.ask(b"GET /v1/cards HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(code(&refused, 401), "unauthorized");
    assert!(refused.text().contains("countersign init"));
    let missing = client.ask(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(code(&missing, 404), "no_such_path");
    let health = client.ask(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!((health.status, &*health.body), (200, &b"ok\n"[..]));
    let bought = server.client().ask(&authorization("a-1", "card-1", 100));
    assert_eq!(bought.result(), "APPROVED");
    assert!(
        !home.data_dir().join("control").exists(),
        "none is made unasked"
    );
}

#[test]
fn many_rows_are_in_force_after_a_start() {
    let mut plane = Plane::start();
    let agent = plane.agent(&json!({"limits": {"perAuth": 500}}));
    let cards: Vec<String> = (0..30)
        .map(|_| plane.card(&json!({"agentId": agent})))
        .collect();
    plane.kill();
    plane.restart();
    for card in &cards {
        assert_eq!(plane.buy(card, 500), "APPROVED");
    }
    assert_eq!(plane.buy(&cards[0], 501), "VELOCITY_EXCEEDED");
}

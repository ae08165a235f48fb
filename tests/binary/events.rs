//! Lithic's `card_transaction.updated` at `/issuers/acme/events`: who is heard, what is answered, and
//! where the books stand then (behaviour 2.13 f to h, 2.16).

use std::fs;

use serde_json::{Value, json};

use crate::reload::wait_until;
use crate::server::{
    Home, Response, Server, SnapshotOf, authorization, delivery, now, purchase, signature,
};

const AUTHORIZATION: &str = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";
const CARD: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";

fn home() -> Home {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({"limits": {"perDay": 10_000}}));
    Home::new("strict", &snapshot.build())
}

fn fixture(name: &str) -> String {
    let path = format!(
        "{}/fixtures/lithic/event.{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn post(server: &Server, signed: &str, body: &str) -> Response {
    let request = format!(
        "POST /issuers/acme/events HTTP/1.1\r\nhost: countersign\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{signed}\r\n{body}",
        body.len()
    );
    server.client().ask(request.as_bytes())
}

fn event(server: &Server, body: &str) -> Response {
    post(
        server,
        &signature("acme", "msg_1", now(), body.as_bytes()),
        body,
    )
}

/// What becomes of the event of this name.
fn status(server: &Server, name: &str) -> String {
    let response = event(server, &fixture(name));
    assert_eq!(response.status, 200, "{name}: {}", response.text());
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["status"].as_str().unwrap().to_owned()
}

fn outcome(server: &Server) -> Value {
    server.admin(&format!("/admin/authorizations/acme/{AUTHORIZATION}"))["outcome"].clone()
}

/// Spent and held on the card today.
fn today(server: &Server) -> [i64; 2] {
    let card = server.admin(&format!("/admin/cards/{CARD}"));
    let limit = &card["limits"][0];
    [
        limit["spent"].as_i64().unwrap(),
        limit["held"].as_i64().unwrap(),
    ]
}

#[test]
fn i1_i9_a_lithic_authorization_is_held_posted_and_let_go_over_a_restart() {
    let home = home();
    let server = home.start();
    let asked = server
        .client()
        .ask(&authorization(AUTHORIZATION, CARD, 2_599));
    assert!(asked.is_approval(), "{}", asked.text());
    assert_eq!(outcome(&server), json!(null));
    assert_eq!(status(&server, "authorized"), "applied");
    assert_eq!(today(&server), [2_599, 2_599]);
    assert_eq!(status(&server, "cleared_partly"), "applied");
    let partly = outcome(&server);
    assert_eq!([&partly["held"], &partly["posted"]], [1_599, 1_000]);
    assert_eq!(today(&server), [2_599, 1_599]);
    assert_eq!(status(&server, "authorized"), "stale");
    assert_eq!(status(&server, "cleared_partly"), "duplicate");
    server.kill();

    let server = home.start();
    assert_eq!(today(&server), [2_599, 1_599]);
    assert_eq!(status(&server, "cleared_partly"), "duplicate");
    assert_eq!(outcome(&server), partly);
    let decisions = server.admin(&format!("/admin/decisions?authorization={AUTHORIZATION}"));
    let decision = &decisions["decisions"][0];
    assert_eq!(decision["outcome"], partly, "{decision}");
    assert_eq!(decision["approvedAmount"], 2_599);
    let metrics = server.admin_text("/metrics");
    let line = "countersign_events_total{connection=\"acme\",status=\"duplicate\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(server.terminate().success());
}

/// Behaviour 3.8: nobody was asked about the first; the second was approved here, the third declined.
#[test]
fn what_lithic_declines_by_itself_is_a_record_once_and_moves_nothing() {
    let home = home();
    let server = home.start();
    let [unasked, approved, declined] = ["unasked", "approved", "declined"];
    let asked = |id: &str, amount| server.client().ask(&authorization(id, CARD, amount));
    assert!(asked(approved, 2_599).is_approval());
    assert_eq!(asked(declined, 20_000).result(), "INSUFFICIENT_FUNDS");
    let tell = |server: &Server, id: &str| {
        let body = fixture("declined").replace(AUTHORIZATION, id);
        let answer = event(server, &body);
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        answer.text()
    };
    assert_eq!(today(&server), [2_599, 2_599]);
    for id in [unasked, approved, declined] {
        assert_eq!(tell(&server, id), r#"{"status":"applied"}"#, "{id}");
        assert_eq!(tell(&server, id), r#"{"status":"duplicate"}"#, "{id}");
    }
    assert_eq!(
        today(&server),
        [0, 0],
        "nothing is left of what we approved"
    );
    let records = |server: &Server, id: &str| -> Vec<Value> {
        let shown = server.admin(&format!("/admin/decisions?authorization={id}"));
        let records = shown["decisions"].as_array().unwrap().iter().rev();
        let said = |it: &Value| json!([it["step"], it["decision"], it["reason"], it["amount"]]);
        records.map(said).collect()
    };
    let check = |server: &Server| {
        let theirs = |step: u32| json!([step, "decline", "declined_by_issuer", 2_599]);
        assert_eq!(records(server, unasked), [theirs(1)]);
        let ours = json!([1, "approve", null, 2_599]);
        assert_eq!(records(server, approved), [ours, theirs(2)]);
        let ours = json!([1, "decline", "card_limit_exceeded", 20_000]);
        assert_eq!(records(server, declined), [ours]);
        let found = server.admin(&format!("/admin/decisions?authorization={unasked}"));
        let found = &found["decisions"][0];
        assert_eq!([&found["card"], &found["customer"]], [CARD, "cus"]);
        assert_eq!(found["connection"], "acme");
        let by_id = server.admin(&format!(
            "/admin/decisions/{}",
            found["id"].as_str().unwrap()
        ));
        assert_eq!(by_id["reason"], "declined_by_issuer");
    };
    check(&server);
    let metrics = server.admin_text("/metrics");
    let line = "countersign_alerts_total{connection=\"acme\",what=\"declined_by_issuer\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    server.kill();
    let server = home.start();
    assert_eq!(tell(&server, unasked), r#"{"status":"duplicate"}"#);
    check(&server);
    assert!(server.terminate().success());
}

/// Behaviour 11.3: what a card has spent outlives its leaving of the snapshot, and so do its events.
#[test]
fn an_event_of_a_card_that_left_the_snapshot_is_booked() {
    let home = home();
    let with_it = fs::read_to_string(home.path("snapshot.json")).unwrap();
    let server = home.start();
    server
        .client()
        .ask(&authorization(AUTHORIZATION, CARD, 2_599));
    assert!(server.terminate().success());
    let mut without = SnapshotOf::default();
    without.customer("cus", &json!({}));
    without.card("another", "cus", None, &json!({}));
    home.write("snapshot.json", &without.build().to_string());
    let server = home.start();
    let asked = server.client().ask(&authorization("later", CARD, 1));
    assert!(!asked.is_approval(), "{}", asked.text());
    assert_eq!(status(&server, "cleared_partly"), "applied");
    let partly = outcome(&server);
    assert_eq!([&partly["held"], &partly["posted"]], [1_599, 1_000]);
    assert!(server.terminate().success());

    home.write("snapshot.json", &with_it);
    let server = home.start();
    assert_eq!(outcome(&server), partly);
    assert_eq!(today(&server), [2_599, 1_599]);
    assert!(server.terminate().success());
}

#[test]
fn i10_a_decline_there_gives_back_what_was_approved_here() {
    let server = home().start();
    server
        .client()
        .ask(&authorization(AUTHORIZATION, CARD, 2_599));
    assert_eq!(status(&server, "timed_out"), "applied");
    assert_eq!(today(&server), [0, 0]);
    let outcome = outcome(&server);
    assert_eq!(outcome["state"], "declined", "{outcome}");
    assert!(server.terminate().success());
}

#[test]
fn i3_what_is_posted_without_us_counts_and_is_marked() {
    let server = home().start();
    assert_eq!(status(&server, "forced"), "applied");
    let forced = fixture("forced");
    let body: Value = serde_json::from_str(&forced).unwrap();
    let token = body["token"].as_str().unwrap();
    let shown = server.admin(&format!("/admin/authorizations/acme/{token}"));
    assert_eq!(shown["outcome"]["flags"], json!(["forced"]), "{shown}");
    assert_eq!(shown["steps"], json!([]));
    let posted = shown["outcome"]["posted"].as_i64().unwrap();
    assert!(posted > 0);
    assert_eq!(today(&server), [posted, 0]);
    let metrics = server.admin_text("/metrics");
    let line = "countersign_alerts_total{connection=\"acme\",what=\"forced\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(server.terminate().success());
}

#[test]
fn w1_w6_w11_only_the_issuer_is_heard_and_only_what_is_understood_is_booked() {
    let server = home().start();
    let body = fixture("authorized");
    let good = signature("acme", "msg_1", now(), body.as_bytes());
    assert_eq!(post(&server, "", &body).status, 401);
    let others = signature("beta", "msg_1", now(), body.as_bytes());
    assert_eq!(post(&server, &others, &body).status, 401);
    assert_eq!(
        post(&server, &good, &body.replace("2599", "2600")).status,
        401
    );
    let refused = event(&server, &body.replace("\"PENDING\"", "\"PENDULOUS\""));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.code().as_deref(), Some("not_understood"));
    assert!(
        refused.text().contains("field status"),
        "{}",
        refused.text()
    );
    assert_eq!(status(&server, "other"), "ignored");
    assert_eq!(today(&server), [0, 0]);
    assert_eq!(post(&server, &good, &body).status, 200);
    assert!(server.terminate().success());
}

/// A card that is in no snapshot: kept with its connection, counted nowhere.
#[test]
fn what_is_reported_of_an_unknown_card_is_kept_and_counts_nowhere() {
    let server = home().start();
    let stranger = fixture("cleared").replace(CARD, "somebody-elses");
    for expected in ["applied", "duplicate"] {
        let answer = event(&server, &stranger);
        assert_eq!(answer.text(), format!("{{\"status\":\"{expected}\"}}"));
    }
    let shown = server.admin(&format!("/admin/authorizations/acme/{AUTHORIZATION}"));
    assert_eq!(shown["customerId"], json!(null));
    assert_eq!(shown["outcome"]["posted"], 2_599, "{shown}");
    assert_eq!(today(&server), [0, 0]);
    assert!(server.terminate().success());
}

/// A single-use card goes back to the merchant that had it, and to nobody else (behaviour 2.14 a).
#[test]
fn after_a_full_reversal_the_same_merchant_may_ask_again() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.single_use_card(CARD, "cus");
    let mut snapshot = snapshot.build();
    snapshot["cards"][0]["policy"] = json!({"reauthorizeSameMerchant": true});
    let home = Home::new("strict", &snapshot);
    let server = home.start();
    let ask = |token: &str, merchant: &str| {
        let body = purchase(token, CARD, 2_599).replace("API HOST GMBH", merchant);
        let body = body.replace("ACC000000000001", &format!("ACC{merchant}"));
        let answer = server.client().ask(&delivery(token, body.as_bytes()));
        answer.result()
    };
    assert_eq!(ask(AUTHORIZATION, "FIRST"), "APPROVED");
    assert_eq!(ask("a-2", "FIRST"), "VELOCITY_EXCEEDED");
    assert_eq!(status(&server, "reversed"), "applied");
    assert_eq!(today_total(&server), 0);
    assert_eq!(ask("a-3", "SECOND"), "UNAUTHORIZED_MERCHANT");
    assert_eq!(ask("a-4", "FIRST"), "APPROVED");
    assert!(server.terminate().success());
}

/// What the card holds.
fn today_total(server: &Server) -> i64 {
    let card = server.admin(&format!("/admin/cards/{CARD}"));
    let holds = card["holds"].as_array().unwrap();
    holds.iter().map(|it| it["amount"].as_i64().unwrap()).sum()
}

/// The lock is for authorizations; money that has moved is booked, and the operator is told.
#[test]
fn m_a_clearing_of_another_merchant_is_booked_and_told() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({"lockToFirstMerchant": true}));
    let home = Home::new("strict", &snapshot.build());
    let server = home.start();
    let asked = server
        .client()
        .ask(&authorization(AUTHORIZATION, CARD, 2_599));
    assert!(asked.is_approval());
    assert_eq!(status(&server, "cleared_partly"), "applied");
    assert_eq!(outcome(&server)["flags"], json!([]));
    let other = fixture("cleared").replace("API HOST GMBH", "SOMEBODY ELSE");
    let other = other.replace("ACC000000000001", "ACC000000000002");
    // A later account, as it has more events than the one before.
    let event_of_it = "\"events\": [";
    let noted = r#""events": [{"token": "e-9", "type": "BALANCE_INQUIRY", "result": "APPROVED", "amount": 0},"#;
    let other = other.replacen(event_of_it, noted, 1);
    assert_eq!(event(&server, &other).text(), r#"{"status":"applied"}"#);
    let outcome = outcome(&server);
    assert_eq!([&outcome["held"], &outcome["posted"]], [0, 2_599]);
    assert_eq!(outcome["flags"], json!(["drift"]), "{outcome}");
    assert!(server.terminate().success());
}

/// An authorization that is reported before it is asked is taken: the same id for another customer's
/// card contradicts it (behaviour 2.4), with or without a restart in between.
#[test]
fn b4_an_authorization_that_was_only_reported_is_taken_for_all_customers() {
    let mut snapshot = SnapshotOf::default();
    for (customer, card) in [("one", CARD), ("other", "card-other")] {
        snapshot.customer(customer, &json!({}));
        snapshot.card(card, customer, None, &json!({}));
    }
    let home = Home::new("strict", &snapshot.build());
    let server = home.start();
    assert_eq!(status(&server, "authorized"), "applied");
    let contradicts = |server: &Server, amount| {
        let ask = authorization(AUTHORIZATION, "card-other", amount);
        assert!(!server.client().ask(&ask).is_approval());
        let newest = || server.admin("/admin/decisions?limit=1")["decisions"][0].clone();
        wait_until("it is shown", || newest()["amount"] == amount);
        assert_eq!(newest()["reason"], "conflicting_duplicate", "{}", newest());
    };
    contradicts(&server, 700);
    server.kill();
    let server = home.start();
    contradicts(&server, 701);
    let ask = authorization(AUTHORIZATION, CARD, 2_599);
    assert!(server.client().ask(&ask).is_approval());
    assert!(server.terminate().success());
}

/// There are no rates: what is reported in another currency is not booked, and somebody is told.
#[test]
fn i6_an_event_in_another_currency_is_not_booked_and_raises_an_alert() {
    let server = home().start();
    let euros = fixture("cleared").replace("\"USD\"", "\"EUR\"");
    assert_eq!(event(&server, &euros).text(), r#"{"status":"ignored"}"#);
    assert_eq!(today(&server), [0, 0]);
    let metrics = server.admin_text("/metrics");
    for line in [
        "countersign_alerts_total{connection=\"acme\",what=\"other_currency\"} 1",
        "countersign_events_total{connection=\"acme\",status=\"ignored\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(server.terminate().success());
}

/// An authorization belongs to one card: a report that names somebody else's is booked on neither.
#[test]
fn h11_an_event_that_names_another_customers_card_is_booked_on_neither_and_raises_an_alert() {
    let mut snapshot = SnapshotOf::default();
    for (customer, card) in [("one", CARD), ("other", "card-other")] {
        snapshot.customer(customer, &json!({}));
        let policy = json!({"limits": {"perDay": 10_000}});
        snapshot.card(card, customer, None, &policy);
    }
    let home = Home::new("strict", &snapshot.build());
    let mut server = home.start();
    let ask = authorization(AUTHORIZATION, CARD, 2_599);
    assert!(server.client().ask(&ask).is_approval());
    let before = outcome(&server);
    let spent = |server: &Server, card: &str| {
        let limits = server.admin(&format!("/admin/cards/{card}"))["limits"].clone();
        limits[0]["spent"].as_i64().unwrap()
    };
    for (times, stranger) in [(1, "card-other"), (2, "card-of-nobody")] {
        let named = fixture("cleared").replace(CARD, stranger);
        assert!(named.contains(stranger));
        assert_eq!(event(&server, &named).text(), r#"{"status":"ignored"}"#);
        let alert =
            format!("countersign_alerts_total{{connection=\"acme\",what=\"other_card\"}} {times}");
        let metrics = server.admin_text("/metrics");
        assert!(metrics.contains(&alert), "{stranger}: {metrics}");
        assert_eq!(outcome(&server), before, "{stranger}");
    }
    let at_rest = |server: &Server| (spent(server, CARD), spent(server, "card-other"));
    let found = at_rest(&server);
    server.kill();
    server = home.start();
    assert_eq!(at_rest(&server), found);
    assert_eq!(found, (2_599, 0));
    // Its own card's report is booked as ever.
    assert_eq!(status(&server, "cleared"), "applied");
    assert!(server.terminate().success());
}

/// What its sums are in does not leave with a card, nor with its customer.
#[test]
fn a12_an_event_in_another_currency_is_not_booked_on_a_card_that_left_either() {
    let home = home();
    let server = home.start();
    let ask = authorization(AUTHORIZATION, CARD, 2_599);
    assert!(server.client().ask(&ask).is_approval());
    let euros = fixture("cleared").replace("\"USD\"", "\"EUR\"");
    for stays in [true, false] {
        let mut snapshot = SnapshotOf::default();
        snapshot.customer(if stays { "cus" } else { "other" }, &json!({}));
        home.write("snapshot.json", &snapshot.build().to_string());
        assert_eq!(server.post("/admin/reload?confirm=true").status, 200);
        let before = outcome(&server);
        assert_eq!(event(&server, &euros).text(), r#"{"status":"ignored"}"#);
        assert_eq!(outcome(&server), before);
    }
    let metrics = server.admin_text("/metrics");
    let alert = "countersign_alerts_total{connection=\"acme\",what=\"other_currency\"} 2";
    assert!(metrics.contains(alert), "{metrics}");
    assert_eq!(status(&server, "cleared"), "applied");
    assert!(server.terminate().success());
}

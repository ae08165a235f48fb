//! Stripe's and Marqeta's events, after their questions: where the books stand then.

use serde_json::{Value, json};

use crate::post::{
    CREDENTIALS, fixture, home, home_with, marqeta_headers, post_event, post_marqeta, post_stripe,
    stripe_header,
};
use crate::server::{Server, now};

const NO_KEYS: [&str; 2] = ["", ""];
const STRIPE: &str = "iauth_1AuThOrIzAtIoNoFtHeTeSt";
const MARQETA: &str = "607d9e40-3164-5fec-b5fd-69951f0b7bfc";

fn stripe(server: &Server, name: &str) -> String {
    let body = fixture(&format!("stripe/event.{name}"));
    let answer = post_event(server, "striped", &stripe_header(now(), &body), &body);
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    answer.text()
}

fn marqeta(server: &Server, name: &str) -> String {
    let body = fixture(&format!("marqeta/event.{name}"));
    let answer = post_event(server, "mq", &marqeta_headers(CREDENTIALS), &body);
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    answer.text()
}

fn said(status: &str) -> String {
    format!("{{\"status\":\"{status}\"}}")
}

/// State, held, posted, refunded.
fn books(server: &Server, connection: &str, id: &str) -> Value {
    let shown = server.admin(&format!("/admin/authorizations/{connection}/{id}"));
    let of = &shown["outcome"];
    assert_eq!(shown["held"], of["held"], "{shown}");
    json!([of["state"], of["held"], of["posted"], of["refunded"]])
}

/// A question about this authorization, after so many earlier steps of it.
fn question(authorization: &str, earlier: usize, amount: u32) -> String {
    let question = fixture("stripe/purchase");
    let id = question.split("\"iauth_").nth(1).unwrap();
    let id = format!("iauth_{}", id.split('"').next().unwrap());
    let history = vec!["{}"; earlier].join(",");
    question
        .replace(&id, authorization)
        .replace(
            "\"request_history\": []",
            &format!("\"request_history\": [{history}]"),
        )
        .replace("2599,\n", &format!("{amount},\n"))
}

fn ask_stripe(server: &Server) {
    let answer = post_stripe(server, &question(STRIPE, 0, 2_599));
    assert_eq!(answer.text(), r#"{"approved":true}"#);
}

/// The issuer approved the second step when we did not answer; 300.00 a day are allowed.
#[test]
fn i10_a_step_that_stripe_approved_in_our_place_does_not_pay_for_the_next() {
    let home = home("relaxed", NO_KEYS);
    let server = home.start();
    ask_stripe(&server);
    assert_eq!(stripe(&server, "incremented"), said("applied"));
    let third = post_stripe(&server, &question(STRIPE, 2, 20_000));
    assert_eq!(third.text(), r#"{"approved":true}"#);
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["open", 23_099, 0, 0])
    );
    let another = |amount| post_stripe(&server, &question("iauth_1AnOtHeR", 0, amount)).text();
    let refused = another(6_902);
    assert!(refused.contains("card_limit_exceeded"), "{refused}");
    let card = server.admin("/admin/cards/card_stripe");
    assert_eq!(card["limits"][0]["spent"], 23_099, "{card}");
    assert!(server.terminate().success());
}

#[test]
fn b7_i1_a_stripe_authorization_is_captured_in_any_order() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    ask_stripe(&server);
    // The capture comes before the news that it was authorized.
    assert_eq!(stripe(&server, "capture"), said("applied"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["closed", 0, 2_599, 0])
    );
    assert_eq!(stripe(&server, "created"), said("applied"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["closed", 0, 2_599, 0])
    );
    assert_eq!(stripe(&server, "closed"), said("applied"));
    assert_eq!(stripe(&server, "created"), said("stale"));
    assert_eq!(stripe(&server, "capture"), said("duplicate"));
    assert_eq!(stripe(&server, "refund"), said("applied"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["closed", 0, 2_599, 500])
    );
    let card = server.admin("/admin/cards/card_stripe");
    assert_eq!(card["limits"][0]["spent"], 2_599, "{card}");
    assert_eq!(card["limits"][0]["held"], 0);
    assert!(server.terminate().success());
}

#[test]
fn i10_a_stripe_reversal_gives_the_single_use_back() {
    let home = home("relaxed", NO_KEYS);
    let server = home.start();
    ask_stripe(&server);
    assert_eq!(stripe(&server, "reversed_partly"), said("applied"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["open", 1_599, 0, 0])
    );
    assert_eq!(stripe(&server, "reversed"), said("applied"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["reversed", 0, 0, 0])
    );
    assert_eq!(stripe(&server, "reversed_partly"), said("stale"));
    let card = server.admin("/admin/cards/card_stripe");
    assert_eq!(card["limits"][0]["spent"], 0, "{card}");
    assert!(server.terminate().success());
}

#[test]
fn b7_i1_a_marqeta_authorization_is_cleared_reversed_and_advised() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    assert_eq!(
        post_marqeta(&server, &fixture("marqeta/purchase")).status,
        200
    );
    assert_eq!(marqeta(&server, "authorization"), said("applied"));
    assert_eq!(marqeta(&server, "clearing"), said("applied"));
    assert_eq!(
        books(&server, "mq", MARQETA),
        json!(["open", 1_599, 1_000, 0])
    );
    assert_eq!(marqeta(&server, "reversal"), said("applied"));
    assert_eq!(
        books(&server, "mq", MARQETA),
        json!(["open", 599, 1_000, 0])
    );
    assert_eq!(marqeta(&server, "clearing"), said("duplicate"));
    assert_eq!(marqeta(&server, "clearing_final"), said("applied"));
    assert_eq!(
        books(&server, "mq", MARQETA),
        json!(["closed", 0, 2_000, 0])
    );
    for name in ["ping", "other"] {
        assert_eq!(marqeta(&server, name), said("ignored"));
    }
    // A clearing that names only what it follows finds its authorization.
    assert_eq!(
        marqeta(&server, "clearing_without_funding"),
        said("applied")
    );
    assert_eq!(
        books(&server, "mq", MARQETA),
        json!(["closed", 0, 4_599, 0])
    );
    assert!(server.terminate().success());
}

/// Marqeta did not wait for our answer: what was reserved comes back (behaviour 2.13 h).
#[test]
fn i10_a_marqeta_decline_after_our_approval_gives_everything_back() {
    let home = home_with("strict", NO_KEYS, &json!({"cooldownMinutes": 60}));
    let server = home.start();
    assert_eq!(
        post_marqeta(&server, &fixture("marqeta/purchase")).status,
        200
    );
    let next = fixture("marqeta/purchase.whole");
    assert_eq!(
        post_marqeta(&server, &next).status,
        402,
        "the cooldown runs"
    );
    assert_eq!(marqeta(&server, "declined"), said("applied"));
    assert_eq!(books(&server, "mq", MARQETA), json!(["declined", 0, 0, 0]));
    let other = next.replace("\"token\": \"", "\"token\": \"e");
    let answer = post_marqeta(
        &server,
        &other.replace("\"card_token\": \"e", "\"card_token\": \""),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(server.terminate().success());
}

/// Events may have secrets of their own; then the others are not theirs (behaviour 2.2).
#[test]
fn w5_w8_events_are_signed_with_their_own_secrets() {
    let of_events = "whsec_0f0e0d0c0b0a09080706050403020100";
    let key = "event_secrets = [\"env:COUNTERSIGN_TEST_EVENTS\"]";
    let home = home("relaxed", [key, ""]);
    let mut command = home.serve();
    command.env("COUNTERSIGN_TEST_EVENTS", of_events);
    let server = home.spawn(command);
    let body = fixture("stripe/event.created");
    let with_others = post_event(&server, "striped", &stripe_header(now(), &body), &body);
    assert_eq!(with_others.status, 401);
    let secret = countersign::issuer::stripe::Secret::from_text(of_events.to_owned()).unwrap();
    let signed = countersign::issuer::stripe::sign(&secret, now(), body.as_bytes());
    let header = format!("Stripe-Signature: {signed}\r\n");
    let own = post_event(&server, "striped", &header, &body);
    assert_eq!(own.text(), said("applied"));
    ask_stripe(&server);
    // Marqeta's webhooks carry no headers of the funding source.
    let body = fixture("marqeta/event.authorization");
    let plain = marqeta_headers(CREDENTIALS);
    let plain = plain.split_inclusive("\r\n").next().unwrap();
    assert_eq!(post_event(&server, "mq", plain, &body).status, 200);
    assert!(server.terminate().success());
}

#[test]
fn i7_a_linked_refund_restores_the_budget_where_the_policy_says_so() {
    for (restores, spent) in [(true, 2_099), (false, 2_599)] {
        let home = home_with("relaxed", NO_KEYS, &json!({"refundsRestore": restores}));
        let server = home.start();
        ask_stripe(&server);
        assert_eq!(stripe(&server, "refund"), said("applied"));
        assert_eq!(stripe(&server, "capture"), said("applied"));
        assert_eq!(stripe(&server, "unlinked_refund"), said("applied"));
        let card = server.admin("/admin/cards/card_stripe");
        assert_eq!(card["limits"][0]["spent"], spent, "{card}");
        assert!(server.terminate().success());
    }
}

/// Stripe names the capture that is disputed, and neither authorization nor card: it is found after
/// a restart too.
#[test]
fn i7_a_dispute_is_kept_once_moves_nothing_and_is_seen() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    ask_stripe(&server);
    assert_eq!(stripe(&server, "capture"), said("applied"));
    assert!(server.terminate().success());
    let server = home.start();
    let before = server.admin("/admin/cards/card_stripe");
    assert_eq!(before["limits"][0]["spent"], 2_599, "{before}");
    assert_eq!(stripe(&server, "dispute"), said("applied"));
    assert_eq!(stripe(&server, "dispute"), said("duplicate"));
    assert_eq!(stripe(&server, "dispute_reinstated"), said("duplicate"));
    assert_eq!(
        books(&server, "striped", STRIPE),
        json!(["closed", 0, 2_599, 0])
    );
    let after = server.admin("/admin/cards/card_stripe");
    assert_eq!(after["limits"], before["limits"], "nothing is restored");
    let shown = server.admin("/admin/decisions");
    let flags = &shown["decisions"][0]["outcome"]["flags"];
    assert_eq!(*flags, json!(["disputed"]), "{shown}");
    let metrics = server.admin_text("/metrics");
    let line = "countersign_alerts_total{connection=\"striped\",what=\"disputed\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    assert!(server.terminate().success());
    let mut command = crate::server::binary();
    command.args(["ledger", "verify", "--events", "--data-dir"]);
    let verified = command.arg(home.data_dir()).output().unwrap();
    let text = String::from_utf8(verified.stdout).unwrap();
    let told: Vec<&str> = text.lines().filter(|it| it.contains("disputed")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("25.99"), "{told:?}");
}

/// What Stripe and Marqeta decline without a question (behaviour 3.8).
#[test]
fn what_stripe_and_marqeta_decline_by_themselves_is_a_record_once_and_moves_nothing() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    for status in ["applied", "duplicate"] {
        assert_eq!(stripe(&server, "declined"), said(status));
        assert_eq!(marqeta(&server, "declined"), said(status));
    }
    let check = |server: &Server| {
        for connection in ["striped", "mq"] {
            let shown = server.admin(&format!("/admin/decisions?connection={connection}"));
            let [record] = &**shown["decisions"].as_array().unwrap() else {
                panic!("once: {shown}");
            };
            let told = [&record["decision"], &record["reason"]];
            assert_eq!(told, ["decline", "declined_by_issuer"], "{record}");
            assert_eq!([&record["step"], &record["amount"]], [1, 2_599], "{record}");
            let card = record["card"].as_str().unwrap();
            let card = server.admin(&format!("/admin/cards/{card}"));
            assert_eq!(card["limits"][0]["spent"], 0, "{card}");
        }
    };
    check(&server);
    server.kill();
    let server = home.start();
    check(&server);
    assert_eq!(stripe(&server, "declined"), said("duplicate"));
    assert!(server.terminate().success());
}

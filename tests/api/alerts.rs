//! Alerts and risk rules (behaviour 8.2): once each, over restarts.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};
use crate::server::{millis_since, now};
use crate::webhooks::{HERE, Receiver, plane, restart, until_metric, webhook};

const APPROVED: &str = "APPROVED";

/// A plane with these settings, whose owner is told of alerts and of what risk rules do.
fn watched(settings: &str) -> (Plane, Receiver) {
    let receiver = Receiver::start();
    let plane = plane(&format!("{HERE}{settings}"), &[]);
    let events = json!({"events": ["alert.*", "risk.*"]});
    webhook(&plane, &receiver.url(), &events);
    (plane, receiver)
}

/// The kinds of alerts that are kept, newest first.
fn kinds(plane: &Plane) -> Vec<String> {
    let page = plane.get("/v1/alerts");
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// Everything that was decided before is looked at: a storm of another card comes behind it.
fn settle(plane: &Plane, receiver: &Receiver) {
    let before = receiver.kinds().len();
    let card = plane.card(&json!({"policy": {"limits": {"perDay": 10}}}));
    assert_eq!(plane.buy(&card, 10), APPROVED);
    receiver.until("the last one", |came| came.len() > before);
}

#[test]
fn a_share_of_a_limit_is_told_once_for_each_window_over_restarts() {
    let (mut plane, receiver) = watched("");
    let policy = json!({"limits": {"perDay": 1_000, "total": 100_000}});
    let card = plane.card(&json!({"policy": policy}));
    assert_eq!(plane.buy(&card, 799), APPROVED);
    assert_eq!(plane.buy(&card, 1), APPROVED);
    let told = receiver.until_kind("alert.limit_share").event();
    let data = &told["data"];
    assert_eq!(data["cardId"], card);
    assert_eq!(data["customerId"], plane.customer);
    assert_eq!(data["percent"], 80);
    assert_eq!(data["limit"]["field"], "limits.perDay");
    assert_eq!(data["limit"]["limit"], 1_000);
    assert_eq!(data["limit"]["spent"], 800);
    let listed = plane.get("/v1/alerts");
    assert_eq!(listed["data"][0]["event"], told);
    assert_eq!(plane.buy(&card, 50), APPROVED);
    restart(&mut plane, &[]);
    assert_eq!(plane.buy(&card, 50), APPROVED);
    settle(&plane, &receiver);
    assert_eq!(kinds(&plane), ["limit_share", "limit_share"]);
    until_metric(
        &plane,
        "countersign_owner_alerts_total{kind=\"limit_share\"} 1",
    );
}

#[test]
fn a_share_of_a_count_is_told_as_that_of_a_sum_is() {
    let (plane, receiver) = watched("");
    let policy = json!({"limits": {"countPerDay": 5, "total": 100_000}});
    let card = plane.card(&json!({"policy": policy}));
    for _ in 0..3 {
        assert_eq!(plane.buy(&card, 10), APPROVED);
    }
    // 60 % raise none; what `settle` does raises one of its own card.
    settle(&plane, &receiver);
    assert_eq!(kinds(&plane).len(), 1);
    for _ in 0..2 {
        assert_eq!(plane.buy(&card, 10), APPROVED);
    }
    let came = receiver.until("of the count", |came| came.len() == 2);
    let told = came[1].event();
    let limit = &told["data"]["limit"];
    assert_eq!(told["data"]["cardId"], card);
    assert_eq!(limit["field"], "limits.countPerDay");
    assert_eq!(limit["limit"], 5);
    assert!(limit["used"] == 4 || limit["used"] == 5, "{limit}");
    assert!(limit["resetsAt"].is_string());
    settle(&plane, &receiver);
    assert_eq!(kinds(&plane).len(), 3, "once in its window");
}

#[test]
fn a_decline_storm_is_seen_over_a_restart_and_only_told_in_a_dry_run() {
    let (mut plane, receiver) = watched("[alerts]\ndecline_storm_count = 3\n");
    let card = plane.card(&json!({"policy": {"limits": {"perAuth": 1}}}));
    for _ in 0..2 {
        assert_ne!(plane.buy(&card, 100), APPROVED);
    }
    plane.kill();
    restart(&mut plane, &[]);
    assert_ne!(plane.buy(&card, 100), APPROVED);
    let storm = receiver.until_kind("alert.decline_storm").event();
    assert_eq!(storm["data"]["declines"], 3);
    let would = receiver.until_kind("risk.would_freeze").event();
    assert_eq!(would["data"]["cardId"], card);
    assert_eq!(would["data"]["alert"], "decline_storm");
    assert_ne!(plane.buy(&card, 100), APPROVED);
    assert_eq!(plane.get(&format!("/v1/cards/{card}"))["status"], "active");
    let entry = risk_entry(&plane);
    assert_eq!(entry["outcome"], "dry run");
    assert_eq!(entry["action"], format!("decline_storm {card}"));
    settle(&plane, &receiver);
    let storms = kinds(&plane).into_iter().filter(|it| it == "decline_storm");
    assert_eq!(storms.count(), 1);
}

/// One customer wants other alerts than the server is told, and its cards frozen in earnest; the other
/// one's are as before.
#[test]
fn a_customer_has_alerts_and_rules_of_its_own() {
    let (mut plane, receiver) = watched("[alerts]\ndecline_storm_count = 50\n");
    let other = id(&plane.owner_asks("POST", "/v1/customers", &json!({}), 201));
    let path = format!("/v1/customers/{}", plane.customer);
    assert_eq!(plane.get(&path)["alerts"], Value::Null);
    for (wrong, field) in [
        (
            json!({"limitSharePercent": 101}),
            "alerts.limitSharePercent",
        ),
        (json!({"declineStormCount": 1}), "alerts.declineStormCount"),
        (json!({"spendSpikeFactor": -2}), "alerts.spendSpikeFactor"),
        (json!({"freezeOn": ["limit_share"]}), "alerts.freezeOn"),
    ] {
        let answer = plane.ask(&plane.owner, "PATCH", &path, &json!({"alerts": wrong}));
        assert_eq!(code(&answer, 400), "invalid_request");
        assert_eq!(value(&answer)["errors"][0]["field"], field);
    }
    let wanted = json!({
        "limitSharePercent": 50, "declineStormCount": 3, "spendSpikeFactor": null,
        "freezeOn": ["decline_storm"], "dryRun": false,
    });
    let changed = plane.owner_asks("PATCH", &path, &json!({"alerts": wanted}), 200);
    assert_eq!(changed["alerts"], wanted);
    restart(&mut plane, &[]);
    assert_eq!(plane.get(&path)["alerts"], wanted);
    let policy = json!({"limits": {"total": 1_000}});
    let own = plane.card(&json!({"policy": policy}));
    let theirs = json!({"customerId": other, "policy": policy});
    let theirs = id(&plane.owner_asks("POST", "/v1/cards", &theirs, 201));
    for card in [&theirs, &own] {
        assert_eq!(plane.buy(card, 500), APPROVED);
        for _ in 0..3 {
            assert_ne!(plane.buy(card, 600), APPROVED);
        }
    }
    let told = receiver.until_kind("risk.card_frozen").event();
    assert_eq!(told["data"]["cardId"], own);
    let share = receiver.until_kind("alert.limit_share").event();
    assert_eq!(share["data"]["cardId"], own);
    assert_eq!(share["data"]["percent"], 50);
    settle(&plane, &receiver);
    let page = plane.get("/v1/alerts");
    let alerts = page["data"].as_array().unwrap();
    assert!(
        alerts
            .iter()
            .all(|it| it["event"]["data"]["cardId"] != theirs),
        "{page}"
    );
    // As the server is told again.
    let changed = plane.owner_asks("PATCH", &path, &json!({"alerts": null}), 200);
    assert_eq!(changed["alerts"], Value::Null);
}

/// Fields of the limits of which a share is told, in the order of the alphabet: alerts of one instant
/// stand in any.
fn shares(plane: &Plane) -> Vec<String> {
    let page = plane.get("/v1/alerts");
    let rows = page["data"].as_array().unwrap().iter();
    let fields = rows.map(|row| row["event"]["data"]["limit"]["field"].as_str().unwrap());
    let mut fields: Vec<String> = fields.map(str::to_owned).collect();
    fields.sort_unstable();
    fields
}

#[test]
fn alerts_are_kept_for_so_many_days_and_those_of_limits_without_a_window_for_ever() {
    let receiver = Receiver::start();
    let settings = format!("{HERE}[alerts]\nkept_days = 32\n");
    let plane = plane(&settings, &["--sandbox-clock"]);
    let events = json!({"events": ["alert.*"]});
    webhook(&plane, &receiver.url(), &events);
    let policy = json!({"limits": {"perDay": 1_000, "total": 1_000}});
    let card = plane.card(&json!({"policy": policy}));
    assert_eq!(plane.buy(&card, 900), APPROVED);
    receiver.until("both", |came| came.len() == 2);
    let advance = |days: u32| plane.advance(days * 86_400);
    advance(31);
    assert_eq!(shares(&plane), ["limits.perDay", "limits.total"]);
    advance(2);
    let since = now();
    // It would be told again, since that limit is never free again.
    while shares(&plane) != ["limits.total"] {
        assert!(millis_since(since) < 60_000, "{:?}", shares(&plane));
        thread::sleep(Duration::from_millis(10));
    }
}

fn risk_entry(plane: &Plane) -> Value {
    let page = plane.get("/v1/audit?limit=200");
    let rows = page["data"].as_array().unwrap().clone();
    let mut entries = rows.into_iter().map(|row| row["entry"].clone());
    entries
        .find(|entry| entry["who"]["kind"] == "riskRule")
        .unwrap()
}

#[test]
fn a_risk_rule_in_force_freezes_the_card_until_an_owner_lifts_it() {
    let rules = "[alerts]\ndecline_storm_count = 3\n[risk]\nfreeze_on = [\"decline_storm\"]\n\
         dry_run = false\n";
    let (plane, receiver) = watched(rules);
    let card = plane.card(&json!({"policy": {"limits": {"perAuth": 100}}}));
    for _ in 0..3 {
        assert_ne!(plane.buy(&card, 500), APPROVED);
    }
    receiver.until_kind("risk.card_frozen");
    let path = format!("/v1/cards/{card}");
    assert_eq!(plane.get(&path)["status"], "frozen");
    assert_ne!(plane.buy(&card, 50), APPROVED);
    let decisions = plane.get(&format!("/v1/decisions?cardId={card}&limit=1"));
    assert_eq!(decisions["data"][0]["reason"], "card_frozen_by_risk");
    assert_eq!(risk_entry(&plane)["outcome"], "frozen");
    let admin = plane
        .server()
        .post(&format!("/admin/cards/{card}/unfreeze"));
    assert_ne!(plane.buy(&card, 50), APPROVED, "{}", admin.text());
    let lift = format!("{path}/unfreeze");
    plane.owner_asks("POST", &lift, &Value::Null, 200);
    assert_eq!(plane.buy(&card, 50), APPROVED);
}

#[test]
fn an_amount_of_many_times_the_usual_is_told() {
    let (plane, receiver) = watched("");
    let card = plane.card(&json!({}));
    for _ in 0..5 {
        assert_eq!(plane.buy(&card, 100), APPROVED);
    }
    assert_eq!(plane.buy(&card, 499), APPROVED);
    assert_eq!(plane.buy(&card, 1_000), APPROVED);
    let spike = receiver.until_kind("alert.spend_spike").event();
    assert_eq!(spike["data"]["amount"], 1_000);
    assert_eq!(spike["data"]["usualAmount"], 166);
    settle(&plane, &receiver);
    let spikes = kinds(&plane).into_iter().filter(|it| it == "spend_spike");
    assert_eq!(spikes.count(), 1, "499 is not five times the usual");
}

#[test]
fn a_posting_without_an_approval_and_one_by_another_merchant_are_told() {
    let (plane, receiver) = watched("");
    let card = plane.card(&json!({"policy": {"lockToFirstMerchant": true}}));
    assert_eq!(plane.buy(&card, 300), APPROVED);
    let decision = plane.get(&format!("/v1/decisions?cardId={card}"))["data"][0].clone();
    let authorization = decision["authorization"].as_str().unwrap();
    assert_eq!(plane.clear_elsewhere(&card, authorization, 300), 200);
    let drift = receiver.until_kind("alert.merchant_drift").event();
    assert_eq!(drift["data"]["authorization"], authorization);
    let unknown = "7c9d2e10-1111-4222-8333-444455556666";
    assert_eq!(plane.clear(&card, unknown, 200), 200);
    let forced = receiver.until_kind("alert.forced_posting").event();
    assert_eq!(forced["data"]["authorization"], unknown);
    settle(&plane, &receiver);
    let kinds = kinds(&plane);
    let count = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
    assert_eq!(
        count("forced_posting"),
        1,
        "the first one was approved here"
    );
    assert_eq!(
        count("merchant_drift"),
        1 + count_drift_of_unknown(&plane, unknown)
    );
    assert!(!id(&plane.get("/v1/alerts")["data"][0]).is_empty());
}

/// Whoever posts without a question is another merchant as well, where it is one.
fn count_drift_of_unknown(plane: &Plane, authorization: &str) -> usize {
    let page = plane.get("/v1/alerts");
    let rows = page["data"].as_array().unwrap().iter();
    let of = |row: &&Value| {
        row["kind"] == "merchant_drift" && row["event"]["data"]["authorization"] == authorization
    };
    rows.filter(of).count()
}

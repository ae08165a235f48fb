//! Purchase cards that are good until they are spent (behaviour 5.6, 5.8).

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code, value};
use crate::purchases::{Buyer, act, buyer, wish};
use crate::server::{millis_since, now};
use crate::webhooks::{HERE, plane as plane_with};

const APPROVED: &str = "APPROVED";
const PATIENCE_MS: i64 = 20_000;

/// Rules under which so much is approved at once and cards may be used until they are spent.
fn rules(more: &Value) -> Value {
    let mut rules = json!({"autoApproveBelow": 5_000, "cardUse": "until_spent"});
    let more = more.as_object().unwrap();
    rules.as_object_mut().unwrap().extend(more.clone());
    rules
}

/// A request for a card until spent; the sandbox's shop is one for software.
fn asks(plane: &Plane, buyer: &Buyer, amount: &str) -> Value {
    let more = json!({"amount": amount, "categoryHint": "software", "cardUse": "until_spent"});
    buyer.asks(plane, &more)
}

fn card_of(made: &Value) -> String {
    assert_eq!(made["status"], "approved", "{made}");
    made["virtualCard"]["id"].as_str().unwrap().to_owned()
}

fn spent(plane: &Plane, buyer: &Buyer) -> Value {
    buyer.spending(plane)["daily_spent"].clone()
}

#[test]
fn a_card_until_spent_takes_several_charges_and_never_more_than_was_set_aside() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({"limits": {"perDay": 2_000}})));
    let made = asks(&plane, &buyer, "12.00");
    assert_eq!(made["cardUse"], "until_spent");
    let card = card_of(&made);
    let row = plane.get(&format!("/v1/cards/{card}"));
    assert_eq!(row["usage"], "multi");
    assert_eq!(row["policy"]["lockToFirstMerchant"], true);
    assert_eq!(row["policy"]["limits"]["total"], 1_200);
    for amount in [500, 499, 1] {
        assert_eq!(plane.buy(&card, amount), APPROVED, "{amount}");
        assert_eq!(spent(&plane, &buyer), "12.00", "each amount counts once");
    }
    assert_ne!(plane.buy(&card, 201), APPROVED);
    assert_eq!(plane.buy(&card, 200), APPROVED);
    assert_ne!(plane.buy(&card, 1), APPROVED, "it is spent");
    assert_eq!(spent(&plane, &buyer), "12.00");
    let refused = asks(&plane, &buyer, "8.01");
    assert_eq!(refused["reason"], "agent_limit_exceeded");
    // Canceled while it holds: what is held stays, what is unused comes back.
    let second = card_of(&asks(&plane, &buyer, "8.00"));
    assert_eq!(plane.buy(&second, 300), APPROVED);
    assert_eq!(spent(&plane, &buyer), "20.00");
    plane.owner_asks("DELETE", &format!("/v1/cards/{second}"), &Value::Null, 200);
    assert_eq!(spent(&plane, &buyer), "15.00");
    assert_ne!(plane.buy(&second, 1), APPROVED);
}

#[test]
fn of_many_charges_at_once_no_more_pass_than_the_card_is_good_for() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({"limits": {"perDay": 2_000}})));
    let card = card_of(&asks(&plane, &buyer, "10.00"));
    let passed: usize = thread::scope(|scope| {
        let buys = || (0..6).filter(|_| plane.buy(&card, 100) == APPROVED).count();
        let all: Vec<_> = (0..5).map(|_| scope.spawn(buys)).collect();
        all.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(passed, 10);
    assert_eq!(spent(&plane, &buyer), "10.00");
}

/// Behaviour 2.13 d: one request is one count, and each charge beside the first another.
#[test]
fn every_charge_beside_the_first_meets_the_counts_of_its_agent() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({"limits": {"countPerDay": 2}})));
    let card = card_of(&asks(&plane, &buyer, "10.00"));
    assert_eq!(plane.buy(&card, 100), APPROVED);
    assert_eq!(plane.buy(&card, 100), APPROVED);
    assert_ne!(plane.buy(&card, 100), APPROVED);
    let path = format!("/v1/decisions?cardId={card}&limit=1");
    let last = &plane.get(&path)["data"][0];
    assert_eq!(
        (&last["reason"], &last["explanation"]["level"]),
        (&json!("count_limit_reached"), &json!("agent")),
        "{last}"
    );
    let refused = asks(&plane, &buyer, "1.00");
    assert_eq!(refused["reason"], "count_limit_reached");
}

#[test]
fn a_card_is_good_for_several_charges_only_where_the_policy_lets_it() {
    let plane = Plane::start();
    let once = buyer(&plane, &json!({"autoApproveBelow": 5_000}));
    let denied = asks(&plane, &once, "12.00");
    assert_eq!(
        (&denied["status"], &denied["reason"]),
        (&json!("denied"), &json!("card_use_not_allowed"))
    );
    assert!(denied["suggestion"].is_string());
    let more = json!({"categoryHint": "software", "cardUse": "single"});
    let card = card_of(&once.asks(&plane, &more));
    assert_eq!(plane.buy(&card, 100), APPROVED);
    let words = wish(&json!({"cardUse": "often"}));
    let refused = plane.ask(&once.key, "POST", "/v1/purchase-requests", &words);
    assert_eq!(value(&refused)["errors"][0]["field"], "cardUse");
    assert_eq!(code(&refused, 400), "invalid_request");
    // What the owner has taken back before a human approves is denied then.
    let waiting = buyer(&plane, &json!({"cardUse": "until_spent"}));
    let (stays, goes) = (
        asks(&plane, &waiting, "3.00"),
        asks(&plane, &waiting, "4.00"),
    );
    assert_eq!(stays["status"], "pending_review");
    let decided = act(&plane, &stays["id"], "approve", &Value::Null);
    assert_eq!(
        (&decided["status"], &decided["cardUse"]),
        (&json!("approved"), &json!("until_spent"))
    );
    let path = format!("/v1/agents/{}", waiting.agent);
    plane.owner_asks("PATCH", &path, &json!({"policy": {}}), 200);
    let decided = act(&plane, &goes["id"], "approve", &Value::Null);
    assert_eq!(
        (&decided["status"], &decided["reason"]),
        (&json!("denied"), &json!("card_use_not_allowed"))
    );
}

#[test]
fn a_card_until_spent_that_was_charged_outlives_its_link_and_gives_back_the_rest_at_its_end() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let buyer = buyer(&plane, &rules(&json!({"limits": {"total": 3_000}})));
    let made = asks(&plane, &buyer, "12.00");
    assert_eq!(plane.buy(&card_of(&made), 100), APPROVED);
    plane.advance(21 * 60);
    // Its row is looked at when its link has died: as long as that takes, and some more.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(buyer.sees(&plane, &made["id"])["status"], "approved");
    plane.advance(24 * 60 * 60);
    let since = now();
    while buyer.spending(&plane)["total_budget_spent"] != "1.00" {
        let seen = buyer.sees(&plane, &made["id"]);
        assert!(millis_since(since) < PATIENCE_MS, "{seen}");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(buyer.sees(&plane, &made["id"])["status"], "expired");
}

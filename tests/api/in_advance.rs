//! What a human approves in advance (behaviour 5.5).

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code};
use crate::purchases::{Buyer, act, buyer};
use crate::server::{millis_since, now};
use crate::webhooks::{HERE, plane as plane_with};

const PATIENCE_MS: i64 = 60_000;

/// Rules with one approval in advance, with these members changed.
fn rules(more: &Value) -> Value {
    let mut approval = json!({"name": "books", "domain": "example.com", "amountMax": 1_500,
        "period": "week", "countMax": 2, "until": "2100-01-01T00:00:00Z"});
    let more = more.as_object().unwrap();
    approval.as_object_mut().unwrap().extend(more.clone());
    json!({"unscopedRequests": "allow", "standingApprovals": [approval]})
}

fn set_policy(plane: &Plane, buyer: &Buyer, policy: &Value) {
    let path = format!("/v1/agents/{}", buyer.agent);
    plane.owner_asks("PATCH", &path, &json!({"policy": policy}), 200);
}

/// Asks for so much; whether a card comes at once, and by which approval in advance.
fn outcome(plane: &Plane, buyer: &Buyer, more: &Value) -> (Value, Value) {
    let asked = buyer.asks(plane, more);
    (asked["status"].clone(), asked["standingApproval"].clone())
}

fn approved() -> (Value, Value) {
    (json!("approved"), json!("books"))
}

fn waits() -> (Value, Value) {
    (json!("pending_review"), Value::Null)
}

#[test]
fn behaviour_5_5_what_is_approved_in_advance_needs_no_human_until_it_is_used_up() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let buyer = buyer(&plane, &rules(&json!({})));
    let asks = |amount: &str| outcome(&plane, &buyer, &json!({"amount": amount}));
    assert_eq!(asks("15.01"), waits(), "beyond its range");
    assert_eq!(asks("15.00"), approved());
    assert_eq!(asks("3.00"), approved());
    assert_eq!(asks("2.00"), waits(), "two in a week");
    // Six days later the first ones count, a day later they do not.
    for (days, then) in [(6, waits()), (1, approved())] {
        plane.advance(days * 86_400 + 1);
        let amount = format!("4.0{days}");
        assert_eq!(asks(&amount), then, "{days} days later");
    }
}

#[test]
fn an_approval_in_advance_waives_no_rule_and_answers_nothing_else() {
    let plane = Plane::start();
    let with = |more: &Value| {
        let mut rules = rules(&json!({}));
        let more = more.as_object().unwrap();
        rules.as_object_mut().unwrap().extend(more.clone());
        buyer(&plane, &rules)
    };
    let plain = with(&json!({}));
    let elsewhere = json!({"merchantUrl": "https://example.org/"});
    assert_eq!(outcome(&plane, &plain, &elsewhere), waits());
    let unexplained = json!({"justification": ""});
    assert_eq!(outcome(&plane, &plain, &unexplained), waits());
    let unscoped = with(&json!({"unscopedRequests": "review"}));
    let hintless = json!({"categoryHint": null});
    assert_eq!(outcome(&plane, &unscoped, &hintless), waits());
    let reviewed =
        json!({"allowedDomains": ["example.org"], "onViolation": {"allowedDomains": "review"}});
    assert_eq!(outcome(&plane, &with(&reviewed), &json!({})), waits());
    let denied = (json!("denied"), Value::Null);
    let blocked = with(&json!({"blockedDomains": ["example.com"]}));
    assert_eq!(outcome(&plane, &blocked, &json!({})), denied);
    // The limits speak last, as always, and what they refuse rests on no approval.
    let full = with(&json!({"limits": {"perDay": 1_000}}));
    assert_eq!(full.asks(&plane, &json!({}))["status"], "denied");
    let shown = with(&json!({"limits": {"perDay": 1_000}, "onViolation": {"limits": "review"}}));
    let waiting = shown.asks(&plane, &json!({}));
    assert_eq!(waiting["standingApproval"], Value::Null);
    let decided = act(&plane, &waiting["id"], "approve", &Value::Null);
    assert_eq!(
        (&decided["status"], &decided["standingApproval"]),
        (&json!("approved"), &Value::Null)
    );
}

#[test]
fn an_approval_in_advance_ends_with_its_time_or_its_owners_word() {
    let plane = Plane::start();
    let over = buyer(&plane, &rules(&json!({"until": "2026-01-01T00:00:00Z"})));
    assert_eq!(outcome(&plane, &over, &json!({})), waits());
    let buyer = buyer(&plane, &rules(&json!({})));
    assert_eq!(outcome(&plane, &buyer, &json!({})), approved());
    set_policy(&plane, &buyer, &json!({"unscopedRequests": "allow"}));
    let more = json!({"amount": "1.00"});
    assert_eq!(outcome(&plane, &buyer, &more), waits());
    // What it has approved counts when it is given again.
    set_policy(&plane, &buyer, &rules(&json!({"totalMax": 1_500})));
    let more = json!({"amount": "3.01"});
    assert_eq!(outcome(&plane, &buyer, &more), waits(), "15.01 together");
    let more = json!({"amount": "3.00"});
    assert_eq!(outcome(&plane, &buyer, &more), approved());
    // Nobody but an owner gives one, and to one agent alone.
    let path = format!("/v1/agents/{}", buyer.agent);
    let policy = json!({"policy": rules(&json!({}))});
    assert_eq!(plane.ask(&buyer.key, "PATCH", &path, &policy).status, 403);
    let path = format!("/v1/customers/{}", plane.customer);
    let refused = plane.ask(&plane.owner, "PATCH", &path, &policy);
    assert_eq!(code(&refused, 400), "invalid_request");
    assert!(refused.text().contains("standingApprovals"));
}

#[test]
fn of_many_at_once_no_more_are_approved_in_advance_than_its_count() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({"countMax": 3})));
    let all: Vec<(Value, Value)> = thread::scope(|scope| {
        let asks = |n: usize| {
            let (plane, buyer) = (&plane, &buyer);
            scope.spawn(move || outcome(plane, buyer, &json!({"amount": n})))
        };
        let asked: Vec<_> = (1..=12).map(asks).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let taken = all.iter().filter(|it| **it == approved()).count();
    let waiting = all.iter().filter(|it| **it == waits()).count();
    assert_eq!((taken, waiting), (3, 9), "{all:?}");
}

/// A card of the agent that says that this approval owns it.
fn own_card(plane: &Plane, buyer: &Buyer) -> String {
    let card = json!({"customerId": plane.customer, "agentId": buyer.agent,
        "policy": {"standingApproval": "books"}});
    let made = plane.owner_asks("POST", "/v1/cards", &card, 201);
    made["id"].as_str().unwrap().to_owned()
}

/// Rules with an approval that owns the card, with these members changed.
fn owning(card: &str, more: &Value) -> Value {
    let mut own = json!({"cardId": card, "totalMax": 2_000, "period": "month"});
    let more = more.as_object().unwrap();
    own.as_object_mut().unwrap().extend(more.clone());
    rules(&own)
}

/// Buys on the card, by the merchant's own word or the cardholder's; nothing where it is approved, else
/// why not.
fn declines(plane: &Plane, card: &str, amount: u64, changes: &[(&str, &str)]) -> Value {
    let late = ["deadline_exceeded", "overloaded", "ledger_unavailable"];
    let since = now();
    loop {
        let (id, result) = plane.charge_once(card, amount, changes);
        if result == "APPROVED" {
            return Value::Null;
        }
        let path = format!("/admin/decisions?authorization={id}");
        let reason = loop {
            let found = plane.server().admin(&path)["decisions"][0]["reason"].clone();
            assert!(millis_since(since) < PATIENCE_MS, "{found}");
            if found.is_string() {
                break found;
            }
            thread::sleep(Duration::from_millis(2));
        };
        if !late.iter().any(|it| reason == *it) {
            return reason;
        }
    }
}

/// What a merchant says that charges by an agreement.
const BY_ITSELF: (&str, &str) = (
    r#""transaction_initiator": "CARDHOLDER""#,
    r#""transaction_initiator": "MERCHANT""#,
);

#[test]
fn behaviour_5_5_an_approval_in_advance_owns_one_card_and_says_what_it_may_spend() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({})));
    let (card, other) = (own_card(&plane, &buyer), own_card(&plane, &buyer));
    let buys = |card: &str, amount| declines(&plane, card, amount, &[]);
    assert_eq!(buys(&card, 100), "card_expired", "no approval names it");
    set_policy(&plane, &buyer, &owning(&card, &json!({"countMax": 3})));
    assert_eq!(buys(&card, 1_501), "amount_over_per_auth");
    assert_eq!(buys(&card, 1_500), Value::Null);
    assert_eq!(buys(&card, 501), "card_limit_exceeded", "20.00 a month");
    assert_eq!(buys(&card, 499), Value::Null);
    assert_eq!(buys(&card, 1), Value::Null);
    assert_eq!(buys(&card, 0), Value::Null, "a verification takes nothing");
    set_policy(
        &plane,
        &buyer,
        &owning(&card, &json!({"totalMax": 3_000, "countMax": 3})),
    );
    assert_eq!(buys(&card, 1), "count_limit_reached");
    assert_eq!(buys(&other, 1), "card_expired", "it owns one card");
    // The card has locked to its first merchant without being told to.
    set_policy(
        &plane,
        &buyer,
        &owning(&card, &json!({"totalMax": 3_000, "countMax": 9})),
    );
    let elsewhere = [
        ("ACC000000000001", "ACC000000000002"),
        ("API HOST GMBH", "OTHER SHOP"),
    ];
    let refused = declines(&plane, &card, 1, &elsewhere);
    assert_eq!(refused, "merchant_lock_mismatch");
    assert_eq!(buys(&card, 1), Value::Null);
    // It answers no request any more: what it allows is counted once.
    assert_eq!(outcome(&plane, &buyer, &json!({"amount": "1.00"})), waits());
    let shown = plane.get(&format!("/v1/cards/{card}/policy")).to_string();
    assert!(shown.contains("standingApproval"), "{shown}");
    // The owner takes it back, or it ends.
    let past = json!({"until": "2026-01-01T00:00:00Z"});
    set_policy(&plane, &buyer, &owning(&card, &past));
    assert_eq!(buys(&card, 1), "card_expired");
    set_policy(&plane, &buyer, &rules(&json!({})));
    assert_eq!(buys(&card, 1), "card_expired");
    let asked = outcome(&plane, &buyer, &json!({"amount": "1.01"}));
    assert_eq!(asked, approved(), "it is one for requests again");
}

#[test]
fn what_was_approved_in_advance_keeps_no_hours_and_needs_no_pause_and_no_intent() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &rules(&json!({})));
    let card = own_card(&plane, &buyer);
    // An hour of one day that is over before anybody comes here again.
    let narrow = |more: &Value| {
        let mut rules = owning(&card, &json!({"countMax": 9}));
        let more = more.as_object().unwrap();
        rules.as_object_mut().unwrap().extend(more.clone());
        set_policy(&plane, &buyer, &rules);
    };
    let plain = json!({"customerId": plane.customer, "agentId": buyer.agent});
    let plain = plane.owner_asks("POST", "/v1/cards", &plain, 201);
    let plain = plain["id"].as_str().unwrap();
    let hours = closed_hours();
    for (rule, reason) in [
        (json!({"activeHours": hours}), "outside_active_hours"),
        (json!({"requireIntent": true}), "intent_required"),
        (json!({"cooldownMinutes": 60}), "cooldown_active"),
    ] {
        narrow(&json!({}));
        assert_eq!(declines(&plane, &card, 1, &[]), Value::Null);
        assert_eq!(declines(&plane, plain, 1, &[]), Value::Null);
        narrow(&rule);
        assert_eq!(declines(&plane, &card, 1, &[]), reason, "somebody is there");
        let by_itself = declines(&plane, &card, 1, &[BY_ITSELF]);
        assert_eq!(by_itself, Value::Null, "{reason}");
        let unowned = declines(&plane, plain, 1, &[BY_ITSELF]);
        assert_eq!(unowned, reason, "no approval owns that card");
    }
    // Nothing else is skipped.
    narrow(&json!({"requireAttestation": true}));
    let refused = declines(&plane, &card, 1, &[BY_ITSELF]);
    assert_eq!(refused, "attestation_required");
    narrow(&json!({"limits": {"perDay": 1}}));
    let refused = declines(&plane, &card, 1, &[BY_ITSELF]);
    assert_eq!(refused, "agent_limit_exceeded");
}

/// An hour of the day that is not now.
fn closed_hours() -> Value {
    let hour = now().secs().rem_euclid(86_400) / 3_600;
    let (from, to) = ((hour + 6) % 24, (hour + 7) % 24);
    json!({"timezone": "UTC", "from": format!("{from:02}:00"), "to": format!("{to:02}:00")})
}

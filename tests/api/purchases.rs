//! Purchase requests through REST (behaviour 5): policy says yes, no or a human; a human decides; the
//! card is there.

use std::thread;

use serde_json::{Value, json};

use crate::plane::{Plane, code, value};

const APPROVED: &str = "APPROVED";

/// An agent with these rules, and its key.
pub(crate) struct Buyer {
    pub(crate) agent: String,
    pub(crate) key: String,
}

pub(crate) fn buyer(plane: &Plane, policy: &Value) -> Buyer {
    let agent = plane.agent(policy);
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    Buyer { agent, key }
}

/// A request that nothing is wrong with, with these members changed.
pub(crate) fn wish(more: &Value) -> Value {
    let mut wish = json!({"merchantUrl": "https://shop.example.com/thing", "amount": "12.00",
        "description": "A thing", "justification": "It is needed", "categoryHint": "books"});
    let more = more.as_object().unwrap();
    wish.as_object_mut().unwrap().extend(more.clone());
    wish
}

impl Buyer {
    pub(crate) fn asks(&self, plane: &Plane, more: &Value) -> Value {
        let answer = plane.ask(&self.key, "POST", "/v1/purchase-requests", &wish(more));
        assert_eq!(answer.status, 201, "{}", answer.text());
        value(&answer)
    }

    pub(crate) fn sees(&self, plane: &Plane, id: &Value) -> Value {
        let path = format!("/v1/purchase-requests/{}", id.as_str().unwrap());
        value(&plane.ask(&self.key, "GET", &path, &Value::Null))
    }

    pub(crate) fn spending(&self, plane: &Plane) -> Value {
        value(&plane.ask(&self.key, "GET", "/v1/agents/me/spending", &Value::Null))
    }
}

pub(crate) fn act(plane: &Plane, id: &Value, verb: &str, body: &Value) -> Value {
    let path = format!("/v1/purchase-requests/{}/{verb}", id.as_str().unwrap());
    plane.owner_asks("POST", &path, body, 200)
}

/// Behaviour 5.3, 5.6, 5.8, 5.10.
#[test]
fn what_is_small_is_a_card_at_once_good_for_it_and_nothing_else() {
    let plane = Plane::start();
    let buyer = buyer(
        &plane,
        &json!({"autoApproveBelow": 5000, "limits": {"perDay": 3000}}),
    );
    let made = buyer.asks(&plane, &json!({}));
    assert_eq!(made["status"], "approved", "{made}");
    assert_eq!(made["virtualCard"]["scope"], "category");
    assert_eq!(made["virtualCard"]["last4"].as_str().unwrap().len(), 4);
    assert_eq!(buyer.sees(&plane, &made["id"]), made);
    let spent = buyer.spending(&plane);
    assert_eq!(
        (&spent["daily_spent"], &spent["daily_remaining"]),
        (&json!("12.00"), &json!("18.00"))
    );
    // The sandbox's shop is none of the hinted categories.
    let card = made["virtualCard"]["id"].as_str().unwrap().to_owned();
    assert_ne!(plane.buy(&card, 1200), APPROVED);
    let open = buyer.asks(
        &plane,
        &json!({"categoryHint": "software", "amount": "10.00"}),
    );
    let card = open["virtualCard"]["id"].as_str().unwrap().to_owned();
    assert_ne!(
        plane.buy(&card, 1001),
        APPROVED,
        "more than it was made for"
    );
    assert_eq!(plane.buy(&card, 1000), APPROVED);
    assert_ne!(plane.buy(&card, 1000), APPROVED, "once");
    // What is spent was earmarked: nothing is charged twice.
    assert_eq!(buyer.spending(&plane)["daily_spent"], "22.00");
    let refused = buyer.asks(&plane, &json!({"amount": "8.01"}));
    assert_eq!(refused["reason"], "agent_limit_exceeded");
    assert!(
        refused["suggestion"]
            .as_str()
            .unwrap()
            .starts_with("Ask for at most 8.00 USD")
    );
    // An unused card that is canceled gives back what was set aside.
    let card = made["virtualCard"]["id"].as_str().unwrap();
    plane.owner_asks("DELETE", &format!("/v1/cards/{card}"), &Value::Null, 200);
    assert_eq!(buyer.spending(&plane)["daily_spent"], "10.00");
    assert_eq!(buyer.sees(&plane, &made["id"])["status"], "expired");
}

/// Behaviour 5.6. The sandbox's shop is `API HOST GMBH`, a 7372.
#[test]
fn the_owners_map_says_who_may_charge_the_card() {
    let plane = Plane::start();
    let rules = json!({"autoApproveBelow": 5000, "merchantMap": [
        {"domain": "example.com", "merchants": ["Api Host"], "mccs": ["7372"]},
        {"domain": "id.example.com", "merchants": [{"acceptorId": "ACC000000000001"}]},
        {"domain": "other.example.com", "merchants": ["Another Shop"]}]});
    let buyer = buyer(&plane, &rules);
    // The hint, which would bind the card to other shops, counts where no map knows the host.
    let bought = |host: &str| {
        let made = buyer.asks(&plane, &json!({"merchantUrl": host}));
        assert_eq!(made["virtualCard"]["scope"], "merchant", "{made}");
        let card = made["virtualCard"]["id"].as_str().unwrap();
        plane.buy(card, 1200) == APPROVED
    };
    assert!(bought("shop.example.com"));
    assert!(bought("https://id.example.com/thing"));
    assert!(!bought("other.example.com"), "another shop's card");
    assert!(!bought("netflix.com"), "of the starter set");
}

/// Behaviour 5.4, 5.7.
#[test]
fn behaviour_5_7_a_human_decides_once_and_everything_is_asked_again_then() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"limits": {"perDay": 3000}}));
    let waits = buyer.asks(&plane, &json!({}));
    assert_eq!(
        (&waits["status"], &waits["reason"]),
        (&json!("pending_review"), &json!("no_threshold"))
    );
    assert_eq!(waits["virtualCard"], Value::Null, "there is no card");
    assert_eq!(
        buyer.spending(&plane)["daily_spent"],
        "0.00",
        "nothing is set aside"
    );
    // Agents approve nothing.
    let id = waits["id"].as_str().unwrap();
    for verb in ["approve", "deny"] {
        let path = format!("/v1/purchase-requests/{id}/{verb}");
        let refused = plane.ask(&buyer.key, "POST", &path, &Value::Null);
        assert_eq!(code(&refused, 403), "scope_not_allowed");
    }
    let listed = plane.get("/v1/purchase-requests?status=pending_review");
    assert_eq!(listed["data"][0]["id"], waits["id"]);
    let approved = act(&plane, &waits["id"], "approve", &Value::Null);
    assert_eq!(approved["status"], "approved", "{approved}");
    assert!(approved["decidedBy"].is_string());
    // A second word changes nothing, whichever it is.
    assert_eq!(
        act(&plane, &waits["id"], "deny", &json!({"reason": "No"})),
        approved
    );
    assert_eq!(act(&plane, &waits["id"], "approve", &Value::Null), approved);
    assert_eq!(
        buyer.sees(&plane, &waits["id"])["virtualCard"],
        approved["virtualCard"]
    );
    // One that has lost its room meanwhile is denied when it is approved.
    let second = buyer.asks(&plane, &json!({"amount": "17.00"}));
    let third = buyer.asks(&plane, &json!({"amount": "16.00"}));
    assert_eq!(
        act(&plane, &second["id"], "approve", &Value::Null)["status"],
        "approved"
    );
    let late = act(&plane, &third["id"], "approve", &Value::Null);
    assert_eq!(
        (&late["status"], &late["reason"]),
        (&json!("denied"), &json!("agent_limit_exceeded"))
    );
    let fourth = buyer.asks(&plane, &json!({"amount": "1.00"}));
    let denied = act(
        &plane,
        &fourth["id"],
        "deny",
        &json!({"reason": "Not today"}),
    );
    assert_eq!(
        (&denied["reason"], &denied["message"]),
        (&json!("denied_by_reviewer"), &json!("Not today"))
    );
}

/// Behaviour 5.7.
#[test]
fn of_two_reviewers_one_decides_and_of_what_was_looked_at_alone() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"unscopedRequests": "allow"}));
    let waits = buyer.asks(&plane, &json!({}));
    let version = waits["version"].as_i64().unwrap();
    for verb in ["approve", "deny"] {
        let path = format!(
            "/v1/purchase-requests/{}/{verb}",
            waits["id"].as_str().unwrap()
        );
        let other = json!({"version": version + 1});
        let refused = plane.ask(&plane.owner, "POST", &path, &other);
        assert_eq!(code(&refused, 409), "request_changed");
    }
    assert_eq!(
        buyer.sees(&plane, &waits["id"]),
        waits,
        "nothing is decided"
    );
    let mut cards = 0;
    for n in 1..=8 {
        let waits = buyer.asks(&plane, &json!({"amount": n}));
        let looked_at = json!({"version": waits["version"]});
        let acts = |verb| act(&plane, &waits["id"], verb, &looked_at);
        let (approves, denies) = thread::scope(|scope| {
            let approves = scope.spawn(|| acts("approve"));
            let denies = scope.spawn(|| acts("deny"));
            (approves.join().unwrap(), denies.join().unwrap())
        });
        let decided = buyer.sees(&plane, &waits["id"]);
        assert_eq!(
            approves, decided,
            "who comes second is shown what is decided"
        );
        cards += usize::from(decided["status"] == "approved");
        if decided["status"] == "denied" {
            assert_eq!(denies, decided);
        }
        // What is decided stays, whichever version was looked at.
        assert_eq!(acts("deny"), decided);
    }
    let made = plane.get("/v1/cards?limit=200");
    assert_eq!(made["data"].as_array().unwrap().len(), cards);
}

/// Behaviour 5.9.
#[test]
fn behaviour_5_9_the_same_request_is_one_request_concurrently_and_after_a_crash() {
    let mut plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 5000}));
    let key = json!({"idempotencyKey": "k1"});
    let all: Vec<Value> = thread::scope(|scope| {
        let asks = |_| scope.spawn(|| buyer.asks(&plane, &key));
        let asked: Vec<_> = (0..8).map(asks).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(all.iter().all(|it| it["id"] == all[0]["id"]), "{all:?}");
    let cards = plane.get("/v1/cards")["data"].as_array().unwrap().len();
    assert_eq!(cards, 1);
    let before = plane.listen().to_string();
    plane.kill();
    plane.restart();
    // The port is another one.
    let here = |it: &Value| it.to_string().replace(&before, &plane.listen().to_string());
    assert_eq!(buyer.asks(&plane, &key).to_string(), here(&all[0]));
    let other = wish(&json!({"idempotencyKey": "k1", "amount": "12.01"}));
    let refused = plane.ask(&buyer.key, "POST", "/v1/purchase-requests", &other);
    assert_eq!(code(&refused, 422), "idempotency_conflict");
    assert!(
        value(&refused)["detail"]
            .as_str()
            .unwrap()
            .contains(all[0]["id"].as_str().unwrap())
    );
    // Without a key, the same merchant and amount are the same purchase for a while.
    let first = buyer.asks(&plane, &json!({"amount": "3.00"}));
    let again = buyer.asks(&plane, &json!({"amount": "3.00", "description": "Again"}));
    assert_eq!(first["id"], again["id"]);
    assert_ne!(
        buyer.asks(&plane, &json!({"amount": "3.01"}))["id"],
        first["id"]
    );
}

/// Behaviour 5.11, its own example.
#[test]
fn behaviour_5_11_the_summary_tells_own_limits_and_those_over_all_agents() {
    let plane = Plane::start();
    let free = buyer(&plane, &json!({"limits": {"perDay": 3000}}));
    let seen = free.spending(&plane);
    assert_eq!(seen["daily_limit"], "30.00");
    assert!(seen.get("user_aggregate").is_none(), "{seen}");
    let rules = json!({"limits": {"perDay": 3000, "perWeek": 10000}});
    let path = format!("/v1/customers/{}", plane.customer);
    plane.owner_asks("PATCH", &path, &json!({"policy": rules}), 200);
    let other = buyer(&plane, &json!({"autoApproveBelow": 5000}));
    assert_eq!(
        other.asks(&plane, &json!({"amount": "17"}))["status"],
        "approved"
    );
    let own = buyer(
        &plane,
        &json!({"autoApproveBelow": 5000, "limits": {"perDay": 3000}}),
    );
    let seen = own.spending(&plane);
    assert_eq!(seen["daily_spent"], "0.00");
    assert_eq!(seen["daily_remaining"], "30.00");
    for (window, limit, remaining) in [("daily", "30.00", "13.00"), ("weekly", "100.00", "83.00")] {
        let all = &seen["user_aggregate"][window];
        assert_eq!(
            (&all["spent"], &all["limit"], &all["remaining"]),
            (&json!("17.00"), &json!(limit), &json!(remaining))
        );
        assert!(all["resets_at"].is_string());
    }
    assert_eq!(
        seen["weekly_spent"],
        Value::Null,
        "what is not configured is not there"
    );
    assert_eq!(seen["user_aggregate"]["monthly"], Value::Null);
    let denied = own.asks(&plane, &json!({"amount": "25"}));
    assert_eq!(
        (&denied["status"], &denied["reason"]),
        (&json!("denied"), &json!("customer_limit_exceeded"))
    );
    assert!(
        denied["suggestion"]
            .as_str()
            .unwrap()
            .starts_with("Ask for at most 13.00 USD")
    );
}

/// Behaviour 5.4, 5.8: the issue's own figures.
#[test]
fn behaviour_5_8_fifty_at_a_time_never_share_the_last_headroom() {
    for (rules, most) in [
        (json!({"countTotal": 10}), 10),
        (json!({"perDay": 500}), 5),
        (json!({"countPerDay": 10, "total": 500}), 5),
    ] {
        let plane = Plane::start();
        let policy = json!({"autoApproveBelow": 100, "unscopedRequests": "allow", "limits": rules});
        let buyer = buyer(&plane, &policy);
        let all: Vec<Value> = thread::scope(|scope| {
            let asks = |n: usize| {
                let (plane, buyer) = (&plane, &buyer);
                let more = json!({"amount": 0.99, "categoryHint": null,
                    "idempotencyKey": format!("k{n}")});
                scope.spawn(move || buyer.asks(plane, &more))
            };
            let asked: Vec<_> = (0..50).map(asks).collect();
            asked.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let approved = all.iter().filter(|it| it["status"] == "approved").count();
        let denied = all.iter().filter(|it| it["status"] == "denied").count();
        assert_eq!((approved, denied), (most, 50 - most), "{rules}");
        let cards = plane.get("/v1/cards?limit=200")["data"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(cards, most);
    }
}

/// Behaviour 5.15, 5.10.
#[test]
fn behaviour_5_15_an_agent_is_who_its_key_says_and_sees_nobody_elses() {
    let plane = Plane::start();
    let rules = json!({"autoApproveBelow": 5000});
    let (one, two) = (buyer(&plane, &rules), buyer(&plane, &rules));
    let made = one.asks(&plane, &json!({}));
    assert_eq!(made["agentId"], json!(one.agent));
    let path = format!("/v1/purchase-requests/{}", made["id"].as_str().unwrap());
    let foreign = plane.ask(&two.key, "GET", &path, &Value::Null);
    let unknown = plane.ask(
        &two.key,
        "GET",
        "/v1/purchase-requests/preq_1",
        &Value::Null,
    );
    assert_eq!(
        (code(&foreign, 404), value(&foreign)),
        (code(&unknown, 404), value(&unknown))
    );
    let named = wish(&json!({"agentId": one.agent}));
    let refused = plane.ask(&two.key, "POST", "/v1/purchase-requests", &named);
    assert_eq!(code(&refused, 400), "invalid_request");
    let owner = plane.ask(
        &plane.owner,
        "POST",
        "/v1/purchase-requests",
        &wish(&json!({})),
    );
    assert_eq!(code(&owner, 403), "scope_not_allowed");
    let others = format!("/v1/agents/{}/spending", one.agent);
    assert_eq!(
        code(&plane.ask(&two.key, "GET", &others, &Value::Null), 404),
        "not_found"
    );
    // A paused agent buys nothing, and what it asks says so.
    let path = format!("/v1/agents/{}", one.agent);
    plane.owner_asks("PATCH", &path, &json!({"status": "paused"}), 200);
    assert_eq!(
        one.asks(&plane, &json!({"amount": "2"}))["reason"],
        "agent_suspended"
    );
}

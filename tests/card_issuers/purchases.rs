//! Purchase cards made at an issuer over the network (behaviour 5.14).

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk, files_with};
use crate::far_side::{Fault, KEY, NUMBER, Speech};
use crate::plane::{Plane, code, value};
use crate::server::{Response, millis_since, now};

const PATIENCE_MS: i64 = 60_000;

fn key(desk: &Desk) -> String {
    let rules =
        json!({"autoApproveBelow": 5000, "unscopedRequests": "allow", "limits": {"perDay": 5000}});
    let agent = desk.plane.agent(&rules);
    desk.plane.key(&json!({"scope": "agent", "agentId": agent}))
}

fn wish(amount: &str) -> Value {
    json!({"merchantUrl": "shop.example.com", "amount": amount, "description": "A thing",
        "justification": "It is needed"})
}

fn asks(desk: &Desk, key: &str, amount: &str) -> Value {
    let path = "/v1/purchase-requests";
    value(&desk.plane.ask(key, "POST", path, &wish(amount)))
}

fn spent(desk: &Desk, key: &str) -> Value {
    let path = "/v1/agents/me/spending";
    value(&desk.plane.ask(key, "GET", path, &Value::Null))["daily_spent"].clone()
}

fn see(desk: &Desk, id: &Value) -> Value {
    desk.plane
        .get(&format!("/v1/purchase-requests/{}", id.as_str().unwrap()))
}

/// Waits for what the server does by itself.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let since = now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(seen) => assert!(millis_since(since) < PATIENCE_MS, "{what}: {seen}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn until_approved(desk: &Desk, id: &Value) -> Value {
    until("approved", || {
        let seen = see(desk, id);
        if seen["status"] == "approved" {
            return Ok(seen);
        }
        assert_eq!(seen["message"], "issuing", "{seen}");
        Err(seen.to_string())
    })
}

fn until_spent(desk: &Desk, key: &str, amount: &str) {
    until("spent", || {
        let seen = spent(desk, key);
        if seen == amount {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    });
}

/// As if the approval had been so many minutes earlier; what waits is looked at again at once.
fn age(desk: &mut Desk, statement: &'static str) {
    desk.plane.kill();
    let Plane { database, home, .. } = &desk.plane;
    database.change(&home.path("data"), statement);
    desk.restart();
}

const NINE_MINUTES: &str = "UPDATE purchases SET due_us = 0, terms = json_set(terms, \
    '$.order.at_us', json_extract(terms, '$.order.at_us') - 540000000)";
const TWO_MINUTES: &str = "UPDATE purchases SET due_us = 0, terms = json_set(terms, \
    '$.order.at_us', json_extract(terms, '$.order.at_us') - 120000000)";
const LATER: &str = "UPDATE purchases SET due_us = 0 WHERE due_us IS NOT NULL";

fn until_given_up(desk: &Desk, id: &Value) -> Value {
    until("given up", || {
        let seen = see(desk, id);
        if seen["status"] == "denied" {
            return Ok(seen);
        }
        Err(seen.to_string())
    })
}

/// How often the audit log speaks of what the server did with the request.
fn noted(desk: &Desk, id: &Value) -> usize {
    let page = desk.plane.get("/v1/audit?limit=200");
    let action = format!("purchase request {}", id.as_str().unwrap());
    let entries = page["data"].as_array().unwrap().iter();
    entries.filter(|it| it["entry"]["action"] == action).count()
}

/// The server has looked after the request again.
fn until_looked_at(desk: &Desk, id: &Value, before: &Value) {
    until("looked at", || {
        let seen = see(desk, id);
        if seen["version"] == *before {
            return Err(seen.to_string());
        }
        Ok(())
    });
}

/// The server asks its deaf issuer again.
fn until_asked_again(desk: &Desk) {
    let asked = desk.far.kept().seen.len();
    desk.until("asked again", |far| far.kept().seen.len() > asked);
}

/// Behaviour 5.14.
#[test]
fn behaviour_5_14_after_ten_minutes_it_is_denied_and_given_back_once_no_card_is_proven() {
    let mut desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.set_deaf(true);
    let id = asks(&desk, &key, "12.00")["id"].clone();
    age(&mut desk, NINE_MINUTES);
    until_asked_again(&desk);
    let waits = see(&desk, &id);
    assert_eq!(
        (&waits["status"], &waits["message"]),
        (&json!("pending_review"), &json!("issuing"))
    );
    age(&mut desk, TWO_MINUTES);
    let denied = until_given_up(&desk, &id);
    assert_eq!(denied["reason"], "issuer_unavailable");
    let (noted, looked_at) = (noted(&desk, &id), see(&desk, &id)["version"].clone());
    age(&mut desk, LATER);
    until_looked_at(&desk, &id, &looked_at);
    assert_eq!(self::noted(&desk, &id), noted, "a look is no news");
    assert_eq!(spent(&desk, &key), "12.00", "a card may be there");
    desk.far.set_deaf(false);
    age(&mut desk, LATER);
    until_spent(&desk, &key, "0.00");
    assert_eq!(desk.far.cards().len(), 0);
    let ended = see(&desk, &id);
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("denied"), &json!("issuer_unavailable"))
    );
}

/// Behaviour 5.14: whether a card is there is known to the connection that was asked, and to no other.
#[test]
fn of_a_connection_that_is_gone_nothing_is_proven() {
    let mut desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.set_deaf(true);
    let id = asks(&desk, &key, "12.00")["id"].clone();
    age(&mut desk, NINE_MINUTES);
    age(&mut desk, TWO_MINUTES);
    until_given_up(&desk, &id);
    age(&mut desk, LATER);
    desk.plane.kill();
    // The sandbox, which is there always, has no card of it.
    desk.plane.restart_with(&[]);
    let looked_at = see(&desk, &id)["version"].clone();
    desk.plane.kill();
    let Plane { database, home, .. } = &desk.plane;
    database.change(&home.path("data"), LATER);
    desk.plane.restart_with(&[]);
    until_looked_at(&desk, &id, &looked_at);
    assert_eq!(spent(&desk, &key), "12.00");
    desk.far.set_deaf(false);
    age(&mut desk, LATER);
    until_spent(&desk, &key, "0.00");
}

/// Behaviour 5.14: a card that came too late is closed, and its money comes back.
#[test]
fn a_card_that_was_made_for_a_denied_request_is_closed() {
    let mut desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.fault(Fault::SlowAfter);
    let id = thread::scope(|scope| {
        let asked = scope.spawn(|| asks(&desk, &key, "12.00")["id"].clone());
        desk.until("made", |far| far.cards().len() == 1);
        desk.far.set_deaf(true);
        asked.join().unwrap()
    });
    assert_eq!(see(&desk, &id)["message"], "issuing");
    age(&mut desk, NINE_MINUTES);
    age(&mut desk, TWO_MINUTES);
    assert_eq!(until_given_up(&desk, &id)["reason"], "issuer_unavailable");
    assert_eq!(desk.far.cards()[0]["state"], "OPEN");
    desk.far.set_deaf(false);
    age(&mut desk, LATER);
    desk.until("closed", |far| far.cards()[0]["state"] == "CLOSED");
    until_spent(&desk, &key, "0.00");
    assert_eq!(desk.plane.get("/v1/cards")["data"], json!([]));
    assert_eq!(desk.far.cards().len(), 1, "no other was made");
}

#[test]
fn an_issuer_that_does_not_answer_is_waited_for_also_after_a_crash() {
    let mut desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.set_deaf(true);
    let waits = asks(&desk, &key, "12.00");
    assert_eq!(
        (&waits["status"], &waits["message"]),
        (&json!("pending_review"), &json!("issuing"))
    );
    assert_eq!(spent(&desk, &key), "12.00", "it is set aside already");
    desk.plane.kill();
    desk.restart();
    desk.far.set_deaf(false);
    let made = until_approved(&desk, &waits["id"]);
    assert_eq!(desk.far.cards().len(), 1);
    assert_eq!(spent(&desk, &key), "12.00", "once");
    let card = made["virtualCard"]["id"].as_str().unwrap();
    assert_eq!(desk.buy(card, 1_200), APPROVED);
    assert_eq!(spent(&desk, &key), "12.00");
}

#[test]
fn a_card_whose_answer_was_lost_is_found_and_not_made_again() {
    let desk = Desk::start(Speech::Lithic);
    let key = key(&desk);
    desk.far.fault(Fault::DropsAfter);
    let asked = asks(&desk, &key, "12.00");
    let made = until_approved(&desk, &asked["id"]);
    let cards = desk.far.cards();
    assert_eq!(cards.len(), 1);
    // The fence at the issuer is never tighter than the card.
    assert_eq!(cards[0]["state"], "OPEN");
    let card = made["virtualCard"]["id"].as_str().unwrap();
    assert_ne!(desk.buy(card, 1_201), APPROVED);
    assert_eq!(desk.buy(card, 1_200), APPROVED);
}

/// Behaviour 5.12.
#[test]
fn s10_a_framed_card_is_shown_by_its_issuer_alone_and_its_number_never_comes_here() {
    let line = "reveal = \"frame\"\nreveal_to_agents = true\nkey = \"file:";
    let desk = Desk::with(Speech::Lithic, line);
    let key = key(&desk);
    let made = asks(&desk, &key, "12.00");
    let url = made["virtualCard"]["viewUrl"].as_str().unwrap().to_owned();
    let here = format!("http://{}", desk.plane.listen());
    let path = url.strip_prefix(&here).unwrap();
    let opens = |headers: &str| desk.plane.ask_with("POST", path, headers, "");
    let policy = |response: &Response| {
        let policy = response.header("content-security-policy").unwrap();
        policy.to_owned()
    };
    let looked = desk.plane.ask_with("GET", path, "", "");
    assert!(!looked.text().contains("iframe"));
    // Whoever asks for the number itself is told where it is.
    let card = made["virtualCard"]["id"].as_str().unwrap();
    let refused = opens("content-type: application/json\r\n");
    assert_eq!(code(&refused, 422), "not_supported");
    assert!(refused.text().contains("view_url"), "{}", refused.text());
    for asker in [&key, &desk.plane.owner] {
        let path = format!("/v1/cards/{card}/reveal");
        let refused = desk.plane.ask(asker, "POST", &path, &Value::Null);
        assert_eq!(code(&refused, 422), "not_supported");
    }
    let far = format!("http://{}", desk.far.address);
    let begins = format!("<iframe class=\"issuers\" src=\"{far}/v1/embed/card?embed_request=");
    for _ in 0..5 {
        let shown = opens("");
        assert_eq!(shown.status, 200, "{}", shown.text());
        // The page's own policy, and this one origin more.
        assert_eq!(
            policy(&shown),
            format!("{}; frame-src {far}", policy(&looked))
        );
        assert!(shown.text().contains(&begins), "{}", shown.text());
        assert!(!shown.text().contains(NUMBER) && !shown.text().contains(KEY));
    }
    let refused = opens("");
    assert_eq!(refused.status, 429);
    assert!(!refused.text().contains("iframe") && refused.text().contains("minute"));
    let path = format!("/v1/cards/{card}/freeze");
    desk.plane.owner_asks("POST", &path, &Value::Null, 200);
    let refused = opens("");
    assert_eq!(refused.status, 409);
    assert!(!refused.text().contains("iframe") && refused.text().contains("frozen"));
    let audit = desk.plane.get("/v1/audit?limit=200").to_string();
    assert!(audit.contains("/view/{token}") && !audit.contains("embed_request"));
    let asked = desk.far.seen("GET");
    let about_one = asked.iter().find(|it| it.path.starts_with("/v1/cards/"));
    assert!(about_one.is_none(), "the number was asked for from here");
    for text in [NUMBER, "embed_request"] {
        let found = files_with(desk.plane.home.path(""), text);
        assert_eq!(found, [""; 0], "{text} was kept");
    }
}

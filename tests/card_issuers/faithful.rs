//! What an issuer is told and what it is not, where we and it may have changed a card at once, and
//! where only it holds what we promise (behaviour 3.8, 4.5, 4.8).

use serde_json::{Value, json};

use crate::comes_back::{strangers, without_polling};
use crate::desk::Desk;
use crate::far_side::{Fault, Speech};
use crate::plane::{bearer, code, id, value};
use crate::server::now;

fn limit(amount: u64) -> Value {
    json!({"limits": {"amount": amount, "currency": "USD", "interval": "all_time"}})
}

fn change(desk: &Desk, card: &str, body: &Value) {
    desk.plane
        .owner_asks("PATCH", &format!("/v1/cards/{card}"), body, 200);
}

/// The newest entries of the audit log, oldest first.
fn audited(desk: &Desk) -> Vec<Value> {
    let page = desk.plane.get("/v1/audit?limit=200");
    let lines = page["data"].as_array().unwrap().iter();
    lines.map(|line| line["entry"].clone()).collect()
}

#[test]
fn an_order_that_broke_off_is_not_carried_out_for_another_body() {
    let desk = Desk::start(Speech::Lithic);
    desk.far.fault(Fault::DropsBefore);
    desk.far.fault(Fault::Limited);
    let headers = format!("{}idempotency-key: once\r\n", bearer(&desk.plane.owner));
    let body = |amount: u64| {
        let mut body = limit(amount);
        body["customerId"] = json!(desk.plane.customer);
        body.to_string()
    };
    let ask = |amount| {
        let path = "/v1/cards";
        desk.plane.ask_with("POST", path, &headers, &body(amount))
    };
    assert_eq!(code(&ask(5_000), 503), "issuer_unavailable");
    assert_eq!(code(&ask(9_000), 422), "idempotency_conflict");
    let card = value(&ask(5_000));
    assert_eq!(card["limits"]["amount"], 5_000, "{card}");
    assert_eq!(desk.far.card_of(&id(&card))["spend_limit"], 5_000);
}

#[test]
fn limits_alone_say_nothing_about_what_an_issuer_has_paused() {
    let mut desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&limit(5_000));
    without_polling(&mut desk);
    desk.far.set(&card, "state", &json!("PAUSED"));
    change(&desk, &card, &limit(7_000));
    let there = |field: &str| desk.far.card_of(&card)[field].clone();
    desk.until("raised", |_| there("spend_limit") == 7_000);
    let waits = || desk.plane.server().admin("/admin/outbox")["rows"].clone();
    desk.until("all told", |_| waits() == json!([]));
    assert_eq!(there("state"), "PAUSED", "its issuer has stopped it");
}

#[test]
fn a_card_opens_only_behind_the_limit_that_it_is_to_have() {
    let desk = Desk::start(Speech::Privacy);
    for round in 1..=8 {
        let card = desk.plane.card(&limit(0));
        let there = |field: &str| desk.far.card_of(&card)[field].clone();
        assert_eq!(there("state"), "PAUSED");
        change(&desk, &card, &limit(700 * round));
        desk.until("open", |_| there("state") == "OPEN");
        let token = desk.far.token_of(&card);
        let said = desk.far.seen("PATCH");
        let said: Vec<_> = said.iter().filter(|it| it.path.ends_with(&token)).collect();
        let opened = said.iter().position(|it| it.body["state"] == "OPEN");
        let limited = said
            .iter()
            .position(|it| it.body["spend_limit"] == 700 * round);
        assert!(limited < opened && limited.is_some(), "{said:?}");
    }
    desk.far.is_content();
}

#[test]
fn a_lock_that_is_set_later_is_told_where_the_issuer_never_asks() {
    let desk = Desk::start(Speech::Privacy);
    let lock = json!({"policy": {"lockToFirstMerchant": true}});
    let (plain, locked) = (desk.plane.card(&json!({})), desk.plane.card(&lock));
    assert_eq!(desk.far.card_of(&locked)["type"], "MERCHANT_LOCKED");
    let mut body = lock;
    body["policy"]["limits"] = json!({"total": 5_000});
    // What was made so stays so.
    change(&desk, &locked, &body);
    let path = format!("/v1/cards/{plain}");
    let refused = desk.plane.ask(&desk.plane.owner, "PATCH", &path, &body);
    assert_eq!(code(&refused, 422), "not_enforced");
    let field = "policy.lockToFirstMerchant";
    assert_eq!(value(&refused)["errors"][0]["field"], field);
    body["configuration"] = json!({"allowUnenforced": true});
    change(&desk, &plain, &body);
    let unenforced = |card: &str| {
        let shown = desk.plane.get(&format!("/v1/cards/{card}/policy"));
        shown["unenforced"].clone()
    };
    assert_eq!(unenforced(&plain), json!([field]));
    assert_eq!(unenforced(&locked), json!([]));
    // It stays told, also where it is changed again.
    body["policy"]["limits"] = json!({"total": 6_000});
    change(&desk, &plain, &body);
    assert_eq!(unenforced(&plain), json!([field]));
}

#[test]
fn a_card_that_was_replaced_is_closed_there_when_its_time_is_over() {
    let desk = Desk::start(Speech::Privacy);
    let old = desk.plane.card(&json!({}));
    let until = now().plus_micros(3_000_000).rfc3339().to_string();
    let path = format!("/v1/cards/{old}/replace");
    let body = json!({"oldCardUntil": until});
    let new = id(&desk.plane.owner_asks("POST", &path, &body, 201));
    assert_eq!(desk.far.card_of(&old)["state"], "OPEN");
    let readiness = desk.plane.server().admin_text("/readyz");
    assert!(!readiness.contains("issuer_behind"), "{readiness}");
    desk.until("closed", |far| far.card_of(&old)["state"] == "CLOSED");
    assert_eq!(desk.far.card_of(&new)["state"], "OPEN");
    desk.until_status(&old, "canceled");
    desk.far.is_content();
}

#[test]
fn cards_are_taken_over_under_the_rules_for_cards_that_are_made() {
    let desk = Desk::start(Speech::Privacy);
    strangers(&desk);
    let path = "/v1/connections/acme/import";
    let owner = &desk.plane.owner;
    let agent = desk.plane.agent(&json!({"limits": {"perDay": 900}}));
    let mut body = json!({"customerId": desk.plane.customer, "agentId": agent, "dryRun": false});
    let ask = |body: &Value| desk.plane.ask(owner, "POST", path, body);
    let refused = ask(&body);
    assert_eq!(code(&refused, 422), "not_enforced");
    let field = &value(&refused)["errors"][0]["field"];
    assert_eq!(field, "agent.policy.limits.perDay");
    body["allowUnenforced"] = json!(true);
    let customer = format!("/v1/customers/{}", desk.plane.customer);
    let fleet = json!({"fleet": {"cardsPerAgentMax": 1}});
    desk.plane.owner_asks("PATCH", &customer, &fleet, 200);
    assert_eq!(code(&ask(&body), 409), "fleet_cap_reached");
    let fleet = json!({"fleet": {"cardsPerAgentMax": 2}});
    desk.plane.owner_asks("PATCH", &customer, &fleet, 200);
    let off = json!({"status": "disabled"});
    let gone = desk.plane.agent(&json!({}));
    let other = format!("/v1/agents/{gone}");
    desk.plane.owner_asks("PATCH", &other, &off, 200);
    let mut theirs = body.clone();
    theirs["agentId"] = json!(gone);
    assert_eq!(code(&ask(&theirs), 409), "agent_disabled");
    let taken = ask(&body);
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(value(&taken)["imported"], 2);
    let entries = audited(&desk);
    let entry = entries
        .iter()
        .rfind(|it| it["action"].as_str().unwrap().ends_with("/import") && it["outcome"] == "200")
        .unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(entry["changes"].as_array().unwrap().len(), 3, "{entry}");
}

#[test]
fn what_an_issuer_has_done_to_a_card_is_told_in_the_audit_log() {
    let desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    desk.far.set(&card, "state", &json!("PAUSED"));
    desk.until_status(&card, "locked");
    let entries = audited(&desk);
    let entry = entries.last().unwrap();
    let who = json!({"id": "acme", "kind": "issuer", "scope": null});
    assert_eq!(entry["who"], who, "{entry}");
    assert_eq!(entry["changes"][0]["id"], json!(card));
    assert_eq!(entry["changes"][0]["status"], "locked");
    assert_eq!(entry["mode"], "test");
}

//! What issuers are told of our cards: behind the answer, again and again, over crashes
//! (behaviour 2.14 j, 4.8).

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk};
use crate::far_side::{Fault, Speech};
use crate::server::binary;

pub(crate) fn state_there(desk: &Desk, card: &str) -> String {
    let there = desk.far.card_of(card);
    let state = there["state"].as_str().or_else(|| there["status"].as_str());
    state.unwrap().to_owned()
}

pub(crate) fn change(desk: &Desk, card: &str, body: &Value) {
    desk.plane
        .owner_asks("PATCH", &format!("/v1/cards/{card}"), body, 200);
}

#[test]
fn what_stops_a_card_here_stops_it_there() {
    for (speech, words) in [
        (Speech::Lithic, ["OPEN", "PAUSED", "CLOSED"]),
        (Speech::Stripe, ["active", "inactive", "canceled"]),
        (Speech::Privacy, ["OPEN", "PAUSED", "CLOSED"]),
    ] {
        let desk = Desk::start(speech);
        let card = desk.plane.card(&json!({}));
        let [open, paused, closed] = words;
        let until = |word: &str| desk.until(word, |_| state_there(&desk, &card) == word);
        until(open);
        change(&desk, &card, &json!({"status": "locked"}));
        until(paused);
        change(&desk, &card, &json!({"status": "active"}));
        until(open);
        let path = format!("/v1/cards/{card}");
        desk.plane
            .owner_asks("POST", &format!("{path}/freeze"), &Value::Null, 200);
        until(paused);
        desk.plane.owner_asks("DELETE", &path, &Value::Null, 200);
        until(closed);
        desk.far.is_content();
    }
}

#[test]
fn an_issuer_that_is_away_is_waited_for_by_nobody_and_told_after_a_crash() {
    let mut desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    assert_eq!(desk.buy(&card, 100), APPROVED);
    desk.far.set_deaf(true);
    for status in ["locked", "active", "locked"] {
        change(&desk, &card, &json!({"status": status}));
    }
    // It is in force here before anybody there has heard of it.
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
    assert_eq!(state_there(&desk, &card), "OPEN");
    let waiting = |desk: &Desk| desk.plane.server().admin("/admin/outbox")["rows"].clone();
    desk.until("it was tried", |_| {
        waiting(&desk)[0]["attempts"].as_u64() > Some(0)
    });
    let rows = waiting(&desk);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows[0]["state"], "waiting");
    assert!(
        rows[0]["lastError"].as_str().unwrap().contains("503"),
        "{rows}"
    );
    let metric = "countersign_outbox_waiting 1\n";
    desk.until("the metric", |_| {
        desk.plane.server().admin_text("/metrics").contains(metric)
    });
    desk.plane.kill();
    desk.restart();
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
    desk.far.set_deaf(false);
    desk.until("told", |_| state_there(&desk, &card) == "PAUSED");
    desk.until("done", |_| waiting(&desk) == json!([]));
    let said = desk.far.seen("PATCH");
    assert_eq!(said.last().unwrap().body, json!({"state": "PAUSED"}));
    desk.far.is_content();
}

#[test]
fn limits_follow_and_a_limit_of_nothing_pauses() {
    let desk = Desk::start(Speech::Lithic);
    let limit = |amount: u64| json!({"limits": {"amount": amount, "currency": "USD", "interval": "all_time"}});
    let card = desk.plane.card(&limit(5000));
    let there = |field: &str| desk.far.card_of(&card)[field].clone();
    change(&desk, &card, &limit(7000));
    desk.until("raised", |_| there("spend_limit") == 7000);
    change(&desk, &card, &limit(0));
    desk.until("paused", |_| there("state") == "PAUSED");
    assert_eq!(there("spend_limit"), 7000, "0 would have opened it");
    change(&desk, &card, &json!({"limits": null}));
    desk.until("open", |_| there("state") == "OPEN");
    desk.until("no limit", |_| {
        there("spend_limit_duration") == "TRANSACTION"
    });
    desk.far.is_content();

    let desk = Desk::start(Speech::Stripe);
    let card = desk.plane.card(&limit(5000));
    let limits = || desk.far.card_of(&card)["spending_controls"]["spending_limits"].clone();
    assert_eq!(
        limits(),
        json!([{"amount": "5000", "interval": "all_time"}])
    );
    change(&desk, &card, &json!({"limits": null}));
    desk.until("taken away", |_| limits() == "");
    desk.far.is_content();

    // What nobody would enforce is refused in a change as well.
    let desk = Desk::start(Speech::Privacy);
    let card = desk.plane.card(&json!({}));
    let path = format!("/v1/cards/{card}");
    let mut body = json!({"policy": {"limits": {"perDay": 1000}}});
    desk.plane.owner_asks("PATCH", &path, &body, 422);
    body["configuration"] = json!({"allowUnenforced": true});
    desk.plane.owner_asks("PATCH", &path, &body, 200);
}

#[test]
fn what_an_issuer_refuses_is_listed_and_told_again_by_an_operator() {
    let desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    desk.far.fault(Fault::Refuses);
    change(&desk, &card, &json!({"status": "locked"}));
    let rows = || desk.plane.server().admin("/admin/outbox")["rows"].clone();
    desk.until("given up", |_| rows()[0]["state"] == "dead");
    desk.until("warned", |_| {
        let warnings = desk.plane.server().admin("/readyz")["warnings"].clone();
        warnings
            .as_array()
            .unwrap()
            .contains(&json!("issuer_gave_up"))
    });
    let ops = desk.plane.server().ops.to_string();
    let run = |words: &[&str]| {
        let mut command = binary();
        command.args(words).args(["--ops-listen", &ops]);
        crate::server::said(command.output())
    };
    let (status, said) = run(&["outbox", "list"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("dead") && said.contains(&card), "{said}");
    assert!(said.contains("400 not this one"), "{said}");
    let (status, said) = run(&["outbox", "replay"]);
    assert_eq!((status, &*said), (Some(0), "1 to be told again\n"));
    desk.until("told", |_| state_there(&desk, &card) == "PAUSED");
    desk.until("done", |_| rows() == json!([]));
}

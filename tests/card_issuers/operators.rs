//! What operators stop and let go through `/admin` reaches the issuer as what the API says does, and
//! so does what stops an agent or a customer (behaviour 3.8, 4.8).

use std::fs;

use serde_json::{Value, json};

use crate::comes_back::strangers;
use crate::desk::{APPROVED, Desk};
use crate::far_side::Speech;
use crate::told::{change, state_there};

const LITHIC: [&str; 3] = ["OPEN", "PAUSED", "CLOSED"];

fn operator(desk: &Desk, path: &str) {
    let answer = desk.plane.server().post(&format!("/admin/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
}

fn rows(desk: &Desk) -> Value {
    desk.plane.server().admin("/admin/outbox")["rows"].clone()
}

fn until_there(desk: &Desk, card: &str, state: &str) {
    desk.until(state, |_| state_there(desk, card) == state);
}

/// Nothing waits, and the state is what it was before.
fn stays_there(desk: &Desk, card: &str, state: &str) {
    desk.until("told", |_| rows(desk) == json!([]));
    assert_eq!(state_there(desk, card), state);
}

/// Looks so often by itself; not at all at 0.
fn restart_with_poll(desk: &mut Desk, poll_s: u32) {
    let path = desk.plane.home.path("plane.toml");
    let config = fs::read_to_string(&path).unwrap();
    let polling = config.lines().map(|line| {
        if line.starts_with("poll_s") {
            format!("poll_s = {poll_s}\n")
        } else {
            format!("{line}\n")
        }
    });
    fs::write(&path, polling.collect::<String>()).unwrap();
    desk.plane.kill();
    desk.restart();
}

#[test]
fn what_an_operator_stops_is_stopped_at_the_issuer() {
    for (speech, words) in [
        (Speech::Lithic, LITHIC),
        (Speech::Stripe, ["active", "inactive", "canceled"]),
        (Speech::Privacy, LITHIC),
    ] {
        let desk = Desk::start(speech);
        let [open, paused, closed] = words;
        let agent = desk.plane.agent(&json!({}));
        let card = desk.plane.card(&json!({"agentId": agent}));
        let other = desk.plane.card(&json!({}));
        let act = |action: &str| operator(&desk, &format!("cards/{card}/{action}"));
        for (stop, go) in [("lock", "unlock"), ("freeze", "unfreeze")] {
            act(stop);
            until_there(&desk, &card, paused);
            act(go);
            until_there(&desk, &card, open);
        }
        // What is let go by one is still stopped by another.
        act("lock");
        act("freeze");
        until_there(&desk, &card, paused);
        operator(&desk, &format!("agents/{agent}/pause"));
        for go in ["unlock", "unfreeze"] {
            act(go);
            stays_there(&desk, &card, paused);
        }
        change(&desk, &card, &json!({"status": "locked"}));
        operator(&desk, &format!("agents/{agent}/resume"));
        stays_there(&desk, &card, paused);
        change(&desk, &card, &json!({"status": "active"}));
        until_there(&desk, &card, open);
        act("cancel");
        until_there(&desk, &card, closed);
        // Nobody has taken ours for the issuer's word, and nobody else's card was touched.
        desk.until_status(&other, "active");
        assert_eq!(state_there(&desk, &other), open);
        desk.far.is_content();
    }
}

#[test]
fn no_operator_waits_for_an_issuer_and_a_crash_forgets_no_word() {
    let mut desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    assert_eq!(desk.buy(&card, 100), APPROVED);
    desk.far.set_deaf(true);
    operator(&desk, &format!("cards/{card}/lock"));
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
    desk.until("kept", |_| rows(&desk)[0]["card"] == json!(card));
    desk.until("tried", |_| rows(&desk)[0]["attempts"].as_u64() > Some(0));
    assert_eq!(state_there(&desk, &card), "OPEN");
    desk.plane.kill();
    desk.restart();
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
    desk.far.set_deaf(false);
    until_there(&desk, &card, "PAUSED");
    stays_there(&desk, &card, "PAUSED");
    desk.far.is_content();
}

/// The ledger has the word, and the process dies before the database has its errand.
#[test]
fn a_word_that_no_errand_was_kept_of_is_told_after_the_start() {
    for poll_s in [0, 1] {
        let mut desk = Desk::start(Speech::Lithic);
        restart_with_poll(&mut desk, poll_s);
        let agent = desk.plane.agent(&json!({}));
        let locked = desk.plane.card(&json!({}));
        let canceled = desk.plane.card(&json!({}));
        let paused = desk.plane.card(&json!({"agentId": agent}));
        let other = desk.plane.card(&json!({}));
        desk.far.set_deaf(true);
        operator(&desk, &format!("cards/{locked}/lock"));
        operator(&desk, &format!("cards/{canceled}/cancel"));
        operator(&desk, &format!("agents/{agent}/pause"));
        desk.until("kept", |_| rows(&desk).as_array().unwrap().len() >= 3);
        desk.plane.kill();
        let data_dir = desk.plane.home.data_dir();
        desk.plane.database.change(&data_dir, "DELETE FROM outbox");
        desk.far.set_deaf(false);
        desk.restart();
        until_there(&desk, &locked, "PAUSED");
        until_there(&desk, &canceled, "CLOSED");
        until_there(&desk, &paused, "PAUSED");
        stays_there(&desk, &other, "OPEN");
        // What was stopped by us is not the issuer's doing.
        operator(&desk, &format!("agents/{agent}/resume"));
        until_there(&desk, &paused, "OPEN");
        desk.until_status(&paused, "active");
        desk.far.is_content();
    }
}

/// The errand of what is let go is kept before, and waits for a minute where the process dies.
#[test]
fn a_card_that_was_let_go_before_a_crash_is_not_taken_for_paused_by_its_issuer() {
    let mut desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    operator(&desk, &format!("cards/{card}/lock"));
    until_there(&desk, &card, "PAUSED");
    stays_there(&desk, &card, "PAUSED");
    desk.far.set_deaf(true);
    operator(&desk, &format!("cards/{card}/unlock"));
    desk.until("kept", |_| rows(&desk)[0]["card"] == json!(card));
    desk.plane.kill();
    let data_dir = desk.plane.home.data_dir();
    let announced = "UPDATE outbox SET attempts = 0, due_us = \
                     CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + 6000000";
    desk.plane.database.change(&data_dir, announced);
    desk.far.set_deaf(false);
    let looks = desk.far.seen("GET").len();
    desk.restart();
    // More than one look at the issuer's list goes by meanwhile.
    desk.until("looks", |far| far.seen("GET").len() >= looks + 3);
    assert_eq!(
        desk.plane.get(&format!("/v1/cards/{card}"))["status"],
        "active"
    );
    until_there(&desk, &card, "OPEN");
    assert_eq!(
        desk.plane.get(&format!("/v1/cards/{card}"))["status"],
        "active"
    );
    desk.far.is_content();
}

#[test]
fn where_an_agent_or_a_customer_stops_its_cards_stop_at_the_issuer() {
    let desk = Desk::start(Speech::Privacy);
    let agent = desk.plane.agent(&json!({}));
    let more = json!({"agentId": agent});
    let cards: Vec<String> = (0..3).map(|_| desk.plane.card(&more)).collect();
    let other = desk.plane.card(&json!({}));
    let patch = |path: &str, status: &str| {
        desk.plane
            .owner_asks("PATCH", path, &json!({"status": status}), 200);
    };
    let of_agent = format!("/v1/agents/{agent}");
    patch(&of_agent, "paused");
    for card in &cards {
        until_there(&desk, card, "PAUSED");
    }
    stays_there(&desk, &other, "OPEN");
    // A card that is made meanwhile does not work either: its issuer asks nobody.
    let late = desk.plane.card(&more);
    until_there(&desk, &late, "PAUSED");
    let of_customer = format!("/v1/customers/{}", desk.plane.customer);
    patch(&of_customer, "suspended");
    until_there(&desk, &other, "PAUSED");
    patch(&of_agent, "active");
    stays_there(&desk, &late, "PAUSED");
    patch(&of_customer, "active");
    for card in cards.iter().chain([&late, &other]) {
        until_there(&desk, card, "OPEN");
        desk.until_status(card, "active");
    }
    desk.far.is_content();
}

/// The word of an operator is in the ledger alone, and nothing looks at the issuer by itself here.
#[test]
fn what_is_made_or_taken_over_while_an_operator_stops_it_does_not_work_at_the_issuer() {
    let mut desk = Desk::start(Speech::Privacy);
    restart_with_poll(&mut desk, 0);
    let agent = desk.plane.agent(&json!({}));
    let more = json!({"agentId": agent});
    let old = desk.plane.card(&more);
    operator(&desk, &format!("agents/{agent}/pause"));
    until_there(&desk, &old, "PAUSED");
    stays_there(&desk, &old, "PAUSED");

    let new = desk.plane.card(&more);
    until_there(&desk, &new, "PAUSED");
    let path = format!("/v1/cards/{old}/replace");
    let replaced = desk.plane.owner_asks("POST", &path, &json!({}), 201);
    let replaced = replaced["id"].as_str().unwrap().to_owned();
    until_there(&desk, &replaced, "PAUSED");

    let states = |desk: &Desk| {
        let there = desk.far.cards();
        let taken = there.iter().filter(|it| it["memo"] == "lunch");
        let states = taken.map(|it| it["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<String>>()
    };
    strangers(&desk);
    assert_eq!(states(&desk), ["OPEN", "PAUSED", "CLOSED"]);
    let body = json!({
        "customerId": desk.plane.customer, "agentId": agent, "dryRun": false,
        "allowUnenforced": true,
    });
    let taken = desk
        .plane
        .owner_asks("POST", "/v1/connections/acme/import", &body, 200);
    assert_eq!(taken["imported"], 2, "{taken}");
    desk.until("taken over", |_| {
        states(&desk) == ["PAUSED", "PAUSED", "CLOSED"]
    });
    // It is ours that stops them, so that they come back with the agent.
    operator(&desk, &format!("agents/{agent}/resume"));
    for card in [&new, &replaced] {
        until_there(&desk, card, "OPEN");
    }
    desk.until("let go", |_| states(&desk) == ["OPEN", "PAUSED", "CLOSED"]);
    desk.far.is_content();
}

#[test]
fn a_card_that_is_taken_over_for_a_customer_that_is_suspended_stops_at_the_issuer() {
    let mut desk = Desk::start(Speech::Lithic);
    restart_with_poll(&mut desk, 0);
    let path = format!("/v1/customers/{}", desk.plane.customer);
    let suspended = json!({"status": "suspended"});
    desk.plane.owner_asks("PATCH", &path, &suspended, 200);
    let [open, ..] = strangers(&desk);
    let (status, said) = desk.import(&["--apply"]);
    assert_eq!(status, Some(0), "{said}");
    desk.until("taken over", |far| {
        let there = far.cards();
        let taken = there.iter().find(|it| it["token"] == open["token"]);
        taken.unwrap()["state"] == "PAUSED"
    });
    desk.far.is_content();
}

//! What issuers report and operators order at one node holds at every node when the answer is there.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{AMOUNT, Machine, founded, pair};
use crate::server::{Response, Server, SnapshotOf, authorization, now, signature};

const NODES: usize = 3;
/// Clients of each node.
const CLIENTS: usize = 4;
/// A stop that is worth the name meets approvals on all nodes.
const APPROVED_BEFORE: u32 = 60;
pub(super) const TOLD: &str = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";
pub(super) const TOLD_CARD: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";

fn cards() -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.agent("agent", "cus", &json!({}));
    for card in ["frozen", "locked", "canceled", TOLD_CARD] {
        let policy = json!({"limits": {"perDay": 1_000_000_000}});
        snapshot.card(card, "cus", None, &policy);
    }
    snapshot.card("paused", "cus", Some("agent"), &json!({}));
    snapshot.build()
}

/// Orders one node while clients ask all of them for the card. Requests that begin when the order has
/// returned are approved nowhere.
fn stops(nodes: &[Server; NODES], card: &str, ordered: (usize, &str)) {
    let (at, path) = ordered;
    let is_stopped = AtomicBool::new(false);
    let approved = AtomicU32::new(0);
    let barrier = Barrier::new(NODES * CLIENTS + 1);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..NODES * CLIENTS)
            .map(|number| {
                let mut client = nodes[number % NODES].client();
                let (barrier, is_stopped, approved) = (&barrier, &is_stopped, &approved);
                scope.spawn(move || {
                    barrier.wait();
                    let mut after = 0;
                    for round in 0.. {
                        // Looked at before the request is sent: it may be sent a little later.
                        let is_later = is_stopped.load(Ordering::SeqCst);
                        let token = format!("{card}-{number}-{round}");
                        let answer = client.ask(&authorization(&token, card, AMOUNT));
                        if is_later {
                            assert!(!answer.is_approval(), "{token} after {path}");
                            after += 1;
                        } else if answer.is_approval() {
                            approved.fetch_add(1, Ordering::SeqCst);
                        }
                        if after == 20 {
                            return;
                        }
                    }
                })
            })
            .collect();
        barrier.wait();
        while approved.load(Ordering::SeqCst) < APPROVED_BEFORE {
            assert!(!asking.iter().any(thread::ScopedJoinHandle::is_finished));
            thread::yield_now();
        }
        let response = nodes[at].post(path);
        is_stopped.store(true, Ordering::SeqCst);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        let said: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(said["changed"], true, "{said}");
    });
}

#[test]
fn what_one_node_was_told_to_stop_no_node_approves_once_the_call_has_returned() {
    let redis = founded(&[]);
    let machines = [(); NODES].map(|()| Machine::new(&redis, &cards()));
    let nodes = [0, 1, 2].map(|at: usize| machines[at].start());
    for (at, card, path) in [
        (0, "frozen", "/admin/cards/frozen/freeze"),
        (1, "locked", "/admin/cards/locked/lock"),
        (2, "canceled", "/admin/cards/canceled/cancel"),
        (0, "paused", "/admin/agents/agent/pause"),
    ] {
        stops(&nodes, card, (at, path));
        // It stands so already, and any node knows.
        let again = nodes[(at + 1) % NODES].post(path);
        let said: Value = serde_json::from_slice(&again.body).unwrap();
        assert_eq!(
            (again.status, &said["changed"]),
            (200, &json!(false)),
            "{said}"
        );
    }
    // What is let go at one node is approved at the next request anywhere.
    for path in [
        "/admin/cards/frozen/unfreeze",
        "/admin/cards/locked/unlock",
        "/admin/agents/agent/resume",
    ] {
        assert_eq!(nodes[1].post(path).status, 200, "{path}");
    }
    for (number, node) in nodes.iter().enumerate() {
        for card in ["frozen", "locked", "paused"] {
            let token = format!("again-{number}-{card}");
            let answer = node.client().ask(&authorization(&token, card, AMOUNT));
            assert!(answer.is_approval(), "{token}");
        }
        assert_eq!(
            nodes[number].post("/admin/cards/canceled/unlock").status,
            409
        );
    }
    // A node that comes later knows it too.
    drop(nodes);
    let anew = machines[2].start();
    let answer = anew
        .client()
        .ask(&authorization("anew", "canceled", AMOUNT));
    assert!(!answer.is_approval());
}

/// A node that stands still while a card is frozen elsewhere goes on from a state without the freeze: the log
/// refuses what it decides on that.
#[test]
fn a_freeze_that_a_node_was_not_told_of_refuses_what_it_decides() {
    let redis = founded(&[]);
    let (_machines, nodes) = pair(&redis, &cards());
    for (number, node) in nodes.iter().enumerate() {
        let answer = node.client().ask(&authorization(
            &format!("before-{number}"),
            "frozen",
            AMOUNT,
        ));
        assert!(answer.is_approval());
    }
    nodes[1].signal(rustix::process::Signal::STOP);
    let mut client = nodes[1].client();
    assert_eq!(nodes[0].post("/admin/cards/frozen/freeze").status, 200);
    client.send(&authorization("meanwhile", "frozen", AMOUNT));
    nodes[1].signal(rustix::process::Signal::CONT);
    assert!(!client.response().is_approval());
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    let response = nodes[0].post("/admin/cards/locked/lock");
    assert_eq!(response.status, 503, "{}", response.text());
}

pub(super) fn fixture(name: &str) -> String {
    let path = format!(
        "{}/fixtures/lithic/event.{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn event(node: &Server, body: &str) -> Response {
    let signed = signature("acme", "msg_1", now(), body.as_bytes());
    let request = format!(
        "POST /issuers/acme/events HTTP/1.1\r\nhost: countersign\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{signed}\r\n{body}",
        body.len()
    );
    node.client().ask(request.as_bytes())
}

fn status(node: &Server, name: &str) -> String {
    let response = event(node, &fixture(name));
    assert_eq!(response.status, 200, "{name}: {}", response.text());
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["status"].as_str().unwrap().to_owned()
}

/// Spent and held on the card today.
fn today(node: &Server) -> [i64; 2] {
    let card = node.admin(&format!("/admin/cards/{TOLD_CARD}"));
    let limit = &card["limits"][0];
    ["spent", "held"].map(|name| limit[name].as_i64().unwrap())
}

#[test]
fn an_event_moves_money_once_wherever_and_however_often_it_comes() {
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &cards());
    let [one, two] = &nodes;
    let asked = one.client().ask(&authorization(TOLD, TOLD_CARD, 2_599));
    assert!(asked.is_approval(), "{}", asked.text());
    assert_eq!(status(two, "authorized"), "applied");
    // To both at once, again and again: one of them moves the money.
    let barrier = Barrier::new(8);
    let applied: usize = thread::scope(|scope| {
        let told: Vec<_> = (0..8)
            .map(|number| {
                let (node, barrier) = (&nodes[number % 2], &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut applied = 0;
                    for _ in 0..5 {
                        match status(node, "cleared_partly").as_str() {
                            "applied" => applied += 1,
                            other => assert_eq!(other, "duplicate"),
                        }
                    }
                    applied
                })
            })
            .collect();
        told.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(applied, 1);
    let third = Machine::new(&redis, &cards()).start();
    for node in [one, two, &third] {
        assert_eq!(today(node), [2_599, 1_599]);
        assert_eq!(status(node, "authorized"), "stale");
        assert_eq!(status(node, "cleared_partly"), "duplicate");
        let outcome = node.admin(&format!("/admin/authorizations/acme/{TOLD}"))["outcome"].clone();
        assert_eq!([&outcome["held"], &outcome["posted"]], [1_599, 1_000]);
    }
    // Where Redis may have forgotten something nothing is booked, so that it comes again.
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    assert_eq!(event(one, &fixture("cleared")).status, 503);
    drop(machines);
}

//! A decision can be looked up within a tenth of a second, under load and after a restart (behaviour
//! 2.9, 11.5).

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::alone;
use crate::load::Load;
use crate::server::{Client, Home, Server, SnapshotOf, authorization, now};

/// Promised where the disk keeps up: a decline leaves before its frame is written, and in `strict` a
/// frame waits for the sync before it, however long a busy disk takes for that.
const VISIBLE_WITHIN_US: i64 = 100_000;
/// And however busy everything is, nothing is starved.
const STARVED_US: i64 = 5_000_000;
const PROBES: usize = 100;

/// The decision on this authorization, if operators see it.
fn look(ops: &mut Client, token: &str) -> Option<Value> {
    let path = format!("/admin/decisions?connection=acme&authorization={token}");
    ops.send(format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n").as_bytes());
    let response = ops.response();
    assert_eq!(response.status, 200, "{}", response.text());
    let page: Value = serde_json::from_slice(&response.body).unwrap();
    page["decisions"].as_array().unwrap().first().cloned()
}

/// Asks, and then looks until the decision is there: how long it was not, and how long the look that
/// found it took, in µs.
fn probe(server: &Server, ops: &mut Client, token: &str, amount: u64) -> (i64, i64) {
    let mut client = server.client();
    let approved = client
        .ask(&authorization(token, "card", amount))
        .is_approval();
    let answered = now();
    loop {
        let looked = now();
        if let Some(decision) = look(ops, token) {
            let expected = if approved { "approve" } else { "decline" };
            assert_eq!(decision["decision"], expected, "{decision}");
            return (looked.micros_since(answered), now().micros_since(looked));
        }
        assert!(
            looked.micros_since(answered) < 10_000_000,
            "{token} is not there"
        );
    }
}

#[test]
fn a_decision_is_visible_within_100_ms_under_load_and_right_after_a_restart() {
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("card", "cus", None, &json!({"limits": {"perAuth": 1_000}}));
    let snapshot = snapshot.build();
    for durability in ["strict", "relaxed"] {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        let load = Load {
            clients: 24,
            name: durability.to_owned(),
            cards: vec!["card".to_owned(), "unknown".to_owned()],
        };
        let mut measured = Vec::new();
        let asked = load.run(server.issuer, |stop| {
            let mut ops = Client::connect(server.ops);
            for number in 0..PROBES {
                let token = format!("probe-{number}_");
                // Declines leave before they are written, approvals after.
                let amount = if number.is_multiple_of(2) { 1 } else { 1_001 };
                measured.push(probe(&server, &mut ops, &token, amount));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let asked = asked.concat();
        report(durability, &measured, asked.len());

        // The next process shows what it decides at once, and the rest as soon as it has read it.
        server.kill();
        let server = home.start();
        let mut ops = Client::connect(server.ops);
        let (hidden, _) = probe(&server, &mut ops, "first-of-the-second_", 1);
        assert!(
            hidden <= VISIBLE_WITHIN_US,
            "{durability}: {hidden} µs after a restart"
        );
        for it in asked.iter().filter(|it| it.is_approved()).step_by(97) {
            let found = (0..1_000).any(|_| {
                look(&mut ops, &it.token).is_some() || {
                    thread::sleep(Duration::from_millis(10));
                    false
                }
            });
            assert!(found, "{durability}: {} is not found again", it.token);
        }
        assert!(server.terminate().success());
    }
}

fn report(durability: &str, measured: &[(i64, i64)], asked: usize) {
    let sorted = |of: fn(&(i64, i64)) -> i64| {
        let mut all: Vec<i64> = measured.iter().map(of).collect();
        all.sort_unstable();
        (all[all.len() / 2], all[all.len() - 1])
    };
    let (hidden, hidden_most) = sorted(|(hidden, _)| *hidden);
    let (look, look_most) = sorted(|(_, look)| *look);
    println!(
        "{durability}: beside {asked} others, hidden for {hidden} µs in the middle, {hidden_most} µs \
         at most; a look took {look} µs in the middle, {look_most} µs at most"
    );
    assert!(hidden <= VISIBLE_WITHIN_US && look <= VISIBLE_WITHIN_US);
    assert!(hidden_most <= STARVED_US && look_most <= STARVED_US);
}

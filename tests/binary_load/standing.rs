//! What an operator sets is in force when the call returns (A7; behaviour 2.14 j).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use countersign::domain::time::Timestamp;
use serde_json::json;

use crate::alone;
use crate::server::{Home, Server, SnapshotOf, authorization, now};

const CLIENTS: usize = 16;

/// When it was begun to be sent, and whether it was approved.
type Sent = (Timestamp, bool);

/// Asks on this card from several connections until told to stop.
fn ask_until(server: &Server, card: &str, stop: &AtomicBool, asked: &AtomicUsize) -> Vec<Sent> {
    // No authorization of one round is a redelivery of another's.
    let round = now().micros();
    thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut all = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let token = format!("{round}-{number}-{}_", all.len());
                        let request = authorization(&token, card, 1);
                        let begun = now();
                        all.push((begun, client.ask(&request).is_approval()));
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    all
                })
            })
            .collect();
        let joined = running.into_iter().map(|it| it.join().unwrap());
        joined.collect::<Vec<_>>().concat()
    })
}

/// Asks `count` times around the order, which is given in the middle.
fn around(server: &Server, card: &str, order: &str, count: usize) {
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wait_for = |count: usize| {
        while asked.load(Ordering::Relaxed) < count {
            thread::sleep(Duration::from_micros(200));
        }
    };
    let (returned, all) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(server, card, &stop, &asked));
        wait_for(count / 2);
        let reply = server.post(order);
        let returned = now();
        assert_eq!(reply.status, 200, "{order}: {}", reply.text());
        // However long the call took: half of them are asked after it.
        wait_for(asked.load(Ordering::Relaxed) + count / 2);
        stop.store(true, Ordering::Relaxed);
        (returned, asking.join().unwrap())
    });
    let (after, before): (Vec<Sent>, Vec<Sent>) =
        all.iter().partition(|(begun, _)| *begun >= returned);
    let approved = |sent: &[Sent]| sent.iter().filter(|(_, approved)| *approved).count();
    println!(
        "{order}: {} sent before the return, {} of them approved; {} after it, {}",
        before.len(),
        approved(&before),
        after.len(),
        approved(&after),
    );
    assert_eq!(approved(&after), 0, "{order}");
    // Before the order there was nothing against them. How many it overtakes is the disk's matter: it
    // is in force at once, and returns once it is synced.
    assert!(approved(&before) >= count / 3, "{order}");
    assert!(after.len() > count / 4, "{order}");
}

#[test]
fn a7_nothing_that_is_sent_after_the_call_has_returned_is_approved() {
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.agent("agt", "cus", &json!({}));
    for card in ["locked", "frozen", "canceled"] {
        snapshot.card(card, "cus", None, &json!({}));
    }
    snapshot.card("paused", "cus", Some("agt"), &json!({}));
    let snapshot = snapshot.build();
    for durability in ["strict", "relaxed"] {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        around(&server, "locked", "/admin/cards/locked/lock", 10_000);
        around(&server, "frozen", "/admin/cards/frozen/freeze", 3_000);
        around(&server, "canceled", "/admin/cards/canceled/cancel", 3_000);
        around(&server, "paused", "/admin/agents/agt/pause", 3_000);
        // And what the snapshot says, by a reload.
        let mut rules = snapshot.clone();
        rules["customers"][0]["status"] = json!("suspended");
        home.write("snapshot.json", &rules.to_string());
        let reply = server.post("/admin/cards/locked/unlock");
        assert_eq!(reply.status, 200, "{}", reply.text());
        around(&server, "locked", "/admin/reload?confirm=true", 3_000);
        assert!(server.terminate().success());
    }
}

//! The process is suspended under load (D7, G10): whatever was sent before and is read after is
//! late, and what is late is not approved.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::alone;
use crate::load::{Asked, Load, redeliver};
use crate::server::{Client, Home, Server, SnapshotOf, authorization, now};

const LIMIT: u64 = 1_000_000_000;
const SUSPENDED: Duration = Duration::from_secs(2);
/// Far beyond the deadline of 300 ms, far below the suspension.
const LATE_US: i64 = 1_000_000;
const KEPT: usize = 16;
/// More of them than any machine has on which this is run.
const HOT_THREADS_MAX: usize = 4;

#[test]
fn d7_what_waited_while_the_process_was_suspended_is_not_approved() {
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("card", "cus", None, &json!({"limits": {"total": LIMIT}}));
    let home = Home::with_config("strict", &snapshot.build(), "", 300);
    let server = home.start();
    let load = Load {
        clients: 24,
        name: "loaded".to_owned(),
        cards: vec!["card".to_owned()],
    };
    // Connections that are there, idle, when the process is suspended.
    let mut kept: Vec<Client> = (0..KEPT).map(|_| server.client()).collect();
    let mut asked = ask_all(&mut kept, "warm", || ());
    let loaded = load.run(server.issuer, |stop| {
        thread::sleep(Duration::from_millis(300));
        server.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(100));
        // And as many that come while it is.
        kept.extend((0..KEPT).map(|_| server.client()));
        asked.extend(ask_all(&mut kept, "during", || {
            thread::sleep(SUSPENDED);
            server.signal(Signal::CONT);
        }));
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
    });
    asked.extend(loaded.concat());
    let late = asked.iter().filter(|it| took_us(it) > LATE_US);
    let (approved, late): (Vec<_>, Vec<_>) = late.partition(|it| it.is_approved());
    let (all, lates, approvals) = (asked.len(), late.len(), approved.len());
    println!("{all} asked, {lates} of them answered late and declined, {approvals} approved");
    assert!(lates > 2 * KEPT, "the load did not meet the suspension");
    // Nothing can take back what had its last look at the clock and was on its way into the socket
    // when the process stopped: of each hot thread one at a time.
    assert!(approvals <= HOT_THREADS_MAX, "{approved:?}");

    // It goes on as before. What was decided stays declined; what was declined unseen, for having
    // waited too long, is decided when it is asked again.
    let known: Vec<bool> = late.iter().map(|it| is_recorded(&server, it)).collect();
    let again = redeliver(server.issuer, &clones(&late));
    let mut sum: u64 = asked
        .iter()
        .filter(|it| it.is_approved())
        .map(|it| it.amount)
        .sum();
    for ((it, known), result) in late.iter().zip(&known).zip(again) {
        let approved = result == "APPROVED";
        assert!(!(approved && *known), "{it:?}");
        sum += if approved { it.amount } else { 0 };
    }
    let recorded = known.iter().filter(|known| **known).count();
    println!("{recorded} of the late ones had been decided and were taken back");
    let mut client = server.client();
    let over = authorization("over", "card", LIMIT - sum + 1);
    assert_eq!(client.ask(&over).result(), "INSUFFICIENT_FUNDS");
    // On a busy machine a sync may take longer than the deadline; what was declined for that has
    // given its room back.
    let approves = |n: usize| {
        let room = authorization(&format!("room-{n}"), "card", LIMIT - sum);
        client.ask(&room).is_approval()
    };
    assert!((0..10).any(approves), "the room is not there");
    assert!(server.terminate().success());
}

/// One purchase on each connection, all sent before `then`, all read after it.
fn ask_all(clients: &mut [Client], name: &str, then: impl FnOnce()) -> Vec<Asked> {
    let mut all = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut asked = Asked {
            token: format!("{name}-{number}"),
            card: "card".to_owned(),
            amount: 100,
            sent: now(),
            answer: None,
        };
        client.send(&asked.request());
        asked.sent = now();
        all.push(asked);
    }
    then();
    for (asked, client) in all.iter_mut().zip(clients) {
        let result = client.response().result();
        asked.answer = Some((now(), result));
    }
    all
}

fn is_recorded(server: &Server, asked: &Asked) -> bool {
    let token = &asked.token;
    let path = format!("/admin/decisions?connection=acme&authorization={token}");
    let decisions = server.admin(&path);
    decisions["decisions"] != json!([])
}

/// From the last byte sent to the answer; all were answered.
fn took_us(asked: &Asked) -> i64 {
    let (at, _) = asked.answer.as_ref().unwrap();
    at.micros_since(asked.sent)
}

fn clones(asked: &[&Asked]) -> Vec<Asked> {
    asked.iter().map(|it| (*it).clone()).collect()
}

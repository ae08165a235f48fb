//! A hundred reloads a second under load (A6, F4): every decision is of one snapshot as a whole, and
//! what was replaced is given back.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::alone;
use crate::server::{Home, Server, SnapshotOf, authorization, millis_since, now};

const CLIENTS: usize = 8;
const STORM_MS: i64 = 5_000;
/// And then that many without load, when nothing else takes memory.
const QUIET_RELOADS: u64 = 200;
const RELOAD_EVERY: Duration = Duration::from_millis(10);
const OTHER_CARDS: usize = 300;
/// Each version has at least a hundred kilobytes of its own.
const ROOM_KB: u64 = QUIET_RELOADS * 100 / 2;

/// Odd versions have the tight cap on the card and the wide one on the customer, even versions the
/// other way round. Taken from both, two wide caps or two tight ones would meet.
fn rules(odd: bool) -> Value {
    let cap = |tight: bool| json!({"limits": {"perAuth": if tight { 100 } else { 900 }}});
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &cap(!odd));
    snapshot.card("card", "cus", None, &cap(odd));
    snapshot.customer("rest", &json!({}));
    for number in 0..OTHER_CARDS {
        // All of them change, so that no shard of theirs is shared.
        let policy = json!({"limits": {"perDay": 1_000 + u64::from(odd)}});
        snapshot.card(&format!("rest-{number}"), "rest", None, &policy);
    }
    snapshot.build()
}

/// Reloads from this version on while `go_on` says so; the version that is then in force.
fn storm(
    home: &Home,
    server: &Server,
    texts: &[String; 2],
    mut version: u64,
    go_on: impl Fn(u64) -> bool,
) -> u64 {
    let mut client = crate::server::Client::connect(server.ops);
    while go_on(version) {
        let begun = now();
        let odd = version.is_multiple_of(2);
        home.write("next.json", &texts[usize::from(odd)]);
        fs::rename(home.path("next.json"), home.path("snapshot.json")).unwrap();
        client.send(b"POST /admin/reload HTTP/1.1\r\nhost: ops\r\ncontent-length: 0\r\n\r\n");
        let reply = client.response();
        version += 1;
        assert_eq!(reply.text(), format!("{{\"version\":{version}}}"));
        let took = Duration::from_micros(now().micros_since(begun).unsigned_abs());
        thread::sleep(RELOAD_EVERY.saturating_sub(took));
    }
    version
}

/// Asks for too much and for little in turn; how long each answer took, in µs.
fn ask(server: &Server, name: &str, stop: &AtomicBool) -> Vec<i64> {
    let mut client = server.client();
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let amount = if took.len().is_multiple_of(2) {
            500
        } else {
            50
        };
        let token = format!("{name}-{}_", took.len());
        let request = authorization(&token, "card", amount);
        let begun = now();
        let result = client.ask(&request).result();
        took.push(now().micros_since(begun));
        let expected = if amount == 500 {
            "VELOCITY_EXCEEDED"
        } else {
            "APPROVED"
        };
        assert_eq!(result, expected, "{token}");
    }
    took
}

#[test]
fn a6_f4_a_storm_of_reloads_mixes_no_snapshots_and_keeps_none() {
    let _alone = alone();
    let texts = [rules(false).to_string(), rules(true).to_string()];
    let home = Home::with_config("relaxed", &rules(true), "", 5_000);
    home.set_snapshot_poll(0);
    let server = home.start();
    let stop = AtomicBool::new(false);
    let (version, mut took) = thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || ask(server, &format!("c{number}"), stop))
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        let since = now();
        let version = storm(&home, &server, &texts, 1, |_| {
            millis_since(since) < STORM_MS
        });
        stop.store(true, Ordering::Relaxed);
        let joined = running.into_iter().map(|it| it.join().unwrap());
        (version, joined.collect::<Vec<_>>().concat())
    });
    took.sort_unstable();
    let percentile = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000];
    println!(
        "{} reloads, {} authorizations, p50 {} µs, p99 {} µs, p99.9 {} µs",
        version - 1,
        took.len(),
        percentile(500),
        percentile(990),
        percentile(999),
    );
    let seen = check_records(&server);
    println!("decisions by version: {} versions", seen.len());
    assert!(seen.len() > 20, "the storm passed the decisions by");

    let before = server.resident_kib();
    let last = version + QUIET_RELOADS;
    storm(&home, &server, &texts, version, |version| version < last);
    let mut after = server.resident_kib();
    let since = now();
    while after > before + ROOM_KB && millis_since(since) < 5_000 {
        thread::sleep(Duration::from_millis(50));
        after = server.resident_kib();
    }
    println!("resident: {before} kB before {QUIET_RELOADS} reloads, {after} kB after");
    assert!(after <= before + ROOM_KB, "{before} kB became {after} kB");
    assert!(server.terminate().success());
}

/// Every record names a version, and the level whose cap declined is that version's.
fn check_records(server: &Server) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    let mut path = "/admin/decisions?limit=500".to_owned();
    loop {
        let page = server.admin(&path);
        for decision in page["decisions"].as_array().unwrap() {
            let version = decision["snapshotVersion"].as_u64().unwrap();
            *seen.entry(version).or_default() += 1;
            if decision["decision"] == "decline" {
                let level = if !version.is_multiple_of(2) {
                    "card"
                } else {
                    "customer"
                };
                assert_eq!(decision["explanation"]["level"], level, "{decision}");
                assert_eq!(decision["explanation"]["limit"], 100, "{decision}");
            }
        }
        let Some(next) = page["next"].as_str() else {
            return seen;
        };
        path = format!("/admin/decisions?limit=500&cursor={next}");
    }
}

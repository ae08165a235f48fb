//! The built program beside a wall clock that steps (behaviour 3.9; D1). libfaketime moves the wall
//! clock of that one process; its monotonic clock and the machine's clocks stay as they are.
//!
//! Needs libfaketime, so `cargo test` builds it only with `--features system-tests`; scripts/test does.

#![cfg(test)]

#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Client, Home, Server, SnapshotOf, authorization, millis_since, now};

const CARD: &str = "card_timed";

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let library = |folder: PathBuf| folder.join("faketime/libfaketime.so.1");
    folders
        .map(|folder| library(folder.unwrap().path()))
        .find(|library| library.exists())
        .expect("libfaketime is missing: sudo apt-get install --yes libfaketime")
}

/// A server whose wall clock is what the file `faketime` says.
fn start(home: &Home) -> Server {
    let mut serve = home.serve();
    serve
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", home.path("faketime"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    home.spawn(serve)
}

fn step(home: &Home, offset: &str) {
    // In one piece: the library may read at any time.
    home.write("faketime.new", offset);
    std::fs::rename(home.path("faketime.new"), home.path("faketime")).unwrap();
}

fn is_ready(server: &Server) -> (u16, Value) {
    let mut client = Client::connect(server.ops);
    let response = client.ask(b"GET /readyz HTTP/1.1\r\nhost: ops\r\n\r\n");
    let said = serde_json::from_slice(&response.body).unwrap();
    (response.status, said)
}

/// Waits for this word of the clock's state; checks come once a second.
fn until_stepped(server: &Server, stepped: bool) {
    let since = now();
    loop {
        let (status, said) = is_ready(server);
        let reasons = if stepped {
            json!(["clock_step"])
        } else {
            json!([])
        };
        if said["reasons"] == reasons {
            assert_eq!(status, if stepped { 503 } else { 200 });
            return;
        }
        assert!(millis_since(since) < 30_000, "{said}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn d1_after_a_step_of_the_wall_clock_nothing_is_approved_until_it_is_confirmed() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({}));
    let home = Home::new("relaxed", &snapshot.build());
    step(&home, "+0");
    let server = start(&home);
    let mut client = server.client();
    let mut asked = 0;
    let mut approves = || {
        asked += 1;
        let token = format!("timed-{asked}");
        client.ask(&authorization(&token, CARD, 100)).is_approval()
    };
    assert!(approves());

    step(&home, "+1h");
    until_stepped(&server, true);
    assert!(!approves());
    step(&home, "+0");
    until_stepped(&server, false);
    assert!(approves(), "the wall clock is back");
    assert_eq!(code(&server), (409, "clock_in_step".to_owned()));

    step(&home, "+5s");
    until_stepped(&server, true);
    assert!(!approves());
    let confirmed = server.post("/admin/clock/confirm");
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let offset_ms = &serde_json::from_slice::<Value>(&confirmed.body).unwrap()["offsetMs"];
    assert!(
        (4_500..5_500).contains(&offset_ms.as_i64().unwrap()),
        "{offset_ms}"
    );
    until_stepped(&server, false);
    assert!(approves());

    step(&home, "-10m");
    until_stepped(&server, true);
    assert!(!approves());
    assert_eq!(code(&server), (409, "clock_too_far_behind".to_owned()));
    assert!(server.terminate().success());

    // What was recorded is by our time; the steps left no trace in it.
    step(&home, "+0");
    let server = start(&home);
    let recorded = server.admin("/admin/decisions?limit=10");
    assert_eq!(
        recorded["decisions"].as_array().unwrap().len(),
        3,
        "{recorded}"
    );
    assert!(server.terminate().success());
}

/// The code of a confirmation that is refused.
fn code(server: &Server) -> (u16, String) {
    let refused = server.post("/admin/clock/confirm");
    (refused.status, refused.code().unwrap())
}

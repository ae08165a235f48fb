//! A COMMIT whose answer does not come: what became of it is found out, and nothing is believed
//! before (behaviour 4.5).

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::pg::{PgServer, sql};
use crate::plane::{Plane, bearer, code, id, value};
use crate::server::{Response, find, millis_since, now};
use crate::wire::{Fault, Wire};

/// A running plane behind a wire that can fail; the server is its database's.
fn plane() -> (Plane, Wire, PgServer) {
    let (plane, wire, server, _direct) = plane_at();
    (plane, wire, server)
}

/// The same, and the address behind the wire.
fn plane_at() -> (Plane, Wire, PgServer, String) {
    let server = PgServer::start();
    let (database, direct, wire) = Wire::to(&server);
    let mut plane = Plane::initialised_in(database);
    plane.restart();
    (plane, wire, server, direct)
}

fn make(plane: &Plane, key: &str) -> Response {
    let headers = format!("{}idempotency-key: {key}\r\n", bearer(&plane.owner));
    let body = json!({"customerId": plane.customer}).to_string();
    plane.ask_with("POST", "/v1/cards", &headers, &body)
}

fn card_count(plane: &Plane) -> usize {
    plane.get("/v1/cards?limit=200")["data"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn a_commit_whose_answer_is_cut_off_is_found_to_be_kept() {
    let (plane, wire, _server) = plane();
    for round in 0..10 {
        wire.arm(Fault::HangsUp);
        let made = make(&plane, &format!("cut-{round}"));
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(made.header("idempotent-replayed"), None);
        assert_eq!(plane.buy(&id(&value(&made)), 100), "APPROVED");
        assert_eq!(card_count(&plane), round + 1);
    }
}

#[test]
fn a_commit_whose_answer_never_comes_is_found_to_be_kept() {
    let (plane, wire, _server) = plane();
    wire.arm(Fault::Swallows);
    let since = now();
    let made = make(&plane, "swallowed");
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(millis_since(since) < 15_000, "within what is promised");
    assert_eq!(plane.buy(&id(&value(&made)), 100), "APPROVED");
    let again = make(&plane, "swallowed");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(value(&again), value(&made));
    assert_eq!(card_count(&plane), 1);
}

#[test]
fn a_commit_that_arrives_after_its_time_out_is_not_believed_before_and_in_force_after() {
    let (plane, wire, _server) = plane();
    let old = plane.card(&json!({}));
    wire.arm(Fault::Holds);
    assert_eq!(code(&make(&plane, "late"), 503), "store_unavailable");
    assert!(wire.holds(), "the COMMIT is on its way");
    // Nothing is read anew into force: it would be without the card.
    let log = plane.home.path("stderr.log");
    let unknown = b"it is not known whether a change was kept";
    until(|| find(&fs::read(&log).unwrap(), unknown).is_some());
    let ready = plane.server().admin("/readyz");
    let warnings = ready["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("database_fault")), "{ready}");
    assert_eq!(card_count(&plane), 1, "it is not there yet");
    assert_eq!(plane.buy(&old, 100), "APPROVED", "issuers notice nothing");
    wire.lets_go();
    let made = until_made(&plane, "late");
    assert_eq!(made.header("idempotent-replayed"), Some("true"));
    assert_eq!(plane.buy(&id(&value(&made)), 100), "APPROVED");
    assert_eq!(card_count(&plane), 2);
    until(|| plane.server().admin("/readyz")["warnings"] == json!([]));
}

#[test]
fn a_commit_that_never_arrives_is_made_once_when_it_is_asked_for_again() {
    let (plane, wire, _server) = plane();
    wire.arm(Fault::Holds);
    assert_eq!(code(&make(&plane, "lost"), 503), "store_unavailable");
    // Whatever is made now could come before it or behind it: nothing is.
    let agent = json!({"customerId": plane.customer});
    let refused = plane.ask(&plane.owner, "POST", "/v1/agents", &agent);
    assert_eq!(code(&refused, 503), "store_unavailable");
    wire.loses();
    let made = until_made(&plane, "lost");
    assert_eq!(made.header("idempotent-replayed"), None);
    assert_eq!(plane.buy(&id(&value(&made)), 100), "APPROVED");
    assert_eq!(card_count(&plane), 1);
}

#[test]
fn what_was_refused_stands_once_in_the_audit_log_however_late_its_commit_arrives() {
    let (plane, wire, _server, direct) = plane_at();
    wire.arm_for(b"\"nobody\"", Fault::Holds);
    let unknown = plane.ask_with("GET", "/v1/agents", "", "");
    assert_eq!(unknown.status, 401, "{}", unknown.text());
    until(|| plane.server().admin("/readyz")["warnings"] == json!(["audit_behind"]));
    wire.lets_go();
    until(|| plane.server().admin("/readyz")["warnings"] == json!([]));
    // It belongs to no mode, so that a test key does not see it.
    let count = "SELECT COUNT(*) FROM audit WHERE entry LIKE '%GET /v1/agents%'";
    let count = String::from_utf8(sql(&direct, count)).unwrap();
    assert_eq!(count.trim(), "1");
}

fn until(is_so: impl Fn() -> bool) {
    let since = now();
    while !is_so() {
        assert!(millis_since(since) < 60_000);
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks until it is known what became of the transaction, which takes no longer than one attempt.
fn until_made(plane: &Plane, key: &str) -> Response {
    let since = now();
    while millis_since(since) < 60_000 {
        let made = make(plane, key);
        if made.status == 201 {
            return made;
        }
        assert_eq!(code(&made, 503), "store_unavailable");
    }
    panic!("{key} is never made");
}

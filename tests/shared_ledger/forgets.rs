//! Where Redis may have forgotten what it acknowledged, nothing is approved until people have looked.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{AMOUNT, Machine, founded, ledger, pair};
use crate::redis::RedisServer;
use crate::server::{Client, Response, Server, SnapshotOf, authorization};

fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    for customer in ["cus", "other"] {
        snapshot.customer(customer, &json!({"limits": {"total": 10 * AMOUNT}}));
        snapshot.card(&format!("card-of-{customer}"), customer, None, &json!({}));
    }
    snapshot.build()
}

fn ask(node: &Server, token: &str, card: &str) -> String {
    let answer = node.client().ask(&authorization(token, card, AMOUNT));
    answer.result()
}

fn readiness(node: &Server) -> Response {
    let mut client = Client::connect(node.ops);
    client.send(b"GET /readyz HTTP/1.1\r\nhost: ops\r\n\r\n");
    client.response()
}

pub(super) fn is_ready(node: &Server) -> bool {
    readiness(node).status == 200
}

pub(super) fn says_forgot(node: &Server) -> bool {
    let said = readiness(node);
    said.status == 503 && said.text().contains("\"shared_ledger_forgot\"")
}

/// Whether it becomes so in time.
pub(super) fn until(mut is_so: impl FnMut() -> bool) -> bool {
    (0..400).any(|_| {
        let so = is_so();
        if !so {
            thread::sleep(Duration::from_millis(25));
        }
        so
    })
}

/// The only log loses everything but its first entry.
pub(super) fn cut_log(redis: &RedisServer) {
    let log = redis.ask(&[
        "EVAL",
        "return redis.call('KEYS', 'countersign:*:*')[1]",
        "0",
    ]);
    assert!(log.starts_with("countersign:{"), "{log}");
    assert_eq!(redis.ask(&["LTRIM", &log, "0", "0"]), "+OK");
}

/// Two nodes, on which something was approved.
fn at_work(redis: &RedisServer) -> ([Machine; 2], [Server; 2]) {
    let (machines, nodes) = pair(redis, &snapshot());
    for (number, node) in nodes.iter().enumerate() {
        let token = format!("before-{number}");
        assert_eq!(ask(node, &token, "card-of-cus"), "APPROVED");
    }
    (machines, nodes)
}

/// Neither approves anything: not for a customer that was at work, not for one that never was, and
/// not what it had approved.
fn nothing_is_approved(nodes: &[Server], name: &str) {
    for node in nodes {
        for card in ["card-of-cus", "card-of-other"] {
            let result = ask(node, &format!("{name}-{card}"), card);
            assert_eq!(result, "VELOCITY_EXCEEDED", "{card}");
        }
        let known = ask(node, "before-0", "card-of-cus");
        assert_eq!(known, "VELOCITY_EXCEEDED");
    }
}

/// Of the ten that the limit lets, two were approved before.
fn the_rest_is_approved(nodes: &[Server; 2], name: &str) {
    for number in 0..12 {
        let token = format!("{name}-{number}");
        let result = ask(&nodes[number % 2], &token, "card-of-cus");
        let wanted = if number < 8 {
            "APPROVED"
        } else {
            "INSUFFICIENT_FUNDS"
        };
        assert_eq!(result, wanted, "{number}");
    }
}

#[test]
fn e12_flushall_lets_nothing_be_approved() {
    let redis = founded(&[]);
    let (machines, nodes) = at_work(&redis);
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    nothing_is_approved(&nodes, "flushed");
    let [one, two] = nodes;
    one.kill();
    let (code, told) = machines[0].refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it holds no ledger"), "{told}");
    // A new ledger is none of those that are at work.
    assert_eq!(ledger(&redis, &["found"]).0, Some(0));
    assert_eq!(
        ask(&two, "founded-anew", "card-of-other"),
        "VELOCITY_EXCEEDED"
    );
}

#[test]
fn e1_a_redis_that_comes_back_empty_lets_nothing_be_approved() {
    let mut redis = founded(&[]);
    let (machines, nodes) = at_work(&redis);
    redis.crash();
    nothing_is_approved(&nodes, "gone");
    assert!(redis.run_again());
    nothing_is_approved(&nodes, "empty");
    assert!(nodes.iter().all(says_forgot));
    drop(nodes);
    let (code, told) = machines[1].refused();
    assert_eq!(code, Some(1), "{told}");
}

#[test]
fn e13_a_redis_that_was_started_anew_is_used_once_somebody_says_that_nothing_was_lost() {
    let mut redis = founded(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (machines, nodes) = at_work(&redis);
    redis.crash();
    assert!(redis.run_again());
    nothing_is_approved(&nodes, "started-anew");
    assert!(nodes.iter().all(says_forgot));
    let third = Machine::new(&redis, &snapshot());
    let (code, told) = third.refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("may have forgotten approvals"), "{told}");
    let (code, told) = ledger(&redis, &["arm"]);
    assert_eq!(code, Some(2), "{told}");
    let (code, told) = ledger(&redis, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    // A balancer sends nothing to a node that is not ready: it becomes so by itself.
    assert!(nodes.iter().all(|node| until(|| is_ready(node))));
    assert_eq!(ask(&nodes[0], "before-1", "card-of-cus"), "APPROVED");
    the_rest_is_approved(&nodes, "after");
    drop(machines);
}

/// Somebody says that nothing was lost, and it was: whoever knows better says so.
#[test]
fn e13_a_log_that_is_shorter_than_a_node_knew_it_lets_nothing_be_approved() {
    let redis = founded(&[]);
    let (_machines, nodes) = at_work(&redis);
    cut_log(&redis);
    let result = ask(&nodes[0], "shorter", "card-of-cus");
    assert_eq!(result, "VELOCITY_EXCEEDED");
    nothing_is_approved(&nodes, "shorter-all");
}

/// The same where the log has grown again meanwhile, so that its length says nothing.
#[test]
fn e13_a_log_that_lost_its_end_and_grew_again_lets_nothing_be_approved() {
    let redis = founded(&[]);
    let machines = [
        Machine::new(&redis, &snapshot()),
        Machine::new(&redis, &snapshot()),
    ];
    let one = machines[0].start();
    for number in 0..3 {
        assert_eq!(
            ask(&one, &format!("before-{number}"), "card-of-cus"),
            "APPROVED"
        );
    }
    // One that hears nothing of what follows.
    one.signal(Signal::STOP);
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    cut_log(&redis);
    let (code, told) = ledger(&redis, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    let two = machines[1].start();
    for number in 0..3 {
        assert_eq!(
            ask(&two, &format!("anew-{number}"), "card-of-cus"),
            "APPROVED"
        );
    }
    one.signal(Signal::CONT);
    assert_eq!(ask(&one, "next", "card-of-cus"), "VELOCITY_EXCEEDED");
    assert!(until(|| says_forgot(&one)));
    // The one that knows nothing of the loss is told by Redis.
    nothing_is_approved(&[one, two], "contradicted");
}

/// A Redis without memory refuses, and nothing breaks by it.
#[test]
fn a_redis_that_is_full_declines_and_goes_on_when_it_has_room() {
    let redis = founded(&[]);
    let (_machines, nodes) = at_work(&redis);
    let connections = || {
        let list = redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        let lines = list.lines().filter_map(|line| line.split(' ').next());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = connections();
    assert_eq!(before.len(), 2, "{before:?}");
    assert_eq!(redis.ask(&["CONFIG", "SET", "maxmemory", "1"]), "+OK");
    nothing_is_approved(&nodes, "full");
    assert!(nodes.iter().all(is_ready), "nothing was forgotten");
    assert_eq!(redis.ask(&["CONFIG", "SET", "maxmemory", "0"]), "+OK");
    assert_eq!(connections(), before, "a refusal breaks no connection");
    assert_eq!(ask(&nodes[1], "roomy", "card-of-other"), "APPROVED");
    the_rest_is_approved(&nodes, "roomy");
}

//! A ledger in a Redis Cluster (decision 0040): each primary has a part of the customers, and every one of
//! them is as exact as if it were alone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use countersign::ledger::redis::wire::{library, library_name};

use super::changes::{event, fixture};
use super::refusals::counted;
use super::{AMOUNT, Machine, founded as founded_alone, ledger_at, spent};
use crate::redis_cluster::RedisCluster;
use crate::server::{Server, SnapshotOf, authorization, binary, said, with_names};

/// Enough that every primary has some.
pub(super) const CUSTOMERS: usize = 24;
/// Authorizations that each of them has room for.
pub(super) const ROOM: u64 = 12;

/// Customers with a card each.
pub(super) fn snapshot(room: u64) -> Value {
    let mut snapshot = SnapshotOf::default();
    for number in 0..CUSTOMERS {
        let customer = format!("cus-{number}");
        snapshot.customer(&customer, &json!({"limits": {"total": room * AMOUNT}}));
        snapshot.card(&format!("card-{number}"), &customer, None, &json!({}));
    }
    snapshot.build()
}

pub(super) fn ask(node: &Server, token: &str, customer: usize) -> String {
    let asked = authorization(token, &format!("card-{customer}"), AMOUNT);
    node.client().ask(&asked).result()
}

/// A cluster in which a ledger was founded.
pub(super) fn founded(more: &[&str]) -> RedisCluster {
    let cluster = RedisCluster::start(3, more);
    let (code, told) = ledger_at(&cluster.url(), &["found"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("founded "), "{told}");
    cluster
}

/// Two machines on it, and what runs on them.
pub(super) fn pair(cluster: &RedisCluster, room: u64) -> ([Machine; 2], [Server; 2]) {
    let machines = [(); 2].map(|()| Machine::of(&cluster.url(), &snapshot(room)));
    let nodes = machines.each_ref().map(Machine::start);
    (machines, nodes)
}

/// What each customer's log is called and which server has it, after one approval each.
pub(super) fn homes(cluster: &RedisCluster, node: &Server) -> Vec<(String, usize)> {
    let logs = || -> BTreeSet<(String, usize)> {
        let all = cluster.servers.iter().enumerate().flat_map(|(at, server)| {
            let keys = server.line().list(&["KEYS", "countersign:{*}:*"]);
            keys.into_iter().map(move |key| (key, at))
        });
        all.collect()
    };
    let mut before = logs();
    (0..CUSTOMERS)
        .map(|customer| {
            let result = ask(node, &format!("home-{customer}"), customer);
            assert_eq!(result, "APPROVED", "{customer}");
            let now = logs();
            let home = now.difference(&before).next().cloned().unwrap();
            before = now;
            home
        })
        .collect()
}

#[test]
fn two_nodes_on_a_cluster_approve_exactly_what_each_customer_has_room_for() {
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let used: BTreeSet<usize> = homes.iter().map(|(_, at)| *at).collect();
    assert_eq!(used.len(), 3, "every primary has customers");
    let approved = super::cluster_load::race(&nodes, "race", 2 * ROOM);
    for (customer, approved) in approved.iter().enumerate() {
        assert_eq!(*approved, ROOM - 1, "{customer}");
        for node in &nodes {
            let spent = spent(node, &format!("card-{customer}"));
            assert_eq!(spent, ROOM * AMOUNT, "{customer}");
        }
    }
    // What one was told holds at the other, wherever the customer's log is.
    for customer in 0..CUSTOMERS {
        let path = format!("/admin/cards/card-{customer}/freeze");
        assert_eq!(nodes[customer % 2].post(&path).status, 200, "{customer}");
        let card = nodes[1 - customer % 2].admin(&format!("/admin/cards/card-{customer}"));
        assert!(card.to_string().contains("frozen"), "{card}");
    }
}

/// What a report on an authorization and a card that nobody knows is answered: only who knows all may say so.
pub(super) fn reports(node: &Server) -> u16 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("nobodys-{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let told = with_names(&fixture("cleared"), &name, "nobodys", AMOUNT);
    event(node, &told).status
}

#[test]
fn e10_a_decision_in_a_cluster_is_one_round_trip() {
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let mut monitors: Vec<_> = cluster.servers.iter().map(|it| it.monitor()).collect();
    for customer in 0..CUSTOMERS {
        assert_eq!(
            ask(&nodes[0], &format!("one-{customer}"), customer),
            "APPROVED"
        );
    }
    for (at, monitor) in monitors.iter_mut().enumerate() {
        cluster.servers[at].ask(&["PING"]);
        let sent = sent_until_ping(monitor);
        let own = homes.iter().filter(|(_, home)| *home == at).count();
        let decisions = sent.iter().filter(|it| it.contains("_append\"")).count();
        assert_eq!(decisions, own, "{sent:?}");
        // Once a second it is asked who has what.
        let others = |it: &&String| !it.contains("_append\"") && !it.contains("\"CLUSTER\"");
        assert_eq!(sent.iter().find(others), None);
    }
    assert_eq!(counted(&nodes[0], "MOVED"), 0, "it knew where to send each");
}

fn sent_until_ping(monitor: &mut impl std::io::BufRead) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let mut line = String::new();
        monitor.read_line(&mut line).unwrap();
        if line.contains("\"PING\"") {
            return sent;
        }
        // What a function does within one call is no round trip, and this test asks too.
        if !line.contains(" lua]") && !line.contains("\"INFO\"") {
            sent.push(line);
        }
    }
}

#[test]
fn e10_servers_of_a_cluster_are_named_as_such_and_others_are_not() {
    let cluster = RedisCluster::start(3, &[]);
    let plain = cluster.servers[0].url();
    let (code, told) = ledger_at(&plain, &["found"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("name it as one, redis+cluster://HOST:PORT"),
        "{told}"
    );
    let (code, told) = Machine::of(&plain, &snapshot(ROOM)).refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("name it as one"), "{told}");
    let alone = founded_alone(&[]);
    let url = format!("redis+cluster://127.0.0.1:{}", alone.port());
    for told in [
        ledger_at(&url, &["arm", "--nothing-was-lost"]),
        Machine::of(&url, &snapshot(ROOM)).refused(),
    ] {
        assert_eq!(told.0, Some(1), "{}", told.1);
        assert!(
            told.1.contains("name it alone, redis://HOST:PORT"),
            "{}",
            told.1
        );
    }
    let (code, told) = Machine::of(&cluster.url(), &snapshot(ROOM)).refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it holds no ledger"), "{told}");
}

/// A server that takes no writes while the ledger is founded or armed.
#[test]
fn a_ledger_that_was_founded_on_some_servers_is_so_on_all_when_it_is_said_again_and_armed_on_all_or_none()
 {
    let cluster = RedisCluster::start(3, &[]);
    let last = &cluster.servers[2];
    assert_eq!(last.ask(&["FUNCTION", "LOAD", &library()]), library_name());
    let takes = |is_so: bool| {
        let least = if is_so { "0" } else { "1" };
        assert_eq!(
            last.ask(&["CONFIG", "SET", "min-replicas-to-write", least]),
            "+OK"
        );
    };
    let url = cluster.url();
    takes(false);
    let (code, told) = ledger_at(&url, &["found"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&last.port().to_string()), "{told}");
    let machine = Machine::of(&url, &snapshot(ROOM));
    for told in [
        machine.refused(),
        ledger_at(&url, &["arm", "--nothing-was-lost"]),
    ] {
        assert_eq!(told.0, Some(1), "{}", told.1);
        assert!(
            told.1.contains("`countersign ledger found` goes on"),
            "{}",
            told.1
        );
    }
    takes(true);
    let (code, told) = ledger_at(&url, &["found"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = ledger_at(&url, &["found"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("a ledger is in it already"), "{told}");
    takes(false);
    let (code, told) = ledger_at(&url, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("NOREPLICAS"), "{told}");
    takes(true);
    // It was looked at all of them before any was touched.
    let node = machine.start();
    homes(&cluster, &node);
    let (code, told) = ledger_at(&url, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(ask(&node, "after", 0), "APPROVED");
    // Nothing is armed where a record is missing anywhere.
    let records = cluster.servers[1].line().list(&["KEYS", "countersign:{*}"]);
    assert_eq!(cluster.servers[1].ask(&["DEL", &records[0]]), ":1");
    let (code, told) = ledger_at(&url, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("records of the ledger are missing"), "{told}");
}

#[test]
fn a_ledger_moves_into_a_cluster_and_back_and_knows_what_it_knew() {
    let cluster = RedisCluster::start(3, &[]);
    let machine = Machine::of(&cluster.url(), &snapshot(ROOM));
    let moves = |word: &str, machine: &Machine| {
        let mut command = binary();
        command.args(["ledger", word, "--ledger", &cluster.url(), "--data-dir"]);
        said(command.arg(machine.home.data_dir()).output())
    };
    let own = machine.home.start();
    for customer in 0..CUSTOMERS {
        assert_eq!(ask(&own, &format!("own-{customer}"), customer), "APPROVED");
    }
    assert!(own.terminate().success());
    let (code, told) = moves("export", &machine);
    assert_eq!(code, Some(0), "{told}");
    let of = format!("{CUSTOMERS} entries of {CUSTOMERS} owners");
    assert!(told.contains(&of), "{told}");
    let (_machines, nodes) = pair(&cluster, ROOM);
    let approved = super::cluster_load::race(&nodes, "cluster", 2 * ROOM);
    assert_eq!(approved, vec![ROOM - 1; CUSTOMERS]);
    let alone = Machine::of(&cluster.url(), &snapshot(ROOM));
    let (code, told) = moves("import", &alone);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("nodes are connected to it"), "{told}");
    drop(nodes);
    let (code, told) = moves("import", &alone);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = machine.refused();
    assert_eq!(code, Some(1), "it is closed: {told}");
    let own = alone.home.start();
    for customer in 0..CUSTOMERS {
        assert_eq!(spent(&own, &format!("card-{customer}")), ROOM * AMOUNT);
        assert_eq!(
            ask(&own, &format!("own-{customer}"), customer),
            "APPROVED",
            "a redelivery"
        );
        assert_ne!(ask(&own, &format!("more-{customer}"), customer), "APPROVED");
    }
}

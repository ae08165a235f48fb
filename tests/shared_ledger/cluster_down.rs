//! Servers of a cluster that go, and what takes their place: who is gone declines its own customers only, and
//! what comes instead is not trusted before people have looked.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::cluster::{CUSTOMERS, ROOM, ask, founded, homes, pair, reports};
use super::cluster_load::race;
use super::cluster_moves::warns;
use super::forgets::{is_ready, says_forgot, until};
use super::refusals::counted;
use super::{AMOUNT, Machine, given_back, given_back_without, ledger_at, spent};
use crate::redis_cluster::RedisCluster;
use crate::server::Server;

/// Approved on both nodes for each customer before anything happens.
const BEFORE: u64 = 1;

/// Both nodes' copies are given, and somebody says that nothing is missing. How many entries came back.
fn is_repaired(cluster: &RedisCluster, machines: &[Machine; 2]) -> u64 {
    given_back(&cluster.url(), machines.iter().map(|machine| &machine.home))
}

/// The customers of one server, and all others.
fn customers(homes: &[(String, usize)], of: usize) -> (Vec<usize>, Vec<usize>) {
    (0..CUSTOMERS).partition(|it| homes[*it].1 == of)
}

fn declines(node: &Server, name: &str, customers: &[usize]) {
    for customer in customers {
        let result = ask(node, &format!("{name}-{customer}"), *customer);
        assert_eq!(result, "VELOCITY_EXCEEDED", "{name}: {customer}");
    }
}

fn approves(node: &Server, name: &str, customers: &[usize]) {
    for customer in customers {
        let result = ask(node, &format!("{name}-{customer}"), *customer);
        assert_eq!(result, "APPROVED", "{name}: {customer}");
    }
}

/// Everything that is left is approved, and no more.
fn the_rest_is_approved(nodes: &[Server; 2], approved: impl Fn(usize) -> u64) {
    let rest = race(nodes, "rest", 2 * ROOM);
    for (customer, rest) in rest.iter().enumerate() {
        assert_eq!(approved(customer) + rest, ROOM, "{customer}");
        for node in nodes {
            assert!(until(
                || spent(node, &format!("card-{customer}")) == ROOM * AMOUNT
            ));
        }
    }
}

#[test]
fn e1_a_server_of_a_cluster_that_comes_back_empty_declines_its_own_customers_until_it_is_repaired()
{
    let mut cluster = founded(&["--cluster-require-full-coverage", "no"]);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (gone, others) = customers(&homes, 2);
    assert!(until(|| reports(&nodes[0]) == 200));
    cluster.servers[2].crash();
    for (at, node) in nodes.iter().enumerate() {
        declines(node, &format!("gone-{at}"), &gone[..2]);
        approves(node, &format!("other-{at}"), &others);
        assert_eq!(reports(node), 503);
        assert!(is_ready(node));
    }
    assert!(cluster.servers[2].run_again());
    for (at, node) in nodes.iter().enumerate() {
        assert!(until(|| warns(node)));
        declines(node, &format!("empty-{at}"), &gone);
        approves(node, &format!("other-again-{at}"), &others[..2]);
        assert!(is_ready(node));
    }
    let (code, told) = ledger_at(&cluster.url(), &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(1), "{told}");
    // The log of cards that nobody knows may be one of its own.
    let given = is_repaired(&cluster, &machines);
    assert!(
        [0, 1].map(|it| gone.len() as u64 + it).contains(&given),
        "{given}"
    );
    for node in &nodes {
        assert!(until(|| !warns(node) && reports(node) == 200));
    }
    let twice: BTreeSet<usize> = others[..2].iter().copied().collect();
    the_rest_is_approved(&nodes, |customer| match homes[customer].1 {
        2 => BEFORE,
        _ if twice.contains(&customer) => BEFORE + 4,
        _ => BEFORE + 2,
    });
}

#[test]
fn e8_a_cluster_that_wants_all_its_slots_declines_everybody_while_one_server_is_gone() {
    let mut cluster = founded(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (gone, others) = customers(&homes, 1);
    cluster.servers[1].crash();
    assert!(until(|| cluster.servers[0]
        .ask(&["CLUSTER", "INFO"])
        .contains("cluster_state:fail")));
    for (at, node) in nodes.iter().enumerate() {
        declines(node, &format!("down-{at}"), &others[..2]);
        declines(node, &format!("gone-{at}"), &gone[..1]);
        assert!(counted(node, "CLUSTERDOWN") > 0);
        assert!(!says_forgot(node) && !warns(node), "nothing was forgotten");
    }
    assert!(cluster.servers[1].run_again());
    // It has everything, and nobody knows that but people.
    for (at, node) in nodes.iter().enumerate() {
        assert!(until(|| warns(node)));
        let mut round = 0;
        assert!(until(|| {
            round += 1;
            ask(node, &format!("up-{at}-{round}"), others[at]) == "APPROVED"
        }));
        declines(node, &format!("unarmed-{at}"), &gone);
    }
    let (code, told) = ledger_at(&cluster.url(), &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(nodes.iter().all(|node| until(|| !warns(node))));
    the_rest_is_approved(&nodes, |customer| {
        BEFORE + u64::from(customer == others[0] || customer == others[1])
    });
}

#[test]
fn e2_e3_e9_a_replica_that_a_cluster_promotes_is_not_trusted_before_people_have_looked() {
    let mut cluster = founded(&["--repl-diskless-sync-delay", "0"]);
    let replica = cluster.adds_replica_of(0);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (gone, others) = customers(&homes, 0);
    // The replica stands still, and does not get to know what comes now.
    cluster.servers[replica].signal_stop();
    approves(&nodes[1], "lost", &gone);
    cluster.servers[0].crash();
    cluster.servers[replica].signal_continue();
    assert!(until(|| {
        let told = cluster.servers[replica].ask(&["INFO", "replication"]);
        told.contains("role:master")
    }));
    for (at, node) in nodes.iter().enumerate() {
        assert!(until(|| warns(node)), "{at}");
        declines(node, &format!("unarmed-{at}"), &gone);
        let mut round = 0;
        assert!(until(|| {
            round += 1;
            ask(node, &format!("other-{at}-{round}"), others[at]) == "APPROVED"
        }));
        assert!(is_ready(node));
    }
    // It has the functions as a copy, and one that has not is not trusted either.
    let url = format!("redis+cluster://127.0.0.1:{}", cluster.servers[1].port());
    assert_eq!(cluster.servers[replica].ask(&["FUNCTION", "FLUSH"]), "+OK");
    declines(&nodes[0], "without-functions", &gone);
    let (code, told) = machines[0].refused();
    assert_eq!(code, Some(1), "{told}");
    let homes_of = machines.iter().map(|machine| &machine.home);
    given_back_without(&url, homes_of, Some(&cluster.servers[0]));
    assert!(nodes.iter().all(|node| until(|| !warns(node))));
    approves(&nodes[0], "armed", &gone);
    // The old one comes back, and is a replica of the new one.
    assert!(cluster.servers[0].run_again());
    assert!(until(|| {
        let told = cluster.servers[0].ask(&["INFO", "replication"]);
        told.contains("role:slave") && told.contains("master_link_status:up")
    }));
    thread::sleep(Duration::from_millis(200));
    the_rest_is_approved(&nodes, |customer| match homes[customer].1 {
        0 => BEFORE + 2,
        _ => BEFORE + u64::from(customer == others[0] || customer == others[1]),
    });
}

#[test]
fn e12_a_cluster_that_lost_everything_lets_nothing_be_approved() {
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    homes(&cluster, &nodes[0]);
    for server in &cluster.servers {
        assert_eq!(server.ask(&["FLUSHALL"]), "+OK");
    }
    let all: Vec<usize> = (0..CUSTOMERS).collect();
    for (at, node) in nodes.iter().enumerate() {
        declines(node, &format!("flushed-{at}"), &all);
        assert!(until(|| says_forgot(node)), "{at}");
    }
}

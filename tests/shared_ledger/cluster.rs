//! A ledger in a Redis Cluster (decision 0039): each primary has a part of the customers, and every one of
//! them is as exact as if it were alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{AMOUNT, Machine, ledger_at};
use crate::redis_cluster::RedisCluster;
use crate::server::{Server, SnapshotOf, authorization};

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
            let spent = super::spent(node, &format!("card-{customer}"));
            assert_eq!(spent, ROOM * AMOUNT, "{customer}");
        }
    }
}

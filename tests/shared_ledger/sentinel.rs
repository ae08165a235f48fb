//! Sentinels say where the primary is, and make a replica one: nodes find it, and approve nothing there
//! before people have looked.

use std::thread;
use std::time::Duration;

use super::forgets::{says_forgot, until};
use super::{AMOUNT, Machine, given_back_without, ledger_at, with_room};
use crate::redis::RedisServer;
use crate::server::{Server, authorization};

const ROOM: u64 = 12;
/// What sentinels call the servers.
const NAME: &str = "cards";

/// A primary, its replica, and a sentinel that makes the one the other by itself.
struct Watched {
    servers: [RedisServer; 2],
    sentinel: RedisServer,
}

impl Watched {
    fn new() -> Self {
        let more = ["--repl-diskless-sync-delay", "0"];
        let servers = [RedisServer::start(&more), RedisServer::start(&more)];
        let port = servers[0].port().to_string();
        let follows = servers[1].ask(&["REPLICAOF", "127.0.0.1", &port]);
        assert_eq!(follows, "+OK");
        let sentinel = RedisServer::sentinel(&format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds {NAME} 1500\n\
             sentinel failover-timeout {NAME} 3000\n"
        ));
        let watched = Self { servers, sentinel };
        assert!(until(|| watched.replicas() == "*1"));
        watched
    }

    /// How long the list of replicas is that could take the primary's place.
    fn replicas(&self) -> String {
        self.sentinel.ask(&["SENTINEL", "REPLICAS", NAME])
    }

    /// The first sentinel of the address is not there.
    fn url(&self) -> String {
        let port = self.sentinel.port();
        format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/{NAME}")
    }

    fn is_promoted(&self) -> bool {
        let told = self.servers[1].ask(&["INFO", "replication"]);
        told.contains("role:master")
    }
}

/// How many of two cards' authorizations are approved, as long as any is.
fn approves(nodes: &[Server; 2], name: &str) -> u64 {
    let mut approved = 0;
    for number in 0..2 * ROOM {
        let at = usize::try_from(number).unwrap() % 2;
        let token = format!("{name}-{number}");
        let asked = authorization(&token, &format!("card-{at}"), AMOUNT);
        approved += u64::from(nodes[at].client().ask(&asked).is_approval());
    }
    approved
}

fn declines(node: &Server, token: &str) {
    let asked = authorization(token, "card-0", AMOUNT);
    assert_eq!(node.client().ask(&asked).result(), "VELOCITY_EXCEEDED");
}

#[test]
fn e2_what_a_sentinel_promotes_is_found_and_not_trusted_before_people_have_looked() {
    let mut watched = Watched::new();
    let url = watched.url();
    let (code, told) = ledger_at(&url, &["found"]);
    assert_eq!(code, Some(0), "{told}");
    let machines = [(); 2].map(|()| Machine::of(&url, &with_room(ROOM, 2)));
    let nodes = machines.each_ref().map(Machine::start);
    for (at, node) in nodes.iter().enumerate() {
        let asked = authorization(&format!("before-{at}"), "card-0", AMOUNT);
        assert!(node.client().ask(&asked).is_approval());
    }
    watched.servers[0].crash();
    assert!(until(|| watched.is_promoted()));
    assert!(until(|| nodes.iter().all(says_forgot)));
    nodes.iter().for_each(|node| declines(node, "unarmed"));
    let homes = machines.iter().map(|machine| &machine.home);
    given_back_without(&url, homes, Some(&watched.servers[0]));
    let mut approved = 0;
    for round in 0..40 {
        approved += approves(&nodes, &format!("after-{round}"));
        if approved > 0 && nodes.iter().all(|node| !says_forgot(node)) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    approved += approves(&nodes, "rest");
    assert_eq!(approved, ROOM - 2);
}

//! A replica takes the place of a primary and has not all that the primary had acknowledged: nothing is
//! approved until nodes have given what they kept, and then as much is spent as was approved.
//!
//! `COUNTERSIGN_FAILOVER_ROUNDS` says how often; docs/scaling.md has the command.

use std::thread;
use std::time::Duration;

use countersign::ledger::redis::wire::library_name;

use super::forgets::{is_ready, until};
use super::pair::Pair;
use super::{AMOUNT, Machine, given_back, spent, with_room};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;
use crate::server::{Home, Server, authorization, millis_since, now};

const CLIENTS: usize = 4;
const EACH: usize = 5;
/// More than one round lets be approved.
const ROOM_OF_ROUND: u64 = 150;
const ROUNDS: u64 = 3;
const DEADLINE_MS: u32 = 1_000;
/// From the word that it is armed until every node approves.
const NORMAL_WITHIN_MS: i64 = 10_000;

#[expect(clippy::disallowed_methods, reason = "the long form is asked for")]
fn rounds() -> u64 {
    let said = std::env::var("COUNTERSIGN_FAILOVER_ROUNDS").ok();
    said.map_or(ROUNDS, |it| it.parse().expect("a number of rounds"))
}

fn ask(node: &Server, token: &str) -> String {
    let asked = authorization(token, "card-0", AMOUNT);
    node.client().ask(&asked).result()
}

/// Both nodes at once, and something meanwhile; how much is approved.
fn race(nodes: &[Server; 2], name: &str, meanwhile: impl FnOnce()) -> u64 {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let node = &nodes[number % 2];
                scope.spawn(move || {
                    let mut client = node.client();
                    let mut approved = |round: &usize| {
                        let token = format!("{name}-{number}-{round}");
                        let asked = authorization(&token, &format!("card-{}", number / 2), AMOUNT);
                        client.ask(&asked).is_approval()
                    };
                    (0..EACH).filter(&mut approved).count() as u64
                })
            })
            .collect();
        meanwhile();
        asking.into_iter().map(|it| it.join().unwrap()).sum()
    })
}

/// How the primary goes.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// It is killed while clients ask, and starts anew as a replica of the other.
    Dies,
    /// It is cut off from its replica but not from a node, refuses when it notices, and comes back.
    Returns,
    /// It hands over with nothing lost, and becomes a replica without losing its memory.
    HandsOver,
}

/// Two servers, of which one follows the other, and two nodes, each behind a proxy of its own.
struct Field {
    pair: Pair,
    proxies: [FaultProxy; 2],
    homes: [Home; 2],
    nodes: [Server; 2],
    approved: u64,
}

impl Field {
    fn new(room: u64) -> Self {
        let pair = Pair::start();
        let proxies = [(); 2].map(|()| FaultProxy::start(pair.primary().port()));
        let homes =
            [(); 2].map(|()| Home::with_config("relaxed", &with_room(room, 2), "", DEADLINE_MS));
        let start = |at: usize| {
            let mut command = homes[at].serve();
            command.args(["--ledger", &proxies[at].url()]);
            homes[at].spawn(command)
        };
        let nodes = [start(0), start(1)];
        Self {
            pair,
            proxies,
            homes,
            nodes,
            approved: 0,
        }
    }

    /// New connections of these nodes lead to the other server, and there are no old ones.
    fn leads_to_other(&self, nodes: &[usize]) {
        for node in nodes {
            self.proxies[*node].lead_to(self.pair.other().port());
            self.proxies[*node].cut();
        }
    }

    fn declines(&self, node: usize, name: &str) {
        for round in 0..3 {
            let result = ask(&self.nodes[node], &format!("{name}-{node}-{round}"));
            assert_eq!(result, "VELOCITY_EXCEEDED", "{name}: node {node}");
        }
    }

    /// Approvals that the replica does not get to know.
    fn loses(&mut self, name: &str, goes: Goes) {
        let link = self.pair.link();
        if matches!(goes, Goes::Returns) {
            // The primary does not notice at once, and acknowledges meanwhile.
            link.set(Fault::HalfOpen);
        } else {
            link.set(Fault::Refused);
            link.cut();
        }
        self.approved += race(&self.nodes, &format!("{name}-lost"), || {});
        if matches!(goes, Goes::Dies) {
            let primary = &mut self.pair.servers[self.pair.primary];
            self.approved += race(&self.nodes, &format!("{name}-dying"), || {
                thread::sleep(Duration::from_millis(5));
                primary.crash();
            });
        }
    }

    /// The other server takes the place of the primary; how many entries nodes gave back.
    fn fails_over(&mut self, name: &str, goes: Goes) -> u64 {
        let both = [0, 1];
        match goes {
            Goes::Dies => self.loses(name, goes),
            Goes::Returns => {
                // As operators set it where there are replicas: it is noticed within about two seconds.
                let primary = self.pair.primary();
                primary.ask(&["CONFIG", "SET", "min-replicas-max-lag", "1"]);
                primary.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
                self.loses(name, goes);
                let mut count = 0;
                assert!(until(|| {
                    count += 1;
                    let result = ask(&self.nodes[0], &format!("{name}-noticed-{count}"));
                    self.approved += u64::from(result == "APPROVED");
                    result == "VELOCITY_EXCEEDED"
                }));
            }
            Goes::HandsOver => assert!(until(|| self.pair.has_everything())),
        }
        assert_eq!(self.pair.other().ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
        let stays = matches!(goes, Goes::Returns);
        self.leads_to_other(if stays { &both[1..] } else { &both });
        both.iter()
            .for_each(|node| self.declines(*node, &format!("{name}-unarmed")));
        let given = self.is_repaired();
        if stays {
            assert!(until(|| self.approves(1, name)));
            // The node that is connected to the old primary: that approves nothing, and then it is a replica.
            self.declines(0, &format!("{name}-old"));
            self.proxies[0].lead_to(self.pair.other().port());
        }
        given
    }

    /// Every node gives what it kept, and somebody says that nothing is missing.
    fn is_repaired(&self) -> u64 {
        given_back(&self.pair.other().url(), &self.homes)
    }

    fn approves(&mut self, node: usize, name: &str) -> bool {
        let at = millis_since(countersign::domain::time::Timestamp::from_micros(0));
        let is_approved =
            ask(&self.nodes[node], &format!("{name}-again-{node}-{at}")) == "APPROVED";
        self.approved += u64::from(is_approved);
        is_approved
    }
}

#[test]
fn e2_e3_e4_what_a_fail_over_lost_comes_back_from_the_nodes_and_nothing_can_be_spent_twice() {
    let room = ROOM_OF_ROUND * rounds();
    let mut field = Field::new(room);
    let mut given = 0;
    for round in 0..rounds() {
        let goes =
            [Goes::Dies, Goes::Returns, Goes::HandsOver][usize::try_from(round % 3).unwrap()];
        let name = format!("{round}-{goes:?}");
        field.approved += race(&field.nodes, &name, || {});
        let put = field.fails_over(&name, goes);
        assert_eq!(put == 0, matches!(goes, Goes::HandsOver), "{name}: {put}");
        given += put;
        if matches!(goes, Goes::Dies) {
            let old = field.pair.primary;
            assert!(field.pair.servers[old].run_again());
        }
        field.pair.primary = 1 - field.pair.primary;
        field.pair.follows();
        // Not before: it may be armed still, and somebody connected to it.
        let least = ["CONFIG", "SET", "min-replicas-to-write", "0"];
        assert_eq!(field.pair.other().ask(&least), "+OK");
        let since = now();
        assert!(until(|| field.approves(0, &name)) && until(|| field.approves(1, &name)));
        let took = millis_since(since);
        assert!(took < NORMAL_WITHIN_MS, "{name}: {took} ms");
        assert!(field.nodes.iter().all(|node| until(|| is_ready(node))));
        // What had to be answered before its outcome was known is taken back.
        let approved = field.approved;
        let is_settled = || {
            field
                .nodes
                .iter()
                .all(|node| spent(node, "card-0") == approved * AMOUNT)
        };
        assert!(
            until(is_settled),
            "{name}: {approved} approved, spent {:?}",
            field.nodes.each_ref().map(|node| spent(node, "card-0"))
        );
        println!("{name}: {put} entries given back, {approved} approved so far");
    }
    // What is left is approved exactly.
    let mut rest = 0;
    while let more @ 1.. = race(&field.nodes, &format!("rest-{rest}"), || {}) {
        rest += more;
    }
    assert_eq!(field.approved + rest, room);
    println!(
        "{} fail-overs: {given} entries given back, overspend 0",
        rounds()
    );
}

/// Whether the functions of this server remember that they are armed.
pub(super) fn remembers(server: &RedisServer) -> bool {
    let mut line = server.line();
    let standing = format!("{}_standing", library_name());
    line.send(&["FCALL_RO", &standing, "0"]).unwrap();
    line.call(b"") != "unarmed"
}

/// It follows without a copy, so that its functions stay as they are, and then it misses the end.
#[test]
fn e3_a_primary_that_came_back_with_its_memory_is_not_armed_for_what_it_missed() {
    let mut field = Field::new(ROOM_OF_ROUND);
    field.approved += race(&field.nodes, "before", || {});
    assert!(until(|| field.pair.has_everything()));
    assert_eq!(field.pair.other().ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
    field.leads_to_other(&[0, 1]);
    field.is_repaired();
    field.pair.primary = 1;
    field.pair.follows();
    assert!(
        remembers(field.pair.other()),
        "nothing had to be copied to it"
    );
    assert!(until(|| field.approves(0, "between")));
    assert!(until(|| field.pair.has_everything()));
    field.loses("missed", Goes::HandsOver);
    // Nobody who knows better is there any more.
    let Field { pair, nodes, .. } = field;
    drop(nodes);
    let [old, mut gone] = pair.servers;
    gone.crash();
    assert_eq!(old.ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
    assert!(remembers(&old));
    let (code, told) = Machine::new(&old, &with_room(ROOM_OF_ROUND, 2)).refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(!remembers(&old), "it was found out");
}

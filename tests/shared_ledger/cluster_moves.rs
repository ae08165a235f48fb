//! Slots that go from one server of a cluster to another while nodes decide: nothing is spent twice, because no
//! server that has not got a log yet ever says that it is empty.

use std::collections::BTreeSet;

use countersign::domain::card::Key;
use countersign::ledger::embedded::store::Draft;
use countersign::ledger::redis::wire::{Commands, Generation, bucket_of, log_key, record_key};
use countersign::ledger::shared::EntryId;

use super::cluster::{CUSTOMERS, ROOM, ask, founded, homes, pair, reports};
use super::cluster_load::{race, while_it_lasts};
use super::forgets::{is_ready, until};
use super::refusals::counted;
use super::{AMOUNT, Machine, ledger_at, spent};
use crate::redis::RedisServer;
use crate::redis_cluster::RedisCluster;
use crate::server::{Client, Server};

/// To whom slots are moved: to one, as tools do. Two that are given slots at once may contradict each other, and then
/// nobody has them until people say who has.
const LAST: usize = 2;

/// Moves a slot there, unless it is there.
fn gathers(cluster: &RedisCluster, slot: u16) -> bool {
    let from = cluster.owner_of(slot);
    if from != LAST {
        cluster.moves(slot, from, LAST);
    }
    from != LAST
}

/// The record that belongs to a log.
fn record_of(log: &str) -> String {
    log.rsplit_once(':').unwrap().0.to_owned()
}

/// How many it was approved in all, once both nodes know the same.
fn settled(nodes: &[Server; 2], customer: usize, approved: u64) {
    let card = format!("card-{customer}");
    let is_so = |node: &Server| spent(node, &card) == approved * AMOUNT;
    assert!(
        until(|| nodes.iter().all(is_so)),
        "{customer}: {approved} approved, spent {:?}",
        nodes.each_ref().map(|node| spent(node, &card))
    );
}

#[test]
fn e10_a_customer_whose_slot_moves_key_by_key_is_declined_while_its_keys_are_apart() {
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (log, from) = &homes[0];
    let (record, slot) = (record_of(log), cluster.slot(log));
    let to = (from + 1) % 3;
    cluster.opens(slot, *from, to);
    assert_eq!(ask(&nodes[0], "open", 0), "APPROVED");
    cluster.moves_key(&record, *from, to);
    assert_eq!(ask(&nodes[0], "apart", 0), "VELOCITY_EXCEEDED");
    assert!(counted(&nodes[0], "TRYAGAIN") > 0);
    // Another customer of the same server is none of it.
    let other = (1..CUSTOMERS).find(|it| homes[*it].1 == *from).unwrap();
    assert_eq!(ask(&nodes[0], "other", other), "APPROVED");
    cluster.moves_key(log, *from, to);
    assert_eq!(ask(&nodes[1], "asked", 0), "APPROVED");
    assert!(counted(&nodes[1], "ASK") > 0);
    settled(&nodes, 0, 3);
    // What was appended where it is going to be is told there.
    assert_eq!(reports(&nodes[0]), 200);
    assert_eq!(counted(&nodes[0], "ASK"), 0, "it was told, and did not ask");
    cluster.closes(slot, *from, to);
    assert_eq!(ask(&nodes[0], "moved", 0), "APPROVED");
    settled(&nodes, 0, 4);
    let rest = race(&nodes, "rest", 2 * ROOM);
    assert_eq!(rest[0], ROOM - 4);
}

#[test]
fn e10_a_server_that_has_a_slot_no_more_says_so_and_the_call_goes_on() {
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    // Two customers may have one slot.
    for (customer, (log, _)) in homes.iter().enumerate() {
        gathers(&cluster, cluster.slot(log));
        let token = format!("moved-{customer}");
        assert_eq!(ask(&nodes[customer % 2], &token, customer), "APPROVED");
    }
    let told: u64 = nodes.iter().map(|node| counted(node, "MOVED")).sum();
    assert!(told > 0, "some were sent to where they had been");
    for customer in 0..CUSTOMERS {
        settled(&nodes, customer, 2);
    }
}

/// What the function says at one server of a log that has one entry, and of one that never had any.
fn says(server: &RedisServer, command: &redis::Cmd, is_asking: bool) -> String {
    let mut line = server.line();
    if is_asking {
        assert_eq!(line.ask(&["ASKING"]), "+OK");
    }
    line.word(&command.get_packed_command())
}

#[test]
fn e10_no_server_takes_a_log_that_it_has_not_got_yet_for_an_empty_one() {
    let cluster = founded(&[]);
    let name = cluster.get("countersign:ledger");
    let of = Commands::new(&Generation::parse(&name).unwrap());
    let (old, new) = (Key(7), Key(7 + 1_024));
    assert_eq!(bucket_of(old), bucket_of(new));
    let (record, log) = (record_key(bucket_of(old)), log_key(old));
    let slot = cluster.slot(&record);
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    let [source, target] = [from, to].map(|at| &cluster.servers[at]);
    // Whoever knows nothing of a log begins it.
    let begins = |owner: Key, count: u128| {
        let draft = Draft {
            owner,
            expected: 0,
            after: EntryId::NONE,
            authorization: Key(0),
            events: Vec::new(),
        };
        of.append(&draft, EntryId(count), "nobody")
    };
    assert_eq!(says(source, &begins(old, 1), false), "appended");
    cluster.opens(slot, from, to);
    let tried = |owner| {
        [(source, false), (target, false), (target, true)]
            .map(|(server, is_asking)| says(server, &begins(owner, 9), is_asking))
            .map(|it| it.split(' ').next().unwrap().to_owned())
    };
    assert_eq!(tried(old), ["newer", "-MOVED", "-TRYAGAIN"]);
    assert_eq!(tried(new), ["-TRYAGAIN", "-MOVED", "-TRYAGAIN"]);
    cluster.moves_key(&record, from, to);
    assert_eq!(tried(old), ["-TRYAGAIN", "-MOVED", "-TRYAGAIN"]);
    assert_eq!(tried(new), ["-ASK", "-MOVED", "-TRYAGAIN"]);
    cluster.moves_key(&log, from, to);
    assert_eq!(tried(old), ["-ASK", "-MOVED", "newer"]);
    assert_eq!(tried(new), ["-ASK", "-MOVED", "-TRYAGAIN"]);
    cluster.closes(slot, from, to);
    assert_eq!(tried(old), ["-MOVED", "newer", "newer"]);
    assert_eq!(says(target, &begins(new, 10), false), "appended");
}

/// Every slot of a server, of which many hold nothing but a record, and what customers notice.
#[test]
fn e10_while_slots_move_under_load_nothing_is_spent_twice_and_everybody_is_served_again() {
    const MUCH: u64 = 400;
    let cluster = founded(&[]);
    let (_machines, nodes) = pair(&cluster, MUCH);
    let homes = homes(&cluster, &nodes[0]);
    let (moved, told) = while_it_lasts(&nodes, "moving", || {
        let own = homes.iter().map(|(log, _)| cluster.slot(log));
        let others = (0..300).map(|bucket| cluster.slot(&record_key(bucket)));
        let slots: BTreeSet<u16> = own.chain(others).collect();
        slots
            .iter()
            .filter(|slot| gathers(&cluster, **slot))
            .count()
    });
    let declined: u64 = told.iter().map(|it| it.declined).sum();
    let approved: u64 = told.iter().map(|it| it.approved).sum();
    let longest = told.iter().map(|it| it.longest_ms).max().unwrap();
    let count = |code| nodes.iter().map(|node| counted(node, code)).sum::<u64>();
    println!(
        "{moved} slots moved: {approved} approved, {declined} declined, nothing approved of one customer for {longest} \
         ms at most; {} MOVED, {} ASK, {} TRYAGAIN",
        count("MOVED"),
        count("ASK"),
        count("TRYAGAIN"),
    );
    assert!(longest < 2_000, "{longest} ms");
    assert!(
        moved > 100 && count("MOVED") > 0,
        "nothing was moved under anybody"
    );
    let mut rest = race(&nodes, "rest-0", MUCH);
    for round in 1..4 {
        let more = race(&nodes, &format!("rest-{round}"), 40);
        rest.iter_mut().zip(more).for_each(|(sum, it)| *sum += it);
    }
    for (customer, rest) in rest.iter().enumerate() {
        assert_eq!(1 + told[customer].approved + rest, MUCH, "{customer}");
        settled(&nodes, customer, MUCH);
    }
    assert!(nodes.iter().all(is_ready));
}

/// A server that came later is not armed: what is moved to it is declined until somebody arms it.
#[test]
fn e10_what_moves_to_a_server_that_nobody_armed_is_declined_and_the_rest_is_not() {
    let mut cluster = founded(&[]);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (log, from) = homes[0].clone();
    let new = cluster.adds();
    let slot = cluster.slot(&log);
    cluster.moves(slot, from, new);
    let other = (1..CUSTOMERS).find(|it| homes[*it].0 != log).unwrap();
    for (at, node) in nodes.iter().enumerate() {
        assert_eq!(ask(node, &format!("unarmed-{at}"), 0), "VELOCITY_EXCEEDED");
        assert!(until(|| warns(node)), "{at}");
        assert!(is_ready(node), "the others are served");
        assert_eq!(ask(node, &format!("other-{at}"), other), "APPROVED");
        assert_eq!(reports(node), 503);
    }
    let (code, told) = machines[0].refused();
    assert!(code != Some(0), "{told}");
    let (code, told) = ledger_at(&cluster.url(), &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    for node in &nodes {
        assert!(until(|| !warns(node) && reports(node) == 200));
    }
    let rest = race(&nodes, "rest", 2 * ROOM);
    assert_eq!([rest[0], rest[other]], [ROOM - 1, ROOM - 3]);
    // A slot that is given over without what is in it.
    let (log, from) = homes[other].clone();
    let slot = cluster.slot(&log);
    let to = (from + 1) % 3;
    cluster.opens(slot, from, to);
    let said = cluster.servers[to].ask(&[
        "CLUSTER",
        "SETSLOT",
        &slot.to_string(),
        "NODE",
        &cluster.id(to),
    ]);
    assert_eq!(said, "+OK");
    assert!(until(|| cluster.servers[from]
        .ask(&["EXISTS", &log])
        .starts_with("-MOVED")));
    for (at, node) in nodes.iter().enumerate() {
        assert_eq!(
            ask(node, &format!("given-{at}"), other),
            "VELOCITY_EXCEEDED"
        );
        assert!(until(|| warns(node)));
    }
    let (code, told) = ledger_at(&cluster.url(), &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("records of the ledger are missing"), "{told}");
}

/// A node that starts learns all of every server, and does not while something is under way between two.
#[test]
fn a_node_does_not_start_while_a_slot_is_open() {
    let cluster = founded(&[]);
    let machine = Machine::of(&cluster.url(), &super::cluster::snapshot(ROOM));
    let slot = cluster.slot(&record_key(2));
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    cluster.opens(slot, from, to);
    for told in [
        machine.refused(),
        ledger_at(&cluster.url(), &["arm", "--nothing-was-lost"]),
    ] {
        assert_eq!(told.0, Some(1), "{}", told.1);
        assert!(told.1.contains("slots are on their way"), "{}", told.1);
    }
    for key in cluster.keys(slot, from) {
        cluster.moves_key(&key, from, to);
    }
    cluster.closes(slot, from, to);
    assert!(until(|| cluster.owner_of(slot) == to));
    assert_eq!(ask(&machine.start(), "first", 0), "APPROVED");
}

/// Whether `/readyz` warns that a part of the ledger is not armed.
pub(super) fn warns(node: &Server) -> bool {
    let mut client = Client::connect(node.ops);
    client.send(b"GET /readyz HTTP/1.1\r\nhost: ops\r\n\r\n");
    client
        .response()
        .text()
        .contains("\"shared_ledger_forgot_partly\"")
}

/// The move of a slot was given up when a log had gone and its record had not: whoever has the slot has no
/// log, so that a node that knows nothing would begin the customer anew.
#[test]
fn e10_a_log_that_a_given_up_move_left_behind_is_not_begun_anew() {
    let cluster = founded(&[]);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (log, from) = homes[0].clone();
    drop(nodes);
    let slot = cluster.slot(&log);
    let to = (from + 1) % 3;
    cluster.opens(slot, from, to);
    cluster.moves_key(&log, from, to);
    for at in [from, to] {
        let stable = ["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"];
        assert_eq!(cluster.servers[at].ask(&stable), "+OK");
    }
    let (code, told) = machines[0].refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("was given up half-way"), "{told}");
    // Put right, it goes on from what is there.
    cluster.opens(slot, from, to);
    for key in cluster.keys(slot, from) {
        cluster.moves_key(&key, from, to);
    }
    cluster.closes(slot, from, to);
    assert!(until(|| cluster.owner_of(slot) == to));
    let node = machines[0].start();
    assert_eq!(spent(&node, "card-0"), AMOUNT);
}

//! How a node goes about a cluster: how long one call may take, how often it asks who has what, whom it believes, and by
//! which names it knows servers.

use std::io::BufRead as _;
use std::thread;
use std::time::Duration;

use super::cluster::{CUSTOMERS, ROOM, ask, founded, homes, pair, snapshot};
use super::forgets::until;
use super::refusals::counted;
use super::{Machine, given_back, ledger_at};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis_cluster::RedisCluster;
use crate::server::{millis_since, now};

/// By how much each answer is late, in milliseconds.
const LATE: u64 = 300;
/// For nodes to have asked all servers anew.
const ASKED_ANEW: Duration = Duration::from_millis(1_500);

/// Proxies before all servers, at which nodes find them.
fn announced(cluster: &RedisCluster) -> Vec<FaultProxy> {
    let proxies: Vec<FaultProxy> = cluster
        .servers
        .iter()
        .map(|server| {
            let proxy = FaultProxy::start(server.port());
            let port = proxy.port().to_string();
            let set = server.ask(&["CONFIG", "SET", "cluster-announce-port", &port]);
            assert_eq!(set, "+OK");
            proxy
        })
        .collect();
    let knows_all = |told: &str| {
        let mut ports = proxies.iter().map(|it| format!(":{}@", it.port()));
        ports.all(|port| told.contains(&port))
    };
    cluster.until("all announce their proxies", || {
        let mut servers = cluster.servers.iter();
        servers.all(|server| knows_all(&server.ask(&["CLUSTER", "NODES"])))
    });
    proxies
}

/// A slot that one server gives away and nobody takes: each sends the call to the other.
#[test]
fn e10_a_call_that_is_sent_to_and_fro_ends_in_its_time() {
    let cluster = founded(&[]);
    let proxies = announced(&cluster);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (log, from) = &homes[0];
    let (record, _) = log.rsplit_once(':').unwrap();
    assert_eq!(cluster.servers[*from].ask(&["DEL", log, record]), ":2");
    let slot = cluster.slot(log).to_string();
    let migrates = [
        "CLUSTER",
        "SETSLOT",
        &slot,
        "MIGRATING",
        &cluster.id((from + 1) % 3),
    ];
    assert_eq!(cluster.servers[*from].ask(&migrates), "+OK");
    let redirections = || counted(&nodes[0], "ASK") + counted(&nodes[0], "MOVED");
    assert_eq!(ask(&nodes[0], "to-and-fro", 0), "VELOCITY_EXCEEDED");
    let of_a_fast_call = redirections();
    assert!(of_a_fast_call >= 5, "{of_a_fast_call}");
    proxies
        .iter()
        .for_each(|proxy| proxy.set(Fault::Late(LATE)));
    let since = now();
    assert_eq!(ask(&nodes[0], "late", 0), "VELOCITY_EXCEEDED");
    let took = millis_since(since);
    let of_a_late_call = redirections() - of_a_fast_call;
    // Two answers fit into the time in which something may be sent.
    assert!(
        of_a_late_call <= 2 && took < 1_500,
        "{of_a_late_call} in {took} ms"
    );
}

/// How often a server is asked who has what.
#[test]
fn e8_while_a_server_is_gone_the_others_are_not_asked_all_the_time_and_it_is_found_when_it_is_back()
{
    const LASTS_MS: i64 = 3_000;
    const CLIENTS: usize = 24;
    let more = [
        "--cluster-require-full-coverage",
        "no",
        "--appendonly",
        "yes",
    ];
    let mut cluster = founded(&more);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let gone: Vec<usize> = (0..CUSTOMERS).filter(|it| homes[*it].1 == 2).collect();
    cluster.servers[2].crash();
    let mut monitor = cluster.servers[0].monitor();
    let since = now();
    let count: usize = thread::scope(|scope| {
        let asks = |at: usize| {
            let (node, customer) = (&nodes[at % 2], gone[at % gone.len()]);
            let in_time = |_: &usize| millis_since(since) < LASTS_MS;
            let rounds = (0..).take_while(in_time).inspect(|round| {
                let result = ask(node, &format!("gone-{at}-{round}"), customer);
                assert_eq!(result, "VELOCITY_EXCEEDED");
            });
            rounds.count()
        };
        let asking: Vec<_> = (0..CLIENTS)
            .map(|at| scope.spawn(move || asks(at)))
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).sum()
    });
    cluster.servers[0].ask(&["PING"]);
    let mut asked = 0;
    loop {
        let mut line = String::new();
        monitor.read_line(&mut line).unwrap();
        if line.contains("\"PING\"") {
            break;
        }
        asked += usize::from(line.contains("\"NODES\""));
    }
    println!("asked {asked} times who has what, while {count} authorizations were declined");
    // By two nodes.
    assert!((4..=40).contains(&asked), "{asked}");
    assert!(cluster.servers[2].run_again());
    assert!(until(|| cluster.servers[2]
        .ask(&["CLUSTER", "INFO"])
        .contains("cluster_state:ok")));
    let homes_of = machines.iter().map(|machine| &machine.home);
    given_back(&cluster.url(), homes_of);
    let since = now();
    let mut round = 0;
    assert!(until(|| {
        round += 1;
        ask(&nodes[0], &format!("back-{round}"), gone[0]) == "APPROVED"
    }));
    let took = millis_since(since);
    assert!(took < 2_000, "{took} ms");
}

/// A server that had nothing is given to another cluster, keeps its name, and is told there of greater epochs.
#[test]
fn a_server_that_was_given_to_another_cluster_is_not_believed() {
    let mut cluster = founded(&[]);
    let given = cluster.adds();
    let (_machines, nodes) = pair(&cluster, ROOM);
    homes(&cluster, &nodes[0]);
    let id = cluster.id(given);
    let stranger = RedisCluster::start(1, &[]);
    let told = |at: usize, words: &[&str]| assert_eq!(cluster.servers[at].ask(words), "+OK");
    (0..3).for_each(|at| told(at, &["CLUSTER", "FORGET", &id]));
    told(given, &["CLUSTER", "RESET", "SOFT"]);
    assert_eq!(cluster.id(given), id, "it keeps its name");
    // Greater epochs than the others have.
    for _ in 0..20 {
        let bumped = stranger.servers[0].ask(&["CLUSTER", "BUMPEPOCH"]);
        assert!(
            bumped.starts_with("+BUMPED") || bumped.starts_with("+STILL"),
            "{bumped}"
        );
    }
    let port = stranger.servers[0].port().to_string();
    let bus = stranger.servers[0]
        .line()
        .list(&["CONFIG", "GET", "cluster-port"])
        .remove(1);
    told(given, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    cluster.until("it knows the other cluster", || {
        let told = cluster.servers[given].ask(&["CLUSTER", "NODES"]);
        told.contains("0-16383") && told.lines().count() == 2
    });
    thread::sleep(ASKED_ANEW);
    for customer in 0..CUSTOMERS {
        let result = ask(&nodes[customer % 2], &format!("still-{customer}"), customer);
        assert_eq!(result, "APPROVED", "{customer}");
    }
    let connected = stranger.servers[0].ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert_eq!(connected, "", "nobody has connected to it");
    // Nor is the ledger looked for there.
    let url = format!(
        "redis+cluster://127.0.0.1:{}",
        cluster.servers[given].port()
    );
    let (code, said) = ledger_at(&url, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it holds no ledger"), "{said}");
}

/// Redirections name a host where servers are known by their addresses.
#[test]
fn e10_a_redirection_that_names_a_host_leads_to_the_server_that_is_known_by_its_address() {
    let cluster = founded(&[
        "--cluster-announce-hostname",
        "localhost",
        "--cluster-preferred-endpoint-type",
        "hostname",
    ]);
    let (_machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    let (log, from) = &homes[0];
    let to = (from + 1) % 3;
    let slot = cluster.slot(log);
    cluster.opens(slot, *from, to);
    for key in cluster.keys(slot, *from) {
        cluster.moves_key(&key, *from, to);
    }
    let said = cluster.servers[*from].ask(&["EXISTS", log]);
    assert!(
        said.starts_with("-ASK ") && said.contains(" localhost:"),
        "{said}"
    );
    assert_eq!(ask(&nodes[0], "asked", 0), "APPROVED");
    assert!(counted(&nodes[0], "ASK") > 0);
    cluster.closes(slot, *from, to);
    assert_eq!(ask(&nodes[1], "moved", 0), "APPROVED");
    assert!(counted(&nodes[0], "MOVED") + counted(&nodes[1], "MOVED") > 0);
    // A machine that starts finds every server too.
    let third = Machine::of(&cluster.url(), &snapshot(ROOM)).start();
    assert_eq!(ask(&third, "third", 0), "APPROVED");
}

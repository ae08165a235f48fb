//! Arming concerns every server: whoever was a primary before approves nothing afterwards, whatever it follows, and
//! two who arm at once do not leave two terms behind.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use countersign::domain::card::Key;
use countersign::ledger::redis::arming::{Named, arm};
use countersign::ledger::redis::link::Remote;
use countersign::ledger::redis::wire::{Commands, Generation, LEDGER, Term, library_name};
use countersign::ledger::shared::EntryId;

use super::cluster::{CUSTOMERS, ROOM, ask, founded, homes, pair, snapshot};
use super::cluster_moves::warns;
use super::failover::remembers;
use super::forgets::until;
use super::{Machine, ledger, ledger_at, with_room};
use crate::redis::RedisServer;
use crate::server::authorization;

const ARMS: [&str; 2] = ["arm", "--nothing-was-lost"];
/// How often two arm at once.
const AT_ONCE: u128 = 25;

fn says(server: &RedisServer, what: &str) -> bool {
    server.ask(&["INFO", "replication"]).contains(what)
}

pub(super) fn follows(server: &RedisServer, primary: &RedisServer) {
    let port = primary.port().to_string();
    assert_eq!(server.ask(&["REPLICAOF", "127.0.0.1", &port]), "+OK");
    assert!(until(|| says(server, "master_link_status:up")));
}

/// It hands over without losing its memory, its link breaks at once, and somebody arms the new one. Then that one is
/// lost, and all nodes with it.
#[test]
fn e3_e9_a_former_primary_that_followed_nobody_is_not_armed_when_a_cluster_promotes_it() {
    let mut cluster = founded(&[
        "--repl-diskless-sync-delay",
        "0",
        "--cluster-replica-validity-factor",
        "0",
    ]);
    let new = cluster.adds_replica_of(0);
    let (machines, nodes) = pair(&cluster, ROOM);
    let homes = homes(&cluster, &nodes[0]);
    assert_eq!(cluster.servers[new].ask(&["CLUSTER", "FAILOVER"]), "+OK");
    let old = &cluster.servers[0];
    assert!(until(|| says(old, "master_link_status:up")));
    assert!(remembers(old), "nothing had to be copied to it");
    // The new one knows no passwords.
    old.ask(&["CONFIG", "SET", "masterauth", "nobody-knows-it"]);
    assert_eq!(old.ask(&["CLIENT", "KILL", "TYPE", "master"]), ":1");
    assert!(until(|| says(old, "master_link_status:down")));
    // Its servers have to agree on who is a primary.
    assert!(until(|| ledger_at(&cluster.url(), &ARMS).0 == Some(0)));
    assert!(nodes.iter().all(|node| until(|| !warns(node))));
    let own = (0..CUSTOMERS).find(|it| homes[*it].1 == 0).unwrap();
    let approved = (0..ROOM).filter(|it| ask(&nodes[0], &format!("{it}"), own) == "APPROVED");
    assert_eq!(approved.count() as u64, ROOM - 1);
    drop(nodes);
    cluster.servers[new].crash();
    assert!(until(|| says(&cluster.servers[0], "role:master")));
    assert!(until(|| cluster.servers[0]
        .ask(&["CLUSTER", "INFO"])
        .contains("cluster_state:ok")));
    let is_refused = || {
        let (code, told) = machines[0].refused();
        assert_eq!(code, Some(1), "{told}");
        // Before they agree again on who is a primary, they say that.
        told.contains("may have forgotten approvals")
    };
    assert!(until(is_refused));
    // A machine that never was here knows nothing better.
    let (code, told) = Machine::of(&cluster.url(), &snapshot(ROOM)).refused();
    assert_eq!(code, Some(1), "{told}");
}

#[test]
fn e3_replicas_are_told_that_their_term_is_over_and_whoever_cannot_be_told_is_named() {
    let more = ["--repl-diskless-sync-delay", "0"];
    let primary = super::founded(&more);
    let [old, last] = [(); 2].map(|()| RedisServer::start(&more));
    follows(&old, &primary);
    assert!(until(|| says(&primary, "slave0:")));
    // It hands over, and follows without a copy.
    assert_eq!(old.ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
    let (old, primary) = (primary, old);
    follows(&old, &primary);
    assert!(remembers(&old), "nothing had to be copied to it");
    assert_eq!(ledger(&primary, &ARMS).0, Some(0));
    assert!(!remembers(&old) && remembers(&primary));
    // A replica of a replica, which stands still.
    follows(&last, &old);
    assert_eq!(ledger(&primary, &ARMS).0, Some(0));
    let node = Machine::new(&primary, &with_room(4, 1)).start();
    last.signal_stop();
    let (code, told) = ledger(&primary, &ARMS);
    assert_eq!(code, Some(1), "{told}");
    let place = format!("127.0.0.1:{}", last.port());
    assert!(
        told.contains(&format!("{place} may be armed still")),
        "{told}"
    );
    assert!(told.contains(&format!("`--without {place}`")), "{told}");
    let asked = authorization("as-it-was", "card-0", super::AMOUNT);
    assert!(node.client().ask(&asked).is_approval());
    let (code, told) = ledger(&primary, &[ARMS[0], ARMS[1], "--without", &place]);
    assert_eq!(code, Some(0), "{told}");
    last.signal_continue();
    // Nobody knows of one that follows nobody, but people.
    assert_eq!(old.ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
    assert_eq!(ledger(&old, &ARMS).0, Some(0));
    let place = format!("127.0.0.1:{}", old.port());
    let (code, told) = ledger(&primary, &[ARMS[0], ARMS[1], "--also", &place]);
    assert_eq!(code, Some(0), "{told}");
    assert!(!remembers(&old) && remembers(&primary));
}

/// Whoever is asked at the place of a replica may be anybody.
#[test]
fn e3_a_replica_that_announces_the_place_of_another_server_is_not_taken_for_told() {
    let more = ["--repl-diskless-sync-delay", "0"];
    let primary = super::founded(&more);
    let [replica, stranger] = [(); 2].map(|()| RedisServer::start(&more));
    let announces = |port: u16| {
        let port = port.to_string();
        let set = ["CONFIG", "SET", "replica-announce-port", &port];
        assert_eq!(replica.ask(&set), "+OK");
        assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
        follows(&replica, &primary);
        let line = format!("slave0:ip=127.0.0.1,port={port},state=online");
        assert!(until(|| says(&primary, &line)));
    };
    announces(stranger.port());
    let place = format!("127.0.0.1:{}", stranger.port());
    let (code, told) = ledger(&primary, &ARMS);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains(&format!("{place} may be armed still")),
        "{told}"
    );
    assert!(told.contains("`replica-announce-port`"), "{told}");
    // Nor is a server that has none of our functions, whoever names it.
    announces(replica.port());
    let (code, told) = ledger(&primary, &[ARMS[0], ARMS[1], "--also", &place]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("no functions of this program"), "{told}");
    assert_eq!(ledger(&primary, &ARMS).0, Some(0));
}

/// A node asks for what stands behind an entry that the Redis lacks, as soon as it is armed.
#[test]
fn arming_beside_a_node_that_knows_more_says_what_is_missing_and_not_that_somebody_arms() {
    let redis = super::founded(&[]);
    let ledger_name = redis.ask(&["GET", LEDGER]);
    let read = Commands::new(&Generation::parse(&ledger_name).unwrap())
        .read(Key(1), (5, EntryId(7)))
        .get_packed_command();
    // Whether it was opened before a read came in between is a matter of microseconds.
    let is_over = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut line = redis.line();
                while !is_over.load(Ordering::Relaxed) {
                    line.call(&read);
                }
            });
        }
        let mut arms = (0..40).map(|_| ledger(&redis, &ARMS));
        let refused = arms.find(|(code, _)| *code != Some(0));
        is_over.store(true, Ordering::Relaxed);
        refused
    });
    let (code, told) = told.expect("it was armed each time before a node had asked");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("a node knows an entry that it lacks"),
        "{told}"
    );
    assert!(told.contains("`countersign ledger repair`"), "{told}");
    assert!(!told.contains("somebody else"), "{told}");
    assert_eq!(term(&redis), None);
}

/// What a server is armed for; nothing, where it is not.
fn term(server: &RedisServer) -> Option<String> {
    let mut line = server.line();
    let standing = format!("{}_standing", library_name());
    line.send(&["FCALL_RO", &standing, "0"]).unwrap();
    Some(line.call(b"")).filter(|said| said != "unarmed")
}

#[test]
fn two_who_arm_at_once_leave_one_term_on_all_servers_or_none() {
    let cluster = founded(&[]);
    let remote = Remote::at(&cluster.url(), None).unwrap();
    let (mut done, mut refused) = (0, 0);
    for round in 0..AT_ONCE {
        let begin = Barrier::new(2);
        let arms = |term: u128| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            begin.wait();
            let armed = runtime.block_on(arm(&remote, Term(term), &Named::default()));
            armed.is_ok()
        };
        let are_armed = thread::scope(|scope| {
            let both = [2 * round, 2 * round + 1].map(|term| scope.spawn(move || arms(term)));
            both.map(|it| it.join().unwrap())
        });
        let terms: Vec<Option<String>> = cluster.servers.iter().map(term).collect();
        let different: BTreeSet<&String> = terms.iter().flatten().collect();
        assert!(different.len() <= 1, "round {round}: {terms:?}");
        let is_any = are_armed.contains(&true);
        assert_eq!(
            terms.iter().all(Option::is_some),
            is_any,
            "round {round}: {are_armed:?}, {terms:?}"
        );
        done += usize::from(is_any);
        refused += are_armed.iter().filter(|it| !**it).count();
    }
    println!(
        "{AT_ONCE} times two armed at once: {done} times it was armed, {refused} were refused"
    );
    assert!(refused > 0, "they never met");
    let (code, told) = ledger_at(&cluster.url(), &ARMS);
    assert_eq!(code, Some(0), "{told}");
}

//! Everything by which a Redis loses what it had acknowledged, again and again, while clients ask three nodes: each loss
//! is recognised, nothing is approved until it is repaired, and every customer then has exactly the room that was left.
//!
//! `COUNTERSIGN_LOSS_ROUNDS` says how often each comes; docs/scaling.md has the command.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use countersign::domain::time::Timestamp;
use countersign::ledger::redis::wire::{library, library_name};

use super::forgets::{is_ready, says_forgot, until};
use super::pair::Pair;
use super::{AMOUNT, founded, given_back, spent};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;
use crate::server::{Home, Server, SnapshotOf, authorization, millis_since, now};

const NODES: usize = 3;
const CLIENTS: usize = 2 * NODES;
const DEADLINE_MS: u32 = 1_000;
/// Between two questions of a client.
const PAUSE: Duration = Duration::from_millis(25);
/// Authorizations that the customer of a round has room for: more than clients ask for in a round.
const ROOM: u64 = 150;
/// Losses before all begins anew, so that the log does not become long.
const LOSSES_OF_FIELD: usize = 12;
/// From the word that it is armed until every node approves.
const NORMAL_WITHIN_MS: i64 = 5_000;

/// How what was acknowledged is lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It starts anew without its data.
    Empty,
    /// It starts anew with a file from before the last approvals.
    Older,
    /// Somebody flushes it.
    Flushed,
    /// Its functions are loaded anew, with the same text.
    Reloaded,
    /// It is cut off from its replica, goes on, is killed, and the replica is promoted.
    Dies,
    /// It is cut off from its replica but not from one node, goes on until it notices, and comes back when the
    /// replica was promoted.
    Returns,
}

const LOSSES: [Loss; 6] = [
    Loss::Empty,
    Loss::Older,
    Loss::Flushed,
    Loss::Reloaded,
    Loss::Dies,
    Loss::Returns,
];

#[expect(clippy::disallowed_methods, reason = "the long form is asked for")]
fn rounds() -> usize {
    let said = std::env::var("COUNTERSIGN_LOSS_ROUNDS").ok();
    said.map_or(1, |it| it.parse().expect("a number of rounds"))
}

/// A customer for each loss, and one whom clients ask for all the time.
fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    let mut customer = |name: String, room: u64| {
        snapshot.customer(&name, &json!({"limits": {"total": room * AMOUNT}}));
        for client in 0..CLIENTS {
            snapshot.card(&format!("{name}-{client}"), &name, None, &json!({}));
        }
    };
    (0..LOSSES_OF_FIELD).for_each(|at| customer(format!("cus-{at}"), ROOM));
    customer("wide".to_owned(), 1_000_000);
    snapshot.build()
}

/// What clients do, and what they were told.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    /// Whose turn it is; beyond the last one nobody's.
    customer: AtomicUsize,
    approved_of: [AtomicU64; LOSSES_OF_FIELD],
    approved_wide: AtomicU64,
    approved_at: [AtomicU64; NODES],
    unavailable: AtomicU64,
    /// The longest time in which a client heard of no approval, in milliseconds.
    longest_ms: AtomicI64,
    asked: [AtomicU64; CLIENTS],
}

impl Load {
    fn asks(&self, node: &Server, client: usize) {
        let mut line = node.client();
        let mut last = now();
        for count in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let at = self.customer.load(Ordering::SeqCst);
            let own = self.approved_of.get(at).filter(|_| count % 2 == 0);
            let card = match own {
                Some(_) => format!("cus-{at}-{client}"),
                None => format!("wide-{client}"),
            };
            let token = format!("load-{client}-{count}");
            let result = line.ask(&authorization(&token, &card, AMOUNT)).result();
            match &*result {
                "APPROVED" => {
                    let approved = own.unwrap_or(&self.approved_wide);
                    approved.fetch_add(1, Ordering::SeqCst);
                    self.approved_at[client % NODES].fetch_add(1, Ordering::SeqCst);
                    let gap = millis_since(last);
                    self.longest_ms.fetch_max(gap, Ordering::SeqCst);
                    last = now();
                }
                "VELOCITY_EXCEEDED" => {
                    self.unavailable.fetch_add(1, Ordering::SeqCst);
                }
                // Its customer has nothing left.
                other => assert_eq!(other, "INSUFFICIENT_FUNDS"),
            }
            self.asked[client].fetch_add(1, Ordering::SeqCst);
            thread::sleep(PAUSE);
        }
    }

    fn approved(&self) -> u64 {
        let each = self.approved_at.iter();
        each.map(|it| it.load(Ordering::SeqCst)).sum()
    }

    /// Until so many more were approved by each node.
    fn goes_on(&self, more: u64) -> bool {
        let of_each = || {
            self.approved_at
                .each_ref()
                .map(|it| it.load(Ordering::SeqCst))
        };
        let before = of_each();
        until(|| {
            of_each()
                .iter()
                .zip(before)
                .all(|(now, it)| *now >= it + more)
        })
    }

    /// Until no question is under way that was asked before.
    fn turns_over(&self) {
        let of_each = || self.asked.each_ref().map(|it| it.load(Ordering::SeqCst));
        let before = of_each();
        let is_so = || of_each().iter().zip(before).all(|(now, it)| *now > it);
        assert!(until(is_so), "a client waits for ever");
    }
}

/// Ends what clients do, also where the test fails.
struct Ends<'a>(&'a Load);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

/// Two servers, of which one follows the other, and three nodes, each behind a proxy of its own.
struct Field {
    pair: Pair,
    proxies: [FaultProxy; NODES],
    homes: [Home; NODES],
}

impl Field {
    fn new() -> Self {
        let pair = Pair::start();
        let proxies = [(); NODES].map(|()| FaultProxy::start(pair.primary().port()));
        let homes =
            [(); NODES].map(|()| Home::with_config("relaxed", &snapshot(), "", DEADLINE_MS));
        Self {
            pair,
            proxies,
            homes,
        }
    }

    fn nodes(&self) -> [Server; NODES] {
        [0, 1, 2].map(|at| {
            let home: &Home = &self.homes[at];
            let mut command = home.serve();
            command.args(["--ledger", &self.proxies[at].url()]);
            home.spawn(command)
        })
    }

    /// New connections of these nodes lead to the other server, and there are no old ones.
    fn leads_to_other(&self, nodes: &[usize]) {
        assert_eq!(self.pair.other().ask(&["REPLICAOF", "NO", "ONE"]), "+OK");
        for node in nodes {
            self.proxies[*node].lead_to(self.pair.other().port());
            self.proxies[*node].cut();
        }
    }

    fn starts_anew(&mut self, with_file: bool) {
        let server = &mut self.pair.servers[self.pair.primary];
        server.crash();
        let file = server.dir().join("dump.rdb");
        if !with_file && file.exists() {
            fs::remove_file(file).unwrap();
        }
        assert!(server.run_again());
    }

    /// What was acknowledged last is lost, while clients ask.
    fn loses(&mut self, loss: Loss, load: &Load) {
        match loss {
            Loss::Empty => self.starts_anew(false),
            Loss::Older => {
                assert_eq!(self.pair.primary().ask(&["SAVE"]), "+OK");
                assert!(load.goes_on(2));
                self.starts_anew(true);
            }
            Loss::Flushed => assert_eq!(self.pair.primary().ask(&["FLUSHALL"]), "+OK"),
            Loss::Reloaded => {
                let loaded = self
                    .pair
                    .primary()
                    .ask(&["FUNCTION", "LOAD", "REPLACE", &library()]);
                assert_eq!(loaded, library_name());
            }
            Loss::Dies => {
                self.pair.link().set(Fault::Refused);
                self.pair.link().cut();
                assert!(load.goes_on(2));
                self.pair.servers[self.pair.primary].crash();
                self.leads_to_other(&[0, 1, 2]);
            }
            Loss::Returns => {
                for (key, least) in [("max-lag", "1"), ("to-write", "1")] {
                    let key = format!("min-replicas-{key}");
                    assert_eq!(
                        self.pair.primary().ask(&["CONFIG", "SET", &key, least]),
                        "+OK"
                    );
                }
                self.pair.link().set(Fault::HalfOpen);
                assert!(load.goes_on(2), "it does not notice at once");
                assert!(until(|| {
                    let told = self.pair.primary().ask(&["INFO", "replication"]);
                    told.contains("min_slaves_good_slaves:0")
                }));
                self.leads_to_other(&[1, 2]);
            }
        }
    }

    /// The old primary is there again, and follows the one that took its place.
    fn comes_back(&mut self, loss: Loss) {
        match loss {
            Loss::Empty | Loss::Older | Loss::Flushed | Loss::Reloaded => return,
            Loss::Dies => assert!(self.pair.servers[self.pair.primary].run_again()),
            Loss::Returns => self.proxies[0].lead_to(self.pair.other().port()),
        }
        self.pair.primary = 1 - self.pair.primary;
        self.pair.follows();
        // Not before: it is armed still, and somebody is connected to it.
        let least = ["CONFIG", "SET", "min-replicas-to-write", "0"];
        assert_eq!(self.pair.other().ask(&least), "+OK");
    }

    /// The server that people repair.
    fn taking_over(&self, loss: Loss) -> &RedisServer {
        match loss {
            Loss::Empty | Loss::Older | Loss::Flushed | Loss::Reloaded => self.pair.primary(),
            Loss::Dies | Loss::Returns => self.pair.other(),
        }
    }
}

/// What a kind of loss has come to.
#[derive(Clone, Copy, Default)]
struct Came {
    rounds: u64,
    declined: u64,
    put: u64,
    /// Once the loss was over, until every node says so; from the word that it is armed until every node approves; and
    /// the longest time without an approval, which the repair is a part of. In milliseconds, together and at most.
    recognised: (i64, i64),
    normal: (i64, i64),
    longest: (i64, i64),
}

impl Came {
    fn adds(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.declined += other.declined;
        self.put += other.put;
        let times = [
            (&mut self.recognised, other.recognised),
            (&mut self.normal, other.normal),
            (&mut self.longest, other.longest),
        ];
        for (sum, it) in times {
            *sum = (sum.0 + it.0, sum.1.max(it.1));
        }
    }

    fn tells(&self, loss: Loss) {
        let rounds = i64::try_from(self.rounds.max(1)).unwrap();
        println!(
            "{loss:?}: {} times, overspend 0, {} declined, {} entries given back; recognised {} ms after it in \
             the mean and {} at most, normal {} and {} ms after arming, nothing approved for {} and {} ms",
            self.rounds,
            self.declined,
            self.put,
            self.recognised.0 / rounds,
            self.recognised.1,
            self.normal.0 / rounds,
            self.normal.1,
            self.longest.0 / rounds,
            self.longest.1,
        );
    }
}

/// Whether a node approves nothing, and why.
fn is_recognised(node: &Server, at: usize, loss: Loss) -> bool {
    // It is connected to the old primary, which says that it lacks its replica.
    let is_old = matches!(loss, Loss::Returns) && at == 0;
    is_old || says_forgot(node)
}

/// One loss, from the first approvals of its customer to the last.
fn endures(field: &mut Field, nodes: &[Server; NODES], load: &Load, at: usize, loss: Loss) -> Came {
    let name = format!("{at}-{loss:?}");
    load.customer.store(at, Ordering::SeqCst);
    load.turns_over();
    assert!(load.goes_on(2), "{name}");
    let declined = load.unavailable.load(Ordering::SeqCst);
    load.longest_ms.store(0, Ordering::SeqCst);
    field.loses(loss, load);
    let since = now();
    let all_say_so = || {
        let mut each = nodes.iter().enumerate();
        each.all(|(at, node)| is_recognised(node, at, loss))
    };
    assert!(until(all_say_so), "{name}");
    let recognised = millis_since(since);
    // What was approved before may be on its way to a client.
    load.turns_over();
    let approved = load.approved();
    let url = field.taking_over(loss).url();
    let copies = field.homes.iter();
    let put = super::repaired_by(&url, copies);
    assert_eq!(load.approved(), approved, "{name}: it was not armed yet");
    given_back(&url, []);
    let armed = now();
    field.comes_back(loss);
    assert!(load.goes_on(1), "{name}");
    let normal = millis_since(armed);
    assert!(normal < NORMAL_WITHIN_MS, "{name}: {normal} ms");
    assert!(nodes.iter().all(|node| until(|| is_ready(node))), "{name}");
    let declined = load.unavailable.load(Ordering::SeqCst) - declined;
    load.turns_over();
    let longest = load.longest_ms.load(Ordering::SeqCst);
    // Nobody else asks for this customer any more.
    load.customer.store(LOSSES_OF_FIELD, Ordering::SeqCst);
    load.turns_over();
    is_exact(
        nodes,
        at,
        load.approved_of[at].load(Ordering::SeqCst),
        &name,
    );
    Came {
        rounds: 1,
        declined,
        put,
        recognised: (recognised, recognised),
        normal: (normal, normal),
        longest: (longest, longest),
    }
}

/// Each node knows what was approved of a customer, no more and no less, and together they approve the rest.
fn is_exact(nodes: &[Server; NODES], at: usize, approved: u64, name: &str) {
    let card = format!("cus-{at}-0");
    settles(nodes, &card, approved, name);
    let rest: u64 = thread::scope(|scope| {
        let asking = nodes.iter().enumerate().map(|(number, node)| {
            let card = format!("cus-{at}-{number}");
            scope.spawn(move || {
                let mut line = node.client();
                let token = |count: u64| format!("rest-{at}-{number}-{count}");
                let more = (0..=ROOM).take_while(|count| {
                    let asked = authorization(&token(*count), &card, AMOUNT);
                    line.ask(&asked).is_approval()
                });
                more.count() as u64
            })
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(approved + rest, ROOM, "{name}: {approved} approved before");
    settles(nodes, &card, ROOM, name);
}

fn settles(nodes: &[Server; NODES], card: &str, approved: u64, name: &str) {
    let is_so = || {
        let mut each = nodes.iter();
        each.all(|node| spent(node, card) == approved * AMOUNT)
    };
    assert!(
        until(is_so),
        "{name}: {approved} approved, spent {:?}",
        nodes.each_ref().map(|node| spent(node, card))
    );
}

/// An approval whose answer was lost and left as a decline, and a Redis that then forgot who armed it.
#[test]
fn e6_e9_what_was_in_doubt_when_redis_forgot_is_taken_back_once_it_is_armed() {
    let redis = founded(&[]);
    let proxies = [(); 2].map(|()| FaultProxy::start(redis.port()));
    let homes = [(); 2].map(|()| Home::with_config("relaxed", &snapshot(), "", DEADLINE_MS));
    let nodes = [0, 1].map(|at: usize| {
        let mut command = homes[at].serve();
        command.args(["--ledger", &proxies[at].url()]);
        homes[at].spawn(command)
    });
    let ask = |node: &Server, token: &str| {
        let asked = authorization(token, "wide-0", AMOUNT);
        node.client().ask(&asked).result()
    };
    proxies[0].set(Fault::CutAfterSending);
    assert_eq!(ask(&nodes[0], "doubtful"), "VELOCITY_EXCEEDED");
    // The other node was told of it.
    assert!(until(|| spent(&nodes[1], "wide-0") == AMOUNT));
    let loaded = redis.ask(&["FUNCTION", "LOAD", "REPLACE", &library()]);
    assert_eq!(loaded, library_name());
    proxies[0].set(Fault::None);
    for node in &nodes {
        // Whoever is asked hears of it.
        assert!(until(|| {
            let asked = authorization("meanwhile", "cus-0-0", AMOUNT);
            assert!(!node.client().ask(&asked).is_approval());
            says_forgot(node)
        }));
    }
    given_back(&redis.url(), &homes);
    assert!(until(|| nodes
        .iter()
        .all(|node| spent(node, "wide-0") == 0)));
    assert!(until(|| ask(&nodes[0], "next") == "APPROVED"));
}

#[test]
fn e1_e2_e3_e9_e12_whatever_redis_loses_under_load_is_recognised_and_repaired_and_never_spent_twice()
 {
    let losses: Vec<Loss> = (0..rounds()).flat_map(|_| LOSSES).collect();
    let mut all = [Came::default(); LOSSES.len()];
    let (begun, mut done): (Timestamp, usize) = (now(), 0);
    let mut approved = 0;
    for few in losses.chunks(LOSSES_OF_FIELD) {
        let mut field = Field::new();
        let nodes = field.nodes();
        let load = Load::default();
        thread::scope(|scope| {
            let asking: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (load, node) = (&load, &nodes[client % NODES]);
                    scope.spawn(move || load.asks(node, client))
                })
                .collect();
            let ends = Ends(&load);
            for (at, loss) in few.iter().enumerate() {
                let came = endures(&mut field, &nodes, &load, at, *loss);
                all[*loss as usize].adds(&came);
                done += 1;
            }
            drop(ends);
            asking.into_iter().for_each(|it| it.join().unwrap());
        });
        let wide = load.approved_wide.load(Ordering::SeqCst);
        settles(&nodes, "wide-0", wide, "wide");
        approved += load.approved();
        println!(
            "{done} losses of {} in {} s",
            losses.len(),
            millis_since(begun) / 1_000
        );
    }
    for (loss, came) in LOSSES.into_iter().zip(&all) {
        came.tells(loss);
        let gives_back = !matches!(loss, Loss::Reloaded);
        assert!(came.rounds > 0 && came.declined > 0);
        assert_eq!(came.put > 0, gives_back, "{loss:?}: {}", came.put);
    }
    println!("{approved} approved while clients asked");
}

//! What networks and servers do to a connection costs approvals while it lasts, never more: answers stay
//! within their time, everything is normal two seconds later, and nothing was counted twice.
//!
//! `COUNTERSIGN_FAULT_ROUNDS` says how often each fault comes; docs/scaling.md has the command.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use countersign::domain::time::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{AMOUNT, founded, spent};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;
use crate::server::{Home, Server, SnapshotOf, authorization, millis_since, now};

/// For an answer, in milliseconds.
const DEADLINE_MS: u32 = 1_000;
/// Until a client has it, on a machine that is busy.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1_500);
/// From the end of a fault until every node approves again.
const NORMAL_WITHIN: Duration = Duration::from_secs(2);
/// How long a fault lasts: longer than a connection waits for an answer.
const LASTS: Duration = Duration::from_millis(900);
const CLIENTS_OF_NODE: usize = 3;
/// Cards, so that not everything waits for one customer's turn.
const CUSTOMERS: usize = 6;
/// Until what was answered as a decline, because nobody knew, is taken back.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    for number in 0..CUSTOMERS {
        let customer = format!("cus-{number}");
        snapshot.customer(&customer, &json!({"limits": {"total": 1_000_000_000}}));
        snapshot.card(&format!("card-{number}"), &customer, None, &json!({}));
    }
    snapshot.build()
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for")]
fn rounds() -> u32 {
    let said = std::env::var("COUNTERSIGN_FAULT_ROUNDS").ok();
    said.map_or(1, |it| it.parse().expect("a number of rounds"))
}

/// Two nodes, each behind a proxy of its own.
struct Field {
    redis: RedisServer,
    proxies: [FaultProxy; 2],
    _homes: [Home; 2],
    nodes: [Server; 2],
}

impl Field {
    fn new() -> Self {
        let redis = founded(&[]);
        let proxies = [(); 2].map(|()| FaultProxy::start(redis.port()));
        let homes = [(); 2].map(|()| Home::with_config("relaxed", &snapshot(), "", DEADLINE_MS));
        let start = |at: usize| {
            let mut command = homes[at].serve();
            command.args(["--ledger", &proxies[at].url()]);
            homes[at].spawn(command)
        };
        let nodes = [start(0), start(1)];
        Self {
            redis,
            proxies,
            _homes: homes,
            nodes,
        }
    }

    /// Has clients ask both nodes while `faults` goes on, and looks at the sums when it is over.
    fn endures(&self, name: &str, faults: impl FnOnce(&Asked)) {
        let asked = Asked::default();
        thread::scope(|scope| {
            for number in 0..2 * CLIENTS_OF_NODE {
                let (asked, node) = (&asked, &self.nodes[number % 2]);
                scope.spawn(move || {
                    asked.ask_on((node, number % 2), &format!("{name}-{number}"), number)
                });
            }
            asked.waits_for_approvals(name);
            faults(&asked);
            asked.is_over.store(true, Ordering::SeqCst);
        });
        let slowest = *asked.slowest.lock().unwrap();
        assert!(slowest < ANSWERED_WITHIN, "{name}: {slowest:?}");
        self.settles(name, &asked);
    }

    /// Each node comes to what was approved, no more and no less.
    fn settles(&self, name: &str, asked: &Asked) {
        let approved = asked.count();
        let since = now();
        loop {
            let sums: Vec<u64> = self.nodes.iter().map(spent_by_all).collect();
            if sums.iter().all(|sum| *sum == approved * AMOUNT) {
                println!(
                    "{name}: {approved} approved, {} not",
                    asked.declined.load(Ordering::SeqCst)
                );
                return;
            }
            assert!(
                passed(since) < SETTLED_WITHIN,
                "{name}: {approved} approved, spent {sums:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn set(&self, fault: Fault) {
        self.proxies.iter().for_each(|proxy| proxy.set(fault));
    }

    /// A fault comes and goes; how soon every node approves again.
    fn has(&self, asked: &Asked, name: &str, begin: &dyn Fn(), end: &dyn Fn()) {
        for round in 0..rounds() {
            begin();
            thread::sleep(LASTS);
            end();
            let took = asked.waits_for_approvals(name);
            println!("{name}, round {round}: normal after {took:?}");
            assert!(took < NORMAL_WITHIN, "{name}, round {round}: {took:?}");
        }
    }
}

/// Of all customers together.
fn spent_by_all(node: &Server) -> u64 {
    let of = |number: usize| spent(node, &format!("card-{number}"));
    (0..CUSTOMERS).map(of).sum()
}

/// What clients were told.
#[derive(Default)]
struct Asked {
    approved: [AtomicU32; 2],
    declined: AtomicU32,
    slowest: Mutex<Duration>,
    is_over: AtomicBool,
}

fn passed(since: Timestamp) -> Duration {
    Duration::from_millis(millis_since(since).unsigned_abs())
}

impl Asked {
    fn ask_on(&self, (node, at): (&Server, usize), name: &str, number: usize) {
        let mut client = node.client();
        for round in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let card = format!("card-{}", (number + round) % CUSTOMERS);
            let since = now();
            let answer = client.ask(&authorization(&format!("{name}-{round}"), &card, AMOUNT));
            let took = passed(since);
            let mut slowest = self.slowest.lock().unwrap();
            *slowest = took.max(*slowest);
            drop(slowest);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let counted = if answer.is_approval() {
                &self.approved[at]
            } else {
                &self.declined
            };
            counted.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn count(&self) -> u64 {
        self.approved
            .iter()
            .map(|it| u64::from(it.load(Ordering::SeqCst)))
            .sum()
    }

    /// Until both nodes have approved some more. How long it took.
    fn waits_for_approvals(&self, name: &str) -> Duration {
        let since = now();
        let of_each = || self.approved.each_ref().map(|it| it.load(Ordering::SeqCst));
        let before = of_each();
        while of_each()
            .iter()
            .zip(before)
            .any(|(now, before)| *now < before + 5)
        {
            assert!(
                passed(since) < 5 * NORMAL_WITHIN,
                "{name}: nothing is approved"
            );
            thread::sleep(Duration::from_millis(2));
        }
        passed(since)
    }
}

#[test]
fn e7_a_half_open_connection_is_found_and_not_used_again() {
    let field = Field::new();
    field.endures("half-open", |asked| {
        let (begin, end) = (|| field.set(Fault::HalfOpen), || field.set(Fault::None));
        field.has(asked, "half-open", &begin, &end);
    });
}

#[test]
fn e5_answers_that_come_late_are_declined_in_time_and_counted_once() {
    let field = Field::new();
    field.endures("late", |asked| {
        for millis in [10, 100, 700] {
            let (begin, end) = (|| field.set(Fault::Late(millis)), || field.set(Fault::None));
            field.has(asked, &format!("late by {millis} ms"), &begin, &end);
        }
    });
}

#[test]
fn e5_a_redis_that_stands_still_lets_nothing_be_approved_late() {
    let field = Field::new();
    let told = field.redis.ask(&["INFO", "server"]);
    let number = told
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"));
    let number = number.unwrap().trim().parse().unwrap();
    let signal = |signal| kill_process(Pid::from_raw(number).unwrap(), signal).unwrap();
    field.endures("still", |asked| {
        field.has(asked, "still", &|| signal(Signal::STOP), &|| {
            signal(Signal::CONT)
        });
    });
}

#[test]
fn e6_e14_connections_that_are_cut_after_sending_or_answer_nonsense_count_nothing_twice() {
    let field = Field::new();
    field.endures("cut", |asked| {
        for fault in [Fault::CutAfterSending, Fault::Garbage] {
            let (begin, end) = (|| field.set(fault), || field.set(Fault::None));
            field.has(asked, &format!("{fault:?}"), &begin, &end);
        }
    });
}

/// Nodes come back one after the other, each with one connection.
#[test]
fn e15_nodes_that_lost_redis_come_back_without_a_herd() {
    let field = Field::new();
    field.endures("lost", |asked| {
        for _ in 0..rounds() {
            field.set(Fault::Refused);
            thread::sleep(3 * LASTS);
            let declined = asked.declined.load(Ordering::SeqCst);
            thread::sleep(LASTS);
            assert!(
                asked.declined.load(Ordering::SeqCst) > declined,
                "they are declined"
            );
            field.set(Fault::None);
            let before = field.proxies.each_ref().map(FaultProxy::connections);
            let took = asked.waits_for_approvals("lost");
            assert!(took < NORMAL_WITHIN, "{took:?}");
            for (proxy, before) in field.proxies.iter().zip(before) {
                let made = proxy.connections() - before;
                assert!((1..=2).contains(&made), "{made} connections");
            }
        }
    });
}

//! Several processes that share one ledger in a real Redis (decision 0028): together they are as exact
//! as one, and where Redis may have forgotten something nothing is approved.

#![cfg(test)]

#[path = "shared_ledger/arming.rs"]
mod arming;
#[path = "shared_ledger/behind.rs"]
mod behind;
#[path = "shared_ledger/changes.rs"]
mod changes;
#[path = "shared_ledger/cluster.rs"]
mod cluster;
#[path = "shared_ledger/cluster_calls.rs"]
mod cluster_calls;
#[path = "shared_ledger/cluster_down.rs"]
mod cluster_down;
#[path = "shared_ledger/cluster_load.rs"]
mod cluster_load;
#[path = "shared_ledger/cluster_moves.rs"]
mod cluster_moves;
#[path = "shared_ledger/exact.rs"]
mod exact;
#[path = "shared_ledger/failover.rs"]
mod failover;
#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "shared_ledger/faults.rs"]
mod faults;
#[path = "shared_ledger/forgets.rs"]
mod forgets;
#[path = "shared_ledger/losses.rs"]
mod losses;
#[path = "shared_ledger/moved.rs"]
mod moved;
#[path = "shared_ledger/pair.rs"]
mod pair;
#[path = "shared_ledger/precedence.rs"]
mod precedence;
#[path = "support/redis.rs"]
mod redis;
#[path = "support/redis_cluster.rs"]
mod redis_cluster;
#[path = "shared_ledger/refusals.rs"]
mod refusals;
#[path = "shared_ledger/refuses.rs"]
mod refuses;
#[path = "shared_ledger/repaired.rs"]
mod repaired;
#[path = "shared_ledger/sentinel.rs"]
mod sentinel;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "shared_ledger/stand_in.rs"]
mod stand_in;
#[path = "shared_ledger/tls.rs"]
mod tls;

use serde_json::{Value, json};

use redis::RedisServer;
use server::{Home, Server, SnapshotOf, binary, said};

/// What one authorization asks for.
const AMOUNT: u64 = 2_500;

/// Runs `countersign ledger …` on this Redis.
fn ledger(redis: &RedisServer, words: &[&str]) -> (Option<i32>, String) {
    ledger_at(&redis.url(), words)
}

/// The same of this address.
fn ledger_at(url: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut command = binary();
    command.arg("ledger").args(words);
    said(command.args(["--ledger", url]).output())
}

/// All nodes' copies are given, and somebody says that nothing is missing. How many entries came back.
fn given_back<'a>(url: &str, homes: impl IntoIterator<Item = &'a Home>) -> u64 {
    given_back_without(url, homes, None)
}

/// The same where a server is gone that may have been armed.
fn given_back_without<'a>(
    url: &str,
    homes: impl IntoIterator<Item = &'a Home>,
    gone: Option<&RedisServer>,
) -> u64 {
    let given = repaired_by(url, homes);
    let gone = gone.map(|it| format!("127.0.0.1:{}", it.port()));
    let mut words = vec!["arm", "--nothing-was-lost"];
    if let Some(gone) = &gone {
        let (code, told) = ledger_at(url, &words);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(&format!("`--without {gone}`")), "{told}");
        words.extend(["--without", gone]);
    }
    let (code, told) = said_again(url, &words);
    assert_eq!(code, Some(0), "{told}");
    given
}

/// What people do where a machine is so busy that a server does not answer in time.
fn said_again(url: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut said = ledger_at(url, words);
    for _ in 0..5 {
        if !said.1.contains("timed out") {
            break;
        }
        said = ledger_at(url, words);
    }
    said
}

/// All nodes' copies are given. How many entries came back.
fn repaired_by<'a>(url: &str, homes: impl IntoIterator<Item = &'a Home>) -> u64 {
    let mut given = 0;
    for home in homes {
        let dir = home.data_dir().display().to_string();
        let (code, told) = said_again(url, &["repair", "--data-dir", &dir]);
        assert_eq!(code, Some(0), "{told}");
        let (_, count) = told.split_once(": ").unwrap();
        let (count, _) = count.split_once(" entries put back").unwrap();
        given += count.parse::<u64>().unwrap();
    }
    given
}

/// A Redis in which a ledger was founded.
fn founded(more: &[&str]) -> RedisServer {
    let redis = RedisServer::start(more);
    let (code, told) = ledger(&redis, &["found"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("founded "), "{told}");
    redis
}

/// A machine, whose cards and limits are those of all others.
struct Machine {
    home: Home,
    url: String,
}

impl Machine {
    fn new(redis: &RedisServer, snapshot: &Value) -> Self {
        Self::of(&redis.url(), snapshot)
    }

    /// Of the ledger at this address.
    fn of(url: &str, snapshot: &Value) -> Self {
        Self {
            home: Home::new("relaxed", snapshot),
            url: url.to_owned(),
        }
    }

    fn start(&self) -> Server {
        let mut command = self.home.serve();
        command.args(["--ledger", &self.url]);
        self.home.spawn(command)
    }

    fn refused(&self) -> (Option<i32>, String) {
        self.home.refused_with(&["--ledger", &self.url])
    }
}

/// Two machines on one ledger, and what runs on them.
fn pair(redis: &RedisServer, snapshot: &Value) -> ([Machine; 2], [Server; 2]) {
    let machines = [Machine::new(redis, snapshot), Machine::new(redis, snapshot)];
    let nodes = [machines[0].start(), machines[1].start()];
    (machines, nodes)
}

/// One customer with room for so many authorizations, on this many cards.
fn with_room(room: u64, cards: usize) -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({"limits": {"total": room * AMOUNT}}));
    for card in 0..cards {
        snapshot.card(&format!("card-{card}"), "cus", None, &json!({}));
    }
    snapshot.build()
}

/// What the customer of this card has spent, as this node knows it.
fn spent(node: &Server, card: &str) -> u64 {
    let card = node.admin(&format!("/admin/cards/{card}"));
    let limits = card["limits"].as_array().unwrap();
    let limit = limits.iter().find(|it| it["level"] == "customer");
    limit.unwrap_or_else(|| panic!("{card}"))["spent"]
        .as_u64()
        .unwrap()
}

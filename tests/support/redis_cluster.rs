//! A real Redis Cluster on free ports: some primaries, which have all slots, and what is added to them.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::redis::RedisServer;

const SLOTS: usize = 16_384;
/// Milliseconds until a server that does not answer is said to be gone.
const GONE_AFTER: &str = "1000";

/// Servers that know each other.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
    more: Vec<String>,
    /// Further settings of one server.
    own: fn() -> Vec<String>,
}

impl RedisCluster {
    /// So many primaries, each with as many slots, with these settings beside their own.
    pub(crate) fn start(primaries: usize, more: &[&str]) -> Self {
        Self::start_with(primaries, more, Vec::new)
    }

    /// The same, and each server with settings of its own.
    pub(crate) fn start_with(primaries: usize, more: &[&str], own: fn() -> Vec<String>) -> Self {
        let mut cluster = Self {
            servers: Vec::new(),
            more: more.iter().map(|&word| word.to_owned()).collect(),
            own,
        };
        for number in 0..primaries {
            cluster.begin();
            let server = &cluster.servers[number];
            let first = (number * SLOTS / primaries).to_string();
            let last = ((number + 1) * SLOTS / primaries - 1).to_string();
            let added = server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            assert_eq!(added, "+OK");
            let epoch = (number + 1).to_string();
            let set = server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            assert_eq!(set, "+OK");
        }
        cluster.meet();
        cluster
    }

    fn begin(&mut self) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let bus = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut words = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
        words.extend(["--cluster-node-timeout", GONE_AFTER]);
        words.extend(self.more.iter().map(String::as_str));
        let own = (self.own)();
        words.extend(own.iter().map(String::as_str));
        self.servers.push(RedisServer::start(&words));
    }

    /// Has all know all others, and waits until they do.
    fn meet(&self) {
        for one in &self.servers {
            for other in &self.servers {
                let port = other.port().to_string();
                // As it is written into its configuration.
                let told = other.ask(&["CONFIG", "GET", "cluster-port"]);
                assert_eq!(told, "*2");
                let bus = other
                    .line()
                    .list(&["CONFIG", "GET", "cluster-port"])
                    .remove(1);
                let met = one.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
                assert_eq!(met, "+OK");
            }
        }
        let known = format!("cluster_known_nodes:{}", self.servers.len());
        self.until("all know all", || {
            self.servers.iter().all(|server| {
                let told = server.ask(&["CLUSTER", "INFO"]);
                let is_known = told.lines().any(|line| line.trim_end() == known);
                told.contains("cluster_state:ok") && is_known
            })
        });
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        for _ in 0..600 {
            if is_so() {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("{what}: {}", self.servers[0].ask(&["CLUSTER", "NODES"]));
    }

    /// Another primary, which has nothing.
    pub(crate) fn adds(&mut self) -> usize {
        self.begin();
        self.meet();
        self.servers.len() - 1
    }

    /// A replica of a primary, which has everything that this one has.
    pub(crate) fn adds_replica_of(&mut self, primary: usize) -> usize {
        let replica = self.adds();
        let id = self.id(primary);
        let told = self.servers[replica].ask(&["CLUSTER", "REPLICATE", &id]);
        assert_eq!(told, "+OK");
        self.until("it follows", || {
            let told = self.servers[replica].ask(&["INFO", "replication"]);
            let is_said = |server: &RedisServer| {
                let nodes = server.ask(&["CLUSTER", "NODES"]);
                nodes
                    .lines()
                    .any(|line| line.contains(" slave ") || line.contains(",slave "))
            };
            told.contains("master_link_status:up") && self.servers.iter().all(is_said)
        });
        replica
    }

    pub(crate) fn id(&self, at: usize) -> String {
        self.servers[at].ask(&["CLUSTER", "MYID"])
    }

    /// The address that nodes have: the first two servers.
    pub(crate) fn url(&self) -> String {
        let ports: Vec<u16> = self.servers.iter().map(RedisServer::port).collect();
        format!(
            "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
            ports[0], ports[1]
        )
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        let told = self.servers[0].ask(&["CLUSTER", "KEYSLOT", key]);
        told.strip_prefix(':').unwrap().parse().unwrap()
    }

    /// Who says that it has a slot.
    pub(crate) fn owner_of(&self, slot: u16) -> usize {
        let has = |server: &RedisServer| {
            let told = server.ask(&["CLUSTER", "NODES"]);
            let own = told.lines().find(|line| line.contains("myself")).unwrap();
            own.split(' ')
                .skip(8)
                .filter(|it| !it.starts_with('['))
                .any(|part| {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    (first.parse().unwrap()..=last.parse().unwrap()).contains(&slot)
                })
        };
        self.servers.iter().position(has).unwrap()
    }

    /// What a key holds, wherever it is.
    pub(crate) fn get(&self, key: &str) -> String {
        let at = self.owner_of(self.slot(key));
        self.servers[at].ask(&["GET", key])
    }

    /// Begins to move a slot: keys go one by one from here.
    pub(crate) fn opens(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (source, target) = (self.id(from), self.id(to));
        let imports = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source];
        assert_eq!(self.servers[to].ask(&imports), "+OK");
        let migrates = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target];
        assert_eq!(self.servers[from].ask(&migrates), "+OK");
    }

    /// The keys that a server has of a slot.
    pub(crate) fn keys(&self, slot: u16, at: usize) -> Vec<String> {
        let slot = slot.to_string();
        let mut line = self.servers[at].line();
        line.list(&["CLUSTER", "GETKEYSINSLOT", &slot, "100000"])
    }

    /// Moves one key.
    pub(crate) fn moves_key(&self, key: &str, from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        let moved = self.servers[from].ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
        assert_eq!(moved, "+OK", "{key}");
    }

    /// Ends the move of a slot.
    pub(crate) fn closes(&self, slot: u16, from: usize, to: usize) {
        let (slot, target) = (slot.to_string(), self.id(to));
        for at in [to, from] {
            let said = self.servers[at].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
            assert_eq!(said, "+OK");
        }
    }

    /// Moves a slot as a whole, key by key.
    pub(crate) fn moves(&self, slot: u16, from: usize, to: usize) {
        self.opens(slot, from, to);
        for key in self.keys(slot, from) {
            self.moves_key(&key, from, to);
        }
        self.closes(slot, from, to);
    }
}

//! Two servers, of which one follows the other.

use super::forgets::until;
use super::founded;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;

/// See the module.
pub(super) struct Pair {
    pub(super) servers: [RedisServer; 2],
    /// What leads a replica to the server of the same place.
    pub(super) links: [FaultProxy; 2],
    pub(super) primary: usize,
}

impl Pair {
    /// The first has a ledger, and the second follows it.
    pub(super) fn start() -> Self {
        let more = ["--repl-diskless-sync-delay", "0", "--repl-timeout", "5"];
        let servers = [founded(&more), RedisServer::start(&more)];
        let links = servers.each_ref().map(|it| FaultProxy::start(it.port()));
        let pair = Self {
            servers,
            links,
            primary: 0,
        };
        pair.follows();
        pair
    }

    pub(super) fn primary(&self) -> &RedisServer {
        &self.servers[self.primary]
    }

    pub(super) fn other(&self) -> &RedisServer {
        &self.servers[1 - self.primary]
    }

    /// What leads the other one to the primary.
    pub(super) fn link(&self) -> &FaultProxy {
        &self.links[self.primary]
    }

    /// Has the other follow the primary, and waits until it has everything.
    pub(super) fn follows(&self) {
        let link = self.link();
        link.set(Fault::None);
        let port = link.port().to_string();
        assert_eq!(self.other().ask(&["REPLICAOF", "127.0.0.1", &port]), "+OK");
        assert!(until(|| self.has_everything()));
    }

    /// Whether the other has all that the primary has.
    pub(super) fn has_everything(&self) -> bool {
        let [primary, replica] =
            [self.primary(), self.other()].map(|it| it.ask(&["INFO", "replication"]));
        let said = |told: &str, what: &str| {
            let mut lines = told.lines().filter_map(|it| it.strip_prefix(what));
            lines.next().map(|it| it.trim().to_owned())
        };
        let offset = said(&primary, "master_repl_offset:");
        said(&replica, "master_link_status:").is_some_and(|it| it == "up")
            && offset == said(&replica, "slave_repl_offset:")
    }
}

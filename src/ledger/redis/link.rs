//! The connection to one server: one for everything, made anew when it breaks.
//!
//! Entries that other nodes append are pushed over the same connection, so that what is pushed and what
//! is answered come in the order in which it happened.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    PushInfo, RedisError, ServerErrorKind, TlsCertificates,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::ledger::redis::cluster::Cluster;
use crate::ledger::redis::hosts::{Access, Spot};
use crate::ledger::redis::refusal::Refusals;
use crate::ledger::redis::sentinel::Sentinels;

/// For a connection to be made.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);
/// For one answer. Whoever waits has a deadline of its own; after this the connection counts as broken.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// Between two attempts to connect, at least and at most, about.
const PAUSE_MS_MIN: u64 = 10;
const PAUSE_MS_MAX: u64 = 500;

/// The Redis that nodes share.
#[derive(Clone)]
pub struct Remote(Place);

#[derive(Clone)]
enum Place {
    Server(Box<Client>, Access),
    Sentinels(Sentinels),
    Cluster(Box<Cluster>),
}

impl Remote {
    /// Of an address `redis://…`, or `rediss://…` for TLS: then its certificate has to come from this root, or
    /// from a public one where none is given, and to be for its name. `redis+sentinel://…` and
    /// `rediss+sentinel://…` name sentinels, who say where the primary is; `redis+cluster://…` and `rediss+cluster://…`
    /// some servers of a cluster. Nothing is sent yet.
    ///
    /// # Errors
    /// Where it is no address, or the root is no certificate in PEM form.
    pub fn at(address: &str, root: Option<Vec<u8>>) -> Result<Self, RedisError> {
        if let Some(sentinels) = Sentinels::at(address, root.clone()) {
            return sentinels.map(|it| Self(Place::Sentinels(it)));
        }
        if let Some(cluster) = Cluster::at(address, root.clone()) {
            return cluster.map(|it| Self(Place::Cluster(Box::new(it))));
        }
        let info = address.into_connection_info()?;
        let protocol = ProtocolVersion::RESP3;
        let settings = info.redis_settings().clone().set_protocol(protocol);
        // Without this the kernel keeps small commands back for up to 40 ms.
        let tcp = TcpSettings::default().set_nodelay(true);
        let access = Access {
            is_tls: matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            user: settings.clone(),
            root: root.clone(),
        };
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = match root {
            None => Client::open(info)?,
            Some(root) => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root),
                };
                Client::build_with_tls(info, certificates)?
            }
        };
        Ok(Self(Place::Server(Box::new(client), access)))
    }

    /// The cluster that it is, if it is one.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        match &self.0 {
            Place::Cluster(cluster) => Some(cluster),
            Place::Server(..) | Place::Sentinels(_) => None,
        }
    }

    /// The sentinels that are named, if they are.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        match &self.0 {
            Place::Sentinels(sentinels) => Some(sentinels),
            Place::Server(..) | Place::Cluster(_) => None,
        }
    }

    /// How its servers are spoken to.
    pub(super) fn access(&self) -> &Access {
        match &self.0 {
            Place::Server(_, access) => access,
            Place::Sentinels(sentinels) => &sentinels.access,
            Place::Cluster(cluster) => &cluster.access,
        }
    }

    /// One of several servers.
    pub(super) fn one(access: &Access, spot: &Spot) -> Result<Self, RedisError> {
        let client = Box::new(access.client(spot)?);
        Ok(Self(Place::Server(client, access.clone())))
    }

    /// A connection to the server; of a cluster, to the first of the address that can be reached.
    pub(super) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        match &self.0 {
            Place::Server(client, _) => {
                let made = client.get_multiplexed_async_connection_with_config(config);
                made.await
            }
            Place::Sentinels(sentinels) => sentinels.connect(config).await,
            Place::Cluster(cluster) => {
                let mut failed = (ErrorKind::Io, "no server of the cluster can be reached").into();
                for spot in &cluster.seeds {
                    let client = cluster.access.client(spot)?;
                    match client
                        .get_multiplexed_async_connection_with_config(config)
                        .await
                    {
                        Ok(made) => return Ok(made),
                        Err(error) => failed = error,
                    }
                }
                Err(failed)
            }
        }
    }
}

/// Where it is, without what proves who we are.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Server(client, _) => client.get_connection_info().addr().fmt(f),
            Place::Sentinels(sentinels) => sentinels.fmt(f),
            Place::Cluster(cluster) => cluster.fmt(f),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
    }
}

/// How connections behave.
#[must_use]
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTED_WITHIN))
        .set_response_timeout(Some(ANSWERED_WITHIN))
}

/// One connection, numbered so that whoever finds it broken says which.
#[derive(Clone)]
pub struct Link {
    /// A later one, to whichever server, has a greater number.
    pub number: u64,
    /// Where those hear who are connected to the same server.
    pub channel: Rc<str>,
    /// For commands.
    pub connection: MultiplexedConnection,
}

/// The end that uses connections.
#[derive(Clone)]
pub struct Links {
    current: watch::Receiver<Option<Link>>,
    /// Which one does not work any more. One place for all who say so.
    broken: watch::Sender<u64>,
}

impl Links {
    /// The connection, if it is another one than that of number `broken`; else the next one if it comes in
    /// time.
    pub async fn get(&self, broken: u64, within: Duration) -> Option<Link> {
        timeout(within, self.other_than(broken)).await.ok()?
    }

    /// The same, however long it takes. Absent where there will be none.
    pub(super) async fn other_than(&self, broken: u64) -> Option<Link> {
        let mut current = self.current.clone();
        let is_other = |link: &Option<Link>| link.as_ref().is_some_and(|it| it.number != broken);
        // The guard that it gives is a lock on the place where connections are put.
        current.wait_for(is_other).await.ok()?.clone()
    }

    /// The connection that there is at this moment.
    pub(super) fn now(&self) -> Option<Link> {
        self.current.borrow().clone()
    }

    /// Says that a connection does not work any more. Of another one than there is at this moment it means nothing.
    pub fn is_broken(&self, number: u64) {
        if self.now().is_some_and(|link| link.number == number) {
            self.broken.send_replace(number);
        }
    }
}

/// What is told over a connection.
pub struct Pushed {
    /// A new connection, from which on nothing is missed.
    pub connected: mpsc::UnboundedReceiver<u64>,
    /// What was pushed over the connection of this number.
    pub messages: mpsc::UnboundedReceiver<(u64, PushInfo)>,
}

/// What all connections of a node have in common.
#[derive(Clone)]
pub struct Joint {
    /// Makes pauses of different nodes different.
    pub seed: u64,
    /// Counts what servers refuse.
    pub count: Refusals,
    numbers: Rc<Cell<u64>>,
    connected: mpsc::UnboundedSender<u64>,
    messages: mpsc::UnboundedSender<(u64, PushInfo)>,
}

impl Joint {
    /// All has to be learned anew, as after a new connection.
    pub(super) fn has_changed(&self) {
        let number = self.next_number();
        // Whoever hears has gone at an end only.
        let _gone = self.connected.send(number);
    }

    /// Of one node, and where it hears of its connections.
    #[must_use]
    pub fn new(seed: u64, count: Refusals) -> (Self, Pushed) {
        let (connected, hears) = mpsc::unbounded_channel();
        let (messages, pushed) = mpsc::unbounded_channel();
        let joint = Self {
            seed,
            count,
            numbers: Rc::default(),
            connected,
            messages,
        };
        let pushed = Pushed {
            connected: hears,
            messages: pushed,
        };
        (joint, pushed)
    }

    fn next_number(&self) -> u64 {
        let number = self.numbers.get().saturating_add(1);
        self.numbers.set(number);
        number
    }
}

/// Keeps a connection for ever.
pub struct Keeper {
    remote: Remote,
    /// Its name in its cluster, if it has one: another server may have come to its place.
    id: Option<String>,
    channel: Rc<str>,
    joint: Joint,
    current: watch::Sender<Option<Link>>,
    broken: watch::Receiver<u64>,
}

impl Keeper {
    /// Of connections that hear `channel`, to the server that is called so in its cluster, if it is in one.
    #[must_use]
    pub fn new(remote: Remote, id: Option<String>, channel: &str, joint: Joint) -> (Self, Links) {
        let (current, looked_at) = watch::channel(None);
        let (says_broken, broken) = watch::channel(0);
        let keeper = Self {
            remote,
            id,
            channel: channel.into(),
            joint,
            current,
            broken,
        };
        let links = Links {
            current: looked_at,
            broken: says_broken,
        };
        (keeper, links)
    }

    /// Connects, and again whenever somebody says that the connection is broken.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            let number = self.joint.next_number();
            match self.connect(number).await {
                Ok(connection) => {
                    failures = 0;
                    let channel = Rc::clone(&self.channel);
                    self.current.send_replace(Some(Link {
                        number,
                        channel,
                        connection,
                    }));
                    let _over = self.joint.connected.send(number);
                    if !self.breaks(number).await {
                        return;
                    }
                    tracing::warn!("the connection to Redis is broken; a new one is made");
                    self.current.send_replace(None);
                }
                Err(error) => {
                    failures += 1;
                    self.joint.count.of(&error);
                    let remote = &self.remote;
                    tracing::warn!(%error, %remote, failures, "no connection to Redis");
                }
            }
            sleep(self.pause(number, failures)).await;
        }
    }

    async fn connect(&self, number: u64) -> Result<MultiplexedConnection, RedisError> {
        let messages = self.joint.messages.clone();
        let config = config().set_push_sender(move |pushed| messages.send((number, pushed)));
        let mut connection = self.remote.connect(&config).await?;
        let mut info = redis::cmd("INFO");
        let told: String = info.arg("replication").query_async(&mut connection).await?;
        // Where it leads may have become a replica, which would refuse everything.
        if !told.lines().any(|line| line.trim_end() == "role:master") {
            let error = (
                ErrorKind::Server(ServerErrorKind::ReadOnly),
                "it is a replica",
            );
            return Err(error.into());
        }
        if let Some(id) = &self.id {
            let mut asks = redis::cmd("CLUSTER");
            let is: String = asks.arg("MYID").query_async(&mut connection).await?;
            if is != *id {
                let error = (ErrorKind::Io, "another server of the cluster is there");
                return Err(error.into());
            }
        }
        connection.subscribe(&*self.channel).await?;
        Ok(connection)
    }

    /// Waits until this connection is said to be broken. False where nobody can say so any more.
    async fn breaks(&mut self, number: u64) -> bool {
        let said = self.broken.wait_for(|broken| *broken == number).await;
        said.is_ok()
    }

    /// Twice as long after every failure, and by chance between half and the whole of that.
    fn pause(&self, number: u64, failures: u32) -> Duration {
        let longest = PAUSE_MS_MIN
            .saturating_mul(1 << failures.min(10))
            .min(PAUSE_MS_MAX);
        spread(
            longest,
            self.joint.seed ^ (number << 32) ^ u64::from(failures),
        )
    }
}

/// By chance between half of so many milliseconds and the whole, so that nodes do not come at the same time.
pub(super) fn spread(longest_ms: u64, seed: u64) -> Duration {
    let mixed = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let half = longest_ms / 2;
    Duration::from_millis(half + (mixed >> 40) % (half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_connection_that_is_not_there_is_kept_nowhere() {
        let remote = Remote::at("redis://127.0.0.1:1", None).unwrap();
        let (joint, _pushed) = Joint::new(1, Refusals::new(|_code| {}));
        let (keeper, links) = Keeper::new(remote, None, "channel", joint);
        (1..100).for_each(|number| links.is_broken(number));
        assert!(!keeper.broken.has_changed().unwrap());
    }

    #[test]
    fn a_pause_lies_between_half_and_the_whole() {
        let pauses: std::collections::BTreeSet<Duration> =
            (0..100).map(|seed| spread(640, seed)).collect();
        let within = Duration::from_millis(320)..=Duration::from_millis(640);
        assert!(pauses.iter().all(|it| within.contains(it)) && pauses.len() > 50);
    }
}

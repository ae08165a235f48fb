//! Which server a call goes to: the only one, or that of a cluster that has the bucket's slot.
//!
//! A server that has it no more says who has. Then the call goes on to there, a few times, unchanged: it
//! did nothing where it was refused.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};

use crate::ledger::redis::cluster::{Cluster, Map, Own, Server, View, of_one_cluster, slot_of};
use crate::ledger::redis::hosts::Spot;
use crate::ledger::redis::link::{Joint, Keeper, Link, Links, Remote, config, spread};
use crate::ledger::redis::refusal::is_refusal;
use crate::ledger::redis::wire::{BUCKETS, Commands};

/// How often a call is sent on.
const SENT_ON_MAX: u32 = 5;
/// After so long a call is sent nowhere any more: with the answer that is waited for last, no call takes a second.
const SENT_WITHIN: Duration = Duration::from_millis(450);
/// Before a call is sent again whose keys are on their way, and how often it is.
const ON_THEIR_WAY_PAUSE: Duration = Duration::from_millis(10);
const ON_THEIR_WAY_MAX: u32 = 20;
/// For a server that nobody knew to be known, or connected to.
const KNOWN_WITHIN: Duration = Duration::from_millis(250);
/// Between two questions who has what, at most; and before the next one where something is asked of all the time: twice
/// as long each time that nothing has changed, and by chance between half and the whole of that.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);
const LOOKED_MS_MIN: u64 = 20;
const LOOKED_MS_MAX: u64 = 640;

/// See the module.
pub(super) enum Routes {
    /// There is one server.
    One(Links),
    /// There are several.
    Cluster(Rc<Fleet>),
}

/// What came of a call, and over which connection.
pub(super) type Called = (u64, Result<Value, RedisError>);

impl Routes {
    /// To these servers, which are connected to from now on. Inside a local runtime only.
    pub(super) fn begin(remote: Remote, commands: &Commands, joint: Joint) -> Self {
        let Some(cluster) = remote.cluster().cloned() else {
            let (keeper, links) = Keeper::new(remote, None, &commands.channel(), joint);
            tokio::task::spawn_local(keeper.run());
            return Self::One(links);
        };
        let fleet = Rc::new(Fleet {
            cluster,
            commands: commands.clone(),
            joint,
            known: RefCell::default(),
            changed: watch::channel(()).0,
            looks: Notify::new(),
        });
        tokio::task::spawn_local(Rc::clone(&fleet).run());
        Self::Cluster(fleet)
    }

    /// The connection for a bucket, another one than that of number `broken`, if it comes in time.
    pub(super) async fn get(&self, bucket: u16, broken: u64, within: Duration) -> Option<Link> {
        match self {
            Self::One(links) => links.get(broken, within).await,
            Self::Cluster(fleet) => fleet.get(bucket, broken, within).await,
        }
    }

    /// Says that a connection does not work any more.
    pub(super) fn is_broken(&self, number: u64) {
        match self {
            Self::One(links) => links.is_broken(number),
            Self::Cluster(fleet) => fleet.is_broken(number),
        }
    }

    /// The connections to all servers, with a bucket of each that has one; absent where there is none to some
    /// server.
    pub(super) async fn all(&self, within: Duration) -> Option<Vec<(Link, Option<u16>)>> {
        match self {
            Self::One(links) => Some(vec![(links.get(0, within).await?, Some(0))]),
            Self::Cluster(fleet) => fleet.all(),
        }
    }

    /// What each of these servers says of the slots that it has, in a cluster.
    pub(super) async fn owns(&self, links: &[(Link, Option<u16>)]) -> Option<Vec<Own>> {
        let Self::Cluster(fleet) = self else {
            return Some(Vec::new());
        };
        let mut owns = Vec::new();
        for (link, _) in links {
            // Where it is does not matter to what it has.
            let nowhere = (String::new(), 0);
            owns.push(fleet.view(link.clone(), nowhere).await?.own()?);
        }
        Some(owns)
    }

    /// Calls whoever has the bucket, over another connection than that of number `broken`; the command is made
    /// for the channel of the server. Absent where there is no connection.
    pub(super) async fn call(
        &self,
        bucket: u16,
        broken: u64,
        within: Duration,
        make: &dyn Fn(&str) -> Cmd,
    ) -> Option<Called> {
        let mut link = self.get(bucket, broken, within).await?;
        let Self::Cluster(fleet) = self else {
            let command = make(&link.channel);
            let answer = send(&mut link, &command).await;
            return Some((link.number, answer));
        };
        let (mut sent_on, mut on_their_way, mut is_asking) = (0, 0, false);
        let mut bound = Bound::new(SENT_WITHIN);
        loop {
            let command = make(&link.channel);
            let answer = match is_asking {
                true => send_asking(&mut link, command).await,
                false => send(&mut link, &command).await,
            };
            let Err(error) = &answer else {
                return Some((link.number, answer));
            };
            let refused = Refused::of(error);
            let is_over = bound.is_over().await;
            let next = match refused {
                Refused::Elsewhere { is_ask } if sent_on < SENT_ON_MAX && !is_over => {
                    sent_on += 1;
                    fleet.joint.count.of(error);
                    is_asking = is_ask;
                    bound.within(fleet.sent_on(bucket, error)).await
                }
                Refused::OnItsWay if on_their_way < ON_THEIR_WAY_MAX && !is_over => {
                    on_their_way += 1;
                    fleet.joint.count.of(error);
                    sleep(ON_THEIR_WAY_PAUSE).await;
                    is_asking = false;
                    bound.within(self.get(bucket, 0, KNOWN_WITHIN)).await
                }
                Refused::Elsewhere { .. } | Refused::OnItsWay | Refused::Otherwise => {
                    if is_refusal(error) {
                        fleet.looks.notify_one();
                    }
                    None
                }
            };
            match next {
                Some(next) => link = next,
                // It did nothing.
                None => return Some((link.number, answer)),
            }
        }
    }
}

/// The time that a call has to find its server. What was sent is never given up for it.
struct Bound(Pin<Box<Sleep>>);

impl Bound {
    fn new(within: Duration) -> Self {
        Self(Box::pin(sleep(within)))
    }

    async fn is_over(&mut self) -> bool {
        timeout(Duration::ZERO, &mut self.0).await.is_ok()
    }

    async fn within<T>(&mut self, what: impl Future<Output = Option<T>>) -> Option<T> {
        tokio::select! {
            found = what => found,
            () = &mut self.0 => None,
        }
    }
}

/// Why a server of a cluster did not do what it was sent.
enum Refused {
    /// Another one has the slot, or is being given it.
    Elsewhere { is_ask: bool },
    /// Some keys are here, others there.
    OnItsWay,
    /// For a reason that has nothing to do with that.
    Otherwise,
}

impl Refused {
    fn of(error: &RedisError) -> Self {
        let kind = error.kind();
        if kind == ErrorKind::Server(ServerErrorKind::TryAgain) {
            return Self::OnItsWay;
        }
        let is_ask = kind == ErrorKind::Server(ServerErrorKind::Ask);
        if is_ask || kind == ErrorKind::Server(ServerErrorKind::Moved) {
            return Self::Elsewhere { is_ask };
        }
        Self::Otherwise
    }
}

/// Sends a command. What the server says in refusing it is an error, which the connection alone does not
/// make of it.
pub(super) async fn send(link: &mut Link, command: &Cmd) -> Result<Value, RedisError> {
    let answer = link.connection.send_packed_command(command).await;
    answer.and_then(Value::extract_error)
}

/// The same of a slot that the server is still being given.
async fn send_asking(link: &mut Link, command: Cmd) -> Result<Value, RedisError> {
    let mut both = Pipeline::with_capacity(2);
    // It holds for the next command of the connection: nothing comes between.
    both.add_command(redis::cmd("ASKING")).add_command(command);
    let answers = link.connection.send_packed_commands(&both, 1, 1).await?;
    let answer = answers.into_iter().next().unwrap_or(Value::Nil);
    answer.extract_error()
}

/// Connections to every primary of a cluster, also to those that have nothing yet: they may be given something
/// at any moment, and what is appended there is told there.
pub(super) struct Fleet {
    cluster: Cluster,
    commands: Commands,
    joint: Joint,
    known: RefCell<Known>,
    changed: watch::Sender<()>,
    /// Has servers asked soon.
    looks: Notify,
}

#[derive(Default)]
struct Known {
    servers: HashMap<String, Kept>,
    /// The server of each bucket.
    homes: HashMap<u16, String>,
    /// What this was made of.
    map: Map,
    is_whole: bool,
}

impl Known {
    /// The servers that have something.
    fn having(&self) -> BTreeSet<String> {
        self.homes.values().cloned().collect()
    }
}

/// One server, and what keeps the connection to it.
struct Kept {
    spot: Spot,
    also: Option<Spot>,
    links: Links,
    keeper: JoinHandle<()>,
}

impl Fleet {
    fn links_of(&self, bucket: u16) -> Option<Links> {
        let known = self.known.borrow();
        let home = known.homes.get(&bucket)?;
        known.servers.get(home).map(|it| it.links.clone())
    }

    /// A server may be named by its address or by what it announces; one that announces nothing, by its port alone.
    fn links_at(&self, spot: &Spot) -> Option<(String, Links)> {
        let known = self.known.borrow();
        let is_nameless = ["", "?"].contains(&&*spot.0);
        let is_there = |it: &Kept| match is_nameless {
            true => it.spot.1 == spot.1,
            false => it.spot == *spot || it.also.as_ref() == Some(spot),
        };
        let mut there = known.servers.iter().filter(|(_, it)| is_there(it));
        let found = there.next().map(|(id, it)| (id.clone(), it.links.clone()));
        // Of several at one port it is not known which is meant.
        found.filter(|_| there.next().is_none())
    }

    async fn get(&self, bucket: u16, broken: u64, within: Duration) -> Option<Link> {
        let mut changed = self.changed.subscribe();
        let there = async {
            loop {
                changed.borrow_and_update();
                let links = self.links_of(bucket);
                let comes = async {
                    match &links {
                        Some(links) => links.other_than(broken).await,
                        None => None,
                    }
                };
                let waits = async {
                    match comes.await {
                        Some(link) => link,
                        // Nobody has it, or the server has gone.
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    link = waits => return Some(link),
                    said = changed.changed() => said.ok()?,
                }
            }
        };
        let found = timeout(within, there).await.ok().flatten();
        if found.is_none() {
            self.looks.notify_one();
        }
        found
    }

    fn is_broken(&self, number: u64) {
        // Whose it is not does not mind.
        let known = self.known.borrow();
        known
            .servers
            .values()
            .for_each(|it| it.links.is_broken(number));
        self.looks.notify_one();
    }

    fn all(&self) -> Option<Vec<(Link, Option<u16>)>> {
        let known = self.known.borrow();
        if !known.is_whole {
            return None;
        }
        let mut ids: Vec<&String> = known.servers.keys().collect();
        ids.sort_unstable();
        let each = ids.into_iter().map(|id| {
            let link = known.servers.get(id)?.links.now()?;
            let bucket = (0..BUCKETS).find(|bucket| known.homes.get(bucket) == Some(id));
            Some((link, bucket))
        });
        each.collect()
    }

    /// Where a server says that a bucket is now, or is going to be.
    async fn sent_on(&self, bucket: u16, error: &RedisError) -> Option<Link> {
        let (place, _slot) = error.redirect_node()?;
        let (host, port) = place.rsplit_once(':')?;
        let spot = (host.to_owned(), port.parse().ok()?);
        let mut changed = self.changed.subscribe();
        let known = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = self.links_at(&spot) {
                    return Some(found);
                }
                self.looks.notify_one();
                changed.changed().await.ok()?;
            }
        };
        let (id, links) = timeout(KNOWN_WITHIN, known).await.ok()??;
        if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
            self.known.borrow_mut().homes.insert(bucket, id);
            self.looks.notify_one();
        }
        links.get(0, KNOWN_WITHIN).await
    }

    /// Asks for ever who has what.
    async fn run(self: Rc<Self>) {
        let mut pause_ms = LOOKED_MS_MIN;
        for count in 0_u64.. {
            let is_changed = self.look().await;
            pause_ms = match is_changed {
                true => LOOKED_MS_MIN,
                false => (pause_ms * 2).min(LOOKED_MS_MAX),
            };
            sleep(spread(pause_ms, self.joint.seed ^ count)).await;
            // Either way it is looked again.
            if timeout(LOOKED_AGAIN, self.looks.notified()).await.is_err() {
                pause_ms = LOOKED_MS_MIN;
            }
        }
    }

    /// Asks all; whether who has what is another matter than before.
    async fn look(self: &Rc<Self>) -> bool {
        let links: Vec<(Link, Spot)> = {
            let known = self.known.borrow();
            let each = known.servers.values();
            each.filter_map(|it| Some((it.links.now()?, it.spot.clone())))
                .collect()
        };
        let asks = |(link, spot): (Link, Spot)| {
            let fleet = Rc::clone(self);
            tokio::task::spawn_local(async move { fleet.view(link, spot).await })
        };
        let asking: Vec<_> = links.into_iter().map(asks).collect();
        let mut views = Vec::new();
        for one in asking {
            views.extend(one.await.ok().flatten());
        }
        let having = self.known.borrow().having();
        // Where nobody answers of those that are known, whoever is there now may be all there is.
        let is_anew = views.is_empty();
        let count = views.len();
        views = of_one_cluster(views, &having);
        if views.len() < count {
            tracing::warn!("a server belongs to another cluster, or does not know this one yet");
        }
        if views.is_empty() {
            views.extend(self.of_seeds().await);
            if !is_anew {
                views = of_one_cluster(views, &having);
            }
        }
        if views.is_empty() {
            return false;
        }
        let map = Map::of(&views);
        let is_changed = self.known.borrow().map != map;
        self.take(map);
        is_changed
    }

    async fn view(&self, mut link: Link, spot: Spot) -> Option<View> {
        let mut asks = redis::cmd("CLUSTER");
        let answer = send(&mut link, asks.arg("NODES")).await;
        let told = answer.and_then(|it| Ok(redis::from_redis_value::<String>(it)?));
        let view = told.and_then(|told| self.cluster.view(&told, &spot));
        view.inspect_err(|error| {
            tracing::warn!(%error, "a server does not say who has what");
            if !is_refusal(error) {
                self.is_broken(link.number);
            }
        })
        .ok()
    }

    /// What the first server of the address says that can be reached.
    async fn of_seeds(&self) -> Option<View> {
        for spot in &self.cluster.seeds {
            let asks = async {
                let mut connection = Remote::one(&self.cluster.access, spot)?
                    .connect(&config())
                    .await?;
                let mut asks = redis::cmd("CLUSTER");
                let told: String = asks.arg("NODES").query_async(&mut connection).await?;
                self.cluster.view(&told, spot)
            };
            match asks.await {
                Ok(view) => return Some(view),
                Err(error) => {
                    self.joint.count.of(&error);
                    tracing::warn!(%error, "no connection to a server of the cluster");
                }
            }
        }
        None
    }

    /// Goes by this map from now on.
    fn take(&self, map: Map) {
        let mut known = self.known.borrow_mut();
        let is_in = |id: &String, kept: &Kept| {
            let mut all = map.primaries.iter();
            all.any(|it| it.id == *id && it.spot == kept.spot)
        };
        for server in &map.primaries {
            if let Some(kept) = known.servers.get_mut(&server.id) {
                kept.also.clone_from(&server.also);
            }
        }
        known.servers.retain(|id, kept| {
            let stays = is_in(id, kept);
            if !stays {
                kept.keeper.abort();
                // What it told last may not have come, and nobody else tells it again.
                self.joint.has_changed();
            }
            stays
        });
        for server in &map.primaries {
            if !known.servers.contains_key(&server.id)
                && let Some(kept) = self.keeps(server)
            {
                tracing::info!(server = %server.id, place = ?server.spot, "a server of the cluster is connected to");
                known.servers.insert(server.id.clone(), kept);
            }
        }
        let home = |bucket| {
            let owner = map.owner_of(slot_of(&format!("{bucket}")))?;
            Some((bucket, map.primaries.get(owner)?.id.clone()))
        };
        known.homes = (0..BUCKETS).filter_map(home).collect();
        known.is_whole = map.missing().is_none();
        known.map = map;
        drop(known);
        self.changed.send_replace(());
    }

    fn keeps(&self, server: &Server) -> Option<Kept> {
        let remote = Remote::one(&self.cluster.access, &server.spot);
        let why = |error: &RedisError| tracing::error!(%error, "a server has no address");
        let remote = remote.inspect_err(why).ok()?;
        let channel = self.commands.channel_at(&server.id);
        let joint = self.joint.clone();
        let (keeper, links) = Keeper::new(remote, Some(server.id.clone()), &channel, joint);
        Some(Kept {
            spot: server.spot.clone(),
            also: server.also.clone(),
            links,
            keeper: tokio::task::spawn_local(keeper.run()),
        })
    }
}

//! All servers of a ledger at once, for what people order: the only one, or every primary of a cluster.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use crate::ledger::redis::cluster::{Cluster, Map, View, is_all, is_still, slot_of};
use crate::ledger::redis::hosts::Spot;
use crate::ledger::redis::link::{self, Remote};
use crate::ledger::redis::setup::{InCluster, Unfit, judge, load, word};
use crate::ledger::redis::wire::{BUCKETS, Commands, LEDGER, bytes, record_key, survey};

/// One server.
pub(super) struct One {
    /// To it.
    pub connection: MultiplexedConnection,
    /// Its buckets.
    pub buckets: Vec<u16>,
    /// What it is called and where it is, in a cluster.
    named: Option<(String, Spot)>,
    has_name: bool,
}

impl One {
    /// The records that it has.
    pub(super) fn records(&self) -> Vec<String> {
        self.buckets.iter().copied().map(record_key).collect()
    }

    /// The same, and the ledger's name where it has that.
    pub(super) fn keys(&self) -> Vec<String> {
        let name = self.has_name.then(|| LEDGER.to_owned());
        name.into_iter().chain(self.records()).collect()
    }

    /// Where its nodes hear what is appended.
    pub(super) fn channel(&self, commands: &Commands) -> String {
        match &self.named {
            Some((id, _)) => commands.channel_at(id),
            None => commands.channel(),
        }
    }

    /// What is wrong, with where that is.
    pub(super) fn at(&self, why: impl Into<Unfit>) -> Unfit {
        match &self.named {
            Some((_, spot)) => at(spot, why),
            None => why.into(),
        }
    }

    /// The only word of an answer.
    pub(super) async fn word(&mut self, command: &Cmd) -> Result<Option<Vec<u8>>, Unfit> {
        let said = word(&mut self.connection, command).await;
        said.map_err(|error| self.at(error))
    }

    /// How many of its keys are missing, and which ledgers the others name.
    pub(super) async fn survey(&mut self) -> Result<(bool, Vec<Vec<u8>>), Unfit> {
        let asked: Result<Value, _> = survey(&self.keys()).query_async(&mut self.connection).await;
        let Value::Array(words) = asked.map_err(|error| self.at(error))? else {
            return Err(Unfit::Strange);
        };
        let words: Option<Vec<Vec<u8>>> = words.into_iter().map(bytes).collect();
        let mut words = words.ok_or(Unfit::Strange)?.into_iter();
        let is_whole = words.next().ok_or(Unfit::Strange)? == b"0";
        Ok((is_whole, words.collect()))
    }
}

fn at((host, port): &Spot, why: impl Into<Unfit>) -> Unfit {
    InCluster::At(format!("{host}:{port}"), Box::new(why.into())).into()
}

/// See the module.
pub(super) struct Servers {
    /// Each one.
    pub each: Vec<One>,
    /// Whose each bucket is.
    pub homes: Vec<usize>,
    /// Whether they are a cluster.
    pub is_cluster: bool,
    /// What else their cluster knows, by name and place: replicas, and who is gone.
    pub others: Vec<(String, Spot)>,
}

impl Servers {
    /// Connects to all of them, none of which loses keys by itself.
    pub(super) async fn reach(remote: &Remote) -> Result<Self, Unfit> {
        if let Some(cluster) = remote.cluster() {
            return Self::of_cluster(cluster).await;
        }
        let mut connection = remote.connect(&link::config()).await?;
        let told: String = redis::cmd("INFO").query_async(&mut connection).await?;
        judge(&told, false)?;
        let one = One {
            connection,
            buckets: (0..BUCKETS).collect(),
            named: None,
            has_name: true,
        };
        Ok(Self {
            each: vec![one],
            homes: vec![0; BUCKETS.into()],
            is_cluster: false,
            others: Vec::new(),
        })
    }

    async fn of_cluster(cluster: &Cluster) -> Result<Self, Unfit> {
        let first = first_view(cluster).await?;
        let map = Map::of(&[first]);
        let (mut connections, mut views) = (Vec::new(), Vec::new());
        for server in &map.primaries {
            let (connection, view) = ask(cluster, &server.spot).await?;
            connections.push(connection);
            views.push(view);
        }
        for (server, view) in map.primaries.iter().zip(&views) {
            let all = map.primaries.iter().map(|it| &*it.id);
            if view.id() != server.id || view.knows(all) < map.primaries.len() {
                return Err(at(&server.spot, InCluster::Stranger));
            }
        }
        let owns: Option<Vec<_>> = views.iter().map(View::own).collect();
        let owns = owns.ok_or(Unfit::Strange)?;
        if !is_still(&owns) {
            return Err(InCluster::OnTheirWay.into());
        }
        let agreed = Map::of(&views);
        if let Some(slot) = agreed.missing() {
            return Err(InCluster::Uncovered(slot).into());
        }
        let ids = |map: &Map| {
            map.primaries
                .iter()
                .map(|it| it.id.clone())
                .collect::<Vec<_>>()
        };
        if !is_all(&owns) || ids(&agreed) != ids(&map) {
            // They have not told each other yet what was moved last.
            return Err(InCluster::OnTheirWay.into());
        }
        let home = |tag: &str| agreed.owner_of(slot_of(tag)).ok_or(Unfit::Strange);
        let homes: Result<Vec<usize>, Unfit> = (0..BUCKETS)
            .map(|bucket| home(&bucket.to_string()))
            .collect();
        let homes = homes?;
        let name_at = home(LEDGER)?;
        let one = |(at, connection): (usize, MultiplexedConnection)| {
            let server = agreed.primaries.get(at)?;
            let own = homes
                .iter()
                .zip(0..BUCKETS)
                .filter(|(home, _)| **home == at);
            Some(One {
                connection,
                buckets: own.map(|(_, bucket)| bucket).collect(),
                named: Some((server.id.clone(), server.spot.clone())),
                has_name: name_at == at,
            })
        };
        let each: Option<Vec<One>> = connections.into_iter().enumerate().map(one).collect();
        Ok(Self {
            each: each.ok_or(Unfit::Strange)?,
            homes,
            is_cluster: true,
            others: agreed
                .others
                .into_iter()
                .map(|it| (it.id, it.spot))
                .collect(),
        })
    }

    /// Has each of them know the functions.
    pub(super) async fn load(&mut self) -> Result<(), Unfit> {
        for one in &mut self.each {
            let loaded = load(&mut one.connection).await;
            loaded.map_err(|why| one.at(why))?;
        }
        Ok(())
    }

    /// Whose place a bucket has.
    pub(super) fn home_of(&self, bucket: u16) -> Result<usize, Unfit> {
        let home = self.homes.get(usize::from(bucket)).copied();
        home.ok_or(Unfit::Strange)
    }

    /// The server of a bucket.
    pub(super) fn of(&mut self, bucket: u16) -> Result<&mut One, Unfit> {
        let home = self.home_of(bucket)?;
        self.each.get_mut(home).ok_or(Unfit::Strange)
    }

    /// The server that has the ledger's name.
    pub(super) fn with_name(&mut self) -> Result<&mut One, Unfit> {
        let mut named = self.each.iter_mut().filter(|one| one.has_name);
        named.next().ok_or(Unfit::Strange)
    }
}

/// What the first server of the address says that can be reached.
async fn first_view(cluster: &Cluster) -> Result<View, Unfit> {
    let mut failed = Unfit::Strange;
    for spot in &cluster.seeds {
        match ask(cluster, spot).await {
            Ok((_, view)) => return Ok(view),
            // Another one may know who took its place.
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

async fn ask(cluster: &Cluster, spot: &Spot) -> Result<(MultiplexedConnection, View), Unfit> {
    let asks = async {
        let remote = Remote::one(&cluster.access, spot)?;
        let mut connection = remote.connect(&link::config()).await?;
        let told: String = redis::cmd("INFO").query_async(&mut connection).await?;
        judge(&told, true)?;
        let mut asks = redis::cmd("CLUSTER");
        let told: String = asks.arg("NODES").query_async(&mut connection).await?;
        Ok((connection, cluster.view(&told, spot)?))
    };
    asks.await.map_err(|why: Unfit| at(spot, why))
}

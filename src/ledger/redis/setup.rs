//! Founds a ledger in a Redis, and looks whether the one that is there may be worked with.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use crate::ledger::redis::arming::each_for_term;
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::moving::Differs;
use crate::ledger::redis::servers::Servers;
use crate::ledger::redis::wire::{
    Commands, Generation, LEDGER, Term, bytes, library, library_name, standing,
};

/// How the library begins what it says of a certificate.
const NOT_ACCEPTED: &str = "invalid peer certificate: ";
/// What a ledger's name ends with until all servers of a cluster have written it down.
const FOUNDING: &str = ":founding";

/// Why a Redis cannot be worked with.
#[derive(Debug)]
pub enum Unfit {
    /// It does not answer, or with an error.
    Redis(RedisError),
    /// It is older than 7.
    TooOld(String),
    /// It throws keys away when its memory is full.
    Evicts(String),
    /// It is a server of a cluster, and was not named as one.
    Cluster,
    /// It is none, and was named as one.
    NoCluster,
    /// It is one, and cannot be worked with as it is.
    InCluster(InCluster),
    /// It is a replica.
    Replica,
    /// Nobody has founded a ledger in it, or it has lost everything.
    NoLedger,
    /// A ledger is there already, or what is left of one.
    Taken,
    /// It was started anew, or another server took its place, since the ledger was armed.
    Unarmed,
    /// Records of the ledger are missing.
    Lost,
    /// It is armed, so that nothing may be put into it.
    Armed,
    /// The copy of the log in this file cannot be read.
    Copy(PathBuf, io::Error),
    /// It holds another entry than the copy at some place, or lacks what stands before the copy.
    Contradicts,
    /// The server at this place may be armed still, and cannot be told that it is no more.
    NotTold(String, Box<Self>),
    /// Arming began, and did not come to its end.
    HalfArmed(Box<Self>),
    /// Somebody else is arming it at this moment.
    Another,
    /// So many nodes follow it.
    Followed(u64),
    /// What it holds of this owner is not what was there before.
    Differs(Differs),
    /// What is on this machine is in the way.
    Local(String),
    /// It answers what no version of ours says.
    Strange,
}

impl From<RedisError> for Unfit {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(error) => told(error, f),
            Self::TooOld(version) => write!(f, "it is version {version}; functions came with 7.0"),
            Self::Evicts(policy) => write!(
                f,
                "its maxmemory-policy is `{policy}`, which throws limits away when memory is short; \
                 set `noeviction`"
            ),
            Self::Cluster => f.write_str(
                "it is a server of a cluster: name it as one, redis+cluster://HOST:PORT[,HOST:PORT] or \
                 rediss+cluster://",
            ),
            Self::NoCluster => f.write_str(
                "it is no server of a cluster: name it alone, redis://HOST:PORT or rediss://HOST:PORT",
            ),
            Self::InCluster(why) => why.fmt(f),
            Self::Replica => f.write_str("it is a replica; name the primary"),
            Self::NoLedger => f.write_str(
                "it holds no ledger. If it is new, `countersign ledger found` begins one; if it held \
                 one, it has lost everything, and beginning anew lets every limit be spent again",
            ),
            Self::Taken => f.write_str("a ledger is in it already, or what is left of one"),
            Self::Unarmed => f.write_str(
                "it was started anew or replaced since it was last in use, so that it may have \
                 forgotten approvals. `countersign ledger repair` gives it back what nodes have kept, \
                 and `countersign ledger arm` says what to make sure of",
            ),
            Self::Lost => f.write_str("records of the ledger are missing: it has lost data"),
            Self::Armed => f.write_str("it is armed: what may have lost nothing is not repaired"),
            Self::Copy(path, error) => write!(
                f,
                "the copy of the log in {} cannot be read: {error}",
                path.display()
            ),
            Self::Contradicts => f.write_str(
                "it and the copy do not fit together: something was appended after a loss, or the copy \
                 does not begin where it ends. Nothing was taken away",
            ),
            Self::NotTold(place, why) => write!(
                f,
                "{place} may be armed still, and cannot be told that this is over: {why}. Nothing was changed. \
                 `countersign ledger arm` takes `--without {place}` where it is stopped for good, or was \
                 started anew"
            ),
            Self::HalfArmed(why) => write!(
                f,
                "{why}. Nothing is approved by it before `countersign ledger arm` has come to its end"
            ),
            Self::Another => f.write_str("somebody else is arming it at this moment"),
            Self::Followed(count) => write!(
                f,
                "{count} nodes are connected to it: stop them first, and wait for half a minute"
            ),
            Self::Differs(Differs(owner)) => write!(
                f,
                "{owner} has come to something else in it than in the journal, which is still in use"
            ),
            Self::Local(why) => f.write_str(why),
            Self::Strange => f.write_str("it answers what no version of this program says"),
        }
    }
}

fn told(error: &RedisError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let told = error.to_string();
    match told.split_once(NOT_ACCEPTED) {
        Some((_, why)) => write!(
            f,
            "its certificate is not accepted ({why}): it has to be for the name that --ledger has, and to come \
             from a public root or from the one that --ledger-ca names"
        ),
        None => f.write_str(&told),
    }
}

impl std::error::Error for Unfit {}

/// Why a cluster cannot be worked with as it is.
#[derive(Debug)]
pub enum InCluster {
    /// Slots are being moved, or its servers do not agree on who has which.
    OnTheirWay,
    /// It does not know the servers that are said to be of its cluster, or is another one.
    Stranger,
    /// No server has this slot.
    Uncovered(u16),
    /// Not every server has written down that the ledger was founded.
    HalfFounded,
    /// A server has this log and not its slot.
    Astray(String),
    /// Of the server that is here.
    At(String, Box<Unfit>),
}

impl From<InCluster> for Unfit {
    fn from(why: InCluster) -> Self {
        Self::InCluster(why)
    }
}

impl fmt::Display for InCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTheirWay => f.write_str(
                "slots are on their way from one server of the cluster to another; say it again when they \
                 have come there",
            ),
            Self::Stranger => f.write_str(
                "it does not know all primaries that another server knows: it belongs to another cluster, or \
                 has not heard of them yet",
            ),
            Self::Uncovered(slot) => write!(f, "no server of the cluster has slot {slot}"),
            Self::HalfFounded => f.write_str(
                "a ledger was begun in it and not on every server of the cluster: `countersign ledger found` \
                 goes on with it",
            ),
            Self::Astray(log) => write!(
                f,
                "it has the log {log} and not its slot: the move of the slot was given up half-way. Move its \
                 keys to the server that has the slot, and say it again"
            ),
            Self::At(place, why) => write!(f, "{place}: {why}"),
        }
    }
}

/// Begins a ledger in a Redis that holds none, and arms it. Its name: where one was begun in a cluster and not
/// on every server, that goes on.
///
/// # Errors
/// [`Unfit`] where it holds one, or may not be used.
pub async fn found(
    remote: &Remote,
    generation: &Generation,
    term: Term,
) -> Result<Generation, Unfit> {
    let mut servers = Servers::reach(remote).await?;
    servers.load().await?;
    if !servers.is_cluster {
        let commands = Commands::new(generation);
        for one in &mut servers.each {
            let keys = one.keys();
            let said = one.word(&commands.arms("found", term, &keys)).await?;
            founded(said.as_deref())?;
        }
        return Ok(generation.clone());
    }
    let generation = begin(&mut servers, generation).await?;
    let commands = Commands::new(&generation);
    for one in &mut servers.each {
        // The name stands already, and says that it is not done. Nothing is armed for a term that is said twice:
        // two servers that were in each other's place could both be.
        let said = one.word(&commands.restore(&one.records())).await?;
        if said.as_deref() != Some(b"restored") {
            return Err(one.at(Unfit::Taken));
        }
    }
    let name = servers.with_name()?;
    let mut set = redis::cmd("SET");
    set.arg(LEDGER).arg(generation.to_string());
    let _ok: Value = set.query_async(&mut name.connection).await?;
    each_for_term(&mut servers, &commands, term).await?;
    Ok(generation)
}

fn founded(said: Option<&[u8]>) -> Result<(), Unfit> {
    match said {
        Some(b"armed") => Ok(()),
        Some(b"exists") => Err(Unfit::Taken),
        _ => Err(Unfit::Strange),
    }
}

/// Writes down in a cluster that holds no ledger that one is being founded, or reads which one is. No node
/// works with it until that is done.
async fn begin(servers: &mut Servers, generation: &Generation) -> Result<Generation, Unfit> {
    let name = servers.with_name()?;
    let mut get = redis::cmd("GET");
    let stored: Option<String> = get.arg(LEDGER).query_async(&mut name.connection).await?;
    if let Some(stored) = stored {
        return founding(&stored).ok_or(Unfit::Taken);
    }
    for one in &mut servers.each {
        let (_, ledgers) = one.survey().await?;
        if !ledgers.is_empty() {
            return Err(one.at(Unfit::Taken));
        }
    }
    let name = servers.with_name()?;
    let mut set = redis::cmd("SET");
    set.arg(LEDGER)
        .arg(format!("{generation}{FOUNDING}"))
        .arg("NX");
    let set: Value = set.query_async(&mut name.connection).await?;
    if matches!(set, Value::Okay) {
        Ok(generation.clone())
    } else {
        // Somebody else was faster.
        Err(Unfit::Taken)
    }
}

fn founding(stored: &str) -> Option<Generation> {
    Generation::parse(stored.strip_suffix(FOUNDING)?)
}

/// The ledger of a Redis, which is armed.
///
/// # Errors
/// [`Unfit`] where there is none to work with.
pub async fn examine(remote: &Remote) -> Result<Generation, Unfit> {
    let mut servers = Servers::reach(remote).await?;
    let generation = generation(&mut servers).await?;
    servers.load().await?;
    let commands = Commands::new(&generation);
    for one in &mut servers.each {
        // A server that has nothing approves nothing.
        let Some(&bucket) = one.buckets.first() else {
            continue;
        };
        // As nodes ask, so that the record is compared too.
        match one.word(&commands.look(bucket)).await?.as_deref() {
            Some(b"newer") => {}
            Some(b"unarmed") => return Err(one.at(Unfit::Unarmed)),
            Some(b"lost") => return Err(one.at(Unfit::Lost)),
            _ => return Err(one.at(Unfit::Strange)),
        }
    }
    Ok(generation)
}

pub(super) async fn generation(servers: &mut Servers) -> Result<Generation, Unfit> {
    let name = servers.with_name()?;
    let mut get = redis::cmd("GET");
    let stored = get.arg(LEDGER).query_async(&mut name.connection).await;
    let stored: Option<String> = stored.map_err(|error| name.at(error))?;
    let stored = stored.ok_or_else(|| name.at(Unfit::NoLedger))?;
    if founding(&stored).is_some() {
        return Err(InCluster::HalfFounded.into());
    }
    Generation::parse(&stored).ok_or(Unfit::Strange)
}

/// Judges a Redis by what its INFO says.
pub(super) fn judge(told: &str, is_cluster: bool) -> Result<(), Unfit> {
    let said = |name: &str| {
        let mut lines = told.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value.trim())
    };
    let version = said("redis_version");
    let major = version
        .split('.')
        .next()
        .and_then(|it| it.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(Unfit::TooOld(version.to_owned()));
    }
    match (said("cluster_enabled"), is_cluster) {
        ("0", false) | ("1", true) => {}
        (_, false) => return Err(Unfit::Cluster),
        (_, true) => return Err(Unfit::NoCluster),
    }
    // In a cluster a replica knows where primaries are; whoever is to be one is asked again.
    if said("role") != "master" && !is_cluster {
        return Err(Unfit::Replica);
    }
    match said("maxmemory_policy") {
        "noeviction" => Ok(()),
        policy => Err(Unfit::Evicts(policy.to_owned())),
    }
}

/// Loads the functions unless they are there: loaded again they would have forgotten who armed them.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> Result<(), Unfit> {
    let mut list = redis::cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg(library_name());
    let found: Value = list.query_async(connection).await?;
    if matches!(&found, Value::Array(libraries) if libraries.is_empty()) {
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(library());
        let loaded: Result<Value, RedisError> = load.query_async(connection).await;
        // Another node may have loaded them meanwhile.
        let is_there = |error: &RedisError| {
            let told = error.to_string();
            told.contains("Library '") && told.contains("already exists")
        };
        match loaded {
            Err(error) if !is_there(&error) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether the functions of another version are armed, whose nodes may approve.
pub(super) async fn is_armed_for_others(
    connection: &mut MultiplexedConnection,
) -> Result<bool, Unfit> {
    for name in libraries(connection).await? {
        // Ours say so when they are to restore.
        if name != library_name()
            && word(connection, &standing(&name)).await?.as_deref() != Some(b"unarmed")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Our functions of any release, by the names of their libraries.
pub(super) async fn libraries(
    connection: &mut MultiplexedConnection,
) -> Result<Vec<String>, Unfit> {
    let mut list = redis::cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg("countersign_*");
    let found: Value = list.query_async(connection).await?;
    let Value::Array(libraries) = found else {
        return Err(Unfit::Strange);
    };
    let name = |library: Value| {
        let said: HashMap<String, Value> = redis::from_redis_value(library).ok()?;
        let name = said.get("library_name").cloned().and_then(bytes)?;
        String::from_utf8(name).ok()
    };
    let names: Option<Vec<String>> = libraries.into_iter().map(name).collect();
    names.ok_or(Unfit::Strange)
}

/// The only word of an answer.
pub(super) async fn word(
    connection: &mut MultiplexedConnection,
    command: &redis::Cmd,
) -> Result<Option<Vec<u8>>, RedisError> {
    let answer: Value = command.query_async(connection).await?;
    let Value::Array(items) = answer else {
        return Ok(None);
    };
    Ok(items.into_iter().next().and_then(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\n\
                        maxmemory_policy:noeviction\r\ncluster_enabled:0\r\n";

    #[test]
    fn e12_a_redis_that_may_lose_keys_is_refused() {
        assert!(judge(GOOD, false).is_ok());
        let unlike = |from, to| judge(&GOOD.replace(from, to), false).unwrap_err();
        let evicts = unlike("noeviction", "allkeys-lru");
        assert!(matches!(&evicts, Unfit::Evicts(it) if it == "allkeys-lru"));
        assert!(evicts.to_string().contains("set `noeviction`"));
        assert!(matches!(unlike("7.0.15", "6.2.7"), Unfit::TooOld(_)));
        assert!(matches!(
            unlike("role:master", "role:slave"),
            Unfit::Replica
        ));
        assert!(matches!(unlike("enabled:0", "enabled:1"), Unfit::Cluster));
        assert!(matches!(judge("", false).unwrap_err(), Unfit::TooOld(_)));
        assert!(matches!(judge(GOOD, true).unwrap_err(), Unfit::NoCluster));
        assert!(judge(&GOOD.replace("enabled:0", "enabled:1"), true).is_ok());
    }
}

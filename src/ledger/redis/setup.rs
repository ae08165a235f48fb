//! Founds a ledger in a Redis, and looks whether the one that is there may be worked with.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use crate::ledger::redis::link::{self, Remote};
use crate::ledger::redis::moving::Differs;
use crate::ledger::redis::wire::{
    Commands, Generation, LEDGER, NOBODY, Term, bytes, library, library_name,
};
use crate::ledger::shared::EntryId;

/// How the library begins what it says of a certificate.
const NOT_ACCEPTED: &str = "invalid peer certificate: ";

/// Why a Redis cannot be worked with.
#[derive(Debug)]
pub enum Unfit {
    /// It does not answer, or with an error.
    Redis(RedisError),
    /// It is older than 7.
    TooOld(String),
    /// It throws keys away when its memory is full.
    Evicts(String),
    /// It is a node of a cluster.
    Cluster,
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
            Self::Redis(error) => {
                let told = error.to_string();
                match told.split_once(NOT_ACCEPTED) {
                    Some((_, why)) => write!(
                        f,
                        "its certificate is not accepted ({why}): it has to be for the name that --ledger \
                         has, and to come from a public root or from the one that --ledger-ca names"
                    ),
                    None => f.write_str(&told),
                }
            }
            Self::TooOld(version) => write!(f, "it is version {version}; functions came with 7.0"),
            Self::Evicts(policy) => write!(
                f,
                "its maxmemory-policy is `{policy}`, which throws limits away when memory is short; \
                 set `noeviction`"
            ),
            Self::Cluster => f.write_str("it is a node of a cluster, which this version cannot use"),
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

impl std::error::Error for Unfit {}

/// Begins a ledger in a Redis that holds none, and arms it.
///
/// # Errors
/// [`Unfit`] where it holds one, or may not be used.
pub async fn found(remote: &Remote, generation: &Generation, term: Term) -> Result<(), Unfit> {
    let mut connection = fit(remote).await?;
    load(&mut connection).await?;
    let commands = Commands::new(generation);
    match word(&mut connection, &commands.arms("found", term))
        .await?
        .as_deref()
    {
        Some(b"armed") => Ok(()),
        Some(b"exists") => Err(Unfit::Taken),
        _ => Err(Unfit::Strange),
    }
}

/// Arms the ledger of a Redis that was started anew. Whoever does this knows that nothing was lost.
///
/// # Errors
/// [`Unfit`] where that is certainly not so.
pub async fn arm(remote: &Remote, term: Term) -> Result<Generation, Unfit> {
    let mut connection = fit(remote).await?;
    let generation = generation(&mut connection).await?;
    load(&mut connection).await?;
    let commands = Commands::new(&generation);
    match word(&mut connection, &commands.arms("arm", term))
        .await?
        .as_deref()
    {
        Some(b"armed") => Ok(generation),
        Some(b"lost") => Err(Unfit::Lost),
        _ => Err(Unfit::Strange),
    }
}

/// The ledger of a Redis, which is armed.
///
/// # Errors
/// [`Unfit`] where there is none to work with.
pub async fn examine(remote: &Remote) -> Result<Generation, Unfit> {
    let mut connection = fit(remote).await?;
    let generation = generation(&mut connection).await?;
    load(&mut connection).await?;
    // As nodes ask, so that the record is compared too.
    let looks = Commands::new(&generation).read(NOBODY, (0, EntryId::NONE));
    match word(&mut connection, &looks).await?.as_deref() {
        Some(b"newer") => Ok(generation),
        Some(b"unarmed") => Err(Unfit::Unarmed),
        Some(b"lost") => Err(Unfit::Lost),
        _ => Err(Unfit::Strange),
    }
}

async fn generation(connection: &mut MultiplexedConnection) -> Result<Generation, Unfit> {
    let stored: Option<String> = redis::cmd("GET")
        .arg(LEDGER)
        .query_async(connection)
        .await?;
    let stored = stored.ok_or(Unfit::NoLedger)?;
    Generation::parse(&stored).ok_or(Unfit::Strange)
}

/// A connection to a Redis that does not lose keys by itself.
pub(super) async fn fit(remote: &Remote) -> Result<MultiplexedConnection, Unfit> {
    let config = link::config();
    let mut connection = remote.connect(&config).await?;
    let told: String = redis::cmd("INFO").query_async(&mut connection).await?;
    judge(&told)?;
    Ok(connection)
}

/// Judges a Redis by what its INFO says.
fn judge(told: &str) -> Result<(), Unfit> {
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
    if said("cluster_enabled") != "0" {
        return Err(Unfit::Cluster);
    }
    if said("role") != "master" {
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
        match loaded {
            Err(error) if !error.to_string().contains("already exists") => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether the functions of another version are armed, whose nodes may approve.
pub(super) async fn is_armed_for_others(
    connection: &mut MultiplexedConnection,
) -> Result<bool, Unfit> {
    let mut list = redis::cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg("countersign_*");
    let found: Value = list.query_async(connection).await?;
    let Value::Array(libraries) = found else {
        return Err(Unfit::Strange);
    };
    for library in libraries {
        let said: HashMap<String, Value> =
            redis::from_redis_value(library).map_err(|_other| Unfit::Strange)?;
        let name = said.get("library_name").cloned().and_then(bytes);
        let name = name.and_then(|it| String::from_utf8(it).ok());
        let name = name.ok_or(Unfit::Strange)?;
        // Ours say so when they are to restore.
        if name == library_name() {
            continue;
        }
        let mut standing = redis::cmd("FCALL_RO");
        standing.arg(format!("{name}_standing")).arg(0);
        if word(connection, &standing).await?.as_deref() != Some(b"unarmed") {
            return Ok(true);
        }
    }
    Ok(false)
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
        assert!(judge(GOOD).is_ok());
        let unlike = |from, to| judge(&GOOD.replace(from, to)).unwrap_err();
        let evicts = unlike("noeviction", "allkeys-lru");
        assert!(matches!(&evicts, Unfit::Evicts(it) if it == "allkeys-lru"));
        assert!(evicts.to_string().contains("set `noeviction`"));
        assert!(matches!(unlike("7.0.15", "6.2.7"), Unfit::TooOld(_)));
        assert!(matches!(
            unlike("role:master", "role:slave"),
            Unfit::Replica
        ));
        assert!(matches!(unlike("enabled:0", "enabled:1"), Unfit::Cluster));
        assert!(matches!(judge("").unwrap_err(), Unfit::TooOld(_)));
    }
}

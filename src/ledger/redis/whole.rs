//! All logs of a ledger at once, while no node uses them: a ledger that moves away is read so, and one that has
//! moved here is looked at.

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::ledger::redis::arming::{Named, close_others};
use crate::ledger::redis::copy::Kept;
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::servers::Servers;
use crate::ledger::redis::setup::{InCluster, Unfit, examine};
use crate::ledger::redis::wire::{self, Commands, Generation, bucket_of, bytes, log_key, owner_of};

/// Keys of one step of a walk, and entries of one answer.
const WALK_LEN: usize = 1_000;
const PAGE_LEN: u64 = 256;

/// Lets nothing more be approved by this Redis, which is armed and which no node follows. Its ledger.
///
/// # Errors
/// [`Unfit`] where that is not so.
pub async fn close(remote: &Remote, named: &Named) -> Result<Generation, Unfit> {
    let generation = examine(remote).await?;
    let mut servers = Servers::reach(remote).await?;
    let commands = Commands::new(&generation);
    for one in &mut servers.each {
        let mut asks = redis::cmd("PUBSUB");
        asks.arg("NUMSUB").arg(one.channel(&commands));
        let followers: (String, u64) = asks.query_async(&mut one.connection).await?;
        if followers.1 > 0 {
            return Err(Unfit::Followed(followers.1));
        }
    }
    close_others(remote, &servers, named).await?;
    for one in &mut servers.each {
        match one.word(&wire::close()).await?.as_deref() {
            Some(b"closed") => {}
            _ => return Err(one.at(Unfit::Strange)),
        }
    }
    Ok(generation)
}

/// Reads every log to its end, each from its first entry on.
///
/// # Errors
/// [`Unfit`] where it cannot be read, or whoever takes an entry refuses it.
pub async fn each(
    remote: &Remote,
    mut take: impl FnMut(Kept) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    let mut servers = Servers::reach(remote).await?;
    let mut owners = Vec::new();
    for (at, one) in servers.each.iter_mut().enumerate() {
        let mut cursor = b"0".to_vec();
        loop {
            let (next, keys) = walk(&mut one.connection, &cursor).await?;
            for owner in keys.iter().filter_map(|key| owner_of(key)) {
                if servers.homes.get(usize::from(bucket_of(owner))) != Some(&at) {
                    return Err(one.at(InCluster::Astray(log_key(owner))));
                }
                owners.push(owner);
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    // A walk may come by a key more than once.
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        let one = servers.of(bucket_of(owner))?;
        let mut number = 0;
        loop {
            let mut range = redis::cmd("LRANGE");
            range.arg(log_key(owner)).arg(number);
            range.arg(number + PAGE_LEN - 1);
            let page: Vec<Value> = range.query_async(&mut one.connection).await?;
            let len = page.len() as u64;
            for entry in page {
                let entry = bytes(entry).ok_or(Unfit::Strange)?;
                take(Kept {
                    owner,
                    number,
                    entry,
                })?;
                number += 1;
            }
            if len < PAGE_LEN {
                break;
            }
        }
        if number == 0 {
            return Err(InCluster::OnTheirWay.into());
        }
    }
    // What was moved between two walks may be in neither.
    if Servers::reach(remote).await?.homes == servers.homes {
        Ok(())
    } else {
        Err(InCluster::OnTheirWay.into())
    }
}

async fn walk(
    connection: &mut MultiplexedConnection,
    cursor: &[u8],
) -> Result<(Vec<u8>, Vec<Vec<u8>>), Unfit> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg("countersign:{*}:*");
    scan.arg("COUNT").arg(WALK_LEN);
    Ok(scan.query_async(connection).await?)
}

//! All logs of a ledger at once, while no node uses them: a ledger that moves away is read so, and one that has
//! moved here is looked at.

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::ledger::redis::copy::Kept;
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::setup::{Unfit, examine, fit, word};
use crate::ledger::redis::wire::{Commands, Generation, NOBODY, bytes, log_key, owner_of};
use crate::ledger::shared::EntryId;

/// Keys of one step of a walk, and entries of one answer.
const WALK_LEN: usize = 1_000;
const PAGE_LEN: u64 = 256;

/// Lets nothing more be approved by this Redis, which is armed and which no node follows. Its ledger.
///
/// # Errors
/// [`Unfit`] where that is not so.
pub async fn close(remote: &Remote) -> Result<Generation, Unfit> {
    let generation = examine(remote).await?;
    let mut connection = fit(remote).await?;
    let commands = Commands::new(&generation);
    let channel = commands.channel();
    let mut asks = redis::cmd("PUBSUB");
    asks.arg("NUMSUB").arg(&channel);
    let followers: (String, u64) = asks.query_async(&mut connection).await?;
    if followers.1 > 0 {
        return Err(Unfit::Followed(followers.1));
    }
    // Whoever knows more than it has makes it forget that it was armed.
    let looks = commands.read(NOBODY, (1, EntryId(u128::MAX)));
    match word(&mut connection, &looks).await?.as_deref() {
        Some(b"lost") => Ok(generation),
        _ => Err(Unfit::Strange),
    }
}

/// Reads every log to its end, each from its first entry on.
///
/// # Errors
/// [`Unfit`] where it cannot be read, or whoever takes an entry refuses it.
pub async fn each(
    remote: &Remote,
    mut take: impl FnMut(Kept) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    let mut connection = fit(remote).await?;
    let mut owners = Vec::new();
    let mut cursor = b"0".to_vec();
    loop {
        let (next, keys) = walk(&mut connection, &cursor).await?;
        owners.extend(keys.iter().filter_map(|key| owner_of(key)));
        if next == b"0" {
            break;
        }
        cursor = next;
    }
    // A walk may come by a key more than once.
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        let mut number = 0;
        loop {
            let mut range = redis::cmd("LRANGE");
            range.arg(log_key(owner)).arg(number);
            range.arg(number + PAGE_LEN - 1);
            let page: Vec<Value> = range.query_async(&mut connection).await?;
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
    }
    Ok(())
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

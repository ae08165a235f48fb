//! Gives a Redis that lost entries back what a node has kept of them.
//!
//! Nothing is armed by it: when all nodes have given theirs, people arm. Given twice changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use crate::ledger::redis::copy::{Kept, Reader, unfinished};
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::setup::{Unfit, fit, is_armed_for_others, load, word};
use crate::ledger::redis::wire::{Commands, Generation, bytes};
use crate::ledger::shared::Entry;

/// Entries that are sent at once.
const BATCH_LEN: usize = 256;

/// What a repair has come to.
#[derive(Debug)]
pub struct Repaired {
    /// Of which ledger.
    pub generation: Generation,
    /// Entries that Redis had lost.
    pub put: u64,
    /// Entries that it had.
    pub known: u64,
    /// Whether the copy ended within an entry.
    pub is_cut_short: bool,
    /// What could not be read, and why; the entries before that were given.
    pub damaged: Option<(PathBuf, io::Error)>,
}

/// Gives the Redis what the copy at `path` has and it has not, and what one beside it has that is not
/// finished: its node was learning, and what it learned may be nowhere else.
///
/// # Errors
/// [`Unfit`] where it is armed, holds another ledger or another entry at some place, or cannot be used.
pub async fn repair(remote: &Remote, path: &Path) -> Result<Repaired, Unfit> {
    let readers = copies(path)?;
    let generation = match readers.first() {
        Some(reader) => reader.generation.clone(),
        None => {
            let error = io::ErrorKind::NotFound.into();
            return Err(Unfit::Copy(path.to_owned(), error));
        }
    };
    let commands = Commands::new(&generation);
    let mut connection = fit(remote).await?;
    load(&mut connection).await?;
    if is_armed_for_others(&mut connection).await? {
        return Err(Unfit::Armed);
    }
    let restored = word(&mut connection, &commands.on_all("restore")).await?;
    match restored.as_deref() {
        Some(b"restored") => {}
        Some(b"armed") => return Err(Unfit::Armed),
        Some(b"exists") => return Err(Unfit::Taken),
        _ => return Err(Unfit::Strange),
    }
    let mut repaired = Repaired {
        generation,
        put: 0,
        known: 0,
        is_cut_short: false,
        damaged: None,
    };
    for reader in readers {
        give(&mut connection, &commands, reader, &mut repaired).await?;
    }
    Ok(repaired)
}

/// The copies of one ledger: the one that stands, and the one that is being made.
fn copies(path: &Path) -> Result<Vec<Reader>, Unfit> {
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let standing = match Reader::open(path) {
        Err(error) if !is_absent(&error) => return Err(Unfit::Copy(path.to_owned(), error)),
        opened => opened.ok(),
    };
    let making = unfinished(path);
    let new = match Reader::open(&making) {
        // Its process ended before it wrote whose copy it is.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) if !is_absent(&error) => return Err(Unfit::Copy(making, error)),
        opened => opened.ok(),
    };
    let generation = standing.as_ref().map(|it| it.generation.clone());
    let new = new.filter(|new| generation.is_none_or(|it| it == new.generation));
    Ok(standing.into_iter().chain(new).collect())
}

/// Gives what is whole from the beginning of a copy on.
async fn give(
    connection: &mut MultiplexedConnection,
    commands: &Commands,
    mut reader: Reader,
    repaired: &mut Repaired,
) -> Result<(), Unfit> {
    loop {
        let mut batch = Vec::new();
        let mut ends = Ok(());
        while batch.len() < BATCH_LEN {
            match understood(&mut reader) {
                Ok(Some(kept)) => batch.push(kept),
                Ok(None) => break,
                Err(error) => {
                    ends = Err(error);
                    break;
                }
            }
        }
        let is_last = batch.len() < BATCH_LEN;
        mend(connection, commands, &batch, repaired).await?;
        if let Err(error) = ends {
            let place = || (reader.path.clone(), error);
            repaired.damaged.get_or_insert_with(place);
        }
        if is_last {
            repaired.is_cut_short |= reader.is_cut_short;
            return Ok(());
        }
    }
}

/// The next entry of a copy, of a layout that this version knows.
fn understood(reader: &mut Reader) -> io::Result<Option<Kept>> {
    let kept = reader.next_kept()?;
    if kept
        .as_ref()
        .is_some_and(|it| Entry::decode(&it.entry).is_err())
    {
        let told = "it holds an entry that this version does not understand";
        return Err(io::Error::new(io::ErrorKind::InvalidData, told));
    }
    Ok(kept)
}

async fn mend(
    connection: &mut MultiplexedConnection,
    commands: &Commands,
    batch: &[Kept],
    repaired: &mut Repaired,
) -> Result<(), Unfit> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut pipeline = Pipeline::with_capacity(batch.len());
    for kept in batch {
        let entry = Entry::decode(&kept.entry).map_err(|_malformed| Unfit::Strange)?;
        pipeline.add_command(commands.mend(kept, &entry));
    }
    let answers: Vec<Value> = pipeline.query_async(connection).await?;
    for answer in answers {
        let Value::Array(words) = answer else {
            return Err(Unfit::Strange);
        };
        match words.into_iter().next().and_then(bytes).as_deref() {
            Some(b"put") => repaired.put += 1,
            Some(b"known") => repaired.known += 1,
            Some(b"armed") => return Err(Unfit::Armed),
            Some(b"other" | b"missing") => return Err(Unfit::Contradicts),
            _ => return Err(Unfit::Strange),
        }
    }
    Ok(())
}

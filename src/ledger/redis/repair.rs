//! Gives a Redis that lost entries back what a node has kept of them.
//!
//! Nothing is armed by it: when all nodes have given theirs, people arm. Given twice changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use redis::{Pipeline, Value};

use crate::ledger::redis::copy::{Kept, Reader, unfinished};
use crate::ledger::redis::link::Remote;
use crate::ledger::redis::servers::Servers;
use crate::ledger::redis::setup::{Unfit, is_armed_for_others};
use crate::ledger::redis::wire::{Commands, Generation, bucket_of, bytes};
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
/// finished: its node was learning, and what it learned may be nowhere else. In a cluster, servers that are armed and
/// have all their records stay as they are: they lost nothing.
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
    let mut servers = Servers::reach(remote).await?;
    servers.load().await?;
    let mended = restore(&mut servers, &commands, &generation).await?;
    let mut repaired = Repaired {
        generation,
        put: 0,
        known: 0,
        is_cut_short: false,
        damaged: None,
    };
    for reader in readers {
        give((&mut servers, &mended), &commands, reader, &mut repaired).await?;
    }
    Ok(repaired)
}

/// Has every server that may have lost something know again which ledger it is. Which ones these are.
async fn restore(
    servers: &mut Servers,
    commands: &Commands,
    generation: &Generation,
) -> Result<Vec<bool>, Unfit> {
    let name = generation.to_string().into_bytes();
    for one in &mut servers.each {
        let (_, ledgers) = one.survey().await?;
        if ledgers.iter().any(|it| *it != name) {
            return Err(one.at(Unfit::Taken));
        }
        let is_armed = is_armed_for_others(&mut one.connection).await;
        if is_armed.map_err(|why| one.at(why))? {
            return Err(one.at(Unfit::Armed));
        }
    }
    let mut mended = Vec::new();
    for one in &mut servers.each {
        let keys = one.keys();
        match one.word(&commands.restore(&keys)).await?.as_deref() {
            Some(b"restored") => mended.push(true),
            Some(b"armed") => mended.push(false),
            Some(b"exists") => return Err(one.at(Unfit::Taken)),
            _ => return Err(one.at(Unfit::Strange)),
        }
    }
    let has_keys = servers.each.iter().map(|one| !one.buckets.is_empty());
    if !has_keys
        .zip(&mended)
        .any(|(has_keys, is_mended)| has_keys && *is_mended)
    {
        return Err(Unfit::Armed);
    }
    Ok(mended)
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
    (servers, mended): (&mut Servers, &[bool]),
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
        for (at, is_mended) in mended.iter().enumerate() {
            if *is_mended {
                mend((servers, at), commands, &batch, repaired).await?;
            }
        }
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

/// Gives one server what is its own of these entries.
async fn mend(
    (servers, at): (&mut Servers, usize),
    commands: &Commands,
    batch: &[Kept],
    repaired: &mut Repaired,
) -> Result<(), Unfit> {
    let mut pipeline = Pipeline::with_capacity(batch.len());
    for kept in batch {
        if servers.home_of(bucket_of(kept.owner))? == at {
            let entry = Entry::decode(&kept.entry).map_err(|_malformed| Unfit::Strange)?;
            pipeline.add_command(commands.mend(kept, &entry));
        }
    }
    if pipeline.is_empty() {
        return Ok(());
    }
    let one = servers.each.get_mut(at).ok_or(Unfit::Strange)?;
    let answers: Result<Vec<Value>, _> = pipeline.query_async(&mut one.connection).await;
    for answer in answers.map_err(|error| one.at(error))? {
        let Value::Array(words) = answer else {
            return Err(Unfit::Strange);
        };
        match words.into_iter().next().and_then(bytes).as_deref() {
            Some(b"put") => repaired.put += 1,
            Some(b"known") => repaired.known += 1,
            Some(b"armed") => return Err(one.at(Unfit::Armed)),
            Some(b"other" | b"missing") => return Err(one.at(Unfit::Contradicts)),
            _ => return Err(Unfit::Strange),
        }
    }
    Ok(())
}

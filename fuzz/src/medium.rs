//! Files in memory that keep everything at once, and the journal's shell on them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use countersign::ledger::embedded::io::{Io, IoFault, Name, Storage};
use countersign::ledger::embedded::journal::{Journal, Lane};

use super::input::Input;

type Files = BTreeMap<Name, Vec<u8>>;

const NO_SUCH_FILE: IoFault = IoFault { errno: 2 };
/// Bytes that are damaged together.
const SECTOR_SIZE: usize = 512;
/// More would let the bytes of an input stand in a frame and its checksum at once, which is forgery
/// and not damage.
const DAMAGES_MAX: usize = 12;

#[derive(Debug, Default)]
pub(super) struct Medium(Mutex<Files>);

impl Medium {
    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap()
    }

    /// Serves one lane once: gives, executes and reports. Whether it had anything to give.
    pub(super) fn serve(&self, journal: &mut Journal, lane: Lane) -> bool {
        let Some(io) = journal.next_io(lane) else {
            return false;
        };
        let result = self.execute(&io);
        journal.complete(io, result);
        true
    }

    /// Serves every lane until none has anything to give.
    pub(super) fn settle(&self, journal: &mut Journal) {
        let lanes = [Lane::Write, Lane::Sync, Lane::Create];
        while lanes.into_iter().any(|lane| self.serve(journal, lane)) {}
    }
}

impl Storage for Medium {
    fn list(&self) -> Result<Vec<Name>, IoFault> {
        Ok(self.files().keys().copied().collect())
    }

    fn size(&self, name: Name) -> Result<u64, IoFault> {
        let files = self.files();
        let file = files.get(&name).ok_or(NO_SUCH_FILE)?;
        Ok(file.len() as u64)
    }

    fn read(&self, name: Name, offset: u64, into: &mut [u8]) -> Result<usize, IoFault> {
        let files = self.files();
        let file = files.get(&name).ok_or(NO_SUCH_FILE)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(file.len());
        let count = into.len().min(file.len() - start);
        into[..count].copy_from_slice(&file[start..start + count]);
        Ok(count)
    }

    fn execute(&self, io: &Io) -> Result<(), IoFault> {
        let mut files = self.files();
        let index = |offset: u64| usize::try_from(offset).unwrap();
        match io {
            Io::Create {
                segment,
                size,
                header,
            } => {
                let mut content = header.clone();
                content.resize(index(*size), 0);
                files.insert(Name::Segment(*segment), content);
            }
            Io::CreateEmpty { name } => drop(files.insert(*name, Vec::new())),
            Io::Write {
                name,
                offset,
                bytes,
            } => {
                let file = files.get_mut(name).ok_or(NO_SUCH_FILE)?;
                let (start, end) = (index(*offset), index(*offset) + bytes.len());
                file.resize(file.len().max(end), 0);
                file[start..end].copy_from_slice(bytes);
            }
            Io::Truncate { name, size } => {
                let file = files.get_mut(name).ok_or(NO_SUCH_FILE)?;
                file.resize(index(*size), 0);
            }
            Io::Rename { from, to } => {
                let file = files.remove(from).ok_or(NO_SUCH_FILE)?;
                files.insert(*to, file);
            }
            Io::Remove { name } => drop(files.remove(name)),
            Io::Sync { name } | Io::Rewrite { name, .. } => {
                files.get(name).ok_or(NO_SUCH_FILE)?;
            }
            Io::SyncDir => {}
        }
        Ok(())
    }
}

/// Damages the files as the rest of the input says: bits, sectors, whole files. `stale` is what an
/// earlier owner of the blocks left there.
pub(super) fn damage(files: &mut Files, input: &mut Input<'_>, stale: &[u8]) {
    for _ in 0..DAMAGES_MAX {
        if input.is_empty() || files.is_empty() {
            return;
        }
        let kind = input.byte();
        let names: Vec<Name> = files.keys().copied().collect();
        let name = names[input.index(names.len())];
        let other = names[input.index(names.len())];
        let source = files[&other].clone();
        let file = files.get_mut(&name).unwrap();
        let at = input.index(file.len());
        let sector = at / SECTOR_SIZE * SECTOR_SIZE;
        let end = (sector + SECTOR_SIZE).min(file.len());
        match kind % 9 {
            0 | 1 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= input.byte();
                }
            }
            2 => file[sector..end].fill(0),
            3 => file[at..].fill(0),
            4 => file.truncate(at),
            5 => drop(files.remove(&name)),
            6 => *file = source,
            7 => {
                let from = input.index(source.len()) / SECTOR_SIZE * SECTOR_SIZE;
                let count = (end - sector).min(source.len() - from);
                file[sector..sector + count].copy_from_slice(&source[from..from + count]);
            }
            _ => {
                let left = stale.get(at..).unwrap_or_default();
                let count = (file.len() - at).min(left.len());
                file[at..at + count].copy_from_slice(&left[..count]);
            }
        }
    }
}

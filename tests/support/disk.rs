//! A disk that forgets: what was not synced may be lost, kept, or kept out of order when the
//! power fails. Deterministic; all chance comes from the seed.
//!
//! It models sectors of 512 bytes that are written whole or not at all, names that are durable
//! only after a sync of the directory, and files whose size changes with their content. A kill of
//! the process is no crash here: the kernel keeps what it was given, so simply stop using the
//! old journal and recover.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use countersign::ledger::embedded::io::{Io, IoFault, Name, Storage};

/// Bytes that are written together or not at all.
pub(crate) const SECTOR_SIZE: usize = 512;

/// A small generator (SplitMix64), enough for choosing what survives.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index below the bound, which is not 0.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What a crash does with what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Only the process died: the kernel keeps everything, but what was not synced still is not.
    Kills,
    /// The power failed and nothing of it survives.
    LosesAll,
    /// The power failed and all of it had reached the disk.
    KeepsAll,
    /// The power failed; each sector and each name survives or not, by chance.
    Scrambles,
}

/// Chooses operations.
pub(crate) type Matches = fn(&Io) -> bool;

/// A file's content.
#[derive(Clone, Debug, Default)]
struct File {
    /// What reads see.
    now: Vec<u8>,
    /// What is on the disk for sure.
    synced: Vec<u8>,
    /// Sectors that the next sync will write. After a failed sync the kernel takes sectors for
    /// clean that are not on the disk.
    dirty: BTreeSet<usize>,
}

/// A change of names that a crash may undo, as a whole: each name and where it led before.
type NameChange = Vec<(Name, Option<u64>)>;

#[derive(Clone, Debug, Default)]
struct State {
    /// Files by inode, so that a removed name can come back with its content.
    files: BTreeMap<u64, File>,
    names: BTreeMap<Name, u64>,
    /// Since the last directory sync, oldest first.
    changes: Vec<NameChange>,
    /// Those whose sync failed: no later sync makes them durable.
    forgotten: Vec<NameChange>,
    next_inode: u64,
    operations: u64,
    fail_at: Option<(u64, IoFault)>,
    fail_kind: Option<(Matches, IoFault)>,
    down: bool,
    crash_at: Option<u64>,
}

/// See the module's description. Shared by reference, as the real directory is.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<State>);

impl Clone for Disk {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Operations executed so far, failed ones too.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the operation with this number, counted from the one after the last, fail with no
    /// effect or a part of it.
    pub(crate) fn fail_nth(&self, nth: u64, fault: IoFault) {
        let mut state = self.state();
        state.fail_at = Some((state.operations + nth, fault));
    }

    /// Lets every operation that matches fail, until called with `None`.
    pub(crate) fn fail_all(&self, which: Option<(Matches, IoFault)>) {
        self.state().fail_kind = which;
    }

    /// Stops the disk before the operation with this number, counted from the one after the last:
    /// it and all later ones fail until [`Disk::crash`].
    pub(crate) fn stop_at_nth(&self, nth: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.operations + nth);
    }

    /// The process dies, or the power fails and comes back. Planned faults are forgotten.
    pub(crate) fn crash(&self, how: Crash, chance: &mut Chance) {
        let mut state = self.state();
        (state.down, state.crash_at, state.fail_at, state.fail_kind) = (false, None, None, None);
        if how == Crash::Kills {
            return;
        }
        let mut changes = std::mem::take(&mut state.forgotten);
        changes.append(&mut state.changes);
        for change in changes.into_iter().rev() {
            if how == Crash::LosesAll || (how == Crash::Scrambles && chance.one_in(2)) {
                state.undo(change);
            }
        }
        let named: Vec<u64> = state.names.values().copied().collect();
        state.files.retain(|inode, _| named.contains(inode));
        for file in state.files.values_mut() {
            file.crash(how, chance);
        }
    }

    /// The content of a file as reads see it; changes are neither an operation nor undone.
    pub(crate) fn content(&self, name: Name) -> Vec<u8> {
        let state = self.state();
        state.files[&state.names[&name]].now.clone()
    }

    /// Damages the medium: puts this content there, synced.
    pub(crate) fn set_content(&self, name: Name, content: Vec<u8>) {
        let mut state = self.state();
        let inode = match state.names.get(&name) {
            Some(inode) => *inode,
            None => state.new_file(name),
        };
        state.files.insert(inode, File::synced(content));
    }

    /// Damages the medium: removes a file for good.
    pub(crate) fn lose(&self, name: Name) {
        let mut state = self.state();
        state.names.remove(&name);
        state
            .changes
            .retain(|change| change.iter().all(|(changed, _)| *changed != name));
    }
}

impl File {
    fn synced(content: Vec<u8>) -> Self {
        Self {
            synced: content.clone(),
            now: content,
            dirty: BTreeSet::new(),
        }
    }

    fn crash(&mut self, how: Crash, chance: &mut Chance) {
        if self.now != self.synced {
            self.now = match how {
                Crash::LosesAll => self.synced.clone(),
                Crash::Kills | Crash::KeepsAll => self.now.clone(),
                Crash::Scrambles => self.scrambled(chance),
            };
            self.synced.clone_from(&self.now);
        }
        self.dirty.clear();
    }

    /// Each sector old or new by chance, and the size too. Runs of survivors and of losses of
    /// random length are likelier to find trouble than fair coins for each sector.
    fn scrambled(&self, chance: &mut Chance) -> Vec<u8> {
        let size = if chance.one_in(2) {
            self.now.len()
        } else {
            self.synced.len()
        };
        let mut kept = vec![0; size];
        let mut is_new = chance.one_in(2);
        let turn = 1 + chance.below(8);
        for (index, sector) in kept.chunks_mut(SECTOR_SIZE).enumerate() {
            if chance.one_in(turn) {
                is_new = !is_new;
            }
            let source = if is_new { &self.now } else { &self.synced };
            let start = index * SECTOR_SIZE;
            if let Some(from) = source.get(start..) {
                let count = from.len().min(sector.len());
                sector[..count].copy_from_slice(&from[..count]);
            }
        }
        kept
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[start..end].copy_from_slice(bytes);
        self.touch(start, end);
    }

    fn touch(&mut self, start: usize, end: usize) {
        self.dirty
            .extend(start / SECTOR_SIZE..end.div_ceil(SECTOR_SIZE));
    }

    fn sync(&mut self) {
        self.synced.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let start = (sector * SECTOR_SIZE).min(self.now.len());
            let end = (start + SECTOR_SIZE).min(self.now.len());
            self.synced[start..end].copy_from_slice(&self.now[start..end]);
        }
    }
}

impl State {
    fn inode(&self, name: Name) -> Result<u64, IoFault> {
        const ENOENT: IoFault = IoFault { errno: 2 };
        self.names.get(&name).copied().ok_or(ENOENT)
    }

    fn file(&mut self, name: Name) -> Result<&mut File, IoFault> {
        let inode = self.inode(name)?;
        Ok(self.files.get_mut(&inode).unwrap())
    }

    fn new_file(&mut self, name: Name) -> u64 {
        self.next_inode += 1;
        let inode = self.next_inode;
        self.files.insert(inode, File::default());
        let before = self.names.insert(name, inode);
        self.changes.push(vec![(name, before)]);
        inode
    }

    fn undo(&mut self, change: NameChange) {
        for (name, before) in change {
            match before {
                Some(inode) => self.names.insert(name, inode),
                None => self.names.remove(&name),
            };
        }
    }

    /// Why the operation is not to succeed, if it is not. Leaves behind what it then leaves.
    fn fault(&mut self, io: &Io) -> Option<IoFault> {
        self.operations += 1;
        if self.down {
            return Some(IoFault::EIO);
        }
        if self.crash_at == Some(self.operations) {
            self.down = true;
            // The crash may come just before the operation, in its middle, or just after.
            match self.operations % 3 {
                0 => {}
                1 => self.fail(io),
                _ => drop(self.apply(io)),
            }
            return Some(IoFault::EIO);
        }
        let planned = self
            .fail_at
            .filter(|(at, _)| *at == self.operations)
            .map(|(_, fault)| fault);
        let fault = planned.or_else(|| {
            self.fail_kind
                .filter(|(matches, _)| matches(io))
                .map(|(_, fault)| fault)
        });
        if fault.is_some() {
            self.fail(io);
            // A crash in the middle does not do this: a file system that failed to write its
            // names takes no more writes, so no later life builds on them.
            if *io == Io::SyncDir {
                self.forgotten.append(&mut self.changes);
            }
        }
        fault
    }

    /// What a failed operation leaves behind.
    fn fail(&mut self, io: &Io) {
        if let Io::Write {
            name,
            offset,
            bytes,
        } = io
            && let Ok(file) = self.file(*name)
        {
            file.write(*offset, &bytes[..bytes.len() / 2]);
        }
        if let Io::Sync { name } = io
            && let Ok(file) = self.file(*name)
        {
            file.dirty.clear();
        }
    }

    fn apply(&mut self, io: &Io) -> Result<(), IoFault> {
        match io {
            Io::Create {
                segment,
                size,
                header,
            } => {
                let inode = self.new_file(Name::Segment(*segment));
                let mut content = header.clone();
                content.resize(usize::try_from(*size).unwrap(), 0);
                self.files.insert(inode, File::synced(content));
            }
            Io::CreateEmpty { name } => {
                self.new_file(*name);
            }
            Io::Write {
                name,
                offset,
                bytes,
            } => self.file(*name)?.write(*offset, bytes),
            Io::Sync { name } => self.file(*name)?.sync(),
            Io::SyncDir => {
                // A name that was changed anew is written as it now stands.
                let synced: Vec<Name> = self.changes.drain(..).flatten().map(|it| it.0).collect();
                for change in &mut self.forgotten {
                    change.retain(|(name, _)| !synced.contains(name));
                }
            }
            Io::Truncate { name, size } => {
                let file = self.file(*name)?;
                let size = usize::try_from(*size).unwrap();
                file.now.resize(size, 0);
                file.touch(size, size + 1);
            }
            Io::Rewrite { name, from, to } => {
                let (from, to) = (
                    usize::try_from(*from).unwrap(),
                    usize::try_from(*to).unwrap(),
                );
                self.file(*name)?.touch(from, to);
            }
            Io::Rename { from, to } => {
                let inode = self.inode(*from)?;
                let before = self.names.insert(*to, inode);
                self.names.remove(from);
                self.changes.push(vec![(*to, before), (*from, Some(inode))]);
            }
            Io::Remove { name } => {
                if let Some(inode) = self.names.remove(name) {
                    self.changes.push(vec![(*name, Some(inode))]);
                }
            }
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn list(&self) -> Result<Vec<Name>, IoFault> {
        Ok(self.state().names.keys().copied().collect())
    }

    fn size(&self, name: Name) -> Result<u64, IoFault> {
        Ok(self.state().file(name)?.now.len() as u64)
    }

    fn read(&self, name: Name, offset: u64, into: &mut [u8]) -> Result<usize, IoFault> {
        let mut state = self.state();
        let content = &state.file(name)?.now;
        let rest = content
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn execute(&self, io: &Io) -> Result<(), IoFault> {
        let mut state = self.state();
        state.fault(io).map_or(Ok(()), Err)?;
        state.apply(io)
    }
}

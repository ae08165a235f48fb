//! The real directory: operations by system calls.
//!
//! Segments are preallocated with `fallocate`; zeros are written only where the file system cannot
//! do that. Measured with writes of 1.3 KB, each with its `fdatasync`, on a quiet machine (2 cores,
//! ext4 on a virtio disk, Linux 6.18; three rounds of 1 500), and `benches/journal.rs allocate` says
//! it for another machine:
//!
//! | 64 MiB file | made in | p50 | p99 | p99.9 |
//! |---|---|---|---|---|
//! | grows as it is written | 0.2–0.6 ms | 153 µs | 212–237 µs | 261–295 µs |
//! | `fallocate` | 0.2–0.3 ms | 103 µs | 197–223 µs | 227–808 µs |
//! | zeros | 29–173 ms | 105 µs | 163–167 µs | 209 µs–6.1 ms |
//!
//! Zeros gain 40 µs at p99 and cost up to 173 ms of writing beside the journal's own syncs, which
//! is worse for the tail that matters.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::io::{Io, IoFault, Name, Storage};

/// What is in the directory of a journal that has no segment yet.
pub const LOCK_FILE: &str = "lock";
const CHUNK_SIZE: usize = 1 << 20;

/// Why a data directory was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    InUse,
    /// It cannot be made or read.
    Io(io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse => f.write_str("the data directory is in use by another process"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A data directory that belongs to this process while this value lives.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    directory: File,
    /// Held, never read: the operating system frees it when the process ends in whatever way.
    _lock: File,
    handles: Mutex<BTreeMap<Name, Arc<File>>>,
}

impl Files {
    /// Opens the directory, makes it if need be, and takes its lock.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process holds the lock.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path)?;
        let directory = File::open(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // The directory's own name; its parent may be one that we may not open.
        if let Some(Ok(parent)) = path.parent().map(File::open) {
            parent.sync_all()?;
        }
        let handles = Mutex::new(BTreeMap::new());
        Ok(Self {
            path: path.to_owned(),
            directory,
            _lock: lock,
            handles,
        })
    }

    fn full_path(&self, name: Name) -> PathBuf {
        self.path.join(name.file_name())
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<File>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, opened once. Only the newest few stay open.
    fn handle(&self, name: Name) -> io::Result<Arc<File>> {
        const OPEN_COUNT_MAX: usize = 8;
        let mut handles = self.handles();
        if let Some(file) = handles.get(&name) {
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.full_path(name))?;
        let file = Arc::new(file);
        handles.insert(name, Arc::clone(&file));
        while handles.len() > OPEN_COUNT_MAX {
            handles.pop_first();
        }
        Ok(file)
    }

    /// Under a name that no start looks at, then renamed: a segment's file is whole or absent.
    fn create(&self, segment: u64, size: u64, header: &[u8]) -> io::Result<()> {
        let path = self.full_path(Name::Segment(segment));
        let draft = path.with_extension("seg.tmp");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&draft)?;
        let made = preallocate(&file, size)
            .and_then(|()| file.write_all_at(header, 0))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&draft, &path));
        if made.is_err() {
            // Gives its room back; what fails here is found at the next attempt.
            drop(std::fs::remove_file(&draft));
        }
        let mut handles = self.handles();
        handles.remove(&Name::Segment(segment));
        if made.is_ok() {
            // Kept open: a process that has run out of descriptors can still write what it has room
            // for, where a failed open would end the journal.
            read_no_further(&file);
            handles.insert(Name::Segment(segment), Arc::new(file));
        }
        made
    }

    fn rewrite(&self, name: Name, from: u64, to: u64) -> io::Result<()> {
        let file = self.handle(name)?;
        let mut offset = from;
        while offset < to {
            let size = usize::try_from(to - offset)
                .unwrap_or(CHUNK_SIZE)
                .min(CHUNK_SIZE);
            let mut chunk = vec![0; size];
            file.read_exact_at(&mut chunk, offset)?;
            file.write_all_at(&chunk, offset)?;
            offset += size as u64;
        }
        Ok(())
    }

    fn run(&self, io: &Io) -> io::Result<()> {
        match io {
            Io::Create {
                segment,
                size,
                header,
            } => self.create(*segment, *size, header),
            Io::CreateEmpty { name } => {
                self.handles().remove(name);
                File::create(self.full_path(*name)).map(drop)
            }
            // Both of these go on after an interruption and a short write.
            Io::Write {
                name,
                offset,
                bytes,
            } => self.handle(*name)?.write_all_at(bytes, *offset),
            Io::Sync { name } => self.handle(*name)?.sync_data(),
            Io::SyncDir => self.directory.sync_all(),
            Io::Truncate { name, size } => self.handle(*name)?.set_len(*size),
            Io::Rewrite { name, from, to } => self.rewrite(*name, *from, *to),
            Io::Rename { from, to } => {
                self.handles().remove(from);
                self.handles().remove(to);
                std::fs::rename(self.full_path(*from), self.full_path(*to))
            }
            Io::Remove { name } => {
                self.handles().remove(name);
                match std::fs::remove_file(self.full_path(*name)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    result => result,
                }
            }
        }
    }
}

impl Storage for Files {
    fn list(&self) -> Result<Vec<Name>, IoFault> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().to_str().and_then(Name::parse));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn size(&self, name: Name) -> Result<u64, IoFault> {
        Ok(std::fs::metadata(self.full_path(name))?.len())
    }

    fn read(&self, name: Name, offset: u64, into: &mut [u8]) -> Result<usize, IoFault> {
        let file = self.handle(name)?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn execute(&self, io: &Io) -> Result<(), IoFault> {
        self.run(io).map_err(IoFault::from)
    }
}

/// Reads of the file fetch what they ask for and nothing beyond. The kernel's reading ahead would put
/// the still empty part of the current segment into its cache, in large pieces, and each write into
/// such a piece walks all of its blocks.
fn read_no_further(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Advice, fadvise};
        // A hint: without it writes are slower and nothing else.
        if let Err(error) = fadvise(file, 0, None, Advice::Random) {
            tracing::debug!(%error, "the kernel keeps reading ahead");
        }
    }
}

/// Gives the empty file this size with its room allocated.
fn preallocate(file: &File, size: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    fill_with_zeros(file, size)
}

/// Where there is no `fallocate`: blocks that were written once cannot run out later either.
fn fill_with_zeros(file: &File, size: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK_SIZE];
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset)
            .unwrap_or(CHUNK_SIZE)
            .min(CHUNK_SIZE);
        file.write_all_at(zeros.get(..count).unwrap_or_default(), offset)?;
        offset += count as u64;
    }
    Ok(())
}

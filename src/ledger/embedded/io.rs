//! The operations a store of files must offer, as values.
//!
//! State machines return them, a shell executes them. Every operation that must reach the disk
//! is its own value, so a simulator can crash between any two.

use std::fmt;

/// A file of the data directory. The directory holds nothing else but the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Journal segment with this number, counted from 1.
    Segment(u64),
    /// Checkpoint that covers every frame before this sequence number.
    Checkpoint(u64),
    /// Checkpoint that is being written; worthless after a crash.
    Draft(u64),
}

impl Name {
    /// The name as it stands in the directory. Sixteen hex digits, so that names sort by number.
    #[must_use]
    pub fn file_name(self) -> String {
        match self {
            Self::Segment(n) => format!("journal-{n:016x}.seg"),
            Self::Checkpoint(n) => format!("checkpoint-{n:016x}.ckp"),
            Self::Draft(n) => format!("checkpoint-{n:016x}.draft"),
        }
    }

    /// The inverse of [`Name::file_name`]; `None` for any other file.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        let (stem, ending) = file_name.rsplit_once('.')?;
        let (kind, digits) = stem.rsplit_once('-')?;
        if digits.len() != 16 || digits.bytes().any(|b| b.is_ascii_uppercase() || b == b'+') {
            return None;
        }
        let number = u64::from_str_radix(digits, 16).ok()?;
        match (kind, ending) {
            ("journal", "seg") => Some(Self::Segment(number)),
            ("checkpoint", "ckp") => Some(Self::Checkpoint(number)),
            ("checkpoint", "draft") => Some(Self::Draft(number)),
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name())
    }
}

/// One operation on the data directory. Offsets and sizes are in bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Io {
    /// Make a segment of `size` zero bytes that begins with `header`, room allocated, content
    /// synced, under its final name or not at all. The name itself needs a `SyncDir` after it.
    Create {
        segment: u64,
        size: u64,
        header: Vec<u8>,
    },
    /// Make an empty file, emptying one that exists.
    CreateEmpty { name: Name },
    /// Write all bytes at the offset.
    Write {
        name: Name,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Make the content of the file durable.
    Sync { name: Name },
    /// Make names created, renamed and removed so far durable.
    SyncDir,
    /// Cut the file to this size.
    Truncate { name: Name, size: u64 },
    /// Write the bytes of this range back to where they are. After a failed sync the kernel may
    /// hold as clean what never reached the disk; only a new write makes the next sync honest.
    Rewrite { name: Name, from: u64, to: u64 },
    /// Replace `to` by `from`, atomically.
    Rename { from: Name, to: Name },
    /// Remove the file. It is no fault if there is none.
    Remove { name: Name },
}

/// Why an operation failed: the operating system's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoFault {
    /// `errno`; 0 if the system gave none.
    pub errno: i32,
}

impl IoFault {
    /// `EIO`, the fault tests inject most.
    pub const EIO: Self = Self { errno: 5 };
    /// `ENOSPC`.
    pub const ENOSPC: Self = Self { errno: 28 };
}

impl From<std::io::Error> for IoFault {
    fn from(error: std::io::Error) -> Self {
        Self {
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

impl fmt::Display for IoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errno == 0 {
            return f.write_str("input/output failed without an error number");
        }
        std::io::Error::from_raw_os_error(self.errno).fmt(f)
    }
}

impl std::error::Error for IoFault {}

/// A directory of files: the real one, or a simulated disk.
pub trait Storage: Send + Sync {
    /// The files present, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> Result<Vec<Name>, IoFault>;

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// When there is no such file or it cannot be asked.
    fn size(&self, name: Name) -> Result<u64, IoFault>;

    /// Reads at the offset into `into` and returns how many bytes there were; fewer than asked
    /// only at the end of the file.
    ///
    /// # Errors
    /// When there is no such file or it cannot be read.
    fn read(&self, name: Name, offset: u64, into: &mut [u8]) -> Result<usize, IoFault>;

    /// Executes one operation to its end.
    ///
    /// # Errors
    /// When the operation failed; its effect is then unknown.
    fn execute(&self, io: &Io) -> Result<(), IoFault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_strangers_are_not_ours() {
        for name in [
            Name::Segment(1),
            Name::Checkpoint(u64::MAX),
            Name::Draft(0xab),
        ] {
            assert_eq!(Name::parse(&name.file_name()), Some(name));
        }
        for stranger in [
            "lock",
            "journal-1.seg",
            "journal-00000000000000AB.seg",
            "journal-+000000000000001.seg",
            "journal-0000000000000001.seg.tmp",
            "journal-0000000000000001.ckp",
        ] {
            assert_eq!(Name::parse(stranger), None, "{stranger}");
        }
    }
}

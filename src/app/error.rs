//! Why a server does not start, and how the process ends then.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::Exit;
use crate::cold::doctor::InUse;
use crate::cold::sandbox::files::FileError;
use crate::config::ConfigError;
use crate::decide::document::DocumentRefused;
use crate::ledger::embedded::files::OpenError;
use crate::ledger::embedded::rebuild::NotUnderstood;
use crate::ledger::embedded::recover::RecoverError;

/// Why a server did not start.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the error that it wraps")]
pub enum StartError {
    Config(ConfigError),
    Snapshot(DocumentRefused),
    Sandbox(FileError),
    DataDir(PathBuf, OpenError),
    InUse(InUse),
    /// Another process works on the database: which.
    Taken(String),
    /// The database does not belong to the data directory's journal: what to do.
    NotOurs(String),
    /// The data directory has the journal of a ledger of the other kind.
    OtherLedger(PathBuf),
    /// The file of what this node approved while the ledger did not answer.
    StandIn(PathBuf, io::Error),
    /// The Redis that nodes share cannot be worked with: which, and why.
    SharedLog(String),
    Journal(RecoverError),
    NotUnderstood(NotUnderstood),
    /// A file of the control plane, and what is wrong with it.
    Control(String),
    Io(&'static str, io::Error),
    /// The listener's name in flags and file, and its address.
    Listen(&'static str, SocketAddr, io::Error),
    /// What is wrong with the journal in this directory.
    In(PathBuf, Box<Self>),
}

impl StartError {
    /// The same, told of the journal in this directory.
    pub(super) fn within(self, journal: &Path) -> Self {
        Self::In(journal.to_owned(), Box::new(self))
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Snapshot(_) | Self::OtherLedger(_) => Exit::Usage,
            Self::InUse(_)
            | Self::Taken(_)
            | Self::NotOurs(_)
            | Self::DataDir(_, OpenError::InUse) => Exit::InUse,
            Self::In(_, error) => error.exit(),
            Self::StandIn(_, error) if error.kind() == io::ErrorKind::InvalidData => Exit::Corrupt,
            Self::Journal(RecoverError::Corrupt(_)) | Self::NotUnderstood(_) => Exit::Corrupt,
            Self::DataDir(_, OpenError::Io(_))
            | Self::Journal(RecoverError::Io { .. })
            | Self::Sandbox(_)
            | Self::Control(_)
            | Self::SharedLog(_)
            | Self::StandIn(..)
            | Self::Io(..)
            | Self::Listen(..) => Exit::Other,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Snapshot(DocumentRefused { errors, more_count }) => {
                f.write_str("the snapshot is refused")?;
                for error in errors {
                    write!(f, "\n  {error}")?;
                }
                match more_count {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more; see `countersign policy check`"),
                }
            }
            Self::Sandbox(error) => error.fmt(f),
            Self::Control(error) | Self::NotOurs(error) | Self::SharedLog(error) => {
                f.write_str(error)
            }
            Self::OtherLedger(journal) => write!(
                f,
                "{}: this data directory belongs to a ledger of the other kind (--ledger): take \
                 another one, because in the wrong ledger every limit could be spent again",
                journal.display()
            ),
            Self::Taken(whose) => write!(f, "{whose}; stop that one first"),
            Self::DataDir(path, error) => write!(f, "{}: {error}", path.display()),
            Self::StandIn(_, error) if error.kind() == io::ErrorKind::InvalidData => error.fmt(f),
            Self::StandIn(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Journal(error) => error.fmt(f),
            Self::NotUnderstood(error) => write!(f, "journal corrupt: {error}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::InUse(error) => error.fmt(f),
            Self::Listen(name, address, error) => {
                let flag = name.replace('_', "-");
                write!(
                    f,
                    "cannot listen on {address} (--{flag}, server.{name}): {error}"
                )
            }
            Self::In(journal, error) => {
                write!(f, "{}: {error}", journal.display())?;
                if error.exit() == Exit::Corrupt {
                    f.write_str("\n  keep a copy of the data directory before anything else")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for StartError {}

//! Why a server does not start, and how the process ends then.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::Exit;
use crate::cold::sandbox::files::FileError;
use crate::config::ConfigError;
use crate::decide::document::DocumentError;
use crate::ledger::embedded::files::OpenError;
use crate::ledger::embedded::rebuild::NotUnderstood;
use crate::ledger::embedded::recover::RecoverError;

/// Why a server did not start.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the error that it wraps")]
pub enum StartError {
    Config(ConfigError),
    Snapshot(Vec<DocumentError>),
    Sandbox(FileError),
    DataDir(PathBuf, OpenError),
    Journal(RecoverError),
    NotUnderstood(NotUnderstood),
    /// A file of the control plane, and what is wrong with it.
    Control(String),
    Io(&'static str, io::Error),
    Listen(SocketAddr, io::Error),
}

impl StartError {
    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Snapshot(_) => Exit::Usage,
            Self::DataDir(_, OpenError::InUse) => Exit::InUse,
            Self::Journal(RecoverError::Corrupt(_)) | Self::NotUnderstood(_) => Exit::Corrupt,
            Self::DataDir(_, OpenError::Io(_))
            | Self::Journal(RecoverError::Io { .. })
            | Self::Sandbox(_)
            | Self::Control(_)
            | Self::Io(..)
            | Self::Listen(..) => Exit::Other,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Snapshot(errors) => {
                f.write_str("the snapshot is refused")?;
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
            Self::Sandbox(error) => error.fmt(f),
            Self::Control(error) => f.write_str(error),
            Self::DataDir(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Journal(error) => error.fmt(f),
            Self::NotUnderstood(error) => write!(f, "journal corrupt: {error}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

//! What can stop a run, and whose fault it is.

use std::fmt;
use std::io;

use crate::refusal::Refusal;

#[derive(Debug)]
pub(crate) enum Error {
    /// The operating system said no.
    Io { doing: String, source: io::Error },
    /// The operator asked for something impossible.
    Usage(String),
    /// The server under test did not start, or stopped.
    Server(String),
    /// The run took place, but its figures would mislead.
    Refused {
        what: String,
        refusals: Vec<Refusal>,
    },
}

impl Error {
    /// For `map_err`: names the action that failed.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// 2 stands for bad flags, 3 for figures that are withheld, 1 for the rest.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused { .. } => 3,
            Self::Io { .. } | Self::Server(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(out, "{doing}: {source}"),
            Self::Usage(text) => write!(out, "{text}"),
            Self::Server(text) => write!(out, "server under test: {text}"),
            Self::Refused { what, refusals } => {
                write!(out, "{what}: no figures are reported, because")?;
                for refusal in refusals {
                    write!(out, "\n  - {refusal}")?;
                }
                Ok(())
            }
        }
    }
}

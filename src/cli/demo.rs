//! `countersign demo`: a server with an empty ledger in a temporary directory, and the story played
//! against it.

pub mod page;

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Runtime};

use self::page::Style;
use crate::cli::Exit;
use crate::clock::Clock;
use crate::cold::sandbox::Sandbox;
use crate::cold::sandbox::cards::Cards;
use crate::cold::sandbox::files::{self, Whereabouts};
use crate::cold::sandbox::story::{self, Summary};
use crate::config::SANDBOX_NAME;

/// Why a command has no result: what to print to stderr, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, for people.
    pub message: String,
    /// How the process ends.
    pub exit: Exit,
}

impl Failure {
    pub(super) fn other(cause: &impl fmt::Display) -> Self {
        Self {
            message: cause.to_string(),
            exit: Exit::Other,
        }
    }

    pub(super) fn usage(cause: &impl fmt::Display) -> Self {
        Self {
            message: cause.to_string(),
            exit: Exit::Usage,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A server that runs in this process.
pub struct Running {
    /// Its issuers' listener.
    pub issuer: SocketAddr,
    /// Its operators' listener.
    pub ops: SocketAddr,
    /// The snapshot that it was started with.
    pub snapshot: PathBuf,
    /// Ends it, and returns when it has ended.
    pub shutdown: Box<dyn FnOnce() -> Result<(), String>>,
}

/// Starts a server on a fresh data directory through `start`, plays the story, ends the server and
/// removes the directory. The exit code is 1 when an answer is not the expected one.
///
/// # Errors
/// [`Failure`] where the story could not be played to its end.
pub fn run(
    out: &mut dyn Write,
    style: Style,
    start: impl FnOnce(&Path) -> Result<Running, String>,
) -> Result<Exit, Failure> {
    let data_dir = FreshDir::create(Clock::start()).map_err(|cause| Failure::other(&cause))?;
    let Running {
        issuer,
        ops,
        snapshot,
        shutdown,
    } = start(data_dir.path()).map_err(|cause| Failure::other(&cause))?;
    let (issuer_url, ops_url) = (format!("http://{issuer}"), format!("http://{ops}"));
    let played = files::announce(data_dir.path(), &issuer_url, &ops_url, &snapshot)
        .map_err(|cause| Failure::other(&cause))
        .and_then(|()| files::find(data_dir.path()).map_err(|cause| Failure::other(&cause)))
        .and_then(|server| {
            writeln!(
                out,
                "A server with an empty ledger, asked over signed HTTP at {issuer_url}."
            )
            .map_err(|cause| unwritten(&cause))?;
            play(&server, out, style)
        });
    let ended = shutdown().map_err(|cause| Failure::other(&cause));
    let summary = played?;
    ended?;
    if summary.surprise_count == 0 {
        Ok(Exit::Ok)
    } else {
        Ok(Exit::Other)
    }
}

/// Plays the story against a running server.
///
/// # Errors
/// [`Failure`] where it could not be played to its end.
pub(super) fn play(
    server: &Whereabouts,
    out: &mut dyn Write,
    style: Style,
) -> Result<Summary, Failure> {
    let cards = Cards::read(&server.snapshot, SANDBOX_NAME).map_err(|e| Failure::other(&e))?;
    let mut sandbox = sandbox_at(server);
    let tell = |told: story::Told<'_>| page::told(out, style, &told);
    let playing = story::play(&mut sandbox, &cards, tell);
    let summary = runtime()?
        .block_on(playing)
        .map_err(|e| Failure::other(&e))?;
    page::summary(out, style, &summary).map_err(|cause| unwritten(&cause))?;
    Ok(summary)
}

pub(super) fn sandbox_at(server: &Whereabouts) -> Sandbox {
    Sandbox::new(
        server.issuer,
        server.ops,
        SANDBOX_NAME,
        server.keys.lithic.clone(),
        Clock::start_ahead(server.ahead_us),
    )
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::other(&format!("cannot start the runtime: {cause}")))
}

pub(super) fn unwritten(cause: &io::Error) -> Failure {
    Failure::other(&format!("cannot write: {cause}"))
}

/// A directory of this run alone. Dropping it removes it with all that is in it.
struct FreshDir(PathBuf);

impl FreshDir {
    fn create(clock: Clock) -> Result<Self, String> {
        let name = format!(
            "countersign-demo-{}-{}",
            std::process::id(),
            clock.now().micros()
        );
        let path = std::env::temp_dir().join(name);
        // Not recursive: a directory that somebody else has made is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|cause| {
                format!("cannot create the directory `{}`: {cause}", path.display())
            })?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for FreshDir {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's temporary directory.
        drop(fs::remove_dir_all(&self.0));
    }
}

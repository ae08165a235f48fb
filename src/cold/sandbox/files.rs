//! What the sandbox keeps in the data directory, so that other processes can ask a running server.
//!
//! `sandbox/secret` and its two brothers are drawn once. `sandbox/snapshot.json` is written once and then the user's to
//! edit. `sandbox/state.json` says where the server that was started last listens; it stays when that
//! server ends, and whoever follows it finds nobody there.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::time::TimeFile;

/// The cards that a server starts with when it is given none.
pub const DEMO_SNAPSHOT: &str = include_str!("../../../fixtures/demo/snapshot.json");

const FOLDER: &str = "sandbox";
const SNAPSHOT_FILE: &str = "snapshot.json";
const STATE_FILE: &str = "state.json";

/// What a server needs to have a sandbox connection.
pub struct SandboxSetup {
    /// What its connections' requests are signed with.
    pub keys: Keys,
    /// The demo cards, as the user has edited them.
    pub snapshot_path: PathBuf,
}

/// Where a running server is, and what to sign with.
pub struct Whereabouts {
    /// Its issuers' listener.
    pub issuer: SocketAddr,
    /// Its operators' listener.
    pub ops: SocketAddr,
    /// The snapshot that it was started with.
    pub snapshot: PathBuf,
    /// The secrets of the sandbox's connections.
    pub keys: Keys,
    /// Where the sandbox keeps what it knows.
    pub folder: PathBuf,
    /// How far the server's time has been moved forward, in microseconds.
    pub ahead_us: i64,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    intent: &'static str,
    path: PathBuf,
    cause: String,
}

impl FileError {
    pub(super) fn new(intent: &'static str, path: &Path, cause: &impl fmt::Display) -> Self {
        Self {
            intent,
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            intent,
            path,
            cause,
        } = self;
        write!(f, "cannot {intent} `{}`: {cause}", path.display())
    }
}

impl std::error::Error for FileError {}

/// Why no running server is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// No server was ever started with a sandbox on this data directory.
    NeverStarted(PathBuf),
    /// What a server left there cannot be used.
    File(FileError),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverStarted(data_dir) => write!(
                f,
                "no server with a sandbox was started on the data directory `{}`; start \
                 `countersign serve` first, or name its --data-dir",
                data_dir.display()
            ),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NotFound {}

#[derive(Deserialize, Serialize)]
struct WireState {
    issuer: String,
    ops: String,
    snapshot: PathBuf,
}

/// Makes the sandbox's files where they are absent. The caller holds the data directory's lock.
///
/// # Errors
/// [`FileError`] names the file and what is wrong with it.
pub fn prepare(data_dir: &Path) -> Result<SandboxSetup, FileError> {
    let folder = data_dir.join(FOLDER);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|cause| FileError::new("create the directory", &folder, &cause))?;
    let keys = Keys::prepare(&folder)?;
    let snapshot_path = folder.join(SNAPSHOT_FILE);
    if !exists(&snapshot_path)? {
        replace(&snapshot_path, DEMO_SNAPSHOT.as_bytes(), 0o644)?;
    }
    Ok(SandboxSetup {
        keys,
        snapshot_path,
    })
}

/// Tells other processes where the server listens (`http://127.0.0.1:8700`) and which snapshot it
/// was started with. Call it when the server is ready.
///
/// # Errors
/// [`FileError`] names the file and what is wrong with it.
pub fn announce(
    data_dir: &Path,
    issuer_url: &str,
    ops_url: &str,
    snapshot: &Path,
) -> Result<(), FileError> {
    let path = data_dir.join(FOLDER).join(STATE_FILE);
    let fail = |cause: &dyn fmt::Display| FileError::new("write", &path, &cause.to_string());
    let state = WireState {
        issuer: issuer_url.to_owned(),
        ops: ops_url.to_owned(),
        snapshot: absolute(snapshot).map_err(|cause| fail(&cause))?,
    };
    let mut text = serde_json::to_string(&state).map_err(|cause| fail(&cause))?;
    text.push('\n');
    replace(&path, text.as_bytes(), 0o644)
}

/// Finds the server that was started last on `data_dir`.
///
/// # Errors
/// [`NotFound`] says what is missing.
pub fn find(data_dir: &Path) -> Result<Whereabouts, NotFound> {
    let path = data_dir.join(FOLDER).join(STATE_FILE);
    if !exists(&path).map_err(NotFound::File)? {
        return Err(NotFound::NeverStarted(data_dir.to_owned()));
    }
    read_state(&path)
        .and_then(|state| {
            let folder = data_dir.join(FOLDER);
            Ok(Whereabouts {
                issuer: address(&path, &state.issuer)?,
                ops: address(&path, &state.ops)?,
                snapshot: state.snapshot,
                keys: Keys::read(&folder)?,
                ahead_us: time_file(data_dir).ahead_s()?.saturating_mul(1_000_000),
                folder,
            })
        })
        .map_err(NotFound::File)
}

/// The file that says how far time was moved on this data directory.
#[must_use]
pub fn time_file(data_dir: &Path) -> TimeFile {
    TimeFile::in_folder(&data_dir.join(FOLDER))
}

fn read_state(path: &Path) -> Result<WireState, FileError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|cause| FileError::new("understand", path, &cause))
}

/// The address that a client connects to: one that means "every interface" is reached at this host.
fn address(path: &Path, url: &str) -> Result<SocketAddr, FileError> {
    let authority = url.strip_prefix("http://").unwrap_or(url);
    let parsed: Result<SocketAddr, _> = authority.trim_end_matches('/').parse();
    let mut address = parsed.map_err(|_no_address| {
        FileError::new("understand", path, &format!("`{url}` is no http address"))
    })?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    Ok(address)
}

pub(super) fn exists(path: &Path) -> Result<bool, FileError> {
    path.try_exists()
        .map_err(|cause| FileError::new("look for", path, &cause))
}

pub(super) fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|cause| FileError::new("read", path, &cause))
}

/// Puts the whole file in place, or leaves what was there.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |cause| FileError::new("write", path, &cause);
    let new = path.with_extension("new");
    // One that a crash has left behind may have other permissions.
    if exists(&new)? {
        fs::remove_file(&new).map_err(fail)?;
    }
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .map_err(fail)?;
    write_synced(opened, content).map_err(fail)?;
    fs::rename(&new, path).map_err(fail)
}

fn write_synced(mut file: File, content: &[u8]) -> std::io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

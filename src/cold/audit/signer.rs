//! Signed checkpoints, and the files that a log is held against: the signing key and its public half,
//! and the checkpoints once more, outside the database.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::Entry;
use super::line::{Checkpoint, Line, hex, unhex};
use crate::cold::store::{Change, Store, StoreError};
use crate::domain::time::Timestamp;

const KEY_FILE: &str = "audit.key";
const PUBLIC_FILE: &str = "audit.pub";
const CHECKPOINTS_FILE: &str = "audit.checkpoints";
/// Says what is signed.
const CHECKPOINT: &[u8] = b"countersign audit checkpoint 1\n";

/// A file that cannot be used.
#[derive(Debug)]
pub struct SignerError {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for SignerError {}

/// What a checkpoint says, in the order of names.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Covered {
    pub(super) at: String,
    pub(super) hash: String,
    /// What the checkpoint before it covers; 0 where it is the first.
    pub(super) previous: i64,
    pub(super) seq: i64,
}

/// Signs. Cannot be printed.
pub struct Signer {
    pair: Ed25519KeyPair,
    checkpoints: PathBuf,
}

/// What a log is held against.
pub struct Witness {
    /// Verifies signatures.
    pub key: [u8; 32],
    /// What each checkpoint that was written outside the database covers: the hash of that entry.
    pub noted: BTreeMap<i64, String>,
}

impl Signer {
    /// Reads the key of this folder, or draws one where there is none yet.
    ///
    /// # Errors
    /// [`SignerError`] where a file cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, SignerError> {
        let path = folder.join(KEY_FILE);
        let named = |cause| SignerError {
            path: path.clone(),
            cause,
        };
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let drawn = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                let drawn = drawn.map_err(|_none| named(io::Error::other("no randomness")))?;
                write_new(&path, drawn.as_ref()).map_err(named)?;
                drawn.as_ref().to_vec()
            }
            read => read.map_err(named)?,
        };
        let invalid = |_rejected| named(io::Error::other("is no signing key"));
        let pair = Ed25519KeyPair::from_pkcs8(&bytes).map_err(invalid)?;
        let public = folder.join(PUBLIC_FILE);
        if !public.exists() {
            let text = format!("{}\n", hex(pair.public_key().as_ref()));
            write_new(&public, text.as_bytes()).map_err(named)?;
        }
        let checkpoints = folder.join(CHECKPOINTS_FILE);
        Ok(Self { pair, checkpoints })
    }

    /// Signs that the chain ends in this entry.
    #[must_use]
    pub fn sign(&self, last: &Entry, previous: i64, now: Timestamp) -> Option<Checkpoint> {
        let covered = Covered {
            at: now.rfc3339().to_string(),
            hash: hex(&last.hash),
            previous,
            seq: last.seq,
        };
        let text = serde_json::to_string(&covered).ok()?;
        let signature = self.pair.sign(&signed(&text));
        Some(Checkpoint {
            seq: last.seq,
            signature: signature.as_ref().try_into().ok()?,
            text,
        })
    }

    /// Signs what no checkpoint covers yet, and keeps that in the database and outside of it.
    ///
    /// # Errors
    /// [`StoreError`] where either cannot be written.
    pub async fn cover(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let previous = store.audit_covered().await?;
        let last = store.audit_last().await?;
        let last = last.filter(|last| last.seq > previous);
        let Some(checkpoint) = last.and_then(|last| self.sign(&last, previous, now)) else {
            return Ok(());
        };
        store
            .apply(vec![Change::Checkpoint(checkpoint.clone())])
            .await?;
        tracing::info!(
            seq = checkpoint.seq,
            statement = checkpoint.text,
            "audit checkpoint"
        );
        let noted = self.note(&checkpoint);
        noted.map_err(|error| StoreError::Fault(format!("the file of checkpoints: {error}")))
    }

    /// Writes a checkpoint outside the database, durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn note(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.checkpoints)?;
        file.write_all(format!("{}\n", Line::from(checkpoint).write()).as_bytes())?;
        file.sync_all()
    }
}

impl Witness {
    /// Of the files of a folder.
    ///
    /// # Errors
    /// [`SignerError`] where they cannot be read, or are no such files.
    pub fn read(folder: &Path) -> Result<Self, SignerError> {
        let (public, checkpoints) = (folder.join(PUBLIC_FILE), folder.join(CHECKPOINTS_FILE));
        let failed = |path: &Path, cause| SignerError {
            path: path.to_owned(),
            cause,
        };
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let text = fs::read_to_string(&public).map_err(|error| failed(&public, error))?;
        let key = unhex(text.trim_end());
        let key = key.ok_or_else(|| failed(&public, invalid("is no public key")))?;
        let noted = match fs::read_to_string(&checkpoints) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| failed(&checkpoints, error))?,
        };
        // Its last line may be half of one, where the machine stopped in the middle.
        let whole = noted.rsplit_once('\n').map_or("", |(whole, _half)| whole);
        let mut all = BTreeMap::new();
        for line in whole.lines() {
            let covered = match Line::read(line) {
                Some(Line::Checkpoint(text, signature)) => covered(&key, &text, &signature),
                Some(Line::Entry(..)) | None => None,
            };
            let covered = covered.ok_or_else(|| {
                failed(&checkpoints, invalid("has a line that was not signed so"))
            })?;
            // Who cuts or writes anew what was signed has the next one signed over something older.
            let before = all.last_key_value().map_or(0, |(seq, _)| *seq);
            if covered.seq <= before || covered.previous < before {
                let why = "has a line that does not follow the one before it";
                return Err(failed(&checkpoints, invalid(why)));
            }
            all.insert(covered.seq, covered.hash);
        }
        Ok(Self { key, noted: all })
    }
}

/// What a checkpoint says, where its signature is good and its form the one.
pub(super) fn covered(key: &[u8; 32], text: &str, signature: &[u8; 64]) -> Option<Covered> {
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(&signed(text), signature).ok()?;
    serde_json::from_str(text).ok()
}

fn signed(text: &str) -> Vec<u8> {
    [CHECKPOINT, text.as_bytes()].concat()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened?;
    file.write_all(bytes)?;
    file.sync_all()
}

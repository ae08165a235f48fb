//! Issuers' keys at rest: each sealed with a key of its own, and that one wrapped by a master key that
//! is not in the database. A copy of the database alone opens nothing.
//!
//! XChaCha20-Poly1305 both times, under nonces drawn by chance. What is sealed is bound to its
//! connection, what is wrapped also to the master key's name, so that no row opens in another's place.
//! Another master key needs only the small keys wrapped again; until that is done for all of them,
//! both are kept, so that a crash in the middle loses nothing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use crate::cold::audit::{self, Event};
use crate::cold::store::outward::SealedRow;
use crate::cold::store::{Batch, Change, Store, StoreError};
use crate::domain::time::Timestamp;

const PREFIX: &str = "csk_";
const KEY_SIZE: usize = 32;
const ID_SIZE: usize = 4;
const NONCE_SIZE: usize = 24;
const KEYS_MAX: usize = 16;
/// More than any issuer's key.
pub const SECRET_LEN_MAX: usize = 4_096;
/// Only its owner reads it.
const FILE_MODE: u32 = 0o600;
/// Rows that are wrapped anew in one transaction, which one entry of the audit log tells of.
const REWRAPPED_TOGETHER: usize = 50;

type Key = SecretBox<[u8; KEY_SIZE]>;

/// Why nothing is sealed or opened. Says nothing of what is inside.
#[derive(Debug)]
pub enum SealError {
    /// The text is no list of master keys.
    NoKeys(&'static str),
    /// The file of the master keys cannot be used.
    File(PathBuf, io::Error),
    /// The system gives no randomness.
    Chance,
    /// The row was wrapped by a master key that is not here.
    Unknown(String),
    /// The row does not open: it was altered, or is another's.
    Altered(String),
    /// The database has no answer.
    Store(StoreError),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeys(why) => write!(f, "the master keys: {why}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Chance => f.write_str("the system gives no randomness"),
            Self::Unknown(connection) => write!(
                f,
                "the key of connection `{connection}` is sealed under a master key that is not here"
            ),
            Self::Altered(connection) => write!(
                f,
                "the sealed key of connection `{connection}` does not open: it was altered"
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SealError {}

impl SealError {
    /// For the audit log, which repeats nothing of a file or a row.
    fn word(&self) -> &'static str {
        match self {
            Self::NoKeys(_) => "no master keys",
            Self::File(..) => "the file of the master keys cannot be used",
            Self::Chance => "no randomness",
            Self::Unknown(_) => "a row is sealed under a master key that is not here",
            Self::Altered(_) => "a sealed row was altered",
            Self::Store(_) => "the database has no answer",
        }
    }
}

struct MasterKey {
    id: String,
    key: Key,
}

/// The keys that wrap; the first one wraps from now on. Cannot be printed.
pub struct MasterKeys(Vec<MasterKey>);

impl MasterKey {
    fn draw() -> Result<Self, SealError> {
        let mut id = [0; ID_SIZE];
        fill(&mut id)?;
        Ok(Self {
            id: hex(&id),
            key: draw_key()?,
        })
    }

    fn parse(line: &str) -> Option<Self> {
        let (id, key) = line.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = id.len() == ID_SIZE * 2 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes: [u8; KEY_SIZE] = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
        is_id.then(|| Self {
            id: id.to_owned(),
            key: Key::new(Box::new(bytes)),
        })
    }

    fn text(&self) -> String {
        let key = URL_SAFE_NO_PAD.encode(self.key.expose_secret());
        format!("{PREFIX}{}_{key}", self.id)
    }
}

impl MasterKeys {
    /// One key, drawn by chance.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn draw() -> Result<Self, SealError> {
        Ok(Self(vec![MasterKey::draw()?]))
    }

    /// Of texts, each with one key a line; the first of all wraps from now on.
    ///
    /// # Errors
    /// [`SealError::NoKeys`], which repeats nothing of them.
    pub fn of_texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, SealError> {
        let mut keys = Vec::new();
        let lines = texts.into_iter().flat_map(str::lines).map(str::trim);
        for line in lines.filter(|line| !line.is_empty()) {
            let wrong = "each line must be one that `countersign keys new` has made";
            keys.push(MasterKey::parse(line).ok_or(SealError::NoKeys(wrong))?);
        }
        match keys.len() {
            0 => Err(SealError::NoKeys("there is none")),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(SealError::NoKeys("there are more than 16")),
        }
    }

    /// Of a file.
    ///
    /// # Errors
    /// [`SealError`] where it is absent or no list of keys.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let text = fs::read_to_string(path).map(SecretString::from);
        let text = text.map_err(|error| SealError::File(path.to_owned(), error))?;
        Self::of_texts([text.expose_secret()])
    }

    /// As a text, to be kept where nobody else reads it.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let lines = self.0.iter().map(|key| key.text() + "\n");
        SecretString::from(lines.collect::<String>())
    }

    /// Puts them into a file that only its owner reads, whole or not at all.
    ///
    /// # Errors
    /// [`SealError::File`]; what was there before is there still.
    pub fn write(&self, path: &Path) -> Result<(), SealError> {
        let beside = path.with_extension("new");
        let written = || {
            // What a crash has left there is nobody's.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut options = OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(FILE_MODE);
            let mut file = opened.open(&beside)?;
            file.write_all(self.text().expose_secret().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        };
        written().map_err(|error| SealError::File(path.to_owned(), error))
    }

    /// Seals a connection's secret.
    ///
    /// # Errors
    /// [`SealError`] where there is no randomness or no key.
    pub fn seal(
        &self,
        connection: &str,
        secret: &SecretString,
        now: Timestamp,
    ) -> Result<SealedRow, SealError> {
        let own = draw_key()?;
        let text = secret.expose_secret().as_bytes();
        let sealed = encrypt(&own, &bound("sealed", connection, ""), text)?;
        let (master_id, wrapped) = self.wrap(connection, &own)?;
        Ok(SealedRow {
            connection: connection.to_owned(),
            master_id,
            wrapped,
            sealed,
            set_at: now,
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`SealError::Unknown`] or [`SealError::Altered`].
    pub fn open(&self, row: &SealedRow) -> Result<SecretString, SealError> {
        let altered = || SealError::Altered(row.connection.clone());
        let own = self.unwrap(row)?;
        let bound = bound("sealed", &row.connection, "");
        let bytes = decrypt(&own, &bound, &row.sealed).ok_or_else(altered)?;
        let text = String::from_utf8(bytes).map_err(|_bytes| altered())?;
        Ok(SecretString::from(text))
    }

    /// The same row, wrapped by the first key; none where it is already.
    ///
    /// # Errors
    /// As [`MasterKeys::open`].
    pub fn rewrap(&self, row: &SealedRow) -> Result<Option<SealedRow>, SealError> {
        if self
            .0
            .first()
            .is_some_and(|first| first.id == row.master_id)
        {
            // A row that claims to be the first key's and does not open is told, not passed over.
            self.unwrap(row)?;
            return Ok(None);
        }
        let own = self.unwrap(row)?;
        let (master_id, wrapped) = self.wrap(&row.connection, &own)?;
        Ok(Some(SealedRow {
            master_id,
            wrapped,
            ..row.clone()
        }))
    }

    fn wrap(&self, connection: &str, own: &Key) -> Result<(String, Vec<u8>), SealError> {
        let first = self.0.first().ok_or(SealError::NoKeys("there is none"))?;
        let bound = bound("wrapped", connection, &first.id);
        let wrapped = encrypt(&first.key, &bound, own.expose_secret())?;
        Ok((first.id.clone(), wrapped))
    }

    fn unwrap(&self, row: &SealedRow) -> Result<Key, SealError> {
        let mut keys = self.0.iter();
        let master = keys.find(|key| key.id == row.master_id);
        let master = master.ok_or_else(|| SealError::Unknown(row.connection.clone()))?;
        let bound = bound("wrapped", &row.connection, &row.master_id);
        let own = decrypt(&master.key, &bound, &row.wrapped);
        let own = own.and_then(|own| <[u8; KEY_SIZE]>::try_from(own).ok());
        let own = own.ok_or_else(|| SealError::Altered(row.connection.clone()))?;
        Ok(Key::new(Box::new(own)))
    }

    /// A new first key in front of these.
    ///
    /// # Errors
    /// Where the system gives no randomness, or there are too many keys.
    pub fn with_new(mut self) -> Result<Self, SealError> {
        if self.0.len() >= KEYS_MAX {
            return Err(SealError::NoKeys("there are 16 already"));
        }
        self.0.insert(0, MasterKey::draw()?);
        Ok(self)
    }

    /// The first key alone.
    #[must_use]
    pub fn first_alone(mut self) -> Self {
        self.0.truncate(1);
        self
    }
}

/// Whether others than its owner can read the file of the master keys.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0)
}

/// A command that changes what is sealed, and tells the audit log of it.
pub struct Told<'s> {
    /// The rows.
    pub store: &'s dyn Store,
    /// What it is called.
    pub action: &'static str,
    /// When it was asked for.
    pub at: Timestamp,
}

impl Told<'_> {
    /// Seals a connection's secret in place of the one that was there.
    ///
    /// # Errors
    /// [`SealError`] where it is not kept.
    pub async fn set(
        &self,
        keys: &MasterKeys,
        connection: &str,
        secret: &SecretString,
    ) -> Result<(), SealError> {
        let row = keys.seal(connection, secret, self.at)?;
        let made = audit::sealed(&row, "set");
        self.keep(vec![Change::Sealed(row)], vec![made]).await
    }

    /// Wraps every row by the first key: some at a time, so that whatever stops it leaves each row
    /// open to one of the keys. How many were wrapped anew. What has failed is told, too.
    ///
    /// # Errors
    /// [`SealError`] of the first row that cannot be.
    pub async fn rewrap_all(&self, keys: &MasterKeys) -> Result<usize, SealError> {
        let done = match self.rewrap(keys).await {
            Ok(0) => self.keep(Batch::new(), Vec::new()).await.map(|()| 0),
            done => done,
        };
        self.ended(done).await
    }

    /// Puts a new key in front, wraps every row by it, and takes the others away, in this order: at
    /// each moment the file has the key of every row. What has failed is told, too.
    ///
    /// # Errors
    /// [`SealError`]; it can be run again.
    pub async fn rotate(&self, path: &Path) -> Result<usize, SealError> {
        let done = self.exchange(path).await;
        self.ended(done).await
    }

    async fn exchange(&self, path: &Path) -> Result<usize, SealError> {
        let keys = MasterKeys::read(path)?.with_new()?;
        keys.write(path)?;
        let mut ids = keys.0.iter().map(|key| key.id.clone());
        let new = ids.next().unwrap_or_default();
        let old: Vec<String> = ids.collect();
        let made = vec![audit::master_key(&new, "made")];
        self.keep(Batch::new(), made).await?;
        let count = self.rewrap(&keys).await?;
        keys.first_alone().write(path)?;
        let gone = old.iter().map(|id| audit::master_key(id, "removed"));
        self.keep(Batch::new(), gone.collect()).await?;
        Ok(count)
    }

    async fn rewrap(&self, keys: &MasterKeys) -> Result<usize, SealError> {
        let mut count = 0;
        let rows = self.store.sealed().await.map_err(SealError::Store)?;
        for rows in rows.chunks(REWRAPPED_TOGETHER) {
            let rewrapped = rows.iter().filter_map(|row| keys.rewrap(row).transpose());
            let rewrapped: Vec<SealedRow> = rewrapped.collect::<Result<_, _>>()?;
            if rewrapped.is_empty() {
                continue;
            }
            count += rewrapped.len();
            let made = rewrapped.iter().map(|row| audit::sealed(row, "rewrapped"));
            let made = made.collect();
            let rows = rewrapped.into_iter().map(Change::Sealed);
            self.keep(rows.collect(), made).await?;
        }
        Ok(count)
    }

    /// With its entry in the audit log, both or neither.
    async fn keep(&self, mut batch: Batch, changes: Vec<audit::Made>) -> Result<(), SealError> {
        let event = Event::of_command(self.at, self.action, changes, "ok");
        batch.push(Change::Audit(event));
        self.store.apply(batch).await.map_err(SealError::Store)
    }

    async fn ended(&self, done: Result<usize, SealError>) -> Result<usize, SealError> {
        if let Err(error) = &done {
            let event = Event::of_command(self.at, self.action, Vec::new(), error.word());
            let told = self.store.apply(vec![Change::Audit(event)]).await;
            if let Err(untold) = told {
                tracing::error!(%untold, "the audit log is not told of what has failed");
            }
        }
        done
    }
}

/// What a ciphertext is bound to. Lengths keep the parts apart.
fn bound(purpose: &str, connection: &str, id: &str) -> Vec<u8> {
    format!(
        "countersign {purpose} {} {connection} {id}",
        connection.len()
    )
    .into_bytes()
}

/// The nonce, and what is encrypted under it.
fn encrypt(key: &Key, bound: &[u8], message: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_SIZE];
    fill(&mut nonce)?;
    let cipher = XChaCha20Poly1305::new(key.expose_secret().into());
    let payload = Payload {
        msg: message,
        aad: bound,
    };
    let encrypted = cipher.encrypt(&XNonce::from(nonce), payload);
    // The cipher fails only where the message is larger than memory.
    let encrypted = encrypted.map_err(|_too_long| SealError::NoKeys("the text is too long"))?;
    Ok([nonce.as_slice(), &encrypted].concat())
}

fn decrypt(key: &Key, bound: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let (nonce, encrypted) = bytes.split_at_checked(NONCE_SIZE)?;
    let nonce: [u8; NONCE_SIZE] = nonce.try_into().ok()?;
    let cipher = XChaCha20Poly1305::new(key.expose_secret().into());
    let payload = Payload {
        msg: encrypted,
        aad: bound,
    };
    cipher.decrypt(&XNonce::from(nonce), payload).ok()
}

fn draw_key() -> Result<Key, SealError> {
    let mut bytes = Box::new([0; KEY_SIZE]);
    fill(&mut *bytes)?;
    Ok(Key::new(bytes))
}

fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|_error| SealError::Chance)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;

//! What `countersign init` makes: the database, the secret of its hashes, a customer, an owner's key.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::cold::api::{NAME_RULE, is_name};
use crate::cold::audit::signer::Signer;
use crate::cold::audit::{self, Event, Who};
use crate::cold::ids::draw;
use crate::cold::seal::{MasterKeys, SealError};
use crate::cold::store::postgres::own::{Hold, NotOwned};
use crate::cold::store::versions::Versions;
use crate::cold::store::{
    ApiKey, Change, Customer, Fleet, Listed, Mode, Scope, Store, StoreError, postgres, sqlite,
};
use crate::cold::tokens::{self, SecretFileError, TokenSecret};
use crate::config::CONTROL_DATABASE;
use crate::decide::compile::compile_zone;
use crate::decide::policy::Cascade;
use crate::domain::card::CustomerStatus;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// Beside the database, in a file of its own.
const SECRET_FILE: &str = "token.secret";
const MASTER_FILE: &str = "master.key";
/// Where the system tells the machine's name.
const MACHINE: &str = "/proc/sys/kernel/hostname";

/// Where the control plane keeps its files.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    database: Database,
}

/// Where the rows are.
#[derive(Clone, Debug)]
enum Database {
    File(PathBuf),
    Server(SecretString),
}

/// The control plane's files, open.
pub struct Opened {
    /// The rows.
    pub store: Arc<dyn Store>,
    /// The key of the hashes.
    pub secret: TokenSecret,
    /// Signs the audit log.
    pub signer: Signer,
    /// Tells whether the rows are still this process's; absent where nobody else can have them.
    pub hold: Option<Hold>,
}

/// Rows, and whether they are this process's.
type Rows = (Arc<dyn Store>, Option<Hold>);

/// What is wanted.
pub struct Wanted {
    /// Whether the first customer is for trying things out.
    pub mode: Mode,
    /// What the customer is called.
    pub name: Option<String>,
    /// In which zone his days begin.
    pub timezone: String,
    /// What his limits are in.
    pub currency: Currency,
    /// Only another owner's key, where there is a customer already.
    pub only_key: bool,
}

/// What was made.
pub struct Made {
    /// Absent where only a key was made.
    pub customer_id: Option<String>,
    /// The text of the key, to be shown once.
    pub key: SecretString,
}

/// Why nothing was made.
#[derive(Debug)]
pub enum InitError {
    /// There is a customer already, and another one was not asked for.
    Done,
    /// There is no database yet, and only a key was asked for.
    NotDone,
    /// The customer's name is none.
    Name,
    /// No zone of the IANA database has this name.
    Timezone(String),
    /// The system gives no file or no randomness.
    Io(PathBuf, io::Error),
    /// The secret's file cannot be used.
    Secret(SecretFileError),
    /// A file of the audit log's cannot be used.
    Signer(audit::signer::SignerError),
    /// The master key cannot be used.
    Seal(SealError),
    /// The database cannot be used.
    Store(StoreError),
    /// Another process works on the database: which.
    Taken(String),
    /// The database has keys, and the secret that they are hashed with is elsewhere.
    NoSecret(PathBuf),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str(
                "the data directory has a customer already; `countersign init --new-key` makes \
                 another owner's key",
            ),
            Self::NotDone => f.write_str(
                "the data directory has no customer yet; `countersign init` makes one, and a key",
            ),
            Self::Name => write!(f, "--name: {NAME_RULE}"),
            Self::Timezone(name) => {
                write!(f, "--timezone: `{name}` is no zone of the IANA database")
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Secret(error) => error.fmt(f),
            Self::Signer(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Taken(whose) => f.write_str(whose),
            Self::NoSecret(path) => write!(
                f,
                "{}: is not there, and keys are hashed with it; `countersign init` makes it \
                 together with the first customer, and every other data directory of the same \
                 database needs a copy of it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for InitError {}

impl Place {
    /// With this data directory, and the database of this address or else a file in the directory.
    #[must_use]
    pub fn of(data_dir: &Path, address: Option<&SecretString>) -> Self {
        let file = data_dir.join(CONTROL_DATABASE);
        let folder = file.parent().unwrap_or(data_dir).to_owned();
        let database = match address {
            Some(address) => Database::Server(address.clone()),
            None => Database::File(file),
        };
        Self { folder, database }
    }

    /// Whether rows are to be had: an address was given, or the file is there.
    #[must_use]
    pub fn is_named(&self) -> bool {
        match &self.database {
            Database::File(path) => path.exists(),
            Database::Server(_) => true,
        }
    }

    /// The folder of the control plane's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn secret_file(&self) -> PathBuf {
        self.folder.join(SECRET_FILE)
    }

    /// Opens what is there, for whoever changes rows. The caller holds the data directory's lock; a
    /// database elsewhere is this process's until the store is closed.
    ///
    /// # Errors
    /// [`InitError`] names the file, or the database.
    pub async fn own(&self) -> Result<Opened, InitError> {
        let (secret, signer) = self.files()?;
        let (store, hold) = self.own_rows().await?;
        Ok(Opened {
            store,
            secret,
            signer,
            hold,
        })
    }

    /// Opens the rows of what is there, for whoever only looks: beside a server, too.
    ///
    /// # Errors
    /// [`InitError`] names the file, or the database.
    pub async fn look(&self) -> Result<Arc<dyn Store>, InitError> {
        self.files()?;
        let opened = match &self.database {
            Database::File(path) => sqlite::open(path).await,
            Database::Server(address) => postgres::open(address).await,
        };
        opened.map_err(InitError::Store)
    }

    /// The key of the hashes: whoever has it can read the data directory.
    ///
    /// # Errors
    /// [`InitError`] names the file.
    pub fn secret(&self) -> Result<TokenSecret, InitError> {
        let path = self.secret_file();
        if !path.exists() {
            return Err(InitError::NoSecret(path));
        }
        TokenSecret::read(&path).map_err(InitError::Secret)
    }

    fn files(&self) -> Result<(TokenSecret, Signer), InitError> {
        let secret = self.secret()?;
        let signer = Signer::open(&self.folder).map_err(InitError::Signer)?;
        Ok((secret, signer))
    }

    /// The file of the master keys.
    #[must_use]
    pub fn master_path(&self) -> PathBuf {
        self.folder.join(MASTER_FILE)
    }

    /// The master keys: those that the configuration names, else those of the file.
    ///
    /// # Errors
    /// [`SealError`] where there are none.
    pub fn master_keys(&self, named: &[SecretString]) -> Result<MasterKeys, SealError> {
        if named.is_empty() {
            return MasterKeys::read(&self.master_path());
        }
        MasterKeys::of_texts(named.iter().map(|text| text.expose_secret()))
    }

    /// The same; where there is no file yet and nothing was sealed, one is made.
    ///
    /// # Errors
    /// [`SealError`] where there are none and none can be made.
    pub async fn master_keys_or_new(
        &self,
        named: &[SecretString],
        store: &dyn Store,
    ) -> Result<MasterKeys, SealError> {
        let is_first = named.is_empty()
            && !self.master_path().exists()
            && store.sealed().await.map_err(SealError::Store)?.is_empty();
        if is_first {
            MasterKeys::draw()?.write(&self.master_path())?;
        }
        self.master_keys(named)
    }

    async fn own_rows(&self) -> Result<Rows, InitError> {
        match &self.database {
            Database::File(path) => {
                let store = sqlite::open(path).await.map_err(InitError::Store)?;
                Ok((store, None))
            }
            Database::Server(address) => {
                let owned = postgres::own(address, &self.named_for_others()).await;
                let (store, hold) = owned.map_err(|error| match error {
                    NotOwned::Taken(whose) => InitError::Taken(whose),
                    NotOwned::Store(error) => InitError::Store(error),
                })?;
                Ok((store, Some(hold)))
            }
        }
    }

    /// What whoever is refused is told: which machine and directory has the database.
    fn named_for_others(&self) -> String {
        format!("{}, process {}", self.for_people(), std::process::id())
    }

    /// Which data directory of which machine it is.
    #[must_use]
    pub fn for_people(&self) -> String {
        let folder = fs::canonicalize(&self.folder).unwrap_or_else(|_gone| self.folder.clone());
        let data_dir = folder.parent().unwrap_or(&folder).display().to_string();
        let machine = fs::read_to_string(MACHINE).unwrap_or_default();
        match machine.trim() {
            "" => format!("the data directory {data_dir}"),
            name => format!("the data directory {data_dir} of {name}"),
        }
    }

    /// The secret first: a file of rows is never there without it. Where the rows are elsewhere, they
    /// may be there already, with another secret.
    async fn create(&self) -> Result<Opened, InitError> {
        let folder = &self.folder;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| InitError::Io(folder.clone(), error))?;
        let path = self.secret_file();
        if path.exists() {
            return self.own().await;
        }
        let elsewhere = match self.database {
            Database::Server(_) => Some(self.own_rows().await?),
            Database::File(_) => None,
        };
        if let Some((store, _)) = &elsewhere {
            let has_customer = has_customer(&**store).await.map_err(InitError::Store);
            if has_customer? {
                return Err(InitError::NoSecret(path));
            }
        }
        let secret = TokenSecret::create(&path).map_err(InitError::Secret)?;
        let signer = Signer::open(&self.folder).map_err(InitError::Signer)?;
        let (store, hold) = match elsewhere {
            Some(rows) => rows,
            None => self.own_rows().await?,
        };
        Ok(Opened {
            store,
            secret,
            signer,
            hold,
        })
    }

    /// Makes a customer and an owner's key, or the key alone. The caller holds the data directory's
    /// lock.
    ///
    /// # Errors
    /// [`InitError`] where nothing was made.
    pub async fn init(&self, wanted: Wanted, now: Timestamp) -> Result<Made, InitError> {
        if wanted.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(InitError::Name);
        }
        if compile_zone(&wanted.timezone).is_none() {
            return Err(InitError::Timezone(wanted.timezone));
        }
        if wanted.only_key && !self.is_named() {
            return Err(InitError::NotDone);
        }
        let opened = self.create().await?;
        let sealing = self.master_keys_or_new(&[], &*opened.store).await;
        sealing.map_err(InitError::Seal)?;
        let made = self.fill(&opened, wanted, now).await;
        // What was committed is there, however this ends.
        let _closed = opened.store.close().await;
        made
    }

    async fn fill(
        &self,
        opened: &Opened,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Made, InitError> {
        let has_customer = has_customer(&*opened.store).await;
        let has_customer = has_customer.map_err(InitError::Store)?;
        match (has_customer, wanted.only_key) {
            (true, false) => return Err(InitError::Done),
            (false, true) => return Err(InitError::NotDone),
            (true, true) | (false, false) => {}
        }
        let no_key = |error| InitError::Io(self.folder.clone(), error);
        let key = tokens::draw(wanted.mode).map_err(no_key)?;
        let hash = opened.secret.hash_of_key(key.expose_secret());
        let hash = hash.ok_or_else(|| no_key(io::Error::other("no lawful key")))?;
        let customer = (!wanted.only_key).then(|| customer(&wanted, now));
        let customer_id = customer.as_ref().map(|row| row.id.clone());
        let mut batch: Vec<Change> = customer.into_iter().map(Change::Customer).collect();
        batch.push(Change::ApiKey(owner_key(wanted.mode, now), hash));
        let event = Event {
            at: now,
            mode: Some(wanted.mode),
            who: Who::CommandLine,
            action: "init".to_owned(),
            changes: audit::made(&batch),
            from: None,
            request_id: None,
            outcome: "done".to_owned(),
        };
        batch.push(Change::Audit(event));
        let kept = opened.store.apply(batch).await;
        kept.map_err(InitError::Store)?;
        Ok(Made { customer_id, key })
    }
}

async fn has_customer(store: &dyn Store) -> Result<bool, StoreError> {
    for mode in [Mode::Test, Mode::Live] {
        let listed = Listed {
            mode,
            customer_id: None,
            agent_id: None,
            after: None,
            limit: 1,
        };
        if !store.customers(listed).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn customer(wanted: &Wanted, now: Timestamp) -> Customer {
    Customer {
        id: draw("cus", now),
        mode: wanted.mode,
        external_id: None,
        name: wanted.name.clone(),
        status: CustomerStatus::Active,
        timezone: wanted.timezone.clone(),
        currency: wanted.currency,
        cascade: Cascade::default(),
        fleet: Fleet::default(),
        alerts: None,
        policy: None,
        versions: Versions::default(),
        created_at: now,
        revision: 0,
    }
}

/// A key that reaches every customer of its mode.
fn owner_key(mode: Mode, now: Timestamp) -> ApiKey {
    ApiKey {
        id: draw("key", now),
        mode,
        scope: Scope::Owner,
        customer_id: None,
        agent_id: None,
        name: Some("made by countersign init".to_owned()),
        created_at: now,
        revoked_at: None,
        revision: 0,
    }
}

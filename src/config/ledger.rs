//! Where holds and limits are kept: in the data directory, or in a Redis that several nodes share. Its
//! address may hold a password, so that it is a secret from the first byte on.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::{CONTROL_DATABASE, Config, ConfigError, read_root};

const FLAG: &str = "--ledger";
const CA_FLAG: &str = "--ledger-ca";
/// How an address begins, in the open and under TLS.
const OPEN: &str = "redis://";
const TLS: &str = "rediss://";
/// The same, of sentinels, which say where the server is.
const SENTINELS: [&str; 2] = ["redis+sentinel://", "rediss+sentinel://"];

/// The same, of servers of a cluster.
const CLUSTERS: [&str; 2] = ["redis+cluster://", "rediss+cluster://"];

/// The journal of a ledger of one process's own, in its data directory.
pub const OWN_JOURNAL: &str = "journal";
/// What one process has learned of a log that several nodes share.
pub const SHARED_JOURNAL: &str = "shared-journal";

/// One process's own copy of the log that several nodes share, from which a Redis that lost it is repaired.
pub const SHARED_COPY: &str = "shared-log";

/// What one process approved while that log did not answer, until the log has it.
pub const SHARED_STAND_IN: &str = "shared-stand-in";

/// The journal that a data directory holds, of whichever ledger; where there is none, the place of one
/// process's own.
#[must_use]
pub fn journal_of(data_dir: &Path) -> PathBuf {
    let shared = data_dir.join(SHARED_JOURNAL);
    if shared.exists() {
        shared
    } else {
        data_dir.join(OWN_JOURNAL)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub enum LedgerStore {
    /// In the data directory.
    #[default]
    Embedded,
    /// In a Redis.
    Shared(SharedStore),
}

/// The Redis that several nodes share.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// `redis://…`, `rediss://…` or the same of sentinels or a cluster, if it is a good one.
    address: SecretString,
    /// Where the root of its certificate is, if that is none of the public ones.
    ca: Option<PathBuf>,
}

impl LedgerStore {
    /// The store of this word, or at this address. What is wrong with an address is told later, without
    /// repeating it: whoever reads a command line repeats what is refused there.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "embedded" => Self::Embedded,
            address => Self::Shared(SharedStore {
                address: address.to_owned().into(),
                ca: None,
            }),
        }
    }

    /// The same, whose certificate comes from the root in this file.
    ///
    /// # Errors
    /// Where there is no certificate to look at.
    pub fn with_ca(self, ca: Option<PathBuf>) -> Result<Self, ConfigError> {
        match self {
            Self::Shared(store) if store.is_tls() || ca.is_none() => {
                Ok(Self::Shared(SharedStore { ca, ..store }))
            }
            Self::Embedded if ca.is_none() => Ok(Self::Embedded),
            Self::Shared(_) | Self::Embedded => Err(ConfigError::new(
                CA_FLAG,
                "is of no use without TLS: --ledger rediss://HOST:PORT",
            )),
        }
    }

    /// The root certificate that was named, in PEM form.
    ///
    /// # Errors
    /// Where its file cannot be read or holds none.
    pub fn root(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let ca = match self {
            Self::Shared(store) => store.ca.as_deref(),
            Self::Embedded => None,
        };
        let read = ca.map(read_root).transpose();
        read.map_err(|message| ConfigError::new(CA_FLAG, message))
    }

    /// The address of the Redis that nodes share.
    ///
    /// # Errors
    /// Where it is of no form that this version can use.
    pub fn address(&self) -> Result<Option<&str>, ConfigError> {
        let Self::Shared(store) = self else {
            return Ok(None);
        };
        let address = store.address.expose_secret();
        let begins = |prefix: &&str| address.strip_prefix(*prefix);
        let of_sentinels = SENTINELS.iter().find_map(begins);
        let of_cluster = CLUSTERS.iter().find_map(begins);
        let of_server = || [OPEN, TLS].iter().find_map(begins);
        if let Some(rest) = of_sentinels.or(of_cluster).or_else(of_server) {
            let (login, behind) = match rest.rsplit_once('@') {
                Some((login, behind)) => (Some(login), behind),
                None => (None, rest),
            };
            let password = |login: &str| login.split_once(':').map(|(_user, it)| it.is_empty());
            // Without one nothing would be sent of the user either, and the connection would be anybody's.
            if login.is_some_and(|it| password(it).unwrap_or(true)) {
                let message = "names no password: redis://:PASSWORD@HOST:PORT or \
                               redis://USER:PASSWORD@HOST:PORT; without both there is no `@`";
                return Err(ConfigError::new(FLAG, message));
            }
            if of_sentinels.is_some() {
                return Ok(Some(address));
            }
            // What is armed is armed for the whole server, and another database of it would be another ledger.
            let is_server = behind
                .split_once(['/', '?', '#'])
                .is_none_or(|(_, it)| it.is_empty());
            if is_server && !behind.contains(['?', '#']) {
                return Ok(Some(address));
            }
            let message = "must end behind the port: redis://HOST:PORT, without a database and parameters. In a \
                           password `/`, `?`, `#` and `@` are written %2F, %3F, %23 and %40";
            return Err(ConfigError::new(FLAG, message));
        }
        let message = "must be `embedded`, redis://HOST:PORT, rediss://HOST:PORT, \
                       redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT,HOST:PORT";
        Err(ConfigError::new(FLAG, message))
    }
}

impl SharedStore {
    fn is_tls(&self) -> bool {
        self.address.expose_secret().starts_with("rediss")
    }
}

/// The store that was named, or the one of this process alone.
pub(super) fn store(
    named: Option<LedgerStore>,
    ca: Option<PathBuf>,
) -> Result<LedgerStore, ConfigError> {
    named.unwrap_or_default().with_ca(ca)
}

/// Refuses what does not go together with a log that several nodes share.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.ledger.address()?.is_none() {
        return Ok(());
    }
    config.ledger.root()?;
    let refuse = |message: &str| Err(ConfigError::new(FLAG, message));
    match (&config.snapshot, &config.database) {
        (Some(_), Some(_)) => refuse(
            "with redis:// cards and policies come from a file (--snapshot) or from PostgreSQL \
             (--database): name one of them",
        ),
        (None, None) => refuse(
            "with redis:// cards and policies come from a file, named with --snapshot, or from PostgreSQL, \
             named with --database",
        ),
        (None, Some(_)) => Ok(()),
        (Some(_), None) if config.data_dir.join(CONTROL_DATABASE).exists() => refuse(
            "redis:// and a database in the data directory do not work together, because other nodes do \
             not have it: take another directory, or a database in PostgreSQL (--database)",
        ),
        (Some(_), None) if !config.card_makers.is_empty() => refuse(
            "with redis:// cards are made at issuers where there is a --database, and else nowhere",
        ),
        (Some(_), None) if config.sandbox => refuse(
            "redis:// and the built-in issuer work together where there is a --database; else its cards \
             are made by each node for itself. Configure a connection of kind sandbox instead",
        ),
        (Some(_), None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_word_or_an_address_and_no_complaint_repeats_a_password() {
        assert!(matches!(
            LedgerStore::parse("embedded"),
            LedgerStore::Embedded
        ));
        assert!(LedgerStore::parse("sqlite").address().is_err());
        let slash = LedgerStore::parse("redis://:hunter2@10.0.0.1:6379/");
        assert!(slash.address().is_ok());
        let shared = LedgerStore::parse("redis://:hunter2@10.0.0.1:6379");
        assert_eq!(
            shared.address().unwrap(),
            Some("redis://:hunter2@10.0.0.1:6379")
        );
        assert!(!format!("{shared:?}").contains("hunter2"));
        for wrong in [
            "rediss://:hunter2@h:1/1",
            "rediss://:hunter2@h:1#insecure",
            "redis://hunter2@h:1",
            "redis://hunter2:@h:1",
            "rediss://hunter2@h:1",
            "redis://:@h:1",
            "unix://hunter2",
            "redis+sentinel://hunter2@h:1/n",
            "redis+cluster://hunter2@h:1",
            "redis+cluster://:hunter2@h:1,i:2/0",
            "redis+cluster://:hunter2@h:1?db=1",
            "redis-cluster://:hunter2@h:1",
            "redis-sentinel://:hunter2@h:1/n",
            "redis//:hunter2@h",
            "redis:u:hunter2",
            "redis://:hunter2@h:1/1",
            "redis://:hunter2@h:1/0",
            "redis://:hunter2@h:1?db=1",
            "redis://:hunter2@h#1",
            "redis://:a/hunter2@h:1/2",
        ] {
            let error = LedgerStore::parse(wrong).address().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().starts_with("--ledger: "), "{error}");
        }
        for right in [
            "rediss://:hunter2@h:1",
            "rediss://u:hunter2@h",
            "redis://h",
            "rediss+cluster://u:hunter2@h:1,i",
        ] {
            let store = LedgerStore::parse(right);
            assert_eq!(store.address().unwrap(), Some(right));
        }
    }

    #[test]
    fn a_root_is_named_for_tls_alone_and_is_a_certificate() {
        let root = |store: &str, path: &str| {
            let store = LedgerStore::parse(store).with_ca(Some(path.into()))?;
            store.root()
        };
        for (store, path, wanted) in [
            ("embedded", "x", "is of no use without TLS"),
            ("redis://h", "x", "is of no use without TLS"),
            ("rediss://h", "/dev/nothing", "/dev/nothing: cannot be read"),
            ("rediss://h", "/dev/null", "is no certificate in PEM form"),
        ] {
            let told = root(store, path).unwrap_err().to_string();
            assert!(told.starts_with("--ledger-ca: "), "{told}");
            assert!(told.contains(wanted), "{told}");
        }
        let none = LedgerStore::parse("redis://h").with_ca(None).unwrap();
        assert_eq!(none.root().unwrap(), None);
    }
}

//! Where holds and limits are kept: in the data directory, or in a Redis that several nodes share. Its
//! address may hold a password, so that it is a secret from the first byte on.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::{CONTROL_DATABASE, Config, ConfigError};

const FLAG: &str = "--ledger";

/// The journal of a ledger of one process's own, in its data directory.
pub const OWN_JOURNAL: &str = "journal";
/// What one process has learned of a log that several nodes share.
pub const SHARED_JOURNAL: &str = "shared-journal";

/// One process's own copy of the log that several nodes share, from which a Redis that lost it is repaired.
pub const SHARED_COPY: &str = "shared-log";

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
    /// At this address, `redis://…` if it is a good one.
    Shared(SecretString),
}

impl LedgerStore {
    /// The store of this word, or at this address. What is wrong with an address is told later, without
    /// repeating it: whoever reads a command line repeats what is refused there.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "embedded" => Self::Embedded,
            address => Self::Shared(address.to_owned().into()),
        }
    }

    /// The address of the Redis that nodes share.
    ///
    /// # Errors
    /// Where it is of no form that this version can use.
    pub fn address(&self) -> Result<Option<&str>, ConfigError> {
        let Self::Shared(address) = self else {
            return Ok(None);
        };
        let address = address.expose_secret();
        if let Some(rest) = address.strip_prefix("redis://") {
            let behind = rest.rsplit_once('@').map_or(rest, |(_user, host)| host);
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
        let message = if address.starts_with("rediss://") {
            "this version speaks with Redis without TLS only: redis://HOST:PORT"
        } else {
            "must be `embedded` or redis://HOST:PORT"
        };
        Err(ConfigError::new(FLAG, message))
    }
}

/// Refuses what does not go together with a log that several nodes share.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.ledger.address()?.is_none() {
        return Ok(());
    }
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
            "rediss://:hunter2@h",
            "unix://hunter2",
            "redis+sentinel://hunter2",
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
    }
}

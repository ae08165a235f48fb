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
    /// The store of this word, or at this address.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "embedded" => Ok(Self::Embedded),
            // What is wrong with an address is told later, without repeating it.
            address if address.contains("://") => Ok(Self::Shared(address.to_owned().into())),
            _ => Err("must be `embedded` or redis://HOST:PORT"),
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
        if address.starts_with("redis://") {
            return Ok(Some(address));
        }
        let message = if address.starts_with("rediss://") {
            "this version speaks with Redis without TLS only: redis://HOST:PORT"
        } else {
            "must be `embedded` or redis://HOST:PORT"
        };
        Err(ConfigError::new(FLAG, message))
    }
}

/// Refuses whatever would write into the ledger in another way than by deciding: with a shared log that
/// is not built yet.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.ledger.address()?.is_none() {
        return Ok(());
    }
    let refuse = |message: &str| Err(ConfigError::new(FLAG, message));
    if config.snapshot.is_none() {
        return refuse(
            "with redis:// cards and policies come from a file: name it with --snapshot",
        );
    }
    if config.database.is_some() || config.data_dir.join(CONTROL_DATABASE).exists() {
        return refuse(
            "redis:// and a database of cards and policies do not work together yet: take a data \
             directory without one, and no --database",
        );
    }
    if !config.card_makers.is_empty() {
        return refuse("redis:// and making cards at issuers do not work together yet");
    }
    if config.sandbox {
        return refuse(
            "redis:// and the built-in issuer do not work together: its cards are made by each node \
             for itself. Configure a connection of kind sandbox instead",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_word_or_an_address_and_no_complaint_repeats_a_password() {
        assert!(matches!(
            LedgerStore::parse("embedded"),
            Ok(LedgerStore::Embedded)
        ));
        assert!(LedgerStore::parse("sqlite").is_err());
        let shared = LedgerStore::parse("redis://:hunter2@10.0.0.1:6379").unwrap();
        assert_eq!(
            shared.address().unwrap(),
            Some("redis://:hunter2@10.0.0.1:6379")
        );
        assert!(!format!("{shared:?}").contains("hunter2"));
        for wrong in [
            "rediss://:hunter2@h",
            "unix://hunter2",
            "redis+sentinel://hunter2",
        ] {
            let error = LedgerStore::parse(wrong).unwrap().address().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().starts_with("--ledger: "), "{error}");
        }
    }
}

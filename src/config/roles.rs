//! What one process of several does: answers issuers, serves people and agents, or both.

use super::{Config, ConfigError, LedgerStore};

const FLAG: &str = "--roles";

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Answers issuers.
    pub authorizer: bool,
    /// Serves people and agents, and does what is done once for all nodes.
    pub control: bool,
}

impl Default for Roles {
    /// One process does everything.
    fn default() -> Self {
        Self {
            authorizer: true,
            control: true,
        }
    }
}

impl Roles {
    /// Reads a list of words.
    ///
    /// # Errors
    /// What such a list has to be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut roles = Self {
            authorizer: false,
            control: false,
        };
        for word in text.split(',') {
            match word.trim() {
                "authorizer" => roles.authorizer = true,
                "control" => roles.control = true,
                _ => {
                    return Err(
                        "must be `authorizer`, `control` or `authorizer,control`".to_owned()
                    );
                }
            }
        }
        Ok(roles)
    }
}

/// Refuses roles that have nothing to do.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Roles {
        authorizer,
        control,
    } = config.roles;
    let refuse = |message: &str| Err(ConfigError::new(FLAG, message));
    if authorizer && control {
        return Ok(());
    }
    if matches!(config.ledger, LedgerStore::Embedded) {
        return refuse(
            "one process does everything where its ledger is its own; with --ledger redis:// several may \
             divide it",
        );
    }
    if control && config.database.is_none() {
        return refuse("`control` needs a database: name it with --database");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_in_a_list() {
        let of = |text| Roles::parse(text).map(|it| (it.authorizer, it.control));
        assert_eq!(of("authorizer"), Ok((true, false)));
        assert_eq!(of("control"), Ok((false, true)));
        assert_eq!(of("control, authorizer"), Ok((true, true)));
        for wrong in ["", "all", "authorizer,", "Control"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}

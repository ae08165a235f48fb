//! The control plane's database: an address, or where one is. It may hold a password, so that it is a
//! secret from the first byte on, and no complaint repeats it.

use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;
use super::secret::text_of;

const FLAG: &str = "--database";
const FORMS: &str = "must be postgres://USER@HOST:PORT/DATABASE, `file:PATH` or `env:NAME`";

/// What the flag, or its variable, names.
///
/// # Errors
/// [`ConfigError`] where it is of none of the forms, or leads to nothing.
pub fn database_address(flag: SecretString) -> Result<SecretString, ConfigError> {
    if is_address(flag.expose_secret()) {
        return Ok(flag);
    }
    referred(flag.expose_secret(), FLAG)
}

/// Flag above file.
pub(super) fn address(
    flag: Option<SecretString>,
    typed: Option<&str>,
    place: &str,
) -> Result<Option<SecretString>, ConfigError> {
    if let Some(flag) = flag {
        return database_address(flag).map(Some);
    }
    let place = format!("{place}: database");
    let named = |text: &str| {
        if !is_address(text) {
            return referred(text, &place);
        }
        if has_password(text) {
            let message = "a password may not stand in this file; use `file:PATH` or `env:NAME`";
            return Err(ConfigError::new(&*place, message));
        }
        Ok(SecretString::from(text.to_owned()))
    };
    typed.map(named).transpose()
}

fn referred(source: &str, place: &str) -> Result<SecretString, ConfigError> {
    let is_reference = source.starts_with("file:") || source.starts_with("env:");
    if !is_reference {
        return Err(ConfigError::new(place, FORMS));
    }
    let text = text_of(source).map_err(|message| ConfigError::new(place, message))?;
    let text = text.trim();
    if !is_address(text) {
        let message = format!("`{source}` holds no address of the form postgres://…");
        return Err(ConfigError::new(place, message));
    }
    Ok(SecretString::from(text.to_owned()))
}

fn is_address(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn has_password(address: &str) -> bool {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let of_user = authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'));
    of_user || address.contains("password=")
}

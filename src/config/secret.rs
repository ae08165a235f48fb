//! Secrets by reference: `file:/run/secrets/a`, `env:NAME`, or `credential:NAME` as systemd hands them
//! over. Never in the file itself.

use std::fmt::Display;
use std::path::Path;

use secrecy::SecretString;

use super::in_full;

/// Reads the secret that `source` names. `parse` takes the text and wipes it.
///
/// # Errors
/// A message that names the source, never its content.
pub(super) fn read<S, E: Display>(
    source: &str,
    parse: impl Fn(String) -> Result<S, E>,
) -> Result<S, String> {
    let text = text_of(source)?;
    parse(text).map_err(|error| format!("`{source}`: {error}"))
}

pub(super) fn text_of(source: &str) -> Result<String, String> {
    match source.split_once(':') {
        Some(("file", path)) => std::fs::read_to_string(path).map_err(|error| {
            let why = in_full(Path::new(path), &error);
            format!("the file of `{source}` cannot be read: {why}")
        }),
        Some(("env", name)) => {
            environment(name).ok_or_else(|| format!("the variable of `{source}` is not set"))
        }
        Some(("credential", name)) => {
            let lawful = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(lawful) {
                return Err(
                    "the name of a credential has letters, digits, `.`, `_` and `-`".to_owned(),
                );
            }
            let folder = environment("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                format!("`{source}`: $CREDENTIALS_DIRECTORY is not set; systemd sets it")
            })?;
            std::fs::read_to_string(Path::new(&folder).join(name))
                .map_err(|error| format!("`{source}` cannot be read: {error}"))
        }
        // What stands here may be the secret itself, so it is not repeated.
        _ => Err("must be `file:PATH`, `env:NAME` or `credential:NAME`".to_owned()),
    }
}

/// A place in the configuration, and the secret that it names.
pub struct SecretSource {
    /// Its key.
    pub place: String,
    source: String,
}

impl SecretSource {
    pub(super) fn new(place: String, source: &str) -> Self {
        Self {
            place,
            source: source.to_owned(),
        }
    }

    /// The secret.
    ///
    /// # Errors
    /// A message that names the source, never its content.
    pub fn read(&self) -> Result<SecretString, String> {
        text_of(&self.source).map(SecretString::from)
    }

    /// The file, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.source.strip_prefix("file:").map(Path::new)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "configuration is where the environment is read"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

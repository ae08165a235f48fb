//! Secrets by reference: `file:/run/secrets/a` or `env:NAME`. Never in the file itself.

use std::fmt::Display;

/// Reads the secret that `source` names. `parse` takes the text and wipes it.
///
/// # Errors
/// A message that names the source, never its content.
pub(super) fn read<S, E: Display>(
    source: &str,
    parse: impl Fn(String) -> Result<S, E>,
) -> Result<S, String> {
    let text = match source.split_once(':') {
        Some(("file", path)) => std::fs::read_to_string(path)
            .map_err(|error| format!("the file of `{source}` cannot be read: {error}"))?,
        Some(("env", name)) => {
            environment(name).ok_or_else(|| format!("the variable of `{source}` is not set"))?
        }
        // What stands here may be the secret itself, so it is not repeated.
        _ => return Err("must be `file:PATH` or `env:NAME`".to_owned()),
    };
    parse(text).map_err(|error| format!("`{source}`: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "configuration is where the environment is read"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! The master key that issuers' keys are sealed under: there, and hidden from others.

use std::path::Path;

use super::Check;
use crate::cold::init::Place;
use crate::cold::seal::is_open_to_others;
use crate::config::Config;

const NAME: &str = "master key";

/// Nothing where there is no database.
pub(super) fn check(data_dir: &Path, config: Option<&Config>) -> Option<Check> {
    let place = Place::of(data_dir, config.and_then(|config| config.database.as_ref()));
    if !place.is_named() {
        return None;
    }
    let named = config
        .map(|config| &*config.master_keys)
        .unwrap_or_default();
    let path = place.master_path();
    if named.is_empty() && !path.exists() {
        let seen = format!("{}: not there; the next start makes one", path.display());
        let remedy = "where keys were sealed before, put the one that sealed them there";
        return Some(Check::warn(NAME, seen, remedy));
    }
    Some(match place.master_keys(named) {
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "put the key there that sealed the rows",
        ),
        Ok(_keys) if !named.is_empty() => Check::ok(NAME, "named by the configuration"),
        Ok(_keys) if is_open_to_others(&path) => {
            let seen = format!("{}: others on the machine can read it", path.display());
            Check::fail(NAME, seen, "chmod 0600, then `countersign keys rotate`")
        }
        Ok(_keys) => Check::ok(NAME, path.display().to_string()),
    })
}

//! How much is to be logged: known before any other setting is read.

use std::ffi::OsString;

/// What the environment says, if anything.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn log_setting(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

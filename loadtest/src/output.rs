//! The only writer of standard output, standard error and files.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;

/// Writes one line (or a block that ends in one) and flushes, so that a pipe sees it at once.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(Error::io("write to stdout"))
}

/// What goes wrong while saying what is going on is not worth a second word.
pub(crate) fn note(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").unwrap_or_default();
}

pub(crate) fn json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let doing = Error::io(format!("write {}", path.display()));
    let bytes = serde_json::to_vec(value).map_err(|fault| doing(fault.into()))?;
    file(path, &bytes)
}

pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::io(format!("write {}", path.display())))
}

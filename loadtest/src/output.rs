//! The only writer of standard output and standard error.

use std::io::Write as _;

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

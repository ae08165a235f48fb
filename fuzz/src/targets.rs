//! What the fuzz targets do with their bytes.
//!
//! Each takes any bytes at all and panics where a promise is broken. The targets of libFuzzer in
//! `fuzz_targets/` and the plain test `tests/corpora.rs` run the same code; docs/fuzzing.md says what
//! each one asks.

mod checkpoint;
mod document;
mod events;
mod image;
mod input;
mod journal;
mod lithic;
mod medium;
mod pipeline;
mod segments;
mod signature;

#[path = "../../tests/support/oracle.rs"]
mod oracle;
#[path = "../../tests/issuer_lithic/reading.rs"]
mod reading;
#[path = "../../tests/support/tree.rs"]
#[expect(dead_code, reason = "its editing half serves the differential tests")]
mod tree;

type Target = (&'static str, fn(&[u8]));

/// Every target by its name.
pub(crate) const TARGETS: [Target; 9] = [
    ("checkpoint", checkpoint::run),
    ("document", document::run),
    ("events", events::run),
    ("image", image::run),
    ("journal", journal::run),
    ("lithic", lithic::run),
    ("pipeline", pipeline::run),
    ("segments", segments::run),
    ("signature", signature::run),
];

/// Runs the target of this name.
pub(crate) fn run(name: &str, bytes: &[u8]) {
    let named = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = named.unwrap_or_else(|| panic!("no target is called {name}"));
    target(bytes);
}

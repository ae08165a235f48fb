//! The fuzz targets, for the binaries of libFuzzer in `fuzz_targets/`.

#[path = "targets.rs"]
mod targets;

/// Runs the target of this name on the bytes; panics where it finds something.
pub fn run(target: &str, bytes: &[u8]) {
    targets::run(target, bytes);
}

//! The binary: an allocator, and the command line.

use std::process::ExitCode;

/// Measured against the system's in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::run().into()
}

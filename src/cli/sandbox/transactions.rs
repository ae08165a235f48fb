//! `countersign sandbox transactions`: the sandbox's own list, in the shape of the issuer's interface.

use std::io::Write;

use clap::Args;

use super::ServerArguments;
use super::trigger::shape as parse_shape;
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::cold::sandbox::files;
use crate::cold::sandbox::keep::Keep;
use crate::cold::sandbox::shape::{self, Shape};

#[derive(Args, Clone, Debug)]
pub(super) struct TransactionsArguments {
    /// In whose words: lithic, stripe or marqeta.
    #[arg(long, default_value = "lithic", value_parser = parse_shape)]
    issuer: Shape,
    #[command(flatten)]
    server: ServerArguments,
}

/// Writes the list, newest first, one authorization after the other.
pub(super) fn list(args: &TransactionsArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let keep = Keep::in_folder(&server.folder);
    let lives = keep.all(args.issuer).map_err(|e| Failure::other(&e))?;
    let (head, tail) = shape::list_frame(args.issuer);
    let write = |out: &mut dyn Write, text: &str| {
        out.write_all(text.as_bytes())
            .map_err(|cause| unwritten(&cause))
    };
    write(out, head)?;
    let mut is_first = true;
    for life in lives {
        let life = life.map_err(|e| Failure::other(&e))?;
        for element in shape::listed(&life) {
            let separator = if is_first { "\n" } else { ",\n" };
            write(out, separator)?;
            write(out, &shape::written(args.issuer, &element))?;
            is_first = false;
        }
    }
    write(out, tail)?;
    write(out, "\n")?;
    Ok(Exit::Ok)
}

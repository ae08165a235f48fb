//! `countersign policy check`.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::decide::document::DocumentError;
use crate::decide::snapshot::Snapshot;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked<'c> {
    ok: bool,
    errors: Vec<Fault<'c>>,
    customers: Option<usize>,
    agents: Option<usize>,
    cards: Option<usize>,
}

#[derive(Serialize)]
struct Fault<'c> {
    file: &'c str,
    line: usize,
    field: &'c str,
    message: &'c str,
}

/// Says everything that is wrong, or what is there. A wrong file ends with 2, as it would at a start.
pub(super) fn run(path: &Path, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let read = super::read(path)?;
    let written = if json {
        write_json(out, &read)
    } else {
        write_text(out, path, &read)
    };
    written.map_err(|error| unwritten(&error))?;
    Ok(match read {
        Ok(_) => Exit::Ok,
        Err(_) => Exit::Usage,
    })
}

fn write_json(out: &mut dyn Write, read: &Result<Snapshot, Vec<DocumentError>>) -> io::Result<()> {
    let snapshot = read.as_ref().ok();
    let checked = Checked {
        ok: snapshot.is_some(),
        errors: read
            .as_ref()
            .err()
            .into_iter()
            .flatten()
            .map(fault)
            .collect(),
        customers: snapshot.map(Snapshot::customer_count),
        agents: snapshot.map(Snapshot::agent_count),
        cards: snapshot.map(Snapshot::card_count),
    };
    serde_json::to_writer(&mut *out, &checked)?;
    writeln!(out)
}

fn fault(error: &DocumentError) -> Fault<'_> {
    let DocumentError {
        file,
        line,
        field,
        message,
    } = error;
    Fault {
        file,
        line: *line,
        field,
        message,
    }
}

fn write_text(
    out: &mut dyn Write,
    path: &Path,
    read: &Result<Snapshot, Vec<DocumentError>>,
) -> io::Result<()> {
    match read {
        Ok(snapshot) => writeln!(
            out,
            "{}: ok, {} customers, {} agents, {} cards",
            path.display(),
            snapshot.customer_count(),
            snapshot.agent_count(),
            snapshot.card_count()
        ),
        Err(errors) => errors.iter().try_for_each(|error| writeln!(out, "{error}")),
    }
}

//! `countersign policy check`.

use std::io::{self, Write};

use serde::Serialize;

use super::FileName;
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::cli::policy::values::count;
use crate::decide::document::{DocumentError, DocumentRefused};
use crate::decide::snapshot::Snapshot;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked<'c> {
    ok: bool,
    errors: Vec<Fault<'c>>,
    /// How many there are beyond those.
    more: usize,
    customers: Option<usize>,
    agents: Option<usize>,
    cards: Option<usize>,
}

#[derive(Serialize)]
struct Fault<'c> {
    file: &'c str,
    line: Option<usize>,
    field: &'c str,
    message: &'c str,
}

/// Says everything that is wrong, or what is there. A wrong file ends with 2, as it would at a start.
pub(super) fn run(file: &FileName, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let read = file.read();
    let written = if json {
        write_json(out, &read)
    } else {
        write_text(out, file, &read)
    };
    written.map_err(|error| unwritten(&error))?;
    Ok(match read {
        Ok(_) => Exit::Ok,
        Err(_) => Exit::Usage,
    })
}

fn write_json(out: &mut dyn Write, read: &Result<Snapshot, DocumentRefused>) -> io::Result<()> {
    let (snapshot, refused) = (read.as_ref().ok(), read.as_ref().err());
    let errors = refused.into_iter().flat_map(|refused| &refused.errors);
    let checked = Checked {
        ok: snapshot.is_some(),
        errors: errors.map(fault).collect(),
        more: refused.map_or(0, |refused| refused.more_count),
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
    file: &FileName,
    read: &Result<Snapshot, DocumentRefused>,
) -> io::Result<()> {
    match read {
        Ok(snapshot) => writeln!(
            out,
            "{file}: ok, {}, {}, {}",
            count(snapshot.customer_count(), "customer"),
            count(snapshot.agent_count(), "agent"),
            count(snapshot.card_count(), "card")
        ),
        Err(refused) => writeln!(out, "{refused}"),
    }
}

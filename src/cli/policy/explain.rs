//! `countersign policy explain`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;

use super::ExplainArguments;
use super::values::{Told, level_name};
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::clock::Clock;
use crate::cold::sandbox::files;
use crate::decide::effective::effective;
use crate::decide::evaluate::declines_all;
use crate::decide::policy::Cascade;
use crate::decide::snapshot::{CardView, Snapshot};
use crate::domain::card::{Level, Usage};
use crate::domain::decision::DeclineReason;

const FIELD_WIDTH: usize = 26;
const VALUE_WIDTH: usize = 40;
/// Where a command that is started beside a server finds what the server was started with.
const DATA_DIR: &str = "countersign-data";

/// One value in force.
struct InForce {
    field: &'static str,
    level: Option<Level>,
    told: Told,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained<'e> {
    card: &'e str,
    connection: &'e str,
    customer: &'e str,
    agent: Option<&'e str>,
    status: &'static str,
    frozen: bool,
    usage: &'static str,
    currency: String,
    timezone: &'e str,
    cascade: &'static str,
    /// The reason to decline whatever is asked now, if there is one.
    declines: Option<&'static str>,
    values: Vec<ExplainedValue>,
}

#[derive(Serialize)]
struct ExplainedValue {
    field: &'static str,
    level: Option<&'static str>,
    value: Option<Box<RawValue>>,
}

pub(super) fn run(args: &ExplainArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let path = snapshot_path(args.snapshot.as_deref())?;
    let snapshot = super::read_right(&path)?;
    let card = find(&snapshot, &args.card, &path)?;
    let declines = declines_all(&card, Clock::start().now());
    let values = values(&card);
    let written = if args.json {
        write_json(out, &card, declines, &values)
    } else {
        write_text(out, &card, declines, &values)
    };
    written.map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn snapshot_path(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let found = files::find(Path::new(DATA_DIR)).map_err(|error| {
        let words = format!("no --snapshot is named, and none is found in ./{DATA_DIR}: {error}");
        Failure::usage(&words)
    })?;
    Ok(found.snapshot)
}

fn find<'s>(snapshot: &'s Snapshot, id: &str, path: &Path) -> Result<CardView<'s>, Failure> {
    snapshot.card_by_id(id).ok_or_else(|| {
        let path = path.display();
        Failure::usage(&format!("{path}: no card has the id `{id}`"))
    })
}

fn values(card: &CardView<'_>) -> Vec<InForce> {
    let policy = effective(card);
    let values = policy.values().iter();
    let in_force = values.map(|it| InForce {
        field: it.field,
        level: it.level,
        told: Told::of(card.customer, it),
    });
    in_force.collect()
}

fn cascade(card: &CardView<'_>) -> &'static str {
    match card.customer.cascade() {
        Cascade::Tighten => "tighten",
        Cascade::Override => "override",
    }
}

fn usage(card: &CardView<'_>) -> &'static str {
    match card.card.usage() {
        Usage::Single => "single",
        Usage::Multi => "multi",
    }
}

fn write_text(
    out: &mut dyn Write,
    card: &CardView<'_>,
    declines: Option<DeclineReason>,
    values: &[InForce],
) -> io::Result<()> {
    let (id, customer) = (card.card.id(), card.customer);
    let agent = card.agent.map_or_else(String::new, |agent| {
        format!("agent {} ({}) of ", agent.id(), agent.status().name())
    });
    let frozen = if card.card.is_frozen() {
        ", frozen"
    } else {
        ""
    };
    writeln!(
        out,
        "{id}: {}{frozen}, {} use, through {}, of {agent}customer {} ({})",
        card.card.status().name(),
        usage(card),
        card.connection,
        customer.id(),
        customer.status().name()
    )?;
    writeln!(
        out,
        "in {}, with the days of {}, cascade {}",
        customer.currency(),
        customer.timezone(),
        cascade(card)
    )?;
    if let Some(reason) = declines {
        writeln!(out, "declines whatever is asked: {}", reason.code())?;
    }
    for it in values {
        let (field, text, level) = (it.field, &it.told.text, level_name(it.level));
        writeln!(out, "  {field:FIELD_WIDTH$}  {text:VALUE_WIDTH$}  {level}")?;
    }
    Ok(())
}

fn write_json(
    out: &mut dyn Write,
    card: &CardView<'_>,
    declines: Option<DeclineReason>,
    values: &[InForce],
) -> io::Result<()> {
    let value = |it: &InForce| ExplainedValue {
        field: it.field,
        level: it.level.map(Level::name),
        value: RawValue::from_string(it.told.json.clone()).ok(),
    };
    let explained = Explained {
        card: card.card.id(),
        connection: card.connection,
        customer: card.customer.id(),
        agent: card.agent.map(|agent| agent.id()),
        status: card.card.status().name(),
        frozen: card.card.is_frozen(),
        usage: usage(card),
        currency: card.customer.currency().to_string(),
        timezone: card.customer.timezone(),
        cascade: cascade(card),
        declines: declines.map(DeclineReason::code),
        values: values.iter().map(value).collect(),
    };
    serde_json::to_writer(&mut *out, &explained)?;
    writeln!(out)
}

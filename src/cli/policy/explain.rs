//! `countersign policy explain`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::values::{Told, level_name};
use super::{ExplainArguments, FileName};
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
/// The longest are `customer` and `default`.
const LEVEL_WIDTH: usize = 8;

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
    let file = snapshot_file(args)?;
    let snapshot = file.read_right()?;
    let card = find(&snapshot, &args.card, &file)?;
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

fn snapshot_file(args: &ExplainArguments) -> Result<FileName, Failure> {
    if let Some(named) = &args.snapshot {
        return Ok(named.clone());
    }
    let found = files::find(&args.data_dir);
    let found =
        found.map_err(|error| Failure::usage(&format!("no --snapshot is named, and {error}")))?;
    Ok(FileName::Path(found.snapshot))
}

fn find<'s>(snapshot: &'s Snapshot, id: &str, file: &FileName) -> Result<CardView<'s>, Failure> {
    snapshot
        .card_by_id(id)
        .ok_or_else(|| Failure::usage(&format!("{file}: no card has the id `{id}`")))
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
        writeln!(out, "  {field:FIELD_WIDTH$}  {level:LEVEL_WIDTH$}  {text}")?;
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

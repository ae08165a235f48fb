//! `countersign policy diff`. As with `diff`: 0 for the same, 1 for a difference, 2 for trouble.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::compare::{Change, Differences, Leveled, Origin, Rows};
use super::values::{count, level_name, printable};
use super::{DiffArguments, FileName};
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::clock::Clock;
use crate::decide::snapshot::{Impact, Snapshot};
use crate::domain::card::Level;
use crate::domain::time::Timestamp;

/// Ids that are named of many.
const NAMED_MAX: usize = 5;
const FIELD_WIDTH: usize = 26;

pub(super) fn run(args: &DiffArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    if args.before == FileName::StandardInput && args.after == args.before {
        let words = "standard input can be one of the two snapshots";
        return Err(Failure::usage(&words));
    }
    let before = args.before.read_right()?;
    let after = args.after.read_right()?;
    let now = Clock::start().now();
    let found = Differences::between(&before, &after);
    let impact = Impact {
        active: before.active_count(now),
        ..before.impact_of(&after, now)
    };
    let declining = Declining::between(&before, &after, now);
    let written = if args.json {
        write_json(out, &found, impact, &declining)
    } else {
        write_text(out, &found, impact, &declining)
    };
    written.map_err(|error| unwritten(&error))?;
    Ok(if found.is_empty() {
        Exit::Ok
    } else {
        Exit::Other
    })
}

/// The cards that would newly decline, by the reason.
#[derive(Default)]
struct Declining(BTreeMap<&'static str, Vec<String>>);

impl Declining {
    fn between(before: &Snapshot, after: &Snapshot, now: Timestamp) -> Self {
        let mut found = Self::default();
        for (view, reason) in before.newly_declined_by(after, now) {
            let ids = found.0.entry(reason.code()).or_default();
            ids.push(view.card.id().to_owned());
        }
        found.0.values_mut().for_each(|ids| ids.sort_unstable());
        found
    }
}

// === for people ===

fn write_text(
    out: &mut dyn Write,
    found: &Differences,
    impact: Impact,
    by_reason: &Declining,
) -> io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "no difference");
    }
    let Impact {
        active, declining, ..
    } = impact;
    if found.moved.is_empty() {
        let asks = if impact.wants_confirmation() {
            "a reload wants that confirmed"
        } else {
            "a reload puts that in force"
        };
        let cards = count(active, "active card");
        writeln!(out, "{declining} of {cards} would newly decline; {asks}")?;
    } else {
        let cards = named(&found.moved);
        writeln!(
            out,
            "a server refuses this: a card cannot change its customer, as here {cards}"
        )?;
    }
    for (reason, ids) in &by_reason.0 {
        writeln!(out, "  {reason:FIELD_WIDTH$}  {}", named(ids))?;
    }
    let kinds = [
        ("customer", &found.customers),
        ("agent", &found.agents),
        ("card", &found.cards),
    ];
    for (kind, rows) in kinds {
        write_rows(out, kind, rows)?;
    }
    Ok(())
}

fn write_rows(out: &mut dyn Write, kind: &str, rows: &Rows) -> io::Result<()> {
    for (word, ids) in [("new", &rows.added), ("gone", &rows.removed)] {
        if !ids.is_empty() {
            writeln!(out, "\n{word} {}", counted(kind, ids))?;
        }
    }
    for (changes, ids) in rows.groups() {
        writeln!(out, "\n{}", counted(kind, ids))?;
        for Change {
            field,
            before,
            after,
        } in changes
        {
            let (before, after) = (side(before.as_ref()), side(after.as_ref()));
            writeln!(out, "  {field:FIELD_WIDTH$}  {before} → {after}")?;
        }
    }
    Ok(())
}

fn side(leveled: Option<&Leveled>) -> String {
    match leveled {
        None => "none".to_owned(),
        Some(Leveled { told, origin }) => match origin {
            Origin::Row => told.text.clone(),
            Origin::Policy(level) => format!("{} ({})", told.text, level_name(*level)),
        },
    }
}

/// `card card_1`, or `12 cards: card_1, card_2 and 10 more`.
fn counted(kind: &str, ids: &[String]) -> String {
    match ids {
        [one] => format!("{kind} {}", printable(one)),
        several => format!("{} {kind}s: {}", several.len(), named(several)),
    }
}

fn named(ids: &[String]) -> String {
    let shown: Vec<String> = ids.iter().take(NAMED_MAX).map(|id| printable(id)).collect();
    let rest = ids.len().saturating_sub(NAMED_MAX);
    if rest == 0 {
        shown.join(", ")
    } else {
        format!("{} and {rest} more", shown.join(", "))
    }
}

// === for programs ===

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'d> {
    same: bool,
    active_cards: usize,
    newly_declining: usize,
    /// By the reason that they would then be declined with.
    newly_declining_cards: &'d BTreeMap<&'static str, Vec<String>>,
    wants_confirmation: bool,
    /// Cards that change their customer, which a server refuses.
    refused_cards: &'d [String],
    customers: Kind<'d>,
    agents: Kind<'d>,
    cards: Kind<'d>,
}

#[derive(Serialize)]
struct Kind<'d> {
    added: &'d [String],
    removed: &'d [String],
    changed: Vec<Group<'d>>,
}

#[derive(Serialize)]
struct Group<'d> {
    ids: &'d [String],
    changes: Vec<Changed<'d>>,
}

#[derive(Serialize)]
struct Changed<'d> {
    field: &'d str,
    before: Option<Side<'d>>,
    after: Option<Side<'d>>,
}

#[derive(Serialize)]
struct Side<'d> {
    value: Option<Box<RawValue>>,
    /// Absent where the value is written on the row; null where no level says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Option<&'d str>>,
}

fn write_json(
    out: &mut dyn Write,
    found: &Differences,
    impact: Impact,
    by_reason: &Declining,
) -> io::Result<()> {
    let document = Document {
        same: found.is_empty(),
        active_cards: impact.active,
        newly_declining: impact.declining,
        newly_declining_cards: &by_reason.0,
        wants_confirmation: impact.wants_confirmation() && found.moved.is_empty(),
        refused_cards: &found.moved,
        customers: kind(&found.customers),
        agents: kind(&found.agents),
        cards: kind(&found.cards),
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

fn kind(rows: &Rows) -> Kind<'_> {
    Kind {
        added: &rows.added,
        removed: &rows.removed,
        changed: rows.groups().into_iter().map(as_group).collect(),
    }
}

fn as_group<'d>((changes, ids): (&'d [Change], &'d [String])) -> Group<'d> {
    let side = |it: &'d Option<Leveled>| {
        it.as_ref().map(|it| Side {
            value: RawValue::from_string(it.told.json.clone()).ok(),
            level: match it.origin {
                Origin::Row => None,
                Origin::Policy(level) => Some(level.map(Level::name)),
            },
        })
    };
    let changed = |change: &'d Change| Changed {
        field: change.field,
        before: side(&change.before),
        after: side(&change.after),
    };
    Group {
        ids,
        changes: changes.iter().map(changed).collect(),
    }
}

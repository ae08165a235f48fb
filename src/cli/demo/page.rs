//! How decisions look on a terminal: at most 100 columns, in colour only where somebody asked for a
//! terminal's.

use std::io::{self, Write};

use crate::cold::sandbox::story::{Chapter, Expected, Step, Summary, Told};
use crate::cold::sandbox::{Answer, Outcome, Record};

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of a step's telling.
const TELLING_WIDTH: usize = 53;
/// Columns of what was sent.
const SENT_WIDTH: usize = 54;
/// Columns of a short answer.
const ANSWER_WIDTH: usize = 10;
/// Columns of verdict and reason.
const VERDICT_WIDTH: usize = 33;
/// What explanations are indented by.
const INDENT: &str = "      ";

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With the terminal's colours.
    Coloured,
}

/// What a colour is used for is its user's to say.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Ink {
    Green,
    Red,
    Yellow,
    Bold,
    Dim,
}

impl Style {
    /// Colours only on a terminal, and never where `NO_COLOR` says something.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR is no setting of ours; every program of a terminal reads it"
    )]
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !refused && io::IsTerminal::is_terminal(&io::stdout()) {
            Self::Coloured
        } else {
            Self::Plain
        }
    }

    pub(in crate::cli) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Green => "32",
            Ink::Red => "31",
            Ink::Yellow => "33",
            Ink::Bold => "1",
            Ink::Dim => "2",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Writes what is told of the story.
///
/// # Errors
/// Those of `out`.
pub fn told(out: &mut dyn Write, style: Style, told: &Told<'_>) -> io::Result<()> {
    match told {
        Told::Chapter(chapter) => write_chapter(out, style, chapter)?,
        Told::Step(step, outcome, is_met) => write_step(out, style, step, outcome, *is_met)?,
    }
    out.flush()
}

fn write_chapter(out: &mut dyn Write, style: Style, chapter: &Chapter) -> io::Result<()> {
    let name = style.paint(Ink::Bold, chapter.holder.name());
    let rules = style.paint(Ink::Dim, chapter.rules);
    writeln!(out, "\n{name}: {rules}")
}

fn write_step(
    out: &mut dyn Write,
    style: Style,
    step: &Step,
    outcome: &Outcome,
    is_met: bool,
) -> io::Result<()> {
    let verdict = Verdict::of(outcome);
    writeln!(
        out,
        "  {:TELLING_WIDTH$}{}{:>10}",
        step.telling,
        verdict.padded(style),
        duration(outcome.round_trip_us)
    )?;
    write_explanation(out, style, outcome.record.as_ref())?;
    if !is_met {
        let expected = match step.expected {
            Expected::Approve => "APPROVE".to_owned(),
            Expected::Decline(reason) => format!("DECLINE  {}", reason.code()),
        };
        let note = format!("! an empty ledger answers {expected}");
        writeln!(out, "{INDENT}{}", style.paint(Ink::Yellow, &note))?;
    }
    Ok(())
}

fn write_explanation(out: &mut dyn Write, style: Style, record: Option<&Record>) -> io::Result<()> {
    let text = match record {
        None => "the engine shows no record of it",
        Some(record) => record.explanation.as_deref().unwrap_or_default(),
    };
    note(out, style, text)
}

/// Writes what was sent, what was answered, and the books after it.
///
/// # Errors
/// Those of `out`.
pub fn answered(
    out: &mut dyn Write,
    style: Style,
    what: &str,
    answer: &str,
    books: &str,
) -> io::Result<()> {
    let ink = match answer.split(' ').next() {
        Some("APPROVE" | "applied") => Ink::Green,
        Some("DECLINE") => Ink::Red,
        _ => Ink::Yellow,
    };
    let (what, answer) = (printable(what), printable(answer));
    let painted = style.paint(ink, &answer);
    let pad = ANSWER_WIDTH.saturating_sub(answer.chars().count());
    let room = WIDTH.saturating_sub(2 + answer.chars().count() + pad + books.chars().count() + 4);
    let line = if what.chars().count() <= SENT_WIDTH && room >= SENT_WIDTH {
        format!("  {what:SENT_WIDTH$}  {painted}{:pad$}  {books}", "")
    } else {
        format!("  {what}  {painted}  {books}")
    };
    writeln!(out, "{}", line.trim_end())
}

/// Writes a text that belongs to the line above it.
///
/// # Errors
/// Those of `out`.
pub fn note(out: &mut dyn Write, style: Style, text: &str) -> io::Result<()> {
    for line in wrapped(&printable(text), WIDTH - INDENT.len()) {
        writeln!(out, "{INDENT}{}", style.paint(Ink::Dim, &line))?;
    }
    Ok(())
}

/// Writes how the story went.
///
/// # Errors
/// Those of `out`.
pub fn summary(out: &mut dyn Write, style: Style, summary: &Summary) -> io::Result<()> {
    let Summary {
        approved_count,
        declined_count,
        surprise_count,
        median_round_trip_us,
    } = summary;
    let counts = format!("{approved_count} approved, {declined_count} declined");
    let median = duration(*median_round_trip_us);
    let counts = style.paint(Ink::Bold, &counts);
    let surprises = match surprise_count {
        0 => style.paint(Ink::Green, "every answer as expected"),
        1 => style.paint(Ink::Yellow, "1 answer differs from an empty ledger's"),
        n => style.paint(
            Ink::Yellow,
            &format!("{n} answers differ from an empty ledger's"),
        ),
    };
    writeln!(out, "\n{counts}; {surprises}; median round trip {median}")
}

/// Writes one purchase and its answer.
///
/// # Errors
/// Those of `out`.
pub fn purchase(
    out: &mut dyn Write,
    style: Style,
    telling: &str,
    outcome: &Outcome,
) -> io::Result<()> {
    let verdict = Verdict::of(outcome);
    writeln!(
        out,
        "{}  {}",
        style.paint(verdict.ink, &verdict.text),
        printable(telling)
    )?;
    write_explanation(out, style, outcome.record.as_ref())?;
    let round_trip = duration(outcome.round_trip_us);
    let latency_us = outcome.record.as_ref().and_then(|record| record.latency_us);
    let facts = latency_us.map_or_else(
        || format!("round trip {round_trip}"),
        |us| {
            format!(
                "round trip {round_trip}, of which {} in the engine",
                duration(us)
            )
        },
    );
    note(out, style, &facts)?;
    note(
        out,
        style,
        &format!("authorization {}", outcome.authorization),
    )
}

/// The word and its reason.
struct Verdict {
    ink: Ink,
    text: String,
}

impl Verdict {
    fn of(outcome: &Outcome) -> Self {
        let reason = outcome
            .record
            .as_ref()
            .and_then(|record| record.reason.as_deref());
        match &outcome.answer {
            Answer::Approved => Self {
                ink: Ink::Green,
                text: "APPROVE".to_owned(),
            },
            Answer::PartlyApproved(minor) => Self {
                ink: Ink::Green,
                text: format!("APPROVE  {minor} minor units"),
            },
            Answer::Declined(result) => Self {
                ink: Ink::Red,
                text: format!("DECLINE  {}", printable(reason.unwrap_or(result))),
            },
        }
    }

    fn padded(&self, style: Style) -> String {
        let width = VERDICT_WIDTH.saturating_sub(self.text.chars().count());
        format!("{}{:width$}", style.paint(self.ink, &self.text), "")
    }
}

/// Microseconds below a millisecond, three digits above.
fn duration(us: i64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        10_000..100_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{} ms", us / 1_000),
    }
}

/// What others wrote must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Breaks text between words; a word that is too long stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;

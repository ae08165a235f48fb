//! `countersign ledger`: what is done with journals, and with a ledger that several nodes share. `verify`
//! reads a journal to its end, checks it, prints what it holds.

mod adopt;
mod events;
mod moving;
mod shared;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::cold::doctor::InUse;
use crate::config::{SHARED_JOURNAL, journal_of};
use crate::domain::decision::Decision;
use crate::ledger::embedded::checkpoint::{self, Checkpoint, Loaded};
use crate::ledger::embedded::files::{Files, OpenError};
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::{Name, Storage};
use crate::ledger::embedded::rebuild::Rebuild;
use crate::ledger::embedded::recover::{RecoverError, examine_whole};
use crate::ledger::embedded::scan::{End, Record};
use crate::ledger::event::{Event, events_of};
use crate::ledger::image;
use crate::ledger::state::State;

/// `countersign ledger …`.
#[derive(Debug, Args)]
pub struct LedgerArguments {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Read the journal to its end without changing it; check frames, events and checkpoint.
    Verify(VerifyArguments),
    /// Begin a ledger that several nodes share, in a Redis that holds none
    Found(shared::FoundArguments),
    /// Let a Redis that was started anew be used again. Nothing is approved before
    Arm(shared::ArmArguments),
    /// Give a Redis that lost what it knew back what a node's data directory has kept of it. Done for
    /// every node, running or not; then it is armed
    Repair(shared::RepairArguments),
    /// Move the ledger of a data directory into a Redis that nodes share and that holds none
    Export(moving::MoveArguments),
    /// Move the ledger of a Redis that no node uses any more into a data directory that has none
    Import(moving::MoveArguments),
    /// Have the database belong to this data directory's journal, or to a shared ledger, instead of another one
    /// that is lost
    Adopt(adopt::AdoptArguments),
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// The data directory [default: ./countersign-data]
    #[arg(
        long,
        env = "COUNTERSIGN_DATA_DIR",
        value_name = "DIR",
        default_value = "./countersign-data",
        hide_default_value = true
    )]
    data_dir: PathBuf,
    /// Print every event, one a line
    #[arg(long)]
    events: bool,
}

/// Runs what was typed.
///
/// # Errors
/// [`Failure`] says what could not be read, or where the journal is corrupt.
pub fn run(arguments: &LedgerArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let arguments = match &arguments.command {
        LedgerCommand::Verify(arguments) => arguments,
        LedgerCommand::Found(arguments) => return shared::found(arguments, out),
        LedgerCommand::Arm(arguments) => return shared::arm(arguments, out),
        LedgerCommand::Repair(arguments) => return shared::repair(arguments, out),
        LedgerCommand::Export(arguments) => return moving::export(arguments, out),
        LedgerCommand::Import(arguments) => return moving::import(arguments, out),
        LedgerCommand::Adopt(arguments) => return adopt::run(arguments, out),
    };
    let path = journal_of(&arguments.data_dir);
    let files = open(&arguments.data_dir)?;
    writeln!(out, "directory      {}", place_text(&path))
        .map_err(|error| Failure::other(&error))?;
    verify(&files, arguments.events, out).map_err(|failure| match failure.exit {
        Exit::Corrupt => Failure {
            message: format!(
                "{}: {}\n  keep a copy of the data directory before anything else",
                path.display(),
                failure.message
            ),
            ..failure
        },
        Exit::Ok | Exit::Other | Exit::Usage | Exit::InUse => failure,
    })
}

/// The journal of a data directory that no other process has, until this is dropped.
pub(super) fn open(data_dir: &Path) -> Result<Files, Failure> {
    let path = journal_of(data_dir);
    if !path.is_dir() {
        let message = format!("{}: no journal is here", path.display());
        return Err(Failure {
            message,
            exit: Exit::Usage,
        });
    }
    Files::open(&path).map_err(|error| match error {
        OpenError::InUse => Failure {
            message: InUse::of(&path).to_string(),
            exit: Exit::InUse,
        },
        OpenError::Io(error) => Failure::other(&format!("{}: {error}", path.display())),
    })
}

/// What a journal comes to.
pub(super) struct Rebuilt {
    pub(super) states: Vec<State>,
    /// Seeds the fingerprints.
    pub(super) seed: u64,
}

/// Reads a journal to its end without changing it.
pub(super) fn rebuild(storage: &dyn Storage) -> Result<Rebuilt, Failure> {
    let loaded = checkpoint::load(storage).map_err(|error| corrupt(&error))?;
    let base = loaded.checkpoint;
    let mut rebuild = start_from(storage, base.as_ref())?;
    let from = base.as_ref().map_or(0, |base| base.covers.sequence);
    let (_, end) = examine_whole(storage, |record| {
        if record.sequence >= from {
            rebuild.take(record.sequence, record.payload);
        }
    })
    .map_err(|error| corrupt(&error))?;
    let states = rebuild
        .finish()
        .map_err(|error| corrupt_text(&error.to_string()))?;
    let journal = end.journal.or_else(|| base.map(|base| base.journal));
    Ok(Rebuilt {
        states,
        seed: journal.map_or(0, JournalId::fingerprint_seed),
    })
}

/// What was counted on the way.
#[derive(Default)]
struct Tally {
    by_kind: BTreeMap<&'static str, u64>,
    frames: u64,
    bytes: u64,
    unwritten: Option<std::io::Error>,
}

fn verify(storage: &dyn Storage, print: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let loaded = checkpoint::load(storage).map_err(|error| corrupt(&error))?;
    // Where segments were removed, the newest checkpoint is what is left of them.
    let is_whole = is_whole(storage)?;
    let base = loaded.checkpoint.filter(|_| !is_whole);
    let mut whole = start_from(storage, base.as_ref())?;
    let from = base.map_or(0, |base| base.covers.sequence);
    let mut tally = Tally::default();
    let (begin, end) = examine_whole(storage, |record| {
        if record.sequence >= from {
            whole.take(record.sequence, record.payload);
        }
        tally.take(&record, print, out);
    })
    .map_err(|error| corrupt(&error))?;
    if let Some(error) = tally.unwritten {
        return Err(Failure::other(&error));
    }
    let states = whole.finish().map_err(|error| Failure {
        message: format!("journal corrupt: {error}"),
        exit: Exit::Corrupt,
    })?;
    let compared = match &loaded.checkpoint {
        Some(checkpoint) => compare(storage, is_whole, checkpoint)?,
        None => false,
    };
    let authorizations = states.iter().map(|state| state.authorization_count());
    let verified = Verified {
        state_count: states.len(),
        authorization_count: authorizations.sum(),
        tally,
        begin,
        end,
        loaded,
        compared,
    };
    verified.write(out).map_err(|error| Failure {
        message: error.to_string(),
        exit: Exit::Other,
    })?;
    Ok(Exit::Ok)
}

/// A journal that was read to its end and found good.
struct Verified {
    tally: Tally,
    begin: Cursor,
    end: End,
    state_count: usize,
    authorization_count: usize,
    loaded: Loaded,
    /// Whether the checkpoint was compared with the frames.
    compared: bool,
}

impl Verified {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Self {
            tally,
            begin,
            end,
            state_count,
            authorization_count,
            loaded,
            compared,
        } = self;
        writeln!(out, "journal        {}", journal_text(*begin, end))?;
        let (frames, last) = (tally.frames, last(end));
        writeln!(out, "frames         {frames} through position {last}")?;
        for (kind, count) in &tally.by_kind {
            writeln!(out, "  {kind:<20} {count}")?;
        }
        writeln!(out, "bytes          {}", tally.bytes)?;
        writeln!(
            out,
            "states         {state_count} with {authorization_count} authorizations"
        )?;
        match &loaded.checkpoint {
            Some(it) => writeln!(
                out,
                "checkpoint     {} states before position {}{}",
                it.count,
                it.covers.sequence,
                if *compared {
                    ", equal to the fold of the frames"
                } else {
                    "; the frames that it was made from are gone"
                }
            )?,
            None => writeln!(out, "checkpoint     none")?,
        }
        for (name, error) in &loaded.skipped {
            writeln!(out, "damaged        {name}: {error}")?;
        }
        if end.torn {
            let dropped = end.dropped;
            writeln!(
                out,
                "unfinished end {dropped} frames that were never durable"
            )?;
        }
        writeln!(out, "ok")
    }
}

impl Tally {
    fn take(&mut self, record: &Record<'_>, print: bool, out: &mut dyn Write) {
        self.bytes += record.payload.len() as u64;
        for event in events_of(record.payload).flatten() {
            *self.by_kind.entry(kind(&event)).or_default() += 1;
            if print && self.unwritten.is_none() {
                self.unwritten =
                    writeln!(out, "{:>12}  {}", record.sequence, events::line(&event)).err();
            }
        }
        self.frames += 1;
    }
}

fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::StateOpened { .. } => "states opened",
        Event::CardOpened { .. } => "cards opened",
        Event::AgentOpened { .. } => "agents opened",
        Event::Decided(decided) => match decided.decision {
            Decision::Approve | Decision::ApprovePartial(_) => "approved",
            Decision::Decline(_) => "declined",
        },
        Event::Conflicted(_) => "conflicts",
        Event::Redelivered { .. } => "redeliveries",
        Event::Overruled { .. } => "overruled",
        Event::StandingSet { .. } => "statuses set",
        Event::Swept { .. } => "sweeps",
        Event::Lapsed { .. } => "holds lapsed",
        Event::WindowsOpened { .. } => "days opened",
        Event::RollingOpened { .. } => "trailing sums opened",
        Event::RiskFrozen { .. } => "frozen by risk",
        Event::IntentDeclared { .. } => "intents declared",
        Event::IntentSettled { .. } => "intents settled",
        Event::Attested { .. } => "attestations",
        Event::Backed { .. } => "earmarks bound or closed",
        Event::Booked(_) => "reports booked",
    }
}

/// The checkpoint's states must be what the frames before it come to, or the frames since the
/// checkpoint before it. False where neither is there any more.
fn compare(
    storage: &dyn Storage,
    is_whole: bool,
    checkpoint: &Checkpoint,
) -> Result<bool, Failure> {
    let older = checkpoint::before(storage, checkpoint).map_err(|error| corrupt(&error))?;
    let base = older.filter(|_| !is_whole);
    if base.is_none() && !is_whole {
        return Ok(false);
    }
    let mut folded = start_from(storage, base.as_ref())?;
    let (from, covered) = (
        base.map_or(0, |it| it.covers.sequence),
        checkpoint.covers.sequence,
    );
    examine_whole(storage, |record| {
        if (from..covered).contains(&record.sequence) {
            folded.take(record.sequence, record.payload);
        }
    })
    .map_err(|error| corrupt(&error))?;
    let folded = folded
        .finish()
        .map_err(|error| corrupt_text(&error.to_string()))?;
    let mut entries = checkpoint
        .entries(storage)
        .map_err(|error| corrupt(&error))?;
    for state in &folded {
        let entry = entries.next().map_err(|error| corrupt(&error))?;
        let equal = entry.is_some_and(|(_, image)| image::is_of(image, state));
        if !equal {
            let message = format!(
                "the checkpoint differs from the frames at state {}",
                state.no.0
            );
            return Err(corrupt_text(&message));
        }
    }
    Ok(true)
}

/// Whether the journal is there from its first segment on.
fn is_whole(storage: &dyn Storage) -> Result<bool, Failure> {
    let names = storage.list().map_err(|fault| Failure::other(&fault))?;
    let segments = names.into_iter().filter_map(|name| match name {
        Name::Segment(number) => Some(number),
        Name::Checkpoint(_) | Name::Draft(_) => None,
    });
    Ok(segments.min().is_none_or(|first| first == 1))
}

/// Nothing, or the states of a checkpoint.
fn start_from(storage: &dyn Storage, base: Option<&Checkpoint>) -> Result<Rebuild, Failure> {
    let mut rebuild = Rebuild::new();
    let Some(base) = base else {
        return Ok(rebuild);
    };
    let mut entries = base.entries(storage).map_err(|error| corrupt(&error))?;
    while let Some((_, image)) = entries.next().map_err(|error| corrupt(&error))? {
        let restored = rebuild.restore(image);
        restored.map_err(|_malformed| corrupt_text("an image of the checkpoint is malformed"))?;
    }
    Ok(rebuild)
}

fn corrupt(error: &RecoverError) -> Failure {
    let exit = match error {
        RecoverError::Corrupt(_) => Exit::Corrupt,
        RecoverError::Io { .. } => Exit::Other,
    };
    Failure {
        message: error.to_string(),
        exit,
    }
}

fn corrupt_text(message: &str) -> Failure {
    Failure {
        message: format!("journal corrupt: {message}"),
        exit: Exit::Corrupt,
    }
}

/// Which journal it is: a node's is not the ledger.
fn place_text(path: &Path) -> String {
    let is_shared = path.ends_with(SHARED_JOURNAL);
    let whose = if is_shared {
        ", what a node has learned of the log in Redis since its last start"
    } else {
        ""
    };
    format!("{}{whose}", path.display())
}

fn journal_text(begin: Cursor, end: &End) -> String {
    let segments = end.next.segment.saturating_sub(begin.segment);
    let last = end.tail.map_or_else(String::new, |tail| {
        format!(
            ", ends at {}, offset {}",
            Name::Segment(tail.segment),
            tail.end
        )
    });
    let removed = match begin.segment {
        1 => String::new(),
        first => format!(", those before {} removed", Name::Segment(first)),
    };
    match segments {
        0 => format!("nothing is written in it yet{removed}"),
        1 => format!("1 segment{removed}{last}"),
        _ => format!("{segments} segments{removed}{last}"),
    }
}

fn last(end: &End) -> u64 {
    end.next.sequence.saturating_sub(1)
}

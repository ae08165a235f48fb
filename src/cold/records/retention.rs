//! Removing segments whose records are older than they have to be kept.
//!
//! A segment goes only when every record in it is too old by its own time, when the two newest
//! checkpoints cover it, and when all segments before it are gone. So what is left is a whole.

use std::sync::Arc;

use super::Records;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::checkpoint::merge::{removable, sweep};
use crate::ledger::embedded::follow::{FollowFault, Follower};
use crate::ledger::embedded::io::{Name, Storage};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::recover::RecoverError;
use crate::ledger::event::{Event, events_of};

const DAY_US: i64 = 86_400 * 1_000_000;

/// Removes segments, and has the index forget them.
pub struct Retention {
    records: Arc<Records>,
    keep_us: i64,
    /// The newest record of the segment with this number, which stays as it is.
    known: Option<(u64, Option<Timestamp>)>,
}

impl Retention {
    /// Keeps every record for at least this many days.
    #[must_use]
    pub fn new(records: Arc<Records>, keep_days: u32) -> Self {
        Self {
            records,
            keep_us: i64::from(keep_days).saturating_mul(DAY_US),
            known: None,
        }
    }

    /// Removes what may go. How many segments that were.
    ///
    /// # Errors
    /// Where a checkpoint cannot be read or a segment not be removed; what is left is a whole.
    pub fn sweep_at(
        &mut self,
        storage: &dyn Storage,
        now: Timestamp,
    ) -> Result<usize, RecoverError> {
        let cut = Timestamp::from_micros(now.micros().saturating_sub(self.keep_us));
        let oldest = oldest(storage)?;
        // Mostly nothing is old enough; that is seen without reading checkpoints.
        if !oldest.is_some_and(|oldest| self.is_over(storage, oldest, cut)) {
            return Ok(0);
        }
        let covered = removable(storage, Position(u64::MAX))?;
        let over = covered
            .into_iter()
            .take_while(|segment| self.is_over(storage, *segment, cut));
        let over: Vec<u64> = over.collect();
        let Some(last) = over.last() else {
            return Ok(0);
        };
        self.records.forget_segments_before(*last + 1);
        sweep(storage, &over)?;
        Ok(over.len())
    }

    /// Whether every record of the segment is from before the cut.
    fn is_over(&mut self, storage: &dyn Storage, segment: u64, cut: Timestamp) -> bool {
        let newest = match self.known {
            Some((known, newest)) if known == segment => newest,
            _ => match newest_record(storage, segment) {
                Ok(newest) => {
                    self.known = Some((segment, newest));
                    newest
                }
                Err(fault) => {
                    tracing::error!(%fault, segment, "a segment cannot be read, so it stays");
                    return false;
                }
            },
        };
        newest.is_none_or(|newest| newest < cut)
    }
}

fn oldest(storage: &dyn Storage) -> Result<Option<u64>, RecoverError> {
    let names = storage
        .list()
        .map_err(|fault| RecoverError::Io { name: None, fault })?;
    let segments = names.into_iter().filter_map(|name| match name {
        Name::Segment(number) => Some(number),
        Name::Checkpoint(_) | Name::Draft(_) => None,
    });
    Ok(segments.min())
}

/// The latest instant that the segment tells of.
fn newest_record(storage: &dyn Storage, segment: u64) -> Result<Option<Timestamp>, FollowFault> {
    let mut newest = None;
    let mut follower = Follower::of_segment(segment);
    loop {
        let more = follower.poll(storage, u64::MAX, |record| {
            let events = events_of(record.payload).filter_map(Result::ok);
            newest = newest.max(events.filter_map(|event| at(&event)).max());
        })?;
        if !more {
            return Ok(newest);
        }
    }
}

/// When the event happened; absent where it comes with another that says so.
fn at(event: &Event<'_>) -> Option<Timestamp> {
    match event {
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. }
        | Event::WindowsOpened { .. }
        | Event::RollingOpened { .. } => None,
        Event::Decided(decided) | Event::Conflicted(decided) => Some(decided.at),
        Event::Booked(booked) => Some(booked.at),
        Event::Redelivered { at, .. }
        | Event::Overruled { at, .. }
        | Event::StandingSet { at, .. }
        | Event::RiskFrozen { at, .. }
        | Event::IntentDeclared { at, .. }
        | Event::IntentSettled { at, .. }
        | Event::Attested { at, .. }
        | Event::Backed { at, .. } => Some(*at),
    }
}

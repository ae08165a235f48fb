//! What this node answers in the place of a shared log that does not (decision 0042), and how the log is told
//! of it afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use super::agreement::within;
use super::exchange::Deciding;
use crate::domain::card::Key;
use crate::domain::decision::DeclineReason;
use crate::domain::identity::{Recognition, StepIdentity, StoredStep};
use crate::domain::time::Timestamp;
use crate::hot::pipeline::{Core, Drafted, Pipeline, Rested, Waiting};
use crate::ledger::event::{Event, events_of};
use crate::ledger::redis::offers::{Outcome, SharedLog};
use crate::ledger::redis::stand_in::{Began, Entry, Leaving, Stage, StandIn};
use crate::ledger::stand_in::StoodIn;

/// The part of the time to answer that is kept for this node's own file: a disk that is busy takes long.
const KEPT_PART: i64 = 4;
/// Between two looks whether there is anything to do with, and between two attempts to tell the log.
const STARTED_PAUSE: Duration = Duration::from_millis(5);
const TOLD_AGAIN: Duration = Duration::from_millis(250);

/// One question, and whether this node may answer it by itself.
pub(super) struct Standing<'d> {
    deciding: &'d Deciding<'d>,
    shared: &'d Shared,
    book: Option<&'d Arc<StandIn>>,
    /// Until when the log is asked.
    pub(super) asks_until: Timestamp,
    leaves_by: Timestamp,
}

/// What this node has said of an authorization that the log does not know yet.
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// This is the answer.
    Said(Box<Rested>),
    /// The log has it by now.
    Booked,
}

impl<'d> Standing<'d> {
    pub(super) fn new(deciding: &'d Deciding<'d>, shared: &'d Shared, deadline: Timestamp) -> Self {
        // As where one waits for the disk: whoever is found to be overdue waits for a turn twice.
        let leaves_by = deadline.plus_micros(-2 * deciding.behind_us());
        let book = shared.stand_in.get();
        let kept_us = match book {
            Some(_) => deciding.connection().deadline_us / KEPT_PART,
            None => 0,
        };
        Self {
            deciding,
            shared,
            book,
            asks_until: leaves_by.plus_micros(-kept_us),
            leaves_by,
        }
    }

    /// What this node has said before. A message that is none of those that it has answered waits until the
    /// log knows them.
    pub(super) async fn before(&self, drafted: &Drafted) -> Before {
        let entry = self.book.and_then(|it| it.of(drafted.draft.authorization));
        let (Some(entry), Some(step)) = (entry, step_of(&drafted.draft.events)) else {
            return Before::Nothing;
        };
        if !is_same(&entry, &step) {
            return match within(self.shared, self.asks_until, entry.settled()).await {
                Some(_) => Before::Booked,
                None => Before::Said(Box::new(
                    self.declined(&drafted.waiting, DeclineReason::LedgerUnavailable),
                )),
            };
        }
        match within(self.shared, self.leaves_by, entry.kept()).await {
            Some(Stage::Durable | Stage::Booked) => {
                Before::Said(Box::new(self.given(&drafted.waiting)))
            }
            Some(Stage::Written | Stage::Void) => Before::Nothing,
            None => Before::Said(Box::new(
                self.declined(&drafted.waiting, DeclineReason::DeadlineExceeded),
            )),
        }
    }

    /// The answer where the log did not give one: this node's own, if it may give any, or a decline for this
    /// reason. And whether it is an approval.
    pub(super) async fn instead(&self, drafted: &Drafted, reason: DeclineReason) -> (Rested, bool) {
        if self.may_give(drafted.draft.owner).await {
            (self.given(&drafted.waiting), true)
        } else {
            (self.declined(&drafted.waiting, reason), false)
        }
    }

    /// Whether this node approves it, so that it is in its file.
    async fn may_give(&self, owner: Key) -> bool {
        let (Some(book), Some(log)) = (self.book, self.shared.log.get()) else {
            return false;
        };
        // A Redis that may have forgotten something is not stood in for (behaviour 3.2).
        if !log.is_known() {
            return false;
        }
        loop {
            let (entries, version) = book.of_owner(owner);
            let before: Result<Vec<_>, _> = entries.iter().map(|it| it.stood_in()).collect();
            let Ok(before) = before else { return false };
            let Some(proposed) = self.deciding.stand_in((owner, &before)) else {
                return false;
            };
            let Ok(stood_in) = StoodIn::decode(&proposed.draft.events) else {
                return false;
            };
            return match book.begin(&stood_in, version) {
                Began::New(leaving) => self.leaves(leaving).await,
                Began::Known(entry) if is_same(&entry, &stood_in.decided.step) => {
                    let kept = within(self.shared, self.leaves_by, entry.kept()).await;
                    matches!(kept, Some(Stage::Durable | Stage::Booked))
                }
                Began::Newer => continue,
                Began::Known(_) | Began::Refused => false,
            };
        }
    }

    /// Whether an approval is in the file in time.
    async fn leaves(&self, leaving: Leaving) -> bool {
        let kept = within(self.shared, self.leaves_by, leaving.entry().kept()).await;
        let is_in_time = self.shared.clock.now() <= self.leaves_by;
        let leaves = kept == Some(Stage::Durable) && is_in_time;
        if !leaves {
            leaving.withdraw();
        }
        leaves
    }

    fn given(&self, waiting: &Waiting) -> Rested {
        Rested::Now(Pipeline::stood_in(self.deciding.connection(), waiting))
    }

    fn declined(&self, waiting: &Waiting, reason: DeclineReason) -> Rested {
        let connection = self.deciding.connection();
        Rested::Now(Pipeline::not_agreed(connection, waiting, reason))
    }
}

/// What a draft decides; absent where it repeats what the log knows.
fn step_of(events: &[u8]) -> Option<StepIdentity> {
    events_of(events).find_map(|event| match event {
        Ok(Event::Decided(decided)) => Some(decided.step),
        Ok(_) | Err(_) => None,
    })
}

fn is_same(entry: &Entry, asked: &StepIdentity) -> bool {
    entry.stood_in().is_ok_and(|stood_in| {
        let StepIdentity {
            name,
            delivery,
            content,
            ..
        } = stood_in.decided.step;
        let stored = StoredStep {
            name,
            delivery,
            content,
        };
        asked.recognise(&stored) == Recognition::Same
    })
}

/// Has the log take what this node approved by itself, one after the other, for as long as the process runs.
pub(super) async fn book_all(shared: Arc<Shared>) {
    let core = loop {
        match shared.pipeline.core() {
            Some(core) => break core,
            None => sleep(STARTED_PAUSE).await,
        }
    };
    let (Some(book), Some(log)) = (shared.stand_in.get(), shared.log.get()) else {
        return;
    };
    loop {
        let Some(entry) = book.next_unbooked() else {
            book.is_unbooked().await;
            continue;
        };
        match taken(core, log, &entry).await {
            Some(true) => {
                book.is_booked(&entry);
                if let Some(kick) = shared.kick.get() {
                    kick();
                }
            }
            Some(false) => sleep(TOLD_AGAIN).await,
            None => book.is_stuck(&entry),
        }
    }
}

/// Whether the log has taken it; absent where it never can.
async fn taken(core: &Core, log: &SharedLog, entry: &Entry) -> Option<bool> {
    let stood_in = entry.stood_in().ok()?;
    // Held while it is not known what became of the draft of the same question.
    let _turn = log.turn(stood_in.owner.key).await;
    loop {
        let draft = match core.ledger.propose_stood_in(&stood_in) {
            Ok(draft) => draft,
            Err(why) => {
                let (card, authorization) = (stood_in.card.id, &stood_in.decided.authorization);
                tracing::error!(
                    ?why, card, %authorization,
                    "what this node approved by itself cannot be booked; it keeps its part of the budget"
                );
                return None;
            }
        };
        match log.offer(draft).await {
            Ok(Outcome::Taken(_)) => return Some(true),
            Ok(Outcome::Newer) => {}
            Ok(Outcome::Unavailable) | Err(_) => return Some(false),
        }
    }
}

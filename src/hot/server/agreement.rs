//! How a decision is agreed on where several nodes share the counters (decision 0028).
//!
//! A decision was made on what this node knows of the customer's log. The log takes it, or says what
//! came before; then it is made again. One at a time of each customer: the next one of the same node
//! would rest on a state that is about to change.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Shared;
use super::exchange::Deciding;
use super::stand_in::{Before, Standing};
use crate::domain::card::Key;
use crate::domain::decision::DeclineReason;
use crate::domain::time::Timestamp;
use crate::hot::pipeline::events::{Booking, Premise};
use crate::hot::pipeline::{Begun, Drafted, Pipeline, Rested, Waiting};
use crate::ledger::command::{BookAnswer, Overrule};
use crate::ledger::redis::offers::{Outcome, Turn};

/// Between two attempts to tell the log of an approval that was not given.
const TOLD_AGAIN: Duration = Duration::from_millis(200);

/// Agrees on a decision with the log; where that does not answer, answers in its place or declines.
pub(super) async fn agree(
    deciding: &Deciding<'_>,
    shared: &Arc<Shared>,
    mut drafted: Box<Drafted>,
) -> Rested {
    let connection = deciding.connection();
    let declined =
        |waiting: &Waiting, reason| Rested::Now(Pipeline::not_agreed(connection, waiting, reason));
    let Some(log) = shared.log.get() else {
        return declined(&drafted.waiting, DeclineReason::LedgerUnavailable);
    };
    let standing = Standing::new(deciding, shared, drafted.waiting.deadline);
    let mut turn: Option<Turn> = None;
    loop {
        match standing.before(&drafted).await {
            Before::Nothing => {}
            Before::Said(rested) => return *rested,
            Before::Booked => match anew(deciding, &drafted.waiting) {
                ControlFlow::Continue(again) => {
                    drafted = again;
                    continue;
                }
                ControlFlow::Break(rested) => return rested,
            },
        }
        let owner = drafted.draft.owner;
        if turn.as_ref().is_none_or(|turn| turn.owner() != owner) {
            // Given back first: two that wait for each other's would wait for ever.
            drop(turn.take());
            turn = log.try_turn(owner);
        }
        let outcome = if turn.is_none() {
            turn = within(shared, standing.asks_until, log.turn(owner)).await;
            if turn.is_none() {
                let reason = DeclineReason::DeadlineExceeded;
                return standing.instead(&drafted, reason).await.0;
            }
            // Whoever had it has changed the state.
            Outcome::Newer
        } else {
            let mut offered = log.offer(drafted.draft.clone());
            match within(shared, standing.asks_until, &mut offered).await {
                Some(outcome) => outcome.unwrap_or(Outcome::Unavailable),
                None => {
                    let reason = DeclineReason::DeadlineExceeded;
                    let (rested, is_given) = standing.instead(&drafted, reason).await;
                    spawn_late(shared, (drafted, is_given), offered, turn);
                    return rested;
                }
            }
        };
        match outcome {
            Outcome::Taken(position) => {
                return shared.pipeline.agreed(connection, *drafted, position.0);
            }
            Outcome::Newer => {}
            Outcome::Unavailable => {
                let reason = DeclineReason::LedgerUnavailable;
                return standing.instead(&drafted, reason).await.0;
            }
        }
        drafted = match anew(deciding, &drafted.waiting) {
            ControlFlow::Continue(again) => again,
            ControlFlow::Break(rested) => return rested,
        };
    }
}

/// The question on what is known by now; what it comes to where the log need not be asked.
fn anew(deciding: &Deciding<'_>, waiting: &Waiting) -> ControlFlow<Rested, Box<Drafted>> {
    ControlFlow::Break(match deciding.begin(None) {
        Some(Begun::Drafted(again)) => return ControlFlow::Continue(again),
        Some(Begun::Decided(finished)) => Rested::Now(finished),
        Some(Begun::Waiting(waiting)) => Rested::Waiting(waiting),
        // What was the issuer's question is no other one now.
        Some(Begun::Refused(_) | Begun::NotUnderstood(..)) | None => {
            deciding.found_bug();
            let reason = DeclineReason::LedgerUnavailable;
            Rested::Now(Pipeline::not_agreed(deciding.connection(), waiting, reason))
        }
    })
}

/// Has the log take what is drafted, again as often as it had something newer: what it comes to. What the
/// log would not refuse rests on what this node knows, so that it learns first. Absent where it cannot,
/// or where the log was not heard to take it. Whoever stops waiting must find out later: the log may take it
/// all the same.
pub(super) async fn taken(
    shared: &Shared,
    draft: impl Fn() -> Option<Booking>,
) -> Option<BookAnswer> {
    let log = shared.log.get()?;
    let mut turn: Option<Turn> = None;
    let mut known = Premise::Nothing;
    loop {
        let Booking {
            mut answer,
            draft: drafted,
            premise,
        } = draft()?;
        if ![Premise::Nothing, known].contains(&premise) && known != Premise::All {
            let is_known = match premise {
                Premise::Of(owner) => log.follow(owner).await,
                Premise::Nothing | Premise::All => log.knows_all().await,
            };
            if !is_known {
                return None;
            }
            known = premise;
            continue;
        }
        let Some(drafted) = drafted else {
            return Some(answer);
        };
        if turn.as_ref().is_none_or(|it| it.owner() != drafted.owner) {
            // Given back first, as above. Whoever had it has changed the state.
            drop(turn.take());
            turn = Some(log.turn(drafted.owner).await);
            continue;
        }
        match log.offer(drafted).await {
            Ok(Outcome::Taken(position)) => {
                answer.position = Some(position.0);
                return Some(answer);
            }
            Ok(Outcome::Newer) => {}
            Ok(Outcome::Unavailable) | Err(_) => return None,
        }
    }
}

/// Waits for what becomes of a decision whose answer had to leave, as an approval or not. The customer's next
/// decision waits too, because it would rest on this one.
fn spawn_late(
    shared: &Arc<Shared>,
    (drafted, is_given): (Box<Drafted>, bool),
    offered: oneshot::Receiver<Outcome>,
    turn: Option<Turn>,
) {
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        let outcome = offered.await;
        if is_given {
            // The log may have it from here already, and is told of it once more.
            drop(turn);
        } else if let Ok(Outcome::Taken(position)) = outcome {
            let now = shared.clock.now();
            if let Some((owner, overrule)) = Pipeline::not_given(&drafted, position.0, now) {
                take_back(&shared, owner, overrule, turn).await;
            }
        }
    });
}

/// Has the log told that an approval was not given.
pub(super) fn spawn_take_back(shared: &Arc<Shared>, (owner, overrule): (Key, Overrule)) {
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move { take_back(&shared, owner, overrule, None).await });
}

/// Tries until the log has it, or a redelivery has let the approval go, or it is too old.
async fn take_back(shared: &Shared, owner: Key, mut overrule: Overrule, mut turn: Option<Turn>) {
    let (Some(log), Some(core)) = (shared.log.get(), shared.pipeline.core()) else {
        return;
    };
    loop {
        let held = match turn.take() {
            Some(held) => held,
            None => log.turn(owner).await,
        };
        overrule.at = shared.clock.now();
        let Some(draft) = core.ledger.propose_overrule(owner, &overrule) else {
            tracing::warn!("a late approval stands: a redelivery let it go, or it is too old");
            return;
        };
        match log.offer(draft).await {
            Ok(Outcome::Taken(_)) => return,
            Ok(Outcome::Newer) => {}
            Ok(Outcome::Unavailable) | Err(_) => {
                drop(held);
                tokio::time::sleep(TOLD_AGAIN).await;
            }
        }
    }
}

/// What comes of it before the deadline.
pub(super) async fn within<T>(
    shared: &Shared,
    deadline: Timestamp,
    what: impl Future<Output = T>,
) -> Option<T> {
    let left_us = deadline.micros_since(shared.clock.now());
    let left = Duration::from_micros(u64::try_from(left_us).unwrap_or(0));
    tokio::time::timeout(left, what).await.ok()
}

//! Approvals that could not leave in time are taken back, unless a redelivery has let them go.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};

use super::{EmbeddedLedger, Unavailable};
use crate::domain::card::Key;
use crate::domain::time::Timestamp;
use crate::ledger::check::{self, Events};
use crate::ledger::command::Overrule;
use crate::ledger::embedded::journal::Class;
use crate::ledger::state::State;

/// How long a confirmed redelivery is remembered.
const CONFIRMED_US: i64 = 60_000_000;

/// How long after its arrival an approval can be taken back. A process that was put to sleep finds
/// its deliveries waiting, and what a redelivery was told meanwhile may be forgotten by then.
const OVERRULED_US: i64 = 30_000_000;

/// The same where nodes share a log, in which a redelivery is an entry: what it let go is known to
/// every node, for longer, and a connection that was lost for minutes costs no limit.
const OVERRULED_SHARED_US: i64 = 300_000_000;

/// How long a node remembers what a redelivery in the shared log let go.
const CONFIRMED_SHARED_US: i64 = 10 * CONFIRMED_US;

const _: () = assert!(
    OVERRULED_US < CONFIRMED_US && OVERRULED_SHARED_US < CONFIRMED_SHARED_US,
    "what can be taken back is remembered"
);

impl EmbeddedLedger {
    /// Whether the approval at `position` still stands; if so, it can no longer be overruled.
    #[must_use]
    pub fn confirm(&self, owner: Key, authorization: Key, position: u64, now: Timestamp) -> bool {
        // The entry is held while the confirmation is noted, as `overrule` holds it while it looks.
        let Some(state) = self.customers.get(&owner) else {
            return false;
        };
        let step = state.authorization(authorization).and_then(|known| {
            known
                .steps()
                .find(|step| step.position == position && step.decision.is_approval())
        });
        let stands = step.is_some();
        // What can no longer be taken back need not be remembered.
        if step.is_some_and(|step| now.micros_since(step.at) <= self.overruled_within_us()) {
            self.note_confirmed(now, position);
        }
        stands
    }

    /// Notes that a redelivery let go of an approval at this instant. Where nodes share a log, it is that of
    /// the question, since their clocks differ; and it is remembered for longer.
    pub(super) fn note_confirmed(&self, at: Timestamp, position: u64) {
        let kept_us = if self.is_shared {
            CONFIRMED_SHARED_US
        } else {
            CONFIRMED_US
        };
        let mut confirmed = self.confirmed();
        let newest = confirmed.back().map(|(newest, _)| *newest);
        // Learned so late that it cannot be taken back any more.
        if newest.is_some_and(|newest| newest.micros_since(at) > kept_us) {
            return;
        }
        while confirmed
            .front()
            .is_some_and(|(noted, _)| at.micros_since(*noted) > kept_us)
        {
            confirmed.pop_front();
        }
        confirmed.push_back((at, position));
    }

    fn overruled_within_us(&self) -> i64 {
        if self.is_shared {
            OVERRULED_SHARED_US
        } else {
            OVERRULED_US
        }
    }

    fn confirmed(&self) -> MutexGuard<'_, VecDeque<(Timestamp, u64)>> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back an approval that could not leave in time. Whether there was one to take back: one
    /// that is half a minute old stands, because a redelivery may have let it go.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing; the approval then stands in memory, and
    /// the caller must not let it leave.
    pub fn overrule(&self, owner: Key, command: &Overrule) -> Result<bool, Unavailable> {
        let Some(mut state) = self.customers.get_mut(&owner) else {
            return Ok(false);
        };
        let Some(events) = self.overruled(&state, command) else {
            return Ok(false);
        };
        self.record(&mut state, None, &events, Class::Release)?;
        Ok(true)
    }

    /// What taking it back comes to; absent where it stands.
    pub(super) fn overruled(&self, state: &State, command: &Overrule) -> Option<Events<'static>> {
        let in_time = state
            .authorization(command.authorization)
            .and_then(|known| known.steps().find(|it| it.position == command.decided_at))
            .is_some_and(|step| command.at.micros_since(step.at) <= self.overruled_within_us());
        let confirmed = |(_, position): &(Timestamp, u64)| *position == command.decided_at;
        if !in_time || self.confirmed().iter().any(confirmed) {
            return None;
        }
        check::overrule(state, command)
    }
}

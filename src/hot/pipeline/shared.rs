//! Decisions that hold only once a log that several nodes share has taken them (decision 0028).

use super::{Arrival, Begun, Connection, Core, Finished, Pipeline, Waiting, rests};
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::card::Key;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::issuer::ReplyForm;
use crate::ledger::command::{Answer, Authorize, Novelty, Overrule, Route};
use crate::ledger::embedded::store::{Draft, Proposed, Unavailable};
use crate::ledger::shared::EntryId;
use crate::ledger::stand_in::StoodIn;

/// A decision that is recorded.
pub enum Rested {
    /// Its answer can leave at once.
    Now(Finished),
    /// Its answer rests on a frame of the node's journal.
    Waiting(Waiting),
}

impl From<Rested> for Begun {
    fn from(rested: Rested) -> Self {
        match rested {
            Rested::Now(finished) => Self::Decided(finished),
            Rested::Waiting(waiting) => Self::Waiting(waiting),
        }
    }
}

/// A decision that its log has not taken yet.
pub struct Drafted {
    /// What the log has to take.
    pub draft: Draft,
    /// The decision, without its position.
    pub waiting: Waiting,
}

/// By whom a question is judged where nodes share a log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judge<'u> {
    /// By the log, which takes what this node says or not.
    Log,
    /// By this node alone, out of its own budget (decision 0042); and what it has approved so for this owner,
    /// that the log does not have yet.
    Node(Key, &'u [StoodIn<'u>]),
}

impl Judge<'_> {
    pub(super) fn is_node(&self) -> bool {
        matches!(self, Self::Node(..))
    }
}

/// What a ledger says of a question.
pub(super) enum Word {
    /// It is recorded.
    Recorded(Answer),
    /// It holds once the shared log has taken it.
    Proposed(Box<Proposed>),
}

/// What becomes of a question once the ledger has said its word on it.
pub(super) fn said(
    arrival: &Arrival<'_>,
    form: ReplyForm,
    (owner, authorization): (Key, Key),
    word: Word,
) -> Begun {
    let connection = arrival.connection;
    let waiting = |owner, answer| Waiting {
        position: 0,
        deadline: arrival.received.plus_micros(connection.deadline_us),
        form,
        answer,
        owner,
        authorization,
    };
    match word {
        Word::Recorded(answer) => rests(connection, waiting(owner, answer)).into(),
        Word::Proposed(proposed) => {
            let Proposed { draft, answer } = *proposed;
            let waiting = waiting(draft.owner, answer);
            Begun::Drafted(Box::new(Drafted { draft, waiting }))
        }
    }
}

impl Core {
    /// Has the ledger decide; where its log is shared, what it decides has to be agreed on.
    pub(super) fn ask(
        &self,
        route: &Route<'_>,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Word, Unavailable> {
        if self.ledger.is_shared() {
            let proposed = self.ledger.propose(route, unattributed, command)?;
            return Ok(Word::Proposed(Box::new(proposed)));
        }
        let answer = self.ledger.authorize(route, unattributed, command)?;
        Ok(Word::Recorded(answer))
    }
}

impl Core {
    /// Has the ledger decide in the place of the log.
    pub(super) fn stand_in(
        &self,
        route: &Route<'_>,
        unattributed: Key,
        (owner, unbooked): (Key, &[StoodIn<'_>]),
        command: &Authorize<'_>,
    ) -> Result<Word, Unavailable> {
        // The card has come to another customer meanwhile.
        if owner != route.key {
            return Err(Unavailable::Refused);
        }
        let stood_in = self
            .ledger
            .stand_in(route, unattributed, unbooked, command)?;
        let stood_in = stood_in.ok_or(Unavailable::Refused)?;
        let draft = Draft {
            owner: route.key,
            expected: 0,
            after: EntryId::NONE,
            authorization: command.step.authorization,
            events: stood_in.encode(),
        };
        let answer = Answer {
            decision: stood_in.decided.decision,
            novelty: Novelty::New,
            position: 0,
            explanation: None,
            available: None,
        };
        Ok(Word::Proposed(Box::new(Proposed { draft, answer })))
    }
}

/// Whether money comes out as cash. A purchase can be undone, and this cannot, so that no node lets it go by
/// itself.
pub(super) fn takes_cash(request: &AuthorizationRequest<'_>) -> bool {
    !request.cash.is_zero() || request.acceptor.mcc.is_some_and(Mcc::is_cash)
}

impl Pipeline {
    /// What this node would approve in the place of a log that does not answer, beside what it has approved so
    /// for this owner and the log does not have yet; absent where the log has to be asked. The events of the
    /// draft are a [`StoodIn`].
    pub fn stand_in(
        &self,
        arrival: &Arrival<'_>,
        (owner, unbooked): (Key, &[StoodIn<'_>]),
        now: impl Fn() -> Timestamp,
    ) -> Option<Box<Drafted>> {
        match self.begin_by(Judge::Node(owner, unbooked), arrival, now) {
            Begun::Drafted(drafted) => Some(drafted),
            Begun::Refused(_)
            | Begun::NotUnderstood(..)
            | Begun::Decided(_)
            | Begun::Waiting(_) => None,
        }
    }

    /// The answer of what this node has approved by itself.
    #[must_use]
    pub fn stood_in(connection: &Connection, waiting: &Waiting) -> Finished {
        finished(connection, waiting, Decision::Approve)
    }

    /// What an answer rests on once the shared log has taken its draft, which the node's journal has at
    /// `position`.
    #[must_use]
    pub fn agreed(&self, connection: &Connection, drafted: Drafted, position: u64) -> Rested {
        let mut waiting = drafted.waiting;
        if waiting.answer.novelty != Novelty::Known {
            waiting.answer.position = position;
        }
        rests(connection, waiting)
    }

    /// The answer where the shared log was not heard to take the draft: in time, or at all.
    #[must_use]
    pub fn not_agreed(
        connection: &Connection,
        waiting: &Waiting,
        reason: DeclineReason,
    ) -> Finished {
        finished(connection, waiting, Decision::Decline(reason))
    }

    /// What the shared log has to be told of a decision that it took at `position` after the answer had
    /// to leave: that an approval was not given.
    #[must_use]
    pub fn not_given(drafted: &Drafted, position: u64, now: Timestamp) -> Option<(Key, Overrule)> {
        let waiting = &drafted.waiting;
        let answer = &waiting.answer;
        let was_made = answer.novelty == Novelty::New && answer.decision.is_approval();
        was_made.then_some((
            waiting.owner,
            Overrule {
                authorization: waiting.authorization,
                decided_at: position,
                at: now,
            },
        ))
    }
}

/// An answer that rests on nothing in the journal.
fn finished(connection: &Connection, waiting: &Waiting, decision: Decision) -> Finished {
    let issuer = connection.issuer.kind();
    Finished {
        decision,
        reply: issuer.encode(&waiting.form, decision, None),
        appended: false,
        takes_back: None,
    }
}

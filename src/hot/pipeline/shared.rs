//! Decisions that hold only once a log that several nodes share has taken them (decision 0028).

use super::{Arrival, Begun, Connection, Core, Finished, Pipeline, Waiting, rests};
use crate::domain::card::Key;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::time::Timestamp;
use crate::issuer::ReplyForm;
use crate::ledger::command::{Answer, Authorize, Novelty, Overrule, Route};
use crate::ledger::embedded::store::{Draft, Proposed, Unavailable};

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

impl Pipeline {
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
        let decision = Decision::Decline(reason);
        let issuer = connection.issuer.kind();
        Finished {
            decision,
            reply: issuer.encode(&waiting.form, decision, None),
            appended: false,
            takes_back: None,
        }
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

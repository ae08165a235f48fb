//! Commands of the cold side to the ledger, applied on a hot thread between authorizations.
//!
//! Only hot threads hold entries of the ledger, so that a cold thread that is put to sleep by the
//! kernel never holds up an authorization. What it costs: a command waits for its turn.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::domain::card::Key;
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::{Draft, EmbeddedLedger};
use crate::ledger::redis::offers::{Outcome, SharedLog, Turn};

/// Commands that may wait at a time; more are refused.
const WAITING_MAX: usize = 256;

type Command = Box<dyn FnOnce(&EmbeddedLedger) + Send>;

/// The cold side's end.
#[derive(Clone)]
pub struct LedgerPort {
    commands: mpsc::Sender<Command>,
    log: Arc<OnceLock<Arc<SharedLog>>>,
}

/// The hot side's end.
pub struct LedgerInbox {
    commands: mpsc::Receiver<Command>,
}

/// Why a command was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Too many wait; it may be asked again.
    Busy,
    /// The hot side is not there.
    Closed,
    /// The log that several nodes share is not known to have taken it.
    NotTaken,
}

/// What a change has come to.
pub struct Made<T> {
    /// What the command says.
    pub said: T,
    /// Where the journal has what the shared log took; absent where the command says it, or nothing had
    /// to change.
    pub taken: Option<Position>,
}

/// The two ends of one queue.
#[must_use]
pub fn ledger_port() -> (LedgerPort, LedgerInbox) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (
        LedgerPort {
            commands: sender,
            log: Arc::default(),
        },
        LedgerInbox { commands: receiver },
    )
}

impl LedgerPort {
    /// From now on changes go through this log.
    pub fn share(&self, log: Arc<SharedLog>) {
        // The cell is new, so nothing is in it.
        let _full = self.log.set(log);
    }

    /// Has `command` change the state of `owner`. Where nodes share a log, this node first learns what the
    /// log has of the owner, so that what stands already stands everywhere; and when this returns the log
    /// has taken what had to change. So no node approves against it what arrives later: the log refuses
    /// whatever was decided without it.
    ///
    /// # Errors
    /// [`PortError`] where nobody runs it, or nobody knows what became of it.
    pub async fn change<T: Send + 'static, E: Send + 'static>(
        &self,
        owner: Key,
        command: impl Fn(&EmbeddedLedger) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<Result<Made<T>, E>, PortError> {
        let Some(log) = self.log.get() else {
            let said = self.ask(command).await?;
            return Ok(said.map(|said| Made { said, taken: None }));
        };
        let turn = log.turn(owner).await;
        if !log.follow(owner).await {
            return Err(PortError::NotTaken);
        }
        for tried in 0..OFFERS_MAX {
            let once = command.clone();
            let (said, draft) = self.ask(move |ledger| ledger.drafting(once)).await?;
            let (said, draft) = match (said, draft) {
                (Err(why), _) => return Ok(Err(why)),
                (Ok(said), None) => return Ok(Ok(Made { said, taken: None })),
                (Ok(said), Some(draft)) => (said, draft),
            };
            if let Some(taken) = offer(log, draft, &turn).await? {
                let taken = Some(taken);
                return Ok(Ok(Made { said, taken }));
            }
            // Other nodes append faster than this one decides, and what people order does not wait for that. The
            // first refusal may be of another node that was told the same: then nothing is left to append.
            if tried > 0 && !log.claim(&turn).await {
                return Err(PortError::NotTaken);
            }
        }
        Err(PortError::NotTaken)
    }

    /// Has one step of work on many states done, which says where to go on. Where nodes share a log, the
    /// step stays where it is until the log has what it drafts.
    ///
    /// # Errors
    /// [`PortError`] where nobody runs it, or nobody knows what became of it.
    pub async fn step<T: Send + 'static>(
        &self,
        step: impl Fn(&EmbeddedLedger) -> T + Clone + Send + 'static,
    ) -> Result<T, PortError> {
        let Some(log) = self.log.get() else {
            return self.ask(step).await;
        };
        let (once, again) = (step.clone(), step);
        let (said, draft) = self.ask(move |ledger| ledger.drafting(once)).await?;
        let Some(draft) = draft else {
            return Ok(said);
        };
        // What another command of this node changes meanwhile would have the draft refused.
        let turn = log.turn(draft.owner).await;
        let (said, draft) = self.ask(move |ledger| ledger.drafting(again)).await?;
        if let Some(draft) = draft {
            offer(log, draft, &turn).await?;
        }
        Ok(said)
    }

    /// Has `ask` run on a hot thread and brings its answer. `ask` must be short.
    ///
    /// # Errors
    /// [`PortError`] where nobody will run it.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&EmbeddedLedger) -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let answered = self.send(ask)?;
        answered.await.map_err(|_dropped| PortError::Closed)
    }

    /// The same for a thread of its own, which sleeps until the answer is there.
    ///
    /// # Errors
    /// [`PortError`] where nobody will run it.
    pub fn ask_and_wait<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&EmbeddedLedger) -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let answered = self.send(ask)?;
        answered
            .blocking_recv()
            .map_err(|_dropped| PortError::Closed)
    }

    fn send<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&EmbeddedLedger) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, PortError> {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |ledger| {
            // Nobody listens any more where the asker has gone away.
            let _gone = answer.send(ask(ledger));
        });
        let sent = self.commands.try_send(command);
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PortError::Busy,
            mpsc::error::TrySendError::Closed(_) => PortError::Closed,
        })?;
        Ok(answered)
    }
}

/// How often what people order is offered to a log that had something newer.
const OFFERS_MAX: u32 = 64;

/// Where the journal has the draft; absent where the log had something newer. Whoever offers has the
/// turn of the owner, or the draft is refused more often.
async fn offer(log: &SharedLog, draft: Draft, _turn: &Turn) -> Result<Option<Position>, PortError> {
    match log.offer(draft).await {
        Ok(Outcome::Taken(position)) => Ok(Some(position)),
        Ok(Outcome::Newer) => Ok(None),
        Ok(Outcome::Unavailable) | Err(_) => Err(PortError::NotTaken),
    }
}

impl LedgerInbox {
    /// Waits for the next command and runs it. False once nobody can send any more.
    pub async fn serve_one(&mut self, ledger: &EmbeddedLedger) -> bool {
        match self.commands.recv().await {
            Some(command) => {
                command(ledger);
                true
            }
            None => false,
        }
    }
}

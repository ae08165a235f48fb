//! Commands of the cold side to the ledger, applied on a hot thread between authorizations.
//!
//! Only hot threads hold entries of the ledger, so that a cold thread that is put to sleep by the
//! kernel never holds up an authorization. What it costs: a command waits for its turn.

use tokio::sync::{mpsc, oneshot};

use crate::ledger::embedded::store::EmbeddedLedger;

/// Commands that may wait at a time; more are refused.
const WAITING_MAX: usize = 256;

type Command = Box<dyn FnOnce(&EmbeddedLedger) + Send>;

/// The cold side's end.
#[derive(Clone)]
pub struct LedgerPort {
    commands: mpsc::Sender<Command>,
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
}

/// The two ends of one queue.
#[must_use]
pub fn ledger_port() -> (LedgerPort, LedgerInbox) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (
        LedgerPort { commands: sender },
        LedgerInbox { commands: receiver },
    )
}

impl LedgerPort {
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

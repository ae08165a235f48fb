//! What a change of status is to the ledger: a standing that it holds above the snapshot's, durable
//! before the change is answered (behaviour 2.14 j).

use std::time::Duration;

use crate::cold::durable::{JournalProgress, becomes_durable};
use crate::domain::card::{AgentStatus, CardStatus, Key};
use crate::domain::identity::{KeySpace, Keys as _};
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::command::{AgentRef, CardRef, Route, SetStanding};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::Owner;
use crate::seam::commands::{LedgerPort, PortError};

/// A full queue of the ledger is tried again this often, with pauses.
const ATTEMPTS_MAX: u32 = 2_000;
const ATTEMPT_EVERY: Duration = Duration::from_millis(1);

/// One order to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum Order {
    /// Of a card.
    Card {
        customer_id: String,
        agent_id: Option<String>,
        card_id: String,
        connection: String,
        issuer_token: String,
        /// Absent leaves it.
        status: Option<CardStatus>,
        /// Absent leaves it.
        frozen: Option<bool>,
    },
    /// Of an agent.
    Agent {
        customer_id: String,
        agent_id: String,
        status: AgentStatus,
    },
}

/// Why an order was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOrdered {
    /// The journal takes nothing, or does not become durable: what stands is not known.
    Unavailable,
    /// It contradicts what stands: the card is canceled.
    Contradicts,
}

impl Order {
    /// Whether it stops something, so that it has to stand before anything else is done.
    pub(super) fn stops(&self) -> bool {
        match self {
            Self::Card { status, frozen, .. } => {
                *frozen == Some(true) || !matches!(status, None | Some(CardStatus::Active))
            }
            Self::Agent { status, .. } => *status != AgentStatus::Active,
        }
    }

    /// Gives it, and waits until it is durable.
    pub(super) async fn give(
        self,
        ledger: &LedgerPort,
        journal: &JournalProgress,
        keys: &Fingerprinter,
        at: Timestamp,
    ) -> Result<(), NotOrdered> {
        let mut attempts = 0;
        let position = loop {
            let (order, keys) = (self.clone(), keys.clone());
            match ledger.ask(move |ledger| order.set(ledger, &keys, at)).await {
                Ok(Ok(position)) => break position,
                Ok(Err(Unavailable::Journal(_))) => return Err(NotOrdered::Unavailable),
                Ok(Err(Unavailable::Refused)) => return Err(NotOrdered::Contradicts),
                Err(PortError::Busy) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(PortError::Busy | PortError::Closed) => return Err(NotOrdered::Unavailable),
            }
            tokio::time::sleep(ATTEMPT_EVERY).await;
        };
        let is_durable = becomes_durable(journal, position).await;
        is_durable.then_some(()).ok_or(NotOrdered::Unavailable)
    }

    /// Runs on a hot thread.
    fn set(
        &self,
        ledger: &EmbeddedLedger,
        keys: &Fingerprinter,
        at: Timestamp,
    ) -> Result<Position, Unavailable> {
        let key = |space, id: &str| keys.key(space, &[id.as_bytes()]);
        let route = |id| Route {
            key: key(KeySpace::Customer, id),
            owner: Owner::Customer(id),
        };
        let agent_ref = |id| AgentRef {
            key: key(KeySpace::Agent, id),
            id,
        };
        let (route, command) = match self {
            Self::Card {
                customer_id,
                agent_id,
                card_id,
                connection,
                issuer_token,
                status,
                frozen,
            } => {
                let card = CardRef {
                    key: card_key(keys, connection, issuer_token),
                    id: card_id,
                    connection,
                    agent: agent_id.as_deref().map(agent_ref),
                };
                let (status, frozen) = (*status, *frozen);
                let command = SetStanding::Card {
                    card,
                    status,
                    frozen,
                };
                (route(customer_id), command)
            }
            Self::Agent {
                customer_id,
                agent_id,
                status,
            } => {
                let (agent, status) = (agent_ref(agent_id), *status);
                (route(customer_id), SetStanding::Agent { agent, status })
            }
        };
        // What stood already may rest on a frame that is not durable yet: it is, once one that comes
        // after it is.
        match ledger.set_standing(&route, &command, at)? {
            Some(position) => Ok(position),
            None => ledger.barrier(),
        }
    }
}

/// The key of a card's ledger state.
fn card_key(keys: &Fingerprinter, connection: &str, token: &str) -> Key {
    keys.key(KeySpace::Card, &[connection.as_bytes(), token.as_bytes()])
}

//! What a change of status is to the ledger: a standing that it holds above the snapshot's, durable
//! before the change is answered (behaviour 2.14 j).

use std::time::Duration;

use crate::cold::store::Card;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::identity::{KeySpace, Keys as _};
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::command::{
    AgentRef, Attest, Authority, Back, CardRef, DeclareIntent, IntentRefused, Route, SetStanding,
    SettleIntent,
};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::commands::IntentUnavailable;
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::Owner;
use crate::ledger::intent::{IntentTerms, IntentVerdict};
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
        card: CardName,
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
    /// Of a customer.
    Customer {
        customer_id: String,
        status: CustomerStatus,
    },
    /// An intent of a card is declared.
    Declare {
        card: CardName,
        intent: String,
        terms: IntentTerms,
    },
    /// An intent of a card is approved, rejected or withdrawn.
    Settle {
        card: CardName,
        intent: String,
        verdict: IntentVerdict,
    },
    /// A risk rule freezes a card, which only its owner unfreezes.
    RiskFreeze(CardName),
    /// An agent says what it is doing with a card.
    Attest { card: CardName },
    /// An earmark stands behind a card.
    Back { card: CardName, earmark: Key },
}

/// A card by everything that the ledger knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct CardName {
    pub customer_id: String,
    pub agent_id: Option<String>,
    pub card_id: String,
    pub connection: String,
    pub issuer_token: String,
}

impl From<&Card> for CardName {
    fn from(row: &Card) -> Self {
        Self {
            customer_id: row.customer_id.clone(),
            agent_id: row.agent_id.clone(),
            card_id: row.id.clone(),
            connection: row.connection.clone(),
            issuer_token: row.issuer_token.clone(),
        }
    }
}

/// Why an order was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOrdered {
    /// The journal takes nothing, or does not become durable: what stands is not known.
    Unavailable,
    /// It contradicts what stands: the card is canceled.
    Contradicts,
    /// The intent is unknown, closed, another one, or one too many.
    Intent(IntentRefused),
}

impl Order {
    /// Whether it has to stand before anything else is done, as what stops something has.
    pub(super) fn goes_first(&self) -> bool {
        match self {
            Self::Card { status, frozen, .. } => {
                *frozen == Some(true) || !matches!(status, None | Some(CardStatus::Active))
            }
            Self::Agent { status, .. } => *status != AgentStatus::Active,
            Self::Customer { status, .. } => *status != CustomerStatus::Active,
            // What the ledger refuses of these is kept nowhere.
            Self::Declare { .. }
            | Self::Settle { .. }
            | Self::Attest { .. }
            | Self::Back { .. }
            | Self::RiskFreeze(_) => true,
        }
    }

    /// Whose state it changes.
    fn owner(&self, keys: &Fingerprinter) -> Key {
        match self {
            Self::Agent { customer_id, .. } | Self::Customer { customer_id, .. } => {
                route(keys, customer_id).key
            }
            Self::Card { card, .. }
            | Self::Declare { card, .. }
            | Self::Settle { card, .. }
            | Self::Attest { card }
            | Self::Back { card, .. }
            | Self::RiskFreeze(card) => card.owner(keys),
        }
    }

    /// Gives it: where the journal has it. It stands once that is durable. Where nodes share a log, that
    /// has taken it by then, so that no node decides against it any more.
    pub(super) async fn give(
        self,
        ledger: &LedgerPort,
        keys: &Fingerprinter,
        at: Timestamp,
    ) -> Result<Position, NotOrdered> {
        let mut attempts = 0;
        loop {
            let owner = self.owner(keys);
            let (order, keys) = (self.clone(), keys.clone());
            let asked = ledger.change(owner, move |ledger| order.set(ledger, &keys, at));
            match asked.await {
                Ok(Ok(made)) => return Ok(made.taken.unwrap_or(made.said)),
                Ok(Err(not_set)) => return Err(not_set.into()),
                Err(PortError::Busy) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(PortError::Busy | PortError::Closed | PortError::NotTaken) => {
                    return Err(NotOrdered::Unavailable);
                }
            }
            tokio::time::sleep(ATTEMPT_EVERY).await;
        }
    }

    /// Runs on a hot thread.
    fn set(
        &self,
        ledger: &EmbeddedLedger,
        keys: &Fingerprinter,
        at: Timestamp,
    ) -> Result<Position, NotSet> {
        let done = match self {
            Self::Card {
                card,
                status,
                frozen,
            } => {
                let command = SetStanding::Card {
                    card: card.in_ledger(keys),
                    status: *status,
                    frozen: *frozen,
                };
                ledger.set_standing(&card.route(keys), &command, at)?
            }
            Self::Agent {
                customer_id,
                agent_id,
                status,
            } => {
                let (agent, status) = (agent_ref(keys, agent_id), *status);
                let command = SetStanding::Agent { agent, status };
                ledger.set_standing(&route(keys, customer_id), &command, at)?
            }
            Self::Customer {
                customer_id,
                status,
            } => {
                let command = SetStanding::Customer(*status);
                ledger.set_standing(&route(keys, customer_id), &command, at)?
            }
            Self::Declare {
                card,
                intent,
                terms,
            } => declare(ledger, keys, (card, intent, terms), at)?,
            Self::Settle {
                card,
                intent,
                verdict,
            } => settle(ledger, keys, (card, intent, *verdict), at)?,
            Self::RiskFreeze(card) => {
                ledger.set_standing(&card.route(keys), &card.risk_freeze(keys), at)?
            }
            Self::Attest { card } => {
                let card_ref = card.in_ledger(keys);
                ledger.attest(&card.route(keys), &Attest { card: card_ref, at })?
            }
            Self::Back { card, earmark } => {
                let command = Back {
                    card: card.in_ledger(keys),
                    earmark: *earmark,
                    at,
                };
                ledger.back(&card.route(keys), &command)?
            }
        };
        // What stood already may rest on a frame that is not durable yet: it is, once one that comes
        // after it is.
        match done {
            Some(position) => Ok(position),
            None => Ok(ledger.barrier()?),
        }
    }
}

fn declare(
    ledger: &EmbeddedLedger,
    keys: &Fingerprinter,
    (card, intent, terms): (&CardName, &str, &IntentTerms),
    at: Timestamp,
) -> Result<Option<Position>, IntentUnavailable> {
    let command = DeclareIntent {
        card: card.in_ledger(keys),
        intent: card.intent(keys, intent),
        terms,
        at,
    };
    ledger.declare_intent(&card.route(keys), &command)
}

fn settle(
    ledger: &EmbeddedLedger,
    keys: &Fingerprinter,
    (card, intent, verdict): (&CardName, &str, IntentVerdict),
    at: Timestamp,
) -> Result<Option<Position>, IntentUnavailable> {
    let command = SettleIntent {
        intent: card.intent(keys, intent),
        verdict,
        at,
    };
    ledger.settle_intent(card.route(keys).key, &command)
}

/// Why an order left no trace.
enum NotSet {
    Standing(Unavailable),
    Intent(IntentUnavailable),
}

impl From<Unavailable> for NotSet {
    fn from(why: Unavailable) -> Self {
        Self::Standing(why)
    }
}

impl From<IntentUnavailable> for NotSet {
    fn from(why: IntentUnavailable) -> Self {
        Self::Intent(why)
    }
}

impl From<NotSet> for NotOrdered {
    fn from(not_set: NotSet) -> Self {
        match not_set {
            NotSet::Standing(
                Unavailable::Journal(_)
                | Unavailable::Shared
                | Unavailable::NotUnderstood
                | Unavailable::Contradicted,
            )
            | NotSet::Intent(IntentUnavailable::Journal(_)) => Self::Unavailable,
            NotSet::Standing(Unavailable::Refused) => Self::Contradicts,
            NotSet::Intent(IntentUnavailable::Refused(why)) => Self::Intent(why),
        }
    }
}

impl CardName {
    fn in_ledger(&self, keys: &Fingerprinter) -> CardRef<'_> {
        CardRef {
            key: card_key(keys, &self.connection, &self.issuer_token),
            id: &self.card_id,
            connection: &self.connection,
            agent: self.agent_id.as_deref().map(|id| agent_ref(keys, id)),
        }
    }

    fn risk_freeze(&self, keys: &Fingerprinter) -> SetStanding<'_> {
        SetStanding::Freeze {
            card: self.in_ledger(keys),
            frozen: true,
            by: Authority::Risk,
        }
    }

    fn route(&self, keys: &Fingerprinter) -> Route<'_> {
        route(keys, &self.customer_id)
    }

    /// The key of the customer's ledger state.
    pub(in crate::cold) fn owner(&self, keys: &Fingerprinter) -> Key {
        self.route(keys).key
    }

    /// The key of the card's ledger state.
    pub(in crate::cold) fn key(&self, keys: &Fingerprinter) -> Key {
        card_key(keys, &self.connection, &self.issuer_token)
    }

    /// The key of the ledger state of the card's agent.
    pub(in crate::cold) fn agent_key(&self, keys: &Fingerprinter) -> Option<Key> {
        self.agent_id.as_deref().map(|id| agent_ref(keys, id).key)
    }

    /// The key of an intent of the card.
    pub(in crate::cold) fn intent(&self, keys: &Fingerprinter, called: &str) -> Key {
        let card = [self.connection.as_bytes(), self.issuer_token.as_bytes()];
        let [connection, token] = card;
        keys.key(KeySpace::Intent, &[connection, token, called.as_bytes()])
    }
}

fn route<'i>(keys: &Fingerprinter, customer_id: &'i str) -> Route<'i> {
    Route {
        key: keys.key(KeySpace::Customer, &[customer_id.as_bytes()]),
        owner: Owner::Customer(customer_id),
    }
}

fn agent_ref<'i>(keys: &Fingerprinter, id: &'i str) -> AgentRef<'i> {
    AgentRef {
        key: keys.key(KeySpace::Agent, &[id.as_bytes()]),
        id,
    }
}

/// The key of a card's ledger state.
fn card_key(keys: &Fingerprinter, connection: &str, token: &str) -> Key {
    keys.key(KeySpace::Card, &[connection.as_bytes(), token.as_bytes()])
}

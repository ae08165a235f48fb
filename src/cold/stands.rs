//! How a card stands with everything that stops it: its own row, its agent's and its customer's, and
//! what the ledger holds above them, where the words of operators and of risk rules are
//! (behaviour 2.14 j). The strictest counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cold::control::CardName;
use crate::cold::issuers::State;
use crate::cold::issuers::rules::Rules;
use crate::cold::store::{Card, Store, StoreError};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::seam::commands::LedgerPort;

/// A hot thread that does not answer for this long has other worries.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where it is looked up.
#[derive(Clone)]
pub struct Stands {
    /// The rows.
    pub store: Arc<dyn Store>,
    /// To the ledger, by way of a hot thread.
    pub ledger: LedgerPort,
    /// Hashes as the ledger does.
    pub keys: Fingerprinter,
}

/// Whether a card works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    status: CardStatus,
    /// Frozen, or of an agent or a customer that is not active.
    is_stopped: bool,
}

impl Stand {
    /// The state that a card with these rules is to have where it is made.
    #[must_use]
    pub fn state(self, rules: &Rules) -> State {
        rules.state(self.status, self.is_stopped)
    }

    /// Whether something stops the card that its row does not tell of.
    #[must_use]
    pub fn adds_to(self, card: &Card) -> bool {
        self.status as u8 > card.status as u8 || (self.is_stopped && !card.is_frozen)
    }
}

/// What the ledger holds above the rows of a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    status: CardStatus,
    is_frozen: bool,
    agent: AgentStatus,
    customer: CustomerStatus,
}

impl Held {
    /// Whether it says nothing that the row does not say.
    fn adds_nothing_to(self, card: &Card) -> bool {
        self.status as u8 <= card.status as u8
            && (card.is_frozen || !self.is_frozen)
            && self.stops_nothing_above()
    }

    /// Whether neither the agent nor the customer is stopped.
    fn stops_nothing_above(self) -> bool {
        self.agent == AgentStatus::Active && self.customer == CustomerStatus::Active
    }
}

/// Why nobody knows how a card stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The database does not say.
    Store(StoreError),
    /// The ledger does not, in time.
    Ledger,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Ledger => f.write_str("the ledger does not say how the card stands"),
        }
    }
}

impl std::error::Error for Unseen {}

impl From<StoreError> for Unseen {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// By what the ledger knows a card and its agent.
#[derive(Clone, Copy)]
struct Keys {
    customer: Key,
    card: Key,
    agent: Option<Key>,
}

impl Stands {
    /// How the card stands now.
    ///
    /// # Errors
    /// [`Unseen`] where nobody knows: it may be stopped.
    pub async fn of(&self, card: &Card) -> Result<Stand, Unseen> {
        let one = self.of_one_owner(std::slice::from_ref(card)).await?;
        one.first().copied().ok_or(Unseen::Ledger)
    }

    /// How cards of one owner stand now, in their order.
    ///
    /// # Errors
    /// As [`Stands::of`].
    pub async fn of_one_owner(&self, cards: &[Card]) -> Result<Vec<Stand>, Unseen> {
        let Some(first) = cards.first() else {
            return Ok(Vec::new());
        };
        let held = self.held(cards).await?;
        let is_stopped = self.rows_above_stop(first).await?;
        let both = cards.iter().zip(held);
        Ok(both
            .map(|(card, held)| stand(card, held, is_stopped))
            .collect())
    }

    /// Whether the row of the card's agent or customer stops it.
    async fn rows_above_stop(&self, card: &Card) -> Result<bool, StoreError> {
        let agent = match &card.agent_id {
            Some(id) => self.store.agent(id.clone()).await?,
            None => None,
        };
        let customer = self.store.customer(card.customer_id.clone()).await?;
        Ok(
            agent.is_some_and(|agent| agent.status != AgentStatus::Active)
                || customer.is_some_and(|it| it.status != CustomerStatus::Active),
        )
    }

    /// Those of the cards that the ledger stops and their rows do not.
    ///
    /// # Errors
    /// [`Unseen`] where nobody knows.
    pub async fn stopped_by_the_ledger_alone(&self, cards: Vec<Card>) -> Result<Vec<Card>, Unseen> {
        let held = self.held(&cards).await?;
        let both = cards.into_iter().zip(held);
        let stopped = both.filter(|(card, held)| !held.adds_nothing_to(card));
        Ok(stopped.map(|(card, _)| card).collect())
    }

    /// A few lookups by key for each, on a hot thread.
    async fn held(&self, cards: &[Card]) -> Result<Vec<Held>, Unseen> {
        let keys = |card: &Card| {
            let name = CardName::from(card);
            Keys {
                customer: name.owner(&self.keys),
                card: name.key(&self.keys),
                agent: name.agent_key(&self.keys),
            }
        };
        let keys: Vec<Keys> = cards.iter().map(keys).collect();
        let look = move |ledger: &EmbeddedLedger| {
            let held = keys.iter().map(|keys| look_at(ledger, *keys));
            held.collect::<Vec<Held>>()
        };
        let looked = tokio::time::timeout(ASK_TIMEOUT, self.ledger.ask(look)).await;
        let in_time = looked.map_err(|_elapsed| Unseen::Ledger)?;
        in_time.map_err(|_busy_or_closed| Unseen::Ledger)
    }
}

/// Of the row, of what the ledger holds, and of whether a row above stops the card.
fn stand(card: &Card, held: Held, is_stopped_above: bool) -> Stand {
    let is_frozen = card.is_frozen || held.is_frozen;
    Stand {
        status: strictest(card.status, held.status),
        is_stopped: is_frozen || !held.stops_nothing_above() || is_stopped_above,
    }
}

/// Canceled outranks locked outranks active.
#[must_use]
pub fn strictest(kept: CardStatus, held: CardStatus) -> CardStatus {
    if held as u8 > kept as u8 { held } else { kept }
}

fn look_at(ledger: &EmbeddedLedger, keys: Keys) -> Held {
    let held = ledger.with_state(keys.customer, |state| {
        let card = state.card_by_key(keys.card).map(|(_, card)| card);
        let agent = keys.agent.and_then(|key| state.agent_by_key(key));
        Held {
            status: card.map_or(CardStatus::Active, |card| card.status),
            is_frozen: card.is_some_and(|card| card.frozen),
            agent: agent.map_or(AgentStatus::Active, |(_, agent)| agent.status),
            customer: state.status,
        }
    });
    held.unwrap_or_default()
}

//! What the ledger holds of a card, an agent or a customer, looked at on a hot thread: lookups by key.

use std::time::Duration;

use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::ops::cards::view::MerchantLockView;
use crate::cold::records::{DecisionId, Filter};
use crate::cold::stands::strictest;
use crate::cold::store::{Agent, Card, Customer};
use crate::decide::snapshot::Snapshot;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::time::Timestamp;
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::seam::commands::{Made, PortError};

/// A hot thread that does not answer for this long has other worries.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Records that are looked through at a time for the first approval.
const RECORDS_AT_ONCE: usize = 20;
/// Cards whose first use is remembered.
const FIRST_SPENDS_MAX: usize = 100_000;

/// A card as the ledger has it; one that was never used has nothing.
#[derive(Default)]
pub(in crate::cold::api) struct CardHeld {
    pub(super) status: CardStatus,
    pub(super) is_frozen: bool,
    pub(in crate::cold::api) last_spend: Option<Timestamp>,
    pub(in crate::cold::api) consumed_at: Option<Timestamp>,
    pub(super) lock: Option<MerchantLockView>,
}

/// The ledger has recorded nothing.
struct NotRecorded;

impl Api {
    /// Looks at the ledger, on a hot thread.
    pub(in crate::cold::api) async fn ask_ledger<T: Send + 'static>(
        &self,
        look: impl FnOnce(&EmbeddedLedger) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(ASK_TIMEOUT, self.ledger.ask(look)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(PortError::Busy)) => Err(Problem::busy()),
            Ok(Err(PortError::Closed | PortError::NotTaken)) => Err(Problem::not_ready()),
            Err(_elapsed) => Err(Problem::ledger_unavailable()),
        }
    }

    /// Changes the state of an owner in the ledger: what the command says, and where the journal has
    /// it. The command says nothing where nothing is recorded.
    pub(in crate::cold::api) async fn change_ledger<T: Send + 'static>(
        &self,
        owner: Key,
        change: impl Fn(&EmbeddedLedger) -> Option<(T, Position)> + Clone + Send + 'static,
    ) -> Result<(T, Position), Problem> {
        let change = move |ledger: &EmbeddedLedger| change(ledger).ok_or(NotRecorded);
        match tokio::time::timeout(ASK_TIMEOUT, self.ledger.change(owner, change)).await {
            Ok(Ok(Ok(Made { said, taken }))) => Ok((said.0, taken.unwrap_or(said.1))),
            Ok(Err(PortError::Busy)) => Err(Problem::busy()),
            Ok(Err(PortError::Closed)) => Err(Problem::not_ready()),
            Ok(Ok(Err(NotRecorded)) | Err(PortError::NotTaken)) | Err(_) => {
                Err(Problem::ledger_unavailable())
            }
        }
    }

    /// What the ledger holds of the card.
    pub(in crate::cold::api) async fn held(&self, row: &Card) -> Result<CardHeld, Problem> {
        let keys = |snapshot: &Snapshot| {
            let view = snapshot.card_by_id(&row.id)?;
            Some((view.customer.key(), view.card.key()))
        };
        // A card that is in no snapshot is not in force, and was not used as far as anybody asks.
        let Some((customer, card)) = keys(&self.snapshots.load()) else {
            return Ok(CardHeld::default());
        };
        self.ask_ledger(move |ledger| look_at_card(ledger, customer, card))
            .await
    }

    /// What is in force on the card: its status, and whether it is frozen.
    pub(in crate::cold::api) async fn standing_of_card(
        &self,
        row: &Card,
    ) -> Result<(CardStatus, bool), Problem> {
        let held = self.held(row).await?;
        let status = strictest(row.status, held.status);
        Ok((status, row.is_frozen || held.is_frozen))
    }

    /// What the ledger holds of the agent.
    pub(in crate::cold::api) async fn standing_of_agent(
        &self,
        row: &Agent,
    ) -> Result<AgentStatus, Problem> {
        let keys = |snapshot: &Snapshot| {
            let agent = snapshot.agent_by_id(&row.id)?;
            Some((snapshot.customer_of(agent)?.key(), agent.key()))
        };
        let Some((customer, agent)) = keys(&self.snapshots.load()) else {
            return Ok(AgentStatus::Active);
        };
        self.ask_ledger(move |ledger| {
            let status = ledger.with_state(customer, |state| {
                let (_, agent) = state.agent_by_key(agent)?;
                Some(agent.status)
            });
            status.flatten().unwrap_or_default()
        })
        .await
    }

    /// What is in force on the customer: the stricter of its row and of what the ledger holds.
    pub(in crate::cold::api) async fn standing_of_customer(
        &self,
        row: &Customer,
    ) -> Result<CustomerStatus, Problem> {
        let key = |snapshot: &Snapshot| Some(snapshot.customer_by_id(&row.id)?.key());
        let Some(key) = key(&self.snapshots.load()) else {
            return Ok(row.status);
        };
        let look = move |ledger: &EmbeddedLedger| ledger.with_state(key, |state| state.status);
        let held = self.ask_ledger(look).await?.unwrap_or_default();
        Ok(row.status.stricter(held))
    }

    /// Whether the agent is at work: by its row, and by what the ledger holds, where an operator's pause
    /// is. None where that cannot be told now.
    pub(in crate::cold) async fn is_at_work(&self, agent_id: &str) -> Option<bool> {
        let found = self.store.agent(agent_id.to_owned()).await;
        let found = found.map_err(|error| tracing::error!(%error, "an agent was not looked up"));
        let Some(row) = found.ok()? else {
            return Some(false);
        };
        let held = self.standing_of_agent(&row).await.ok()?;
        Some(row.status == AgentStatus::Active && held == AgentStatus::Active)
    }

    /// When the card was first used: the oldest approval on record.
    pub(super) async fn first_spend(&self, card: &str) -> Result<Option<String>, Problem> {
        if let Some(known) = self.first_spends().get(card) {
            return Ok(Some(known.clone()));
        }
        let (records, id) = (self.records.clone(), card.to_owned());
        let searched = tokio::task::spawn_blocking(move || {
            let filter = Filter {
                card: Some(&id),
                ..Filter::default()
            };
            let mut after = DecisionId(0);
            loop {
                let page = records.page_after(&filter, RECORDS_AT_ONCE, after)?;
                let Some(last) = page.last().and_then(|it| DecisionId::parse(&it.id)) else {
                    return Ok(None);
                };
                after = last;
                let first = page.into_iter().find(|it| it.approved_amount > 0);
                if let Some(first) = first {
                    return Ok(Some(first.at));
                }
            }
        });
        let found: Result<_, crate::ledger::embedded::follow::FollowFault> =
            searched.await.map_err(|error| {
                tracing::error!(%error, "a search broke off");
                Problem::internal()
            })?;
        let found = found.map_err(|fault| {
            tracing::error!(%fault, "a record of a decision cannot be read");
            Problem::internal()
        })?;
        if let Some(at) = &found {
            let mut known = self.first_spends();
            if known.len() >= FIRST_SPENDS_MAX {
                known.clear();
            }
            known.insert(card.to_owned(), at.clone());
        }
        Ok(found)
    }
}

fn look_at_card(ledger: &EmbeddedLedger, customer: Key, card: Key) -> CardHeld {
    let looked = ledger.with_state(customer, |state| {
        let (_, card) = state.card_by_key(card)?;
        Some(CardHeld {
            status: card.status,
            is_frozen: card.frozen,
            last_spend: card.recent.last(),
            consumed_at: card.consumed.map(|(at, _)| at),
            lock: card.lock.as_deref().map(MerchantLockView::first_use),
        })
    });
    looked.flatten().unwrap_or_default()
}

//! What is looked at in the ledger, on a hot thread: lookups by key, a small owned answer.

use super::view::HoldView;
use crate::cold::records::Approval;
use crate::domain::card::{AgentStatus, CardStatus, Key};
use crate::domain::time::Timestamp;
use crate::domain::window::LocalDay;
use crate::ledger::counters::Counters;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::event::CardNo;
use crate::ledger::state::{AgentState, CardState, MerchantLock, State};

/// A card by the keys of its state.
#[derive(Clone, Copy)]
pub(super) struct Owned {
    pub(super) customer: Key,
    pub(super) card: Key,
    pub(super) agent: Option<Key>,
}

/// A card as the ledger has it; one that was never used has nothing.
pub(super) struct CardInLedger {
    /// The day whose windows are open: today, or a later day that was charged already.
    pub(super) day: LocalDay,
    /// By level.
    pub(super) counters: [Counters; 3],
    pub(super) status: CardStatus,
    pub(super) is_frozen: bool,
    pub(super) agent_status: AgentStatus,
    pub(super) consumed_at: Option<Timestamp>,
    pub(super) lock: Option<Box<MerchantLock>>,
}

/// A card that the ledger knows by its number.
pub(super) struct UsedCard {
    pub(super) key: Key,
    pub(super) connection: String,
    pub(super) in_ledger: CardInLedger,
}

impl CardInLedger {
    /// What the card's authorizations hold, in minor units.
    pub(super) fn held(&self) -> i64 {
        let [card, ..] = &self.counters;
        card.total().held.get()
    }

    fn unused(today: LocalDay) -> Self {
        Self {
            day: today,
            counters: [Counters::default(); 3],
            status: CardStatus::Active,
            is_frozen: false,
            agent_status: AgentStatus::Active,
            consumed_at: None,
            lock: None,
        }
    }
}

pub(super) fn look_at_card(ledger: &EmbeddedLedger, owned: Owned, today: LocalDay) -> CardInLedger {
    let looked = ledger.with_state(owned.customer, |state| {
        let card = state.card_by_key(owned.card).map(|(_, card)| card);
        let agent = owned.agent.and_then(|key| state.agent_by_key(key));
        seen(state, card, agent.map(|(_, agent)| agent), today)
    });
    looked.unwrap_or_else(|| CardInLedger::unused(today))
}

/// The same for a card that no snapshot knows; absent where the ledger does not either.
pub(super) fn look_at_used_card(
    ledger: &EmbeddedLedger,
    customer: Key,
    no: CardNo,
    today: Option<LocalDay>,
) -> Option<UsedCard> {
    let looked = ledger.with_state(customer, |state| {
        let card = state.card(no)?;
        let today = today.unwrap_or(state.day);
        Some(UsedCard {
            key: card.key,
            connection: card.connection.to_string(),
            in_ledger: seen(state, Some(card), None, today),
        })
    });
    looked.flatten()
}

fn seen(
    state: &State,
    card: Option<&CardState>,
    agent: Option<&AgentState>,
    today: LocalDay,
) -> CardInLedger {
    let of_card = |card: &CardState| card.counters;
    let of_agent = |agent: &AgentState| agent.counters;
    CardInLedger {
        day: today.max(state.day),
        counters: [
            card.map(of_card).unwrap_or_default(),
            agent.map(of_agent).unwrap_or_default(),
            state.counters,
        ],
        status: card.map(|card| card.status).unwrap_or_default(),
        is_frozen: card.is_some_and(|card| card.frozen),
        agent_status: agent.map(|agent| agent.status).unwrap_or_default(),
        consumed_at: card.and_then(|card| card.consumed).map(|(at, _)| at),
        lock: card.and_then(|card| card.lock.clone()),
    }
}

/// Those of the approvals whose authorizations still hold something on the card.
pub(super) fn look_at_holds(
    ledger: &EmbeddedLedger,
    owned: Owned,
    approvals: Vec<Approval>,
) -> Vec<HoldView> {
    let looked = ledger.with_state(owned.customer, |state| {
        let no = state.card_by_key(owned.card).map(|(no, _)| no);
        let hold = |approval: Approval| {
            let authorization = state.authorization(approval.key)?;
            let held = authorization.reserved();
            let ours = authorization.card == no && !held.is_zero();
            ours.then(|| HoldView {
                authorization: approval.authorization,
                amount: held.get(),
                at: authorization.first.at.rfc3339().to_string(),
                steps: authorization.steps().count(),
            })
        };
        approvals.into_iter().filter_map(hold).collect()
    });
    looked.unwrap_or_default()
}

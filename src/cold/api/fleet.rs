//! How many agents a customer has, how many cards an agent, and whether agents make cards
//! (behaviour 4.4).
//!
//! A cap is counted before something is made, and what is made takes the customer's revision with it:
//! of two that count at the same time one meets the other, and counts again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::exchange::Ask;
use super::problem::Problem;
use crate::cold::store::{Change, Customer, Fleet};

/// The most that a cap can name.
const CAP_MAX: i64 = 1_000_000;

/// Caps over all of a customer's agents; what is absent or null is not capped.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(as = Fleet)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FleetWord {
    /// Agents that are not disabled.
    #[schema(minimum = 0, maximum = 1_000_000)]
    agents_max: Option<i64>,
    /// Cards of one agent that are not canceled.
    #[schema(minimum = 0, maximum = 1_000_000)]
    cards_per_agent_max: Option<i64>,
    /// Whether agents' keys make cards, for their own agent; not where it is absent or null.
    agent_may_create_cards: Option<bool>,
}

impl FleetWord {
    pub(super) fn of(fleet: Fleet) -> Self {
        Self {
            agents_max: fleet.agents_max,
            cards_per_agent_max: fleet.cards_per_agent_max,
            agent_may_create_cards: Some(fleet.agent_may_create_cards),
        }
    }

    pub(super) fn read(self) -> Result<Fleet, Problem> {
        for (field, cap) in [
            ("fleet.agentsMax", self.agents_max),
            ("fleet.cardsPerAgentMax", self.cards_per_agent_max),
        ] {
            if cap.is_some_and(|cap| !(0..=CAP_MAX).contains(&cap)) {
                let message = format!("must be from 0 to {CAP_MAX}");
                return Err(Problem::invalid_field(field, message));
            }
        }
        Ok(Fleet {
            agents_max: self.agents_max,
            cards_per_agent_max: self.cards_per_agent_max,
            agent_may_create_cards: self.agent_may_create_cards.unwrap_or(false),
        })
    }
}

/// Whether the customer may have another agent; what has to be changed with it, so that nobody else
/// counts the same place.
pub(super) async fn room_for_agent(
    ask: &Ask,
    customer: Customer,
) -> Result<Option<Change>, Problem> {
    let Some(most) = customer.fleet.agents_max else {
        return Ok(None);
    };
    let there = ask.api.store.count_agents(customer.id.clone()).await?;
    if there >= most {
        let detail = format!("the customer has {there} agents, and may have {most}");
        return Err(Problem::fleet_cap_reached(detail));
    }
    Ok(Some(Change::Customer(customer)))
}

/// The same for a card of an agent.
pub(super) async fn room_for_card(
    api: &Api,
    customer: Customer,
    agent: Option<&str>,
) -> Result<Option<Change>, Problem> {
    room_for_cards(api, customer, agent, 1).await
}

/// The same for so many cards of an agent.
pub(super) async fn room_for_cards(
    api: &Api,
    customer: Customer,
    agent: Option<&str>,
    count: usize,
) -> Result<Option<Change>, Problem> {
    let (Some(most), Some(agent)) = (customer.fleet.cards_per_agent_max, agent) else {
        return Ok(None);
    };
    let there = api.store.count_cards(agent.to_owned()).await?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if there.saturating_add(count) > most {
        let detail = format!("the agent has {there} cards, and may have {most}");
        return Err(Problem::fleet_cap_reached(detail));
    }
    Ok(Some(Change::Customer(customer)))
}

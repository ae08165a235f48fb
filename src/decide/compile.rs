//! Rows of documents or tables become a snapshot.
//!
//! The builder owns what concerns several rows: references, uniqueness, policies and zones that many
//! share. It does not know where a row came from; complaints name the row's field.

mod zone;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::effective::needs_created_at;
use super::merchant_text::{strong_key, weak_key};
use super::policy::{Cascade, Policy, Pool};
use super::snapshot::{
    AgentIndex, AgentSlot, CardSlot, CardTable, Chunks, CustomerIndex, CustomerSlot, IdIndex,
    MaybeTimestamp, Snapshot,
};
use crate::domain::acceptor::Country;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Usage};
use crate::domain::claims::PresetLock;
use crate::domain::currency::Currency;
use crate::domain::identity::{KeySpace, Keys};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

pub use zone::{Zone, Zones, compile_zone, parse_instant};

/// A customer as a document has it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct CustomerRow<'a> {
    pub id: &'a str,
    pub status: CustomerStatus,
    pub timezone: &'a str,
    pub currency: Currency,
    pub cascade: Cascade,
    pub policy: Policy,
}

/// An agent as a document has it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct AgentRow<'a> {
    pub id: &'a str,
    pub customer_id: &'a str,
    pub status: AgentStatus,
    pub policy: Policy,
}

/// A card as a document has it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct CardRow<'a> {
    pub id: &'a str,
    pub connection: &'a str,
    pub issuer_token: &'a str,
    pub customer_id: &'a str,
    pub agent_id: Option<&'a str>,
    pub usage: Usage,
    pub status: CardStatus,
    pub frozen: bool,
    pub created_at: Option<Timestamp>,
    pub merchant_lock: Option<LockRow<'a>>,
    pub policy: Policy,
}

/// A merchant lock as a document has it.
#[derive(Clone, Debug)]
pub enum LockRow<'a> {
    /// The network's own identity of the merchant.
    #[expect(missing_docs, reason = "each is the field of the same name")]
    Strong {
        acquirer_id: &'a str,
        acceptor_id: &'a str,
    },
    /// What the message says about the merchant.
    #[expect(missing_docs, reason = "each is the field of the same name")]
    Weak {
        descriptor: &'a str,
        mcc: Mcc,
        country: Country,
    },
}

/// Why a row does not fit: the field that is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRefused {
    /// The field's name in the row.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

fn refused(field: &'static str, message: impl Into<String>) -> RowRefused {
    let message = message.into();
    RowRefused { field, message }
}

/// Collects rows, parents first.
pub struct Builder<'k, K> {
    keys: &'k K,
    connections: Arc<[Box<str>]>,
    pool: Pool,
    zones: Zones,
    customers: Vec<CustomerSlot>,
    customers_by_id: HashMap<Box<str>, u32>,
    agents: Vec<AgentSlot>,
    agents_by_id: HashMap<Box<str>, u32>,
    cards: CardTable,
    card_ids: HashSet<Key>,
}

impl<'k, K: Keys> Builder<'k, K> {
    /// A builder that knows these issuer connections.
    #[must_use]
    pub fn new(keys: &'k K, connections: &[&str]) -> Self {
        Self {
            keys,
            connections: connections.iter().map(|name| Box::from(*name)).collect(),
            pool: Pool::default(),
            zones: Zones::default(),
            customers: Vec::new(),
            customers_by_id: HashMap::new(),
            agents: Vec::new(),
            agents_by_id: HashMap::new(),
            cards: CardTable::new(),
            card_ids: HashSet::new(),
        }
    }

    /// Adds a customer.
    ///
    /// # Errors
    /// [`RowRefused`] where the id is taken or the zone unknown.
    pub fn add_customer(&mut self, row: CustomerRow<'_>) -> Result<(), RowRefused> {
        if self.customers_by_id.contains_key(row.id) {
            return Err(refused("id", "another customer has this id"));
        }
        let unknown = || refused("timezone", "must be a zone of the IANA database");
        let zone = self.zones.get(row.timezone).ok_or_else(unknown)?;
        let at = position(self.customers.len())?;
        let policy = self.pool.share(row.policy);
        self.customers_by_id.insert(row.id.into(), at);
        self.customers.push(CustomerSlot {
            id: row.id.into(),
            key: self.keys.key(KeySpace::Customer, &[row.id.as_bytes()]),
            status: row.status,
            currency: row.currency,
            cascade: row.cascade,
            zone,
            policy,
        });
        Ok(())
    }

    /// Adds an agent.
    ///
    /// # Errors
    /// [`RowRefused`] where the id is taken or the customer unknown.
    pub fn add_agent(&mut self, row: AgentRow<'_>) -> Result<(), RowRefused> {
        if self.agents_by_id.contains_key(row.id) {
            return Err(refused("id", "another agent has this id"));
        }
        let customer = self.customer(row.customer_id)?;
        let at = position(self.agents.len())?;
        let policy = self.pool.share(row.policy);
        self.agents_by_id.insert(row.id.into(), at);
        self.agents.push(AgentSlot {
            id: row.id.into(),
            key: self.keys.key(KeySpace::Agent, &[row.id.as_bytes()]),
            customer,
            status: row.status,
            policy,
        });
        Ok(())
    }

    /// Adds a card.
    ///
    /// # Errors
    /// [`RowRefused`] where the id or the issuer's token is taken, or the connection, the customer or
    /// the agent is unknown, or the agent is another customer's.
    pub fn add_card(&mut self, row: CardRow<'_>) -> Result<(), RowRefused> {
        let customer = self.customer(row.customer_id)?;
        let agent = row
            .agent_id
            .map(|id| self.agent(id, customer))
            .transpose()?;
        let connection = self.connection(row.connection)?;
        let names = [row.connection.as_bytes(), row.issuer_token.as_bytes()];
        let key = self.keys.key(KeySpace::Card, &names);
        let id_key = self.keys.key(KeySpace::Card, &[row.id.as_bytes()]);
        if self.card_ids.contains(&id_key) {
            return Err(refused("id", "another card has this id"));
        }
        let policy = self.pool.share(row.policy);
        if row.created_at.is_none() {
            self.check_lifetime(policy.as_deref(), agent, customer)?;
        }
        let slot = CardSlot {
            key,
            id: row.id.into(),
            policy,
            preset_lock: row.merchant_lock.map(|lock| preset_lock(self.keys, &lock)),
            created_at: MaybeTimestamp::new(row.created_at),
            customer,
            agent,
            connection,
            status: row.status,
            usage: row.usage,
            frozen: row.frozen,
        };
        if !self.cards.insert(slot) {
            let message = "another card of this connection has this token";
            return Err(refused("issuerToken", message));
        }
        self.card_ids.insert(id_key);
        Ok(())
    }

    /// The snapshot of all rows.
    #[must_use]
    pub fn finish(mut self, version: u64) -> Snapshot {
        drop(self.card_ids);
        self.cards.shrink();
        let customers = &self.customers;
        let customer_ids = IdIndex::new(positions(customers.len()), |at: u32| {
            slot_at(customers, at).map_or("", CustomerSlot::id)
        });
        let agents = &self.agents;
        let agent_ids = IdIndex::new(positions(agents.len()), |at: u32| {
            slot_at(agents, at).map_or("", AgentSlot::id)
        });
        let cards = &self.cards;
        let card_ids = IdIndex::new(cards.slots().map(CardSlot::key), |key| {
            cards.find(key).map_or("", CardSlot::id)
        });
        Snapshot {
            version,
            connections: self.connections,
            customers: Chunks::new(self.customers),
            agents: Chunks::new(self.agents),
            cards: self.cards,
            customer_ids,
            agent_ids,
            card_ids,
        }
    }

    /// The zones that rows have named so far; policies are read with them.
    pub(super) fn zones(&mut self) -> &mut Zones {
        &mut self.zones
    }

    fn customer(&self, id: &str) -> Result<CustomerIndex, RowRefused> {
        let found = self.customers_by_id.get(id).copied().map(CustomerIndex);
        found.ok_or_else(|| refused("customerId", "no customer has this id"))
    }

    fn agent(&self, id: &str, customer: CustomerIndex) -> Result<AgentIndex, RowRefused> {
        let at = self.agents_by_id.get(id).copied();
        let slot = at.and_then(|at| slot_at(&self.agents, at));
        match (at.and_then(AgentIndex::of), slot) {
            (Some(index), Some(slot)) if slot.customer == customer => Ok(index),
            (Some(_), Some(_)) => Err(refused("agentId", "the agent is another customer's")),
            _ => Err(refused("agentId", "no agent has this id")),
        }
    }

    /// A time to live counts from a card's creation, so that it has to be known (behaviour 2.14 g).
    fn check_lifetime(
        &self,
        policy: Option<&Policy>,
        agent: Option<AgentIndex>,
        customer: CustomerIndex,
    ) -> Result<(), RowRefused> {
        let agent = agent.and_then(|index| slot_at(&self.agents, index.position()));
        let customer = slot_at(&self.customers, customer.0);
        let policies = [
            policy,
            agent.and_then(AgentSlot::policy),
            customer.and_then(CustomerSlot::policy),
        ];
        let cascade = customer.map(CustomerSlot::cascade).unwrap_or_default();
        match needs_created_at(policies, cascade) {
            None => Ok(()),
            Some((field, level)) => {
                let level = level.name();
                let message = format!("is missing, and `{field}` of the {level}'s policy needs it");
                Err(refused("createdAt", message))
            }
        }
    }

    fn connection(&self, name: &str) -> Result<u16, RowRefused> {
        let at = self.connections.iter().position(|known| **known == *name);
        at.and_then(|at| u16::try_from(at).ok())
            .ok_or_else(|| refused("connection", "no issuer connection has this name"))
    }
}

fn slot_at<T>(slots: &[T], at: u32) -> Option<&T> {
    usize::try_from(at).ok().and_then(|at| slots.get(at))
}

fn position(count: usize) -> Result<u32, RowRefused> {
    u32::try_from(count)
        .ok()
        .filter(|at| *at < u32::MAX)
        .ok_or_else(|| refused("id", "there are more rows than a snapshot can hold"))
}

fn positions(count: usize) -> std::ops::Range<u32> {
    0..u32::try_from(count).unwrap_or(u32::MAX)
}

fn preset_lock(keys: &impl Keys, lock: &LockRow<'_>) -> PresetLock {
    match lock {
        LockRow::Strong {
            acquirer_id,
            acceptor_id,
        } => PresetLock::Strong(strong_key(keys, acquirer_id, acceptor_id)),
        LockRow::Weak {
            descriptor,
            mcc,
            country,
        } => PresetLock::Weak(weak_key(keys, descriptor, Some(*mcc), Some(*country))),
    }
}

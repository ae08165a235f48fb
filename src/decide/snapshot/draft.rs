//! The next version while its rows come in, beside the version whose unchanged parts it will share.
//!
//! A customer or agent keeps its position for as long as it is there, and a card its key, so that a
//! row that says what it said before is found equal, and a shard without a change is the old one.
//! Memory on top of the base is that of the changes, of the ids seen, and of a bit for each card.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cards::{CardsDone, CardsDraft};
use super::pool::Shared;
use super::rows::{RowsDone, RowsDraft};
use super::{AgentIndex, AgentSlot, CardSlot, CustomerIndex, CustomerSlot, Snapshot};
use crate::decide::policy::{Cascade, Policy};
use crate::domain::card::Key;

/// What becomes of the base's rows that the draft does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decide) enum Rest {
    /// They are gone: the draft is a whole document.
    Goes,
    /// They stay: the draft is a change.
    Stays,
}

/// Why a row was not put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decide) enum RowTaken {
    /// Another row has its id.
    Id,
    /// Another card has its key.
    Key,
    /// No position is left.
    Full,
}

/// A customer as rows below it see it.
#[derive(Clone)]
pub(in crate::decide) struct CustomerSeen {
    pub(in crate::decide) index: CustomerIndex,
    pub(in crate::decide) key: Key,
    pub(in crate::decide) cascade: Cascade,
    pub(in crate::decide) policy: Option<Arc<Policy>>,
}

/// An agent as its cards see it.
#[derive(Clone)]
pub(in crate::decide) struct AgentSeen {
    pub(in crate::decide) index: AgentIndex,
    pub(in crate::decide) customer: CustomerIndex,
    pub(in crate::decide) policy: Option<Arc<Policy>>,
}

impl CustomerSeen {
    fn at(at: u32, slot: &CustomerSlot) -> Self {
        Self {
            index: CustomerIndex(at),
            key: slot.key,
            cascade: slot.cascade,
            policy: slot.policy.clone(),
        }
    }
}

impl AgentSeen {
    fn at(at: u32, slot: &AgentSlot) -> Option<Self> {
        Some(Self {
            index: AgentIndex::of(at)?,
            customer: slot.customer,
            policy: slot.policy.clone(),
        })
    }
}

/// See the module.
pub(in crate::decide) struct Draft {
    base: Snapshot,
    rest: Rest,
    connections: Vec<Box<str>>,
    /// Whether rows may name any connection.
    takes_any: bool,
    policies: Shared,
    customers: RowsDraft<CustomerSlot>,
    customers_seen: HashMap<Box<str>, CustomerSeen>,
    agents: RowsDraft<AgentSlot>,
    agents_seen: HashMap<Box<str>, AgentSeen>,
    cards: CardsDraft,
    card_ids_seen: HashSet<Key>,
}

impl Draft {
    /// A draft without a row yet. Nothing is shared with a base of other connections.
    pub(in crate::decide) fn new(connections: &[&str], base: &Snapshot, rest: Rest) -> Self {
        let is_known = base
            .connections
            .iter()
            .map(|it| &**it)
            .eq(connections.iter().copied());
        let base = if is_known || rest == Rest::Stays {
            base.clone()
        } else {
            Snapshot::empty()
        };
        let connections = match rest {
            Rest::Stays => base.connections.to_vec(),
            Rest::Goes => connections.iter().map(|it| Box::from(*it)).collect(),
        };
        Self {
            rest,
            connections,
            takes_any: false,
            policies: Shared::default(),
            customers: RowsDraft::new(base.customers.clone()),
            customers_seen: HashMap::new(),
            agents: RowsDraft::new(base.agents.clone()),
            agents_seen: HashMap::new(),
            cards: CardsDraft::new(base.cards.clone()),
            card_ids_seen: HashSet::new(),
            base,
        }
    }

    /// Has rows name any connection.
    pub(in crate::decide) fn take_any_connection(&mut self) {
        self.takes_any = true;
    }

    /// A connection's place in the list.
    pub(in crate::decide) fn connection(&mut self, name: &str) -> Option<u16> {
        let mut known = self.connections.iter();
        let at = match known.position(|known| **known == *name) {
            Some(at) => at,
            None if self.takes_any => {
                self.connections.push(name.into());
                self.connections.len() - 1
            }
            None => return None,
        };
        u16::try_from(at).ok()
    }

    /// A customer that was put, or stays.
    pub(in crate::decide) fn customer(&self, id: &str) -> Option<CustomerSeen> {
        if let Some(seen) = self.customers_seen.get(id) {
            return Some(seen.clone());
        }
        let at = self
            .base
            .customer_position(id)
            .filter(|_| self.rest == Rest::Stays)?;
        Some(CustomerSeen::at(at, self.base.customers.get(at)?))
    }

    /// An agent that was put, or stays.
    pub(in crate::decide) fn agent(&self, id: &str) -> Option<AgentSeen> {
        if let Some(seen) = self.agents_seen.get(id) {
            return Some(seen.clone());
        }
        let at = self
            .base
            .agent_position(id)
            .filter(|_| self.rest == Rest::Stays)?;
        AgentSeen::at(at, self.base.agents.get(at)?)
    }

    /// The key of the customer that had the card of this key in the base.
    pub(in crate::decide) fn owner_before(&self, card: Key) -> Option<Key> {
        let card = self.base.cards.find(card)?;
        Some(self.base.customers.get(card.customer.0)?.key)
    }

    pub(in crate::decide) fn put_customer(
        &mut self,
        mut slot: CustomerSlot,
        policy: Policy,
    ) -> Result<(), RowTaken> {
        if self.customers_seen.contains_key(&slot.id) {
            return Err(RowTaken::Id);
        }
        let known = self.base.customer_position(&slot.id);
        let at = known.or_else(|| self.customers.free_position());
        let at = at.ok_or(RowTaken::Full)?;
        let before = self.customers.base(at);
        let policy_before = before.and_then(|before| before.policy.as_ref());
        slot.policy = self.policies.share(policy, policy_before);
        if let Some(before) = before.filter(|before| before.zone == slot.zone) {
            slot.zone = Arc::clone(&before.zone);
        }
        let seen = CustomerSeen::at(at, &slot);
        self.customers_seen.insert(slot.id.clone(), seen);
        self.customers.put(at, slot, self.rest);
        Ok(())
    }

    pub(in crate::decide) fn put_agent(
        &mut self,
        mut slot: AgentSlot,
        policy: Policy,
    ) -> Result<(), RowTaken> {
        if self.agents_seen.contains_key(&slot.id) {
            return Err(RowTaken::Id);
        }
        let known = self.base.agent_position(&slot.id);
        let at = known.or_else(|| self.agents.free_position());
        let at = at.ok_or(RowTaken::Full)?;
        let before = self.agents.base(at);
        let policy_before = before.and_then(|before| before.policy.as_ref());
        slot.policy = self.policies.share(policy, policy_before);
        let seen = AgentSeen::at(at, &slot).ok_or(RowTaken::Full)?;
        self.agents_seen.insert(slot.id.clone(), seen);
        self.agents.put(at, slot, self.rest);
        Ok(())
    }

    /// `id_key` is the hash of the card's id.
    pub(in crate::decide) fn put_card(
        &mut self,
        mut slot: CardSlot,
        policy: Policy,
        id_key: Key,
    ) -> Result<(), RowTaken> {
        if self.card_ids_seen.contains(&id_key) {
            return Err(RowTaken::Id);
        }
        let before = self.cards.base(slot.key);
        let policy_before = before.and_then(|before| before.policy.as_ref());
        slot.policy = self.policies.share(policy, policy_before);
        if self.rest == Rest::Stays
            && let Some(before) = self.base.card_key(&slot.id).filter(|key| *key != slot.key)
        {
            // The card has another token now.
            self.cards.remove(before);
        }
        if !self.cards.put(slot, self.rest) {
            return Err(RowTaken::Key);
        }
        self.card_ids_seen.insert(id_key);
        Ok(())
    }

    /// Takes a card out of a change. Whether there was one of this id.
    pub(in crate::decide) fn remove_card(&mut self, id: &str) -> bool {
        let key = self.base.card_key(id);
        self.rest == Rest::Stays && key.is_some_and(|key| self.cards.remove(key))
    }

    /// The snapshot of all rows.
    pub(in crate::decide) fn finish(mut self, version: u64) -> Snapshot {
        drop((self.card_ids_seen, self.customers_seen, self.agents_seen));
        let policies = &self.policies;
        self.customers
            .each_changed(|slot| policies.settle(&mut slot.policy));
        self.agents
            .each_changed(|slot| policies.settle(&mut slot.policy));
        self.cards
            .each_changed(|slot| policies.settle(&mut slot.policy));
        drop(self.policies);
        let base = &self.base;
        let RowsDone {
            rows: customers,
            gone,
            fresh,
        } = self.customers.finish(self.rest);
        let before = |at| base.customers.get(at).map_or("", CustomerSlot::id);
        let name = |at| customers.get(at).map_or("", CustomerSlot::id);
        let customer_ids = base.customer_ids.updated(&gone, before, &fresh, name);
        let RowsDone {
            rows: agents,
            gone,
            fresh,
        } = self.agents.finish(self.rest);
        let before = |at| base.agents.get(at).map_or("", AgentSlot::id);
        let name = |at| agents.get(at).map_or("", AgentSlot::id);
        let agent_ids = base.agent_ids.updated(&gone, before, &fresh, name);
        let CardsDone { cards, gone, fresh } = self.cards.finish(self.rest);
        let before = |key| base.cards.find(key).map_or("", CardSlot::id);
        let name = |key| cards.find(key).map_or("", CardSlot::id);
        let card_ids = base.card_ids.updated(&gone, before, &fresh, name);
        let connections = if self.connections == *base.connections {
            Arc::clone(&base.connections)
        } else {
            self.connections.into()
        };
        Snapshot {
            version,
            connections,
            customers,
            agents,
            cards,
            customer_ids,
            agent_ids,
            card_ids,
        }
    }
}

/// A set of places.
#[derive(Default)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn set(&mut self, at: usize) {
        let word = at / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (at % 64);
        }
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

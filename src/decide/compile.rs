//! Rows of documents or tables become a snapshot.
//!
//! The builder owns what concerns several rows: references, uniqueness, policies and zones that many
//! share. It does not know where a row came from; complaints name the row's field.

mod zone;

use std::collections::HashSet;
use std::sync::Arc;

use super::effective::needs_created_at;
use super::merchant_text::{strong_key, weak_key};
use super::past::Past;
use super::policy::{Cascade, Policy, Shadow};
use super::purchase::RequestTerms;
use super::snapshot::{
    AgentSeen, AgentSlot, CardSlot, CustomerSeen, CustomerSlot, Draft, MaybeTimestamp,
    PresetMerchant, PresetName, Rest, RowTaken, Snapshot,
};
use crate::domain::acceptor::Country;
use crate::domain::amount::Minor;
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
    pub shadow: Option<Shadow>,
    pub held_max: Option<Minor>,
}

/// An agent as a document has it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct AgentRow<'a> {
    pub id: &'a str,
    pub customer_id: &'a str,
    pub status: AgentStatus,
    pub policy: Policy,
    pub shadow: Option<Shadow>,
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
    pub shadow: Option<Shadow>,
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
    /// Where the fault lies.
    pub cause: Cause,
}

/// Where the fault of a refused row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// In the row.
    Row,
    /// It names a customer or an agent that was not added.
    UnknownParent,
    /// Its customer or agent was refused, and so it has to be.
    RefusedParent,
}

fn refused(field: &'static str, message: impl Into<String>) -> RowRefused {
    RowRefused {
        field,
        message: message.into(),
        cause: Cause::Row,
    }
}

/// A row without its parent.
fn orphan(field: &'static str, message: &str, is_refused: bool) -> RowRefused {
    let cause = if is_refused {
        Cause::RefusedParent
    } else {
        Cause::UnknownParent
    };
    RowRefused {
        cause,
        ..refused(field, message)
    }
}

/// Collects rows, parents first.
pub struct Builder<'k, K> {
    keys: &'k K,
    draft: Draft,
    zones: Zones,
    past: Option<&'k Past>,
    refused: Refused,
}

/// The ids of parents that were refused: what is wrong with them is wrong with no child of theirs.
#[derive(Default)]
struct Refused {
    customers: HashSet<Box<str>>,
    agents: HashSet<Box<str>>,
}

impl<'k, K: Keys> Builder<'k, K> {
    /// A builder that knows these issuer connections.
    #[must_use]
    pub fn new(keys: &'k K, connections: &[&str]) -> Self {
        Self::replacing(&Snapshot::empty(), keys, connections)
    }

    /// A builder of the snapshot that will follow `base` and share with it what stays the same.
    #[must_use]
    pub fn replacing(base: &Snapshot, keys: &'k K, connections: &[&str]) -> Self {
        Self::on(Draft::new(connections, base, Rest::Goes), keys)
    }

    /// A builder of a change: what is not mentioned stays as `base` has it, connections too.
    #[must_use]
    pub fn changing(base: &Snapshot, keys: &'k K) -> Self {
        Self::on(Draft::new(&[], base, Rest::Stays), keys)
    }

    fn on(draft: Draft, keys: &'k K) -> Self {
        Self {
            keys,
            draft,
            zones: Zones::default(),
            past: None,
            refused: Refused::default(),
        }
    }

    /// Takes cards of any connection, for tools that know of none.
    #[must_use]
    pub fn taking_any_connection(mut self) -> Self {
        self.draft.take_any_connection();
        self
    }

    /// Refuses cards that were used by another customer than the row's or under another key, and customers
    /// whose sums are in another currency (behaviour 11.3).
    #[must_use]
    pub fn knowing(mut self, past: &'k Past) -> Self {
        self.past = Some(past);
        self
    }

    /// Adds a customer.
    ///
    /// # Errors
    /// [`RowRefused`] where the id is taken or the zone unknown.
    pub fn add_customer(&mut self, row: CustomerRow<'_>) -> Result<(), RowRefused> {
        let id = row.id;
        let added = self.try_add_customer(row);
        if added.is_err() {
            self.refused.customers.insert(id.into());
        }
        added
    }

    fn try_add_customer(&mut self, row: CustomerRow<'_>) -> Result<(), RowRefused> {
        let requests = row.policy.terms().and_then(|it| it.requests.as_deref());
        if requests.is_some_and(|it| it.standing.is_some()) {
            let message = "are counted for one agent: they stand on agents alone";
            return Err(refused("policy.standingApprovals", message));
        }
        refuse_own_approval(&row.policy)?;
        let unknown = || refused("timezone", "must be a zone of the IANA database");
        let zone = self.zones.get(row.timezone).ok_or_else(unknown)?;
        let key = self.keys.key(KeySpace::Customer, &[row.id.as_bytes()]);
        if self
            .past
            .is_some_and(|past| past.had_another(key, row.currency))
        {
            let message = "a customer that has used its cards cannot change its currency, because its sums \
                           are in the one before; make another customer";
            return Err(refused("currency", message));
        }
        let slot = CustomerSlot {
            id: row.id.into(),
            key,
            status: row.status,
            currency: row.currency,
            cascade: row.cascade,
            zone,
            policy: None,
            shadow: row.shadow.map(Arc::new),
            held_max: row.held_max,
        };
        let added = self.draft.put_customer(slot, row.policy);
        added.map_err(|taken| row_taken(taken, "another customer has this id"))
    }

    /// Adds an agent.
    ///
    /// # Errors
    /// [`RowRefused`] where the id is taken or the customer unknown.
    pub fn add_agent(&mut self, row: AgentRow<'_>) -> Result<(), RowRefused> {
        let id = row.id;
        let added = self.try_add_agent(row);
        if added.is_err() {
            self.refuse_agent(id);
        }
        added
    }

    /// Tells of an agent that is wrong in itself: its cards' rows are not at fault.
    pub fn refuse_agent(&mut self, id: &str) {
        self.refused.agents.insert(id.into());
    }

    fn try_add_agent(&mut self, row: AgentRow<'_>) -> Result<(), RowRefused> {
        refuse_own_approval(&row.policy)?;
        let customer = self.customer(row.customer_id)?;
        let slot = AgentSlot {
            id: row.id.into(),
            key: self.keys.key(KeySpace::Agent, &[row.id.as_bytes()]),
            customer: customer.index,
            status: row.status,
            policy: None,
            shadow: row.shadow.map(Arc::new),
        };
        let added = self.draft.put_agent(slot, row.policy);
        added.map_err(|taken| row_taken(taken, "another agent has this id"))
    }

    /// Adds a card.
    ///
    /// # Errors
    /// [`RowRefused`] where the id or the issuer's token is taken, or the connection, the customer or
    /// the agent is unknown, or the agent is another customer's, or the card was.
    pub fn add_card(&mut self, row: CardRow<'_>) -> Result<(), RowRefused> {
        let customer = self.customer(row.customer_id)?;
        let requests = row.policy.terms().and_then(|it| it.requests.as_deref());
        if let Some(field) = requests.and_then(RequestTerms::first_field) {
            let message = "rules purchase requests, which come before a card: it stands on agents and customers";
            return Err(refused(field, message));
        }
        let agent = row
            .agent_id
            .map(|id| self.agent(id, &customer))
            .transpose()?;
        let unknown = || refused("connection", "no issuer connection has this name");
        let connection = self.draft.connection(row.connection).ok_or_else(unknown)?;
        let names = [row.connection.as_bytes(), row.issuer_token.as_bytes()];
        let key = self.keys.key(KeySpace::Card, &names);
        self.check_owner(key, customer.key)?;
        if row.created_at.is_none() {
            check_lifetime(&row.policy, agent.as_ref(), &customer)?;
        }
        let id_key = id_key(self.keys, row.id);
        if self.past.is_some_and(|past| past.was_another(id_key, key)) {
            let message = "a card that was used cannot change its connection or its issuer's token, because \
                           what was locked, canceled or spent would begin anew; issue another card";
            return Err(refused("issuerToken", message));
        }
        let slot = CardSlot {
            key,
            id: row.id.into(),
            policy: None,
            shadow: row.shadow.map(Arc::new),
            preset: row
                .merchant_lock
                .map(|lock| Box::new(preset(self.keys, &lock))),
            created_at: MaybeTimestamp::new(row.created_at),
            customer: customer.index,
            agent: agent.map(|agent| agent.index),
            connection,
            status: row.status,
            usage: row.usage,
            frozen: row.frozen,
        };
        let added = self.draft.put_card(slot, row.policy, id_key);
        added.map_err(|taken| row_taken(taken, "another card has this id"))
    }

    /// Takes a card out, of a change. Whether there was one of this id.
    pub fn remove_card(&mut self, id: &str) -> bool {
        self.draft.remove_card(id)
    }

    /// The snapshot of all rows.
    #[must_use]
    pub fn finish(self, version: u64) -> Snapshot {
        self.draft.finish(version)
    }

    /// A card stays with its customer for life: with another one its limits would begin anew
    /// (behaviour 11.3).
    fn check_owner(&self, card: Key, customer: Key) -> Result<(), RowRefused> {
        let used_by = self.past.and_then(|past| past.owner_of(card));
        let owner = used_by.or_else(|| self.draft.owner_before(card));
        if owner.is_some_and(|owner| owner != customer) {
            let message = "a card cannot change its customer; issue another card";
            return Err(refused("customerId", message));
        }
        Ok(())
    }

    /// The zones that rows have named so far; policies are read with them.
    pub(super) fn zones(&mut self) -> &mut Zones {
        &mut self.zones
    }

    fn customer(&self, id: &str) -> Result<CustomerSeen, RowRefused> {
        let found = self.draft.customer(id);
        found.ok_or_else(|| {
            let is_refused = self.refused.customers.contains(id);
            orphan("customerId", "no customer has this id", is_refused)
        })
    }

    fn agent(&self, id: &str, customer: &CustomerSeen) -> Result<AgentSeen, RowRefused> {
        match self.draft.agent(id) {
            Some(agent) if agent.customer == customer.index => Ok(agent),
            Some(_) => Err(refused("agentId", "the agent is another customer's")),
            None => {
                let is_refused = self.refused.agents.contains(id);
                Err(orphan("agentId", "no agent has this id", is_refused))
            }
        }
    }
}

/// An approval in advance owns a card, and nobody else.
fn refuse_own_approval(policy: &Policy) -> Result<(), RowRefused> {
    let owned = policy.terms().and_then(|it| it.standing_approval.as_ref());
    match owned {
        Some(_) => Err(refused(
            "policy.standingApproval",
            "names the approval that owns a card: it stands on cards alone",
        )),
        None => Ok(()),
    }
}

/// A time to live counts from a card's creation, so that it has to be known (behaviour 2.14 g).
fn check_lifetime(
    policy: &Policy,
    agent: Option<&AgentSeen>,
    customer: &CustomerSeen,
) -> Result<(), RowRefused> {
    let policies = [
        Some(policy),
        agent.and_then(|agent| agent.policy.as_deref()),
        customer.policy.as_deref(),
    ];
    match needs_created_at(policies, customer.cascade) {
        None => Ok(()),
        Some((field, level)) => {
            let level = level.name();
            let message = format!("is missing, and `{field}` of the {level}'s policy needs it");
            Err(refused("createdAt", message))
        }
    }
}

/// The hash by which a card's id is known.
pub fn id_key(keys: &impl Keys, id: &str) -> Key {
    keys.key(KeySpace::Card, &[id.as_bytes()])
}

fn row_taken(taken: RowTaken, same_id: &'static str) -> RowRefused {
    match taken {
        RowTaken::Id => refused("id", same_id),
        RowTaken::Key => {
            let message = "another card of this connection has this token";
            refused("issuerToken", message)
        }
        RowTaken::Full => refused("id", "there are more rows than a snapshot can hold"),
    }
}

fn preset(keys: &impl Keys, lock: &LockRow<'_>) -> PresetMerchant {
    match *lock {
        LockRow::Strong {
            acquirer_id,
            acceptor_id,
        } => PresetMerchant {
            lock: PresetLock::Strong(strong_key(keys, acquirer_id, acceptor_id)),
            named: PresetName::Ids {
                acquirer_id: acquirer_id.into(),
                acceptor_id: acceptor_id.into(),
            },
        },
        LockRow::Weak {
            descriptor,
            mcc,
            country,
        } => PresetMerchant {
            lock: PresetLock::Weak(weak_key(keys, descriptor, Some(mcc), Some(country))),
            named: PresetName::Text {
                descriptor: descriptor.into(),
                mcc,
                country,
            },
        },
    }
}

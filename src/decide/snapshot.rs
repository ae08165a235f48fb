//! The compiled rules of all customers: immutable, versioned, made for one lookup per decision.
//!
//! Everything is cut into shards behind `Arc`s, so that the next version shares with this one all
//! that did not change: publishing one card copies two lists of shards and one shard of each. A
//! card slot is small because there may be ten million; its policy is shared with every card that
//! has the same one, and the cascade is folded when a request comes, so that a customer's edit
//! touches one slot. Rows keep their places from one version to the next (`draft`).

mod cards;
mod draft;
mod ids;
mod impact;
mod lock;
mod pool;
mod rows;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use cards::CardTable;
use ids::IdIndex;
use rows::Rows;

use super::compile::Zone;
use super::policy::{Cascade, Policy, Shadow};
use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Usage};
use crate::domain::claims::PresetLock;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;

pub(super) use draft::{AgentSeen, CustomerSeen, Draft, Rest, RowTaken};
pub use impact::Impact;
pub use lock::{PresetMerchant, PresetName};

/// Position of a customer in its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CustomerIndex(u32);

/// Position of an agent in its snapshot, plus one, so that "no agent" takes no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AgentIndex(NonZeroU32);

impl AgentIndex {
    /// The index of a position; none for a position that no snapshot has.
    fn of(position: u32) -> Option<Self> {
        position.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    fn position(self) -> u32 {
        self.0.get() - 1
    }
}

/// An instant that may be absent, in the room of one that may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaybeTimestamp(i64);

impl MaybeTimestamp {
    const ABSENT: i64 = i64::MIN;

    pub(super) fn new(at: Option<Timestamp>) -> Self {
        Self(at.map_or(Self::ABSENT, Timestamp::micros))
    }

    fn get(self) -> Option<Timestamp> {
        (self.0 != Self::ABSENT).then(|| Timestamp::from_micros(self.0))
    }
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerSlot {
    pub(super) id: Box<str>,
    pub(super) key: Key,
    pub(super) status: CustomerStatus,
    pub(super) currency: Currency,
    pub(super) cascade: Cascade,
    pub(super) zone: Arc<Zone>,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) shadow: Option<Arc<Shadow>>,
    pub(super) held_max: Option<Minor>,
}

impl CustomerSlot {
    /// The most that may be held at one time over all its cards (behaviour 4.4).
    #[must_use]
    pub fn held_max(&self) -> Option<Minor> {
        self.held_max
    }

    /// The owner's name of the customer.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of the customer's ledger state.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// As the document has it; the ledger may know better.
    #[must_use]
    pub fn status(&self) -> CustomerStatus {
        self.status
    }

    /// The currency of all limits.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// How the levels' values become one.
    #[must_use]
    pub fn cascade(&self) -> Cascade {
        self.cascade
    }

    /// The zone whose calendar the windows follow.
    #[must_use]
    pub fn zone(&self) -> &ZoneTable {
        self.zone.table()
    }

    /// The zone's name in the IANA database.
    #[must_use]
    pub fn timezone(&self) -> &str {
        self.zone.name()
    }

    /// The rules over all the customer's agents.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSlot {
    pub(super) id: Box<str>,
    pub(super) key: Key,
    pub(super) customer: CustomerIndex,
    pub(super) status: AgentStatus,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) shadow: Option<Arc<Shadow>>,
}

impl AgentSlot {
    /// The owner's name of the agent.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of the agent's ledger state.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// As the document has it; the ledger may know better.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        self.status
    }

    /// The rules over all the agent's cards.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }
}

/// One card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSlot {
    pub(super) key: Key,
    pub(super) id: Box<str>,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) shadow: Option<Arc<Shadow>>,
    /// Few cards have one.
    pub(super) preset: Option<Box<PresetMerchant>>,
    pub(super) created_at: MaybeTimestamp,
    pub(super) customer: CustomerIndex,
    pub(super) agent: Option<AgentIndex>,
    pub(super) connection: u16,
    pub(super) status: CardStatus,
    pub(super) usage: Usage,
    pub(super) frozen: bool,
}

const _: () = assert!(size_of::<CardSlot>() <= 80, "ten million cards");
const _: () = assert!(
    size_of::<Policy>() <= 72,
    "a card may have a policy of its own"
);

impl CardSlot {
    /// The owner's name of the card.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of connection and issuer's token, also of the card's ledger state.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// As the document has it; the ledger may know better.
    #[must_use]
    pub fn status(&self) -> CardStatus {
        self.status
    }

    /// Whether the document has the card frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// How many authorizations the card is for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// A merchant lock that was set when the card was made.
    #[must_use]
    pub fn preset_lock(&self) -> Option<PresetLock> {
        self.preset.as_deref().map(|preset| preset.lock)
    }

    /// The merchant of that lock, as the document names it.
    #[must_use]
    pub fn preset_merchant(&self) -> Option<&PresetName> {
        self.preset.as_deref().map(|preset| &preset.named)
    }

    /// When the card was made, where the document says so.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at.get()
    }

    /// The card's own rules.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }
}

/// One card with everything above it.
#[derive(Clone, Copy, Debug)]
pub struct CardView<'s> {
    /// The card.
    pub card: &'s CardSlot,
    /// Its agent, where it has one.
    pub agent: Option<&'s AgentSlot>,
    /// Its customer.
    pub customer: &'s CustomerSlot,
    /// The name of its issuer connection.
    pub connection: &'s str,
    layer: Layer,
}

/// Which documents a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Those in force.
    Active,
    /// The shadow where a level has one, and elsewhere the one in force.
    Shadow,
}

impl<'s> CardView<'s> {
    /// The policies in the order of [`crate::domain::card::Level::ALL`].
    #[must_use]
    pub fn policies(&self) -> [Option<&'s Policy>; 3] {
        let agent = self.agent.and_then(AgentSlot::policy);
        let active = [self.card.policy(), agent, self.customer.policy()];
        if self.layer == Layer::Active {
            return active;
        }
        let [card, agent, customer] = self.shadows();
        let instead = |shadow: Option<&'s Shadow>, active| shadow.map(|it| &it.policy).or(active);
        let [of_card, of_agent, of_customer] = active;
        [
            instead(card, of_card),
            instead(agent, of_agent),
            instead(customer, of_customer),
        ]
    }

    fn shadows(&self) -> [Option<&'s Shadow>; 3] {
        let agent = self.agent.and_then(|agent| agent.shadow.as_deref());
        let customer = self.customer.shadow.as_deref();
        [self.card.shadow.as_deref(), agent, customer]
    }

    /// The same card under the documents that are tried out, with their versions by level (0 where a
    /// level tries none). Absent, after one look, where no level tries any.
    #[must_use]
    pub fn in_shadow(&self) -> Option<(Self, [u32; 3])> {
        let shadows = self.shadows();
        if shadows.iter().all(Option::is_none) {
            return None;
        }
        let versions = shadows.map(|shadow| shadow.map_or(0, |it| it.version));
        let view = Self {
            layer: Layer::Shadow,
            ..*self
        };
        Some((view, versions))
    }
}

/// All rules at one moment.
#[derive(Clone)]
pub struct Snapshot {
    version: u64,
    connections: Arc<[Box<str>]>,
    customers: Rows<CustomerSlot>,
    agents: Rows<AgentSlot>,
    cards: CardTable,
    customer_ids: IdIndex<u32>,
    agent_ids: IdIndex<u32>,
    card_ids: IdIndex<Key>,
}

impl Snapshot {
    /// The snapshot without a row, of number 0.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            version: 0,
            connections: Arc::default(),
            customers: Rows::default(),
            agents: Rows::default(),
            cards: CardTable::new(),
            customer_ids: IdIndex::empty(),
            agent_ids: IdIndex::empty(),
            card_ids: IdIndex::empty(),
        }
    }

    /// Whether both say the same, apart from their number. It may miss that they do, where they
    /// were not made one from the other.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.connections == other.connections
            && self.customers.is_shared_with(&other.customers)
            && self.agents.is_shared_with(&other.agents)
            && self.cards.is_shared_with(&other.cards)
            && self.card_ids.is_shared_with(&other.card_ids)
    }

    /// The number that records of decisions carry.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many cards there are.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.cards.len()
    }

    /// How many agents there are.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// How many customers there are.
    #[must_use]
    pub fn customer_count(&self) -> usize {
        self.customers.len()
    }

    /// Positions that are set aside for customers, holes included.
    #[must_use]
    pub fn customer_room(&self) -> usize {
        self.customers.end()
    }

    /// The card of a connection and issuer's token: the key of
    /// [`crate::domain::identity::KeySpace::Card`] over both.
    #[must_use]
    pub fn card(&self, key: Key) -> Option<CardView<'_>> {
        self.view(self.cards.find(key)?)
    }

    /// The card of the owner's name; for operators.
    #[must_use]
    pub fn card_by_id(&self, id: &str) -> Option<CardView<'_>> {
        self.card(self.card_key(id)?)
    }

    fn card_key(&self, id: &str) -> Option<Key> {
        let name = |key| self.cards.find(key).map_or("", CardSlot::id);
        self.card_ids.find(id, name)
    }

    /// The agent of the owner's name; for operators.
    #[must_use]
    pub fn agent_by_id(&self, id: &str) -> Option<&AgentSlot> {
        self.agents.get(self.agent_position(id)?)
    }

    fn agent_position(&self, id: &str) -> Option<u32> {
        let name = |at| self.agents.get(at).map_or("", AgentSlot::id);
        self.agent_ids.find(id, name)
    }

    /// The customer that an agent belongs to.
    #[must_use]
    pub fn customer_of(&self, agent: &AgentSlot) -> Option<&CustomerSlot> {
        self.customers.get(agent.customer.0)
    }

    /// The customer of the owner's name; for operators.
    #[must_use]
    pub fn customer_by_id(&self, id: &str) -> Option<&CustomerSlot> {
        self.customers.get(self.customer_position(id)?)
    }

    fn customer_position(&self, id: &str) -> Option<u32> {
        let name = |at| self.customers.get(at).map_or("", CustomerSlot::id);
        self.customer_ids.find(id, name)
    }

    /// Every card, in no order that means anything.
    pub fn cards(&self) -> impl Iterator<Item = CardView<'_>> {
        self.cards.slots().filter_map(|slot| self.view(slot))
    }

    /// Every agent, in no order that means anything.
    pub fn agents(&self) -> impl Iterator<Item = &AgentSlot> {
        self.agents.iter()
    }

    /// Every customer, in no order that means anything.
    pub fn customers(&self) -> impl Iterator<Item = &CustomerSlot> {
        self.customers.iter()
    }

    fn view<'s>(&'s self, card: &'s CardSlot) -> Option<CardView<'s>> {
        let agent = match card.agent {
            Some(index) => Some(self.agents.get(index.position())?),
            None => None,
        };
        Some(CardView {
            card,
            agent,
            customer: self.customers.get(card.customer.0)?,
            connection: self.connections.get(usize::from(card.connection))?,
            layer: Layer::Active,
        })
    }
}

/// Counts only: a snapshot can have millions of cards.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("customers", &self.customer_count())
            .field("agents", &self.agent_count())
            .field("cards", &self.card_count())
            .finish()
    }
}

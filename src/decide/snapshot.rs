//! The compiled rules of all customers: immutable, versioned, made for one lookup per decision.
//!
//! Everything is cut into shards behind `Arc`s, so that the next version shares with this one all
//! that did not change: publishing one card copies the root and one shard. A card slot is small
//! because there may be ten million; its policy is shared with every card that has the same one,
//! and the cascade is folded when a request comes, so that a customer's edit touches one slot.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::compile::Zone;
use super::policy::{Cascade, Policy};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Usage};
use crate::domain::claims::PresetLock;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;

/// Shards of the card table. Each holds about 2 400 cards where there are ten million.
const CARD_SHARDS: usize = 4096;
/// Shards of an index of ids.
const ID_SHARDS: usize = 1024;
/// Customers or agents in one chunk.
const CHUNK: usize = 1024;

/// Position of a customer in its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CustomerIndex(pub(super) u32);

/// Position of an agent in its snapshot, plus one, so that "no agent" takes no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AgentIndex(NonZeroU32);

impl AgentIndex {
    /// The index of a position; none for a position that no snapshot has.
    pub(super) fn of(position: u32) -> Option<Self> {
        position.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    pub(super) fn position(self) -> u32 {
        self.0.get() - 1
    }
}

/// An instant that may be absent, in the room of one that may not.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Debug)]
pub struct CustomerSlot {
    pub(super) id: Box<str>,
    pub(super) key: Key,
    pub(super) status: CustomerStatus,
    pub(super) currency: Currency,
    pub(super) cascade: Cascade,
    pub(super) zone: Arc<Zone>,
    pub(super) policy: Option<Arc<Policy>>,
}

impl CustomerSlot {
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
#[derive(Clone, Debug)]
pub struct AgentSlot {
    pub(super) id: Box<str>,
    pub(super) key: Key,
    pub(super) customer: CustomerIndex,
    pub(super) status: AgentStatus,
    pub(super) policy: Option<Arc<Policy>>,
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
#[derive(Clone, Debug)]
pub struct CardSlot {
    pub(super) key: Key,
    pub(super) id: Box<str>,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) preset_lock: Option<PresetLock>,
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
        self.preset_lock
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
}

impl<'s> CardView<'s> {
    /// The policies in the order of [`crate::domain::card::Level::ALL`].
    #[must_use]
    pub fn policies(&self) -> [Option<&'s Policy>; 3] {
        let agent = self.agent.and_then(AgentSlot::policy);
        [self.card.policy(), agent, self.customer.policy()]
    }
}

/// All rules at one moment.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) version: u64,
    pub(super) connections: Arc<[Box<str>]>,
    pub(super) customers: Chunks<CustomerSlot>,
    pub(super) agents: Chunks<AgentSlot>,
    pub(super) cards: CardTable,
    pub(super) customer_ids: IdIndex<u32>,
    pub(super) agent_ids: IdIndex<u32>,
    pub(super) card_ids: IdIndex<Key>,
}

impl Snapshot {
    /// The number that records of decisions carry.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many cards there are.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.cards
            .shards
            .iter()
            .map(|shard| shard.slots.len())
            .sum()
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

    /// The card of a connection and issuer's token: the key of
    /// [`crate::domain::identity::KeySpace::Card`] over both.
    #[must_use]
    pub fn card(&self, key: Key) -> Option<CardView<'_>> {
        self.view(self.cards.find(key)?)
    }

    /// The card of the owner's name; for operators.
    #[must_use]
    pub fn card_by_id(&self, id: &str) -> Option<CardView<'_>> {
        self.card(self.card_ids.find(id, |key| self.card_name(key))?)
    }

    /// The agent of the owner's name; for operators.
    #[must_use]
    pub fn agent_by_id(&self, id: &str) -> Option<&AgentSlot> {
        let name = |at| self.agents.get(at).map_or("", AgentSlot::id);
        self.agents.get(self.agent_ids.find(id, name)?)
    }

    /// The customer that an agent belongs to.
    #[must_use]
    pub fn customer_of(&self, agent: &AgentSlot) -> Option<&CustomerSlot> {
        self.customers.get(agent.customer.0)
    }

    /// The customer of the owner's name; for operators.
    #[must_use]
    pub fn customer_by_id(&self, id: &str) -> Option<&CustomerSlot> {
        let name = |at| self.customers.get(at).map_or("", CustomerSlot::id);
        self.customers.get(self.customer_ids.find(id, name)?)
    }

    /// Every card, in no order that means anything.
    pub fn cards(&self) -> impl Iterator<Item = CardView<'_>> {
        let slots = self.cards.shards.iter().flat_map(|shard| &shard.slots);
        slots.filter_map(|slot| self.view(slot))
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
        })
    }

    fn card_name(&self, key: Key) -> &str {
        self.cards.find(key).map_or("", CardSlot::id)
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

/// A list in pieces that versions share.
#[derive(Clone)]
pub(super) struct Chunks<T>(Box<[Arc<[T]>]>);

impl<T> Chunks<T> {
    pub(super) fn new(items: Vec<T>) -> Self {
        let mut chunks = Vec::with_capacity(items.len().div_ceil(CHUNK));
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            chunks.push(items.by_ref().take(CHUNK).collect());
        }
        Self(chunks.into())
    }

    fn get(&self, at: u32) -> Option<&T> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn len(&self) -> usize {
        self.0.iter().map(|chunk| chunk.len()).sum()
    }
}

/// The cards by key.
#[derive(Clone)]
pub(super) struct CardTable {
    shards: Box<[Arc<CardShard>]>,
}

impl CardTable {
    pub(super) fn new() -> Self {
        let empty = Arc::new(CardShard::default());
        let shards = vec![empty; CARD_SHARDS].into();
        Self { shards }
    }

    /// Adds a card in place, copying its shard only where another version still holds it.
    ///
    /// Returns false, and adds nothing, where the key is taken.
    pub(super) fn insert(&mut self, slot: CardSlot) -> bool {
        match self.shards.get_mut(shard_of(slot.key)) {
            Some(shard) => Arc::make_mut(shard).insert(slot),
            None => false,
        }
    }

    /// Gives back what growing has reserved beyond need.
    pub(super) fn shrink(&mut self) {
        for shard in &mut self.shards {
            if let Some(shard) = Arc::get_mut(shard) {
                shard.slots.shrink_to_fit();
            }
        }
    }

    pub(super) fn find(&self, key: Key) -> Option<&CardSlot> {
        self.shards.get(shard_of(key))?.find(key)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &CardSlot> {
        self.shards.iter().flat_map(|shard| &shard.slots)
    }
}

/// Keys are hashes already: their upper half picks the shard, their lower half the place in it.
fn shard_of(key: Key) -> usize {
    let [a, b, ..] = key.0.to_be_bytes();
    usize::from(u16::from_be_bytes([a, b])) % CARD_SHARDS
}

/// An open-addressed index over a dense list: 4 bytes a place, at most two thirds of them used.
#[derive(Clone, Default)]
struct CardShard {
    /// Position in `slots` plus one; zero is a free place. The length is a power of two.
    index: Box<[u32]>,
    slots: Vec<CardSlot>,
}

impl CardShard {
    fn find(&self, key: Key) -> Option<&CardSlot> {
        let mut place = self.home(key)?;
        // INVARIANT: the index has free places, so the walk ends.
        loop {
            let position = *self.index.get(place)?;
            let at = usize::try_from(position.checked_sub(1)?).ok()?;
            let slot = self.slots.get(at)?;
            if slot.key == key {
                return Some(slot);
            }
            place = self.after(place);
        }
    }

    fn insert(&mut self, slot: CardSlot) -> bool {
        if self.find(slot.key).is_some() {
            return false;
        }
        self.slots.push(slot);
        if self.slots.len() * 3 > self.index.len() * 2 {
            self.rebuild_index();
        } else {
            self.index_slot(self.slots.len());
        }
        true
    }

    fn rebuild_index(&mut self) {
        let places = (self.slots.len() * 2).next_power_of_two().max(4);
        self.index = vec![0; places].into();
        for position in 1..=self.slots.len() {
            self.index_slot(position);
        }
    }

    fn index_slot(&mut self, position: usize) {
        let slot = position.checked_sub(1).and_then(|at| self.slots.get(at));
        let home = slot.and_then(|slot| self.home(slot.key));
        let (Some(mut place), Ok(position)) = (home, u32::try_from(position)) else {
            return;
        };
        while self.index.get(place).is_some_and(|taken| *taken != 0) {
            place = self.after(place);
        }
        if let Some(free) = self.index.get_mut(place) {
            *free = position;
        }
    }

    /// Where the search for a key begins; absent where there is nothing to search.
    fn home(&self, key: Key) -> Option<usize> {
        let [.., a, b, c, d] = key.0.to_be_bytes();
        let hash = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        Some(hash & self.index.len().checked_sub(1)?)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.index.len() - 1)
    }
}

/// Things by the text of their id, each shard in order of that text. It holds references only; the
/// text is that of the thing.
#[derive(Clone)]
pub(super) struct IdIndex<R> {
    shards: Box<[Arc<[R]>]>,
}

impl<R: Copy> IdIndex<R> {
    pub(super) fn new<'s>(all: impl Iterator<Item = R>, name: impl Fn(R) -> &'s str) -> Self {
        let mut shards = vec![Vec::new(); ID_SHARDS];
        for item in all {
            if let Some(shard) = shards.get_mut(id_shard(name(item))) {
                shard.push(item);
            }
        }
        let sorted = shards.into_iter().map(|mut shard: Vec<R>| {
            shard.sort_unstable_by_key(|item| name(*item));
            shard.into()
        });
        Self {
            shards: sorted.collect(),
        }
    }

    fn find<'s>(&self, id: &str, name: impl Fn(R) -> &'s str) -> Option<R> {
        let shard = self.shards.get(id_shard(id))?;
        let at = shard.binary_search_by_key(&id, |item| name(*item)).ok()?;
        shard.get(at).copied()
    }
}

/// FNV-1a. Not keyed: whoever makes ids collide slows down only the operators' look-ups.
fn id_shard(id: &str) -> usize {
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    usize::try_from(hash).unwrap_or(0) % ID_SHARDS
}

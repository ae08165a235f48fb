//! One owner's state: cards, agents, sums and authorizations. `check` reads it, `fold` changes it.

use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::claims::MerchantKeys;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::authorization::Authorization;
use crate::ledger::counters::Counters;
use crate::ledger::event::{AgentNo, CardNo, LockedMerchant, Owner, StateNo};
use crate::ledger::intent::{Intent, Intents};
use crate::ledger::key_map::KeyMap;
use crate::ledger::recent::Recent;
use crate::ledger::rolling::Rolling;
use crate::ledger::shared::EntryId;

/// Whose state it is, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerId {
    /// A customer, by id.
    Customer(Box<str>),
    /// Authorizations of one connection whose card is in no snapshot.
    Unattributed(Box<str>),
}

impl OwnerId {
    /// The borrowed form.
    #[must_use]
    pub fn as_owner(&self) -> Owner<'_> {
        match self {
            Self::Customer(id) => Owner::Customer(id),
            Self::Unattributed(connection) => Owner::Unattributed(connection),
        }
    }
}

impl OwnerId {
    /// The customer's id; absent where nobody knows the cards.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        match self {
            Self::Customer(id) => Some(id),
            Self::Unattributed(_) => None,
        }
    }
}

impl From<Owner<'_>> for OwnerId {
    fn from(owner: Owner<'_>) -> Self {
        match owner {
            Owner::Customer(id) => Self::Customer(id.into()),
            Owner::Unattributed(connection) => Self::Unattributed(connection.into()),
        }
    }
}

/// The merchant a card is locked to, and how many approvals rest on the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantLock {
    /// What is compared.
    pub keys: MerchantKeys,
    /// What is shown: acquirer id.
    pub acquirer_id: Box<str>,
    /// What is shown: acceptor id.
    pub acceptor_id: Box<str>,
    /// What is shown: descriptor.
    pub descriptor: Box<str>,
    /// What is shown: category code.
    pub mcc: Option<u16>,
    /// What is shown: country, packed.
    pub country: Option<u16>,
    /// Authorizations approved under the lock and not taken back; at none the lock opens again.
    pub(in crate::ledger) approvals: u32,
}

impl MerchantLock {
    pub(in crate::ledger) fn of(locked: &LockedMerchant<'_>) -> Self {
        Self {
            keys: locked.keys,
            acquirer_id: locked.acquirer_id.into(),
            acceptor_id: locked.acceptor_id.into(),
            descriptor: locked.descriptor.into(),
            mcc: locked.mcc,
            country: locked.country,
            approvals: 0,
        }
    }

    pub(in crate::ledger) fn as_locked(&self) -> LockedMerchant<'_> {
        LockedMerchant {
            keys: self.keys,
            acquirer_id: &self.acquirer_id,
            acceptor_id: &self.acceptor_id,
            descriptor: &self.descriptor,
            mcc: self.mcc,
            country: self.country,
        }
    }
}

/// One card since its first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardState {
    /// Connection and issuer's token, hashed.
    pub key: Key,
    /// Our id.
    pub id: Box<str>,
    /// The connection it is used through.
    pub connection: Box<str>,
    /// Its sums.
    pub counters: Counters,
    /// Its trailing sums, where a rolling limit ever stood.
    pub rolling: Option<Box<Rolling>>,
    /// What operators set; the stricter of this and the snapshot's is in force.
    pub status: CardStatus,
    /// Whether it is frozen.
    pub frozen: bool,
    /// Whether a risk rule froze it; then only an owner lifts the freeze (behaviour 2.14 j).
    pub frozen_by_risk: bool,
    /// Its latest approvals, from which the cooldown counts.
    pub recent: Recent,
    /// When a single-use card was consumed, and by which authorization.
    pub consumed: Option<(Timestamp, Key)>,
    /// The merchant it is locked to.
    pub lock: Option<Box<MerchantLock>>,
    /// What few cards have.
    pub(in crate::ledger) extras: Option<Box<Extras>>,
}

/// What few cards have, apart from the others so that those stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Extras {
    /// The position of the approval that was this single-use card's probe.
    pub(in crate::ledger) probe: Option<u64>,
    /// The agent's latest attestation.
    pub(in crate::ledger) attested_at: Option<Timestamp>,
    /// Intents that no authorization has taken, oldest first.
    pub(in crate::ledger) open_intents: Vec<Key>,
    /// The earmark that stands at agent and customer for what is spent on this card.
    pub(in crate::ledger) backing: Option<Backing>,
}

/// The earmark behind a purchase card (behaviour 5.8): a hold of its own, which agent and customer
/// are charged with in place of what is spent on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backing {
    /// The authorization that holds it.
    pub earmark: Key,
    /// The journal position of its first step: one that comes under the same key once this one is
    /// forgotten is another earmark.
    pub position: u64,
    /// Whether what is unused is kept for the card.
    pub is_open: bool,
    /// The position of the approval for which the earmark's own count stands at agent and customer:
    /// whatever is approved beside it counts there as well.
    pub(in crate::ledger) stands_for: Option<u64>,
}

impl Backing {
    /// Whether it is this authorization.
    pub(in crate::ledger) fn is_by(&self, authorization: &Authorization) -> bool {
        let first = authorization.steps().next();
        first.is_some_and(|step| step.position == self.position)
    }
}

impl CardState {
    pub(in crate::ledger) fn opened(key: Key, id: &str, connection: &str) -> Self {
        Self {
            key,
            id: id.into(),
            connection: connection.into(),
            counters: Counters::default(),
            rolling: None,
            status: CardStatus::Active,
            frozen: false,
            frozen_by_risk: false,
            recent: Recent::default(),
            consumed: None,
            lock: None,
            extras: None,
        }
    }

    /// The journal position of the approval that was the card's one probe (behaviour 2.14 a).
    #[must_use]
    pub fn probe(&self) -> Option<u64> {
        self.extras.as_ref()?.probe
    }

    /// When the agent last attested (behaviour 6.2).
    #[must_use]
    pub fn attested_at(&self) -> Option<Timestamp> {
        self.extras.as_ref()?.attested_at
    }

    /// The earmark behind it, where it is a purchase card (behaviour 5.8).
    #[must_use]
    pub fn backing(&self) -> Option<Backing> {
        self.extras.as_ref()?.backing
    }

    /// The intents that no authorization has taken, oldest first.
    #[must_use]
    pub fn open_intents(&self) -> &[Key] {
        self.extras
            .as_ref()
            .map_or(&[], |extras| extras.open_intents.as_slice())
    }

    pub(in crate::ledger) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }
}

/// One agent since its first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// The id, hashed.
    pub key: Key,
    /// Our id.
    pub id: Box<str>,
    /// Its sums over all its cards.
    pub counters: Counters,
    /// Its trailing sums, where a rolling limit ever stood.
    pub rolling: Option<Box<Rolling>>,
    /// What operators set.
    pub status: AgentStatus,
}

/// See the module.
#[derive(Debug)]
pub struct State {
    /// The number in the journal.
    pub no: StateNo,
    /// Entries of the log that several nodes share, as far as this state has taken them; not kept in
    /// images, because a node begins with the log.
    pub(in crate::ledger) taken: u64,
    /// The last of them.
    pub(in crate::ledger) last: EntryId,
    /// Hash of the owner, by which the store finds the state.
    pub key: Key,
    /// Whose it is.
    pub owner: OwnerId,
    /// What was ordered of the customer; the stricter of it and what the snapshot says is in force.
    pub status: CustomerStatus,
    /// What the sums are in; absent until something was charged, and in states that earlier versions kept.
    pub currency: Option<Currency>,
    /// Sums over everything.
    pub counters: Counters,
    /// Trailing sums over everything, where a rolling limit ever stood.
    pub rolling: Option<Box<Rolling>>,
    /// The latest day that anything was charged to; days never go back (behaviour 2.13 e).
    pub day: LocalDay,
    /// When that day ends, as its zone had it when it was opened: no change of zone ends it sooner.
    pub day_ends: Timestamp,
    /// The latest hour that anything was charged to.
    pub hour: LocalHour,
    /// Seconds by which that hour began before the full hour of universal time.
    pub(in crate::ledger) hour_offset_s: u16,
    /// The latest instant that anything was booked at.
    pub(in crate::ledger) latest: Timestamp,
    /// Whether it goes back to an image of the first version, which kept no counts: then they are
    /// those of the authorizations that the image remembered.
    pub(in crate::ledger) inherited: bool,
    pub(in crate::ledger) intents: Option<Box<Intents>>,
    pub(in crate::ledger) cards: Vec<CardState>,
    pub(in crate::ledger) agents: Vec<AgentState>,
    pub(in crate::ledger) cards_by_key: KeyMap<CardNo>,
    pub(in crate::ledger) agents_by_key: KeyMap<AgentNo>,
    pub(in crate::ledger) authorizations: KeyMap<Authorization>,
}

impl State {
    /// A state before its first event.
    #[must_use]
    pub fn new(no: StateNo, key: Key, owner: Owner<'_>) -> Self {
        Self {
            no,
            taken: 0,
            last: EntryId::NONE,
            key,
            owner: owner.into(),
            status: CustomerStatus::Active,
            currency: None,
            counters: Counters::default(),
            rolling: None,
            day: LocalDay(i32::MIN),
            day_ends: Timestamp::from_micros(i64::MIN),
            hour: LocalHour(i32::MIN),
            hour_offset_s: 0,
            latest: Timestamp::from_micros(i64::MIN),
            inherited: false,
            intents: None,
            cards: Vec::new(),
            agents: Vec::new(),
            cards_by_key: KeyMap::default(),
            agents_by_key: KeyMap::default(),
            authorizations: KeyMap::default(),
        }
    }

    /// The same without its authorizations and intents: sums, counts, locks and standings, to try on them what
    /// may be booked later.
    #[must_use]
    pub(in crate::ledger) fn sums(&self) -> Self {
        Self {
            no: self.no,
            taken: self.taken,
            last: self.last,
            key: self.key,
            owner: self.owner.clone(),
            status: self.status,
            currency: self.currency,
            counters: self.counters,
            rolling: self.rolling.clone(),
            day: self.day,
            day_ends: self.day_ends,
            hour: self.hour,
            hour_offset_s: self.hour_offset_s,
            latest: self.latest,
            inherited: self.inherited,
            intents: None,
            cards: self.cards.clone(),
            agents: self.agents.clone(),
            cards_by_key: self.cards_by_key.clone(),
            agents_by_key: self.agents_by_key.clone(),
            authorizations: KeyMap::default(),
        }
    }

    /// The card of a key, if it was ever used.
    #[must_use]
    pub fn card_by_key(&self, key: Key) -> Option<(CardNo, &CardState)> {
        let no = *self.cards_by_key.get(key)?;
        Some((no, self.card(no)?))
    }

    /// Every card that was ever used.
    pub fn cards(&self) -> impl Iterator<Item = &CardState> {
        self.cards.iter()
    }

    /// The agent of a key, if it was ever used.
    #[must_use]
    pub fn agent_by_key(&self, key: Key) -> Option<(AgentNo, &AgentState)> {
        let no = *self.agents_by_key.get(key)?;
        Some((no, self.agent(no)?))
    }

    /// A card by number.
    #[must_use]
    pub fn card(&self, no: CardNo) -> Option<&CardState> {
        self.cards.get(usize::try_from(no.0).ok()?)
    }

    /// An agent by number.
    #[must_use]
    pub fn agent(&self, no: AgentNo) -> Option<&AgentState> {
        self.agents.get(usize::try_from(no.0).ok()?)
    }

    pub(in crate::ledger) fn card_mut(&mut self, no: CardNo) -> Option<&mut CardState> {
        self.cards.get_mut(usize::try_from(no.0).ok()?)
    }

    pub(in crate::ledger) fn agent_mut(&mut self, no: AgentNo) -> Option<&mut AgentState> {
        self.agents.get_mut(usize::try_from(no.0).ok()?)
    }

    /// An authorization by key.
    #[must_use]
    pub fn authorization(&self, key: Key) -> Option<&Authorization> {
        self.authorizations.get(key)
    }

    /// The place, counted from 1, of the authorization's step at this position; 0 where it has none.
    pub(in crate::ledger) fn place_of(&self, authorization: Key, position: u64) -> u64 {
        let steps = self.authorization(authorization).map(|it| it.steps());
        let mut places = steps.into_iter().flatten().zip(1..);
        let found = places.find(|(step, _)| step.position == position);
        found.map_or(0, |(_, place)| place)
    }

    /// The reverse of [`Self::place_of`].
    pub(in crate::ledger) fn position_of(&self, authorization: Key, place: u64) -> u64 {
        let steps = self.authorization(authorization).map(|it| it.steps());
        let mut places = steps.into_iter().flatten().zip(1..);
        let found = places.find(|(_, at)| *at == place);
        found.map_or(0, |(step, _)| step.position)
    }

    /// The earmark that stands behind a card; absent once it is forgotten.
    pub(in crate::ledger) fn earmark(&self, backing: Backing) -> Option<&Authorization> {
        let found = self.authorizations.get(backing.earmark);
        found.filter(|it| backing.is_by(it))
    }

    /// The card's authorization of which a step came by this delivery.
    pub(in crate::ledger) fn authorization_of_delivery(
        &self,
        card: CardNo,
        delivery: u64,
    ) -> Option<Key> {
        let came_by = |it: &Authorization| {
            it.steps()
                .any(|step| step.stored.delivery == Some(delivery))
        };
        let of_card = |it: &Authorization| it.card() == Some(card) && came_by(it);
        self.authorizations.key_where(of_card)
    }

    /// An intent by key.
    #[must_use]
    pub fn intent(&self, key: Key) -> Option<&Intent> {
        self.intents.as_ref()?.get(key)
    }

    /// The intent that an authorization has taken.
    #[must_use]
    pub fn intent_of(&self, authorization: Key) -> Option<(Key, &Intent)> {
        self.intents.as_ref()?.taken_by(authorization)
    }

    /// How many authorizations are remembered.
    #[must_use]
    pub fn authorization_count(&self) -> usize {
        self.authorizations.len()
    }

    /// How many parts a sweep has to visit.
    #[must_use]
    pub fn part_count(&self) -> u16 {
        self.authorizations.part_count()
    }

    /// The authorizations of a card that hold something, in order of their keys.
    #[must_use]
    pub fn holds_of(&self, card: CardNo) -> Vec<&Authorization> {
        let sorted = self
            .authorizations
            .sorted()
            .into_iter()
            .map(|(_, authorization)| authorization);
        sorted
            .filter(|it| it.card() == Some(card) && !it.reserved().is_zero())
            .collect()
    }
}

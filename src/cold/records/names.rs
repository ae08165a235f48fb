//! What the numbers of the journal's events are called: learned from the events that open them.

use std::collections::HashMap;

use super::feed::Whose;
use crate::cold::trial::Cast;
use crate::domain::card::Key;
use crate::ledger::codec::ExternalId;
use crate::ledger::event::{AgentNo, Booked, CardNo, Decided, Owner, StateNo};
use crate::ledger::state::State;

/// The names of one state.
#[derive(Debug)]
struct StateNames {
    key: Key,
    /// Absent where the state is a connection's.
    customer: Option<Box<str>>,
    /// The connection of records that name no card.
    connection: u16,
    cards: Vec<CardName>,
    agents: Vec<Box<str>>,
}

#[derive(Debug)]
struct CardName {
    id: Box<str>,
    hash: u32,
    connection: u16,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Names {
    connections: Vec<Box<str>>,
    connection_numbers: HashMap<Box<str>, u16>,
    /// By number; a number that opened no state is empty.
    states: Vec<Option<Box<StateNames>>>,
}

/// The connection of records whose connection nobody named.
const NAMELESS: u16 = 0;

/// What a record's numbers are called.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Called<'n> {
    pub(super) connection: Option<&'n str>,
    pub(super) card: Option<&'n str>,
    pub(super) agent: Option<&'n str>,
    pub(super) customer: Option<&'n str>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            connections: vec!["".into()],
            connection_numbers: HashMap::new(),
            states: Vec::new(),
        }
    }
}

/// Something by its name: whose it is, and its number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<N> {
    /// The customer's key.
    pub key: Key,
    /// The customer's id.
    pub customer: String,
    /// Its number within the customer's state.
    pub no: N,
}

impl Names {
    /// The names in states that were recovered. The journal may have lost the events that told them.
    pub(super) fn of_states<'s>(states: impl IntoIterator<Item = &'s State>) -> Self {
        let mut names = Self::default();
        for state in states {
            names.open_state(state.no, state.key, state.owner.as_owner());
            for (no, card) in (0..).zip(state.cards()) {
                names.open_card(state.no, CardNo(no), &card.id, &card.connection);
            }
            let agents = (0..).map(AgentNo);
            for (no, agent) in agents.map_while(|no| Some((no, state.agent(no)?))) {
                names.open_agent(state.no, no, &agent.id);
            }
        }
        names
    }

    /// The card of this id that was used first last, where several had it. It looks at all.
    pub(super) fn card_named(&self, id: &str) -> Option<Named<CardNo>> {
        let hash = hash_of_text(id);
        let is_it = |card: &CardName| card.hash == hash && *card.id == *id;
        self.newest_of(|names| {
            let at = names.cards.iter().rposition(is_it)?;
            u32::try_from(at).ok().map(CardNo)
        })
    }

    /// The same for agents.
    pub(super) fn agent_named(&self, id: &str) -> Option<Named<AgentNo>> {
        self.newest_of(|names| {
            let at = names.agents.iter().rposition(|known| **known == *id)?;
            u32::try_from(at).ok().map(AgentNo)
        })
    }

    /// Everybody of a customer, by number.
    pub(super) fn cast(&self, customer: &str) -> Option<Cast> {
        let (no, names) = (0..).zip(&self.states).find_map(|(no, names)| {
            let names = names.as_ref()?;
            (names.customer.as_deref() == Some(customer)).then_some((StateNo(no), names))
        })?;
        let cards = names.cards.iter().map(|card| {
            let connection = self.connections.get(usize::from(card.connection));
            (card.id.clone(), connection.cloned().unwrap_or_default())
        });
        Some(Cast {
            state: no,
            key: names.key,
            customer: customer.to_owned(),
            cards: cards.collect(),
            agents: names.agents.clone(),
        })
    }

    fn newest_of<N>(&self, find: impl Fn(&StateNames) -> Option<N>) -> Option<Named<N>> {
        self.states.iter().rev().flatten().find_map(|names| {
            let customer = names.customer.as_ref()?;
            Some(Named {
                no: find(names)?,
                key: names.key,
                customer: customer.to_string(),
            })
        })
    }

    /// A state that is known already stays: who reads the journal again tells nothing new.
    pub(super) fn open_state(&mut self, state: StateNo, key: Key, owner: Owner<'_>) {
        let Ok(at) = usize::try_from(state.0) else {
            return;
        };
        if self.state(state).is_some() {
            return;
        }
        if self.states.len() <= at {
            self.states.resize_with(at + 1, || None);
        }
        let (customer, connection) = match owner {
            Owner::Customer(id) => (Some(id.into()), NAMELESS),
            Owner::Unattributed(connection) => (None, self.number_of(connection)),
        };
        if let Some(place) = self.states.get_mut(at) {
            *place = Some(Box::new(StateNames {
                key,
                customer,
                connection,
                cards: Vec::new(),
                agents: Vec::new(),
            }));
        }
    }

    pub(super) fn open_card(&mut self, state: StateNo, card: CardNo, id: &str, connection: &str) {
        let connection = self.number_of(connection);
        let Some(names) = self.state_mut(state) else {
            return;
        };
        // Numbers are given in order; a lower one is known already.
        if usize::try_from(card.0).is_ok_and(|at| at == names.cards.len()) {
            names.cards.push(CardName {
                id: id.into(),
                hash: hash_of_text(id),
                connection,
            });
        }
    }

    pub(super) fn open_agent(&mut self, state: StateNo, agent: AgentNo, id: &str) {
        if let Some(names) = self.state_mut(state)
            && usize::try_from(agent.0).is_ok_and(|at| at == names.agents.len())
        {
            names.agents.push(id.into());
        }
    }

    /// The hash of the record's card, and its connection.
    pub(super) fn card_and_connection(
        &self,
        state: StateNo,
        card: Option<CardNo>,
    ) -> (Option<u32>, u16) {
        let Some(names) = self.state(state) else {
            return (None, NAMELESS);
        };
        match card.and_then(|card| names.card(card)) {
            Some(card) => (Some(card.hash), card.connection),
            None => (None, names.connection),
        }
    }

    /// The key of a state's owner.
    pub(super) fn key(&self, state: StateNo) -> Option<Key> {
        Some(self.state(state)?.key)
    }

    /// Whose a card is; nobody's where the state is a connection's.
    pub(super) fn whose(&self, state: StateNo, card: Option<CardNo>) -> Option<Whose<'_>> {
        let names = self.state(state)?;
        let card = card.and_then(|card| names.card(card));
        Some(Whose {
            customer: names.customer.as_deref()?,
            card: card.map(|card| &*card.id),
        })
    }

    pub(super) fn called(&self, decided: &Decided<'_>) -> Called<'_> {
        self.called_by_number(decided.state, decided.card, decided.agent)
    }

    /// The same for a report.
    pub(super) fn called_in(&self, booked: &Booked<'_>) -> Called<'_> {
        self.called_by_number(booked.state, booked.card, booked.agent)
    }

    fn called_by_number(
        &self,
        state: StateNo,
        card: Option<CardNo>,
        agent: Option<AgentNo>,
    ) -> Called<'_> {
        let Some(names) = self.state(state) else {
            return Called::default();
        };
        let card = card.and_then(|card| names.card(card));
        let connection = card.map_or(names.connection, |card| card.connection);
        let agent = agent.and_then(|agent| names.agents.get(usize::try_from(agent.0).ok()?));
        Called {
            connection: self.connection(connection),
            card: card.map(|card| &*card.id),
            agent: agent.map(|id| &**id),
            customer: names.customer.as_deref(),
        }
    }

    /// The number of a connection; absent where no record has it.
    pub(super) fn connection_number(&self, name: &str) -> Option<u16> {
        self.connection_numbers.get(name).copied()
    }

    fn connection(&self, number: u16) -> Option<&str> {
        let name = self.connections.get(usize::from(number))?;
        (number != NAMELESS).then_some(name)
    }

    fn number_of(&mut self, connection: &str) -> u16 {
        if let Some(number) = self.connection_numbers.get(connection) {
            return *number;
        }
        let Ok(number) = u16::try_from(self.connections.len()) else {
            return NAMELESS;
        };
        self.connections.push(connection.into());
        self.connection_numbers.insert(connection.into(), number);
        number
    }

    fn state(&self, state: StateNo) -> Option<&StateNames> {
        self.states.get(usize::try_from(state.0).ok()?)?.as_deref()
    }

    fn state_mut(&mut self, state: StateNo) -> Option<&mut StateNames> {
        let at = usize::try_from(state.0).ok()?;
        self.states.get_mut(at)?.as_deref_mut()
    }
}

impl StateNames {
    fn card(&self, card: CardNo) -> Option<&CardName> {
        self.cards.get(usize::try_from(card.0).ok()?)
    }
}

/// FNV-1a with its bits mixed once more. Not keyed: whoever makes ids collide slows down only the
/// operators' searches.
pub(super) fn hash_of_text(text: &str) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    folded(hash)
}

/// The same for an issuer's id, in the form in which it is stored.
pub(super) fn hash_of_id(id: &ExternalId<'_>) -> u32 {
    match id {
        ExternalId::Text(text) => hash_of_text(text),
        ExternalId::Uuid(bytes) => {
            let [a, b, c, d, e, f, g, h, low @ ..] = *bytes;
            let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            folded(high.rotate_left(32) ^ u64::from_be_bytes(low))
        }
    }
}

fn folded(hash: u64) -> u32 {
    let [a, b, c, d, ..] = (hash ^ hash >> 29)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

//! Whom a report is about that names no card: disputes come months later, and name an authorization
//! or a posting of it (behaviour 2.13 g).
//!
//! Of a posting twelve bytes tell whose state knows it, as of an authorization, and in which part of it
//! that authorization is. It is found by a walk over that part alone, a 256th of a large state.

use super::EmbeddedLedger;
use crate::domain::card::Key;
use crate::ledger::authorization::Authorization;
use crate::ledger::event::StateNo;
use crate::ledger::life::{Fact, is_posting};
use crate::ledger::state::State;

/// Where the authorization of a posting is: the state, and the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whereabouts {
    state: StateNo,
    byte: u8,
}

impl Whereabouts {
    fn new(state: StateNo, authorization: Key) -> Self {
        let [byte, ..] = authorization.0.to_be_bytes();
        Self { state, byte }
    }

    /// A key that begins as that of the authorization.
    fn beginning(self) -> Key {
        Key(u128::from(self.byte) << 120)
    }
}

/// What a posting is claimed under: its id in the bits that a claim looks at.
fn name(posting: u64) -> Key {
    Key(u128::from(posting) << 64)
}

/// The ids of what has been posted of an authorization.
fn postings(authorization: &Authorization) -> impl Iterator<Item = u64> {
    let facts = authorization.life().map_or(&[][..], |life| &life.facts);
    facts
        .iter()
        .filter(|it| is_posting(it.kind))
        .map(|it| it.id)
}

impl EmbeddedLedger {
    /// The card of an authorization that a customer's state knows, whoever the customer is.
    #[must_use]
    pub fn card_of(&self, authorization: Key) -> Option<Key> {
        let holders = self.claims.holders(authorization).into_iter();
        let mut owners = holders.filter_map(|holder| self.claims.owner(holder));
        owners.find_map(|owner| {
            let state = self.customers.get(&owner)?;
            let card = state.authorization(authorization)?.card()?;
            state.card(card).map(|card| card.key)
        })
    }

    /// Whether customers know an authorization and this owner is none of them.
    #[must_use]
    pub fn is_of_others(&self, authorization: Key, owner: Option<Key>) -> bool {
        let holders = self.claims.holders(authorization).into_iter();
        let owners = holders.filter_map(|holder| self.claims.owner(holder));
        let knows = |key: &Key| {
            let state = self.customers.get(key);
            state.is_some_and(|state| state.authorization(authorization).is_some())
        };
        let knowing: Vec<Key> = owners.filter(knows).collect();
        !knowing.is_empty() && !owner.is_some_and(|owner| knowing.contains(&owner))
    }

    /// The card and the authorization of a posting with this id that a connection has reported.
    #[must_use]
    pub fn posted_by(&self, connection: &str, posting: u64) -> Option<(Key, Key)> {
        let mut holders = self.postings.holders(name(posting)).into_iter();
        holders.find_map(|holder| self.posted_at(holder, connection, posting))
    }

    fn posted_at(&self, holder: Whereabouts, connection: &str, posting: u64) -> Option<(Key, Key)> {
        let owner = self.claims.owner(holder.state)?;
        let state = self.customers.get(&owner)?;
        let by_connection = |it: &Authorization| {
            let card = state.card(it.card()?)?;
            (&*card.connection == connection).then_some(card.key)
        };
        let is_it = |it: &Authorization| {
            postings(it).any(|id| id == posting) && by_connection(it).is_some()
        };
        let part = state.authorizations.index_of(holder.beginning());
        let (key, found) = state.authorizations.find_in_part(part, is_it)?;
        Some((by_connection(found)?, key))
    }

    /// Notes whose the postings among these are.
    pub(super) fn claim_postings(&self, state: StateNo, authorization: Key, facts: &[Fact]) {
        for fact in facts.iter().filter(|it| is_posting(it.kind)) {
            let at = Whereabouts::new(state, authorization);
            self.postings.claim(name(fact.id), at);
        }
    }

    /// The same of everything that a recovered state knows.
    pub(super) fn claim_postings_of(&self, state: &State) {
        for (key, it) in state.authorizations.entries() {
            let at = Whereabouts::new(state.no, key);
            postings(it).for_each(|id| {
                self.postings.claim(name(id), at);
            });
        }
    }

    /// The postings of these authorizations of a state.
    pub(super) fn postings_of(state: &State, authorizations: &[Key]) -> Vec<(Key, u64)> {
        let known = authorizations
            .iter()
            .filter_map(|key| state.authorization(*key).map(|it| (*key, it)));
        known
            .flat_map(|(key, it)| postings(it).map(move |id| (key, id)))
            .collect()
    }

    /// The state has forgotten those of these whose authorization it does not know any more.
    pub(super) fn release_postings(&self, state: &State, postings: &[(Key, u64)]) {
        let gone = postings
            .iter()
            .filter(|(key, _)| state.authorization(*key).is_none());
        gone.for_each(|(key, id)| {
            let at = Whereabouts::new(state.no, *key);
            self.postings.release(name(*id), at);
        });
    }
}

//! Whom a report is about that names no card: disputes come months later, and name an authorization
//! or a posting of it (behaviour 2.13 g).
//!
//! Of a posting eight bytes tell whose state knows it, as of an authorization. Which authorization it
//! belongs to is found by a walk over that state, a part at a time, so that nobody waits for it.

use super::EmbeddedLedger;
use crate::domain::card::Key;
use crate::ledger::authorization::Authorization;
use crate::ledger::event::StateNo;
use crate::ledger::life::{Fact, is_posting};
use crate::ledger::state::State;

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

    /// The card and the authorization of a posting with this id that a connection has reported.
    #[must_use]
    pub fn posted_by(&self, connection: &str, posting: u64) -> Option<(Key, Key)> {
        let holders = self.postings.holders(name(posting)).into_iter();
        let mut owners = holders.filter_map(|holder| self.claims.owner(holder));
        owners.find_map(|owner| self.posted_in(owner, connection, posting))
    }

    fn posted_in(&self, owner: Key, connection: &str, posting: u64) -> Option<(Key, Key)> {
        let mut part = 0;
        loop {
            let state = self.customers.get(&owner)?;
            if part >= state.part_count() {
                return None;
            }
            let has_posted = |it: &Authorization| postings(it).any(|id| id == posting);
            if let Some((key, found)) = state.authorizations.find_in_part(part, has_posted) {
                let card = state.card(found.card()?)?;
                return (&*card.connection == connection).then_some((card.key, key));
            }
            part = part.saturating_add(1);
        }
    }

    /// Notes whose the postings among these are.
    pub(super) fn claim_postings(&self, state: StateNo, facts: &[Fact]) {
        for fact in facts.iter().filter(|it| is_posting(it.kind)) {
            self.postings.claim(name(fact.id), state);
        }
    }

    /// The same of everything that a recovered state knows.
    pub(super) fn claim_postings_of(&self, state: &State) {
        let known = state.authorizations.values().flat_map(postings);
        for id in known {
            self.postings.claim(name(id), state.no);
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
        gone.for_each(|(_, id)| self.postings.release(name(*id), state.no));
    }
}

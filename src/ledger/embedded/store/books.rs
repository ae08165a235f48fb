//! What issuers report, booked under the lock of its owner's entry, as authorizations are.

use std::sync::atomic::Ordering;

use dashmap::mapref::entry::Entry;

use super::{EmbeddedLedger, Opened, SWEEP_PARTS, States, SweepCursor, Unavailable};
use crate::domain::card::Key;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::BookStatus;
use crate::domain::time::Timestamp;
use crate::ledger::check;
use crate::ledger::check::book::{self, CheckedBook};
use crate::ledger::command::{Book, BookAnswer, Route};
use crate::ledger::embedded::journal::Class;
use crate::ledger::event::Owner;
use crate::ledger::state::State;

impl SweepCursor {
    /// The next part of an owner that has so many, else the next owner.
    pub(super) fn next(self, parts: u16) -> Self {
        let part = self.part.saturating_add(1);
        if part < parts {
            return Self { part, ..self };
        }
        Self {
            owner: self.owner.saturating_add(1),
            part: 0,
        }
    }
}

impl EmbeddedLedger {
    /// Books a report on a card of a customer.
    ///
    /// # Errors
    /// [`Unavailable`] where nothing was recorded; the caller must not say that it was.
    pub fn book(&self, route: &Route<'_>, command: &Book<'_>) -> Result<BookAnswer, Unavailable> {
        self.book_in(&self.customers, route, command)
    }

    /// Books a report on a card that nobody knows: it is kept, and counts nowhere.
    ///
    /// # Errors
    /// [`Unavailable`] where nothing was recorded.
    pub fn book_unattributed(
        &self,
        route: &Route<'_>,
        command: &Book<'_>,
    ) -> Result<BookAnswer, Unavailable> {
        // Counted before, as authorizations are: whoever decides meanwhile looks here too.
        self.unattributed_count.fetch_add(1, Ordering::SeqCst);
        let count = |state: &State| state.authorization_count();
        let before = self.unattributed.get(&route.key).map_or(0, |it| count(&it));
        let answer = self.book_in(&self.unattributed, route, command);
        let after = self.unattributed.get(&route.key).map_or(0, |it| count(&it));
        if after == before {
            self.unattributed_count.fetch_sub(1, Ordering::SeqCst);
        }
        answer
    }

    fn book_in(
        &self,
        states: &States,
        route: &Route<'_>,
        command: &Book<'_>,
    ) -> Result<BookAnswer, Unavailable> {
        match states.entry(route.key) {
            Entry::Occupied(mut occupied) => self.apply_book(occupied.get_mut(), None, command),
            Entry::Vacant(vacant) => {
                let mut state = self.new_state(route)?;
                let answer = self.apply_book(&mut state, Some(route), command)?;
                if answer.status == BookStatus::Applied && !self.is_shared {
                    self.note_opened(&state);
                    vacant.insert(state);
                }
                Ok(answer)
            }
        }
    }

    fn apply_book(
        &self,
        state: &mut State,
        opens: Option<&Route<'_>>,
        command: &Book<'_>,
    ) -> Result<BookAnswer, Unavailable> {
        let CheckedBook { mut answer, events } = book::book(state, command)?;
        if answer.status == BookStatus::Applied {
            let position = self.record(state, opens, &events, Class::Release)?;
            answer.position = Some(position.0);
            // One that is reported before anybody asks is taken all the same (behaviour 2.4).
            if matches!(state.owner.as_owner(), Owner::Customer(_)) && !self.is_shared {
                self.claims.claim(command.authorization, state.no);
                self.claim_postings(state.no, command.authorization, command.facts);
            }
        }
        Ok(answer)
    }

    /// Goes on giving back what customers' authorizations hold about which nothing was heard since
    /// the cut of their connection and hold time, in the order of [`EmbeddedLedger::sweep`]. Absent at the end.
    /// Where it drafts something it stays where it was.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing.
    pub fn lapse(
        &self,
        mut from: SweepCursor,
        cuts: &[(Box<str>, HoldTime, Timestamp)],
    ) -> Result<Option<SweepCursor>, Unavailable> {
        for _ in 0..SWEEP_PARTS {
            let Some(owner) = self.opened().get(from.owner).copied() else {
                return Ok(None);
            };
            let mut parts = 0;
            if let Opened::Customer(key) = owner
                && let Some(mut state) = self.customers.get_mut(&key)
            {
                for (connection, time, cut) in cuts {
                    let cut = (*cut, *time);
                    if let Some(events) = check::lapse(&state, from.part, connection, cut) {
                        self.record(&mut state, None, &events, Class::Release)?;
                        if self.has_drafted() {
                            return Ok(Some(from));
                        }
                    }
                }
                parts = state.part_count();
            }
            from = from.next(parts);
        }
        Ok(Some(from))
    }

    /// Looks at the state of an owner, a customer or a connection.
    pub fn with_any_state<T>(&self, owner: Key, look: impl FnOnce(&State) -> T) -> Option<T> {
        let customer = self.customers.get(&owner);
        let state = customer.or_else(|| self.unattributed.get(&owner))?;
        Some(look(&state))
    }

    /// Asks up to `count` owners, from the one of number `from` on, in the order in which they were
    /// opened. What the first says that has something to say.
    ///
    /// # Errors
    /// Where none of them has: the number to go on from, absent where there is none.
    pub fn search<T>(
        &self,
        from: usize,
        count: usize,
        look: impl Fn(&State) -> Option<T>,
    ) -> Result<T, Option<usize>> {
        let owners: Vec<Opened> = self
            .opened()
            .iter()
            .skip(from)
            .take(count)
            .copied()
            .collect();
        for owner in &owners {
            let (states, key) = match owner {
                Opened::Customer(key) => (&self.customers, key),
                Opened::Unattributed(key) => (&self.unattributed, key),
            };
            if let Some(found) = states.get(key).and_then(|state| look(&state)) {
                return Ok(found);
            }
        }
        let is_over = owners.len() < count;
        Err((!is_over).then(|| from.saturating_add(count)))
    }

    /// The authorization that a delivery of this hash began, on a card of an owner. A walk over what
    /// the owner has: for reports that name no authorization, only what they follow.
    #[must_use]
    pub fn begun_by(&self, owner: Key, card: Key, delivery: u64) -> Option<Key> {
        let state = self.customers.get(&owner)?;
        let (no, _) = state.card_by_key(card)?;
        state.authorization_of_delivery(no, delivery)
    }
}

//! What a next snapshot would call something else although it was used.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use super::{Keeper, Source};
use crate::decide::past::Past;
use crate::decide::snapshot::Snapshot;
use crate::domain::card::Key;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::seam::commands::PortError;

/// What is asked for in one command to the ledger.
const ASKED_AT_ONCE: usize = 512;
/// While the ledger's queue is full, it is tried again this often, with pauses.
const ATTEMPTS_MAX: u32 = 2_000;
const ATTEMPT_EVERY: Duration = Duration::from_millis(1);

/// Of the used cards those that the snapshot does not have, by the hashes of their ids.
pub(super) fn left(source: &Source, past: &Past, snapshot: &Snapshot) -> HashMap<Key, Key> {
    let mut left: HashMap<Key, Key> = past.cards().collect();
    if !left.is_empty() {
        for card in snapshot.cards() {
            left.remove(&source.id_key(card.card.id()));
        }
    }
    left
}

impl Keeper {
    /// What was used of what the next snapshot would change: cards that come anew and are of other customers,
    /// cards whose ids had other keys, customers of another currency.
    pub(super) fn past(&self, next: &Snapshot, before: &Snapshot) -> Result<Past, &'static str> {
        let mut past = Past::default();
        let owner_of = |ledger: &EmbeddedLedger, card: &Key| ledger.owner_of_card(*card);
        let fresh = next.cards_unknown_to(before);
        self.ask(
            fresh,
            |(card, _)| *card,
            owner_of,
            |(card, customer), owner| {
                if owner != customer {
                    past.note_owner(card, owner);
                }
            },
        )?;
        let moved = next.cards_under_another_key(before);
        let moved = moved.map(|(id, known)| (self.source.id_key(id), known));
        let came_back = next.ids_unknown_to(before).filter_map(|(id, key)| {
            let id = self.source.id_key(id);
            let known = *self.left.get(&id)?;
            (known != key).then_some((id, known))
        });
        self.ask(
            moved.chain(came_back),
            |(_, known)| *known,
            owner_of,
            |(id, known), _owner| {
                past.note_card(id, known);
            },
        )?;
        let changed = next.customers_with_another_currency(before);
        let is_used =
            |ledger: &EmbeddedLedger, customer: &Key| ledger.is_used(*customer).then_some(());
        self.ask(
            changed,
            |(customer, _)| *customer,
            is_used,
            |(customer, had), ()| {
                past.note_currency(customer, had);
            },
        )?;
        Ok(past)
    }

    /// Keeps the keys of cards that leave, in case that their ids come back.
    pub(super) fn remember(&mut self, next: &Snapshot, before: &Snapshot) {
        for (id, _) in next.ids_unknown_to(before) {
            self.left.remove(&self.source.id_key(id));
        }
        for (id, key) in before.ids_unknown_to(next) {
            self.left.insert(self.source.id_key(id), key);
        }
    }

    /// Asks the ledger for each, and hands on those of which it knows something.
    fn ask<Q, T: Send + 'static>(
        &self,
        questions: impl Iterator<Item = Q>,
        key: impl Fn(&Q) -> Key,
        look: impl Fn(&EmbeddedLedger, &Key) -> Option<T> + Copy + Send + 'static,
        mut known: impl FnMut(Q, T),
    ) -> Result<(), &'static str> {
        let mut questions = questions.peekable();
        while questions.peek().is_some() {
            let some: Vec<Q> = questions.by_ref().take(ASKED_AT_ONCE).collect();
            let keys: Vec<Key> = some.iter().map(&key).collect();
            let answers = self.ask_once(&keys, look)?;
            for (question, answer) in some.into_iter().zip(answers) {
                if let Some(answer) = answer {
                    known(question, answer);
                }
            }
        }
        Ok(())
    }

    fn ask_once<T: Send + 'static>(
        &self,
        keys: &[Key],
        look: impl Fn(&EmbeddedLedger, &Key) -> Option<T> + Copy + Send + 'static,
    ) -> Result<Vec<Option<T>>, &'static str> {
        for _ in 0..ATTEMPTS_MAX {
            let keys = keys.to_vec();
            let asked = self.around.ledger.ask_and_wait(move |ledger| {
                let look = |key: &Key| look(ledger, key);
                keys.iter().map(look).collect::<Vec<_>>()
            });
            match asked {
                Ok(answers) => return Ok(answers),
                Err(PortError::Busy) => thread::sleep(ATTEMPT_EVERY),
                Err(PortError::Closed | PortError::NotTaken) => return Err("it is closed"),
            }
        }
        Err("it is busy")
    }
}

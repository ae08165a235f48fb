//! What was used before a document came: what the ledger counts by must not begin anew because a document
//! calls it something else (behaviour 11.3).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::domain::card::Key;
use crate::domain::currency::Currency;

/// See the module. Of what it does not mention nobody knows that it was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The key of the customer whose card it was, by the card's key.
    owners: HashMap<Key, Key>,
    /// The key of the card that was used under an id, by the hash of the id.
    cards: HashMap<Key, Key>,
    /// The further keys that were used under one id, beside the hash of it.
    more: HashSet<(Key, Key)>,
    /// What the sums of a customer are in, by the customer's key.
    currencies: HashMap<Key, Currency>,
}

impl Past {
    /// A card was used, and this customer's.
    pub fn note_owner(&mut self, card: Key, customer: Key) {
        self.owners.insert(card, customer);
    }

    /// A card was used under the id of this hash.
    pub fn note_card(&mut self, id: Key, card: Key) {
        match self.cards.entry(id) {
            Entry::Vacant(free) => {
                free.insert(card);
            }
            Entry::Occupied(taken) if *taken.get() != card => {
                self.more.insert((id, card));
            }
            Entry::Occupied(_) => {}
        }
    }

    /// A customer has sums in this currency.
    pub fn note_currency(&mut self, customer: Key, currency: Currency) {
        self.currencies.insert(customer, currency);
    }

    /// Whether it mentions nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.cards.is_empty() && self.currencies.is_empty()
    }

    /// The hashes of ids under which cards were used, each with the first of them.
    pub fn cards(&self) -> impl Iterator<Item = (Key, Key)> + '_ {
        self.cards.iter().map(|(id, card)| (*id, *card))
    }

    /// Whose the card was when it was used.
    pub(in crate::decide) fn owner_of(&self, card: Key) -> Option<Key> {
        self.owners.get(&card).copied()
    }

    /// Whether another card was used under this id, and never this one.
    pub(in crate::decide) fn was_another(&self, id: Key, card: Key) -> bool {
        let first = self.cards.get(&id);
        first.is_some_and(|first| *first != card && !self.more.contains(&(id, card)))
    }

    /// Whether the customer's sums are in another currency.
    pub(in crate::decide) fn had_another(&self, customer: Key, currency: Currency) -> bool {
        let had = self.currencies.get(&customer);
        had.is_some_and(|had| *had != currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_have_had_several_cards_and_another_one_is_noticed() {
        let mut past = Past::default();
        assert!(!past.was_another(Key(1), Key(10)));
        past.note_card(Key(1), Key(10));
        past.note_card(Key(1), Key(11));
        past.note_card(Key(1), Key(10));
        assert!(!past.was_another(Key(1), Key(10)) && !past.was_another(Key(1), Key(11)));
        assert!(past.was_another(Key(1), Key(12)));
        assert!(!past.was_another(Key(2), Key(12)));
        assert!(!past.is_empty());
    }
}

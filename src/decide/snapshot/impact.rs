//! What a next snapshot would do to the cards that may be used now.

use super::{CardView, Snapshot};
use crate::decide::evaluate::declines_all;
use crate::domain::card::Key;
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason;
use crate::domain::time::Timestamp;

/// How many cards may be used, and how many of them a next snapshot would decline whatever they ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Cards that the snapshot in force lets be used.
    pub active: usize,
    /// Those of them that the next one would not let be used.
    pub declining: usize,
    /// Whether there are cards now and would be none.
    pub empties: bool,
}

/// Above this share of the active cards a change wants a human's word, in percent.
const UNCONFIRMED_PERCENT_MAX: usize = 10;

impl Impact {
    /// Whether so many cards are hit that it may be a mistake (behaviour 3.4).
    #[must_use]
    pub fn wants_confirmation(self) -> bool {
        let share = self.declining.saturating_mul(100);
        self.empties || share > self.active.saturating_mul(UNCONFIRMED_PERCENT_MAX)
    }
}

impl Snapshot {
    /// What happens to the cards when `next` follows this snapshot at `now`. A card whose customer has
    /// another currency then counts as declined: nothing that its issuer asks is in that currency.
    #[must_use]
    pub fn impact_of(&self, next: &Self, now: Timestamp) -> Impact {
        let declining = self.newly_declined_by(next, now).count();
        let empties = next.card_count() == 0 && self.card_count() > 0;
        let active = if declining == 0 {
            // Nobody is hit, and counting who could be would visit every card.
            0
        } else {
            self.active_count(now)
        };
        Impact {
            active,
            declining,
            empties,
        }
    }

    /// How many cards may be used at `now`, as far as the snapshot knows.
    #[must_use]
    pub fn active_count(&self, now: Timestamp) -> usize {
        self.cards().filter(|view| is_usable(view, now)).count()
    }

    /// The cards that may be used now and could not once `next` is in force, each with the reason
    /// that it would then be declined with.
    pub fn newly_declined_by<'s>(
        &'s self,
        next: &'s Self,
        now: Timestamp,
    ) -> impl Iterator<Item = (CardView<'s>, DeclineReason)> + 's {
        let parents_stay = self.customers.is_shared_with(&next.customers)
            && self.agents.is_shared_with(&next.agents);
        let apart = parents_stay.then(|| self.cards.slots_apart_from(&next.cards));
        let all = (!parents_stay).then(|| self.cards.slots());
        let slots = apart.into_iter().flatten().chain(all.into_iter().flatten());
        let views = slots.filter_map(|slot| self.view(slot));
        let usable = views.filter(move |view| is_usable(view, now));
        usable.filter_map(move |view| Some((view, next.refuses(&view, now)?)))
    }

    /// Why this snapshot declines whatever was asked on a card of the one before.
    fn refuses(&self, before: &CardView<'_>, now: Timestamp) -> Option<DeclineReason> {
        let Some(view) = self.card(before.card.key()) else {
            return Some(DeclineReason::CardUnknown);
        };
        let is_other = view.customer.currency() != before.customer.currency();
        declines_all(&view, now).or_else(|| is_other.then_some(DeclineReason::CurrencyNotSupported))
    }

    /// The keys of cards that this snapshot has and `before` has not, each with its customer's.
    pub fn cards_unknown_to<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Key, Key)> + 's {
        let slots = self.cards.slots_apart_from(&before.cards);
        let fresh = slots.filter(|slot| before.cards.find(slot.key).is_none());
        fresh.filter_map(|slot| Some((slot.key, self.view(slot)?.customer.key())))
    }

    /// The ids of cards that `before` has under another key, each with that key and the one that it has here.
    pub fn cards_under_another_key<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (&'s str, Key)> + 's {
        let slots = self.cards.slots_apart_from(&before.cards);
        slots.filter_map(|slot| {
            let known = before.card_key(slot.id())?;
            (known != slot.key).then(|| (slot.id(), known))
        })
    }

    /// Cards that `before` has not, by their ids.
    pub fn ids_unknown_to<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (&'s str, Key)> + 's {
        let slots = self.cards.slots_apart_from(&before.cards);
        let fresh = slots.filter(|slot| before.card_key(slot.id()).is_none());
        fresh.map(|slot| (slot.id(), slot.key))
    }

    /// The keys of customers that had another currency, with that one.
    pub fn customers_with_another_currency<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Key, Currency)> + 's {
        let is_shared = self.customers.is_shared_with(&before.customers);
        let customers = (!is_shared).then(|| self.customers.iter());
        customers.into_iter().flatten().filter_map(|customer| {
            let known = before
                .customers
                .get(before.customer_position(customer.id())?)?;
            (known.currency() != customer.currency()).then(|| (customer.key(), known.currency()))
        })
    }
}

/// Whether the snapshot lets the card be used at all. What the ledger says comes on top.
fn is_usable(card: &CardView<'_>, now: Timestamp) -> bool {
    declines_all(card, now).is_none()
}

//! Earmarks behind purchase cards (behaviour 5.8).
//!
//! An earmark is an authorization as any other: it is decided by the same limits in the same atomic
//! step, and holds its amount at agent and customer. A card that it backs is charged alone; what is
//! spent on the card moves the earmark.

use crate::domain::amount::Minor;
use crate::domain::card::CardStatus;
use crate::ledger::authorization::Authorization;
use crate::ledger::check::{Events, open, parties};
use crate::ledger::command::{Back, Refused};
use crate::ledger::event::Event;
use crate::ledger::state::{CardState, State};

/// What is left of the open earmark behind a card, by what it really holds; absent where there is none.
pub(super) fn unused(state: &State, card: &CardState) -> Option<Minor> {
    let backing = card.backing().filter(|backing| backing.is_open)?;
    let earmark = state.earmark(backing)?;
    let held = card.counters.total().held;
    Some(earmark.reserved().saturating_minus(held))
}

/// Whether the earmark behind a card is forgotten: nothing above the card would be charged.
pub(super) fn is_lost(state: &State, card: &CardState) -> bool {
    let backing = card.backing();
    backing.is_some_and(|backing| state.earmark(backing).is_none())
}

/// Backs a card; nothing where it stands so already.
///
/// # Errors
/// [`Refused`] where the card was used or canceled before or has another earmark (or had this one,
/// which is forgotten), where there is no
/// such hold or it stands behind another card, or where numbers are used up.
pub fn back<'a>(state: &State, command: &Back<'a>) -> Result<Events<'a>, Refused> {
    let parties = parties(state, &command.card)?;
    if let Some(card) = parties.card {
        if let Some(known) = card.backing() {
            let is_it = known.earmark == command.earmark && state.earmark(known).is_some();
            return is_it.then(Events::default).ok_or(Refused);
        }
        let is_used = !card.counters.total().spent.is_zero() || card.counters.approvals() > 0;
        if is_used || card.status == CardStatus::Canceled {
            return Err(Refused);
        }
    }
    let earmark = state.authorization(command.earmark);
    // One that stands behind a card has a life since then, as has one that was given back.
    let is_free = |it: &Authorization| it.is_purchase() && it.life().is_none();
    if !earmark.is_some_and(is_free) {
        return Err(Refused);
    }
    let mut events = open(state, &command.card, &parties);
    events.done = Some(Event::Backed {
        state: state.no,
        card: parties.card_no,
        earmark: command.earmark,
        at: command.at,
    });
    Ok(events)
}

//! Events about intents and attestations.

use crate::domain::card::Key;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Step;
use crate::ledger::event::{CardNo, Decided, Event};
use crate::ledger::intent::{Fate, Intent, IntentVerdict, Intents, OPEN_INTENTS_MAX};
use crate::ledger::state::{CardState, State};

pub(super) fn fold(state: &mut State, event: &Event<'_>, position: u64) {
    match event {
        Event::IntentDeclared {
            card,
            intent,
            terms,
            at,
            ..
        } => {
            let declared = Intent {
                card: *card,
                at: *at,
                position,
                terms: terms.clone(),
                approved: false,
                fate: Fate::Open,
            };
            declare(state, *intent, declared);
        }
        Event::IntentSettled {
            intent, verdict, ..
        } => settle(state, *intent, *verdict),
        Event::Attested { card, at, .. } => {
            if let Some(card) = state.card_mut(*card) {
                let extras = card.extras_mut();
                extras.attested_at = extras.attested_at.max(Some(*at));
            }
        }
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Decided(_)
        | Event::Conflicted(_)
        | Event::Booked(_)
        | Event::Backed { .. }
        | Event::Redelivered { .. }
        | Event::Overruled { .. }
        | Event::StandingSet { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. }
        | Event::WindowsOpened { .. }
        | Event::RollingOpened { .. }
        | Event::RiskFrozen { .. } => {}
    }
}

fn declare(state: &mut State, key: Key, intent: Intent) {
    let (card, at) = (intent.card, intent.at);
    if state.card(card).is_none() {
        return;
    }
    let intents = state.intents.get_or_insert_default();
    if !intents.insert(key, intent) {
        return;
    }
    let is_live = |key: Key| intents.get(key).is_some_and(|it| it.is_live(at));
    let card = usize::try_from(card.0).ok();
    if let Some(card) = card.and_then(|card| state.cards.get_mut(card)) {
        let open = &mut card.extras_mut().open_intents;
        if open.len() >= OPEN_INTENTS_MAX {
            open.retain(|key| is_live(*key));
        }
        open.push(key);
    }
}

fn settle(state: &mut State, key: Key, verdict: IntentVerdict) {
    let Some(intents) = state.intents.as_deref_mut() else {
        return;
    };
    let Some(intent) = intents.get_mut(key).filter(|it| it.fate == Fate::Open) else {
        return;
    };
    match verdict {
        IntentVerdict::Approve => {
            intent.approved = true;
            return;
        }
        IntentVerdict::Reject => intent.fate = Fate::Rejected,
        IntentVerdict::Cancel => intent.fate = Fate::Canceled,
    }
    let card = intent.card;
    close(&mut state.cards, card, key);
}

/// An approval takes its intent; an increment that does not keep to its authorization's marks it.
pub(super) fn book(intents: &mut Intents, cards: &mut [CardState], decided: &Decided<'_>) {
    let by = decided.step.authorization;
    if let Some(key) = decided.intent {
        intents.take(key, by, decided.flagged);
        if let Some(card) = decided.card {
            close(cards, card, key);
        }
    } else if decided.flagged {
        intents.mark(by, true);
    }
}

/// An authorization that holds nothing any more, or its probe alone, returns its intent.
pub(super) fn give_back(state: &mut State, key: Key, card: Option<CardNo>, taken_back: &Step) {
    let probe = card
        .and_then(|card| state.card(card))
        .and_then(CardState::probe);
    let Some(intents) = state.intents.as_deref_mut() else {
        return;
    };
    let Some(authorization) = state.authorizations.get(key) else {
        return;
    };
    if authorization.stands_beside(probe) {
        if taken_back.flagged {
            let flagged = |step: Step| step.flagged && step.decision.is_approval();
            intents.mark(key, authorization.steps().any(flagged));
        }
        return;
    }
    let Some((key, card)) = intents.give_back(key) else {
        return;
    };
    let order = |key: Key| intents.get(key).map(|it| it.position);
    let card = usize::try_from(card.0).ok();
    if let Some(card) = card.and_then(|card| state.cards.get_mut(card)) {
        let open = &mut card.extras_mut().open_intents;
        let place = open.partition_point(|other| order(*other) < order(key));
        open.insert(place, key);
    }
}

pub(super) fn sweep(state: &mut State, part: u16, cut: Timestamp) {
    let Some(intents) = state.intents.as_deref_mut() else {
        return;
    };
    let authorizations = &state.authorizations;
    let remembers = |by: Key| authorizations.get(by).is_some();
    for (key, card) in intents.sweep(part, cut, remembers) {
        close(&mut state.cards, card, key);
    }
}

/// Takes an intent off its card's list of open ones.
fn close(cards: &mut [CardState], card: CardNo, key: Key) {
    let card = usize::try_from(card.0).ok();
    let extras = card
        .and_then(|card| cards.get_mut(card))
        .and_then(|card| card.extras.as_deref_mut());
    if let Some(extras) = extras {
        extras.open_intents.retain(|open| *open != key);
    }
}

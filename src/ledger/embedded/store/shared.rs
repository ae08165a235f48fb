//! States that change only by what a shared log says (decision 0028).
//!
//! A node decides on what it knows of the log and drafts an entry; somebody offers that to the log,
//! which takes it only if the log is as long as the node knew it to be. Whatever the log took, of this
//! node or of another, is learned in its order: written to the node's own journal and folded.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use dashmap::mapref::entry::Entry as Place;

use super::{EmbeddedLedger, FRAME, States, Swept, Unavailable};
use crate::domain::card::Key;
use crate::ledger::check::{self, Checked, Events};
use crate::ledger::codec::Malformed;
use crate::ledger::command::{Answer, Authorize, Novelty, Overrule, Route};
use crate::ledger::embedded::journal::{Class, Journal, Position};
use crate::ledger::event::{Event, Owner, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::shared::{Entry, EntryId};
use crate::ledger::state::State;

pub(super) mod drafting;
mod standing_in;

/// Events that were decided on a state, to be offered to its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Whose log.
    pub owner: Key,
    /// How long the log is to be: so many entries were known when it was decided.
    pub expected: u64,
    /// The last of these; [`EntryId::NONE`] where there is none.
    pub after: EntryId,
    /// The authorization that the events are about.
    pub authorization: Key,
    /// The events.
    pub events: Vec<u8>,
}

/// A decision that holds once its log has taken the draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// What the log has to take.
    pub draft: Draft,
    /// The answer; of a new decision without its position.
    pub answer: Answer,
}

/// What became of an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It changed the state, and stands at this position of the node's journal.
    Now(Position),
    /// It had been learned before.
    Before,
    /// Entries from this number on are missing before it.
    Missing(u64),
}

/// In a shared log states have no number.
const NOBODYS: StateNo = StateNo(0);

impl From<Malformed> for Unavailable {
    fn from(_: Malformed) -> Self {
        Self::NotUnderstood
    }
}

impl EmbeddedLedger {
    /// A ledger without states, which learns all that it knows from a shared log and keeps it in
    /// `journal`. Commands that do not go through the log are refused.
    #[must_use]
    pub fn of_shared_log(journal: Arc<Mutex<Journal>>) -> Self {
        let mut ledger = Self::new(Vec::new(), journal);
        ledger.is_shared = true;
        ledger
    }

    /// Whether states change only by what a shared log says.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// How many entries of an owner's log it has learned, and the last of them.
    #[must_use]
    pub fn known_of(&self, owner: Key) -> (u64, EntryId) {
        let known = self.with_any_state(owner, |state| (state.taken, state.last));
        known.unwrap_or((0, EntryId::NONE))
    }

    /// Decides one step on a card of a customer, as [`EmbeddedLedger::authorize`] does, and changes
    /// nothing. Whose word counts is said twice, there and here: there under locks, here for the log to
    /// judge.
    ///
    /// # Errors
    /// [`Unavailable`] where the command contradicts the state.
    pub fn propose(
        &self,
        route: &Route<'_>,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Proposed, Unavailable> {
        let authorization = command.step.authorization;
        let own = self.customers.get(&route.key);
        let own = own.filter(|own| own.authorization(authorization).is_some());
        let (has, knows) = match &own {
            Some(own) => (true, check::knows(own, command)),
            None => (false, false),
        };
        drop(own);
        if !knows && let Some(said) = self.said_before(unattributed, command)? {
            return Ok(said);
        }
        if !has && let Some(said) = self.said_by_holders(route.key, command)? {
            return Ok(said);
        }
        self.propose_in(&self.customers, route, command)
    }

    /// Decides one step on a card that nobody knows, as [`EmbeddedLedger::authorize_unknown`] does,
    /// and changes nothing.
    ///
    /// # Errors
    /// [`Unavailable`] where the command contradicts the state.
    pub fn propose_unknown(
        &self,
        route: &Route<'_>,
        command: &Authorize<'_>,
    ) -> Result<Proposed, Unavailable> {
        match self.said_by_holders(route.key, command)? {
            Some(said) => Ok(said),
            None => self.propose_in(&self.unattributed, route, command),
        }
    }

    /// Decides as [`EmbeddedLedger::authorize`] does, as a command: what it says, its position apart,
    /// holds once the shared log has taken the draft that is left for whoever gives the command.
    ///
    /// # Errors
    /// [`Unavailable`] where the command contradicts the state.
    pub fn authorize_as_command(
        &self,
        route: &Route<'_>,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Answer, Unavailable> {
        if !self.is_shared {
            return self.authorize(route, unattributed, command);
        }
        let Proposed { draft, answer } = self.propose(route, unattributed, command)?;
        if !draft.events.is_empty() {
            drafting::hold(draft)?;
        }
        Ok(answer)
    }

    /// What taking back an approval comes to, as [`EmbeddedLedger::overrule`] does it; absent where it
    /// stands.
    #[must_use]
    pub fn propose_overrule(&self, owner: Key, command: &Overrule) -> Option<Draft> {
        let state = self.customers.get(&owner)?;
        let events = self.overruled(&state, command)?;
        Some(draft(&state, None, command.authorization, &events))
    }

    fn propose_in(
        &self,
        states: &States,
        route: &Route<'_>,
        command: &Authorize<'_>,
    ) -> Result<Proposed, Unavailable> {
        let state = states.get(&route.key);
        let new;
        let (state, opens) = match &state {
            Some(state) => (&**state, None),
            None => {
                new = State::new(NOBODYS, route.key, route.owner);
                (&new, Some(route))
            }
        };
        let Checked { answer, events } = check::authorize(state, command)?;
        if events
            .iter()
            .any(|event| self.takes_card_away(state, event))
        {
            return Err(Unavailable::Refused);
        }
        Ok(Proposed {
            draft: draft(state, opens, command.step.authorization, &events),
            answer,
        })
    }

    /// The word of the state that declined the authorization while nobody knew its card.
    fn said_before(
        &self,
        unattributed: Key,
        command: &Authorize<'_>,
    ) -> Result<Option<Proposed>, Unavailable> {
        if self.unattributed_count.load(Ordering::SeqCst) == 0 {
            return Ok(None);
        }
        match self.unattributed.get(&unattributed) {
            Some(state) => said(&state, command),
            None => Ok(None),
        }
    }

    fn said_by_holders(
        &self,
        own: Key,
        command: &Authorize<'_>,
    ) -> Result<Option<Proposed>, Unavailable> {
        for holder in self.claims.holders(command.step.authorization) {
            let owner = self.claims.owner(holder).filter(|owner| *owner != own);
            let state = owner.and_then(|owner| self.customers.get(&owner));
            if let Some(state) = state
                && let Some(said) = said(&state, command)?
            {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// Learns the entry that stands at `number` of an owner's log, counted from zero.
    ///
    /// # Errors
    /// [`Unavailable`] where the journal takes nothing, then it may be learned later; or where the
    /// entry is not understood, or is another one than this node knows at its place, or does not follow
    /// what this node knows: then it knows nothing more of the log.
    pub fn learn(
        &self,
        owner: Key,
        number: u64,
        entry: &Entry<'_>,
    ) -> Result<Learned, Unavailable> {
        let mut events = events_of(entry.events).collect::<Result<Vec<_>, _>>()?;
        if let Some(Event::StateOpened { key, owner: of, .. }) = events.first() {
            if *key != owner || number != 0 || entry.after != EntryId::NONE {
                return Err(Unavailable::NotUnderstood);
            }
            let route = Route {
                key: owner,
                owner: *of,
            };
            return self.learn_first(&route, &mut events, entry);
        }
        let state = self.customers.get_mut(&owner);
        let Some(mut state) = state.or_else(|| self.unattributed.get_mut(&owner)) else {
            return match number {
                0 => Err(Unavailable::NotUnderstood),
                _ => Ok(Learned::Missing(0)),
            };
        };
        match number.cmp(&state.taken) {
            std::cmp::Ordering::Less => known_before(&state, number, entry),
            std::cmp::Ordering::Greater => Ok(Learned::Missing(state.taken)),
            std::cmp::Ordering::Equal if entry.after != state.last => {
                Err(Unavailable::Contradicted)
            }
            std::cmp::Ordering::Equal => self.take(&mut state, &mut events, entry),
        }
    }

    fn learn_first(
        &self,
        route: &Route<'_>,
        events: &mut [Event<'_>],
        entry: &Entry<'_>,
    ) -> Result<Learned, Unavailable> {
        let states = match route.owner {
            Owner::Customer(_) => &self.customers,
            Owner::Unattributed(_) => &self.unattributed,
        };
        match states.entry(route.key) {
            Place::Occupied(known) => known_before(known.get(), 0, entry),
            Place::Vacant(vacant) => {
                let mut state = self.open(route)?;
                let learned = self.take(&mut state, events, entry)?;
                self.note_opened(&state);
                vacant.insert(state);
                Ok(learned)
            }
        }
    }

    /// Writes down the next entry of the state's log and applies it.
    fn take(
        &self,
        state: &mut State,
        events: &mut [Event<'_>],
        entry: &Entry<'_>,
    ) -> Result<Learned, Unavailable> {
        for event in events.iter_mut() {
            *event.state_mut() = state.no;
            if let Some(place) = event.position_mut() {
                *place = state.position_of(entry.authorization, *place);
            }
        }
        let position = FRAME.with_borrow_mut(|frame| {
            frame.clear();
            events.iter().for_each(|event| event.encode(frame));
            let appended = self.journal().append(frame, Class::Release);
            appended.map_err(Unavailable::Journal)
        })?;
        let before = state.authorization_count();
        for event in &*events {
            self.note_beside(state, entry.authorization, event);
            let swept = swept_by(state, event);
            fold(state, event, position.0);
            if let Some(swept) = swept {
                self.forget_swept(state, &swept);
            }
        }
        state.taken += 1;
        state.last = entry.id;
        if matches!(state.owner.as_owner(), Owner::Unattributed(_)) {
            let more = state.authorization_count().saturating_sub(before) as u64;
            self.unattributed_count.fetch_add(more, Ordering::SeqCst);
        }
        Ok(Learned::Now(position))
    }

    /// What stands beside the states: whose card and whose authorization it is, and which approvals
    /// were let go by a redelivery.
    fn note_beside(&self, state: &State, about: Key, event: &Event<'_>) {
        if let Event::CardOpened { key, .. } = event {
            self.owners.insert(*key, state.key);
        }
        if let Event::Decided(decided) = event
            && matches!(state.owner.as_owner(), Owner::Customer(_))
        {
            self.claims.claim(decided.step.authorization, state.no);
        }
        if let Event::Booked(booked) = event
            && matches!(state.owner.as_owner(), Owner::Customer(_))
        {
            self.claims.claim(booked.authorization, state.no);
            self.claim_postings(state.no, booked.authorization, &booked.facts);
        }
        if let Event::Redelivered { decided_at, .. } = event {
            let known = state.authorization(about);
            let step = known.and_then(|it| it.steps().find(|it| it.position == *decided_at));
            // With the instant of the step, by the clock of whoever may still take it back.
            if let Some(step) = step {
                self.note_confirmed(step.at, *decided_at);
            }
        }
    }
}

/// What a state knows of the part that the event is about to sweep; absent for any other event.
fn swept_by(state: &State, event: &Event<'_>) -> Option<Swept> {
    let Event::Swept { part, .. } = event else {
        return None;
    };
    let keys = state.authorizations.keys_of_part(*part, |_| true);
    Some(Swept::of(state, keys))
}

/// What an entry is to a state that has taken one at its place. Only the last one is compared: one that
/// differs before it is followed by one that differs.
fn known_before(state: &State, number: u64, entry: &Entry<'_>) -> Result<Learned, Unavailable> {
    if number + 1 == state.taken && entry.id != state.last {
        return Err(Unavailable::Contradicted);
    }
    Ok(Learned::Before)
}

/// The word of a state that knows the step, or knows that it contradicts.
fn said(state: &State, command: &Authorize<'_>) -> Result<Option<Proposed>, Unavailable> {
    let authorization = command.step.authorization;
    if state.authorization(authorization).is_none() {
        return Ok(None);
    }
    let Checked { answer, events } = check::authorize(state, command)?;
    Ok((answer.novelty != Novelty::New).then(|| Proposed {
        draft: draft(state, None, authorization, &events),
        answer,
    }))
}

fn draft(
    state: &State,
    opens: Option<&Route<'_>>,
    authorization: Key,
    events: &Events<'_>,
) -> Draft {
    let mut bytes = Vec::new();
    if let Some(Route { key, owner }) = opens {
        let (state, key, owner) = (NOBODYS, *key, *owner);
        Event::StateOpened { state, key, owner }.encode(&mut bytes);
    }
    for event in events.iter() {
        let mut event = event.clone();
        *event.state_mut() = NOBODYS;
        if let Some(place) = event.position_mut() {
            *place = state.place_of(authorization, *place);
        }
        event.encode(&mut bytes);
    }
    Draft {
        owner: state.key,
        expected: state.taken,
        after: state.last,
        authorization,
        events: bytes,
    }
}

#[cfg(test)]
mod tests;

//! The laws that are checked against the disk and against the engine's state.

use std::collections::BTreeMap;

use countersign::domain::card::Key;
use countersign::domain::decision::Decision;
use countersign::domain::hold_time::HoldTime;
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::time::Timestamp;
use countersign::domain::window::{LocalDay, LocalHour, WindowKind};
use countersign::ledger::counters::Counters;
use countersign::ledger::embedded::journal::Durability;
use countersign::ledger::embedded::rebuild::Rebuild;
use countersign::ledger::event::{self, AttestationClass, Event, StandingChange, events_of};
use countersign::ledger::intent::IntentStatus;
use countersign::ledger::rolling::Rolling;
use countersign::ledger::state::{CardState, State};

use crate::commands::{intent_of, terms_of, verdict_of};
use crate::disk::{Chance, Crash};
use crate::engine::{image, records};
use crate::model::past::Attested;
use crate::model::{Line, Model, Owner, Scope, What};
use crate::planted::Planted;
use crate::reports::token_of;
use crate::run::{Checked, Held, Run};
use crate::trace::{Violation, hold};
use crate::world::{CONNECTION, agent_id, card_id, card_token, customer_id};

/// The key of an owner's state.
fn owner_key(keys: &impl Keys, owner: Owner) -> Key {
    match owner {
        Owner::Customer(at) => keys.key(KeySpace::Customer, &[customer_id(at).as_bytes()]),
        Owner::Nobody => keys.key(KeySpace::Connection, &[CONNECTION.as_bytes()]),
    }
}

impl Run {
    /// I4: were the power to fail now (or the process to be killed, where that is the level), the
    /// approval's frame would be found.
    pub(crate) fn assert_durable(&mut self, held: &Held) -> Checked {
        let operations = self.disk.operations();
        let through = match self.surviving {
            Some((at, through)) if at == operations => through,
            _ => {
                let rest = self.disk.clone();
                let how = match self.durability {
                    Durability::Strict => Crash::LosesAll,
                    Durability::Relaxed => Crash::Kills,
                };
                rest.crash(how, &mut Chance::new(0));
                let found = records(&rest).map_err(|error| Violation {
                    law: "I4",
                    text: format!("the disk could not be read after a crash: {error}"),
                })?;
                let through = found.last().map_or(0, |(sequence, _)| *sequence);
                self.surviving = Some((operations, through));
                through
            }
        };
        hold!(
            held.waiting.position <= through,
            "I4",
            "an approval left at position {}, and the disk is sure of {through}",
            held.waiting.position
        );
        Ok(())
    }

    /// Whether the decision of a line stands as an approval in the engine's state.
    pub(crate) fn engine_approves(&self, line: usize) -> bool {
        let Line {
            owner,
            what,
            position,
        } = &self.model.lines[line];
        let What::Decided(decided) = what else {
            return false;
        };
        let says = self.engine_says(*owner, &decided.message.token(), *position);
        says.is_some_and(Decision::is_approval)
    }

    /// What the engine's state says of the step that was decided at this position.
    pub(crate) fn engine_says(
        &self,
        owner: Owner,
        token: &str,
        position: Option<u64>,
    ) -> Option<Decision> {
        let parts = [CONNECTION.as_bytes(), token.as_bytes()];
        let key = self.keys.key(KeySpace::Authorization, &parts);
        let says = |state: &State| {
            let mut steps = state.authorization(key)?.steps();
            let step = steps.find(|step| Some(step.position) == position)?;
            Some(step.decision)
        };
        let owner = owner_key(&self.keys, owner);
        self.engine.ledger.with_state(owner, says).flatten()
    }

    /// I3: a start has found what was promised; the model forgets the rest.
    pub(crate) fn compare_recovered(&mut self, promised: u64, power: bool) -> Checked {
        let records = records(&self.disk).map_err(|error| Violation {
            law: "I3",
            text: format!("not readable after recovery: {error}"),
        })?;
        self.compare_records(&records)?;
        let kept = records.len();
        let lines = &self.model.lines;
        let due = lines
            .iter()
            .rposition(|line| line.position.is_some_and(|position| position <= promised))
            .map_or(0, |last| last + 1);
        hold!(
            kept >= due,
            "I3",
            "{kept} records kept, {due} were durable through {promised}"
        );
        for line in self.relied_on.iter().filter(|line| **line >= kept) {
            let position = lines[*line].position;
            let forgivable = power
                && self.durability == Durability::Relaxed
                && position.is_some_and(|position| position > promised);
            hold!(
                forgivable,
                "I3",
                "line {line} at {position:?} was relied on and is lost"
            );
            self.cover
                .hit("relaxed: an approval was lost with the power");
        }
        if kept < lines.len() {
            self.cover.hit("records lost in a crash");
        }
        self.trace
            .note(format_args!("{kept} of {} records kept", lines.len()));
        self.model.cut(kept);
        self.forget_reports(kept);
        // A decline is not awaited, nor is it when an approval is taken back: a crash may bring the
        // approval back, and then that is what redeliveries are told.
        let (model, cover) = (&self.model, &mut self.cover);
        self.seen.retain(|line, seen| {
            let stands = model.decision_of(*line);
            let returned = stands.is_some_and(|stands| stands != seen.decision);
            if returned {
                cover.hit("an overrule was lost in a crash");
            }
            *line < kept && (seen.decision.is_approval() || !returned)
        });
        self.relied_on.retain(|line| *line < kept);
        Ok(())
    }

    /// I8: the records are the lines, one for one, and stand where they are said to.
    fn compare_records(&mut self, records: &[(u64, Vec<u8>)]) -> Checked {
        let count = self.model.lines.len();
        hold!(
            records.len() <= count,
            "I8",
            "{} records of {count} decisions",
            records.len()
        );
        let mut names = Names::new(self.planted);
        for (at, (sequence, payload)) in records.iter().enumerate() {
            let line = &self.model.lines[at];
            let stands_there = line.position.is_none_or(|position| position == *sequence);
            hold!(
                stands_there,
                "I8",
                "line {at} was said to stand at {:?} and stands at {sequence}",
                line.position
            );
            for event in events_of(payload) {
                let Ok(event) = event else {
                    return Err(Violation {
                        law: "I8",
                        text: format!("record {sequence} is malformed"),
                    });
                };
                let fits = names.fits(&self.model, line, &event);
                hold!(
                    fits,
                    "I8",
                    "line {at} is {line:?}, record {sequence} {event:?}"
                );
            }
            hold!(names.done, "I8", "record {sequence} records nothing");
            names.done = false;
            self.model.lines[at].position = Some(*sequence);
        }
        Ok(())
    }

    /// Everything that was begun is on the disk: compares records, states and sums.
    pub(crate) fn at_rest(&mut self) -> Checked {
        let poisoned = self.engine.ledger.journal().is_poisoned();
        let records = records(&self.disk.clone()).map_err(|error| Violation {
            law: "I7",
            text: format!("the journal could not be read: {error}"),
        })?;
        self.compare_records(&records)?;
        if poisoned {
            self.cover.hit("at rest, poisoned");
        } else {
            self.cover.hit("at rest");
            let (found, expected) = (records.len(), self.model.lines.len());
            hold!(
                found == expected,
                "I8",
                "{expected} decisions and {found} records: somebody was not kicked"
            );
            let mut rebuild = Rebuild::new();
            for (sequence, payload) in &records {
                rebuild.take(*sequence, payload);
            }
            let states = rebuild.finish().map_err(|why| Violation {
                law: "I7",
                text: why.to_string(),
            })?;
            let folded: Vec<_> = states.iter().map(image).collect();
            hold!(
                folded == self.engine.images(),
                "I7",
                "the states in memory are not the fold of the records"
            );
        }
        self.compare_sums()
    }

    /// I7, I10: what the engine has counted is what adds up.
    fn compare_sums(&self) -> Checked {
        for customer in 0..self.worlds[0].customers.len() {
            let owner = Owner::Customer(customer);
            let day = self.model.day(owner);
            if day == i64::MIN {
                continue;
            }
            let compared = self
                .engine
                .ledger
                .with_state(owner_key(&self.keys, owner), |state| {
                    self.compare_state(owner, day, state)
                });
            hold!(compared.is_some(), "I7", "{owner:?} has no state");
            compared.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    fn compare_state(&self, owner: Owner, day: i64, state: &State) -> Checked {
        let world = self.world();
        let mut scopes = vec![(Scope::Customer, Some(state.counters))];
        for at in 0..world.cards.len() {
            let token = card_token(at);
            let parts = [CONNECTION.as_bytes(), token.as_bytes()];
            let card = state.card_by_key(self.keys.key(KeySpace::Card, &parts));
            scopes.push((Scope::Card(at), card.map(|(_, card)| card.counters)));
        }
        for at in 0..world.agents.len() {
            let id = agent_id(at);
            let agent = state.agent_by_key(self.keys.key(KeySpace::Agent, &[id.as_bytes()]));
            scopes.push((Scope::Agent(at), agent.map(|(_, agent)| agent.counters)));
        }
        self.compare_past(owner, &scopes, state)?;
        self.compare_books(owner, state)?;
        for (scope, counters) in scopes {
            let counters = counters.unwrap_or_default();
            for kind in 0..4 {
                let expected = self.model.sums(owner, scope, kind, day);
                let found = sum_of(&counters, kind, day);
                hold!(
                    found == expected,
                    "I7",
                    "{owner:?} {scope:?} kind {kind}: counted {found:?}, adds up to {expected:?}"
                );
            }
        }
        Ok(())
    }
}

impl Run {
    /// Counts, trailing sums, intents, attestations and freezes.
    fn compare_past(
        &self,
        owner: Owner,
        scopes: &[(Scope, Option<Counters>)],
        state: &State,
    ) -> Checked {
        self.model.of_book(owner, |book| {
            let (hour, day) = (book.hour(), self.model.day(owner));
            for (scope, counters) in scopes {
                let expected = book.counted(*scope, hour, day);
                let found = counts_of(&counters.unwrap_or_default(), hour, day);
                hold!(
                    found == expected,
                    "I7",
                    "{owner:?} {scope:?}: counted {found:?}, there are {expected:?}"
                );
            }
            for (scope, rolling) in self.rolling(state) {
                for (kind, window) in WindowKind::ALL.into_iter().enumerate() {
                    let series = rolling.and_then(|rolling| rolling.series(window));
                    let now = book.now(self.clock);
                    let found = series.map(|it| it.spent(Timestamp::from_micros(now)).get());
                    let expected = book.trailing(scope, kind, now);
                    hold!(
                        found.is_none_or(|found| found == expected),
                        "I7",
                        "{owner:?} {scope:?} span {kind}: {found:?}, adds up to {expected}"
                    );
                }
            }
            let now = Timestamp::from_micros(self.clock);
            for (card, number, word) in book.intents(self.clock) {
                let intent = state.intent(intent_of(card, number));
                let found = intent.map(|intent| word_of(intent.status(now)));
                hold!(
                    found == Some(word),
                    "I7",
                    "intent {number} is {found:?}, not {word}"
                );
            }
            for at in 0..self.world().cards.len() {
                let card = self.card_state(state, at);
                let found = card.map(|card| (card.frozen_by_risk, card.attested_at()));
                let attested = book.attested_at(at).map(Timestamp::from_micros);
                let expected = (self.model.is_frozen_by_risk(owner, at), attested);
                hold!(
                    found.unwrap_or_default() == expected,
                    "I7",
                    "card {at}: {found:?}, not {expected:?}"
                );
            }
            Ok(())
        })
    }

    /// Every authorization stands where what is known of it says.
    fn compare_books(&self, owner: Owner, state: &State) -> Checked {
        self.model.of_book(owner, |book| {
            for number in book.reported_on() {
                let token = token_of(number);
                let parts = [CONNECTION.as_bytes(), token.as_bytes()];
                let key = self.keys.key(KeySpace::Authorization, &parts);
                let found = state.authorization(key).and_then(|it| it.books());
                let found = found.unwrap_or_default();
                let expected = book.books_of(number).map(|(books, _)| books);
                let expected = expected.unwrap_or_default();
                let said =
                    [found.held, found.posted, found.refunded].map(|it| i128::from(it.get()));
                hold!(
                    said == [expected.held, expected.posted, expected.refunded]
                        && found.is_undone == expected.is_undone
                        && found.is_closed == expected.is_closed,
                    "I7",
                    "authorization {number} stands at {found:?}, not {expected:?}"
                );
            }
            Ok(())
        })
    }

    fn card_state<'s>(&self, state: &'s State, at: usize) -> Option<&'s CardState> {
        let token = card_token(at);
        let parts = [CONNECTION.as_bytes(), token.as_bytes()];
        let card = state.card_by_key(self.keys.key(KeySpace::Card, &parts))?;
        Some(card.1)
    }

    fn rolling<'s>(&self, state: &'s State) -> Vec<(Scope, Option<&'s Rolling>)> {
        let mut all = vec![(Scope::Customer, state.rolling.as_deref())];
        for at in 0..self.world().cards.len() {
            let card = self.card_state(state, at);
            all.push((Scope::Card(at), card.and_then(|it| it.rolling.as_deref())));
        }
        for at in 0..self.world().agents.len() {
            let id = agent_id(at);
            let agent = state.agent_by_key(self.keys.key(KeySpace::Agent, &[id.as_bytes()]));
            let rolling = agent.and_then(|(_, it)| it.rolling.as_deref());
            all.push((Scope::Agent(at), rolling));
        }
        all
    }
}

fn word_of(status: IntentStatus) -> &'static str {
    match status {
        IntentStatus::PendingApproval => "pending approval",
        IntentStatus::Pending => "pending",
        IntentStatus::Matched => "matched",
        IntentStatus::Mismatched => "mismatched",
        IntentStatus::Expired => "expired",
        IntentStatus::Rejected => "rejected",
        IntentStatus::Canceled => "canceled",
    }
}

fn counts_of(counters: &Counters, hour: i64, day: i64) -> [u32; 3] {
    let [hour, day] = [hour, day].map(|at| i32::try_from(at).unwrap());
    [
        counters.count_of_hour(LocalHour(hour)),
        counters.count_of_day(LocalDay(day)),
        counters.approvals(),
    ]
}

fn sum_of(counters: &Counters, kind: usize, day: i64) -> (i64, i64) {
    let day = LocalDay(i32::try_from(day).unwrap());
    let sum = match WindowKind::ALL.get(kind) {
        Some(kind) => counters.window(*kind, day),
        None => counters.total(),
    };
    (sum.spent.get(), sum.held.get())
}

/// What the journal's numbers stand for.
struct Names {
    planted: Planted,
    owners: BTreeMap<u32, Owner>,
    cards: BTreeMap<(u32, u32), String>,
    agents: BTreeMap<(u32, u32), String>,
    /// Whether the record did more than open things.
    done: bool,
}

impl Names {
    fn new(planted: Planted) -> Self {
        Self {
            planted,
            owners: BTreeMap::new(),
            cards: BTreeMap::new(),
            agents: BTreeMap::new(),
            done: false,
        }
    }

    fn fits(&mut self, model: &Model, line: &Line, event: &Event<'_>) -> bool {
        let state = event.state().0;
        match event {
            Event::StateOpened { owner, .. } => {
                self.owners.insert(state, line.owner);
                return match (owner, line.owner) {
                    (event::Owner::Customer(id), Owner::Customer(at)) => *id == customer_id(at),
                    (event::Owner::Unattributed(name), Owner::Nobody) => *name == CONNECTION,
                    _ => false,
                };
            }
            Event::CardOpened { card, id, .. } => {
                self.cards.insert((state, card.0), (*id).to_owned());
                return true;
            }
            Event::AgentOpened { agent, id, .. } => {
                self.agents.insert((state, agent.0), (*id).to_owned());
                return true;
            }
            Event::WindowsOpened { .. } | Event::RollingOpened { .. } => return true,
            Event::Decided(_)
            | Event::Conflicted(_)
            | Event::Redelivered { .. }
            | Event::Overruled { .. }
            | Event::StandingSet { .. }
            | Event::Swept { .. }
            | Event::Lapsed { .. }
            | Event::RiskFrozen { .. }
            | Event::IntentDeclared { .. }
            | Event::IntentSettled { .. }
            | Event::Attested { .. }
            | Event::Backed { .. }
            | Event::Booked(_) => {}
        }
        let only = !std::mem::replace(&mut self.done, true);
        only && self.owners.get(&state) == Some(&line.owner) && self.is_done(model, line, event)
    }

    fn is_done(&self, model: &Model, line: &Line, event: &Event<'_>) -> bool {
        let state = event.state().0;
        let position_of = |line: usize| model.lines[line].position;
        match (event, &line.what) {
            (Event::Decided(event), What::Decided(line)) => self.is_decided(event, line),
            (Event::Conflicted(event), What::Conflicted(message)) => {
                event.authorization.to_string() == message.token()
            }
            (Event::Redelivered { decided_at, .. }, What::Redelivered(of)) => {
                position_of(*of) == Some(*decided_at)
            }
            (Event::Overruled { decided_at, .. }, What::Overruled(of)) => {
                position_of(*of) == Some(*decided_at)
            }
            (Event::StandingSet { change, .. }, What::CardSet(at, status, frozen)) => {
                matches!(change, StandingChange::Card(card, to, flag)
                    if self.cards.get(&(state, card.0)) == Some(&card_id(*at))
                        && (to, flag) == (status, frozen))
            }
            (Event::StandingSet { change, .. }, What::AgentSet(at, status)) => {
                matches!(change, StandingChange::Agent(agent, to)
                    if self.agents.get(&(state, agent.0)) == Some(&agent_id(*at)) && to == status)
            }
            (Event::Swept { cut, .. }, What::Swept(at)) => cut.micros() == *at,
            (Event::Lapsed { cut, time, .. }, What::Lapsed(at, is_usual)) => {
                cut.micros() == *at && (*time == HoldTime::Usual) == *is_usual
            }
            (Event::Booked(booked), What::Booked(_, received)) => {
                let card = booked
                    .card
                    .and_then(|card| self.cards.get(&(state, card.0)));
                booked.external.to_string() == token_of(received.number)
                    && booked.at.micros() == received.at
                    && card.is_some() == received.card.is_some()
            }
            (Event::RiskFrozen { card, .. }, What::RiskFrozen(at)) => {
                self.cards.get(&(state, card.0)) == Some(&card_id(*at))
            }
            (
                Event::IntentDeclared {
                    card,
                    intent,
                    terms,
                    at,
                    ..
                },
                What::Declared(of, number, said, said_at),
            ) => {
                self.cards.get(&(state, card.0)) == Some(&card_id(*of))
                    && *intent == intent_of(*of, *number)
                    && *terms == terms_of(&self.planted.terms(said))
                    && at.micros() == *said_at
            }
            (
                Event::IntentSettled {
                    intent, verdict, ..
                },
                What::Settled(of, number, verb),
            ) => *intent == intent_of(*of, *number) && *verdict == verdict_of(*verb),
            (Event::Attested { card, at, .. }, What::Attested(of, attested_at)) => {
                self.cards.get(&(state, card.0)) == Some(&card_id(*of))
                    && at.micros() == *attested_at
            }
            _ => false,
        }
    }

    fn is_decided(&self, event: &event::Decided<'_>, line: &crate::model::Decided) -> bool {
        let state = event.state.0;
        // One that nobody knows any more may have been used here.
        let named = card_id(line.message.card);
        let used = self
            .cards
            .iter()
            .any(|(at, id)| at.0 == state && *id == named);
        let left = used.then_some(named);
        let card = event
            .card
            .and_then(|card| self.cards.get(&(state, card.0)).cloned());
        let agent = event
            .agent
            .and_then(|agent| self.agents.get(&(state, agent.0)).cloned());
        let reserves = line.reserved > 0;
        let takes = line
            .takes
            .zip(line.card)
            .map(|(number, card)| intent_of(card, number));
        let attested = match event.attestation {
            AttestationClass::Attested => Attested::Fresh,
            AttestationClass::Stale => Attested::Stale,
            AttestationClass::Unattested => Attested::Never,
        };
        event.authorization.to_string() == line.message.token()
            && event.at.micros() == line.received
            && event.decision == line.decision
            && event.kind == line.message.kind
            && event.amount.minor.get() == line.message.amount.abs()
            && event.snapshot_version == line.version as u64
            && card == line.card.map(card_id).or(left)
            && agent == line.agent.map(agent_id)
            && (!reserves || i64::from(event.day.0) == line.day)
            && (!reserves || i64::from(event.hour.0) == line.hour)
            && event.intent == takes
            && event.flagged == line.flagged
            && attested == line.attested
            && event.reserved().get() == line.reserved
            && event.consumes == line.consumes
            && event.locks.is_some() == line.locks
    }
}

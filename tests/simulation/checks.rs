//! The laws that are checked against the disk and against the engine's state.

use std::collections::BTreeMap;

use countersign::domain::card::Key;
use countersign::domain::decision::Decision;
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::window::{LocalDay, WindowKind};
use countersign::ledger::counters::Counters;
use countersign::ledger::embedded::journal::Durability;
use countersign::ledger::embedded::rebuild::Rebuild;
use countersign::ledger::event::{self, Event, StandingChange, events_of};
use countersign::ledger::state::State;

use crate::disk::{Chance, Crash};
use crate::engine::{image, records};
use crate::model::{Line, Model, Owner, Scope, What};
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
        let token = decided.message.token();
        let parts = [CONNECTION.as_bytes(), token.as_bytes()];
        let key = self.keys.key(KeySpace::Authorization, &parts);
        let stands = |state: &State| {
            let known = state.authorization(key);
            known.is_some_and(|known| {
                known
                    .steps()
                    .any(|step| Some(step.position) == *position && step.decision.is_approval())
            })
        };
        let owner = owner_key(&self.keys, *owner);
        self.engine.ledger.with_state(owner, stands) == Some(true)
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
        let mut names = Names::default();
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

fn sum_of(counters: &Counters, kind: usize, day: i64) -> (i64, i64) {
    let day = LocalDay(i32::try_from(day).unwrap());
    let sum = match WindowKind::ALL.get(kind) {
        Some(kind) => counters.window(*kind, day),
        None => counters.total(),
    };
    (sum.spent.get(), sum.held.get())
}

/// What the journal's numbers stand for.
#[derive(Default)]
struct Names {
    owners: BTreeMap<u32, Owner>,
    cards: BTreeMap<(u32, u32), String>,
    agents: BTreeMap<(u32, u32), String>,
    /// Whether the record did more than open things.
    done: bool,
}

impl Names {
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
            | Event::RiskFrozen { .. }
            | Event::IntentDeclared { .. }
            | Event::IntentSettled { .. }
            | Event::Attested { .. }
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
            _ => false,
        }
    }

    fn is_decided(&self, event: &event::Decided<'_>, line: &crate::model::Decided) -> bool {
        let state = event.state.0;
        let card = event
            .card
            .and_then(|card| self.cards.get(&(state, card.0)).cloned());
        let agent = event
            .agent
            .and_then(|agent| self.agents.get(&(state, agent.0)).cloned());
        let reserves = matches!(event.decision, Decision::Approve);
        event.authorization.to_string() == line.message.token()
            && event.at.micros() == line.received
            && event.decision == line.decision
            && event.kind == line.message.kind
            && event.amount.minor.get() == line.message.amount.abs()
            && event.snapshot_version == line.version as u64
            && card == line.card.map(card_id)
            && agent == line.agent.map(agent_id)
            && (!reserves || i64::from(event.day.0) == line.day)
            && event.reserved().get() == line.reserved
            && event.consumes == line.consumes
            && event.locks.is_some() == line.locks
    }
}

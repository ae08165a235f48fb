//! One run: what happens next is drawn from the seed, and after each thing the laws are checked.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::{AgentStatus, CardStatus};
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::hot::pipeline::{Arrival, Begun, Connection, Pipeline, Waited, Waiting};
use countersign::ledger::embedded::io::{Io, IoFault};
use countersign::ledger::embedded::journal::Durability;

use crate::disk::{Chance, Crash, Disk};
use crate::engine::{
    DEADLINE_US, Engine, Moved, NoStart, TOLERANCE_S, WRITE, compile, connection, find, keys,
};
use crate::issuer::Message;
use crate::model::{Model, Owner, Prediction, Verdict, What};
use crate::planted::Planted;
use crate::trace::{Coverage, Trace, Violation, hold};
use crate::world::World;

/// A day in microseconds.
pub(crate) const DAY_US: i64 = 86_400_000_000;
/// Authorizations are forgotten after this.
const RETENTION_US: i64 = 45 * DAY_US;
/// No issuer redelivers what is older.
const REDELIVERED_US: i64 = 30 * DAY_US;
/// A card that no document ever names.
const NOBODYS_CARD: usize = 99;

/// Time that passes before the clock is read.
const READ_US: i64 = 3;

pub(crate) type Checked = Result<(), Violation>;

/// A message and its body.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) message: Rc<Message>,
    pub(crate) body: Rc<[u8]>,
    first_at: i64,
}

/// A waiting answer.
pub(crate) struct Held {
    pub(crate) waiting: Waiting,
    pub(crate) sent: usize,
    pub(crate) line: usize,
    pub(crate) is_new: bool,
    pub(crate) received: i64,
}

/// What the outside has seen of one line, in a reply that was in time.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) decision: Decision,
    pub(crate) life: u32,
}

/// One run of one seed.
pub(crate) struct Run {
    pub(crate) chance: Chance,
    pub(crate) disk: Disk,
    pub(crate) durability: Durability,
    pub(crate) planted: Planted,
    pub(crate) cover: Coverage,
    pub(crate) trace: Trace,
    pub(crate) clock: i64,
    pub(crate) life: u32,
    pub(crate) worlds: Vec<World>,
    pub(crate) model: Model,
    pub(crate) keys: Fingerprinter,
    connection: Arc<Connection>,
    pub(crate) engine: Engine,
    pub(crate) waiting: Vec<Held>,
    pub(crate) sent: Vec<Sent>,
    /// By line and by message: what replies that were in time have said.
    pub(crate) seen: BTreeMap<usize, Seen>,
    /// Lines that the outside relies on: approvals that left, commands that returned.
    pub(crate) relied_on: BTreeSet<usize>,
    /// Commands whose caller waits, by line.
    pub(crate) commands: Vec<usize>,
    /// Cached: the disk's state by number of operations, and the last record that would survive.
    pub(crate) surviving: Option<(u64, u64)>,
    next_number: u32,
    /// Frames appended since something was last written.
    backlog: u32,
    is_disk_full: bool,
    is_closing: bool,
    /// Nothing is wrong, so that nothing may be called unavailable.
    must_answer: bool,
    failed: Option<Violation>,
}

impl Run {
    pub(crate) fn new(seed: u64, planted: Planted, keeps_lines: bool) -> Self {
        let mut chance = Chance::new(seed);
        let durability = if chance.one_in(2) {
            Durability::Strict
        } else {
            Durability::Relaxed
        };
        let disk = Disk::new();
        let world = World::random(&mut chance);
        let keys = keys();
        let found = find(&disk, planted).unwrap_or_else(|why| panic!("an empty disk: {why:?}"));
        let snapshot = compile(&world, 0, planted.twist(), &keys);
        let pipeline = Arc::new(Pipeline::new());
        let seeds = chance.next();
        let engine = Engine::start(&disk, found, pipeline, snapshot, durability, planted, seeds);
        // 2026-05-29, a Friday, some time before midnight in UTC.
        let clock = 1_780_012_800_000_000 + i64::try_from(chance.below(86_400_000_000)).unwrap();
        let mut trace = Trace::new(keeps_lines);
        trace.note(format_args!("{durability:?} {world:#?}"));
        Self {
            chance,
            disk,
            durability,
            planted,
            cover: Coverage::default(),
            trace,
            clock,
            life: 0,
            worlds: vec![world],
            model: Model::default(),
            keys,
            connection: Arc::new(connection()),
            engine,
            waiting: Vec::new(),
            sent: Vec::new(),
            seen: BTreeMap::new(),
            relied_on: BTreeSet::new(),
            commands: Vec::new(),
            surviving: None,
            next_number: 0,
            backlog: 0,
            is_disk_full: false,
            is_closing: false,
            must_answer: false,
            failed: None,
        }
    }

    /// Runs to the end: this many things happen, then all is brought to rest and started once more.
    pub(crate) fn run(&mut self, steps: u32) -> Checked {
        for _ in 0..steps {
            self.clock += i64::try_from(self.chance.below(60)).unwrap();
            self.step()?;
        }
        self.rest()?;
        self.crash()?;
        self.rest()
    }

    fn step(&mut self) -> Checked {
        let poisoned = self.engine.ledger.journal().is_poisoned();
        if poisoned && self.chance.one_in(12) {
            return self.crash();
        }
        match self.chance.below(1000) {
            0..180 => self.deliver_new(),
            180..230 => self.deliver_increment(),
            230..330 => self.redeliver(),
            330..350 => self.deliver_conflict(),
            350..650 => {
                let lane = [0, 0, 0, 1, 2][self.chance.index(5)];
                self.advance(lane)
            }
            650..840 => self.finish_some(),
            983..986 => self.close(),
            986..996 => self.crash(),
            996.. => self.fail_next(),
            what => {
                self.step_aside(what);
                self.failed.take().map_or(Ok(()), Err)
            }
        }
    }

    /// What happens beside the issuer's questions.
    fn step_aside(&mut self, what: u64) {
        let checked = match what {
            ..850 => {
                self.lose_connection();
                Ok(())
            }
            ..890 => self.pass_time(),
            ..910 => {
                self.reload();
                Ok(())
            }
            ..925 => self.command(),
            ..930 => self.sweep(),
            ..940 => {
                self.idle_mark();
                Ok(())
            }
            ..948 => self.checkpoint(),
            ..966 => {
                self.retry_create();
                Ok(())
            }
            ..973 => {
                self.toggle_disk_full();
                Ok(())
            }
            _ => self.rest(),
        };
        self.failed = checked.err();
    }

    // ---- the issuer ----

    fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    /// Any card, seldom one that nobody knows.
    fn any_card(&mut self) -> usize {
        if self.chance.one_in(40) {
            return NOBODYS_CARD;
        }
        let count = self.world().cards.len();
        self.chance.index(count)
    }

    pub(crate) fn world(&self) -> &World {
        self.worlds.last().unwrap()
    }

    /// Often exactly what is left under some limit, or one minor unit more.
    fn any_amount(&mut self, card: usize) -> i64 {
        let room = self.model.room(self.world(), card, self.clock);
        match (self.chance.below(10), room) {
            (0..3, Some(room)) => room,
            (3..5, Some(room)) => room + 1,
            (5, _) => 0,
            (6, _) => 1 + i64::try_from(self.chance.below(500)).unwrap(),
            _ => 1 + i64::try_from(self.chance.below(60)).unwrap(),
        }
    }

    fn new_message(&mut self) -> Message {
        let card = self.any_card();
        let kind = match self.chance.below(20) {
            0 => AuthorizationKind::Credit,
            1 => AuthorizationKind::BalanceInquiry,
            2 | 3 => AuthorizationKind::SingleMessage,
            _ => AuthorizationKind::Authorization,
        };
        let amount = match kind {
            AuthorizationKind::BalanceInquiry => 0,
            AuthorizationKind::Credit => -25,
            AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => {
                self.any_amount(card)
            }
        };
        Message {
            authorization: self.number(),
            step: self.chance.one_in(2).then_some(self.next_number),
            delivery: self.number(),
            card,
            kind,
            amount,
            euros: self.chance.one_in(40),
            cash: kind == AuthorizationKind::Authorization && self.chance.one_in(40),
            merchant: self.chance.index(5),
            garbled: self.chance.one_in(60),
        }
    }

    /// Remembers a message, so that it can come again.
    fn send(&mut self, message: Message) -> usize {
        let body = message.body();
        self.sent.push(Sent {
            message: Rc::new(message),
            body,
            first_at: self.clock,
        });
        self.sent.len() - 1
    }

    fn deliver_new(&mut self) -> Checked {
        let message = self.new_message();
        let sent = self.send(message);
        self.deliver(sent)
    }

    /// A message that was sent before, mostly a late one, if the issuer would still send it.
    fn earlier(&mut self) -> Option<usize> {
        let count = self.sent.len();
        if count == 0 {
            return None;
        }
        let recent = 1 + self.chance.index(count.min(24));
        let at = if self.chance.one_in(4) {
            self.chance.index(count)
        } else {
            count - recent
        };
        let young = self.clock - self.sent[at].first_at < REDELIVERED_US;
        let of_nobody_knows_when = self.sent[at].first_at > self.clock + DAY_US;
        (young && !of_nobody_knows_when).then_some(at)
    }

    fn deliver_increment(&mut self) -> Checked {
        let Some(at) = self.earlier() else {
            return Ok(());
        };
        let mut message = (*self.sent[at].message).clone();
        message.amount = self.any_amount(message.card).min(80);
        message.kind = AuthorizationKind::Authorization;
        message.delivery = self.number();
        message.step = message.step.map(|_| self.next_number);
        message.garbled = false;
        if self.chance.one_in(8) {
            // The issuer began, or stopped, to send event tokens.
            message.step = self.chance.one_in(2).then_some(self.next_number);
        }
        let sent = self.send(message);
        self.deliver(sent)
    }

    fn redeliver(&mut self) -> Checked {
        let Some(at) = self.earlier() else {
            return Ok(());
        };
        if self.chance.one_in(2) {
            return self.deliver(at);
        }
        let mut message = (*self.sent[at].message).clone();
        message.delivery = self.number();
        let sent = self.send(message);
        self.deliver(sent)
    }

    /// The same step with another content: amount, or card of the same customer, or nobody's.
    fn deliver_conflict(&mut self) -> Checked {
        let Some(at) = self.earlier() else {
            return Ok(());
        };
        let mut message = (*self.sent[at].message).clone();
        if self.chance.one_in(3) {
            let cards = &self.world().cards;
            let customer = cards.get(message.card).map(|card| card.customer);
            let same = |it: &usize| cards.get(*it).map(|card| card.customer) == customer;
            let mut others: Vec<usize> = (0..cards.len()).filter(same).collect();
            others.push(NOBODYS_CARD);
            message.card = others[self.chance.index(others.len())];
        } else if message.spends() {
            message.amount = (message.amount + 7).min(90);
        }
        let sent = self.send(message);
        self.deliver(sent)
    }

    /// Delivers a message, signed now or nearly so, and at times with something else happening
    /// between the load of the snapshot and the atomic step.
    pub(crate) fn deliver(&mut self, at: usize) -> Checked {
        self.deliver_raced(at, true)
    }

    fn deliver_raced(&mut self, at: usize, may_race: bool) -> Checked {
        let sent = self.sent[at].clone();
        let skew = match self.chance.below(50) {
            0 => i64::from(TOLERANCE_S) + 1,
            1 => -i64::from(TOLERANCE_S) - 1,
            2 => i64::from(TOLERANCE_S),
            3 => -i64::from(TOLERANCE_S),
            _ => 0,
        };
        let signed_at = Timestamp::from_secs(self.clock.div_euclid(1_000_000) + skew);
        let headers = sent.message.signed(&sent.body, signed_at);
        let received = self.clock;
        if self.chance.one_in(30) {
            self.cover.hit("arrival: the body came slowly");
            self.clock += i64::try_from(self.chance.below(400_000)).unwrap();
        }
        let in_tolerance = {
            let read_at = self.clock + READ_US;
            let age = read_at.div_euclid(1_000_000) - signed_at.secs();
            age.abs() <= i64::from(TOLERANCE_S)
        };
        let version = self.worlds.len() - 1;
        let races = may_race && self.chance.one_in(4);
        let begun = {
            let connection = Arc::clone(&self.connection);
            let arrival = Arrival {
                connection: &connection,
                headers: headers.received(),
                body: &sent.body,
                received: Timestamp::from_micros(received),
            };
            let pipeline = self.pipeline_for(&arrival);
            let calls = Cell::new(0);
            let this = RefCell::new(&mut *self);
            pipeline.begin(&arrival, || {
                calls.set(calls.get() + 1);
                let mut run = this.borrow_mut();
                run.clock += READ_US;
                if calls.get() == 2 && races {
                    run.race(at);
                }
                Timestamp::from_micros(run.clock)
            })
        };
        if let Some(violation) = self.failed.take() {
            return Err(violation);
        }
        self.on_begun(at, received, version, in_tolerance, begun)
    }

    /// Something else between the load of the snapshot and the atomic step.
    fn race(&mut self, at: usize) {
        let raced = match self.chance.below(6) {
            0 | 1 => {
                self.cover.hit("race: another authorization");
                let mut message = self.new_message();
                message.card = self.sent[at].message.card;
                message.amount = self.any_amount(message.card).max(0);
                message.kind = AuthorizationKind::Authorization;
                let sent = self.send(message);
                self.deliver_raced(sent, false)
            }
            2 => {
                self.cover.hit("race: the same delivery");
                self.deliver_raced(at, false)
            }
            3 | 4 => {
                self.cover.hit("race: a reload");
                self.reload();
                Ok(())
            }
            _ => {
                self.cover.hit("race: a command");
                self.command()
            }
        };
        if let Err(violation) = raced {
            self.failed = Some(violation);
        }
    }

    /// Planted: what would be approved before everything that happens meanwhile is reserved
    /// without another look at the limits.
    fn pipeline_for(&self, arrival: &Arrival<'_>) -> Arc<Pipeline> {
        let now = Timestamp::from_micros(self.clock);
        if self.planted == Planted::CheckThenReserve && self.engine.would_approve(arrival, now) {
            return self.engine.unlimited(self.world(), self.worlds.len() - 1);
        }
        Arc::clone(&self.engine.pipeline)
    }

    fn on_begun(
        &mut self,
        at: usize,
        received: i64,
        version: usize,
        in_tolerance: bool,
        begun: Begun,
    ) -> Checked {
        let message = Rc::clone(&self.sent[at].message);
        let (number, amount, card) = (message.authorization, message.amount, message.card);
        match begun {
            Begun::Refused(why) => {
                hold!(!in_tolerance, "I8", "a lawful delivery was refused: {why}");
                self.cover.hit("refused: signature");
                Ok(())
            }
            Begun::NotUnderstood(cause, reply) => {
                hold!(message.garbled, "I8", "not understood: {cause}");
                hold!(reply.status == 400, "I8", "status {}", reply.status);
                self.cover.hit("refused: not understood");
                Ok(())
            }
            Begun::Decided(finished) => {
                self.trace.note(format_args!(
                    "{} #{at} authorization {number} card {card} amount {amount}: {:?}",
                    self.clock, finished.decision
                ));
                hold!(
                    in_tolerance && !message.garbled,
                    "I8",
                    "decided and not authentic"
                );
                if finished.appended {
                    self.engine.kick();
                }
                let reason = match finished.decision {
                    Decision::Decline(reason) => reason,
                    Decision::Approve | Decision::ApprovePartial(_) => {
                        return Err(Violation {
                            law: "I4",
                            text: "an approval did not wait".to_owned(),
                        });
                    }
                };
                self.cover.hit(reason.code());
                if reason == DeclineReason::LedgerUnavailable {
                    hold!(
                        !self.must_answer,
                        "alive",
                        "at rest and healthy, and unavailable"
                    );
                    return Ok(());
                }
                let prediction = self.predicted(at, received, version);
                let line = self.take(at, &prediction, finished.decision, None)?;
                self.reply(at, line, finished.decision)
            }
            Begun::Waiting(waiting) => {
                self.trace.note(format_args!(
                    "{} #{at} authorization {number} card {card} amount {amount}: waits for {}",
                    self.clock, waiting.position
                ));
                hold!(
                    in_tolerance && !message.garbled,
                    "I8",
                    "decided and not authentic"
                );
                self.engine.kick();
                hold!(
                    !self.engine.ledger.journal().is_poisoned(),
                    "I6",
                    "an approval while the journal is poisoned"
                );
                let prediction = self.predicted(at, received, version);
                let position = Some(waiting.position);
                let line = self.take(at, &prediction, Decision::Approve, position)?;
                let is_new = matches!(prediction.verdict, Verdict::New(_));
                self.waiting.push(Held {
                    waiting,
                    sent: at,
                    line: line.unwrap_or_default(),
                    is_new,
                    received,
                });
                Ok(())
            }
        }
    }

    /// What the model says to the message, under the snapshot that the engine must have used: the
    /// one at its beginning, unless a card was published meanwhile that nobody knew.
    fn predicted(&self, at: usize, received: i64, version: usize) -> Prediction {
        let Sent { message, body, .. } = &self.sent[at];
        let last = self.worlds.len() - 1;
        let present = |version: usize| {
            let card = self.worlds[version].cards.get(message.card);
            card.is_some_and(|card| card.present)
        };
        let published =
            !present(version) && self.model.owner_of(message.card).is_none() && present(last);
        let version = if published { last } else { version };
        let world = &self.worlds[version];
        self.model.predict(world, version, message, body, received)
    }

    /// Compares the engine's word with the model's and writes the line. The line that decided.
    fn take(
        &mut self,
        at: usize,
        prediction: &Prediction,
        decision: Decision,
        position: Option<u64>,
    ) -> Result<Option<usize>, Violation> {
        self.backlog += 1;
        let owner = prediction.owner;
        match &prediction.verdict {
            Verdict::Known(line, recorded) => {
                hold!(
                    *recorded == decision,
                    "I2",
                    "line {line} says {recorded:?}, a redelivery was told {decision:?}"
                );
                let stands_at = self.model.lines[*line].position;
                let agree = position.is_none() || stands_at.is_none() || position == stands_at;
                hold!(
                    agree,
                    "I8",
                    "line {line} stands at {stands_at:?}, a redelivery waits for {position:?}"
                );
                let life = self.seen.get(line).map_or(self.life, |seen| seen.life);
                self.cover.hit(if life < self.life {
                    "redelivery after a restart"
                } else {
                    "redelivery"
                });
                if decision == Decision::Decline(DeclineReason::DeadlineExceeded) {
                    self.cover.hit("redelivery of what was overruled");
                }
                self.model.push(owner, What::Redelivered(*line), None);
                Ok(Some(*line))
            }
            Verdict::Conflict => {
                let conflict = Decision::Decline(DeclineReason::ConflictingDuplicate);
                hold!(
                    decision == conflict,
                    "I2",
                    "another content of a known step was told {decision:?}"
                );
                let message = Rc::clone(&self.sent[at].message);
                self.model.push(owner, What::Conflicted(message), None);
                Ok(None)
            }
            Verdict::New(decided) => {
                let agree = decided.decision == decision;
                let law = law_of(decided.decision, decision);
                hold!(
                    agree,
                    law,
                    "the engine says {decision:?}, the model {:?}: {:?}",
                    decided.decision,
                    decided.message
                );
                let last = self
                    .model
                    .lines
                    .iter()
                    .filter_map(|line| line.position)
                    .max();
                hold!(
                    position.is_none() || position > last,
                    "I8",
                    "position {position:?} after {last:?}"
                );
                if decided.reserved > 0 {
                    self.cover.hit("approved");
                    if decided.consumes {
                        self.cover.hit("approved: consumes");
                    }
                    if decided.locks {
                        self.cover.hit("approved: locks");
                    }
                }
                let line = self
                    .model
                    .push(owner, What::Decided(decided.clone()), position);
                Ok(Some(line))
            }
        }
    }

    // ---- the shell ----

    fn advance(&mut self, lane: usize) -> Checked {
        for _ in 0..1 + self.chance.below(9) {
            let moved = self.engine.advance(lane, &self.disk);
            match moved {
                Moved::Nothing => break,
                Moved::Executed(name, good) => {
                    if !good {
                        self.cover.hit(match name {
                            "write" => "fault: write",
                            "sync" => "fault: sync",
                            "create" => "fault: create",
                            _ => "fault: sync of the directory",
                        });
                    }
                    self.trace.note(format_args!("{name}: {good}"));
                }
                Moved::Reported if lane == WRITE => self.backlog = 0,
                Moved::Gave(_) | Moved::Reported => {}
            }
        }
        self.commands_return();
        Ok(())
    }

    /// Callers of commands learn that these are durable.
    fn commands_return(&mut self) {
        let reached = self.engine.reached();
        let model = &self.model;
        let done = |line: &usize| {
            let position = model.lines[*line].position;
            position.is_some_and(|position| position <= reached)
        };
        let (returned, wait) = std::mem::take(&mut self.commands)
            .into_iter()
            .partition::<Vec<_>, _>(done);
        self.relied_on.extend(returned);
        self.commands = wait;
    }

    fn finish_some(&mut self) -> Checked {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut at = self.chance.index(self.waiting.len());
        for _ in 0..1 + self.chance.below(4) {
            if at >= self.waiting.len() {
                return Ok(());
            }
            let held = &self.waiting[at];
            let covered = self.engine.covers(held.waiting.position);
            let overdue = self.clock >= held.received + DEADLINE_US;
            match self.planted.waited(covered) {
                Some(waited) => self.finish(at, waited)?,
                None if overdue => self.finish(at, Waited::TimedOut)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, at: usize, waited: Waited) -> Checked {
        let held = self.waiting.swap_remove(at);
        let deadline = held.received + DEADLINE_US;
        let now = if self.planted == Planted::LateApproval {
            self.clock.min(deadline)
        } else {
            self.clock
        };
        if self.planted == Planted::NotOverruled && now > deadline {
            return self.decline_leaves(&held, waited, DeclineReason::DeadlineExceeded);
        }
        let finished = self.engine.pipeline.finish(
            &self.connection,
            &held.waiting,
            waited,
            Timestamp::from_micros(now),
        );
        self.trace.note(format_args!(
            "{} #{} finishes {waited:?}: {:?}",
            self.clock, held.sent, finished.decision
        ));
        if finished.appended {
            self.engine.kick();
        }
        match finished.decision {
            Decision::Approve => self.approval_leaves(&held),
            Decision::ApprovePartial(_) => Err(Violation {
                law: "rules",
                text: "a partial approval, which nobody allowed".to_owned(),
            }),
            Decision::Decline(reason) => self.decline_leaves(&held, waited, reason),
        }
    }

    fn approval_leaves(&mut self, held: &Held) -> Checked {
        let deadline = held.received + DEADLINE_US;
        hold!(
            self.clock <= deadline,
            "I5",
            "an approval left {} µs after its deadline",
            self.clock - deadline
        );
        self.assert_durable(held)?;
        hold!(
            self.model.decision_of(held.line) == Some(Decision::Approve),
            "I2",
            "an approval left that stands no longer: {:?}",
            self.model.decision_of(held.line)
        );
        self.cover.hit(if held.is_new {
            "an approval left"
        } else {
            "an approval left again"
        });
        self.relied_on.insert(held.line);
        self.reply(held.sent, Some(held.line), Decision::Approve)
    }

    fn decline_leaves(&mut self, held: &Held, waited: Waited, reason: DeclineReason) -> Checked {
        let is_late = self.clock > held.received + DEADLINE_US || waited == Waited::TimedOut;
        self.cover.hit(reason.code());
        if waited == Waited::Poisoned {
            hold!(
                reason == DeclineReason::LedgerUnavailable,
                "I6",
                "poisoned, and {reason:?}"
            );
            self.cover.hit("waited in vain: poisoned");
            return Ok(());
        }
        hold!(
            reason == DeclineReason::DeadlineExceeded,
            "rules",
            "an approval became {reason:?}"
        );
        if is_late && held.is_new {
            return self.overruled(held);
        }
        if is_late {
            self.cover.hit("a redelivery came too late");
            return Ok(());
        }
        // A redelivery that waited while the first delivery was overruled.
        self.cover.hit("overruled under a redelivery");
        let decision = Decision::Decline(reason);
        hold!(
            self.model.decision_of(held.line) == Some(decision),
            "I2",
            "a redelivery was declined while the approval stands"
        );
        self.reply(held.sent, Some(held.line), decision)
    }

    /// The first delivery came too late. Whether the engine took the approval back is looked up in
    /// its state: it must have, unless a redelivery's approval has left or the journal is full.
    fn overruled(&mut self, held: &Held) -> Checked {
        let line = held.line;
        if self.model.decision_of(line) != Some(Decision::Approve) {
            return Ok(());
        }
        let has_left = self.relied_on.contains(&line);
        if self.engine_approves(line) {
            let journal = self.engine.ledger.journal();
            let refuses = journal.is_poisoned() || journal.is_closing() || journal.is_full();
            drop(journal);
            // Nobody remembers for ever what redeliveries were told.
            let too_old = self.clock - held.received > 30_000_000;
            hold!(
                has_left || refuses || too_old || self.backlog > 60,
                "rules",
                "line {line} came too late and stands"
            );
            self.cover.hit(if has_left {
                "not overruled: a redelivery's approval had left"
            } else if too_old {
                "not overruled: too long ago"
            } else {
                "not overruled: no room"
            });
            return Ok(());
        }
        hold!(!has_left, "I3", "line {line} left and was taken back");
        self.cover.hit("overruled");
        self.backlog += 1;
        let owner = self.model.lines[line].owner;
        self.model.push(owner, What::Overruled(line), None);
        Ok(())
    }

    /// A reply leaves, in time. Whether it arrives makes no difference to the engine.
    fn reply(&mut self, at: usize, line: Option<usize>, decision: Decision) -> Checked {
        if self.chance.one_in(5) {
            self.cover.hit("reply lost on the way");
        }
        let Some(line) = line else {
            return Ok(());
        };
        let life = self.life;
        let seen = self.seen.entry(line).or_insert(Seen { decision, life });
        hold!(
            seen.decision == decision,
            "I2",
            "message {at}, line {line}: {:?}, then {decision:?}",
            seen.decision
        );
        Ok(())
    }

    /// The issuer hangs up: the answer never leaves, nor is anything taken back.
    fn lose_connection(&mut self) {
        if !self.waiting.is_empty() {
            let at = self.chance.index(self.waiting.len());
            self.waiting.swap_remove(at);
            self.cover.hit("connection lost while waiting");
        }
    }

    fn pass_time(&mut self) -> Checked {
        let chance = &mut self.chance;
        let (what, step) = match chance.below(40) {
            0..22 => ("time: some", chance.below(200_000)),
            22..32 => ("time: past the deadline", 250_000 + chance.below(100_000)),
            32..35 => {
                let into_day = self.clock.rem_euclid(DAY_US);
                let near = i64::try_from(chance.below(4)).unwrap() - 2;
                let step = DAY_US - into_day + near;
                ("time: to midnight", u64::try_from(step.max(0)).unwrap())
            }
            35..38 => ("time: to the deadline", 0),
            38 => ("time: days", chance.below(3 * 86_400_000_000)),
            _ => ("time: months", chance.below(60 * 86_400_000_000)),
        };
        self.clock += i64::try_from(step).unwrap();
        self.cover.hit(what);
        self.trace.note(format_args!("{} {what}", self.clock));
        if what == "time: to the deadline" {
            return self.at_the_deadline();
        }
        Ok(())
    }

    /// The very instant of a deadline: a covered approval still leaves, any other is too late.
    fn at_the_deadline(&mut self) -> Checked {
        let Some(held) = self.waiting.last() else {
            return Ok(());
        };
        let deadline = held.received + DEADLINE_US;
        if self.clock > deadline {
            return Ok(());
        }
        self.clock = deadline;
        let waited = self.engine.covers(held.waiting.position);
        self.cover.hit(if waited == Some(Waited::Durable) {
            "deadline to the microsecond: covered"
        } else {
            "deadline to the microsecond: not covered"
        });
        self.finish(self.waiting.len() - 1, waited.unwrap_or(Waited::TimedOut))
    }

    // ---- the owner ----

    fn reload(&mut self) {
        let mut world = self.world().clone();
        let what = world.change(&mut self.chance);
        self.cover.hit(what);
        self.trace.note(format_args!("{what}"));
        self.worlds.push(world);
        let version = self.worlds.len() - 1;
        let snapshot = compile(self.world(), version, self.planted.twist(), &self.keys);
        drop(self.engine.snapshots.publish(snapshot));
    }

    /// Lock, freeze, cancel, pause, and back.
    fn command(&mut self) -> Checked {
        let cards = self.world().cards.len();
        let at = self.chance.index(cards);
        let card = self.world().cards[at].clone();
        let owner = Owner::Customer(card.customer);
        let now = Timestamp::from_micros(self.clock);
        if let Some(agent) = card.agent.filter(|_| self.chance.one_in(3)) {
            let set = self.model.agent_set(owner, agent);
            let statuses = [
                AgentStatus::Active,
                AgentStatus::Active,
                AgentStatus::Paused,
            ];
            let status = statuses[self.chance.index(3)];
            let answer = self.engine.set_agent(card.customer, agent, status, now);
            self.trace
                .note(format_args!("agent {agent} {status:?}: {answer:?}"));
            self.engine.kick();
            if let Ok(position) = answer {
                hold!(
                    position.is_some() == (set != status),
                    "rules",
                    "agent {agent}"
                );
                self.commanded(owner, What::AgentSet(agent, status), position);
            }
            return Ok(());
        }
        let (status, frozen) = self.model.card_set(owner, at);
        let next = match self.chance.below(24) {
            0..3 => (Some(CardStatus::Locked), None),
            3..13 => (Some(CardStatus::Active), None),
            13 => (Some(CardStatus::Canceled), None),
            14..16 => (None, Some(true)),
            _ => (None, Some(false)),
        };
        let wanted = (next.0.unwrap_or(status), next.1.unwrap_or(frozen));
        let answer = self.engine.set_card(&card, at, next, now);
        self.trace
            .note(format_args!("card {at} {next:?}: {answer:?}"));
        self.engine.kick();
        if status == CardStatus::Canceled && wanted.0 != CardStatus::Canceled {
            hold!(
                answer.is_err(),
                "rules",
                "card {at} came back from the dead"
            );
            self.cover.hit("command refused");
        } else if let Ok(position) = answer {
            let changes = wanted != (status, frozen);
            hold!(
                position.is_some() == changes,
                "rules",
                "card {at}: {answer:?}"
            );
            self.commanded(owner, What::CardSet(at, wanted.0, wanted.1), position);
        }
        Ok(())
    }

    fn commanded(&mut self, owner: Owner, what: What, position: Option<u64>) {
        if position.is_some() {
            self.cover.hit("command");
            self.backlog += 1;
            let line = self.model.push(owner, what, position);
            self.commands.push(line);
        }
    }

    fn sweep(&mut self) -> Checked {
        let cut = self.clock - RETENTION_US;
        let stale = self.model.stale(cut);
        let before = self.engine.authorization_counts();
        let complete = self.engine.sweep(Timestamp::from_micros(cut));
        let after = self.engine.authorization_counts();
        self.engine.kick();
        for owner in &stale {
            if before.get(owner) != after.get(owner) {
                self.cover.hit("swept");
                self.backlog += 1;
                self.model.push(*owner, What::Swept(cut), None);
            } else {
                hold!(!complete, "rules", "{owner:?} was not swept");
            }
        }
        Ok(())
    }

    // ---- the disk ----

    fn idle_mark(&mut self) {
        if self.engine.idle_mark() {
            self.cover.hit("idle mark");
        }
    }

    fn retry_create(&mut self) {
        self.engine.ledger.journal().retry_create();
    }

    fn toggle_disk_full(&mut self) {
        self.is_disk_full = !self.is_disk_full && self.chance.one_in(4);
        let full: (fn(&Io) -> bool, IoFault) =
            (|io| matches!(io, Io::Create { .. }), IoFault::ENOSPC);
        self.disk.fail_all(self.is_disk_full.then_some(full));
        if self.is_disk_full {
            self.cover.hit("disk full");
        }
    }

    /// The next operation, or one soon after, fails.
    fn fail_next(&mut self) -> Checked {
        let nth = 1 + self.chance.below(3);
        self.disk.fail_nth(nth, IoFault::EIO);
        self.trace
            .note(format_args!("operation {nth} from here will fail"));
        Ok(())
    }

    fn checkpoint(&mut self) -> Checked {
        match self.chance.below(6) {
            0 => {
                self.disk.stop_at_nth(1 + self.chance.below(8));
                let made = self.engine.checkpoint(&self.disk);
                if made.is_err() {
                    self.cover.hit("crash: in a checkpoint");
                    return self.crash();
                }
                self.disk.stop_at_nth(u64::MAX / 2);
                return Ok(());
            }
            1 => self.disk.fail_nth(1 + self.chance.below(6), IoFault::EIO),
            _ => {}
        }
        let made = self.engine.checkpoint(&self.disk);
        self.trace.note(format_args!("checkpoint: {made:?}"));
        self.cover.hit(match made {
            Ok(true) => "checkpoint",
            Ok(false) => "checkpoint: nothing sealed",
            Err(_) => "fault: checkpoint",
        });
        Ok(())
    }

    fn close(&mut self) -> Checked {
        self.engine.ledger.journal().close();
        self.engine.kick();
        self.is_closing = true;
        for _ in 0..self.chance.below(30) {
            match self.chance.below(4) {
                0 => self.deliver_new()?,
                1 => self.finish_some()?,
                _ => self.advance(WRITE)?,
            }
        }
        self.engine.settle(&self.disk);
        let (closed, poisoned) = {
            let journal = self.engine.ledger.journal();
            (journal.is_closed(), journal.is_poisoned())
        };
        hold!(closed, "I7", "closing does not end");
        self.finish_all()?;
        if !poisoned {
            self.cover.hit("closed gracefully");
            self.relied_on.extend(0..self.model.lines.len());
        }
        self.crash()
    }

    fn finish_all(&mut self) -> Checked {
        while let Some(held) = self.waiting.last() {
            let waited = self.engine.covers(held.waiting.position);
            self.finish(self.waiting.len() - 1, waited.unwrap_or(Waited::TimedOut))?;
        }
        Ok(())
    }

    /// Everything that was begun comes to its end, and everything is compared.
    pub(crate) fn rest(&mut self) -> Checked {
        self.is_disk_full = false;
        self.disk.fail_all(None);
        self.disk.fail_nth(u64::MAX / 2, IoFault::EIO);
        for _ in 0..2 {
            self.retry_create();
            self.engine.settle(&self.disk);
        }
        self.commands_return();
        self.backlog = 0;
        self.finish_covered()?;
        self.engine.settle(&self.disk);
        self.at_rest()?;
        self.must_answer = !self.engine.ledger.journal().is_poisoned() && !self.is_closing;
        let answered = self.deliver_new();
        self.must_answer = false;
        answered
    }

    fn finish_covered(&mut self) -> Checked {
        let mut at = 0;
        while let Some(held) = self.waiting.get(at) {
            match self.engine.covers(held.waiting.position) {
                Some(waited) => self.finish(at, waited)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    // ---- the end of a life, and the next ----

    fn crash(&mut self) -> Checked {
        let how = [
            Crash::Kills,
            Crash::Kills,
            Crash::LosesAll,
            Crash::KeepsAll,
            Crash::Scrambles,
            Crash::Scrambles,
        ][self.chance.index(6)];
        if self.chance.one_in(2) {
            if let Some(name) = self.engine.cut_off(&self.disk, &mut self.chance) {
                self.cover.hit(match name {
                    "write" => "crash: in a write",
                    "sync" => "crash: in a sync",
                    "create" => "crash: in a create",
                    _ => "crash: in a sync of the directory",
                });
            }
        }
        let names = countersign::ledger::embedded::io::Storage::list(&self.disk);
        self.trace.note(format_args!("{how:?}: {names:?}"));
        self.disk.crash(how, &mut self.chance);
        let names = countersign::ledger::embedded::io::Storage::list(&self.disk);
        self.trace.note(format_args!("{names:?}"));
        self.cover.hit(match how {
            Crash::Kills => "crash: kill",
            Crash::LosesAll => "crash: power, unsynced lost",
            Crash::KeepsAll => "crash: power, unsynced kept",
            Crash::Scrambles => "crash: power, unsynced scrambled",
        });
        let (written, durable) = {
            let journal = self.engine.ledger.journal();
            (journal.written().0, journal.durable().0)
        };
        let mut power = how != Crash::Kills;
        let depth = self.chance.below(4);
        for level in 0..depth {
            self.disk.stop_at_nth(1 + self.chance.below(4));
            match find(&self.disk, Planted::Nothing) {
                Err(NoStart::Journal(error)) if is_io(&error) => {
                    self.cover.hit(match level {
                        0 => "crash: in recovery",
                        1 => "crash: in recovery, twice",
                        _ => "crash: in recovery, three times",
                    });
                }
                Err(why) => return Err(no_start(&why)),
                Ok(_) => {}
            }
            let names = countersign::ledger::embedded::io::Storage::list(&self.disk);
            self.trace.note(format_args!("recovery {level}: {names:?}"));
            let again = [Crash::Kills, Crash::LosesAll, Crash::Scrambles][self.chance.index(3)];
            power |= again != Crash::Kills;
            self.disk.crash(again, &mut self.chance);
        }
        let promised = if power { durable } else { written.max(durable) };
        self.start(promised, power)
    }

    fn start(&mut self, promised: u64, power: bool) -> Checked {
        self.is_disk_full = false;
        self.is_closing = false;
        self.surviving = None;
        self.waiting.clear();
        self.commands.clear();
        self.backlog = 0;
        self.life += 1;
        let found = find(&self.disk, self.planted).map_err(|why| no_start(&why))?;
        if found.from_checkpoint {
            self.cover.hit("restart from a checkpoint");
        }
        self.compare_recovered(promised, power)?;
        let back = self.chance.one_in(8);
        let step = i64::try_from(self.chance.below(86_400_000_000)).unwrap();
        self.clock += if back { -step } else { step / 1_000 };
        if back {
            self.cover.hit("time: back at a restart");
        }
        if self.chance.one_in(8) {
            self.cover.hit("another durability after a restart");
            self.durability = match self.durability {
                Durability::Strict => Durability::Relaxed,
                Durability::Relaxed => Durability::Strict,
            };
        }
        let pipeline = Arc::new(Pipeline::new());
        if self.chance.one_in(2) {
            self.ask_unready(&pipeline)?;
        }
        let version = self.worlds.len() - 1;
        let snapshot = compile(self.world(), version, self.planted.twist(), &self.keys);
        let seeds = self.chance.next();
        let (durability, planted) = (self.durability, self.planted);
        self.engine = Engine::start(
            &self.disk, found, pipeline, snapshot, durability, planted, seeds,
        );
        Ok(())
    }

    /// Before recovery nothing is approved.
    fn ask_unready(&mut self, pipeline: &Pipeline) -> Checked {
        let message = self.new_message();
        let body = message.body();
        let now = Timestamp::from_micros(self.clock);
        let headers = message.signed(&body, now);
        let arrival = Arrival {
            connection: &self.connection,
            headers: headers.received(),
            body: &body,
            received: now,
        };
        match pipeline.begin(&arrival, || now) {
            Begun::Decided(finished) => {
                let unavailable = Decision::Decline(DeclineReason::LedgerUnavailable);
                hold!(
                    finished.decision == unavailable,
                    "I6",
                    "{:?} before recovery",
                    finished.decision
                );
                self.cover.hit("asked before recovery");
                Ok(())
            }
            Begun::NotUnderstood(..) if message.garbled => Ok(()),
            Begun::NotUnderstood(..) | Begun::Refused(_) | Begun::Waiting(_) => Err(Violation {
                law: "I6",
                text: "no decline before recovery".to_owned(),
            }),
        }
    }
}

/// Which invariant a wrong decision breaks.
fn law_of(expected: Decision, got: Decision) -> &'static str {
    let over_limit = matches!(
        expected,
        Decision::Decline(
            DeclineReason::AmountOverPerAuth
                | DeclineReason::CardLimitExceeded
                | DeclineReason::AgentLimitExceeded
                | DeclineReason::CustomerLimitExceeded
        )
    );
    if over_limit && got.is_approval() {
        "I1"
    } else {
        "rules"
    }
}

fn is_io(error: &countersign::ledger::embedded::recover::RecoverError) -> bool {
    matches!(
        error,
        countersign::ledger::embedded::recover::RecoverError::Io { .. }
    )
}

fn no_start(why: &NoStart) -> Violation {
    Violation {
        law: "I3",
        text: format!("no start after a crash: {why:?}"),
    }
}

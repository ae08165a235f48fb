//! The issuer's side of a run: what it asks, how often, and what the model says to the answers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::hot::pipeline::{Arrival, Begun, Finished, Pipeline, Waiting};

use crate::engine::{DEADLINE_US, TOLERANCE_S};
use crate::issuer::Message;
use crate::model::{Decided, Prediction, Verdict, What};
use crate::planted::Planted;
use crate::run::{Checked, DAY_US, Held, Run, Sent};
use crate::trace::{Violation, hold};
use crate::world::World;

/// No issuer redelivers what is older.
const REDELIVERED_US: i64 = 30 * DAY_US;
/// A card that no document ever names.
const NOBODYS_CARD: usize = 99;
/// Time that passes before the clock is read.
const READ_US: i64 = 3;

impl Run {
    pub(crate) fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    /// Any card, seldom one that nobody knows.
    pub(crate) fn any_card(&mut self) -> usize {
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
    pub(crate) fn any_amount(&mut self, card: usize) -> i64 {
        let room = self.model.room(self.world(), card, self.clock);
        match (self.chance.below(10), room) {
            (0..3, Some(room)) => room,
            (3, Some(room)) => room + 1,
            (5, _) => 0,
            (6, _) => 1 + i64::try_from(self.chance.below(500)).unwrap(),
            _ => 1 + i64::try_from(self.chance.below(60)).unwrap(),
        }
    }

    pub(crate) fn new_message(&mut self) -> Message {
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
        let merchant = self.chance.index(5);
        let message = Message {
            authorization: self.number(),
            step: self.chance.one_in(2).then_some(self.next_number),
            delivery: self.number(),
            card,
            kind,
            amount,
            euros: self.chance.one_in(40),
            cash: kind == AuthorizationKind::Authorization && self.chance.one_in(40),
            merchant,
            takes_part: self.chance.one_in(3),
            garbled: self.chance.one_in(60),
        };
        self.as_intended(message)
    }

    /// Remembers a message, so that it can come again.
    pub(crate) fn send(&mut self, message: Message) -> usize {
        let body = message.body();
        self.sent.push(Sent {
            message: Rc::new(message),
            body,
            first_at: self.clock,
        });
        self.sent.len() - 1
    }

    pub(crate) fn deliver_new(&mut self) -> Checked {
        let message = self.new_message();
        let sent = self.send(message);
        self.deliver(sent)
    }

    /// A message that was sent before, mostly a late one, if the issuer would still send it.
    pub(crate) fn earlier(&mut self) -> Option<usize> {
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

    pub(crate) fn deliver_increment(&mut self) -> Checked {
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

    pub(crate) fn redeliver(&mut self) -> Checked {
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
    pub(crate) fn deliver_conflict(&mut self) -> Checked {
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

    pub(crate) fn deliver_raced(&mut self, at: usize, may_race: bool) -> Checked {
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
        // Judged at receipt: a body that came slowly makes nothing older.
        let age = received.div_euclid(1_000_000) - signed_at.secs();
        let in_tolerance = age.abs() <= i64::from(TOLERANCE_S);
        let version = self.worlds.len() - 1;
        let races = may_race && self.chance.one_in(4);
        let appended = Cell::new(self.engine.ledger.journal().appended());
        let begun = {
            let connection = Arc::clone(&self.connection);
            let arrival = Arrival {
                connection: &connection,
                headers: headers.presented(),
                body: &sent.body,
                received: Timestamp::from_micros(received),
                behind_us: 0,
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
                    appended.set(run.engine.ledger.journal().appended());
                }
                Timestamp::from_micros(run.clock)
            })
        };
        if let Some(violation) = self.failed.take() {
            return Err(violation);
        }
        self.has_appended = self.engine.ledger.journal().appended() != appended.get();
        self.on_begun(at, received, version, in_tolerance, begun)
    }

    /// Something else between the load of the snapshot and the atomic step.
    pub(crate) fn race(&mut self, at: usize) {
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
            3 => {
                self.cover.hit("race: an agent's word");
                self.agent_speaks()
            }
            4 => {
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
    pub(crate) fn pipeline_for(&self, arrival: &Arrival<'_>) -> Arc<Pipeline> {
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
        let garbled = self.sent[at].message.garbled;
        match &begun {
            Begun::Refused(why) => {
                hold!(!in_tolerance, "I8", "a lawful delivery was refused: {why}");
                self.cover.hit("refused: signature");
                return Ok(());
            }
            Begun::NotUnderstood(cause, reply) => {
                hold!(garbled, "I8", "not understood: {cause}");
                hold!(reply.status == 400, "I8", "status {}", reply.status);
                self.cover.hit("refused: not understood");
                return Ok(());
            }
            Begun::Decided(_) | Begun::Waiting(_) | Begun::Drafted(_) => {}
        }
        // What comes too late is declined before anybody reads it (behaviour 3.3).
        let overloaded = Decision::Decline(DeclineReason::Overloaded);
        let unread = matches!(&begun, Begun::Decided(it) if it.decision == overloaded)
            && self.clock > received + DEADLINE_US;
        if garbled && in_tolerance && unread {
            return Ok(());
        }
        hold!(in_tolerance && !garbled, "I8", "decided and not authentic");
        let message = &self.sent[at].message;
        self.trace.note(format_args!(
            "{} #{at} authorization {} step {:?} delivery {} card {} amount {}: {}",
            self.clock,
            message.authorization,
            message.step,
            message.delivery,
            message.card,
            message.amount,
            outcome(&begun)
        ));
        match begun {
            Begun::Decided(finished) => self.on_decided(at, received, version, &finished),
            Begun::Waiting(waiting) => self.on_waiting(at, received, version, waiting),
            Begun::Drafted(_) => panic!("nobody shares this log"),
            Begun::Refused(_) | Begun::NotUnderstood(..) => Ok(()),
        }
    }

    fn on_decided(
        &mut self,
        at: usize,
        received: i64,
        version: usize,
        finished: &Finished,
    ) -> Checked {
        if finished.appended {
            self.engine.kick();
        }
        let Decision::Decline(reason) = finished.decision else {
            let text = "an approval did not wait".to_owned();
            return Err(Violation { law: "I4", text });
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
        if reason == DeclineReason::Overloaded {
            // Not begun and not remembered: a redelivery is evaluated anew (behaviour 2.4, 3.3).
            hold!(
                self.clock > received + DEADLINE_US,
                "rules",
                "overloaded within the budget"
            );
            return Ok(());
        }
        let prediction = self.predicted(at, received, version);
        let line = self.take(at, &prediction, finished.decision, None)?;
        self.reply(at, line, finished.decision)
    }

    fn on_waiting(
        &mut self,
        at: usize,
        received: i64,
        version: usize,
        waiting: Waiting,
    ) -> Checked {
        self.engine.kick();
        hold!(
            !self.is_poisoned(),
            "I6",
            "an approval while nothing is certain"
        );
        let prediction = self.predicted(at, received, version);
        let position = Some(waiting.position);
        let token = self.sent[at].message.token();
        let Some(decision) = self.engine_says(prediction.owner, &token, position) else {
            let text = format!("nothing stands at {position:?}");
            return Err(Violation { law: "I8", text });
        };
        let line = self.take(at, &prediction, decision, position)?;
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

    /// What the model says to the message, under the snapshot that the engine must have used: the
    /// one at its beginning, unless a card was published meanwhile that nobody knew.
    pub(crate) fn predicted(&self, at: usize, received: i64, version: usize) -> Prediction {
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
    pub(crate) fn take(
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
                if self.has_appended {
                    self.model.push(owner, What::Redelivered(*line), None);
                } else {
                    hold!(!self.must_answer, "I8", "a redelivery was not counted");
                    self.cover.hit("redelivery without room to count it");
                }
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
                self.take_new(decided, decision, position)?;
                let what = What::Decided(decided.clone());
                Ok(Some(self.model.push(owner, what, position)))
            }
        }
    }

    fn take_new(
        &mut self,
        decided: &Decided,
        decision: Decision,
        position: Option<u64>,
    ) -> Checked {
        hold!(
            decided.decision == decision,
            law_of(decided.decision, decision),
            "the engine says {decision:?}, the model {:?}: {:?}",
            decided.decision,
            decided.message
        );
        let positions = self.model.lines.iter().filter_map(|line| line.position);
        let last = positions.max();
        hold!(
            position.is_none() || position > last,
            "I8",
            "position {position:?} after {last:?}"
        );
        if decided.reserved > 0 {
            self.cover.hit("approved");
            let world = &self.worlds[decided.version];
            let above = self.model.span_above(world, decided);
            hold!(above.is_none(), "I1", "a span would hold {above:?}");
        }
        if decision != Decision::Approve && decision.is_approval() {
            self.cover.hit("approved in part");
        }
        if decided.takes.is_some() {
            self.cover.hit("approved: takes an intent");
        }
        if decided.flagged {
            self.cover.hit("approved: flagged");
        }
        if decided.consumes {
            self.cover.hit("approved: consumes");
        }
        if decided.locks {
            self.cover.hit("approved: locks");
        }
        Ok(())
    }
}

fn outcome(begun: &Begun) -> String {
    match begun {
        Begun::Decided(finished) => format!("{:?}", finished.decision),
        Begun::Waiting(waiting) => format!("waits for {}", waiting.position),
        Begun::Drafted(drafted) => format!("is to be agreed on: {:?}", drafted.draft),
        Begun::Refused(why) => why.to_string(),
        Begun::NotUnderstood(cause, _) => cause.to_string(),
    }
}

/// Which invariant a wrong decision breaks.
fn law_of(expected: Decision, got: Decision) -> &'static str {
    let over_limit = matches!(
        expected,
        Decision::Decline(
            DeclineReason::AmountOverPerAuth
                | DeclineReason::CountLimitReached
                | DeclineReason::CardLimitExceeded
                | DeclineReason::AgentLimitExceeded
                | DeclineReason::CustomerLimitExceeded
        )
    );
    let too_much = match (expected, got) {
        (Decision::ApprovePartial(_), Decision::Approve) => true,
        (Decision::ApprovePartial(room), Decision::ApprovePartial(part)) => part > room,
        _ => false,
    };
    if (over_limit && got.is_approval()) || too_much {
        "I1"
    } else {
        "rules"
    }
}

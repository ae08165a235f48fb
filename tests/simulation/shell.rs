//! What writer threads, server and operator do, one move at a time.

use countersign::domain::card::{AgentStatus, CardStatus};
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::hot::pipeline::Waited;

use crate::engine::{DEADLINE_US, Moved, WRITE, compile};
use crate::model::{Owner, What};
use crate::planted::Planted;
use crate::run::{Checked, DAY_US, Held, Run, Seen};
use crate::trace::hold;

/// Authorizations are forgotten after this.
const RETENTION_US: i64 = 45 * DAY_US;

impl Run {
    pub(crate) fn advance(&mut self, lane: usize) -> Checked {
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
    pub(crate) fn commands_return(&mut self) {
        let reached = self.planted.reached(self.engine.reached());
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

    pub(crate) fn finish_some(&mut self) -> Checked {
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
            approval @ (Decision::Approve | Decision::ApprovePartial(_)) => {
                self.approval_leaves(&held, approval)
            }
            Decision::Decline(reason) => self.decline_leaves(&held, waited, reason),
        }
    }

    pub(crate) fn approval_leaves(&mut self, held: &Held, approval: Decision) -> Checked {
        let deadline = held.received + DEADLINE_US;
        hold!(
            self.clock <= deadline,
            "I5",
            "an approval left {} µs after its deadline",
            self.clock - deadline
        );
        self.assert_durable(held)?;
        hold!(
            self.model.decision_of(held.line) == Some(approval),
            "I2",
            "{approval:?} left, and what stands is {:?}",
            self.model.decision_of(held.line)
        );
        self.cover.hit(if held.is_new {
            "an approval left"
        } else {
            "an approval left again"
        });
        self.relied_on.insert(held.line);
        self.reply(held.sent, Some(held.line), approval)
    }

    pub(crate) fn decline_leaves(
        &mut self,
        held: &Held,
        waited: Waited,
        reason: DeclineReason,
    ) -> Checked {
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
    pub(crate) fn overruled(&mut self, held: &Held) -> Checked {
        let line = held.line;
        let stands = self.model.decision_of(line);
        if !stands.is_some_and(Decision::is_approval) {
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
    pub(crate) fn reply(&mut self, at: usize, line: Option<usize>, decision: Decision) -> Checked {
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
    pub(crate) fn lose_connection(&mut self) {
        if !self.waiting.is_empty() {
            let at = self.chance.index(self.waiting.len());
            self.waiting.swap_remove(at);
            self.cover.hit("connection lost while waiting");
        }
    }

    pub(crate) fn pass_time(&mut self) -> Checked {
        let chance = &mut self.chance;
        let (what, step) = match chance.below(40) {
            0..18 => ("time: some", chance.below(200_000)),
            18..20 => ("time: minutes", chance.below(3 * 60_000_000)),
            20..30 => ("time: past the deadline", 250_000 + chance.below(100_000)),
            30..33 => {
                let into_day = self.clock.rem_euclid(DAY_US);
                let near = i64::try_from(chance.below(4)).unwrap() - 2;
                let step = DAY_US - into_day + near;
                ("time: to midnight", u64::try_from(step.max(0)).unwrap())
            }
            33..35 => ("time: to the deadline", 0),
            35..38 => ("time: to an edge", 0),
            38 => ("time: days", chance.below(3 * 86_400_000_000)),
            _ => ("time: months", chance.below(60 * 86_400_000_000)),
        };
        self.clock += i64::try_from(step).unwrap();
        self.cover.hit(what);
        self.trace.note(format_args!("{} {what}", self.clock));
        match what {
            "time: to the deadline" => self.at_the_deadline(),
            "time: to an edge" => self.at_an_edge(),
            _ => Ok(()),
        }
    }

    /// The very instant of a deadline: a covered approval still leaves, any other is too late.
    pub(crate) fn at_the_deadline(&mut self) -> Checked {
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

    pub(crate) fn reload(&mut self) {
        let mut world = self.world().clone();
        let what = world.change(&mut self.chance);
        self.cover.hit(what);
        self.trace.note(format_args!("{what}"));
        self.worlds.push(world);
        let version = self.worlds.len() - 1;
        let snapshot = compile(self.world(), version, self.planted.twist(), &self.keys);
        self.engine.snapshots.publish(snapshot);
        self.engine.snapshots.free_retired();
    }

    /// Lock, freeze, cancel, pause, and back.
    pub(crate) fn command(&mut self) -> Checked {
        let cards = self.world().cards.len();
        let at = self.chance.index(cards);
        let card = self.world().cards[at].clone();
        let owner = Owner::Customer(card.customer);
        let now = Timestamp::from_micros(self.clock);
        if let Some(agent) = card.agent.filter(|_| self.chance.one_in(3)) {
            let set = self.model.agent_set(owner, agent);
            let status = if self.chance.one_in(8) {
                AgentStatus::Paused
            } else {
                AgentStatus::Active
            };
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
            0..2 => (Some(CardStatus::Locked), None),
            2..13 => (Some(CardStatus::Active), None),
            13 => (Some(CardStatus::Canceled), None),
            14 => (None, Some(true)),
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

    pub(crate) fn commanded(&mut self, owner: Owner, what: What, position: Option<u64>) {
        if position.is_some() {
            self.cover.hit("command");
            self.backlog += 1;
            let line = self.model.push(owner, what, position);
            self.commands.push(line);
        }
    }

    pub(crate) fn sweep(&mut self) -> Checked {
        let cut = self.clock - RETENTION_US;
        let stale = self.model.stale(cut);
        let before = self.engine.image_of_each();
        let complete = self.engine.sweep(Timestamp::from_micros(cut));
        let after = self.engine.image_of_each();
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
}

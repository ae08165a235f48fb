//! The disk, and how lives of the process end and begin.

use std::sync::Arc;

use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::time::Timestamp;
use countersign::hot::pipeline::{Arrival, Begun, Pipeline, Waited};
use countersign::ledger::embedded::io::{Io, IoFault};
use countersign::ledger::embedded::journal::Durability;
use countersign::ledger::embedded::recover::RecoverError;

use crate::disk::Crash;
use crate::engine::{Engine, NoStart, WRITE, compile, find};
use crate::planted::Planted;
use crate::run::{Checked, Run};
use crate::trace::{Violation, hold};

impl Run {
    pub(crate) fn idle_mark(&mut self) {
        if self.engine.idle_mark() {
            self.cover.hit("idle mark");
        }
    }

    pub(crate) fn retry_create(&mut self) {
        self.engine.ledger.journal().retry_create();
    }

    pub(crate) fn toggle_disk_full(&mut self) {
        self.is_disk_full = !self.is_disk_full && self.chance.one_in(4);
        let full: (fn(&Io) -> bool, IoFault) =
            (|io| matches!(io, Io::Create { .. }), IoFault::ENOSPC);
        self.disk.fail_all(self.is_disk_full.then_some(full));
        if self.is_disk_full {
            self.cover.hit("disk full");
        }
    }

    /// The next operation, or one soon after, fails.
    pub(crate) fn fail_next(&mut self) -> Checked {
        let nth = 1 + self.chance.below(3);
        self.disk.fail_nth(nth, IoFault::EIO);
        self.trace
            .note(format_args!("operation {nth} from here will fail"));
        Ok(())
    }

    pub(crate) fn checkpoint(&mut self) -> Checked {
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

    pub(crate) fn close(&mut self) -> Checked {
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

    pub(crate) fn finish_all(&mut self) -> Checked {
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
        if !self.is_poisoned() && !self.is_closing && self.chance.one_in(3) {
            self.tell_the_rest()?;
            self.commands_return();
            self.backlog = 0;
        }
        self.at_rest()?;
        self.compare_issued()?;
        self.must_answer = !self.is_poisoned() && !self.is_closing;
        let answered = self.deliver_new();
        self.must_answer = false;
        answered
    }

    pub(crate) fn finish_covered(&mut self) -> Checked {
        let mut at = 0;
        while let Some(held) = self.waiting.get(at) {
            match self.engine.covers(held.waiting.position) {
                Some(waited) => self.finish(at, waited)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    pub(crate) fn crash(&mut self) -> Checked {
        let how = [
            Crash::Kills,
            Crash::Kills,
            Crash::LosesAll,
            Crash::KeepsAll,
            Crash::Scrambles,
            Crash::Scrambles,
        ][self.chance.index(6)];
        if self.chance.one_in(2)
            && let Some(name) = self.engine.cut_off(&self.disk, &mut self.chance)
        {
            self.cover.hit(match name {
                "write" => "crash: in a write",
                "sync" => "crash: in a sync",
                "create" => "crash: in a create",
                _ => "crash: in a sync of the directory",
            });
        }
        self.disk.crash(how, &mut self.chance);
        self.trace.note(format_args!("crash: {how:?}"));
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
            let again = [Crash::Kills, Crash::LosesAll, Crash::Scrambles][self.chance.index(3)];
            power |= again != Crash::Kills;
            self.disk.crash(again, &mut self.chance);
        }
        let promised = if power { durable } else { written.max(durable) };
        self.start(promised, power)
    }

    pub(crate) fn start(&mut self, promised: u64, power: bool) -> Checked {
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
    pub(crate) fn ask_unready(&mut self, pipeline: &Pipeline) -> Checked {
        let message = self.new_message();
        let body = message.body();
        let now = Timestamp::from_micros(self.clock);
        let headers = message.signed(&body, now);
        let arrival = Arrival {
            connection: &self.connection,
            headers: headers.presented(),
            body: &body,
            received: now,
            behind_us: 0,
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
            Begun::NotUnderstood(..)
            | Begun::Refused(_)
            | Begun::Waiting(_)
            | Begun::Drafted(_) => Err(Violation {
                law: "I6",
                text: "no decline before recovery".to_owned(),
            }),
        }
    }
}

fn is_io(error: &RecoverError) -> bool {
    matches!(error, RecoverError::Io { .. })
}

fn no_start(why: &NoStart) -> Violation {
    Violation {
        law: "I3",
        text: format!("no start after a crash: {why}"),
    }
}

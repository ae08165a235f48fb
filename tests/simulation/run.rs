//! One run: what happens next is drawn from the seed, and after each thing the laws are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use countersign::domain::decision::Decision;
use countersign::fingerprint::Fingerprinter;
use countersign::hot::pipeline::{Connection, Pipeline, Waiting};
use countersign::ledger::embedded::journal::Durability;

use crate::disk::{Chance, Disk};
use crate::engine::{Engine, compile, connection, find, keys, singles};
use crate::issuer::Message;
use crate::model::Model;
use crate::planted::Planted;
use crate::reports::Issued;
use crate::trace::{Coverage, Trace, Violation};
use crate::world::World;

/// A day in microseconds.
pub(crate) const DAY_US: i64 = 86_400_000_000;

pub(crate) type Checked = Result<(), Violation>;

/// A message and its body.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) message: Rc<Message>,
    pub(crate) body: Rc<[u8]>,
    pub(crate) first_at: i64,
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
    pub(crate) connection: Arc<Connection>,
    /// Events that tell one movement each come through this one, which has the same name.
    pub(crate) singles: Arc<Connection>,
    /// What the issuer knows.
    pub(crate) issued: Vec<Issued>,
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
    pub(crate) next_number: u32,
    /// Frames appended since something was last written.
    pub(crate) backlog: u32,
    /// Whether the delivery under way has appended anything.
    pub(crate) has_appended: bool,
    pub(crate) is_disk_full: bool,
    pub(crate) is_closing: bool,
    /// Nothing is wrong, so that nothing may be called unavailable.
    pub(crate) must_answer: bool,
    pub(crate) failed: Option<Violation>,
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
            singles: Arc::new(singles()),
            issued: Vec::new(),
            engine,
            waiting: Vec::new(),
            sent: Vec::new(),
            seen: BTreeMap::new(),
            relied_on: BTreeSet::new(),
            commands: Vec::new(),
            surviving: None,
            next_number: 0,
            backlog: 0,
            has_appended: false,
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
        let poisoned = self.is_poisoned();
        if poisoned && self.chance.one_in(12) {
            return self.crash();
        }
        match self.chance.below(1000) {
            0..180 => {
                let habits = self.world().habits;
                if (habits.intents || habits.attestations) && self.chance.one_in(3) {
                    self.agent_speaks()?;
                }
                self.deliver_new()
            }
            180..230 => self.deliver_increment(),
            230..320 => self.redeliver(),
            320..340 => self.deliver_conflict(),
            340..430 => self.issuer_speaks(),
            430..650 => {
                let lane = [0, 0, 0, 1, 2][self.chance.index(5)];
                self.advance(lane)
            }
            650..840 => self.finish_some(),
            983..985 => self.close(),
            985..992 => self.crash(),
            992 => {
                self.request_panics();
                Ok(())
            }
            993..996 => self.deliver_new(),
            996.. => self.fail_next(),
            what => {
                self.step_aside(what);
                self.failed.take().map_or(Ok(()), Err)
            }
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        let ledger = &self.engine.ledger;
        ledger.is_poisoned() || ledger.journal().is_poisoned()
    }

    /// As the server does it when a decision panicked: nothing is approved until a restart.
    fn request_panics(&mut self) {
        self.cover.hit("a request panicked");
        self.engine.ledger.poison();
    }

    /// What happens beside the issuer's questions.
    fn step_aside(&mut self, what: u64) {
        let checked = match what {
            840..850 => {
                self.lose_connection();
                Ok(())
            }
            850..890 => self.pass_time(),
            890..910 => {
                self.reload();
                Ok(())
            }
            910..925 if self.chance.one_in(2) => self.command(),
            910..925 => self.agent_speaks(),
            925..930 => self.sweep(),
            930..940 => {
                self.idle_mark();
                Ok(())
            }
            940..948 => self.checkpoint(),
            948..966 => {
                self.retry_create();
                Ok(())
            }
            966..973 => {
                self.toggle_disk_full();
                Ok(())
            }
            _ => self.rest(),
        };
        self.failed = checked.err();
    }
}

//! One life of the engine: the real pipeline, ledger and journal, and the part of writer threads and
//! server played by whoever moves the lanes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::snapshot::Snapshot;
use countersign::domain::hold_time::HoldTime;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::hot::pipeline::{Arrival, Begun, Connection, Core, Pipeline, Waited};
use countersign::issuer::delivery::Unsigned;
use countersign::issuer::standard_webhooks::Verifier;
use countersign::issuer::{Issuer, marqeta};
use countersign::ledger::embedded::checkpoint;
use countersign::ledger::embedded::checkpoint::merge::{Sealed, merge};
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::{Io, IoFault, Storage};
use countersign::ledger::embedded::journal::{Config, Durability, Journal, Lane};
use countersign::ledger::embedded::rebuild::{Rebuild, advance, state_of};
use countersign::ledger::embedded::recover::{RecoverError, examine, recover};
use countersign::ledger::embedded::store::{EmbeddedLedger, SweepCursor};
use countersign::ledger::event::Owner;
use countersign::ledger::state::State;
use countersign::seam::snapshot::CurrentSnapshot;

use crate::disk::{Chance, Disk};
use crate::issuer::secret;
use crate::model;
use crate::planted::Planted;
use crate::world::{CONNECTION, Twist, World};

pub(crate) const ID: JournalId = JournalId(*b"simulated journl");
/// From receipt to our answer.
pub(crate) const DEADLINE_US: i64 = 300_000;
/// Both ways, in seconds.
pub(crate) const TOLERANCE_S: u32 = 300;
const LANES: [Lane; 3] = [Lane::Write, Lane::Sync, Lane::Create];
pub(crate) const WRITE: usize = 0;

/// Hashes as the data directory's seed says.
pub(crate) fn keys() -> Fingerprinter {
    let JournalId([a, b, c, d, e, f, g, h, ..]) = ID;
    Fingerprinter::new(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

pub(crate) fn connection() -> Connection {
    Connection {
        name: CONNECTION.into(),
        issuer: Issuer::Lithic(
            Verifier::new(vec![secret()], TOLERANCE_S, Unsigned::Refuse).unwrap(),
        ),
        events: None,
        deadline_us: DEADLINE_US,
        index: 0,
    }
}

/// The same, for events that tell one movement each.
pub(crate) fn singles() -> Connection {
    let open = marqeta::Verifier::new(Vec::new(), Vec::new(), Unsigned::Accept);
    Connection {
        events: Some(Issuer::Marqeta(open.unwrap())),
        ..connection()
    }
}

pub(crate) fn compile(
    world: &World,
    version: usize,
    twist: Twist,
    keys: &Fingerprinter,
) -> Snapshot {
    let context = DocumentContext {
        file: "snapshot.json",
        connections: &[CONNECTION],
        version: version as u64,
    };
    let document = world.render(twist);
    read_snapshot(document.as_bytes(), context, keys)
        .unwrap_or_else(|errors| panic!("{errors:?} in {document}"))
}

/// Segments for a few dozen records, in one size for each life.
fn config(durability: Durability, seed: u64) -> Config {
    Config {
        segment_size: [8 << 10, 12 << 10][usize::from(seed.is_multiple_of(2))],
        batch_size_max: 1 << 10,
        pending_size_max: 16 << 10,
        release_size: 512,
        ..Config::new(durability)
    }
}

/// What a start found.
pub(crate) struct Found {
    pub(crate) states: Vec<State>,
    pub(crate) next: Cursor,
    pub(crate) from_checkpoint: bool,
}

/// Why there is no start.
#[derive(Debug)]
pub(crate) enum NoStart {
    Journal(RecoverError),
    NotUnderstood(String),
}

impl std::fmt::Display for NoStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::NotUnderstood(what) => f.write_str(what),
        }
    }
}

impl From<RecoverError> for NoStart {
    fn from(error: RecoverError) -> Self {
        Self::Journal(error)
    }
}

/// As the wiring does it: the newest checkpoint, then the records behind it.
pub(crate) fn find(storage: &dyn Storage, planted: Planted) -> Result<Found, NoStart> {
    let not_understood = |what: &dyn std::fmt::Debug| NoStart::NotUnderstood(format!("{what:?}"));
    let mut rebuild = Rebuild::new();
    let mut from = Cursor::GENESIS;
    let loaded = checkpoint::load(storage)?;
    if let Some(checkpoint) = loaded.checkpoint {
        let mut entries = checkpoint.entries(storage)?;
        while let Some((_, image)) = entries.next()? {
            rebuild
                .restore(image)
                .map_err(|malformed| not_understood(&malformed))?;
        }
        from = checkpoint.covers;
    }
    let mut number = 0;
    let found = recover(storage, None, from, |record| {
        number += 1;
        if let Some(payload) = planted.recovered(number, record.payload) {
            rebuild.take(record.sequence, &payload);
        }
    })?;
    let states = rebuild.finish().map_err(|why| not_understood(&why))?;
    Ok(Found {
        states,
        next: found.next,
        from_checkpoint: loaded.checkpoint.is_some(),
    })
}

/// Every record from the beginning on, without changing anything.
pub(crate) fn records(storage: &dyn Storage) -> Result<Vec<(u64, Vec<u8>)>, RecoverError> {
    let mut records = Vec::new();
    examine(storage, None, Cursor::GENESIS, |record| {
        records.push((record.sequence, record.payload.to_vec()));
    })?;
    Ok(records)
}

/// An operation under way in a lane: given out, or executed and not yet reported.
#[derive(Debug)]
enum Flight {
    Given(Io),
    Executed(Io, Result<(), IoFault>),
}

/// What a lane did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Nothing,
    Gave(&'static str),
    Executed(&'static str, bool),
    Reported,
}

/// One life.
pub(crate) struct Engine {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) ledger: Arc<EmbeddedLedger>,
    pub(crate) snapshots: Arc<CurrentSnapshot>,
    durability: Durability,
    pub(crate) planted: Planted,
    flights: [Option<Flight>; 3],
    /// Whether the writer thread runs or was kicked.
    awake: bool,
}

impl Engine {
    pub(crate) fn start(
        disk: &Disk,
        found: Found,
        pipeline: Arc<Pipeline>,
        snapshot: Snapshot,
        durability: Durability,
        planted: Planted,
        seed: u64,
    ) -> Self {
        let mut seeds = Chance::new(seed);
        let seeds = Box::new(move || seeds.next());
        let mut journal = Journal::new(config(durability, seed), ID, found.next, seeds);
        // The first segment is there before anything is asked; without room for it, nothing is
        // taken until there is.
        while let Some(io) = journal.next_io(Lane::Create) {
            let result = planted.execute(disk, &io);
            journal.complete(io, result);
        }
        let journal = Arc::new(Mutex::new(journal));
        let ledger = Arc::new(EmbeddedLedger::new(found.states, journal));
        let snapshots = Arc::new(CurrentSnapshot::new(snapshot));
        pipeline.arm(Core {
            keys: keys(),
            ledger: Arc::clone(&ledger),
            snapshots: Arc::clone(&snapshots),
        });
        Self {
            pipeline,
            ledger,
            snapshots,
            durability,
            planted,
            flights: [None, None, None],
            awake: false,
        }
    }

    /// As the server does it when a frame was appended.
    pub(crate) fn kick(&mut self) {
        self.awake = true;
    }

    /// Through which position the configured level is reached.
    pub(crate) fn reached(&self) -> u64 {
        let journal = self.ledger.journal();
        match self.durability {
            Durability::Strict => journal.durable().0,
            Durability::Relaxed => journal.written().0,
        }
    }

    /// What a waiting answer learns.
    pub(crate) fn covers(&self, position: u64) -> Option<Waited> {
        if self.reached() >= position {
            Some(Waited::Durable)
        } else if self.ledger.journal().is_poisoned() {
            Some(Waited::Poisoned)
        } else {
            None
        }
    }

    /// Moves the lane on by one: gives, executes or reports.
    pub(crate) fn advance(&mut self, lane: usize, disk: &Disk) -> Moved {
        match self.flights[lane].take() {
            None => {
                if lane == WRITE && !self.awake {
                    return Moved::Nothing;
                }
                let given = self.ledger.journal().next_io(LANES[lane]);
                let Some(io) = given else {
                    self.awake &= lane != WRITE;
                    return Moved::Nothing;
                };
                let name = name_of(&io);
                self.flights[lane] = Some(Flight::Given(io));
                Moved::Gave(name)
            }
            Some(Flight::Given(io)) => {
                let name = name_of(&io);
                let result = self.planted.execute(disk, &io);
                let good = result.is_ok();
                self.flights[lane] = Some(Flight::Executed(io, result));
                Moved::Executed(name, good)
            }
            Some(Flight::Executed(io, result)) => {
                self.ledger.journal().complete(io, result);
                // The sync thread wakes the writer, for whom a batch may wait or a mark be due.
                self.awake |= lane == 1;
                Moved::Reported
            }
        }
    }

    /// Has an operation that was given out begun and cut off by a crash, if there is one.
    pub(crate) fn cut_off(&mut self, disk: &Disk, chance: &mut Chance) -> Option<&'static str> {
        let given = |flight: &&mut Option<Flight>| matches!(flight, Some(Flight::Given(_)));
        let mut flights: Vec<_> = self.flights.iter_mut().filter(given).collect();
        if flights.is_empty() {
            return None;
        }
        let Some(Flight::Given(io)) = flights.swap_remove(chance.index(flights.len())).take()
        else {
            return None;
        };
        disk.stop_at_nth(1);
        let _outcome = disk.execute(&io);
        Some(name_of(&io))
    }

    /// As the writer thread does it when nothing was pending for a while.
    pub(crate) fn idle_mark(&mut self) -> bool {
        if self.awake || self.flights[WRITE].is_some() {
            return false;
        }
        self.flights[WRITE] = self.ledger.journal().idle_mark().map(Flight::Given);
        self.flights[WRITE].is_some()
    }

    /// Moves all lanes until nothing is left to do for anybody who was kicked.
    pub(crate) fn settle(&mut self, disk: &Disk) {
        while (0..3).any(|lane| self.advance(lane, disk) != Moved::Nothing) {}
    }

    /// Folds what is sealed into the next checkpoint.
    pub(crate) fn checkpoint(&self, disk: &Disk) -> Result<bool, String> {
        let before = self.ledger.journal().sealed_before();
        let sealed = Sealed {
            before,
            count_max: 4,
        };
        merge(disk, ID, sealed, state_of, |_, image, payloads| {
            advance(image, payloads)
        })
        .map(|made| made.is_some())
        .map_err(|error| {
            if error.leaves_names_in_doubt() {
                self.ledger.journal().poison();
            }
            error.to_string()
        })
    }

    /// What the engine would say if it were asked now, on a copy of its state.
    pub(crate) fn would_approve(&self, arrival: &Arrival<'_>, now: Timestamp) -> bool {
        let copy = |(_, bytes): (u32, Vec<u8>)| countersign::ledger::image::decode(&bytes).unwrap();
        let states = self.images().into_iter().map(copy).collect();
        let disk = Disk::new();
        let mut journal = Journal::new(
            config(self.durability, 0),
            ID,
            Cursor::GENESIS,
            Box::new(|| 1),
        );
        while let Some(io) = journal.next_io(Lane::Create) {
            let result = disk.execute(&io);
            journal.complete(io, result);
        }
        let pipeline = Pipeline::new();
        pipeline.arm(Core {
            keys: keys(),
            ledger: Arc::new(EmbeddedLedger::new(states, Arc::new(Mutex::new(journal)))),
            snapshots: Arc::clone(&self.snapshots),
        });
        matches!(pipeline.begin(arrival, || now), Begun::Waiting(_))
    }

    /// A pipeline over the same ledger that knows of no limits.
    pub(crate) fn unlimited(&self, world: &World, version: usize) -> Arc<Pipeline> {
        let snapshot = compile(world, version, Twist::Unlimited, &keys());
        let pipeline = Pipeline::new();
        pipeline.arm(Core {
            keys: keys(),
            ledger: Arc::clone(&self.ledger),
            snapshots: Arc::new(CurrentSnapshot::new(snapshot)),
        });
        Arc::new(pipeline)
    }

    /// Sweeps everything; whether it came to its end.
    pub(crate) fn sweep(&self, cut: Timestamp) -> bool {
        let mut cursor = Some(SweepCursor::default());
        while let Some(from) = cursor {
            match self.ledger.sweep(from, cut) {
                Ok(next) => cursor = next,
                Err(_refused) => return false,
            }
        }
        true
    }

    /// Gives back what was held and not spoken of since the cut; whether it came to its end.
    pub(crate) fn lapse(&self, cut: Timestamp, time: HoldTime) -> bool {
        if self.planted == Planted::NeverLapses {
            return true;
        }
        let time = if self.planted == Planted::LongHoldsEndEarly {
            HoldTime::Long
        } else {
            time
        };
        let cuts = [(CONNECTION.into(), time, cut)];
        let mut cursor = Some(SweepCursor::default());
        while let Some(from) = cursor {
            match self.ledger.lapse(from, &cuts) {
                Ok(next) => cursor = next,
                Err(_refused) => return false,
            }
        }
        true
    }

    /// Every owner's image.
    pub(crate) fn image_of_each(&self) -> BTreeMap<model::Owner, Vec<u8>> {
        let mut images = BTreeMap::new();
        self.ledger.each_state(|state| {
            let owner = match state.owner.as_owner() {
                Owner::Customer(id) => {
                    let number = id.strip_prefix("cus_").unwrap();
                    model::Owner::Customer(number.parse().unwrap())
                }
                Owner::Unattributed(_) => model::Owner::Nobody,
            };
            images.insert(owner, image(state).1);
        });
        images
    }

    /// Every state's image, by number.
    pub(crate) fn images(&self) -> Vec<(u32, Vec<u8>)> {
        let mut images = Vec::new();
        self.ledger.each_state(|state| images.push(image(state)));
        images.sort_unstable();
        images
    }
}

pub(crate) fn image(state: &State) -> (u32, Vec<u8>) {
    let bytes = countersign::ledger::image::encode(state);
    (state.no.0, bytes)
}

fn name_of(io: &Io) -> &'static str {
    match io {
        Io::Write { .. } => "write",
        Io::Sync { .. } => "sync",
        Io::SyncDir => "sync of the directory",
        Io::Create { .. } => "create",
        Io::CreateEmpty { .. }
        | Io::Truncate { .. }
        | Io::Rewrite { .. }
        | Io::Rename { .. }
        | Io::Remove { .. } => "other",
    }
}

//! A journal on a simulated disk, with all its lanes interleaved by chance.

use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::{Io, IoFault, Storage};
use countersign::ledger::embedded::journal::{
    Class, Config, Durability, Journal, Lane, Position, Refusal,
};
use countersign::ledger::embedded::recover::{RecoverError, Recovered, recover};

use crate::disk::{Chance, Disk};

pub(crate) const ID: JournalId = JournalId([9; 16]);
const LANES: [Lane; 3] = [Lane::Write, Lane::Sync, Lane::Create];
/// More than any test's journal has to do at once.
const SETTLE_STEPS_MAX: u32 = 10_000;

/// A record as appended and as recovered.
pub(crate) type Record = (u64, Vec<u8>);

/// An operation under way in a lane: given out, or executed and not yet reported.
#[derive(Debug)]
enum Flight {
    Given(Io),
    Executed(Io, Result<(), IoFault>),
}

/// One life of a process.
pub(crate) struct Run<'d> {
    pub(crate) disk: &'d Disk,
    pub(crate) journal: Journal,
    flights: [Option<Flight>; 3],
    /// What was appended in this life.
    pub(crate) appended: Vec<Record>,
}

pub(crate) fn small(durability: Durability) -> Config {
    Config {
        segment_size: 12 << 10,
        batch_size_max: 1 << 10,
        pending_size_max: 16 << 10,
        release_size: 512,
        ..Config::new(durability)
    }
}

impl<'d> Run<'d> {
    pub(crate) fn new(disk: &'d Disk, config: Config, next: Cursor, seed: u64) -> Self {
        let mut seeds = Chance::new(seed);
        let journal = Journal::new(config, ID, next, Box::new(move || seeds.next()));
        Self {
            disk,
            journal,
            flights: [None, None, None],
            appended: Vec::new(),
        }
    }

    /// Appends a payload; what it holds is known from its number and size.
    pub(crate) fn append(&mut self, size: usize, class: Class) -> Result<Position, Refusal> {
        let number = (self.appended.len() as u64).to_le_bytes();
        let mut payload = vec![number[0] | 1; size];
        let head = size.min(8);
        payload[..head].copy_from_slice(&number[..head]);
        let position = self.journal.append(&payload, class)?;
        self.appended.push((position.0, payload));
        Ok(position)
    }

    /// One move of a random lane, or an append.
    pub(crate) fn step(&mut self, chance: &mut Chance) {
        match chance.below(8) {
            0..3 => {
                let size = chance.index(300);
                let class = if chance.one_in(8) {
                    Class::Release
                } else {
                    Class::Reserve
                };
                let _refused = self.append(size, class);
            }
            3 if chance.one_in(4) => self.journal.retry_create(),
            3 if chance.one_in(4) => self.give_idle_mark(),
            _ => {
                let lane = chance.index(3);
                self.advance(lane);
            }
        }
    }

    fn give_idle_mark(&mut self) {
        if self.flights[0].is_none() {
            self.flights[0] = self.journal.idle_mark().map(Flight::Given);
        }
    }

    /// Moves the lane on by one: gives, executes or reports. Whether there was anything to do.
    pub(crate) fn advance(&mut self, lane: usize) -> bool {
        self.flights[lane] = match self.flights[lane].take() {
            None => self.journal.next_io(LANES[lane]).map(Flight::Given),
            Some(Flight::Given(io)) => {
                let result = self.disk.execute(&io);
                Some(Flight::Executed(io, result))
            }
            Some(Flight::Executed(io, result)) => {
                self.journal.complete(io, result);
                return true;
            }
        };
        self.flights[lane].is_some()
    }

    /// Moves all lanes until none has anything to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..SETTLE_STEPS_MAX {
            if !(0..3).any(|lane| self.advance(lane)) {
                return;
            }
        }
        panic!("the journal never comes to rest");
    }

    /// Appends small records until one is written to this segment.
    pub(crate) fn fill_until(&mut self, segment: u64) {
        for _ in 0..SETTLE_STEPS_MAX {
            if self.journal.tail().written.segment == segment {
                return;
            }
            self.append(20, Class::Reserve).unwrap();
            self.settle();
        }
        panic!("no record goes to segment {segment}");
    }

    /// Writes the idle mark, if it has news.
    pub(crate) fn mark(&mut self) {
        self.settle();
        self.give_idle_mark();
        self.settle();
    }

    pub(crate) fn close(&mut self) {
        self.journal.close();
        self.settle();
        assert!(self.journal.is_closed());
    }
}

/// Recovers, giving the records too.
pub(crate) fn reopen(disk: &Disk) -> Result<(Recovered, Vec<Record>), RecoverError> {
    let mut records = Vec::new();
    let recovered = recover(disk, Some(ID), Cursor::GENESIS, |record| {
        records.push((record.sequence, record.payload.to_vec()));
    })?;
    Ok((recovered, records))
}

/// What a start must find: a prefix of what was appended, and no less than what was promised.
#[track_caller]
pub(crate) fn assert_kept(
    appended: &[Record],
    promised: Position,
    recovered: &[Record],
    what: &str,
) {
    assert!(
        recovered.len() <= appended.len(),
        "{what}: more records than were appended"
    );
    for (got, expected) in recovered.iter().zip(appended) {
        assert_eq!(got, expected, "{what}: another record");
    }
    let kept = recovered.last().map_or(0, |(sequence, _)| *sequence);
    let due = appended
        .iter()
        .map(|(s, _)| *s)
        .filter(|s| *s <= promised.0)
        .max()
        .unwrap_or(0);
    assert!(
        kept >= due,
        "{what}: kept through {kept}, promised through {due}"
    );
}

//! A journal that was written by the journal, and damaged: never a panic, never a record that was not
//! written, never one silently gone that something left on the disk calls durable, never a wrong
//! balance (hazards C4 to C7).
//!
//! Input: flags; what was done, as a piece; the damage.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::Key;
use countersign::domain::currency::Currency;
use countersign::domain::decision::Decision;
use countersign::domain::hold_time::HoldTime;
use countersign::domain::identity::StepIdentity;
use countersign::domain::time::Timestamp;
use countersign::domain::window::{LocalDay, LocalHour};
use countersign::ledger::codec::ExternalId;
use countersign::ledger::embedded::frame::{
    self, Body, Cursor, HEADER_SIZE, HEADER_USED_SIZE, JournalId, MARK_SIZE, SegmentHeader,
};
use countersign::ledger::embedded::io::Name;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Journal, Lane};
use countersign::ledger::embedded::rebuild::Rebuild;
use countersign::ledger::embedded::recover::{RecoverError, recover};
use countersign::ledger::event::{AttestationClass, Decided, Event, Owner, StateNo};

use super::input::Input;
use super::medium::{Medium, damage};

const ID: JournalId = JournalId(*b"a journal's name");
/// Of the files that once lay in the same blocks.
const OLDER: JournalId = JournalId(*b"an older journal");
const LANES: [Lane; 3] = [Lane::Write, Lane::Sync, Lane::Create];
const STATE: StateNo = StateNo(0);

/// Where it stands, what it is, and how much it spends.
type Record = (u64, Vec<u8>, i64);
/// Where it was found, and what it is.
type Found = (u64, Vec<u8>);

/// Evidence on the disk: these bytes of this segment say that all through this number is durable.
type Evidence = (u64, usize, Vec<u8>, u64);

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let mut history = History::new(flags);
    for step in input.long_piece() {
        history.step(*step);
    }
    history.sync_at_the_end();
    let before = history.medium.files().clone();
    let evidence = evidence(&before);

    let undamaged = input.is_empty();
    let stale = STALE.with(|stale| stale.get_or_init(stale_segment).clone());
    damage(&mut history.medium.files(), &mut input, &stale);
    let damaged = history.medium.files().clone();
    let promised = evidence
        .iter()
        .filter(|(segment, at, said, _)| {
            let file = damaged.get(&Name::Segment(*segment));
            file.and_then(|file| file.get(*at..at + said.len())) == Some(said)
        })
        .map(|(.., through)| *through)
        .max();

    let (next, records) = match start(&history.medium) {
        Ok(started) => started,
        Err(RecoverError::Corrupt(corrupt)) => {
            assert!(!undamaged, "called corrupt: {corrupt}");
            assert!(
                *history.medium.files() == damaged,
                "a corrupt journal was touched"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let kept = history.kept(&records);
    let due = history.count_through(promised.unwrap_or(0));
    assert!(kept >= due, "kept {kept} of {due} that were durable");
    if undamaged {
        assert_eq!(kept, history.records.len());
    }
    history.records.truncate(kept);
    history.check_balance(&records);
    history.go_on(next);
}

/// Several lives on one medium.
struct History {
    medium: Medium,
    config: Config,
    journal: Journal,
    records: Vec<Record>,
    life: u64,
}

fn new_journal(config: Config, id: JournalId, next: Cursor, seed: u64) -> Journal {
    let mut seed = seed << 32;
    let seeds = move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        seed
    };
    Journal::new(config, id, next, Box::new(seeds))
}

/// Every record that can be read.
fn start(medium: &Medium) -> Result<(Cursor, Vec<Found>), RecoverError> {
    let mut records = Vec::new();
    let recovered = recover(medium, Some(ID), Cursor::GENESIS, |record| {
        records.push((record.sequence, record.payload.to_vec()));
    })?;
    Ok((recovered.next, records))
}

impl History {
    fn new(flags: u8) -> Self {
        let durability = if flags & 1 == 0 {
            Durability::Strict
        } else {
            Durability::Relaxed
        };
        let config = Config {
            segment_size: if flags & 2 == 0 { 6 << 10 } else { 9 << 10 },
            batch_size_max: if flags & 4 == 0 { 1 << 10 } else { 256 },
            pending_size_max: 4 << 10,
            release_size: 256,
            ..Config::new(durability)
        };
        let medium = Medium::default();
        let mut journal = new_journal(config, ID, Cursor::GENESIS, 1);
        medium.settle(&mut journal);
        Self {
            medium,
            config,
            journal,
            records: Vec::new(),
            life: 1,
        }
    }

    fn step(&mut self, step: u8) {
        let number = usize::from(step >> 3);
        match step & 7 {
            0..=2 => self.append(number * 5, Class::Reserve),
            3 => self.append(number, Class::Release),
            4 => self.medium.settle(&mut self.journal),
            5 => drop(self.medium.serve(&mut self.journal, LANES[number % 3])),
            6 => self.mark(),
            _ if number == 0 => self.restart(),
            _ => drop(self.medium.serve(&mut self.journal, Lane::Write)),
        }
    }

    fn append(&mut self, size: usize, class: Class) {
        let number = self.records.len() as u64;
        let minor = 1 + i64::try_from(number * number).unwrap() % 997;
        let payload = payload(number, minor, size);
        if let Ok(position) = self.journal.append(&payload, class) {
            self.records.push((position.0, payload, minor));
        }
    }

    fn mark(&mut self) {
        if let Some(io) = self.journal.idle_mark() {
            let result = countersign::ledger::embedded::io::Storage::execute(&self.medium, &io);
            self.journal.complete(io, result);
        }
    }

    /// The process dies and starts again; what the journal had not written is gone.
    fn restart(&mut self) {
        let (next, records) = start(&self.medium).expect("nothing is damaged");
        let kept = self.kept(&records);
        assert!(kept >= self.count_through(self.journal.written().0));
        self.records.truncate(kept);
        self.life += 1;
        self.journal = new_journal(self.config, ID, next, self.life);
        self.medium.settle(&mut self.journal);
    }

    /// What is not on the medium at the end was never there.
    fn sync_at_the_end(&mut self) {
        self.medium.settle(&mut self.journal);
        let written = self.journal.written().0;
        self.records.retain(|(position, ..)| *position <= written);
    }

    /// How many of our records these are, which must be the first ones, unchanged.
    fn kept(&self, records: &[Found]) -> usize {
        assert!(
            records.len() <= self.records.len(),
            "records out of nothing"
        );
        for ((position, payload), (ours, expected, _)) in records.iter().zip(&self.records) {
            assert_eq!((position, payload), (ours, expected), "another record");
        }
        records.len()
    }

    fn count_through(&self, position: u64) -> usize {
        let through = self.records.iter().filter(|(at, ..)| *at <= position);
        through.count()
    }

    /// What the records come to is what was spent by those that are left.
    fn check_balance(&self, records: &[Found]) {
        let mut rebuild = Rebuild::new();
        for (position, payload) in records {
            rebuild.take(*position, payload);
        }
        let states = rebuild.finish().expect("our own records are understood");
        let total = states
            .first()
            .map_or(0, |state| state.counters.total().spent.get());
        assert_eq!(
            total,
            self.records.iter().map(|(.., minor)| minor).sum::<i64>()
        );
    }

    /// What recovery left is a journal: it takes records, and they are there at the next start.
    fn go_on(&mut self, next: Cursor) {
        self.life += 1;
        self.journal = new_journal(self.config, ID, next, self.life);
        self.medium.settle(&mut self.journal);
        let before = self.records.len();
        for size in [0, 200, 7] {
            self.append(size, Class::Reserve);
            self.medium.settle(&mut self.journal);
        }
        assert_eq!(self.records.len(), before + 3, "refused after recovery");
        let (_, records) = start(&self.medium).expect("recovered and written to since");
        assert_eq!(self.kept(&records), before + 3);
        self.check_balance(&records);
    }
}

/// One approval of the ledger, the first one with the opening of its state before it; `size` bytes
/// are in the issuer's id.
fn payload(number: u64, minor: i64, size: usize) -> Vec<u8> {
    let id = "x".repeat(size);
    let mut out = Vec::new();
    if number == 0 {
        Event::StateOpened {
            state: STATE,
            key: Key(1),
            owner: Owner::Customer("cus"),
        }
        .encode(&mut out);
    }
    Event::Decided(Decided {
        state: STATE,
        at: Timestamp::from_secs(1_795_194_000),
        step: StepIdentity {
            authorization: Key(u128::from(number) << 64 | 0x5bd1),
            name: None,
            delivery: None,
            content: number,
        },
        ordinal: 1,
        authorization: ExternalId::new(&id),
        card: None,
        agent: None,
        kind: AuthorizationKind::Authorization,
        hold_time: HoldTime::default(),
        amount: Amount {
            minor: Minor::new(minor).unwrap(),
            currency: Currency::USD,
        },
        decision: Decision::Approve,
        day: LocalDay(20_777),
        hour: LocalHour(498_665),
        consumes: false,
        probes: false,
        intent: None,
        flagged: false,
        stood_in: false,
        attestation: AttestationClass::default(),
        locks: None,
        explanation: None,
        card_token: None,
        shadow: None,
        facts: None,
        snapshot_version: 1,
        latency_us: 50,
    })
    .encode(&mut out);
    out
}

/// Headers and marks with what they say, and the first mark of each segment, which says that the
/// segments before it are whole.
fn evidence(files: &BTreeMap<Name, Vec<u8>>) -> Vec<Evidence> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        let Name::Segment(segment) = *name else {
            continue;
        };
        let header = SegmentHeader::decode(bytes).unwrap();
        let used = bytes[..HEADER_USED_SIZE].to_vec();
        found.push((segment, 0, used, header.synced_through));
        let mut at = HEADER_SIZE;
        while let frame::Found::Frame(frame) = frame::read(bytes, at, header.key()) {
            if let Body::Mark(mark) = frame.body {
                let said = bytes[at..at + MARK_SIZE].to_vec();
                let before = if at == HEADER_SIZE {
                    frame.sequence - 1
                } else {
                    0
                };
                found.push((segment, at, said, mark.synced_through.max(before)));
            }
            at += frame.size;
        }
    }
    found
}

thread_local! {
    static STALE: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

/// A segment of another journal, with the same numbers.
fn stale_segment() -> Vec<u8> {
    let mut other = History::new(0);
    other.journal = new_journal(other.config, OLDER, Cursor::GENESIS, 99);
    other.medium = Medium::default();
    other.medium.settle(&mut other.journal);
    for size in 0..30 {
        other.append(size, Class::Reserve);
        other.medium.settle(&mut other.journal);
    }
    other.medium.files()[&Name::Segment(1)].clone()
}

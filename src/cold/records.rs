//! The records of decisions, found again: an index in memory over the journal's files.
//!
//! The journal frame is the record (behaviour 2.9). A thread follows the files behind the writer and
//! notes where each record stands, who it is about and what later became of it; whoever asks gets
//! the record read from its file. No authorization ever waits for this. The index starts empty with
//! the process: what is decided from then on is found at once, because a search first reads what has
//! been written meanwhile, and what was decided before, once the thread has come to it. Its memory is
//! bounded: beyond a number of records the oldest are forgotten, though the journal still has them.

pub mod feed;
mod index;
mod known;
pub mod logs;
mod names;
pub mod reading;
mod record;
pub mod retention;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::cold::readiness::Readiness;
use crate::cold::trial::Cast;
use crate::domain::card::Key;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::follow::{FollowFault, Follower, read_one};
use crate::ledger::embedded::frame::Cursor as Position;
use crate::ledger::embedded::io::Storage;
use crate::ledger::event::{AgentNo, CardNo, Decided, Event, events_of};
use crate::ledger::state::State;
use index::Spot;
use known::Known;
use names::Names;

pub use names::Named;
pub use record::{DECLINED_BY_ISSUER, DecisionId, DecisionRecord, EARMARKS};

/// Between two looks at how far the journal has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where a search waits, the thread that catches up stands back for this long.
const STAND_BACK: Duration = Duration::from_millis(1);
/// What a search reads at most before it answers with what is indexed.
const SEARCH_CHUNKS_MAX: u32 = 64;
/// Word of `/readyz` for records that cannot be read.
const RECORDS_DAMAGED: &str = "records_damaged";
/// Records that one search reads at most. Where it ends there, the page is short and has a next one.
const READ_MAX: usize = 2_000;
/// Records stand in the order in which they were booked; their receipts differ from that by less.
const DISORDER_US: i64 = 60_000_000;
/// The most records in one answer.
pub const PAGE_LEN_MAX: usize = 500;

/// Which decisions are wanted; absent means any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'f> {
    /// The issuer connection's name.
    pub connection: Option<&'f str>,
    /// The issuer's id of the authorization.
    pub authorization: Option<&'f str>,
    /// The owner's id of the card.
    pub card: Option<&'f str>,
    /// The agent that held the card.
    pub agent: Option<&'f str>,
    /// The customer.
    pub customer: Option<&'f str>,
    /// Received at this instant or later.
    pub since: Option<Timestamp>,
    /// Received before this instant.
    pub until: Option<Timestamp>,
    /// First steps of authorizations alone.
    pub first_steps: bool,
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Reads what [`Cursor::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        record::parse_hex(text).map(Self)
    }

    /// For callers, who need not understand it.
    #[must_use]
    pub fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Some decisions, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The decisions.
    pub decisions: Vec<DecisionRecord>,
    /// Where older ones begin; absent where there are none.
    pub next: Option<Cursor>,
}

/// An approval of a card, as the journal has it; the ledger knows whether it still holds anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The ledger's key of the authorization.
    pub key: Key,
    /// The issuer's id of it.
    pub authorization: String,
}

/// The approvals among some of a card's records, newest first.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// The approvals.
    pub approvals: Vec<Approval>,
    /// Where older records begin; absent where there are none.
    pub next: Option<Cursor>,
}

/// See the module.
pub struct Records {
    core: Mutex<Core>,
    /// Searches that wait for `core`.
    waiting: AtomicUsize,
    stopped: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where a process goes on with the records of those before it.
#[derive(Debug)]
pub struct Begin {
    names: Names,
    next: Position,
    indexed_max: usize,
    is_in_order: bool,
    readiness: Option<Arc<Readiness>>,
}

impl Default for Begin {
    /// Everything in the journal is this process's own.
    fn default() -> Self {
        Self {
            names: Names::default(),
            next: Position::GENESIS,
            indexed_max: usize::MAX,
            is_in_order: true,
            readiness: None,
        }
    }
}

impl Begin {
    /// After a recovery that found these states and goes on there, with an index of at most about
    /// `indexed_max` records.
    pub fn recovered(states: &[State], next: Position, indexed_max: usize) -> Self {
        Self {
            names: Names::of_states(states),
            next,
            indexed_max,
            is_in_order: true,
            readiness: None,
        }
    }

    /// Whether records stand in the order in which they were booked. Where a journal was made anew from
    /// the logs of all customers, they stand by customer.
    #[must_use]
    pub fn in_order(self, is_in_order: bool) -> Self {
        Self {
            is_in_order,
            ..self
        }
    }

    /// Where operators are warned of records that cannot be read.
    #[must_use]
    pub fn warning(self, readiness: Arc<Readiness>) -> Self {
        Self {
            readiness: Some(readiness),
            ..self
        }
    }
}

struct Core {
    storage: Arc<dyn Storage>,
    written: Box<dyn Fn() -> u64 + Send>,
    follower: Follower,
    /// Reads what was written before this process; absent once it has.
    past: Option<Follower>,
    past_through: u64,
    /// The first segment that is not of processes before.
    own_segment: u64,
    known: Known,
    is_in_order: bool,
    /// The last one that was logged.
    fault: Option<FollowFault>,
    readiness: Option<Arc<Readiness>>,
}

impl Records {
    /// Follows the journal in `storage`; `written` tells the highest sequence number in its files.
    pub fn start(
        storage: Arc<dyn Storage>,
        begin: Begin,
        written: impl Fn() -> u64 + Send + 'static,
    ) -> Arc<Self> {
        let Begin {
            names,
            next,
            indexed_max,
            is_in_order,
            readiness,
        } = begin;
        let core = Core {
            storage,
            written: Box::new(written),
            follower: Follower::from(next),
            past: Some(Follower::before(next.segment)),
            past_through: next.sequence.saturating_sub(1),
            own_segment: next.segment,
            known: Known::new(names, indexed_max),
            is_in_order,
            fault: None,
            readiness,
        };
        let records = Arc::new(Self {
            core: Mutex::new(core),
            waiting: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            thread: Mutex::default(),
        });
        let followed = Arc::downgrade(&records);
        let spawned = thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || follow(&followed));
        match spawned {
            Ok(handle) => *lock(&records.thread) = Some(handle),
            // Searches catch up by themselves, only later.
            Err(error) => tracing::error!(%error, "the records' thread cannot be started"),
        }
        records
    }

    /// Ends the thread. Searches go on, over what is indexed and what they read themselves.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let Some(handle) = lock(&self.thread).take() else {
            return;
        };
        handle.thread().unpark();
        if handle.join().is_err() {
            tracing::error!("the records' thread had panicked");
        }
    }

    /// How many decisions are indexed.
    #[must_use]
    pub fn indexed(&self) -> usize {
        lock(&self.core).known.len()
    }

    /// The card of this id that was used, whether or not a snapshot still has it.
    #[must_use]
    pub fn card_named(&self, id: &str) -> Option<Named<CardNo>> {
        self.search().known.names.card_named(id)
    }

    /// The same for agents.
    #[must_use]
    pub fn agent_named(&self, id: &str) -> Option<Named<AgentNo>> {
        self.search().known.names.agent_named(id)
    }

    /// Everybody of a customer who has been seen, by number; absent where nobody was.
    #[must_use]
    pub fn cast(&self, customer: &str) -> Option<Cast> {
        self.search().known.names.cast(customer)
    }

    /// Reads the journal from its oldest segment up to what is written now, frame by frame, until
    /// `take` wants no more. Searches go on meanwhile.
    ///
    /// # Errors
    /// [`FollowFault`] where a frame cannot be read.
    pub fn read_through(
        &self,
        mut take: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), FollowFault> {
        let (storage, written) = {
            let core = self.search();
            (Arc::clone(&core.storage), (core.written)())
        };
        let mut follower = Follower::default();
        let mut goes_on = true;
        while goes_on {
            let mut wants = true;
            let has_more = follower.poll(&*storage, written, |record| {
                wants = wants && take(record.sequence, record.payload);
            })?;
            goes_on = has_more && wants;
        }
        Ok(())
    }

    /// Forgets what stands in segments before this one, which are being removed.
    pub fn forget_segments_before(&self, segment: u64) {
        lock(&self.core).known.forget_segments_before(segment);
    }

    /// The wanted decisions from the cursor on, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// [`FollowFault`] where a record cannot be read.
    pub fn page(
        &self,
        filter: &Filter<'_>,
        limit: usize,
        from: Option<Cursor>,
    ) -> Result<Page, FollowFault> {
        let limit = limit.clamp(1, PAGE_LEN_MAX);
        let core = self.search();
        let mut page = Page {
            decisions: Vec::new(),
            next: None,
        };
        let Some(wanted) = core.known.wanted(filter) else {
            return Ok(page);
        };
        let before = from.map_or(u64::MAX, |cursor| cursor.0);
        let mut last = before;
        for (at, spot) in core.known.newest_before(before, wanted).enumerate() {
            if at == READ_MAX {
                page.next = Some(Cursor(last));
                break;
            }
            let Some((received, shown)) = core.show_with_time(spot)? else {
                continue;
            };
            if core.is_in_order && filter.is_over(received) {
                break;
            }
            if !filter.is_around(received) || !filter.admits(&shown) {
                // A search that goes on later need not read it again.
                if page.decisions.len() < limit {
                    last = spot.sequence;
                }
                continue;
            };
            if page.decisions.len() == limit {
                page.next = Some(Cursor(last));
                break;
            }
            last = spot.sequence;
            page.decisions.push(shown);
        }
        Ok(page)
    }

    /// The wanted decisions after the one of this id, oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// [`FollowFault`] where a record cannot be read.
    pub fn page_after(
        &self,
        filter: &Filter<'_>,
        limit: usize,
        after: DecisionId,
    ) -> Result<Vec<DecisionRecord>, FollowFault> {
        let limit = limit.clamp(1, PAGE_LEN_MAX);
        let core = self.search();
        let mut decisions = Vec::new();
        let Some(wanted) = core.known.wanted(filter) else {
            return Ok(decisions);
        };
        for spot in core.known.oldest_after(after.0, wanted) {
            if let Some(shown) = core.show(spot)?.filter(|shown| filter.admits(shown)) {
                decisions.push(shown);
            }
            if decisions.len() == limit {
                break;
            }
        }
        Ok(decisions)
    }

    /// One decision; absent where there is none of this id, or its segment is gone.
    ///
    /// # Errors
    /// [`FollowFault`] where the record cannot be read.
    pub fn find(&self, id: DecisionId) -> Result<Option<DecisionRecord>, FollowFault> {
        let core = self.search();
        match core.known.find(id.0) {
            Some(spot) => core.show(spot),
            None => Ok(None),
        }
    }

    /// The approvals among the next `count` records of a card, newest first.
    ///
    /// # Errors
    /// [`FollowFault`] where a record cannot be read.
    pub fn approvals_of_card(
        &self,
        card: &str,
        count: usize,
        from: Option<Cursor>,
    ) -> Result<Approvals, FollowFault> {
        let filter = Filter {
            card: Some(card),
            ..Filter::default()
        };
        let core = self.search();
        let mut found = Approvals {
            approvals: Vec::new(),
            next: None,
        };
        let Some(wanted) = core.known.wanted(&filter) else {
            return Ok(found);
        };
        let before = from.map_or(u64::MAX, |cursor| cursor.0);
        let spots = core.known.newest_before(before, wanted);
        for (at, spot) in spots.take(count).enumerate() {
            if at + 1 == count {
                found.next = Some(Cursor(spot.sequence));
            }
            if core.known.overruled.contains(&spot.sequence) {
                continue;
            }
            let approval = core.read(spot, |event| {
                let decided = decided(event)?;
                let ours = core.known.names.called(decided).card == Some(card);
                (ours && decided.decision.is_approval()).then(|| Approval {
                    key: decided.step.authorization,
                    authorization: decided.authorization.to_string(),
                })
            })?;
            found.approvals.extend(approval.flatten());
        }
        Ok(found)
    }

    /// Reads what has been written meanwhile, and keeps the index for one search.
    fn search(&self) -> MutexGuard<'_, Core> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut core = lock(&self.core);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        for _ in 0..SEARCH_CHUNKS_MAX {
            if !core.catch_up() {
                break;
            }
        }
        core
    }
}

/// The thread: wakes, catches up chunk by chunk, sleeps. Ends with its records.
fn follow(records: &Weak<Records>) {
    loop {
        let Some(records) = records.upgrade() else {
            return;
        };
        while !records.stopped.load(Ordering::Acquire) && lock(&records.core).catch_up() {
            if records.waiting.load(Ordering::Acquire) > 0 {
                thread::sleep(STAND_BACK);
            }
        }
        if records.stopped.load(Ordering::Acquire) {
            return;
        }
        drop(records);
        thread::park_timeout(LOOK_EVERY);
    }
}

impl Core {
    /// Takes in the next chunk of what is written, the newest segments first. Whether there is
    /// more.
    fn catch_up(&mut self) -> bool {
        let through = (self.written)();
        let known = &mut self.known;
        let polled = self.follower.poll(&*self.storage, through, |record| {
            known.take_in(&record, false);
        });
        if self.settle(polled) {
            return true;
        }
        let Some(past) = &mut self.past else {
            return false;
        };
        let known = &mut self.known;
        let polled = past.poll(&*self.storage, self.past_through, |record| {
            known.take_in(&record, true);
        });
        if let Some(gap) = past.take_gap() {
            tracing::error!(
                %gap,
                "decisions are damaged in the journal and will not be shown; what holds and limits \
                 rest on was read from a checkpoint; `countersign ledger verify` tells more"
            );
            if let Some(readiness) = &self.readiness {
                readiness.set_warning(RECORDS_DAMAGED);
            }
        }
        if polled == Ok(false) {
            self.past = None;
            self.known.join();
        }
        self.settle(polled)
    }

    fn settle(&mut self, polled: Result<bool, FollowFault>) -> bool {
        let fault = polled.err();
        if let Some(fault) = fault.filter(|fault| self.fault != Some(*fault)) {
            tracing::error!(%fault, "records of decisions lag behind the journal");
        }
        self.fault = fault;
        polled.unwrap_or(false)
    }

    fn show(&self, spot: Spot) -> Result<Option<DecisionRecord>, FollowFault> {
        Ok(self.show_with_time(spot)?.map(|(_, shown)| shown))
    }

    /// With the instant of its receipt.
    fn show_with_time(
        &self,
        spot: Spot,
    ) -> Result<Option<(Timestamp, DecisionRecord)>, FollowFault> {
        let shown = self.read(spot, |event| {
            if let Event::Booked(booked) = event {
                let called = self.known.names.called_in(booked);
                let shown = record::show_declined(spot.sequence, booked, called);
                return shown.map(|shown| (booked.at, shown));
            }
            let decided = decided(event)?;
            let called = self.known.names.called(decided);
            let aftermath = self.known.aftermath(spot.sequence);
            let shown = record::show(spot.sequence, decided, called, aftermath);
            Some((decided.at, shown))
        })?;
        Ok(shown.flatten())
    }

    /// The record at this place; absent where its segment was removed.
    fn read<T>(
        &self,
        spot: Spot,
        look: impl FnOnce(&Event<'_>) -> T,
    ) -> Result<Option<T>, FollowFault> {
        let payload = match read_one(&*self.storage, spot.segment, spot.offset) {
            Ok(payload) => payload,
            Err(fault) if fault.is_missing_file() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut events = events_of(&payload).filter_map(Result::ok);
        Ok(events.find(record::is_record).map(|event| look(&event)))
    }
}

/// What we have decided ourselves.
fn decided<'e, 'b>(event: &'e Event<'b>) -> Option<&'e Decided<'b>> {
    if let Event::Decided(decided) | Event::Conflicted(decided) = event {
        return Some(decided);
    }
    None
}

impl Filter<'_> {
    /// The index goes by hashes; this goes by the names themselves.
    fn admits(&self, record: &DecisionRecord) -> bool {
        let is = |wanted: Option<&str>, has: Option<&str>| wanted.is_none() || wanted == has;
        is(self.connection, record.connection.as_deref())
            && is(self.authorization, Some(&record.authorization))
            && is(self.card, record.card.as_deref())
            && is(self.agent, record.agent.as_deref())
            && is(self.customer, record.customer.as_deref())
            && (!self.first_steps || record.step == 1)
    }

    fn is_around(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether nothing of before this record is wanted.
    fn is_over(&self, at: Timestamp) -> bool {
        let over = |since: Timestamp| at.plus_micros(DISORDER_US) < since;
        self.since.is_some_and(over)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

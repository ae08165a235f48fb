//! The records of decisions, found again: an index in memory over the journal's files.
//!
//! The journal frame is the record (behaviour 2.9). A thread follows the files behind the writer and
//! notes where each record stands, who it is about and what later became of it; whoever asks gets
//! the record read from its file. No authorization ever waits for this. The index starts empty with
//! the process and catches up from the oldest segment; until then a search finds what is indexed.
//! A search first reads what has been written meanwhile, so that a decision is found at once.

mod index;
mod names;
mod record;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::domain::card::Key;
use crate::ledger::codec::ExternalId;
use crate::ledger::embedded::follow::{FollowFault, Follower, read_one};
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::priority::stand_back;
use crate::ledger::embedded::scan::Record;
use crate::ledger::event::{Decided, Event, events_of};
use index::{Index, Noted, Spot, Wanted};
use names::Names;
use record::Aftermath;

pub use record::{DecisionId, DecisionRecord};

/// Between two looks at how far the journal has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where a search waits, the thread that catches up stands back for this long.
const STAND_BACK: Duration = Duration::from_millis(1);
/// What a search reads at most before it answers with what is indexed.
const SEARCH_CHUNKS_MAX: u32 = 64;
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

struct Core {
    storage: Arc<dyn Storage>,
    written: Box<dyn Fn() -> u64 + Send>,
    follower: Follower,
    known: Known,
    /// The last one that was logged.
    fault: Option<FollowFault>,
}

/// What the events have told so far.
#[derive(Default)]
struct Known {
    index: Index,
    names: Names,
    /// Records that came more than once.
    deliveries: HashMap<u64, u32>,
    overruled: HashSet<u64>,
}

impl Records {
    /// Follows the journal in `storage`; `written` tells the highest sequence number in its files.
    pub fn start(
        storage: Arc<dyn Storage>,
        written: impl Fn() -> u64 + Send + 'static,
    ) -> Arc<Self> {
        let core = Core {
            storage,
            written: Box::new(written),
            follower: Follower::default(),
            known: Known::default(),
            fault: None,
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
            .spawn(move || {
                stand_back();
                follow(&followed);
            });
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
        lock(&self.core).known.index.len()
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
        for spot in core.known.index.newest_before(before, wanted) {
            let Some(shown) = core.show(spot)? else {
                continue;
            };
            if !filter.admits(&shown) {
                continue;
            }
            if page.decisions.len() == limit {
                page.next = Some(Cursor(last));
                break;
            }
            last = spot.sequence;
            page.decisions.push(shown);
        }
        Ok(page)
    }

    /// One decision; absent where there is none of this id, or its segment is gone.
    ///
    /// # Errors
    /// [`FollowFault`] where the record cannot be read.
    pub fn find(&self, id: DecisionId) -> Result<Option<DecisionRecord>, FollowFault> {
        let core = self.search();
        match core.known.index.find(id.0) {
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
        let spots = core.known.index.newest_before(before, wanted);
        for (at, spot) in spots.take(count).enumerate() {
            if at + 1 == count {
                found.next = Some(Cursor(spot.sequence));
            }
            if core.known.overruled.contains(&spot.sequence) {
                continue;
            }
            let approval = core.read(spot, |decided| {
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
    /// Takes in the next chunk of what is written. Whether there is more.
    fn catch_up(&mut self) -> bool {
        let through = (self.written)();
        let known = &mut self.known;
        let polled = self
            .follower
            .poll(&*self.storage, through, |record| known.take_in(&record));
        let fault = polled.err();
        if let Some(fault) = fault.filter(|fault| self.fault != Some(*fault)) {
            tracing::error!(%fault, "records of decisions lag behind the journal");
        }
        self.fault = fault;
        polled.unwrap_or(false)
    }

    fn show(&self, spot: Spot) -> Result<Option<DecisionRecord>, FollowFault> {
        self.read(spot, |decided| {
            let called = self.known.names.called(decided);
            let aftermath = self.known.aftermath(spot.sequence);
            record::show(spot.sequence, decided, called, aftermath)
        })
    }

    /// The record at this place; absent where its segment was removed.
    fn read<T>(
        &self,
        spot: Spot,
        look: impl FnOnce(&Decided<'_>) -> T,
    ) -> Result<Option<T>, FollowFault> {
        let payload = match read_one(&*self.storage, spot.segment, spot.offset) {
            Ok(payload) => payload,
            Err(fault) if fault.is_missing_file() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut events = events_of(&payload).filter_map(Result::ok);
        let decided = events.find_map(|event| match event {
            Event::Decided(decided) | Event::Conflicted(decided) => Some(decided),
            Event::StateOpened { .. }
            | Event::CardOpened { .. }
            | Event::AgentOpened { .. }
            | Event::Redelivered { .. }
            | Event::Overruled { .. }
            | Event::StandingSet { .. }
            | Event::Swept { .. }
            | Event::WindowsOpened { .. }
            | Event::RollingOpened { .. }
            | Event::RiskFrozen { .. }
            | Event::IntentDeclared { .. }
            | Event::IntentSettled { .. }
            | Event::Attested { .. } => None,
        });
        Ok(decided.map(|decided| look(&decided)))
    }
}

impl Known {
    fn take_in(&mut self, record: &Record<'_>) {
        for event in events_of(record.payload) {
            match event {
                Ok(Event::Decided(decided) | Event::Conflicted(decided)) => {
                    self.note(record, &decided);
                }
                Ok(Event::Redelivered { decided_at, .. }) => {
                    *self.deliveries.entry(decided_at).or_insert(1) += 1;
                }
                Ok(Event::Overruled { decided_at, .. }) => {
                    self.overruled.insert(decided_at);
                }
                Ok(Event::StateOpened { state, owner, .. }) => self.names.open_state(state, owner),
                Ok(Event::CardOpened {
                    state,
                    card,
                    id,
                    connection,
                    ..
                }) => {
                    self.names.open_card(state, card, id, connection);
                }
                Ok(Event::AgentOpened {
                    state, agent, id, ..
                }) => {
                    self.names.open_agent(state, agent, id);
                }
                Ok(
                    Event::StandingSet { .. }
                    | Event::Swept { .. }
                    | Event::WindowsOpened { .. }
                    | Event::RollingOpened { .. }
                    | Event::RiskFrozen { .. }
                    | Event::IntentDeclared { .. }
                    | Event::IntentSettled { .. }
                    | Event::Attested { .. },
                ) => {}
                Err(malformed) => {
                    tracing::error!(sequence = record.sequence, %malformed, "record");
                }
            }
        }
    }

    fn note(&mut self, record: &Record<'_>, decided: &Decided<'_>) {
        let (card, connection) = self.names.card_and_connection(decided.state, decided.card);
        self.index.push(&Noted {
            sequence: record.sequence,
            segment: record.segment,
            offset: record.offset,
            authorization: names::hash_of_id(&decided.authorization),
            card,
            connection,
        });
    }

    /// What to look for; absent where nothing can match.
    fn wanted(&self, filter: &Filter<'_>) -> Option<Wanted> {
        let connection = match filter.connection {
            Some(name) => Some(self.names.connection_number(name)?),
            None => None,
        };
        let hash_of_id = |id| names::hash_of_id(&ExternalId::new(id));
        Some(Wanted {
            authorization: filter.authorization.map(hash_of_id),
            card: filter.card.map(names::hash_of_text),
            connection,
        })
    }

    fn aftermath(&self, sequence: u64) -> Aftermath {
        Aftermath {
            is_overruled: self.overruled.contains(&sequence),
            deliveries: self.deliveries.get(&sequence).copied().unwrap_or(1),
        }
    }
}

impl Filter<'_> {
    /// The index goes by hashes; this goes by the names themselves.
    fn admits(&self, record: &DecisionRecord) -> bool {
        let is = |wanted: Option<&str>, has: Option<&str>| wanted.is_none() || wanted == has;
        is(self.connection, record.connection.as_deref())
            && is(self.authorization, Some(&record.authorization))
            && is(self.card, record.card.as_deref())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

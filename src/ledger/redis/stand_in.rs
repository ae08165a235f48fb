//! What this node approved while the log did not answer: how much of its budget that takes, and what the log
//! still has to be told (decision 0042).
//!
//! Each approval is in a file of the node's own, synced, before its answer leaves. It stays there until the
//! log has it, across any number of starts; until then it takes its part of the budget.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::domain::amount::{Amount, Minor};
use crate::domain::card::Key;
use crate::ledger::codec::Malformed;
use crate::ledger::redis::wire::Generation;
use crate::ledger::stand_in::StoodIn;

mod file;

use file::{Damaged, File, Kept, Order};

/// How far an approval has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is on its way to the file.
    Written,
    /// It is in the file, synced: the answer may leave.
    Durable,
    /// The file has not taken it, or it did not leave in time: it does not hold.
    Void,
    /// The log has it.
    Booked,
}

/// One approval of this node.
pub struct Entry {
    /// Its number in the file.
    id: u64,
    /// Whose it is.
    owner: Key,
    /// The authorization.
    authorization: Key,
    /// [`StoodIn`], as bytes.
    bytes: Vec<u8>,
    amount: Minor,
    stage: watch::Sender<Stage>,
    /// Whether nobody will say any more that it did not leave.
    is_released: AtomicBool,
    /// Whether the log can never take it.
    is_stuck: AtomicBool,
}

impl Entry {
    /// What was approved.
    ///
    /// # Errors
    /// Never for what this version has kept.
    pub fn stood_in(&self) -> Result<StoodIn<'_>, Malformed> {
        StoodIn::decode(&self.bytes)
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until it has come further than on its way to the file.
    pub async fn kept(&self) -> Stage {
        self.until(|stage| stage != Stage::Written).await
    }

    /// Waits until the log has it, or it does not hold.
    pub async fn settled(&self) -> Stage {
        self.until(|stage| matches!(stage, Stage::Booked | Stage::Void))
            .await
    }

    async fn until(&self, is_so: impl Fn(Stage) -> bool) -> Stage {
        let mut stage = self.stage.subscribe();
        match stage.wait_for(|stage| is_so(*stage)).await {
            Ok(stage) => *stage,
            Err(_the_end) => Stage::Void,
        }
    }
}

/// What there is at a moment, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What of the budget is in use, in minor units.
    pub used: i64,
    /// How many approvals the log does not have yet.
    pub unbooked: i64,
    /// Whether the file takes nothing any more.
    pub is_broken: bool,
}

/// Hears of every change.
pub type Tell = Box<dyn Fn(Standing) + Send + Sync>;

/// See the module.
pub struct StandIn {
    budget: Option<Amount>,
    inner: Mutex<Inner>,
    orders: std::sync::mpsc::Sender<Order>,
    unbooked: Notify,
    tell: Tell,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<u64, Arc<Entry>>,
    used: Minor,
    next: u64,
    is_broken: bool,
}

impl Inner {
    fn standing(&self) -> Standing {
        Standing {
            used: self.used.get(),
            unbooked: i64::try_from(self.entries.len()).unwrap_or(i64::MAX),
            is_broken: self.is_broken,
        }
    }

    fn add(&mut self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        self.used = self.used.saturating_plus(entry.amount);
        self.next = self.next.max(entry.id.saturating_add(1));
        self.entries.insert(entry.id, Arc::clone(&entry));
        entry
    }

    fn of(&self, authorization: Key) -> Option<&Arc<Entry>> {
        let is_it = |it: &&Arc<Entry>| it.authorization == authorization;
        let mut entries = self.entries.values().filter(is_it);
        entries.find(|it| it.stage() != Stage::Void)
    }

    fn remove(&mut self, entry: &Entry) -> bool {
        let removed = self.entries.remove(&entry.id).is_some();
        if removed {
            self.used = self.used.saturating_minus(entry.amount);
        }
        removed
    }
}

/// An approval that is about to leave. Dropped, it counts as having left: whoever asked may have gone, and
/// asks again.
pub struct Leaving {
    entry: Arc<Entry>,
    book: Arc<StandIn>,
}

impl Leaving {
    /// Which one.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// It did not leave: it does not hold.
    pub fn withdraw(self) {
        self.book.end(&self.entry, Stage::Void);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.entry.is_released.store(true, Ordering::SeqCst);
        self.book.unbooked.notify_one();
    }
}

/// What becomes of an approval that a node would give by itself.
pub enum Began {
    /// It is on its way to the file.
    New(Leaving),
    /// This node has decided on the authorization already.
    Known(Arc<Entry>),
    /// It has approved something else since it was looked what it had.
    Newer,
    /// There is no room in the budget, or no file.
    Refused,
}

impl StandIn {
    /// Reads what a former process of this node left, and goes on with it. Without a budget it only has the
    /// log take that, and is absent where there is nothing.
    ///
    /// # Errors
    /// Where the file cannot be read or made; of the kind `InvalidData` where it is damaged or another
    /// ledger's.
    pub fn open(
        path: &Path,
        generation: &Generation,
        budget: Option<Amount>,
        tell: Tell,
    ) -> io::Result<Option<Arc<Self>>> {
        if budget.is_none() && !path.exists() {
            return Ok(None);
        }
        let (file, kept) = File::open(path, generation)?;
        if budget.is_none() && kept.is_empty() {
            return Ok(None);
        }
        let mut inner = Inner::default();
        for Kept { id, bytes } in kept {
            let entry =
                read(id, bytes, Stage::Durable).map_err(|Malformed| Damaged::error(path))?;
            entry.is_released.store(true, Ordering::SeqCst);
            inner.add(entry);
        }
        inner.next = inner.next.max(file.next_id());
        let (orders, ordered) = std::sync::mpsc::channel();
        let book = Arc::new(Self {
            budget,
            inner: Mutex::new(inner),
            orders,
            unbooked: Notify::new(),
            tell,
        });
        let told = Arc::downgrade(&book);
        let broken = move || {
            if let Some(book) = told.upgrade() {
                book.inner().is_broken = true;
                book.told();
            }
        };
        let thread = std::thread::Builder::new().name("stand-in".to_owned());
        thread.spawn(move || file.run(&ordered, broken))?;
        book.told();
        Ok(Some(book))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) {
        let standing = self.inner().standing();
        (self.tell)(standing);
    }

    /// What this node has approved of an authorization and the log does not have yet.
    #[must_use]
    pub fn of(&self, authorization: Key) -> Option<Arc<Entry>> {
        self.inner().of(authorization).map(Arc::clone)
    }

    /// What it has approved for an owner and the log does not have yet, oldest first; and how many approvals
    /// there were until now.
    #[must_use]
    pub fn of_owner(&self, owner: Key) -> (Vec<Arc<Entry>>, u64) {
        let inner = self.inner();
        let of_owner = |it: &&Arc<Entry>| it.owner == owner && it.stage() != Stage::Void;
        let entries = inner.entries.values().filter(of_owner).map(Arc::clone);
        (entries.collect(), inner.next)
    }

    /// Takes an approval's amount from the budget and has the file take it, if it was decided on all of so many
    /// approvals.
    pub fn begin(self: &Arc<Self>, stood_in: &StoodIn<'_>, version: u64) -> Began {
        let Some(budget) = self.budget else {
            return Began::Refused;
        };
        let mut inner = self.inner();
        if let Some(known) = inner.of(stood_in.decided.step.authorization) {
            return Began::Known(Arc::clone(known));
        }
        if inner.next != version {
            return Began::Newer;
        }
        let amount = stood_in.amount();
        let used = inner.used.plus(amount.minor);
        let has_room = used.is_ok_and(|used| used <= budget.minor);
        if !has_room || amount.currency != budget.currency || inner.is_broken {
            return Began::Refused;
        }
        let Ok(entry) = read(inner.next, stood_in.encode(), Stage::Written) else {
            return Began::Refused;
        };
        let entry = inner.add(entry);
        drop(inner);
        // Where the thread has gone the entry stays on its way for ever, and nothing is approved.
        let _gone = self.orders.send(Order::Keep(Arc::clone(&entry)));
        self.told();
        Began::New(Leaving {
            entry,
            book: Arc::clone(self),
        })
    }

    /// The oldest approval that the log is to take next.
    #[must_use]
    pub fn next_unbooked(&self) -> Option<Arc<Entry>> {
        let inner = self.inner();
        let is_due = |entry: &&Arc<Entry>| {
            entry.is_released.load(Ordering::SeqCst)
                && !entry.is_stuck.load(Ordering::SeqCst)
                && entry.stage() == Stage::Durable
        };
        inner.entries.values().find(is_due).map(Arc::clone)
    }

    /// Waits until there may be one.
    pub async fn is_unbooked(&self) {
        self.unbooked.notified().await;
    }

    /// The log has it: its part of the budget comes back.
    pub fn is_booked(&self, entry: &Entry) {
        self.end(entry, Stage::Booked);
    }

    /// The log can never take it. It keeps its part of the budget, and people have to look.
    pub fn is_stuck(&self, entry: &Entry) {
        entry.is_stuck.store(true, Ordering::SeqCst);
    }

    fn end(&self, entry: &Entry, stage: Stage) {
        if self.inner().remove(entry) {
            // The same as above: it is told again at the next start, and the log knows it then.
            let _gone = self.orders.send(Order::End(entry.id));
        }
        entry.stage.send_replace(stage);
        self.told();
    }
}

fn read(id: u64, bytes: Vec<u8>, stage: Stage) -> Result<Entry, Malformed> {
    let stood_in = StoodIn::decode(&bytes)?;
    let (owner, authorization) = (stood_in.owner.key, stood_in.decided.step.authorization);
    let amount = stood_in.amount().minor;
    Ok(Entry {
        id,
        owner,
        authorization,
        bytes,
        amount,
        stage: watch::Sender::new(stage),
        is_released: AtomicBool::new(false),
        is_stuck: AtomicBool::new(false),
    })
}

#[cfg(test)]
mod tests;

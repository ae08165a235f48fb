//! From the journal's records to notices: each decision once, over restarts and crashes.
//!
//! What is told and how far was read are kept in one transaction, so that a crash loses nothing and
//! repeats nothing. Whatever waits here waits in the journal's files: no authorization knows of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::notice::{APPROVED, DECLINED, family, of_decision};
use crate::clock::Clock;
use crate::cold::durable::JournalProgress;
use crate::cold::readiness::Readiness;
use crate::cold::records::feed::{Feed, Seen};
use crate::cold::records::reading::Reading;
use crate::cold::records::{DecisionId, DecisionRecord, Records};
use crate::cold::store::webhook::{Webhook, WebhookChange};
use crate::cold::store::{Batch, Mode, Store, StoreError};
use crate::domain::time::Timestamp;
use crate::ledger::event::Event;
use crate::telemetry::Telemetry;

/// The word of `/readyz` while so many records wait that webhooks tell old news.
const UNREAD: &str = "records_unread";
/// Without news, it looks again after this long.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After a fault.
const PAUSE: Duration = Duration::from_secs(1);
/// Where nothing is to be told, the mark is kept this often.
const MARK_EVERY_US: i64 = 5_000_000;
/// Customers whose mode is remembered.
const KNOWN_MAX: usize = 10_000;

/// What it works with.
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub records: Arc<Records>,
    pub journal: JournalProgress,
    pub clock: Clock,
    /// Rung where there is something to be delivered.
    pub bell: Arc<Notify>,
    pub telemetry: Arc<Telemetry>,
    /// Where it goes on.
    pub reading: Reading,
    /// Told where too many records wait.
    pub readiness: Arc<Readiness>,
    /// Beyond so many.
    pub unread_max: i64,
}

/// Reads on until the runtime ends.
pub async fn read(mut around: Around) {
    let begun = loop {
        match begin(&mut around).await {
            Ok(feed) => break feed,
            Err(error) => {
                tracing::warn!(%error, "what webhooks are told of decisions waits");
                sleep(PAUSE).await;
            }
        }
    };
    let mut reader = Reader {
        kept_at: around.clock.now(),
        feed: Some(begun),
        modes: HashMap::new(),
        unseen: (0, 0),
        around,
    };
    loop {
        match reader.step().await {
            Ok(true) => {}
            Ok(false) => sleep(LOOK_EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "what webhooks are told of decisions waits");
                sleep(PAUSE).await;
                reader.go_back().await;
            }
        }
    }
}

/// Where the reader goes on. That it has begun is kept, so that what is decided just before a crash is
/// told after it.
async fn begin(around: &mut Around) -> Result<Feed, StoreError> {
    let mut feed = around.reading.begin().await?;
    if around.reading.is_unkept(&feed) {
        let begun = around.reading.changes(&feed);
        around.store.apply(begun).await?;
        around.reading.is_kept(&mut feed);
    }
    Ok(feed)
}

/// What is wanted of decisions by any endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    approvals: bool,
    declines: bool,
}

impl Wanted {
    fn of(webhooks: &[Webhook]) -> Self {
        let is_wanted = |kind: &str| {
            let family = family(kind);
            let names = |webhook: &Webhook| {
                let mut kinds = webhook.kinds.iter();
                webhook.is_enabled && kinds.any(|it| *it == kind || *it == family)
            };
            webhooks.iter().any(names)
        };
        Self {
            approvals: is_wanted(APPROVED),
            declines: is_wanted(DECLINED),
        }
    }
}

/// Something of a chunk of records that is to be told.
enum Found {
    Decided(u64, Timestamp, Box<DecisionRecord>),
    Overruled(u64, Timestamp),
}

struct Reader {
    around: Around,
    /// Away only while it is read on.
    feed: Option<Feed>,
    /// Since when its place is kept.
    kept_at: Timestamp,
    modes: HashMap<String, Option<Mode>>,
    /// How much was not seen when the journal had come so far.
    unseen: (u64, u64),
}

impl Reader {
    /// Takes in the next chunk. Whether there is more.
    async fn step(&mut self) -> Result<bool, StoreError> {
        // An endpoint that was made before a decision is seen where the list is read after it.
        let durable = (self.around.journal)().durable.0;
        let Some(mut feed) = self.feed.take() else {
            let (looked_at, unseen) = self.unseen;
            self.tell_of_unread(unseen.saturating_add(durable.saturating_sub(looked_at)));
            self.go_back().await;
            return Ok(true);
        };
        let unseen = self.around.records.unseen(&feed, durable);
        self.unseen = (durable, unseen);
        self.tell_of_unread(unseen);
        if unseen == 0 {
            self.feed = Some(feed);
            return self.keep_mark().await;
        }
        let webhooks = self.around.store.all_webhooks().await?;
        let wanted = Wanted::of(&webhooks);
        let records = Arc::clone(&self.around.records);
        let read = spawn_blocking(move || {
            let mut found = Vec::new();
            let read = records.read_on(&mut feed, durable, |seen| look(seen, wanted, &mut found));
            (feed, found, read)
        });
        let (mut feed, found, read) = read
            .await
            .map_err(|error| StoreError::Fault(error.to_string()))?;
        if feed.take_lost() > 0 {
            tracing::error!("decisions are damaged in the journal; webhooks are not told of them");
        }
        self.feed = Some(feed);
        let more = read.map_err(|fault| StoreError::Fault(fault.to_string()))?;
        self.tell(found).await?;
        Ok(more)
    }

    /// Nothing is lost by records that wait here, however many: journals and logs keep them. But somebody has
    /// to see that nobody is told.
    fn tell_of_unread(&self, unseen: u64) {
        self.around.telemetry.set_unread(unseen);
        let most = u64::try_from(self.around.unread_max).unwrap_or(0);
        if unseen > most {
            self.around.readiness.set_warning(UNREAD);
        } else if unseen <= most / 2 {
            self.around.readiness.clear_warning(UNREAD);
        }
    }

    async fn tell(&mut self, found: Vec<Found>) -> Result<(), StoreError> {
        let now = self.around.clock.now();
        let mut batch = Batch::new();
        for found in found {
            let (at, record) = match found {
                Found::Decided(_, at, record) => (at, *record),
                Found::Overruled(sequence, at) => match self.overruled(sequence).await? {
                    Some(record) => (at, record),
                    None => continue,
                },
            };
            let customer = record.customer.clone().unwrap_or_default();
            if let Some(mode) = self.mode(customer).await? {
                let notice = of_decision(&record, mode, at, now);
                batch.push(WebhookChange::Told(notice).into());
            }
        }
        if batch.is_empty() {
            return self.keep_mark().await.map(drop);
        }
        self.keep(batch).await?;
        self.around.bell.notify_waiters();
        Ok(())
    }

    /// A decision that became a decline after it was recorded.
    async fn overruled(&self, sequence: u64) -> Result<Option<DecisionRecord>, StoreError> {
        let records = Arc::clone(&self.around.records);
        let found = spawn_blocking(move || records.find(DecisionId(sequence))).await;
        let found = found.map_err(|error| StoreError::Fault(error.to_string()))?;
        found.map_err(|fault| StoreError::Fault(fault.to_string()))
    }

    /// Of objects of which mode the customer's are; absent where the database does not know it.
    async fn mode(&mut self, customer: String) -> Result<Option<Mode>, StoreError> {
        if let Some(mode) = self.modes.get(&customer) {
            return Ok(*mode);
        }
        let row = self.around.store.customer(customer.clone()).await?;
        let mode = row.map(|row| row.mode);
        if self.modes.len() >= KNOWN_MAX {
            self.modes.clear();
        }
        if mode.is_some() {
            self.modes.insert(customer, mode);
        }
        Ok(mode)
    }

    /// Where there was nothing to tell. Never more to read.
    async fn keep_mark(&mut self) -> Result<bool, StoreError> {
        let unkept = self.feed.as_ref();
        let is_unkept = unkept.is_some_and(|feed| self.around.reading.is_unkept(feed));
        let now = self.around.clock.now();
        if is_unkept && now.micros_since(self.kept_at) >= MARK_EVERY_US {
            self.keep(Batch::new()).await?;
        }
        Ok(false)
    }

    async fn keep(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let Some(feed) = &mut self.feed else {
            return Ok(());
        };
        batch.extend(self.around.reading.changes(feed));
        self.around.store.apply(batch).await?;
        self.around.reading.is_kept(feed);
        self.kept_at = self.around.clock.now();
        Ok(())
    }

    /// Goes on from what is kept for sure. Nothing is read before it is known how far.
    async fn go_back(&mut self) {
        let feed = self.feed.take();
        self.feed = self.around.reading.go_back(feed).await;
    }
}

fn look(seen: &Seen<'_>, wanted: Wanted, found: &mut Vec<Found>) {
    match &seen.event {
        Event::Decided(decided) | Event::Conflicted(decided) => {
            let is_wanted = if decided.decision.is_approval() {
                wanted.approvals
            } else {
                wanted.declines
            };
            // A card that nobody knows is nobody's.
            if is_wanted && seen.whose_decision(decided).is_some() {
                let record = Box::new(seen.decision(decided));
                // What is set aside for a purchase request is no decision on a card of an issuer.
                if !record.is_earmark() {
                    found.push(Found::Decided(seen.sequence, decided.at, record));
                }
            }
        }
        Event::Overruled { decided_at, at, .. } => {
            // It never left.
            found.retain(|it| !matches!(it, Found::Decided(it, ..) if it == decided_at));
            if wanted.declines {
                found.push(Found::Overruled(*decided_at, *at));
            }
        }
        Event::Booked(booked) => {
            let whose = seen.whose_report(booked).filter(|_| wanted.declines);
            let declined = whose.and_then(|_| seen.declined(booked));
            found.extend(declined.map(|it| Found::Decided(seen.sequence, booked.at, Box::new(it))));
        }
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Redelivered { .. }
        | Event::StandingSet { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. }
        | Event::WindowsOpened { .. }
        | Event::RollingOpened { .. }
        | Event::RiskFrozen { .. }
        | Event::IntentDeclared { .. }
        | Event::IntentSettled { .. }
        | Event::Attested { .. }
        | Event::Backed { .. } => {}
    }
}

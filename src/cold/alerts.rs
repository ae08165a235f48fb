//! What owners want to know at once, and what freezes a card (behaviour 8.2).
//!
//! A reader of its own goes through the journal's records behind the disk. What it knows of a card's
//! past it reads from the records where it has not got it in memory, so that a restart forgets nothing;
//! each alert has a name that can be there once, so that it repeats nothing. An alert, the notice of it
//! and how far was read are kept in one transaction.

mod past;
mod settings;
mod sights;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::past::Past;
use self::settings::Settings;
use self::sights::{Raised, Sight, look};
use crate::clock::Clock;
use crate::cold::audit::{Event as AuditEvent, Who};
use crate::cold::control::{CardName, Control, Failed, Order, Work};
use crate::cold::durable::JournalProgress;
use crate::cold::ids::draw;
use crate::cold::ops::cards::caps_of;
use crate::cold::outbox::teller::Teller;
use crate::cold::records::Records;
use crate::cold::records::feed::Feed;
use crate::cold::records::reading::Reading;
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::webhook::{Alert, WebhookChange};
use crate::cold::store::{Card, Change, Store, StoreError};
use crate::cold::webhooks::notice::{RISK_FROZEN, RISK_WOULD_FREEZE, notice};
use crate::config::AlertsConfig;
use crate::domain::time::Timestamp;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;

/// Without news, it looks again after this long.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(1);
/// Where nothing is raised, the mark is kept this often.
const MARK_EVERY_US: i64 = 5_000_000;
/// Between two looks for alerts that are shown no more.
const FORGET_EVERY_US: i64 = 600_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Cards whose past is in memory; of the others it is read.
const PASTS_MAX: usize = 20_000;
/// Records of a card's past that are read.
const PAST_LEN: usize = 100;

/// What it works with.
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub records: Arc<Records>,
    pub journal: JournalProgress,
    pub snapshots: Arc<CurrentSnapshot>,
    pub ledger: LedgerPort,
    pub control: Control,
    pub clock: Clock,
    pub telemetry: Arc<Telemetry>,
    pub teller: Teller,
    pub config: AlertsConfig,
    /// Where it goes on.
    pub reading: Reading,
}

/// Watches until the runtime ends.
pub async fn watch(mut around: Around) {
    // What came before this process is asked for: it has to be known.
    while !around.records.is_whole() {
        sleep(LOOK_EVERY).await;
    }
    let feed = loop {
        match around.reading.begin().await {
            Ok(feed) => break feed,
            Err(_still_away) => sleep(PAUSE).await,
        }
    };
    let mut watcher = Watcher {
        feed: Some(feed),
        kept_at: around.clock.now(),
        forgotten_at: around.clock.now().plus_micros(-FORGET_EVERY_US),
        pasts: HashMap::new(),
        settings: Settings::new(around.config.clone()),
        around,
    };
    if let Err(error) = watcher.keep(Work::default()).await {
        tracing::warn!(?error, "alerts begin anew after the next start");
    }
    loop {
        watcher.forget().await;
        match watcher.step().await {
            Ok(true) => {}
            Ok(false) => sleep(LOOK_EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "alerts wait");
                sleep(PAUSE).await;
                watcher.go_back().await;
            }
        }
    }
}

struct Watcher {
    around: Around,
    /// Away only while it is read on.
    feed: Option<Feed>,
    kept_at: Timestamp,
    forgotten_at: Timestamp,
    pasts: HashMap<String, Past>,
    settings: Settings,
}

impl Watcher {
    async fn step(&mut self) -> Result<bool, StoreError> {
        let durable = (self.around.journal)().durable.0;
        let Some(mut feed) = self.feed.take() else {
            self.go_back().await;
            return Ok(true);
        };
        if self.around.records.unseen(&feed, durable) == 0 {
            self.feed = Some(feed);
            return Ok(false);
        }
        let records = Arc::clone(&self.around.records);
        let read = spawn_blocking(move || {
            let mut sights = Vec::new();
            let read = records.read_on(&mut feed, durable, |seen| look(seen, &mut sights));
            (feed, sights, read)
        });
        let (feed, sights, read) = read.await.map_err(fault)?;
        self.feed = Some(feed);
        let more = read.map_err(fault)?;
        let mut work = Work::default();
        for raised in self.judge(sights).await? {
            if !self.around.store.is_alert(raised.name.clone()).await? {
                self.raise(raised, &mut work).await?;
            }
        }
        // What raised nothing may be read twice.
        let age_us = self.around.clock.now().micros_since(self.kept_at);
        if !work.batch.is_empty() || age_us >= MARK_EVERY_US {
            let kept = self.keep(work).await;
            kept.map_err(|failed| StoreError::Fault(format!("not kept: {failed:?}")))?;
        }
        Ok(more)
    }

    /// What the sights come to, each name once.
    async fn judge(&mut self, sights: Vec<Sight>) -> Result<Vec<Raised>, StoreError> {
        if !sights.is_empty() {
            let now = self.around.clock.now();
            self.settings.refresh(&*self.around.store, now).await?;
        }
        let mut raised: Vec<Raised> = Vec::new();
        let mut used: BTreeMap<String, String> = BTreeMap::new();
        for sight in sights {
            match sight {
                Sight::Booked(booked) => {
                    used.insert(booked.card.clone(), booked.customer.clone());
                    if booked.has_drifted {
                        raised.push(booked.drift());
                    }
                    if booked.has_posted && !self.was_approved(&booked).await? {
                        raised.push(booked.forced());
                    }
                }
                Sight::Decided(decided) => {
                    let config = self.settings.of(&decided.customer);
                    let (storm, spike) = (config.decline_storm_count, config.spend_spike_factor);
                    let past = self.past(&decided.card, decided.sequence, storm).await?;
                    if !decided.is_approval {
                        let is_storm = past.decline(decided.at, storm);
                        raised.extend(is_storm.then(|| decided.storm(storm)));
                        continue;
                    }
                    let usual = past.approve(decided.amount, spike);
                    raised.extend(usual.map(|usual| decided.spike(usual)));
                    used.insert(decided.card, decided.customer);
                }
            }
        }
        for (card, customer) in used {
            let percent = self.settings.of(&customer).limit_share_percent;
            raised.extend(self.shares(&card, percent).await);
        }
        let mut names = BTreeSet::new();
        raised.retain(|it| names.insert(it.name.clone()));
        Ok(raised)
    }

    /// Limits of the card of which so much is used.
    async fn shares(&self, card: &str, percent: i64) -> Vec<Raised> {
        if percent == 0 {
            return Vec::new();
        }
        let snapshot = Arc::clone(&self.around.snapshots.load());
        let now = self.around.clock.now();
        let seen = caps_of(&self.around.ledger, &snapshot, card, now).await;
        let limits = seen.unwrap_or_default();
        let over = limits.into_iter().filter(|it| it.is_over(percent));
        over.map(|it| Raised::share(card, percent, it, now))
            .collect()
    }

    async fn past(
        &mut self,
        card: &str,
        before: u64,
        storm: usize,
    ) -> Result<&mut Past, StoreError> {
        if self.pasts.len() >= PASTS_MAX && !self.pasts.contains_key(card) {
            self.pasts.clear();
        }
        if !self.pasts.contains_key(card) {
            let (records, id) = (Arc::clone(&self.around.records), card.to_owned());
            let read = spawn_blocking(move || records.before(&id, before, PAST_LEN));
            let found = read.await.map_err(fault)?.map_err(fault)?;
            let mut past = Past::default();
            for (at, is_approval, amount) in found {
                if is_approval {
                    past.approve(amount, 0);
                } else {
                    past.decline(at, storm);
                }
            }
            self.pasts.insert(card.to_owned(), past);
        }
        Ok(self.pasts.entry(card.to_owned()).or_default())
    }

    async fn was_approved(&self, booked: &sights::Booked) -> Result<bool, StoreError> {
        let (records, authorization) = (
            Arc::clone(&self.around.records),
            booked.authorization.clone(),
        );
        let card = booked.card.clone();
        let read = spawn_blocking(move || records.was_approved(&card, &authorization));
        read.await.map_err(fault)?.map_err(fault)
    }

    /// What is kept of an alert; what a risk rule does is part of it.
    async fn raise(&self, raised: Raised, work: &mut Work) -> Result<(), StoreError> {
        let Some(card) = self.around.store.card(raised.card.clone()).await? else {
            return Ok(());
        };
        let now = self.around.clock.now();
        self.around.telemetry.count_alert(raised.kind);
        let told = raised.told(&card);
        let whose = (card.mode, &*card.customer_id);
        let told = notice(raised.event(), whose, &told, (raised.at, now));
        work.batch.push(
            WebhookChange::Alert(Alert {
                id: draw("alert", now),
                name: raised.name.clone(),
                mode: card.mode,
                customer_id: card.customer_id.clone(),
                card_id: card.id.clone(),
                kind: raised.kind.to_owned(),
                body: told.body.clone(),
                created_at: now,
            })
            .into(),
        );
        work.batch.push(WebhookChange::Told(told).into());
        let config = self.settings.of(&card.customer_id);
        if config.freeze_on.iter().any(|it| it == raised.kind) && !card.is_frozen {
            self.act(&raised, card, config.is_dry_run, work);
        }
        Ok(())
    }

    /// Freezes the card, or tells that it would have been frozen.
    fn act(&self, raised: &Raised, card: Card, is_dry: bool, work: &mut Work) {
        let now = self.around.clock.now();
        let told = raised.told(&card);
        let (event, outcome) = if is_dry {
            (RISK_WOULD_FREEZE, "dry run")
        } else {
            (RISK_FROZEN, "frozen")
        };
        let whose = (card.mode, &*card.customer_id);
        let told = notice(event, whose, &told, (raised.at, now));
        work.batch.push(WebhookChange::Told(told).into());
        work.batch.push(Change::Audit(AuditEvent {
            at: now,
            mode: Some(card.mode),
            who: Who::RiskRule,
            action: format!("{} {}", raised.kind, card.id),
            changes: Vec::new(),
            from: None,
            request_id: None,
            outcome: outcome.to_owned(),
        }));
        let is_changed = |it: &Change| matches!(it, Change::Card(row) if row.id == card.id);
        if is_dry || work.batch.iter().any(is_changed) {
            return;
        }
        work.orders.push(Order::RiskFreeze(CardName::from(&card)));
        if self.around.teller.tells(&card.connection) {
            let row = OutboxRow::of_card(Errand::State, &card.id, &card.connection, now);
            work.batch.push(Change::Outbox(row));
        }
        let is_frozen = true;
        work.batch.push(Change::Card(Card { is_frozen, ..card }));
    }

    async fn keep(&mut self, mut work: Work) -> Result<(), Failed> {
        let Some(feed) = &mut self.feed else {
            return Ok(());
        };
        let read = self.around.reading.changes(feed);
        if work.batch.is_empty() {
            let kept = self.around.store.apply(read).await;
            kept.map_err(|_away| Failed::Store)?;
        } else {
            work.batch.extend(read);
            self.around.control.make(work).await?;
        }
        self.around.reading.is_kept(feed);
        self.kept_at = self.around.clock.now();
        Ok(())
    }

    /// Lets go of alerts that have been shown long enough.
    async fn forget(&mut self) {
        let now = self.around.clock.now();
        let kept_days = self.around.config.kept_days;
        if kept_days == 0 || now.micros_since(self.forgotten_at) < FORGET_EVERY_US {
            return;
        }
        self.forgotten_at = now;
        // Ids sort by age.
        let before = now.plus_micros(-kept_days.saturating_mul(DAY_US));
        let forget = WebhookChange::ForgetAlerts(draw("alert", before));
        let forgotten = self.around.store.apply(vec![forget.into()]).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "old alerts could not be removed");
        }
    }

    /// Goes on from what is kept for sure.
    async fn go_back(&mut self) {
        self.pasts.clear();
        let feed = self.feed.take();
        self.feed = self.around.reading.go_back(feed).await;
    }
}

fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Fault(error.to_string())
}

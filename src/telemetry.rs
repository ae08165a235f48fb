//! Counters and histograms of the process. Labels are closed sets: never a card, never an agent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::lifecycle::{BookStatus, Flags};
use crate::domain::time::Timestamp;

mod webhooks;

use webhooks::Meters;
pub use webhooks::WebhookCounts;

/// Upper bounds of the latency buckets, in microseconds; the last bucket is open.
const BUCKETS_US: [u64; 14] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// Outcomes that are counted apart: approve, partial, and each reason to decline.
const OUTCOMES: usize = 2 + DeclineReason::ALL.len();

/// The counters of one connection: atomics, so that a hot thread takes no lock.
#[derive(Debug)]
struct ConnectionCounters {
    name: Box<str>,
    outcomes: [AtomicU64; OUTCOMES],
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    events: [AtomicU64; BookStatus::ALL.len()],
    raised: [AtomicU64; Flags::NAMES.len()],
    refused: Mutex<BTreeMap<&'static str, u64>>,
    complaint: Mutex<Complaint>,
}

/// What an operator was last told about requests that come to nothing.
#[derive(Debug, Default)]
struct Complaint {
    told_at: Option<Timestamp>,
    untold: u64,
}

/// Between two words about requests of one connection that come to nothing, in microseconds.
const COMPLAINT_EVERY_US: i64 = 10_000_000;

/// Counts what the process does.
#[derive(Debug)]
pub struct Telemetry {
    connections: Vec<ConnectionCounters>,
    problems: Mutex<BTreeMap<u16, u64>>,
    turned_away: AtomicU64,
    reloads: Mutex<BTreeMap<&'static str, u64>>,
    ledger_refusals: Mutex<BTreeMap<&'static str, u64>>,
    snapshot_version: AtomicI64,
    snapshot_waiting: AtomicI64,
    journal_poisoned: AtomicI64,
    clock_stepped: AtomicI64,
    clock_offset_us: AtomicI64,
    outbox_waiting: AtomicI64,
    outbox_dead: AtomicI64,
    outbox_age_s: AtomicI64,
    rules_age_ms: AtomicI64,
    stand_in_used: AtomicI64,
    stand_in_unbooked: AtomicI64,
    webhooks: Meters,
}

impl Telemetry {
    /// Counts for connections of these names, numbered by their place.
    #[must_use]
    pub fn new<'n>(connections: impl IntoIterator<Item = &'n str>) -> Arc<Self> {
        let counters = |name: &str| ConnectionCounters {
            name: name.into(),
            outcomes: [const { AtomicU64::new(0) }; OUTCOMES],
            buckets: [const { AtomicU64::new(0) }; BUCKETS_US.len() + 1],
            sum_us: AtomicU64::new(0),
            events: [const { AtomicU64::new(0) }; BookStatus::ALL.len()],
            raised: [const { AtomicU64::new(0) }; Flags::NAMES.len()],
            refused: Mutex::default(),
            complaint: Mutex::default(),
        };
        Arc::new(Self {
            connections: connections.into_iter().map(counters).collect(),
            problems: Mutex::default(),
            turned_away: AtomicU64::new(0),
            reloads: Mutex::default(),
            ledger_refusals: Mutex::default(),
            snapshot_version: AtomicI64::new(0),
            snapshot_waiting: AtomicI64::new(0),
            journal_poisoned: AtomicI64::new(0),
            clock_stepped: AtomicI64::new(0),
            clock_offset_us: AtomicI64::new(0),
            outbox_waiting: AtomicI64::new(0),
            outbox_dead: AtomicI64::new(0),
            outbox_age_s: AtomicI64::new(0),
            rules_age_ms: AtomicI64::new(0),
            stand_in_used: AtomicI64::new(0),
            stand_in_unbooked: AtomicI64::new(0),
            webhooks: Meters::default(),
        })
    }

    /// Counts one answer to the connection of this number, and how long it took in µs.
    pub fn count_decision(&self, connection: usize, decision: Decision, took_us: i64) {
        let Some(counters) = self.connections.get(connection) else {
            return;
        };
        let outcome = match decision {
            Decision::Approve => 0,
            Decision::ApprovePartial(_) => 1,
            Decision::Decline(reason) => 1 + usize::from(reason.number()),
        };
        let took_us = u64::try_from(took_us).unwrap_or(0);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < took_us);
        let add = |counter: Option<&AtomicU64>, by| {
            counter.map(|counter| counter.fetch_add(by, Ordering::Relaxed))
        };
        add(counters.outcomes.get(outcome), 1);
        add(counters.buckets.get(bucket), 1);
        add(Some(&counters.sum_us), took_us);
    }

    /// Counts one acknowledged event of the connection of this number, and what it brought to light.
    pub fn count_event(&self, connection: usize, status: BookStatus, raised: Flags) {
        let Some(counters) = self.connections.get(connection) else {
            return;
        };
        if let Some(counter) = counters.events.get(status as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        for ((flag, _), counter) in Flags::NAMES.into_iter().zip(&counters.raised) {
            counter.fetch_add(u64::from(raised.has(flag)), Ordering::Relaxed);
        }
    }

    /// Counts a delivery to the connection of this number whose sender was not proven, by why.
    pub fn count_refused(&self, connection: usize, code: &'static str) {
        if let Some(counters) = self.connections.get(connection) {
            *lock(&counters.refused).entry(code).or_default() += 1;
        }
    }

    /// Whether operators are to be told now that a request to the connection of this number came to
    /// nothing: at once, and then every ten seconds at most. How many they were not told of since.
    #[must_use]
    pub fn complain(&self, connection: usize, now: Timestamp) -> Option<u64> {
        let mut complaint = lock(&self.connections.get(connection)?.complaint);
        let waits = |told_at: Timestamp| now.micros_since(told_at) < COMPLAINT_EVERY_US;
        if complaint.told_at.is_some_and(waits) {
            complaint.untold += 1;
            return None;
        }
        complaint.told_at = Some(now);
        Some(std::mem::take(&mut complaint.untold))
    }

    /// Counts a request that got no decision, by the status of its answer.
    pub fn count_problem(&self, status: u16) {
        *lock(&self.problems).entry(status).or_default() += 1;
    }

    /// Counts a connection that was closed because there were enough.
    pub fn count_turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// The snapshot in force.
    pub fn set_snapshot_version(&self, version: u64) {
        self.snapshot_version.store(
            i64::try_from(version).unwrap_or(i64::MAX),
            Ordering::Relaxed,
        );
    }

    /// What issuers are to be told: rows that wait, rows that are tried no more, and for how long the
    /// oldest waits, in seconds.
    pub fn set_outbox(&self, waiting: i64, dead: i64, age_s: i64) {
        self.outbox_waiting.store(waiting, Ordering::Relaxed);
        self.outbox_dead.store(dead, Ordering::Relaxed);
        self.outbox_age_s.store(age_s, Ordering::Relaxed);
    }

    /// How long ago it was known last that the rules in force are those of the database.
    pub fn set_rules_age(&self, age_us: i64) {
        self.rules_age_ms.store(age_us / 1_000, Ordering::Relaxed);
    }

    /// What this node approved by itself and the shared ledger does not have yet: minor units and how many.
    pub fn set_stand_in(&self, used: i64, unbooked: i64) {
        self.stand_in_used.store(used, Ordering::Relaxed);
        self.stand_in_unbooked.store(unbooked, Ordering::Relaxed);
    }

    /// What waits for webhooks.
    pub fn set_webhooks(&self, counts: WebhookCounts) {
        self.webhooks.set(counts);
    }

    /// How many records of the journal webhooks have not seen yet.
    pub fn set_unread(&self, count: u64) {
        self.webhooks.set_unread(count);
    }

    /// Counts an attempt at a webhook.
    pub fn count_attempt(&self, is_taken: bool) {
        self.webhooks.count_attempt(is_taken);
    }

    /// Counts an alert by its kind.
    pub fn count_alert(&self, kind: &'static str) {
        self.webhooks.count_alert(kind);
    }

    /// Whether the snapshot's file is not what is in force.
    pub fn set_snapshot_waiting(&self, is_waiting: bool) {
        self.snapshot_waiting
            .store(i64::from(is_waiting), Ordering::Relaxed);
    }

    /// Counts a reload by the word for what it came to.
    pub fn count_reload(&self, outcome: &'static str) {
        *lock(&self.reloads).entry(outcome).or_default() += 1;
    }

    /// Counts a command that the Redis of a shared ledger refused, by its code.
    pub fn count_ledger_refusal(&self, code: &'static str) {
        *lock(&self.ledger_refusals).entry(code).or_default() += 1;
    }

    /// What the wall clock is ahead of our time, and whether it has made a step.
    pub fn set_clock(&self, offset_us: i64, is_stepped: bool) {
        self.clock_offset_us.store(offset_us, Ordering::Relaxed);
        self.clock_stepped
            .store(i64::from(is_stepped), Ordering::Relaxed);
    }

    /// The journal will take nothing any more.
    pub fn set_journal_poisoned(&self) {
        self.journal_poisoned.store(1, Ordering::Relaxed);
    }

    /// Everything in the text format of Prometheus.
    ///
    /// # Errors
    /// Never in practice: writing to memory does not fail.
    pub fn render(self: &Arc<Self>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("countersign");
        registry.register_collector(Box::new(Scrape(Arc::clone(self))));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Scrape(Arc<Telemetry>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.decisions(&mut encoder)?;
        self.latencies(&mut encoder)?;
        self.refusals(&mut encoder)?;
        self.events(&mut encoder)?;
        self.0.webhooks.encode(&mut encoder)?;
        let mut gauge = |name, help, value: &AtomicI64| {
            let gauge = ConstGauge::new(value.load(Ordering::Relaxed));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let telemetry = &self.0;
        gauge(
            "snapshot_version",
            "Policy snapshot in force",
            &telemetry.snapshot_version,
        )?;
        gauge(
            "outbox_waiting",
            "Things that issuers are still to be told",
            &telemetry.outbox_waiting,
        )?;
        gauge(
            "outbox_dead",
            "Things that issuers are told no more, until an operator replays them",
            &telemetry.outbox_dead,
        )?;
        gauge(
            "outbox_age_seconds",
            "For how long the oldest thing that an issuer is to be told waits",
            &telemetry.outbox_age_s,
        )?;
        gauge(
            "rules_age_milliseconds",
            "How long ago an authorizer heard last which rules the database has; 0 where none is followed",
            &telemetry.rules_age_ms,
        )?;
        gauge(
            "stand_in_used",
            "Minor units of the node's own budget that it approved while the shared ledger did not answer",
            &telemetry.stand_in_used,
        )?;
        gauge(
            "stand_in_unbooked",
            "Approvals of the node's own that the shared ledger does not have yet",
            &telemetry.stand_in_unbooked,
        )?;
        gauge(
            "snapshot_waiting",
            "1 while the snapshot's file is refused or waits for a confirmation",
            &telemetry.snapshot_waiting,
        )?;
        gauge(
            "journal_poisoned",
            "1 once a write or sync of the journal failed",
            &telemetry.journal_poisoned,
        )?;
        gauge(
            "clock_stepped",
            "1 while a step of the wall clock is not confirmed",
            &telemetry.clock_stepped,
        )?;
        gauge(
            "clock_offset_microseconds",
            "What the wall clock is ahead of the time that decisions are made by",
            &telemetry.clock_offset_us,
        )
    }
}

impl Scrape {
    fn decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "decisions",
            "Answers to authorizations",
            None,
            MetricType::Counter,
        )?;
        for connection in &self.0.connections {
            for (outcome, count) in connection.outcomes.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count == 0 {
                    continue;
                }
                let (decision, reason) = outcome_labels(outcome);
                let labels = [
                    ("connection", &*connection.name),
                    ("decision", decision),
                    ("reason", reason),
                ];
                let counter = ConstCounter::new(count);
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn events(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Acknowledged events by what became of them";
        let mut family = encoder.encode_descriptor("events", help, None, MetricType::Counter)?;
        for connection in &self.0.connections {
            for (status, count) in BookStatus::ALL.into_iter().zip(&connection.events) {
                let count = ConstCounter::new(count.load(Ordering::Relaxed));
                let name = &*connection.name;
                let labels = [("connection", name), ("status", status.name())];
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Authorizations that an event gave reason to look at";
        let mut family = encoder.encode_descriptor("alerts", help, None, MetricType::Counter)?;
        for connection in &self.0.connections {
            for ((_, what), count) in Flags::NAMES.into_iter().zip(&connection.raised) {
                let count = ConstCounter::new(count.load(Ordering::Relaxed));
                let labels = [("connection", &*connection.name), ("what", what)];
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    #[expect(
        clippy::disallowed_types,
        clippy::float_arithmetic,
        reason = "the exposition format"
    )]
    fn latencies(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let seconds = |us: u64| f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1e6;
        let mut family = encoder.encode_descriptor(
            "decision",
            "From an authorization's receipt to its answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for connection in &self.0.connections {
            let bounds = BUCKETS_US
                .iter()
                .map(|us| seconds(*us))
                .chain([f64::INFINITY]);
            let counts = connection
                .buckets
                .iter()
                .map(|count| count.load(Ordering::Relaxed));
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum_us = connection.sum_us.load(Ordering::Relaxed);
            let sum = seconds(sum_us % 1_000_000)
                + f64::from(u32::try_from(sum_us / 1_000_000).unwrap_or(u32::MAX));
            let labels = [("connection", &*connection.name)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn refusals(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Deliveries that were not the issuer's";
        let mut family =
            encoder.encode_descriptor("deliveries_refused", help, None, MetricType::Counter)?;
        for connection in &self.0.connections {
            for (why, count) in lock(&connection.refused).iter() {
                let labels = [("connection", &*connection.name), ("why", *why)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Requests that got no decision";
        let mut family = encoder.encode_descriptor("problems", help, None, MetricType::Counter)?;
        for (status, count) in lock(&self.0.problems).iter() {
            let labels = [("status", u32::from(*status))];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "Reloads of the snapshot";
        let mut family =
            encoder.encode_descriptor("snapshot_reloads", help, None, MetricType::Counter)?;
        for (outcome, count) in lock(&self.0.reloads).iter() {
            let labels = [("outcome", *outcome)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "Commands that the Redis of a shared ledger refused";
        let mut family =
            encoder.encode_descriptor("ledger_refusals", help, None, MetricType::Counter)?;
        for (code, count) in lock(&self.0.ledger_refusals).iter() {
            let labels = [("code", *code)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "Connections that were closed because there were enough";
        let counter = ConstCounter::new(self.0.turned_away.load(Ordering::Relaxed));
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor("connections_turned_away", help, None, kind)?)
    }
}

fn outcome_labels(outcome: usize) -> (&'static str, &'static str) {
    match outcome {
        0 => ("approve", ""),
        1 => ("partial", ""),
        number => {
            let reason = u8::try_from(number - 1)
                .ok()
                .and_then(DeclineReason::from_number);
            ("decline", reason.map_or("", DeclineReason::code))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_names_connection_decision_and_reason() {
        let telemetry = Telemetry::new(["acme"]);
        telemetry.count_decision(0, Decision::Approve, 180);
        telemetry.count_decision(0, Decision::Decline(DeclineReason::MccBlocked), 2_000_000);
        telemetry.count_refused(0, "mismatch");
        telemetry.count_reload("refused");
        telemetry.set_snapshot_waiting(true);
        let text = telemetry.render().unwrap();
        for line in [
            "countersign_decisions_total{connection=\"acme\",decision=\"approve\",reason=\"\"} 1",
            "countersign_decisions_total{connection=\"acme\",decision=\"decline\",reason=\"mcc_blocked\"} 1",
            "countersign_decision_seconds_bucket{le=\"0.00025\",connection=\"acme\"} 1",
            "countersign_decision_seconds_bucket{le=\"+Inf\",connection=\"acme\"} 2",
            "countersign_decision_seconds_count{connection=\"acme\"} 2",
            "countersign_deliveries_refused_total{connection=\"acme\",why=\"mismatch\"} 1",
            "countersign_snapshot_reloads_total{outcome=\"refused\"} 1",
            "countersign_snapshot_waiting 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
    #[test]
    fn operators_are_told_at_once_and_then_every_ten_seconds_how_many_came() {
        let telemetry = Telemetry::new(["acme", "beta"]);
        let complain =
            |connection, seconds| telemetry.complain(connection, Timestamp::from_secs(seconds));
        assert_eq!(complain(0, 100), Some(0));
        for second in [100, 103, 109] {
            assert_eq!(complain(0, second), None);
        }
        assert_eq!(complain(1, 109), Some(0), "another connection has its own");
        assert_eq!(complain(0, 110), Some(3));
        assert_eq!(complain(0, 111), None);
        assert_eq!(complain(2, 111), None, "there is none");
    }
}

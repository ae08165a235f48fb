//! Counts of outgoing webhooks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::lock;

/// What waits for endpoints, over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// Deliveries that are tried again.
    pub waiting: i64,
    /// Deliveries that are tried no more.
    pub dead: i64,
    /// For how long the oldest waiting one waits, in seconds.
    pub age_s: i64,
    /// Endpoints that are told nothing any more because they failed.
    pub disabled: i64,
    /// Endpoints for which nothing more is kept.
    pub full: i64,
    /// What was not kept for that.
    pub dropped: i64,
}

#[derive(Debug, Default)]
pub(super) struct Meters {
    waiting: AtomicI64,
    dead: AtomicI64,
    age_s: AtomicI64,
    disabled: AtomicI64,
    full: AtomicI64,
    dropped: AtomicI64,
    unread: AtomicU64,
    taken: AtomicU64,
    failed: AtomicU64,
    alerts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Meters {
    pub(super) fn set(&self, counts: WebhookCounts) {
        for (meter, count) in [
            (&self.waiting, counts.waiting),
            (&self.dead, counts.dead),
            (&self.age_s, counts.age_s),
            (&self.disabled, counts.disabled),
            (&self.full, counts.full),
            (&self.dropped, counts.dropped),
        ] {
            meter.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn set_unread(&self, count: u64) {
        self.unread.store(count, Ordering::Relaxed);
    }

    pub(super) fn count_attempt(&self, is_taken: bool) {
        let meter = if is_taken { &self.taken } else { &self.failed };
        meter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_alert(&self, kind: &'static str) {
        *lock(&self.alerts).entry(kind).or_default() += 1;
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let unread = i64::try_from(self.unread.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        for (name, help, value) in [
            (
                "webhook_waiting",
                "Deliveries to webhooks that are tried again",
                self.waiting.load(Ordering::Relaxed),
            ),
            (
                "webhook_dead",
                "Deliveries to webhooks that are tried no more, until they are replayed",
                self.dead.load(Ordering::Relaxed),
            ),
            (
                "webhook_age_seconds",
                "For how long the oldest delivery to a webhook waits",
                self.age_s.load(Ordering::Relaxed),
            ),
            (
                "webhook_disabled",
                "Webhooks that are told nothing any more because they failed",
                self.disabled.load(Ordering::Relaxed),
            ),
            (
                "webhook_full",
                "Webhooks for which so much waits that nothing more is kept",
                self.full.load(Ordering::Relaxed),
            ),
            (
                "webhook_dropped",
                "Deliveries that were not kept because too many waited",
                self.dropped.load(Ordering::Relaxed),
            ),
            (
                "webhook_unread_records",
                "Records of the journal that webhooks and alerts have not seen yet",
                unread,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let help = "Alerts that owners were told of";
        let mut family =
            encoder.encode_descriptor("owner_alerts", help, None, MetricType::Counter)?;
        for (kind, count) in lock(&self.alerts).iter() {
            ConstCounter::new(*count).encode(family.encode_family(&[("kind", *kind)])?)?;
        }
        let help = "Attempts at webhooks by what became of them";
        let mut family =
            encoder.encode_descriptor("webhook_attempts", help, None, MetricType::Counter)?;
        for (outcome, meter) in [("taken", &self.taken), ("failed", &self.failed)] {
            let count = ConstCounter::new(meter.load(Ordering::Relaxed));
            count.encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}

//! How much waits, and what is too old or too much.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::sleep;

use super::Around;
use crate::cold::store::webhook::{DeliveryState, WebhookChange};
use crate::cold::store::{Batch, StoreError};
use crate::domain::time::Timestamp;
use crate::telemetry::WebhookCounts;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const DAY_US: i64 = 86_400 * 1_000_000;
/// What has waited so long is dead: the last pause of the schedule is over by then.
const WAITING_US_MAX: i64 = 4 * DAY_US;
/// What was taken is shown for a day, what is dead for a month; each up to a number.
const DONE_US: i64 = DAY_US;
const DONE_MAX: i64 = 10_000;
const DEAD_US: i64 = 30 * DAY_US;
const DEAD_MAX: i64 = 100_000;
/// What a link has decided is seen under it for so long after its end.
const LINKS_US: i64 = 7 * DAY_US;
/// Between two looks for what is to be forgotten.
const FORGET_EVERY_US: i64 = 60_000_000;
/// The words of `/readyz`.
const DISABLED: &str = "webhook_disabled";
const FULL: &str = "webhook_backlog_full";

/// Counts, marks and forgets, until the runtime ends.
pub async fn watch(around: Around) {
    let mut forgotten_at = around.clock.now().plus_micros(-FORGET_EVERY_US);
    loop {
        if let Err(error) = around.look(&mut forgotten_at).await {
            tracing::warn!(%error, "what waits for webhooks cannot be counted");
        }
        sleep(LOOK_EVERY).await;
    }
}

impl Around {
    async fn look(&self, forgotten_at: &mut Timestamp) -> Result<(), StoreError> {
        let now = self.clock.now();
        let webhooks = self.store.all_webhooks().await?;
        let mut shown = WebhookCounts::default();
        let mut waiting: HashMap<String, i64> = HashMap::new();
        for count in self.store.delivery_counts().await? {
            match count.state {
                DeliveryState::Waiting => {
                    shown.waiting += count.count;
                    let age_us = now.micros_since(count.oldest_at).max(0);
                    shown.age_s = shown.age_s.max(age_us / 1_000_000);
                    waiting.insert(count.webhook_id, count.count);
                }
                DeliveryState::Dead => shown.dead += count.count,
                DeliveryState::Done => {}
            }
        }
        let mut batch = Batch::new();
        for webhook in &webhooks {
            shown.dropped += webhook.dropped;
            shown.disabled += i64::from(webhook.disabled_because.is_some());
            let waiting = waiting.get(&webhook.id).copied().unwrap_or(0);
            let is_full = if webhook.is_full {
                // Some room, so that it is not full again at once.
                waiting > self.backlog_max / 10 * 9
            } else {
                waiting >= self.backlog_max
            };
            shown.full += i64::from(is_full);
            if is_full != webhook.is_full {
                tracing::warn!(
                    webhook = webhook.id,
                    waiting,
                    is_full,
                    "a webhook's backlog"
                );
                batch.push(WebhookChange::Full(webhook.id.clone(), is_full).into());
            }
        }
        self.telemetry.set_webhooks(shown);
        self.warn(DISABLED, shown.disabled > 0);
        self.warn(FULL, shown.full > 0);
        if now.micros_since(*forgotten_at) >= FORGET_EVERY_US {
            let before = |us: i64| now.plus_micros(-us);
            batch.push(WebhookChange::TooOld(before(WAITING_US_MAX)).into());
            let kept = [
                (DeliveryState::Done, DONE_US, DONE_MAX),
                (DeliveryState::Dead, DEAD_US, DEAD_MAX),
            ];
            batch.push(WebhookChange::ForgetLinks(before(LINKS_US)).into());
            for webhook in webhooks {
                for (state, us, most) in kept {
                    let id = webhook.id.clone();
                    batch.push(WebhookChange::Forget(id, state, before(us), most).into());
                }
            }
            *forgotten_at = now;
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.store.apply(batch).await
    }

    fn warn(&self, word: &'static str, is_so: bool) {
        if is_so {
            self.readiness.set_warning(word);
        } else {
            self.readiness.clear_warning(word);
        }
    }
}

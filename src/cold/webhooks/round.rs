//! One round of attempts at one endpoint.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use super::Around;
use super::chat;
use super::schedule::pause_us;
use super::secrets::{self, Signers, UNSIGNED};
use super::send::{Outcome, Sender};
use crate::cold::api::{Api, notices};
use crate::cold::store::webhook::{
    Channel, DeliveriesAsked, Delivery, DeliveryState, Webhook, WebhookChange,
};
use crate::cold::store::{Batch, StoreError};
use crate::domain::time::Timestamp;

/// Deliveries of one round; one alone where the endpoint was away.
const AT_ONCE: usize = 32;
/// Messages to people of one round, one after the other.
const TO_PEOPLE: usize = 8;
/// An endpoint that has taken nothing for so long is told nothing more.
const FAILING_US_MAX: i64 = 5 * 86_400 * 1_000_000;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fared {
    /// Something was taken, or there was nothing to do.
    Well,
    /// Everything was in vain.
    Badly,
    /// What came of it is not kept, or nothing could be tried: it is for us to come to order.
    Unkept,
}

pub(super) struct Round {
    pub(super) around: Around,
    pub(super) sender: Sender,
}

impl Round {
    pub(super) async fn run(&self, id: &str) -> Fared {
        self.tell(id).await.unwrap_or_else(|error| {
            tracing::warn!(webhook = id, %error, "a webhook is told later");
            Fared::Unkept
        })
    }

    async fn tell(&self, id: &str) -> Result<Fared, StoreError> {
        let store = &self.around.store;
        let now = self.around.clock.now();
        let webhook = store.webhook(id.to_owned()).await?;
        let Some(webhook) = webhook.filter(|it| it.is_enabled) else {
            return Ok(Fared::Well);
        };
        let count = match webhook.channel {
            _ if webhook.failing_since.is_some() => 1,
            Channel::Webhook => AT_ONCE,
            Channel::Slack | Channel::Email => TO_PEOPLE,
        };
        let due = DeliveriesAsked::Due(id.to_owned(), now, count);
        let rows = store.deliveries(due).await?;
        if rows.is_empty() {
            return Ok(Fared::Well);
        }
        let tried = match webhook.channel {
            Channel::Webhook => self.attempt(&webhook, rows).await,
            Channel::Slack | Channel::Email => {
                // What writes to people starts a moment later than this.
                let Some(Some(api)) = self.around.served.get() else {
                    return Ok(Fared::Unkept);
                };
                // People are told nothing while nobody could keep that they have been.
                let as_before = WebhookChange::Failing(webhook.id.clone(), webhook.failing_since);
                store.apply(vec![as_before.into()]).await?;
                self.write_all(api, &webhook, rows).await
            }
        };
        let (batch, fared) = self.judge(&webhook, tried);
        store.apply(batch).await?;
        Ok(fared)
    }

    /// One after the other, until one is not taken: a mail server that does not answer takes up no more time
    /// than for one.
    async fn write_all(
        &self,
        api: &Arc<Api>,
        webhook: &Webhook,
        rows: Vec<Delivery>,
    ) -> Vec<(Delivery, Outcome)> {
        let mut tried = Vec::with_capacity(rows.len());
        for row in rows {
            let outcome = self.write(api, webhook, &row).await;
            let is_taken = matches!(outcome, Outcome::Taken(_));
            tried.push((row, outcome));
            if !is_taken {
                break;
            }
        }
        tried
    }

    /// Tells people, in the form of their channel.
    async fn write(&self, api: &Arc<Api>, webhook: &Webhook, row: &Delivery) -> Outcome {
        let now = self.around.clock.now();
        let composed = notices::compose(api, webhook, row, now).await;
        let (to, message) = match composed {
            Ok(composed) => composed,
            Err(why) => return Outcome::failed(why),
        };
        match (webhook.channel, &self.around.mailer) {
            (Channel::Email, Some(mailer)) => mailer.send(&to, &message, now).await,
            (Channel::Email, None) => Outcome::failed("the server has no mail server"),
            (Channel::Slack | Channel::Webhook, _) => {
                let keys = self.around.keys.as_deref();
                match secrets::address(&*self.around.store, keys, webhook).await {
                    Ok(url) => {
                        let body = chat::body(&message);
                        self.sender.send(url.expose_secret(), None, body).await
                    }
                    Err(error) => {
                        tracing::error!(webhook = webhook.id, %error, "a chat cannot be told");
                        Outcome::failed(UNSIGNED)
                    }
                }
            }
        }
    }

    async fn attempt(&self, webhook: &Webhook, rows: Vec<Delivery>) -> Vec<(Delivery, Outcome)> {
        let now = self.around.clock.now();
        let keys = self.around.keys.as_deref();
        let signers = match Signers::of(&*self.around.store, keys, webhook, now).await {
            Ok(signers) => signers,
            Err(error) => {
                tracing::error!(webhook = webhook.id, %error, "a webhook cannot be signed");
                let failed = Outcome::failed(UNSIGNED);
                return rows.into_iter().map(|row| (row, failed.clone())).collect();
            }
        };
        let mut attempts = JoinSet::new();
        for row in rows {
            let signed = signers.sign(&row.id, now, &row.body);
            let (sender, url) = (self.sender.clone(), webhook.url.clone());
            attempts.spawn(async move {
                let outcome = sender.send(&url, Some(signed), row.body.clone()).await;
                (row, outcome)
            });
        }
        attempts.join_all().await
    }

    /// What is kept of the attempts.
    fn judge(&self, webhook: &Webhook, tried: Vec<(Delivery, Outcome)>) -> (Batch, Fared) {
        let now = self.around.clock.now();
        let is_taken = |(_, outcome): &(_, Outcome)| matches!(outcome, Outcome::Taken(_));
        let fared = if tried.iter().any(is_taken) {
            Fared::Well
        } else {
            Fared::Badly
        };
        let gone = tried.iter().any(|(_, it)| *it == Outcome::Gone);
        let mut batch = Batch::new();
        let mut last_error = None;
        for (row, outcome) in tried {
            let is_taken = matches!(outcome, Outcome::Taken(_));
            self.around.telemetry.count_attempt(is_taken);
            let row = after(row, outcome, now, getrandom::u64().unwrap_or(0));
            last_error = last_error.or_else(|| row.last_error.clone());
            batch.push(WebhookChange::Tried(row).into());
        }
        let id = webhook.id.clone();
        let since = webhook.failing_since;
        match fared {
            Fared::Well if since.is_some() => batch.push(WebhookChange::Failing(id, None).into()),
            Fared::Well | Fared::Unkept => {}
            Fared::Badly if since.is_none() => {
                tracing::warn!(webhook = id, ?last_error, "a webhook fails");
                batch.push(WebhookChange::Failing(id, Some(now)).into());
            }
            Fared::Badly => {}
        }
        let is_over = since.is_some_and(|since| now.micros_since(since) >= FAILING_US_MAX);
        let because = match (gone, fared, is_over) {
            (true, ..) => Some("the receiver answered 410 Gone".to_owned()),
            (false, Fared::Badly, true) => {
                let last = last_error.unwrap_or_default();
                Some(format!(
                    "it took nothing for five days; the last time: {last}"
                ))
            }
            (false, ..) => None,
        };
        if let Some(because) = because {
            tracing::error!(webhook = webhook.id, %because, "a webhook is told nothing more");
            batch.push(WebhookChange::Disabled(webhook.id.clone(), because).into());
        }
        (batch, fared)
    }
}

/// The row after an attempt.
fn after(row: Delivery, outcome: Outcome, now: Timestamp, chance: u64) -> Delivery {
    let attempts = row.attempts.saturating_add(1);
    let tried = Delivery {
        attempts,
        tried_at: Some(now),
        ..row
    };
    match outcome {
        Outcome::Taken(status) => Delivery {
            state: DeliveryState::Done,
            last_status: Some(status),
            last_error: None,
            ..tried
        },
        Outcome::Gone => Delivery {
            state: DeliveryState::Dead,
            last_status: Some(410),
            last_error: Some("the receiver answered 410 Gone".to_owned()),
            ..tried
        },
        Outcome::Refused { status, why } => Delivery {
            state: DeliveryState::Dead,
            last_status: Some(status),
            last_error: Some(why),
            ..tried
        },
        Outcome::Failed { status, why, after } => {
            let pause = pause_us(attempts, after, chance);
            Delivery {
                state: match pause {
                    Some(_) => DeliveryState::Waiting,
                    None => DeliveryState::Dead,
                },
                due_at: now.plus_micros(pause.unwrap_or(0)),
                last_status: status,
                last_error: Some(why),
                ..tried
            }
        }
    }
}

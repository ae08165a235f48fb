//! Outgoing webhooks (behaviour 8.5): what happened, told to endpoints that owners have named.
//!
//! A notice is kept with what it tells of, one delivery for each endpoint that wants it, and delivered
//! behind its back: at least once, with the same id each time. An endpoint that is away costs rows up
//! to a ceiling, and nothing else: each has its own round of attempts, and no other waits for it. The
//! hot path does not know that any of this is there.

pub mod address;
mod chat;
mod connect;
pub(in crate::cold) mod fetch;
pub mod mail;
pub(in crate::cold) mod message;
pub mod notice;
pub mod reader;
mod round;
mod schedule;
pub mod secrets;
mod send;
pub mod watch;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::address::Reach;
use self::mail::Mailer;
use self::round::{Fared, Round};
use self::send::Sender;
use crate::clock::Clock;
use crate::cold::api::Served;
use crate::cold::readiness::Readiness;
use crate::cold::seal::MasterKeys;
use crate::cold::store::Store;
use crate::cold::store::webhook::{Channel, Due, Webhook};
use crate::domain::time::Timestamp;
use crate::telemetry::Telemetry;

/// Endpoints that are told something at a time.
const ROUNDS_MAX: usize = 32;
/// Without a bell, it looks up this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the tasks work with.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Opens the endpoints' secrets; absent where there is nothing to open them with.
    pub keys: Option<Arc<MasterKeys>>,
    /// Rung where there is something new.
    pub bell: Arc<Notify>,
    pub telemetry: Arc<Telemetry>,
    pub readiness: Arc<Readiness>,
    pub reach: Reach,
    /// Hands mail over; absent where there is no mail server.
    pub mailer: Option<Mailer>,
    /// What writes to people: it is there once the server has started.
    pub served: Served,
    /// How many deliveries may wait for one endpoint.
    pub backlog_max: i64,
}

/// Delivers what is due, until the runtime ends.
pub async fn deliver(around: Around) {
    let sender = Sender::new(around.reach);
    let mut rounds: JoinSet<(String, Fared)> = JoinSet::new();
    let mut busy: HashSet<String> = HashSet::new();
    let mut rests: HashMap<String, Rest> = HashMap::new();
    loop {
        // From here on a bell is heard: what is kept after the look is not missed.
        let rung = around.bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        let now = around.clock.now();
        match around.store.webhooks_due(now).await {
            Ok(due) => {
                let room = ROUNDS_MAX.saturating_sub(busy.len());
                let is_free = |due: &Due| {
                    // One that its owner has enabled anew has failed nobody yet.
                    let rest = rests.get(&due.webhook_id);
                    let rest = rest.filter(|rest| due.is_failing || rest.is_ours);
                    rest.is_none_or(|rest| rest.until <= now) && !busy.contains(&due.webhook_id)
                };
                let free: Vec<Due> = due.into_iter().filter(is_free).take(room).collect();
                for Due { webhook_id: id, .. } in free {
                    busy.insert(id.clone());
                    let round = Round {
                        around: around.clone(),
                        sender: sender.clone(),
                    };
                    rounds.spawn(async move {
                        let fared = round.run(&id).await;
                        (id, fared)
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what webhooks are to be told cannot be read");
                sleep(LOOK_EVERY).await;
            }
        }
        tokio::select! {
            done = rounds.join_next(), if !rounds.is_empty() => match done {
                Some(Ok((id, fared))) => {
                    busy.remove(&id);
                    rest(&mut rests, id, fared, around.clock.now());
                }
                // A round that broke off; whoever is told twice sees the same id.
                Some(Err(_)) | None => busy.clear(),
            },
            _rung = timeout(LOOK_EVERY, rung) => {}
        }
    }
}

/// Tells the operator of mailboxes that nothing reaches, because the configuration has no mail server any more.
pub async fn warn_without_mail(around: Around) {
    if around.mailer.is_some() {
        return;
    }
    match around.store.all_webhooks().await {
        Ok(rows) => {
            let is_mailbox = |row: &&Webhook| row.channel == Channel::Email && row.is_enabled;
            let mailboxes = rows.iter().filter(is_mailbox).count();
            if mailboxes > 0 {
                tracing::warn!(
                    mailboxes,
                    "people are to be told by e-mail, and there is no [mail]"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "it cannot be read who is to be told by e-mail"),
    }
}

/// An endpoint that is away is not asked at once again, however much is due.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    until: Timestamp,
    rounds: u32,
    /// Whether it was the database that failed, and no endpoint.
    is_ours: bool,
}

fn rest(rests: &mut HashMap<String, Rest>, id: String, fared: Fared, now: Timestamp) {
    match fared {
        Fared::Well => {
            rests.remove(&id);
        }
        // The database is the same for all, and costs no endpoint more than a moment.
        Fared::Unkept => {
            let rest = Rest {
                until: now.plus_micros(schedule::rest_us(1)),
                rounds: 0,
                is_ours: true,
            };
            rests.insert(id, rest);
        }
        Fared::Badly => {
            let rest = rests.entry(id).or_default();
            rest.is_ours = false;
            rest.rounds = rest.rounds.saturating_add(1);
            rest.until = now.plus_micros(schedule::rest_us(rest.rounds));
        }
    }
}

//! What issuers are to be told: kept with the change that it is about, told behind its back.
//!
//! A row says which card and what about it, never what to say: that is read from the card's rows when
//! the issuer is told. So whatever is tried late, twice or after a crash tells how the card stands
//! now, the order of changes cannot be lost, and a card has at most one row of each kind. Nobody waits
//! for the issuer: what stops a card has stopped it here already (behaviour 2.14 j). One task for each
//! connection, so that an issuer that is away holds up no other.

pub mod teller;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::cold::issuers::rules;
use crate::cold::issuers::{CardOrder, IssuerClient, IssuerError, State};
use crate::cold::readiness::Readiness;
use crate::cold::stands::{Stands, Unseen};
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::{
    Batch, Card, Change, Listed, OutboxAsked, PAGE_LEN_MAX, Store, StoreError,
};
use crate::decide::compile::parse_instant;
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;
use crate::telemetry::Telemetry;

/// Rows that are told at a time on one connection.
const AT_ONCE: usize = 8;
/// Without a bell, a task looks up this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at how much waits.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// The first pause after a failure; it doubles up to the longest.
const PAUSE_US: u64 = 1_000_000;
const PAUSE_US_MAX: u64 = 3_600 * 1_000_000;
/// With the longest pauses, this is about two days.
const ATTEMPTS_MAX: u32 = 60;
/// What waits longer than this wants an operator's eye.
const LATE_US: i64 = 60 * 1_000_000;
/// The words of `/readyz`.
const LATE: &str = "issuer_behind";
const DEAD: &str = "issuer_gave_up";

/// What the tasks work with.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Rung where there is something new.
    pub bell: Arc<Notify>,
    pub telemetry: Arc<Telemetry>,
    pub readiness: Arc<Readiness>,
    pub stands: Stands,
}

/// What has become of a row.
enum Told {
    /// It is done.
    Done,
    /// It is to be told from then on.
    From(Timestamp),
}

/// Why a row is not done.
enum Undone {
    /// It is tried again, after this long at least.
    Later(String, Duration),
    /// Trying again would change nothing.
    Never(String),
}

impl From<IssuerError> for Undone {
    fn from(error: IssuerError) -> Self {
        let text = error.to_string();
        match error {
            IssuerError::Limited(after) => Self::Later(text, after),
            IssuerError::Unavailable(_) | IssuerError::Unknown(_) | IssuerError::Denied(_) => {
                Self::Later(text, Duration::ZERO)
            }
            IssuerError::Refused(_) | IssuerError::Unsupported(_) => Self::Never(text),
        }
    }
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string(), Duration::ZERO)
    }
}

impl From<Unseen> for Undone {
    fn from(unseen: Unseen) -> Self {
        Self::Later(unseen.to_string(), Duration::ZERO)
    }
}

/// Tells one issuer what waits for it, until the runtime ends.
pub async fn tell(around: Around, issuer: Arc<dyn IssuerClient>) {
    loop {
        let now = around.clock.now();
        let asked = OutboxAsked::Due(issuer.connection().to_owned(), now, AT_ONCE);
        let rows = around.store.outbox(asked).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what an issuer is to be told cannot be read");
            Vec::new()
        });
        if rows.is_empty() {
            let rung = around.bell.notified();
            drop(tokio::time::timeout(LOOK_EVERY, rung).await);
            continue;
        }
        let mut told = JoinSet::new();
        for row in rows {
            let (around, issuer) = (around.clone(), Arc::clone(&issuer));
            told.spawn(async move { around.attempt(row, &*issuer).await });
        }
        let is_kept = told.join_all().await.into_iter().all(|is_kept| is_kept);
        if !is_kept {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Has an issuer that nobody looks at told of every card that the ledger alone has stopped: an
/// operator's word may have been the last thing before a crash. Where somebody looks
/// ([`IssuerClient::poll`]), the look at the start finds what differs.
pub async fn catch_up(around: Around, issuer: Arc<dyn IssuerClient>) {
    while let Err(why) = around.tell_what_the_ledger_stops(&*issuer).await {
        let connection = issuer.connection();
        tracing::warn!(%connection, %why, "what operators have stopped is looked up again");
        tokio::time::sleep(COUNT_EVERY).await;
    }
    around.bell.notify_waiters();
}

/// Shows how much waits, until the runtime ends.
pub async fn watch(around: Around) {
    loop {
        match around.store.outbox_counts().await {
            Ok(counts) => {
                let now = around.clock.now();
                let age_us = counts.oldest_at.map_or(0, |at| now.micros_since(at).max(0));
                let telemetry = &around.telemetry;
                telemetry.set_outbox(counts.waiting, counts.dead, age_us / 1_000_000);
                around.warn(LATE, age_us > LATE_US);
                around.warn(DEAD, counts.dead > 0);
            }
            Err(error) => tracing::warn!(%error, "what waits for issuers cannot be counted"),
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

impl Around {
    fn warn(&self, word: &'static str, is_so: bool) {
        if is_so {
            self.readiness.set_warning(word);
        } else {
            self.readiness.clear_warning(word);
        }
    }

    /// Whether its outcome is kept.
    async fn attempt(&self, row: OutboxRow, issuer: &dyn IssuerClient) -> bool {
        let outcome = match row.errand {
            Errand::Order => self.settle(&row, issuer).await,
            Errand::State | Errand::Rules | Errand::End => self.tell_of_card(&row, issuer).await,
            Errand::Agent | Errand::Customer => self.spread(&row).await,
        };
        let change = match outcome {
            Ok(Told::Done) => Change::OutboxDone(row.id, row.version),
            Ok(Told::From(then)) => Change::Outbox(OutboxRow {
                created_at: then,
                due_at: then,
                ..row
            }),
            Err(undone) => Change::OutboxTried(self.tried(row, undone)),
        };
        let kept = self.store.apply(vec![change]).await;
        if let Err(error) = &kept {
            tracing::warn!(%error, "what an issuer was told is not kept, and told again");
        }
        kept.is_ok()
    }

    fn tried(&self, row: OutboxRow, undone: Undone) -> OutboxRow {
        let attempts = row.attempts.saturating_add(1);
        let (why, after, is_final) = match undone {
            Undone::Later(why, after) => (why, after, attempts >= ATTEMPTS_MAX),
            Undone::Never(why) => (why, Duration::ZERO, true),
        };
        let (id, connection) = (&row.id, &row.connection);
        if is_final {
            tracing::error!(%id, %connection, %why, "an issuer is told this no more");
        } else {
            tracing::warn!(%id, %connection, %why, attempts, "an issuer is told this again");
        }
        let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let chance = getrandom::u64().unwrap_or(0);
        let pause = pause_us(attempts, chance).max(after_us.min(PAUSE_US_MAX));
        let pause = i64::try_from(pause).unwrap_or(i64::MAX);
        OutboxRow {
            attempts,
            due_at: self.clock.now().plus_micros(pause),
            is_dead: is_final,
            last_error: Some(why),
            ..row
        }
    }

    /// Tells how the card stands now.
    async fn tell_of_card(
        &self,
        row: &OutboxRow,
        issuer: &dyn IssuerClient,
    ) -> Result<Told, Undone> {
        let Some(card) = self.store.card(row.card_id.clone()).await? else {
            return Ok(Told::Done);
        };
        let rules = rules::of_card(&*self.store, &card).await?;
        let rules =
            rules.ok_or_else(|| Undone::Never("its rules are not understood".to_owned()))?;
        match row.errand {
            Errand::Order | Errand::Agent | Errand::Customer => {}
            Errand::State => {
                let wanted = self.stands.of(&card).await?.state(&rules);
                let opens = wanted == State::Open;
                // A card does not open before the limits are there that it is to have.
                if opens && self.has_new_rules(&card).await? {
                    let token = card.issuer_token.clone();
                    issuer.set_rules(token, rules.clone()).await?;
                }
                tell_state(&card, wanted, issuer).await?;
            }
            // A fence of nothing is none at some issuers: the card is paused behind the one it has.
            Errand::Rules if rules.allow_nothing() => {}
            Errand::Rules => issuer.set_rules(card.issuer_token, rules).await?,
            Errand::End => match end_of(&card) {
                None => {}
                Some(end) if end > self.clock.now() => return Ok(Told::From(end)),
                Some(_over) => issuer.set_state(card.issuer_token, State::Closed).await?,
            },
        }
        Ok(Told::Done)
    }

    async fn tell_what_the_ledger_stops(&self, issuer: &dyn IssuerClient) -> Result<(), Unseen> {
        let connection = issuer.connection();
        let mut after = None;
        loop {
            let cards = self.store.cards(Listed {
                mode: issuer.mode(),
                customer_id: None,
                agent_id: None,
                after,
                limit: PAGE_LEN_MAX,
            });
            let mut cards = cards.await?;
            let Some(last) = cards.last() else {
                return Ok(());
            };
            after = Some(last.id.clone());
            cards.retain(|card| card.connection == connection);
            let stopped = self.stands.stopped_by_the_ledger_alone(cards).await?;
            self.keep_states(connection, &stopped).await?;
        }
    }

    /// Of an agent or a customer: one errand for each of its cards there, page by page. Until all are
    /// kept, this one waits.
    async fn spread(&self, row: &OutboxRow) -> Result<Told, Undone> {
        let owner = row.card_id.clone();
        let of = match row.errand {
            Errand::Agent => {
                let agent = self.store.agent(owner).await?;
                agent.map(|it| (it.mode, None, Some(it.id)))
            }
            Errand::Customer => {
                let customer = self.store.customer(owner).await?;
                customer.map(|it| (it.mode, Some(it.id), None))
            }
            Errand::Order | Errand::State | Errand::Rules | Errand::End => None,
        };
        let Some((mode, customer_id, agent_id)) = of else {
            return Ok(Told::Done);
        };
        let mut after = None;
        loop {
            let cards = self.store.cards(Listed {
                mode,
                customer_id: customer_id.clone(),
                agent_id: agent_id.clone(),
                after,
                limit: PAGE_LEN_MAX,
            });
            let cards = cards.await?;
            let Some(last) = cards.last() else {
                return Ok(Told::Done);
            };
            after = Some(last.id.clone());
            self.keep_states(&row.connection, &cards).await?;
        }
    }

    /// Has the connection told how those of the cards stand that are its own.
    async fn keep_states(&self, connection: &str, cards: &[Card]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let own =
            |card: &&Card| card.connection == connection && card.status != CardStatus::Canceled;
        let state = |card: &Card| {
            Change::Outbox(OutboxRow::of_card(Errand::State, &card.id, connection, now))
        };
        let batch: Batch = cards.iter().filter(own).map(state).collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.store.apply(batch).await
    }

    /// Whether the card's limits are still to be told.
    async fn has_new_rules(&self, card: &Card) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let row = OutboxRow::of_card(Errand::Rules, &card.id, &card.connection, now);
        let waits = self.store.outbox(OutboxAsked::One(row.id)).await?;
        Ok(!waits.is_empty())
    }

    /// Closes the card of an order that nobody came back for. A card that is ours was answered after
    /// all.
    async fn settle(&self, row: &OutboxRow, issuer: &dyn IssuerClient) -> Result<Told, Undone> {
        if self.store.card(row.card_id.clone()).await?.is_some() {
            return Ok(Told::Done);
        }
        let order: CardOrder = serde_json::from_str(&row.payload)
            .map_err(|error| Undone::Never(format!("the order is not understood: {error}")))?;
        if let Some(orphan) = issuer.find(order).await? {
            tracing::warn!(card = %row.card_id, "a card that was ordered and never answered is closed");
            issuer.set_state(orphan.token, State::Closed).await?;
        }
        Ok(Told::Done)
    }
}

/// The end that the card's own policy sets.
fn end_of(card: &Card) -> Option<Timestamp> {
    let policy: serde_json::Value = serde_json::from_str(card.policy.as_deref()?).ok()?;
    parse_instant(policy.get("validUntil")?.as_str()?)
}

/// A refusal may mean that it is so already: the issuer is asked how the card stands.
async fn tell_state(card: &Card, wanted: State, issuer: &dyn IssuerClient) -> Result<(), Undone> {
    let told = issuer.set_state(card.issuer_token.clone(), wanted).await;
    let Err(IssuerError::Refused(why)) = told else {
        return Ok(told?);
    };
    let there = issuer.fetch(card.issuer_token.clone()).await?;
    match there.map(|there| there.state) {
        Some(state) if state == wanted => Ok(()),
        // Plastic on its way works for nobody, and cannot be told to before it has been sent.
        Some(State::Coming) if wanted == State::Paused => Ok(()),
        Some(State::Coming) if wanted == State::Open => Err(IssuerError::Unavailable(why).into()),
        Some(_) | None => Err(IssuerError::Refused(why).into()),
    }
}

/// Twice as long after each failure, and by chance up to half of that less, so that not all ask in
/// the same moment when the issuer is back.
fn pause_us(attempts: u32, chance: u64) -> u64 {
    let doubled = attempts.saturating_sub(1).min(31);
    let full = PAUSE_US.saturating_mul(1 << doubled).min(PAUSE_US_MAX);
    let half = full / 2;
    half + chance % half.saturating_add(1)
}

#[cfg(test)]
mod tests;

//! Has issuers told of what was changed in the ledger alone, where no row is changed beside it: the
//! words of operators (behaviour 4.8).
//!
//! What stops something is in the ledger first, and its errand is kept behind the answer: nobody who
//! stops a card waits for a database. What lets something go is announced before: its errand is kept
//! already while the ledger changes, so that nobody takes what we have paused at an issuer for the
//! issuer's own doing, also where the process dies in between. An errand reads how things stand when
//! it is told, so that one too many does no harm.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::{Change, Store, StoreError};

/// A database that does not answer is asked again this often.
const AGAIN_EVERY: Duration = Duration::from_millis(500);
/// Of more, the next look at the issuer, or the next start, finds out.
const WAITING_MAX: usize = 100_000;

/// Whose issuers are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The card of this id.
    Card(String),
    /// All cards of the agent of this id.
    Agent(String),
}

/// What it works with.
#[expect(missing_docs, reason = "each is the thing of the same name")]
pub struct Around {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Rung where there is something new to tell.
    pub bell: Arc<Notify>,
    /// The connections that are asked over a network.
    pub connections: Vec<String>,
}

/// See the module.
#[derive(Clone)]
pub struct Teller(Arc<Inner>);

struct Inner {
    around: Around,
    waiting: Mutex<BTreeSet<Subject>>,
    news: Notify,
}

impl Teller {
    /// Nobody is told before [`Teller::run`] runs.
    #[must_use]
    pub fn new(around: Around) -> Self {
        Self(Arc::new(Inner {
            around,
            waiting: Mutex::default(),
            news: Notify::new(),
        }))
    }

    /// Whether changes of a connection's cards are told to anybody.
    #[must_use]
    pub fn tells(&self, connection: &str) -> bool {
        let connections = &self.0.around.connections;
        connections.iter().any(|it| it == connection)
    }

    /// Keeps the errand of something that is about to be let go.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not keep it: nothing may be let go then.
    pub async fn announce(&self, subject: &Subject) -> Result<(), StoreError> {
        let errands = self.errands(subject).await?;
        let announced = errands.into_iter().map(OutboxRow::announced);
        self.keep(announced.collect()).await
    }

    /// Has the errand of what was changed kept and told, behind the caller's back.
    pub fn tell(&self, subject: Subject) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING_MAX {
            waiting.insert(subject);
        } else {
            tracing::error!(
                ?subject,
                "too much is to be told to issuers; a later look finds it"
            );
        }
        drop(waiting);
        self.0.news.notify_one();
    }

    /// Keeps what waits, until the runtime ends.
    pub async fn run(self) {
        loop {
            let next = self.waiting().first().cloned();
            let Some(subject) = next else {
                self.0.news.notified().await;
                continue;
            };
            // Taken out before it is kept: who changes it again meanwhile puts it back.
            self.waiting().remove(&subject);
            let kept = match self.errands(&subject).await {
                Ok(errands) => self.keep(errands).await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!(%error, ?subject, "what an issuer is to be told is kept later");
                self.waiting().insert(subject);
                tokio::time::sleep(AGAIN_EVERY).await;
                continue;
            }
            self.0.around.bell.notify_waiters();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<Subject>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, errands: Vec<OutboxRow>) -> Result<(), StoreError> {
        if errands.is_empty() {
            return Ok(());
        }
        let rows = errands.into_iter().map(Change::Outbox);
        self.0.around.store.apply(rows.collect()).await
    }

    /// Nothing of what the database does not know: no issuer has made it for us.
    async fn errands(&self, subject: &Subject) -> Result<Vec<OutboxRow>, StoreError> {
        let Around {
            store,
            clock,
            connections,
            ..
        } = &self.0.around;
        let now = clock.now();
        match subject {
            Subject::Card(id) => {
                let card = store.card(id.clone()).await?;
                let card = card.filter(|card| self.tells(&card.connection));
                let row =
                    card.map(|card| OutboxRow::of_card(Errand::State, id, &card.connection, now));
                Ok(row.into_iter().collect())
            }
            Subject::Agent(id) => {
                if store.agent(id.clone()).await?.is_none() {
                    return Ok(Vec::new());
                }
                let row =
                    |connection: &String| OutboxRow::of_owner(Errand::Agent, id, connection, now);
                Ok(connections.iter().map(row).collect())
            }
        }
    }
}

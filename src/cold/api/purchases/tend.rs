//! What time does to requests: reviews end, cards end, issuers are asked again (behaviour 5.6, 5.7,
//! 5.14).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::steps::advance;
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::audit::{Event, Who};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Requests that one look takes.
const AT_ONCE: usize = 100;
/// An agent that asks the same twice waits for itself.
const WAIT_EVERY: Duration = Duration::from_millis(10);
const WAITS_MAX: u32 = 3_000;

/// Looks after requests for as long as the server runs.
pub async fn tend(api: Arc<Api>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let now = api.clock.now();
        let due = match api.store.purchases_due(now, AT_ONCE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "purchase requests cannot be looked after");
                continue;
            }
        };
        for row in due {
            let event = Event {
                at: now,
                mode: Some(row.mode),
                who: Who::Server,
                action: format!("purchase request {}", row.id),
                changes: Vec::new(),
                from: None,
                request_id: None,
                outcome: "200".to_owned(),
            };
            if let Err(problem) = advance(&api, &row.id, &event).await {
                tracing::warn!(
                    request = row.id,
                    why = problem.code(),
                    "a purchase request waits"
                );
            }
        }
    }
}

/// Requests that are being looked for, or made: the same one is made once.
#[derive(Default)]
pub(in crate::cold::api) struct Buying(Arc<Mutex<HashSet<String>>>);

/// One of them, until it is dropped.
pub(in crate::cold::api) struct Entered {
    all: Arc<Mutex<HashSet<String>>>,
    place: String,
}

impl Buying {
    /// Waits until nobody else is at the place, and takes it.
    pub(super) async fn enter(&self, place: String) -> Result<Entered, Problem> {
        for _ in 0..WAITS_MAX {
            let is_free = self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(place.clone());
            if is_free {
                let all = Arc::clone(&self.0);
                return Ok(Entered { all, place });
            }
            tokio::time::sleep(WAIT_EVERY).await;
        }
        Err(Problem::idempotency_in_progress())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.place);
    }
}

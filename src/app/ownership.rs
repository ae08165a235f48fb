//! Whether the control plane's database is still this process's, and what follows where it is not.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::cold::readiness::Readiness;
use crate::cold::store::Store;
use crate::cold::store::postgres::own::{Hold, Holding};

/// The word of `/readyz` while the lock is not had: nothing is changed meanwhile.
const UNSURE: &str = "database_not_held";
/// The reason for which the process ends.
const TAKEN: &str = "database_taken";

/// The rows, and who says that they are another process's now.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) store: Arc<dyn Store>,
    taken: Arc<Notify>,
}

impl Rows {
    /// Watches until the runtime ends; where nobody else can have the rows there is nothing to watch.
    pub(super) fn watched(
        cold: &Runtime,
        store: Arc<dyn Store>,
        hold: Option<Hold>,
        readiness: &Arc<Readiness>,
    ) -> Self {
        let taken = Arc::<Notify>::default();
        if let Some(hold) = hold {
            let told = watch(hold, Arc::clone(readiness), Arc::clone(&taken));
            drop(cold.handle().spawn(told));
        }
        Self { store, taken }
    }

    /// Returns once another process has them. Two ledgers on one database would each spend the whole of
    /// every limit, and the other one's is the one that people change by now.
    pub(super) async fn taken(&self) {
        self.taken.notified().await;
    }
}

async fn watch(mut hold: Hold, readiness: Arc<Readiness>, taken: Arc<Notify>) {
    while let Some(holding) = hold.changed().await {
        match holding {
            Holding::Held => {
                readiness.clear_warning(UNSURE);
                tracing::warn!("the lock on the database is held again");
            }
            Holding::Unsure => {
                readiness.set_warning(UNSURE);
                tracing::error!(
                    "the lock on the database is lost with its session: nothing is changed until it \
                     is had again"
                );
            }
            Holding::Taken => {
                readiness.set_reason(TAKEN);
                tracing::error!("another server works on the database: this one ends");
                taken.notify_one();
            }
        }
    }
}

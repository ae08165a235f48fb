//! Starts the journal's threads, and tells hot threads and operators how far it has come.

use std::sync::{Arc, Mutex, PoisonError};

use crate::app::{StartError, recovery};
use crate::cold::readiness::Readiness;
use crate::config::DurabilityLevel;
use crate::hot::durability::Progress;
use crate::hot::server::Shared;
use crate::ledger::embedded::io::Storage;
use crate::ledger::embedded::journal::Durability;
use crate::ledger::embedded::writer::{Published, Writer};
use crate::telemetry::Telemetry;

/// Who is told what the writer publishes.
struct Report {
    durability: Durability,
    progress: Arc<Progress>,
    telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    /// What operators were told last: full, and no new segment to be had.
    told: Mutex<(bool, bool)>,
}

impl Report {
    fn tell(&self, published: Published) {
        if published.poisoned {
            self.telemetry.set_journal_poisoned();
            self.readiness.set_reason("journal_poisoned");
        }
        let news = (published.full, published.create_failed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != news {
            *told = news;
            self.mark(published.full, "journal_full");
            self.mark(published.create_failed, "journal_no_new_segment");
        }
        drop(told);
        let reached = match self.durability {
            Durability::Strict => published.durable,
            Durability::Relaxed => published.written,
        };
        self.progress.publish(reached.0, published.poisoned);
    }

    fn mark(&self, stands: bool, reason: &'static str) {
        if stands {
            self.readiness.set_reason(reason);
        } else {
            self.readiness.clear_reason(reason);
        }
    }
}

/// Starts the threads where recovery has ended.
pub(super) fn start_writer(
    recovered: &recovery::Recovery,
    level: DurabilityLevel,
    storage: &Arc<dyn Storage>,
    shared: &Shared,
    readiness: &Arc<Readiness>,
) -> Result<Arc<Writer>, StartError> {
    let durability = match level {
        DurabilityLevel::Strict => Durability::Strict,
        DurabilityLevel::Relaxed => Durability::Relaxed,
    };
    let report = Arc::new(Report {
        durability,
        progress: Arc::clone(&shared.progress),
        telemetry: Arc::clone(&shared.telemetry),
        readiness: Arc::clone(readiness),
        told: Mutex::default(),
    });
    let told = Arc::clone(&report);
    let notify = Box::new(move |published| told.tell(published));
    let journal = recovered.journal(durability);
    let writer = Writer::start(journal, Arc::clone(storage), recovery::timing(), notify)
        .map_err(|error| StartError::Io("cannot start the journal's threads", error))?;
    // What stood at the start is no news to the writer.
    report.tell(writer.published());
    Ok(Arc::new(writer))
}

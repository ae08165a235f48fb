//! The operators' listener: open from the start, so that `/readyz` can say what is still missing.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::app::StartError;
use crate::cold::front;
use crate::cold::ops::{self, OpsState, Running};
use crate::cold::policies::Policies;
use crate::cold::readiness::Readiness;
use crate::cold::records::Records;
use crate::hot::server::Shared;
use crate::ledger::embedded::writer::Writer;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;

/// The listener and what it will show.
pub(super) struct Operators {
    pub(super) address: SocketAddr,
    pub(super) readiness: Arc<Readiness>,
    running: Arc<OnceLock<Running>>,
}

impl Operators {
    /// Listens on the cold runtime.
    pub(super) fn listen(
        cold: &Runtime,
        address: SocketAddr,
        shared: &Shared,
        ledger: LedgerPort,
        readiness: &Arc<Readiness>,
    ) -> Result<Self, StartError> {
        let fault = |error| StartError::Listen(address, error);
        let listener = cold.block_on(TcpListener::bind(address)).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        let running = Arc::<OnceLock<Running>>::default();
        let state = OpsState {
            readiness: Arc::clone(readiness),
            running: Arc::clone(&running),
            ledger,
            telemetry: Arc::clone(&shared.telemetry),
            clock: shared.clock,
        };
        drop(cold.handle().spawn(async move {
            if let Err(error) = ops::serve(listener, state).await {
                tracing::error!(%error, "the operators' listener has ended");
            }
        }));
        Ok(Self {
            address: bound,
            readiness: Arc::clone(readiness),
            running,
        })
    }

    /// Shows the recovered ledger, and lets it be changed.
    pub(super) fn arm(
        &self,
        writer: &Arc<Writer>,
        snapshots: Arc<CurrentSnapshot>,
        records: Arc<Records>,
        policies: Policies,
    ) {
        let journal = Arc::clone(writer);
        // The cell is new, so nothing is in it.
        let _full = self.running.set(Running {
            snapshots,
            records,
            policies,
            journal: Box::new(move || journal.published()),
        });
        self.readiness.set_recovered();
    }

    /// Has the snapshot read again, for somebody who does not wait for the outcome.
    pub(super) fn hang_up(&self) -> impl Fn() + Send + 'static {
        let running = Arc::clone(&self.running);
        move || {
            let asked = running.get().map(|running| running.policies.hang_up());
            if !matches!(asked, Some(Ok(()))) {
                tracing::warn!(?asked, "a SIGHUP was passed over");
            }
        }
    }
}

/// The listener for people and agents.
pub(super) fn listen_for_people(
    cold: &Runtime,
    address: SocketAddr,
) -> Result<SocketAddr, StartError> {
    let fault = |error| StartError::Listen(address, error);
    let listener = cold.block_on(TcpListener::bind(address)).map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    drop(cold.handle().spawn(async move {
        if let Err(error) = front::serve(listener).await {
            tracing::error!(%error, "the listener for people and agents has ended");
        }
    }));
    Ok(bound)
}

//! The operators' listener: open from the start, so that `/readyz` can say what is still missing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::app::StartError;
use crate::cold::api::Served;
use crate::cold::api::mcp::Access;
use crate::cold::entry::site::Site;
use crate::cold::front;
use crate::cold::ops::{self, OpsState, Running};
use crate::cold::outbox::teller::Teller;
use crate::cold::policies::{First, Policies, Source, Surroundings};
use crate::cold::readiness::Readiness;
use crate::cold::records::Records;
use crate::cold::sandbox::time::TimeFile;
use crate::cold::webhooks::address::Reach;
use crate::config::Config;
use crate::fingerprint::Fingerprinter;
use crate::hot::server::Shared;
use crate::ledger::embedded::writer::Writer;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;

/// The listener and what it will show.
pub(super) struct Operators {
    pub(super) address: SocketAddr,
    state: OpsState,
}

impl Operators {
    /// Listens on the cold runtime.
    pub(super) fn listen(
        cold: &Runtime,
        address: SocketAddr,
        shared: &Shared,
        ledger: LedgerPort,
        (readiness, time_file, served): (&Arc<Readiness>, Option<TimeFile>, &Served),
    ) -> Result<Self, StartError> {
        let fault = |error| StartError::Listen("ops_listen", address, error);
        let listener = cold.block_on(TcpListener::bind(address)).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        let state = OpsState {
            readiness: Arc::clone(readiness),
            running: Arc::default(),
            ledger,
            telemetry: Arc::clone(&shared.telemetry),
            clock: shared.clock,
            noted: Arc::default(),
            time_file: time_file.map(Arc::new),
            store: Arc::default(),
            served: Served::clone(served),
        };
        drop(cold.spawn(ops::serve(listener, state.clone())));
        Ok(Self {
            address: bound,
            state,
        })
    }

    /// What is shown.
    pub(super) fn shown(&self) -> &OpsState {
        &self.state
    }

    /// Starts the thread that puts other policies in force.
    pub(super) fn start_policies(
        &self,
        source: Source,
        first: First,
        watch_every: Option<Duration>,
    ) -> Result<Policies, StartError> {
        let ops = self.address;
        let around = Surroundings {
            ledger: self.state.ledger.clone(),
            clock: self.state.clock,
            telemetry: Arc::clone(&self.state.telemetry),
            readiness: Arc::clone(&self.state.readiness),
            watch_every,
            confirm_command: format!("curl -X POST 'http://{ops}/admin/reload?confirm=true'"),
        };
        Policies::start(source, around, first)
            .map_err(|error| StartError::Io("cannot start the policies' thread", error))
    }

    /// Shows the recovered ledger, and lets it be changed.
    pub(super) fn arm(
        &self,
        writer: &Arc<Writer>,
        keys: Fingerprinter,
        (snapshots, records, policies): (Arc<CurrentSnapshot>, Arc<Records>, Policies),
        teller: Option<Teller>,
    ) {
        let journal = Arc::clone(writer);
        // The cell is new, so nothing is in it.
        let _full = self.state.running.set(Running {
            snapshots,
            records,
            keys,
            policies,
            journal: Box::new(move || journal.published()),
            teller,
        });
        self.state.readiness.set_recovered();
    }

    /// Has the snapshot read again, for somebody who does not wait for the outcome.
    pub(super) fn hang_up(&self) -> impl Fn() + Send + 'static {
        let running = Arc::clone(&self.state.running);
        move || {
            let why = match running.get().map(|running| running.policies.hang_up()) {
                Some(Ok(())) => return,
                Some(Err(why)) => why.to_string(),
                None => "the start is not over".to_owned(),
            };
            tracing::warn!(why, "a SIGHUP was passed over");
        }
    }
}

/// The listener for people and agents.
pub(super) struct Front {
    /// Where it is; absent where this process has none.
    pub(super) address: Option<SocketAddr>,
    /// By what name it is known.
    pub(super) public_url: String,
}

/// The listener for people and agents: where it is, and by what names it is known. Who only answers issuers
/// has none.
pub(super) fn listen_for_people(
    cold: &Runtime,
    config: &Config,
    served: &Served,
) -> Result<Front, StartError> {
    if !config.roles.control {
        return Ok(Front {
            address: None,
            public_url: String::new(),
        });
    }
    let address = config.listen;
    let access = Access {
        hosts: config.mcp.hosts.clone(),
        origins: config.mcp.origins.clone(),
        reach: Reach {
            loopback: config.webhooks.allow_loopback,
            ports: config.webhooks.ports,
        },
    };
    let fault = |error| StartError::Listen("listen", address, error);
    let listener = cold.block_on(TcpListener::bind(address)).map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    let site = Site::new(config.public_url.clone(), bound);
    let served = Served::clone(served);
    drop(cold.spawn(front::serve(listener, served, access, site.clone())));
    Ok(Front {
        address: Some(bound),
        public_url: site.address(),
    })
}

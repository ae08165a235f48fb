//! Where a server listens.

use std::net::SocketAddr;

use crate::app::operators::Operators;
use crate::cold::policies::FIRST_VERSION;
use crate::config::{DurabilityLevel, StandInConfig};
use crate::hot::server::HotServer;

/// Where the listeners are, with real port numbers. One that a process of this role does not have is
/// absent.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the listeners by their names")]
pub struct Addresses {
    pub issuer: Option<SocketAddr>,
    pub listen: Option<SocketAddr>,
    pub ops: SocketAddr,
}

impl Addresses {
    pub(super) fn of(hot: &HotServer, operators: &Operators, listen: Option<SocketAddr>) -> Self {
        Self {
            issuer: hot.address(),
            listen,
            ops: operators.address,
        }
    }

    /// What the ready line says of them, as JSON, and of what may be overspent while the ledger does not answer.
    pub(super) fn ready_line(
        &self,
        durability: DurabilityLevel,
        stand_in: Option<StandInConfig>,
    ) -> String {
        let Self {
            issuer,
            listen,
            ops,
        } = self;
        let named = |name: &str, address: &SocketAddr| format!("\"{name}\":\"http://{address}\",");
        let issuer = issuer.as_ref().map(|it| named("issuer", it));
        let listen = listen.as_ref().map(|it| named("listen", it));
        let (issuer, listen) = (issuer.unwrap_or_default(), listen.unwrap_or_default());
        let stand_in = stand_in.map(|it| {
            let StandInConfig {
                budget,
                nodes,
                most,
            } = it;
            let currency = budget.currency;
            format!(
                ",\"standIn\":{{\"budget\":\"{budget}\",\"currency\":\"{currency}\",\"nodes\":{nodes},\
                 \"most\":\"{most}\"}}"
            )
        });
        let stand_in = stand_in.unwrap_or_default();
        let (ops, durability) = (named("ops", ops), durability.name());
        format!(
            "{{{issuer}{ops}{listen}\"snapshotVersion\":{FIRST_VERSION},\"durability\":\"{durability}\"{stand_in}}}"
        )
    }
}

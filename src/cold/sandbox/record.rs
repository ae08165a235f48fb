//! What the engine recorded about an authorization, read from the operators' listener.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::{Sandbox, SandboxError, shown};
use crate::cold::http::percent_encoded;

/// Records are visible within a tenth of a second (behaviour 11.5).
const VISIBLE_WITHIN: Duration = Duration::from_millis(100);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(4);

/// One recorded decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's own id.
    pub id: String,
    /// `approve`, `partial` or `decline`.
    pub decision: String,
    /// The decline's code.
    pub reason: Option<String>,
    /// The decline's cause in plain words.
    pub explanation: Option<String>,
    /// From receipt to the engine's answer, in microseconds.
    pub latency_us: Option<i64>,
}

#[derive(Deserialize)]
struct WirePage {
    decisions: Vec<WireRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord {
    id: String,
    decision: String,
    reason: Option<String>,
    explanation: Option<WireExplanation>,
    latency_us: Option<i64>,
}

#[derive(Deserialize)]
struct WireExplanation {
    text: Option<String>,
}

impl Sandbox {
    /// The newest record of the authorization, once it is another than `before`; absent where none
    /// shows in time.
    pub(super) async fn record_after(
        &mut self,
        authorization: &str,
        before: Option<&str>,
    ) -> Result<Option<Record>, SandboxError> {
        let first_look = self.clock.now();
        loop {
            let newest = self.newest_record(authorization).await?;
            let waited_us = self.clock.now().micros_since(first_look);
            match newest {
                Some(record) if Some(record.id.as_str()) != before => return Ok(Some(record)),
                _ if u128::try_from(waited_us).unwrap_or(0) >= VISIBLE_WITHIN.as_micros() => {
                    return Ok(None);
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// The newest record of the authorization.
    pub(super) async fn newest_record(
        &mut self,
        authorization: &str,
    ) -> Result<Option<Record>, SandboxError> {
        let uri = format!(
            "/admin/decisions?connection={}&authorization={}&limit=1",
            percent_encoded(&self.connection),
            percent_encoded(authorization)
        );
        let page: WirePage = shown(&mut self.ops, &uri).await?;
        Ok(page.decisions.into_iter().next().map(Record::from_wire))
    }
}

impl Record {
    fn from_wire(wire: WireRecord) -> Self {
        Self {
            id: wire.id,
            decision: wire.decision,
            reason: wire.reason,
            explanation: wire.explanation.and_then(|explanation| explanation.text),
            latency_us: wire.latency_us,
        }
    }
}

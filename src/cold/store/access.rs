//! What agents that are paused ask for: to be at work (behaviour 4.4). The rows and their table.

use super::rows::{MODES, instant, maybe_number, maybe_text, number, text, word};
use super::sql::{BEHIND_ALL, Columns, Statement, most};
use super::{Listed, Mode, StoreError};
use crate::domain::time::Timestamp;

/// One request waits for an agent at a time.
pub(super) const TABLES: &str = "
CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    decided_by TEXT,
    decided_us INTEGER,
    note TEXT,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_of_customer ON access_requests (customer_id, id);
CREATE INDEX access_of_agent ON access_requests (agent_id, id);
CREATE UNIQUE INDEX access_waiting ON access_requests (agent_id) WHERE state = 'pending';
";

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessState {
    /// Nobody has decided it.
    Pending,
    /// An owner has put the agent to work.
    Granted,
    /// An owner has not.
    Refused,
}

impl AccessState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Granted, Self::Refused];

    /// The word on the wire and in columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Refused => "refused",
        }
    }
}

/// One request, decided once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct AccessRequest {
    pub id: String,
    pub mode: Mode,
    pub customer_id: String,
    pub agent_id: String,
    /// The agent's words.
    pub reason: String,
    pub state: AccessState,
    /// The key that asked.
    pub requested_by: String,
    /// The key whose word it was.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// Why, in the owner's words.
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub revision: i64,
}

pub(super) fn request(row: &dyn Columns) -> Result<AccessRequest, StoreError> {
    Ok(AccessRequest {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        customer_id: text(row, "customer_id")?,
        agent_id: text(row, "agent_id")?,
        reason: text(row, "reason")?,
        state: word(row, "state", AccessState::ALL.map(|it| (it.name(), it)))?,
        requested_by: text(row, "requested_by")?,
        decided_by: maybe_text(row, "decided_by")?,
        decided_at: maybe_number(row, "decided_us")?.map(Timestamp::from_micros),
        note: maybe_text(row, "note")?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn put(row: AccessRequest) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO access_requests (customer_id, agent_id, reason, state, requested_by, decided_by,
            decided_us, note, created_us, mode, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 + 1)"
    } else {
        "UPDATE access_requests SET customer_id = $1, agent_id = $2, reason = $3, state = $4,
            requested_by = $5, decided_by = $6, decided_us = $7, note = $8, created_us = $9, mode = $10,
            revision = revision + 1
         WHERE id = $11 AND revision = $12"
    };
    Statement::of(sql)
        .bind(row.customer_id)
        .bind(row.agent_id)
        .bind(row.reason)
        .bind(row.state.name())
        .bind(row.requested_by)
        .bind(row.decided_by)
        .bind(row.decided_at.map(Timestamp::micros))
        .bind(row.note)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.id)
        .bind(row.revision)
}

/// The one of this id.
pub(super) fn one(id: String) -> Statement {
    Statement::of("SELECT * FROM access_requests WHERE id = $1").bind(id)
}

/// The one of an agent that nobody has decided.
pub(super) fn waiting(agent_id: String) -> Statement {
    let sql = "SELECT * FROM access_requests WHERE agent_id = $1 AND state = 'pending'";
    Statement::of(sql).bind(agent_id)
}

/// Newest first.
pub(super) fn list(listed: Listed, state: Option<AccessState>) -> Statement {
    Statement::of(
        "SELECT * FROM access_requests WHERE mode = $1 AND id < $2 AND ($3 = '' OR customer_id = $3)
            AND ($4 = '' OR agent_id = $4) AND ($5 = '' OR state = $5) ORDER BY id DESC LIMIT $6",
    )
    .bind(listed.mode.name())
    .bind(listed.after.unwrap_or_else(|| BEHIND_ALL.to_owned()))
    .bind(listed.customer_id.unwrap_or_default())
    .bind(listed.agent_id.unwrap_or_default())
    .bind(state.map(AccessState::name).unwrap_or_default().to_owned())
    .bind(most(listed.limit))
}

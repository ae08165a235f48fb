//! The history of rules that are changed where they stand: every change of a policy document, of a
//! customer's cascade or of a card's limit is a version of its own.

use crate::cold::api::exchange::Ask;
use crate::cold::api::problem::Problem;
use crate::cold::store::versions::{PolicyVersion, Ruled, VersionState, Versions};
use crate::cold::store::{Agent, Card, Change, Customer, Mode};
use crate::domain::time::Timestamp;

/// Whose rules they are, and how they stand.
#[derive(Clone, Debug)]
pub(in crate::cold::api) struct Of {
    pub(super) id: String,
    pub(super) mode: Mode,
    pub(super) created_at: Timestamp,
    pub(super) ruled: Ruled,
    pub(super) versions: Versions,
}

impl From<&Customer> for Of {
    fn from(row: &Customer) -> Self {
        Self {
            id: row.id.clone(),
            mode: row.mode,
            created_at: row.created_at,
            ruled: Ruled {
                policy: row.policy.clone(),
                cascade: Some(row.cascade),
                limit: None,
            },
            versions: row.versions.clone(),
        }
    }
}

impl From<&Agent> for Of {
    fn from(row: &Agent) -> Self {
        Self {
            id: row.id.clone(),
            mode: row.mode,
            created_at: row.created_at,
            ruled: Ruled {
                policy: row.policy.clone(),
                ..Ruled::default()
            },
            versions: row.versions.clone(),
        }
    }
}

impl From<&Card> for Of {
    fn from(row: &Card) -> Self {
        Self {
            id: row.id.clone(),
            mode: row.mode,
            created_at: row.created_at,
            ruled: Ruled {
                policy: row.policy.clone(),
                cascade: None,
                limit: row.limit,
            },
            versions: row.versions.clone(),
        }
    }
}

impl Of {
    /// The version that a subject was made with, while it is the only one.
    pub(super) fn first(&self) -> PolicyVersion {
        PolicyVersion {
            subject_id: self.id.clone(),
            number: 1,
            mode: self.mode,
            state: VersionState::Active,
            ruled: self.ruled.clone(),
            based_on: None,
            restores: None,
            made_by: None,
            reason: None,
            created_at: self.created_at,
            active_at: Some(self.created_at),
            ended_at: None,
        }
    }

    /// Whether no version stands beside the row yet.
    pub(super) fn is_alone(&self) -> bool {
        self.versions.last == 1
    }

    /// The version that follows the last one, in force from now on.
    pub(super) fn next(&self, ask: &Ask) -> PolicyVersion {
        PolicyVersion {
            subject_id: self.id.clone(),
            number: self.versions.last.saturating_add(1),
            mode: self.mode,
            state: VersionState::Active,
            ruled: self.ruled.clone(),
            based_on: Some(self.versions.active),
            restores: None,
            made_by: Some(ask.caller.key.id.clone()),
            reason: None,
            created_at: ask.now,
            active_at: Some(ask.now),
            ended_at: None,
        }
    }

    /// The end of the version in force, read or first written down.
    pub(super) async fn retire(&self, ask: &Ask) -> Result<Change, Problem> {
        let store = &ask.api.store;
        let kept = store.policy_version(self.id.clone(), self.versions.active);
        let kept = kept.await?;
        let before = kept.as_ref().map(|row| row.state);
        let mut row = kept.unwrap_or_else(|| self.first());
        row.state = VersionState::Retired;
        row.ended_at = Some(ask.now);
        Ok(Change::PolicyVersion(row, before))
    }
}

/// What a change of a subject adds to the history of its rules: nothing where they stay. `after`'s
/// versions are moved on.
pub(in crate::cold::api) async fn patched(
    ask: &Ask,
    before: &Of,
    after: Of,
    versions: &mut Versions,
) -> Result<Vec<Change>, Problem> {
    if before.ruled == after.ruled {
        return Ok(Vec::new());
    }
    let next = after.next(ask);
    versions.active = next.number;
    versions.last = next.number;
    Ok(vec![
        before.retire(ask).await?,
        Change::PolicyVersion(next, None),
    ])
}

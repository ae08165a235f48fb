//! Requests that rest on an approval given in advance (behaviour 5.5): counted in the rows of those that
//! it has approved.

use super::tend::Entered;
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::store::purchases::{InAdvance, Purchase};
use crate::decide::purchase::standing::StandingApproval;
use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;

/// An approval in advance with room for the request.
pub(super) struct Answered {
    pub(super) name: String,
    /// Nobody else counts until it is dropped.
    pub(super) place: Entered,
}

/// The first of these that has room for the request.
pub(super) async fn answered(
    api: &Api,
    row: &Purchase,
    approvals: Vec<StandingApproval>,
    now: Timestamp,
) -> Result<Option<Answered>, Problem> {
    if approvals.is_empty() {
        return Ok(None);
    }
    let place = format!("{}\tin advance", row.agent_id);
    let place = api.buying.enter(place).await?;
    for approval in approvals {
        let asked = InAdvance {
            agent_id: row.agent_id.clone(),
            name: approval.name.to_string(),
            since: approval.period.began(now),
        };
        // More of them would leave no room in any case.
        let most = usize::try_from(approval.count_max).unwrap_or(usize::MAX);
        let rows = api.store.purchases_in_advance(asked, most).await?;
        if has_room(&approval, row, &rows) {
            let name = approval.name.into();
            return Ok(Some(Answered { name, place }));
        }
    }
    Ok(None)
}

fn has_room(approval: &StandingApproval, row: &Purchase, rows: &[Purchase]) -> bool {
    let total = rows
        .iter()
        .fold(Minor::ZERO, |total, it| total.saturating_plus(earmark(it)));
    approval.has_room(rows.len(), total, earmark(row))
}

fn earmark(row: &Purchase) -> Minor {
    Minor::new(row.terms.earmark).unwrap_or(Minor::MAX)
}

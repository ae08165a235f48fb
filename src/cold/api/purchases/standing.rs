//! Requests that rest on an approval given in advance (behaviour 5.5): counted in the rows of those that
//! it has approved.

use super::tend::Entered;
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::store::purchases::{Purchase, PurchasesAt};
use crate::decide::purchase::standing::StandingApproval;
use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;

/// Rows that are counted. An agent that buys more at one merchant in a month needs a human's word.
const ROWS_MAX: usize = 5_000;

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
        let asked = PurchasesAt {
            agent_id: row.agent_id.clone(),
            domain: approval.domain.as_str().to_owned(),
            since: approval.period.began(now),
        };
        let rows = api.store.purchases_at(asked, ROWS_MAX).await?;
        if rows.len() < ROWS_MAX && has_room(&approval, row, &rows) {
            let name = approval.name.into();
            return Ok(Some(Answered { name, place }));
        }
    }
    Ok(None)
}

fn has_room(approval: &StandingApproval, row: &Purchase, rows: &[Purchase]) -> bool {
    let taken = rows
        .iter()
        .filter(|it| it.terms.standing.as_deref() == Some(&*approval.name));
    let (count, total) = taken.fold((0, Minor::ZERO), |(count, total), it| {
        (count + 1, total.saturating_plus(earmark(it)))
    });
    approval.has_room(count, total, earmark(row))
}

fn earmark(row: &Purchase) -> Minor {
    Minor::new(row.terms.earmark).unwrap_or(Minor::MAX)
}

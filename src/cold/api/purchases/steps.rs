//! What may be done with a request at any time, on its way from the approval to a card, or to its end.

use std::sync::Arc;

use super::desk::{TRIES_MAX, deny, find, judged, make, may_review, only, place_to_wait, review};
use super::earmark::{self, Held};
use super::issue::{self, Issued};
use super::tend::Entered;
use super::words::{broken_limit, issuer_unavailable, over_limit, review_expired};
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::audit::Event;
use crate::cold::control::{Failed, Order, Work};
use crate::cold::store::Change;
use crate::cold::store::purchases::{Purchase, PurchaseState};
use crate::domain::time::Timestamp;

const MINUTE_US: i64 = 60_000_000;
/// A card that has not come after this time will not be waited for (behaviour 5.14).
const ISSUING_US: i64 = 10 * MINUTE_US;
/// Between two attempts at an issuer, at least.
pub(super) const AGAIN_US: i64 = 5_000_000;
/// At most, while somebody waits for the card.
const SOON_US: i64 = 6 * AGAIN_US;
/// At most, when it is denied.
const LATE_US: i64 = 60 * MINUTE_US;

/// One step of a request.
pub(super) struct Step {
    /// What is to be kept of it.
    pub(super) work: Work,
    /// Whether another one follows at once.
    pub(super) goes_on: bool,
    /// Whether it is news. That somebody looked again, and saw the same, stands in no audit log.
    pub(super) is_news: bool,
    /// Where it waits from now on, until it is kept.
    place: Option<Entered>,
}

impl Step {
    /// The last one for now.
    pub(super) fn last(work: Work) -> Self {
        Self {
            work,
            goes_on: false,
            is_news: true,
            place: None,
        }
    }

    fn row(row: Purchase) -> Self {
        Self::last(only(row))
    }

    /// Nothing has come of it: the row is looked at again, each time after half as long as it has
    /// waited since.
    fn again(mut row: Purchase, (since, most_us): (Timestamp, i64), now: Timestamp) -> Self {
        let pause = (now.micros_since(since) / 2).clamp(AGAIN_US, most_us);
        row.due_at = Some(now.plus_micros(pause));
        Self {
            is_news: false,
            ..Self::row(row)
        }
    }
}

/// Brings a row as far as it goes now: an approved one to its card, an old one to its end.
pub(super) async fn advance(api: &Arc<Api>, id: &str, event: &Event) -> Result<Purchase, Problem> {
    for _ in 0..TRIES_MAX {
        let mut row = find(api, id).await?;
        let is_ordered = [PurchaseState::Issuing, PurchaseState::Withdrawing].contains(&row.state);
        if is_ordered && row.terms.order.is_none() {
            // Of a version that kept none.
            row.terms.order = Some(issue::order_terms(api, &row, row.created_at));
        }
        let step = match row.state {
            PurchaseState::Issuing => issuing(api, row, event).await?,
            PurchaseState::Withdrawing => withdrawing(api, row, event.at).await?,
            PurchaseState::PendingReview => overdue(row, event.at),
            PurchaseState::Approved => issue::over(api, row, event.at).await?,
            PurchaseState::Denied | PurchaseState::Expired => return Ok(row),
        };
        let Some(step) = step else {
            return find(api, id).await;
        };
        let kept = if step.is_news {
            make(api, step.work, event).await
        } else {
            api.control.make(step.work).await
        };
        // It is counted from here on.
        drop(step.place);
        match kept {
            Ok(()) if !step.goes_on => return find(api, id).await,
            Ok(()) | Err(Failed::Conflict) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Conflict.into())
}

fn overdue(mut row: Purchase, now: Timestamp) -> Option<Step> {
    row.due_at.filter(|due| *due <= now)?;
    deny(&mut row, &review_expired(), now);
    Some(Step::row(row))
}

async fn issuing(
    api: &Arc<Api>,
    mut row: Purchase,
    event: &Event,
) -> Result<Option<Step>, Problem> {
    let now = event.at;
    let currency = row.amount.currency;
    if let Held::Declined(why) = earmark::hold(api, &row, now).await? {
        // Nobody has looked at it yet, and somebody may.
        let mut place = None;
        if row.decided_by.is_none() && may_review(api, &row, &why) {
            place = match place_to_wait(api, &row).await {
                Err(full) if full.is_too_many_reviews() => None,
                place => Some(place?),
            };
        }
        if place.is_some() {
            row.terms.causes = vec![broken_limit(&why, currency)];
            let minutes = judged(api, &mut row, now)?.review_minutes;
            review(&mut row, minutes, now);
        } else {
            deny(&mut row, &over_limit(&why, currency), now);
        }
        let step = Step::row(row);
        return Ok(Some(Step { place, ..step }));
    }
    match issue::order(api, &row, now).await? {
        Issued::Made(made) => {
            let (card, settled) = *made;
            let ends = issue::ends(&row, now);
            row.state = PurchaseState::Approved;
            row.card_id = Some(card.id.clone());
            row.terms.card_expires_us = Some(ends.micros());
            row.due_at = Some(api.looked_after(&row, &card, ends));
            let earmark = earmark::key(&api.keys, &earmark::name(&row));
            let back = Order::Back {
                card: (&card).into(),
                earmark,
            };
            let batch = [Change::Card(card), Change::purchase(row)];
            let work = Work {
                batch: batch.into_iter().chain(settled).collect(),
                orders: vec![back],
                ..Work::default()
            };
            Ok(Some(Step::last(work)))
        }
        Issued::Never(refusal) => {
            deny(&mut row, &refusal, now);
            row.state = PurchaseState::Withdrawing;
            row.due_at = Some(now);
            let goes_on = true;
            Ok(Some(Step {
                goes_on,
                ..Step::row(row)
            }))
        }
        Issued::NotYet => {
            let since = issue::ordered_at(&row);
            if now.micros_since(since) < ISSUING_US {
                return Ok(Some(Step::again(row, (since, SOON_US), now)));
            }
            deny(&mut row, &issuer_unavailable(), now);
            row.state = PurchaseState::Withdrawing;
            // The last attempt may still be making it.
            row.due_at = Some(now.plus_micros(MINUTE_US));
            Ok(Some(Step::row(row)))
        }
    }
}

/// The earmark comes back once no card is there that could be used: a look-up proves that there is
/// none, or the one that it finds is closed at its issuer (behaviour 5.14).
async fn withdrawing(
    api: &Arc<Api>,
    mut row: Purchase,
    now: Timestamp,
) -> Result<Option<Step>, Problem> {
    if !issue::withdraw(api, &row, now).await {
        let since = row.decided_at.unwrap_or(now);
        return Ok(Some(Step::again(row, (since, LATE_US), now)));
    }
    earmark::release(api, &row, now).await?;
    row.state = PurchaseState::Denied;
    row.due_at = None;
    Ok(Some(Step::row(row)))
}

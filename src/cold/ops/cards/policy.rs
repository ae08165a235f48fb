//! What is in force on a card and where it stands, for whoever asks under `/v1` (behaviour 2.15).

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::{CardInLedger, Moment, Owned, look_at_card};
use super::view::{CountView, LimitView};
use super::{limits, moment};
use crate::cold::ops::policy::PolicyView;
use crate::decide::effective::effective;
use crate::decide::snapshot::{CardView, Snapshot};
use crate::domain::time::Timestamp;
use crate::ledger::embedded::store::EmbeddedLedger;

/// Each value with the level that it comes from, each limit with what is spent, held and left.
/// Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = CardPolicy)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold) struct PolicyShown {
    card_id: String,
    /// Of all amounts.
    currency: String,
    policy: PolicyView,
    /// Every cap on a sum, of every level.
    limits: Vec<LimitView>,
    /// Every cap on a number of approvals, of every level.
    counts: Vec<CountView>,
    /// Counts the changes of what is in force.
    snapshot_version: u64,
    /// Fields that nobody holds: the issuer does not ask before a purchase, and has no such limit.
    pub(in crate::cold) unenforced: Vec<String>,
}

/// A card of a snapshot that is being looked at.
pub(in crate::cold) struct Look {
    snapshot: Arc<Snapshot>,
    id: String,
    owned: Owned,
    moment: Moment,
}

/// What the ledger has of it.
pub(in crate::cold) struct Seen(CardInLedger);

impl Look {
    /// Absent where the snapshot does not have the card.
    pub(in crate::cold) fn at(snapshot: Arc<Snapshot>, id: &str, now: Timestamp) -> Option<Self> {
        let card = snapshot.card_by_id(id)?;
        let owned = Owned {
            customer: card.customer.key(),
            card: card.card.key(),
            agent: card.agent.map(|agent| agent.key()),
        };
        let moment = moment(now, Some(card.customer.zone()));
        Some(Self {
            id: id.to_owned(),
            owned,
            moment,
            snapshot,
        })
    }

    /// What a hot thread does for it.
    pub(in crate::cold) fn in_ledger(
        &self,
    ) -> impl FnOnce(&EmbeddedLedger) -> Seen + Send + 'static {
        let (owned, moment) = (self.owned, self.moment);
        move |ledger| Seen(look_at_card(ledger, owned, moment))
    }

    /// The card as it stands.
    pub(in crate::cold) fn shown(&self, Seen(in_ledger): &Seen) -> Option<PolicyShown> {
        let card: CardView<'_> = self.snapshot.card_by_id(&self.id)?;
        let policy = effective(&card);
        Some(PolicyShown {
            card_id: self.id.clone(),
            currency: card.customer.currency().to_string(),
            policy: PolicyView::new(card.customer, &policy),
            limits: limits::of_sums(&card, &policy, in_ledger),
            counts: limits::of_counts(&card, &policy, in_ledger, self.moment),
            snapshot_version: self.snapshot.version(),
            unenforced: Vec::new(),
        })
    }
}

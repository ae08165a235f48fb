//! A card as it is shown: exactly the members of behaviour 4.1, null where there is nothing.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::standing::CardHeld;
use crate::cold::api::Api;
use crate::cold::api::fields::{Interval, Usage, shown_document};
use crate::cold::api::problem::Problem;
use crate::cold::control::card_policy;
use crate::cold::ops::cards::view::MerchantLockView;
use crate::cold::schema::PolicyDocument;
use crate::cold::stands::strictest;
use crate::cold::store::{Card, CardLimit};
use crate::decide::effective::ends_at;
use crate::decide::policy::Policy;
use crate::decide::snapshot::{AgentSlot, CustomerSlot};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;

/// One card. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold::api) struct CardShown {
    pub(in crate::cold::api) id: String,
    customer_id: String,
    /// The agent that uses it.
    agent_id: Option<String>,
    #[serde(rename = "type")]
    #[schema(pattern = "^(virtual|physical)$")]
    kind: &'static str,
    usage: Usage,
    /// What is in force: `canceled`, else `frozen`, else `locked`, else `active`.
    #[schema(pattern = "^(active|locked|frozen|canceled)$")]
    pub(in crate::cold::api) status: &'static str,
    /// The last four digits of the number.
    #[schema(pattern = "^[0-9]{4}$")]
    pub(in crate::cold::api) last4: Option<String>,
    #[schema(minimum = 1, maximum = 12)]
    pub(in crate::cold::api) exp_month: Option<u8>,
    pub(in crate::cold::api) exp_year: Option<u16>,
    /// The one cap beside the policy's.
    limits: Option<LimitShown>,
    /// The merchant that the card is locked to.
    merchant_lock: Option<MerchantLockView>,
    /// The earliest end that policies set; the plastic's own is `expMonth` and `expYear`.
    #[schema(format = DateTime)]
    pub(in crate::cold::api) expires_at: Option<String>,
    /// The last approval.
    #[schema(format = DateTime)]
    last_spend_at: Option<String>,
    /// The first approval on record.
    #[schema(format = DateTime)]
    first_spend_at: Option<String>,
    #[schema(format = DateTime)]
    single_use_consumed_at: Option<String>,
    /// The rules of this card alone.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    pub(in crate::cold::api) created_at: String,
}

/// A cap over an interval.
#[derive(Serialize, ToSchema)]
#[schema(as = CardLimit)]
pub(in crate::cold::api) struct LimitShown {
    /// Minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// The customer's.
    currency: String,
    interval: Interval,
}

impl LimitShown {
    pub(in crate::cold::api) fn new(limit: CardLimit) -> Self {
        Self {
            amount: limit.amount.minor.get(),
            currency: limit.amount.currency.to_string(),
            interval: Interval::of(limit.interval),
        }
    }
}

impl Api {
    /// The card as it is in force now.
    pub(in crate::cold::api) async fn card_shown(&self, row: Card) -> Result<CardShown, Problem> {
        let held = self.held(&row).await?;
        self.card_shown_with(row, held).await
    }

    /// The card where the ledger holds this of it.
    pub(super) async fn card_shown_with(
        &self,
        row: Card,
        held: CardHeld,
    ) -> Result<CardShown, Problem> {
        let first_spend = match held.last_spend {
            Some(_) => self.first_spend(&row.id).await?,
            None => None,
        };
        let policy = card_policy(row.policy.as_deref(), row.limit.as_ref())?;
        let expires_at = self.ends_of(&row, &policy);
        shown(row, held, first_spend, expires_at)
    }

    /// When the card's life ends under its own policy and those that are in force above it.
    fn ends_of(&self, row: &Card, policy: &Policy) -> Option<Timestamp> {
        let snapshot = self.snapshots.load();
        let customer = snapshot.customer_by_id(&row.customer_id);
        let agent = row
            .agent_id
            .as_deref()
            .and_then(|id| snapshot.agent_by_id(id));
        let policies = [
            Some(policy),
            agent.and_then(AgentSlot::policy),
            customer.and_then(CustomerSlot::policy),
        ];
        let cascade = customer.map(CustomerSlot::cascade).unwrap_or_default();
        ends_at(policies, cascade, row.created_at)
    }
}

fn shown(
    row: Card,
    held: CardHeld,
    first_spend_at: Option<String>,
    expires_at: Option<Timestamp>,
) -> Result<CardShown, Problem> {
    let text = |at: Timestamp| at.rfc3339().to_string();
    Ok(CardShown {
        status: status(&row, &held),
        id: row.id,
        customer_id: row.customer_id,
        agent_id: row.agent_id,
        kind: if row.is_physical {
            "physical"
        } else {
            "virtual"
        },
        usage: row.usage.into(),
        last4: row.last4,
        exp_month: row.exp_month,
        exp_year: row.exp_year,
        limits: row.limit.map(LimitShown::new),
        merchant_lock: held.lock,
        expires_at: expires_at.map(text),
        last_spend_at: held.last_spend.map(text),
        first_spend_at,
        single_use_consumed_at: held.consumed_at.map(text),
        policy: shown_document(row.policy)?,
        created_at: text(row.created_at),
    })
}

/// The stricter of what is kept here and what the ledger holds. Freezing is a flag beside the status:
/// it shows in front of all but the end.
fn status(row: &Card, held: &CardHeld) -> &'static str {
    let strictest = strictest(row.status, held.status);
    let is_frozen = row.is_frozen || held.is_frozen;
    if is_frozen && strictest != CardStatus::Canceled {
        "frozen"
    } else {
        strictest.name()
    }
}

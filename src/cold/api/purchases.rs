//! `/v1/purchase-requests`: what an agent asks before there is a card (behaviour 5).
//!
//! One service (`desk`) behind REST and MCP. What an agent writes is data: rules look at the host, the
//! amount and the kind of shop, and at nothing else.

mod asked;
mod desk;
mod earmark;
mod issue;
mod spending;
mod tend;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{
    About, CURSOR, Given, LIMIT, OF_AGENT, OF_CUSTOMER, Parameter, ParameterKind, shape,
};
use super::body::read;
use super::cards::Nothing;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::{Page, narrow};
use super::{Api, text};
use crate::cold::store::purchases::{Purchase, PurchaseState};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;

pub(super) use asked::NewPurchase;
pub(super) use desk::{find, own_agent, request};
pub(super) use spending::{SpendingSummary, summary};
pub(super) use tend::Buying;
pub use tend::tend;

/// What a reviewer is shown, beside the amount.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseCause)]
#[serde(rename_all = "camelCase")]
struct CauseShown {
    /// A stable word.
    code: String,
    /// One sentence.
    text: String,
}

/// The card of an approved request. No number is here.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseCard)]
#[serde(rename_all = "camelCase")]
pub(super) struct VirtualCard {
    pub(super) id: String,
    pub(super) last4: Option<String>,
    /// What binds the card beside its amount and its first merchant.
    #[schema(pattern = "^(category|amount_only)$")]
    pub(super) scope: &'static str,
    #[schema(format = DateTime)]
    pub(super) expires_at: Option<String>,
}

/// A purchase request. Amounts are decimal text in major units; absent values are null.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseRequest)]
#[serde(rename_all = "camelCase")]
pub(super) struct PurchaseShown {
    pub(super) id: String,
    customer_id: String,
    agent_id: String,
    /// `expired` is one whose card is over.
    #[schema(pattern = "^(pending_review|approved|denied|expired)$")]
    pub(super) status: &'static str,
    /// The host that rules are asked about, in A-labels.
    host: String,
    amount: String,
    /// The amount with the tolerance that the rules give it: what is set aside, and what the card is
    /// good for.
    earmark: String,
    currency: String,
    /// Why a human is asked, or was.
    causes: Vec<CauseShown>,
    /// Why it is denied, or waits: a stable word.
    pub(super) reason: Option<String>,
    /// The same in a sentence.
    pub(super) message: String,
    /// What would pass.
    pub(super) suggestion: Option<String>,
    pub(super) virtual_card: Option<VirtualCard>,
    /// What the agent wrote. It decides nothing, and may say anything.
    asked: AskedShown,
    /// The key that approved or denied it; null where rules did.
    decided_by: Option<String>,
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// When a review that nobody makes ends.
    #[schema(format = DateTime)]
    pub(super) review_ends_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// The agent's own words.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseAsked)]
#[serde(rename_all = "camelCase")]
struct AskedShown {
    merchant_url: String,
    merchant_name: Option<String>,
    description: String,
    justification: String,
    category_hint: Option<String>,
}

/// Why a request is denied.
#[derive(Deserialize, ToSchema)]
#[schema(as = PurchaseDenial)]
#[serde(deny_unknown_fields)]
pub(super) struct Denial {
    /// The agent is told.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

const OF_STATUS: Parameter = Parameter {
    name: "status",
    about: "In this status alone: pending_review, approved, denied or expired.",
    kind: ParameterKind::Id,
};

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewPurchase>),
    gives: &[Given::created(shape::<PurchaseShown>)],
    problems: &[Code::BeyondReach, Code::SnapshotFileRules],
    ..About::new(
        "requestPurchase",
        "Asks to buy something; the same request again gives the same answer, as it is by then.",
    )
};
pub(super) const LIST: About = About {
    query: &[LIMIT, CURSOR, OF_CUSTOMER, OF_AGENT, OF_STATUS],
    gives: &[Given::list(shape::<PurchaseShown>)],
    ..About::new("listPurchaseRequests", "Requests; an agent sees its own.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<PurchaseShown>)],
    ..About::new("getPurchaseRequest", "One request, and what became of it.")
};
pub(super) const APPROVE: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<PurchaseShown>)],
    ..About::new(
        "approvePurchaseRequest",
        "A human's word for a request that waits. One that was decided stays as it is.",
    )
};
pub(super) const DENY: About = About {
    takes: Some(shape::<Denial>),
    gives: &[Given::ok(shape::<PurchaseShown>)],
    ..About::new(
        "denyPurchaseRequest",
        "A human's word against a request that waits. One that was decided stays as it is.",
    )
};
pub(super) const SPENDING: About = About {
    gives: &[Given::ok(shape::<SpendingSummary>)],
    ..About::new(
        "getSpending",
        "What an agent has spent and has left; `me` is the agent whose key it is.",
    )
};

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewPurchase = read(&ask.body)?;
    let event = ask.event();
    let row = request(&ask.api, &ask.caller, new, event).await?;
    let path = format!("/v1/purchase-requests/{}", row.id);
    Reply::created(path, &shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut listed = ask.query.listed(&ask.caller)?;
    let customer = ask.query.take("customerId")?;
    let agent = ask.query.take("agentId")?;
    let state = ask.query.take("status")?;
    ask.query.finish()?;
    let state = state.map(|word| {
        let mut known = PurchaseState::ALL.into_iter();
        let found = known.find(|it| it.name() == word && *it != PurchaseState::Withdrawing);
        found.ok_or_else(|| {
            let message = "must be pending_review, approved, denied or expired";
            Problem::invalid_field("status", message)
        })
    });
    let state = state.transpose()?;
    let in_reach = narrow(&mut listed.customer_id, customer) && narrow(&mut listed.agent_id, agent);
    if !in_reach {
        return Reply::ok(&<Page<PurchaseShown>>::empty());
    }
    let limit = listed.limit;
    let rows = ask.api.store.purchases(listed, state).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(shown(&ask.api, row, ask.now).await?);
    }
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = in_reach(&ask).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn approve(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let row = in_reach(&ask).await?;
    let row = desk::approve(&ask.api, &row.id, &ask.event()).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn deny(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Denial { reason } = read(&ask.body)?;
    let reason = reason.map(|it| text::words(&it, "reason")).transpose()?;
    let row = in_reach(&ask).await?;
    let row = desk::refuse(&ask.api, &row.id, reason, &ask.event()).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn spending(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let agent = match &*ask.id {
        "me" => own_agent(&ask.api, &ask.caller).await?,
        id => super::agents::find(&ask, id).await?,
    };
    Reply::ok(&summary(&ask.api, &agent.id, ask.now).await?)
}

/// The request that the path names. Unknown and foreign are one answer.
async fn in_reach(ask: &Ask) -> Result<Purchase, Problem> {
    let row = find(&ask.api, &text::id(&ask.id)?).await?;
    ask.caller.purchase(row)
}

/// A request as it is now: what is overdue is shown as it will be kept.
pub(super) async fn shown(
    api: &Arc<Api>,
    row: Purchase,
    now: Timestamp,
) -> Result<PurchaseShown, Problem> {
    let card = match &row.card_id {
        Some(id) => api.store.card(id.clone()).await?,
        None => None,
    };
    let is_over = row.due_at.is_some_and(|due| due <= now);
    let is_canceled = card
        .as_ref()
        .is_some_and(|card| card.status == CardStatus::Canceled);
    let currency = row.amount.currency;
    let mut causes = row.terms.causes.clone().into_iter();
    let first = causes.as_slice().first().cloned();
    let waits = "A human has to decide. Ask check_status for the outcome.";
    let (status, reason, message) = match row.state {
        PurchaseState::PendingReview if is_over => (
            "denied",
            Some("review_expired".to_owned()),
            "nobody decided in time".to_owned(),
        ),
        PurchaseState::PendingReview => {
            let why = first.as_ref().map(|cause| cause.text.clone());
            let why = why.map(|why| format!("{waits} Why: {why}."));
            (
                "pending_review",
                first.map(|it| it.code),
                why.unwrap_or_else(|| waits.to_owned()),
            )
        }
        PurchaseState::Issuing => ("pending_review", None, "issuing".to_owned()),
        PurchaseState::Denied | PurchaseState::Withdrawing => (
            "denied",
            row.reason.clone(),
            row.note.clone().unwrap_or_default(),
        ),
        PurchaseState::Approved if !is_over && !is_canceled => {
            ("approved", None, "The card is ready.".to_owned())
        }
        PurchaseState::Approved | PurchaseState::Expired => {
            ("expired", None, "The card is over.".to_owned())
        }
    };
    let waits_until = row
        .due_at
        .filter(|_| row.state == PurchaseState::PendingReview);
    let earmark = Minor::new(row.terms.earmark).unwrap_or(row.amount.minor);
    let instant = |at: Timestamp| at.rfc3339().to_string();
    let virtual_card = card.map(|card| VirtualCard {
        id: card.id,
        last4: card.last4,
        scope: if row.terms.mccs.is_empty() {
            "amount_only"
        } else {
            "category"
        },
        expires_at: row
            .terms
            .card_expires_us
            .map(|at| instant(Timestamp::from_micros(at))),
    });
    Ok(PurchaseShown {
        id: row.id,
        customer_id: row.customer_id,
        agent_id: row.agent_id,
        status,
        host: row.host,
        amount: row.amount.to_string(),
        earmark: Amount {
            minor: earmark,
            currency,
        }
        .to_string(),
        currency: currency.to_string(),
        causes: causes
            .by_ref()
            .map(|it| CauseShown {
                code: it.code,
                text: it.text,
            })
            .collect(),
        reason,
        message,
        suggestion: row.terms.suggestion,
        virtual_card,
        asked: AskedShown {
            merchant_url: row.asked.merchant_url,
            merchant_name: row.asked.merchant_name,
            description: row.asked.description,
            justification: row.asked.justification,
            category_hint: row.asked.category_hint,
        },
        decided_by: row.decided_by,
        decided_at: row.decided_at.map(instant),
        review_ends_at: waits_until.map(instant),
        created_at: instant(row.created_at),
    })
}

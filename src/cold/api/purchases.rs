//! `/v1/purchase-requests`: what an agent asks before there is a card (behaviour 5).
//!
//! One service (`desk`) behind REST and MCP. What an agent writes is data: rules look at the host, the
//! amount and the kind of shop, and at nothing else.

mod asked;
mod asks;
mod desk;
mod earmark;
mod issue;
mod link;
mod shown;
mod spending;
mod standing;
mod steps;
mod tend;
mod words;

use serde::Deserialize;
use utoipa::ToSchema;

use super::about::{
    About, CURSOR, Given, LIMIT, OF_AGENT, OF_CUSTOMER, Parameter, ParameterKind, shape,
};
use super::body::read;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::{Page, narrow};
use super::text;
use crate::cold::store::purchases::{Purchase, PurchaseState};

pub(super) use asked::{NewPurchase, ToolPurchase};
pub(super) use asks::Asks;
pub(super) use desk::{
    BY_AGENT, BY_REVIEWER, LookedAt, approve as approve_as, find, give_up, own_agent,
    refuse as refuse_as, request,
};
pub(super) use earmark::{Earmark, Held};
pub(super) use link::{Link, PATH as VIEW_PATH, seen};
pub(super) use shown::{PurchaseShown, shown};
pub(in crate::cold) use spending::{SpendingLine, spending_lines};
pub(super) use spending::{SpendingSummary, summary};
pub(super) use tend::Buying;
pub use tend::tend;

/// A word for a request.
#[derive(Deserialize, ToSchema)]
#[schema(as = PurchaseApproval)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// The version that was looked at: where the request has changed since, nothing is decided.
    #[schema(minimum = 1)]
    version: Option<i64>,
}

/// Why a request is denied.
#[derive(Deserialize, ToSchema)]
#[schema(as = PurchaseDenial)]
#[serde(deny_unknown_fields)]
pub(super) struct Denial {
    /// The agent is told.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
    /// The version that was looked at: where the request has changed since, nothing is decided.
    #[schema(minimum = 1)]
    version: Option<i64>,
}

const OF_STATUS: Parameter = Parameter {
    name: "status",
    about: "In this status alone: pending_review, approved, denied or expired.",
    kind: ParameterKind::Id,
};

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewPurchase>),
    gives: &[Given::created(shape::<PurchaseShown>)],
    problems: &[
        Code::BeyondReach,
        Code::SnapshotFileRules,
        Code::TooManyRequests,
        Code::TooManyReviews,
    ],
    ..About::new(
        "requestPurchase",
        "Asks to buy something; the same request again gives the same answer, as it is by then.",
    )
};
pub(super) const LIST: About = About {
    query: &[LIMIT, CURSOR, OF_CUSTOMER, OF_AGENT, OF_STATUS],
    gives: &[Given::list(shape::<PurchaseShown>)],
    problems: &[Code::TooManyRequests],
    ..About::new("listPurchaseRequests", "Requests; an agent sees its own.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<PurchaseShown>)],
    problems: &[Code::TooManyRequests],
    ..About::new("getPurchaseRequest", "One request, and what became of it.")
};
pub(super) const APPROVE: About = About {
    takes: Some(shape::<Approval>),
    gives: &[Given::ok(shape::<PurchaseShown>)],
    problems: &[Code::RequestChanged],
    ..About::new(
        "approvePurchaseRequest",
        "A human's word for a request that waits. One that was decided stays as it is.",
    )
};
pub(super) const DENY: About = About {
    takes: Some(shape::<Denial>),
    gives: &[Given::ok(shape::<PurchaseShown>)],
    problems: &[Code::RequestChanged],
    ..About::new(
        "denyPurchaseRequest",
        "A human's word against a request that waits. One that was decided stays as it is.",
    )
};
pub(super) const SPENDING: About = About {
    gives: &[Given::ok(shape::<SpendingSummary>)],
    problems: &[Code::TooManyRequests],
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
    counted(&ask)?;
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
    counted(&ask)?;
    ask.query.finish()?;
    let row = in_reach(&ask).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn approve(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Approval { version } = read(&ask.body)?;
    let row = in_reach(&ask).await?;
    let looked_at = LookedAt {
        id: &row.id,
        version,
        link: None,
    };
    let row = desk::approve(&ask.api, looked_at, &ask.event()).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn deny(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Denial { reason, version } = read(&ask.body)?;
    let reason = reason.map(|it| text::words(&it, "reason")).transpose()?;
    let row = in_reach(&ask).await?;
    let looked_at = LookedAt {
        id: &row.id,
        version,
        link: None,
    };
    let row = desk::refuse(&ask.api, looked_at, reason, &ask.event()).await?;
    Reply::ok(&shown(&ask.api, row, ask.now).await?)
}

pub(super) async fn spending(ask: Ask) -> Result<Reply, Problem> {
    counted(&ask)?;
    ask.query.finish()?;
    let agent = match &*ask.id {
        "me" => own_agent(&ask.api, &ask.caller).await?,
        id => super::agents::find(&ask, id).await?,
    };
    Reply::ok(&summary(&ask.api, &agent.id, ask.now).await?)
}

/// Refuses an agent that looks too often.
fn counted(ask: &Ask) -> Result<(), Problem> {
    let agent = ask.caller.key.agent_id.as_deref();
    ask.api.asks.to_look(agent, ask.now)
}

/// The request that the path names. Unknown and foreign are one answer.
async fn in_reach(ask: &Ask) -> Result<Purchase, Problem> {
    let row = find(&ask.api, &text::id(&ask.id)?).await?;
    ask.caller.purchase(row)
}

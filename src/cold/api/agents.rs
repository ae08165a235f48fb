//! `/v1/agents`: who uses the cards, each with the rules over all of his.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, CURSOR, Given, LIMIT, OF_CUSTOMER, shape};
use super::body::{present, read};
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::fields::{AgentStatus, document, shown_document};
use super::problem::Problem;
use super::query::{Page, narrow};
use super::{access, customers, fleet, text, versions};
use crate::cold::control::{Order, Work, policy};
use crate::cold::ids::draw;
use crate::cold::schema::PolicyDocument;
use crate::cold::store::outward::Errand;
use crate::cold::store::versions::Versions;
use crate::cold::store::{Agent, Change};
use crate::domain::card;

/// A new agent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAgent {
    customer_id: String,
    /// Your own name of it; a second agent of this name is not made.
    #[schema(pattern = "^[ -~]{1,128}$")]
    external_id: Option<String>,
    /// What people see.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    status: Option<AgentStatus>,
    /// The rules over all of its cards.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
}

/// What becomes of an agent; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AgentChange {
    /// Null takes it away.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    status: Option<AgentStatus>,
    /// Replaces the whole document; null takes it away.
    #[schema(value_type = Option<PolicyDocument>)]
    #[serde(default, deserialize_with = "present")]
    policy: Option<Option<Box<RawValue>>>,
}

/// An agent as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentShown {
    id: String,
    customer_id: String,
    /// Its owner's own name of it.
    external_id: Option<String>,
    /// What people see.
    name: Option<String>,
    /// What is in force: the stricter of what owners and operators have set.
    status: AgentStatus,
    /// The rules over all of its cards.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    created_at: String,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewAgent>),
    gives: &[
        Given::created(shape::<AgentShown>),
        Given::known(shape::<AgentShown>),
    ],
    problems: &[Code::NotFound, Code::FleetCapReached],
    ..About::new("createAgent", "Makes an agent.")
};
pub(super) const LIST: About = About {
    query: &[LIMIT, CURSOR, OF_CUSTOMER],
    gives: &[Given::list(shape::<AgentShown>)],
    ..About::new("listAgents", "Agents; an agent sees itself.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<AgentShown>)],
    ..About::new("getAgent", "One agent.")
};
pub(super) const CHANGE: About = About {
    takes: Some(shape::<AgentChange>),
    gives: &[Given::ok(shape::<AgentShown>)],
    problems: &[Code::AgentDisabled],
    ..About::new(
        "changeAgent",
        "Changes an agent, in force when the call returns.",
    )
};

/// What is in force: the stricter of what is kept here and what the ledger holds, where an operator
/// may have paused the agent.
async fn shown(ask: &Ask, row: Agent) -> Result<AgentShown, Problem> {
    let held = ask.api.standing_of_agent(&row).await?;
    shown_with(row, held)
}

fn shown_with(row: Agent, held: card::AgentStatus) -> Result<AgentShown, Problem> {
    let status = if held as u8 > row.status as u8 {
        held
    } else {
        row.status
    };
    Ok(AgentShown {
        id: row.id,
        customer_id: row.customer_id,
        external_id: row.external_id,
        name: row.name,
        status: status.into(),
        policy: shown_document(row.policy)?,
        created_at: row.created_at.rfc3339().to_string(),
    })
}

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewAgent = read(&ask.body)?;
    let mut customer = customers::find(&ask, &new.customer_id).await?;
    let external_id = text::external_id(new.external_id)?;
    if let Some(external_id) = &external_id {
        let (customer_id, external_id) = (customer.id.clone(), external_id.clone());
        if let Some(known) = ask.api.store.agent_called(customer_id, external_id).await? {
            return Reply::ok(&shown(&ask, known).await?);
        }
    }
    let row = Agent {
        id: draw("agt", ask.now),
        mode: customer.mode,
        customer_id: customer.id.clone(),
        external_id,
        name: text::name(new.name, "name")?,
        status: new.status.map(Into::into).unwrap_or_default(),
        policy: document(new.policy),
        versions: Versions::default(),
        created_at: ask.now,
        revision: 0,
    };
    policy(row.policy.as_deref())?;
    let path = format!("/v1/agents/{}", row.id);
    let reply = Reply::created(path, &shown_with(row.clone(), card::AgentStatus::Active)?)?;
    let mut tries = Tries::default();
    loop {
        let room = fleet::room_for_agent(&ask, customer).await?;
        let batch = [Change::Agent(row.clone())].into_iter().chain(room);
        let work = Work {
            batch: batch.collect(),
            ..Work::default()
        };
        let outcome = ask.make(work, reply.clone()).await;
        if !tries.again(&outcome) {
            return outcome;
        }
        customer = customers::find(&ask, &row.customer_id).await?;
    }
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut listed = ask.query.listed(&ask.caller)?;
    let wanted = ask.query.take("customerId")?;
    ask.query.finish()?;
    if !narrow(&mut listed.customer_id, wanted) {
        return Reply::ok(&<Page<AgentShown>>::empty());
    }
    let limit = listed.limit;
    let rows = ask.api.store.agents(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(shown(&ask, row).await?);
    }
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    Reply::ok(&shown(&ask, row).await?)
}

/// The agent of this id, where the caller may know of it.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Agent, Problem> {
    let found = ask.api.store.agent(text::id(id)?).await?;
    ask.caller.agent(found)
}

pub(super) async fn change(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let change: AgentChange = read(&ask.body)?;
    let name = change
        .name
        .map(|name| text::name(name, "name"))
        .transpose()?;
    let document = change.policy.map(document);
    if let Some(text) = &document {
        policy(text.as_deref())?;
    }
    let status: Option<card::AgentStatus> = change.status.map(Into::into);
    let mut tries = Tries::default();
    loop {
        let mut row = find(&ask, &ask.id).await?;
        let before = versions::Of::from(&row);
        let held = ask.api.standing_of_agent(&row).await?;
        if let Some(status) = status {
            let is_disabled = row.status == card::AgentStatus::Disabled;
            if is_disabled && status != card::AgentStatus::Disabled {
                return Err(Problem::agent_disabled());
            }
            row.status = status;
        }
        row.name = name.clone().unwrap_or(row.name);
        row.policy = document.clone().unwrap_or(row.policy);
        let order = status.map(|status| Order::Agent {
            customer_id: row.customer_id.clone(),
            agent_id: row.id.clone(),
            status,
        });
        let after = versions::Of::from(&row);
        let mut batch = versions::patched(&ask, &before, after, &mut row.versions).await?;
        let reply = Reply::ok(&shown_with(row.clone(), status.unwrap_or(held))?)?;
        if status.is_some() {
            batch.extend(
                ask.api
                    .told_of_owner(Errand::Agent, (&row.id, row.mode), ask.now),
            );
        }
        if status == Some(card::AgentStatus::Active) {
            batch.extend(access::settled(&ask, &row.id).await?);
        }
        batch.push(Change::Agent(row));
        let work = Work {
            batch,
            orders: order.into_iter().collect(),
            ..Work::default()
        };
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

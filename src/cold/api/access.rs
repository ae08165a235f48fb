//! `/v1/access-requests`: an agent that is paused asks to be at work, and an owner says yes or no, once
//! (behaviour 4.4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, CURSOR, Given, LIMIT, OF_AGENT, OF_CUSTOMER, shape};
use super::body::read;
use super::cards::Nothing;
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::problem::Problem;
use super::purchases::own_agent;
use super::query::{Page, narrow};
use super::{agents, text};
use crate::cold::control::{Order, Work};
use crate::cold::ids::draw;
use crate::cold::store::access::{AccessRequest, AccessState};
use crate::cold::store::outward::Errand;
use crate::cold::store::{Agent, Change};
use crate::domain::card::AgentStatus;

/// How long a request waits before the agent's new words take the place of the old ones, and are told:
/// an hour. Whoever has let the agent work meanwhile, an operator, settles nothing here.
const RENEWED_US: i64 = 3_600_000_000;

/// What an agent says when it asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAccessRequest {
    /// What it wants to do; an owner reads it.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Why it is refused.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refusal {
    /// What the agent may know of it.
    #[schema(min_length = 1, max_length = 1000)]
    note: Option<String>,
}

/// A request as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessRequest)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessShown {
    id: String,
    customer_id: String,
    agent_id: String,
    #[schema(pattern = "^(pending|granted|refused)$")]
    status: &'static str,
    /// The agent's words.
    reason: String,
    /// The key that asked.
    requested_by: String,
    /// The key that decided.
    decided_by: Option<String>,
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// The owner's words, where it was refused with some.
    note: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<AccessRequest> for AccessShown {
    fn from(row: AccessRequest) -> Self {
        Self {
            id: row.id,
            customer_id: row.customer_id,
            agent_id: row.agent_id,
            status: row.state.name(),
            reason: row.reason,
            requested_by: row.requested_by,
            decided_by: row.decided_by,
            decided_at: row.decided_at.map(|at| at.rfc3339().to_string()),
            note: row.note,
            created_at: row.created_at.rfc3339().to_string(),
        }
    }
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewAccessRequest>),
    gives: &[
        Given::created(shape::<AccessShown>),
        Given::known(shape::<AccessShown>),
    ],
    problems: &[
        Code::AgentDisabled,
        Code::AgentActive,
        Code::SnapshotFileRules,
    ],
    ..About::new(
        "requestAccess",
        "Asks, for an agent that is paused, to be at work. While one request waits, it is the only one.",
    )
};
pub(super) const LIST: About = About {
    query: &[LIMIT, CURSOR, OF_CUSTOMER, OF_AGENT],
    gives: &[Given::list(shape::<AccessShown>)],
    ..About::new("listAccessRequests", "Requests; an agent sees its own.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<AccessShown>)],
    ..About::new("getAccessRequest", "One request.")
};
pub(super) const GRANT: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<AccessShown>)],
    problems: &[Code::AccessDecided, Code::AgentDisabled],
    ..About::new(
        "grantAccess",
        "Puts the agent to work, whoever has paused it: in force when the call returns.",
    )
};
pub(super) const REFUSE: About = About {
    takes: Some(shape::<Refusal>),
    gives: &[Given::ok(shape::<AccessShown>)],
    problems: &[Code::AccessDecided],
    ..About::new("refuseAccess", "Leaves the agent as it is.")
};

/// By an agent's key, for itself.
pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewAccessRequest = read(&ask.body)?;
    let reason = text::words(&new.reason, "reason")?;
    // Nobody could grant it.
    if !ask.api.rows_rule {
        return Err(Problem::file_rules());
    }
    let mut tries = Tries::default();
    loop {
        let agent = own_agent(&ask.api, &ask.caller).await?;
        let held = ask.api.standing_of_agent(&agent).await?;
        if agent.status == AgentStatus::Disabled {
            return Err(Problem::agent_disabled());
        }
        if agent.status == AgentStatus::Active && held == AgentStatus::Active {
            return Err(Problem::agent_active());
        }
        let waiting = ask.api.store.access_waiting(agent.id.clone()).await?;
        if let Some(known) = waiting {
            let is_recent = ask.now.micros_since(known.created_at) < RENEWED_US;
            if is_recent || known.reason == reason {
                return Reply::ok(&AccessShown::from(known));
            }
            let known = AccessRequest {
                reason: reason.clone(),
                requested_by: ask.caller.key.id.clone(),
                created_at: ask.now,
                ..known
            };
            let reply = Reply::ok(&AccessShown::from(known.clone()))?;
            let outcome = ask.make(only(known), reply).await;
            if !tries.again(&outcome) {
                return outcome;
            }
            continue;
        }
        let row = AccessRequest {
            id: draw("acc", ask.now),
            mode: agent.mode,
            customer_id: agent.customer_id,
            agent_id: agent.id,
            reason: reason.clone(),
            state: AccessState::Pending,
            requested_by: ask.caller.key.id.clone(),
            decided_by: None,
            decided_at: None,
            note: None,
            created_at: ask.now,
            revision: 0,
        };
        let path = format!("/v1/access-requests/{}", row.id);
        let reply = Reply::created(path, &AccessShown::from(row.clone()))?;
        let outcome = ask.make(only(row), reply).await;
        // Where another one was quicker, that is the one.
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut listed = ask.query.listed(&ask.caller)?;
    let customer = ask.query.take("customerId")?;
    let agent = ask.query.take("agentId")?;
    ask.query.finish()?;
    let in_reach = narrow(&mut listed.customer_id, customer) && narrow(&mut listed.agent_id, agent);
    if !in_reach {
        return Reply::ok(&<Page<AccessShown>>::empty());
    }
    let limit = listed.limit;
    let rows = ask.api.store.access_requests(listed, None).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    Reply::ok(&page.with(rows.into_iter().map(AccessShown::from).collect()))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    Reply::ok(&AccessShown::from(find(&ask).await?))
}

async fn find(ask: &Ask) -> Result<AccessRequest, Problem> {
    let found = ask.api.store.access_request(text::id(&ask.id)?).await?;
    ask.caller.access(found)
}

pub(super) async fn grant(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    decide(&ask, AccessState::Granted, None, None).await
}

pub(super) async fn refuse(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let refusal: Refusal = read(&ask.body)?;
    let note = refusal.note.map(|note| text::words(&note, "note"));
    decide(&ask, AccessState::Refused, note.transpose()?, None).await
}

/// Once. A second decision changes nothing, also where both come at once. Whoever has looked at a revision
/// decides on that one alone: an agent's words may change while it waits.
pub(super) async fn decide(
    ask: &Ask,
    state: AccessState,
    note: Option<String>,
    looked_at: Option<i64>,
) -> Result<Reply, Problem> {
    let mut tries = Tries::default();
    loop {
        let row = find(ask).await?;
        if row.state != AccessState::Pending {
            return Err(Problem::access_decided(row.state.name()));
        }
        if let Some(revision) = looked_at.filter(|it| *it != row.revision) {
            return Err(Problem::request_changed(revision, row.revision));
        }
        let row = decided(ask, row, state, note.clone());
        let mut work = Work::default();
        if state == AccessState::Granted {
            let agent = agents::find(ask, &row.agent_id).await?;
            put_to_work(ask, agent, &mut work)?;
        }
        let reply = Reply::ok(&AccessShown::from(row.clone()))?;
        work.batch.push(Change::Access(row));
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

fn only(row: AccessRequest) -> Work {
    Work {
        batch: vec![Change::Access(row)],
        ..Work::default()
    }
}

/// The request that waits is granted with what puts its agent to work otherwise.
pub(super) async fn settled(ask: &Ask, agent: &str) -> Result<Option<Change>, Problem> {
    let waiting = ask.api.store.access_waiting(agent.to_owned()).await?;
    Ok(waiting.map(|row| Change::Access(decided(ask, row, AccessState::Granted, None))))
}

fn decided(
    ask: &Ask,
    row: AccessRequest,
    state: AccessState,
    note: Option<String>,
) -> AccessRequest {
    AccessRequest {
        state,
        decided_by: Some(ask.caller.key.id.clone()),
        decided_at: Some(ask.now),
        note,
        ..row
    }
}

/// As a change of the agent's status would.
fn put_to_work(ask: &Ask, agent: Agent, work: &mut Work) -> Result<(), Problem> {
    if agent.status == AgentStatus::Disabled {
        return Err(Problem::agent_disabled());
    }
    let status = AgentStatus::Active;
    let told = ask
        .api
        .told_of_owner(Errand::Agent, (&agent.id, agent.mode), ask.now);
    work.batch.extend(told);
    work.orders.push(Order::Agent {
        customer_id: agent.customer_id.clone(),
        agent_id: agent.id.clone(),
        status,
    });
    work.batch.push(Change::Agent(Agent { status, ..agent }));
    Ok(())
}

//! `/v1/api-keys`: who may ask what. A key's text is shown once, when it is made.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::Page;
use super::{agents, customers, text};
use crate::cold::control::Work;
use crate::cold::ids::draw;
use crate::cold::store::{ApiKey, Change, Scope};
use crate::cold::tokens;

/// What a key may do.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(as = Scope)]
#[serde(rename_all = "lowercase")]
pub(super) enum ScopeWord {
    Owner,
    Reviewer,
    Viewer,
    Agent,
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Self {
        match word {
            ScopeWord::Owner => Self::Owner,
            ScopeWord::Reviewer => Self::Reviewer,
            ScopeWord::Viewer => Self::Viewer,
            ScopeWord::Agent => Self::Agent,
        }
    }
}

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewKey {
    scope: ScopeWord,
    /// The customer that it reaches; all that the maker's reaches where it is absent.
    customer_id: Option<String>,
    /// The agent whose key it is; of the scope `agent`, and of no other.
    agent_id: Option<String>,
    /// What people see.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// A key as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyShown {
    id: String,
    /// Whether its objects have money behind them.
    #[schema(pattern = "^(test|live)$")]
    mode: &'static str,
    #[schema(value_type = ScopeWord)]
    scope: &'static str,
    /// The customer that it reaches; null where it reaches all of its mode.
    customer_id: Option<String>,
    /// The agent whose key it is.
    agent_id: Option<String>,
    /// What people see.
    name: Option<String>,
    /// The text of a key that was just made; null whenever else.
    key: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it opens nothing.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewKey>),
    gives: &[Given::created(shape::<KeyShown>)],
    problems: &[Code::NotFound],
    ..About::new(
        "createApiKey",
        "Makes a key; its text is in this answer and in no other.",
    )
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<KeyShown>)],
    ..About::new("listApiKeys", "Keys, without their texts.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<KeyShown>)],
    ..About::new("getApiKey", "One key, without its text.")
};
pub(super) const REVOKE: About = About {
    gives: &[Given::ok(shape::<KeyShown>)],
    ..About::new(
        "revokeApiKey",
        "Revokes a key; from the answer on it opens nothing.",
    )
};

fn shown(row: ApiKey, key: Option<String>) -> KeyShown {
    KeyShown {
        id: row.id,
        mode: row.mode.name(),
        scope: row.scope.name(),
        customer_id: row.customer_id,
        agent_id: row.agent_id,
        name: row.name,
        key,
        created_at: row.created_at.rfc3339().to_string(),
        revoked_at: row.revoked_at.map(|at| at.rfc3339().to_string()),
    }
}

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewKey = read(&ask.body)?;
    let scope = Scope::from(new.scope);
    let (customer_id, agent_id) = reach(&ask, scope, new.customer_id, new.agent_id).await?;
    let row = ApiKey {
        id: draw("key", ask.now),
        mode: ask.caller.mode(),
        scope,
        customer_id,
        agent_id,
        name: text::name(new.name, "name")?,
        created_at: ask.now,
        revoked_at: None,
        revision: 0,
    };
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "a key cannot be drawn");
        Problem::internal()
    };
    let text = tokens::draw(row.mode).map_err(failed)?;
    let hash = ask.api.secret.hash_of_key(text.expose_secret());
    let hash = hash.ok_or_else(Problem::internal)?;
    let path = format!("/v1/api-keys/{}", row.id);
    // What is kept for a repetition is without the text: only its hash is kept anywhere.
    let kept = Reply::created(path, &shown(row.clone(), None))?;
    let work = Work {
        batch: vec![Change::ApiKey(row.clone(), hash)],
        ..Work::default()
    };
    let made = ask.make(work, kept).await?;
    made.showing(&shown(row, Some(text.expose_secret().to_owned())))
}

/// What the new key reaches: no more than the caller's.
async fn reach(
    ask: &Ask,
    scope: Scope,
    customer_id: Option<String>,
    agent_id: Option<String>,
) -> Result<(Option<String>, Option<String>), Problem> {
    match (scope, agent_id) {
        (Scope::Agent, None) => Err(Problem::invalid_field("agentId", "is missing")),
        (Scope::Agent, Some(agent_id)) => {
            let agent = agents::find(ask, &agent_id).await?;
            if customer_id.is_some_and(|id| id != agent.customer_id) {
                let message = "is not the agent's; leave it out";
                return Err(Problem::invalid_field("customerId", message));
            }
            Ok((Some(agent.customer_id), Some(agent.id)))
        }
        (_, Some(_)) => {
            let message = "only a key of the scope `agent` has one";
            Err(Problem::invalid_field("agentId", message))
        }
        (_, None) => match customer_id.or_else(|| ask.caller.key.customer_id.clone()) {
            Some(id) => Ok((Some(customers::find(ask, &id).await?.id), None)),
            None => Ok((None, None)),
        },
    }
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let limit = listed.limit;
    let rows = ask.api.store.api_keys(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data = rows.into_iter().map(|row| shown(row, None)).collect();
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let found = ask.api.store.api_key(text::id(&ask.id)?).await?;
    Reply::ok(&shown(ask.caller.api_key(found)?, None))
}

/// From its answer on, the key opens nothing. Doing it again changes nothing.
pub(super) async fn revoke(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let found = ask.api.store.api_key(text::id(&ask.id)?).await?;
    let mut row = ask.caller.api_key(found)?;
    if row.revoked_at.is_some() {
        return Reply::ok(&shown(row, None));
    }
    row.revoked_at = Some(ask.now);
    let reply = Reply::ok(&shown(row.clone(), None))?;
    let work = Work {
        batch: vec![Change::ApiKeyChanged(row)],
        ..Work::default()
    };
    ask.make(work, reply).await
}

//! Waiting for a human in the protocol's own ways (revision 2026-07-28; behaviour 7.1), beside `check_status`,
//! which always tells.
//!
//! A client that knows tasks (`io.modelcontextprotocol/tasks`) gets a task under the request's own id: the
//! row is all there is of it, so that any node answers and a restart forgets nothing. One that knows none,
//! but has a user whom it can send to a page, is asked to send him to the review; it calls again when he is
//! back. Deciding takes a sign-in there: nobody decides by opening the page or by what the client says of it.

use std::collections::BTreeMap;

use rmcp::model::{
    CallToolResponse, CallToolResult, CreateTaskResult, DetailedTask, ElicitRequest,
    ElicitRequestParams, ErrorData, GetTaskResult, InputRequest, InputRequiredResult, JsonObject,
    ProtocolVersion, Task, TaskPayload, TaskStatus,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;

use super::answers::{Called, outcome};
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases::{BY_AGENT, PurchaseShown, find, give_up, shown};
use crate::cold::api::text;
use crate::cold::store::purchases::Purchase;

/// Milliseconds after which a client may look again: a human takes longer, and whoever waits for the
/// card of an approved request does not want to wait much more.
const LOOKS_AGAIN_MS: u64 = 5_000;
/// What a client's user is told; no word of the agent's is in it.
const ASKS_USER: &str = "A purchase waits for the word of the account's owner or a reviewer. Whoever is one of them can \
    sign in there and decide; everybody else can go on without.";
/// Names the only thing that a user is asked for.
const REVIEW: &str = "review";

/// How a client waits for a human.
pub(super) enum Patience {
    /// It looks at a task again and again.
    Tasks,
    /// It sends its user to a page; ours are at this address.
    Page(String),
    /// It does not; its model calls `check_status`.
    None,
}

impl Patience {
    /// What the client says of itself in this call.
    pub(super) fn of(context: &RequestContext<RoleServer>, address: &str) -> Self {
        let knows = |version| version >= ProtocolVersion::V_2026_07_28;
        if !context.protocol_version().is_some_and(knows) {
            return Self::None;
        }
        let capabilities = context.client_capabilities().unwrap_or_default();
        let elicitation = capabilities.elicitation.as_ref();
        if capabilities.supports_tasks() {
            Self::Tasks
        } else if elicitation.is_some_and(|it| it.url.is_some()) {
            Self::Page(address.to_owned())
        } else {
            Self::None
        }
    }

    /// What this client is answered instead of an outcome that is not there yet.
    pub(super) fn waits_for(&self, shown: &PurchaseShown) -> Option<CallToolResponse> {
        if shown.status != WAITS {
            return None;
        }
        match self {
            Self::Tasks => Some(CreateTaskResult::new(task(shown, TaskStatus::Working)).into()),
            // No human is waited for where the card is being made.
            Self::Page(address) if shown.review_ends_at.is_some() => {
                let asked = ElicitRequestParams::UrlElicitationParams {
                    meta: None,
                    message: ASKS_USER.to_owned(),
                    url: format!("{address}/reviews/{}", shown.id),
                    elicitation_id: shown.id.clone(),
                };
                let asked = InputRequest::Elicitation(ElicitRequest::new(asked));
                let asked = BTreeMap::from([(REVIEW.to_owned(), asked)]);
                // The id is good for its own agent alone, as everywhere: there is nothing to seal.
                Some(InputRequiredResult::new(Some(asked), Some(shown.id.clone())).into())
            }
            Self::Page(_) | Self::None => None,
        }
    }
}

const WAITS: &str = "pending_review";

/// A request as a task. It is there for as long as the request is, so that it has no end of its own.
fn task(shown: &PurchaseShown, status: TaskStatus) -> Task {
    let changed_at = shown.decided_at.as_ref().unwrap_or(&shown.created_at);
    Task::new(&*shown.id, status, &*shown.created_at, &**changed_at)
        .with_status_message(&*shown.message)
        .with_poll_interval_ms(LOOKS_AGAIN_MS)
}

impl Called {
    /// How a request stands: `working` while it waits, `cancelled` where the agent has given it up, else
    /// `completed` with what request_purchase would answer now.
    pub(super) async fn task(self, id: String) -> Result<GetTaskResult, ErrorData> {
        let shown = self.carry_through(async move |called| {
            let row = called.own(&id).await?;
            shown(&called.api, row, called.event.at).await
        });
        let shown = shown.await.map_err(|it| refused(&it))?;
        let task = task(&shown, TaskStatus::Working);
        let payload = match (shown.status, shown.reason.as_deref()) {
            (WAITS, _) => TaskPayload::Working,
            (_, Some(BY_AGENT)) => TaskPayload::Cancelled,
            _ => TaskPayload::Completed {
                result: completed(shown)?,
            },
        };
        Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
    }

    /// The agent gives its request up. One that is decided stays as it is, as the protocol lets it.
    pub(super) async fn cancel(self, id: String) -> Result<(), ErrorData> {
        let given_up = self.carry_through(async move |called| {
            let row = called.own(&id).await?;
            give_up(&called.api, &row.id, &called.event).await
        });
        given_up.await.map(|_row| ()).map_err(|it| refused(&it))
    }

    /// No task asks its client for anything, so that nothing can be told to one.
    pub(super) async fn tell(self, id: String) -> Result<(), ErrorData> {
        let found = self.carry_through(async move |called| called.own(&id).await);
        found.await.map(|_row| ()).map_err(|it| refused(&it))
    }

    /// A request of the agent's own.
    pub(super) async fn own(&self, id: &str) -> Result<Purchase, Problem> {
        let row = find(&self.api, &text::id(id)?).await?;
        self.caller.purchase(row)
    }
}

fn completed(shown: PurchaseShown) -> Result<JsonObject, ErrorData> {
    let result = CallToolResult::structured(outcome(shown));
    match serde_json::to_value(result) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => {
            tracing::error!(?other, "a tool's result has no JSON form");
            Err(ErrorData::internal_error("the result cannot be told", None))
        }
    }
}

/// The protocol has no result for a task that is not there.
fn refused(refused: &Problem) -> ErrorData {
    let told = serde_json::from_slice(&refused.body()).ok();
    ErrorData::invalid_params(refused.code(), told)
}

//! What the tools answer. Whatever is wrong with a call is told to the model as a result of it, so that
//! it can do better.

use std::future::Future;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::tools;
use super::waiting::Patience;
use crate::cold::api::Api;
use crate::cold::api::body::read;
use crate::cold::api::caller::Caller;
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases::{
    PurchaseShown, ToolPurchase, own_agent, request, shown, summary,
};
use crate::cold::api::text::{self, refuse_card_numbers};
use crate::cold::audit::Event;
use crate::cold::ids::is_id;
use crate::cold::records::{DecisionRecord, Filter};
use crate::cold::store::{Agent, Listed};
use crate::domain::card::{CardStatus, Usage};

/// Cards on one page.
const CARDS_LEN: usize = 50;
/// Records that are looked through for a decline.
const RECORDS_LEN: usize = 200;

/// Digits that a double keeps, whatever they are.
const DIGITS_MAX: usize = 15;
const NOT_EXACT: &str = "has more digits than a number keeps: write it as a text, like \"12.34\", with no more \
     decimals than the currency has";

/// One call of one agent.
pub(super) struct Called {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) event: Event,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichRequest {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichCard {
    card_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichPage {
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Whether an amount is what was written: the protocol's reader has made a double of a number with
/// decimals. What a double prints in fifteen digits or less was nothing else up to there.
fn is_exact(amount: &Value) -> bool {
    let Value::Number(number) = amount else {
        return true;
    };
    let written = number.to_string();
    let digits = written.bytes().filter(u8::is_ascii_digit).count();
    !number.is_f64() || digits <= DIGITS_MAX
}

impl Called {
    /// Answers a call of a tool.
    pub(super) async fn answer(
        self,
        request: CallToolRequestParams,
        patience: Patience,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name;
        if !tools::all().iter().any(|tool| tool.name == name) {
            let what = format!("there is no tool `{name}`");
            return Err(ErrorData::invalid_params(what, None));
        }
        let arguments = request.arguments.unwrap_or_default();
        let is_exact = arguments.get("amount").is_none_or(is_exact);
        let arguments = Value::Object(arguments).to_string();
        let state = request.request_state;
        let called = self.carry_through(async move |called| {
            let body = arguments.as_bytes();
            refuse_card_numbers(body)?;
            if !is_exact {
                return Err(Problem::invalid_field("amount", NOT_EXACT));
            }
            let value = match &*name {
                tools::REQUEST => match state {
                    Some(asked) => called.asked_before(&asked).await,
                    None => return called.request(body, &patience).await,
                },
                tools::STATUS => called.status(body).await,
                tools::SPENDING => called.spending(body).await,
                tools::DECLINE => called.decline(body).await,
                _ => called.cards(body).await,
            };
            Ok(CallToolResult::structured(value?).into())
        });
        Ok(called.await.unwrap_or_else(|refused| {
            let text = String::from_utf8(refused.body()).unwrap_or_default();
            CallToolResult::error(vec![ContentBlock::text(text)]).into()
        }))
    }

    /// Whoever hangs up does not leave half of a purchase: what is begun goes on without him. What is
    /// refused is noted.
    pub(super) async fn carry_through<T: Send + 'static, F>(
        self,
        what: impl FnOnce(Self) -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let (api, attempt) = (Arc::clone(&self.api), self.event.clone());
        let done = Handle::current().spawn(what(self)).await;
        let done = done.unwrap_or_else(|error| {
            tracing::error!(%error, "a tool broke off");
            Err(Problem::internal())
        });
        if let Err(refused) = &done {
            api.control.noted().attempt(Event {
                outcome: refused.code().to_owned(),
                ..attempt
            });
        }
        done
    }

    async fn agent(&self) -> Result<Agent, Problem> {
        own_agent(&self.api, &self.caller).await
    }

    async fn request(self, body: &[u8], patience: &Patience) -> Result<CallToolResponse, Problem> {
        let new: ToolPurchase = read(body)?;
        let now = self.event.at;
        let row = request(&self.api, &self.caller, new.into(), self.event).await;
        let row = row.map_err(Problem::with_underscores)?;
        let shown = shown(&self.api, row, now).await?;
        let waits = patience.waits_for(&shown);
        Ok(waits.unwrap_or_else(|| CallToolResult::structured(outcome(shown)).into()))
    }

    /// The same call again, by a client that has sent its user to the review: how the request stands now.
    async fn asked_before(self, id: &str) -> Result<Value, Problem> {
        let row = self.own(id).await?;
        Ok(outcome(shown(&self.api, row, self.event.at).await?))
    }

    async fn status(self, body: &[u8]) -> Result<Value, Problem> {
        let WhichRequest { request_id } = read(body)?;
        let row = self.own(&request_id).await?;
        let shown = shown(&self.api, row, self.event.at).await?;
        let card = shown.virtual_card.clone();
        let card = card.filter(|_| shown.status == "approved");
        let mut answer = outcome(shown);
        if let (Value::Object(fields), Some(card)) = (&mut answer, card) {
            put(fields, "last4", card.last4);
            put(fields, "view_url", card.view_url);
            put(fields, "card_expires_at", card.expires_at);
        }
        Ok(answer)
    }

    async fn spending(self, body: &[u8]) -> Result<Value, Problem> {
        let Nothing {} = read(body)?;
        let agent = self.agent().await?;
        let summary = summary(&self.api, &agent.id, self.event.at).await?;
        serde_json::to_value(summary).map_err(|error| {
            tracing::error!(%error, "a summary has no JSON form");
            Problem::internal()
        })
    }

    async fn decline(self, body: &[u8]) -> Result<Value, Problem> {
        let WhichCard { card_id } = read(body)?;
        let agent = self.agent().await?;
        if let Some(id) = &card_id {
            self.caller
                .card(self.api.store.card(text::id(id)?).await?)?;
        }
        let records = Arc::clone(&self.api.records);
        let searched = tokio::task::spawn_blocking(move || {
            let filter = Filter {
                agent: Some(&agent.id),
                card: card_id.as_deref(),
                ..Filter::default()
            };
            records.page(&filter, RECORDS_LEN, None)
        });
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a record of a decision cannot be read");
            Problem::internal()
        };
        let page = searched.await.map_err(|error| internal(&error))?;
        let page = page.map_err(|fault| internal(&fault))?;
        let declined = |record: &&DecisionRecord| record.reason.is_some() && !record.is_earmark();
        Ok(page.decisions.iter().find(declined).map_or_else(
            || json!({"found": false, "message": "none of your latest authorizations was declined"}),
            explained,
        ))
    }

    async fn cards(self, body: &[u8]) -> Result<Value, Problem> {
        let WhichPage { cursor } = read(body)?;
        if cursor.as_deref().is_some_and(|cursor| !is_id(cursor)) {
            return Err(Problem::invalid_field(
                "cursor",
                "is none that was given out",
            ));
        }
        let agent = self.agent().await?;
        let listed = Listed {
            mode: self.caller.mode(),
            customer_id: None,
            agent_id: Some(agent.id),
            after: cursor,
            limit: CARDS_LEN + 1,
        };
        let mut rows = self.api.store.cards(listed).await?;
        let has_more = rows.len() > CARDS_LEN;
        rows.truncate(CARDS_LEN);
        let next = rows.last().filter(|_| has_more).map(|row| row.id.clone());
        let mut cards = Vec::with_capacity(rows.len());
        for row in rows {
            let (status, is_frozen) = self.api.standing_of_card(&row).await?;
            let status = match (status, is_frozen) {
                (CardStatus::Canceled, _) => "canceled",
                (_, true) => "frozen",
                (CardStatus::Locked, false) => "locked",
                (CardStatus::Active, false) => "active",
            };
            cards.push(json!({
                "card_id": row.id,
                "last4": row.last4,
                "status": status,
                "usage": match row.usage {
                    Usage::Single => "single",
                    Usage::Multi => "multi",
                },
                "created_at": row.created_at.rfc3339().to_string(),
            }));
        }
        Ok(json!({"cards": cards, "next": next}))
    }
}

fn explained(record: &DecisionRecord) -> Value {
    let mut value = json!({
        "found": true,
        "decision_id": record.id,
        "at": record.at,
        "reason": record.reason,
        "message": record.explanation.as_ref().map_or("it was declined", |it| &it.text),
    });
    if let Value::Object(fields) = &mut value {
        put(fields, "card_id", record.card.clone());
        let resets_at = record
            .explanation
            .as_ref()
            .and_then(|it| it.resets_at.clone());
        put(fields, "resets_at", resets_at);
    }
    value
}

/// A request in the tools' words (behaviour 5.3). What is absent is left out.
pub(super) fn outcome(shown: PurchaseShown) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "status", Some(shown.status.to_owned()));
    put(&mut fields, "request_id", Some(shown.id));
    put(&mut fields, "message", Some(shown.message));
    put(&mut fields, "reason", shown.reason);
    put(&mut fields, "suggestion", shown.suggestion);
    let wait = shown
        .review_ends_at
        .map(|at| format!("a human may take until {at}"));
    put(&mut fields, "estimated_wait", wait);
    if let Some(card) = shown.virtual_card {
        let mut inner = Map::new();
        put(&mut inner, "card_id", Some(card.id));
        put(&mut inner, "last4", card.last4);
        put(&mut inner, "scope", Some(card.scope.to_owned()));
        put(&mut inner, "card_use", Some(shown.card_use.to_owned()));
        put(&mut inner, "card_expires_at", card.expires_at);
        put(&mut inner, "view_url", card.view_url);
        put(&mut inner, "view_expires_at", card.view_expires_at);
        fields.insert("virtual_card".to_owned(), Value::Object(inner));
    }
    Value::Object(fields)
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), Value::String(value));
    }
}

//! `/reviews`: where a human decides on what waits, in a browser (behaviour 5.7, 5.13, 7.2).
//!
//! Nothing is decided by looking. A decision goes through the very functions of the API's routes, by the version
//! that was shown: of two reviewers one decides, and whoever looked at something else decides nothing.

mod access;
mod link;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use tokio::runtime::Handle;

use super::problem::Problem;
use super::purchases::{self, LookedAt, PurchaseShown, find, shown, summary};
use super::view::told;
use super::{Api, text};
use crate::cold::audit::Event;
use crate::cold::entry::Web;
use crate::cold::entry::refused::Refused;
use crate::cold::entry::signed_in::SignedIn;
use crate::cold::store::purchases::{Purchase, PurchaseState};
use crate::cold::web::form::{Form, NoForm};
use crate::cold::web::review::{Queue, Review, Waiting, words_of};
use crate::cold::web::{self, redirect, shown_words};
use crate::domain::time::Timestamp;

pub(super) use link::{A_MINUTE as LINKS_A_MINUTE, PATH as LINK_PATH};

/// Requests on one page.
const PAGE_LEN: usize = 50;
/// Causes that are no more than a broken rule: where only these are shown, the amount lies below the tier's.
const BELOW_THE_TIER: [&str; 4] = [
    "not_justified",
    "domain_blocked",
    "domain_not_allowed",
    "unscoped_request",
];

/// A page in place of the one that was asked for.
enum Other {
    Refused(Refused),
    Problem(Problem),
}

impl From<Refused> for Other {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<NoForm> for Other {
    fn from(no_form: NoForm) -> Self {
        Self::Refused(no_form.into())
    }
}

impl From<Problem> for Other {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn sent(answer: Result<Response<Body>, Other>) -> Response<Body> {
    match answer {
        Ok(page) => page,
        Err(Other::Refused(refused)) => refused.into_response(),
        Err(Other::Problem(problem)) => told(&problem),
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Approve,
    Deny,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// Who looks at a request, and how.
struct Looker<'a> {
    api: &'a Arc<Api>,
    csrf: &'a str,
    /// The page's path: what decides lies below it.
    at: String,
    may_decide: bool,
    by_link: bool,
    /// Why the link that he has decides nothing.
    spent: Option<&'static str>,
    now: Timestamp,
}

/// A word on a request, by a form of ours.
struct Spoken {
    verb: Verb,
    /// The version that was looked at.
    version: i64,
    /// The one-time link by which it comes, and the endpoint that it was sent through.
    link: Option<([u8; 32], String)>,
    event: Event,
}

/// Their routes.
pub(in crate::cold) fn router(web: Web) -> Router {
    let decides = |verb: Verb| {
        post(
            async move |State(web): State<Web>, Path(id): Path<String>, request: Request<Body>| {
                sent(decide(&web, id, request, verb).await)
            },
        )
    };
    Router::new()
        .route(
            "/reviews",
            get(async |State(web): State<Web>, request: Request<Body>| {
                sent(list(&web, request).await)
            }),
        )
        .route(
            "/reviews/{id}",
            get(
                async |State(web): State<Web>, Path(id): Path<String>, request: Request<Body>| {
                    sent(one(&web, id, request).await)
                },
            ),
        )
        .route("/reviews/{id}/approve", decides(Verb::Approve))
        .route("/reviews/{id}/deny", decides(Verb::Deny))
        .merge(access::router())
        .merge(link::router())
        .with_state(web)
}

pub(super) async fn agent_name(api: &Api, id: &str) -> Result<String, Problem> {
    let agent = api.store.agent(id.to_owned()).await?;
    let name = agent.and_then(|agent| agent.name);
    Ok(name.map_or_else(
        || id.to_owned(),
        |name| format!("{} ({id})", shown_words(&name)),
    ))
}

async fn list(web: &Web, request: Request<Body>) -> Result<Response<Body>, Other> {
    let (head, _body) = request.into_parts();
    let who = SignedIn::of(web, &head).await?;
    let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
    let listed = who.listed(&query, PAGE_LEN);
    let state = Some(PurchaseState::PendingReview);
    let rows = who.api.store.purchases(listed, state).await;
    let rows = rows.map_err(Problem::from)?;
    let is_full = rows.len() == PAGE_LEN;
    let next = rows.last().filter(|_| is_full).map(|row| row.id.clone());
    let mut waiting = Vec::with_capacity(rows.len());
    // What nobody decided in time waits no more, although its row may say so for a second.
    for row in rows
        .into_iter()
        .filter(|row| row.due_at.is_none_or(|due| due > who.now))
    {
        let ends = row.due_at.map(|due| due.rfc3339().to_string());
        waiting.push(Waiting {
            agent: agent_name(&who.api, &row.agent_id).await?,
            amount: format!("{} {}", row.amount, row.amount.currency),
            host: row.host,
            ends: ends.unwrap_or_default(),
            id: row.id,
        });
    }
    // They stand on the first page alone.
    let access = match query.get("after") {
        None => access::waiting(&who).await?,
        Some(_) => Vec::new(),
    };
    let queue = Queue {
        waiting,
        access,
        next,
    };
    Ok(web::page(StatusCode::OK, &queue))
}

/// The request that the path names, where it is in reach.
async fn in_reach(who: &SignedIn, id: &str) -> Result<Purchase, Problem> {
    let row = find(&who.api, &text::id(id)?).await?;
    who.caller.purchase(row)
}

async fn one(web: &Web, id: String, request: Request<Body>) -> Result<Response<Body>, Other> {
    let (head, _body) = request.into_parts();
    let who = SignedIn::of(web, &head).await?;
    let row = in_reach(&who, &id).await?;
    let looker = Looker {
        api: &who.api,
        csrf: &who.csrf,
        at: format!("/reviews/{}", row.id),
        may_decide: who.may_stop(),
        by_link: false,
        spent: None,
        now: who.now,
    };
    Ok(page(&looker, row).await?)
}

async fn page(who: &Looker<'_>, row: Purchase) -> Result<Response<Body>, Problem> {
    let agent = agent_name(who.api, &row.agent_id).await?;
    // How the agent stands, as the hot path would count it.
    let limits = summary(who.api, &row.agent_id, who.now).await?.lines();
    let asked = row.asked.clone();
    let must_retype = must_retype(&row);
    let note = row.note.as_deref().map(shown_words);
    let it: PurchaseShown = shown(who.api, row, who.now).await?;
    let facts = it.facts();
    let review = Review {
        id: &it.id,
        at: &who.at,
        by_link: who.by_link,
        spent: who.spent,
        csrf: who.csrf,
        version: facts.version,
        status: in_words(it.status),
        amount: format!("{} {}", facts.amount, facts.currency),
        bare_amount: facts.amount,
        earmark: format!("{} {}", facts.earmark, facts.currency),
        card_use: facts.card_use,
        bound_to: facts.bound_to,
        host: facts.host,
        agent,
        limits,
        asked_at: facts.created_at,
        ends: it.review_ends_at.as_deref(),
        causes: facts.causes,
        note: note.filter(|_| it.status == "denied"),
        waits: it.status == "pending_review" && it.review_ends_at.is_some(),
        may_decide: who.may_decide,
        must_retype,
        merchant_url: shown_words(&asked.merchant_url),
        merchant_name: words_of(asked.merchant_name.as_deref()),
        description: shown_words(&asked.description),
        justification: words_of(Some(&*asked.justification).filter(|it| !it.is_empty())),
        category: words_of(asked.category_hint.as_deref()),
    };
    Ok(web::page(StatusCode::OK, &review))
}

pub(super) fn in_words(status: &'static str) -> &'static str {
    match status {
        "pending_review" => "waits for a decision",
        other => other,
    }
}

/// Whether the amount is typed again: where it does not lie below the amount that needs nobody's word.
fn must_retype(row: &Purchase) -> bool {
    let mut causes = row.terms.causes.iter();
    causes.any(|cause| !BELOW_THE_TIER.contains(&&*cause.code))
}

async fn decide(
    web: &Web,
    id: String,
    request: Request<Body>,
    verb: Verb,
) -> Result<Response<Body>, Other> {
    let (head, body) = request.into_parts();
    let who = SignedIn::of(web, &head).await?;
    let form = who.sent(&head, body).await?;
    if !who.may_stop() {
        return Err(who.refused("scope_not_allowed", Refused::Forbidden).into());
    }
    let row = in_reach(&who, &id).await?;
    // What a form of ours holds.
    let version = form.get("version").and_then(|it| it.parse().ok());
    let spoken = Spoken {
        verb,
        version: version.ok_or_else(|| who.refused("no_form", Refused::Form))?,
        link: None,
        event: who.event(&format!("POST /reviews/{}/{}", row.id, verb.word())),
    };
    let stands = speak(&who.api, &row, &form, spoken).await?;
    Ok(stands.unwrap_or_else(|| redirect(&format!("/reviews/{}", row.id))))
}

/// Decides by a form whose sender may.
///
/// Gives a page in place of the request's own where somebody else's word stands that says the opposite.
async fn speak(
    api: &Arc<Api>,
    row: &Purchase,
    form: &Form,
    spoken: Spoken,
) -> Result<Option<Response<Body>>, Problem> {
    let (verb, noted) = (spoken.verb, spoken.event.clone());
    let decided = match words(row, form, verb) {
        Ok(reason) => said(api, row.id.clone(), reason, spoken).await,
        Err(wrong) => Err(wrong),
    };
    let note = |outcome: &str| {
        let outcome = outcome.to_owned();
        api.control.noted().attempt(Event { outcome, ..noted });
    };
    match decided {
        Ok(row) => {
            let stands = stands_against(verb, &row);
            stands.inspect(|_| note("decided_before"));
            let page = |text| web::notice(StatusCode::CONFLICT, "Nothing was changed", text);
            Ok(stands.map(page))
        }
        Err(problem) => {
            note(problem.code());
            Err(problem)
        }
    }
}

/// What a form of ours has to say beside the word itself: the amount again, or a reason, which it gives.
fn words(row: &Purchase, form: &Form, verb: Verb) -> Result<Option<String>, Problem> {
    let typed = form.get("amount").map(str::trim).unwrap_or_default();
    match verb {
        Verb::Approve if must_retype(row) && typed != row.amount.to_string() => {
            let message = "is not the amount of the request: nothing was changed";
            Err(Problem::invalid_field("amount", message))
        }
        Verb::Approve => Ok(None),
        Verb::Deny => {
            let reason = form.lines("reason").unwrap_or_default();
            text::words(&reason, "reason").map(Some)
        }
    }
}

/// Whoever closes the page does not leave half of a decision.
async fn said(
    api: &Arc<Api>,
    id: String,
    reason: Option<String>,
    spoken: Spoken,
) -> Result<Purchase, Problem> {
    let asked = Arc::clone(api);
    let Spoken {
        verb,
        version,
        link,
        event,
    } = spoken;
    let decided = Handle::current().spawn(async move {
        let looked_at = LookedAt {
            id: &id,
            version: Some(version),
            link: link
                .as_ref()
                .map(|(hash, webhook_id)| (*hash, &**webhook_id)),
        };
        match verb {
            Verb::Approve => purchases::approve_as(&asked, looked_at, &event).await,
            Verb::Deny => purchases::refuse_as(&asked, looked_at, reason, &event).await,
        }
    });
    decided.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a decision broke off");
        Err(Problem::internal())
    })
}

/// What was decided before a word that says the opposite.
fn stands_against(verb: Verb, row: &Purchase) -> Option<&'static str> {
    let is_denied_by = |reason| row.reason.as_deref() == Some(reason);
    match (verb, row.state) {
        (Verb::Approve, PurchaseState::Denied) if is_denied_by(purchases::BY_REVIEWER) => {
            Some("The request had been denied before your word came. That stands.")
        }
        (Verb::Approve, PurchaseState::Denied) if is_denied_by(purchases::BY_AGENT) => {
            Some("The agent had given the request up before your word came. That stands.")
        }
        (Verb::Deny, PurchaseState::Issuing | PurchaseState::Approved) => Some(
            "The request had been approved before your word came. That stands: to stop it, cancel its card.",
        ),
        (Verb::Deny, PurchaseState::Expired) => {
            Some("The request had been approved before your word came, and its card is over.")
        }
        (Verb::Approve | Verb::Deny, _) => None,
    }
}

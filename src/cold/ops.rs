//! The operators' listener: health, metrics, records of decisions, cards (behaviour 11.5).
//!
//! It stands on its own address, which is for operators alone: nothing here asks who is calling.

pub(in crate::cold) mod authorizations;
pub(in crate::cold) mod cards;
mod clock;
mod decisions;
mod outbox;
pub mod policy;
mod problem;
mod query;
mod reload;
mod standing;
mod users;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::cold::api::{Served, looks_like_a_card_number, plain_bytes};
use crate::cold::audit::noted::Noted;
use crate::cold::audit::{Event, Who};
use crate::cold::durable::JournalProgress;
use crate::cold::listen::{self, Peer};
use crate::cold::outbox::teller::Teller;
use crate::cold::policies::Policies;
use crate::cold::readiness::Readiness;
use crate::cold::records::Records;
use crate::cold::sandbox::time::TimeFile;
use crate::cold::store::Store;
use crate::fingerprint::Fingerprinter;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;
use problem::Problem;

/// The largest body of a request.
const BODY_SIZE_MAX: usize = 1 << 20;
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What there is only once the ledger is recovered.
pub struct Running {
    /// The policies in force.
    pub snapshots: Arc<CurrentSnapshot>,
    /// The records of decisions.
    pub records: Arc<Records>,
    /// Finds an authorization by its issuer's id.
    pub keys: Fingerprinter,
    /// Puts other policies in force.
    pub policies: Policies,
    /// How far the journal has come.
    pub journal: JournalProgress,
    /// Has issuers told; absent where no database rules.
    pub teller: Option<Teller>,
}

/// What the operators' listener looks at.
#[derive(Clone)]
pub struct OpsState {
    /// Whether the process can answer.
    pub readiness: Arc<Readiness>,
    /// Empty until the ledger is recovered.
    pub running: Arc<OnceLock<Running>>,
    /// To the ledger, by way of a hot thread.
    pub ledger: LedgerPort,
    /// What `/metrics` shows.
    pub telemetry: Arc<Telemetry>,
    /// For the windows under way.
    pub clock: Clock,
    /// For the audit log, where there is one.
    pub noted: Arc<Noted>,
    /// How far the clock was moved forward; absent where nobody may move it.
    pub time_file: Option<Arc<TimeFile>>,
    /// What issuers are to be told; empty until the start is over, nothing inside without a database.
    pub store: Arc<OnceLock<Option<Arc<dyn Store>>>>,
    /// The API, which makes people; empty until the start is over.
    pub served: Served,
}

impl OpsState {
    fn running(&self) -> Result<&Running, Problem> {
        self.running.get().ok_or_else(Problem::not_ready)
    }
}

/// Serves the operators until the runtime ends.
pub async fn serve(listener: TcpListener, state: OpsState) {
    listen::serve(listener, router(state)).await;
}

/// The routes of the operators' listener.
pub fn router(state: OpsState) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/admin/decisions", get(decisions::list))
        .route("/admin/decisions/{id}", get(decisions::one))
        .route("/admin/cards/{id}", get(cards::one))
        .route(
            "/admin/authorizations/{connection}/{id}",
            get(authorizations::one),
        )
        .merge(standing::routes())
        .merge(outbox::routes())
        .merge(users::routes())
        .route("/admin/reload", post(reload::reload))
        .route("/admin/clock/confirm", post(clock::confirm))
        .route("/admin/clock/advance", post(clock::advance))
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn(refuse_what_is_no_text))
        .layer(from_fn(refuse_pages))
        .layer(from_fn_with_state(state.clone(), tell))
        .layer(DefaultBodyLimit::max(BODY_SIZE_MAX))
        .layer(map_response(secure))
        .with_state(state)
}

/// The router would refuse it without a word.
async fn refuse_what_is_no_text(request: Request, next: Next) -> Response {
    match plain_bytes(request.uri().path()) {
        Ok(_) => next.run(request).await,
        Err(_) => Problem::no_text().into_response(),
    }
}

/// What operators do stands in the audit log, whoever they are.
async fn tell(State(state): State<OpsState>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    let at = state.clock.now();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let peer = request.extensions().get::<Peer>();
    let from = peer.map(|Peer(address)| address.to_string());
    let response = next.run(request).await;
    // What was not found may be any text.
    let is_known = response.status().is_success() && !looks_like_a_card_number(&path);
    let kind = path.split('/').nth(2).unwrap_or_default();
    let action = match (is_known, kind) {
        (true, _) => format!("{method} {path}"),
        (false, "agents" | "cards" | "clock" | "reload" | "users") => {
            format!("{method} /admin/{kind}")
        }
        (false, _) => format!("{method} of another path"),
    };
    let event = Event {
        at,
        mode: None,
        who: Who::Operator,
        action,
        changes: Vec::new(),
        from,
        request_id: None,
        outcome: response.status().as_u16().to_string(),
    };
    if response.status().is_success() {
        state.noted.note(event);
    } else {
        state.noted.attempt(event);
    }
    response
}

/// A page in an operator's browser may send a POST here without being able to read the answer.
/// Browsers say so, and nobody else does.
async fn refuse_pages(request: Request, next: Next) -> Response {
    let from_page = ["origin", "sec-fetch-site"]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    if from_page && request.method() != Method::GET {
        return Problem::from_a_page().into_response();
    }
    next.run(request).await
}

/// What is shown here is nobody's to keep, and nothing else than it says it is.
async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn healthz() -> &'static str {
    "ok"
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readyz {
    recovered: bool,
    snapshot_version: Option<u64>,
    reasons: BTreeSet<&'static str>,
    warnings: BTreeSet<&'static str>,
}

async fn readyz(State(state): State<OpsState>) -> Response {
    let recovered = state.readiness.is_recovered();
    let mut reasons = state.readiness.with_reasons(|reasons| reasons.clone());
    if !recovered {
        reasons.insert("recovering");
    }
    let running = state.running.get();
    if running.is_none() {
        reasons.insert("no_snapshot");
    }
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Readyz {
        recovered,
        snapshot_version: running.map(|running| running.snapshots.load().version()),
        reasons,
        warnings: state.readiness.with_warnings(|warnings| warnings.clone()),
    };
    (status, Json(body)).into_response()
}

async fn metrics(State(state): State<OpsState>) -> Result<Response, Problem> {
    let text = state.telemetry.render().map_err(|error| {
        tracing::error!(%error, "metrics");
        Problem::internal()
    })?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

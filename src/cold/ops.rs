//! The operators' listener: health, metrics, records of decisions, cards (behaviour 11.5).
//!
//! It stands on its own address, which is for operators alone: nothing here asks who is calling.

mod cards;
mod decisions;
mod policy;
mod problem;
mod query;

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::cold::records::Records;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use crate::telemetry::Telemetry;
use problem::Problem;

/// The largest body of a request.
const BODY_SIZE_MAX: usize = 1 << 20;
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process can answer authorizations, and if not, why.
#[derive(Debug, Default)]
pub struct Readiness {
    recovered: AtomicBool,
    reasons: Mutex<BTreeSet<&'static str>>,
}

/// What there is only once the ledger is recovered.
pub struct Running {
    /// The policies in force.
    pub snapshots: Arc<CurrentSnapshot>,
    /// The records of decisions.
    pub records: Arc<Records>,
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
}

impl Readiness {
    /// The ledger is recovered.
    pub fn set_recovered(&self) {
        self.recovered.store(true, Ordering::Release);
    }

    /// The process cannot answer, for this reason: a short stable word.
    pub fn set_reason(&self, reason: &'static str) {
        self.with_reasons(|reasons| reasons.insert(reason));
    }

    /// The reason has gone.
    pub fn clear_reason(&self, reason: &'static str) {
        self.with_reasons(|reasons| reasons.remove(reason));
    }

    fn with_reasons<T>(&self, act: impl FnOnce(&mut BTreeSet<&'static str>) -> T) -> T {
        act(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OpsState {
    fn running(&self) -> Result<&Running, Problem> {
        self.running.get().ok_or_else(Problem::not_ready)
    }
}

/// Serves the operators until the runtime ends.
///
/// # Errors
/// Where the listener cannot be polled.
pub async fn serve(listener: TcpListener, state: OpsState) -> io::Result<()> {
    axum::serve(listener, router(state)).await
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
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_SIZE_MAX))
        .layer(map_response(secure))
        .with_state(state)
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
}

async fn readyz(State(state): State<OpsState>) -> Response {
    let recovered = state.readiness.recovered.load(Ordering::Acquire);
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

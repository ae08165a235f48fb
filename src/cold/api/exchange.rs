//! One request from its bytes to its answer, the same for every route: who asks, whether the scope
//! allows it, what the body is, and whether the same was asked before (behaviour 4.5, 4.7).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::RawPathParams;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::body::canonical;
use super::caller::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::routes::Route;
use super::text::{looks_like_a_card_number, refuse_card_numbers};
use super::{Api, Served};
use crate::cold::audit::line::hex;
use crate::cold::audit::{self, Event, Who};
use crate::cold::control::Work;
use crate::cold::ids::{draw, is_ours};
use crate::cold::listen::Peer;
use crate::cold::store::{Change, ReplyKey, StoredReply};
use crate::domain::time::Timestamp;

/// The largest body.
const BODY_SIZE_MAX: usize = 1 << 20;
/// A request that meets others on the same row is tried this often.
const TRIES_MAX: usize = 8;
/// For a body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The longest idempotency key.
const KEY_LEN_MAX: usize = 255;
const KEY_HEADER: &str = "idempotency-key";
const REQUEST_ID_HEADER: &str = "x-request-id";
const REPLAYED_HEADER: &str = "idempotent-replayed";

/// One request, as a route's handler takes it.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    /// What the path names.
    pub(super) id: String,
    /// What the path names inside that.
    pub(super) inner_id: String,
    pub(super) query: Parameters,
    pub(super) body: Bytes,
    /// When it arrived.
    pub(super) now: Timestamp,
    /// Under what its answer is kept.
    pub(super) keep: Option<Keep>,
    /// What the audit log says of it.
    pub(super) trace: Trace,
}

/// What is known of a request from its first line on.
#[derive(Clone)]
pub(super) struct Trace {
    /// Stands on the answer, and in the audit log.
    request_id: String,
    from: Option<String>,
    /// Method and path; the route's where what it names has not the form of an id: that is a text
    /// that the caller chose.
    action: String,
    method: Method,
}

impl Trace {
    fn of(route: &Route, named: &[String; 2], request: &Request<Body>, now: Timestamp) -> Self {
        let peer = request.extensions().get::<Peer>();
        let is_known = |id: &&String| is_ours(id) && !looks_like_a_card_number(id);
        let mut names = named.iter();
        let parts = route.path.split('/').map(|part| {
            let is_name = part.starts_with('{');
            let name = is_name.then(|| names.next()).flatten().filter(is_known);
            name.map_or(part, String::as_str)
        });
        let path = parts.collect::<Vec<_>>().join("/");
        Self {
            request_id: draw("req", now),
            from: peer.map(|Peer(address)| address.to_string()),
            action: format!("{} {path}", route.method),
            method: route.method.clone(),
        }
    }

    /// Of a page. What its path names is a secret.
    pub(super) fn of_page(
        (method, path): (Method, &str),
        peer: Option<Peer>,
        now: Timestamp,
    ) -> Self {
        Self {
            request_id: draw("req", now),
            from: peer.map(|Peer(address)| address.to_string()),
            action: format!("{method} {path}"),
            method,
        }
    }

    /// Tells the audit log of an attempt that came to nothing.
    pub(super) fn note(&self, api: &Api, caller: Option<&Caller>, refused: &Problem) {
        let event = self.event(caller, api.clock.now(), refused.code().to_owned());
        api.control.noted().attempt(event);
    }

    fn event(&self, caller: Option<&Caller>, at: Timestamp, outcome: String) -> Event {
        Event {
            at,
            mode: caller.map(Caller::mode),
            who: caller.map_or(Who::Nobody, |caller| {
                Who::key(&caller.key.id, caller.key.scope)
            }),
            action: self.action.clone(),
            changes: Vec::new(),
            from: self.from.clone(),
            request_id: Some(self.request_id.clone()),
            outcome,
        }
    }
}

/// By what an answer is known again, before there is one.
#[derive(Clone)]
pub(super) struct Keep {
    pub(super) key: ReplyKey,
    fingerprint: [u8; 32],
}

/// A good answer.
#[derive(Clone)]
pub(super) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    location: Option<String>,
    /// Whether it is kept already, together with what it tells of.
    is_kept: bool,
}

impl Reply {
    pub(super) fn ok(value: &impl serde::Serialize) -> Result<Self, Problem> {
        Self::of(StatusCode::OK, value)
    }

    /// Of something new, at this path.
    pub(super) fn created(path: String, value: &impl serde::Serialize) -> Result<Self, Problem> {
        let reply = Self::of(StatusCode::CREATED, value)?;
        Ok(Self {
            location: Some(path),
            ..reply
        })
    }

    fn of(status: StatusCode, value: &impl serde::Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer has no JSON form");
            Problem::internal()
        })?;
        Ok(Self {
            status,
            body,
            location: None,
            is_kept: false,
        })
    }

    /// The same, whose body stands nowhere but on the wire.
    pub(super) fn kept_nowhere(self) -> Self {
        Self {
            is_kept: true,
            ..self
        }
    }

    /// The same with another body; for what is shown once and kept without its secret.
    pub(super) fn showing(self, value: &impl serde::Serialize) -> Result<Self, Problem> {
        let Self { body, .. } = Self::of(self.status, value)?;
        Ok(Self { body, ..self })
    }
}

impl Ask {
    /// What a page does for whoever opened it, signed in or by a link: there is no body, and no answer is kept.
    pub(super) fn of_page(
        api: Arc<Api>,
        caller: Caller,
        (method, path): (Method, &str),
        peer: Option<Peer>,
    ) -> Self {
        let now = api.clock.now();
        Self {
            now,
            caller,
            id: String::new(),
            inner_id: String::new(),
            query: Parameters::none(),
            body: Bytes::new(),
            keep: None,
            trace: Trace::of_page((method, path), peer, now),
            api,
        }
    }

    /// The entry of the audit log that a change by this request begins with.
    pub(super) fn event(&self) -> Event {
        self.trace
            .event(Some(&self.caller), self.now, "200".to_owned())
    }

    /// The keyed hash of what is asked, where it has an idempotency key.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.keep.as_ref().map(|keep| hex(&keep.fingerprint))
    }

    /// Makes a change that is a part of what is asked: the answer is kept when all of it is done.
    pub(super) async fn make_part(
        &self,
        mut work: Work,
        status: StatusCode,
    ) -> Result<(), Problem> {
        let event = self
            .trace
            .event(Some(&self.caller), self.now, status.as_u16().to_string());
        let changes = audit::made(&work.batch);
        work.batch.push(Change::Audit(Event { changes, ..event }));
        Ok(self.api.control.make(work).await?)
    }

    /// The last part, together with the answer; the audit log has heard of it with a part before.
    pub(super) async fn make_last(&self, mut work: Work, reply: Reply) -> Result<Reply, Problem> {
        work.batch.extend(self.kept(&reply));
        self.api.control.make(work).await?;
        Ok(Reply {
            is_kept: true,
            ..reply
        })
    }

    fn kept(&self, reply: &Reply) -> Option<Change> {
        let keep = self.keep.as_ref()?;
        let kept = keep.reply(reply.status.as_u16(), reply.body.clone(), false, self.now);
        Some(Change::Reply(kept))
    }

    /// Makes a change together with the answer that tells of it: where the caller asks again, the
    /// one is there exactly where the other is.
    pub(super) async fn make(&self, mut work: Work, reply: Reply) -> Result<Reply, Problem> {
        work.batch.extend(self.kept(&reply));
        let outcome = reply.status.as_u16().to_string();
        let event = self.trace.event(Some(&self.caller), self.now, outcome);
        let changes = audit::made(&work.batch);
        work.batch.push(Change::Audit(Event { changes, ..event }));
        self.api.control.make(work).await?;
        Ok(Reply {
            is_kept: true,
            ..reply
        })
    }
}

/// How often one request was tried.
#[derive(Default)]
pub(super) struct Tries(usize);

impl Tries {
    /// Whether it is to be tried again, because it met others on the same row.
    pub(super) fn again(&mut self, outcome: &Result<Reply, Problem>) -> bool {
        self.0 += 1;
        self.0 < TRIES_MAX && outcome.as_ref().is_err_and(Problem::is_conflict)
    }
}

impl Keep {
    fn reply(&self, status: u16, body: Vec<u8>, is_problem: bool, at: Timestamp) -> StoredReply {
        StoredReply {
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            status,
            body,
            is_problem,
            at,
        }
    }
}

/// Requests with an idempotency key that are being carried out.
#[derive(Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<ReplyKey>>>);

/// One of them, until it is dropped.
struct Flying {
    flights: Arc<Mutex<HashSet<ReplyKey>>>,
    key: ReplyKey,
}

impl InFlight {
    fn begin(&self, key: &ReplyKey) -> Result<Flying, Problem> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !flights.insert(key.clone()) {
            return Err(Problem::idempotency_in_progress());
        }
        Ok(Flying {
            flights: Arc::clone(&self.0),
            key: key.clone(),
        })
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
    }
}

/// Answers a request to a route.
pub(super) async fn answer(
    route: &'static Route,
    served: Served,
    params: RawPathParams,
    request: Request<Body>,
) -> Response<Body> {
    let mut ids = params.iter().map(|(_, value)| value.to_owned());
    let named = [ids.next(), ids.next()].map(Option::unwrap_or_default);
    let Some(api) = served.get() else {
        return problem(&Problem::not_ready());
    };
    let Some(api) = api.as_ref().map(Arc::clone) else {
        let detail = "there is no key yet: stop the server and run `countersign init`";
        return problem(&Problem::unauthorized(detail));
    };
    let now = api.clock.now();
    let trace = Trace::of(route, &named, &request, now);
    let request_id = HeaderValue::from_str(&trace.request_id);
    let mut response = respond(route, api, trace, named, request).await;
    if let Ok(request_id) = request_id {
        response.headers_mut().insert(REQUEST_ID_HEADER, request_id);
    }
    response
}

async fn respond(
    route: &'static Route,
    api: Arc<Api>,
    trace: Trace,
    named: [String; 2],
    request: Request<Body>,
) -> Response<Body> {
    match begin(route, api, trace, named, request).await {
        Ok(Begun::Answered(response)) => response,
        Ok(Begun::Ready(ask, flying)) => {
            // Whoever hangs up does not leave half of a change: the task goes on without him.
            let running = Handle::current().spawn(async move {
                let response = carry_out(route, *ask).await;
                drop(flying);
                response
            });
            running.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a request broke off");
                problem(&Problem::internal())
            })
        }
        Err(refused) => problem(&refused),
    }
}

enum Begun {
    Answered(Response<Body>),
    Ready(Box<Ask>, Option<Flying>),
}

async fn begin(
    route: &'static Route,
    api: Arc<Api>,
    trace: Trace,
    [id, inner_id]: [String; 2],
    request: Request<Body>,
) -> Result<Begun, Problem> {
    let (head, body) = request.into_parts();
    let now = api.clock.now();
    let attempt = |caller: Option<&Caller>, refused: Problem| {
        let outcome = refused.code().to_owned();
        let event = trace.event(caller, now, outcome);
        api.control.noted().attempt(event);
        refused
    };
    let caller = Caller::of(&api, &head.headers).await;
    let caller = caller.map_err(|refused| attempt(None, refused))?;
    let allowed = caller.check_scope(route.scopes);
    allowed.map_err(|refused| attempt(Some(&caller), refused))?;
    let query = Parameters::read(head.uri.query())?;
    let body = read_body(&head.headers, body).await?;
    refuse_card_numbers(&body)?;
    let mut ask = Ask {
        now,
        api,
        caller,
        id,
        inner_id,
        query,
        body,
        keep: None,
        trace,
    };
    if head.method != Method::POST {
        return Ok(Begun::Ready(Box::new(ask), None));
    }
    let Some(key) = idempotency_key(&head.headers)? else {
        return Ok(Begun::Ready(Box::new(ask), None));
    };
    let keep = keep(&ask, key, head.uri.path());
    let flying = ask.api.in_flight.begin(&keep.key)?;
    match ask.api.store.reply(keep.key.clone()).await? {
        Some(known) if known.fingerprint == keep.fingerprint => {
            // Whoever has the answer may use what it tells of.
            ask.api.control.catch_up().await?;
            Ok(Begun::Answered(replayed(known)))
        }
        Some(_) => Err(Problem::idempotency_conflict()),
        None => {
            ask.keep = Some(keep);
            Ok(Begun::Ready(Box::new(ask), Some(flying)))
        }
    }
}

async fn carry_out(route: &'static Route, ask: Ask) -> Response<Body> {
    let (api, keep, now) = (Arc::clone(&ask.api), ask.keep.clone(), ask.now);
    let (trace, caller) = (ask.trace.clone(), ask.caller.clone());
    let outcome = (route.handler)(ask).await;
    if let Err(refused) = &outcome
        && trace.method != Method::GET
    {
        let outcome = refused.code().to_owned();
        let event = trace.event(Some(&caller), now, outcome);
        api.control.noted().attempt(event);
    }
    let to_keep = match &outcome {
        Ok(reply) if reply.is_kept => None,
        Ok(reply) => Some((reply.status.as_u16(), reply.body.clone(), false)),
        Err(refused) if refused.is_final() => Some((refused.status(), refused.body(), true)),
        Err(_) => None,
    };
    if let (Some(keep), Some((status, body, is_problem))) = (keep, to_keep) {
        let kept = Change::Reply(keep.reply(status, body, is_problem, now));
        let work = Work {
            batch: vec![kept],
            ..Work::default()
        };
        if let Err(failed) = api.control.make(work).await {
            return problem(&failed.into());
        }
    }
    match outcome {
        Ok(reply) => good(reply),
        Err(refused) => problem(&refused),
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let read = timeout(BODY_WITHIN, to_bytes(body, BODY_SIZE_MAX)).await;
    let read = read.map_err(|_elapsed| Problem::too_slow())?;
    let body = read.map_err(|_too_large| Problem::too_large(BODY_SIZE_MAX))?;
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.to_str().unwrap_or_default().split(';').next();
        kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !body.is_empty() && (!is_json || headers.contains_key(CONTENT_ENCODING)) {
        return Err(Problem::not_json());
    }
    Ok(body)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let is_kept_nowhere = looks_like_a_card_number(text);
    if text.is_empty() || text.len() > KEY_LEN_MAX || values.next().is_some() || is_kept_nowhere {
        let message = format!(
            "must be 1 to {KEY_LEN_MAX} printable ASCII characters, given once, and no \
             card number"
        );
        return Err(Problem::invalid_field("Idempotency-Key", message));
    }
    Ok(Some(text.to_owned()))
}

/// The fingerprint is of everything that the answer depends on.
fn keep(ask: &Ask, idempotency_key: String, path: &str) -> Keep {
    let body = canonical(&ask.body);
    let parts: [&[u8]; 2] = [path.as_bytes(), &body];
    Keep {
        key: ReplyKey {
            api_key_id: ask.caller.key.id.clone(),
            idempotency_key,
        },
        fingerprint: ask.api.secret.digest("idempotent request", &parts),
    }
}

fn replayed(known: StoredReply) -> Response<Body> {
    let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, known.body, known.is_problem);
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED_HEADER, yes);
    response
}

pub(super) fn good(reply: Reply) -> Response<Body> {
    let mut response = response(reply.status, reply.body, false);
    let location = reply.location.and_then(|path| path.try_into().ok());
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The one place where a problem becomes bytes.
pub(super) fn problem(refused: &Problem) -> Response<Body> {
    let status =
        StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, refused.body(), true);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = refused.retry_after_s() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What is shown here is nobody's to keep, and nothing else than it says it is.
fn response(status: StatusCode, body: Vec<u8>, is_problem: bool) -> Response<Body> {
    let kind = if is_problem {
        "application/problem+json"
    } else {
        "application/json"
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

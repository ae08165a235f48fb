//! One request and its answer: what HTTP says, before and after the pipeline.

use std::cell::Cell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::domain::card::Key;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::time::Timestamp;
use crate::hot::durability::WaitingRoom;
use crate::hot::pipeline::{Arrival, Begun, Connection, Drafted, Finished, Rested};
use crate::hot::problem::Problem;
use crate::hot::server::watch::{Phase, Watched};
use crate::hot::server::{Limits, Shared, agreement, events};
use crate::issuer::Reply;
use crate::issuer::delivery::{Header, SignatureRefused};
use crate::ledger::stand_in::StoodIn;

/// Answers one request. Never fails: whatever goes wrong has an answer.
pub(super) async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    room: &Rc<WaitingRoom>,
    watched: &Watched,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let received = watched.arrival();
    watched.enter(Phase::Body);
    let read = read(request, shared).await;
    watched.enter(Phase::Deciding);
    let mut replied = reply(read, received, shared, room, watched).await;
    if watched.is_last() {
        replied
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    watched.enter(Phase::Idle);
    Ok(replied)
}

async fn reply(
    read: Result<Delivery<'_>, Problem>,
    received: Timestamp,
    shared: &Arc<Shared>,
    room: &Rc<WaitingRoom>,
    watched: &Watched,
) -> Response<Full<Bytes>> {
    match read {
        Ok(delivery) => {
            let reply = match delivery.asks {
                Asks::Decision => decide(delivery, received, shared, room, watched).await,
                Asks::Booking => events::book(delivery, received, shared, room, watched).await,
            };
            response(reply, false)
        }
        Err(problem) => {
            let reply = problem.reply();
            shared.telemetry.count_problem(reply.status);
            response(reply, true)
        }
    }
}

pub(super) struct Delivery<'s> {
    pub(super) connection: &'s Connection,
    asks: Asks,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is wanted of a connection's path.
#[derive(Clone, Copy)]
enum Asks {
    Decision,
    Booking,
}

/// Everything that can be said of a request without knowing who sent it.
async fn read(request: Request<Incoming>, shared: &Shared) -> Result<Delivery<'_>, Problem> {
    let (head, body) = request.into_parts();
    let (connection, asks) = route(head.uri.path(), shared)?;
    if head.method != Method::POST {
        return Err(Problem::MethodNotAllowed);
    }
    check_headers(&head.headers, &shared.limits)?;
    let body = collect(body, &shared.limits).await?;
    Ok(Delivery {
        connection,
        asks,
        headers: head.headers,
        body,
    })
}

fn route<'s>(path: &str, shared: &'s Shared) -> Result<(&'s Connection, Asks), Problem> {
    let rest = path.strip_prefix("/issuers/").ok_or(Problem::NotFound)?;
    let (name, what) = rest.split_once('/').ok_or(Problem::NotFound)?;
    let connection = shared.connections.get(name).ok_or(Problem::NotFound)?;
    match what {
        "authorizations" => Ok((connection, Asks::Decision)),
        "events" => Ok((connection, Asks::Booking)),
        _ => Err(Problem::NotFound),
    }
}

fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), Problem> {
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    if headers.iter().map(size).sum::<usize>() > limits.headers_size_max {
        return Err(Problem::HeadersTooLarge);
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::ContentEncoding);
    }
    // More than one has two readings.
    let mut content_types = headers.get_all(CONTENT_TYPE).iter();
    let content_type = content_types.next().and_then(|value| value.to_str().ok());
    let media_type = content_type.map(|value| value.split(';').next().unwrap_or(value).trim());
    let is_json = media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json"));
    if !is_json || content_types.next().is_some() {
        return Err(Problem::NotJson);
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length
        .and_then(|value| value.parse::<u64>().ok())
        .unwrap_or(0);
    if usize::try_from(length).is_ok_and(|length| length <= limits.body_size_max) {
        Ok(())
    } else {
        Err(Problem::BodyTooLarge)
    }
}

/// The whole body; without a copy where it came in one piece, as nearly all do.
async fn collect(mut body: Incoming, limits: &Limits) -> Result<Bytes, Problem> {
    let mut whole = Bytes::new();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken_off| Problem::BodyIncomplete)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if pieces.is_empty() && whole.is_empty() {
            whole = data;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&whole);
            }
            pieces.extend_from_slice(&data);
        }
        if pieces.len().max(whole.len()) > limits.body_size_max {
            return Err(Problem::BodyTooLarge);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if pieces.is_empty() {
        whole
    } else {
        Bytes::from(pieces)
    })
}

/// One question while it is decided.
pub(super) struct Deciding<'d> {
    delivery: &'d Delivery<'d>,
    received: Timestamp,
    behind_us: i64,
    shared: &'d Shared,
}

impl<'d> Deciding<'d> {
    pub(super) fn connection(&self) -> &'d Connection {
        self.delivery.connection
    }

    /// How late this worker is.
    pub(super) fn behind_us(&self) -> i64 {
        self.behind_us
    }

    /// Decides it, whose instant may have been read already; absent where that panicked.
    pub(super) fn begin(&self, present: Option<Timestamp>) -> Option<Begun> {
        // Reading the clock is not free, and the first reading is wanted right after this one.
        let first = Cell::new(present);
        let now = || first.take().unwrap_or_else(|| self.shared.clock.now());
        let pipeline = &self.shared.pipeline;
        catch_unwind(AssertUnwindSafe(|| pipeline.begin(&self.arrival(), now))).ok()
    }

    /// What this node would approve by itself (decision 0042), beside what it has approved so for this owner.
    pub(super) fn stand_in(&self, before: (Key, &[StoodIn<'_>])) -> Option<Box<Drafted>> {
        let pipeline = &self.shared.pipeline;
        let now = || self.shared.clock.now();
        let asked = || pipeline.stand_in(&self.arrival(), before, now);
        catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_panicked| {
            self.found_bug();
            None
        })
    }

    fn arrival(&self) -> Arrival<'_> {
        let connection = self.connection();
        Arrival {
            connection,
            headers: connection
                .issuer
                .present(|name| header(&self.delivery.headers, name)),
            body: &self.delivery.body,
            received: self.received,
            behind_us: self.behind_us,
        }
    }

    /// A bug in one request must not become an approval of another: what the bug left behind is
    /// unknown, so nothing is approved until a restart has rebuilt it from the journal.
    pub(super) fn found_bug(&self) {
        tracing::error!("a decision panicked; nothing is approved until the process is restarted");
        if let Some(core) = self.shared.pipeline.core() {
            core.ledger.poison();
        }
        (self.shared.alarm)("panicked");
    }
}

async fn decide(
    delivery: Delivery<'_>,
    received: Timestamp,
    shared: &Arc<Shared>,
    room: &Rc<WaitingRoom>,
    watched: &Watched,
) -> Reply {
    let connection = delivery.connection;
    let present = shared.clock.now();
    let behind_us = watched.behind_us(present);
    let deciding = Deciding {
        delivery: &delivery,
        received,
        behind_us,
        shared,
    };
    let begun = deciding.begin(Some(present));
    watched.heard(!matches!(begun, Some(Begun::Refused(_))));
    let Some(begun) = begun else {
        return panicked(&deciding);
    };
    let rested = match begun {
        Begun::Refused(why) => {
            refused(shared, connection, why);
            drop(delivery);
            watched.pause().await;
            return Problem::SignatureRefused.reply();
        }
        Begun::NotUnderstood(cause, reply) => {
            if let Some(untold) = shared.telemetry.complain(connection.index, present) {
                let connection = &*connection.name;
                tracing::warn!(connection, %cause, untold, "an authorization is not understood");
            }
            shared.telemetry.count_problem(reply.status);
            return reply;
        }
        Begun::Decided(finished) => Rested::Now(finished),
        Begun::Waiting(waiting) => Rested::Waiting(waiting),
        // Apart, so that it takes no room where nobody shares the log.
        Begun::Drafted(drafted) => Box::pin(agreement::agree(&deciding, shared, drafted)).await,
    };
    let finished = match rested {
        Rested::Now(finished) => finished,
        Rested::Waiting(waiting) => {
            room.want_kick();
            // Who is found to be overdue waits for a turn twice: to be found, and to leave.
            let leaves_by = waiting.deadline.plus_micros(-2 * behind_us);
            let waited = room.wait(waiting.position, leaves_by).await;
            let now = shared.clock.now();
            let finished = catch_unwind(AssertUnwindSafe(|| {
                shared.pipeline.finish(connection, &waiting, waited, now)
            }));
            let Ok(finished) = finished else {
                return panicked(&deciding);
            };
            return finish(
                connection,
                finished,
                now.micros_since(received),
                shared,
                room,
            );
        }
    };
    let took = shared.clock.now().micros_since(received);
    finish(connection, finished, took, shared, room)
}

/// Counts a delivery whose sender is not proven, and now and then tells operators.
pub(super) fn refused(shared: &Shared, connection: &Connection, why: SignatureRefused) {
    let code = why.code();
    shared.telemetry.count_refused(connection.index, code);
    if let Some(untold) = shared
        .telemetry
        .complain(connection.index, shared.clock.now())
    {
        let connection = &*connection.name;
        tracing::warn!(
            connection,
            why = code,
            untold,
            "a request is refused: nothing proves that the issuer sent it; if it did, its secret here \
             is another one"
        );
    }
}

fn finish(
    connection: &Connection,
    finished: Finished,
    took_us: i64,
    shared: &Arc<Shared>,
    room: &Rc<WaitingRoom>,
) -> Reply {
    if finished.appended {
        room.want_kick();
    }
    if let Some(approval) = finished.takes_back {
        agreement::spawn_take_back(shared, approval);
    }
    shared
        .telemetry
        .count_decision(connection.index, finished.decision, took_us);
    finished.reply
}

fn panicked(deciding: &Deciding<'_>) -> Reply {
    deciding.found_bug();
    let connection = deciding.connection();
    let reason = DeclineReason::LedgerUnavailable;
    let decision = Decision::Decline(reason);
    let telemetry = &deciding.shared.telemetry;
    telemetry.count_decision(connection.index, decision, 0);
    let issuer = connection.issuer.kind();
    issuer.decline_lost(&deciding.delivery.body, reason)
}

pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Header<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Header::Absent,
        (Some(value), None) => Header::Once(value.as_bytes()),
        (Some(_), Some(_)) => Header::Repeated,
    }
}

/// `close` where the rest of the request may not have been read.
fn response(reply: Reply, close: bool) -> Response<Full<Bytes>> {
    let body = match reply.body {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in reply.headers {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if reply.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

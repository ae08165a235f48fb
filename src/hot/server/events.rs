//! One event and its answer: 200 once it is durable, else something that has it sent again.

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use crate::domain::lifecycle::BookStatus;
use crate::domain::time::Timestamp;
use crate::hot::durability::WaitingRoom;
use crate::hot::pipeline::events::{NOTHING_YET, Observed};
use crate::hot::pipeline::{Arrival, Connection, Waited};
use crate::hot::problem::{Problem, event_not_understood};
use crate::hot::server::Shared;
use crate::hot::server::agreement::{taken, within};
use crate::hot::server::exchange::{Delivery, header, refused};
use crate::hot::server::watch::Watched;
use crate::issuer::{NotUnderstood, Reply};
use crate::ledger::command::BookAnswer;

/// Nobody waits at a till for an event; issuers wait for seconds.
const WAIT_US: i64 = 5_000_000;

pub(super) async fn book(
    delivery: Delivery<'_>,
    received: Timestamp,
    shared: &Shared,
    room: &Rc<WaitingRoom>,
    watched: &Watched,
) -> Reply {
    let connection = delivery.connection;
    let arrival = Arrival {
        connection,
        headers: connection
            .events()
            .present(|name| header(&delivery.headers, name)),
        body: &delivery.body,
        received,
        behind_us: 0,
    };
    let observed = if shared.log.get().is_some() {
        agree(shared, &arrival).await
    } else {
        catch_unwind(AssertUnwindSafe(|| shared.pipeline.observe(&arrival)))
    };
    watched.heard(!matches!(observed, Ok(Observed::Refused(_))));
    let answer = match observed {
        Ok(Observed::Refused(why)) => {
            refused(shared, connection, why);
            drop(delivery);
            watched.pause().await;
            return Problem::SignatureRefused.reply();
        }
        Ok(Observed::NotUnderstood(cause)) => return not_understood(shared, connection, &cause),
        Ok(Observed::Unavailable) => return unavailable(shared),
        Ok(Observed::Booked(answer)) => answer,
        Err(_panicked) => {
            // What the bug left behind is unknown, as with authorizations.
            tracing::error!(
                "an event panicked; nothing is approved until the process is restarted"
            );
            if let Some(core) = shared.pipeline.core() {
                core.ledger.poison();
            }
            (shared.alarm)("panicked");
            return unavailable(shared);
        }
    };
    if let Some(position) = answer.position {
        room.want_kick();
        let waited = room.wait(position, received.plus_micros(WAIT_US)).await;
        if waited != Waited::Durable {
            return unavailable(shared);
        }
    }
    let BookAnswer { status, raised, .. } = answer;
    shared
        .telemetry
        .count_event(connection.index, status, raised);
    for word in raised.names() {
        tracing::warn!(
            connection = &*connection.name,
            what = word,
            "an event needs a look"
        );
    }
    acknowledged(status)
}

fn not_understood(shared: &Shared, connection: &Connection, cause: &NotUnderstood) -> Reply {
    let now = shared.clock.now();
    if let Some(untold) = shared.telemetry.complain(connection.index, now) {
        let connection = &*connection.name;
        tracing::warn!(connection, %cause, untold, "an event is not understood");
    }
    let reply = event_not_understood(cause);
    shared.telemetry.count_problem(reply.status);
    reply
}

/// Books an event where nodes share a log, one thing that it tells after the other. Where one is not heard
/// to be taken the issuer sends the event again, to any node, and what the log has of it is then known.
async fn agree(shared: &Shared, arrival: &Arrival<'_>) -> thread::Result<Observed> {
    let pipeline = &shared.pipeline;
    let told = match catch_unwind(AssertUnwindSafe(|| pipeline.told(arrival)))? {
        Ok(told) => told,
        Err(why) => return Ok(why),
    };
    let deadline = arrival.received.plus_micros(WAIT_US);
    let mut whole = NOTHING_YET;
    for observation in &told {
        let bug = Cell::new(None);
        let draft = || {
            let drafted = AssertUnwindSafe(|| pipeline.draft_of_booking(arrival, observation));
            catch_unwind(drafted).unwrap_or_else(|panicked| {
                bug.set(Some(panicked));
                None
            })
        };
        let one = within(shared, deadline, taken(shared, draft)).await;
        if let Some(panicked) = bug.take() {
            return Err(panicked);
        }
        match one.flatten() {
            Some(one) => whole = whole.and(one),
            None => return Ok(Observed::Unavailable),
        }
    }
    Ok(Observed::Booked(whole))
}

fn unavailable(shared: &Shared) -> Reply {
    let reply = Problem::EventNotBooked.reply();
    shared.telemetry.count_problem(reply.status);
    reply
}

fn acknowledged(status: BookStatus) -> Reply {
    let body: &'static str = match status {
        BookStatus::Applied => r#"{"status":"applied"}"#,
        BookStatus::Duplicate => r#"{"status":"duplicate"}"#,
        BookStatus::Stale => r#"{"status":"stale"}"#,
        BookStatus::Ignored => r#"{"status":"ignored"}"#,
    };
    Reply {
        status: 200,
        content_type: "application/json",
        headers: &[],
        body: Cow::Borrowed(body.as_bytes()),
    }
}

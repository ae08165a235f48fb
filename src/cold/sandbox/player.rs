//! Plays an issuer: asks, reports, asks again, and looks at the books that come of it.
//!
//! Questions and reports go to the issuers' listener, signed; the books are read at the operators'
//! listener, as any operator can.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::files::Whereabouts;
use super::keys::Keys;
use super::life::Life;
use super::shape::{self, Said, Shape};
use super::{SandboxError, no_response, refused, shown};
use crate::clock::Clock;
use crate::cold::http::{Client, percent_encoded};
use crate::domain::time::Timestamp;

/// One message, ready to be delivered, and delivered again. Holds no signature: each delivery is
/// signed when it leaves.
#[derive(Clone)]
pub struct Message {
    shape: Shape,
    /// What it is, in the issuer's words.
    pub what: String,
    /// Stays the same when it is delivered again.
    delivery: String,
    /// As it is sent.
    pub body: String,
    door: Door,
    /// For reading the answer.
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Authorizations,
    Events,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// To a question.
    Said(Said),
    /// To a report: `applied`, `duplicate`, `stale` or `ignored`.
    Took(String),
}

#[derive(Deserialize)]
struct WireTook {
    status: String,
}

/// Sums of one window, in minor units.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WindowBooks {
    /// Whose limit it is: the card's, else its agent's or customer's.
    pub level: Option<String>,
    /// The limit's name; absent where no level has one, and so nothing is told.
    pub field: Option<String>,
    /// What was charged, holds included.
    pub spent: i64,
    /// The part of it that is on hold.
    pub held: i64,
    /// What is left.
    pub remaining: Option<i64>,
}

#[derive(Deserialize)]
struct WireCard {
    limits: Vec<WireLimit>,
}

#[derive(Deserialize)]
struct WireLimit {
    level: String,
    field: Option<String>,
    spent: i64,
    held: i64,
    remaining: Option<i64>,
}

const LEVELS: [&str; 3] = ["card", "agent", "customer"];
/// The widest window first: a later one may end between two looks.
const WINDOWS: [&str; 4] = [
    "limits.total",
    "limits.perMonth",
    "limits.perWeek",
    "limits.perDay",
];

impl Message {
    /// The question of the life's newest step.
    #[must_use]
    pub fn question(life: &Life) -> Self {
        let newest = life.entries.last();
        let amount = newest.map_or(0, |entry| entry.amount);
        let verb = if newest.is_some_and(|entry| entry.amount == 0) {
            "asks about the balance".to_owned()
        } else {
            let more = if life.entries.len() > 1 { " more" } else { "" };
            format!("asks for {}{more}", life.major(amount))
        };
        Self {
            shape: life.shape,
            what: verb,
            delivery: newest.map_or_else(|| life.id.clone(), |entry| format!("q-{}", entry.id)),
            body: shape::written(life.shape, &shape::question(life)),
            door: Door::Authorizations,
            life: life.clone(),
        }
    }

    /// What the issuer reports of the life's newest entry.
    #[must_use]
    pub fn reports(life: &Life) -> Vec<Self> {
        let newest = life.entries.last();
        let id = newest.map_or(life.id.as_str(), |entry| entry.id.as_str());
        let reports = shape::reports(life);
        let numbered = reports.iter().zip(0_u32..);
        numbered
            .map(|(body, number)| Self {
                shape: life.shape,
                what: told(life, body),
                delivery: format!("msg_{id}-{number}"),
                body: shape::written(life.shape, body),
                door: Door::Events,
                life: life.clone(),
            })
            .collect()
    }
}

/// `reports AUTHORIZATION_ADVICE 31.18 (PENDING)`.
fn told(life: &Life, body: &serde_json::Value) -> String {
    let text = |pointer: &str| body.pointer(pointer).and_then(|it| it.as_str());
    let (name, status) = match life.shape {
        Shape::Lithic => {
            let events = body.pointer("/events").and_then(|it| it.as_array());
            let newest = events.and_then(|events| events.last());
            let name = newest.and_then(|event| event.pointer("/type")?.as_str());
            (name, text("/status"))
        }
        Shape::Stripe => (text("/type"), text("/data/object/status")),
        Shape::Marqeta => (text("/transactions/0/type"), text("/transactions/0/state")),
    };
    let amount = life.entries.last().map_or(0, |entry| entry.amount);
    let name = name.unwrap_or("nothing");
    let status = status.map_or_else(String::new, |status| format!(" ({status})"));
    format!("reports {name} {}{status}", life.major(amount))
}

/// Plays an issuer against one server. Its methods must run inside a tokio runtime.
pub struct Player {
    issuer: Client,
    ops: Client,
    keys: Keys,
    clock: Clock,
}

impl Player {
    /// A player against the server that was found.
    #[must_use]
    pub fn new(server: &Whereabouts, clock: Clock) -> Self {
        Self {
            issuer: Client::new(server.issuer),
            ops: Client::new(server.ops),
            keys: server.keys.clone(),
            clock,
        }
    }

    /// The present instant, as the server has it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Delivers a message, for the first time or again, and tells the answer.
    ///
    /// # Errors
    /// [`SandboxError`] where the answer is none.
    pub async fn deliver(&mut self, message: &Message) -> Result<Answered, SandboxError> {
        let at = self.issuer.address();
        let connection = message.shape.connection();
        let door = match message.door {
            Door::Authorizations => "authorizations",
            Door::Events => "events",
        };
        let body = Bytes::from(message.body.clone());
        let proof = self
            .keys
            .sign(message.shape, &message.delivery, self.now(), &body);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/issuers/{connection}/{door}"))
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "countersign-sandbox");
        for (name, value) in proof {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| SandboxError::Broken(at, error.to_string()))?;
        let answered = self.issuer.send(request).await;
        let answered = answered.map_err(|failure| no_response(at, failure))?;
        match answered.status {
            StatusCode::UNAUTHORIZED => return Err(SandboxError::SignatureRefused(at)),
            StatusCode::NOT_FOUND => {
                return Err(SandboxError::ConnectionUnknown(at, connection.to_owned()));
            }
            _ => {}
        }
        let (status, body) = (answered.status.as_u16(), &answered.body);
        let read = match message.door {
            Door::Authorizations => {
                shape::read_answer(message.shape, &message.life, status, body).map(Answered::Said)
            }
            Door::Events if status == 200 => serde_json::from_slice(body)
                .ok()
                .map(|WireTook { status }| Answered::Took(status)),
            Door::Events => None,
        };
        match read {
            Some(read) => Ok(read),
            None if status == 200 || status == 402 => Err(SandboxError::Garbage(at)),
            None => Err(refused(at, &answered)),
        }
    }

    /// What the card has spent and holds, by the widest limit of the nearest level that has one.
    ///
    /// # Errors
    /// [`SandboxError`] where the operators' listener does not tell.
    pub async fn books(&mut self, card: &str) -> Result<WindowBooks, SandboxError> {
        let uri = format!("/admin/cards/{}", percent_encoded(card));
        let card: WireCard = shown(&mut self.ops, &uri).await?;
        let window = |limit: WireLimit| WindowBooks {
            level: Some(limit.level),
            field: limit.field,
            spent: limit.spent,
            held: limit.held,
            remaining: limit.remaining,
        };
        let mut windows: Vec<_> = card.limits.into_iter().map(window).collect();
        let place = |known: &[&str], name: Option<&str>| {
            let before = known.iter().take_while(|known| name != Some(**known));
            before.count()
        };
        windows.sort_by_key(|window| {
            let level = place(&LEVELS, window.level.as_deref());
            (level, place(&WINDOWS, window.field.as_deref()))
        });
        Ok(windows.into_iter().next().unwrap_or_default())
    }
}

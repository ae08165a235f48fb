//! The sandbox issuer: an issuer like any other, for trying the engine without one.
//!
//! It reaches the engine only through the issuers' listener, with signed requests in Lithic's shape,
//! and reads what the engine recorded from the operators' listener, as any operator can. A round trip
//! is what an issuer on the same machine would measure: from the first byte sent to the last byte
//! read, on a connection that is already open.

pub mod cards;
pub mod files;
pub mod keep;
pub mod keys;
pub mod life;
pub mod player;
mod record;
pub mod scenarios;
pub mod shape;
pub mod story;
pub mod time;

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::{NoContext, Uuid};

use self::life::{Entry, EntryKind, Life, Verdict};
pub use self::record::Record;
use self::shape::Shape;
use crate::clock::Clock;
use crate::cold::http::{Answered, Client, NoResponse};
use crate::domain::acceptor::Country;
use crate::domain::amount::{Amount, Minor};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::issuer::standard_webhooks::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret, SignedHeaders, sign,
};

/// What a merchant asks of a card.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// The card as the issuer names it.
    pub card_token: String,
    /// How much, in the card's currency.
    pub amount: Amount,
    /// What the merchant sells.
    pub mcc: Mcc,
    /// The merchant's name on the statement; its id at its bank follows from it.
    pub merchant: String,
    /// Where the merchant is.
    pub country: Alpha3,
    /// The authorization that this one adds to; absent for a new one.
    pub increment_of: Option<String>,
}

impl Purchase {
    /// The purchase as the issuer's newest step of the authorization.
    #[must_use]
    pub fn begin(&self, authorization: &str, now: Timestamp) -> Life {
        Life {
            shape: Shape::Lithic,
            id: authorization.to_owned(),
            card_token: self.card_token.clone(),
            currency: self.amount.currency.to_string(),
            merchant: self.merchant.clone(),
            mcc: self.mcc.to_string(),
            country: self.country.as_str().to_owned(),
            created_us: now.micros(),
            is_asked: true,
            entries: vec![self.entry(EntryKind::Authorization, now)],
        }
    }

    /// The purchase as an entry in the issuer's books.
    #[must_use]
    pub fn entry(&self, kind: EntryKind, now: Timestamp) -> Entry {
        Entry {
            id: new_id(now),
            kind,
            amount: self.amount.minor.get(),
            verdict: Verdict::Approved,
            at_us: now.micros(),
        }
    }

    /// The question in Lithic's documented shape. There is no `event_token`: only programs in a trial
    /// get one, so that the sandbox's steps are told apart as ordinary ones are, by delivery and
    /// content (behaviour 2.5).
    fn question(&self, authorization: &str, now: Timestamp) -> Vec<u8> {
        let question = shape::question(&self.begin(authorization, now));
        question.to_string().into_bytes()
    }
}

/// A country as card networks send it: three upper-case letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alpha3(String);

impl Alpha3 {
    /// Reads three letters of either case; absent where no country has them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Country::parse_alpha3(text).map(|_known| Self(text.to_ascii_uppercase()))
    }

    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the engine told the issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The whole amount.
    Approved,
    /// This much of it.
    PartlyApproved(Minor),
    /// Nothing, for this reason in the issuer's words.
    Declined(String),
}

impl Answer {
    /// Whether anything was approved.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        !matches!(self, Self::Declined(_))
    }
}

/// What became of one delivery.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The authorization's token.
    pub authorization: String,
    /// What the issuer was told.
    pub answer: Answer,
    /// From the first byte sent to the last byte read, in microseconds.
    pub round_trip_us: i64,
    /// What the engine recorded; absent where it showed nothing within a tenth of a second.
    pub record: Option<Record>,
}

/// The bytes of one delivery. Cannot be printed: it holds a request's body and its signature.
pub struct Delivery {
    authorization: String,
    headers: SignedHeaders,
    body: Bytes,
}

impl Delivery {
    /// The id of the delivery, which stays the same when it is delivered again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.headers.id
    }
}

/// Why there is no outcome.
#[derive(Debug)]
pub enum SandboxError {
    /// Nothing accepts connections there.
    Unreachable(SocketAddr, String),
    /// The connection broke off, or the other side speaks no HTTP.
    Broken(SocketAddr, String),
    /// No answer while an issuer waits.
    Silent(SocketAddr),
    /// 401: the engine does not take the request for the sandbox's.
    SignatureRefused(SocketAddr),
    /// 404: the server has no such connection.
    ConnectionUnknown(SocketAddr, String),
    /// Another status than 200, with the problem's text where there is one.
    Refused(SocketAddr, u16, String),
    /// 200, but no answer to the question.
    Garbage(SocketAddr),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(at, cause) => write!(
                f,
                "nothing answers at {at} ({cause}); start `countersign serve` first"
            ),
            Self::Broken(at, cause) => write!(f, "the connection to {at} broke off: {cause}"),
            Self::Silent(at) => write!(f, "no answer from {at} within 6 seconds"),
            Self::SignatureRefused(at) => write!(
                f,
                "the server at {at} refused the sandbox's signature (401); it runs with another \
                 data directory or its clock differs"
            ),
            Self::ConnectionUnknown(at, name) => write!(
                f,
                "the server at {at} has no connection `{name}` (404); start it with --sandbox"
            ),
            Self::Refused(at, status, detail) if detail.is_empty() => {
                write!(f, "the server at {at} answered with status {status}")
            }
            Self::Refused(at, status, detail) => {
                write!(
                    f,
                    "the server at {at} answered with status {status}: {detail}"
                )
            }
            Self::Garbage(at) => write!(
                f,
                "what the server at {at} answered is not understood; is it countersign?"
            ),
        }
    }
}

impl std::error::Error for SandboxError {}

/// See the module. Its methods must run inside a tokio runtime.
pub struct Sandbox {
    issuer: Client,
    ops: Client,
    connection: String,
    secret: Secret,
    clock: Clock,
}

impl Sandbox {
    /// A sandbox that asks at the issuers' listener `target` as the connection named `connection`,
    /// and reads records at the operators' listener `ops`.
    #[must_use]
    pub fn new(
        target: SocketAddr,
        ops: SocketAddr,
        connection: &str,
        secret: Secret,
        clock: Clock,
    ) -> Self {
        Self {
            issuer: Client::new(target),
            ops: Client::new(ops),
            connection: connection.to_owned(),
            secret,
            clock,
        }
    }

    /// Asks whether the purchase may happen. The delivery is for [asking again](Self::redeliver).
    ///
    /// # Errors
    /// [`SandboxError`] where there is no decision.
    pub async fn authorize(
        &mut self,
        purchase: &Purchase,
    ) -> Result<(Outcome, Delivery), SandboxError> {
        let now = self.clock.now();
        let authorization = match &purchase.increment_of {
            Some(first) => first.clone(),
            None => new_id(now),
        };
        // An increment is recorded beside the steps before it: theirs is not the record to show.
        let recorded_before = match &purchase.increment_of {
            Some(first) => self.newest_record(first).await?.map(|record| record.id),
            None => None,
        };
        let body = purchase.question(&authorization, now);
        let delivery = Delivery {
            headers: sign(&self.secret, &new_id(now), now, &body),
            body: body.into(),
            authorization,
        };
        let outcome = self.deliver(&delivery, recorded_before.as_deref()).await?;
        Ok((outcome, delivery))
    }

    /// Sends the same bytes once more, as an issuer does that got no answer.
    ///
    /// # Errors
    /// [`SandboxError`] where there is no decision.
    pub async fn redeliver(&mut self, previous: &Delivery) -> Result<Outcome, SandboxError> {
        self.deliver(previous, None).await
    }

    async fn deliver(
        &mut self,
        delivery: &Delivery,
        recorded_before: Option<&str>,
    ) -> Result<Outcome, SandboxError> {
        let at = self.issuer.address();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/issuers/{}/authorizations", self.connection))
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "countersign-sandbox")
            .header(HEADER_ID, &delivery.headers.id)
            .header(HEADER_TIMESTAMP, &delivery.headers.timestamp)
            .header(HEADER_SIGNATURE, &delivery.headers.signature)
            .body(Full::new(delivery.body.clone()))
            .map_err(|error| SandboxError::Broken(at, error.to_string()))?;
        let connected = self.issuer.connect().await;
        connected.map_err(|failure| no_response(at, failure))?;
        let sent = self.clock.now();
        let answered = self.issuer.send(request).await;
        let round_trip_us = self.clock.now().micros_since(sent);
        let answered = answered.map_err(|failure| no_response(at, failure))?;
        let answer = self.read_answer(&answered)?;
        let record = self
            .record_after(&delivery.authorization, recorded_before)
            .await?;
        Ok(Outcome {
            authorization: delivery.authorization.clone(),
            answer,
            round_trip_us,
            record,
        })
    }

    fn read_answer(&self, answered: &Answered) -> Result<Answer, SandboxError> {
        let at = self.issuer.address();
        match answered.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(SandboxError::SignatureRefused(at)),
            StatusCode::NOT_FOUND => {
                return Err(SandboxError::ConnectionUnknown(at, self.connection.clone()));
            }
            _ => return Err(refused(at, answered)),
        }
        let reply: WireReply =
            serde_json::from_slice(&answered.body).map_err(|_shape| SandboxError::Garbage(at))?;
        match (reply.result.as_str(), reply.approved_amount) {
            ("APPROVED", None) => Ok(Answer::Approved),
            ("APPROVED", Some(amount)) => Minor::new(amount)
                .map(Answer::PartlyApproved)
                .map_err(|_out_of_range| SandboxError::Garbage(at)),
            _ => Ok(Answer::Declined(reply.result)),
        }
    }
}

#[derive(Deserialize)]
struct WireReply {
    result: String,
    approved_amount: Option<i64>,
}

/// What the operators' listener shows at this path.
async fn shown<T: DeserializeOwned>(ops: &mut Client, uri: &str) -> Result<T, SandboxError> {
    let at = ops.address();
    let request = Request::get(uri)
        .body(Full::new(Bytes::new()))
        .map_err(|error| SandboxError::Broken(at, error.to_string()))?;
    let answered = ops.send(request).await;
    let answered = answered.map_err(|failure| no_response(at, failure))?;
    if answered.status != StatusCode::OK {
        return Err(refused(at, &answered));
    }
    serde_json::from_slice(&answered.body).map_err(|_shape| SandboxError::Garbage(at))
}

fn refused(at: SocketAddr, answered: &Answered) -> SandboxError {
    SandboxError::Refused(at, answered.status.as_u16(), answered.problem())
}

fn no_response(at: SocketAddr, failure: NoResponse) -> SandboxError {
    match failure {
        NoResponse::Unreachable(cause) => SandboxError::Unreachable(at, cause.to_string()),
        NoResponse::Broken(cause) => SandboxError::Broken(at, cause),
        NoResponse::Silent => SandboxError::Silent(at),
    }
}

/// A UUID of version 7, as the instant and chance make it.
fn new_id(now: Timestamp) -> String {
    let seconds = u64::try_from(now.secs()).unwrap_or(0);
    let nanos = u32::try_from(now.micros().rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)).to_string()
}

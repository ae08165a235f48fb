//! Our side, as the running server tells its operators.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde::Deserialize;

use super::verdict::{Here, Outcome, State};
use crate::cold::http::{Answered, Client, NoResponse, percent_encoded};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// Decisions in one answer.
const PAGE_LEN: usize = 500;

/// Why the server does not tell its side.
#[derive(Debug)]
pub struct OursError(String);

impl fmt::Display for OursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OursError {}

/// One decision, and what has become of its authorization.
pub(super) struct OurDecision {
    pub(super) authorization: String,
    pub(super) at: Timestamp,
    pub(super) approved_amount: i64,
    pub(super) currency: Option<Currency>,
    pub(super) outcome: Option<Outcome>,
}

#[derive(Deserialize)]
struct WirePage {
    decisions: Vec<WireDecision>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDecision {
    authorization: String,
    at: String,
    approved_amount: i64,
    currency: String,
    outcome: Option<WireOutcome>,
}

#[derive(Deserialize)]
struct WireOutcome {
    state: String,
    held: i64,
    posted: i64,
    refunded: i64,
}

#[derive(Deserialize)]
struct WireAuthorization {
    held: i64,
    outcome: Option<WireOutcome>,
}

/// The decisions of one connection, page by page, newest first.
pub(super) struct Ours {
    client: Client,
    connection: String,
    next: Next,
}

enum Next {
    First,
    Cursor(String),
    End,
}

impl Ours {
    pub(super) fn at(ops: SocketAddr, connection: &str) -> Self {
        Self {
            client: Client::new(ops),
            connection: connection.to_owned(),
            next: Next::First,
        }
    }

    /// The next page; absent after the last.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<OurDecision>>, OursError> {
        let cursor = match &self.next {
            Next::First => String::new(),
            Next::Cursor(cursor) => format!("&cursor={}", percent_encoded(cursor)),
            Next::End => return Ok(None),
        };
        let connection = percent_encoded(&self.connection);
        let uri = format!("/admin/decisions?connection={connection}&limit={PAGE_LEN}{cursor}");
        let answered = self.get(&uri).await?;
        let page: WirePage = self.read(&answered)?;
        self.next = page.next.map_or(Next::End, Next::Cursor);
        let decisions = page.decisions.into_iter().map(decision);
        let decisions: Option<Vec<_>> = decisions.collect();
        decisions.map(Some).ok_or_else(|| self.strange())
    }

    /// One authorization by its issuer's id; absent where the ledger does not know it.
    pub(super) async fn find(&mut self, id: &str) -> Result<Option<Here>, OursError> {
        let (connection, id) = (percent_encoded(&self.connection), percent_encoded(id));
        let uri = format!("/admin/authorizations/{connection}/{id}");
        let answered = self.get(&uri).await?;
        if answered.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let WireAuthorization { held, outcome } = self.read(&answered)?;
        let outcome = outcome.as_ref().map(read_outcome);
        if outcome == Some(None) {
            return Err(self.strange());
        }
        Ok(Some(Here {
            approved: held,
            currency: None,
            outcome: outcome.flatten(),
        }))
    }

    async fn get(&mut self, uri: &str) -> Result<Answered, OursError> {
        let at = self.client.address();
        let request = Request::get(uri)
            .body(Full::new(Bytes::new()))
            .map_err(|error| OursError(error.to_string()))?;
        self.client.send(request).await.map_err(|failure| {
            OursError(match failure {
                NoResponse::Unreachable(cause) => format!("nothing can be asked at {at}: {cause}"),
                NoResponse::Broken(cause) => format!("the connection to {at} broke off: {cause}"),
                NoResponse::Silent => format!("{at} does not answer"),
            })
        })
    }

    fn read<'a, T: Deserialize<'a>>(&self, answered: &'a Answered) -> Result<T, OursError> {
        if answered.status != StatusCode::OK {
            let (at, status) = (self.client.address(), answered.status.as_u16());
            let told = format!("{at} refuses with {status}: {}", answered.problem());
            return Err(OursError(told));
        }
        serde_json::from_slice(&answered.body).map_err(|_shape| self.strange())
    }

    fn strange(&self) -> OursError {
        let at = self.client.address();
        OursError(format!("{at} answers with something else than its books"))
    }
}

fn decision(wire: WireDecision) -> Option<OurDecision> {
    let outcome = match wire.outcome {
        Some(outcome) => Some(read_outcome(&outcome)?),
        None => None,
    };
    Some(OurDecision {
        authorization: wire.authorization,
        at: Timestamp::parse_rfc3339(&wire.at)?,
        approved_amount: wire.approved_amount,
        currency: Currency::parse(&wire.currency).ok(),
        outcome,
    })
}

fn read_outcome(wire: &WireOutcome) -> Option<Outcome> {
    Some(Outcome {
        state: State::parse(&wire.state)?,
        held: wire.held,
        posted: wire.posted,
        refunded: wire.refunded,
    })
}

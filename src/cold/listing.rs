//! Decisions of a running server, read from its operators' listener as any operator can.

use std::fmt;
use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cold::http::{Client, NoResponse, percent_encoded};

/// Which decisions are wanted; absent means any.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the parameter of the same name")]
pub struct Wanted {
    pub connection: Option<String>,
    pub authorization: Option<String>,
    pub card: Option<String>,
}

/// One decision as a list shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is described under behaviour 11.5")]
pub struct Listed {
    pub id: String,
    pub at: String,
    pub connection: Option<String>,
    pub card: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub decision: String,
    pub reason: Option<String>,
    pub latency_us: u64,
    /// The decision as the server wrote it.
    #[serde(skip)]
    pub json: String,
}

/// Why there are no decisions.
#[derive(Debug)]
pub enum ListError {
    /// Nobody answers there, or not for now; it may be tried again.
    Away(String),
    /// The answer is a refusal, or none of ours.
    Refused(String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Away(words) | Self::Refused(words)) = self;
        f.write_str(words)
    }
}

/// A connection to an operators' listener.
pub struct Listing {
    client: Client,
}

#[derive(Deserialize)]
struct WirePage<'p> {
    #[serde(borrow)]
    decisions: Vec<&'p RawValue>,
}

impl Listing {
    /// A listing of the server whose operators' listener is there. It connects when it is asked.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            client: Client::new(address),
        }
    }

    /// The newest decisions, oldest first.
    ///
    /// # Errors
    /// [`ListError`] where none can be had.
    pub async fn newest(
        &mut self,
        wanted: &Wanted,
        limit: usize,
    ) -> Result<Vec<Listed>, ListError> {
        let mut decisions = self.ask(wanted, limit, "").await?;
        decisions.reverse();
        Ok(decisions)
    }

    /// The decisions after the one of this id, oldest first.
    ///
    /// # Errors
    /// [`ListError`] where none can be had.
    pub async fn after(
        &mut self,
        wanted: &Wanted,
        limit: usize,
        id: &str,
    ) -> Result<Vec<Listed>, ListError> {
        let after = format!("&after={}", percent_encoded(id));
        self.ask(wanted, limit, &after).await
    }

    async fn ask(
        &mut self,
        wanted: &Wanted,
        limit: usize,
        rest: &str,
    ) -> Result<Vec<Listed>, ListError> {
        let at = self.client.address();
        let mut uri = format!("/admin/decisions?limit={limit}{rest}");
        for (name, value) in [
            ("connection", &wanted.connection),
            ("authorization", &wanted.authorization),
            ("card", &wanted.card),
        ] {
            if let Some(value) = value {
                // Writing to a text does not fail.
                let _written = write!(uri, "&{name}={}", percent_encoded(value));
            }
        }
        let request = Request::get(uri)
            .body(Full::new(Bytes::new()))
            .map_err(|error| ListError::Refused(error.to_string()))?;
        let sent = self.client.send(request).await;
        let answered = sent.map_err(|failure| ListError::Away(told(at, &failure)))?;
        match answered.status {
            StatusCode::OK => read(&answered.body).ok_or_else(|| {
                let words = format!("{at} answers with something else than decisions");
                ListError::Refused(words)
            }),
            StatusCode::SERVICE_UNAVAILABLE => {
                let words = format!("{at}: {}", answered.problem());
                Err(ListError::Away(words))
            }
            status => {
                let words = format!(
                    "{at} refuses with {}: {}",
                    status.as_u16(),
                    answered.problem()
                );
                Err(ListError::Refused(words))
            }
        }
    }
}

fn read(body: &[u8]) -> Option<Vec<Listed>> {
    let page: WirePage<'_> = serde_json::from_slice(body).ok()?;
    let listed = |raw: &&RawValue| {
        let mut listed: Listed = serde_json::from_str(raw.get()).ok()?;
        listed.json = raw.get().to_owned();
        Some(listed)
    };
    page.decisions.iter().map(listed).collect()
}

fn told(at: SocketAddr, failure: &NoResponse) -> String {
    match failure {
        NoResponse::Unreachable(cause) => format!("nothing can be asked at {at}: {cause}"),
        NoResponse::Broken(cause) => format!("the connection to {at} broke off: {cause}"),
        NoResponse::Silent => format!("{at} does not answer"),
    }
}

//! One attempt at one endpoint.
//!
//! Only the answer's status counts; its body is read a little, so that the connection can be used
//! again, and is shown to nobody. A redirect is an answer that is none of ours.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::address::Reach;
use super::connect::Guarded;
use crate::issuer::standard_webhooks::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedHeaders,
};

/// From the first byte to the last of the answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
const KEPT_ALIVE: Duration = Duration::from_secs(30);
/// Connections that are kept for each endpoint.
const KEPT_MAX: usize = 4;
/// The largest answer that is read to its end.
const ANSWER_SIZE_MAX: usize = 64 * 1024;
/// What a receiver can ask for.
const PATIENCE_MAX: Duration = Duration::from_secs(86_400);
/// Characters of what is kept of an error.
const ERROR_LEN_MAX: usize = 200;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has taken it.
    Taken(u16),
    /// The receiver wants nothing more, ever.
    Gone,
    /// It will not be taken however often it is tried: another may be.
    Refused { status: u16, why: String },
    /// It is to be tried again.
    Failed {
        status: Option<u16>,
        why: String,
        /// What the receiver asks for.
        after: Option<Duration>,
    },
}

impl Outcome {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed {
            status: None,
            why: cut(&why.into()),
            after: None,
        }
    }
}

/// As much of an error as is kept.
pub(super) fn cut(why: &str) -> String {
    why.chars().take(ERROR_LEN_MAX).collect()
}

/// The client of all endpoints.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client<HttpsConnector<Guarded>, Full<Bytes>>,
    reach: Reach,
}

impl Sender {
    pub(super) fn new(reach: Reach) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guarded(reach));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEPT_ALIVE)
            .pool_max_idle_per_host(KEPT_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, reach }
    }

    /// With the signature's headers, where the endpoint is told signed.
    pub(super) async fn send(
        &self,
        url: &str,
        signed: Option<SignedHeaders>,
        body: String,
    ) -> Outcome {
        // What was allowed when the endpoint was made may not be any more.
        let uri = match self.reach.check(url) {
            Ok(uri) => uri,
            Err(why) => return Outcome::failed(format!("the url {why}")),
        };
        let request = Request::post(uri)
            .header(CONTENT_TYPE, "application/json")
            .header(
                USER_AGENT,
                concat!("countersign/", env!("CARGO_PKG_VERSION")),
            );
        let request = match signed {
            Some(signed) => request
                .header(HEADER_ID, signed.id)
                .header(HEADER_TIMESTAMP, signed.timestamp)
                .header(HEADER_SIGNATURE, signed.signature),
            None => request,
        };
        let request = request.body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Outcome::failed(error.to_string()),
        };
        let exchange = async {
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) => return Outcome::failed(chain(&error)),
            };
            let (head, body) = response.into_parts();
            // Where it is too large or breaks off, the status has been said all the same.
            drop(Limited::new(body, ANSWER_SIZE_MAX).collect().await);
            judge(head.status, &head.headers)
        };
        let answered = timeout(ANSWERED_WITHIN, exchange).await;
        answered.unwrap_or_else(|_elapsed| Outcome::failed("no answer within 15 s"))
    }
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Outcome {
    if status.is_success() {
        return Outcome::Taken(status.as_u16());
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let after = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let after = after.and_then(|it| it.trim().parse().ok());
    let why = if status.is_redirection() {
        "it redirects, which is not followed".to_owned()
    } else {
        format!("it answered {}", status.as_u16())
    };
    Outcome::Failed {
        status: Some(status.as_u16()),
        why,
        after: after.map(|seconds| Duration::from_secs(seconds).min(PATIENCE_MAX)),
    }
}

/// An error and what caused it, in one line.
fn chain(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn only_a_success_is_taken_and_a_redirect_is_not_followed() {
        let judged = |status| judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        assert_eq!(judged(204), Outcome::Taken(204));
        assert_eq!(judged(410), Outcome::Gone);
        for status in [301, 307, 400, 404, 429, 500, 503] {
            let failed = matches!(judged(status), Outcome::Failed { status: Some(it), after: None, .. } if it == status);
            assert!(failed, "{status}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_patience_up_to_a_day() {
        let asked = |text| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            match judge(StatusCode::SERVICE_UNAVAILABLE, &headers) {
                Outcome::Failed { after, .. } => after,
                Outcome::Taken(_) | Outcome::Gone | Outcome::Refused { .. } => None,
            }
        };
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("99999999"), Some(PATIENCE_MAX));
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), None);
    }
}

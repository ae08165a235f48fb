//! Reads a small JSON document from an address that somebody else named (S13): each address is judged
//! when it is connected to, no redirect is followed, and nothing of an answer is shown to anybody.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::Reach;
use super::connect::Guarded;

/// From the first byte to the last of the answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The largest document.
const SIZE_MAX: usize = 16 * 1024;
/// Read at a time.
const AT_ONCE: usize = 4;

/// See the module.
pub(in crate::cold) struct Fetcher {
    client: Client<HttpsConnector<Guarded>, Empty<Bytes>>,
    reach: Reach,
    seats: Semaphore,
}

impl Fetcher {
    pub(in crate::cold) fn new(reach: Reach) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guarded(reach));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            client,
            reach,
            seats: Semaphore::new(AT_ONCE),
        }
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub(in crate::cold) async fn json(&self, url: &str) -> Result<Bytes, String> {
        let uri = self.reach.check(url)?;
        let request = Request::get(uri)
            .header(ACCEPT, "application/json")
            .header(
                USER_AGENT,
                concat!("countersign/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let _seat = self
            .seats
            .try_acquire()
            .map_err(|_full| "too many at once")?;
        let exchange = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| error.to_string())?;
            if response.status() != StatusCode::OK {
                return Err(format!("it answered {}", response.status().as_u16()));
            }
            let kind = response.headers().get(CONTENT_TYPE);
            let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if kind != "application/json" && !kind.ends_with("+json") {
                return Err("it is no JSON".to_owned());
            }
            let body = Limited::new(response.into_body(), SIZE_MAX).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        let answered = timeout(ANSWERED_WITHIN, exchange).await;
        answered.unwrap_or_else(|_elapsed| Err("no answer within 5 s".to_owned()))
    }
}

//! Calls to an issuer's API, and what has become of them: not sent, answered, or nobody knows.
//!
//! Connections are kept alive. The client sends a request again by itself only where nothing of it
//! had been written. What an issuer says of a refusal is kept short and without long runs of digits, also in groups,
//! so that no card's number comes into a log through it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::timeout;

use super::IssuerError;

/// The largest answer: a page of a hundred cards is a tenth of it.
const ANSWER_SIZE_MAX: usize = 4 * 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const KEPT_ALIVE: Duration = Duration::from_secs(30);
/// Where an issuer asks for patience and does not say how much.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(3_600);
/// Of an issuer's words.
const WORDS_LEN_MAX: usize = 200;
/// A run of more digits may be a card's number.
const DIGITS_MAX: usize = 8;

/// One call.
pub(super) struct Call {
    pub(super) method: Method,
    /// From the host on.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

/// What a call carries.
pub(super) enum Body {
    None,
    Json(Vec<u8>),
    /// `application/x-www-form-urlencoded`.
    Form(String),
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: Vec::new(),
            body: Body::None,
        }
    }
}

/// One issuer's API.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    within: Duration,
}

impl Http {
    pub(super) fn new(url: &str, within: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN.min(within)));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEPT_ALIVE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            url: url.to_owned(),
            within,
        }
    }

    /// Makes the call; the answer of a success.
    pub(super) async fn call(
        &self,
        call: Call,
        authorization: &SecretString,
    ) -> Result<Bytes, IssuerError> {
        let request = self.request(call, authorization)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    IssuerError::Unavailable(chain(&error))
                } else {
                    IssuerError::Unknown(chain(&error))
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_SIZE_MAX).collect().await;
            let body = body.map_err(|error| IssuerError::Unknown(error.to_string()))?;
            judge(head.status, &head.headers, body.to_bytes())
        };
        let late = || IssuerError::Unknown(format!("no answer in {} ms", self.within.as_millis()));
        timeout(self.within, exchange)
            .await
            .unwrap_or_else(|_elapsed| Err(late()))
    }

    fn request(
        &self,
        call: Call,
        authorization: &SecretString,
    ) -> Result<Request<Full<Bytes>>, IssuerError> {
        let unlawful = |error: &dyn std::fmt::Display| IssuerError::Refused(error.to_string());
        let mut secret = HeaderValue::from_str(authorization.expose_secret())
            .map_err(|_value| IssuerError::Denied("it is no lawful header".to_owned()))?;
        secret.set_sensitive(true);
        let (kind, body) = match call.body {
            Body::None => (None, Vec::new()),
            Body::Json(bytes) => (Some("application/json"), bytes),
            Body::Form(text) => (Some("application/x-www-form-urlencoded"), text.into_bytes()),
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.url, call.path))
            .header(AUTHORIZATION, secret)
            .header(
                USER_AGENT,
                concat!("countersign/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        request.map_err(|error| unlawful(&error))
    }
}

/// What a response says of its call.
fn judge(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Result<Bytes, IssuerError> {
    let numbered = |words: String| format!("{} {words}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(body),
        401 | 403 => Err(IssuerError::Denied(status.as_u16().to_string())),
        429 => Err(IssuerError::Limited(patience(headers))),
        // The same key is being used in this moment, or the answer may be another one later.
        408 | 409 | 425 => Err(IssuerError::Unknown(numbered(words(&body)))),
        400..=499 => Err(IssuerError::Refused(numbered(words(&body)))),
        _ => Err(IssuerError::Unknown(numbered(words(&body)))),
    }
}

fn patience(headers: &HeaderMap) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let seconds = text.and_then(|text| text.trim().parse().ok());
    seconds
        .map_or(PATIENCE, Duration::from_secs)
        .min(PATIENCE_MAX)
}

/// What went wrong, with its causes, which say what the first words leave open.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `{"message"}` as Lithic and Privacy write it, `{"error":{"message"}}` as Stripe does.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireError {
    message: Option<String>,
    error: Option<WireInner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInner {
    message: Option<String>,
}

fn words(body: &[u8]) -> String {
    let error: WireError = serde_json::from_slice(body).unwrap_or_default();
    let said = error.message.or_else(|| error.error?.message);
    let mut digits = 0;
    let shown = said.unwrap_or_default();
    let shown = shown.chars().take(WORDS_LEN_MAX).map(|c| {
        if c.is_ascii_digit() {
            digits += 1;
        } else if !joins_groups(c) {
            digits = 0;
        }
        match c {
            c if c.is_control() => ' ',
            c if digits > DIGITS_MAX && c.is_ascii_digit() => '*',
            c => c,
        }
    });
    shown.collect()
}

/// What stands between the groups of a card's number, as people write it.
fn joins_groups(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '_' | '/' | '\u{2010}'..='\u{2015}')
}

/// Text as the name or the value of a form's or a query's field.
pub(super) fn encoded(text: &str) -> String {
    crate::cold::http::percent_encoded(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Bytes, IssuerError> {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        judge(status, &headers, Bytes::from(body.to_owned()))
    }

    #[test]
    fn only_a_refusal_is_final() {
        assert!(judged(200, "{}").is_ok());
        let stripe = r#"{"error":{"message":"No such card 4111111111111111\n"}}"#;
        let refused = IssuerError::Refused("400 No such card 41111111******** ".to_owned());
        assert_eq!(judged(400, stripe), Err(refused));
        let lithic = r#"{"message":"no"}"#;
        assert_eq!(
            judged(422, lithic),
            Err(IssuerError::Refused("422 no".to_owned()))
        );
        for status in [301, 408, 409, 500, 503] {
            let unknown = matches!(judged(status, "<html>"), Err(IssuerError::Unknown(_)));
            assert!(unknown, "{status}");
        }
        for grouped in [
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "4242.4242 4242 / 4242",
        ] {
            let said = judged(400, &format!(r#"{{"message":"card {grouped} is bad"}}"#));
            let IssuerError::Refused(words) = said.unwrap_err() else {
                panic!("{grouped}");
            };
            let digits = words.chars().filter(char::is_ascii_digit).count();
            assert_eq!(digits, 3 + DIGITS_MAX, "{words}");
            assert!(words.ends_with("is bad"), "{words}");
        }
        let after = IssuerError::Limited(Duration::from_secs(7));
        assert_eq!(judged(429, "{}"), Err(after));
        // The words of whoever refuses a key may hold the key.
        let denied = judged(401, r#"{"message":"sk_live_abc"}"#);
        assert_eq!(denied, Err(IssuerError::Denied("401".to_owned())));
    }
}

//! One request to a listener of a running server, for commands.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cold::http::{Client, NoResponse};
use crate::cold::people::command;

/// A key of the cards API, and where it listens.
pub struct Api {
    /// The listener for people and agents.
    pub listen: SocketAddr,
    /// The text of the key.
    pub key: SecretString,
}

impl Api {
    /// The body of a good answer to this request.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<Bytes, String> {
        let bearer = format!("Bearer {}", self.key.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer)
            .map_err(|_value| "the key is none: it has unlawful characters".to_owned())?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(Bytes::from(body)));
        send(self.listen, request.map_err(|error| error.to_string())?).await
    }
}

/// The body of a good answer; else why there is none, in words.
///
/// # Errors
/// Why there is none, for people.
pub async fn ask_operators(ops: SocketAddr, is_order: bool, path: &str) -> Result<Bytes, String> {
    let method = if is_order { Method::POST } else { Method::GET };
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Full::new(Bytes::new()));
    send(ops, request.map_err(|error| error.to_string())?).await
}

/// What the operators' listener answers to `countersign user`.
///
/// # Errors
/// Why there is no good answer, for people.
pub async fn ask_for_user(ops: SocketAddr, proof: &str, body: Vec<u8>) -> Result<Bytes, String> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(command::PATH)
        .header(command::PROOF_HEADER, proof)
        .header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body)));
    send(ops, request.map_err(|error| error.to_string())?).await
}

async fn send(ops: SocketAddr, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
    let answered = Client::new(ops).send(request).await;
    let answered = answered.map_err(|none| match none {
        NoResponse::Unreachable(error) => format!("nothing answers at {ops}: {error}"),
        NoResponse::Broken(why) => format!("{ops}: {why}"),
        NoResponse::Silent => format!("{ops} does not answer"),
    })?;
    if answered.status.is_success() {
        return Ok(answered.body);
    }
    Err(format!("{ops}: {}", answered.problem()))
}

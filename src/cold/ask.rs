//! One request to the operators' listener of a running server, for commands.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};

use crate::cold::http::{Client, NoResponse};

/// The body of a good answer; else why there is none, in words.
///
/// # Errors
/// Why there is none, for people.
pub async fn ask_operators(ops: SocketAddr, is_order: bool, path: &str) -> Result<Bytes, String> {
    let method = if is_order { Method::POST } else { Method::GET };
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Full::new(Bytes::new()));
    let request = request.map_err(|error| error.to_string())?;
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

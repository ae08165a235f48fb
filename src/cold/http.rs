//! One kept-alive HTTP/1.1 connection to one address; for commands that ask a running server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// As long as Lithic waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// No answer of ours comes near it.
const RESPONSE_SIZE_MAX: usize = 1024 * 1024;

/// Why there is no response.
#[derive(Debug)]
pub(super) enum NoResponse {
    /// Nothing accepts connections there.
    Unreachable(io::Error),
    /// The connection broke off, or what came is no HTTP.
    Broken(String),
    /// Nothing came within six seconds.
    Silent,
}

/// A whole response.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// A client of one address.
pub(super) struct Client {
    address: SocketAddr,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            open: None,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the connection unless it is open, so that a round trip measured afterwards does not
    /// have the handshake in it.
    pub(super) async fn connect(&mut self) -> Result<(), NoResponse> {
        let _sender = self.sender().await?;
        Ok(())
    }

    /// Sends one request and reads the whole response.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answered, NoResponse> {
        let host = HeaderValue::from_str(&self.address.to_string())
            .map_err(|error| NoResponse::Broken(error.to_string()))?;
        request.headers_mut().insert(HOST, host);
        let sender = self.sender().await?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response).await
        };
        let answered = timeout(PATIENCE, exchange)
            .await
            .unwrap_or(Err(NoResponse::Silent));
        if answered.is_err() {
            // Whatever comes on this connection later answers no request that is still open.
            self.open = None;
        }
        answered
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, NoResponse> {
        let is_usable = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        if !is_usable {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => timeout(PATIENCE, open(self.address))
                .await
                .unwrap_or(Err(NoResponse::Silent))?,
        };
        Ok(&mut self.open.insert(open).sender)
    }
}

async fn open(address: SocketAddr) -> Result<Open, NoResponse> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(NoResponse::Unreachable)?;
    stream.set_nodelay(true).map_err(NoResponse::Unreachable)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = Handle::current().spawn(async move {
        // The request that is under way gets the same error, and tells it.
        drop(connection.await);
    });
    Ok(Open { sender, driver })
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answered, NoResponse> {
    let status = response.status();
    let body = Limited::new(response.into_body(), RESPONSE_SIZE_MAX)
        .collect()
        .await
        .map_err(|error| NoResponse::Broken(error.to_string()))?;
    Ok(Answered {
        status,
        body: body.to_bytes(),
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "passed to map_err, which hands the error over"
)]
fn broken(error: hyper::Error) -> NoResponse {
    NoResponse::Broken(error.to_string())
}

/// The words of a problem document (RFC 9457).
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireProblem {
    title: String,
    detail: Option<String>,
}

impl Answered {
    /// Why the server refused, in its own words.
    pub(super) fn problem(&self) -> String {
        let problem: WireProblem = serde_json::from_slice(&self.body).unwrap_or_default();
        let detail = problem.detail.filter(|detail| !detail.is_empty());
        detail.unwrap_or(problem.title)
    }
}

/// Text as the value of a query's parameter.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
            // In upper case, as RFC 3986 (2.1) wants it and others write it.
            let [high, low] = [byte >> 4, byte & 15].map(|half| digit(half).to_ascii_uppercase());
            encoded.extend(['%', high, low]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_query_stays_one_value() {
        assert_eq!(percent_encoded("0199-a_b.c~"), "0199-a_b.c~");
        assert_eq!(percent_encoded("a&limit=2 é"), "a%26limit%3D2%20%C3%A9");
    }
}

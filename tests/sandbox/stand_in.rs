//! A stand-in for the engine: listens as both of its doors, keeps what it is sent, and answers as it
//! is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Status and body; no body at all means that the connection is closed without an answer.
pub(crate) type Reply = Option<(u16, String)>;

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl StandIn {
    /// Listens, and answers the n-th request with `answer(n, request)`.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (answer, log, count) = (
            Arc::new(answer),
            Arc::clone(&seen),
            Arc::clone(&connections),
        );
        drop(Handle::current().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let service = service_fn(move |request| {
                    let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                    async move { reply(request, &log, &*answer).await }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                drop(Handle::current().spawn(async move { drop(serving.await) }));
            }
        }));
        Self {
            address,
            seen,
            connections,
        }
    }

    /// Everything that came, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn reply(
    request: Request<Incoming>,
    log: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(usize, &Seen) -> Reply + Send + Sync),
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let target = format!("{} {}", request.method(), request.uri());
    let mut headers = HashMap::new();
    for (name, value) in request.headers() {
        let value = value.to_str().unwrap().to_owned();
        let repeated = headers.insert(name.as_str().to_owned(), value);
        assert_eq!(repeated, None, "{name} came twice");
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let seen = Seen {
        target,
        headers,
        body,
    };
    let at = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    match answer(at, &seen) {
        Some((status, text)) => Ok(Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Full::new(text.into()))
            .unwrap()),
        None => Err(std::io::Error::other("told to break off")),
    }
}

/// A page of records with one record, as the operators' listener shows it.
pub(crate) fn record(id: &str, reason: Option<&str>) -> String {
    let (decision, reason, explanation) = match reason {
        None => ("approve", "null".to_owned(), "null".to_owned()),
        Some(reason) => (
            "decline",
            format!("\"{reason}\""),
            format!(
                r#"{{"text":"Because of {reason}.","level":"card","field":null,"limit":5000}}"#
            ),
        ),
    };
    format!(
        r#"{{"decisions":[{{"id":"{id}","at":"2026-11-20T17:00:00Z","decision":"{decision}",
        "reason":{reason},"explanation":{explanation},"latencyUs":87,"deliveries":1}}],"next":null}}"#
    )
}

pub(crate) const APPROVED: &str = r#"{"result":"APPROVED"}"#;
pub(crate) const NO_RECORDS: &str = r#"{"decisions":[],"next":null}"#;

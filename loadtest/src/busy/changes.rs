//! Changes of cards over HTTP: so many a second, each at its own time, over many connections.
//!
//! A change that finds no free connection is late, and its wait counts. Which card is changed goes
//! round, so that no two changes of one card are under way at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::api::Cards;
use crate::clock::Clock;
use crate::cores;
use crate::error::Error;
use crate::http;
use crate::latency::{Latency, Quantiles};
use crate::run::connect_one;
use crate::usage::Accounts;

const SECOND_NS: u64 = 1_000_000_000;
/// Room for a head and a card as it is shown.
const BUFFER_SIZE: usize = 32 * 1024;
/// For an answer; one that takes longer ends the run.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// The limits that take turns, in minor units: far above what is spent.
const LIMITS_MINOR: [u64; 2] = [900_000_000_000, 800_000_000_000];

/// How many changes, how fast, and from where.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) per_second: u64,
    pub(super) clients: u64,
    pub(super) seconds: u64,
    pub(super) core: usize,
}

/// What became of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Changes {
    pub(super) made: u64,
    /// From the first to the last answer.
    pub(super) span_ms: u64,
    pub(super) per_second: u64,
    /// By what was answered instead of 200.
    pub(super) refused: BTreeMap<String, u64>,
    /// From the time at which each was due.
    pub(super) latency: Quantiles,
    /// Of the thread that makes them.
    pub(super) client_percent: u64,
}

/// What the connections share.
struct Work {
    next: Cell<u64>,
    made: Cell<u64>,
    refused: RefCell<BTreeMap<String, u64>>,
    latency: RefCell<Latency>,
    clock: Clock,
}

/// Has a future run to its end on this thread.
pub(super) fn one_thread<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start the runtime"))?;
    LocalSet::new().block_on(&runtime, future)
}

/// Makes them, on a thread of its own.
pub(super) fn make(load: &Load, cards: &Cards) -> Result<Changes, Error> {
    cores::pin_current_thread(load.core)?;
    one_thread(drive(load, cards))
}

async fn drive(load: &Load, cards: &Cards) -> Result<Changes, Error> {
    let mut clients = Vec::new();
    for _ in 0..load.clients {
        clients.push(Client::connect(load.address, &cards.key).await?);
    }
    let before = Accounts::of_current_thread();
    let work = Rc::new(Work {
        next: Cell::new(0),
        made: Cell::new(0),
        refused: RefCell::default(),
        latency: RefCell::new(Latency::new()?),
        clock: Clock::start(),
    });
    let ids = Rc::new(cards.ids.clone());
    let mut tasks = JoinSet::new();
    for client in clients {
        let (work, ids) = (Rc::clone(&work), Rc::clone(&ids));
        let (per_second, total) = (load.per_second, load.per_second * load.seconds);
        tasks.spawn_local(async move { work.change(client, &ids, per_second, total).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_panic| Error::Server("a client broke off".to_owned()))??;
    }
    let elapsed_ns = work.clock.now_ns().max(1);
    let usage = Accounts::of_current_thread()
        .zip(before)
        .map(|(now, then)| now.usage_since(then, elapsed_ns));
    let made = work.made.get();
    Ok(Changes {
        made,
        span_ms: elapsed_ns / 1_000_000,
        per_second: made * SECOND_NS / elapsed_ns,
        refused: work.refused.borrow().clone(),
        latency: work.latency.borrow().quantiles(),
        client_percent: usage.unwrap_or_default().busy_percent,
    })
}

impl Work {
    async fn change(
        &self,
        mut client: Client,
        ids: &[String],
        per_second: u64,
        total: u64,
    ) -> Result<(), Error> {
        loop {
            let index = self.next.replace(self.next.get() + 1);
            if index >= total {
                return Ok(());
            }
            let due_ns = index * SECOND_NS / per_second.max(1);
            let early_ns = due_ns.saturating_sub(self.clock.now_ns());
            if early_ns > 0 {
                tokio::time::sleep(Duration::from_nanos(early_ns)).await;
            }
            let count = ids.len().max(1) as u64;
            let place = |number: u64| usize::try_from(number).unwrap_or_default();
            let id = ids.get(place(index % count)).map_or("", String::as_str);
            // Another limit than the last time.
            let turn = place(index / count % LIMITS_MINOR.len() as u64);
            let amount = LIMITS_MINOR.get(turn).copied().unwrap_or_default();
            let body = format!(
                r#"{{"limits":{{"amount":{amount},"currency":"USD","interval":"daily"}}}}"#
            );
            let path = format!("/v1/cards/{id}");
            match client.ask("PATCH", &path, &body).await {
                Ok(_card) => self.made.set(self.made.get() + 1),
                Err(Error::Server(why)) => {
                    *self.refused.borrow_mut().entry(why).or_default() += 1;
                }
                Err(error) => return Err(error),
            }
            let mut latency = self.latency.borrow_mut();
            latency.record(due_ns, self.clock.now_ns());
        }
    }
}

/// One connection with a key.
pub(super) struct Client {
    stream: TcpStream,
    headers: String,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, key: &str) -> Result<Self, Error> {
        Ok(Self {
            stream: connect_one(address).await?,
            headers: format!(
                "host: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: \
                 application/json\r\n"
            ),
            buffer: vec![0; BUFFER_SIZE],
        })
    }

    /// Makes something, and reads how it is shown.
    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<T, Error> {
        let shown = self.ask("POST", path, &body.to_string()).await?;
        serde_json::from_slice(shown).map_err(|fault| Error::Server(format!("{path}: {fault}")))
    }

    /// Asks, and waits for the answer; its body, where it is a success.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<&[u8], Error> {
        let (headers, size) = (&self.headers, body.len());
        let request =
            format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {size}\r\n\r\n{body}");
        let exchange = exchange(&mut self.stream, request.as_bytes(), &mut self.buffer);
        let answered = tokio::time::timeout(ANSWERED_WITHIN, exchange).await;
        let late = |_elapsed| Error::Server(format!("{method}: no answer in time"));
        let filled = answered.map_err(late)??;
        let bytes = self.buffer.get(..filled).unwrap_or_default();
        let reply = http::reply(bytes).map_err(|fault| Error::Server(fault.to_string()))?;
        match reply {
            Some(reply) if (200..300).contains(&reply.status) => Ok(reply.body),
            Some(reply) => {
                let text = String::from_utf8_lossy(reply.body);
                Err(Error::Server(format!("{} {text}", reply.status)))
            }
            None => Err(Error::Server("an answer that broke off".to_owned())),
        }
    }
}

/// Sends a request and reads until a whole reply is there: how many bytes it has.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let sent = stream.write_all(request).await;
    sent.map_err(Error::io("write a request"))?;
    let mut filled = 0;
    loop {
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let size = stream
            .read(free)
            .await
            .map_err(Error::io("read an answer"))?;
        if size == 0 {
            return Ok(filled);
        }
        filled += size;
        let bytes = buffer.get(..filled).unwrap_or_default();
        let reply = http::reply(bytes).map_err(|fault| Error::Server(fault.to_string()))?;
        if reply.is_some() {
            return Ok(filled);
        }
    }
}

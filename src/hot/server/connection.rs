//! One connection: bounded in time and size, closed in good order.
//!
//! hyper has one clock for headers, which runs while a kept connection merely waits for its next
//! request, too. So a connection is served in spells: one that ends without a byte was no slow
//! sender, and an issuer's connection begins the next.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::hot::durability::WaitingRoom;
use crate::hot::problem::Problem;
use crate::hot::server::pulse::Pulse;
use crate::hot::server::{Shared, exchange};

/// Above what we accept of headers, so that a request somewhat over the limit is told so in full;
/// beyond this hyper itself answers 431.
const READ_BUFFER_SIZE: usize = 64 * 1024;
/// After the word to stop: requests that were on their way by then are answered, each the last on
/// its connection.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(200);

/// What a connection and its requests tell each other.
pub(super) struct Talk {
    /// That of their thread.
    pub(super) pulse: Rc<Pulse>,
    /// The answer under way is the last one.
    pub(super) is_last: Cell<bool>,
    /// A request with an issuer's signature was answered.
    pub(super) heard_issuer: Cell<bool>,
}

impl Talk {
    pub(super) fn new(pulse: Rc<Pulse>) -> Self {
        Self {
            pulse,
            is_last: Cell::new(false),
            heard_issuer: Cell::new(false),
        }
    }
}

/// How a spell ended.
enum Spell {
    /// Nothing came in the time that headers have.
    Quiet(TcpStream),
    /// Some of the headers came.
    TooSlow(TcpStream),
    /// By either side's wish.
    Over(TcpStream),
    /// At shutdown; the stream is closed.
    Drained,
}

/// Serves the connection until it closes, or until shutdown after the request in flight.
pub(super) async fn serve(
    mut stream: TcpStream,
    shared: Arc<Shared>,
    room: Rc<WaitingRoom>,
    talk: Talk,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let limits = &shared.limits;
    let mut is_issuers = false;
    let mut quiet = Duration::ZERO;
    loop {
        match spell(stream, &shared, &room, &mut stopped, &talk).await {
            Spell::Quiet(back) => {
                if talk.heard_issuer.take() {
                    (is_issuers, quiet) = (true, Duration::ZERO);
                }
                quiet = quiet.saturating_add(limits.header_timeout);
                if !is_issuers || quiet >= limits.idle_timeout {
                    return close(back, None).await;
                }
                stream = back;
            }
            Spell::TooSlow(back) => return close(back, Some(Problem::TooSlow)).await,
            Spell::Over(back) => return close(back, None).await,
            Spell::Drained => return,
        }
    }
}

async fn spell(
    stream: TcpStream,
    shared: &Shared,
    room: &Rc<WaitingRoom>,
    stopped: &mut watch::Receiver<bool>,
    talk: &Talk,
) -> Spell {
    // Boxed, because only then hyper gives the socket back when headers do not arrive in time.
    let service = service_fn(|request| Box::pin(exchange::answer(request, shared, room, talk)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_timeout)
        .max_buf_size(READ_BUFFER_SIZE)
        .serve_connection(TokioIo::new(stream), service);
    let ended = {
        let mut connection = pin!(std::future::poll_fn(|context| {
            connection.poll_without_shutdown(context)
        }));
        tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = stopped.wait_for(|stop| *stop) => {
                talk.is_last.set(true);
                tokio::time::timeout(LAST_REQUEST_WITHIN, connection).await.ok()
            }
        }
    };
    let Some(ended) = ended else {
        let mut connection = pin!(connection);
        connection.as_mut().graceful_shutdown();
        // Whatever ends it, the connection is over.
        let _ended = connection.await;
        return Spell::Drained;
    };
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    match ended {
        Err(error) if error.is_timeout() && parts.read_buf.is_empty() => Spell::Quiet(stream),
        Err(error) if error.is_timeout() => Spell::TooSlow(stream),
        Ok(()) | Err(_) => Spell::Over(stream),
    }
}

/// Tells a sender whose headers did not arrive in time why, which hyper leaves to us, and closes.
async fn close(mut stream: TcpStream, problem: Option<Problem>) {
    use tokio::io::AsyncWriteExt;
    if let Some(problem) = problem {
        let reply = problem.reply();
        let body = String::from_utf8_lossy(&reply.body);
        let answer = format!(
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            reply.content_type,
            body.len(),
        );
        // The peer may be gone; nothing rests on this answer.
        let _gone = stream.write_all(answer.as_bytes()).await;
    }
    let _gone = stream.shutdown().await;
}

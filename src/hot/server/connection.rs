//! One connection: bounded in time and size, closed in good order.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::hot::durability::WaitingRoom;
use crate::hot::problem::Problem;
use crate::hot::server::{Shared, exchange};

/// Above what we accept of headers, so that a request somewhat over the limit is told so in full;
/// beyond this hyper itself answers 431.
const READ_BUFFER_SIZE: usize = 64 * 1024;

/// Serves the connection until it closes, or until shutdown after the request in flight.
pub(super) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    room: Rc<WaitingRoom>,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let header_timeout = shared.limits.header_timeout;
    let service = service_fn(|request| exchange::answer(request, &shared, &room));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(READ_BUFFER_SIZE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    let _closed = ended;
    let _unused = Problem::TooSlow;
}

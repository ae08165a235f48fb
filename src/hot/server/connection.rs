//! One connection: bounded in time and size, closed in good order.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
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
    // Boxed, because only then hyper gives the socket back when headers do not arrive in time.
    let service = service_fn(|request| Box::pin(exchange::answer(request, &shared, &room)));
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
            _ = stopped.wait_for(|stop| *stop) => None,
        }
    };
    let Some(ended) = ended else {
        let mut connection = pin!(connection);
        connection.as_mut().graceful_shutdown();
        // Whatever ends it, the connection is over.
        let _ended = connection.await;
        return;
    };
    let stream = connection.into_parts().io.into_inner();
    let too_slow = ended.is_err_and(|error| error.is_timeout());
    close(stream, too_slow.then_some(Problem::TooSlow)).await;
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

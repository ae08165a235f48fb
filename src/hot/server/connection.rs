//! One connection: bounded in time and size, closed in good order.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::hot::durability::WaitingRoom;
use crate::hot::problem::Problem;
use crate::hot::server::watch::{Order, Stream, Watched};
use crate::hot::server::{Shared, exchange};

/// Above what we accept of headers, so that a request somewhat over the limit is told so in full;
/// beyond this hyper itself answers 431.
const READ_BUFFER_SIZE: usize = 64 * 1024;

/// Serves the connection until it closes, or is too slow, or until shutdown after the request in
/// flight.
pub(super) async fn serve(watched: Rc<Watched>, shared: Arc<Shared>, room: Rc<WaitingRoom>) {
    let service = service_fn(|request| exchange::answer(request, &shared, &room, &watched));
    let connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER_SIZE)
        // A sender that has closed its half after the request still gets its answer.
        .half_close(true)
        .serve_connection(Stream(Rc::clone(&watched)), service);
    let mut connection = pin!(connection);
    let mut draining = false;
    let ended = poll_fn(|context| {
        match watched.order(context.waker()) {
            Order::Drain if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::TooSlow => return Poll::Ready(Some(Problem::TooSlow)),
            Order::TooIdle => return Poll::Ready(None),
            Order::Serve | Order::LastRequest | Order::Drain => {}
        }
        // However it ends, the connection is over.
        connection.as_mut().poll(context).map(|_ended| None)
    })
    .await;
    if let Some(problem) = ended {
        shared.telemetry.count_problem(problem.reply().status);
        tell(&watched, problem).await;
    }
}

/// Tells a sender whose request did not arrive in time why, and closes.
async fn tell(watched: &Watched, problem: Problem) {
    let reply = problem.reply();
    let body = String::from_utf8_lossy(&reply.body);
    let answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        reply.content_type,
        body.len(),
    );
    // One write: a peer that takes not even this is not worth waiting for.
    let mut told = false;
    poll_fn(|context| {
        let mut socket = watched.socket().borrow_mut();
        if !told {
            told = true;
            if Pin::new(&mut *socket)
                .poll_write(context, answer.as_bytes())
                .is_pending()
            {
                return Poll::Ready(());
            }
        }
        Pin::new(&mut *socket)
            .poll_shutdown(context)
            .map(|_closed| ())
    })
    .await;
}

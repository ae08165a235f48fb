//! One connection: bounded in time and size, closed in good order.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};

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

/// Headers that the HTTP library knows; what has more of them is its to refuse.
const HEADERS_KNOWN: usize = 100;
/// Bytes of a head that has not ended yet which are kept for the HTTP library; longer ones it has itself.
const HEAD_KEPT_MAX: usize = 4_096;

/// Why a connection ends, where its sender is to be told.
type Ended = Option<Problem>;

/// Serves the connection until it closes, or is too slow, or until shutdown after the request in
/// flight.
pub(super) async fn serve(watched: Rc<Watched>, shared: Arc<Shared>, room: Rc<WaitingRoom>) {
    let mut stream = Stream::new(Rc::clone(&watched));
    let ended = match begin(&watched, &mut stream).await {
        // On the heap, so that who only stands about takes no place for it.
        ControlFlow::Continue(()) => Box::pin(converse(&watched, stream, &shared, &room)).await,
        ControlFlow::Break(ended) => ended,
    };
    if let Some(problem) = ended {
        shared.telemetry.count_problem(problem.reply().status);
        tell(&watched, problem).await;
    }
}

/// Waits for a whole head, or for what will never become one.
///
/// The HTTP library gives every connection some 25 KiB of buffers. Thousands that send a byte now and
/// then would have a quarter of a gigabyte made and cleared for them, while everybody else waits.
async fn begin(watched: &Watched, stream: &mut Stream) -> ControlFlow<Ended> {
    poll_fn(|context| {
        loop {
            match watched.order(context.waker()) {
                Order::TooSlow => return Poll::Ready(ControlFlow::Break(Some(Problem::TooSlow))),
                Order::TooIdle => return Poll::Ready(ControlFlow::Break(None)),
                Order::Drain if stream.ahead_size() == 0 => {
                    return Poll::Ready(ControlFlow::Break(None));
                }
                Order::Serve | Order::LastRequest | Order::Drain => {}
            }
            let before = stream.ahead_size();
            match ready!(stream.poll_ahead(context)) {
                Ok(head) if head.len() > before && is_partial(head) => {}
                // The library finds the same end of the stream, or the same error.
                Ok(_) | Err(_) => return Poll::Ready(ControlFlow::Continue(())),
            }
        }
    })
    .await
}

fn is_partial(head: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_KNOWN];
    let parsed = httparse::Request::new(&mut []).parse_with_uninit_headers(head, &mut headers);
    head.len() < HEAD_KEPT_MAX && parsed.is_ok_and(|status| status.is_partial())
}

/// Answers requests until the connection is over.
async fn converse(
    watched: &Rc<Watched>,
    stream: Stream,
    shared: &Arc<Shared>,
    room: &Rc<WaitingRoom>,
) -> Ended {
    let service = service_fn(|request| exchange::answer(request, shared, room, watched));
    let connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER_SIZE)
        // A sender that has closed its half after the request still gets its answer.
        .half_close(true)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut draining = false;
    poll_fn(|context| {
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
    .await
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

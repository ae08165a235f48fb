//! hyper on one thread, as bare as it goes: no router, no timer, no middleware.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::answer::Answerer;
use crate::error::Error;

pub(super) async fn accept(
    listener: TcpListener,
    runtime: &Handle,
    answerer: Answerer,
) -> Result<(), Error> {
    let answerer = Arc::new(answerer);
    loop {
        let (stream, _peer) = listener.accept().await.map_err(Error::io("accept"))?;
        stream
            .set_nodelay(true)
            .map_err(Error::io("set TCP_NODELAY"))?;
        let answerer = Arc::clone(&answerer);
        let service = service_fn(move |request| {
            let answerer = Arc::clone(&answerer);
            async move { Ok::<_, Infallible>(reply(&answerer, request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A peer that goes away ends its own connection only.
        drop(runtime.spawn(async move { connection.await.unwrap_or_default() }));
    }
}

async fn reply(answerer: &Answerer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let answer = match body.collect().await {
        Ok(body) => answerer.answer(&head.headers, &body.to_bytes()),
        Err(_broken) => Err(StatusCode::BAD_REQUEST),
    };
    let mut response = Response::new(Full::default());
    match answer {
        Ok(bytes) => {
            *response.body_mut() = Full::new(bytes);
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
        }
        Err(status) => *response.status_mut() = status,
    }
    response
}

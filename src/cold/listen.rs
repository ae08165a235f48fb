//! How the listeners of people and of operators take connections: so many at a time, and none that
//! says nothing for long. Their descriptors are the process's, which the issuers' listener needs too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Connections of one listener at a time; more wait in the kernel. Together they stay below what
/// the issuers' listener leaves of the process's descriptors.
const CONNECTIONS_MAX: usize = 96;
/// For the next request's headers to arrive, from the end of the one before.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Out of descriptors: without a pause the loop would spin.
const PAUSE: Duration = Duration::from_millis(20);

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves the routes until the runtime ends.
pub(super) async fn serve(listener: TcpListener, routes: Router) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let routes = routes.clone().layer(Extension(Peer(peer)));
                drop(Handle::current().spawn(async move {
                    talk(stream, routes).await;
                    drop(seat);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn talk(stream: TcpStream, routes: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // However it ends, the connection is over.
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection has ended");
    }
}

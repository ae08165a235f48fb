//! The listener for people and agents: the API, and whether it is there.

use std::io;

use axum::routing::get;
use tokio::net::TcpListener;

use crate::cold::api::{Served, router};

/// Serves it until the runtime ends.
///
/// # Errors
/// Where the listener cannot be polled.
pub async fn serve(listener: TcpListener, served: Served) -> io::Result<()> {
    let routes = router(&served).route("/healthz", get(|| async { "ok\n" }));
    axum::serve(listener, routes).await
}

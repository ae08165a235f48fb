//! The listener for people and agents: the API, the pages, and whether it is there.

use axum::routing::get;
use tokio::net::TcpListener;

use crate::cold::api::mcp::Access;
use crate::cold::api::{Served, router, view};
use crate::cold::listen;
use crate::cold::web;

/// Serves it until the runtime ends.
pub async fn serve(listener: TcpListener, served: Served, access: Access) {
    let routes = router(&served, &access)
        .merge(web::assets())
        .merge(view::router(&served))
        .route("/healthz", get(|| async { "ok\n" }));
    listen::serve(listener, routes).await;
}

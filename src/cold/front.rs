//! The listener for people and agents: the API, the pages, and whether it is there.

use axum::routing::get;
use tokio::net::TcpListener;

use crate::cold::api::mcp::Access;
use crate::cold::api::{Served, review, router, view};
use crate::cold::entry::site::Site;
use crate::cold::entry::{self, Web};
use crate::cold::web;
use crate::cold::{listen, oauth};

/// Serves it until the runtime ends.
pub async fn serve(listener: TcpListener, served: Served, access: Access, site: Site) {
    let routes = router(&served, &access, &site)
        .merge(web::assets())
        .merge(view::router(&served, &site))
        .route("/healthz", get(|| async { "ok\n" }));
    let routes = match Web::new(&served, site) {
        Ok(web) => routes
            .merge(review::router(web.clone()))
            .merge(entry::router(web.clone()))
            .merge(oauth::router(web, access.reach)),
        Err(error) => {
            tracing::error!(%error, "there are no pages");
            routes
        }
    };
    listen::serve(listener, routes).await;
}

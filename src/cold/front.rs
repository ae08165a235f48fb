//! The listener for people and agents. What it serves so far is whether it is there.

use std::io;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves it until the runtime ends.
///
/// # Errors
/// Where the listener cannot be polled.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    axum::serve(listener, router()).await
}

fn router() -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(not_found)
}

async fn not_found() -> Response {
    let body = r#"{"type":"about:blank","title":"No such path","status":404,"code":"not_found"}"#;
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::NOT_FOUND, headers, body).into_response()
}

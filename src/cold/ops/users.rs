//! `POST /admin/users`: what `countersign user` asks. Whoever asks proves that he can read the data
//! directory: this listener knows nobody, and whoever is made here can sign in from afar.

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde::Serialize;

use super::OpsState;
use super::problem::Problem;
use crate::cold::people::command::{PATH, PROOF_HEADER, Refusal, UserShown, carry_out};

#[derive(Serialize)]
struct Done {
    users: Vec<UserShown>,
}

pub(super) fn routes() -> Router<OpsState> {
    Router::new().route(PATH, post(change))
}

async fn change(
    State(state): State<OpsState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Done>, Problem> {
    let served = state.served.get().ok_or_else(Problem::not_ready)?;
    let none = || Problem::not_found("the data directory has no database");
    let api = served.as_ref().ok_or_else(none)?;
    let proof = headers.get(PROOF_HEADER).and_then(|it| it.to_str().ok());
    let done = carry_out(api, proof.unwrap_or_default(), &body).await;
    let users = done.map_err(|refusal| match refusal {
        Refusal::Wrong(why) => Problem::user_refused(why),
        Refusal::Fault(why) => {
            tracing::error!(why, "a person could not be changed");
            Problem::internal()
        }
    })?;
    Ok(Json(Done { users }))
}

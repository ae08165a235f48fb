//! OAuth 2.1 for the agents' door (behaviour 7.1): a person lets a program act as one agent.
//!
//! Authorization code with PKCE and nothing else; codes, access and refresh tokens are random texts of
//! which a keyed hash is kept. What a token rests on — its grant, the person, the agent — is read each
//! time it is used, so that what ends any of them ends it at once. What a program says of itself is
//! data: it is shown as the program's own words, and decides nothing but where its user is sent back to.

mod answer;
mod authorize;
mod client;
mod documents;
mod metadata;
mod redirect;
mod register;
mod token;
pub(in crate::cold) mod tokens;
mod wanted;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::http::request::Parts;
use axum::middleware::map_response;
use axum::routing::{get, post};

use crate::cold::entry::Web;
use crate::cold::listen::Peer;
use crate::cold::per_minute::PerMinute;
use crate::cold::webhooks::address::Reach;
use documents::Documents;

/// Where it is written which server's tokens the agents' door takes (RFC 9728).
pub(in crate::cold) const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/api/mcp";
/// All that a token is for.
pub(in crate::cold) const SCOPE: &str = "agent";

pub(in crate::cold) const AUTHORIZE: &str = "/oauth/authorize";
const TOKEN: &str = "/oauth/token";
const REVOKE: &str = "/oauth/revoke";
const REGISTER: &str = "/oauth/register";

/// Requests of one address in a minute: for tokens, and to register.
const TOKENS_A_MINUTE: u32 = 120;
const REGISTRATIONS_A_MINUTE: u32 = 10;

/// What the routes work with.
#[derive(Clone)]
struct OAuth(Arc<Inner>);

struct Inner {
    web: Web,
    documents: Documents,
    tokens: PerMinute,
    registrations: PerMinute,
}

/// The routes: pages for people, and what programs ask. Programs in a browser may ask from any page:
/// they bring what they know, and no cookie.
pub(in crate::cold) fn router(web: Web, reach: Reach) -> Router {
    let oauth = OAuth(Arc::new(Inner {
        web,
        documents: Documents::new(reach),
        tokens: PerMinute::new(TOKENS_A_MINUTE),
        registrations: PerMinute::new(REGISTRATIONS_A_MINUTE),
    }));
    let for_programs = Router::new()
        .route(
            "/.well-known/oauth-protected-resource",
            get(metadata::resource),
        )
        .route(RESOURCE_METADATA, get(metadata::resource))
        .route(
            "/.well-known/oauth-authorization-server",
            get(metadata::server),
        )
        .route(TOKEN, post(token::exchange).options(answer::before))
        .route(REVOKE, post(token::revoke).options(answer::before))
        .route(REGISTER, post(register::register).options(answer::before))
        .layer(map_response(answer::allow_pages));
    Router::new()
        .route(AUTHORIZE, get(authorize::show).post(authorize::decide))
        .merge(for_programs)
        .with_state(oauth)
}

/// The address of whoever asks, for counting and for the audit log.
fn address(head: &Parts) -> Option<String> {
    let peer = head.extensions.get::<Peer>();
    peer.map(|Peer(address)| address.to_string())
}

/// The same without its port.
fn counted(head: &Parts) -> String {
    let peer = head.extensions.get::<Peer>();
    peer.map(|Peer(address)| address.ip().to_string())
        .unwrap_or_default()
}

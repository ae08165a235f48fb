//! What programs read first: whose tokens the door takes (RFC 9728), and where they are had (RFC 8414).

use axum::extract::Request;
use axum::http::StatusCode;
use serde::Serialize;

use super::answer::{Error, json};
use super::{AUTHORIZE, Body, OAuth, REGISTER, REVOKE, Response, SCOPE, State, TOKEN};
use crate::cold::api::mcp;
use crate::cold::entry::site::Base;

#[derive(Serialize)]
struct ResourceText {
    resource: String,
    authorization_servers: [String; 1],
    scopes_supported: [&'static str; 1],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

#[derive(Serialize)]
struct ServerText {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
    revocation_endpoint: String,
    scopes_supported: [&'static str; 1],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
}

pub(super) async fn resource(
    State(oauth): State<OAuth>,
    request: Request,
) -> Result<Response<Body>, Error> {
    let base = base(&oauth, &request)?;
    let text = ResourceText {
        resource: base.with(mcp::PATH),
        authorization_servers: [base.as_str().to_owned()],
        scopes_supported: [SCOPE],
        bearer_methods_supported: ["header"],
        resource_name: "countersign",
    };
    Ok(json(StatusCode::OK, &text))
}

pub(super) async fn server(
    State(oauth): State<OAuth>,
    request: Request,
) -> Result<Response<Body>, Error> {
    let base = base(&oauth, &request)?;
    let text = ServerText {
        issuer: base.as_str().to_owned(),
        authorization_endpoint: base.with(AUTHORIZE),
        token_endpoint: base.with(TOKEN),
        registration_endpoint: base.with(REGISTER),
        revocation_endpoint: base.with(REVOKE),
        scopes_supported: [SCOPE],
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
    };
    Ok(json(StatusCode::OK, &text))
}

fn base(oauth: &OAuth, request: &Request) -> Result<Base, Error> {
    let base = oauth.0.web.site().of(request.headers());
    base.ok_or(Error::UnknownHost)
}

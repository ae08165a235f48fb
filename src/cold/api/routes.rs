//! Every route of the API with the scopes that it takes. The router is made of this table and of
//! nothing else, so that a route that is not listed is not served.

use std::pin::Pin;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, any, on};

use super::about::About;
use super::exchange::{Ask, Reply, answer, problem};
use super::mcp::{Access, Mcp};
use super::problem::Problem;
use super::versions::{agent_versions, card_versions, customer_versions};
use super::{
    Served, access, agents, alerts, attestations, audit, cards, connections, customers, decisions,
    evaluate, imports, intents, keys, mcp, openapi, purchases, simple, transactions, webhooks,
};
use crate::cold::entry::site::Site;
use crate::cold::store::Scope;

/// Who looks at everything in reach of his key.
const PEOPLE: &[Scope] = &[Scope::Owner, Scope::Reviewer, Scope::Viewer];
/// Who looks at what is an agent's own, too.
const EVERYBODY: &[Scope] = &Scope::ALL;
/// Who stops cards.
const STOPPERS: &[Scope] = &[Scope::Owner, Scope::Reviewer];
/// Who makes cards: agents where their customer allows it.
const MAKERS: &[Scope] = &[Scope::Owner, Scope::Agent];
/// Who says what cards are used for.
const SPENDERS: &[Scope] = &[Scope::Owner, Scope::Agent];
/// Who asks to buy.
const BUYERS: &[Scope] = &[Scope::Agent];
const OWNERS: &[Scope] = &[Scope::Owner];

pub(super) type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

/// One method of one path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{id}` where an id stands.
    pub path: &'static str,
    /// The scopes that may ask; every other is refused with 403.
    pub scopes: &'static [Scope],
    /// What it takes and gives.
    pub about: About,
    pub(super) handler: fn(Ask) -> Outcome,
}

/// The rows of the table: method, path, scopes, handler, and what is told of it.
macro_rules! table {
    ($($method:ident $path:literal $scopes:ident $noun:ident::$handler:ident $about:ident;)+) => {
        vec![$(Route {
            method: Method::$method,
            path: $path,
            scopes: $scopes,
            about: $noun::$about,
            handler: |ask| Box::pin($noun::$handler(ask)),
        }),+]
    };
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    table! {
        POST "/v1/customers" OWNERS customers::create CREATE;
        GET "/v1/customers" PEOPLE customers::list LIST;
        GET "/v1/customers/{id}" PEOPLE customers::one ONE;
        PATCH "/v1/customers/{id}" OWNERS customers::change CHANGE;
        POST "/v1/agents" OWNERS agents::create CREATE;
        GET "/v1/agents" EVERYBODY agents::list LIST;
        GET "/v1/agents/{id}" EVERYBODY agents::one ONE;
        PATCH "/v1/agents/{id}" OWNERS agents::change CHANGE;
        POST "/v1/cards" MAKERS cards::create CREATE;
        GET "/v1/cards" EVERYBODY cards::list LIST;
        GET "/v1/cards/{id}" EVERYBODY cards::one ONE;
        PATCH "/v1/cards/{id}" OWNERS cards::change CHANGE;
        DELETE "/v1/cards/{id}" OWNERS cards::cancel CANCEL;
        POST "/v1/cards/{id}/freeze" STOPPERS cards::freeze FREEZE;
        POST "/v1/cards/{id}/unfreeze" OWNERS cards::unfreeze UNFREEZE;
        POST "/v1/cards/{id}/replace" OWNERS cards::replace REPLACE;
        POST "/v1/cards/{id}/reveal" SPENDERS cards::reveal REVEAL;
        GET "/v1/cards/{id}/policy" EVERYBODY cards::policy POLICY;
        POST "/v1/customers/{id}/policy/versions" OWNERS customer_versions::create CREATE;
        GET "/v1/customers/{id}/policy/versions" PEOPLE customer_versions::list LIST;
        GET "/v1/customers/{id}/policy/versions/{version}" PEOPLE customer_versions::one ONE;
        DELETE "/v1/customers/{id}/policy/versions/{version}" OWNERS customer_versions::delete DELETE;
        POST "/v1/customers/{id}/policy/versions/{version}/shadow" OWNERS customer_versions::shadow SHADOW;
        POST "/v1/customers/{id}/policy/versions/{version}/activate" OWNERS customer_versions::activate ACTIVATE;
        POST "/v1/customers/{id}/policy/versions/{version}/rollback" OWNERS customer_versions::roll_back ROLL_BACK;
        POST "/v1/customers/{id}/policy/versions/{version}/backtest" OWNERS customer_versions::backtest BACKTEST;
        POST "/v1/agents/{id}/policy/versions" OWNERS agent_versions::create CREATE;
        GET "/v1/agents/{id}/policy/versions" PEOPLE agent_versions::list LIST;
        GET "/v1/agents/{id}/policy/versions/{version}" PEOPLE agent_versions::one ONE;
        DELETE "/v1/agents/{id}/policy/versions/{version}" OWNERS agent_versions::delete DELETE;
        POST "/v1/agents/{id}/policy/versions/{version}/shadow" OWNERS agent_versions::shadow SHADOW;
        POST "/v1/agents/{id}/policy/versions/{version}/activate" OWNERS agent_versions::activate ACTIVATE;
        POST "/v1/agents/{id}/policy/versions/{version}/rollback" OWNERS agent_versions::roll_back ROLL_BACK;
        POST "/v1/agents/{id}/policy/versions/{version}/backtest" OWNERS agent_versions::backtest BACKTEST;
        POST "/v1/cards/{id}/policy/versions" OWNERS card_versions::create CREATE;
        GET "/v1/cards/{id}/policy/versions" PEOPLE card_versions::list LIST;
        GET "/v1/cards/{id}/policy/versions/{version}" PEOPLE card_versions::one ONE;
        DELETE "/v1/cards/{id}/policy/versions/{version}" OWNERS card_versions::delete DELETE;
        POST "/v1/cards/{id}/policy/versions/{version}/shadow" OWNERS card_versions::shadow SHADOW;
        POST "/v1/cards/{id}/policy/versions/{version}/activate" OWNERS card_versions::activate ACTIVATE;
        POST "/v1/cards/{id}/policy/versions/{version}/rollback" OWNERS card_versions::roll_back ROLL_BACK;
        POST "/v1/cards/{id}/policy/versions/{version}/backtest" OWNERS card_versions::backtest BACKTEST;
        POST "/v1/cards/{id}/intents" SPENDERS intents::create CREATE;
        GET "/v1/cards/{id}/intents" EVERYBODY intents::list LIST;
        GET "/v1/cards/{id}/intents/{intentId}" EVERYBODY intents::one ONE;
        DELETE "/v1/cards/{id}/intents/{intentId}" SPENDERS intents::cancel CANCEL;
        POST "/v1/cards/{id}/intents/{intentId}/approve" STOPPERS intents::approve APPROVE;
        POST "/v1/cards/{id}/intents/{intentId}/reject" STOPPERS intents::reject REJECT;
        POST "/v1/cards/{id}/attestations" SPENDERS attestations::create CREATE;
        GET "/v1/cards/{id}/attestations" EVERYBODY attestations::list LIST;
        GET "/v1/transactions" EVERYBODY transactions::list LIST;
        GET "/v1/decisions" EVERYBODY decisions::list LIST;
        GET "/v1/decisions/{id}" EVERYBODY decisions::one ONE;
        POST "/v1/spend/evaluate" EVERYBODY evaluate::spend SPEND;
        POST "/v1/purchase-requests" BUYERS purchases::create CREATE;
        GET "/v1/purchase-requests" EVERYBODY purchases::list LIST;
        GET "/v1/purchase-requests/{id}" EVERYBODY purchases::one ONE;
        POST "/v1/purchase-requests/{id}/approve" STOPPERS purchases::approve APPROVE;
        POST "/v1/purchase-requests/{id}/deny" STOPPERS purchases::deny DENY;
        POST "/v1/access-requests" BUYERS access::create CREATE;
        GET "/v1/access-requests" EVERYBODY access::list LIST;
        GET "/v1/access-requests/{id}" EVERYBODY access::one ONE;
        POST "/v1/access-requests/{id}/grant" OWNERS access::grant GRANT;
        POST "/v1/access-requests/{id}/refuse" OWNERS access::refuse REFUSE;
        GET "/v1/agents/{id}/spending" EVERYBODY purchases::spending SPENDING;
        GET "/v1/connections" OWNERS connections::list LIST;
        GET "/v1/connections/{id}" OWNERS connections::one ONE;
        POST "/v1/connections/{id}/key" OWNERS connections::set_key SET_KEY;
        POST "/v1/connections/{id}/import" OWNERS imports::run RUN;
        POST "/api/v1/cards" MAKERS simple::create CREATE;
        GET "/api/v1/cards" EVERYBODY simple::list LIST;
        GET "/api/v1/cards/{id}" EVERYBODY simple::one ONE;
        POST "/api/v1/cards/{id}/reveal" SPENDERS simple::reveal REVEAL;
        DELETE "/api/v1/cards/{id}" OWNERS simple::cancel CANCEL;
        GET "/v1/alerts" PEOPLE alerts::list LIST;
        POST "/v1/webhooks" OWNERS webhooks::create CREATE;
        GET "/v1/webhooks" OWNERS webhooks::list LIST;
        GET "/v1/webhooks/{id}" OWNERS webhooks::one ONE;
        PATCH "/v1/webhooks/{id}" OWNERS webhooks::change CHANGE;
        DELETE "/v1/webhooks/{id}" OWNERS webhooks::remove REMOVE;
        POST "/v1/webhooks/{id}/rotate" OWNERS webhooks::rotate ROTATE;
        POST "/v1/webhooks/{id}/test" OWNERS webhooks::test TEST;
        GET "/v1/webhooks/{id}/deliveries" OWNERS webhooks::deliveries DELIVERIES;
        POST "/v1/webhooks/{id}/deliveries/{deliveryId}/replay" OWNERS webhooks::replay REPLAY;
        GET "/v1/audit" OWNERS audit::list LIST;
        POST "/v1/api-keys" OWNERS keys::create CREATE;
        GET "/v1/api-keys" OWNERS keys::list LIST;
        GET "/v1/api-keys/{id}" OWNERS keys::one ONE;
        DELETE "/v1/api-keys/{id}" OWNERS keys::revoke REVOKE;
    }
});

/// What is asked of no route.
#[derive(Clone, Copy, Debug)]
pub(in crate::cold) enum Unrouted {
    /// A path that is no text.
    NoText,
    /// By a method that the path does not take.
    Method,
}

impl IntoResponse for Unrouted {
    fn into_response(self) -> Response {
        problem(&match self {
            Self::NoText => Problem::invalid_field("", "the path is no text in UTF-8"),
            Self::Method => Problem::method_not_allowed(),
        })
    }
}

/// All of them.
#[must_use]
pub fn routes() -> &'static [Route] {
    &ROUTES
}

/// Serves them.
pub fn router(served: &Served, access: &Access, site: &Site) -> Router {
    let mut router = Router::new();
    for route in routes() {
        // Every method of the table has a filter.
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else {
            continue;
        };
        let served = Served::clone(served);
        let handler = move |params: RawPathParams, request: Request<Body>| {
            answer(route, Served::clone(&served), params, request)
        };
        router = router.route(route.path, on(filter, handler));
    }
    let mcp = Mcp::new(served, access, site.clone());
    router = router.route(
        mcp::PATH,
        any(move |request: Request<Body>| mcp.clone().answer(request)),
    );
    for (path, kind, text) in openapi::pages() {
        let answer = async move || openapi::page(kind, text);
        router = router.route(path, on(MethodFilter::GET, answer));
    }
    router
        .fallback(async || problem(&Problem::no_such_path()))
        .method_not_allowed_fallback(async || -> Response {
            problem(&Problem::method_not_allowed())
        })
}

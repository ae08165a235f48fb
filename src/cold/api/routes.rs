//! Every route of the API with the scopes that it takes. The router is made of this table and of
//! nothing else, so that a route that is not listed is not served.

use std::pin::Pin;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, on};

use super::exchange::{Ask, Reply, answer, problem};
use super::problem::Problem;
use super::{Served, agents, cards, connections, customers, decisions, evaluate, imports, keys};
use crate::cold::store::Scope;

/// Who looks at everything in reach of his key.
const PEOPLE: &[Scope] = &[Scope::Owner, Scope::Reviewer, Scope::Viewer];
/// Who looks at what is an agent's own, too.
const EVERYBODY: &[Scope] = &Scope::ALL;
/// Who stops cards.
const STOPPERS: &[Scope] = &[Scope::Owner, Scope::Reviewer];
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
    pub(super) handler: fn(Ask) -> Outcome,
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let route = |method, path, scopes, handler| Route {
        method,
        path,
        scopes,
        handler,
    };
    let (get, post) = (Method::GET, Method::POST);
    let (patch, delete) = (Method::PATCH, Method::DELETE);
    let (customers_path, customer) = ("/v1/customers", "/v1/customers/{id}");
    let (agents_path, agent) = ("/v1/agents", "/v1/agents/{id}");
    let (cards_path, card) = ("/v1/cards", "/v1/cards/{id}");
    let (connections_path, its_key) = ("/v1/connections", "/v1/connections/{id}/key");
    let import = "/v1/connections/{id}/import";
    let (keys_path, key) = ("/v1/api-keys", "/v1/api-keys/{id}");
    let (freeze, unfreeze) = ("/v1/cards/{id}/freeze", "/v1/cards/{id}/unfreeze");
    let card_policy = "/v1/cards/{id}/policy";
    let (decisions_path, decision) = ("/v1/decisions", "/v1/decisions/{id}");
    vec![
        route(post.clone(), customers_path, OWNERS, |ask| {
            Box::pin(customers::create(ask))
        }),
        route(get.clone(), customers_path, PEOPLE, |ask| {
            Box::pin(customers::list(ask))
        }),
        route(get.clone(), customer, PEOPLE, |ask| {
            Box::pin(customers::one(ask))
        }),
        route(patch.clone(), customer, OWNERS, |ask| {
            Box::pin(customers::change(ask))
        }),
        route(post.clone(), agents_path, OWNERS, |ask| {
            Box::pin(agents::create(ask))
        }),
        route(get.clone(), agents_path, EVERYBODY, |ask| {
            Box::pin(agents::list(ask))
        }),
        route(get.clone(), agent, EVERYBODY, |ask| {
            Box::pin(agents::one(ask))
        }),
        route(patch.clone(), agent, OWNERS, |ask| {
            Box::pin(agents::change(ask))
        }),
        route(post.clone(), cards_path, OWNERS, |ask| {
            Box::pin(cards::create(ask))
        }),
        route(get.clone(), cards_path, EVERYBODY, |ask| {
            Box::pin(cards::list(ask))
        }),
        route(get.clone(), card, EVERYBODY, |ask| {
            Box::pin(cards::one(ask))
        }),
        route(patch, card, OWNERS, |ask| Box::pin(cards::change(ask))),
        route(delete.clone(), card, OWNERS, |ask| {
            Box::pin(cards::cancel(ask))
        }),
        route(post.clone(), freeze, STOPPERS, |ask| {
            Box::pin(cards::freeze(ask))
        }),
        route(post.clone(), unfreeze, OWNERS, |ask| {
            Box::pin(cards::unfreeze(ask))
        }),
        route(get.clone(), card_policy, EVERYBODY, |ask| {
            Box::pin(cards::policy(ask))
        }),
        route(get.clone(), decisions_path, EVERYBODY, |ask| {
            Box::pin(decisions::list(ask))
        }),
        route(get.clone(), decision, EVERYBODY, |ask| {
            Box::pin(decisions::one(ask))
        }),
        route(post.clone(), "/v1/spend/evaluate", EVERYBODY, |ask| {
            Box::pin(evaluate::spend(ask))
        }),
        route(get.clone(), connections_path, OWNERS, |ask| {
            Box::pin(connections::list(ask))
        }),
        route(post.clone(), its_key, OWNERS, |ask| {
            Box::pin(connections::set_key(ask))
        }),
        route(post.clone(), import, OWNERS, |ask| {
            Box::pin(imports::run(ask))
        }),
        route(post, keys_path, OWNERS, |ask| Box::pin(keys::create(ask))),
        route(get.clone(), keys_path, OWNERS, |ask| {
            Box::pin(keys::list(ask))
        }),
        route(get, key, OWNERS, |ask| Box::pin(keys::one(ask))),
        route(delete, key, OWNERS, |ask| Box::pin(keys::revoke(ask))),
    ]
});

/// All of them.
#[must_use]
pub fn routes() -> &'static [Route] {
    &ROUTES
}

/// Serves them.
pub fn router(served: &Served) -> Router {
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
    router
        .fallback(async || problem(&Problem::no_such_path()))
        .method_not_allowed_fallback(async || -> Response {
            problem(&Problem::method_not_allowed())
        })
}

//! Who asks: the key of a request, and what it reaches.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::Api;
use super::problem::Problem;
use crate::cold::oauth::tokens;
use crate::cold::store::access::AccessRequest;
use crate::cold::store::grants::Grant;
use crate::cold::store::people::User;
use crate::cold::store::purchases::Purchase;
use crate::cold::store::webhook::Webhook;
use crate::cold::store::{Agent, ApiKey, Card, Customer, Mode, Scope};
use crate::domain::time::Timestamp;

/// A key that is in force.
#[derive(Clone, Debug)]
pub(in crate::cold) struct Caller {
    pub(in crate::cold) key: ApiKey,
}

impl Caller {
    /// The caller of a request with these headers.
    pub(super) async fn of(api: &Api, headers: &HeaderMap) -> Result<Self, Problem> {
        Self::of_key(api, text_of(headers)?).await
    }

    /// The same at the agents' door, which opens to the tokens of programs as well (behaviour 7.1). A
    /// token is good for the address that it was asked for, and for no other.
    pub(super) async fn at_the_door(
        api: &Api,
        headers: &HeaderMap,
        is_here: impl Fn(&str) -> bool,
    ) -> Result<Self, Problem> {
        let text = text_of(headers)?;
        let Some(hash) = tokens::hash_of_access(&api.secret, text) else {
            return Self::of_key(api, text).await;
        };
        let found = api.store.people().bearer(hash, api.clock.now()).await?;
        let ended = || Problem::unauthorized("the token is unknown, expired or revoked");
        let grant = found.filter(|grant| is_here(&grant.resource));
        let grant = grant.ok_or_else(ended)?;
        match api.is_at_work(&grant.agent_id).await {
            Some(true) => Ok(Self::of_grant(grant)),
            Some(false) => Err(ended()),
            None => Err(Problem::not_ready()),
        }
    }

    async fn of_key(api: &Api, text: &str) -> Result<Self, Problem> {
        let unknown = || Problem::unauthorized("the key is unknown or revoked");
        let hash = api.secret.hash_of_key(text).ok_or_else(unknown)?;
        let found = api.store.api_key_by_hash(hash).await?;
        let key = found.filter(|key| key.revoked_at.is_none());
        key.map(|key| Self { key }).ok_or_else(unknown)
    }

    /// Whoever has the link to a request's card: he may look at it as its agent may.
    pub(super) fn by_link(row: &Purchase, now: Timestamp) -> Self {
        Self {
            key: ApiKey {
                id: row.id.clone(),
                mode: row.mode,
                scope: Scope::Agent,
                customer_id: Some(row.customer_id.clone()),
                agent_id: Some(row.agent_id.clone()),
                name: None,
                created_at: now,
                revoked_at: None,
                revision: 0,
            },
        }
    }

    /// Whoever sees the chat that this endpoint is: what a notice there decides is a reviewer's word.
    pub(super) fn of_chat(webhook: &Webhook, now: Timestamp) -> Self {
        Self {
            key: ApiKey {
                id: webhook.id.clone(),
                mode: webhook.mode,
                scope: Scope::Reviewer,
                customer_id: webhook.customer_id.clone(),
                agent_id: None,
                name: None,
                created_at: now,
                revoked_at: None,
                revision: 0,
            },
        }
    }

    /// Somebody who has signed in: he reaches what a key of his scope does.
    pub(in crate::cold) fn of_user(user: &User) -> Self {
        let key = ApiKey {
            id: user.id.clone(),
            mode: user.mode,
            scope: user.scope,
            customer_id: user.customer_id.clone(),
            agent_id: None,
            name: user.name.clone(),
            created_at: user.created_at,
            revoked_at: user.disabled_at,
            revision: user.revision,
        };
        Self { key }
    }

    /// A program that somebody has let act as one agent: as that agent's key does.
    pub(super) fn of_grant(grant: Grant) -> Self {
        let key = ApiKey {
            id: grant.id,
            mode: grant.mode,
            scope: Scope::Agent,
            customer_id: Some(grant.customer_id),
            agent_id: Some(grant.agent_id),
            name: grant.client_name,
            created_at: grant.created_at,
            revoked_at: grant.revoked_at,
            revision: 1,
        };
        Self { key }
    }

    pub(in crate::cold) fn mode(&self) -> Mode {
        self.key.mode
    }

    fn reaches(&self, mode: Mode, customer: &str, agent: Option<&str>) -> bool {
        let of_customer = self.key.customer_id.as_deref();
        let of_agent = self.key.agent_id.as_deref();
        mode == self.key.mode
            && of_customer.is_none_or(|own| own == customer)
            && of_agent.is_none_or(|own| agent == Some(own))
    }

    /// Whether the key reaches all customers of its mode.
    pub(super) fn reaches_all(&self) -> bool {
        self.key.customer_id.is_none() && self.key.agent_id.is_none()
    }

    /// Whether an agent is in reach.
    pub(in crate::cold) fn reaches_agent(&self, row: &Agent) -> bool {
        self.reaches(row.mode, &row.customer_id, Some(&row.id))
    }

    /// Whether what somebody has allowed is in reach.
    pub(in crate::cold) fn reaches_grant(&self, row: &Grant) -> bool {
        self.reaches(row.mode, &row.customer_id, Some(&row.agent_id))
    }

    /// The row where it is there and in reach. Else the answer is the same, whichever it is
    /// (behaviour 4.7).
    pub(super) fn customer(&self, found: Option<Customer>) -> Result<Customer, Problem> {
        let found = found.filter(|row| self.reaches(row.mode, &row.id, None));
        found.ok_or_else(Problem::not_found)
    }

    /// The same for an agent.
    pub(super) fn agent(&self, found: Option<Agent>) -> Result<Agent, Problem> {
        let found = found.filter(|row| self.reaches(row.mode, &row.customer_id, Some(&row.id)));
        found.ok_or_else(Problem::not_found)
    }

    /// The same for a card.
    pub(super) fn card(&self, found: Option<Card>) -> Result<Card, Problem> {
        let in_reach =
            |row: &Card| self.reaches(row.mode, &row.customer_id, row.agent_id.as_deref());
        found.filter(in_reach).ok_or_else(Problem::not_found)
    }

    /// The same for a purchase request.
    pub(super) fn purchase(&self, row: Purchase) -> Result<Purchase, Problem> {
        let is_in_reach = self.reaches(row.mode, &row.customer_id, Some(&row.agent_id));
        Some(row)
            .filter(|_| is_in_reach)
            .ok_or_else(Problem::not_found)
    }

    /// The same for a request to be at work.
    pub(super) fn access(&self, found: Option<AccessRequest>) -> Result<AccessRequest, Problem> {
        let in_reach =
            |row: &AccessRequest| self.reaches(row.mode, &row.customer_id, Some(&row.agent_id));
        found.filter(in_reach).ok_or_else(Problem::not_found)
    }

    /// The same for a key.
    pub(super) fn api_key(&self, found: Option<ApiKey>) -> Result<ApiKey, Problem> {
        let in_reach = |row: &ApiKey| {
            row.mode == self.key.mode
                && (self.key.customer_id.is_none() || row.customer_id == self.key.customer_id)
                && (self.key.agent_id.is_none() || row.agent_id == self.key.agent_id)
        };
        found.filter(in_reach).ok_or_else(Problem::not_found)
    }

    /// The same for a webhook.
    pub(super) fn webhook(&self, found: Option<Webhook>) -> Result<Webhook, Problem> {
        let in_reach = |row: &Webhook| {
            row.mode == self.key.mode
                && (self.key.customer_id.is_none() || row.customer_id == self.key.customer_id)
        };
        found.filter(in_reach).ok_or_else(Problem::not_found)
    }

    /// Refuses a scope that a route does not take.
    pub(super) fn check_scope(&self, allowed: &[Scope]) -> Result<(), Problem> {
        if allowed.contains(&self.key.scope) {
            return Ok(());
        }
        Err(Problem::scope_not_allowed(self.key.scope.name()))
    }
}

/// What a request brings, whatever it opens.
fn text_of(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let missing = || Problem::unauthorized("send `Authorization: Bearer cs_…`, once");
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(missing());
    };
    let text = value.to_str().ok().and_then(bearer);
    text.ok_or_else(missing)
}

/// The text behind `Bearer`, in any case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

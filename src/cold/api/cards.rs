//! `/v1/cards` (behaviour 4.1, 4.3): made at an issuer, kept, in force, and only then answered.

mod change;
mod new;
mod order;
mod standing;
mod view;

use std::sync::Arc;

use serde::Serialize;

use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::{Page, narrow};
use crate::cold::api::Api;
use crate::cold::issuers::IssuerClient;
use crate::cold::issuers::rules::{self, Rules};
use crate::cold::ops::cards::policy::{Look, PolicyShown};
use crate::cold::store::Card;
use view::CardShown;

pub(super) use change::{cancel, change, freeze, unfreeze};
pub(super) use new::create;

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut listed = ask.query.listed(&ask.caller)?;
    let customer = ask.query.take("customerId")?;
    let agent = ask.query.take("agentId")?;
    ask.query.finish()?;
    let in_reach = narrow(&mut listed.customer_id, customer) && narrow(&mut listed.agent_id, agent);
    if !in_reach {
        return Reply::ok(&<Page<CardShown>>::empty());
    }
    let limit = listed.limit;
    let rows = ask.api.store.cards(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(ask.api.card_shown(row).await?);
    }
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    Reply::ok(&ask.api.card_shown(row).await?)
}

/// Each value with its level, each limit with what is spent, held and left.
pub(super) async fn policy(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    let snapshot = Arc::clone(&ask.api.snapshots.load());
    // A card that is not in force has no policy that is.
    let look = Look::at(snapshot, &row.id, ask.now).ok_or_else(Problem::file_rules)?;
    let seen = ask.api.ask_ledger(look.in_ledger()).await?;
    let policy = look.shown(&seen).ok_or_else(Problem::internal)?;
    let unenforced = unenforced(&ask, &row).await?;
    Reply::ok(&PolicyThere { policy, unenforced })
}

/// A policy, and what of it nobody enforces.
#[derive(Serialize)]
struct PolicyThere {
    #[serde(flatten)]
    policy: PolicyShown,
    /// Fields that the issuer cannot hold, where nothing but the issuer holds them.
    unenforced: Vec<String>,
}

async fn unenforced(ask: &Ask, row: &Card) -> Result<Vec<String>, Problem> {
    let Some(issuer) = ask.api.issuer_of(&row.connection) else {
        return Ok(Vec::new());
    };
    if issuer.manner().asks {
        return Ok(Vec::new());
    }
    Ok(issuer.unenforced(&ask.api.rules_of(row).await?))
}

impl Api {
    /// Who makes the cards of a connection.
    pub(super) fn issuer_of(&self, connection: &str) -> Option<&dyn IssuerClient> {
        let mut issuers = self.issuers.iter().map(|issuer| &**issuer);
        issuers.find(|it| it.connection() == connection)
    }

    /// What an issuer may hold of a card's rules, with every field that is set.
    pub(super) async fn rules_of(&self, row: &Card) -> Result<Rules, Problem> {
        let rules = rules::of_card(&*self.store, row).await?;
        rules.ok_or_else(Problem::internal)
    }
}

/// The card of this id, where the caller may know of it.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Card, Problem> {
    let found = ask.api.store.card(id.to_owned()).await?;
    ask.caller.card(found)
}

//! `POST /v1/connections/{id}/import`: takes over cards that an issuer has and nobody here knows
//! (behaviour 3.7).

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, shape};
use super::body::read;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::{cards, connections, customers, fleet};
use crate::cold::control::Work;
use crate::cold::ids::draw;
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::{CardThere, State};
use crate::cold::mirror;
use crate::cold::store::outward::CardOrigin;
use crate::cold::store::versions::Versions;
use crate::cold::store::{Card, Change};
use crate::decide::policy::Policy;
use crate::domain::card::{CardStatus, Usage};

/// Cards that one commit takes over.
const AT_ONCE: usize = 200;
/// Cards that one answer lists.
const SHOWN_MAX: usize = 1_000;

pub(super) const RUN: About = About {
    takes: Some(shape::<Wanted>),
    gives: &[Given::ok(shape::<Outcome>)],
    problems: &[
        Code::NotFound,
        Code::BeyondReach,
        Code::SnapshotFileRules,
        Code::AgentDisabled,
        Code::FleetCapReached,
        Code::NotEnforced,
        Code::IssuerUnavailable,
        Code::IssuerDenied,
        Code::IssuerRefused,
        Code::Conflict,
    ],
    ..About::new(
        "importCards",
        "Takes over cards that an issuer has and nobody here knows.",
    )
};

/// Who gets the cards.
#[derive(Deserialize, ToSchema)]
#[schema(as = Import)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    customer_id: String,
    agent_id: Option<String>,
    /// Without a word nothing is taken over.
    dry_run: Option<bool>,
    /// Take rules of agent and customer that nobody holds, where the connection's issuer never asks.
    #[serde(default)]
    allow_unenforced: bool,
}

/// What an import found and did.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportOutcome)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    dry_run: bool,
    /// Cards that the issuer has.
    found: usize,
    /// Those that are known here already.
    known: usize,
    /// Those that are closed there, or were ordered here and are not answered yet.
    passed_over: usize,
    /// Those that were taken over, or would be.
    imported: usize,
    /// The first of them.
    cards: Vec<Imported>,
}

/// One card of an issuer.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedCard)]
#[serde(rename_all = "camelCase")]
pub(super) struct Imported {
    /// Ours; null where nothing was taken over.
    id: Option<String>,
    last4: Option<String>,
    status: &'static str,
}

pub(super) async fn run(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let wanted: Wanted = read(&ask.body)?;
    let customer = customers::find(&ask, &wanted.customer_id).await?;
    let agent = cards::agent(&ask, wanted.agent_id.as_deref(), &customer).await?;
    let dry_run = wanted.dry_run.unwrap_or(true);
    if !ask.caller.reaches_all() {
        let what = "a key of one customer takes over no cards of a connection";
        return Err(Problem::beyond_reach(what));
    }
    if !dry_run && !ask.api.rows_rule {
        return Err(Problem::file_rules());
    }
    let issuer = connections::find(&ask)?;
    if !issuer.manner().asks {
        let rules = Rules::of(&Policy::default(), Usage::Multi, &customer);
        let rules = rules.with_fields((None, None), agent.as_ref(), &customer);
        cards::refuse_unenforced(issuer, &rules, wanted.allow_unenforced)?;
    }
    let agent_id = agent.map(|agent| agent.id);
    let of = (&*customer.id, agent_id.as_deref());
    let cards = mirror::all_cards(issuer).await?;
    let ordered = mirror::ordered(&*ask.api.store).await?;
    let mut outcome = Outcome {
        dry_run,
        found: cards.len(),
        known: 0,
        passed_over: 0,
        imported: 0,
        cards: Vec::new(),
    };
    let mut batch = Vec::new();
    for there in cards {
        let at = (issuer.connection().to_owned(), there.token.clone());
        let is_ordered = there
            .card_id
            .as_ref()
            .is_some_and(|id| ordered.contains(id));
        if ask.api.store.card_at(at.0, at.1).await?.is_some() {
            outcome.known += 1;
            continue;
        }
        if there.state == State::Closed || is_ordered {
            outcome.passed_over += 1;
            continue;
        }
        let card = row(&ask, there, issuer.connection(), of);
        outcome.imported += 1;
        if outcome.cards.len() < SHOWN_MAX {
            outcome.cards.push(Imported {
                id: (!dry_run).then(|| card.id.clone()),
                last4: card.last4.clone(),
                status: card.status.name(),
            });
        }
        if !dry_run {
            batch.push(card);
        }
        if batch.len() >= AT_ONCE {
            keep(&ask, of, std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        keep(&ask, of, batch).await?;
    }
    Reply::ok(&outcome)
}

/// As many cards as there is room for, as with cards that are made. What their owner's standing stops
/// stops at the issuer.
async fn keep(
    ask: &Ask,
    (customer, agent): (&str, Option<&str>),
    batch: Vec<Card>,
) -> Result<(), Problem> {
    let customer = customers::find(ask, customer).await?;
    let room = fleet::room_for_cards(&ask.api, customer, agent, batch.len()).await?;
    let told = cards::stopped_above(ask, &batch).await?;
    let taken = batch.into_iter().flat_map(taken_over);
    let work = Work {
        batch: taken.chain(room).chain(told).collect(),
        ..Work::default()
    };
    ask.make_part(work, StatusCode::OK).await
}

/// A card that the issuer knows no limits of ours for: its agent's and its customer's are in force.
fn row(ask: &Ask, there: CardThere, connection: &str, of: (&str, Option<&str>)) -> Card {
    Card {
        id: draw("card", ask.now),
        mode: ask.caller.mode(),
        customer_id: of.0.to_owned(),
        agent_id: of.1.map(str::to_owned),
        connection: connection.to_owned(),
        issuer_token: there.token,
        is_physical: there.is_physical,
        usage: Usage::Multi,
        status: match there.state {
            // Plastic on its way works here once it works there.
            State::Paused | State::Coming => CardStatus::Locked,
            State::Open | State::Other | State::Closed => CardStatus::Active,
        },
        is_frozen: false,
        last4: there.last4,
        exp_month: there.exp_month,
        exp_year: there.exp_year,
        limit: None,
        policy: None,
        versions: Versions::default(),
        label: None,
        created_at: ask.now,
        revision: 0,
    }
}

fn taken_over(card: Card) -> [Change; 2] {
    let origin = CardOrigin {
        card_id: card.id.clone(),
        has_past: true,
        is_paused_there: card.status == CardStatus::Locked,
        lacks_lock: true,
    };
    [Change::Card(card), Change::Origin(origin)]
}

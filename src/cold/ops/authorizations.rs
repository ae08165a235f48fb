//! `/admin/authorizations/{connection}/{id}`: what became of an authorization after it was decided
//! (behaviour 2.16). The same stands beside each decision of it as `outcome`.
//!
//! The ledger is looked at on a hot thread, a few dozen lookups by key in one command.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::OpsState;
use super::cards::in_time;
use super::problem::Problem;
use super::query::Parameters;
use crate::cold::records::DecisionRecord;
use crate::domain::card::Key;
use crate::domain::decision::Decision;
use crate::domain::identity::{KeySpace, Keys};
use crate::domain::lifecycle::Flags;
use crate::ledger::authorization::Authorization;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::life::{Books, Life};
use crate::ledger::state::State as LedgerState;

/// Lookups, or owners that are asked, in one command.
const STEP_LEN: usize = 64;

/// Where an authorization stands after what its issuer has reported. Amounts are in minor units.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold) struct Outcome {
    /// `open`, `closed`, `expired`, `reversed` or `declined`.
    pub(in crate::cold) state: &'static str,
    pub(in crate::cold) held: i64,
    pub(in crate::cold) posted: i64,
    pub(in crate::cold) refunded: i64,
    /// What of it a refund has given back to the budget.
    pub(in crate::cold) restored: i64,
    /// What an operator should look at: `forced`, `excess`, `declined_by_issuer`, `drift`,
    /// `disputed`.
    pub(in crate::cold) flags: Vec<&'static str>,
    /// When its issuer last reported something new.
    pub(in crate::cold) at: String,
}

/// One authorization. Absent values are null.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizationShown {
    connection: String,
    authorization: String,
    /// Null where nobody knows its card.
    customer_id: Option<String>,
    card_id: Option<String>,
    agent_id: Option<String>,
    /// What it holds now.
    held: i64,
    steps: Vec<StepShown>,
    /// Null as long as its issuer has reported nothing.
    outcome: Option<Outcome>,
}

/// One step as it was decided.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepShown {
    at: String,
    decision: &'static str,
    reason: Option<&'static str>,
    approved_amount: i64,
}

pub(super) async fn one(
    State(state): State<OpsState>,
    Path((connection, id)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Json<AuthorizationShown>, Problem> {
    parameters.finish()?;
    let keys = &state.running()?.keys;
    let parts = [connection.as_bytes(), id.as_bytes()];
    let key = keys.key(KeySpace::Authorization, &parts);
    let mut from = 0;
    loop {
        let (name, text) = (connection.clone(), id.clone());
        let looked = state.ledger.ask(move |ledger| {
            ledger.search(from, STEP_LEN, |state| {
                let found = state.authorization(key)?;
                Some(shown(state, found, name.clone(), text.clone()))
            })
        });
        match in_time(looked).await? {
            Ok(found) => return Ok(Json(found)),
            Err(Some(next)) => from = next,
            Err(None) => return Err(Problem::not_found("There is no such authorization")),
        }
    }
}

/// What became of the authorizations of these records, in their order.
pub(super) async fn outcomes(
    state: &OpsState,
    records: &[DecisionRecord],
) -> Result<Vec<Option<Outcome>>, Problem> {
    let keys = &state.running()?.keys;
    let wanted: Vec<_> = records.iter().map(|it| wanted(keys, it)).collect();
    let mut found = Vec::new();
    for step in wanted.chunks(STEP_LEN) {
        let step = step.to_vec();
        let looked = state.ledger.ask(move |ledger| {
            let each = step.into_iter().map(|wanted| look_at(ledger, wanted?));
            each.collect::<Vec<_>>()
        });
        found.extend(in_time(looked).await?);
    }
    Ok(found)
}

/// What became of an authorization that was decided here, as far as the ledger remembers it.
#[derive(Clone, Debug)]
pub(in crate::cold) struct Standing {
    /// What its approvals were for, in minor units, increments included.
    pub(in crate::cold) approved: i64,
    /// What it holds now, in minor units.
    pub(in crate::cold) held: i64,
    /// What its issuer has reported, where it has.
    pub(in crate::cold) outcome: Option<Outcome>,
}

/// The standing of the authorization with these keys of owner and of itself.
pub(in crate::cold) fn standing(
    ledger: &EmbeddedLedger,
    (owner, key): (Key, Key),
) -> Option<Standing> {
    let looked = ledger.with_any_state(owner, |state| {
        let found = state.authorization(key)?;
        let stands = found.steps().filter(|step| step.decision.is_approval());
        Some(Standing {
            approved: stands.map(|step| step.reserved.get()).sum(),
            held: found.reserved().get(),
            outcome: outcome(found),
        })
    });
    looked.flatten()
}

/// The owner and the authorization of a record.
pub(in crate::cold) fn wanted(keys: &impl Keys, record: &DecisionRecord) -> Option<(Key, Key)> {
    let connection = record.connection.as_ref()?.as_bytes();
    let owner = match &record.customer {
        Some(customer) => keys.key(KeySpace::Customer, &[customer.as_bytes()]),
        None => keys.key(KeySpace::Connection, &[connection]),
    };
    let parts = [connection, record.authorization.as_bytes()];
    Some((owner, keys.key(KeySpace::Authorization, &parts)))
}

fn look_at(ledger: &EmbeddedLedger, (owner, key): (Key, Key)) -> Option<Outcome> {
    let looked = ledger.with_any_state(owner, |state| outcome(state.authorization(key)?));
    looked.flatten()
}

fn outcome(authorization: &Authorization) -> Option<Outcome> {
    let (life, books) = (authorization.life()?, authorization.books()?);
    Some(Outcome {
        state: word(life, &books),
        held: books.held.get(),
        posted: books.posted.get(),
        refunded: books.refunded.get(),
        restored: life.restored(&books).get(),
        flags: books.flags.names().collect(),
        at: life.last_at().rfc3339().to_string(),
    })
}

fn word(life: &Life, books: &Books) -> &'static str {
    let is_declined = books.flags.has(Flags::DECLINED_BY_ISSUER);
    if books.is_undone && books.is_reversed {
        "reversed"
    } else if books.is_undone && (is_declined || life.is_undone()) {
        "declined"
    } else if books.is_expired {
        "expired"
    } else if books.is_closed {
        "closed"
    } else {
        "open"
    }
}

fn shown(
    state: &LedgerState,
    found: &Authorization,
    connection: String,
    authorization: String,
) -> AuthorizationShown {
    let card = found.card().and_then(|card| state.card(card));
    let agent = found.steps().next().and_then(|step| step.agent);
    let agent = agent.and_then(|agent| state.agent(agent));
    AuthorizationShown {
        connection,
        authorization,
        customer_id: state.owner.customer().map(str::to_owned),
        card_id: card.map(|card| card.id.to_string()),
        agent_id: agent.map(|agent| agent.id.to_string()),
        held: found.reserved().get(),
        steps: found
            .steps()
            .map(|step| StepShown {
                at: step.at.rfc3339().to_string(),
                decision: match step.decision {
                    Decision::Approve => "approve",
                    Decision::ApprovePartial(_) => "partial",
                    Decision::Decline(_) => "decline",
                },
                reason: match step.decision {
                    Decision::Decline(reason) => Some(reason.code()),
                    Decision::Approve | Decision::ApprovePartial(_) => None,
                },
                approved_amount: step.reserved.get(),
            })
            .collect(),
        outcome: outcome(found),
    }
}

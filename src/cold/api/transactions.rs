//! `/v1/transactions`: authorizations with what became of them: held, posted, given back
//! (behaviour 2.16, 4.3). The journal's records tell which there are, the ledger where they stand.

use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Given, shape};
use super::code::Code;
use super::decisions::{List, SEARCHED, found};
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use crate::cold::ops::authorizations::{Standing, standing, wanted};
use crate::cold::records::{Cursor, DecisionRecord};
use crate::cold::schema::Reason;

/// Authorizations that a hot thread is asked about in one command.
const STEP_LEN: usize = 64;

/// One authorization, from its first message on. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    /// The id of the decision on its first message.
    id: String,
    /// The issuer connection that asked.
    connection: Option<String>,
    /// The issuer's id of it.
    authorization: String,
    customer_id: Option<String>,
    card_id: Option<String>,
    /// The agent that held the card then.
    agent_id: Option<String>,
    /// When its first message was received.
    #[schema(format = DateTime)]
    created_at: String,
    /// Of all amounts.
    currency: String,
    /// What its first message asked for.
    amount: i64,
    /// What was approved, increments included.
    approved_amount: i64,
    /// What it holds now.
    held: i64,
    /// What the merchant has claimed, refunds not taken off.
    posted: i64,
    /// What came back.
    refunded: i64,
    /// What of it was given back to the budget.
    restored: i64,
    /// `declined` also where the issuer has declined what we had approved.
    #[schema(pattern = "^(open|closed|expired|reversed|declined)$")]
    status: &'static str,
    /// Why its first message was declined; null where it was not.
    #[schema(value_type = Option<Reason>)]
    reason: Option<&'static str>,
    /// What is worth a look: `forced`, `excess`, `declined_by_issuer`, `drift`, `disputed`.
    flags: Vec<&'static str>,
    /// When its issuer last reported something new; null as long as it has not.
    #[schema(format = DateTime)]
    reported_at: Option<String>,
}

pub(super) const LIST: About = About {
    query: SEARCHED,
    gives: &[Given::list(shape::<Transaction>)],
    problems: &[Code::NotFound],
    ..About::new(
        "listTransactions",
        "Authorizations with what they hold, what was posted and what came back.",
    )
};

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut page = found(&mut ask, true).await?;
    // What is set aside for a request is no authorization of an issuer.
    page.decisions.retain(|it| !it.is_earmark());
    let mut standings = Vec::with_capacity(page.decisions.len());
    for step in page.decisions.chunks(STEP_LEN) {
        let keys: Vec<_> = step.iter().map(|it| wanted(&ask.api.keys, it)).collect();
        let looked = ask.api.ask_ledger(move |ledger| {
            let each = keys.into_iter().map(|keys| standing(ledger, keys?));
            each.collect::<Vec<_>>()
        });
        standings.extend(looked.await?);
    }
    let both = page.decisions.into_iter().zip(standings);
    Reply::ok(&List {
        data: both.map(|(first, stands)| shown(first, stands)).collect(),
        next: page.next.map(Cursor::text),
    })
}

/// An authorization that the ledger has forgotten holds nothing any more.
fn shown(first: DecisionRecord, stands: Option<Standing>) -> Transaction {
    let approved = stands.as_ref().map(|it| it.approved);
    let held = stands.as_ref().map_or(0, |it| it.held);
    let is_forgotten = stands.is_none();
    let outcome = stands.and_then(|it| it.outcome);
    let approved_amount = approved.unwrap_or(0).max(first.approved_amount);
    let status = match &outcome {
        Some(outcome) => outcome.state,
        None if approved_amount == 0 && first.reason.is_some() => "declined",
        None if is_forgotten => "expired",
        None => "open",
    };
    let amount_of = |take: fn(&crate::cold::ops::authorizations::Outcome) -> i64| {
        outcome.as_ref().map_or(0, take)
    };
    Transaction {
        held: outcome.as_ref().map_or(held, |it| it.held),
        posted: amount_of(|it| it.posted),
        refunded: amount_of(|it| it.refunded),
        restored: amount_of(|it| it.restored),
        flags: outcome
            .as_ref()
            .map(|it| it.flags.clone())
            .unwrap_or_default(),
        reported_at: outcome.map(|it| it.at),
        id: first.id,
        connection: first.connection,
        authorization: first.authorization,
        customer_id: first.customer,
        card_id: first.card,
        agent_id: first.agent,
        created_at: first.at,
        currency: first.currency,
        amount: first.amount,
        approved_amount,
        status,
        reason: first.reason,
    }
}

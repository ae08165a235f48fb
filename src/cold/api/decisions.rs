//! `/v1/decisions`: what was decided, and why (behaviour 2.12, 4.3).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::about::{
    About, CURSOR, Given, LIMIT, OF_AGENT, OF_CUSTOMER, Parameter, ParameterKind, shape,
};
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::{agents, cards, customers};
use crate::cold::records::{Cursor, DecisionId, DecisionRecord, Filter, Page, Records};
use crate::decide::compile::parse_instant;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::follow::FollowFault;

const OF_CARD: Parameter = Parameter {
    name: "cardId",
    about: "Of this card alone.",
    kind: ParameterKind::Id,
};
const FROM: Parameter = Parameter {
    name: "from",
    about: "Received at this instant or later.",
    kind: ParameterKind::Instant,
};
const TO: Parameter = Parameter {
    name: "to",
    about: "Received before this instant.",
    kind: ParameterKind::Instant,
};
/// What may be asked of a list that is made of records. A page may be short while it has a next one.
pub(super) const SEARCHED: &[Parameter] =
    &[LIMIT, CURSOR, OF_CUSTOMER, OF_AGENT, OF_CARD, FROM, TO];

pub(super) const LIST: About = About {
    query: SEARCHED,
    gives: &[Given::list(shape::<DecisionRecord>)],
    problems: &[Code::NotFound],
    ..About::new(
        "listDecisions",
        "What was decided, and why. A page may be short, or empty, while there is a next one.",
    )
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<DecisionRecord>)],
    ..About::new("getDecision", "One decision.")
};

#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) next: Option<String>,
}

/// Which records are wanted, all of them in the caller's reach but for their mode.
struct Search {
    customer: Option<String>,
    agent: Option<String>,
    card: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
    from: Option<Cursor>,
}

impl Search {
    async fn read(ask: &mut Ask) -> Result<Self, Problem> {
        let limit = ask.query.limit()?;
        let from = match ask.query.take("cursor")? {
            Some(text) => {
                let unknown = || Problem::invalid_field("cursor", "is none that was given out");
                Some(Cursor::parse(&text).ok_or_else(unknown)?)
            }
            None => None,
        };
        let since = instant(ask, "from")?;
        let until = instant(ask, "to")?;
        if since
            .zip(until)
            .is_some_and(|(since, until)| until <= since)
        {
            return Err(Problem::invalid_field("to", "must be later than `from`"));
        }
        let customer = ask.query.take("customerId")?;
        let agent = ask.query.take("agentId")?;
        let card = ask.query.take("cardId")?;
        ask.query.finish()?;
        // What is named is there and in reach, or is not found; what is not named is the key's own.
        let customer = match customer {
            Some(id) => Some(customers::find(ask, &id).await?.id),
            None => ask.caller.key.customer_id.clone(),
        };
        let agent = match agent {
            Some(id) => Some(agents::find(ask, &id).await?.id),
            None => ask.caller.key.agent_id.clone(),
        };
        let card = match card {
            Some(id) => Some(cards::find(ask, &id).await?.id),
            None => None,
        };
        Ok(Self {
            customer,
            agent,
            card,
            since,
            until,
            limit,
            from,
        })
    }

    fn filter(&self, first_steps: bool) -> Filter<'_> {
        Filter {
            card: self.card.as_deref(),
            agent: self.agent.as_deref(),
            customer: self.customer.as_deref(),
            since: self.since,
            until: self.until,
            first_steps,
            ..Filter::default()
        }
    }
}

fn instant(ask: &mut Ask, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = ask.query.take(name)? else {
        return Ok(None);
    };
    // A plus sign that is not encoded is a space in a query.
    let instant = parse_instant(&text.replace(' ', "+"));
    let message = "must be an instant like `2026-05-30T00:00:00Z`";
    let wrong = || Problem::invalid_field(name, message);
    instant.map(Some).ok_or_else(wrong)
}

/// The records that the request is for, newest first.
pub(super) async fn found(ask: &mut Ask, first_steps: bool) -> Result<Page, Problem> {
    let wanted = Search::read(ask).await?;
    let is_of_one = wanted.customer.is_some() || wanted.agent.is_some() || wanted.card.is_some();
    let search = move |records: &Records| {
        records.page(&wanted.filter(first_steps), wanted.limit, wanted.from)
    };
    let mut page = search_records(ask, search).await?;
    if !is_of_one {
        page.decisions = of_mode(ask, page.decisions).await?;
    }
    Ok(page)
}

/// Those of the caller's mode: the journal has them all.
async fn of_mode(ask: &Ask, all: Vec<DecisionRecord>) -> Result<Vec<DecisionRecord>, Problem> {
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut own = Vec::with_capacity(all.len());
    for record in all {
        let Some(id) = record.customer.clone() else {
            continue;
        };
        let is_own = match known.get(&id) {
            Some(is_own) => *is_own,
            None => {
                let customer = ask.api.store.customer(id.clone()).await?;
                let is_own = customer.is_some_and(|row| row.mode == ask.caller.mode());
                known.insert(id, is_own);
                is_own
            }
        };
        if is_own {
            own.push(record);
        }
    }
    Ok(own)
}

/// Decisions, newest first.
pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let page = found(&mut ask, false).await?;
    Reply::ok(&List {
        data: page.decisions,
        next: page.next.map(Cursor::text),
    })
}

/// One decision, on a card that the caller may know of.
pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let id = DecisionId::parse(&ask.id).ok_or_else(Problem::not_found)?;
    let found = search_records(&ask, move |records| records.find(id)).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let card = found.card.as_deref().ok_or_else(Problem::not_found)?;
    let _in_reach = cards::find(&ask, card).await?;
    Reply::ok(&found)
}

/// Searches on a thread that may block: it reads files.
async fn search_records<T: Send + 'static>(
    ask: &Ask,
    search: impl FnOnce(&Records) -> Result<T, FollowFault> + Send + 'static,
) -> Result<T, Problem> {
    let records = Arc::clone(&ask.api.records);
    let found = tokio::task::spawn_blocking(move || search(&records)).await;
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a record of a decision cannot be read");
        Problem::internal()
    };
    match found {
        Ok(found) => found.map_err(|fault| internal(&fault)),
        Err(error) => Err(internal(&error)),
    }
}

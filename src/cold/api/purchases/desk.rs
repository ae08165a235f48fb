//! Requests from their first word to a card or a refusal: the one service behind REST and MCP.
//!
//! The row is kept before the ledger is asked, and the ledger before the issuer, each under a name that
//! follows from the row. So whoever goes on after a crash, or asks again, does the same once more and
//! changes nothing: `advance` may be called on any row at any time.

use std::sync::Arc;

use super::asked::{NewPurchase, Wanted};
use super::earmark::{self, Held};
use super::issue::{self, Issued};
use super::words::{
    Refusal, broken, broken_limit, in_words, issuer_unavailable, over_limit, refused,
    review_expired,
};
use crate::cold::api::Api;
use crate::cold::api::caller::Caller;
use crate::cold::api::problem::Problem;
use crate::cold::audit::{Event, made};
use crate::cold::control::{Failed, Order, Work};
use crate::cold::ids::draw;
use crate::cold::store::purchases::{Purchase, PurchaseState, PurchaseTerms, PurchaseWanted};
use crate::cold::store::{Agent, Batch, Change, Customer, Scope};
use crate::decide::purchase::RequestRule;
use crate::decide::purchase::tier::{Asked, Over, Tier};
use crate::domain::card::{AgentStatus, CustomerStatus, Level};
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::Explanation;
use crate::domain::time::Timestamp;

/// Without a key, the same words within this time are the same request (behaviour 5.9).
const ALIKE_US: i64 = 90_000_000;
const MINUTE_US: i64 = 60_000_000;
/// A card that has not come after this time will not be waited for (behaviour 5.14).
const ISSUING_US: i64 = 10 * MINUTE_US;
/// Between two attempts at an issuer.
const AGAIN_US: i64 = 5_000_000;
/// How often one row is changed anew where others change it too.
const TRIES_MAX: usize = 20;

/// What is to be kept of a step, and whether another one follows at once.
pub(super) type Step = (Work, bool);

/// What is in force for an agent's requests.
struct Rules {
    agent: Agent,
    customer: Customer,
    is_active: Result<(), &'static str>,
}

/// An agent asks. The same request again gives the same row, whatever its state.
pub(in crate::cold::api) async fn request(
    api: &Arc<Api>,
    caller: &Caller,
    new: NewPurchase,
    event: Event,
) -> Result<Purchase, Problem> {
    if !api.rows_rule {
        return Err(Problem::file_rules());
    }
    let wanted = new.read()?;
    let agent = own_agent(api, caller).await?;
    let _one_at_a_time = api.buying.enter(place(&agent, &wanted)).await?;
    if let Some(known) = known(api, &agent, &wanted, event.at).await? {
        return Ok(known);
    }
    let rules = rules(api, agent).await?;
    let row = decide(api, &rules, wanted, event.at).await?;
    let state = row.state;
    match keep(api, row.clone(), &event).await {
        // Another node has kept one under the same key.
        Err(Failed::Conflict) => {
            let called = row.called.clone().unwrap_or_default();
            let asked = PurchaseWanted::Called(row.agent_id.clone(), called);
            let found = api.store.purchase(asked).await?;
            found.ok_or_else(|| Failed::Conflict.into())
        }
        Err(failed) => Err(failed.into()),
        Ok(()) if state == PurchaseState::Issuing => advance(api, &row.id, &event).await,
        Ok(()) => find(api, &row.id).await,
    }
}

/// The agent whose key it is: no argument names one (behaviour 5.15).
pub(in crate::cold::api) async fn own_agent(api: &Api, caller: &Caller) -> Result<Agent, Problem> {
    let own = caller.key.agent_id.clone();
    let own = own.filter(|_| caller.key.scope == Scope::Agent);
    let id = own.ok_or_else(|| {
        Problem::beyond_reach("only an agent asks, with its own key: its key says which one it is")
    })?;
    caller.agent(api.store.agent(id).await?)
}

/// What two requests have in common that must not be made at the same time.
fn place(agent: &Agent, wanted: &Wanted) -> String {
    match &wanted.called {
        Some(key) => format!("{} {key}", agent.id),
        None => {
            let amount = wanted.amount;
            let host = wanted.host.as_str();
            format!("{}\n{host} {amount} {}", agent.id, amount.currency)
        }
    }
}

/// The request that this one is again (behaviour 5.9).
async fn known(
    api: &Api,
    agent: &Agent,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Option<Purchase>, Problem> {
    let host = wanted.host.as_str();
    let Some(key) = &wanted.called else {
        let alike = PurchaseWanted::Alike {
            agent_id: agent.id.clone(),
            host: host.to_owned(),
            amount: wanted.amount,
            since: now.plus_micros(-ALIKE_US),
        };
        return Ok(api.store.purchase(alike).await?);
    };
    let called = PurchaseWanted::Called(agent.id.clone(), key.clone());
    let found = api.store.purchase(called).await?;
    match found {
        Some(known) if known.host != host || known.amount != wanted.amount => {
            Err(Problem::purchase_conflict(&known.id))
        }
        found => Ok(found),
    }
}

async fn rules(api: &Api, agent: Agent) -> Result<Rules, Problem> {
    let found = api.store.customer(agent.customer_id.clone()).await?;
    let customer = found.ok_or_else(Problem::not_found)?;
    let standing = api.standing_of_agent(&agent).await?;
    let is_active = if customer.status != CustomerStatus::Active {
        Err("customer_suspended")
    } else if agent.status != AgentStatus::Active || standing != AgentStatus::Active {
        Err("agent_suspended")
    } else {
        Ok(())
    };
    Ok(Rules {
        agent,
        customer,
        is_active,
    })
}

/// The row of a new request, before anything is decided.
fn new_row(rules: &Rules, wanted: Wanted, now: Timestamp) -> Purchase {
    Purchase {
        id: draw("preq", now),
        mode: rules.agent.mode,
        customer_id: rules.customer.id.clone(),
        agent_id: rules.agent.id.clone(),
        state: PurchaseState::Denied,
        called: wanted.called,
        host: wanted.host.as_str().to_owned(),
        amount: wanted.amount,
        asked: wanted.asked,
        terms: PurchaseTerms {
            earmark: wanted.amount.minor.get(),
            mccs: Vec::new(),
            merchants: Vec::new(),
            card_ttl_minutes: 0,
            causes: Vec::new(),
            attempt: 1,
            card_id: draw("card", now),
            card_expires_us: None,
            suggestion: None,
        },
        reason: None,
        note: None,
        decided_by: None,
        decided_at: Some(now),
        card_id: None,
        due_at: None,
        created_at: now,
        revision: 0,
    }
}

/// The row of a new request, with the way that it goes.
async fn decide(
    api: &Arc<Api>,
    rules: &Rules,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Purchase, Problem> {
    let currency = rules.customer.currency;
    let mut row = new_row(rules, wanted, now);
    if let Err(code) = rules.is_active {
        deny(
            &mut row,
            &refused(code, "purchases are stopped for this agent"),
            now,
        );
        return Ok(row);
    }
    if row.amount.currency != currency {
        let text = format!("this account spends {currency} alone");
        let mut refusal = refused("currency_not_supported", &text);
        refusal.suggestion = Some(format!("Ask for the price in {currency}."));
        deny(&mut row, &refusal, now);
        return Ok(row);
    }
    let (tier, review_minutes) = tier(api, &mut row)?;
    match tier {
        Tier::Deny(cause) => deny(&mut row, &in_words(cause, currency), now),
        Tier::Issue => {
            row.state = PurchaseState::Issuing;
            row.due_at = Some(now.plus_micros(AGAIN_US));
        }
        Tier::Review(causes) => {
            let causes = causes.into_iter().map(|cause| broken(cause, currency));
            row.terms.causes = causes.collect();
            // No human is asked for what the limits refuse (behaviour 5.4).
            if let Some(why) = earmark::would_stand(api, &row, now).await? {
                if !may_review(api, &row, &why) {
                    deny(&mut row, &over_limit(&why, currency), now);
                    return Ok(row);
                }
                row.terms.causes.push(broken_limit(&why, currency));
            }
            review(&mut row, review_minutes, now);
        }
    }
    Ok(row)
}

fn review(row: &mut Purchase, minutes: u32, now: Timestamp) {
    row.state = PurchaseState::PendingReview;
    row.decided_at = None;
    let ends = row.created_at.max(now);
    row.due_at = Some(ends.plus_micros(i64::from(minutes) * MINUTE_US));
}

/// Which way the rules in force send it. What the card would be is written into the row.
fn tier(api: &Api, row: &mut Purchase) -> Result<(Tier, u32), Problem> {
    let snapshot = Arc::clone(&api.snapshots.load());
    let agent = snapshot.agent_by_id(&row.agent_id);
    let agent = agent.ok_or_else(Problem::not_ready)?;
    let customer = snapshot.customer_of(agent).ok_or_else(Problem::not_ready)?;
    let over = Over {
        agent: agent.policy(),
        customer: customer.policy(),
        cascade: customer.cascade(),
    };
    let host = crate::decide::purchase::host::Host::of_url(&row.host);
    let host = host.map_err(|_unlawful| Problem::internal())?;
    let asked = Asked {
        host: &host,
        amount: row.amount.minor,
        is_justified: !row.asked.justification.is_empty(),
        category: row.asked.category_hint.as_deref(),
    };
    let terms = over.terms(&asked);
    let tier = over.tier(&asked, &terms);
    row.terms.earmark = terms.earmark.get();
    row.terms.mccs = terms.mccs;
    row.terms.merchants = terms.merchants.into_iter().map(Into::into).collect();
    row.terms.card_ttl_minutes = terms.card_ttl_minutes;
    Ok((tier, terms.review_ttl_minutes))
}

/// Whether a human may waive the limit that leaves no room.
fn may_review(api: &Api, row: &Purchase, why: &Explanation) -> bool {
    let is_limit = matches!(
        why.reason,
        DeclineReason::AgentLimitExceeded
            | DeclineReason::CustomerLimitExceeded
            | DeclineReason::CountLimitReached
    );
    let snapshot = Arc::clone(&api.snapshots.load());
    let found = snapshot.agent_by_id(&row.agent_id);
    let found = found.and_then(|agent| Some((agent, snapshot.customer_of(agent)?)));
    let (Some((agent, customer)), Some(level), true) = (found, why.level, is_limit) else {
        return false;
    };
    let over = Over {
        agent: agent.policy(),
        customer: customer.policy(),
        cascade: customer.cascade(),
    };
    let is_once = why.field.path().is_some() && why.limit.is_some();
    level != Level::Card && is_once && over.reviews(level, RequestRule::Limits)
}

/// Whether the row waits for a human. One that is decided stays as it is, whichever version was
/// looked at.
///
/// # Errors
/// Where it waits and has changed since it was looked at.
fn waits(row: &Purchase, looked_at: Option<i64>) -> Result<bool, Problem> {
    let waits = row.state == PurchaseState::PendingReview;
    match looked_at {
        Some(version) if waits && version != row.revision => {
            Err(Problem::request_changed(version, row.revision))
        }
        _ => Ok(waits),
    }
}

/// A human approves, perhaps by the version that was looked at: everything is asked again now
/// (behaviour 5.7).
pub(super) async fn approve(
    api: &Arc<Api>,
    (id, looked_at): (&str, Option<i64>),
    event: &Event,
) -> Result<Purchase, Problem> {
    for _ in 0..TRIES_MAX {
        let mut row = find(api, id).await?;
        if !waits(&row, looked_at)? {
            return Ok(row);
        }
        let now = event.at;
        if row.due_at.is_some_and(|due| due <= now) {
            deny(&mut row, &review_expired(), now);
        } else {
            approved(api, &mut row, event).await?;
        }
        let state = row.state;
        match keep(api, row, event).await {
            Ok(()) if state == PurchaseState::Issuing => return advance(api, id, event).await,
            Ok(()) => return find(api, id).await,
            Err(Failed::Conflict) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Conflict.into())
}

async fn approved(api: &Arc<Api>, row: &mut Purchase, event: &Event) -> Result<(), Problem> {
    let now = event.at;
    let found = api.store.agent(row.agent_id.clone()).await?;
    let rules = rules(api, found.ok_or_else(Problem::not_found)?).await?;
    if let Err(code) = rules.is_active {
        deny(
            row,
            &refused(code, "purchases are stopped for this agent"),
            now,
        );
        return Ok(());
    }
    let was_shown: Vec<String> = row.terms.causes.iter().map(|it| it.code.clone()).collect();
    match tier(api, row)?.0 {
        Tier::Deny(cause) if !was_shown.iter().any(|code| code == cause.code()) => {
            deny(row, &in_words(cause, row.amount.currency), now);
            return Ok(());
        }
        Tier::Deny(_) | Tier::Review(_) | Tier::Issue => {}
    }
    row.state = PurchaseState::Issuing;
    row.terms.attempt = row.terms.attempt.saturating_add(1);
    row.decided_by = key_of(event);
    row.decided_at = Some(now);
    row.due_at = Some(now.plus_micros(AGAIN_US));
    Ok(())
}

/// A human denies.
pub(super) async fn refuse(
    api: &Arc<Api>,
    (id, looked_at): (&str, Option<i64>),
    words: Option<String>,
    event: &Event,
) -> Result<Purchase, Problem> {
    for _ in 0..TRIES_MAX {
        let mut row = find(api, id).await?;
        if !waits(&row, looked_at)? {
            return Ok(row);
        }
        let text = words.as_deref().unwrap_or("a reviewer denied it");
        deny(&mut row, &refused("denied_by_reviewer", text), event.at);
        row.decided_by = key_of(event);
        match keep(api, row, event).await {
            Ok(()) => return find(api, id).await,
            Err(Failed::Conflict) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Conflict.into())
}

fn key_of(event: &Event) -> Option<String> {
    match &event.who {
        crate::cold::audit::Who::Key { id, .. } => Some(id.clone()),
        crate::cold::audit::Who::CommandLine
        | crate::cold::audit::Who::Nobody
        | crate::cold::audit::Who::Operator
        | crate::cold::audit::Who::Issuer(_)
        | crate::cold::audit::Who::RiskRule
        | crate::cold::audit::Who::Server => None,
    }
}

/// Brings a row as far as it goes now: an approved one to its card, an old one to its end.
pub(super) async fn advance(api: &Arc<Api>, id: &str, event: &Event) -> Result<Purchase, Problem> {
    for _ in 0..TRIES_MAX {
        let row = find(api, id).await?;
        let step = match row.state {
            PurchaseState::Issuing => issuing(api, row, event).await?,
            PurchaseState::Withdrawing => withdrawing(api, row, event.at).await?,
            PurchaseState::PendingReview => overdue(row, event.at),
            PurchaseState::Approved => issue::over(api, row, event.at).await?,
            PurchaseState::Denied | PurchaseState::Expired => return Ok(row),
        };
        let Some((work, goes_on)) = step else {
            return find(api, id).await;
        };
        match make(api, work, event).await {
            Ok(()) if !goes_on => return find(api, id).await,
            Ok(()) | Err(Failed::Conflict) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Err(Failed::Conflict.into())
}

fn overdue(mut row: Purchase, now: Timestamp) -> Option<Step> {
    row.due_at.filter(|due| *due <= now)?;
    deny(&mut row, &review_expired(), now);
    Some((only(row), false))
}

fn only(row: Purchase) -> Work {
    Work {
        batch: vec![Change::purchase(row)],
        ..Work::default()
    }
}

async fn issuing(
    api: &Arc<Api>,
    mut row: Purchase,
    event: &Event,
) -> Result<Option<Step>, Problem> {
    let now = event.at;
    let currency = row.amount.currency;
    if let Held::Declined(why) = earmark::hold(api, &row, now).await? {
        // Nobody has looked at it yet, and somebody may.
        if row.decided_by.is_none() && may_review(api, &row, &why) {
            row.terms.causes = vec![broken_limit(&why, currency)];
            let (_, minutes) = tier(api, &mut row)?;
            review(&mut row, minutes, now);
        } else {
            deny(&mut row, &over_limit(&why, currency), now);
        }
        return Ok(Some((only(row), false)));
    }
    match issue::order(api, &row, now).await? {
        Issued::Made(made) => {
            let (card, settled) = *made;
            let ends = issue::ends(&row, now);
            row.state = PurchaseState::Approved;
            row.card_id = Some(card.id.clone());
            row.terms.card_expires_us = Some(ends.micros());
            row.due_at = Some(ends);
            let earmark = earmark::key(&api.keys, &earmark::name(&row));
            let back = Order::Back {
                card: (&card).into(),
                earmark,
            };
            let batch = [Change::Card(card), Change::purchase(row)];
            let work = Work {
                batch: batch.into_iter().chain(settled).collect(),
                orders: vec![back],
                ..Work::default()
            };
            Ok(Some((work, false)))
        }
        Issued::Never(refusal) => {
            deny(&mut row, &refusal, now);
            row.state = PurchaseState::Withdrawing;
            row.due_at = Some(now);
            Ok(Some((only(row), true)))
        }
        Issued::NotYet => {
            let since = row.decided_at.unwrap_or(row.created_at);
            if now.micros_since(since) >= ISSUING_US {
                deny(&mut row, &issuer_unavailable(), now);
                row.state = PurchaseState::Withdrawing;
            }
            row.due_at = Some(now.plus_micros(AGAIN_US));
            Ok(Some((only(row), false)))
        }
    }
}

/// The earmark comes back once a look-up proves that no card exists (behaviour 5.14).
async fn withdrawing(
    api: &Arc<Api>,
    mut row: Purchase,
    now: Timestamp,
) -> Result<Option<Step>, Problem> {
    if issue::is_proven_absent(api, &row, now).await {
        earmark::release(api, &row, now).await?;
        row.state = PurchaseState::Denied;
        row.due_at = None;
    } else {
        row.due_at = Some(now.plus_micros(AGAIN_US));
    }
    Ok(Some((only(row), false)))
}

pub(super) fn deny(row: &mut Purchase, refusal: &Refusal, now: Timestamp) {
    row.state = PurchaseState::Denied;
    row.reason = Some(refusal.code.clone());
    row.note = Some(refusal.text.clone());
    row.terms.suggestion.clone_from(&refusal.suggestion);
    row.decided_at = Some(now);
    row.due_at = None;
}

/// The request of this id, whoever's it is.
pub(in crate::cold::api) async fn find(api: &Api, id: &str) -> Result<Purchase, Problem> {
    let found = api.store.purchase(PurchaseWanted::One(id.to_owned()));
    found.await?.ok_or_else(Problem::not_found)
}

async fn keep(api: &Api, row: Purchase, event: &Event) -> Result<(), Failed> {
    make(api, only(row), event).await
}

async fn make(api: &Api, mut work: Work, event: &Event) -> Result<(), Failed> {
    let changes = made(&work.batch);
    let batch: &mut Batch = &mut work.batch;
    batch.push(Change::Audit(Event {
        changes,
        ..event.clone()
    }));
    api.control.make(work).await
}

//! Requests from their first word to a card or a refusal: the one service behind REST and MCP.
//!
//! The row is kept before the ledger is asked, and the ledger before the issuer, each under a name that
//! follows from the row. So whoever goes on after a crash, or asks again, does the same once more and
//! changes nothing: `advance` may be called on any row at any time.

use std::sync::Arc;

use super::asked::{NewPurchase, Wanted};
use super::earmark;
use super::issue;
use super::standing;
use super::steps::{AGAIN_US, advance};
use super::tend::Entered;
use super::words::{Refusal, broken, broken_limit, in_words, over_limit, refused, review_expired};
use crate::cold::api::Api;
use crate::cold::api::caller::Caller;
use crate::cold::api::problem::Problem;
use crate::cold::audit::{Event, made};
use crate::cold::control::{Failed, Work};
use crate::cold::ids::draw;
use crate::cold::store::purchases::{Purchase, PurchaseState, PurchaseTerms, PurchaseWanted};
use crate::cold::store::webhook::WebhookChange;
use crate::cold::store::{Agent, Batch, Change, Customer, Scope};
use crate::decide::purchase::standing::StandingApproval;
use crate::decide::purchase::tier::{Asked, Over, Tier, Violation};
use crate::decide::purchase::{CardUse, RequestRule};
use crate::domain::amount::Amount;
use crate::domain::card::{AgentStatus, CustomerStatus, Level};
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::Explanation;
use crate::domain::time::Timestamp;

/// Without a key, the same words within this time are the same request (behaviour 5.9).
const ALIKE_US: i64 = 90_000_000;
const MINUTE_US: i64 = 60_000_000;
/// For so long a request that its agent gave up counts as one that waits: people have been told of it.
const GIVEN_UP_COUNTS_US: i64 = 3_600_000_000;
/// How often one row is changed anew where others change it too.
pub(super) const TRIES_MAX: usize = 20;

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
    api.asks.to_buy(&agent.id, event.at)?;
    let _one_at_a_time = api.buying.enter(place(&agent, &wanted)).await?;
    let like = Like::of(&wanted);
    if let Some(known) = known(api, &agent, &like, event.at).await? {
        return Ok(known);
    }
    let rules = rules(api, agent).await?;
    let (row, counted) = decide(api, &rules, wanted, event.at).await?;
    let state = row.state;
    let waits = state == PurchaseState::PendingReview;
    let counting = if waits {
        Some(place_to_wait(api, &row).await?)
    } else {
        None
    };
    let kept = keep(api, row.clone(), &event).await;
    // It is counted from here on; its issuer may be slow.
    drop((counted, counting));
    match kept {
        // Another node has kept one under the same key: it may be for something else.
        Err(Failed::Conflict) => {
            let found = known(api, &rules.agent, &like, event.at).await?;
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

/// A place among the requests of the agent that wait for a human, until it is dropped: nobody
/// counts while another one is being kept.
pub(super) async fn place_to_wait(api: &Api, row: &Purchase) -> Result<Entered, Problem> {
    let place = api.buying.enter(format!("{}\twaits", row.agent_id)).await?;
    let most = api.reviews_max;
    let since = api.clock.now().plus_micros(-GIVEN_UP_COUNTS_US);
    let waits = api.store.count_in_review(row.agent_id.clone(), since);
    if waits.await? >= most {
        return Err(Problem::too_many_reviews(most));
    }
    Ok(place)
}

/// What two requests have in common that must not be made at the same time. No key of a caller holds
/// control characters, so that none is taken for another kind of place.
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

/// What makes two requests the same.
struct Like {
    called: Option<String>,
    host: String,
    amount: Amount,
}

impl Like {
    fn of(wanted: &Wanted) -> Self {
        Self {
            called: wanted.called.clone(),
            host: wanted.host.as_str().to_owned(),
            amount: wanted.amount,
        }
    }
}

/// The request that this one is again (behaviour 5.9).
async fn known(
    api: &Api,
    agent: &Agent,
    like: &Like,
    now: Timestamp,
) -> Result<Option<Purchase>, Problem> {
    let Some(key) = &like.called else {
        let alike = PurchaseWanted::Alike {
            agent_id: agent.id.clone(),
            host: like.host.clone(),
            amount: like.amount,
            since: now.plus_micros(-ALIKE_US),
        };
        return Ok(api.store.purchase(alike).await?);
    };
    let called = PurchaseWanted::Called(agent.id.clone(), key.clone());
    let found = api.store.purchase(called).await?;
    match found {
        Some(known) if known.host != like.host || known.amount != like.amount => {
            Err(Problem::purchase_conflict(&known.id))
        }
        found => Ok(found),
    }
}

async fn rules(api: &Api, agent: Agent) -> Result<Rules, Problem> {
    let found = api.store.customer(agent.customer_id.clone()).await?;
    let customer = found.ok_or_else(Problem::not_found)?;
    let standing = api.standing_of_agent(&agent).await?;
    let is_active = if api.standing_of_customer(&customer).await? != CustomerStatus::Active {
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
            is_weak: false,
            card_ttl_minutes: 0,
            until_spent: wanted.card_use == CardUse::UntilSpent,
            causes: Vec::new(),
            attempt: 1,
            card_id: draw("card", now),
            order: None,
            standing: None,
            card_expires_us: None,
            suggestion: None,
            shown_us: None,
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

/// The row of a new request, with the way that it goes. What it takes of an approval in advance is its
/// own until the row is kept.
async fn decide(
    api: &Arc<Api>,
    rules: &Rules,
    wanted: Wanted,
    now: Timestamp,
) -> Result<(Purchase, Option<Entered>), Problem> {
    let currency = rules.customer.currency;
    let mut row = new_row(rules, wanted, now);
    if let Err(code) = rules.is_active {
        deny(
            &mut row,
            &refused(code, "purchases are stopped for this agent"),
            now,
        );
        return Ok((row, None));
    }
    if row.amount.currency != currency {
        let text = format!("this account spends {currency} alone");
        let mut refusal = refused("currency_not_supported", &text);
        refusal.suggestion = Some(format!("Ask for the price in {currency}."));
        deny(&mut row, &refusal, now);
        return Ok((row, None));
    }
    let Judged {
        violations,
        review_minutes,
        standing,
    } = judged(api, &mut row, now)?;
    let violations = match Tier::of(violations) {
        Tier::Deny(cause) => {
            deny(&mut row, &in_words(cause, currency), now);
            return Ok((row, None));
        }
        Tier::Issue => {
            begin(api, &mut row, now);
            return Ok((row, None));
        }
        Tier::Review(violations) => violations,
    };
    if violations
        .iter()
        .all(|it| it.cause.is_answered_in_advance())
        && let Some(answered) = standing::answered(api, &row, standing, now).await?
    {
        row.terms.standing = Some(answered.name);
        begin(api, &mut row, now);
        return Ok((row, Some(answered.place)));
    }
    let causes = violations.into_iter().map(|it| broken(it, currency));
    row.terms.causes = causes.collect();
    // No human is asked for what the limits refuse (behaviour 5.4).
    if let Some(why) = earmark::would_stand(api, &row, now).await? {
        if !may_review(api, &row, &why) {
            deny(&mut row, &over_limit(&why, currency), now);
            return Ok((row, None));
        }
        row.terms.causes.push(broken_limit(&why, currency));
    }
    review(&mut row, review_minutes, now);
    Ok((row, None))
}

/// Approved: from here on a card may be there. What finds it again is kept before it is ordered.
fn begin(api: &Api, row: &mut Purchase, now: Timestamp) {
    row.state = PurchaseState::Issuing;
    row.decided_at = Some(now);
    row.due_at = Some(now.plus_micros(AGAIN_US));
    row.terms.order = Some(issue::order_terms(api, row, now));
}

pub(super) fn review(row: &mut Purchase, minutes: u32, now: Timestamp) {
    // From here on it rests on the reviewer's word.
    row.terms.standing = None;
    row.state = PurchaseState::PendingReview;
    row.decided_at = None;
    let ends = row.created_at.max(now);
    row.due_at = Some(ends.plus_micros(i64::from(minutes) * MINUTE_US));
}

/// What the rules in force say of a request.
pub(super) struct Judged {
    violations: Vec<Violation>,
    pub(super) review_minutes: u32,
    /// Approvals in advance that speak of it.
    standing: Vec<StandingApproval>,
}

/// What the rules in force say of it. What the card would be is written into the row.
pub(super) fn judged(api: &Api, row: &mut Purchase, now: Timestamp) -> Result<Judged, Problem> {
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
        card_use: row.card_use(),
    };
    let terms = over.terms(&asked);
    let judged = Judged {
        violations: over.violations(&asked, &terms),
        review_minutes: terms.review_ttl_minutes,
        standing: over.standing(&asked, &terms, now),
    };
    row.terms.earmark = terms.earmark.get();
    row.terms.is_weak = terms.is_weak;
    row.terms.mccs = terms.mccs;
    row.terms.merchants = terms.merchants.into_iter().map(Into::into).collect();
    row.terms.card_ttl_minutes = terms.card_ttl_minutes;
    Ok(judged)
}

/// Whether a human may waive the limit that leaves no room.
pub(super) fn may_review(api: &Api, row: &Purchase, why: &Explanation) -> bool {
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
    let is_waivable = why.field.path().is_some_and(earmark::is_waivable) && why.limit.is_some();
    level != Level::Card && is_waivable && over.reviews(level, RequestRule::Limits)
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

/// Why a request is denied that a human denies.
pub(in crate::cold::api) const BY_REVIEWER: &str = "denied_by_reviewer";
/// Why a request is denied that its agent asks for no more.
pub(in crate::cold::api) const BY_AGENT: &str = "given_up_by_agent";

/// What a human looked at before he said his word.
#[derive(Clone, Copy, Debug)]
pub(in crate::cold::api) struct LookedAt<'a> {
    /// The request.
    pub(in crate::cold::api) id: &'a str,
    /// The version that was shown; absent where the caller names none.
    pub(in crate::cold::api) version: Option<i64>,
    /// The one-time link that he uses, by its hash, and the endpoint that it was sent through.
    pub(in crate::cold::api) link: Option<([u8; 32], &'a str)>,
}

impl LookedAt<'_> {
    /// The row, and that the link has decided: both are kept, or neither.
    fn work(self, row: Purchase, now: Timestamp) -> Work {
        let mut work = only(row);
        let used = self.link.map(|(hash, webhook_id)| {
            let used = WebhookChange::LinkUsed(hash, webhook_id.to_owned(), now);
            Change::from(used)
        });
        work.batch.extend(used);
        work
    }
}

/// A human approves, perhaps by the version that was looked at: everything is asked again now
/// (behaviour 5.7).
pub(in crate::cold::api) async fn approve(
    api: &Arc<Api>,
    looked_at: LookedAt<'_>,
    event: &Event,
) -> Result<Purchase, Problem> {
    let id = looked_at.id;
    for _ in 0..TRIES_MAX {
        let mut row = find(api, id).await?;
        if !waits(&row, looked_at.version)? {
            return Ok(row);
        }
        let now = event.at;
        if row.due_at.is_some_and(|due| due <= now) {
            deny(&mut row, &review_expired(), now);
        } else {
            approved(api, &mut row, event).await?;
        }
        let state = row.state;
        match make(api, looked_at.work(row, now), event).await {
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
    let shown = row.terms.earmark;
    let violations = judged(api, row, now)?.violations;
    // No more than was shown, also where the tolerance has grown since.
    row.terms.earmark = row.terms.earmark.min(shown);
    let unseen = |it: &&Violation| !it.cause.asks_for_a_word() && !was_shown(row, it);
    if let Some(new) = violations.iter().find(unseen) {
        let refusal = in_words(new.cause, row.amount.currency);
        deny(row, &refusal, now);
        return Ok(());
    }
    row.terms.attempt = row.terms.attempt.saturating_add(1);
    begin(api, row, now);
    row.decided_by = key_of(event);
    Ok(())
}

/// Whether the reviewer was shown this violation, of this level's own rule: a cap that is lower now is
/// another one.
fn was_shown(row: &Purchase, violation: &Violation) -> bool {
    let cause = violation.cause;
    let level = violation.level.map(Level::name);
    let has_cap = |shown: Option<i64>| match (shown, cause.cap()) {
        (Some(shown), Some(now)) => now.get() >= shown,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let mut shown = row.terms.causes.iter();
    shown.any(|it| it.code == cause.code() && it.level.as_deref() == level && has_cap(it.cap))
}

/// A human denies.
pub(in crate::cold::api) async fn refuse(
    api: &Arc<Api>,
    looked_at: LookedAt<'_>,
    words: Option<String>,
    event: &Event,
) -> Result<Purchase, Problem> {
    let text = words.as_deref().unwrap_or("a reviewer denied it");
    denied(api, looked_at, &refused(BY_REVIEWER, text), event).await
}

/// Its agent asks for it no more. No card comes of it, unless somebody was faster.
pub(in crate::cold::api) async fn give_up(
    api: &Arc<Api>,
    id: &str,
    event: &Event,
) -> Result<Purchase, Problem> {
    let looked_at = LookedAt {
        id,
        version: None,
        link: None,
    };
    let refusal = refused(BY_AGENT, "the agent has given it up");
    denied(api, looked_at, &refusal, event).await
}

/// Denies a request that waits.
async fn denied(
    api: &Arc<Api>,
    looked_at: LookedAt<'_>,
    refusal: &Refusal,
    event: &Event,
) -> Result<Purchase, Problem> {
    let id = looked_at.id;
    for _ in 0..TRIES_MAX {
        let mut row = find(api, id).await?;
        if !waits(&row, looked_at.version)? {
            return Ok(row);
        }
        if row.due_at.is_some_and(|due| due <= event.at) {
            deny(&mut row, &review_expired(), event.at);
        } else {
            deny(&mut row, refusal, event.at);
            row.decided_by = key_of(event);
        }
        match make(api, looked_at.work(row, event.at), event).await {
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

pub(super) fn only(row: Purchase) -> Work {
    Work {
        batch: vec![Change::purchase(row)],
        ..Work::default()
    }
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

pub(super) async fn make(api: &Api, mut work: Work, event: &Event) -> Result<(), Failed> {
    let changes = made(&work.batch);
    let batch: &mut Batch = &mut work.batch;
    batch.push(Change::Audit(Event {
        changes,
        ..event.clone()
    }));
    api.control.make(work).await
}

//! Changing a card. What stops it is in the ledger, durably, before the answer leaves: nothing that
//! is asked after it is approved (behaviour 2.14 j).

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::aside::raise;
use super::find;
use super::new::{Limit, Status, refuse_unenforced};
use crate::cold::api::body::{present, read};
use crate::cold::api::exchange::{Ask, Reply, Tries};
use crate::cold::api::fields::document;
use crate::cold::api::problem::Problem;
use crate::cold::api::versions;
use crate::cold::control::{Order, Work, card_policy};
use crate::cold::issuers::rules::{Above, Rules};
use crate::cold::schema::PolicyDocument;
use crate::cold::stands::strictest;
use crate::cold::store::outward::{CardOrigin, Errand, OutboxRow};
use crate::cold::store::purchases::PurchaseWanted;
use crate::cold::store::{Card, Change};
use crate::decide::policy::Policy;
use crate::domain::card::{CardStatus, Usage};
use crate::domain::time::Timestamp;

/// What becomes of a card; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CardChange {
    status: Option<Status>,
    /// Null takes it away.
    #[schema(value_type = Option<Limit>)]
    #[serde(default, deserialize_with = "present")]
    limits: Option<Option<Limit>>,
    /// Replaces the whole document; null takes it away.
    #[schema(value_type = Option<PolicyDocument>)]
    #[serde(default, deserialize_with = "present")]
    policy: Option<Option<Box<RawValue>>>,
    #[serde(default)]
    configuration: Configuration,
}

/// How the connection takes it.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ChangeConfiguration)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Configuration {
    /// Take rules that nobody holds, where the connection's issuer never asks.
    allow_unenforced: bool,
}

/// What becomes of a card; absent leaves what is there.
#[derive(Default)]
struct Wanted {
    status: Option<CardStatus>,
    frozen: Option<bool>,
    limit: Option<Option<Limit>>,
    policy: Option<Option<String>>,
    allows_unenforced: bool,
}

impl Wanted {
    fn frozen(is_frozen: bool) -> Self {
        Self {
            frozen: Some(is_frozen),
            ..Self::default()
        }
    }
}

/// A body without fields; none at all will do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::cold::api) struct Nothing {}

pub(in crate::cold::api) async fn change(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let change: CardChange = read(&ask.body)?;
    let wanted = Wanted {
        status: change.status.map(Into::into),
        frozen: None,
        limit: change.limits,
        policy: change.policy.map(document),
        allows_unenforced: change.configuration.allow_unenforced,
    };
    make(ask, wanted).await
}

pub(in crate::cold::api) async fn cancel(ask: Ask) -> Result<Reply, Problem> {
    let wanted = Wanted {
        status: Some(CardStatus::Canceled),
        ..Wanted::default()
    };
    without_body(ask, wanted).await
}

pub(in crate::cold::api) async fn freeze(ask: Ask) -> Result<Reply, Problem> {
    without_body(ask, Wanted::frozen(true)).await
}

pub(in crate::cold::api) async fn unfreeze(ask: Ask) -> Result<Reply, Problem> {
    without_body(ask, Wanted::frozen(false)).await
}

async fn without_body(ask: Ask, wanted: Wanted) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    make(ask, wanted).await
}

async fn make(ask: Ask, wanted: Wanted) -> Result<Reply, Problem> {
    let mut tries = Tries::default();
    loop {
        let (work, reply) = attempt(&ask, &wanted).await?;
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn attempt(ask: &Ask, wanted: &Wanted) -> Result<(Work, Reply), Problem> {
    let mut row = find(ask, &ask.id).await?;
    let before = versions::Of::from(&row);
    let mut held = ask.api.held(&row).await?;
    let is_canceled = strictest(row.status, held.status) == CardStatus::Canceled;
    let stays_canceled = wanted.status == Some(CardStatus::Canceled)
        && wanted.frozen.is_none()
        && wanted.limit.is_none()
        && wanted.policy.is_none();
    if is_canceled && !stays_canceled {
        return Err(Problem::card_canceled());
    }
    if wanted.policy.is_some() {
        refuse_purchase_card(ask, &row, "`policy` is its purchase request's, and stays").await?;
    }
    if wanted.limit.is_some() {
        refuse_purchase_card(ask, &row, "`limits` are its purchase request's, and stay").await?;
    }
    let had_lock = card_policy(row.policy.as_deref(), row.limit.as_ref())?.lock_to_first_merchant();
    let had_lock = had_lock == Some(true);
    let above = ask.api.above(&row).await?;
    let paused_before = allow_nothing(&above, &row)?;
    if let Some(limit) = &wanted.limit {
        let limit = limit.as_ref().map(|it| it.read(&above.customer));
        row.limit = limit.transpose()?;
    }
    if let Some(policy) = &wanted.policy {
        row.policy.clone_from(policy);
    }
    let policy = card_policy(row.policy.as_deref(), row.limit.as_ref())?;
    let mut origin = None;
    if wanted.limit.is_some() || wanted.policy.is_some() {
        origin = lock_lacking(ask, (&row, &above), had_lock, &policy);
        let rules = rules(&above, &row, origin.is_some())?;
        refuse_unheld(ask, &row, &rules, wanted.allows_unenforced).await?;
    }
    row.status = wanted.status.unwrap_or(row.status);
    row.is_frozen = wanted.frozen.unwrap_or(row.is_frozen);
    held.status = wanted.status.unwrap_or(held.status);
    held.is_frozen = wanted.frozen.unwrap_or(held.is_frozen);
    let after = versions::Of::from(&row);
    let history = versions::patched(ask, &before, after, &mut row.versions).await?;
    let shown = ask.api.card_shown_with(row.clone(), held).await?;
    let reply = Reply::ok(&shown)?;
    let order = order(&row, wanted);
    let paused_now = allow_nothing(&above, &row)?;
    let mut told = told(ask, &row, wanted, paused_before != paused_now);
    told.extend(lifted(wanted, origin, above.origin));
    told.extend(history);
    let work = Work {
        batch: [Change::Card(row)].into_iter().chain(told).collect(),
        orders: order.into_iter().collect(),
        after: Vec::new(),
    };
    Ok((work, reply))
}

/// The amount of a purchase card is never raised, nor its merchants widened (behaviour 4.4): what
/// would rule it otherwise is refused, in these words. It may be stopped like any other.
pub(in crate::cold::api) async fn refuse_purchase_card(
    ask: &Ask,
    row: &Card,
    why: &str,
) -> Result<(), Problem> {
    let asked = PurchaseWanted::OfCard(row.id.clone());
    match ask.api.store.purchase(asked).await? {
        Some(_) => Err(Problem::purchase_card(why)),
        None => Ok(()),
    }
}

/// Whoever says what the card is to be says it in the issuer's place, too.
fn lifted(
    wanted: &Wanted,
    changed: Option<CardOrigin>,
    before: Option<CardOrigin>,
) -> Option<Change> {
    let stays = wanted.status.is_none() && wanted.frozen.is_none();
    if stays {
        return changed.map(Change::Origin);
    }
    let known = changed.or_else(|| before.filter(|origin| origin.is_paused_there));
    known.map(|origin| {
        Change::Origin(CardOrigin {
            is_paused_there: false,
            ..origin
        })
    })
}

/// A card that is locked to its first merchant later than it was made is not so at an issuer that
/// never asks: it makes such cards, and changes none into one. What is known of the card then.
fn lock_lacking(
    ask: &Ask,
    (row, above): (&Card, &Above),
    had_lock: bool,
    policy: &Policy,
) -> Option<CardOrigin> {
    let asks = ask
        .api
        .issuer_of(&row.connection)
        .is_none_or(|it| it.manner().asks);
    if asks || row.usage == Usage::Single || policy.lock_to_first_merchant() != Some(true) {
        return None;
    }
    let origin = above.origin.clone().unwrap_or_else(|| CardOrigin {
        card_id: row.id.clone(),
        has_past: false,
        is_paused_there: false,
        lacks_lock: false,
    });
    let lacks_lock = origin.lacks_lock || origin.has_past || !had_lock;
    lacks_lock.then_some(CardOrigin {
        lacks_lock,
        ..origin
    })
}

/// The rules of a card whose row is about to be kept.
fn rules(above: &Above, row: &Card, lacks_lock: bool) -> Result<Rules, Problem> {
    let rules = above.rules(row).ok_or_else(Problem::internal)?;
    Ok(Rules {
        // Whoever never asks holds sums, whatever was spent on the card before.
        has_past: false,
        lacks_lock,
        ..rules
    })
}

fn allow_nothing(above: &Above, row: &Card) -> Result<bool, Problem> {
    // Neither of the two that are said here says what may be spent.
    Ok(rules(above, row, false)?.allow_nothing())
}

/// What the issuer cannot hold, where nothing else would (behaviour 4.8).
async fn refuse_unheld(
    ask: &Ask,
    row: &Card,
    rules: &Rules,
    is_allowed: bool,
) -> Result<(), Problem> {
    let issuer = ask.api.issuer_of(&row.connection);
    let Some(issuer) = issuer.filter(|it| !it.manner().asks) else {
        return Ok(());
    };
    refuse_unenforced(issuer, rules, is_allowed)?;
    match issuer.whole_limit(rules) {
        Some(whole) => raise(&ask.api, ask.now, row, (whole, &rules.currency)).await,
        None => Ok(()),
    }
}

/// What the issuer is told of the change: that the card stands differently, and within which limits.
/// A limit of nothing pauses the card there; no other limit says anything about its state, which its
/// issuer may have changed meanwhile.
fn told(ask: &Ask, row: &Card, wanted: &Wanted, limits_stop_or_open: bool) -> Vec<Change> {
    let stands = wanted.status.is_some() || wanted.frozen.is_some() || limits_stop_or_open;
    let state = stands.then(|| told_of(ask, row, Errand::State));
    let mut told = Vec::from_iter(state.flatten());
    if wanted.limit.is_some() || wanted.policy.is_some() {
        told.extend(told_of(ask, row, Errand::Rules));
    }
    told
}

/// What follows from other rules of a card: what is known of it at its issuer, and what that is told.
/// Refused where nobody would hold them.
pub(in crate::cold::api) async fn ruled(
    ask: &Ask,
    before: &Card,
    after: &Card,
    is_allowed: bool,
) -> Result<Vec<Change>, Problem> {
    if after.status == CardStatus::Canceled {
        return Err(Problem::card_canceled());
    }
    let had_lock = card_policy(before.policy.as_deref(), before.limit.as_ref())?;
    let had_lock = had_lock.lock_to_first_merchant() == Some(true);
    let policy = card_policy(after.policy.as_deref(), after.limit.as_ref())?;
    let above = ask.api.above(after).await?;
    let origin = lock_lacking(ask, (after, &above), had_lock, &policy);
    let rules = rules(&above, after, origin.is_some())?;
    refuse_unheld(ask, after, &rules, is_allowed).await?;
    let paused_before = allow_nothing(&above, before)?;
    let paused_now = allow_nothing(&above, after)?;
    let state = (paused_before != paused_now).then(|| told_of(ask, after, Errand::State));
    let rules = told_of(ask, after, Errand::Rules);
    let told = state.flatten().into_iter().chain(rules);
    Ok(told.chain(origin.map(Change::Origin)).collect())
}

/// One thing that the card's issuer is told, where it is asked over a network.
pub(super) fn told_of(ask: &Ask, row: &Card, errand: Errand) -> Option<Change> {
    told_at(ask, row, errand, ask.now)
}

/// The same, from an instant on.
pub(super) fn told_at(ask: &Ask, row: &Card, errand: Errand, at: Timestamp) -> Option<Change> {
    let issuer = ask.api.issuer_of(&row.connection)?;
    let row = OutboxRow::of_card(errand, &row.id, &row.connection, at);
    issuer.manner().is_remote.then_some(Change::Outbox(row))
}

/// What the ledger is to hold, where the change is one of standing.
fn order(row: &Card, wanted: &Wanted) -> Option<Order> {
    let (status, frozen) = (wanted.status, wanted.frozen);
    (status.is_some() || frozen.is_some()).then(|| Order::Card {
        card: row.into(),
        status,
        frozen,
    })
}

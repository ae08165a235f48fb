//! `/admin/cards/{id}`: what is in force on a card, what it has spent, what it holds.
//!
//! The ledger is looked at on a hot thread, so each look is a few lookups by key: never a walk over
//! a customer's authorizations. Which authorizations could hold something, the records tell.

mod ledger;
mod limits;
pub(in crate::cold) mod policy;
pub(in crate::cold) mod view;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};

use super::OpsState;
use super::decisions::ask;
use super::policy::PolicyView;
use super::problem::Problem;
use super::query::Parameters;
use super::standing::strictest;
use crate::cold::records::{Approvals, Named};
use crate::decide::effective::effective;
use crate::decide::snapshot::{CardView, CustomerSlot, Snapshot};
use crate::domain::card::{Key, Usage};
use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;
use crate::seam::commands::{LedgerPort, PortError};
use ledger::{
    CardInLedger, Moment, Owned, UsedCard, look_at_card, look_at_holds, look_at_used_card,
};
use view::{CapView, CardShown, HoldView, LimitView, MerchantLockView};

/// Records looked at in one step, and so authorizations asked for in one command.
const STEP_LEN: usize = 64;
/// Steps for one answer; holds further back are not shown.
const STEPS_MAX: usize = 32;
/// Holds in one answer.
const HOLDS_MAX: usize = 200;
/// A hot thread that does not answer for this long has other worries.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn one(
    State(state): State<OpsState>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<CardShown>, Problem> {
    parameters.finish()?;
    let snapshot = Arc::clone(&state.running()?.snapshots.load());
    let Some(card) = snapshot.card_by_id(&id) else {
        return left_card(&state, &snapshot, id).await.map(Json);
    };
    let owned = Owned {
        customer: card.customer.key(),
        card: card.card.key(),
        agent: card.agent.map(|agent| agent.key()),
    };
    let moment = moment(state.clock.now(), Some(card.customer.zone()));
    let in_ledger = in_time(state.ledger.ask(move |it| look_at_card(it, owned, moment))).await?;
    // A snapshot may call a used card otherwise; its records do not.
    let known_as = in_ledger.id.as_deref().unwrap_or_else(|| card.card.id());
    let (holds, holds_complete) = holds(&state, known_as, owned, &in_ledger).await?;
    Ok(Json(shown(
        &card,
        moment,
        &in_ledger,
        holds,
        holds_complete,
    )))
}

/// What the records call a card: the id that it was first used under. Where the ledger does not answer,
/// its id in the snapshot, so that records can be read all the same.
pub(super) async fn name_in_records(state: &OpsState, id: String) -> String {
    let Ok(running) = state.running() else {
        return id;
    };
    let snapshot = Arc::clone(&running.snapshots.load());
    let Some(card) = snapshot.card_by_id(&id) else {
        return id;
    };
    let (customer, card) = (card.customer.key(), card.card.key());
    let asked = state
        .ledger
        .ask(move |it| ledger::name_in_records(it, customer, card));
    let known_as = in_time(asked).await.ok().flatten();
    known_as.map_or(id, String::from)
}

/// Every cap on a sum of a card in the snapshot, and where it stands; absent where nobody answers.
pub(in crate::cold) async fn limits_of(
    ledger: &LedgerPort,
    snapshot: &Snapshot,
    id: &str,
    now: Timestamp,
) -> Option<Vec<LimitView>> {
    let card = snapshot.card_by_id(id)?;
    let (in_ledger, _) = in_force(ledger, &card, now).await?;
    Some(limits::of_sums(&card, &effective(&card), &in_ledger))
}

/// Every cap on a sum or a number of approvals, likewise.
pub(in crate::cold) async fn caps_of(
    ledger: &LedgerPort,
    snapshot: &Snapshot,
    id: &str,
    now: Timestamp,
) -> Option<Vec<CapView>> {
    let card = snapshot.card_by_id(id)?;
    let (in_ledger, moment) = in_force(ledger, &card, now).await?;
    let policy = effective(&card);
    let sums = limits::of_sums(&card, &policy, &in_ledger);
    let counts = limits::of_counts(&card, &policy, &in_ledger, moment);
    let counts = counts.into_iter().map(CapView::Count);
    Some(sums.into_iter().map(CapView::Sum).chain(counts).collect())
}

/// What the ledger has of a card in the snapshot; absent where nobody answers.
async fn in_force(
    ledger: &LedgerPort,
    card: &CardView<'_>,
    now: Timestamp,
) -> Option<(CardInLedger, Moment)> {
    let owned = Owned {
        customer: card.customer.key(),
        card: card.card.key(),
        agent: card.agent.map(|agent| agent.key()),
    };
    let moment = moment(now, Some(card.customer.zone()));
    let looked = in_time(ledger.ask(move |it| look_at_card(it, owned, moment)));
    Some((looked.await.ok()?, moment))
}

/// A card that the snapshot in force does not have: what the ledger keeps of it.
async fn left_card(
    state: &OpsState,
    snapshot: &Snapshot,
    id: String,
) -> Result<CardShown, Problem> {
    let unknown = || Problem::not_found("There is no such card");
    let name = id.clone();
    let named = ask(state, move |records| Ok(records.card_named(&name))).await?;
    let Named { key, customer, no } = named.ok_or_else(unknown)?;
    let owner = snapshot.customer_by_id(&customer);
    let zone = owner.map(CustomerSlot::zone);
    let moment = moment(state.clock.now(), zone);
    let looked = state
        .ledger
        .ask(move |it| look_at_used_card(it, key, no, moment));
    let UsedCard {
        key: card,
        connection,
        in_ledger,
    } = in_time(looked).await?.ok_or_else(unknown)?;
    let owned = Owned {
        customer: key,
        card,
        agent: None,
    };
    let (holds, holds_complete) = holds(state, &id, owned, &in_ledger).await?;
    Ok(CardShown {
        id,
        connection,
        in_snapshot: false,
        customer_id: customer,
        customer_status: owner
            .map(|owner| owner.status().stricter(in_ledger.customer_status).name()),
        agent_id: None,
        agent_status: None,
        usage: None,
        status: in_ledger.status.name(),
        status_source: "ledger",
        frozen: in_ledger.is_frozen,
        currency: owner.map(|owner| owner.currency().to_string()),
        policy: None,
        limits: limits::sums(&in_ledger, zone),
        counts: limits::used(&in_ledger, zone, moment),
        holds,
        holds_complete,
        merchant_lock: in_ledger.lock.as_deref().map(MerchantLockView::first_use),
        single_use_consumed_at: in_ledger.consumed_at.map(|at| at.rfc3339().to_string()),
    })
}

/// The holds of a card, newest first, and whether these are all.
async fn holds(
    state: &OpsState,
    card: &str,
    owned: Owned,
    in_ledger: &CardInLedger,
) -> Result<(Vec<HoldView>, bool), Problem> {
    let wanted = in_ledger.held();
    let mut found = 0_i64;
    let mut holds: Vec<HoldView> = Vec::new();
    let mut seen: BTreeSet<Key> = BTreeSet::new();
    let mut from = None;
    for _ in 0..STEPS_MAX {
        if found >= wanted || holds.len() >= HOLDS_MAX {
            break;
        }
        let id = card.to_owned();
        let step = ask(state, move |records| {
            records.approvals_of_card(&id, STEP_LEN, from)
        });
        let Approvals { approvals, next } = step.await?;
        let mut fresh = Vec::new();
        for approval in approvals {
            if seen.insert(approval.key) {
                fresh.push(approval);
            }
        }
        let looked = state.ledger.ask(move |it| look_at_holds(it, owned, fresh));
        for hold in in_time(looked).await? {
            found = found.saturating_add(hold.amount);
            holds.push(hold);
        }
        from = next;
        if from.is_none() {
            break;
        }
    }
    let complete = found >= wanted && holds.len() <= HOLDS_MAX;
    holds.truncate(HOLDS_MAX);
    Ok((holds, complete))
}

pub(super) async fn in_time<T>(
    asked: impl Future<Output = Result<T, PortError>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(PortError::Busy)) => Err(Problem::busy()),
        Ok(Err(PortError::Closed)) => Err(Problem::not_ready()),
        Ok(Err(PortError::NotTaken)) => Err(Problem::ledger_unavailable()),
        Err(_elapsed) => Err(Problem::unknown_outcome()),
    }
}

fn moment(now: Timestamp, zone: Option<&ZoneTable>) -> Moment {
    Moment {
        now,
        day: zone.map(|zone| zone.day_at(now.secs())),
        hour: zone.map(|zone| zone.hour_at(now.secs()).0),
    }
}

fn shown(
    card: &CardView<'_>,
    moment: Moment,
    in_ledger: &CardInLedger,
    holds: Vec<HoldView>,
    holds_complete: bool,
) -> CardShown {
    let policy = effective(card);
    let (status, status_source) = strictest(card.card.status(), in_ledger.status);
    let merchant_lock = match (&in_ledger.lock, card.card.preset_merchant()) {
        (Some(lock), _) => Some(MerchantLockView::first_use(lock)),
        (None, Some(named)) => Some(MerchantLockView::preset(named)),
        (None, None) => None,
    };
    CardShown {
        id: card.card.id().to_owned(),
        connection: card.connection.to_owned(),
        in_snapshot: true,
        customer_id: card.customer.id().to_owned(),
        customer_status: {
            let declared = card.customer.status();
            Some(declared.stricter(in_ledger.customer_status).name())
        },
        agent_id: card.agent.map(|agent| agent.id().to_owned()),
        agent_status: card.agent.map(|agent| {
            let (declared, set) = (agent.status(), in_ledger.agent_status);
            let stricter = if set as u8 > declared as u8 {
                set
            } else {
                declared
            };
            stricter.name()
        }),
        usage: Some(match card.card.usage() {
            Usage::Multi => "multi",
            Usage::Single => "single",
        }),
        status: status.name(),
        status_source,
        frozen: card.card.is_frozen() || in_ledger.is_frozen,
        currency: Some(card.customer.currency().to_string()),
        policy: Some(PolicyView::new(card.customer, &policy)),
        limits: limits::of_sums(card, &policy, in_ledger),
        counts: limits::of_counts(card, &policy, in_ledger, moment),
        holds,
        holds_complete,
        merchant_lock,
        single_use_consumed_at: in_ledger.consumed_at.map(|at| at.rfc3339().to_string()),
    }
}

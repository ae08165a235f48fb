//! `/admin/cards/{id}`: what is in force on a card, what it has spent, what it holds.
//!
//! The ledger is looked at on a hot thread, so each look is a few lookups by key: never a walk over
//! a customer's authorizations. Which authorizations could hold something, the records tell.

mod ledger;
mod view;

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
use crate::cold::records::Approvals;
use crate::decide::effective::{EffectivePolicy, effective};
use crate::decide::snapshot::CardView;
use crate::domain::card::{CardStatus, Key, Level, Usage};
use crate::domain::explanation::RuleField;
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;
use ledger::{CardInLedger, Owned, look_at_card, look_at_holds};
use view::{CardShown, HoldView, LimitView, MerchantLockView};

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
    let card = snapshot
        .card_by_id(&id)
        .ok_or_else(|| Problem::not_found("There is no such card"))?;
    let owned = Owned {
        customer: card.customer.key(),
        card: card.card.key(),
        agent: card.agent.map(|agent| agent.key()),
    };
    let now = state.clock.now();
    let today = card.customer.zone().day_at(now.secs());
    let in_ledger = in_time(state.ledger.ask(move |it| look_at_card(it, owned, today))).await?;
    let (holds, holds_complete) = holds(&state, card.card.id(), owned, &in_ledger).await?;
    Ok(Json(shown(&card, &in_ledger, holds, holds_complete)))
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

async fn in_time<T>(
    asked: impl Future<Output = Result<T, crate::seam::commands::PortError>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_closed)) => Err(Problem::not_ready()),
        Err(_elapsed) => Err(Problem::not_ready()),
    }
}

fn shown(
    card: &CardView<'_>,
    in_ledger: &CardInLedger,
    holds: Vec<HoldView>,
    holds_complete: bool,
) -> CardShown {
    let policy = effective(card);
    let (status, status_source) = strictest(card.card.status(), in_ledger.status);
    let merchant_lock = match (&in_ledger.lock, card.card.preset_lock()) {
        (Some(lock), _) => Some(MerchantLockView::first_use(lock)),
        (None, Some(_)) => Some(MerchantLockView::preset()),
        (None, None) => None,
    };
    CardShown {
        id: card.card.id().to_owned(),
        connection: card.connection.to_owned(),
        customer_id: card.customer.id().to_owned(),
        agent_id: card.agent.map(|agent| agent.id().to_owned()),
        usage: match card.card.usage() {
            Usage::Multi => "multi",
            Usage::Single => "single",
        },
        status: status.name(),
        status_source,
        frozen: card.card.is_frozen() || in_ledger.is_frozen,
        currency: card.customer.currency().to_string(),
        policy: PolicyView::new(card.customer, &policy),
        limits: limits(card, &policy, in_ledger),
        holds,
        holds_complete,
        merchant_lock,
        single_use_consumed_at: in_ledger.consumed_at.map(|at| at.rfc3339().to_string()),
    }
}

/// Canceled outranks locked outranks active; of equals the snapshot is named.
fn strictest(snapshot: CardStatus, ledger: CardStatus) -> (CardStatus, &'static str) {
    if ledger as u8 > snapshot as u8 {
        (ledger, "ledger")
    } else {
        (snapshot, "snapshot")
    }
}

/// Every cap on a sum, at every level, in the order in which they are checked.
fn limits(
    card: &CardView<'_>,
    policy: &EffectivePolicy<'_>,
    in_ledger: &CardInLedger,
) -> Vec<LimitView> {
    let zone = card.customer.zone();
    let mut shown = Vec::new();
    let levels = Level::ALL.into_iter().zip(*policy.limits());
    for ((level, caps), counters) in levels.zip(in_ledger.counters) {
        for kind in WindowKind::ALL {
            let Some(cap) = caps.of_window(kind) else {
                continue;
            };
            let ends = Timestamp::from_secs(zone.start_of(kind.next_start(in_ledger.day)));
            let field = match kind {
                WindowKind::Day => RuleField::PerDay,
                WindowKind::Week => RuleField::PerWeek,
                WindowKind::Month => RuleField::PerMonth,
            };
            let sum = counters.window(kind, in_ledger.day);
            shown.push(LimitView::new(level, field, cap, sum, Some(ends)));
        }
        if let Some(cap) = caps.total {
            shown.push(LimitView::new(
                level,
                RuleField::Total,
                cap,
                counters.total(),
                None,
            ));
        }
    }
    shown
}

//! What is told: its kinds, and its bytes (behaviour 8.5).

use serde::Serialize;

use crate::cold::ids::draw;
use crate::cold::records::DecisionRecord;
use crate::cold::store::access::{AccessRequest, AccessState};
use crate::cold::store::purchases::{Purchase, PurchaseState, PurchaseWanted};
use crate::cold::store::webhook::{Notice, WebhookChange};
use crate::cold::store::{Batch, Card, Change, Intent, Mode, Store, StoreError};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;

/// Kinds that endpoints are told of, in the order of the documentation.
pub const KINDS: [&str; 18] = [
    DECLINED,
    APPROVED,
    "card.created",
    "card.locked",
    "card.unlocked",
    "card.frozen",
    "card.unfrozen",
    "card.canceled",
    PENDING_APPROVAL,
    ACCESS_REQUESTED,
    PENDING_REVIEW,
    "alert.limit_share",
    "alert.decline_storm",
    "alert.merchant_drift",
    "alert.spend_spike",
    "alert.forced_posting",
    RISK_WOULD_FREEZE,
    RISK_FROZEN,
];
/// What people are told of: what waits for them.
pub(in crate::cold) const KINDS_OF_PEOPLE: [&str; 2] = [PENDING_REVIEW, "purchase.*"];
/// What whoever makes an endpoint gets without asking for it: everything but approvals.
pub const KINDS_DEFAULT: [&str; 7] = [
    DECLINED,
    "card.*",
    "intent.*",
    "access.*",
    "purchase.*",
    "alert.*",
    "risk.*",
];
/// A risk rule has frozen a card.
pub const RISK_FROZEN: &str = "risk.card_frozen";
/// A risk rule would have, and only tells.
pub const RISK_WOULD_FREEZE: &str = "risk.would_freeze";
/// An authorization was declined.
pub const DECLINED: &str = "decision.declined";
/// An authorization was approved, in full or in part.
pub const APPROVED: &str = "decision.approved";
const PENDING_APPROVAL: &str = "intent.pending_approval";
/// An agent that is paused asks to be at work.
const ACCESS_REQUESTED: &str = "access.requested";
/// A purchase request waits for a human.
pub(in crate::cold) const PENDING_REVIEW: &str = "purchase.pending_review";
/// What an owner sends himself.
pub(in crate::cold) const TEST: &str = "webhook.test";

/// Whether it names kinds that there are: one, or a family as `card.*`.
#[must_use]
pub fn is_wanted(text: &str) -> bool {
    let family = text.strip_suffix('*').filter(|it| it.ends_with('.'));
    KINDS.iter().any(|kind| match family {
        Some(family) => kind.starts_with(family),
        None => *kind == text,
    })
}

/// The family of a kind, as `card.*`.
#[must_use]
pub fn family(kind: &str) -> String {
    let family = kind.split('.').next().unwrap_or(kind);
    format!("{family}.*")
}

#[derive(Serialize)]
struct Body<'a, D> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: &'a D,
}

/// What happened to whose, at this instant; kept now.
pub(in crate::cold) fn notice<D: Serialize>(
    kind: &'static str,
    (mode, customer_id): (Mode, &str),
    data: &D,
    (at, now): (Timestamp, Timestamp),
) -> Notice {
    let body = Body {
        kind,
        timestamp: at.rfc3339().to_string(),
        data,
    };
    Notice {
        id: draw("evt", now),
        mode,
        customer_id: customer_id.to_owned(),
        kind,
        // A struct of texts and numbers always has a JSON form.
        body: serde_json::to_string(&body).unwrap_or_default(),
        at: now,
    }
}

/// A decision.
#[must_use]
pub fn of_decision(record: &DecisionRecord, mode: Mode, at: Timestamp, now: Timestamp) -> Notice {
    let kind = if record.reason.is_some() {
        DECLINED
    } else {
        APPROVED
    };
    let customer = record.customer.as_deref().unwrap_or_default();
    notice(kind, (mode, customer), record, (at, now))
}

#[derive(Serialize)]
struct Empty {}

/// A test of an endpoint.
#[must_use]
pub fn test(mode: Mode, now: Timestamp) -> Notice {
    notice(TEST, (mode, ""), &Empty {}, (now, now))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardTold<'a> {
    card_id: &'a str,
    customer_id: &'a str,
    agent_id: Option<&'a str>,
    connection: &'a str,
    last4: Option<&'a str>,
    status: &'static str,
    frozen: bool,
}

/// The words of an agent stand below our facts and are marked as such (behaviour 5.13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntentTold<'a> {
    card_id: &'a str,
    customer_id: &'a str,
    agent_id: Option<&'a str>,
    intent_id: &'a str,
    expires_at: String,
    said_by_agent: SaidByAgent<'a>,
}

#[derive(Serialize)]
struct SaidByAgent<'a> {
    purpose: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessTold<'a> {
    request_id: &'a str,
    customer_id: &'a str,
    agent_id: &'a str,
    said_by_agent: ReasonOfAgent<'a>,
}

#[derive(Serialize)]
struct ReasonOfAgent<'a> {
    reason: &'a str,
}

/// Our facts first, the agent's words below and marked as such (behaviour 5.13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseTold<'a> {
    request_id: &'a str,
    customer_id: &'a str,
    agent_id: &'a str,
    amount: String,
    currency: String,
    card_use: &'static str,
    host: &'a str,
    /// Why a human has to decide, in sentences of ours.
    causes: Vec<&'a str>,
    said_by_agent: WordsOfPurchase<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WordsOfPurchase<'a> {
    merchant_name: Option<&'a str>,
    description: &'a str,
    justification: &'a str,
    category_hint: Option<&'a str>,
}

/// What is to be told of a batch that is about to be kept.
///
/// # Errors
/// [`StoreError`] where it cannot be seen how the rows were before.
pub async fn of_batch(
    store: &dyn Store,
    batch: &[Change],
    now: Timestamp,
) -> Result<Batch, StoreError> {
    let mut told = Batch::new();
    for change in batch {
        match change {
            Change::Card(row) => {
                let before = match row.revision {
                    0 => None,
                    _ => store.card(row.id.clone()).await?,
                };
                told.extend(of_card(before.as_ref(), row, now));
            }
            Change::Intent(row) if row.revision == 0 && row.awaits_approval => {
                let card = store.card(row.card_id.clone()).await?;
                told.extend(card.map(|card| of_intent(&card, row, now)));
            }
            Change::Access(row) if row.state == AccessState::Pending => {
                told.push(of_access(row, now));
            }
            Change::Purchase(row) if row.state == PurchaseState::PendingReview => {
                // One may wait later, too: where the limits refuse what the rules had approved.
                let before = match row.revision {
                    0 => None,
                    _ => store.purchase(PurchaseWanted::One(row.id.clone())).await?,
                };
                let waited = before.is_some_and(|it| it.state == row.state);
                told.extend((!waited).then(|| of_purchase(row, now)));
            }
            // What decides nothing of cards, and what waits for no human.
            Change::Intent(_)
            | Change::Access(_)
            | Change::Customer(_)
            | Change::Agent(_)
            | Change::ApiKey(..)
            | Change::ApiKeyChanged(_)
            | Change::Reply(_)
            | Change::Outbox(_)
            | Change::OutboxTried(_)
            | Change::OutboxDone(..)
            | Change::Sealed(_)
            | Change::Origin(_)
            | Change::SetAside(_)
            | Change::Attestation(_)
            | Change::PolicyVersion(..)
            | Change::Audit(_)
            | Change::Checkpoint(_)
            | Change::Purchase(_)
            | Change::Ledger(..)
            | Change::People(_)
            | Change::Webhooks(_) => {}
        }
    }
    Ok(told)
}

fn of_card(before: Option<&Card>, row: &Card, now: Timestamp) -> Vec<Change> {
    let Some(before) = before else {
        return vec![card_told("card.created", row, now)];
    };
    let mut kinds = Vec::new();
    if before.status != row.status {
        kinds.push(match row.status {
            CardStatus::Active => "card.unlocked",
            CardStatus::Locked => "card.locked",
            CardStatus::Canceled => "card.canceled",
        });
    }
    match (before.is_frozen, row.is_frozen) {
        (false, true) => kinds.push("card.frozen"),
        (true, false) => kinds.push("card.unfrozen"),
        (true, true) | (false, false) => {}
    }
    let told = kinds.into_iter().map(|kind| card_told(kind, row, now));
    told.collect()
}

fn card_told(kind: &'static str, row: &Card, now: Timestamp) -> Change {
    let data = CardTold {
        card_id: &row.id,
        customer_id: &row.customer_id,
        agent_id: row.agent_id.as_deref(),
        connection: &row.connection,
        last4: row.last4.as_deref(),
        status: row.status.name(),
        frozen: row.is_frozen,
    };
    let whose = (row.mode, &*row.customer_id);
    WebhookChange::Told(notice(kind, whose, &data, (now, now))).into()
}

fn of_access(row: &AccessRequest, now: Timestamp) -> Change {
    let data = AccessTold {
        request_id: &row.id,
        customer_id: &row.customer_id,
        agent_id: &row.agent_id,
        said_by_agent: ReasonOfAgent {
            reason: &row.reason,
        },
    };
    let whose = (row.mode, &*row.customer_id);
    WebhookChange::Told(notice(ACCESS_REQUESTED, whose, &data, (now, now))).into()
}

fn of_purchase(row: &Purchase, now: Timestamp) -> Change {
    let data = PurchaseTold {
        request_id: &row.id,
        customer_id: &row.customer_id,
        agent_id: &row.agent_id,
        amount: row.amount.to_string(),
        currency: row.amount.currency.to_string(),
        card_use: row.card_use().name(),
        host: &row.host,
        causes: row.terms.causes.iter().map(|it| &*it.text).collect(),
        said_by_agent: WordsOfPurchase {
            merchant_name: row.asked.merchant_name.as_deref(),
            description: &row.asked.description,
            justification: &row.asked.justification,
            category_hint: row.asked.category_hint.as_deref(),
        },
    };
    let whose = (row.mode, &*row.customer_id);
    WebhookChange::Told(notice(PENDING_REVIEW, whose, &data, (now, now))).into()
}

fn of_intent(card: &Card, row: &Intent, now: Timestamp) -> Change {
    let data = IntentTold {
        card_id: &row.card_id,
        customer_id: &card.customer_id,
        agent_id: card.agent_id.as_deref(),
        intent_id: &row.called,
        expires_at: row.expires_at.rfc3339().to_string(),
        said_by_agent: SaidByAgent {
            purpose: &row.purpose,
        },
    };
    let whose = (row.mode, &*card.customer_id);
    WebhookChange::Told(notice(PENDING_APPROVAL, whose, &data, (now, now))).into()
}

//! A purchase request as it is shown: what is overdue is shown as it will be kept.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::store::Card;
use crate::cold::store::purchases::{Broken, Purchase, PurchaseAsked, PurchaseState};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;

const WAITS: &str = "A human has to decide. Ask check_status for the outcome.";

/// What a reviewer is shown, beside the amount.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseCause)]
#[serde(rename_all = "camelCase")]
struct CauseShown {
    /// A stable word.
    code: String,
    /// One sentence.
    text: String,
    /// Whose rule it is; null where it is none's own.
    #[schema(pattern = "^(card|agent|customer)$")]
    level: Option<String>,
}

/// The card of an approved request. No number is here.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseCard)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold::api) struct VirtualCard {
    pub(in crate::cold::api) id: String,
    pub(in crate::cold::api) last4: Option<String>,
    /// What binds the card beside its amount and its first merchant.
    #[schema(pattern = "^(merchant|category|amount_only)$")]
    pub(in crate::cold::api) scope: &'static str,
    #[schema(format = DateTime)]
    pub(in crate::cold::api) expires_at: Option<String>,
    /// The page that shows the card; null where its connection shows none to agents.
    pub(in crate::cold::api) view_url: Option<String>,
    /// When that page opens no more.
    #[schema(format = DateTime)]
    pub(in crate::cold::api) view_expires_at: Option<String>,
}

/// A purchase request. Amounts are decimal text in major units; absent values are null.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseRequest)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold::api) struct PurchaseShown {
    pub(in crate::cold::api) id: String,
    customer_id: String,
    agent_id: String,
    /// `expired` is one whose card is over.
    #[schema(pattern = "^(pending_review|approved|denied|expired)$")]
    pub(in crate::cold::api) status: &'static str,
    /// The host that rules are asked about, in A-labels.
    host: String,
    amount: String,
    /// The amount with the tolerance that the rules give it: what is set aside, and what the card is
    /// good for.
    earmark: String,
    currency: String,
    /// How often the card may be used: once, or until what is set aside is spent, at one merchant.
    #[schema(pattern = "^(single|until_spent)$")]
    pub(in crate::cold::api) card_use: &'static str,
    /// Whether names alone bind the card, or would: no category, and no id of the merchant alone. Anybody can take a
    /// name.
    weak: bool,
    #[serde(skip)]
    scope: &'static str,
    /// Why a human is asked, or was.
    causes: Vec<CauseShown>,
    /// Why it is denied, or waits: a stable word.
    pub(in crate::cold::api) reason: Option<String>,
    /// The same in a sentence.
    pub(in crate::cold::api) message: String,
    /// What would pass.
    pub(in crate::cold::api) suggestion: Option<String>,
    pub(in crate::cold::api) virtual_card: Option<VirtualCard>,
    /// What the agent wrote. It decides nothing, and may say anything.
    asked: AskedShown,
    /// The name of the approval in advance that it rests on.
    standing_approval: Option<String>,
    /// The key that approved or denied it; null where rules did.
    decided_by: Option<String>,
    #[schema(format = DateTime)]
    pub(in crate::cold::api) decided_at: Option<String>,
    /// When a review that nobody makes ends.
    #[schema(format = DateTime)]
    pub(in crate::cold::api) review_ends_at: Option<String>,
    #[schema(format = DateTime)]
    pub(in crate::cold::api) created_at: String,
    /// Grows with each change. Whoever decides may name the one that was looked at.
    version: i64,
}

/// What a reviewer's page shows of a request beside its state. All of it is ours.
pub(in crate::cold::api) struct Facts<'a> {
    pub(in crate::cold::api) version: i64,
    pub(in crate::cold::api) amount: &'a str,
    pub(in crate::cold::api) earmark: &'a str,
    pub(in crate::cold::api) currency: &'a str,
    pub(in crate::cold::api) host: &'a str,
    pub(in crate::cold::api) created_at: &'a str,
    /// How often the card may be used.
    pub(in crate::cold::api) card_use: &'static str,
    /// What binds the card beside its amount.
    pub(in crate::cold::api) bound_to: &'static str,
    pub(in crate::cold::api) causes: Vec<String>,
}

impl PurchaseShown {
    /// For a page.
    pub(in crate::cold::api) fn facts(&self) -> Facts<'_> {
        Facts {
            version: self.version,
            amount: &self.amount,
            earmark: &self.earmark,
            currency: &self.currency,
            host: &self.host,
            created_at: &self.created_at,
            card_use: match self.card_use {
                "until_spent" => "several times at one merchant, until it is spent",
                _ => "once",
            },
            bound_to: match (self.scope, self.weak) {
                ("merchant", true) => {
                    "the merchant by name alone, which is weak: anybody can take a name"
                }
                ("merchant", false) => "the merchant",
                ("category", _) => "a category of merchants",
                _ => "whoever charges it first",
            },
            causes: self.causes.iter().map(|it| it.text.clone()).collect(),
        }
    }
}

/// The agent's own words.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PurchaseAsked)]
#[serde(rename_all = "camelCase")]
struct AskedShown {
    merchant_url: String,
    merchant_name: Option<String>,
    description: String,
    justification: String,
    category_hint: Option<String>,
}

/// Where a request stands, in words.
struct Stands {
    status: &'static str,
    reason: Option<String>,
    message: String,
}

impl Stands {
    fn new(status: &'static str, reason: Option<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    fn of(row: &Purchase, card: Option<&Card>, now: Timestamp) -> Self {
        let is_over = row.due_at.is_some_and(|due| due <= now);
        let is_canceled = card.is_some_and(|card| card.status == CardStatus::Canceled);
        match row.state {
            PurchaseState::PendingReview if is_over => {
                let reason = Some("review_expired".to_owned());
                Self::new("denied", reason, "nobody decided in time")
            }
            PurchaseState::PendingReview => match row.terms.causes.first() {
                Some(cause) => {
                    let message = format!("{WAITS} Why: {}.", cause.text);
                    Self::new("pending_review", Some(cause.code.clone()), message)
                }
                None => Self::new("pending_review", None, WAITS),
            },
            PurchaseState::Issuing => Self::new("pending_review", None, "issuing"),
            PurchaseState::Denied | PurchaseState::Withdrawing => {
                let message = row.note.clone().unwrap_or_default();
                Self::new("denied", row.reason.clone(), message)
            }
            PurchaseState::Approved if !is_over && !is_canceled => {
                Self::new("approved", None, "The card is ready.")
            }
            PurchaseState::Approved | PurchaseState::Expired => {
                let message = match row.reason {
                    Some(_) => "The card was canceled: nobody looked at it in time.",
                    None => "The card is over.",
                };
                Self::new("expired", row.reason.clone(), message)
            }
        }
    }
}

impl VirtualCard {
    fn of(api: &Api, row: &Purchase, card: Card) -> Self {
        let ends = row.terms.card_expires_us.map(Timestamp::from_micros);
        let link = api.link_of(row, &card.connection);
        Self {
            id: card.id,
            last4: card.last4,
            scope: scope(row),
            expires_at: ends.map(instant),
            view_url: link.as_ref().map(|link| api.address_of(link)),
            view_expires_at: link.map(|link| instant(link.ends)),
        }
    }
}

/// What binds the card of a request beside its amount and its first merchant.
fn scope(row: &Purchase) -> &'static str {
    match (&*row.terms.merchants, &*row.terms.mccs) {
        ([], []) => "amount_only",
        ([], _) => "category",
        _ => "merchant",
    }
}

impl From<PurchaseAsked> for AskedShown {
    fn from(asked: PurchaseAsked) -> Self {
        Self {
            merchant_url: asked.merchant_url,
            merchant_name: asked.merchant_name,
            description: asked.description,
            justification: asked.justification,
            category_hint: asked.category_hint,
        }
    }
}

impl From<Broken> for CauseShown {
    fn from(broken: Broken) -> Self {
        Self {
            code: broken.code,
            text: broken.text,
            level: broken.level,
        }
    }
}

fn instant(at: Timestamp) -> String {
    at.rfc3339().to_string()
}

/// A request as it is now.
pub(in crate::cold::api) async fn shown(
    api: &Arc<Api>,
    row: Purchase,
    now: Timestamp,
) -> Result<PurchaseShown, Problem> {
    let card = match &row.card_id {
        Some(id) => api.store.card(id.clone()).await?,
        None => None,
    };
    let stands = Stands::of(&row, card.as_ref(), now);
    let currency = row.amount.currency;
    let waits_until = row
        .due_at
        .filter(|_| row.state == PurchaseState::PendingReview);
    let earmark = Amount {
        minor: Minor::new(row.terms.earmark).unwrap_or(row.amount.minor),
        currency,
    };
    let card_use = row.card_use().name();
    let scope = scope(&row);
    let virtual_card = card.map(|card| VirtualCard::of(api, &row, card));
    Ok(PurchaseShown {
        id: row.id,
        customer_id: row.customer_id,
        agent_id: row.agent_id,
        status: stands.status,
        host: row.host,
        amount: row.amount.to_string(),
        earmark: earmark.to_string(),
        currency: currency.to_string(),
        card_use,
        weak: row.terms.is_weak,
        scope,
        causes: row.terms.causes.into_iter().map(Into::into).collect(),
        reason: stands.reason,
        message: stands.message,
        suggestion: row.terms.suggestion,
        virtual_card,
        asked: row.asked.into(),
        standing_approval: row.terms.standing,
        decided_by: row.decided_by,
        decided_at: row.decided_at.map(instant),
        review_ends_at: waits_until.map(instant),
        created_at: instant(row.created_at),
        version: row.revision,
    })
}

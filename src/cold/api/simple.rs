//! `/api/v1/cards`: cards in a few words, in whole dollars (behaviour 4.6). What is made here is a card
//! like any other, with a policy that says what the words mean.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::cards::{self, Draft, Nothing, Revealing, keep, order};
use super::exchange::{Ask, Reply};
use super::problem::{Fault, Problem};
use super::query::Page;
use super::text;
use crate::cold::control::{Refused, card_policy};
use crate::cold::ops::cards::limits_of;
use crate::cold::ops::cards::view::LimitView;
use crate::cold::store::{Card, Customer, Listed};
use crate::domain::card::{CardStatus, Usage};
use crate::domain::currency::Currency;

/// Dollars.
const LIMIT_USD_MAX: i64 = 50_000;
const DAYS_MAX: i64 = 3_650;
const CENTS: i64 = 100;

/// A new card, in a few words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSimpleCard {
    /// What people see.
    #[schema(min_length = 1, max_length = 200)]
    label: String,
    /// The most that is ever spent with it, in whole dollars.
    #[schema(minimum = 1, maximum = 50_000)]
    limit_usd: i64,
    /// The one merchant that it is for, by its name on statements.
    merchant: Option<String>,
    /// Whether one purchase consumes it.
    single_use: Option<bool>,
    /// The most of one purchase, in whole dollars.
    #[schema(minimum = 1, maximum = 50_000)]
    max_per_charge_usd: Option<i64>,
    /// Days of 24 hours until its end.
    #[schema(minimum = 1, maximum = 3_650)]
    expires_in_days: Option<i64>,
    /// Whose it is; needed where the key reaches several customers.
    customer_id: Option<String>,
}

/// A card in a few words. Absent values are null.
#[derive(Serialize, ToSchema)]
pub(super) struct SimpleCard {
    id: String,
    /// What people see.
    label: String,
    #[schema(pattern = "^(active|locked|frozen|canceled)$")]
    status: &'static str,
    /// The last four digits of the number.
    last4: Option<String>,
    exp_month: Option<u8>,
    exp_year: Option<u16>,
    /// Whole dollars; null where its policy says something else by now.
    limit_usd: Option<i64>,
    /// Whole dollars.
    max_per_charge_usd: Option<i64>,
    merchant: Option<String>,
    single_use: bool,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// What buys, and how much of it is left. Kept nowhere.
#[derive(Serialize, ToSchema)]
pub(super) struct RevealedSimpleCard<'a> {
    id: &'a str,
    #[schema(pattern = "^[0-9]{12,19}$")]
    number: &'a str,
    #[schema(minimum = 1, maximum = 12)]
    exp_month: Option<u8>,
    exp_year: Option<u16>,
    #[schema(pattern = "^[0-9]{3,4}$")]
    cvv: &'a str,
    /// Cents that every limit over the card has room for now.
    balance_cents: Option<i64>,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewSimpleCard>),
    gives: &[Given::created(shape::<SimpleCard>)],
    problems: cards::MAKE_PROBLEMS,
    ..About::new("createSimpleCard", "Makes a card, in a few words.")
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<SimpleCard>)],
    ..About::new(
        "listSimpleCards",
        "Cards with a label. A page may be short while there is a next one.",
    )
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<SimpleCard>)],
    ..About::new("getSimpleCard", "One card with a label.")
};
pub(super) const CANCEL: About = About {
    gives: &[Given::ok(shape::<SimpleCard>)],
    ..About::new("cancelSimpleCard", "Cancels a card for ever.")
};

pub(super) const REVEAL: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<RevealedSimpleCard<'static>>)],
    problems: cards::REVEAL_PROBLEMS,
    ..About::new(
        "revealSimpleCard",
        "Shows a card's number, expiry, CVV and balance, where its connection is set to; kept nowhere, and told in the audit log.",
    )
};

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewSimpleCard = read(&ask.body)?;
    let label = text::name(Some(new.label.clone()), "label")?;
    let customer_id = customer_id(&ask, new.customer_id.clone()).await?;
    let customer = cards::owner(&ask, &customer_id, true).await?;
    let policy = new.policy(&customer)?;
    let draft = Draft {
        allows_unenforced: false,
        shipping: None,
        agent_id: ask.caller.key.agent_id.clone(),
        usage: if new.single_use == Some(true) {
            Usage::Single
        } else {
            Usage::Multi
        },
        status: CardStatus::Active,
        limit: None,
        policy: Some(policy),
        connection: None,
        label,
    };
    let row = order(&ask, customer, draft).await?;
    let path = format!("/api/v1/cards/{}", row.id);
    let reply = Reply::created(path, &shown(&ask, row.clone()).await?)?;
    keep(&ask, row, reply).await
}

/// The customer that the request or the key names, or the only one there is.
async fn customer_id(ask: &Ask, wanted: Option<String>) -> Result<String, Problem> {
    if let Some(id) = wanted.or_else(|| ask.caller.key.customer_id.clone()) {
        return Ok(id);
    }
    let listed = Listed {
        mode: ask.caller.mode(),
        customer_id: None,
        agent_id: None,
        after: None,
        limit: 2,
    };
    let rows = ask.api.store.customers(listed).await?;
    match &*rows {
        [only] => Ok(only.id.clone()),
        _ => {
            let message = "is missing; the key does not reach exactly one customer";
            Err(Problem::invalid_field("customer_id", message))
        }
    }
}

impl NewSimpleCard {
    /// The policy that says the same.
    fn policy(&self, customer: &Customer) -> Result<String, Problem> {
        let dollars = Some(self.limit_usd);
        for (field, value, most) in [
            ("limit_usd", dollars, LIMIT_USD_MAX),
            ("max_per_charge_usd", self.max_per_charge_usd, LIMIT_USD_MAX),
            ("expires_in_days", self.expires_in_days, DAYS_MAX),
        ] {
            if value.is_some_and(|value| !(1..=most).contains(&value)) {
                let message = format!("must be a whole number from 1 to {most}");
                return Err(Problem::invalid_field(field, message));
            }
        }
        if customer.currency != Currency::USD {
            let message = format!("the customer's currency is {}", customer.currency);
            return Err(Problem::not_supported("limit_usd", message));
        }
        let mut limits = Map::new();
        let total = self.limit_usd.saturating_mul(CENTS);
        limits.insert("total".to_owned(), total.into());
        if let Some(most) = self.max_per_charge_usd {
            let most = most.saturating_mul(CENTS);
            limits.insert("perAuth".to_owned(), most.into());
        }
        let mut policy = Map::new();
        policy.insert("limits".to_owned(), limits.into());
        if let Some(days) = self.expires_in_days {
            policy.insert("ttlDays".to_owned(), days.into());
        }
        if let Some(merchant) = &self.merchant {
            policy.insert("allowedMerchants".to_owned(), json!([merchant]));
        }
        let text = Value::Object(policy).to_string();
        // All but the merchant's name is lawful by now.
        card_policy(Some(&text), None).map_err(|Refused { faults }| {
            let faults = faults.into_iter();
            Problem::invalid(faults.map(|(_, why)| Fault::new("merchant", why)).collect())
        })?;
        Ok(text)
    }
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let limit = listed.limit;
    let rows = ask.api.store.cards(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(|row| row.label.is_some()) {
        data.push(shown(&ask, row).await?);
    }
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask).await?;
    Reply::ok(&shown(&ask, row).await?)
}

pub(super) async fn cancel(ask: Ask) -> Result<Reply, Problem> {
    find(&ask).await?;
    cards::cancel(ask.clone()).await?;
    let row = find(&ask).await?;
    Reply::ok(&shown(&ask, row).await?)
}

/// Under the gates of `/v1/cards/{id}/reveal`.
pub(super) async fn reveal(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let row = find(&ask).await?;
    let passed = cards::pass(&ask, row).await?;
    // Whoever is not shown the card is not counted, and the audit log does not tell that he was.
    let balance_cents = balance(&ask, passed.row()).await?;
    let Revealing { row, revealed } = passed.revealing(&ask).await?;
    let shown = RevealedSimpleCard {
        id: &row.id,
        number: revealed.number.expose_secret(),
        exp_month: row.exp_month,
        exp_year: row.exp_year,
        cvv: revealed.cvv.expose_secret(),
        balance_cents,
    };
    Ok(Reply::ok(&shown)?.kept_nowhere())
}

/// The smallest room under all limits on sums.
async fn balance(ask: &Ask, row: &Card) -> Result<Option<i64>, Problem> {
    let snapshot = Arc::clone(&ask.api.snapshots.load());
    let limits = limits_of(&ask.api.ledger, &snapshot, &row.id, ask.now).await;
    let limits = limits.ok_or_else(Problem::ledger_unavailable)?;
    Ok(limits.iter().filter_map(LimitView::remaining).min())
}

/// A card with a label, where the caller may know of it.
async fn find(ask: &Ask) -> Result<Card, Problem> {
    let row = cards::find(ask, &ask.id).await?;
    if row.label.is_none() {
        return Err(Problem::not_found());
    }
    Ok(row)
}

async fn shown(ask: &Ask, row: Card) -> Result<SimpleCard, Problem> {
    let policy = row.policy.as_deref().unwrap_or("null");
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let dollars = |path| {
        let cents = policy.pointer(path).and_then(Value::as_i64)?;
        (cents % CENTS == 0).then_some(cents / CENTS)
    };
    let merchant = policy
        .pointer("/allowedMerchants/0")
        .and_then(Value::as_str);
    let label = row.label.clone().unwrap_or_default();
    let single_use = row.usage == Usage::Single;
    let card = ask.api.card_shown(row).await?;
    Ok(SimpleCard {
        id: card.id,
        label,
        status: card.status,
        last4: card.last4,
        exp_month: card.exp_month,
        exp_year: card.exp_year,
        limit_usd: dollars("/limits/total"),
        max_per_charge_usd: dollars("/limits/perAuth"),
        merchant: merchant.map(str::to_owned),
        single_use,
        expires_at: card.expires_at,
        created_at: card.created_at,
    })
}

//! What an issuer that never asks lets a card spend is set aside at agent and customer for as long as the
//! card is good (behaviour 4.8): nobody is asked about it later.
//!
//! The row is kept first, then the hold is made, under a name that every attempt has in common; so what a
//! crash leaves behind is found again. Once the card is canceled and closed there, the issuer is asked
//! what was spent on it: that stays spent, in the windows in which it was set aside, and the rest comes
//! back. The ledger forgets such a hold with its authorization (`ledger.retention_days`): from then on all
//! of it counts as spent.

use std::sync::Arc;
use std::time::Duration;

use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases::{Earmark, Held};
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::{Aside, CardOrder, IssuerClient, IssuerError, State};
use crate::cold::store::outward::OutboxRow;
use crate::cold::store::set_aside::SetAside;
use crate::cold::store::{Card, Change};
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// Between two looks for cards that are over.
const EVERY: Duration = Duration::from_secs(1);
/// Rows that one look takes.
const AT_ONCE: usize = 100;
/// Before a card is looked at again that its issuer has not closed yet.
const CLOSING_US: i64 = 2_000_000;
/// Before one is looked at again whose issuer does not say.
const AGAIN_US: i64 = 30_000_000;

/// Sets aside what the card that is ordered could spend. Asking again for the same order is the same
/// earmark.
pub(super) async fn set_aside(
    api: &Arc<Api>,
    now: Timestamp,
    connection: &str,
    order: &CardOrder,
) -> Result<(), Problem> {
    let Some(aside) = &order.aside else {
        return Ok(());
    };
    let row = SetAside {
        called: format!("aside_{}", order.key),
        card_id: order.card_id.clone(),
        order_id: OutboxRow::id_of_order(&order.key),
        customer_id: aside.customer_id.clone(),
        agent_id: aside.agent_id.clone(),
        connection: connection.to_owned(),
        amount: amount(aside.minor, &order.rules.currency)?,
        is_held: false,
        created_at: order.at,
        due_at: now,
    };
    hold(api, row).await
}

/// Sets aside what a card could spend more than was set aside for it. A lower limit gives nothing back
/// before the card is over: what was spent on it meanwhile is not known here.
pub(super) async fn raise(
    api: &Arc<Api>,
    now: Timestamp,
    card: &Card,
    (whole, currency): (i64, &str),
) -> Result<(), Problem> {
    let rows = api.store.set_aside_of(card.id.clone()).await?;
    let mut sum = 0_i64;
    for row in rows.iter().filter(|row| row.is_held) {
        sum = sum.saturating_add(row.amount.minor.get());
    }
    if whole <= sum {
        return Ok(());
    }
    let row = SetAside {
        // One that was refused before is another one.
        called: format!("aside_{}.{}", card.id, now.micros()),
        card_id: card.id.clone(),
        order_id: String::new(),
        customer_id: card.customer_id.clone(),
        agent_id: card.agent_id.clone(),
        connection: card.connection.clone(),
        amount: amount(whole.saturating_sub(sum), currency)?,
        is_held: false,
        created_at: now,
        due_at: now,
    };
    hold(api, row).await
}

fn amount(minor: i64, currency: &str) -> Result<Amount, Problem> {
    let minor = Minor::new(minor).map_err(|_out_of_range| Problem::internal())?;
    let currency = Currency::parse(currency).map_err(|_unknown| Problem::internal())?;
    Ok(Amount { minor, currency })
}

async fn hold(api: &Arc<Api>, row: SetAside) -> Result<(), Problem> {
    let wanted = Earmark::aside(api, &row, row.created_at);
    let currency = row.amount.currency;
    api.store.apply(vec![Change::SetAside(row.clone())]).await?;
    match wanted.hold().await? {
        Held::Stands => {
            let row = SetAside {
                is_held: true,
                ..row
            };
            Ok(api.store.apply(vec![Change::SetAside(row)]).await?)
        }
        Held::Declined(explanation) => {
            let over = Change::SetAsideOver(row.called);
            api.store.apply(vec![over]).await?;
            Err(Problem::no_room_for_card(&explanation, currency))
        }
    }
}

/// Gives back what canceled cards have not spent, for as long as the server runs.
pub async fn tend(api: Arc<Api>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let now = api.clock.now();
        let due = match api.store.set_aside_due(now, AT_ONCE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "what is set aside for cards cannot be looked after");
                continue;
            }
        };
        for row in due {
            let after_us = match end(&api, &row, now).await {
                Ok(Ended::Done) => continue,
                Ok(Ended::NotClosed) => CLOSING_US,
                Err(why) => {
                    tracing::warn!(card = row.card_id, %why, "what was set aside for the card stays so");
                    AGAIN_US
                }
            };
            let later = SetAside {
                due_at: now.plus_micros(after_us),
                ..row
            };
            if let Err(error) = api.store.apply(vec![Change::SetAside(later)]).await {
                tracing::warn!(%error, "what is set aside for cards cannot be looked after");
            }
        }
    }
}

/// What came of a look at a card that is over.
enum Ended {
    Done,
    /// Its issuer has not closed it.
    NotClosed,
}

/// Ends one earmark: of several on one card, the oldest is spent first.
async fn end(api: &Arc<Api>, row: &SetAside, now: Timestamp) -> Result<Ended, String> {
    let rows = api.store.set_aside_of(row.card_id.clone()).await;
    let rows = rows.map_err(|error| error.to_string())?;
    if rows.first().map(|first| &*first.called) != Some(&*row.called) {
        // Another one of the card goes first; what it does not spend is this one's.
        return Ok(Ended::Done);
    }
    let Some(mut spent) = spent_there(api, row).await? else {
        return Ok(Ended::NotClosed);
    };
    let last = rows.len().saturating_sub(1);
    let mut over = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let held = row.amount.minor.get();
        // Whatever was spent beyond all of it was spent, too.
        let part = if at == last { spent } else { spent.min(held) };
        spent = spent.saturating_sub(part);
        let part = Minor::new(part).map_err(|_out_of_range| "its sum is none".to_owned())?;
        let ended = Earmark::aside(api, row, now).end(part).await;
        ended.map_err(|problem| problem.code().to_owned())?;
        over.push(Change::SetAsideOver(row.called.clone()));
    }
    // Together: what is left of them after a crash is shared out again as it was.
    let kept = api.store.apply(over).await;
    kept.map_err(|error| error.to_string())?;
    Ok(Ended::Done)
}

/// What was spent on the card, as its issuer says; absent before it is closed there.
async fn spent_there(api: &Api, row: &SetAside) -> Result<Option<i64>, String> {
    let card = api.store.card(row.card_id.clone()).await;
    let Some(card) = card.map_err(|error| error.to_string())? else {
        return Ok(Some(0));
    };
    let issuer = api.issuer_of(&row.connection);
    let issuer = issuer.ok_or_else(|| "its connection is not there".to_owned())?;
    let asked = look(issuer, card.issuer_token).await;
    asked.map_err(|error| error.to_string())
}

async fn look(issuer: &dyn IssuerClient, token: String) -> Result<Option<i64>, IssuerError> {
    let there = issuer.fetch(token.clone()).await?;
    if there.is_some_and(|it| it.state != State::Closed) {
        return Ok(None);
    }
    issuer.spent(token).await.map(Some)
}

/// What is to be set aside for a card with these rules.
pub(super) fn aside_for(
    issuer: &dyn IssuerClient,
    rules: &Rules,
    (customer_id, agent_id): (&str, Option<&str>),
) -> Option<Aside> {
    issuer.whole_limit(rules).map(|minor| Aside {
        customer_id: customer_id.to_owned(),
        agent_id: agent_id.map(str::to_owned),
        minor,
    })
}

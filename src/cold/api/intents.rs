//! `/v1/cards/{id}/intents`: what an agent says that it is about to buy (behaviour 6.1, 6.2).
//!
//! The words are rows, the terms are the ledger's: it takes one intent for one authorization, in the
//! same step that decides it. A row is kept first and declared then, under its own id, so that
//! whoever asks again after a crash declares the same one.

mod new;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::cards::Nothing;
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::fields::shown_document;
use super::problem::Problem;
use super::query::Page;
use super::{Api, cards, customers, text};
use crate::cold::control::{CardName, Order, Work};
use crate::cold::store::{Card, Change, Intent, OfCard, PAGE_LEN_MAX};
use crate::decide::effective::{Approval, approval};
use crate::domain::card::CardStatus;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::intent::{IntentStatus, IntentTerms, IntentVerdict};
use new::{Expects, MINUTE_US, NewIntent, TOLERANCE_PERCENT};

/// An intent as it is shown. Absent values are null, amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = Intent)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntentShown {
    intent_id: String,
    card_id: String,
    /// `pending` waits for its authorization; one that took it is `matched`, or `mismatched` where
    /// the rules only flag what does not keep to an intent.
    #[schema(
        pattern = "^(pending_approval|pending|matched|mismatched|expired|rejected|canceled)$"
    )]
    state: &'static str,
    purpose: String,
    expected_amount: Option<i64>,
    expected_currency: Option<String>,
    expected_merchant: Option<String>,
    expected_mccs: Vec<String>,
    tolerance: Option<i64>,
    /// What is tolerated where no `tolerance` was given: 10 where neither was. Null without an amount.
    tolerance_percent: Option<u8>,
    /// The largest amount that still matches, increments included.
    max_amount: Option<i64>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Minutes from its declaration to its end.
    ttl_minutes: i64,
    /// The key that approved, rejected or withdrew it.
    decided_by: Option<String>,
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// Why it was rejected.
    reason: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Why an intent is rejected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rejection {
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewIntent>),
    gives: &[
        Given::created(shape::<IntentShown>),
        Given {
            about: "What is called so already, unchanged.",
            ..Given::known(shape::<IntentShown>)
        },
    ],
    problems: &[
        Code::CardCanceled,
        Code::IntentConflict,
        Code::TooManyIntents,
    ],
    ..About::new(
        "declareIntent",
        "Says what is about to be bought; one authorization takes it.",
    )
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<IntentShown>)],
    ..About::new("listIntents", "Intents of the card.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<IntentShown>)],
    ..About::new("getIntent", "One intent, and what became of it.")
};
pub(super) const CANCEL: About = About {
    gives: &[Given::ok(shape::<IntentShown>)],
    problems: &[Code::IntentClosed],
    ..About::new("cancelIntent", "Withdraws an intent that waits.")
};
pub(super) const APPROVE: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<IntentShown>)],
    problems: &[Code::IntentClosed],
    ..About::new("approveIntent", "A human's word for an intent that waits.")
};
pub(super) const REJECT: About = About {
    takes: Some(shape::<Rejection>),
    gives: &[Given::ok(shape::<IntentShown>)],
    problems: &[Code::IntentClosed],
    ..About::new(
        "rejectIntent",
        "A human's word against an intent that waits.",
    )
};

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewIntent = read(&ask.body)?;
    let card = cards::find(&ask, &ask.id).await?;
    if card.status == CardStatus::Canceled {
        return Err(Problem::card_canceled());
    }
    let customer = customers::of_card(&ask, &card).await?;
    let approval = ask.api.approval(&card)?;
    let (expects, terms) = new.read(&ask, customer.currency, approval)?;
    let mut row = new.row(&ask, &card, &expects)?;
    row.awaits_approval = terms.awaits_approval;
    let known = ask.api.store.intent(card.id.clone(), row.called.clone());
    match known.await? {
        None => {
            let work = Work {
                batch: vec![Change::Intent(row.clone())],
                ..Work::default()
            };
            ask.make_part(work, StatusCode::CREATED).await?;
        }
        Some(known) => {
            let is_same = known.expects == row.expects
                && known.purpose == row.purpose
                && known.metadata == row.metadata;
            if !is_same {
                return Err(Problem::intent_conflict());
            }
            // Perhaps it was never declared: whoever kept it was interrupted.
            let declared = declared(&card, &known, terms);
            ask.make_part(declared, StatusCode::OK).await?;
            return Reply::ok(&look(&ask, &card, known).await?);
        }
    }
    let path = format!("/v1/cards/{}/intents/{}", card.id, row.called);
    let state = if row.awaits_approval {
        IntentStatus::PendingApproval
    } else {
        IntentStatus::Pending
    };
    let declared = declared(&card, &row, terms);
    let reply = Reply::created(path, &shown(row, Some(state), ask.now)?)?;
    ask.make_last(declared, reply).await
}

/// The order that declares what is kept.
fn declared(card: &Card, row: &Intent, terms: IntentTerms) -> Work {
    let order = Order::Declare {
        card: CardName::from(card),
        intent: row.id.clone(),
        terms: IntentTerms {
            expires_at: row.expires_at,
            awaits_approval: row.awaits_approval,
            ..terms
        },
    };
    Work {
        orders: vec![order],
        ..Work::default()
    }
}

/// The card that the path names, and the page of its rows that is asked for.
pub(super) async fn of_card(ask: &mut Ask) -> Result<(Card, OfCard), Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let card = cards::find(ask, &ask.id).await?;
    let of_card = OfCard {
        card_id: card.id.clone(),
        after: listed.after,
        limit: listed.limit,
    };
    Ok((card, of_card))
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let (card, asked) = of_card(&mut ask).await?;
    let limit = asked.limit;
    let rows = ask.api.store.intents(asked).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let states = ask.api.states_of(&card, &rows, ask.now).await?;
    let data = rows.into_iter().zip(states);
    let data = data.map(|(row, state)| shown(row, state, ask.now));
    Reply::ok(&page.with(data.collect::<Result<Vec<IntentShown>, Problem>>()?))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let (card, row) = find(&ask).await?;
    Reply::ok(&look(&ask, &card, row).await?)
}

pub(super) async fn approve(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = read(&ask.body)?;
    settle(ask, IntentVerdict::Approve, None).await
}

pub(super) async fn reject(ask: Ask) -> Result<Reply, Problem> {
    let Rejection { reason } = read(&ask.body)?;
    let reason = reason.map(|it| text::words(&it, "reason")).transpose()?;
    settle(ask, IntentVerdict::Reject, reason).await
}

pub(super) async fn cancel(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = read(&ask.body)?;
    settle(ask, IntentVerdict::Cancel, None).await
}

/// The ledger is told first: a verdict that it refuses is kept nowhere. Only the word that lets an
/// intent that waits for it be used is kept before that, so that none is used without its name.
async fn settle(
    ask: Ask,
    verdict: IntentVerdict,
    reason: Option<String>,
) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let state = match verdict {
        IntentVerdict::Approve => IntentStatus::Pending,
        IntentVerdict::Reject => IntentStatus::Rejected,
        IntentVerdict::Cancel => IntentStatus::Canceled,
    };
    let mut tries = Tries::default();
    loop {
        let (card, mut row) = find(&ask).await?;
        row.decided_by = Some(ask.caller.key.id.clone());
        row.decided_at = Some(ask.now);
        row.note = reason.clone();
        let order = Order::Settle {
            card: CardName::from(&card),
            intent: row.id.clone(),
            verdict,
        };
        let reply = Reply::ok(&shown(row.clone(), Some(state), ask.now)?)?;
        let states = ask
            .api
            .states_of(&card, std::slice::from_ref(&row), ask.now);
        let waits = states.await?.first().copied().flatten() == Some(IntentStatus::PendingApproval);
        let work = Work {
            batch: vec![Change::Intent(row)],
            orders: vec![order],
            ..Work::default()
        };
        let outcome = if waits && verdict == IntentVerdict::Approve {
            approve_kept(&ask, work, reply).await
        } else {
            ask.make(work, reply).await
        };
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn approve_kept(ask: &Ask, work: Work, reply: Reply) -> Result<Reply, Problem> {
    let Work { batch, orders, .. } = work;
    let kept = Work {
        batch,
        ..Work::default()
    };
    ask.make_part(kept, StatusCode::OK).await?;
    let said = Work {
        orders,
        ..Work::default()
    };
    ask.make_last(said, reply).await
}

/// The intent that the path names, where the caller may know of it.
async fn find(ask: &Ask) -> Result<(Card, Intent), Problem> {
    let card = cards::find(ask, &ask.id).await?;
    let found = ask
        .api
        .store
        .intent(card.id.clone(), text::id(&ask.inner_id)?);
    let row = found.await?.ok_or_else(Problem::not_found)?;
    Ok((card, row))
}

async fn look(ask: &Ask, card: &Card, row: Intent) -> Result<IntentShown, Problem> {
    let states = ask.api.states_of(card, std::slice::from_ref(&row), ask.now);
    let state = states.await?.into_iter().next().flatten();
    shown(row, state, ask.now)
}

/// What the ledger does not know was never declared, or is over for so long that it is forgotten.
fn shown(row: Intent, state: Option<IntentStatus>, now: Timestamp) -> Result<IntentShown, Problem> {
    let it: Expects = serde_json::from_str(&row.expects).map_err(|error| {
        tracing::error!(%error, "a kept intent is not understood");
        Problem::internal()
    })?;
    let forgotten = if now < row.expires_at {
        IntentStatus::Canceled
    } else {
        IntentStatus::Expired
    };
    let text = |at: Timestamp| at.rfc3339().to_string();
    let says_nothing = it.tolerance.is_none() && it.tolerance_percent.is_none();
    let percent = it
        .amount
        .filter(|_| says_nothing)
        .map(|_| TOLERANCE_PERCENT);
    Ok(IntentShown {
        intent_id: row.called,
        card_id: row.card_id,
        state: word(state.unwrap_or(forgotten)),
        purpose: row.purpose,
        expected_amount: it.amount,
        expected_currency: it.currency,
        expected_merchant: it.merchant,
        expected_mccs: it.mccs,
        tolerance: it.tolerance,
        tolerance_percent: it.tolerance_percent.or(percent),
        max_amount: it.max_amount,
        metadata: shown_document(row.metadata)?,
        expires_at: text(row.expires_at),
        ttl_minutes: row.expires_at.micros_since(row.created_at) / MINUTE_US,
        decided_by: row.decided_by,
        decided_at: row.decided_at.map(text),
        reason: row.note,
        created_at: text(row.created_at),
    })
}

fn word(status: IntentStatus) -> &'static str {
    match status {
        IntentStatus::PendingApproval => "pending_approval",
        IntentStatus::Pending => "pending",
        IntentStatus::Matched => "matched",
        IntentStatus::Mismatched => "mismatched",
        IntentStatus::Expired => "expired",
        IntentStatus::Rejected => "rejected",
        IntentStatus::Canceled => "canceled",
    }
}

/// Whether an intent of the card waits for its authorization, with a human's word where that is needed.
pub(super) async fn has_usable_intent(ask: &Ask, card: &Card) -> Result<bool, Problem> {
    let of_card = OfCard {
        card_id: card.id.clone(),
        after: None,
        limit: PAGE_LEN_MAX,
    };
    let rows = ask.api.store.intents(of_card).await?;
    let states = ask.api.states_of(card, &rows, ask.now).await?;
    Ok(states.contains(&Some(IntentStatus::Pending)))
}

impl Api {
    /// Of which intents of the card a human has to approve.
    fn approval(&self, card: &Card) -> Result<Approval, Problem> {
        let snapshot = self.snapshots.load();
        // A card that is not in force spends nothing.
        let view = snapshot
            .card_by_id(&card.id)
            .ok_or_else(Problem::file_rules)?;
        Ok(approval(&view))
    }

    /// Where the intents of a card stand; absent where the ledger does not know one.
    async fn states_of(
        &self,
        card: &Card,
        rows: &[Intent],
        now: Timestamp,
    ) -> Result<Vec<Option<IntentStatus>>, Problem> {
        let name = CardName::from(card);
        let owner = name.owner(&self.keys);
        let intents = rows.iter().map(|row| name.intent(&self.keys, &row.id));
        let intents: Vec<_> = intents.collect();
        let none = vec![None; intents.len()];
        let look = move |ledger: &EmbeddedLedger| {
            let seen = ledger.with_state(owner, |state| {
                let states = intents
                    .iter()
                    .map(|key| Some(state.intent(*key)?.status(now)));
                states.collect::<Vec<_>>()
            });
            seen.unwrap_or(none)
        };
        self.ask_ledger(look).await
    }
}

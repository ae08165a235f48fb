//! `/v1/cards/{id}/intents`: what an agent says that it is about to buy (behaviour 6.1, 6.2).
//!
//! The words are rows, the terms are the ledger's: it takes one intent for one authorization, in the
//! same step that decides it. A row is kept first and declared then, under its own id, so that
//! whoever asks again after a crash declares the same one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::cards::Nothing;
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::fields::shown_document;
use super::problem::{Fault, Problem};
use super::query::Page;
use super::{Api, cards, customers, text};
use crate::cold::control::{CardName, Order, Work};
use crate::cold::ids::{draw, is_id};
use crate::cold::store::{Card, Change, Intent, OfCard};
use crate::decide::effective::{Approval, approval};
use crate::decide::merchant_text::intent_key;
use crate::domain::amount::Minor;
use crate::domain::card::CardStatus;
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::intent::{INTENT_MCCS_MAX, IntentStatus, IntentTerms, IntentVerdict};

const TTL_MINUTES: i64 = 30;
const TTL_MINUTES_MAX: i64 = 1_440;
const MINUTE_US: i64 = 60_000_000;
const TOLERANCE_PERCENT: u8 = 10;
const PERCENT_MAX: u8 = 100;
/// Bytes of what a declarer adds.
const METADATA_LEN_MAX: usize = 4_096;

/// What is about to be bought.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewIntent {
    /// In words, for people.
    #[schema(min_length = 1, max_length = 1000)]
    purpose: String,
    /// What it is to be called, once on each card; drawn where it is absent. The same intent again is
    /// the same one.
    #[schema(min_length = 1, max_length = 128, pattern = "^[0-9A-Za-z_-]+$")]
    intent_id: Option<String>,
    /// In minor units; absent: any amount.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    expected_amount: Option<i64>,
    /// ISO 4217; the customer's own where an amount is expected and this is absent.
    expected_currency: Option<String>,
    /// The merchant's name as it is on statements, or how it begins.
    #[schema(min_length = 1, max_length = 200)]
    expected_merchant: Option<String>,
    /// Merchant category codes, any of which matches; absent or empty: every one.
    #[schema(max_items = 64)]
    expected_mccs: Option<Vec<String>>,
    /// What an authorization may be above the expected amount, in minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    tolerance: Option<i64>,
    /// The same in percent; 10 where neither is given.
    #[schema(minimum = 0, maximum = 100)]
    tolerance_percent: Option<u8>,
    /// Minutes until it is over; 30 where it is absent.
    #[schema(minimum = 1, maximum = 1440)]
    ttl_minutes: Option<i64>,
    /// Whatever the declarer wants to find again, at most 4096 bytes.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

/// What an intent expects, as it is kept. Amounts are in minor units.
#[derive(Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Expects {
    amount: Option<i64>,
    currency: Option<String>,
    merchant: Option<String>,
    mccs: Vec<String>,
    tolerance: Option<i64>,
    tolerance_percent: Option<u8>,
    max_amount: Option<i64>,
}

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
    tolerance_percent: Option<u8>,
    /// The largest amount that still matches, increments included.
    max_amount: Option<i64>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    expires_at: String,
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

impl NewIntent {
    /// What it expects, and what that is to the ledger.
    fn read(
        &self,
        ask: &Ask,
        own: Currency,
        approval: Approval,
    ) -> Result<(Expects, IntentTerms), Problem> {
        let expected = self.expected_amount.map(|it| minor("expectedAmount", it));
        let expected = expected.transpose()?;
        let mut cap = self.cap(expected)?;
        let awaits_approval = match approval {
            Approval::None => false,
            Approval::All => true,
            Approval::From(least) if expected.is_none_or(|it| it >= least) => true,
            Approval::From(least) => {
                // No tolerance of the declarer's own lifts it to what a human has to approve.
                let most = minor("expectedAmount", least.get().saturating_sub(1))?;
                cap = cap.map(|cap| cap.min(most));
                false
            }
        };
        let wanted = self.expected_currency.as_deref();
        let currency = wanted.map(|code| {
            let unknown = |_unknown| {
                let message = "must be a currency of ISO 4217, for example USD";
                Problem::invalid_field("expectedCurrency", message)
            };
            Currency::parse(code).map_err(unknown)
        });
        // An amount without a currency is one of the customer's own.
        let currency = currency.transpose()?.or_else(|| expected.map(|_| own));
        let mccs = mccs(self.expected_mccs.as_deref().unwrap_or_default())?;
        let merchant = self.expected_merchant.as_deref();
        let merchant = merchant.map(|name| {
            let key = intent_key(&ask.api.keys, name).filter(|_| text::is_name(name));
            let message = "must be a merchant's name, as it is on statements";
            key.ok_or_else(|| Problem::invalid_field("expectedMerchant", message))
        });
        let terms = IntentTerms {
            expected,
            cap,
            currency,
            merchant: merchant.transpose()?,
            mccs: mccs.clone().into_boxed_slice(),
            expires_at: self.expires_at(ask.now)?,
            awaits_approval,
        };
        let expects = Expects {
            amount: self.expected_amount,
            currency: currency.map(|it| it.to_string()),
            merchant: self.expected_merchant.clone(),
            mccs: mccs.iter().map(ToString::to_string).collect(),
            tolerance: self.tolerance,
            tolerance_percent: self.tolerance_percent,
            max_amount: cap.map(Minor::get),
        };
        Ok((expects, terms))
    }

    /// The largest amount that still matches.
    fn cap(&self, expected: Option<Minor>) -> Result<Option<Minor>, Problem> {
        let Some(expected) = expected else {
            let given = [
                ("tolerance", self.tolerance.is_some()),
                ("tolerancePercent", self.tolerance_percent.is_some()),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((field, _)) => {
                    let message = "says nothing without `expectedAmount`";
                    Err(Problem::invalid_field(field, message))
                }
                None => Ok(None),
            };
        };
        let over = match (self.tolerance, self.tolerance_percent) {
            (Some(_), Some(_)) => {
                let message = "give this or `tolerance`, not both";
                return Err(Problem::invalid_field("tolerancePercent", message));
            }
            (Some(amount), None) => minor("tolerance", amount)?,
            (None, percent) => {
                let percent = percent.unwrap_or(TOLERANCE_PERCENT);
                if percent > PERCENT_MAX {
                    let message = format!("must be from 0 to {PERCENT_MAX}");
                    return Err(Problem::invalid_field("tolerancePercent", message));
                }
                // Rounded down: whoever allows a tenth of 1.05 allows 10 cents.
                let over = expected.get().saturating_mul(i64::from(percent)) / 100;
                minor("tolerancePercent", over)?
            }
        };
        Ok(Some(expected.saturating_plus(over)))
    }

    fn expires_at(&self, now: Timestamp) -> Result<Timestamp, Problem> {
        let minutes = self.ttl_minutes.unwrap_or(TTL_MINUTES);
        if !(1..=TTL_MINUTES_MAX).contains(&minutes) {
            let message = format!("must be from 1 to {TTL_MINUTES_MAX}");
            return Err(Problem::invalid_field("ttlMinutes", message));
        }
        Ok(now.plus_micros(minutes * MINUTE_US))
    }

    fn row(&self, ask: &Ask, card: &Card, expects: &Expects) -> Result<Intent, Problem> {
        let id = draw("int", ask.now);
        let called = self.intent_id.clone().unwrap_or_else(|| id.clone());
        if !is_id(&called) {
            let message = "must be 1 to 128 letters, digits, `_` and `-`";
            return Err(Problem::invalid_field("intentId", message));
        }
        let metadata = self.metadata.as_ref().map(|it| it.get());
        if metadata.is_some_and(|it| !it.starts_with('{') || it.len() > METADATA_LEN_MAX) {
            let message = format!("must be an object of at most {METADATA_LEN_MAX} bytes");
            return Err(Problem::invalid_field("metadata", message));
        }
        Ok(Intent {
            id,
            mode: card.mode,
            card_id: card.id.clone(),
            called,
            purpose: text::words(&self.purpose, "purpose")?,
            expects: written(expects)?,
            metadata: metadata.map(str::to_owned),
            awaits_approval: false,
            expires_at: self.expires_at(ask.now)?,
            decided_by: None,
            decided_at: None,
            note: None,
            created_at: ask.now,
            revision: 0,
        })
    }
}

fn written(expects: &Expects) -> Result<String, Problem> {
    serde_json::to_string(expects).map_err(|error| {
        tracing::error!(%error, "an intent has no JSON form");
        Problem::internal()
    })
}

fn minor(field: &str, amount: i64) -> Result<Minor, Problem> {
    let message = "must be from 0 to 2^53 - 1 minor units";
    Minor::new(amount).map_err(|_out_of_range| Problem::invalid_field(field, message))
}

/// In order, each once: so they are compared.
fn mccs(codes: &[String]) -> Result<Vec<Mcc>, Problem> {
    if codes.len() > INTENT_MCCS_MAX {
        let message = format!("must be {INTENT_MCCS_MAX} codes at most");
        return Err(Problem::invalid_field("expectedMccs", message));
    }
    let codes = codes.iter().enumerate().map(|(at, code)| {
        let fault = |_invalid| {
            let message = "must be an MCC, four digits";
            Problem::invalid(vec![Fault::new(format!("expectedMccs[{at}]"), message)])
        };
        Mcc::parse(code).map_err(fault)
    });
    let mut mccs = codes.collect::<Result<Vec<Mcc>, Problem>>()?;
    mccs.sort_unstable();
    mccs.dedup();
    Ok(mccs)
}

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
            ask.api.control.make(work).await?;
        }
        Some(known) => {
            let is_same = known.expects == row.expects
                && known.purpose == row.purpose
                && known.metadata == row.metadata;
            if !is_same {
                return Err(Problem::intent_conflict());
            }
            // Perhaps it was never declared: whoever kept it was interrupted.
            ask.api.control.make(declared(&card, &known, terms)).await?;
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
    ask.make(declared, reply).await
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

/// The ledger is told first: a verdict that it refuses is kept nowhere.
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
        let work = Work {
            batch: vec![Change::Intent(row)],
            orders: vec![order],
        };
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
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
        tolerance_percent: it.tolerance_percent,
        max_amount: it.max_amount,
        metadata: shown_document(row.metadata)?,
        expires_at: text(row.expires_at),
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

//! What recorded decisions would have been under a version (behaviour 8.3): the journal is read
//! through on a thread that may block, one trial at a time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::subject::{Noun, Subject};
use crate::cold::api::body::read;
use crate::cold::api::exchange::{Ask, Reply};
use crate::cold::api::problem::Problem;
use crate::cold::explain::{Context, Explained, explain};
use crate::cold::records::DecisionId;
use crate::cold::schema::Reason;
use crate::cold::store::PAGE_LEN_MAX;
use crate::cold::trial::{Changed, Outcome, Question, Trial};
use crate::decide::compile::parse_instant;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::time::Timestamp;
use crate::ledger::embedded::follow::FollowFault;

/// Changes on one page where nothing else is said.
const PAGE_LEN: usize = 50;

/// Which decisions are gone through.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Backtest {
    /// Received at this instant or later; where it is absent, from the oldest record on. What was
    /// decided before counts as it was.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// Received before this instant.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// Changes on the page, from 1 to 200; 50 where it is absent.
    #[schema(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// What recorded decisions would have been. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = Backtested)]
#[serde(rename_all = "camelCase")]
pub(super) struct BacktestShown {
    version: u32,
    /// Recorded decisions that the version concerns.
    decisions: u64,
    /// Those of them that would have been decided alike.
    unchanged: u64,
    /// Those of them that could not be decided anew, because the record does not say what was asked,
    /// or the card is gone: they count as they were.
    unknown: u64,
    /// All changes, whichever page this is.
    totals: Vec<TotalShown>,
    /// Receipt of the oldest record: counters begin there.
    #[schema(format = DateTime)]
    counters_begin_at: Option<String>,
    /// Whether that is the customer's first one. Where it is not, older spending is missing in the
    /// counters, and limits may have declined more than this says.
    counters_are_whole: bool,
    /// Whether there were more decisions than one backtest goes through; the latest are left out.
    is_cut: bool,
    /// The changes of this page, oldest first.
    data: Vec<ChangeShown>,
    /// What `cursor` is for the page behind this one; null on the last page.
    next: Option<String>,
}

/// How many changes of one kind there are. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = BacktestTotal)]
struct TotalShown {
    #[schema(pattern = "^(approve_to_decline|decline_to_approve|other_amount)$")]
    change: &'static str,
    count: u64,
    /// What was asked for with them, in minor units.
    amount: i64,
    currency: String,
}

/// One decision that would have been another. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = BacktestChange)]
#[serde(rename_all = "camelCase")]
struct ChangeShown {
    /// The decision's record.
    decision: String,
    #[schema(format = DateTime)]
    at: String,
    card: String,
    #[schema(pattern = "^(approve_to_decline|decline_to_approve|other_amount)$")]
    change: &'static str,
    /// What was asked for, in minor units.
    amount: i64,
    currency: String,
    recorded: SaidShown,
    tried: SaidShown,
    /// Why it would have been declined; null where it would not, or where its authorization would
    /// have been declined before.
    explanation: Option<Explained>,
}

/// An answer, in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = BacktestAnswer)]
#[serde(rename_all = "camelCase")]
struct SaidShown {
    #[schema(pattern = "^(approve|partial|decline)$")]
    decision: &'static str,
    /// Null where it is no decline.
    #[schema(value_type = Option<Reason>)]
    reason: Option<&'static str>,
    /// Minor units.
    approved_amount: i64,
}

impl SaidShown {
    fn new(decision: Decision, asked: i64) -> Self {
        let (word, approved, reason) = match decision {
            Decision::Approve => ("approve", asked, None),
            Decision::ApprovePartial(part) => ("partial", part.get(), None),
            Decision::Decline(reason) => ("decline", 0, Some(reason)),
        };
        Self {
            decision: word,
            reason: reason.map(DeclineReason::code),
            approved_amount: approved,
        }
    }
}

pub(super) async fn backtest(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let wanted: Backtest = read(&ask.body)?;
    let (from, to) = (instant(wanted.from, "from")?, instant(wanted.to, "to")?);
    if from.zip(to).is_some_and(|(from, to)| to <= from) {
        return Err(Problem::invalid_field("to", "must be later than `from`"));
    }
    let limit = wanted.limit.unwrap_or(PAGE_LEN);
    if !(1..=PAGE_LEN_MAX).contains(&limit) {
        let message = format!("must be a number from 1 to {PAGE_LEN_MAX}");
        return Err(Problem::invalid_field("limit", message));
    }
    let unknown = || Problem::invalid_field("cursor", "is none that was given out");
    let after = wanted.cursor.map(|text| DecisionId::parse(&text));
    let after = after.map(|id| id.ok_or_else(unknown)).transpose()?;
    let subject = Subject::find(&ask, noun).await?;
    let row = subject.version(&ask).await?;
    let policy = subject.compiled(&row)?;
    let (level, id) = (noun.level(), subject.id().to_owned());
    let customer = subject.customer_id().to_owned();
    let permit = ask.api.trials.try_acquire();
    let permit = permit.map_err(|_one_runs| Problem::busy())?;
    let (snapshot, keys) = (Arc::clone(&ask.api.snapshots.load()), ask.api.keys.clone());
    let records = Arc::clone(&ask.api.records);
    let tried = tokio::task::spawn_blocking(move || {
        let Some(cast) = records.cast(&customer) else {
            return Ok(Outcome::default());
        };
        let question = Question {
            level,
            id: &id,
            policy: &policy,
            from,
            to,
            after: after.map(|id| id.0),
            limit,
        };
        let mut trial = Trial::new(&snapshot, &keys, &cast, question);
        records.read_through(|sequence, frame| {
            trial.take(sequence, frame);
            !trial.is_over()
        })?;
        Ok(trial.finish())
    });
    let outcome = tried.await;
    drop(permit);
    Reply::ok(&shown(row.number, outcome_of(outcome)?))
}

fn outcome_of(
    tried: Result<Result<Outcome, FollowFault>, tokio::task::JoinError>,
) -> Result<Outcome, Problem> {
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the journal cannot be read through");
        Problem::internal()
    };
    match tried {
        Ok(read) => read.map_err(|fault| internal(&fault)),
        Err(error) => Err(internal(&error)),
    }
}

fn instant(text: Option<String>, field: &str) -> Result<Option<Timestamp>, Problem> {
    let message = "must be an instant like `2026-05-30T00:00:00Z`";
    let wrong = || Problem::invalid_field(field, message);
    let read = |text: String| parse_instant(&text).ok_or_else(wrong);
    text.map(read).transpose()
}

fn shown(version: u32, outcome: Outcome) -> BacktestShown {
    let changed = outcome.totals.values().map(|total| total.count);
    let changed = changed.fold(0, u64::saturating_add);
    let known = outcome.decision_count.saturating_sub(outcome.unknown_count);
    let totals = outcome
        .totals
        .into_iter()
        .map(|((kind, currency), total)| TotalShown {
            change: kind.name(),
            count: total.count,
            amount: total.amount,
            currency,
        });
    let last = outcome.changed.last().filter(|_| outcome.has_more);
    let next = last.map(|changed| DecisionId(changed.sequence).to_string());
    BacktestShown {
        version,
        decisions: outcome.decision_count,
        unchanged: known.saturating_sub(changed),
        unknown: outcome.unknown_count,
        totals: totals.collect(),
        counters_begin_at: outcome.begins_at.map(|at| at.rfc3339().to_string()),
        counters_are_whole: outcome.is_whole,
        is_cut: outcome.is_cut,
        data: outcome.changed.into_iter().map(change).collect(),
        next,
    }
}

fn change(changed: Changed) -> ChangeShown {
    let currency = changed.amount.currency;
    let asked = changed.amount.minor.get();
    ChangeShown {
        decision: DecisionId(changed.sequence).to_string(),
        at: changed.at.rfc3339().to_string(),
        card: changed.card,
        change: changed.kind.name(),
        amount: asked,
        currency: currency.to_string(),
        recorded: SaidShown::new(changed.recorded, asked),
        tried: SaidShown::new(changed.tried, asked),
        explanation: changed
            .explanation
            .map(|it| explain(&it, Context { currency })),
    }
}

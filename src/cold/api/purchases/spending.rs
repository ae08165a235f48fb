//! What an agent has spent and has left, by the numbers that the hot path would use (behaviour 5.11).

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::decide::policy::Policy;
use crate::decide::snapshot::CustomerSlot;
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::Key;
use crate::domain::claims::ScopeLimits;
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, WindowKind};
use crate::ledger::counters::Counters;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::rolling::Rolling;
use crate::ledger::state::State;

/// What is spent and left. Amounts are decimal text in major units; limits that are not set are not
/// there. Holds and earmarks count as spent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::cold::api) struct SpendingSummary {
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_spent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_remaining: Option<String>,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_resets_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_spent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_remaining: Option<String>,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_resets_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_spent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_remaining: Option<String>,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_resets_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_budget_spent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_budget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_remaining: Option<String>,
    user_aggregate: SpendingAggregate,
}

/// The limits over all agents of the customer, likewise.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct SpendingAggregate {
    #[serde(skip_serializing_if = "Option::is_none")]
    daily: Option<WindowShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly: Option<WindowShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly: Option<WindowShown>,
}

/// One limit over all agents.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SpendingWindow)]
struct WindowShown {
    spent: String,
    limit: String,
    remaining: String,
    /// When it ends; null where the window is a trailing one.
    #[schema(format = DateTime)]
    resets_at: Option<String>,
}

/// A limit and what is spent of it.
struct Stand {
    name: &'static str,
    spent: Minor,
    limit: Minor,
    resets_at: Option<Timestamp>,
}

/// Sums as the ledger has them.
#[derive(Default)]
struct Sums {
    day: Option<(LocalDay, Timestamp)>,
    agent: (Counters, Option<Box<Rolling>>),
    customer: (Counters, Option<Box<Rolling>>),
}

/// The same in lines, for people: none where there is no limit, or it cannot be told now.
pub(in crate::cold) async fn spending_lines(
    api: &Arc<Api>,
    agent_id: &str,
    now: Timestamp,
) -> Vec<(String, String)> {
    let summary = summary(api, agent_id, now).await.ok();
    let value = summary.and_then(|summary| serde_json::to_value(summary).ok());
    let mut lines = Vec::new();
    if let Some(value) = &value {
        told(value, "", &mut lines);
    }
    // The currency alone says nothing.
    if lines.len() > 1 { lines } else { Vec::new() }
}

fn told(value: &serde_json::Value, name: &str, lines: &mut Vec<(String, String)>) {
    if let Some(fields) = value.as_object() {
        for (field, value) in fields {
            let name = format!("{name} {}", field.replace('_', " "));
            told(value, name.trim(), lines);
        }
    } else if let Some(text) = value.as_str() {
        lines.push((name.to_owned(), text.to_owned()));
    }
}

pub(in crate::cold::api) async fn summary(
    api: &Arc<Api>,
    agent_id: &str,
    now: Timestamp,
) -> Result<SpendingSummary, Problem> {
    let snapshot = Arc::clone(&api.snapshots.load());
    let agent = snapshot.agent_by_id(agent_id);
    let agent = agent.ok_or_else(Problem::file_rules)?;
    let customer = snapshot
        .customer_of(agent)
        .ok_or_else(Problem::file_rules)?;
    let (of_customer, of_agent) = (customer.key(), agent.key());
    let sums = api.ask_ledger(move |ledger| look(ledger, of_customer, of_agent));
    let sums = sums.await?;
    let limits = |policy: Option<&Policy>| policy.map(Policy::scope_limits).unwrap_or_default();
    let currency = customer.currency();
    let own = stands(customer, &limits(agent.policy()), (&sums, &sums.agent), now);
    let all = stands(
        customer,
        &limits(customer.policy()),
        (&sums, &sums.customer),
        now,
    );
    let own = |name| {
        own.iter()
            .find(|it| it.name == name)
            .map(|it| it.shown(currency))
    };
    let all = |name| {
        all.iter()
            .find(|it| it.name == name)
            .map(|it| it.shown(currency))
    };
    let [daily, weekly, monthly, total] = ["daily", "weekly", "monthly", "total"].map(own);
    let total = total.map(|it| (it.spent, it.limit, it.remaining));
    let (total_budget_spent, total_budget, total_remaining) = parts(total);
    let (daily_spent, daily_limit, daily_remaining, daily_resets_at) = members(daily);
    let (weekly_spent, weekly_limit, weekly_remaining, weekly_resets_at) = members(weekly);
    let (monthly_spent, monthly_limit, monthly_remaining, monthly_resets_at) = members(monthly);
    Ok(SpendingSummary {
        currency: currency.to_string(),
        daily_spent,
        daily_limit,
        daily_remaining,
        daily_resets_at,
        weekly_spent,
        weekly_limit,
        weekly_remaining,
        weekly_resets_at,
        monthly_spent,
        monthly_limit,
        monthly_remaining,
        monthly_resets_at,
        total_budget_spent,
        total_budget,
        total_remaining,
        user_aggregate: SpendingAggregate {
            daily: all("daily"),
            weekly: all("weekly"),
            monthly: all("monthly"),
        },
    })
}

type Text = Option<String>;

fn parts(total: Option<(String, String, String)>) -> (Text, Text, Text) {
    total.map_or((None, None, None), |(spent, limit, left)| {
        (Some(spent), Some(limit), Some(left))
    })
}

fn members(window: Option<WindowShown>) -> (Text, Text, Text, Text) {
    let resets_at = window.as_ref().and_then(|it| it.resets_at.clone());
    let (spent, limit, left) = parts(window.map(|it| (it.spent, it.limit, it.remaining)));
    (spent, limit, left, resets_at)
}

fn look(ledger: &EmbeddedLedger, customer: Key, agent: Key) -> Sums {
    let seen = |state: &State| Sums {
        day: Some((state.day, state.day_ends)),
        agent: state
            .agent_by_key(agent)
            .map(|(_, agent)| (agent.counters, agent.rolling.clone()))
            .unwrap_or_default(),
        customer: (state.counters, state.rolling.clone()),
    };
    ledger.with_state(customer, seen).unwrap_or_default()
}

fn stands(
    customer: &CustomerSlot,
    limits: &ScopeLimits,
    (sums, (counters, rolling)): (&Sums, &(Counters, Option<Box<Rolling>>)),
    now: Timestamp,
) -> Vec<Stand> {
    let zone = customer.zone();
    let (today, _) = zone.windows_at(now.secs());
    // A window never reopens, and ends no sooner than it did when it was opened.
    let open = sums.day.filter(|(day, ends)| *day >= today || now < *ends);
    let day = open.map_or(today, |(day, _)| day);
    let names = ["daily", "weekly", "monthly"];
    let mut stands = Vec::new();
    for (kind, name) in WindowKind::ALL.into_iter().zip(names) {
        if let Some(limit) = limits.of_window(kind) {
            let ends = Timestamp::from_secs(zone.start_of(kind.next_start(day)));
            stands.push(Stand {
                name,
                spent: counters.window(kind, day).spent,
                limit,
                resets_at: Some(open.map_or(ends, |(_, at_least)| ends.max(at_least))),
            });
        } else if let Some(limit) = limits.of_rolling(kind) {
            let series = rolling.as_deref().and_then(|it| it.series(kind));
            stands.push(Stand {
                name,
                spent: series.map_or(Minor::ZERO, |series| series.spent(now)),
                limit,
                resets_at: None,
            });
        }
    }
    if let Some(limit) = limits.total {
        stands.push(Stand {
            name: "total",
            spent: counters.total().spent,
            limit,
            resets_at: None,
        });
    }
    stands
}

impl Stand {
    fn shown(&self, currency: Currency) -> WindowShown {
        let amount = |minor| Amount { minor, currency }.to_string();
        WindowShown {
            spent: amount(self.spent),
            limit: amount(self.limit),
            remaining: amount(self.limit.saturating_minus(self.spent)),
            resets_at: self.resets_at.map(|at| at.rfc3339_seconds().to_string()),
        }
    }
}

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
    /// Absent where the customer has no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_aggregate: Option<SpendingAggregate>,
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

/// One limit for people: over what, and how much of it is spent.
pub(in crate::cold) struct SpendingLine {
    pub(in crate::cold) name: &'static str,
    pub(in crate::cold) text: String,
}

/// The agent's limits in lines, for people; none where they cannot be told now, and an empty list where
/// there is none.
pub(in crate::cold) async fn spending_lines(
    api: &Arc<Api>,
    agent_id: &str,
    now: Timestamp,
) -> Option<Vec<SpendingLine>> {
    match summary(api, agent_id, now).await {
        Ok(summary) => Some(summary.lines()),
        Err(problem) => {
            tracing::warn!(code = problem.code(), "an agent's limits cannot be told");
            None
        }
    }
}

impl SpendingAggregate {
    /// None where there is no limit over all agents.
    fn of([daily, weekly, monthly]: [Option<WindowShown>; 3]) -> Option<Self> {
        let has_any = daily.is_some() || weekly.is_some() || monthly.is_some();
        has_any.then_some(Self {
            daily,
            weekly,
            monthly,
        })
    }
}

impl SpendingSummary {
    /// The same in lines, for people: the agent's own limits first, then those over all agents.
    pub(in crate::cold::api) fn lines(&self) -> Vec<SpendingLine> {
        let all = |window: &Option<WindowShown>| {
            let window = window.as_ref();
            let part = |text: fn(&WindowShown) -> &String| window.map(text).cloned();
            let resets_at = window.and_then(|it| it.resets_at.clone());
            (part(|it| &it.spent), part(|it| &it.limit), resets_at)
        };
        let aggregate = self.user_aggregate.clone().unwrap_or_default();
        let known = [
            (
                "This day",
                (
                    self.daily_spent.clone(),
                    self.daily_limit.clone(),
                    self.daily_resets_at.clone(),
                ),
            ),
            (
                "This week",
                (
                    self.weekly_spent.clone(),
                    self.weekly_limit.clone(),
                    self.weekly_resets_at.clone(),
                ),
            ),
            (
                "This month",
                (
                    self.monthly_spent.clone(),
                    self.monthly_limit.clone(),
                    self.monthly_resets_at.clone(),
                ),
            ),
            (
                "In all",
                (
                    self.total_budget_spent.clone(),
                    self.total_budget.clone(),
                    None,
                ),
            ),
            ("All agents, this day", all(&aggregate.daily)),
            ("All agents, this week", all(&aggregate.weekly)),
            ("All agents, this month", all(&aggregate.monthly)),
        ];
        let line = |(name, (spent, limit, resets_at)): (_, (Text, Text, Text))| {
            let (spent, limit) = (spent?, limit?);
            let until = resets_at.map(|at| format!(", until {at}"));
            let until = until.unwrap_or_default();
            let text = format!("{spent} of {limit} {} spent{until}", self.currency);
            Some(SpendingLine { name, text })
        };
        known.into_iter().filter_map(line).collect()
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
        user_aggregate: SpendingAggregate::of(["daily", "weekly", "monthly"].map(all)),
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

//! Every limit in force on one step: sums by window, by trailing span and for ever; counts.

use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;
use crate::ledger::check::verdict::Verdict;
use crate::ledger::counters::Counters;
use crate::ledger::event::Event;
use crate::ledger::rolling::{Rolling, Series, SeriesSet};
use crate::ledger::trailing::{self, LeveledSeries};

/// The trailing sums that limits ask for and the state does not keep yet.
#[derive(Default)]
pub(super) struct Begun {
    wanted: SeriesSet,
    series: Vec<LeveledSeries>,
}

/// A limit on an amount.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitInForce<'s> {
    level: Level,
    field: RuleField,
    limit: Minor,
    spent: Minor,
    over: Over<'s>,
}

/// What a limit is over.
#[derive(Clone, Copy, Debug)]
enum Over<'s> {
    Window(WindowKind),
    Span(&'s Series),
    EverySpan,
    Life,
}

impl LimitInForce<'_> {
    /// Equal to the limit passes; one minor unit more does not (behaviour 2.13 a).
    fn admits(&self, amount: Minor) -> bool {
        self.spent.plus(amount).is_ok_and(|sum| sum <= self.limit)
    }

    pub(super) fn room(&self) -> Minor {
        self.limit.saturating_minus(self.spent)
    }
}

impl Begun {
    /// Nothing, unless a rolling limit stands where no series is kept.
    pub(super) fn new(verdict: &Verdict<'_>) -> Self {
        let mut wanted = SeriesSet::default();
        for (level, limits) in Level::ALL.into_iter().zip(&verdict.claims.limits) {
            for kind in WindowKind::ALL {
                let stands = limits.of_rolling(kind).is_some() && verdict.has(level);
                if stands && verdict.kept(level, kind).is_none() {
                    wanted.add(level, kind);
                }
            }
        }
        if wanted.is_empty() {
            return Self::default();
        }
        let parties = verdict.parties;
        let series = trailing::begin(
            verdict.state,
            parties.card.map(|_| parties.card_no),
            parties.agent.and(parties.agent_no),
            wanted,
        );
        Self { wanted, series }
    }

    fn get(&self, level: Level, kind: WindowKind) -> Option<&Series> {
        let mut all = self.series.iter();
        all.find(|it| it.level == level && it.series.kind() == kind)
            .map(|it| &it.series)
    }
}

impl Verdict<'_> {
    /// The series that are asked for and not kept yet.
    pub(super) fn series_wanted(&self) -> SeriesSet {
        self.begun.wanted
    }

    /// The event that begins those, and others that are wanted beside them.
    pub(super) fn series_opened(&self, others: SeriesSet) -> Option<Event<'static>> {
        let series = self.begun.wanted.or(others);
        (!series.is_empty()).then_some(Event::RollingOpened {
            state: self.state.no,
            card: Some(self.parties.card_no),
            agent: self.parties.agent_no,
            series,
        })
    }

    fn has(&self, level: Level) -> bool {
        level != Level::Agent || self.parties.agent_no.is_some()
    }

    /// What is asked for at this level: above the card not what an earmark covers, which was asked
    /// for when that was made (behaviour 5.8).
    fn asked(&self, level: Level) -> Minor {
        self.amount().saturating_minus(self.covered(level))
    }

    fn covered(&self, level: Level) -> Minor {
        match level {
            Level::Card => Minor::ZERO,
            Level::Agent | Level::Customer => self.unused_earmark.unwrap_or_default(),
        }
    }

    fn kept(&self, level: Level, kind: WindowKind) -> Option<&Series> {
        let rolling: Option<&Rolling> = match level {
            Level::Card => self.parties.card?.rolling.as_deref(),
            Level::Agent => self.parties.agent?.rolling.as_deref(),
            Level::Customer => self.state.rolling.as_deref(),
        };
        rolling?.series(kind)
    }

    /// Sums and counts of a level; absent where the card belongs to no agent.
    fn counters(&self, level: Level) -> Option<&Counters> {
        const UNUSED: &Counters = &Counters::UNUSED;
        match level {
            Level::Card => Some(self.parties.card.map_or(UNUSED, |it| &it.counters)),
            Level::Agent => {
                self.parties.agent_no?;
                Some(self.parties.agent.map_or(UNUSED, |it| &it.counters))
            }
            Level::Customer => Some(&self.state.counters),
        }
    }

    /// Reasons 27 to 29: every limit at every level, all or nothing.
    pub(super) fn limit_exceeded(&self) -> Option<Explanation> {
        let exceeds = |limit: &LimitInForce<'_>| {
            let asked = self.asked(limit.level);
            !asked.is_zero() && !limit.admits(asked)
        };
        let exceeded = self.find_limit(exceeds).or_else(|| {
            let countable = self.countable();
            exceeds(&countable).then_some(countable)
        })?;
        let reason = match exceeded.level {
            Level::Card => DeclineReason::CardLimitExceeded,
            Level::Agent => DeclineReason::AgentLimitExceeded,
            Level::Customer => DeclineReason::CustomerLimitExceeded,
        };
        Some(Explanation {
            observed: Some(self.asked(exceeded.level).get()),
            limit: Some(exceeded.limit.get()),
            remaining: Some(exceeded.room().get()),
            resets_at: self.resets_at(&exceeded),
            ..Explanation::of_rule(reason, exceeded.level, exceeded.field)
        })
    }

    /// When the window of a limit ends; of a trailing one, when it would have room for the amount.
    fn resets_at(&self, limit: &LimitInForce<'_>) -> Option<Timestamp> {
        match limit.over {
            Over::Window(kind) => self.windows.resets_at(kind, self.state, self.claims),
            Over::Span(series) => {
                let amount = self.asked(limit.level);
                let excess = limit
                    .spent
                    .saturating_plus(amount)
                    .saturating_minus(limit.limit);
                (amount <= limit.limit)
                    .then(|| series.frees(self.windows.at, excess))
                    .flatten()
            }
            Over::EverySpan | Over::Life => None,
        }
    }

    /// The smallest room under any limit; absent without limits.
    pub(super) fn smallest_room(&self) -> Option<Minor> {
        let mut smallest = None;
        self.find_limit(|limit| {
            let room = limit.room().saturating_plus(self.covered(limit.level));
            smallest = Some(smallest.map_or(room, |least: Minor| least.min(room)));
            false
        });
        smallest
    }

    /// The most that every limit has room for, what can be counted at all included.
    pub(super) fn headroom(&self) -> Minor {
        let countable = self.countable().room();
        self.smallest_room()
            .map_or(countable, |room| room.min(countable))
    }

    /// The first wanted one of all limits on amounts, in the order in which they are checked.
    fn find_limit(
        &self,
        mut wanted: impl FnMut(&LimitInForce<'_>) -> bool,
    ) -> Option<LimitInForce<'_>> {
        for (level, limits) in Level::ALL.into_iter().zip(&self.claims.limits) {
            let Some(counters) = self.counters(level) else {
                continue;
            };
            for kind in WindowKind::ALL {
                let calendar = self.calendar(level, kind, limits, counters);
                if let Some(limit) = calendar.filter(&mut wanted) {
                    return Some(limit);
                }
                let trailing = self.trailing(level, kind, limits);
                if let Some(limit) = trailing.filter(&mut wanted) {
                    return Some(limit);
                }
            }
            let total = limits.total.map(|limit| LimitInForce {
                level,
                field: RuleField::Total,
                limit,
                spent: counters.total().spent,
                over: Over::Life,
            });
            if let Some(limit) = total.filter(&mut wanted) {
                return Some(limit);
            }
        }
        self.held().filter(wanted)
    }

    /// The cap on what is held at one time over all of the customer's cards (behaviour 4.4).
    fn held(&self) -> Option<LimitInForce<'_>> {
        let limit = self.claims.held_max?;
        Some(LimitInForce {
            level: Level::Customer,
            field: RuleField::HeldMax,
            limit,
            spent: self.state.counters.total().held,
            over: Over::Life,
        })
    }

    fn calendar(
        &self,
        level: Level,
        kind: WindowKind,
        limits: &ScopeLimits,
        counters: &Counters,
    ) -> Option<LimitInForce<'_>> {
        let limit = limits.of_window(kind)?;
        Some(LimitInForce {
            level,
            field: match kind {
                WindowKind::Day => RuleField::PerDay,
                WindowKind::Week => RuleField::PerWeek,
                WindowKind::Month => RuleField::PerMonth,
            },
            limit,
            spent: counters.spent(kind, &self.windows.ids),
            over: Over::Window(kind),
        })
    }

    fn trailing(
        &self,
        level: Level,
        kind: WindowKind,
        limits: &ScopeLimits,
    ) -> Option<LimitInForce<'_>> {
        let limit = limits.of_rolling(kind)?;
        if !self.has(level) {
            return None;
        }
        let series = self
            .kept(level, kind)
            .or_else(|| self.begun.get(level, kind));
        Some(LimitInForce {
            level,
            field: match kind {
                WindowKind::Day => RuleField::RollingDay,
                WindowKind::Week => RuleField::RollingWeek,
                WindowKind::Month => RuleField::RollingMonth,
            },
            limit,
            spent: series.map_or(Minor::ZERO, |it| it.spent(self.windows.at)),
            over: series.map_or(Over::EverySpan, Over::Span),
        })
    }

    /// What can be counted at all (behaviour 1.2). No sum of the state is larger than this one, so
    /// none ever has to be cut off, and every release gives back exactly what was charged.
    fn countable(&self) -> LimitInForce<'_> {
        LimitInForce {
            level: Level::Customer,
            field: RuleField::Total,
            limit: Minor::MAX,
            spent: self.state.counters.total().spent,
            over: Over::Life,
        }
    }

    /// Reason 26: the number of approvals, at every level.
    pub(super) fn count_limit_reached(&self) -> Option<Explanation> {
        let levels = Level::ALL.into_iter().zip(&self.claims.limits);
        // One purchase was counted above its card when its earmark was made; those beside it are not.
        let is_counted = |level| level == Level::Card || !self.is_counted_by_earmark();
        let mut levels = levels.filter(|(level, _)| is_counted(*level));
        levels.find_map(|(level, limits)| {
            let asked = [
                limits.count_per_hour,
                limits.count_per_day,
                limits.count_total,
            ];
            let of_period = limits.count_of_period;
            if asked == [None; 3] && of_period.is_none() {
                return None;
            }
            let counters = self.counters(level)?;
            let (state, claims) = (self.state, self.claims);
            let reached = |limit: Option<u32>, field, count: u32, resets_at| {
                let limit = limit.filter(|limit| count >= *limit)?;
                let reason = DeclineReason::CountLimitReached;
                Some(Explanation {
                    observed: Some(i64::from(count)),
                    limit: Some(i64::from(limit)),
                    remaining: Some(0),
                    resets_at,
                    ..Explanation::of_rule(reason, level, field)
                })
            };
            let [per_hour, per_day, total] = asked;
            let windows = &self.windows;
            reached(
                per_hour,
                RuleField::CountPerHour,
                counters.count_of_hour(windows.hour),
                windows.hour_resets_at(state, claims),
            )
            .or_else(|| {
                reached(
                    per_day,
                    RuleField::CountPerDay,
                    counters.count_of_day(windows.day),
                    windows.resets_at(WindowKind::Day, state, claims),
                )
            })
            .or_else(|| reached(total, RuleField::CountTotal, counters.approvals(), None))
            .or_else(|| {
                let (kind, limit) = of_period?;
                let count = counters.count_of_window(kind, windows.day);
                let resets_at = windows.resets_at(kind, state, claims);
                reached(Some(limit), RuleField::StandingApproval, count, resets_at)
            })
        })
    }
}

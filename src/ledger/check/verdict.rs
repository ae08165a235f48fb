//! The atomic step: current status, then every stateful rule, in the fixed order of reasons.

use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, Level};
use crate::domain::claims::Claims;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::window::{LocalDay, WindowKind};
use crate::ledger::check::Parties;
use crate::ledger::command::Authorize;
use crate::ledger::counters::Counters;
use crate::ledger::state::{Authorization, State};

/// The atomic step's view of one authorization.
pub(super) struct Verdict<'s> {
    pub(super) state: &'s State,
    pub(super) command: &'s Authorize<'s>,
    pub(super) known: Option<&'s Authorization>,
    pub(super) parties: &'s Parties<'s>,
    pub(super) claims: &'s Claims,
    pub(super) day: LocalDay,
}

impl Verdict<'_> {
    /// The first reason that applies, in the fixed order.
    pub(super) fn first_decline(&self) -> Option<Explanation> {
        if self.command.kind == AuthorizationKind::Credit {
            return None;
        }
        let proposal = self.command.proposal?;
        self.standing(proposal.standing)
            .or(proposal.rule)
            .or_else(|| self.over_per_auth())
            .or_else(|| self.single_use_consumed())
            .or_else(|| self.merchant_lock_mismatch())
            .or_else(|| self.limit_exceeded())
    }

    /// Reasons 2 to 7: the stricter of what the snapshot says and what operators set.
    fn standing(&self, snapshot: Option<Explanation>) -> Option<Explanation> {
        let card = |reason, field| Explanation::of_rule(reason, Level::Card, field);
        let own = self
            .parties
            .card
            .and_then(|state| match (state.status, state.frozen) {
                (CardStatus::Canceled, _) => {
                    Some(card(DeclineReason::CardCanceled, RuleField::Status))
                }
                (CardStatus::Locked, _) => Some(card(DeclineReason::CardLocked, RuleField::Status)),
                (CardStatus::Active, true) => {
                    Some(card(DeclineReason::CardFrozenByRisk, RuleField::Frozen))
                }
                (CardStatus::Active, false) => None,
            });
        let agent = self
            .parties
            .agent
            .filter(|agent| agent.status != AgentStatus::Active)
            .map(|_| {
                let reason = DeclineReason::AgentSuspended;
                Explanation::of_rule(reason, Level::Agent, RuleField::Status)
            });
        [snapshot, own, agent]
            .into_iter()
            .flatten()
            .min_by_key(|it| it.reason)
    }

    /// Reason 17 for an increment: the cap covers all steps together (behaviour 2.13 a).
    fn over_per_auth(&self) -> Option<Explanation> {
        let (cap, level) = self.claims.per_auth?;
        let held = self.known.map_or(Minor::ZERO, Authorization::reserved);
        let room = cap.saturating_minus(held);
        let passes = held <= cap && self.claims.amount.minor <= room;
        (!passes).then(|| Explanation {
            observed: Some(held.saturating_plus(self.claims.amount.minor).get()),
            limit: Some(cap.get()),
            remaining: Some(room.get()),
            ..Explanation::of_rule(DeclineReason::AmountOverPerAuth, level, RuleField::PerAuth)
        })
    }

    fn single_use_consumed(&self) -> Option<Explanation> {
        if !self.claims.single_use || self.is_increment() {
            return None;
        }
        let (at, _) = self.parties.card?.consumed?;
        Some(Explanation {
            observed: Some(at.micros()),
            ..Explanation::of_rule(
                DeclineReason::SingleUseConsumed,
                Level::Card,
                RuleField::Usage,
            )
        })
    }

    fn merchant_lock_mismatch(&self) -> Option<Explanation> {
        let merchant = &self.claims.merchant;
        let preset_refuses = self
            .claims
            .preset_lock
            .is_some_and(|lock| !lock.admits(merchant));
        let first_refuses = self.claims.lock_to_first_merchant.is_some()
            && self
                .parties
                .card
                .and_then(|card| card.lock.as_ref())
                .is_some_and(|lock| !lock.keys.is_same_merchant(merchant));
        (preset_refuses || first_refuses).then(|| {
            let level = self.claims.lock_to_first_merchant.unwrap_or(Level::Card);
            let reason = DeclineReason::MerchantLockMismatch;
            Explanation::of_rule(reason, level, RuleField::MerchantLock)
        })
    }

    /// Reasons 27 to 29: every limit at every level, all or nothing.
    fn limit_exceeded(&self) -> Option<Explanation> {
        let amount = self.claims.amount.minor;
        if amount.is_zero() || self.command.kind == AuthorizationKind::BalanceInquiry {
            return None;
        }
        let exceeded = self
            .limits()
            .chain([self.countable()])
            .find(|limit| !limit.admits(amount))?;
        let reason = match exceeded.level {
            Level::Card => DeclineReason::CardLimitExceeded,
            Level::Agent => DeclineReason::AgentLimitExceeded,
            Level::Customer => DeclineReason::CustomerLimitExceeded,
        };
        let resets_at = exceeded
            .window
            .and_then(|kind| self.claims.resets_at.get(kind as usize).copied())
            .filter(|_| self.day == self.claims.day);
        Some(Explanation {
            observed: Some(amount.get()),
            limit: Some(exceeded.limit.get()),
            remaining: Some(exceeded.room().get()),
            resets_at,
            ..Explanation::of_rule(reason, exceeded.level, exceeded.field())
        })
    }

    /// The smallest room under any limit; absent without limits.
    pub(super) fn smallest_room(&self) -> Option<Minor> {
        self.limits().map(|limit| limit.room()).min()
    }

    /// Every limit in force, in the order in which they are checked.
    fn limits(&self) -> impl Iterator<Item = LimitInForce> + '_ {
        let counters = [
            Some(
                self.parties
                    .card
                    .map_or_else(Counters::default, |card| card.counters),
            ),
            self.parties.agent_no.map(|_| {
                self.parties
                    .agent
                    .map_or_else(Counters::default, |it| it.counters)
            }),
            Some(self.state.counters),
        ];
        let levels = Level::ALL.into_iter().zip(counters).zip(self.claims.limits);
        levels.flat_map(move |((level, counters), limits)| {
            let windows = WindowKind::ALL.map(Some);
            let all = windows.into_iter().chain([None]);
            all.filter_map(move |window| {
                let counters = counters?;
                let (limit, sum) = match window {
                    Some(kind) => (limits.of_window(kind)?, counters.window(kind, self.day)),
                    None => (limits.total?, counters.total()),
                };
                Some(LimitInForce {
                    level,
                    window,
                    limit,
                    spent: sum.spent,
                })
            })
        })
    }

    /// What can be counted at all (behaviour 1.2). No sum of the state is larger than this one, so
    /// none ever has to be cut off, and every release gives back exactly what was charged.
    fn countable(&self) -> LimitInForce {
        LimitInForce {
            level: Level::Customer,
            window: None,
            limit: Minor::MAX,
            spent: self.state.counters.total().spent,
        }
    }

    fn is_increment(&self) -> bool {
        self.known.is_some_and(Authorization::is_purchase)
    }
}

#[derive(Clone, Copy, Debug)]
struct LimitInForce {
    level: Level,
    window: Option<WindowKind>,
    limit: Minor,
    spent: Minor,
}

impl LimitInForce {
    /// Equal to the limit passes; one minor unit more does not (behaviour 2.13 a).
    fn admits(&self, amount: Minor) -> bool {
        self.spent.plus(amount).is_ok_and(|sum| sum <= self.limit)
    }

    fn room(&self) -> Minor {
        self.limit.saturating_minus(self.spent)
    }

    fn field(&self) -> RuleField {
        match self.window {
            Some(WindowKind::Day) => RuleField::PerDay,
            Some(WindowKind::Week) => RuleField::PerWeek,
            Some(WindowKind::Month) => RuleField::PerMonth,
            None => RuleField::Total,
        }
    }
}

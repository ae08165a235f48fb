//! The atomic step: current status, then every stateful rule, in the fixed order of reasons.

use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Level};
use crate::domain::claims::{Claims, Proposal};
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::ledger::authorization::Authorization;
use crate::ledger::check::earmarks::{is_lost, unused};
use crate::ledger::check::intents::Matching;
use crate::ledger::check::limits::Begun;
use crate::ledger::check::windows::Windows;
use crate::ledger::check::{Parties, spends};
use crate::ledger::command::Authorize;
use crate::ledger::event::{Decided, Event};
use crate::ledger::state::{CardState, State};

const MINUTE_US: i64 = 60_000_000;

/// The atomic step's view of one authorization.
pub(super) struct Verdict<'s> {
    pub(super) state: &'s State,
    pub(super) command: &'s Authorize<'s>,
    pub(super) known: Option<&'s Authorization>,
    pub(super) parties: &'s Parties<'s>,
    pub(super) claims: &'s Claims,
    pub(super) windows: Windows,
    pub(super) begun: Begun,
    is_increment: bool,
    /// What is left of the earmark behind the card, where an open one is there (behaviour 5.8).
    pub(super) unused_earmark: Option<Minor>,
}

/// What the atomic step comes to.
pub(super) struct Finding {
    pub(super) decision: Decision,
    pub(super) explanation: Option<Explanation>,
    /// The intent that an approval takes.
    pub(super) intent: Option<Key>,
    /// Whether it is approved although no intent matches.
    pub(super) flagged: bool,
}

impl<'s> Verdict<'s> {
    pub(super) fn new(
        state: &'s State,
        command: &'s Authorize<'s>,
        known: Option<&'s Authorization>,
        parties: &'s Parties<'s>,
        claims: &'s Claims,
    ) -> Self {
        let mut verdict = Self {
            state,
            command,
            known,
            parties,
            claims,
            windows: Windows::new(state, &claims.calendar(), command.at),
            begun: Begun::default(),
            is_increment: known.is_some_and(Authorization::is_purchase),
            unused_earmark: parties.card.and_then(|card| unused(state, card)),
        };
        verdict.begun = Begun::new(&verdict);
        verdict
    }
}

impl Verdict<'_> {
    /// Approve, in part where the policy lets it, or the first reason in the fixed order.
    pub(super) fn finding(&self, proposal: &Proposal) -> Finding {
        let mut matching = Matching::default();
        let explanation = if self.command.kind == AuthorizationKind::Credit {
            None
        } else {
            self.first_decline(proposal, &mut matching)
        };
        let part = explanation.and_then(|it| self.part(&it));
        let (decision, explanation) = match (part, explanation) {
            (Some(part), _) => (Decision::ApprovePartial(part), None),
            (None, Some(it)) => (Decision::Decline(it.reason), Some(it)),
            (None, None) => (Decision::Approve, None),
        };
        Finding {
            decision,
            explanation,
            intent: matching.takes,
            flagged: matching.is_flagged,
        }
    }

    fn first_decline(&self, proposal: &Proposal, matching: &mut Matching) -> Option<Explanation> {
        let mut found = self
            .standing(proposal)
            .or_else(|| self.other_currency())
            .or_else(|| self.rule(proposal))
            .or_else(|| self.over_per_auth());
        if found.is_none() && !self.is_free() {
            found = self.attestation_required().or_else(|| {
                *matching = self.matching();
                matching.refusal
            });
        }
        found = found
            .or_else(|| self.single_use_consumed())
            .or_else(|| self.merchant_lock_mismatch());
        if self.is_free() {
            return found;
        }
        found
            .or_else(|| self.cooldown_active())
            .or_else(|| self.count_limit_reached().filter(|_| !self.is_increment))
            .or_else(|| self.limit_exceeded())
    }

    /// Sums of one currency are no sums of another one, whatever a snapshot says by now (behaviour 1.4).
    fn other_currency(&self) -> Option<Explanation> {
        let (kept, asked) = (self.state.currency?, self.claims.amount.currency);
        let is_other = spends(self.command.kind) && kept != asked;
        let reason = DeclineReason::CurrencyNotSupported;
        is_other.then(|| Explanation {
            observed: Some(i64::from(asked.packed())),
            limit: Some(i64::from(kept.packed())),
            ..Explanation::of_rule(reason, Level::Customer, RuleField::Currency)
        })
    }

    /// Where nothing but room is missing, the most that there is room for (behaviour 2.14 g). An
    /// increment is approved whole or not at all.
    fn part(&self, refused: &Explanation) -> Option<Minor> {
        let lets = self.claims.rules.may_approve_part && !self.is_increment;
        let only_room = matches!(
            refused.reason,
            DeclineReason::CardLimitExceeded
                | DeclineReason::AgentLimitExceeded
                | DeclineReason::CustomerLimitExceeded
        );
        if !(lets && only_room && spends(self.command.kind)) {
            return None;
        }
        Some(self.headroom()).filter(|part| !part.is_zero())
    }

    /// What is asked of the limits.
    pub(super) fn amount(&self) -> Minor {
        self.claims.amount.minor
    }

    /// A verification of zero and a balance inquiry meet neither intents nor limits (behaviour
    /// 2.14 b).
    fn is_free(&self) -> bool {
        self.amount().is_zero() || self.command.kind == AuthorizationKind::BalanceInquiry
    }

    /// Whether the step adds to something that stands already (behaviour 2.14 h).
    pub(super) fn is_increment(&self) -> bool {
        self.is_increment
    }

    /// Whether the authorization holds a probe and nothing else. What is added to it makes it the
    /// purchase that consumes card and intent.
    pub(super) fn adds_to_probe(&self) -> bool {
        let probe = self.parties.card.and_then(|card| card.probe());
        self.is_increment && self.known.is_some_and(|known| !known.stands_beside(probe))
    }

    /// Where an approval of the step is booked.
    pub(super) fn place(&self, decided: &mut Decided<'_>) {
        decided.day = self.windows.day;
        if self.charges(decided) {
            decided.hour = self.windows.hour;
        }
    }

    /// Whether the step has something charged: what it approves, or what was reported before.
    pub(super) fn charges(&self, decided: &Decided<'_>) -> bool {
        !decided.reserved().is_zero() || self.known.is_some_and(Authorization::is_uncharged)
    }

    /// The event that opens a day or changes how hours lie.
    pub(super) fn windows_opened(&self) -> Option<Event<'static>> {
        let opened = self.windows.opened(self.state, &self.claims.calendar());
        opened.map(|(day, day_ends, hour_offset_s)| Event::WindowsOpened {
            state: self.state.no,
            day,
            day_ends,
            hour_offset_s,
        })
    }

    /// Whether an approval is the card's one probe (behaviour 2.14 a).
    pub(super) fn probes(&self) -> bool {
        let is_unused = |card: &CardState| card.probe().is_none() && card.consumed.is_none();
        let unused = self.parties.card.is_none_or(is_unused);
        self.claims.single_use && self.claims.rules.may_probe && unused && !self.is_increment
    }

    /// Whether the earmark's own count stands at agent and customer for an approval (behaviour 5.8).
    pub(super) fn is_counted_by_earmark(&self) -> bool {
        let backing = self.parties.card.and_then(CardState::backing);
        let is_taken = backing.is_some_and(|it| it.stands_for.is_some());
        self.unused_earmark.is_some() && (!is_taken || self.probes())
    }

    /// Whether an approval consumes a single-use card.
    pub(super) fn consumes(&self) -> bool {
        let is_use = !self.is_increment || self.adds_to_probe();
        self.claims.single_use && is_use && !self.probes()
    }

    /// Reasons 2 to 7: the stricter of what the snapshot says and what the ledger knows.
    fn standing(&self, proposal: &Proposal) -> Option<Explanation> {
        let seen = |reason, level, field, observed: u8| Explanation {
            observed: Some(i64::from(observed)),
            ..Explanation::of_rule(reason, level, field)
        };
        let of_card = |reason, status: CardStatus| {
            let status = status as u8;
            Some(seen(reason, Level::Card, RuleField::Status, status))
        };
        let own = self
            .parties
            .card
            .and_then(|state| match (state.status, state.frozen) {
                (status @ CardStatus::Canceled, _) => of_card(DeclineReason::CardCanceled, status),
                (status @ CardStatus::Locked, _) => of_card(DeclineReason::CardLocked, status),
                (CardStatus::Active, true) => {
                    let reason = DeclineReason::CardFrozenByRisk;
                    Some(seen(reason, Level::Card, RuleField::Frozen, 1))
                }
                (CardStatus::Active, false) => None,
            });
        let agent = self.parties.agent.map(|agent| agent.status);
        let agent = agent.filter(|it| *it != AgentStatus::Active).map(|status| {
            let reason = DeclineReason::AgentSuspended;
            seen(reason, Level::Agent, RuleField::Status, status as u8)
        });
        let status = self.state.status;
        let customer = (status != CustomerStatus::Active).then(|| {
            let reason = DeclineReason::CustomerSuspended;
            seen(reason, Level::Customer, RuleField::Status, status as u8)
        });
        let expired = proposal.expired.or_else(|| self.used_up());
        let expired = expired.filter(|_| !self.is_increment);
        let lost = self
            .parties
            .card
            .filter(|card| is_lost(self.state, card))
            .map(|_| {
                let reason = DeclineReason::CardExpired;
                Explanation::of_rule(reason, Level::Card, RuleField::Status)
            });
        [proposal.standing, expired, own, agent, customer, lost]
            .into_iter()
            .flatten()
            .min_by_key(|it| it.reason)
    }

    /// Reason 4 by `expireAfter`: the card has approved or spent as much as it was made for.
    fn used_up(&self) -> Option<Explanation> {
        let rules = &self.claims.rules;
        let counters = &self.parties.card?.counters;
        let expired = |level, field, observed: i64, limit: i64| Explanation {
            observed: Some(observed),
            limit: Some(limit),
            ..Explanation::of_rule(DeclineReason::CardExpired, level, field)
        };
        let (approvals, spent) = (counters.approvals(), counters.total().spent);
        let by_count = rules
            .expire_after_count
            .filter(|(limit, _)| approvals >= *limit)
            .map(|(limit, level)| {
                let field = RuleField::ExpireAfterCount;
                expired(level, field, i64::from(approvals), i64::from(limit))
            });
        by_count.or_else(|| {
            rules
                .expire_after_spend
                .filter(|(limit, _)| spent >= *limit)
                .map(|(limit, level)| {
                    let field = RuleField::ExpireAfterSpend;
                    expired(level, field, spent.get(), limit.get())
                })
        })
    }

    /// Reasons 8 to 17 as the snapshot has them; increments skip the hours.
    fn rule(&self, proposal: &Proposal) -> Option<Explanation> {
        let hours = proposal.hours.filter(|_| !self.is_increment);
        [proposal.rule, hours]
            .into_iter()
            .flatten()
            .min_by_key(|it| it.reason)
    }

    /// Reason 17 for an increment: the cap covers all steps together (behaviour 2.13 a).
    fn over_per_auth(&self) -> Option<Explanation> {
        let (cap, level) = self.claims.per_auth?;
        let held = self.known.map_or(Minor::ZERO, Authorization::total);
        let room = cap.saturating_minus(held);
        let passes = held <= cap && self.amount() <= room;
        (!passes).then(|| Explanation {
            observed: Some(held.saturating_plus(self.amount()).get()),
            limit: Some(cap.get()),
            remaining: Some(room.get()),
            ..Explanation::of_rule(DeclineReason::AmountOverPerAuth, level, RuleField::PerAuth)
        })
    }

    fn single_use_consumed(&self) -> Option<Explanation> {
        let is_use = !self.is_increment || self.adds_to_probe();
        if !self.claims.single_use || !is_use {
            return None;
        }
        let (at, by) = self.parties.card?.consumed?;
        // The issuer has approved it already, and tells of that before it asks, or we hear it so.
        let is_own = by == self.command.step.authorization
            && self
                .known
                .and_then(Authorization::life)
                .is_some_and(|life| life.has_consumed_at(at));
        if is_own {
            return None;
        }
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

    /// Reason 25, in minutes. A clock that stepped back since the last approval declines.
    fn cooldown_active(&self) -> Option<Explanation> {
        let (cooldown_us, level) = self.claims.rules.cooldown_us?;
        if self.is_increment {
            return None;
        }
        let last = self.parties.card?.recent.last()?;
        let passed_us = self.command.at.micros_since(last);
        (passed_us < cooldown_us).then(|| Explanation {
            observed: Some(passed_us.max(0) / MINUTE_US),
            limit: Some(cooldown_us / MINUTE_US),
            resets_at: Some(last.plus_micros(cooldown_us)),
            ..Explanation::of_rule(
                DeclineReason::CooldownActive,
                level,
                RuleField::CooldownMinutes,
            )
        })
    }
}

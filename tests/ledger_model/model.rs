//! A ledger as one would write it on a sheet of paper: a list of facts, and every sum added up
//! from it each time it is needed. Shares ids and kinds with the engine, and no code.

use std::collections::{BTreeMap, BTreeSet};

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::{Decision, DeclineReason};

use crate::commands::{Ask, CardPolicy, Limits, Merchant, Policy, Preset};

const LARGEST: i128 = (1 << 53) - 1;

/// One decided step.
#[derive(Clone, Debug)]
struct Fact {
    position: u64,
    authorization: u8,
    /// Tells an authorization from a forgotten one with the same id.
    life: usize,
    name: Option<u64>,
    delivery: Option<u64>,
    content: u64,
    card: Option<u8>,
    agent: Option<u8>,
    decision: Decision,
    /// What it reserved when it was decided.
    amount: i128,
    day: i32,
    at: i64,
    taken_back: bool,
    forgotten: bool,
}

#[derive(Clone, Debug)]
struct Lock {
    merchant: Merchant,
    /// The authorizations, by life, that were approved under it.
    holders: BTreeSet<usize>,
}

/// Whose sums.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Card(u8),
    Agent(u8),
    Customer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Known,
    Conflict,
}

/// A limit that stands in the way: level, window (3 for the total), limit, what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) level: usize,
    pub(crate) window: usize,
    pub(crate) limit: i128,
    pub(crate) left: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) novelty: Novelty,
    /// The position of a known step's decision.
    pub(crate) position: Option<u64>,
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) available: Option<i128>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    facts: Vec<Fact>,
    lives: usize,
    locks: BTreeMap<u8, Lock>,
    /// The authorization, by life, that consumed the card.
    consumed: BTreeMap<u8, usize>,
    cards: BTreeMap<u8, (u8, bool)>,
    agents: BTreeMap<u8, u8>,
}

/// Year and month of a day, counted month by month from January 1960.
fn month_of(day: i32) -> (i32, usize) {
    let (mut year, mut month, mut first) = (1960, 0usize, -3_653);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        let length = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
        if day < first + length {
            return (year, month + 1);
        }
        first += length;
        month += 1;
        if month == 12 {
            (year, month) = (year + 1, 0);
        }
    }
}

/// The Monday of a day's week, found by walking back; 1970-01-05 was one.
fn monday_of(mut day: i32) -> i32 {
    while (day - 4) % 7 != 0 {
        day -= 1;
    }
    day
}

/// Whether both days lie in one day (0), week (1), month (2), or at all (3).
fn in_one_window(window: usize, a: i32, b: i32) -> bool {
    match window {
        0 => a == b,
        1 => monday_of(a) == monday_of(b),
        2 => month_of(a) == month_of(b),
        _ => true,
    }
}

fn spends(kind: AuthorizationKind) -> bool {
    kind == AuthorizationKind::Authorization || kind == AuthorizationKind::SingleMessage
}

fn is_same_merchant(a: &Merchant, b: &Merchant) -> bool {
    if a.strong.is_some() && a.strong == b.strong {
        let subs_differ = a.sub.is_some() && b.sub.is_some() && a.sub != b.sub;
        if !subs_differ {
            return true;
        }
    }
    a.weak == b.weak
}

impl Model {
    /// The latest day that anything was charged to.
    pub(crate) fn day(&self) -> Option<i32> {
        let charged = self.facts.iter().filter(|fact| fact.amount > 0);
        charged.map(|fact| fact.day).max()
    }

    fn of(&self, authorization: u8) -> impl Iterator<Item = &Fact> {
        let alive = self.facts.iter().filter(|fact| !fact.forgotten);
        alive.filter(move |fact| fact.authorization == authorization)
    }

    /// Spent and held, added up.
    pub(crate) fn sums(&self, scope: Scope, window: usize, day: i32) -> (i128, i128) {
        let (mut spent, mut held) = (0, 0);
        for fact in &self.facts {
            let in_scope = match scope {
                Scope::Card(card) => fact.card == Some(card),
                Scope::Agent(agent) => fact.agent == Some(agent),
                Scope::Customer => true,
            };
            if !in_scope || fact.taken_back || fact.amount == 0 {
                continue;
            }
            if in_one_window(window, fact.day, day) {
                spent += fact.amount;
                held += if fact.forgotten { 0 } else { fact.amount };
            }
        }
        (spent, held)
    }

    /// How many authorizations are remembered.
    pub(crate) fn remembered(&self) -> usize {
        let alive = self.facts.iter().filter(|fact| !fact.forgotten);
        alive.map(|fact| fact.life).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn lock_of(&self, card: u8) -> Option<Merchant> {
        self.locks.get(&card).map(|lock| lock.merchant)
    }

    pub(crate) fn is_consumed(&self, card: u8) -> bool {
        self.consumed.contains_key(&card)
    }

    /// What an authorization holds.
    pub(crate) fn held_by(&self, authorization: u8) -> i128 {
        let standing = self.of(authorization).filter(|fact| !fact.taken_back);
        standing.map(|fact| fact.amount).sum()
    }

    /// What a life of an authorization has reserved and not had taken back, forgotten or not.
    fn standing_of(&self, life: usize) -> i128 {
        let of_it = self.facts.iter().filter(|fact| fact.life == life);
        of_it
            .filter(|fact| !fact.taken_back)
            .map(|fact| fact.amount)
            .sum()
    }

    /// Which known step a question is, and whether its content differs.
    fn recognise(&self, ask: &Ask) -> Option<(&Fact, bool)> {
        let steps = || self.of(ask.authorization);
        if ask.name.is_some()
            && let Some(step) = steps().find(|step| step.name == ask.name)
        {
            return Some((step, step.content != ask.content));
        }
        // Two different names are two steps, whatever else is alike.
        let nameless = || steps().filter(|step| step.name.is_none() || ask.name.is_none());
        if let Some(step) = nameless().find(|step| step.content == ask.content) {
            return Some((step, false));
        }
        ask.delivery?;
        let step = nameless().find(|step| step.delivery == ask.delivery)?;
        Some((step, true))
    }

    /// Decides, without writing anything down.
    pub(crate) fn decide(&self, ask: &Ask, policy: &Policy, today: i32) -> Verdict {
        let verdict = |decision, novelty| Verdict {
            decision,
            novelty,
            position: None,
            obstacle: None,
            available: None,
        };
        let conflict = verdict(
            Decision::Decline(DeclineReason::ConflictingDuplicate),
            Novelty::Conflict,
        );
        match self.recognise(ask) {
            Some((_, true)) => return conflict,
            Some((step, false)) => {
                let told =
                    step.decision.is_approval() && ask.kind == AuthorizationKind::BalanceInquiry;
                let in_snapshot = policy.cards[usize::from(ask.card)].in_snapshot;
                let day = self.day().map_or(today, |latest| latest.max(today));
                let smallest = self
                    .limits(ask, policy, day)
                    .iter()
                    .map(|it| it.left.max(0))
                    .min();
                return Verdict {
                    position: Some(step.position),
                    available: smallest.filter(|_| told && in_snapshot),
                    ..verdict(step.decision, Novelty::Known)
                };
            }
            None => {}
        }
        let card = &policy.cards[usize::from(ask.card)];
        if !card.in_snapshot {
            return verdict(Decision::Decline(DeclineReason::CardUnknown), Novelty::New);
        }
        let cards = self.of(ask.authorization).filter_map(|fact| fact.card);
        if cards.into_iter().any(|card| card != ask.card) {
            return conflict;
        }
        let day = self.day().map_or(today, |latest| latest.max(today));
        let limits = self.limits(ask, policy, day);
        let refused = self.refuse(ask, card, &limits);
        let decision = refused.map_or(Decision::Approve, |(it, _)| Decision::Decline(it));
        let inquiry = ask.kind == AuthorizationKind::BalanceInquiry;
        let smallest = limits.iter().map(|limit| limit.left.max(0)).min();
        Verdict {
            obstacle: refused.and_then(|(_, obstacle)| obstacle),
            available: smallest.filter(|_| inquiry),
            ..verdict(decision, Novelty::New)
        }
    }

    /// The limits in force, card's first, with what is left under each.
    fn limits(&self, ask: &Ask, policy: &Policy, day: i32) -> Vec<Obstacle> {
        if ask.kind == AuthorizationKind::Credit {
            return Vec::new();
        }
        let card = &policy.cards[usize::from(ask.card)];
        let mut levels: Vec<(usize, Scope, Limits)> = Vec::new();
        levels.push((0, Scope::Card(ask.card), card.limits));
        if let Some(agent) = card.agent {
            levels.push((1, Scope::Agent(agent), policy.agents[usize::from(agent)]));
        }
        levels.push((2, Scope::Customer, policy.customer));
        let mut found = Vec::new();
        for (level, scope, limits) in levels {
            for (window, limit) in limits.into_iter().enumerate() {
                let Some(limit) = limit.map(i128::from) else {
                    continue;
                };
                let (spent, _) = self.sums(scope, window, day);
                found.push(Obstacle {
                    level,
                    window,
                    limit,
                    left: limit - spent,
                });
            }
        }
        found
    }

    /// The first reason to decline.
    fn refuse(
        &self,
        ask: &Ask,
        card: &CardPolicy,
        limits: &[Obstacle],
    ) -> Option<(DeclineReason, Option<Obstacle>)> {
        if ask.kind == AuthorizationKind::Credit {
            return None;
        }
        let amount = if spends(ask.kind) {
            i128::from(ask.amount)
        } else {
            0
        };
        let standing = self.standing(ask.card, card);
        if let Some(reason) = standing.or(ask.rule) {
            return Some((reason, None));
        }
        let held = self.held_by(ask.authorization);
        if let Some(cap) = card.per_auth.map(i128::from)
            && held + amount > cap
        {
            let (level, window, left) = (0, 4, cap - held);
            let obstacle = Obstacle {
                level,
                window,
                limit: cap,
                left,
            };
            return Some((DeclineReason::AmountOverPerAuth, Some(obstacle)));
        }
        if spends(ask.kind) && card.single_use && held == 0 && self.is_consumed(ask.card) {
            return Some((DeclineReason::SingleUseConsumed, None));
        }
        if spends(ask.kind) && self.is_elsewhere(ask, card) {
            return Some((DeclineReason::MerchantLockMismatch, None));
        }
        if amount == 0 {
            return None;
        }
        let mut limits = limits.to_vec();
        limits.push(Obstacle {
            level: 2,
            window: 3,
            limit: LARGEST,
            left: LARGEST - self.sums(Scope::Customer, 3, 0).0,
        });
        let broken = limits.into_iter().find(|limit| amount > limit.left)?;
        let reason = match broken.level {
            0 => DeclineReason::CardLimitExceeded,
            1 => DeclineReason::AgentLimitExceeded,
            _ => DeclineReason::CustomerLimitExceeded,
        };
        Some((reason, Some(broken)))
    }

    fn standing(&self, card: u8, policy: &CardPolicy) -> Option<DeclineReason> {
        let mut reasons: Vec<DeclineReason> = policy.standing.into_iter().collect();
        let (status, frozen) = self.cards.get(&card).copied().unwrap_or_default();
        if status == 2 {
            reasons.push(DeclineReason::CardCanceled);
        }
        if status == 1 {
            reasons.push(DeclineReason::CardLocked);
        }
        if frozen {
            reasons.push(DeclineReason::CardFrozenByRisk);
        }
        let agent = policy.agent.and_then(|agent| self.agents.get(&agent));
        if agent.is_some_and(|status| *status != 0) {
            reasons.push(DeclineReason::AgentSuspended);
        }
        reasons.into_iter().min_by_key(|reason| reason.number())
    }

    fn is_elsewhere(&self, ask: &Ask, card: &CardPolicy) -> bool {
        let preset = match card.preset {
            None => false,
            Some(Preset::Strong(strong)) => ask.merchant.strong != Some(strong),
            Some(Preset::Weak(weak)) => ask.merchant.weak != weak,
        };
        let lock = self.lock_of(ask.card).filter(|_| card.lock);
        preset || lock.is_some_and(|merchant| !is_same_merchant(&merchant, &ask.merchant))
    }

    /// Writes down what was decided.
    pub(crate) fn record(
        &mut self,
        ask: &Ask,
        verdict: &Verdict,
        policy: &CardPolicy,
        today: i32,
        (position, at): (u64, i64),
    ) {
        if verdict.novelty != Novelty::New {
            return;
        }
        let alive = self.of(ask.authorization).map(|fact| fact.life).next();
        let life = alive.unwrap_or_else(|| {
            self.lives += 1;
            self.lives
        });
        let reserves = verdict.decision.is_approval() && spends(ask.kind);
        let is_first = self.held_by(ask.authorization) == 0;
        self.facts.push(Fact {
            position,
            authorization: ask.authorization,
            life,
            name: ask.name,
            delivery: ask.delivery,
            content: ask.content,
            card: policy.in_snapshot.then_some(ask.card),
            agent: policy.agent.filter(|_| policy.in_snapshot),
            decision: verdict.decision,
            amount: if reserves { i128::from(ask.amount) } else { 0 },
            day: self.day().map_or(today, |latest| latest.max(today)),
            at,
            taken_back: false,
            forgotten: false,
        });
        if !reserves || ask.amount == 0 {
            return;
        }
        if policy.single_use && is_first {
            self.consumed.insert(ask.card, life);
        }
        if policy.lock {
            self.locks.entry(ask.card).or_insert_with(|| Lock {
                merchant: ask.merchant,
                holders: BTreeSet::new(),
            });
        }
        if let Some(lock) = self.locks.get_mut(&ask.card) {
            lock.holders.insert(life);
        }
    }

    /// Takes an approval back; whether there was one.
    pub(crate) fn overrule(&mut self, authorization: u8, position: u64) -> bool {
        let fact = self.facts.iter_mut().find(|fact| {
            fact.authorization == authorization && fact.position == position && !fact.forgotten
        });
        let Some(fact) = fact.filter(|fact| fact.decision.is_approval()) else {
            return false;
        };
        fact.taken_back = true;
        fact.decision = Decision::Decline(DeclineReason::DeadlineExceeded);
        let life = fact.life;
        if self.standing_of(life) == 0 {
            self.consumed.retain(|_, by| *by != life);
            for lock in self.locks.values_mut() {
                lock.holders.remove(&life);
            }
            self.locks.retain(|_, lock| !lock.holders.is_empty());
        }
        true
    }

    /// Forgets the authorizations without a step since `cut`; whether there were any.
    pub(crate) fn sweep(&mut self, cut: i64) -> bool {
        let mut latest: BTreeMap<usize, i64> = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| !fact.forgotten) {
            let at = latest.entry(fact.life).or_insert(fact.at);
            *at = fact.at.max(*at);
        }
        let stale = |life: usize| latest.get(&life).is_some_and(|at| *at < cut);
        let mut any = false;
        for fact in self.facts.iter_mut().filter(|fact| stale(fact.life)) {
            fact.forgotten = true;
            any = true;
        }
        any
    }

    /// Absent where the change is refused, else whether it changes anything.
    pub(crate) fn set_card(
        &mut self,
        card: u8,
        status: Option<u8>,
        frozen: Option<bool>,
    ) -> Option<bool> {
        let old = self.cards.get(&card).copied().unwrap_or_default();
        let new = (status.unwrap_or(old.0), frozen.unwrap_or(old.1));
        if old.0 == 2 && new.0 != 2 {
            return None;
        }
        self.cards.insert(card, new);
        Some(old != new)
    }

    pub(crate) fn set_agent(&mut self, agent: u8, status: u8) -> bool {
        self.agents.insert(agent, status).unwrap_or_default() != status
    }
}

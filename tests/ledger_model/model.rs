//! A ledger as one would write it on a sheet of paper: a list of facts, and every sum added up
//! from it each time it is needed. Shares ids and kinds with the engine, and no code.

use std::collections::{BTreeMap, BTreeSet};

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::{Decision, DeclineReason};

use crate::calendar::{Date, MINUTE, date_at, date_ends, hour_at, hour_ends};
use crate::commands::{Ask, CardPolicy, Limits, Merchant, Policy, Preset};
use crate::earmarks::Backing;
use crate::intents::{Book, Finding, named_by};
use crate::lives::{self, Named, Own};
use crate::sheet::{Place, Scope, Sheet, bucket, length};

const LARGEST: i128 = (1 << 53) - 1;

/// One decided step.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) position: u64,
    /// Tells an authorization from a forgotten one with the same id.
    pub(crate) life: usize,
    name: Option<u64>,
    delivery: Option<u64>,
    content: u64,
    pub(crate) card: Option<u8>,
    pub(crate) decision: Decision,
    /// What it reserved when it was decided.
    pub(crate) amount: i128,
    pub(crate) place: Place,
    pub(crate) at: i64,
    pub(crate) taken_back: bool,
    /// Whether its authorization counts as approved by it.
    pub(crate) counted: bool,
    /// Of one on a card with an earmark: whether it counts above the card too.
    pub(crate) above: bool,
    pub(crate) flagged: bool,
}

/// What a card had of an authorization that was undone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) consumed_at: Option<i64>,
    pub(crate) probe: Option<u64>,
    pub(crate) was_under_lock: bool,
    pub(crate) lock: Option<Lock>,
}

pub(crate) type Life = lives::Life<Place, Taken>;

/// What an authorization does to its card that its issuer approved without us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) consumes: bool,
    pub(crate) consumed_at: Option<i64>,
    pub(crate) lock: Option<Merchant>,
}

/// One authorization, from the first that is heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) authorization: u8,
    pub(crate) card: Option<u8>,
    pub(crate) is_forgotten: bool,
    pub(crate) named: Named,
    pub(crate) uses: Uses,
    /// Present from the first report on.
    pub(crate) life: Option<Life>,
}

impl Fact {
    pub(crate) fn stands(&self) -> bool {
        !self.taken_back && self.amount > 0
    }

    pub(crate) fn own(&self) -> Own {
        Own {
            name: self.name,
            approves: self.decision.is_approval(),
            amount: if self.taken_back { 0 } else { self.amount },
            at: self.at,
        }
    }

    pub(crate) fn is_of(&self, scope: Scope) -> bool {
        match scope {
            Scope::Card(card) => self.card == Some(card),
            Scope::Agent(agent) => self.place.agent == Some(agent),
            Scope::Customer => true,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) merchant: Merchant,
    /// The authorizations, by life, that were approved under it.
    pub(crate) holders: BTreeSet<usize>,
}

/// The latest approvals of a card: three by time and position, and the time of those before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    pub(crate) latest: BTreeSet<(i64, u64)>,
    older: Option<i64>,
}

impl Recent {
    pub(crate) fn note(&mut self, at: i64, position: u64) {
        self.latest.insert((at, position));
        if self.latest.len() > 3 {
            let gone = self.latest.pop_first().unwrap();
            self.older = self.older.max(Some(gone.0));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Known,
    Conflict,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A sum by day, week, month, for ever.
    Sum(usize),
    /// A sum over 24 hours, 7 days, 30 days.
    Span(usize),
    /// The number of approvals by hour, day, for ever.
    Count(usize),
    /// The number of approvals by one of day, week, month.
    Period,
    /// What is held at one time over all cards.
    Held,
    PerAuth,
    AfterCount,
    AfterSpend,
    Cooldown,
}

/// A limit that stands in the way: level, limit, what is left, and when it has room again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) level: usize,
    pub(crate) field: Field,
    pub(crate) limit: i128,
    pub(crate) left: i128,
    pub(crate) until: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) novelty: Novelty,
    /// The position of a known step's decision.
    pub(crate) position: Option<u64>,
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) available: Option<i128>,
    pub(crate) probes: bool,
    pub(crate) consumes: bool,
    pub(crate) intent: Option<u8>,
    pub(crate) flagged: bool,
}

/// Now, by the clock and in the customer's zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: i64,
    pub(crate) zone: usize,
}

/// A day or an hour under way, and when it ends, as it stood when it was opened.
#[derive(Clone, Copy, Debug)]
struct Open<T> {
    which: T,
    ends: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) facts: Vec<Fact>,
    pub(crate) known: Vec<Known>,
    pub(crate) sheet: Sheet,
    pub(crate) locks: BTreeMap<u8, Lock>,
    /// The authorization, by life, that consumed the card, and when.
    pub(crate) consumed: BTreeMap<u8, (usize, i64)>,
    /// The position of the approval that was the card's probe.
    pub(crate) probes: BTreeMap<u8, u64>,
    pub(crate) recent: BTreeMap<u8, Recent>,
    /// Status, and whether it is frozen by somebody (1) or by a risk rule (2).
    cards: BTreeMap<u8, (u8, u8)>,
    agents: BTreeMap<u8, u8>,
    pub(crate) is_suspended: bool,
    day: Option<Open<Date>>,
    hour: Option<Open<i32>>,
    pub(crate) latest: Option<i64>,
    pub(crate) intents: Book,
    pub(crate) backed: BTreeMap<u8, Backing>,
}

fn spends(kind: AuthorizationKind) -> bool {
    kind == AuthorizationKind::Authorization || kind == AuthorizationKind::SingleMessage
}

pub(crate) fn is_same_merchant(a: &Merchant, b: &Merchant) -> bool {
    if a.strong.is_some() && a.strong == b.strong {
        let subs_differ = a.sub.is_some() && b.sub.is_some() && a.sub != b.sub;
        if !subs_differ {
            return true;
        }
    }
    a.weak == b.weak
}

fn level_of(scope: Scope) -> usize {
    match scope {
        Scope::Card(_) => 0,
        Scope::Agent(_) => 1,
        Scope::Customer => 2,
    }
}

/// Where there is a limit, its scope and the limits of its level.
fn levels(ask: &Ask, policy: &Policy) -> Vec<(Scope, Limits)> {
    if ask.kind == AuthorizationKind::Credit {
        return Vec::new();
    }
    let card = &policy.cards[usize::from(ask.card)];
    let mut levels = vec![(Scope::Card(ask.card), card.limits)];
    if let Some(agent) = card.agent {
        levels.push((Scope::Agent(agent), policy.agents[usize::from(agent)]));
    }
    levels.push((Scope::Customer, policy.customer));
    levels
}

impl Model {
    /// The latest day that anything was charged to.
    pub(crate) fn day(&self) -> Option<Date> {
        self.day.map(|open| open.which)
    }

    /// The latest hour that anything was charged to.
    pub(crate) fn hour(&self) -> Option<i32> {
        self.hour.map(|open| open.which)
    }

    /// The latest instant of a booking.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.latest
    }

    /// The day that an authorization is charged to: the zone's, unless a later one has begun or the
    /// one under way has not ended.
    pub(crate) fn day_of(&self, moment: Moment) -> Date {
        let today = date_at(moment.zone, moment.at);
        match self.day {
            Some(open) if today <= open.which || moment.at < open.ends => open.which,
            _ => today,
        }
    }

    pub(crate) fn hour_of(&self, moment: Moment) -> i32 {
        let now = hour_at(moment.zone, moment.at);
        match self.hour {
            Some(open) if now <= open.which || moment.at < open.ends => open.which,
            _ => now,
        }
    }

    /// When a window that holds the day under way ends; absent where the zone is behind that day.
    fn day_until(&self, moment: Moment, window: usize) -> Option<i64> {
        let day = self.day_of(moment);
        if date_at(moment.zone, moment.at) < day {
            return None;
        }
        let under_way = self.day.filter(|open| open.which == day);
        let from = under_way.map_or(moment.at, |open| open.ends.max(moment.at));
        Some(date_ends(moment.zone, day, window, from))
    }

    fn hour_until(&self, moment: Moment) -> Option<i64> {
        let hour = self.hour_of(moment);
        if hour_at(moment.zone, moment.at) < hour {
            return None;
        }
        let under_way = self.hour.filter(|open| open.which == hour);
        let from = under_way.map_or(moment.at, |open| open.ends.max(moment.at));
        Some(hour_ends(moment.zone, hour, from))
    }

    /// A booking is not before any other. Up to half an hour it is exactly as late as the latest
    /// one, beyond that by whole seconds.
    fn booked_at(&self, at: i64) -> i64 {
        let behind = self.latest.map_or(0, |latest| (latest - at).max(0));
        if behind < 1 << 31 {
            return at + behind;
        }
        let mut booked = at;
        while booked < at + behind {
            let seconds = ((at + behind - booked) / 1_000_000).max(1);
            booked += seconds * 1_000_000;
        }
        booked
    }

    fn of(&self, authorization: u8) -> impl Iterator<Item = &Fact> {
        let life = self.life_of(authorization);
        let facts = self.facts.iter();
        facts.filter(move |fact| Some(fact.life) == life)
    }

    /// Spent and held, added up.
    pub(crate) fn sums(&self, scope: Scope, window: usize, day: Date) -> (i128, i128) {
        self.sheet.sums(scope, window, day)
    }

    pub(crate) fn is_canceled(&self, card: u8) -> bool {
        self.cards.get(&card).is_some_and(|it| it.0 == 2)
    }

    /// What each bucket holds that has not left the span by `now`, by the bucket's beginning.
    pub(crate) fn span(&self, scope: Scope, span: usize, now: i64) -> BTreeMap<i64, i128> {
        let now = self.latest.map_or(now, |latest| latest.max(now));
        self.sheet.span(scope, span, now)
    }

    /// Whether a trailing sum is kept.
    pub(crate) fn is_kept(&self, scope: Scope, span: usize) -> bool {
        self.sheet.is_kept(scope, span)
    }

    pub(crate) fn lock_of(&self, card: u8) -> Option<Merchant> {
        self.locks.get(&card).map(|lock| lock.merchant)
    }

    /// Whether anything has consumed the card but what the issuer approved of this authorization
    /// without us.
    fn is_consumed_by_other(&self, ask: &Ask) -> bool {
        let own = self.life_of(ask.authorization);
        let by_itself = own.is_some_and(|number| {
            self.known[number].card == Some(ask.card) && self.has_consumed_alone(number)
        });
        self.is_consumed(ask.card) && !by_itself
    }

    pub(crate) fn is_consumed(&self, card: u8) -> bool {
        self.consumed.contains_key(&card)
    }

    pub(crate) fn probe_of(&self, card: u8) -> Option<u64> {
        self.probes.get(&card).copied()
    }

    pub(crate) fn last_approval(&self, card: u8) -> Option<i64> {
        let recent = self.recent.get(&card)?;
        recent.latest.last().map(|(at, _)| *at).or(recent.older)
    }

    /// What an authorization comes to: held and posted together.
    pub(crate) fn total_of(&self, authorization: u8) -> i128 {
        let Some(number) = self.life_of(authorization) else {
            return 0;
        };
        match &self.known[number].life {
            Some(life) => life.held() + life.charged(),
            None => {
                let standing = self.of(authorization).filter(|fact| fact.stands());
                standing.map(|fact| fact.amount).sum()
            }
        }
    }

    /// Whether anything of it stands approved that its issuer has not taken back.
    pub(crate) fn is_purchase(&self, authorization: u8) -> bool {
        let life = self.life_of(authorization);
        life.is_some_and(|life| self.stands_beside(life, None))
    }

    /// Whether an authorization holds its card's probe and nothing else.
    fn is_probe_alone(&self, authorization: u8, card: u8) -> bool {
        let life = self.life_of(authorization);
        let beside = |life| self.stands_beside(life, self.probe_of(card));
        self.is_purchase(authorization) && !life.is_some_and(beside)
    }

    /// Whether a life of an authorization has anything that stands beside a probe at this position.
    pub(crate) fn stands_beside(&self, life: usize, probe: Option<u64>) -> bool {
        let known = self.known[life].life.as_ref();
        let is_undone = known.is_some_and(|life| life.taken.is_some());
        let mut of_it = self.facts.iter().filter(|fact| fact.life == life);
        !is_undone && of_it.any(|fact| fact.stands() && Some(fact.position) != probe)
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
    pub(crate) fn decide(&self, ask: &Ask, policy: &Policy, moment: Moment) -> Verdict {
        let verdict = |decision, novelty| Verdict {
            decision,
            novelty,
            position: None,
            obstacle: None,
            available: None,
            probes: false,
            consumes: false,
            intent: None,
            flagged: false,
        };
        let conflict = verdict(
            Decision::Decline(DeclineReason::ConflictingDuplicate),
            Novelty::Conflict,
        );
        let card = &policy.cards[usize::from(ask.card)];
        let limits = self.limits(ask, policy, moment);
        let covered = self.covered(ask.card);
        let with_earmark = |it: &Obstacle| it.left.max(0) + covered[it.level];
        let smallest = limits.iter().map(with_earmark).min();
        let inquiry = ask.kind == AuthorizationKind::BalanceInquiry;
        match self.recognise(ask) {
            Some((_, true)) => return conflict,
            Some((step, false)) => {
                let told = step.decision.is_approval() && inquiry && card.in_snapshot;
                return Verdict {
                    position: Some(step.position),
                    available: smallest.filter(|_| told),
                    ..verdict(step.decision, Novelty::Known)
                };
            }
            None => {}
        }
        if !card.in_snapshot {
            return verdict(Decision::Decline(DeclineReason::CardUnknown), Novelty::New);
        }
        if self
            .card_of(ask.authorization)
            .is_some_and(|card| card != ask.card)
        {
            return conflict;
        }
        let available = smallest.filter(|_| inquiry);
        let (found, refused) = self.refuse(ask, policy, &limits, moment);
        let by_room = refused.is_some_and(|(reason, _)| reason.number() >= 27);
        let room = smallest.into_iter().chain([self.countable().left]).min();
        let is_first = !self.is_purchase(ask.authorization);
        let part = room.filter(|room| *room > 0 && by_room && is_first && card.past.may_part);
        let decision = match (part, refused) {
            (Some(part), _) => Decision::ApprovePartial(
                countersign::domain::amount::Minor::new(i64::try_from(part).unwrap()).unwrap(),
            ),
            (None, Some((reason, _))) => Decision::Decline(reason),
            (None, None) => Decision::Approve,
        };
        let mut verdict = Verdict {
            obstacle: refused.and_then(|(_, it)| it).filter(|_| part.is_none()),
            available,
            ..verdict(decision, Novelty::New)
        };
        if decision.is_approval() && spends(ask.kind) && ask.amount > 0 {
            let uses = is_first || self.is_probe_alone(ask.authorization, ask.card);
            verdict.probes = self.would_probe(ask, card);
            verdict.consumes = card.single_use && uses && !verdict.probes;
            verdict.intent = found.takes.filter(|_| !verdict.probes);
            verdict.flagged = found.is_flagged;
        }
        verdict
    }

    /// The limits on amounts, card's first, with what is left under each.
    fn limits(&self, ask: &Ask, policy: &Policy, moment: Moment) -> Vec<Obstacle> {
        let day = self.day_of(moment);
        let mut found = Vec::new();
        for (scope, limits) in levels(ask, policy) {
            let level = level_of(scope);
            for window in 0..3 {
                if let Some(limit) = limits.sums[window].map(i128::from) {
                    let (spent, _) = self.sums(scope, window, day);
                    found.push(Obstacle {
                        level,
                        field: Field::Sum(window),
                        limit,
                        left: limit - spent,
                        until: self.day_until(moment, window),
                    });
                }
                if let Some(limit) = limits.spans[window].map(i128::from) {
                    let buckets = self.span(scope, window, moment.at);
                    let spent: i128 = buckets.values().sum();
                    found.push(Obstacle {
                        level,
                        field: Field::Span(window),
                        limit,
                        left: limit - spent,
                        until: {
                            let asked = i128::from(ask.amount) - self.covered(ask.card)[level];
                            self.span_until(asked.max(0), limit, window, &buckets)
                        },
                    });
                }
            }
            if let Some(limit) = limits.sums[3].map(i128::from) {
                let (spent, _) = self.sums(scope, 3, day);
                found.push(Obstacle {
                    level,
                    field: Field::Sum(3),
                    limit,
                    left: limit - spent,
                    until: None,
                });
            }
        }
        let spends_or_asks = ask.kind != AuthorizationKind::Credit;
        if let Some(limit) = policy.held_max.filter(|_| spends_or_asks) {
            let (_, held) = self.sums(Scope::Customer, 3, day);
            found.push(Obstacle {
                level: 2,
                field: Field::Held,
                limit: i128::from(limit),
                left: i128::from(limit) - held,
                until: None,
            });
        }
        found
    }

    /// When so much has left the span that the amount fits.
    fn span_until(
        &self,
        asked: i128,
        limit: i128,
        span: usize,
        buckets: &BTreeMap<i64, i128>,
    ) -> Option<i64> {
        let mut spent: i128 = buckets.values().sum();
        for (begins, amount) in buckets {
            spent -= amount;
            if spent + asked <= limit {
                return Some(begins + bucket(span) + length(span));
            }
        }
        None
    }

    fn countable(&self) -> Obstacle {
        let spent = self.sheet.spent(Scope::Customer);
        Obstacle {
            level: 2,
            field: Field::Sum(3),
            limit: LARGEST,
            left: LARGEST - spent,
            until: None,
        }
    }

    /// What the intents say, and the first reason to decline.
    fn refuse(
        &self,
        ask: &Ask,
        policy: &Policy,
        limits: &[Obstacle],
        moment: Moment,
    ) -> (Finding, Option<(DeclineReason, Option<Obstacle>)>) {
        let card = &policy.cards[usize::from(ask.card)];
        let mut found = Finding::default();
        if ask.kind == AuthorizationKind::Credit {
            return (found, None);
        }
        let amount = if spends(ask.kind) { ask.amount } else { 0 };
        let amount = i128::from(amount);
        let held = self.total_of(ask.authorization);
        let is_increment = self.is_purchase(ask.authorization);
        let used_up = self.used_up(ask.card, card).filter(|_| !is_increment);
        let early = self.early(ask, card, is_increment, used_up.is_some());
        if let Some(reason) = early {
            let why = used_up.filter(|_| reason == DeclineReason::CardExpired && !ask.expired);
            return (found, Some((reason, why)));
        }
        if let Some(cap) = card
            .per_auth
            .map(i128::from)
            .filter(|cap| held + amount > *cap)
        {
            let obstacle = Obstacle {
                level: 0,
                field: Field::PerAuth,
                limit: cap,
                left: cap - held,
                until: None,
            };
            return (
                found,
                Some((DeclineReason::AmountOverPerAuth, Some(obstacle))),
            );
        }
        let alone = self.is_probe_alone(ask.authorization, ask.card);
        if amount > 0 {
            if !is_increment && self.lacks_attestation(ask.card, card, moment.at) {
                return (found, Some((DeclineReason::AttestationRequired, None)));
            }
            let total = held + amount;
            let life = (is_increment && !alone).then(|| self.life_of(ask.authorization));
            found = self
                .intents
                .find(ask, card.past.intent, total, life.flatten(), moment.at);
            if let Some(reason) = found.refusal {
                return (found, Some((reason, None)));
            }
        }
        let uses = !is_increment || alone;
        if spends(ask.kind) && card.single_use && uses && self.is_consumed_by_other(ask) {
            return (found, Some((DeclineReason::SingleUseConsumed, None)));
        }
        if spends(ask.kind) && self.is_elsewhere(ask, card) {
            return (found, Some((DeclineReason::MerchantLockMismatch, None)));
        }
        if amount == 0 {
            return (found, None);
        }
        let waits = self.too_soon(ask, policy, moment).filter(|_| !is_increment);
        let covered = self.covered(ask.card);
        (
            found,
            waits.or_else(|| self.without_room(amount, limits, covered)),
        )
    }

    /// Reasons 25 and 26.
    fn too_soon(
        &self,
        ask: &Ask,
        policy: &Policy,
        moment: Moment,
    ) -> Option<(DeclineReason, Option<Obstacle>)> {
        let card = &policy.cards[usize::from(ask.card)];
        if let Some(obstacle) = self.cools(ask.card, card, moment.at) {
            return Some((DeclineReason::CooldownActive, Some(obstacle)));
        }
        let obstacle = self.counted_out(ask, policy, moment)?;
        Some((DeclineReason::CountLimitReached, Some(obstacle)))
    }

    /// Reasons 27 to 29.
    fn without_room(
        &self,
        amount: i128,
        limits: &[Obstacle],
        covered: [i128; 3],
    ) -> Option<(DeclineReason, Option<Obstacle>)> {
        let countable = self.countable();
        let mut limits = limits.iter().chain([&countable]);
        let broken = limits.find(|limit| {
            let asked = (amount - covered[limit.level]).max(0);
            asked > 0 && asked > limit.left
        })?;
        let reason = match broken.level {
            0 => DeclineReason::CardLimitExceeded,
            1 => DeclineReason::AgentLimitExceeded,
            _ => DeclineReason::CustomerLimitExceeded,
        };
        Some((reason, Some(*broken)))
    }

    /// Reasons 2 to 17 but for the cap on all steps.
    fn early(
        &self,
        ask: &Ask,
        card: &CardPolicy,
        is_increment: bool,
        used_up: bool,
    ) -> Option<DeclineReason> {
        let mut reasons: Vec<DeclineReason> = card.standing.into_iter().collect();
        let (status, frozen) = self.cards.get(&ask.card).copied().unwrap_or_default();
        if status == 2 {
            reasons.push(DeclineReason::CardCanceled);
        }
        if status == 1 {
            reasons.push(DeclineReason::CardLocked);
        }
        if frozen > 0 {
            reasons.push(DeclineReason::CardFrozenByRisk);
        }
        let agent = card.agent.and_then(|agent| self.agents.get(&agent));
        if agent.is_some_and(|status| *status != 0) {
            reasons.push(DeclineReason::AgentSuspended);
        }
        if self.is_suspended {
            reasons.push(DeclineReason::CustomerSuspended);
        }
        if (ask.expired && !is_increment) || used_up || self.is_lost(ask.card) {
            reasons.push(DeclineReason::CardExpired);
        }
        reasons.extend(ask.rule);
        if ask.closed && !is_increment {
            reasons.push(DeclineReason::OutsideActiveHours);
        }
        reasons.into_iter().min_by_key(|reason| reason.number())
    }

    /// Whether the card has approved or spent what it was made for.
    fn used_up(&self, card: u8, policy: &CardPolicy) -> Option<Obstacle> {
        let approvals = self.facts.iter().filter(|fact| fact.counted);
        let approvals = approvals.filter(|fact| fact.card == Some(card)).count();
        let spent = self.sheet.spent(Scope::Card(card));
        let obstacle = |field, limit| Obstacle {
            level: 1,
            field,
            limit,
            left: 0,
            until: None,
        };
        let count = policy.past.after_count.map(i128::from);
        let spend = policy.past.after_spend.map(i128::from);
        match (count, spend) {
            (Some(limit), _) if i128::try_from(approvals).unwrap() >= limit => {
                Some(obstacle(Field::AfterCount, limit))
            }
            (_, Some(limit)) if spent >= limit => Some(obstacle(Field::AfterSpend, limit)),
            _ => None,
        }
    }

    fn lacks_attestation(&self, card: u8, policy: &CardPolicy, now: i64) -> bool {
        policy.past.attestation.is_some_and(|window| {
            let at = self.intents.attested_at(card);
            !at.is_some_and(|at| at <= now && now < at + window)
        })
    }

    fn cools(&self, card: u8, policy: &CardPolicy, now: i64) -> Option<Obstacle> {
        let cooldown = policy.past.cooldown?;
        let last = self.last_approval(card)?;
        (now < last + cooldown).then_some(Obstacle {
            level: 1,
            field: Field::Cooldown,
            limit: i128::from(cooldown / MINUTE),
            left: 0,
            until: Some(last + cooldown),
        })
    }

    fn counted_out(&self, ask: &Ask, policy: &Policy, moment: Moment) -> Option<Obstacle> {
        let (day, hour) = (self.day_of(moment), self.hour_of(moment));
        let card = &policy.cards[usize::from(ask.card)];
        let is_bought = self.is_counted_by_earmark(ask, card);
        let levels = levels(ask, policy);
        let asked = levels.into_iter().take(if is_bought { 1 } else { 3 });
        for (scope, limits) in asked {
            let counts = self.counts(scope, hour, day);
            let obstacle = |field, limit, until| Obstacle {
                level: level_of(scope),
                field,
                limit: i128::from(limit),
                left: 0,
                until,
            };
            for (which, limit) in limits.counts.into_iter().enumerate() {
                let Some(limit) = limit.filter(|limit| counts[which] >= *limit as usize) else {
                    continue;
                };
                let until = match which {
                    0 => self.hour_until(moment),
                    1 => self.day_until(moment, 0),
                    _ => None,
                };
                return Some(obstacle(Field::Count(which), limit, until));
            }
            if let Some((window, limit)) = limits.period
                && self.counted_with(scope, window, day) >= limit as usize
            {
                let until = self.day_until(moment, window);
                return Some(obstacle(Field::Period, limit, until));
            }
        }
        None
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

    /// The life of a remembered authorization.
    pub(crate) fn life_of(&self, authorization: u8) -> Option<usize> {
        let is_it = |it: &Known| it.authorization == authorization && !it.is_forgotten;
        self.known.iter().position(is_it)
    }

    /// The card of a remembered authorization.
    fn card_of(&self, authorization: u8) -> Option<u8> {
        self.known[self.life_of(authorization)?].card
    }

    /// The same, and a new one where there is none.
    pub(crate) fn remember(&mut self, authorization: u8) -> usize {
        self.life_of(authorization).unwrap_or_else(|| {
            self.known.push(Known {
                authorization,
                card: None,
                is_forgotten: false,
                named: Named::default(),
                uses: Uses::default(),
                life: None,
            });
            self.known.len() - 1
        })
    }

    /// Writes down what was decided.
    pub(crate) fn record(
        &mut self,
        ask: &Ask,
        verdict: &Verdict,
        policy: &Policy,
        moment: Moment,
        position: u64,
    ) {
        if verdict.novelty != Novelty::New {
            return;
        }
        let card = &policy.cards[usize::from(ask.card)];
        if card.in_snapshot {
            for (scope, limits) in levels(ask, policy) {
                for span in (0..3).filter(|span| limits.spans[*span].is_some()) {
                    self.sheet.begin(scope, span);
                }
            }
        }
        let amount = match verdict.decision {
            Decision::Approve if spends(ask.kind) => i128::from(ask.amount),
            Decision::ApprovePartial(part) => i128::from(part.get()),
            Decision::Approve | Decision::Decline(_) => 0,
        };
        let counted = amount > 0 && !self.is_purchase(ask.authorization);
        let life = self.remember(ask.authorization);
        let of_it = card.in_snapshot.then_some(ask.card);
        self.known[life].card = self.known[life].card.or(of_it);
        if verdict.decision.is_approval() {
            self.known[life].named.name(named_by(ask));
        }
        let place = Place {
            day: self.day_of(moment),
            hour: self.hour_of(moment),
            at: self.booked_at(moment.at),
            agent: card.agent.filter(|_| card.in_snapshot),
        };
        self.facts.push(Fact {
            position,
            life,
            name: ask.name,
            delivery: ask.delivery,
            content: ask.content,
            card: of_it,
            decision: verdict.decision,
            amount,
            place,
            at: moment.at,
            taken_back: false,
            counted,
            above: false,
            flagged: verdict.flagged,
        });
        if amount > 0 {
            if let Some(life) = &mut self.known[life].life {
                life.has_lapsed = false;
                life.put(place, amount, 0);
            }
            self.open(place, moment);
            self.sheet.write(life, of_it, place, (amount, 0));
            self.mark(ask, verdict, card, life, counted);
            if counted && !verdict.probes {
                self.count_beside(position);
            }
        }
        if self.known[life].life.is_some() {
            let at = self.latest.unwrap_or(moment.at).max(moment.at);
            self.settle(life, Place { at, ..place }, moment);
        }
        self.hear(Some(ask.card), moment);
    }

    /// Opens what has to be opened for a charge.
    pub(crate) fn open(&mut self, place: Place, moment: Moment) {
        if self.day().is_none_or(|day| day < place.day) {
            let ends = date_ends(moment.zone, place.day, 0, moment.at);
            let which = place.day;
            self.day = Some(Open { which, ends });
        }
        if self.hour().is_none_or(|hour| hour < place.hour) {
            let ends = hour_ends(moment.zone, place.hour, moment.at);
            let which = place.hour;
            self.hour = Some(Open { which, ends });
        }
        self.latest = self.latest.max(Some(place.at));
    }

    /// What an approval does to its card.
    fn mark(
        &mut self,
        ask: &Ask,
        verdict: &Verdict,
        policy: &CardPolicy,
        life: usize,
        is_first: bool,
    ) {
        let fact = self.facts.last().unwrap().clone();
        if verdict.consumes {
            self.consumed.insert(ask.card, (life, fact.at));
        }
        if verdict.probes {
            self.probes.insert(ask.card, fact.position);
        }
        if (is_first && !verdict.probes) || (verdict.consumes && !is_first) {
            let recent = self.recent.entry(ask.card).or_default();
            recent.note(fact.at, fact.position);
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
        if let Some(intent) = verdict.intent {
            self.intents.take(intent, life, verdict.flagged);
        } else if verdict.flagged {
            self.intents.mark(life, true);
        }
    }

    /// Absent where the change is refused, else whether it changes anything.
    pub(crate) fn set_card(
        &mut self,
        card: u8,
        status: Option<u8>,
        frozen: Option<bool>,
    ) -> Option<bool> {
        let old = self.cards.get(&card).copied().unwrap_or_default();
        let freeze = match frozen {
            Some(false) => 0,
            Some(true) => old.1.max(1),
            None => old.1,
        };
        let new = (status.unwrap_or(old.0), freeze);
        if old.0 == 2 && new.0 != 2 {
            return None;
        }
        self.cards.insert(card, new);
        Some(old != new)
    }

    /// A risk rule freezes or unfreezes; likewise.
    pub(crate) fn freeze_by_risk(&mut self, card: u8, frozen: bool) -> Option<bool> {
        let entry = self.cards.entry(card).or_default();
        match (entry.1, frozen) {
            (0, true) => {
                entry.1 = 2;
                Some(true)
            }
            (0, false) | (_, true) => Some(false),
            (_, false) => None,
        }
    }

    pub(crate) fn is_frozen_by_risk(&self, card: u8) -> bool {
        self.cards.get(&card).is_some_and(|it| it.1 == 2)
    }

    pub(crate) fn set_agent(&mut self, agent: u8, status: u8) -> bool {
        self.agents.insert(agent, status).unwrap_or_default() != status
    }
}

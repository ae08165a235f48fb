//! Engine and model side by side.

use std::borrow::Cow;
use std::collections::BTreeMap;

use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Level};
use countersign::domain::claims::{
    CardRules, Claims, IntentRule, MerchantKeys, PresetLock, Proposal, ScopeLimits,
};
use countersign::domain::currency::Currency;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::explanation::{Explanation, RuleField};
use countersign::domain::identity::StepIdentity;
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::domain::window::{LocalDay, LocalHour, WindowKind, ZoneTable};
use countersign::ledger::check::{self, Events};
use countersign::ledger::command::{
    AgentRef, Answer, Attest, Authority, Authorize, CardRef, DeclareIntent, Novelty, Overrule,
    SetStanding, SettleIntent,
};
use countersign::ledger::counters::Counters;
use countersign::ledger::event::{AttestationClass, Event, Owner, StateNo, events_of};
use countersign::ledger::fold::fold;
use countersign::ledger::image;
use countersign::ledger::intent::{IntentStatus, IntentTerms, IntentVerdict};
use countersign::ledger::rolling::Rolling;
use countersign::ledger::state::{AgentState, CardState, State};

use crate::calendar::{FIRST, LAST, MINUTE, ZONES};
use crate::commands::{
    AGENTS, Ask, CARDS, Case, Command, Declare, INTENTS, Limits, Merchant, PROBE_MAX, Policy,
    Preset, Report,
};
use crate::earmarks::PLACEHOLDER;
use crate::intents::{Fate, mcc_of, named_by, prefix_of};
use crate::model::{self, Field, Model, Moment, Obstacle, Verdict};
use crate::sheet::Scope;

const SUMS: [RuleField; 4] = [
    RuleField::PerDay,
    RuleField::PerWeek,
    RuleField::PerMonth,
    RuleField::Total,
];
const SPANS: [RuleField; 3] = [
    RuleField::RollingDay,
    RuleField::RollingWeek,
    RuleField::RollingMonth,
];
const COUNTS: [RuleField; 3] = [
    RuleField::CountPerHour,
    RuleField::CountPerDay,
    RuleField::CountTotal,
];

fn field_of(field: Field) -> RuleField {
    match field {
        Field::Sum(window) => SUMS[window],
        Field::Span(span) => SPANS[span],
        Field::Count(which) => COUNTS[which],
        Field::Period => RuleField::StandingApproval,
        Field::Held => RuleField::HeldMax,
        Field::PerAuth => RuleField::PerAuth,
        Field::AfterCount => RuleField::ExpireAfterCount,
        Field::AfterSpend => RuleField::ExpireAfterSpend,
        Field::Cooldown => RuleField::CooldownMinutes,
    }
}

pub(crate) fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

pub(crate) fn key(space: u128, n: u8) -> Key {
    Key(((space << 120) + u128::from(n) + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn scope_limits(limits: Limits) -> ScopeLimits {
    let [per_day, per_week, per_month, total] = limits.sums.map(|it| it.map(minor));
    let [rolling_day, rolling_week, rolling_month] = limits.spans.map(|it| it.map(minor));
    let [count_per_hour, count_per_day, count_total] = limits.counts;
    ScopeLimits {
        per_day,
        per_week,
        per_month,
        total,
        rolling_day,
        rolling_week,
        rolling_month,
        count_per_hour,
        count_per_day,
        count_total,
        count_of_period: limits
            .period
            .map(|(window, count)| (WindowKind::ALL[window], count)),
    }
}

pub(crate) fn merchant_keys(merchant: &Merchant) -> MerchantKeys {
    MerchantKeys {
        strong: merchant.strong,
        weak: merchant.weak,
        sub_merchant: merchant.sub,
    }
}

fn card_rules(ask: &Ask, policy: &Policy) -> CardRules {
    let past = policy.cards[usize::from(ask.card)].past;
    CardRules {
        cooldown_us: past.cooldown.map(|it| (it, Level::Agent)),
        expire_after_count: past.after_count.map(|it| (it, Level::Agent)),
        expire_after_spend: past.after_spend.map(|it| (minor(it), Level::Agent)),
        may_probe: past.may_probe && ask.amount <= PROBE_MAX,
        may_approve_part: past.may_part,
        attestation_us: past.attestation.map(|it| (it, Level::Customer)),
        intent: past.intent.map(|wants| IntentRule {
            level: Level::Card,
            requires_approval: wants.approval,
            auto_approve_below: wants.below.map(minor),
            flags_mismatch: wants.flags,
        }),
        merchant_prefixes: vec![7, prefix_of(ask.merchant.weak)],
        mcc: Some(Mcc::from_number(mcc_of(ask.merchant.weak)).unwrap()),
    }
}

pub(crate) fn zone_table(zone: usize) -> ZoneTable {
    let zone = &ZONES[zone];
    let seconds = |minutes: i64| i32::try_from(minutes * 60).unwrap();
    let change = zone.change_at();
    let changes = change.map(|(at, offset)| (at / 1_000_000, seconds(offset)));
    ZoneTable::new(seconds(zone.first), changes)
}

pub(crate) fn preset_lock(preset: Option<Preset>) -> Option<PresetLock> {
    preset.map(|lock| match lock {
        Preset::Strong(strong) => PresetLock::Strong(strong),
        Preset::Weak(weak) => PresetLock::Weak(weak),
    })
}

/// Claims as `decide` makes them: a credit meets no limit, an inquiry reserves nothing.
fn claims(ask: &Ask, policy: &Policy, at: i64) -> Claims {
    let card = &policy.cards[usize::from(ask.card)];
    let (spends, limited) = match ask.kind {
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => (true, true),
        AuthorizationKind::BalanceInquiry => (false, true),
        AuthorizationKind::Credit => (false, false),
    };
    // A card without an agent meets an agent's limits all the same, and must not mind them.
    let agent = card
        .agent
        .map_or(Limits::all(0), |agent| policy.agents[usize::from(agent)]);
    let limits = [card.limits, agent, policy.customer].map(scope_limits);
    let preset = preset_lock(card.preset.filter(|_| spends));
    let per_auth = card.per_auth.filter(|_| limited);
    let second = at.div_euclid(1_000_000);
    let zone = zone_table(policy.zone);
    let (day, ends) = zone.windows_at(second);
    let (hour, hour_ends) = zone.hour_at(second);
    Claims {
        amount: Amount {
            minor: minor(if spends { ask.amount } else { 0 }),
            currency: Currency::USD,
        },
        day,
        resets_at: ends.map(Timestamp::from_secs),
        hour,
        hour_resets_at: Timestamp::from_secs(hour_ends),
        limits: if limited { limits } else { Default::default() },
        held_max: policy.held_max.filter(|_| limited).map(minor),
        per_auth: per_auth.map(|cap| (minor(cap), Level::Card)),
        single_use: spends && card.single_use,
        lock_to_first_merchant: (spends && card.lock).then_some(Level::Agent),
        preset_lock: preset,
        merchant: merchant_keys(&ask.merchant),
        rules: card_rules(ask, policy),
    }
}

fn proposal(ask: &Ask, policy: &Policy, at: i64) -> Proposal {
    let card = &policy.cards[usize::from(ask.card)];
    let applies = |applies: bool, reason| applies.then(|| Explanation::bare(reason));
    Proposal {
        standing: card.standing.map(Explanation::bare),
        expired: applies(ask.expired, DeclineReason::CardExpired),
        hours: applies(ask.closed, DeclineReason::OutsideActiveHours),
        rule: ask.rule.map(Explanation::bare),
        claims: claims(ask, policy, at),
    }
}

pub(crate) fn card_ref(card: u8, id: &str) -> CardRef<'_> {
    CardRef {
        key: key(2, card),
        id,
        connection: if card == PLACEHOLDER {
            "earmarks"
        } else {
            "acme"
        },
        agent: None,
    }
}

/// Asks `decide` with the command that the question makes.
fn with_command<T>(
    ask: &Ask,
    policy: &Policy,
    at: i64,
    decide: impl FnOnce(&Authorize<'_>) -> T,
) -> T {
    let card = &policy.cards[usize::from(ask.card)];
    let agent = card.agent.map(|n| (n, format!("agent_{n}")));
    let (id, authorization) = (
        format!("card_{}", ask.card),
        format!("a{}", ask.authorization),
    );
    let acceptor = CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: Cow::Borrowed("ACME"),
        mcc: named_by(ask).map(|it| Mcc::from_number(it).unwrap()),
        city: Cow::Borrowed(""),
        country: None,
    };
    let proposal = proposal(ask, policy, at);
    decide(&Authorize {
        at: Timestamp::from_micros(at),
        step: StepIdentity {
            authorization: key(1, ask.authorization),
            name: ask.name,
            delivery: ask.delivery,
            content: ask.content,
        },
        authorization: &authorization,
        kind: ask.kind,
        amount: Amount {
            minor: minor(ask.amount),
            currency: Currency::USD,
        },
        card: Some(CardRef {
            agent: agent.as_ref().map(|(n, id)| AgentRef {
                key: key(3, *n),
                id,
            }),
            ..card_ref(ask.card, &id)
        }),
        card_key: card_ref(ask.card, &id).key,
        card_token: "token",
        acceptor: &acceptor,
        proposal: card.in_snapshot.then_some(&proposal),
        shadow: None,
        facts: None,
        snapshot_version: 1,
        latency_us: 1,
    })
}

fn terms(declare: &Declare, now: i64) -> IntentTerms {
    let currency = if declare.euros { "EUR" } else { "USD" };
    let mcc = |weak| Mcc::from_number(mcc_of(u64::from(weak))).unwrap();
    IntentTerms {
        expected: declare.expected.map(minor),
        cap: declare
            .expected
            .map(|expected| minor(expected + declare.tolerance)),
        currency: Some(Currency::parse(currency).unwrap()),
        merchant: declare.merchant.map(prefix_of),
        mccs: declare.mcc.map(mcc).into_iter().collect(),
        expires_at: Timestamp::from_micros(now + declare.ttl),
        awaits_approval: declare.awaits,
    }
}

fn empty() -> State {
    State::new(StateNo(0), key(0, 0), Owner::Customer("cus"))
}

/// See the module.
pub(crate) struct Lockstep {
    pub(crate) state: State,
    frames: Vec<(u64, Vec<u8>)>,
    position: u64,
    pub(crate) model: Model,
    pub(crate) policy: Policy,
    pub(crate) now: i64,
    /// Earlier questions and where their decisions stand.
    pub(crate) asked: Vec<(Ask, u64)>,
    pub(crate) reported: Vec<Report>,
    last: Option<Answer>,
    /// What happened, and how often.
    pub(crate) seen: BTreeMap<String, u32>,
}

impl Lockstep {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            state: empty(),
            frames: Vec::new(),
            position: 0,
            model: Model::default(),
            policy: case.policy.clone(),
            now: case.now,
            asked: Vec::new(),
            reported: Vec::new(),
            last: None,
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn saw(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            zone: self.policy.zone,
        }
    }

    pub(crate) fn apply(&mut self, events: &Events<'_>) -> u64 {
        self.position += 3;
        let mut frame = Vec::new();
        events.iter().for_each(|event| event.encode(&mut frame));
        for event in events.iter() {
            fold(&mut self.state, event, self.position);
        }
        self.frames.push((self.position, frame));
        self.position
    }

    pub(crate) fn step(&mut self, command: &Command) {
        self.now += 17;
        let earlier = |index: &proptest::sample::Index| {
            let known = self.asked.len();
            (known > 0).then(|| self.asked[index.index(known)].clone())
        };
        match command {
            Command::Ask(ask) => self.ask(ask),
            Command::Again(index) => {
                if let Some((ask, _)) = earlier(index) {
                    self.ask(&ask);
                }
            }
            Command::Increment(index, content, amount) => {
                if let Some((ask, _)) = earlier(index) {
                    self.ask(&Ask {
                        name: None,
                        delivery: None,
                        content: *content,
                        amount: *amount,
                        ..ask
                    });
                }
            }
            Command::Overrule(index) => {
                if let Some((ask, position)) = earlier(index) {
                    self.overrule(ask.authorization, position);
                }
            }
            Command::OverruleLast => {
                if let Some((ask, position)) = self.asked.last().cloned() {
                    self.overrule(ask.authorization, position);
                }
            }
            Command::SetCard(card, status, frozen) => self.set_card(*card, *status, *frozen),
            Command::Freeze(card, frozen, risk) => self.freeze(*card, *frozen, *risk),
            Command::SetAgent(agent, status) => self.set_agent(*agent, *status),
            Command::SetCustomer(suspended) => self.set_customer(*suspended),
            Command::Declare(declare) => self.declare(declare),
            Command::Intend(declare, ask) => {
                self.declare(declare);
                let card = declare.card;
                self.ask(&Ask {
                    card,
                    ..ask.clone()
                });
            }
            Command::Settle(intent, verdict) => self.settle(*intent, *verdict),
            Command::Attest(card) => self.attest(*card),
            Command::Span(level, span, limit) => {
                for limits in self.limits_at(*level) {
                    limits.spans[*span] = Some(*limit);
                }
            }
            Command::Zone(zone) => self.policy.zone = *zone,
            Command::CardPolicy(card, policy) => {
                self.policy.cards[usize::from(*card)] = policy.clone();
            }
            Command::AgentLimits(agent, limits) => {
                self.policy.agents[usize::from(*agent)] = *limits;
            }
            Command::CustomerLimits(limits) => self.policy.customer = *limits,
            Command::Clock(micros) => self.now = (self.now + micros).clamp(FIRST, LAST),
            Command::Sweep(back) => self.sweep(self.now - back),
            Command::Hear(heard) => self.hear(heard),
            Command::Earmark(card, n, amount) => self.earmark(*card, *n, *amount),
            Command::Backed(index, ask) => self.use_backed(index, ask.as_ref()),
            Command::Checkpoint => self.checkpoint(),
        }
        self.compare();
    }

    fn checkpoint(&mut self) {
        let image = image::encode(&self.state);
        self.state = image::decode(&image).unwrap();
        assert!(image == image::encode(&self.state), "a canonical image");
    }

    /// Asks both, and compares them; the engine's answer.
    pub(crate) fn asked(&mut self, ask: &Ask) -> Answer {
        self.ask(ask);
        self.compare();
        self.last.unwrap()
    }

    /// Takes back what was asked last, if it was approved.
    pub(crate) fn taken_back_last(&mut self) {
        self.step(&Command::OverruleLast);
    }

    /// What the engine would say under another policy.
    pub(crate) fn dry(&self, ask: &Ask, policy: &Policy) -> Answer {
        with_command(ask, policy, self.now, |command| {
            check::authorize(&self.state, command).unwrap().answer
        })
    }

    pub(crate) fn image(&self) -> Vec<u8> {
        image::encode(&self.state)
    }

    pub(crate) fn card(&self, n: u8) -> Option<&CardState> {
        self.state.card_by_key(key(2, n)).map(|(_, card)| card)
    }

    pub(crate) fn agent(&self, n: u8) -> Option<&AgentState> {
        self.state.agent_by_key(key(3, n)).map(|(_, agent)| agent)
    }

    /// When an authorization would be booked now.
    pub(crate) fn booked_at(&self) -> Timestamp {
        let latest = self.model.latest().map_or(self.now, |it| it.max(self.now));
        Timestamp::from_micros(latest)
    }

    /// Every set of limits of a level.
    fn limits_at(&mut self, level: u8) -> Vec<&mut Limits> {
        match level {
            0 => self
                .policy
                .cards
                .iter_mut()
                .map(|it| &mut it.limits)
                .collect(),
            1 => self.policy.agents.iter_mut().collect(),
            _ => vec![&mut self.policy.customer],
        }
    }

    pub(crate) fn ask(&mut self, ask: &Ask) {
        let (policy, moment) = (self.policy.clone(), self.moment());
        let expected = self.model.decide(ask, &policy, moment);
        let is_increment = self.model.is_purchase(ask.authorization);
        let answer = with_command(ask, &policy, self.now, |command| {
            let dry = check::authorize(&self.state, command).unwrap();
            let wet = check::authorize(&self.state, command).unwrap();
            assert_eq!(dry, wet);
            self.apply(&wet.events);
            wet.answer
        });
        self.agree(ask, &answer, &expected);
        self.agree_on_record(ask, &answer, &expected);
        self.note(ask, &answer, &expected, is_increment);
        self.last = Some(answer);
        let position = expected.position.unwrap_or(self.position);
        self.asked.push((ask.clone(), position));
        self.model
            .record(ask, &expected, &policy, moment, self.position);
        let by_count = Decision::Decline(DeclineReason::CountLimitReached);
        let is_above = expected.obstacle.is_some_and(|it| it.level > 0);
        let has_room = self.model.unused_earmark(ask.card).is_some();
        if answer.decision == by_count && is_above && has_room {
            self.saw("refused beside an earmark");
        }
        let reserves = claims(ask, &policy, self.now).amount.minor > Minor::ZERO;
        // What the issuer reported before may come to more than the limits let.
        let life = self.model.life_of(ask.authorization);
        let is_reported = life.is_some_and(|life| self.model.books(life).is_some());
        let is_new = answer.novelty == Novelty::New && answer.decision.is_approval();
        if is_new && reserves && self.model.is_backed(ask.card) {
            self.saw("bought with an earmark");
            if self.model.facts.last().is_some_and(|fact| fact.above) {
                self.saw("counted beside an earmark");
            }
            return;
        }
        if is_new && reserves && !is_reported {
            self.limits_hold(ask, &policy);
        }
    }

    /// Counts what was interesting.
    fn note(&mut self, ask: &Ask, answer: &Answer, expected: &Verdict, is_increment: bool) {
        match answer.decision {
            Decision::ApprovePartial(_) => self.saw("ApprovePartial"),
            Decision::Approve | Decision::Decline(_) => self.saw(&format!("{:?}", answer.decision)),
        }
        self.saw(&format!("{:?}", answer.novelty));
        if answer.novelty != Novelty::New {
            return;
        }
        let number = self.model.life_of(ask.authorization);
        if number.is_some_and(|number| self.model.books(number).is_some()) {
            self.saw("asked after a report");
        }
        let (claims, moment) = (claims(ask, &self.policy, self.now), self.moment());
        let approved = answer.decision.is_approval();
        let spends = approved && !claims.amount.minor.is_zero();
        let field = expected.obstacle.map(|it| it.field);
        let expired = matches!(field, Some(Field::AfterCount | Field::AfterSpend));
        let spans = matches!(field, Some(Field::Span(_)));
        let began = spans && expected.obstacle.is_some_and(|it| self.begins(ask, &it));
        let interesting = [
            ("approval of nothing", approved && !spends),
            ("approved increment", spends && is_increment),
            (
                "approved on another day than the zone's",
                spends && self.model.day_of(moment).number() != claims.day.0,
            ),
            (
                "approved in another hour than the zone's",
                spends && self.state.hour != claims.hour,
            ),
            (
                "approved after a later booking",
                spends && self.model.latest().is_some_and(|latest| latest > self.now),
            ),
            ("declined by a rolling limit", spans),
            ("declined by what a rolling limit began from", began),
            ("declined by what is held", field == Some(Field::Held)),
            ("expired by use", expired),
            ("probed", expected.probes),
            ("added to a probe", expected.consumes && is_increment),
            ("intent taken", expected.intent.is_some()),
            ("mismatch flagged", expected.flagged),
        ];
        for (what, _) in interesting.iter().filter(|(_, happened)| *happened) {
            self.saw(what);
        }
    }

    /// Whether a rolling limit refuses by what was spent before it stood.
    fn begins(&self, ask: &Ask, obstacle: &Obstacle) -> bool {
        let Field::Span(span) = obstacle.field else {
            return false;
        };
        let agent = self.policy.cards[usize::from(ask.card)].agent;
        let scope = match obstacle.level {
            0 => Scope::Card(ask.card),
            1 => Scope::Agent(agent.unwrap()),
            _ => Scope::Customer,
        };
        let is_new = !self.model.is_kept(scope, span);
        is_new && !self.model.span(scope, span, self.now).is_empty()
    }

    fn agree(&self, ask: &Ask, answer: &Answer, expected: &Verdict) {
        let context = || format!("{ask:?}\nthe engine: {answer:?}\nthe model: {expected:?}");
        let novelty = match answer.novelty {
            Novelty::New => model::Novelty::New,
            Novelty::Known => model::Novelty::Known,
            Novelty::Conflict => model::Novelty::Conflict,
        };
        assert_eq!(answer.decision, expected.decision, "{}", context());
        assert_eq!(novelty, expected.novelty, "{}", context());
        let position = expected.position.unwrap_or_default();
        assert_eq!(answer.position, position, "{}", context());
        let available = answer.available.map(|minor| i128::from(minor.get()));
        assert_eq!(available, expected.available, "{}", context());
        let reason = answer.explanation.map(|it| Decision::Decline(it.reason));
        if novelty != model::Novelty::Known {
            let declined = Some(answer.decision).filter(|it| !it.is_approval());
            assert_eq!(reason, declined, "{}", context());
        }
        if let Some(Obstacle {
            level,
            field,
            limit,
            left,
            until,
        }) = expected.obstacle
        {
            let explanation = answer.explanation.unwrap();
            assert_eq!(explanation.level, Some(Level::ALL[level]), "{}", context());
            assert_eq!(explanation.field, field_of(field), "{}", context());
            let named = explanation.limit.map(i128::from);
            assert_eq!(named, Some(limit), "{}", context());
            let remaining = explanation.remaining.map(i128::from);
            let tells = matches!(
                field,
                Field::Sum(_)
                    | Field::Span(_)
                    | Field::Count(_)
                    | Field::Period
                    | Field::Held
                    | Field::PerAuth
            );
            assert_eq!(remaining, tells.then(|| left.max(0)), "{}", context());
            let resets_at = explanation.resets_at.map(Timestamp::micros);
            assert_eq!(resets_at, until, "{}", context());
        }
    }

    /// The record says of a new approval what the model expects of it.
    fn agree_on_record(&self, ask: &Ask, answer: &Answer, expected: &Verdict) {
        if answer.novelty != Novelty::New {
            return;
        }
        let (_, frame) = self.frames.last().unwrap();
        let Some(Ok(Event::Decided(decided))) = events_of(frame).last() else {
            panic!("nothing was decided: {ask:?}");
        };
        let said = (decided.probes, decided.consumes, decided.flagged);
        let due = (expected.probes, expected.consumes, expected.flagged);
        assert_eq!(said, due, "{ask:?}: probes, consumes, flagged");
        let intent = expected.intent.map(|it| key(4, it));
        assert_eq!(decided.intent, intent, "{ask:?}");
        if decided.reserved().is_zero() {
            return;
        }
        let day = self.model.day_of(self.moment());
        assert_eq!(decided.day.0, day.number(), "{ask:?}");
        let card = &self.policy.cards[usize::from(ask.card)];
        let window = card.past.attestation.unwrap_or(15 * MINUTE);
        let class = match self.model.intents.attested_at(ask.card) {
            None => AttestationClass::Unattested,
            Some(at) if at <= self.now && self.now < at + window => AttestationClass::Attested,
            Some(_) => AttestationClass::Stale,
        };
        assert_eq!(decided.attestation, class, "{ask:?}");
    }

    /// I1: when something was approved, no sum is above its limit.
    fn limits_hold(&self, ask: &Ask, policy: &Policy) {
        let card = &policy.cards[usize::from(ask.card)];
        let day = self.model.day().unwrap();
        let mut scopes = vec![(Scope::Card(ask.card), card.limits)];
        scopes.push((Scope::Customer, policy.customer));
        if let Some(agent) = card.agent {
            scopes.push((Scope::Agent(agent), policy.agents[usize::from(agent)]));
        }
        for (scope, limits) in scopes {
            for (window, limit) in limits.sums.into_iter().enumerate() {
                let (spent, _) = self.model.sums(scope, window, day);
                let within = limit.is_none_or(|limit| spent <= i128::from(limit));
                assert!(within, "I1: {spent} over {limit:?} of {scope:?}");
            }
            for (span, limit) in limits.spans.into_iter().enumerate() {
                let spent: i128 = self.model.span(scope, span, self.now).values().sum();
                let within = limit.is_none_or(|limit| spent <= i128::from(limit));
                assert!(within, "I1: {spent} over rolling {limit:?} of {scope:?}");
            }
        }
        let (_, held) = self.model.sums(Scope::Customer, 3, day);
        let within = policy.held_max.is_none_or(|cap| held <= i128::from(cap));
        assert!(within, "I1: {held} held over {:?}", policy.held_max);
        let held = self.model.total_of(ask.authorization);
        let within = card.per_auth.is_none_or(|cap| held <= i128::from(cap));
        assert!(within, "I1: {held} over {:?}", card.per_auth);
    }

    fn overrule(&mut self, authorization: u8, position: u64) {
        let command = Overrule {
            authorization: key(1, authorization),
            decided_at: position,
            at: Timestamp::from_micros(self.now),
        };
        let cards = |it: &dyn Fn(u8) -> bool| (0..CARDS).filter(|card| it(*card)).count();
        let marks = |model: &Model| {
            let taken = |it: u8| matches!(model.intents.fate(it), Some((Fate::Taken { .. }, _)));
            [
                cards(&|card| model.is_consumed(card)),
                cards(&|card| model.lock_of(card).is_some()),
                cards(&|card| model.probe_of(card).is_some()),
                (0..INTENTS).filter(|it| taken(*it)).count(),
            ]
        };
        let last = |model: &Model| (0..CARDS).map(|card| model.last_approval(card)).max();
        let (before, cooled) = (marks(&self.model), last(&self.model));
        let events = check::overrule(&self.state, &command);
        let taken_back = events.map(|events| self.apply(&events)).is_some();
        let expected = self.model.overrule(authorization, position, self.moment());
        assert_eq!(taken_back, expected);
        if !taken_back {
            return;
        }
        self.saw("overruled");
        let after = marks(&self.model);
        let names = [
            "consumption given back",
            "lock given back",
            "probe given back",
            "intent given back",
        ];
        for (name, (after, before)) in names.into_iter().zip(after.into_iter().zip(before)) {
            if after < before {
                self.saw(name);
            }
        }
        if after[1] > 0 && after[1] == before[1] {
            self.saw("lock kept at an overrule");
        }
        if last(&self.model) < cooled {
            self.saw("cooldown given back");
        }
    }

    fn sweep(&mut self, cut: i64) {
        // Maps of this size are in one part.
        let events = check::sweep(&self.state, 0, Timestamp::from_micros(cut));
        let swept = events.map(|events| self.apply(&events)).is_some();
        assert_eq!(swept, self.model.sweep(cut, self.moment()));
        if swept {
            self.saw("swept");
        }
    }

    pub(crate) fn set_card(&mut self, card: u8, status: Option<u8>, frozen: Option<bool>) {
        let id = format!("card_{card}");
        let command = SetStanding::Card {
            card: card_ref(card, &id),
            status: status.map(|status| CardStatus::from_number(status).unwrap()),
            frozen,
        };
        let changed = self.set_standing(&command);
        assert_eq!(changed, self.model.set_card(card, status, frozen));
        if changed == Some(true) && self.model.is_canceled(card) {
            let (moment, left) = (self.moment(), self.model.unused_earmark(card));
            self.model.close(card, moment);
            if left.is_some_and(|left| left > 0) {
                self.saw("earmark given back");
            }
        }
    }

    fn freeze(&mut self, card: u8, frozen: bool, risk: bool) {
        let id = format!("card_{card}");
        let command = SetStanding::Freeze {
            card: card_ref(card, &id),
            frozen,
            by: if risk {
                Authority::Risk
            } else {
                Authority::Owner
            },
        };
        let changed = self.set_standing(&command);
        let expected = if risk {
            self.model.freeze_by_risk(card, frozen)
        } else {
            self.model.set_card(card, None, Some(frozen))
        };
        assert_eq!(changed, expected, "frozen {frozen}, by risk {risk}");
        if risk && changed == Some(true) {
            self.saw("frozen by a risk rule");
        }
    }

    fn declare(&mut self, declare: &Declare) {
        let id = format!("card_{}", declare.card);
        let terms = terms(declare, self.now);
        let command = DeclareIntent {
            card: card_ref(declare.card, &id),
            intent: key(4, declare.intent),
            terms: &terms,
            at: Timestamp::from_micros(self.now),
        };
        let outcome = check::intents::declare(&self.state, &command);
        let declared = outcome.ok().map(|events| self.apply_any(&events));
        let expected = self.model.intents.declare(declare, self.now);
        assert_eq!(declared, expected, "{declare:?}");
        if declared == Some(true) {
            self.saw("intent declared");
        }
    }

    fn settle(&mut self, intent: u8, verdict: u8) {
        let command = SettleIntent {
            intent: key(4, intent),
            verdict: IntentVerdict::ALL[usize::from(verdict)],
            at: Timestamp::from_micros(self.now),
        };
        let outcome = check::intents::settle(&self.state, &command);
        let settled = outcome.ok().map(|events| self.apply_any(&events));
        let expected = self.model.intents.settle(intent, verdict, self.now);
        assert_eq!(settled, expected, "{command:?}");
        if settled == Some(true) {
            self.saw("intent settled");
        }
    }

    fn attest(&mut self, card: u8) {
        let id = format!("card_{card}");
        let command = Attest {
            card: card_ref(card, &id),
            at: Timestamp::from_micros(self.now),
        };
        let events = check::intents::attest(&self.state, &command).unwrap();
        self.apply(&events);
        self.model.intents.attest(card, self.now);
        self.saw("attested");
    }

    fn set_agent(&mut self, agent: u8, status: u8) {
        let id = format!("agent_{agent}");
        let command = SetStanding::Agent {
            agent: AgentRef {
                key: key(3, agent),
                id: &id,
            },
            status: AgentStatus::from_number(status).unwrap(),
        };
        let changed = self.set_standing(&command);
        assert_eq!(changed, Some(self.model.set_agent(agent, status)));
    }

    /// Whether anything stood otherwise before; none where the ledger refuses.
    fn set_standing(&mut self, command: &SetStanding<'_>) -> Option<bool> {
        let at = Timestamp::from_micros(self.now);
        let outcome = check::standing::set_standing(&self.state, command, at);
        outcome.ok().map(|events| self.apply_any(&events))
    }

    fn set_customer(&mut self, suspended: bool) {
        let status = if suspended {
            CustomerStatus::Suspended
        } else {
            CustomerStatus::Active
        };
        let changed = self.set_standing(&SetStanding::Customer(status));
        assert_eq!(changed, Some(self.model.is_suspended != suspended));
        self.model.is_suspended = suspended;
    }

    pub(crate) fn apply_any(&mut self, events: &Events<'_>) -> bool {
        let any = events.iter().next().is_some();
        if any {
            self.apply(events);
        }
        any
    }

    /// Every sum, lock and consumption of the engine is the model's; I10: what is held is what the
    /// remembered authorizations hold.
    fn compare(&self) {
        self.compare_books();
        assert_eq!(
            self.state.authorization_count(),
            self.model.remembered(),
            "authorizations"
        );
        let charged = Some(self.state.day.0).filter(|day| *day != i32::MIN);
        assert_eq!(charged, self.model.day().map(|it| it.number()), "the day");
        let hour = Some(self.state.hour.0).filter(|hour| *hour != i32::MIN);
        assert_eq!(hour, self.model.hour(), "the hour");
        self.compare_sums(&self.state.counters, Scope::Customer);
        self.compare_spans(self.state.rolling.as_deref(), Scope::Customer);
        for n in 0..AGENTS {
            let agent = self.state.agent_by_key(key(3, n));
            let counters = agent.map(|(_, it)| it.counters).unwrap_or_default();
            self.compare_sums(&counters, Scope::Agent(n));
            let rolling = agent.and_then(|(_, it)| it.rolling.as_deref());
            self.compare_spans(rolling, Scope::Agent(n));
        }
        for n in 0..CARDS {
            self.compare_card(n);
        }
        for n in 0..INTENTS {
            self.compare_intent(n);
        }
    }

    fn compare_card(&self, n: u8) {
        let card = self.state.card_by_key(key(2, n));
        let counters = card.map(|(_, it)| it.counters).unwrap_or_default();
        self.compare_sums(&counters, Scope::Card(n));
        let rolling = card.and_then(|(_, it)| it.rolling.as_deref());
        self.compare_spans(rolling, Scope::Card(n));
        let consumed = card.is_some_and(|(_, it)| it.consumed.is_some());
        assert_eq!(consumed, self.model.is_consumed(n), "consumed {n}");
        let lock = card.and_then(|(_, it)| it.lock.as_ref().map(|lock| lock.keys));
        let expected = self.model.lock_of(n).as_ref().map(merchant_keys);
        assert_eq!(lock, expected, "lock {n}");
        let probe = card.and_then(|(_, it)| it.probe());
        assert_eq!(probe, self.model.probe_of(n), "probe {n}");
        let last = card.and_then(|(_, it)| it.recent.last().map(Timestamp::micros));
        assert_eq!(last, self.model.last_approval(n), "latest approval {n}");
        let by_risk = card.is_some_and(|(_, it)| it.frozen_by_risk);
        assert_eq!(
            by_risk,
            self.model.is_frozen_by_risk(n),
            "frozen by risk {n}"
        );
        let open: Vec<Key> = self
            .model
            .intents
            .open(n)
            .into_iter()
            .map(|it| key(4, it))
            .collect();
        let found = card.map_or(&[][..], |(_, it)| it.open_intents());
        assert_eq!(found, open, "open intents {n}");
        let holds = card
            .map(|(no, _)| self.state.holds_of(no))
            .unwrap_or_default();
        let held: i64 = holds.iter().map(|hold| hold.reserved().get()).sum();
        assert_eq!(held, counters.total().held.get(), "I10: card {n}");
    }

    fn compare_intent(&self, n: u8) {
        let found = self.state.intent(key(4, n));
        let expected = self.model.intents.fate(n);
        assert_eq!(found.is_some(), expected.is_some(), "intent {n}");
        let (Some(found), Some((fate, approved))) = (found, expected) else {
            return;
        };
        assert_eq!(found.approved, approved, "intent {n}");
        let status = found.status(Timestamp::from_micros(i64::MIN));
        let expected = match fate {
            Fate::Open if found.terms.awaits_approval && !approved => IntentStatus::PendingApproval,
            Fate::Open => IntentStatus::Pending,
            Fate::Taken { mismatched, .. } if mismatched => IntentStatus::Mismatched,
            Fate::Taken { .. } => IntentStatus::Matched,
            Fate::Rejected => IntentStatus::Rejected,
            Fate::Canceled => IntentStatus::Canceled,
        };
        assert_eq!(status, expected, "intent {n}");
    }

    fn compare_sums(&self, counters: &Counters, scope: Scope) {
        let (Some(day), Some(hour)) = (self.model.day(), self.model.hour()) else {
            assert_eq!(*counters, Counters::default());
            return;
        };
        let local = LocalDay(day.number());
        let windows = WindowKind::ALL.map(|kind| counters.window(kind, local));
        for (window, sum) in windows.into_iter().chain([counters.total()]).enumerate() {
            let found = (i128::from(sum.spent.get()), i128::from(sum.held.get()));
            let expected = self.model.sums(scope, window, day);
            assert_eq!(found, expected, "{scope:?}, window {window}");
        }
        let found = [
            counters.count_of_hour(LocalHour(hour)),
            counters.count_of_day(local),
            counters.approvals(),
        ];
        let found = found.map(|count| count as usize);
        assert_eq!(
            found,
            self.model.counts(scope, hour, day),
            "counts of {scope:?}"
        );
    }

    fn compare_spans(&self, rolling: Option<&Rolling>, scope: Scope) {
        for (span, kind) in WindowKind::ALL.into_iter().enumerate() {
            let series = rolling.and_then(|it| it.series(kind));
            let kept = self.model.is_kept(scope, span);
            assert_eq!(series.is_some(), kept, "{scope:?}, span {span}");
            let Some(series) = series else {
                continue;
            };
            let now = self.model.latest().map_or(self.now, |it| it.max(self.now));
            let spent = i128::from(series.spent(Timestamp::from_micros(now)).get());
            let expected: i128 = self.model.span(scope, span, self.now).values().sum();
            assert_eq!(spent, expected, "{scope:?}, span {span}");
        }
    }

    /// I7: the state is the fold of the events' bytes, from empty.
    pub(crate) fn finish(&self) {
        let mut replayed = empty();
        for (position, frame) in &self.frames {
            for event in events_of(frame) {
                fold(&mut replayed, &event.unwrap(), *position);
            }
        }
        let same = image::encode(&replayed) == image::encode(&self.state);
        assert!(same, "I7");
    }
}

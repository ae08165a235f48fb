//! Engine and model side by side.

use std::borrow::Cow;
use std::collections::BTreeMap;

use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::{AgentStatus, CardStatus, Key, Level};
use countersign::domain::claims::{
    CardRules, Claims, MerchantKeys, PresetLock, Proposal, ScopeLimits,
};
use countersign::domain::currency::Currency;
use countersign::domain::decision::Decision;
use countersign::domain::explanation::{Explanation, RuleField};
use countersign::domain::identity::StepIdentity;
use countersign::domain::time::Timestamp;
use countersign::domain::window::{LocalDay, LocalHour, WindowKind};
use countersign::ledger::check::{self, Events};
use countersign::ledger::command::{
    AgentRef, Answer, Authorize, CardRef, Novelty, Overrule, SetStanding,
};
use countersign::ledger::counters::Counters;
use countersign::ledger::event::{Owner, StateNo, events_of};
use countersign::ledger::fold::fold;
use countersign::ledger::image;
use countersign::ledger::state::State;

use crate::commands::{AGENTS, Ask, CARDS, Case, Command, Limits, Merchant, Policy, Preset};
use crate::model::{self, Model, Obstacle, Scope, Verdict};

const RESETS_AT: [Timestamp; 3] = [
    Timestamp::from_secs(-3),
    Timestamp::from_secs(-2),
    Timestamp::from_secs(-1),
];
const FIELDS: [RuleField; 5] = [
    RuleField::PerDay,
    RuleField::PerWeek,
    RuleField::PerMonth,
    RuleField::Total,
    RuleField::PerAuth,
];

fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

fn key(space: u128, n: u8) -> Key {
    Key(((space << 120) + u128::from(n) + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn scope_limits([day, week, month, total]: Limits) -> ScopeLimits {
    ScopeLimits {
        per_day: day.map(minor),
        per_week: week.map(minor),
        per_month: month.map(minor),
        total: total.map(minor),
        ..ScopeLimits::default()
    }
}

fn merchant_keys(merchant: &Merchant) -> MerchantKeys {
    MerchantKeys {
        strong: merchant.strong,
        weak: merchant.weak,
        sub_merchant: merchant.sub,
    }
}

/// Claims as `decide` makes them: a credit meets no limit, an inquiry reserves nothing.
fn claims(ask: &Ask, policy: &Policy, today: i32) -> Claims {
    let card = &policy.cards[usize::from(ask.card)];
    let (spends, limited) = match ask.kind {
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => (true, true),
        AuthorizationKind::BalanceInquiry => (false, true),
        AuthorizationKind::Credit => (false, false),
    };
    // A card without an agent meets an agent's limits all the same, and must not mind them.
    let agent = card
        .agent
        .map_or([Some(0); 4], |agent| policy.agents[usize::from(agent)]);
    let limits = [card.limits, agent, policy.customer].map(scope_limits);
    let preset = card.preset.filter(|_| spends).map(|lock| match lock {
        Preset::Strong(strong) => PresetLock::Strong(strong),
        Preset::Weak(weak) => PresetLock::Weak(weak),
    });
    let per_auth = card.per_auth.filter(|_| limited);
    Claims {
        amount: Amount {
            minor: minor(if spends { ask.amount } else { 0 }),
            currency: Currency::USD,
        },
        day: LocalDay(today),
        resets_at: RESETS_AT,
        hour: LocalHour(today * 24),
        hour_resets_at: Timestamp::from_secs(4),
        limits: if limited { limits } else { Default::default() },
        per_auth: per_auth.map(|cap| (minor(cap), Level::Card)),
        single_use: spends && card.single_use,
        lock_to_first_merchant: (spends && card.lock).then_some(Level::Agent),
        preset_lock: preset,
        merchant: merchant_keys(&ask.merchant),
        rules: CardRules::default(),
    }
}

/// Asks `decide` with the command that the question makes.
fn with_command<T>(
    ask: &Ask,
    policy: &Policy,
    (today, at): (i32, i64),
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
        mcc: None,
        city: Cow::Borrowed(""),
        country: None,
    };
    let proposal = Proposal {
        standing: card.standing.map(Explanation::bare),
        expired: None,
        hours: None,
        rule: ask.rule.map(Explanation::bare),
        claims: claims(ask, policy, today),
    };
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
            key: key(2, ask.card),
            id: &id,
            connection: "acme",
            agent: agent.as_ref().map(|(n, id)| AgentRef {
                key: key(3, *n),
                id,
            }),
        }),
        card_token: "token",
        acceptor: &acceptor,
        proposal: card.in_snapshot.then_some(&proposal),
        snapshot_version: 1,
        latency_us: 1,
    })
}

fn empty() -> State {
    State::new(StateNo(0), key(0, 0), Owner::Customer("cus"))
}

/// See the module.
pub(crate) struct Lockstep {
    state: State,
    frames: Vec<(u64, Vec<u8>)>,
    position: u64,
    model: Model,
    policy: Policy,
    day: i32,
    now: i64,
    /// Earlier questions and where their decisions stand.
    asked: Vec<(Ask, u64)>,
    /// What happened, and how often.
    pub(crate) seen: BTreeMap<String, u32>,
}

impl Lockstep {
    pub(crate) const WORTH_SEEING: &[&str] = &[
        "Approve",
        "Decline(CardUnknown)",
        "Decline(CardCanceled)",
        "Decline(CardLocked)",
        "Decline(AgentSuspended)",
        "Decline(CardFrozenByRisk)",
        "Decline(MccBlocked)",
        "Decline(AmountOverPerAuth)",
        "Decline(SingleUseConsumed)",
        "Decline(MerchantLockMismatch)",
        "Decline(CardLimitExceeded)",
        "Decline(AgentLimitExceeded)",
        "Decline(CustomerLimitExceeded)",
        "Decline(DeadlineExceeded)",
        "Decline(ConflictingDuplicate)",
        "Known",
        "approved increment",
        "approved on a later day than the clock's",
        "approval of nothing",
        "overruled",
        "consumption given back",
        "lock given back",
        "lock kept at an overrule",
        "swept",
    ];

    pub(crate) fn new(case: &Case) -> Self {
        Self {
            state: empty(),
            frames: Vec::new(),
            position: 0,
            model: Model::default(),
            policy: case.policy.clone(),
            day: case.day,
            now: 1_000_000,
            asked: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn saw(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    fn apply(&mut self, events: &Events<'_>) -> u64 {
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
            Command::SetCard(card, status, frozen) => self.set_card(*card, *status, *frozen),
            Command::SetAgent(agent, status) => self.set_agent(*agent, *status),
            Command::CardPolicy(card, policy) => {
                self.policy.cards[usize::from(*card)] = policy.clone();
            }
            Command::AgentLimits(agent, limits) => {
                self.policy.agents[usize::from(*agent)] = *limits;
            }
            Command::CustomerLimits(limits) => self.policy.customer = *limits,
            Command::Clock(days, micros) => {
                self.day += days;
                self.now += micros;
            }
            Command::Sweep(back) => self.sweep(self.now - back),
            Command::Checkpoint => {
                let image = image::encode(&self.state);
                self.state = image::decode(&image).unwrap();
                assert!(image == image::encode(&self.state), "a canonical image");
            }
        }
        self.compare();
    }

    fn ask(&mut self, ask: &Ask) {
        let (policy, instant) = (self.policy.clone(), (self.day, self.now));
        let expected = self.model.decide(ask, &policy, self.day);
        let before = self.model.day();
        let is_increment = self.model.held_by(ask.authorization) > 0;
        let answer = with_command(ask, &policy, instant, |command| {
            let dry = check::authorize(&self.state, command).unwrap();
            let wet = check::authorize(&self.state, command).unwrap();
            assert_eq!(dry, wet);
            self.apply(&wet.events);
            wet.answer
        });
        self.agree(ask, &answer, &expected);
        let position = expected.position.unwrap_or(self.position);
        self.asked.push((ask.clone(), position));
        let card = &policy.cards[usize::from(ask.card)];
        let entry = (self.position, self.now);
        self.model.record(ask, &expected, card, self.day, entry);
        self.saw(&format!("{:?}", answer.decision));
        self.saw(&format!("{:?}", answer.novelty));
        if answer.novelty == Novelty::New && answer.decision.is_approval() {
            if claims(ask, &policy, self.day).amount.minor.is_zero() {
                self.saw("approval of nothing");
            }
            if is_increment {
                self.saw("approved increment");
            }
            if before.is_some_and(|day| day > self.day) {
                self.saw("approved on a later day than the clock's");
            }
            self.limits_hold(ask, &policy);
        }
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
            window,
            limit,
            left,
        }) = expected.obstacle
        {
            let explanation = answer.explanation.unwrap();
            assert_eq!(explanation.level, Some(Level::ALL[level]), "{}", context());
            assert_eq!(explanation.field, FIELDS[window], "{}", context());
            let numbers = [explanation.limit, explanation.remaining];
            let numbers = numbers.map(|n| i128::from(n.unwrap()));
            assert_eq!(numbers, [limit, left.max(0)], "{}", context());
            let booked_today = self.model.day().is_none_or(|day| day <= self.day);
            let resets_at = RESETS_AT.get(window).filter(|_| booked_today).copied();
            assert_eq!(explanation.resets_at, resets_at, "{}", context());
        }
    }

    /// I1: when something was approved, no sum is above its limit.
    fn limits_hold(&self, ask: &Ask, policy: &Policy) {
        let spends = matches!(
            ask.kind,
            AuthorizationKind::Authorization | AuthorizationKind::SingleMessage
        );
        if !spends || ask.amount == 0 {
            return;
        }
        let card = &policy.cards[usize::from(ask.card)];
        let day = self.model.day().unwrap();
        let mut scopes = vec![(Scope::Card(ask.card), card.limits)];
        scopes.push((Scope::Customer, policy.customer));
        if let Some(agent) = card.agent {
            scopes.push((Scope::Agent(agent), policy.agents[usize::from(agent)]));
        }
        for (scope, limits) in scopes {
            for (window, limit) in limits.into_iter().enumerate() {
                let (spent, _) = self.model.sums(scope, window, day);
                let within = limit.is_none_or(|limit| spent <= i128::from(limit));
                assert!(within, "I1: {spent} over {limit:?} of {scope:?}");
            }
        }
        let held = self.model.held_by(ask.authorization);
        let within = card.per_auth.is_none_or(|cap| held <= i128::from(cap));
        assert!(within, "I1: {held} over {:?}", card.per_auth);
    }

    fn overrule(&mut self, authorization: u8, position: u64) {
        let command = Overrule {
            authorization: key(1, authorization),
            decided_at: position,
            at: Timestamp::from_micros(self.now),
        };
        let marks = |model: &Model| {
            let consumed = (0..CARDS).filter(|card| model.is_consumed(*card)).count();
            let locked = (0..CARDS)
                .filter(|card| model.lock_of(*card).is_some())
                .count();
            (consumed, locked)
        };
        let before = marks(&self.model);
        let events = check::overrule(&self.state, &command);
        let taken_back = events.map(|events| self.apply(&events)).is_some();
        assert_eq!(taken_back, self.model.overrule(authorization, position));
        if taken_back {
            self.saw("overruled");
            let after = marks(&self.model);
            if after.0 < before.0 {
                self.saw("consumption given back");
            }
            if after.1 < before.1 {
                self.saw("lock given back");
            }
            if after.1 > 0 && after.1 == before.1 {
                self.saw("lock kept at an overrule");
            }
        }
    }

    fn sweep(&mut self, cut: i64) {
        // Maps of this size are in one part.
        let events = check::sweep(&self.state, 0, Timestamp::from_micros(cut));
        let swept = events.map(|events| self.apply(&events)).is_some();
        assert_eq!(swept, self.model.sweep(cut));
        if swept {
            self.saw("swept");
        }
    }

    fn set_card(&mut self, card: u8, status: Option<u8>, frozen: Option<bool>) {
        let statuses = [CardStatus::Active, CardStatus::Locked, CardStatus::Canceled];
        let id = format!("card_{card}");
        let command = SetStanding::Card {
            card: CardRef {
                key: key(2, card),
                id: &id,
                connection: "acme",
                agent: None,
            },
            status: status.map(|status| statuses[usize::from(status)]),
            frozen,
        };
        let outcome =
            check::standing::set_standing(&self.state, &command, Timestamp::from_micros(self.now));
        let changed = outcome.ok().map(|events| self.apply_any(&events));
        assert_eq!(changed, self.model.set_card(card, status, frozen));
    }

    fn set_agent(&mut self, agent: u8, status: u8) {
        let statuses = [
            AgentStatus::Active,
            AgentStatus::Paused,
            AgentStatus::Disabled,
        ];
        let id = format!("agent_{agent}");
        let command = SetStanding::Agent {
            agent: AgentRef {
                key: key(3, agent),
                id: &id,
            },
            status: statuses[usize::from(status)],
        };
        let outcome =
            check::standing::set_standing(&self.state, &command, Timestamp::from_micros(self.now));
        let changed = self.apply_any(&outcome.unwrap());
        assert_eq!(changed, self.model.set_agent(agent, status));
    }

    fn apply_any(&mut self, events: &Events<'_>) -> bool {
        let any = events.iter().next().is_some();
        if any {
            self.apply(events);
        }
        any
    }

    /// Every sum, lock and consumption of the engine is the model's; I10: what is held is what the
    /// remembered authorizations hold.
    fn compare(&self) {
        assert_eq!(
            self.state.authorization_count(),
            self.model.remembered(),
            "authorizations"
        );
        let charged = Some(self.state.day.0).filter(|day| *day != i32::MIN);
        assert_eq!(charged, self.model.day(), "the day");
        self.compare_sums(&self.state.counters, Scope::Customer);
        for n in 0..AGENTS {
            let agent = self.state.agent_by_key(key(3, n));
            let counters = agent.map(|(_, it)| it.counters).unwrap_or_default();
            self.compare_sums(&counters, Scope::Agent(n));
        }
        for n in 0..CARDS {
            let card = self.state.card_by_key(key(2, n));
            let counters = card.map(|(_, it)| it.counters).unwrap_or_default();
            self.compare_sums(&counters, Scope::Card(n));
            let consumed = card.is_some_and(|(_, it)| it.consumed.is_some());
            assert_eq!(consumed, self.model.is_consumed(n), "consumed {n}");
            let lock = card.and_then(|(_, it)| it.lock.as_ref().map(|lock| lock.keys));
            let expected = self.model.lock_of(n).as_ref().map(merchant_keys);
            assert_eq!(lock, expected, "lock {n}");
            let holds = card
                .map(|(no, _)| self.state.holds_of(no))
                .unwrap_or_default();
            let held: i64 = holds.iter().map(|hold| hold.reserved().get()).sum();
            assert_eq!(held, counters.total().held.get(), "I10: card {n}");
        }
    }

    fn compare_sums(&self, counters: &Counters, scope: Scope) {
        let Some(day) = self.model.day() else {
            assert_eq!(*counters, Counters::default());
            return;
        };
        let windows = WindowKind::ALL.map(|kind| counters.window(kind, LocalDay(day)));
        for (window, sum) in windows.into_iter().chain([counters.total()]).enumerate() {
            let found = (i128::from(sum.spent.get()), i128::from(sum.held.get()));
            let expected = self.model.sums(scope, window, day);
            assert_eq!(found, expected, "{scope:?}, window {window}");
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

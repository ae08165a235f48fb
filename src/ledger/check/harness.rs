//! A ledger for tests: decides by `check`, sends the events through bytes, applies them by `fold`.

use std::borrow::Cow;

use crate::domain::acceptor::CardAcceptor;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Level};
use crate::domain::claims::{CardRules, Claims, MerchantKeys, PresetLock, Proposal, ScopeLimits};
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::Explanation;
use crate::domain::identity::StepIdentity;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::check::{self, Checked, Events};
use crate::ledger::command::{
    AgentRef, Answer, Attest, Authority, Authorize, Back, CardRef, DeclareIntent, IntentRefused,
    Novelty, Overrule, Refused, SetStanding, SettleIntent, Shadowed,
};
use crate::ledger::counters::{NUMBERS, Sum};
use crate::ledger::event::{Decided, Event, Owner, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::image;
use crate::ledger::intent::{IntentStatus, IntentTerms, IntentVerdict};
use crate::ledger::state::{AgentState, CardState, State};

pub(in crate::ledger) mod report;

/// 2026-05-27, a Wednesday in the middle of its month.
pub(in crate::ledger) const TODAY: i32 = 20_600;

pub(in crate::ledger) fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

/// A well-spread key; spaces keep cards, agents and authorizations apart.
pub(in crate::ledger) fn key(space: u8, n: u32) -> Key {
    let n = u128::from(n) << 8 | u128::from(space);
    Key((n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

pub(in crate::ledger) fn authorization_key(n: u32) -> Key {
    key(0, n)
}

pub(in crate::ledger) fn card_key(n: u32) -> Key {
    key(1, n)
}

pub(in crate::ledger) fn agent_key(n: u32) -> Key {
    key(2, n)
}

pub(in crate::ledger) fn intent_key(n: u32) -> Key {
    key(4, n)
}

pub(in crate::ledger) fn card_ref(card: u32, id: &str) -> CardRef<'_> {
    CardRef {
        key: card_key(card),
        id,
        connection: "acme",
        agent: None,
    }
}

/// An intent to spend up to `cap`, over at `expires_at` microseconds.
pub(in crate::ledger) fn intent(cap: i64, expires_at: i64) -> IntentTerms {
    IntentTerms {
        expected: Some(minor(cap)),
        cap: Some(minor(cap)),
        currency: Some(Currency::USD),
        merchant: None,
        mccs: Box::default(),
        expires_at: Timestamp::from_micros(expires_at),
        awaits_approval: false,
    }
}

pub(in crate::ledger) fn merchant(n: u64) -> MerchantKeys {
    MerchantKeys {
        strong: Some(n),
        weak: 100 + n,
        sub_merchant: None,
    }
}

pub(in crate::ledger) fn limits(day: Option<i64>, total: Option<i64>) -> ScopeLimits {
    ScopeLimits {
        per_day: day.map(minor),
        total: total.map(minor),
        ..ScopeLimits::default()
    }
}

/// One question, with the policy that meets it. By default nothing limits it.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Ask {
    pub(in crate::ledger) authorization: u32,
    pub(in crate::ledger) name: Option<u64>,
    pub(in crate::ledger) delivery: Option<u64>,
    pub(in crate::ledger) content: u64,
    pub(in crate::ledger) kind: AuthorizationKind,
    pub(in crate::ledger) amount: Minor,
    pub(in crate::ledger) at: i64,
    pub(in crate::ledger) card: u32,
    pub(in crate::ledger) agent: Option<u32>,
    /// Whether the ledger knows the card, and whether the snapshot does.
    pub(in crate::ledger) known: (bool, bool),
    pub(in crate::ledger) standing: Option<DeclineReason>,
    pub(in crate::ledger) rule: Option<DeclineReason>,
    /// The hour under way and the second at which it ends; absent: that of universal time.
    pub(in crate::ledger) hour: Option<(i32, i64)>,
    pub(in crate::ledger) expired: Option<DeclineReason>,
    pub(in crate::ledger) hours: Option<DeclineReason>,
    pub(in crate::ledger) mcc: Option<u16>,
    pub(in crate::ledger) claims: Claims,
    /// What documents that are tried out claim.
    pub(in crate::ledger) tried: Option<Box<Claims>>,
}

impl Ask {
    /// The first step of an authorization on card 1 of agent 1.
    pub(in crate::ledger) fn new(authorization: u32, amount: i64) -> Self {
        let amount = minor(amount);
        Self {
            authorization,
            name: None,
            delivery: None,
            content: 1,
            kind: AuthorizationKind::Authorization,
            amount,
            at: 1_780_000_000_000_000,
            card: 1,
            agent: Some(1),
            known: (true, true),
            standing: None,
            rule: None,
            hour: None,
            expired: None,
            hours: None,
            mcc: None,
            claims: Claims {
                amount: Amount {
                    minor: amount,
                    currency: Currency::USD,
                },
                day: LocalDay(TODAY),
                resets_at: [1, 2, 3].map(Timestamp::from_secs),
                hour: LocalHour(0),
                hour_resets_at: Timestamp::default(),
                limits: [ScopeLimits::default(); 3],
                held_max: None,
                per_auth: None,
                single_use: false,
                lock_to_first_merchant: None,
                preset_lock: None,
                merchant: merchant(1),
                rules: CardRules::default(),
            },
            tried: None,
        }
    }

    /// Beside what another question claims, as documents that are tried out would have it.
    pub(in crate::ledger) fn trying(self, other: &Self) -> Self {
        let claims = other.claims.clone();
        self.with(|it| it.tried = Some(Box::new(claims)))
    }

    pub(in crate::ledger) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Another step: its content differs.
    pub(in crate::ledger) fn step(self, content: u64) -> Self {
        self.with(|it| it.content = content)
    }

    pub(in crate::ledger) fn on_card(self, card: u32, agent: Option<u32>) -> Self {
        self.with(|it| (it.card, it.agent) = (card, agent))
    }

    pub(in crate::ledger) fn on_day(self, day: i32) -> Self {
        self.with(|it| it.claims.day = LocalDay(day))
    }

    pub(in crate::ledger) fn at_merchant(self, n: u64) -> Self {
        self.with(|it| it.claims.merchant = merchant(n))
    }

    pub(in crate::ledger) fn limited(self, level: Level, limits: ScopeLimits) -> Self {
        self.with(|it| it.claims.limits[level as usize] = limits)
    }

    /// With these rules on what happened on the card before.
    pub(in crate::ledger) fn ruled(self, change: impl FnOnce(&mut CardRules)) -> Self {
        self.with(|it| change(&mut it.claims.rules))
    }

    /// Later by these microseconds.
    pub(in crate::ledger) fn later(self, micros: i64) -> Self {
        self.with(|it| it.at += micros)
    }

    pub(in crate::ledger) fn capped(self, cap: i64) -> Self {
        self.with(|it| it.claims.per_auth = Some((minor(cap), Level::Agent)))
    }

    pub(in crate::ledger) fn single_use(self) -> Self {
        self.with(|it| it.claims.single_use = true)
    }

    pub(in crate::ledger) fn locking(self) -> Self {
        self.with(|it| it.claims.lock_to_first_merchant = Some(Level::Agent))
    }

    pub(in crate::ledger) fn preset(self, lock: PresetLock) -> Self {
        self.with(|it| it.claims.preset_lock = Some(lock))
    }

    /// As `decide` makes it: these kinds reserve nothing.
    pub(in crate::ledger) fn of_kind(self, kind: AuthorizationKind) -> Self {
        self.with(|it| {
            it.kind = kind;
            it.claims.amount.minor = Minor::ZERO;
        })
    }

    fn proposal(&self) -> Proposal {
        let mut claims = self.claims.clone();
        let utc = self.at.div_euclid(3_600_000_000);
        let (hour, ends) = self
            .hour
            .unwrap_or_else(|| (i32::try_from(utc).unwrap(), (utc + 1) * 3_600));
        claims.hour = LocalHour(hour);
        claims.hour_resets_at = Timestamp::from_secs(ends);
        Proposal {
            standing: self.standing.map(Explanation::bare),
            expired: self.expired.map(Explanation::bare),
            rule: self.rule.map(Explanation::bare),
            hours: self.hours.map(Explanation::bare),
            claims,
        }
    }

    fn step_identity(&self) -> StepIdentity {
        StepIdentity {
            authorization: authorization_key(self.authorization),
            name: self.name,
            delivery: self.delivery,
            content: self.content,
        }
    }
}

pub(in crate::ledger) fn with_command<T>(ask: &Ask, decide: impl FnOnce(&Authorize<'_>) -> T) -> T {
    let proposal = ask.proposal();
    let acceptor = CardAcceptor {
        mcc: ask.mcc.map(|code| Mcc::from_number(code).unwrap()),
        ..acceptor()
    };
    let tried = ask.tried.as_ref().map(|claims| {
        let claims = claims.as_ref().clone();
        ask.clone().with(|it| it.claims = claims).proposal()
    });
    let names = [ask.authorization, ask.card, ask.agent.unwrap_or(0)].map(|n| format!("id_{n}"));
    let [authorization, card_id, agent_id] = &names;
    let card = CardRef {
        key: card_key(ask.card),
        id: card_id,
        connection: "acme",
        agent: ask.agent.map(|n| AgentRef {
            key: agent_key(n),
            id: agent_id,
        }),
    };
    decide(&Authorize {
        at: Timestamp::from_micros(ask.at),
        step: ask.step_identity(),
        authorization,
        kind: ask.kind,
        amount: Amount {
            minor: ask.amount,
            currency: Currency::USD,
        },
        card: ask.known.0.then_some(card),
        card_key: card.key,
        card_token: "tok",
        acceptor: &acceptor,
        proposal: ask.known.1.then_some(&proposal),
        shadow: tried.as_ref().map(|proposal| Shadowed {
            versions: [0, 7, 0],
            proposal,
        }),
        facts: None,
        snapshot_version: 7,
        latency_us: 12,
    })
}

pub(in crate::ledger) fn acceptor() -> CardAcceptor<'static> {
    CardAcceptor {
        acquirer_id: Some(Cow::Borrowed("400001")),
        acceptor_id: None,
        descriptor: Cow::Borrowed("CAFÉ \"ÜBER\" 12"),
        mcc: None,
        city: Cow::Borrowed(""),
        country: None,
    }
}

/// See the module. Two states grow side by side, one by the events, one by the events' bytes.
#[derive(Debug)]
pub(in crate::ledger) struct Ledger {
    pub(in crate::ledger) state: State,
    through_bytes: State,
    pub(in crate::ledger) position: u64,
    pub(in crate::ledger) frames: Vec<(u64, Vec<u8>)>,
}

pub(in crate::ledger) fn empty_state() -> State {
    State::new(StateNo(3), key(9, 0), Owner::Customer("cus_1"))
}

impl Ledger {
    pub(in crate::ledger) fn new() -> Self {
        Self {
            state: empty_state(),
            through_bytes: empty_state(),
            position: 0,
            frames: Vec::new(),
        }
    }

    /// A ledger that goes on from an image, as one that recovered from a checkpoint does.
    pub(in crate::ledger) fn recovered(&self) -> Self {
        let image = image::encode(&self.state);
        Self {
            state: image::decode(&image).unwrap(),
            through_bytes: image::decode(&image).unwrap(),
            position: self.position,
            frames: Vec::new(),
        }
    }

    /// Puts the earmark of an authorization behind a card; whether it was recorded.
    pub(in crate::ledger) fn back(&mut self, card: u32, earmark: u32) -> Result<bool, Refused> {
        let id = format!("id_{card}");
        let command = Back {
            card: card_ref(card, &id),
            earmark: authorization_key(earmark),
            at: Timestamp::from_secs(9),
        };
        let events = check::earmarks::back(&self.state, &command)?;
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        Ok(any)
    }

    pub(in crate::ledger) fn apply(&mut self, events: &Events<'_>) -> u64 {
        self.position += 10;
        let mut frame = Vec::new();
        for event in events.iter() {
            event.encode(&mut frame);
            fold(&mut self.state, event, self.position);
        }
        for event in events_of(&frame) {
            fold(&mut self.through_bytes, &event.unwrap(), self.position);
        }
        // Comparing whole images costs too much for the few tests with large states.
        if self.state.authorization_count() < 100 {
            assert_eq!(self.image(), image::encode(&self.through_bytes), "I7");
        }
        self.frames.push((self.position, frame));
        self.position
    }

    pub(in crate::ledger) fn image(&self) -> Vec<u8> {
        image::encode(&self.state)
    }

    /// Decides without applying: what a dry run says.
    pub(in crate::ledger) fn dry(&self, ask: &Ask) -> Answer {
        with_command(ask, |command| {
            check::authorize(&self.state, command).unwrap().answer
        })
    }

    pub(in crate::ledger) fn ask(&mut self, ask: &Ask) -> Answer {
        with_command(ask, |command| {
            let Checked { answer, events } = check::authorize(&self.state, command).unwrap();
            let recorded_at = self.apply(&events);
            let position = match answer.novelty {
                Novelty::Known => answer.position,
                Novelty::New | Novelty::Conflict => recorded_at,
            };
            Answer { position, ..answer }
        })
    }

    pub(in crate::ledger) fn approve(&mut self, ask: &Ask) -> u64 {
        let answer = self.ask(ask);
        assert_eq!(answer.decision, Decision::Approve, "{answer:?}");
        assert_eq!(answer.novelty, Novelty::New);
        answer.position
    }

    pub(in crate::ledger) fn decline(&mut self, ask: &Ask) -> Explanation {
        let answer = self.ask(ask);
        let explanation = answer.explanation.unwrap();
        assert_eq!(answer.decision, Decision::Decline(explanation.reason));
        explanation
    }

    pub(in crate::ledger) fn reason(&self, ask: &Ask) -> Option<DeclineReason> {
        match self.dry(ask).decision {
            Decision::Decline(reason) => Some(reason),
            Decision::Approve | Decision::ApprovePartial(_) => None,
        }
    }

    /// Takes back the approval at `position`; whether there was one.
    pub(in crate::ledger) fn overrule(&mut self, authorization: u32, position: u64) -> bool {
        let command = Overrule {
            authorization: authorization_key(authorization),
            decided_at: position,
            at: Timestamp::from_secs(9),
        };
        let events = check::overrule(&self.state, &command);
        events.map(|events| self.apply(&events)).is_some()
    }

    pub(in crate::ledger) fn sweep(&mut self, part: u16, cut: i64) -> bool {
        let events = check::sweep(&self.state, part, Timestamp::from_micros(cut));
        events.map(|events| self.apply(&events)).is_some()
    }

    /// Whether the change was recorded.
    pub(in crate::ledger) fn set_card(
        &mut self,
        card: u32,
        status: Option<CardStatus>,
        frozen: Option<bool>,
    ) -> Result<bool, Refused> {
        let id = format!("id_{card}");
        let card = card_ref(card, &id);
        let command = SetStanding::Card {
            card,
            status,
            frozen,
        };
        let events = check::standing::set_standing(&self.state, &command, Timestamp::from_secs(9))?;
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        Ok(any)
    }

    /// A freeze or its end, in somebody's name; whether it was recorded.
    pub(in crate::ledger) fn freeze(
        &mut self,
        card: u32,
        frozen: bool,
        by: Authority,
    ) -> Result<bool, Refused> {
        let id = format!("id_{card}");
        let card = card_ref(card, &id);
        let command = SetStanding::Freeze { card, frozen, by };
        let events = check::standing::set_standing(&self.state, &command, Timestamp::from_secs(9))?;
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        Ok(any)
    }

    /// Declares an intent on a card; whether it was recorded.
    pub(in crate::ledger) fn declare(
        &mut self,
        card: u32,
        intent: u32,
        at: i64,
        terms: &IntentTerms,
    ) -> Result<bool, IntentRefused> {
        let id = format!("id_{card}");
        let command = DeclareIntent {
            card: card_ref(card, &id),
            intent: intent_key(intent),
            terms,
            at: Timestamp::from_micros(at),
        };
        let events = check::intents::declare(&self.state, &command)?;
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        Ok(any)
    }

    pub(in crate::ledger) fn settle(
        &mut self,
        intent: u32,
        at: i64,
        verdict: IntentVerdict,
    ) -> Result<bool, IntentRefused> {
        let command = SettleIntent {
            intent: intent_key(intent),
            verdict,
            at: Timestamp::from_micros(at),
        };
        let events = check::intents::settle(&self.state, &command)?;
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        Ok(any)
    }

    pub(in crate::ledger) fn attest(&mut self, card: u32, at: i64) {
        let id = format!("id_{card}");
        let command = Attest {
            card: card_ref(card, &id),
            at: Timestamp::from_micros(at),
        };
        let events = check::intents::attest(&self.state, &command).unwrap();
        self.apply(&events);
    }

    pub(in crate::ledger) fn intent_status(&self, intent: u32, at: i64) -> IntentStatus {
        let intent = self.state.intent(intent_key(intent)).unwrap();
        intent.status(Timestamp::from_micros(at))
    }

    /// What the last frame says was decided.
    pub(in crate::ledger) fn last_decided(&self) -> Decided<'_> {
        let (_, frame) = self.frames.last().unwrap();
        let events = events_of(frame).map(Result::unwrap);
        let Some(Event::Decided(decided)) = events.last() else {
            panic!("the last frame decided nothing");
        };
        decided
    }

    /// What the last frame says was refused as another content of a known step.
    pub(in crate::ledger) fn last_conflict(&self) -> Decided<'_> {
        let (_, frame) = self.frames.last().unwrap();
        let events = events_of(frame).map(Result::unwrap);
        let Some(Event::Conflicted(record)) = events.last() else {
            panic!("the last frame refused nothing");
        };
        record
    }

    /// Whether the ledger has a word on the step.
    pub(in crate::ledger) fn knows(&self, ask: &Ask) -> bool {
        with_command(ask, |command| check::knows(&self.state, command))
    }

    pub(in crate::ledger) fn set_agent(&mut self, agent: u32, status: AgentStatus) -> bool {
        let id = format!("id_{agent}");
        let agent = AgentRef {
            key: agent_key(agent),
            id: &id,
        };
        self.set_standing(&SetStanding::Agent { agent, status })
    }

    /// Whether it stood otherwise before.
    pub(in crate::ledger) fn set_customer(&mut self, status: CustomerStatus) -> bool {
        self.set_standing(&SetStanding::Customer(status))
    }

    fn set_standing(&mut self, command: &SetStanding<'_>) -> bool {
        let events =
            check::standing::set_standing(&self.state, command, Timestamp::from_secs(9)).unwrap();
        let any = events.iter().next().is_some();
        if any {
            self.apply(&events);
        }
        any
    }

    pub(in crate::ledger) fn card(&self, n: u32) -> &CardState {
        self.state.card_by_key(card_key(n)).unwrap().1
    }

    pub(in crate::ledger) fn agent(&self, n: u32) -> &AgentState {
        self.state.agent_by_key(agent_key(n)).unwrap().1
    }

    /// Spent and held in total: card 1, agent 1, customer.
    pub(in crate::ledger) fn totals(&self) -> [(i64, i64); 3] {
        let card = self.state.card_by_key(card_key(1));
        let agent = self.state.agent_by_key(agent_key(1));
        [
            card.map_or_else(Sum::default, |(_, it)| it.counters.total()),
            agent.map_or_else(Sum::default, |(_, it)| it.counters.total()),
            self.state.counters.total(),
        ]
        .map(|sum| (sum.spent.get(), sum.held.get()))
    }

    /// All sums of card 1, agent 1 and the customer.
    pub(in crate::ledger) fn all_sums(&self) -> [Option<[i64; NUMBERS]>; 3] {
        let card = self.state.card_by_key(card_key(1));
        let agent = self.state.agent_by_key(agent_key(1));
        [
            card.map(|(_, it)| it.counters.to_numbers()),
            agent.map(|(_, it)| it.counters.to_numbers()),
            Some(self.state.counters.to_numbers()),
        ]
    }
}

//! Random commands over a small world, so that they meet often.

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::DeclineReason;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

pub(crate) const CARDS: u8 = 4;
pub(crate) const AGENTS: u8 = 3;
const AUTHORIZATIONS: u8 = 9;

/// Limits by day, week, month and for ever.
pub(crate) type Limits = [Option<i64>; 4];

/// A merchant: strong identity, weak identity, sub-merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merchant {
    pub(crate) strong: Option<u64>,
    pub(crate) weak: u64,
    pub(crate) sub: Option<u64>,
}

/// A lock that stands since the card was made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    Strong(u64),
    Weak(u64),
}

/// What the snapshot says of a card.
#[derive(Clone, Debug)]
pub(crate) struct CardPolicy {
    pub(crate) in_snapshot: bool,
    pub(crate) agent: Option<u8>,
    pub(crate) standing: Option<DeclineReason>,
    pub(crate) single_use: bool,
    pub(crate) lock: bool,
    pub(crate) preset: Option<Preset>,
    pub(crate) per_auth: Option<i64>,
    pub(crate) limits: Limits,
}

/// What the snapshot says.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) cards: Vec<CardPolicy>,
    pub(crate) agents: Vec<Limits>,
    pub(crate) customer: Limits,
}

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) authorization: u8,
    pub(crate) card: u8,
    pub(crate) name: Option<u64>,
    pub(crate) delivery: Option<u64>,
    pub(crate) content: u64,
    pub(crate) kind: AuthorizationKind,
    pub(crate) amount: i64,
    pub(crate) merchant: Merchant,
    pub(crate) rule: Option<DeclineReason>,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Ask(Ask),
    /// An earlier question again, word for word.
    Again(Index),
    /// Another step of an earlier question's authorization, with this content and amount.
    Increment(Index, u64, i64),
    /// Takes back what an earlier question was answered with.
    Overrule(Index),
    SetCard(u8, Option<u8>, Option<bool>),
    SetAgent(u8, u8),
    CardPolicy(u8, CardPolicy),
    AgentLimits(u8, Limits),
    CustomerLimits(Limits),
    /// The day and the clock move, possibly back.
    Clock(i32, i64),
    /// Forgets what is older than now by this much.
    Sweep(i64),
    /// The state is written down and read back.
    Checkpoint,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) day: i32,
    pub(crate) policy: Policy,
    pub(crate) commands: Vec<Command>,
}

fn limit() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![30 => Just(None), 14 => (20..200i64).prop_map(Some), 1 => Just(Some(0))]
}

fn limits() -> impl Strategy<Value = Limits> {
    [limit(), limit(), limit(), limit()]
}

fn merchant() -> impl Strategy<Value = Merchant> {
    let sub = prop_oneof![4 => Just(None), 1 => (0..2u64).prop_map(Some)];
    (option::weighted(0.8, 0..2u64), 0..2u64, sub).prop_map(|(strong, weak, sub)| Merchant {
        strong,
        weak,
        sub,
    })
}

fn standing() -> impl Strategy<Value = Option<DeclineReason>> {
    let reasons = select(vec![
        DeclineReason::CardCanceled,
        DeclineReason::CardLocked,
        DeclineReason::CardExpired,
        DeclineReason::AgentSuspended,
        DeclineReason::CustomerSuspended,
        DeclineReason::CardFrozenByRisk,
    ]);
    option::weighted(0.06, reasons)
}

fn card_policy() -> impl Strategy<Value = CardPolicy> {
    let preset = prop_oneof![
        (0..2u64).prop_map(Preset::Strong),
        (0..2u64).prop_map(Preset::Weak)
    ];
    (
        prop::bool::weighted(0.93),
        option::weighted(0.8, 0..AGENTS),
        standing(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.35),
        option::weighted(0.08, preset),
        option::weighted(0.4, 10..90i64),
        limits(),
    )
        .prop_map(
            |(in_snapshot, agent, standing, single_use, lock, preset, per_auth, limits)| {
                CardPolicy {
                    in_snapshot,
                    agent,
                    standing,
                    single_use,
                    lock,
                    preset,
                    per_auth,
                    limits,
                }
            },
        )
}

fn policy() -> impl Strategy<Value = Policy> {
    (
        vec(card_policy(), usize::from(CARDS)),
        vec(limits(), usize::from(AGENTS)),
        limits(),
    )
        .prop_map(|(cards, agents, customer)| Policy {
            cards,
            agents,
            customer,
        })
}

fn amount() -> impl Strategy<Value = i64> {
    let largest = (1i64 << 53) - 1;
    prop_oneof![24 => 1..45i64, 4 => Just(0i64), 1 => (largest - 9)..=largest]
}

fn ask() -> impl Strategy<Value = Ask> {
    let kind = prop_oneof![
        14 => Just(AuthorizationKind::Authorization),
        2 => Just(AuthorizationKind::SingleMessage),
        1 => Just(AuthorizationKind::Credit),
        1 => Just(AuthorizationKind::BalanceInquiry),
    ];
    let rule = select(vec![
        DeclineReason::CurrencyNotSupported,
        DeclineReason::MccBlocked,
        DeclineReason::AmountOverPerAuth,
    ]);
    let identity = (
        option::weighted(0.15, 0..2u64),
        option::weighted(0.5, 0..6u64),
        0..6u64,
    );
    (
        0..AUTHORIZATIONS,
        option::weighted(0.06, 0..CARDS),
        identity,
        kind,
        amount(),
        merchant(),
        option::weighted(0.06, rule),
    )
        .prop_map(
            |(authorization, card, (name, delivery, content), kind, amount, merchant, rule)| Ask {
                authorization,
                // One card has one authorization's questions, mostly.
                card: card.unwrap_or(authorization % CARDS),
                name,
                delivery,
                content,
                kind,
                amount,
                merchant,
                rule,
            },
        )
}

fn command() -> impl Strategy<Value = Command> {
    let index = any::<Index>;
    prop_oneof![
        20 => ask().prop_map(Command::Ask),
        4 => index().prop_map(Command::Again),
        8 => (index(), 6..12u64, 1..30i64).prop_map(|(it, content, amount)| {
            Command::Increment(it, content, amount)
        }),
        5 => index().prop_map(Command::Overrule),
        1 => (0..CARDS, option::of(prop_oneof![4 => Just(0u8), 2 => Just(1), 1 => Just(2)]),
            option::of(prop::bool::weighted(0.3)))
            .prop_map(|(card, status, frozen)| Command::SetCard(card, status, frozen)),
        1 => (0..AGENTS, prop_oneof![3 => Just(0u8), 1 => 1..3u8])
            .prop_map(|(agent, status)| Command::SetAgent(agent, status)),
        2 => (0..CARDS, card_policy())
            .prop_map(|(card, policy)| Command::CardPolicy(card, policy)),
        1 => (0..AGENTS, limits()).prop_map(|(agent, it)| Command::AgentLimits(agent, it)),
        1 => limits().prop_map(Command::CustomerLimits),
        3 => (select(vec![-2, -1, -1, 0, 1, 1, 1, 2, 6, 27, 31]), -5_000..20_000i64)
            .prop_map(|(days, micros)| Command::Clock(days, micros)),
        2 => (0..30_000i64).prop_map(Command::Sweep),
        1 => Just(Command::Checkpoint),
    ]
}

/// A world and what happens in it.
pub(crate) fn case() -> BoxedStrategy<Case> {
    // Around a leap day, the end of a year, and the first of all days.
    let day = prop_oneof![19_770..19_785i32, 20_448..20_455i32, -6..6i32];
    (day, policy(), vec(command(), 30..70))
        .prop_map(|(day, policy, commands)| Case {
            day,
            policy,
            commands,
        })
        .boxed()
}

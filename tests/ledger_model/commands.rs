//! Random commands over a small world, so that they meet often.

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::DeclineReason;
use countersign::domain::lifecycle::{MovementKind, OnReversal, StandingStatus};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::calendar::{DAY, FIRST, HOUR, LAST, MINUTE, ZONES};
use crate::intents::mcc_of;
use crate::lives::{self, Account, Happened, KINDS};

pub(crate) const CARDS: u8 = 4;
pub(crate) const AGENTS: u8 = 3;
pub(crate) const INTENTS: u8 = 14;
const EARMARKS: u8 = 6;
const AUTHORIZATIONS: u8 = 9;
/// What a probe may ask for at most.
pub(crate) const PROBE_MAX: i64 = 9;

/// The limits of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// By day, week, month and for ever.
    pub(crate) sums: [Option<i64>; 4],
    /// Over any 24 hours, 7 days, 30 days.
    pub(crate) spans: [Option<i64>; 3],
    /// Approvals by hour, day and for ever.
    pub(crate) counts: [Option<u32>; 3],
    /// Approvals by one of day, week and month.
    pub(crate) period: Option<(usize, u32)>,
}

impl Limits {
    /// The same for every sum and count.
    pub(crate) const fn all(limit: i64) -> Self {
        Self {
            sums: [Some(limit); 4],
            spans: [Some(limit); 3],
            counts: [Some(0); 3],
            period: Some((0, 0)),
        }
    }
}

/// A merchant: strong identity, weak identity, sub-merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merchant {
    pub(crate) strong: Option<u64>,
    pub(crate) weak: u64,
    pub(crate) sub: Option<u64>,
}

/// One report.
pub(crate) type Report = lives::Report<Merchant>;

/// A lock that stands since the card was made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    Strong(u64),
    Weak(u64),
}

/// What a card asks of intents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    pub(crate) approval: bool,
    pub(crate) below: Option<i64>,
    pub(crate) flags: bool,
}

/// What compares with the card's past.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    pub(crate) cooldown: Option<i64>,
    pub(crate) after_count: Option<u32>,
    pub(crate) after_spend: Option<i64>,
    pub(crate) may_probe: bool,
    pub(crate) may_part: bool,
    pub(crate) attestation: Option<i64>,
    pub(crate) intent: Option<Wants>,
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
    pub(crate) past: Past,
}

/// What the snapshot says.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) cards: Vec<CardPolicy>,
    pub(crate) agents: Vec<Limits>,
    pub(crate) customer: Limits,
    /// What may be held at one time over all cards.
    pub(crate) held_max: Option<i64>,
    pub(crate) zone: usize,
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
    /// Whether the card's time is over, and whether it is outside its hours.
    pub(crate) expired: bool,
    pub(crate) closed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Declare {
    pub(crate) card: u8,
    pub(crate) intent: u8,
    pub(crate) expected: Option<i64>,
    pub(crate) tolerance: i64,
    pub(crate) euros: bool,
    pub(crate) merchant: Option<u64>,
    pub(crate) mcc: Option<u16>,
    pub(crate) ttl: i64,
    pub(crate) awaits: bool,
}

/// What concerns the life of an authorization.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Report(Report),
    /// About what an earlier question asked for: of its amount.
    ReportOn(Index, Report),
    /// The latest question's authorization is undone by its issuer; whether by a reversal.
    Undo(Report, bool),
    /// An earlier report again, word for word.
    ReportAgain(Index),
    /// Gives back what is held and was not spoken of for this long: of the usual holds or of all.
    Lapse(i64, bool),
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
    /// Takes back what the latest question was answered with.
    OverruleLast,
    SetCard(u8, Option<u8>, Option<bool>),
    /// A freeze or its end, by a risk rule or not.
    Freeze(u8, bool, bool),
    SetAgent(u8, u8),
    /// Whether the customer is suspended.
    SetCustomer(bool),
    Declare(Declare),
    /// Declares an intent and asks for so much on its card.
    Intend(Declare, Ask),
    /// Approve, reject, withdraw.
    Settle(u8, u8),
    Attest(u8),
    CardPolicy(u8, CardPolicy),
    AgentLimits(u8, Limits),
    CustomerLimits(Limits),
    /// A rolling limit at a level, over a span.
    Span(u8, usize, i64),
    Zone(usize),
    /// The clock moves, possibly back.
    Clock(i64),
    /// Forgets what is older than now by this much.
    Sweep(i64),
    Hear(Heard),
    /// An earmark of this number and amount, behind a card.
    Earmark(u8, u8, i64),
    /// Asks on a card with an open earmark, or cancels it.
    Backed(Index, Option<Ask>),
    /// The state is written down and read back.
    Checkpoint,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) now: i64,
    pub(crate) policy: Policy,
    pub(crate) commands: Vec<Command>,
}

fn limit() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![36 => Just(None), 12 => (20..200i64).prop_map(Some), 1 => Just(Some(0))]
}

fn count() -> impl Strategy<Value = Option<u32>> {
    option::weighted(0.08, 0..8u32)
}

pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    let span = || prop_oneof![12 => Just(None), 2 => (20..200i64).prop_map(Some)];
    (
        [limit(), limit(), limit(), limit()],
        [span(), span(), span()],
        [count(), count(), count()],
        (0..3usize, count()),
    )
        .prop_map(|(sums, spans, counts, (window, count))| Limits {
            sums,
            spans,
            counts,
            period: count.map(|count| (window, count)),
        })
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
        DeclineReason::AgentSuspended,
        DeclineReason::CustomerSuspended,
        DeclineReason::CardFrozenByRisk,
    ]);
    option::weighted(0.05, reasons)
}

fn past() -> impl Strategy<Value = Past> {
    let wants = (
        prop::bool::weighted(0.3),
        option::of(5..40i64),
        any::<bool>(),
    );
    let wants = wants.prop_map(|(approval, below, flags)| Wants {
        approval,
        below,
        flags,
    });
    (
        option::weighted(0.12, select(vec![1, MINUTE, 30 * MINUTE, 5 * HOUR])),
        option::weighted(0.08, 1..6u32),
        option::weighted(0.08, 20..150i64),
        prop::bool::weighted(0.5),
        prop::bool::weighted(0.3),
        option::weighted(0.06, select(vec![MINUTE, DAY])),
        option::weighted(0.3, wants),
    )
        .prop_map(
            |(cooldown, after_count, after_spend, may_probe, may_part, attestation, intent)| Past {
                cooldown,
                after_count,
                after_spend,
                may_probe,
                may_part,
                attestation,
                intent,
            },
        )
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
        prop::bool::weighted(0.3),
        option::weighted(0.06, preset),
        option::weighted(0.3, 15..90i64),
        limits(),
        past(),
    )
        .prop_map(
            |(in_snapshot, agent, standing, single_use, lock, preset, per_auth, limits, past)| {
                CardPolicy {
                    in_snapshot,
                    agent,
                    standing,
                    single_use,
                    lock,
                    preset,
                    per_auth,
                    limits,
                    past,
                }
            },
        )
}

fn policy() -> impl Strategy<Value = Policy> {
    // Earmarks stand on a card of their own, on which nothing but its agent is special.
    let placeholder = option::of(0..AGENTS).prop_map(|agent| CardPolicy {
        in_snapshot: true,
        agent,
        standing: None,
        single_use: false,
        lock: false,
        preset: None,
        per_auth: None,
        limits: Limits::default(),
        past: Past::default(),
    });
    (
        (vec(card_policy(), usize::from(CARDS)), placeholder)
            .prop_map(|(cards, last)| cards.into_iter().chain([last]).collect()),
        vec(limits(), usize::from(AGENTS)),
        limits(),
        option::weighted(0.2, 20..300_i64),
        0..ZONES.len(),
    )
        .prop_map(|(cards, agents, customer, held_max, zone)| Policy {
            cards,
            agents,
            customer,
            held_max,
            zone,
        })
}

fn amount() -> impl Strategy<Value = i64> {
    let largest = (1i64 << 53) - 1;
    prop_oneof![18 => 1..45i64, 6 => 1..=PROBE_MAX, 4 => Just(0i64), 1 => (largest - 9)..=largest]
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let kind = prop_oneof![
        14 => Just(AuthorizationKind::Authorization),
        2 => Just(AuthorizationKind::SingleMessage),
        1 => Just(AuthorizationKind::Credit),
        1 => Just(AuthorizationKind::BalanceInquiry),
    ];
    let rule = select(vec![
        DeclineReason::CurrencyNotSupported,
        DeclineReason::MccBlocked,
        DeclineReason::RiskScoreTooHigh,
        DeclineReason::AmountOverPerAuth,
    ]);
    let identity = (
        option::weighted(0.15, 0..2u64),
        option::weighted(0.5, 0..6u64),
        0..6u64,
    );
    let rules = (
        option::weighted(0.05, rule),
        prop::bool::weighted(0.03),
        prop::bool::weighted(0.03),
    );
    (
        0..AUTHORIZATIONS,
        option::weighted(0.06, 0..CARDS),
        identity,
        kind,
        amount(),
        merchant(),
        rules,
    )
        .prop_map(
            |(authorization, card, (name, delivery, content), kind, amount, merchant, rules)| Ask {
                authorization,
                // One card has one authorization's questions, mostly.
                card: card.unwrap_or(authorization % CARDS),
                name,
                delivery,
                content,
                kind,
                amount,
                merchant,
                rule: rules.0,
                expired: rules.1,
                closed: rules.2,
            },
        )
}

fn declare() -> impl Strategy<Value = Declare> {
    (
        0..CARDS,
        0..INTENTS,
        option::weighted(0.85, 5..50i64),
        0..20i64,
        prop::bool::weighted(0.1),
        option::weighted(0.2, 0..2u64),
        option::weighted(0.2, 0..2u16),
        select(vec![MINUTE, HOUR, DAY, DAY]),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(card, intent, expected, tolerance, euros, merchant, mcc, ttl, awaits)| Declare {
                card,
                intent,
                expected,
                tolerance,
                euros,
                merchant,
                mcc,
                ttl,
                awaits,
            },
        )
}

fn happened() -> impl Strategy<Value = Happened> {
    let kind = prop_oneof![
        4 => select(KINDS.to_vec()),
        2 => Just(MovementKind::Authorized),
        2 => Just(MovementKind::Released),
        2 => Just(MovementKind::Posted { is_last: false }),
        1 => Just(MovementKind::Refunded),
    ];
    let at = option::weighted(0.6, FIRST..LAST);
    (0..6u64, kind, 0..50i64, at).prop_map(|(id, kind, amount, at)| Happened {
        id,
        kind,
        amount,
        at,
    })
}

fn account() -> impl Strategy<Value = Account> {
    let status = select(vec![
        StandingStatus::Pending,
        StandingStatus::Pending,
        StandingStatus::Settled,
        StandingStatus::Voided,
        StandingStatus::Expired,
        StandingStatus::Declined,
        StandingStatus::Closed,
    ]);
    let held = prop_oneof![2 => Just(0i64), 2 => 1..60i64];
    let sum = || option::weighted(0.4, prop_oneof![2 => Just(0i64), 1 => 1..60i64]);
    let made_at = option::weighted(0.6, 0..6i64);
    let sums = (held, sum(), sum());
    (status, 0..4u32, 0..2u32, 0..4u32, sums, made_at).prop_map(
        |(status, asks, fewer, others, (held, posted, refunded), made_at)| Account {
            made_at,
            status,
            asks,
            approvals: asks.saturating_sub(fewer),
            others,
            held,
            posted,
            refunded,
        },
    )
}

/// The steps that an account counts, by their names.
fn named(account: &Account) -> impl Iterator<Item = Happened> + use<> {
    let Account {
        asks, approvals, ..
    } = *account;
    (0..asks).map(move |step| Happened {
        id: u64::from(step),
        kind: if step < approvals {
            MovementKind::Authorized
        } else {
            MovementKind::Declined
        },
        amount: 10,
        at: None,
    })
}

/// One movement, as often as not; else an account, with or without the movements that it lists and the steps that it counts.
fn report() -> impl Strategy<Value = Report> {
    let happened = prop_oneof![3 => vec(happened(), 1..2), 2 => vec(happened(), 0..4)];
    let on_reversal = select(vec![
        OnReversal::GiveBack,
        OnReversal::KeepLock,
        OnReversal::KeepUse,
        OnReversal::KeepUse,
    ]);
    (
        0..AUTHORIZATIONS,
        option::weighted(0.04, 0..CARDS),
        happened,
        option::weighted(0.25, account()),
        option::of(merchant()),
        any::<bool>(),
        on_reversal,
        any::<bool>(),
    )
        .prop_map(
            |(
                authorization,
                card,
                mut happened,
                account,
                merchant,
                refunds_restore,
                on_reversal,
                names,
            )| {
                happened.extend(account.iter().filter(|_| names).flat_map(named));
                Report {
                    authorization,
                    card: card.unwrap_or(authorization % CARDS),
                    happened,
                    account,
                    mcc: merchant.map(|it| mcc_of(it.weak)),
                    merchant,
                    refunds_restore,
                    on_reversal,
                }
            },
        )
}

/// Mostly a little forward; sometimes over windows and spans, sometimes back.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => -5_000..200_000i64,
        3 => MINUTE..4 * HOUR,
        2 => HOUR..30 * HOUR,
        1 => DAY..9 * DAY,
        1 => 25 * DAY..35 * DAY,
        2 => -4 * HOUR..-MINUTE,
        1 => -3 * DAY..-HOUR,
    ]
}

fn heard() -> impl Strategy<Value = Heard> {
    let index = any::<Index>;
    prop_oneof![
        15 => report().prop_map(Heard::Report),
        6 => (index(), report()).prop_map(|(it, report)| Heard::ReportOn(it, report)),
        7 => (report(), any::<bool>()).prop_map(|(it, reversed)| Heard::Undo(it, reversed)),
        4 => index().prop_map(Heard::ReportAgain),
        2 => (prop_oneof![1 => 0..HOUR, 1 => 0..4 * DAY], any::<bool>())
            .prop_map(|(back, is_usual)| Heard::Lapse(back, is_usual)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let index = any::<Index>;
    let status = || prop_oneof![4 => Just(0u8), 2 => Just(1), 1 => Just(2)];
    prop_oneof![
        24 => ask().prop_map(Command::Ask),
        5 => index().prop_map(Command::Again),
        14 => (index(), 6..12u64, 1..30i64).prop_map(|(it, content, amount)| {
            Command::Increment(it, content, amount)
        }),
        4 => index().prop_map(Command::Overrule),
        5 => Just(Command::OverruleLast),
        1 => (0..CARDS, option::of(status()), option::of(prop::bool::weighted(0.3)))
            .prop_map(|(card, status, frozen)| Command::SetCard(card, status, frozen)),
        1 => (0..CARDS, prop::bool::weighted(0.4), any::<bool>())
            .prop_map(|(card, frozen, risk)| Command::Freeze(card, frozen, risk)),
        1 => (0..AGENTS, prop_oneof![3 => Just(0u8), 1 => 1..3u8])
            .prop_map(|(agent, status)| Command::SetAgent(agent, status)),
        1 => prop_oneof![3 => Just(false), 1 => Just(true)].prop_map(Command::SetCustomer),
        3 => declare().prop_map(Command::Declare),
        7 => (declare(), ask()).prop_map(|(declare, ask)| Command::Intend(declare, ask)),
        2 => (0..INTENTS, prop_oneof![3 => Just(0u8), 1 => 1..3u8])
            .prop_map(|(intent, verdict)| Command::Settle(intent, verdict)),
        2 => (0..CARDS).prop_map(Command::Attest),
        2 => (0..CARDS, card_policy())
            .prop_map(|(card, policy)| Command::CardPolicy(card, policy)),
        1 => (0..AGENTS, limits()).prop_map(|(agent, it)| Command::AgentLimits(agent, it)),
        1 => limits().prop_map(Command::CustomerLimits),
        2 => (0..3u8, 0..3usize, 5..80i64)
            .prop_map(|(level, span, limit)| Command::Span(level, span, limit)),
        1 => (0..ZONES.len()).prop_map(Command::Zone),
        5 => clock().prop_map(Command::Clock),
        2 => prop_oneof![1 => 0..HOUR, 1 => 0..40 * DAY].prop_map(Command::Sweep),
        34 => heard().prop_map(Command::Hear),
        5 => (0..CARDS, 0..EARMARKS, 1..90i64)
            .prop_map(|(card, n, amount)| Command::Earmark(card, n, amount)),
        12 => (index(), option::weighted(0.9, ask()))
            .prop_map(|(it, ask)| Command::Backed(it, ask)),
        1 => Just(Command::Checkpoint),
    ]
}

/// A world and what happens in it.
pub(crate) fn case() -> BoxedStrategy<Case> {
    (FIRST..LAST, policy(), vec(command(), 40..90))
        .prop_map(|(now, policy, commands)| Case {
            now,
            policy,
            commands,
        })
        .boxed()
}

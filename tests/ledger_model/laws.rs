//! Laws that hold in every state, whatever the rules are.

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::Key;
use countersign::domain::claims::MerchantKeys;
use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::window::{LocalDay, LocalHour, WindowKind};
use countersign::ledger::command::Novelty;
use countersign::ledger::counters::Counters;
use countersign::ledger::rolling::Rolling;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::commands::{
    AGENTS, Ask, CARDS, CardPolicy, Case, Limits, Past, Policy, ask, case, limits,
};
use crate::lockstep::Lockstep;

const CASES: u32 = 128;

/// Sums, counts and trailing sums of one scope, in the windows of one day and hour.
type Amounts = (Vec<(i64, i64)>, [u32; 3], [Option<i64>; 3]);
/// Whether a card is consumed, its lock, its probe, its latest approval, its open intents.
type Marks = (
    bool,
    Option<MerchantKeys>,
    Option<u64>,
    Option<i64>,
    Vec<Key>,
);

#[derive(Debug, PartialEq)]
struct View {
    amounts: Vec<Amounts>,
    marks: Vec<Marks>,
}

/// What a state comes to in the windows of one day and hour.
fn view(lockstep: &Lockstep, day: LocalDay, hour: LocalHour) -> View {
    let state = &lockstep.state;
    let amounts = |counters: Counters, rolling: Option<&Rolling>| -> Amounts {
        let windows = WindowKind::ALL.map(|kind| counters.window(kind, day));
        let sums = windows.into_iter().chain([counters.total()]);
        let counts = [
            counters.count_of_hour(hour),
            counters.count_of_day(day),
            counters.approvals(),
        ];
        let series = |kind| rolling.and_then(|it: &Rolling| it.series(kind));
        let spent = |kind| series(kind).map(|it| it.spent(lockstep.booked_at()).get());
        (
            sums.map(|sum| (sum.spent.get(), sum.held.get())).collect(),
            counts,
            WindowKind::ALL.map(spent),
        )
    };
    let mut all = vec![amounts(state.counters, state.rolling.as_deref())];
    for agent in (0..AGENTS).filter_map(|n| lockstep.agent(n)) {
        all.push(amounts(agent.counters, agent.rolling.as_deref()));
    }
    let mut marks = Vec::new();
    for card in (0..CARDS).filter_map(|n| lockstep.card(n)) {
        all.push(amounts(card.counters, card.rolling.as_deref()));
        marks.push((
            card.consumed.is_some(),
            card.lock.as_ref().map(|lock| lock.keys),
            card.probe(),
            card.recent.last().map(|at| at.micros()),
            card.open_intents().to_vec(),
        ));
    }
    View {
        amounts: all,
        marks,
    }
}

fn after(case: &Case) -> Lockstep {
    let mut lockstep = Lockstep::new(case);
    case.commands.iter().for_each(|it| lockstep.step(it));
    lockstep
}

fn approved(decision: Decision, asked: i64) -> i64 {
    match decision {
        Decision::Approve => asked,
        Decision::ApprovePartial(part) => part.get(),
        Decision::Decline(_) => 0,
    }
}

/// A question that nobody asked before.
fn fresh(ask: &Ask, authorization: u8) -> Ask {
    Ask {
        authorization,
        ..ask.clone()
    }
}

fn lowered(limit: Option<i64>, by: i64) -> Option<i64> {
    Some(limit.map_or(200, |limit| (limit - by).max(0)))
}

/// Every limit that stands lower, and one where there was none.
fn lower(limits: &mut Limits, by: i64, which: usize) {
    limits.sums[which % 4] = lowered(limits.sums[which % 4], by);
    limits.spans[which % 3] = lowered(limits.spans[which % 3], by);
    let count = &mut limits.counts[which % 3];
    *count = Some(count.map_or(20, |count| count.saturating_sub(1)));
    let (window, count) = limits.period.unwrap_or((which % 3, 21));
    limits.period = Some((window, count.saturating_sub(1)));
}

/// No limit and no rule, so that every purchase is approved.
fn open_policy(policy: &Policy) -> Policy {
    let card = |card: &CardPolicy| CardPolicy {
        in_snapshot: true,
        agent: card.agent,
        standing: None,
        single_use: false,
        lock: false,
        preset: None,
        per_auth: None,
        limits: Limits::default(),
        past: Past::default(),
    };
    Policy {
        cards: policy.cards.iter().map(card).collect(),
        agents: policy.agents.iter().map(|_| Limits::default()).collect(),
        customer: Limits {
            spans: [Some((1 << 53) - 1); 3],
            ..Limits::default()
        },
        held_max: None,
        zone: policy.zone,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    })]

    #[test]
    fn retry_is_idempotent(case in case(), asked in ask()) {
        let mut lockstep = after(&case);
        let first = lockstep.asked(&asked);
        let image = lockstep.image();
        let again = lockstep.asked(&asked);
        prop_assert_eq!(first.decision, again.decision);
        prop_assert!(again.novelty != Novelty::New);
        prop_assert!(lockstep.image() == image);
    }

    #[test]
    fn reserve_then_release_is_identity(case in case(), asked in ask()) {
        let mut lockstep = after(&case);
        // Opens what has to be opened: card, agent, trailing sums.
        lockstep.asked(&fresh(&asked, 199));
        lockstep.taken_back_last();
        let before = after(&case);
        let first = lockstep.asked(&fresh(&asked, 200));
        let (day, hour) = (lockstep.state.day, lockstep.state.hour);
        if first.decision.is_approval() {
            lockstep.taken_back_last();
        }
        let once = view(&lockstep, day, hour);
        if before.card(asked.card).is_some() {
            prop_assert_eq!(&view(&before, day, hour).marks, &once.marks);
        }
        let second = lockstep.asked(&fresh(&asked, 201));
        prop_assert_eq!(first.decision, second.decision);
        if second.decision.is_approval() {
            lockstep.taken_back_last();
        }
        prop_assert_eq!(view(&lockstep, day, hour), once);
    }

    #[test]
    fn lower_cap_never_approves_more(
        case in case(),
        asked in ask(),
        by in 0..60i64,
        which in 0..12usize,
    ) {
        let lockstep = after(&case);
        let asked = fresh(&asked, 200);
        let mut policy = lockstep.policy.clone();
        let before = lockstep.dry(&asked, &policy).decision;
        policy.cards.iter_mut().for_each(|it| lower(&mut it.limits, by, which));
        policy.agents.iter_mut().for_each(|it| lower(it, by, which / 2));
        lower(&mut policy.customer, by, which / 3);
        for card in &mut policy.cards {
            card.per_auth = lowered(card.per_auth, by);
        }
        let tightened = lockstep.dry(&asked, &policy).decision;
        if asked.kind != AuthorizationKind::Credit {
            prop_assert!(!tightened.is_approval() || before.is_approval());
        }
        prop_assert!(approved(tightened, asked.amount) <= approved(before, asked.amount));
    }

    #[test]
    fn adding_a_refusal_never_approves(case in case(), asked in ask(), which in 0..4u8) {
        let lockstep = after(&case);
        let mut asked = fresh(&asked, 200);
        let mut policy = lockstep.policy.clone();
        match which {
            0 => asked.rule = Some(DeclineReason::MccBlocked),
            1 => asked.expired = true,
            2 => asked.closed = true,
            _ => {
                let card = &mut policy.cards[usize::from(asked.card)];
                card.standing = Some(DeclineReason::CustomerSuspended);
            }
        }
        let credit = asked.kind == AuthorizationKind::Credit;
        let decision = lockstep.dry(&asked, &policy).decision;
        prop_assert!(credit || !decision.is_approval(), "{decision:?}");
    }

    #[test]
    fn order_and_duplicate_independent(
        case in case(),
        asks in vec(ask(), 1..7),
        order in vec(any::<Index>(), 0..20),
        spans in limits(),
    ) {
        let mut policy = open_policy(&case.policy);
        policy.agents.iter_mut().for_each(|it| it.spans = spans.spans.map(|_| Some(1 << 40)));
        let asks: Vec<Ask> = (0..).zip(asks).map(|(n, ask)| Ask {
            amount: ask.amount.min(1_000),
            rule: None,
            expired: false,
            closed: false,
            ..fresh(&ask, n)
        }).collect();
        let case = Case { policy, commands: Vec::new(), ..case };
        let (mut forwards, mut mixed) = (Lockstep::new(&case), Lockstep::new(&case));
        for ask in &asks {
            prop_assert!(forwards.asked(ask).decision.is_approval());
        }
        // Any of them, any number of times, and in the end all of them.
        let picked = order.iter().map(|index| &asks[index.index(asks.len())]);
        for ask in picked.chain(asks.iter().rev()) {
            prop_assert!(mixed.asked(ask).decision.is_approval());
        }
        let (day, hour) = (forwards.state.day, forwards.state.hour);
        let amounts = |it: &Lockstep| {
            let cards = (0..CARDS).map(|n| it.card(n).map(|card| card.counters));
            let agents = (0..AGENTS).map(|n| it.agent(n).map(|agent| agent.counters));
            (cards.collect::<Vec<_>>(), agents.collect::<Vec<_>>(), it.state.counters)
        };
        prop_assert_eq!(amounts(&forwards), amounts(&mixed));
        let whole = |it: &Lockstep| view(it, day, hour).amounts.remove(0);
        prop_assert_eq!(whole(&forwards), whole(&mixed));
    }
}

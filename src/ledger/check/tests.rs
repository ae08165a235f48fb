//! The atomic step: order of reasons, all or nothing, identity, and what takes an approval back.

use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level};
use crate::domain::claims::{IntentRule, PresetLock, ScopeLimits};
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::RuleField;
use crate::domain::window::{LocalDay, WindowKind};
use crate::ledger::check::harness::{
    Ask, Ledger, TODAY, authorization_key, card_key, limits, merchant, minor,
};
use crate::ledger::command::{Answer, Novelty, Refused};
use crate::ledger::event::{Event, events_of};

mod books;
mod cards;
mod counts;
mod disputes;
mod earmarks;
mod intents;
mod orders;
mod reports;
mod shadow;
mod spans;
mod undone;
mod windows;

use DeclineReason::{
    AgentLimitExceeded, AgentSuspended, AmountOverPerAuth, AttestationRequired, CardCanceled,
    CardExpired, CardFrozenByRisk, CardLimitExceeded, CardLocked, CardUnknown,
    ConflictingDuplicate, CooldownActive, CountLimitReached, CurrencyNotSupported,
    CustomerLimitExceeded, CustomerSuspended, DeadlineExceeded, IntentRequired, MccBlocked,
    MerchantLockMismatch, OutsideActiveHours, RiskScoreTooHigh, SingleUseConsumed,
};

// ---- 2.10: the order of reasons ----

/// A ledger in which authorization 1 spent 60 at merchant 1 on card 1, which it consumed and locked.
fn used() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).single_use().locking());
    ledger
}

/// What makes one reason apply to a question on a used card.
type Cause = fn(&mut Ledger, &mut Ask);

/// Every reason that the ledger can find itself or is told, in the order of its number.
const CAUSES: [(DeclineReason, Cause); 20] = [
    (CardUnknown, |_, ask| ask.known = (true, false)),
    (CardCanceled, |ledger, _| {
        ledger
            .set_card(1, Some(CardStatus::Canceled), None)
            .unwrap();
    }),
    (CardLocked, |ledger, _| {
        // Refused where the card is canceled already.
        ledger.set_card(1, Some(CardStatus::Locked), None).ok();
    }),
    (CardExpired, |_, ask| ask.expired = Some(CardExpired)),
    (AgentSuspended, |ledger, _| {
        ledger.set_agent(1, AgentStatus::Paused);
    }),
    (CustomerSuspended, |_, ask| {
        ask.standing = Some(CustomerSuspended);
    }),
    (CardFrozenByRisk, |ledger, _| {
        ledger.set_card(1, None, Some(true)).unwrap();
    }),
    (MccBlocked, |_, ask| ask.rule = Some(MccBlocked)),
    (OutsideActiveHours, |_, ask| {
        ask.hours = Some(OutsideActiveHours);
    }),
    // Of reasons 8 to 14, 16 and 17 `decide` sends the first.
    (RiskScoreTooHigh, |_, ask| {
        ask.rule = ask.rule.or(Some(RiskScoreTooHigh));
    }),
    (AmountOverPerAuth, |_, ask| {
        ask.claims.per_auth = Some((minor(39), Level::Customer));
    }),
    (AttestationRequired, |_, ask| {
        ask.claims.rules.attestation_us = Some((1, Level::Card));
    }),
    (IntentRequired, |_, ask| {
        ask.claims.rules.intent = Some(IntentRule {
            level: Level::Card,
            requires_approval: false,
            auto_approve_below: None,
            flags_mismatch: false,
        });
    }),
    (SingleUseConsumed, |_, ask| ask.claims.single_use = true),
    (MerchantLockMismatch, |_, ask| {
        ask.claims.lock_to_first_merchant = Some(Level::Agent);
        ask.claims.merchant = merchant(2);
    }),
    (CooldownActive, |_, ask| {
        ask.claims.rules.cooldown_us = Some((1, Level::Customer));
    }),
    (CountLimitReached, |_, ask| {
        ask.claims.limits[1].count_total = Some(1);
    }),
    (CardLimitExceeded, |_, ask| {
        ask.claims.limits[0].per_day = Some(minor(99));
    }),
    (AgentLimitExceeded, |_, ask| {
        ask.claims.limits[1].rolling_week = Some(minor(99));
    }),
    (CustomerLimitExceeded, |_, ask| {
        ask.claims.limits[2].total = Some(minor(99));
    }),
];

#[test]
fn each_stateful_reason_declines_alone_and_nothing_declines_without_one() {
    assert_eq!(used().reason(&Ask::new(2, 40)), None);
    assert!(CAUSES.is_sorted_by_key(|(reason, _)| reason.number()));
    for (reason, cause) in CAUSES {
        let (mut ledger, mut ask) = (used(), Ask::new(2, 40));
        cause(&mut ledger, &mut ask);
        assert_eq!(ledger.reason(&ask), Some(reason));
        let sums = ledger.all_sums();
        ledger.ask(&ask);
        assert_eq!(ledger.all_sums(), sums, "{reason:?} reserves nothing");
    }
}

#[test]
fn of_two_reasons_the_one_with_the_smaller_number_declines() {
    for (at, (earlier, first)) in CAUSES.into_iter().enumerate() {
        for (_, second) in &CAUSES[at + 1..] {
            for causes in [[first, *second], [*second, first]] {
                let (mut ledger, mut ask) = (used(), Ask::new(2, 40));
                causes.iter().for_each(|cause| cause(&mut ledger, &mut ask));
                assert_eq!(ledger.reason(&ask), Some(earlier));
            }
        }
    }
}

#[test]
fn a7_status_and_identity_outrank_a_stateless_proposal() {
    let mut ledger = used();
    ledger.set_card(1, Some(CardStatus::Locked), None).unwrap();
    let ask = Ask::new(2, 40).with(|it| it.rule = Some(MccBlocked));
    assert_eq!(ledger.reason(&ask), Some(CardLocked));
    // The first decision stands whatever the rules, the status and the limits say by then.
    let again = Ask::new(1, 60)
        .with(|it| it.rule = Some(MccBlocked))
        .with(|it| it.standing = Some(CardCanceled))
        .with(|it| it.claims.limits = [limits(Some(0), Some(0)); 3])
        .capped(1)
        .single_use()
        .at_merchant(2)
        .locking();
    let sums = ledger.all_sums();
    let answer = ledger.ask(&again);
    assert_eq!(
        (answer.decision, answer.novelty, answer.position),
        (Decision::Approve, Novelty::Known, 10)
    );
    // Even a card that has left the snapshot, and the ledger's reach, answers as before.
    for known in [(true, false), (false, false)] {
        let answer = ledger.ask(&again.clone().with(|it| it.known = known));
        assert_eq!(answer.decision, Decision::Approve);
    }
    assert_eq!(ledger.all_sums(), sums);
}

#[test]
fn the_stricter_of_snapshot_and_operators_word_stands() {
    let mut ledger = used();
    ledger.set_card(1, Some(CardStatus::Locked), None).unwrap();
    let told = |standing| Ask::new(2, 1).with(|it| it.standing = Some(standing));
    assert_eq!(ledger.reason(&told(CardCanceled)), Some(CardCanceled));
    assert_eq!(ledger.reason(&told(CardFrozenByRisk)), Some(CardLocked));
    ledger.set_card(1, Some(CardStatus::Active), None).unwrap();
    assert_eq!(ledger.reason(&told(CardLocked)), Some(CardLocked));
    assert_eq!(ledger.reason(&Ask::new(2, 1)), None);
}

#[test]
fn a_canceled_card_stays_canceled_and_a_repeated_change_is_no_event() {
    let mut ledger = Ledger::new();
    assert_eq!(
        ledger.set_card(1, Some(CardStatus::Active), None),
        Ok(false)
    );
    assert_eq!(ledger.set_card(1, None, Some(true)), Ok(true));
    assert_eq!(ledger.set_card(1, None, Some(true)), Ok(false));
    assert_eq!(
        ledger.set_card(1, Some(CardStatus::Canceled), None),
        Ok(true)
    );
    assert!(ledger.card(1).frozen);
    for status in [CardStatus::Active, CardStatus::Locked] {
        assert_eq!(ledger.set_card(1, Some(status), None), Err(Refused));
    }
    assert_eq!(ledger.set_card(1, None, Some(false)), Ok(true));
    assert_eq!(ledger.card(1).status, CardStatus::Canceled);
    assert!(!ledger.set_customer(CustomerStatus::Active));
    assert!(ledger.set_customer(CustomerStatus::Suspended));
    assert!(!ledger.set_customer(CustomerStatus::Suspended));
    assert!(!ledger.set_agent(1, AgentStatus::Active));
    assert!(ledger.set_agent(1, AgentStatus::Disabled));
    assert!(!ledger.set_agent(1, AgentStatus::Disabled));
    assert_eq!(ledger.reason(&Ask::new(1, 1)), Some(CardCanceled));
}

#[test]
fn a_card_that_nobody_knows_is_declined_and_keeps_that_decision() {
    let mut ledger = Ledger::new();
    let unknown = Ask::new(1, 5).with(|it| it.known = (false, false));
    assert_eq!(ledger.decline(&unknown).reason, CardUnknown);
    assert_eq!(ledger.decline(&unknown.clone().step(2)).reason, CardUnknown);
    // Published since: the declined step stays declined.
    let answer = ledger.ask(&Ask::new(1, 5));
    assert_eq!(answer.decision, Decision::Decline(CardUnknown));
    assert_eq!(answer.novelty, Novelty::Known);
    assert!(ledger.state.card_by_key(card_key(1)).is_none());
    assert_eq!(ledger.totals(), [(0, 0); 3]);
}

// ---- 2.13: limits ----

#[test]
fn a1_of_a_sequence_over_one_limit_exactly_as_many_pass_as_there_is_room_for() {
    for level in Level::ALL {
        for room in [1, 4, 63] {
            let mut ledger = Ledger::new();
            let cap = limits(None, Some(room * 25 + 24));
            let approved = (0..64)
                .filter(|n| {
                    let ask = Ask::new(*n, 25).limited(level, cap);
                    ledger.ask(&ask).decision.is_approval()
                })
                .count();
            assert_eq!(i64::try_from(approved), Ok(room), "{level:?}");
        }
    }
}

#[test]
fn a2_a_single_use_card_approves_one_of_a_thousand() {
    let mut ledger = Ledger::new();
    let approved = (0..1_000).filter(|n| {
        let ask = Ask::new(*n, 1).single_use();
        let decision = ledger.ask(&ask).decision;
        let consumed = decision == Decision::Decline(SingleUseConsumed);
        assert!(consumed || decision == Decision::Approve);
        !consumed
    });
    assert_eq!(approved.count(), 1);
}

const FIELDS: [RuleField; 4] = [
    RuleField::PerDay,
    RuleField::PerWeek,
    RuleField::PerMonth,
    RuleField::Total,
];

fn one_limit(field: RuleField, limit: i64) -> ScopeLimits {
    let limit = |of| (of == field).then(|| minor(limit));
    ScopeLimits {
        per_day: limit(RuleField::PerDay),
        per_week: limit(RuleField::PerWeek),
        per_month: limit(RuleField::PerMonth),
        total: limit(RuleField::Total),
        ..ScopeLimits::default()
    }
}

fn merge(limits: &mut ScopeLimits, more: ScopeLimits) {
    limits.per_day = limits.per_day.or(more.per_day);
    limits.per_week = limits.per_week.or(more.per_week);
    limits.per_month = limits.per_month.or(more.per_month);
    limits.total = limits.total.or(more.total);
}

#[test]
fn a3_every_subset_of_limits_that_fails_leaves_all_sums_alone_and_names_the_first() {
    let places: Vec<(usize, RuleField)> = (0..3)
        .flat_map(|level| FIELDS.map(|field| (level, field)))
        .collect();
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    let sums = ledger.all_sums();
    for failing in 0..1u32 << places.len() {
        let fails = |at: usize| failing >> at & 1 == 1;
        let mut ask = Ask::new(2, 40);
        for (at, (level, field)) in places.iter().enumerate() {
            let limit = if fails(at) { 99 } else { 100 };
            merge(&mut ask.claims.limits[*level], one_limit(*field, limit));
        }
        let answer = ledger.dry(&ask);
        let Some(first) = (0..places.len()).find(|at| fails(*at)) else {
            assert_eq!(answer.decision, Decision::Approve);
            continue;
        };
        let (level, field) = places[first];
        let explanation = answer.explanation.unwrap();
        assert_eq!(explanation.level, Some(Level::ALL[level]));
        assert_eq!(explanation.field, field);
        assert_eq!(explanation.observed, Some(40));
        assert_eq!(
            (explanation.limit, explanation.remaining),
            (Some(99), Some(39))
        );
        let window = usize::from(field as u8 - RuleField::PerDay as u8);
        let resets_at = ask.claims.resets_at.get(window).copied();
        assert_eq!(explanation.resets_at, resets_at);
        if failing.count_ones() <= 2 {
            let authorization = 100 + failing;
            ledger.ask(&ask.with(|it| it.authorization = authorization));
            assert_eq!(ledger.all_sums(), sums, "{failing:b}");
        }
    }
}

#[test]
fn a9_equal_to_the_limit_passes_and_one_minor_unit_more_does_not() {
    let max = Minor::MAX.get();
    for level in Level::ALL {
        for field in FIELDS {
            for (limit, first) in [(1, 0), (100, 60), (max, 0), (max, max - 1)] {
                let mut ledger = Ledger::new();
                if first > 0 {
                    ledger.approve(&Ask::new(1, first));
                }
                let ask = |amount| Ask::new(2, amount).limited(level, one_limit(field, limit));
                assert_eq!(ledger.reason(&ask(limit - first)), None);
                if limit - first < max {
                    assert!(ledger.reason(&ask(limit - first + 1)).is_some());
                }
                ledger.approve(&ask(limit - first));
                assert!(ledger.reason(&ask(1).step(2)).is_some());
            }
        }
    }
    // The cap on one authorization, on its first step and on an increment.
    let mut ledger = Ledger::new();
    assert_eq!(
        ledger.reason(&Ask::new(1, 101).capped(100)),
        Some(AmountOverPerAuth)
    );
    ledger.approve(&Ask::new(1, 60).capped(100));
    let more = |amount| Ask::new(1, amount).step(2).capped(100);
    assert_eq!(ledger.reason(&more(41)), Some(AmountOverPerAuth));
    ledger.approve(&more(40));
}

#[test]
fn a8_a_limit_lowered_below_what_is_spent_declines_and_shows_no_room() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    let lowered = limits(Some(10), None);
    let explanation = ledger.decline(&Ask::new(2, 1).limited(Level::Card, lowered));
    assert_eq!(
        (explanation.limit, explanation.remaining),
        (Some(10), Some(0))
    );
    let explanation = ledger.decline(&Ask::new(1, 1).step(2).capped(10));
    assert_eq!(explanation.reason, AmountOverPerAuth);
    assert_eq!(
        (explanation.observed, explanation.remaining),
        (Some(61), Some(0))
    );
    assert_eq!(ledger.totals(), [(60, 60); 3]);
}

#[test]
fn limits_count_over_all_cards_of_an_agent_and_all_agents_of_a_customer() {
    let cap = |level| move |ask: Ask| ask.limited(level, limits(None, Some(100)));
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).on_card(1, Some(1)));
    let other_card = Ask::new(2, 41).on_card(2, Some(1));
    let other_agent = Ask::new(2, 41).on_card(2, Some(2));
    let no_agent = Ask::new(2, 41).on_card(2, None);
    for ask in [&other_card, &other_agent, &no_agent] {
        assert_eq!(ledger.reason(&cap(Level::Card)(ask.clone())), None);
        let customer = cap(Level::Customer)(ask.clone());
        assert_eq!(ledger.reason(&customer), Some(CustomerLimitExceeded));
    }
    let agent = cap(Level::Agent);
    assert_eq!(ledger.reason(&agent(other_card)), Some(AgentLimitExceeded));
    assert_eq!(ledger.reason(&agent(other_agent)), None);
    assert_eq!(ledger.reason(&agent(no_agent)), None);
}

#[test]
fn a_card_that_moves_to_another_agent_takes_no_spending_along() {
    let mut ledger = Ledger::new();
    let first = ledger.approve(&Ask::new(1, 60).on_card(1, Some(1)));
    ledger.approve(&Ask::new(1, 5).step(2).on_card(1, Some(2)));
    assert_eq!(ledger.agent(1).counters.total().spent, minor(60));
    assert_eq!(ledger.agent(2).counters.total().spent, minor(5));
    assert!(ledger.overrule(1, first));
    assert_eq!(ledger.agent(1).counters.total().spent, Minor::ZERO);
    assert_eq!(ledger.agent(2).counters.total().spent, minor(5));
    assert_eq!(ledger.card(1).counters.total().spent, minor(5));
}

// ---- 2.13 a, 2.14 h: increments ----

#[test]
fn i8_the_cap_covers_all_steps_and_a_declined_increment_leaves_the_first_hold() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).capped(100));
    let explanation = ledger.decline(&Ask::new(1, 41).step(2).capped(100));
    assert_eq!(explanation.reason, AmountOverPerAuth);
    assert_eq!(explanation.observed, Some(101));
    assert_eq!(
        (explanation.limit, explanation.remaining),
        (Some(100), Some(40))
    );
    assert_eq!(ledger.totals(), [(60, 60); 3]);
    // Neither the declined step nor an overruled one counts against the cap.
    let third = ledger.approve(&Ask::new(1, 40).step(3).capped(100));
    assert!(ledger.overrule(1, third));
    ledger.approve(&Ask::new(1, 40).step(4).capped(100));
    assert_eq!(ledger.totals(), [(100, 100); 3]);
}

#[test]
fn an_increment_skips_single_use_but_obeys_windows_and_status() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).single_use());
    let more = |content| Ask::new(1, 40).step(content).single_use();
    assert_eq!(
        ledger.reason(&Ask::new(2, 1).single_use()),
        Some(SingleUseConsumed)
    );
    for level in Level::ALL {
        let tight = more(2).limited(level, limits(Some(99), None));
        assert!(ledger.reason(&tight).is_some());
    }
    ledger.approve(&more(2));
    ledger.set_card(1, Some(CardStatus::Locked), None).unwrap();
    assert_eq!(ledger.reason(&more(3)), Some(CardLocked));
}

#[test]
fn an_increment_after_midnight_is_charged_to_the_new_day() {
    let mut ledger = Ledger::new();
    let daily = |ask: Ask| ask.limited(Level::Card, limits(Some(60), None));
    ledger.approve(&daily(Ask::new(1, 60)));
    assert_eq!(
        ledger.reason(&daily(Ask::new(1, 1).step(2))),
        Some(CardLimitExceeded)
    );
    ledger.approve(&daily(Ask::new(1, 60).step(2).on_day(TODAY + 1)));
    let window = |day| {
        let counters = &ledger.card(1).counters;
        counters.window(WindowKind::Day, LocalDay(day)).spent
    };
    assert_eq!(window(TODAY + 1), minor(60));
}

// ---- 2.14 b, i: what reserves nothing ----

#[test]
fn a_zero_amount_reserves_consumes_and_locks_nothing() {
    let mut ledger = Ledger::new();
    let strict = |ask: Ask| {
        let none = limits(Some(0), Some(0));
        ask.single_use()
            .locking()
            .with(|it| it.claims.limits = [none; 3])
    };
    ledger.approve(&strict(Ask::new(1, 0)));
    ledger.approve(&strict(Ask::new(2, 0)).at_merchant(2));
    assert_eq!(ledger.totals(), [(0, 0); 3]);
    assert_eq!(ledger.card(1).consumed, None);
    assert_eq!(ledger.card(1).lock, None);
    assert_eq!(ledger.state.day, LocalDay(i32::MIN));
    // It reads what others consumed and locked, though.
    ledger.approve(&Ask::new(3, 9).single_use().locking());
    let zero = Ask::new(4, 0);
    assert_eq!(
        ledger.reason(&zero.clone().single_use()),
        Some(SingleUseConsumed)
    );
    let elsewhere = zero.clone().locking().at_merchant(2);
    assert_eq!(ledger.reason(&elsewhere), Some(MerchantLockMismatch));
    assert_eq!(ledger.reason(&zero.locking()), None);
}

/// A zero-amount verification, a balance inquiry or a credit is no purchase that a later step
/// could be an increment of.
#[test]
fn a2_a_step_after_one_that_reserved_nothing_is_no_increment() {
    let nothings = [
        Ask::new(1, 0).single_use(),
        Ask::new(1, 0).of_kind(AuthorizationKind::BalanceInquiry),
        Ask::new(1, 9).of_kind(AuthorizationKind::Credit),
    ];
    for nothing in nothings {
        let mut ledger = Ledger::new();
        ledger.approve(&nothing);
        // Under the same authorization the purchase consumes and locks the card ...
        let position = ledger.approve(&Ask::new(1, 50).step(2).single_use().locking());
        assert!(ledger.card(1).consumed.is_some() && ledger.card(1).lock.is_some());
        assert_eq!(
            ledger.reason(&Ask::new(2, 50).single_use()),
            Some(SingleUseConsumed)
        );
        // ... gives both back when it is taken back ...
        assert!(ledger.overrule(1, position));
        assert!(ledger.card(1).consumed.is_none() && ledger.card(1).lock.is_none());
        // ... and is refused where another authorization was first.
        ledger.approve(&Ask::new(2, 50).single_use());
        let late = Ask::new(1, 50).step(3).single_use();
        assert_eq!(ledger.reason(&late), Some(SingleUseConsumed));
    }
}

#[test]
fn a_credit_is_approved_in_any_status_and_gives_and_takes_no_room() {
    let mut ledger = used();
    ledger
        .set_card(1, Some(CardStatus::Canceled), Some(true))
        .unwrap();
    ledger.set_agent(1, AgentStatus::Disabled);
    let totals = ledger.totals();
    let credit = Ask::new(2, 500)
        .of_kind(AuthorizationKind::Credit)
        .with(|it| it.standing = Some(CardCanceled))
        .with(|it| it.rule = Some(MccBlocked));
    ledger.approve(&credit);
    assert_eq!(ledger.totals(), totals);
    let unknown = credit.with(|it| (it.authorization, it.known) = (3, (false, false)));
    assert_eq!(ledger.reason(&unknown), Some(CardUnknown));
}

#[test]
fn a_balance_inquiry_tells_the_smallest_room_and_reserves_nothing() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    let inquiry = Ask::new(2, 0).of_kind(AuthorizationKind::BalanceInquiry);
    assert_eq!(ledger.dry(&inquiry).available, None);
    let limited = |caps: [Option<i64>; 3]| {
        let caps = caps.map(|cap| limits(cap, None));
        inquiry.clone().with(|it| it.claims.limits = caps)
    };
    let available = |ask: &Ask| ledger.dry(ask).available.map(Minor::get);
    assert_eq!(available(&limited([Some(100), None, Some(80)])), Some(20));
    assert_eq!(available(&limited([None, Some(60), None])), Some(0));
    assert_eq!(available(&limited([Some(10), None, None])), Some(0));
    assert_eq!(
        available(&limited([Some(100), None, None]).on_day(TODAY + 1)),
        Some(100)
    );
    let asked = |n| Ask::new(n, 1).limited(Level::Card, limits(Some(100), None));
    assert_eq!(ledger.dry(&asked(3)).available, None);
    ledger.approve(&limited([Some(10), None, None]));
    // One that comes again is told what is left when it is answered.
    let inquiry = limited([Some(100), None, None]);
    let left = |ledger: &Ledger| ledger.dry(&inquiry).available.map(Minor::get);
    assert_eq!(left(&ledger), Some(40));
    let again = ledger.approve(&asked(4).with(|it| it.claims.amount.minor = minor(15)));
    assert_eq!(left(&ledger), Some(25));
    assert!(ledger.overrule(4, again));
    assert_eq!(ledger.totals(), [(60, 60); 3]);
}

// ---- 2.4: identity ----

#[test]
fn b1_b2_a_redelivery_keeps_the_first_decision_and_counts_once() {
    let mut ledger = Ledger::new();
    let limited = |ask: Ask| ask.limited(Level::Card, limits(Some(100), None));
    let approved = limited(Ask::new(1, 60)).with(|it| it.delivery = Some(7));
    let declined = limited(Ask::new(2, 60));
    let position = ledger.approve(&approved);
    ledger.decline(&declined);
    // The policy is opened wide and closed, the card is locked: nothing changes.
    let wide = limits(Some(1_000), None);
    ledger.set_card(1, Some(CardStatus::Locked), None).unwrap();
    let other_delivery = approved.clone().with(|it| it.delivery = Some(8));
    for again in [approved, other_delivery] {
        for policy in [wide, limits(Some(0), None)] {
            let answer = ledger.ask(&again.clone().limited(Level::Card, policy));
            let known = (Decision::Approve, Novelty::Known, position);
            assert_eq!((answer.decision, answer.novelty, answer.position), known);
        }
    }
    let answer = ledger.ask(&declined.limited(Level::Card, wide));
    assert_eq!(answer.decision, Decision::Decline(CardLimitExceeded));
    assert_eq!(answer.novelty, Novelty::Known);
    assert_eq!(ledger.totals(), [(60, 60); 3]);
}

#[test]
fn b4_a_known_step_with_another_content_conflicts_and_changes_nothing() {
    let named = |ask: Ask| ask.with(|it| it.name = Some(1));
    let delivered = |ask: Ask| ask.with(|it| it.delivery = Some(7));
    let mut ledger = Ledger::new();
    ledger.approve(&named(Ask::new(1, 60)));
    ledger.approve(&delivered(Ask::new(2, 5)));
    let count = ledger.state.authorization_count();
    for other in [
        named(Ask::new(1, 70).step(2)),
        delivered(Ask::new(2, 6).step(2)),
    ] {
        for _ in 0..2 {
            let Answer {
                decision, novelty, ..
            } = ledger.ask(&other);
            assert_eq!(decision, Decision::Decline(ConflictingDuplicate));
            assert_eq!(novelty, Novelty::Conflict);
        }
    }
    assert_eq!(ledger.totals(), [(65, 65); 3]);
    assert_eq!(ledger.state.authorization_count(), count);
    let first = ledger.ask(&named(Ask::new(1, 60)));
    assert_eq!(
        (first.decision, first.novelty),
        (Decision::Approve, Novelty::Known)
    );
}

#[test]
fn b4_a_conflict_names_the_step_that_it_contradicts() {
    let named = |n: u64, content| {
        let ask = Ask::new(1, 5).step(content);
        ask.with(|it| it.name = Some(n))
    };
    let mut ledger = Ledger::new();
    let is_known = |ledger: &Ledger, ask: &Ask| ledger.knows(ask);
    for n in [1, 2, 3] {
        assert!(!is_known(&ledger, &named(n, n)));
        ledger.approve(&named(n, n));
        assert!(is_known(&ledger, &named(n, n)));
    }
    for n in [1, 2, 3] {
        let other = named(n, 9);
        assert!(is_known(&ledger, &other), "it has a word on it");
        assert_eq!(ledger.ask(&other).novelty, Novelty::Conflict);
        assert_eq!(ledger.last_conflict().ordinal, u32::try_from(n).unwrap());
    }
    assert!(!is_known(&ledger, &named(4, 9)));
}

#[test]
fn the_largest_number_is_given_to_no_card() {
    let last = usize::try_from(u32::MAX).unwrap();
    assert_eq!(super::next_number(last - 1), Ok(u32::MAX - 1));
    assert_eq!(super::next_number(last), Err(Refused));
    assert_eq!(super::next_number(last + 1), Err(Refused));
}

#[test]
fn b4_another_card_under_a_known_authorization_conflicts() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    ledger.approve(&Ask::new(2, 1).on_card(2, Some(1)));
    for card in [2, 3] {
        let answer = ledger.ask(&Ask::new(1, 5).step(2).on_card(card, Some(1)));
        assert_eq!(answer.novelty, Novelty::Conflict);
        assert_eq!(answer.decision, Decision::Decline(ConflictingDuplicate));
    }
    assert_eq!(ledger.totals(), [(60, 60), (61, 61), (61, 61)]);
}

#[test]
fn b3_a_new_step_is_decided_on_its_own_after_a_decline() {
    let mut ledger = Ledger::new();
    ledger.decline(&Ask::new(1, 60).with(|it| it.rule = Some(MccBlocked)));
    ledger.approve(&Ask::new(1, 50).step(2));
    assert_eq!(ledger.totals(), [(50, 50); 3]);
}

/// Declined while nobody knew the card; the card is published; the issuer asks again with another
/// step. That authorization never had a card which this one could contradict.
#[test]
fn a_new_step_on_a_card_that_was_unknown_is_decided_and_not_a_conflict() {
    for known in [(false, false), (true, false)] {
        let mut ledger = Ledger::new();
        let unknown = Ask::new(1, 60).with(|it| it.known = known);
        assert_eq!(ledger.decline(&unknown).reason, CardUnknown);
        ledger.approve(&Ask::new(1, 60).step(2));
        let elsewhere = ledger.ask(&Ask::new(1, 60).step(3).on_card(2, None));
        assert_eq!(elsewhere.novelty, Novelty::Conflict);
    }
}

/// A message may be like two stored steps at once: its name decides, then its content, and the
/// delivery that brought it only where neither is known. The order of the steps decides nothing.
#[test]
fn b4_a_step_is_recognised_the_same_way_whatever_the_order_of_the_stored_ones() {
    let step = |name, delivery, content| {
        Ask::new(1, 5).with(|it| (it.name, it.delivery, it.content) = (name, delivery, content))
    };
    let stored = [
        step(Some(1), None, 10),
        step(None, Some(7), 20),
        step(None, Some(8), 30),
    ];
    let cases = [
        (step(Some(1), Some(7), 10), Novelty::Known),
        (step(Some(1), Some(7), 20), Novelty::Conflict),
        (step(Some(1), None, 30), Novelty::Conflict),
        (step(None, Some(7), 30), Novelty::Known),
        (step(None, Some(8), 20), Novelty::Known),
        (step(None, Some(8), 40), Novelty::Conflict),
        (step(Some(2), Some(7), 30), Novelty::Known),
        (step(Some(2), Some(9), 40), Novelty::New),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let mut ledger = Ledger::new();
        for at in order {
            ledger.approve(&stored[at]);
        }
        for (ask, novelty) in &cases {
            assert_eq!(ledger.dry(ask).novelty, *novelty, "{order:?} {ask:?}");
        }
    }
}

// ---- 2.13 h: what an overrule gives back ----

#[test]
fn b5_an_overruled_approval_gives_everything_back_once_and_stays_declined() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 60)
        .single_use()
        .locking()
        .with(|it| it.claims.limits = [limits(Some(60), Some(60)); 3]);
    let untouched = ledger.totals();
    let position = ledger.approve(&ask);
    assert!(!ledger.overrule(1, position + 1), "another position");
    assert!(!ledger.overrule(2, position), "another authorization");
    assert!(ledger.overrule(1, position));
    let image = ledger.image();
    assert!(!ledger.overrule(1, position), "a second time");
    assert_eq!(ledger.image(), image);
    assert_eq!(ledger.totals(), untouched);
    assert_eq!(ledger.card(1).consumed, None);
    assert_eq!(ledger.card(1).lock, None);
    let answer = ledger.ask(&ask);
    let known = (Decision::Decline(DeadlineExceeded), Novelty::Known);
    assert_eq!((answer.decision, answer.novelty), known);
    // The whole room is there again, for another merchant too.
    ledger.approve(&ask.with(|it| it.authorization = 2).at_merchant(2));
}

#[test]
fn an_overruled_increment_leaves_the_card_consumed_and_locked_until_the_first_goes_too() {
    let mut ledger = Ledger::new();
    let first = ledger.approve(&Ask::new(1, 60).single_use().locking());
    let second = ledger.approve(&Ask::new(1, 5).step(2).single_use().locking());
    assert!(ledger.overrule(1, second));
    assert_eq!(ledger.totals(), [(60, 60); 3]);
    assert!(ledger.card(1).consumed.is_some() && ledger.card(1).lock.is_some());
    assert!(ledger.overrule(1, first));
    assert!(ledger.card(1).consumed.is_none() && ledger.card(1).lock.is_none());
}

#[test]
fn a_declined_step_cannot_be_overruled() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 60).with(|it| it.rule = Some(MccBlocked));
    let position = ledger.ask(&ask).position;
    assert!(!ledger.overrule(1, position));
    assert_eq!(ledger.ask(&ask).decision, Decision::Decline(MccBlocked));
}

#[test]
fn a_lock_opens_when_the_last_approval_under_it_is_taken_back() {
    for first_goes_first in [true, false] {
        let mut ledger = Ledger::new();
        let first = (1, ledger.approve(&Ask::new(1, 1).locking()));
        let second = (2, ledger.approve(&Ask::new(2, 1).locking()));
        let elsewhere = Ask::new(3, 1).locking().at_merchant(2);
        let order = if first_goes_first {
            [first, second]
        } else {
            [second, first]
        };
        assert!(ledger.overrule(order[0].0, order[0].1));
        assert_eq!(ledger.reason(&elsewhere), Some(MerchantLockMismatch));
        assert!(ledger.overrule(order[1].0, order[1].1));
        ledger.approve(&elsewhere);
    }
}

#[test]
fn a_lock_and_a_consumption_stand_on_authorizations_that_were_forgotten() {
    let mut ledger = Ledger::new();
    let first = Ask::new(1, 1).single_use().locking();
    let at = first.at;
    ledger.approve(&first);
    assert!(ledger.sweep(0, at + 1));
    // The issuer uses the id again, under a policy that lets it, and that approval is taken back.
    let again = ledger.approve(&Ask::new(1, 1).with(|it| it.at += 5));
    assert!(ledger.overrule(1, again));
    let card = ledger.card(1);
    assert!(
        card.consumed.is_some(),
        "the forgotten approval consumed it"
    );
    assert!(card.lock.is_some(), "the forgotten approval locked it");
}

#[test]
fn a_lock_set_at_creation_admits_its_merchant_only() {
    let ledger = Ledger::new();
    for (lock, passes) in [
        (PresetLock::Strong(1), true),
        (PresetLock::Strong(2), false),
        (PresetLock::Weak(101), true),
        (PresetLock::Weak(1), false),
    ] {
        for amount in [0, 5] {
            let reason = ledger.reason(&Ask::new(1, amount).preset(lock));
            assert_eq!(reason, (!passes).then_some(MerchantLockMismatch));
        }
    }
}

// ---- 1.2: sums ----

#[test]
fn a9_a_sum_beyond_the_largest_amount_is_declined_also_without_any_limit() {
    let mut ledger = Ledger::new();
    let max = Minor::MAX.get();
    let first = ledger.approve(&Ask::new(1, max - 10));
    ledger.approve(&Ask::new(2, 10).on_card(2, None));
    assert_eq!(ledger.reason(&Ask::new(3, 1)), Some(CustomerLimitExceeded));
    assert_eq!(ledger.reason(&Ask::new(3, 0)), None);
    assert!(ledger.overrule(1, first));
    assert_eq!(ledger.totals(), [(0, 0), (0, 0), (10, 10)]);
}

#[test]
fn a12_an_approval_books_the_amount_that_was_checked() {
    // A policy may reserve more than the issuer asks (fuel holds) or in another currency.
    let mut ledger = Ledger::new();
    let fuel = Ask::new(1, 1).with(|it| it.claims.amount.minor = minor(150));
    assert_eq!(
        ledger.reason(&fuel.clone().limited(Level::Card, limits(Some(149), None))),
        Some(CardLimitExceeded)
    );
    ledger.approve(&fuel);
    assert_eq!(ledger.totals(), [(150, 150); 3]);
    let steps = ledger.state.authorization(authorization_key(1)).unwrap();
    assert_eq!(steps.reserved(), minor(150));
}

#[test]
fn a12_sums_of_one_currency_take_no_other() {
    let mut ledger = Ledger::new();
    let euros =
        |n| Ask::new(n, 10).with(|it| it.claims.amount.currency = Currency::parse("EUR").unwrap());
    ledger.approve(&Ask::new(1, 100));
    assert_eq!(ledger.reason(&euros(2)), Some(CurrencyNotSupported));
    assert_eq!(ledger.totals(), [(100, 100); 3]);
    // Nothing is added to sums by what is given back.
    ledger.approve(&euros(3).of_kind(AuthorizationKind::Credit));
    // What nothing was added to yet takes any.
    let mut ledger = Ledger::new();
    ledger.approve(&euros(1));
    assert_eq!(ledger.reason(&Ask::new(2, 10)), Some(CurrencyNotSupported));
}

/// A record tells what was asked, and what a policy makes of it where that is held.
#[test]
fn what_holds_nothing_is_recorded_with_the_amount_that_was_asked() {
    let mut ledger = Ledger::new();
    let fuel = |n| Ask::new(n, 1).with(|it| it.claims.amount.minor = minor(150));
    ledger.decline(&fuel(1).with(|it| it.rule = Some(MccBlocked)));
    ledger.approve(&Ask::new(2, 40).of_kind(AuthorizationKind::Credit));
    ledger.approve(&fuel(3));
    let events = ledger
        .frames
        .iter()
        .flat_map(|(_, frame)| events_of(frame).map(Result::unwrap));
    let mut recorded = Vec::new();
    for event in events {
        if let Event::Decided(decided) = event {
            recorded.push(decided.amount.minor);
        }
    }
    assert_eq!(recorded, [1, 40, 150].map(minor));
}

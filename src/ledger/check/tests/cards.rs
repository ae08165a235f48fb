//! 2.14: cooldown, probes, approvals in part, what increments skip, and who may lift a freeze.

use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{CardStatus, Level};
use crate::domain::claims::{IntentRule, ScopeLimits};
use crate::domain::decision::Decision;
use crate::domain::decision::DeclineReason::{
    AmountOverPerAuth, CardExpired, CardFrozenByRisk, CardLimitExceeded, CooldownActive,
    CountLimitReached, CustomerLimitExceeded, MerchantLockMismatch, OutsideActiveHours,
    SingleUseConsumed,
};
use crate::domain::explanation::RuleField;
use crate::domain::time::Timestamp;
use crate::ledger::check::harness::{Ask, Ledger, authorization_key, limits, minor};
use crate::ledger::command::{Authority, Novelty, Refused};

const MINUTE: i64 = 60_000_000;

// ---- 2.14 g: cooldown ----

fn cooling(ask: Ask) -> Ask {
    ask.ruled(|it| it.cooldown_us = Some((10 * MINUTE, Level::Agent)))
}

#[test]
fn a_cooldown_passes_at_its_instant_and_explains_itself_in_minutes() {
    let mut ledger = Ledger::new();
    let first = Ask::new(1, 5);
    ledger.approve(&first);
    let explanation = ledger.decline(&cooling(Ask::new(2, 5).later(4 * MINUTE + 59)));
    assert_eq!(explanation.reason, CooldownActive);
    assert_eq!(explanation.level, Some(Level::Agent));
    assert_eq!(explanation.field, RuleField::CooldownMinutes);
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(4), Some(10))
    );
    let over = Timestamp::from_micros(first.at + 10 * MINUTE);
    assert_eq!(explanation.resets_at, Some(over));
    let ask = |n, micros| cooling(Ask::new(n, 5).later(micros));
    assert_eq!(
        ledger.reason(&ask(3, 10 * MINUTE - 1)),
        Some(CooldownActive)
    );
    ledger.approve(&ask(3, 10 * MINUTE));
    // Another card of the agent has a cooldown of its own, and a clock that went back declines.
    assert_eq!(
        ledger.reason(&ask(4, 10 * MINUTE).on_card(2, Some(1))),
        None
    );
    assert_eq!(ledger.reason(&ask(4, -30 * MINUTE)), Some(CooldownActive));
}

#[test]
fn what_reserves_nothing_and_increments_skip_the_cooldown_and_start_none() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 5));
    ledger.approve(&cooling(Ask::new(1, 5).step(2)));
    ledger.approve(&cooling(Ask::new(2, 0)));
    ledger.approve(&cooling(
        Ask::new(3, 0).of_kind(AuthorizationKind::BalanceInquiry),
    ));
    let late = |n| cooling(Ask::new(n, 5).later(10 * MINUTE));
    ledger.approve(&Ask::new(1, 5).step(3).later(9 * MINUTE));
    ledger.approve(&cooling(Ask::new(4, 0).later(9 * MINUTE)));
    ledger.decline(
        &Ask::new(5, 5)
            .limited(Level::Card, limits(Some(0), None))
            .later(9 * MINUTE),
    );
    ledger.approve(&late(6));
}

#[test]
fn b5_an_overruled_approval_gives_the_cooldown_back_to_the_one_before() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 5));
    let second = ledger.approve(&Ask::new(2, 5).later(5 * MINUTE));
    let third = ledger.approve(&Ask::new(3, 5).later(6 * MINUTE));
    let ask = |micros| cooling(Ask::new(9, 5).later(micros));
    assert_eq!(ledger.reason(&ask(15 * MINUTE)), Some(CooldownActive));
    assert!(ledger.overrule(3, third));
    assert_eq!(ledger.reason(&ask(15 * MINUTE)), None);
    assert_eq!(ledger.reason(&ask(14 * MINUTE)), Some(CooldownActive));
    assert!(ledger.overrule(2, second));
    assert_eq!(ledger.reason(&ask(10 * MINUTE)), None);
    assert_eq!(ledger.reason(&ask(9 * MINUTE)), Some(CooldownActive));
}

// ---- 2.14 a: probes ----

fn probing(ask: Ask) -> Ask {
    ask.single_use().locking().ruled(|it| it.may_probe = true)
}

#[test]
fn a_probe_reserves_and_locks_and_leaves_the_card_to_its_purchase() {
    let mut ledger = Ledger::new();
    ledger.approve(&probing(Ask::new(1, 100)));
    assert!(ledger.last_decided().probes && !ledger.last_decided().consumes);
    assert_eq!(ledger.totals()[0], (100, 100));
    assert!(ledger.card(1).consumed.is_none() && ledger.card(1).lock.is_some());
    let elsewhere = probing(Ask::new(2, 100)).at_merchant(2);
    assert_eq!(ledger.reason(&elsewhere), Some(MerchantLockMismatch));
    // The second small one is no probe: one in the card's life.
    ledger = ledger.recovered();
    ledger.approve(&probing(Ask::new(2, 100)));
    assert!(ledger.last_decided().consumes && !ledger.last_decided().probes);
    assert_eq!(
        ledger.reason(&probing(Ask::new(3, 1))),
        Some(SingleUseConsumed)
    );
}

#[test]
fn a_probe_counts_as_an_approval_and_starts_no_cooldown() {
    let mut ledger = Ledger::new();
    ledger.approve(&probing(Ask::new(1, 100)));
    assert_eq!(ledger.card(1).counters.approvals(), 1);
    ledger.approve(&cooling(Ask::new(2, 5_000).single_use()));
    assert_eq!(
        ledger.card(1).recent.last(),
        Some(Timestamp::from_micros(Ask::new(2, 1).at))
    );
}

#[test]
fn only_an_overruled_probe_may_be_repeated() {
    let mut ledger = Ledger::new();
    let position = ledger.approve(&probing(Ask::new(1, 100)));
    let at = Ask::new(1, 1).at;
    assert!(ledger.overrule(1, position));
    assert!(ledger.card(1).lock.is_none());
    ledger.approve(&probing(Ask::new(2, 100)));
    assert!(ledger.last_decided().probes);
    assert!(ledger.sweep(0, at + 1), "forgotten, and used all the same");
    ledger.approve(&probing(Ask::new(3, 100)));
    assert!(!ledger.last_decided().probes);
}

#[test]
fn what_is_added_to_a_probe_makes_it_the_purchase() {
    let mut ledger = Ledger::new();
    let probe = ledger.approve(&probing(Ask::new(1, 100)));
    let increment = probing(Ask::new(1, 4_000)).step(2).later(MINUTE);
    let added = ledger.approve(&increment);
    assert!(ledger.last_decided().consumes && !ledger.last_decided().probes);
    let refused = ledger.dry(&Ask::new(2, 5).single_use()).explanation;
    let refused = refused.map(|it| (it.reason, it.observed));
    assert_eq!(refused, Some((SingleUseConsumed, Some(increment.at))));
    // From the purchase on the card cools down, not from its probe on.
    let since = Timestamp::from_micros(increment.at);
    assert_eq!(ledger.card(1).recent.last(), Some(since));
    // Taken back, the probe stands as it stood.
    assert!(ledger.overrule(1, added));
    assert!(ledger.card(1).consumed.is_none() && ledger.card(1).lock.is_some());
    assert_eq!(ledger.card(1).recent.last(), None);
    // Once another purchase has consumed the card, nothing more is added to the probe.
    ledger.approve(&probing(Ask::new(2, 4_000)));
    let late = probing(Ask::new(1, 4_000)).step(3);
    assert_eq!(ledger.reason(&late), Some(SingleUseConsumed));
    assert!(ledger.overrule(1, probe));
    assert!(ledger.card(1).consumed.is_some());
}

// ---- 2.14 g: approvals in part ----

fn partial(ask: Ask) -> Ask {
    ask.ruled(|it| it.may_approve_part = true)
}

#[test]
fn h8_the_smallest_headroom_over_all_limits_is_approved_in_part() {
    let all = [
        ScopeLimits {
            per_day: Some(minor(100)),
            ..ScopeLimits::default()
        },
        ScopeLimits {
            rolling_month: Some(minor(90)),
            ..ScopeLimits::default()
        },
        ScopeLimits {
            total: Some(minor(95)),
            ..ScopeLimits::default()
        },
    ];
    let limited = |ask: Ask| ask.with(|it| it.claims.limits = all);
    let mut ledger = Ledger::new();
    ledger.approve(&limited(Ask::new(1, 60)));
    assert_eq!(
        ledger.reason(&limited(Ask::new(2, 50))),
        Some(CardLimitExceeded)
    );
    let asked = partial(limited(Ask::new(2, 50)));
    let answer = ledger.ask(&asked);
    assert_eq!(answer.decision, Decision::ApprovePartial(minor(30)));
    assert_eq!(answer.explanation, None);
    assert_eq!(ledger.last_decided().amount.minor, minor(50));
    assert_eq!(ledger.totals(), [(90, 90); 3]);
    // The same answer again, counted once; and where nothing is left, a decline.
    let again = ledger.ask(&asked);
    assert_eq!(
        (again.decision, again.novelty),
        (answer.decision, Novelty::Known)
    );
    assert_eq!(ledger.totals(), [(90, 90); 3]);
    let explanation = ledger.decline(&partial(limited(Ask::new(3, 50))));
    assert_eq!(
        (explanation.reason, explanation.remaining),
        (CardLimitExceeded, Some(10))
    );
    // What was approved in part is given back in part.
    assert!(ledger.overrule(2, answer.position));
    assert_eq!(ledger.totals(), [(60, 60); 3]);
}

#[test]
fn h8_nothing_but_missing_room_makes_an_approval_partial() {
    let room = |ask: Ask| partial(ask.limited(Level::Card, limits(Some(100), None)));
    let mut ledger = Ledger::new();
    ledger.approve(&room(Ask::new(1, 60)));
    assert_eq!(
        ledger.reason(&room(Ask::new(2, 50)).capped(49)),
        Some(AmountOverPerAuth)
    );
    let counted = room(Ask::new(2, 50)).with(|it| it.claims.limits[0].count_total = Some(1));
    assert_eq!(ledger.reason(&counted), Some(CountLimitReached));
    assert_eq!(
        ledger.reason(&room(Ask::new(1, 50)).step(2)),
        Some(CardLimitExceeded)
    );
    // What can be counted at all is a limit like others.
    let mut ledger = Ledger::new();
    let max = crate::domain::amount::Minor::MAX.get();
    ledger.approve(&Ask::new(1, max - 10));
    assert_eq!(ledger.reason(&Ask::new(2, 11)), Some(CustomerLimitExceeded));
    let answer = ledger.ask(&partial(Ask::new(2, 11)));
    assert_eq!(answer.decision, Decision::ApprovePartial(minor(10)));
    let steps = ledger.state.authorization(authorization_key(2)).unwrap();
    assert_eq!(steps.reserved(), minor(10));
}

// ---- 2.14 h: what increments skip ----

#[test]
fn increments_skip_hours_time_to_live_count_cooldown_and_intents() {
    let mut ledger = Ledger::new();
    let rule = IntentRule {
        level: Level::Card,
        requires_approval: true,
        auto_approve_below: None,
        flags_mismatch: false,
    };
    let strict = |ask: Ask| {
        let ask = ask.with(|it| {
            it.expired = Some(CardExpired);
            it.hours = Some(OutsideActiveHours);
            it.claims.limits[0].count_per_day = Some(0);
        });
        cooling(ask).ruled(|it| {
            it.intent = Some(rule);
            it.attestation_us = Some((1, Level::Card));
            it.expire_after_count = Some((1, Level::Card));
        })
    };
    ledger.approve(&Ask::new(1, 5));
    ledger.approve(&strict(Ask::new(1, 5).step(2)));
    assert_eq!(ledger.reason(&strict(Ask::new(2, 5))), Some(CardExpired));
}

// ---- 2.14 j: freezes ----

#[test]
fn only_an_owner_lifts_what_a_risk_rule_froze() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.freeze(1, true, Authority::Risk), Ok(true));
    assert_eq!(ledger.freeze(1, true, Authority::Risk), Ok(false));
    assert_eq!(ledger.reason(&Ask::new(1, 1)), Some(CardFrozenByRisk));
    assert!(ledger.card(1).frozen_by_risk);
    ledger = ledger.recovered();
    assert_eq!(ledger.freeze(1, false, Authority::Risk), Err(Refused));
    // A change of status leaves the freeze and whose it is.
    assert_eq!(ledger.set_card(1, Some(CardStatus::Locked), None), Ok(true));
    assert_eq!(ledger.set_card(1, Some(CardStatus::Active), None), Ok(true));
    assert!(ledger.card(1).frozen_by_risk);
    assert_eq!(ledger.freeze(1, true, Authority::Owner), Ok(false));
    assert_eq!(ledger.freeze(1, false, Authority::Risk), Err(Refused));
    assert_eq!(ledger.freeze(1, false, Authority::Owner), Ok(true));
    assert_eq!(ledger.reason(&Ask::new(1, 1)), None);
    assert!(!ledger.card(1).frozen_by_risk);
    // What an owner froze, a risk rule does not unfreeze either.
    assert_eq!(ledger.freeze(1, true, Authority::Owner), Ok(true));
    assert_eq!(ledger.freeze(1, false, Authority::Risk), Err(Refused));
    assert_eq!(ledger.freeze(2, false, Authority::Risk), Ok(false));
}

//! 8.3: documents that are tried out are decided by the counters as they are, and change nothing.

use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::Decision::{Approve, Decline};
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::window::WindowKind;
use crate::ledger::check::harness::{Ask, Ledger, limits, minor};
use crate::ledger::event::{Event, ShadowVerdict, events_of};

fn tried(ledger: &Ledger) -> Decision {
    let ShadowVerdict { versions, decision } = ledger.last_decided().shadow.unwrap();
    assert_eq!(versions, [0, 7, 0]);
    decision
}

/// Every rule that asks the state, as a document on trial that has it.
fn documents(ask: &Ask) -> Vec<Ask> {
    let of = |change: fn(Ask) -> Ask| change(ask.clone());
    vec![
        of(|it| it),
        of(|it| it.limited(Level::Customer, limits(Some(50), None))),
        of(|it| it.limited(Level::Card, limits(None, Some(0)))),
        of(|it| it.capped(5)),
        of(Ask::single_use),
        of(Ask::locking),
        of(|it| it.ruled(|rules| rules.cooldown_us = Some((60_000_000, Level::Card)))),
        of(|it| it.ruled(|rules| rules.expire_after_count = Some((2, Level::Card)))),
        of(|it| it.ruled(|rules| rules.attestation_us = Some((1, Level::Card)))),
    ]
}

#[test]
fn a_trial_changes_neither_answers_nor_books_whatever_it_says() {
    let in_force = |n: u32| {
        let ask = Ask::new(n, 30).later(i64::from(n) * 1_000_000);
        ask.at_merchant(u64::from(n % 2))
            .limited(Level::Agent, limits(Some(100), None))
    };
    let count = documents(&in_force(0)).len();
    for document in 0..count {
        let (mut alone, mut beside) = (Ledger::new(), Ledger::new());
        let mut verdicts = Vec::new();
        for n in 1..=5 {
            let ask = in_force(n);
            let other = documents(&ask).swap_remove(document);
            let answer = alone.ask(&ask);
            assert_eq!(answer, beside.ask(&ask.clone().trying(&other)));
            verdicts.push((answer.decision, tried(&beside)));
            assert_eq!(
                alone.image(),
                beside.image(),
                "document {document}, step {n}"
            );
        }
        let differs = verdicts.iter().any(|(real, tried)| real != tried);
        // Nothing has used the card up or locked it, because nothing in force does.
        let is_silent = [0, 4, 5].contains(&document);
        assert_eq!(differs, !is_silent, "document {document}: {verdicts:?}");
        assert_eq!(alone.last_decided().shadow, None);
    }
}

#[test]
fn a_trial_counts_what_was_really_approved() {
    let mut ledger = Ledger::new();
    let small = limits(Some(50), None);
    let ask = |n| Ask::new(n, 30);
    let trying = |n| ask(n).trying(&ask(n).limited(Level::Agent, small));
    ledger.approve(&trying(1));
    assert_eq!(tried(&ledger), Approve);
    // The second would not have fitted, and was approved: it counts for the third.
    for n in 2..=3 {
        ledger.approve(&trying(n));
        assert_eq!(tried(&ledger), Decline(DeclineReason::AgentLimitExceeded));
    }
    // What is declined in force may pass on trial.
    let strict = ask(4).limited(Level::Agent, small).trying(&ask(4));
    ledger.decline(&strict);
    assert_eq!(tried(&ledger), Approve);
}

#[test]
fn a_known_step_is_told_again_without_a_second_trial() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 30).trying(&Ask::new(1, 30).capped(5));
    ledger.approve(&ask);
    ledger.ask(&ask);
    let events: Vec<_> = events_of(&ledger.frames[1].1).map(Result::unwrap).collect();
    assert!(
        matches!(events[..], [Event::Redelivered { .. }]),
        "{events:?}"
    );
}

#[test]
fn trailing_sums_that_a_trial_asks_for_are_walked_for_once() {
    let mut ledger = Ledger::new();
    let ask = |n| Ask::new(n, 30);
    let rolling = ScopeLimits {
        rolling_week: Some(minor(70)),
        ..ScopeLimits::default()
    };
    let trying = |n| ask(n).trying(&ask(n).limited(Level::Customer, rolling));
    ledger.approve(&ask(1));
    for n in 2..=3 {
        ledger.approve(&trying(n));
    }
    assert_eq!(
        tried(&ledger),
        Decline(DeclineReason::CustomerLimitExceeded)
    );
    let opened = |frame: &[u8]| {
        let mut events = events_of(frame).map(Result::unwrap);
        events.any(|event| {
            matches!(event, Event::RollingOpened { series, .. }
                if series.contains(Level::Customer, WindowKind::Week))
        })
    };
    let frames = ledger.frames.iter().map(|(_, frame)| opened(frame));
    assert_eq!(frames.collect::<Vec<_>>(), [false, true, false]);
}

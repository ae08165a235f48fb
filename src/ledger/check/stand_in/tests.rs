use super::*;
use crate::domain::card::{Key, Level};
use crate::domain::claims::{IntentRule, ScopeLimits};
use crate::domain::decision::DeclineReason;
use crate::domain::window::WindowKind;
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{
    Ask, Ledger, TODAY, empty_state, intent, limits, minor, with_command,
};
use crate::ledger::command::{Authority, Novelty};
use crate::ledger::counters::WindowIds;
use crate::ledger::event::Owner;

const ROUTE: Route<'_> = Route {
    key: Key(5),
    owner: Owner::Customer("cus"),
};

/// What a node approves by itself in this state, through its bytes.
fn given(state: &State, unbooked: &[Vec<u8>], ask: &Ask) -> Option<Vec<u8>> {
    let unbooked: Vec<_> = unbooked
        .iter()
        .map(|it| StoodIn::decode(it).unwrap())
        .collect();
    with_command(ask, |command| {
        let given = stand_in(state, ROUTE, &unbooked, command).unwrap()?;
        let bytes = given.encode();
        assert_eq!(StoodIn::decode(&bytes).unwrap().encode(), bytes);
        assert_eq!(StoodIn::decode(&bytes).unwrap().amount(), given.amount());
        Some(bytes)
    })
}

fn booked(ledger: &mut Ledger, bytes: &[u8]) {
    let stood_in = StoodIn::decode(bytes).unwrap();
    let events = book(&ledger.state, &stood_in).unwrap();
    ledger.apply(&events);
}

fn may(ledger: &Ledger, ask: &Ask) -> bool {
    given(&ledger.state, &[], ask).is_some()
}

/// As much as the tests of rules ask for, with a rolling limit among them.
fn asks() -> Vec<Ask> {
    let day = limits(Some(1_000), Some(5_000));
    let rolling = ScopeLimits {
        rolling_week: Some(minor(1_000)),
        count_per_day: Some(9),
        ..ScopeLimits::default()
    };
    vec![
        Ask::new(50, 100),
        Ask::new(50, 100).limited(Level::Customer, day),
        Ask::new(50, 100).limited(Level::Agent, rolling),
        Ask::new(50, 100).on_card(2, None),
        Ask::new(50, 100).on_card(3, Some(2)).on_day(TODAY + 1),
        Ask::new(50, 100).with(|it| it.hour = Some((494_444, 1_780_002_000))),
        Ask::new(50, 100).with(|it| it.name = Some(7)),
    ]
}

#[test]
fn what_is_booked_at_once_is_what_the_log_would_have_taken() {
    let mut used = Ledger::new();
    used.approve(&Ask::new(1, 300));
    used.approve(&Ask::new(2, 200).on_card(2, None));
    for state in [empty_state(), used.state] {
        for ask in asks() {
            let bytes = given(&state, &[], &ask).unwrap();
            let stood_in = StoodIn::decode(&bytes).unwrap();
            let booked = book(&state, &stood_in).unwrap();
            with_command(&ask, |command| {
                let taken = authorize(&state, command).unwrap().events;
                let taken: Vec<_> = taken
                    .iter()
                    .filter(|it| !matches!(it, Event::RollingOpened { .. }))
                    .cloned()
                    .map(|mut event| {
                        if let Event::Decided(decided) = &mut event {
                            decided.stood_in = true;
                        }
                        event
                    })
                    .collect();
                assert_eq!(booked.iter().cloned().collect::<Vec<_>>(), taken, "{ask:?}");
            });
        }
    }
}

#[test]
fn what_depends_on_a_cards_next_use_is_not_for_one_node_to_approve() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 300));
    ledger.approve(&Ask::new(2, 300).on_card(2, None).locking());
    ledger.declare(3, 3, 1, &intent(500, i64::MAX)).unwrap();
    let rule = IntentRule {
        level: Level::Card,
        requires_approval: false,
        auto_approve_below: None,
        flags_mismatch: true,
    };
    let plain = || Ask::new(50, 100);
    assert!(may(&ledger, &plain()));
    assert!(
        may(&ledger, &plain().on_card(2, None).locking()),
        "its lock is set"
    );
    for (what, ask) in [
        ("single use", plain().single_use()),
        ("not locked yet", plain().locking()),
        ("never used", plain().on_card(9, None).locking()),
        (
            "requires an intent",
            plain().ruled(|it| it.intent = Some(rule)),
        ),
        (
            "requires an attestation",
            plain().ruled(|it| it.attestation_us = Some((1, Level::Card))),
        ),
        ("has an open intent", plain().on_card(3, None)),
        ("adds to an authorization", Ask::new(1, 100).step(2)),
        ("is known", Ask::new(1, 300)),
        ("is about nothing", Ask::new(50, 0)),
        ("is a credit", plain().of_kind(AuthorizationKind::Credit)),
        (
            "is no question",
            plain().with(|it| it.kind = AuthorizationKind::SingleMessage),
        ),
        (
            "another merchant",
            plain().on_card(2, None).locking().at_merchant(9),
        ),
        (
            "above a limit",
            plain().limited(Level::Card, limits(None, Some(399))),
        ),
        (
            "a part of it",
            plain()
                .limited(Level::Card, limits(None, Some(399)))
                .ruled(|it| {
                    it.may_approve_part = true;
                }),
        ),
        (
            "nobody's card",
            plain().with(|it| it.known = (false, false)),
        ),
        (
            "a broken rule",
            plain().with(|it| it.rule = Some(DeclineReason::MccBlocked)),
        ),
    ] {
        assert!(!may(&ledger, &ask), "{what}");
    }
    ledger.freeze(1, true, Authority::Owner).unwrap();
    assert!(!may(&ledger, &plain()), "frozen");
}

#[test]
fn a_purchase_card_is_not_for_one_node_to_approve() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(9, 500).on_card(8, Some(1)));
    assert!(may(&ledger, &Ask::new(50, 100)));
    assert!(ledger.back(1, 9).unwrap());
    assert!(!may(&ledger, &Ask::new(50, 100)));
}

#[test]
fn a_node_counts_what_it_has_approved_before() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 300));
    let ask = |n| Ask::new(n, 300).limited(Level::Customer, limits(Some(1_000), None));
    let first = given(&ledger.state, &[], &ask(50)).unwrap();
    let second = given(&ledger.state, std::slice::from_ref(&first), &ask(51)).unwrap();
    let both = [first, second];
    assert!(given(&ledger.state, &both, &ask(52)).is_none());
    assert!(given(&ledger.state, &both, &Ask::new(52, 300)).is_some());
    let counted = ScopeLimits {
        count_per_day: Some(3),
        ..ScopeLimits::default()
    };
    let counted = Ask::new(52, 1).limited(Level::Card, counted);
    assert!(given(&ledger.state, &both[..1], &counted).is_some());
    assert!(given(&ledger.state, &both, &counted).is_none());
    let cooled = Ask::new(52, 1).ruled(|it| it.cooldown_us = Some((60_000_000, Level::Card)));
    let elsewhere = Ask::new(53, 1).on_card(2, None);
    let on_other = given(&ledger.state, &[], &elsewhere).unwrap();
    let later = cooled.later(120_000_000);
    assert!(given(&ledger.state, &[on_other], &later).is_some());
    let pending = given(&ledger.state, &[], &Ask::new(54, 1).later(119_000_000)).unwrap();
    assert!(given(&ledger.state, &[pending], &later).is_none());
    // Over a trailing sum that is not kept yet nobody has added up what waits.
    let rolling = ScopeLimits {
        rolling_week: Some(minor(100_000)),
        ..ScopeLimits::default()
    };
    let rolling = Ask::new(52, 1).limited(Level::Customer, rolling);
    assert!(given(&ledger.state, &[], &rolling).is_some());
    assert!(given(&ledger.state, &both, &rolling).is_none());
    ledger.approve(&Ask::new(60, 1).limited(Level::Customer, rolling.claims.limits[2]));
    assert!(given(&ledger.state, &both, &rolling).is_some());
}

#[test]
fn the_log_takes_it_whatever_the_limits_say_by_then() {
    let mut ledger = Ledger::new();
    let ask = |n, amount| Ask::new(n, amount).limited(Level::Card, limits(Some(1_000), None));
    let bytes = given(&ledger.state, &[], &ask(50, 600)).unwrap();
    ledger.approve(&ask(1, 1_000));
    booked(&mut ledger, &bytes);
    assert_eq!(ledger.totals(), [(1_600, 1_600); 3]);
    assert!(ledger.last_decided().stood_in);
    assert_eq!(
        ledger.reason(&ask(2, 1)),
        Some(DeclineReason::CardLimitExceeded)
    );
    // It is known again, and goes back as any other does.
    assert!(ledger.dry(&ask(50, 600)).decision.is_approval());
    ledger.report(&Report::of(50).posted(1, 200));
    assert_eq!(ledger.books(50).0[1], 200);
    assert_eq!(ledger.recovered().image(), ledger.image());
}

#[test]
fn of_what_others_have_decided_meanwhile_the_approval_counts_once() {
    let mut ledger = Ledger::new();
    let bytes = given(&ledger.state, &[], &Ask::new(50, 600)).unwrap();
    // Approved: that is confirmed.
    let mut approved = ledger.recovered();
    let position = approved.approve(&Ask::new(50, 600));
    let events = book(&approved.state, &StoodIn::decode(&bytes).unwrap()).unwrap();
    assert!(matches!(
        events.iter().collect::<Vec<_>>()[..],
        [Event::Redelivered { decided_at, .. }] if *decided_at == position
    ));
    // Approved and taken back.
    assert!(approved.overrule(50, position));
    assert_eq!(approved.totals(), [(0, 0); 3]);
    booked(&mut approved, &bytes);
    assert_eq!(approved.totals(), [(600, 600); 3]);
    assert!(approved.dry(&Ask::new(50, 600)).decision.is_approval());
    // Declined, under a delivery of its own.
    let again = || Ask::new(50, 600).with(|it| it.delivery = Some(8));
    ledger.decline(&again().with(|it| it.rule = Some(DeclineReason::MccBlocked)));
    assert!(!ledger.dry(&Ask::new(50, 600)).decision.is_approval());
    booked(&mut ledger, &bytes);
    assert_eq!(ledger.totals(), [(600, 600); 3]);
    for ask in [Ask::new(50, 600), again()] {
        let answer = ledger.dry(&ask);
        assert!(answer.decision.is_approval());
        assert_eq!(answer.novelty, Novelty::Known);
    }
    let events = book(&ledger.state, &StoodIn::decode(&bytes).unwrap()).unwrap();
    let is_again = |it: &Event<'_>| matches!(it, Event::Redelivered { .. });
    assert!(events.iter().all(is_again), "and no third time");
    // Reported by the issuer: its money is the same.
    let mut reported = Ledger::new();
    reported.approve(&Ask::new(1, 1));
    reported.report(&Report::of(50).posted(1, 250));
    booked(&mut reported, &bytes);
    assert_eq!(reported.books(50).0[1], 250);
    // On another card: nobody can say what that would be.
    let mut other = Ledger::new();
    other.approve(&Ask::new(50, 600).step(2).on_card(2, Some(1)));
    let other = book(&other.state, &StoodIn::decode(&bytes).unwrap());
    assert_eq!(other, Err(Refused));
}

#[test]
fn a_day_that_is_over_takes_nothing_more() {
    let mut ledger = Ledger::new();
    let bytes = given(&ledger.state, &[], &Ask::new(50, 600)).unwrap();
    let tomorrow = Ask::new(1, 100).on_day(TODAY + 1);
    ledger.approve(&tomorrow);
    booked(&mut ledger, &bytes);
    let day = |ledger: &Ledger| {
        let ids = WindowIds::of(ledger.state.day);
        ledger.state.counters.spent(WindowKind::Day, &ids)
    };
    assert_eq!(day(&ledger), minor(700));
    assert_eq!(ledger.totals(), [(700, 700); 3]);
}

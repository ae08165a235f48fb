//! The only mutation: total, the same through bytes and images, and never back in time.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Level};
use crate::domain::decision::Decision;
use crate::domain::decision::DeclineReason::{CardLimitExceeded, SingleUseConsumed};
use crate::domain::window::{LocalDay, WindowKind};
use crate::ledger::check::harness::{
    Ask, Ledger, TODAY, authorization_key, empty_state, limits, minor,
};
use crate::ledger::command::Novelty;
use crate::ledger::event::arbitrary::event;
use crate::ledger::event::{CardNo, Event, StandingChange, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::image;
use crate::ledger::state::State;

fn replayed(frames: &[(u64, Vec<u8>)]) -> State {
    let mut state = empty_state();
    for (position, frame) in frames {
        for event in events_of(frame) {
            fold(&mut state, &event.unwrap(), *position);
        }
    }
    state
}

/// A ledger with a bit of everything.
fn eventful() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).single_use().locking());
    ledger.approve(&Ask::new(1, 7).step(2).on_day(TODAY + 1));
    let second = ledger.approve(&Ask::new(2, 5).on_card(2, None));
    ledger.approve(&Ask::new(3, 0).on_card(3, Some(2)));
    ledger.overrule(2, second);
    ledger.decline(&Ask::new(4, 9).limited(Level::Card, limits(Some(1), None)));
    ledger.ask(&Ask::new(5, 9).with(|it| it.known = (false, false)));
    ledger.ask(&Ask::new(1, 60));
    ledger.ask(&Ask::new(1, 60).step(3).on_card(2, None));
    ledger
        .set_card(2, Some(CardStatus::Locked), Some(true))
        .unwrap();
    ledger.set_agent(2, AgentStatus::Paused);
    ledger.set_customer(CustomerStatus::Suspended);
    ledger
}

#[test]
fn i7_the_state_is_the_fold_of_its_frames_from_empty() {
    let ledger = eventful();
    assert_eq!(image::encode(&replayed(&ledger.frames)), ledger.image());
}

#[test]
fn an_image_comes_back_and_the_state_goes_on_as_before() {
    let mut ledger = eventful();
    let mut recovered = ledger.recovered();
    assert_eq!(recovered.image(), ledger.image());
    for ask in [
        Ask::new(1, 60),
        Ask::new(1, 1).step(9).single_use(),
        Ask::new(9, 1).single_use(),
        Ask::new(9, 1).step(2).locking().at_merchant(2),
        Ask::new(9, 40)
            .step(3)
            .limited(Level::Agent, limits(None, Some(107))),
        Ask::new(9, 1)
            .step(4)
            .limited(Level::Agent, limits(None, Some(107))),
        Ask::new(10, 1).on_card(2, Some(2)),
        Ask::new(2, 5).on_card(2, None),
        Ask::new(11, 4).on_card(4, Some(4)),
    ] {
        assert_eq!(ledger.ask(&ask), recovered.ask(&ask), "{ask:?}");
        assert_eq!(recovered.image(), ledger.image());
    }
}

#[test]
fn equal_states_have_equal_images_whatever_order_they_grew_in() {
    let frames: Vec<_> = (0..40u32)
        .map(|n| {
            let mut ledger = Ledger::new();
            ledger.approve(&Ask::new(1_000, 1));
            ledger.approve(&Ask::new(n, i64::from(n) + 1));
            (u64::from(n), ledger.frames.remove(1).1)
        })
        .collect();
    let mut opened = Ledger::new();
    opened.approve(&Ask::new(1_000, 1));
    let image_of = |order: Vec<usize>| {
        let mut state = replayed(&opened.frames);
        for at in order {
            let (position, frame) = &frames[at];
            for event in events_of(frame) {
                fold(&mut state, &event.unwrap(), *position);
            }
        }
        image::encode(&state)
    };
    let forwards = image_of((0..40).collect());
    assert_eq!(image_of((0..40).rev().collect()), forwards);
    assert_eq!(image_of((0..40).map(|n| n * 7 % 40).collect()), forwards);
    assert_ne!(image_of((1..40).collect()), forwards);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Events that fit nothing included: `fold` is total and sees the same in an event's bytes.
    #[test]
    fn i7_any_events_fold_alike_directly_and_through_bytes_and_images(
        events in vec(event(), 0..30)
    ) {
        let (mut direct, mut through_bytes) = (empty_state(), empty_state());
        for (position, event) in (0..).zip(&events) {
            let mut bytes = Vec::new();
            event.encode(&mut bytes);
            fold(&mut direct, event, position);
            for decoded in events_of(&bytes) {
                fold(&mut through_bytes, &decoded.unwrap(), position);
            }
        }
        let image = image::encode(&direct);
        prop_assert_eq!(&image::encode(&through_bytes), &image);
        prop_assert_eq!(&image::encode(&image::decode(&image).unwrap()), &image);
    }

    #[test]
    fn c14_a_damaged_image_is_refused_or_read_but_never_panics(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let image = eventful().image();
        prop_assert!(image::decode(&image[..cut.index(image.len())]).is_err());
        prop_assert!(image::decode(&[&image[..], &[0]].concat()).is_err());
        let mut damaged = image;
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Ok(state) = image::decode(&damaged) {
            let again = image::encode(&state);
            prop_assert_eq!(image::encode(&image::decode(&again).unwrap()), again);
        }
    }
}

#[test]
fn an_event_about_a_card_or_approval_that_is_not_there_changes_nothing() {
    let mut ledger = eventful();
    let image = ledger.image();
    let (state, at) = (StateNo(3), crate::domain::time::Timestamp::from_secs(1));
    let strangers = [
        Event::CardOpened {
            state,
            card: CardNo(9),
            key: authorization_key(1),
            id: "x",
            connection: "x",
        },
        Event::StandingSet {
            state,
            change: StandingChange::Card(CardNo(9), CardStatus::Canceled, true),
            at,
        },
        Event::Overruled {
            state,
            authorization: authorization_key(1),
            decided_at: 77,
            at,
        },
        Event::Swept {
            state,
            part: 900,
            cut: crate::domain::time::Timestamp::from_micros(i64::MAX),
        },
    ];
    for event in &strangers {
        fold(&mut ledger.state, event, 99);
        assert_eq!(ledger.image(), image, "{event:?}");
    }
}

// ---- 2.13 e: days ----

fn daily(n: u32, amount: i64, day: i32) -> Ask {
    let limit = limits(Some(100), None);
    Ask::new(n, amount).on_day(day).limited(Level::Card, limit)
}

#[test]
fn d1_d2_a_clock_that_steps_back_charges_the_later_day() {
    let mut ledger = Ledger::new();
    ledger.approve(&daily(1, 90, TODAY));
    ledger.approve(&daily(2, 90, TODAY + 1));
    // Back before midnight: neither day has room for 11, and 10 goes to the later one.
    for (step, day) in (1..).zip([TODAY, TODAY - 1, 0, i32::MIN]) {
        let explanation = ledger.decline(&daily(3, 11, day).step(step));
        assert_eq!(explanation.reason, CardLimitExceeded);
        assert_eq!(
            explanation.resets_at, None,
            "the end of that day is not known"
        );
        assert_eq!(ledger.state.day, LocalDay(TODAY + 1));
        ledger = ledger.recovered();
    }
    ledger.approve(&daily(3, 10, TODAY).step(9));
    let day = |day| {
        ledger
            .state
            .counters
            .window(WindowKind::Day, LocalDay(day))
            .spent
    };
    assert_eq!(day(TODAY + 1), minor(100));
    assert_eq!(ledger.state.day, LocalDay(TODAY + 1));
}

/// `check` sends no such event; whatever the journal holds, no window opens a second time.
#[test]
fn d2_an_event_of_an_earlier_day_is_charged_to_the_later_window() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).on_day(TODAY));
    let (position, frame) = ledger.frames.remove(0);
    ledger.approve(&Ask::new(2, 5).on_day(TODAY + 40));
    for event in events_of(&frame) {
        fold(&mut ledger.state, &event.unwrap(), position);
    }
    assert_eq!(ledger.state.day, LocalDay(TODAY + 40));
    for counters in [ledger.card(1).counters, ledger.state.counters] {
        for kind in WindowKind::ALL {
            let later = counters.window(kind, LocalDay(TODAY + 40)).spent;
            assert_eq!(later, minor(65), "{kind:?}");
            let earlier = counters.window(kind, LocalDay(TODAY)).spent;
            assert_eq!(earlier, Minor::ZERO, "{kind:?}");
        }
    }
}

#[test]
fn d1_a_declined_or_free_step_does_not_move_the_day() {
    let mut ledger = Ledger::new();
    ledger.approve(&daily(1, 90, TODAY));
    ledger.decline(&daily(2, 101, TODAY + 400));
    ledger.approve(&daily(3, 0, TODAY + 400));
    assert_eq!(ledger.state.day, LocalDay(TODAY));
    assert_eq!(ledger.reason(&daily(4, 11, TODAY)), Some(CardLimitExceeded));
}

#[test]
fn d1_days_at_the_ends_of_time_are_days_like_others() {
    for (first, second) in [(i32::MIN, i32::MIN + 1), (i32::MAX - 1, i32::MAX)] {
        let mut ledger = Ledger::new();
        ledger.approve(&daily(1, 100, first));
        assert_eq!(ledger.reason(&daily(2, 1, first)), Some(CardLimitExceeded));
        ledger.approve(&daily(2, 100, second));
        assert_eq!(ledger.reason(&daily(3, 1, second)), Some(CardLimitExceeded));
    }
}

#[test]
fn a_release_goes_back_to_the_windows_it_was_charged_to() {
    let mut ledger = Ledger::new();
    let first = ledger.approve(&Ask::new(1, 60));
    ledger.approve(&Ask::new(2, 5).on_day(TODAY + 1));
    assert!(ledger.overrule(1, first));
    for scope in [
        ledger.card(1).counters,
        ledger.agent(1).counters,
        ledger.state.counters,
    ] {
        for kind in WindowKind::ALL {
            let sum = scope.window(kind, LocalDay(TODAY + 1));
            assert_eq!((sum.spent, sum.held), (minor(5), minor(5)), "{kind:?}");
        }
        assert_eq!(
            (scope.total().spent, scope.total().held),
            (minor(5), minor(5))
        );
    }
}

// ---- sweeps ----

#[test]
fn b6_a_sweep_forgets_and_settles_but_never_gives_back() {
    let mut ledger = Ledger::new();
    let ask = Ask::new(1, 60).limited(Level::Card, limits(Some(100), Some(100)));
    let at = ask.at;
    let stale = ledger.approve(&ask);
    ledger.approve(&Ask::new(2, 5).with(|it| it.at += 10));
    // A later step keeps the whole authorization.
    ledger.approve(&Ask::new(3, 7).step(1));
    ledger.approve(&Ask::new(3, 1).step(2).with(|it| it.at += 10));
    // Another stays that is exactly as old as the cut.
    ledger.approve(&Ask::new(4, 0).with(|it| it.at += 1));
    assert!(
        !ledger.sweep(0, at),
        "nothing is older than its own instant"
    );
    assert!(ledger.sweep(0, at + 1));
    assert!(!ledger.sweep(0, at + 1), "a second time");
    assert_eq!(ledger.totals(), [(73, 13); 3]);
    for scope in [
        ledger.card(1).counters,
        ledger.agent(1).counters,
        ledger.state.counters,
    ] {
        for kind in WindowKind::ALL {
            let sum = scope.window(kind, LocalDay(TODAY));
            assert_eq!((sum.spent, sum.held), (minor(73), minor(13)), "{kind:?}");
        }
    }
    assert_eq!(ledger.state.authorization_count(), 3);
    assert!(!ledger.overrule(1, stale));
    // The step is unknown by now, and finds less room than it had.
    let again = ledger.ask(&ask);
    assert_eq!(again.novelty, Novelty::New);
    assert!(matches!(
        again.decision,
        Decision::Decline(CardLimitExceeded)
    ));
    let holds = ledger.state.holds_of(CardNo(0));
    assert_eq!(holds.len(), 2);
    assert!(holds.iter().all(|it| !it.reserved().is_zero()));
}

#[test]
fn a_sweep_settles_each_step_with_the_agent_and_the_day_it_was_charged_to() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    ledger.approve(&Ask::new(1, 5).step(2).on_card(1, Some(2)).on_day(TODAY + 1));
    assert!(ledger.sweep(0, i64::MAX));
    for scope in [
        ledger.agent(1).counters,
        ledger.agent(2).counters,
        ledger.state.counters,
    ] {
        assert_eq!(scope.total().held, Minor::ZERO);
    }
    let card = ledger.card(1).counters;
    let day = card.window(WindowKind::Day, LocalDay(TODAY + 1));
    assert_eq!((day.spent, day.held), (minor(5), Minor::ZERO));
    assert_eq!(card.total().spent, minor(65));
}

/// A busy customer's map is kept in many parts, and stays so when it has shrunk; an image does not
/// say how many there were. What a sweep forgets must not depend on it.
#[test]
fn i7_a_sweep_forgets_the_same_in_a_state_that_came_from_an_image() {
    let mut ledger = Ledger::new();
    let ask = |n| Ask::new(n, 1).with(|it| it.rule = Some(SingleUseConsumed));
    let at = ask(0).at;
    for n in 0..5_000 {
        ledger.ask(&ask(n));
    }
    assert_eq!(ledger.state.part_count(), 256);
    for part in 0..256 {
        ledger.sweep(part, at + 1);
    }
    for n in 6_000..6_500 {
        ledger.ask(&ask(n));
    }
    let mut recovered = ledger.recovered();
    assert_eq!(recovered.state.part_count(), 1);
    let frames = ledger.frames.len();
    for part in 100..256 {
        ledger.sweep(part, at + 1);
    }
    for (position, frame) in &ledger.frames[frames..] {
        for event in events_of(frame) {
            fold(&mut recovered.state, &event.unwrap(), *position);
        }
    }
    let left = ledger.state.authorization_count();
    assert!((100..400).contains(&left), "{left}");
    assert!(recovered.image() == ledger.image());
    // And the other way round: the whole small state is swept in one go, wherever it is replayed.
    let frames = recovered.frames.len();
    assert!(recovered.sweep(0, at + 1));
    for (position, frame) in &recovered.frames[frames..] {
        for event in events_of(frame) {
            fold(&mut ledger.state, &event.unwrap(), *position);
        }
    }
    assert_eq!(recovered.state.authorization_count(), 0);
    assert!(recovered.image() == ledger.image());
}

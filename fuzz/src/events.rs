//! Events of the ledger: what is read is written back the same, and folding never panics and never
//! holds more than was spent.
//!
//! Input: frames, each with its length in two bytes before it.

use countersign::domain::window::WindowKind;
use countersign::ledger::counters::{Counters, Sum};
use countersign::ledger::embedded::rebuild::{Rebuild, state_of};
use countersign::ledger::event::{Event, events_of};
use countersign::ledger::image;
use countersign::ledger::state::State;

use super::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut rebuild = Rebuild::new();
    let mut position = 0;
    while !input.is_empty() {
        let frame = input.long_piece();
        check_events(frame);
        position += 1;
        rebuild.take(position, frame);
    }
    let Ok(states) = rebuild.finish() else {
        return;
    };
    for state in &states {
        check_state(state);
        check_image(state);
    }
}

fn check_events(frame: &[u8]) {
    let events: Vec<Event<'_>> = events_of(frame).map_while(Result::ok).collect();
    let mut written = Vec::new();
    for event in &events {
        event.encode(&mut written);
    }
    let read: Result<Vec<Event<'_>>, _> = events_of(&written).collect();
    assert_eq!(read.as_ref(), Ok(&events));
    let of_first = events.first().map(|event| u64::from(event.state().0));
    assert_eq!(state_of(frame), of_first);
}

/// What began empty never holds more than it has spent.
fn check_state(state: &State) {
    let check = |counters: &Counters| {
        let mut sums: Vec<Sum> = vec![counters.total()];
        sums.extend(WindowKind::ALL.map(|kind| counters.window(kind, state.day)));
        assert!(sums.iter().all(|sum| sum.held <= sum.spent), "{sums:?}");
    };
    check(&state.counters);
    state.cards().for_each(|card| check(&card.counters));
}

/// A state survives its image.
pub(super) fn check_image(state: &State) {
    let written = image::encode(state);
    let read = image::decode(&written).expect("our own image is read");
    assert_eq!(image::encode(&read), written);
}

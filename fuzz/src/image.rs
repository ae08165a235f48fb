//! Images of states from checkpoints: read or refused; what is read is written back, and goes on.
//!
//! Input: the length of the image in two bytes, the image, then frames as the events' target has
//! them.

use countersign::ledger::embedded::rebuild::{Rebuild, advance};
use countersign::ledger::image;

use super::events::check_image;
use super::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let stored = input.long_piece();
    let decoded = image::decode(stored);
    let mut rebuild = Rebuild::new();
    assert_eq!(rebuild.restore(stored).is_ok(), decoded.is_ok());
    let Ok(state) = decoded else {
        return;
    };
    check_image(&state);
    let mut frames = Vec::new();
    while !input.is_empty() {
        frames.push((1 + frames.len() as u64, input.long_piece()));
    }
    for (position, frame) in &frames {
        rebuild.take(*position, frame);
    }
    // The merge of a checkpoint comes to what a start comes to.
    let advanced = advance(Some(stored), &mut frames.iter().copied());
    let states = rebuild.finish();
    assert_eq!(states.is_ok(), advanced.is_ok());
    if let (Ok(states), Ok(advanced)) = (states, advanced) {
        states.iter().for_each(check_image);
        assert_eq!(advanced, states.first().map(image::encode));
    }
}

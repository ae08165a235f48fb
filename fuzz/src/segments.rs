//! Segments that nobody wrote: every checksum is right, and numbers, chains and what is called synced
//! are the input's. Read without a panic, in order, and to the same end each time.
//!
//! Input: segments; each a few bytes of header, then its frames as a piece.

use countersign::ledger::embedded::frame::{
    self, Cursor, FIRST_OFFSET, HEADER_SIZE, JournalId, Mark, SegmentHeader, SegmentKey,
};
use countersign::ledger::embedded::io::Name;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Journal};
use countersign::ledger::embedded::recover::{RecoverError, Recovered, recover};

use super::input::Input;
use super::medium::Medium;

const ID: JournalId = JournalId(*b"a journal's name");
const SEGMENTS_MAX: usize = 6;

pub(crate) fn run(bytes: &[u8]) {
    let medium = forge(&mut Input::new(bytes));
    let before = medium.files().clone();
    let (recovered, records) = match start(&medium) {
        Ok(started) => started,
        Err(RecoverError::Corrupt(corrupt)) => {
            assert!(!corrupt.to_string().is_empty());
            assert!(*medium.files() == before, "a corrupt journal was touched");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(records.is_sorted_by(|(one, _), (other, _)| one < other));
    let last = records.last().map_or(0, |(sequence, _)| *sequence);
    assert!(recovered.next.sequence > last);

    // Put in order, it says the same again, and nothing is torn any more.
    let (again, same) = start(&medium).expect("recovered before");
    assert_eq!((again.next, &same), (recovered.next, &records));
    assert_eq!(again.torn, None);
    go_on(&medium, recovered.next, records);
}

type Records = Vec<(u64, Vec<u8>)>;

fn start(medium: &Medium) -> Result<(Recovered, Records), RecoverError> {
    let mut records = Vec::new();
    let recovered = recover(medium, None, Cursor::GENESIS, |record| {
        records.push((record.sequence, record.payload.to_vec()));
    })?;
    Ok((recovered, records))
}

fn go_on(medium: &Medium, next: Cursor, mut records: Records) {
    let config = Config {
        segment_size: 6 << 10,
        release_size: 0,
        ..Config::new(Durability::Strict)
    };
    let mut journal = Journal::new(config, ID, next, Box::new(|| 77));
    medium.settle(&mut journal);
    for _ in 0..2 {
        let position = journal.append(b"more", Class::Reserve).unwrap();
        records.push((position.0, b"more".to_vec()));
        medium.settle(&mut journal);
    }
    let (_, found) = start(medium).expect("recovered and written to since");
    assert_eq!(found, records);
}

/// What a segment's frames would be if all were right.
struct Turn {
    sequence: u64,
    chain: u32,
}

fn forge(input: &mut Input<'_>) -> Medium {
    let medium = Medium::default();
    let mut turn = Turn {
        sequence: 1,
        chain: 0,
    };
    for number in 1.. {
        if number > SEGMENTS_MAX || input.is_empty() {
            break;
        }
        let number = number as u64;
        let flags = input.byte();
        let says = number_near(input, turn.sequence);
        let header = SegmentHeader {
            journal: ID,
            segment: if flags & 3 == 1 { number + 1 } else { number },
            seed: u64::from(flags >> 5),
            synced_through: if flags & 4 == 0 { 0 } else { says },
        };
        let mut bytes = header.encode().to_vec();
        bytes.resize(HEADER_SIZE, 0);
        if flags & 8 != 0 {
            bytes[10] ^= 1;
        }
        let frames = &mut Input::new(input.long_piece());
        while !frames.is_empty() && bytes.len() < HEADER_SIZE + 8_192 {
            push(&mut bytes, header.key(), frames, &mut turn);
        }
        if flags & 16 != 0 {
            bytes.resize(bytes.len().next_multiple_of(1024), 0);
        }
        medium.files().insert(Name::Segment(number), bytes);
    }
    medium
}

/// A number that is often right and sometimes anything.
fn number_near(input: &mut Input<'_>, right: u64) -> u64 {
    match input.byte() {
        0..=199 => right,
        near @ 200..=239 => right
            .saturating_add(u64::from(near - 200))
            .saturating_sub(20),
        240..=250 => 0,
        _ => input.long(),
    }
}

fn push(bytes: &mut Vec<u8>, key: SegmentKey, input: &mut Input<'_>, turn: &mut Turn) {
    let offset = bytes.len() as u64;
    let kind = input.byte();
    match kind & 3 {
        // A segment begins with a mark.
        0 | 1 if kind & 3 == 0 || offset == FIRST_OFFSET => {
            let sequence = number_near(input, turn.sequence);
            let mark = Mark {
                chain: if kind & 4 == 0 {
                    turn.chain
                } else {
                    turn.chain ^ 1
                },
                synced_through: number_near(input, sequence.saturating_sub(1)),
            };
            let frame = frame::mark(key, offset, sequence, mark);
            turn.sequence = sequence.saturating_add(1).max(1);
            let [_, _, _, _, a, b, c, d, ..] = frame;
            turn.chain = u32::from_le_bytes([a, b, c, d]);
            bytes.extend_from_slice(&frame);
        }
        0..=2 => {
            let sequence = number_near(input, turn.sequence);
            let payload = input.piece();
            turn.chain = frame::push_data(bytes, key, offset, sequence, payload);
            turn.sequence = sequence.saturating_add(1).max(1);
        }
        _ if kind & 4 == 0 => bytes.resize(bytes.len() + 8 * usize::from(kind >> 3), 0),
        _ => {
            bytes.extend_from_slice(input.piece());
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
    }
}
